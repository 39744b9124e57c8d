// A port: what a port handle names. Its kind decides what it may do; the work is done elsewhere.
//
//   connection port            named, or unnamed and unreachable; servers receive from it
//   server communication port  one for each accepted client; shares the connection port's queues
//   client communication port  made by a connect; shares the queues of its process's link to the server
//   unconnected port           made without a name by LPC; talks to itself

import CLinuxShims
import CNTTypes
import CWireFormat
import LinuxSystem
import NTObjects
import NTTypes
import Synchronization
import Tracing
import Transport

/// What a port was made with: ALPC_PORT_ATTRIBUTES, or the limits of an LPC create.
public struct PortTraits: Sendable {
    public var attributes = PortAttributes.standard
    /// LPC: bytes of connection information.
    public var maxConnectInfo: UInt32 = 0
    /// Made by an LPC call.
    public var isLegacy = false

    public init() {}

    public var flags: UInt32 { attributes.givenFlags }
    public var maxMessageLength: UInt32 { UInt32(truncatingIfNeeded: attributes.maxMessageLength) }
    public var isWaitable: Bool { attributes.flags.contains(.waitable) }
    public static let allowRequests = PortFlags.allowLPCRequests.rawValue
}

/// A port object.
public final class ALPCPort: KernelObject, @unchecked Sendable {
    enum Role {
        case connection(ConnectionPort)
        case server(Connection)
        case client(Connection, ClientLink)
        case unconnected
    }

    let role: Role
    let queues: PortQueues
    /// What it was made with, or has been told since (AlpcPortInformation).
    public var traits: PortTraits { sharedTraits.value }
    let sharedTraits: SharedTraits
    /// Calls in progress that want to be counted.
    let references = PortReferences()
    public let isWaitable: Bool
    let connection: Connection?
    /// The same, for the paths that do no reference counting: the port keeps it alive.
    let reference: Unmanaged<Connection>?
    let core: LinkPointer?
    /// The queues and their lock, likewise.
    let queuesReference: Unmanaged<PortQueues>
    let stateLock: Unmanaged<FutexLock<QueueState>>
    /// What a receive on this port takes.
    let filter: ReceiveFilter
    let isServerPort: Bool
    let limit: UInt32
    private let fullName: String?
    private let madeResources = FutexLock<PortResources?>(nil)
    private let disconnectedFlag = Atomic<Bool>(false)
    /// Both guarded by the lock of the queues: the last handle is closed; a completion port or pool is told of messages.
    var hasEnded = false
    var isAssociated = false

    init(_ role: Role, queues: PortQueues, traits: PortTraits, name: String? = nil) {
        self.role = role
        self.queues = queues
        if case .connection(let port) = role { sharedTraits = port.sharedTraits } else { sharedTraits = SharedTraits(traits) }
        fullName = name
        switch role {
        case .server(let connection), .client(let connection, _): self.connection = connection
        case .connection, .unconnected: connection = nil
        }
        reference = connection.map { Unmanaged.passUnretained($0) }
        core = connection?.core
        queuesReference = Unmanaged.passUnretained(queues)
        stateLock = Unmanaged.passUnretained(queues.lock)
        filter = ReceiveFilter(connection: connection)
        if case .server = role { isServerPort = true } else { isServerPort = false }
        limit = traits.maxMessageLength
        isWaitable = traits.isWaitable
        super.init(kind: .port)
    }

    public override var objectName: String? { fullName }

    /// Sections, views, security contexts and reserves of this port; made when first asked for.
    public var resources: PortResources {
        madeResources.withLock { made in
            if let made { return made }
            let resources = PortResources()
            made = resources
            return resources
        }
    }

    /// The same, for those who only look.
    public var existingResources: PortResources? { madeResources.withLock { $0 } }

    public override func describe() -> String {
        let kindName = switch role {
        case .connection: "connection port"
        case .server: "server communication port"
        case .client: "client communication port"
        case .unconnected: "unconnected port"
        }
        let peer = connection.map { " connection=\($0.number) peer=\($0.link.peer.pid) state=\($0.state)" } ?? ""
        return "ALPC \(kindName) flags=0x\(String(traits.flags, radix: 16)) limit=\(traits.maxMessageLength)" + (fullName.map { " name=\($0)" } ?? "") + peer
    }

