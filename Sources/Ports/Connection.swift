// One conversation between a client communication port and a server communication port, as one of the two sides sees it.

import CLinuxShims
import CWireFormat
import Synchronization
import Transport

/// Where a connection is in its life.
enum ConnectionState: UInt8, Sendable {
    /// Asked for, not answered.
    case requested
    /// LPC: accepted, and the server has not completed it.
    case accepted
    case open
    case refused
    /// The peer is gone, or one side disconnected.
    case disconnected
    /// Forgotten by this side.
    case closed
}

/// A connection. Its variables are guarded by the lock of the queues that the side receives from.
final class Connection: @unchecked Sendable {
    let entry: LinkEntry
    /// The client's number for it, the same on both sides: place in the low half, generation in the high one.
    let number: UInt32
    /// Readable without the lock. ORDER: release on store, acquire on load; publishes the peer's flags and limit.
    private let stateWord: Atomic<UInt8>
    var state: ConnectionState {
        get { ConnectionState(rawValue: stateWord.load(ordering: .acquiring)).unsafelyUnwrapped }
        set { stateWord.store(newValue.rawValue, ordering: .releasing) }
    }
    /// Made by an LPC call on the client's side.
    let isLegacy: Bool
    /// Handed back with each message of this client ([W] OVMM, PFW).
    var portContext: UInt64 = 0
    /// Flags and message limit of the peer's port attributes.
    var peerFlags: UInt32
    var peerLimit: UInt32
    /// The request: its id, and where the client waits.
    var requestID: UInt32 = 0
    var requestSlot = WireLayout.noSlot
    var requestTurn: UInt32 = 0
    /// Who asked, on the client's side.
    var requestProcess: UInt64 = 0
    var requestThread: UInt64 = 0
    /// The request is with the server.
    var hasBeenSent = false
    /// The server has been told of the end.
    var hasSentClose = false
    /// LPC: what NtCompleteConnectPort will send.
    var heldReply: HeldReply?
    /// The port of this side, while it has one.
    weak var port: ALPCPort?

    struct HeldReply {
        var header: MessageHeader
        var payload: [UInt8]
        var terms: ntlpc_accepted
    }

    init(entry: LinkEntry, number: UInt32, state: ConnectionState, isLegacy: Bool, peerFlags: UInt32, peerLimit: UInt32) {
        self.entry = entry
        self.number = number
        stateWord = Atomic(state.rawValue)
        self.isLegacy = isLegacy
        self.peerFlags = peerFlags
        self.peerLimit = peerLimit
    }

    var link: Link { entry.link }
}

/// A link and what one side keeps with it. Guarded like its connections.
final class LinkEntry: @unchecked Sendable {
    let link: Link
    var table = MessageTable()
    var connections: ContiguousArray<Connection?> = []
    /// How many frames that end or open a connection the ring has brought so far; the doorbell says how many there are.
    /// Read without the lock by senders. ORDER: release on store, acquire on load; publishes the connections' states.
    let closingsCount = Atomic<UInt32>(0)
    var closingsSeen: UInt32 {
        get { closingsCount.load(ordering: .acquiring) }
        set { closingsCount.store(newValue, ordering: .releasing) }
    }
    /// Its doorbell is not armed: whoever receives next looks at it.
    var isHot = false
    /// Its bell is in the epoll set.
    var isListening = false
    /// The peer is gone; only what remains of its messages is kept.
    var isOver = false
    var watchKey: UInt64 = 0
    /// The client's process as its programs number it.
    var ntProcess: UInt64 = 0
    private var generation: UInt32 = 0

    /// Connections one link may have.
    static let connectionLimit = 65536

    init(_ link: Link) { self.link = link }

    /// Frames name a connection by index and generation, so that a late frame of a closed one finds nobody.
    @inline(__always)
    func connection(_ number: UInt32) -> Connection? {
        let index = Int(number & 0xFFFF)
        guard index < connections.count, let connection = connections[index], connection.number == number else { return nil }
        return connection
    }

    /// False when the place is taken.
    func add(_ connection: Connection) -> Bool {
        let index = Int(connection.number & 0xFFFF)
        while connections.count <= index { connections.append(nil) }
        guard connections[index] == nil else { return false }
        connections[index] = connection
        return true
    }

    func remove(_ connection: Connection) {
        let index = Int(connection.number & 0xFFFF)
        if index < connections.count && connections[index] === connection { connections[index] = nil }
    }

    /// A number for a new connection: the lowest free place in a new generation.
    func freeNumber() -> UInt32? {
        generation = (generation &+ 1) & 0xFFFF
        let index = connections.firstIndex { $0 == nil } ?? connections.count
        return index < Self.connectionLimit ? generation << 16 | UInt32(index) : nil
    }

    var hasConnections: Bool { connections.contains { $0 != nil } }
}
