// Connecting: the client's request and the server's answer, for ALPC and LPC.
//
//   client                                    server
//   finds the name, opens or shares the link
//   (1) CONNECT frame, with a slot when it waits
//                                             (2) receives it as a message of type 10
//                                             (3) accepts: a server communication port; refuses; or goes away
//   (4) slot or frame: ACCEPTED, REFUSED, a status
// An LPC server answers the waiting client only when it completes the connection (NtCompleteConnectPort).
// A client that gives up between (1) and (3) sends CANCEL; the server's accept then says that the request was cancelled.

import CLinuxShims
import CWireFormat
import LinuxSystem
import NTObjects
import NTSecurity
import NTTypes
import Tracing
import Transport

/// What a client demands of the server.
public enum ServerRequirement: Sendable {
    case none
    /// The server's user: `serverSidMismatch` otherwise, before anything is sent ([R] ROS-LPC; [W] CSK).
    case user(SID)
    /// A security descriptor that must grant PORT_CONNECT to the server's user ([W] OVMM, NTOBJ).
    case granted(by: [UInt8])

    func accepts(_ peer: PeerCredentials) throws(NTStatus) -> Bool {
        switch self {
        case .none: true
        case .user(let sid): PortAccess.isServer(peer, sid)
        case .granted(let descriptor): try PortAccess.isServer(peer, grantedBy: descriptor)
        }
    }
}

/// A connect that the server has accepted, or that is under way.
public struct ConnectResult {
    public let port: ALPCPort
    /// The accept message, for a connect that waited.
    public var header = MessageHeader()
    public var payload: [UInt8] = []
    /// LPC: the limit of the server's port.
    public var maxMessageLength: UInt32 = 0
    /// LPC: the client's own view, where the server has it, and the server's view in this process.
    public var ownView: PortView?
    public var remoteBase: UInt64 = 0
    public var serverView: PortView?
}

/// How a connect that waited ended.
public enum ConnectOutcome {
    case connected(ConnectResult)
    case timedOut
    /// LPC servers say why in the connection information ([R] ROS-LPC; [B] WI6).
    case refused(payload: [UInt8])
    /// The accept message needs this many bytes; the connection is given up ([I] AA-T).
    case tooShort(Int)
}

extension ALPCPort {
    // MARK: Creating

    /// Makes a connection port, or without a name an unconnected LPC port.
    public static func create(name: String?, traits: PortTraits, descriptor: [UInt8]?) throws(NTStatus) -> ALPCPort {
        if name == nil && traits.isLegacy {
            let queues = PortQueues(server: true)
            queues.lock.withLock { $0.quota.limit = PoolQuota.bytes(traits.attributes.maxPoolUsage) }
            return ALPCPort(.unconnected, queues: queues, traits: traits)
        }
        return try ConnectionPort.create(name: name, traits: traits, descriptor: descriptor)
    }

    /// Makes the handle of a waitable port follow its queue; call once it has a handle.
    public func start() throws(NTStatus) { try beginSignaling() }

    // MARK: The client

