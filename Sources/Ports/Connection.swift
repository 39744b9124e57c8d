// One conversation between a client communication port and a server communication port, as one of the two sides sees it.

import CLinuxShims
import CWireFormat
import NTSecurity
import NTTypes
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
    /// Flags of the peer's port attributes, which the peer may change at any time. ORDER: relaxed: a flag stands for nothing but itself.
    private let peerFlagsWord: Atomic<UInt32>
    var peerFlags: UInt32 {
        get { peerFlagsWord.load(ordering: .relaxed) }
        set { peerFlagsWord.store(newValue, ordering: .relaxed) }
    }
    /// Message limit of the peer's port attributes.
    var peerLimit: UInt32
    /// Object types that the peer takes in handle attributes.
    var peerTypes: UInt32 = 0
    /// Server's side: how far the client's identity may be used, as the client said when it connected.
    var quality = SecurityQualityOfService.standard
    /// Server's side: the connection port lets its servers impersonate.
    var portAllowsImpersonation = false
    /// The client's token when it was accepted: with static tracking its token for good. Also kept for the threads that write into
    /// completion lists, which may not ask the host.
    var acceptedToken: TokenIDs?
    /// Who is told of messages of this connection: the association of this side's own port.
    var announcer: (any MessageAnnouncer)?
    /// Blocked receivers of this connection's messages, and messages that they will take.
    var waiting = 0
    var promised = 0
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
    /// LPC: the client's view, as the server was offered it.
    var clientView: OfferedView?
    /// LPC: the server's view, as this client's process has mapped it.
    var serverView: PortView?
    /// A client's: what its port adds to the limit of the queue.
    var poolBytes = 0
    /// LPC: what NtCompleteConnectPort will send.
    var heldReply: HeldReply?
    /// The port of this side, while it has one.
    weak var port: ALPCPort?

    struct HeldReply {
        var header: MessageHeader
        var payload: [UInt8]
        var terms: ntlpc_accepted
    }

    /// The table of views owns it from now on.
    func takeServerView() -> PortView? {
        defer { serverView = nil }
        return serverView
    }

    let core: LinkPointer

    init(entry: LinkEntry, number: UInt32, state: ConnectionState, isLegacy: Bool, peerFlags: UInt32, peerLimit: UInt32) {
        self.entry = entry
        core = entry.core
        self.number = number
        stateWord = Atomic(state.rawValue)
        self.isLegacy = isLegacy
        peerFlagsWord = Atomic(peerFlags)
        self.peerLimit = peerLimit
    }

    var link: Link { entry.link }
}

/// A link and what one side keeps with it. Guarded like its connections.
final class LinkEntry: @unchecked Sendable {
    let link: Link
    let core: LinkPointer
    var table = MessageTable()
    /// Its doorbell is not armed: whoever receives next looks at it.
    var isHot = false
    /// Its bell is in the epoll set.
    var isListening = false
    /// Of the peer's process, once somebody has asked and where they do not change.
    var tokenIDs: TokenIDs?
    /// The peer is gone; only what remains of its messages is kept.
    var isOver = false
    var watchKey: UInt64 = 0
    let questions = PeerQuestions()
    /// A client's.
    let calls = WaitingCalls()
    /// Bytes that came after the peer was told that the queue is full.
    var overrun = 0
    private var generation: UInt32 = 0
    /// Connections by the low half of their number; each is retained.
    private var places: UnsafeMutablePointer<Unmanaged<Connection>?>
    private var capacity = 4
    private var used = 0

    /// Connections one link may have.
    static let connectionLimit = 65536

    init(_ link: Link) {
        self.link = link
        core = link.core
        places = .allocate(capacity: capacity)
    }

    deinit {
        for index in 0..<used { places[index]?.release() }
        places.deallocate()
    }

    /// The peer's process as its programs number it.
    var ntProcess: UInt64 {
        get { core.pointee.peerNumber }
        set { core.pointee.peerNumber = newValue }
    }

    /// How many frames that end or open a connection the ring has brought so far; the doorbell says how many there are.
    var closingsSeen: UInt32 {
        get { core.pointee.closingsSeen.load(ordering: .acquiring) }
        set { core.pointee.closingsSeen.store(newValue, ordering: .releasing) }
    }

    /// Frames name a connection by index and generation, so that a late frame of a closed one finds nobody.
    @inline(__always)
    func find(_ number: UInt32) -> Unmanaged<Connection>? {
        let index = Int(number & 0xFFFF)
        guard index < used, let connection = places[index],
              connection._withUnsafeGuaranteedRef({ $0.number }) == number else { return nil }
        return connection
    }

    func connection(_ number: UInt32) -> Connection? { find(number)?.takeUnretainedValue() }

    /// False when the place is taken.
    func add(_ connection: Connection) -> Bool {
        let index = Int(connection.number & 0xFFFF)
        while index >= capacity {
            let larger = UnsafeMutablePointer<Unmanaged<Connection>?>.allocate(capacity: capacity * 2)
            larger.update(from: places, count: used)
            places.deallocate()
            places = larger
            capacity *= 2
        }
        while used <= index {
            places[used] = nil
            used += 1
        }
        guard places[index] == nil else { return false }
        places[index] = Unmanaged.passRetained(connection)
        return true
    }

    func remove(_ connection: Connection) {
        let index = Int(connection.number & 0xFFFF)
        guard index < used, let found = places[index], found.toOpaque() == Unmanaged.passUnretained(connection).toOpaque() else { return }
        places[index] = nil
        found.release()
    }

    var connections: [Connection] { (0..<used).compactMap { places[$0]?.takeUnretainedValue() } }

    /// A number for a new connection: the lowest free place in a new generation.
    func freeNumber() -> UInt32? {
        generation = generation % 0xFFFF &+ 1    // never 0, so that no number is
        let index = (0..<used).first { places[$0] == nil } ?? used
        return index < Self.connectionLimit ? generation << 16 | UInt32(index) : nil
    }
}

/// The links of a port by number. Each is retained; those on the hot path are reached without reference counting.
struct LinkEntries: ~Copyable {
    private var places: UnsafeMutablePointer<Unmanaged<LinkEntry>?> = .allocate(capacity: 4)
    private var capacity = 4
    private(set) var count = 0

    deinit {
        for index in 0..<count { places[index]?.release() }
        places.deallocate()
    }

    @inline(__always)
    func reference(_ index: Int) -> Unmanaged<LinkEntry>? { places[index] }

    subscript(_ index: Int) -> LinkEntry? {
        get { index < count ? places[index]?.takeUnretainedValue() : nil }
        set {
            while index >= capacity {
                let larger = UnsafeMutablePointer<Unmanaged<LinkEntry>?>.allocate(capacity: capacity * 2)
                larger.update(from: places, count: count)
                places.deallocate()
                places = larger
                capacity *= 2
            }
            while count <= index {
                places[count] = nil
                count += 1
            }
            let old = places[index]
            places[index] = newValue.map { Unmanaged.passRetained($0) }
            old?.release()
        }
    }

    /// The links that are there; a copy, so that the container may change meanwhile.
    var all: [LinkEntry] { (0..<count).compactMap { places[$0]?.takeUnretainedValue() } }

    mutating func removeAll() {
        for index in 0..<count {
            places[index]?.release()
            places[index] = nil
        }
        count = 0
    }
}