    public override func lastHandleClosed() {
        Trace.note(.ports, "closed: \(describe())")
        if isWaitable { queues.stopSignaling(self) }
        if isPumping.exchange(false, ordering: .acquiringAndReleasing) { queues.endPumping() }
        endAnnouncing()
        switch role {
        case .connection(let port): PortRundown.closeConnectionPort(port)
        case .server(let connection): PortRundown.closeServerPort(connection, queues)
        case .client(let connection, let link): PortRundown.closeClientPort(connection, link)
        case .unconnected:
            queues.change { state in
                state.isClosed = true
                state.dropEverything()
            }
        }
        existingResources?.close()
        PortViews.portClosed(self)
    }

    /// Checks what a caller attaches to a message that goes to the other side of this port, or with `id` to the sender of a message.
    /// - Throws: as `OutgoingAttachments`; `portDisconnected` on a port without another side.
    public func attach(_ sent: SentAttributes, answering id: UInt32) throws(NTStatus) -> OutgoingAttachments {
        let found = queues.lock.withLock { state -> Connection? in
            if let connection { return connection }
            guard id != 0 else { return nil }
            do throws(NTStatus) { return try state.find(id).pointee.connection } catch { return nil }
        }
        guard let found else { throw id != 0 ? .invalidMessage : .portDisconnected }
        let (flags, types) = queues.lock.withLock { _ in (found.peerFlags, found.peerTypes) }
        return try OutgoingAttachments(sent, self, peerFlags: flags, peerTypes: types)
    }

    /// What came with a message that this port's process received and has not ended.
    public func attachments(of id: UInt32) -> Attachments? {
        queues.lock.withLock { state in
            do throws(NTStatus) { return try state.find(id).pointee.attachments?.takeUnretainedValue() } catch { return nil }
        }
    }

    /// Makes the handle's state follow the queue from now on.
    func beginSignaling() throws(NTStatus) {
        guard isWaitable else { return }
        try queues.startSignaling(self)
    }

    /// Has the watcher take in what comes while nobody receives: somebody waits for the end of a message otherwise.
    func keepPumping() throws(NTStatus) {
        guard !isPumping.exchange(true, ordering: .acquiringAndReleasing) else { return }
        do throws(NTStatus) {
            try queues.beginPumping()
        } catch {
            isPumping.store(false, ordering: .releasing)
            throw error
        }
    }

    private let isPumping = Atomic<Bool>(false)

    /// Marks the port as disconnected by its own process.
    /// - Throws: `portDisconnected` the second time ([W] SOG).
    /// - Parameter flags: 0, or 1 (do not flush the pending queue at close); others `invalidParameter` (section 17, point 18).
    public func disconnect(flags: UInt32) throws(NTStatus) {
        guard flags & ~1 == 0 else { throw .invalidParameter }
        guard !disconnectedFlag.exchange(true, ordering: .acquiringAndReleasing) else { throw .portDisconnected }
        switch role {
        case .client(let connection, let link): try PortRundown.disconnectClientPort(connection, link)
        case .server(let connection): try PortRundown.disconnectServerPort(connection, queues)
        case .connection, .unconnected: break
        }
    }

    var isDisconnected: Bool { disconnectedFlag.load(ordering: .acquiring) }

    /// AlpcBasicInformation: flags, messages received so far, context.
    public func basicInformation() -> (flags: UInt32, sequence: UInt32, context: UInt64) {
        let sequence = queues.lock.withLock { $0.sequence }
        return (traits.flags, sequence, connection.map { connection in queues.lock.withLock { _ in connection.portContext } } ?? 0)
    }

    /// Makes this the process's default hard error port.
    /// - Throws: `unsuccessful` when there is one ([I]: the system has one for its life).
    public func becomeHardErrorPort() throws(NTStatus) {
        try PortProcess.current().hardErrorPort.withLock { (port) throws(NTStatus) in
            guard port == nil else { throw .unsuccessful }
            port = self
        }
    }

    public var isConnectionPort: Bool { if case .connection = role { true } else { false } }
    public var isClientPort: Bool { if case .client = role { true } else { false } }
}