    /// Connects to the port named `name`.
    ///
    /// - Parameters:
    ///   - message: the connection message; its payload is connection information for LPC, and cut there at the server's limit.
    ///   - waits: until the server decides, or `deadline`. Otherwise the port is pending and the answer comes through its queue.
    ///   - capacity: of the caller's message buffer, header included, or nil for no limit.
    ///   - view: LPC: a part of a section that the server shall see too.
    /// - Throws: `objectNameNotFound`, `objectNameInvalid`, `objectPathNotFound`, `objectTypeMismatch`, `accessDenied`,
    ///   `serverSidMismatch`, `portMessageTooLong`, `portConnectionRefused`, `insufficientResources`.
    public static func connect(to name: String, traits: PortTraits, message: OutgoingMessage, waits: Bool, capacity: Int?, deadline: Deadline,
                               requirement: ServerRequirement, view: OfferedView? = nil) throws(NTStatus) -> ConnectOutcome {
        let place = try ObjectNamespace.place(of: name)
        var failure: NTStatus?
        // A connect that does not wait still meets the server's process, which answers by itself: five seconds are an outage.
        let meeting = waits && deadline.nanoseconds != 0 ? deadline : .at(Clock.monotonic &+ 5_000_000_000)
        let link: ClientLink
        do throws(NTStatus) {
            link = try ClientLink.open(place, deadline: meeting) { peer in
                do throws(NTStatus) { return try requirement.accepts(peer) } catch {
                    failure = error
                    return false
                }
            }
        } catch {
            if let failure { throw failure }
            if error == .timeout {
                if waits && deadline.nanoseconds != 0 { return .timedOut }
                throw .portConnectionRefused
            }
            throw error
        }
        let connection = try register(link, traits: traits, waits: waits)
        let port = ALPCPort(.client(connection, link), queues: link.queues, traits: traits)
        link.queues.change { _ in connection.port = port }
        do throws(NTStatus) {
            let own = try view.map { (view) throws(NTStatus) in try view.map(link.queues, connection) }
            let outcome = try port.sendConnect(message, connection, link, waits: waits, capacity: capacity, deadline: deadline, view: view)
            if case .connected(var result) = outcome {
                result.ownView = own
                return .connected(result)
            }
            PortRundown.closeClientPort(connection, link)
            PortViews.portClosed(port)
            return outcome
        } catch {
            PortRundown.closeClientPort(connection, link)
            PortViews.portClosed(port)
            throw error
        }
    }

    private static func register(_ link: ClientLink, traits: PortTraits, waits: Bool) throws(NTStatus) -> Connection {
        let made = link.queues.change { state -> Connection? in
            guard !link.entry.isOver, let number = link.entry.freeNumber() else { return nil }
            let connection = Connection(entry: link.entry, number: number, state: .requested, isLegacy: traits.isLegacy,
                                        peerFlags: link.link.greeting.port_flags,
                                        peerLimit: min(link.link.greeting.max_message_length, UInt32(MessageHeader.largestTotal)))
            guard link.entry.add(connection) else { return nil }
            connection.poolBytes = PoolQuota.bytes(traits.attributes.maxPoolUsage)
            state.addQuota(connection.poolBytes)
            return connection
        }
        guard let made else {
            let isOver = link.link.peerHasGone
            link.release()
            throw isOver ? .objectNameNotFound : .insufficientResources
        }
        return made
    }

    private func sendConnect(_ message: OutgoingMessage, _ connection: Connection, _ clientLink: ClientLink, waits: Bool, capacity: Int?,
                             deadline: Deadline, view: OfferedView?) throws(NTStatus) -> ConnectOutcome {
        let link = clientLink.link
        let me = Host.clientID()
        var header = message.header
        if traits.isLegacy {
            header.setLength(min(message.count, Int(link.greeting.max_connect_info)))
        } else if UInt32(header.totalLength) > link.greeting.max_message_length {
            throw .portMessageTooLong
        }
        var slot: (slot: Int, turn: UInt32)?
        if waits {
            slot = link.slots.take(connection: connection.number) ?? ALPCPort.waitForSlot(connection, deadline.nanoseconds)
            if slot == nil { throw .insufficientResources }
            header.messageID = MessageID.make(link: link.number, slot: slot!.slot, turn: slot!.turn)
        } else {
            header.messageID = try clientLink.queues.lock.withLock { (state) throws(NTStatus) in try state.newID(connection, isServer: false) }
        }
        header.clientProcess = me.process
        header.clientThread = me.thread
        var terms = ntlpc_connect()
        terms.port_flags = traits.flags
        terms.max_message_length = traits.maxMessageLength
        terms.impersonation_level = traits.attributes.securityQos.level.rawValue
        terms.context_tracking = traits.attributes.securityQos.dynamicTracking ? 1 : 0
        terms.effective_only = traits.attributes.securityQos.effectiveOnly ? 1 : 0
        terms.dup_object_types = traits.attributes.dupObjectTypes
        terms.nt_process = me.process
        if let view { terms.parcel = try view.send(link) }
        var frame = ntlpc_frame()
        frame.kind = FrameKind.connect
        frame.flags = (waits ? FrameFlags.sync : 0) | (traits.isLegacy ? FrameFlags.legacy : 0)
        frame.length = UInt32(header.dataLength) + UInt32(MemoryLayout<ntlpc_connect>.size)
        frame.connection = connection.number
        frame.slot = slot.map { UInt32($0.slot) } ?? WireLayout.noSlot
        frame.turn = slot?.turn ?? 0
        frame.set(header)
        clientLink.queues.change { _ in
            connection.requestID = header.messageID
            connection.requestSlot = frame.slot
            connection.requestProcess = me.process
            connection.requestThread = me.thread
            connection.hasBeenSent = true
        }
        let sent = withUnsafeBytes(of: &terms) { link.send(&frame, prefix: $0, payload: message.payload, deadline: deadline.nanoseconds) }
        guard case .sent = sent else {
            if terms.parcel != 0 { link.takeBackParcel(terms.parcel) }
            if let slot { link.slots.giveBack(slot.slot) }
            throw link.peerHasGone ? .objectNameNotFound : .insufficientResources
        }
        Trace.note(.ports, "connect \(connection.number) sent to process \(link.peer.pid)")
        guard let slot else { return .connected(ConnectResult(port: self)) }
        return try awaitAccept(slot, header.messageID, connection, clientLink, capacity: capacity, deadline: deadline)
    }

    private func awaitAccept(_ slot: (slot: Int, turn: UInt32), _ id: UInt32, _ connection: Connection, _ clientLink: ClientLink,
                             capacity: Int?, deadline: Deadline) throws(NTStatus) -> ConnectOutcome {
        let link = clientLink.link
        let thread = ntlpc_thread_current()
        thread.pointee.call_slot = UInt32(slot.slot)
        thread.pointee.call_turn = slot.turn
        thread.pointee.call_id = id
        thread.pointee.call_connection = connection.number
        ntlpc_thread_set_call(thread, Unmanaged.passUnretained(connection).toOpaque())
        let outcome = link.slots.wait(slot.slot, turn: slot.turn, deadline: deadline.nanoseconds)
        ntlpc_thread_set_call(thread, nil)
        switch outcome {
        case .timedOut:
            ALPCPort.giveUp(link, connection: connection.number, id: id, slot: slot.slot)
            return .timedOut
        case .interrupted:
            link.slots.abandon(slot.slot)
            throw .portConnectionRefused
        case .reply:
            break
        }
        let (head, shared) = link.slots.reply(in: slot.slot)
        let count = Int(min(head.length, NTLPC_MAX_PAYLOAD))
        let bytes = [UInt8](UnsafeRawBufferPointer(start: shared, count: count))
        link.slots.giveBack(slot.slot)
        let prefix = MemoryLayout<ntlpc_accepted>.size
        switch head.kind {
        case FrameKind.accepted where count >= prefix && count - prefix <= MessageHeader.largestPayload:
            let terms = bytes.withUnsafeBytes { $0.loadUnaligned(as: ntlpc_accepted.self) }
            if let capacity, count - prefix + MessageHeader.size > capacity { return .tooShort(count - prefix + MessageHeader.size) }
            clientLink.queues.change { $0.open(connection, terms) }
            var header = MessageHeader(head)
            header.setLength(count - prefix)
            header.type = HeaderType.connectionReply
            header.messageID = id
            header.clientProcess = clientLink.entry.ntProcess
            return .connected(ConnectResult(port: self, header: header, payload: Array(bytes.dropFirst(prefix)), maxMessageLength: terms.max_message_length,
                                            remoteBase: terms.remote_base, serverView: clientLink.queues.lock.withLock { _ in connection.takeServerView() }))
        case FrameKind.refused:
            return .refused(payload: Array(bytes.dropFirst(prefix)))
        case FrameKind.status where head.detail & 0xC000_0000 == 0xC000_0000:
            throw NTStatus(rawValue: Int32(bitPattern: head.detail))
        default:
            throw .portConnectionRefused
        }
    }

    // MARK: The server

    /// A connection request that the server is about to answer.
    public struct PendingAccept {
        let connection: Connection
        /// The port for the client; nil when refusing.
        public let port: ALPCPort?
        let id: UInt32
        /// LPC: where this process has mapped the client's view.
        public var clientView: PortView?
    }

    /// The connection port that a received connection request came to: LPC's accept call gets only the message.
    /// - Throws: `replyMessageMismatch` when there is none ([R] ROS-LPC).
    public static func connectionPort(of header: MessageHeader) throws(NTStatus) -> ALPCPort {
        guard header.messageID != 0, let port = LinkNumbers.owner(of: MessageID.link(of: header.messageID))?.port else { throw .replyMessageMismatch }
        return port
    }

    /// The ids in `header` may be Linux's: false when the link that its message came over leads to a process of another world.
    public static func senderIsNative(_ header: MessageHeader) -> Bool {
        let number = MessageID.link(of: header.messageID)
        guard let owner = LinkNumbers.owner(of: number) else { return true }
        let world = owner.queues.lock.withLock { $0.entries[Int(number)]?.link.greeting.world }
        return world == nil || world == Host.World.native.rawValue
    }

    /// Finds the request that `header` names and makes the port for it. Nothing is decided before `commit`.
    /// - Throws: `invalidMessage` (unknown, not received yet, or answered), `requestCanceled` (the client is gone; once),
    ///   `invalidPortHandle` when this is no connection port.
    public func prepareAccept(_ header: MessageHeader, traits: PortTraits?, context: UInt64?, refuse: Bool) throws(NTStatus) -> PendingAccept {
        guard isConnectionPort else { throw .invalidPortHandle }
        let connection = try queues.lock.withLock { (state) throws(NTStatus) -> Connection in try state.connectionRequest(header).connection! }
        if !refuse { meet(connection) }
        let port = refuse ? nil : ALPCPort(.server(connection), queues: queues, traits: traits ?? inheritedTraits)
        return PendingAccept(connection: connection, port: port, id: header.messageID)
    }

    /// What a server communication port gets without attributes of its own.
    private var inheritedTraits: PortTraits { traits }

    /// Answers a prepared request. `completes` is false for an LPC accept, which NtCompleteConnectPort completes.
    /// - Throws: as `prepareAccept`, when the client or another thread was faster; `portMessageTooLong`.
    public func commit(_ pending: PendingAccept, _ message: OutgoingMessage, context: UInt64, completes: Bool) throws(NTStatus) {
        let connection = pending.connection
        let me = Host.clientID()
        var header = message.header
        header.clientProcess = me.process
        header.clientThread = me.thread
        header.messageID = pending.id
        if connection.isLegacy {
            header.setLength(min(message.count, Int(traits.maxConnectInfo)))
        } else if pending.port != nil, UInt32(header.totalLength) > connection.peerLimit {
            throw .portMessageTooLong
        }
        var terms = ntlpc_accepted()
        terms.port_flags = pending.port?.traits.flags ?? 0
        terms.max_message_length = pending.port?.traits.maxMessageLength ?? 0
        terms.max_connect_info = traits.maxConnectInfo
        terms.remote_base = UInt64(pending.clientView?.base ?? 0)
        terms.dup_object_types = pending.port?.traits.attributes.dupObjectTypes ?? 0
        let payload = [UInt8](UnsafeRawBufferPointer(start: message.payload, count: Int(header.dataLength)))
        try queues.change { (state) throws(NTStatus) in
            let record = try state.connectionRequest(header)
            guard record.connection === connection else { throw .invalidMessage }
            state.discard(record.pointer)
            guard let port = pending.port else {
                connection.state = .refused
                return
            }
            connection.port = port
            connection.portContext = context
            connection.state = completes ? .open : .accepted
            if !completes { connection.heldReply = .init(header: header, payload: payload, terms: terms) }
        }
        if pending.port == nil {
            ALPCPort.sendDecision(connection, FrameKind.refused, header, payload, terms)
            queues.change { _ in connection.entry.remove(connection) }
        } else if completes, !ALPCPort.sendDecision(connection, FrameKind.accepted, header, payload, terms) {
            // The client gave up a moment ago; its cancellation is on its way and will find nothing.
            queues.change { state in
                connection.state = .disconnected
                connection.entry.remove(connection)
            }
            throw .requestCanceled
        }
    }

    /// LPC: maps the client's view before the client is accepted.
    /// - Throws: `noMemory`.
    public func mapClientView(_ pending: inout PendingAccept) throws(NTStatus) {
        guard pending.port != nil, let offered = queues.lock.withLock({ _ in pending.connection.clientView }) else { return }
        pending.clientView = try offered.map(queues, pending.connection)
    }

    /// The accept failed after all.
    public func unmapViews(_ pending: PendingAccept) {
        if let port = pending.port { PortViews.portClosed(port) }
    }

    /// NtCompleteConnectPort: wakes the client.
    /// - Throws: `invalidPortHandle` on any other port than a server communication port, `invalidParameter` the second time ([R] ROS-LPC).
    public func complete() throws(NTStatus) {
        guard case .server(let connection) = role else { throw .invalidPortHandle }
        let reply = try queues.change { (state) throws(NTStatus) -> Connection.HeldReply? in
            // A client that is gone leaves nothing to wake: success ([R] ROS-LPC).
            let reply = connection.heldReply
            connection.heldReply = nil
            if connection.state == .accepted { connection.state = .open } else if reply == nil && connection.state == .open { throw .invalidParameter }
            return reply
        }
        if let reply { ALPCPort.sendDecision(connection, FrameKind.accepted, reply.header, reply.payload, reply.terms) }
    }

    /// False when the client waited and has given up.
    @discardableResult
    private static func sendDecision(_ connection: Connection, _ kind: UInt16, _ header: MessageHeader, _ payload: [UInt8], _ terms: ntlpc_accepted) -> Bool {
        var terms = terms
        let prefix = MemoryLayout<ntlpc_accepted>.size
        if connection.requestSlot != WireLayout.noSlot {
            var reply = ntlpc_reply()
            reply.kind = kind
            reply.length = UInt32(prefix + payload.count)
            reply.set(header)
            let bytes = withUnsafeBytes(of: &terms) { Array($0) } + payload
            return bytes.withUnsafeBytes {
                connection.link.replies.publish(&reply, payload: $0.baseAddress, slot: connection.requestSlot, turn: connection.requestTurn)
            }
        }
        var frame = ntlpc_frame()
        frame.kind = kind
        frame.connection = connection.number
        frame.slot = WireLayout.noSlot
        frame.length = UInt32(prefix + payload.count)
        frame.set(header)
        let sent = withUnsafeBytes(of: &terms) { prefix in
            payload.withUnsafeBytes { connection.link.send(&frame, prefix: prefix, payload: $0.baseAddress, closing: true) }
        }
        // A client whose ring stays full for a second does not listen: its link ends.
        if case .full = sent { connection.link.close() }
        return true
    }
}

extension QueueState {
    /// The received, unanswered connection request that `header` names.
    mutating func connectionRequest(_ header: MessageHeader) throws(NTStatus) -> (pointer: MessagePointer, connection: Connection?) {
        let record = try find(header.messageID)
        guard record.pointee.isConnectionRequest else { throw .invalidMessage }
        switch record.pointee.state {
        case .held: break
        case .cancelled:
            discard(record)
            throw .requestCanceled
        case .queued, .away: throw .invalidMessage
        }
        let callback = UInt32(truncatingIfNeeded: header.callbackID)
        guard record.pointee.isLegacy || callback == 0 || UInt64(callback) == record.pointee.header.callbackID else { throw .invalidMessage }
        return (record, record.pointee.connection)
    }
}
