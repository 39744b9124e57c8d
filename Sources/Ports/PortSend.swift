// Sending: requests, datagrams, answers. Each function checks everything first; once a frame is published there is no return.

import CLinuxShims
import CWireFormat
import LinuxSystem
import NTObjects
import NTTypes
import Synchronization
import Transport

/// A captured message on its way out. The payload is private memory.
public struct OutgoingMessage {
    public var header: MessageHeader
    public var payload: UnsafeRawPointer?
    /// The sender's own value, given back with the answer.
    public var messageContext: UInt64 = 0
    /// Sent by an LPC call.
    public var isLegacy = false

    public init(header: MessageHeader, payload: UnsafeRawPointer?) {
        self.header = header
        self.payload = payload
    }

    @inline(__always)
    var count: Int { Int(header.dataLength) }
}

extension ALPCPort {
    // MARK: Checks

    /// May a new message go out on this port now, to whom, and is it short enough?
    @inline(__always)
    private func route(_ message: borrowing OutgoingMessage) throws(NTStatus) -> Connection {
        guard let connection else { throw unrouted }
        if connection.entry.closingsSeen != connection.link.closingsSent { lookForEndings(connection) }
        if connection.link.peerHasGone { peerWent(connection) }
        guard connection.state == .open, !isDisconnected else { throw notOpen(connection) }
        guard UInt32(message.header.totalLength) <= min(traits.maxMessageLength, connection.peerLimit) else { throw .portMessageTooLong }
        return connection
    }

    private var unrouted: NTStatus {
        // A server cannot send on its connection port ([B] CSK issue 6); the status is the one named for that use.
        if case .connection = role { return .lpcInvalidConnectionUsage }
        return .portDisconnected
    }

    private func notOpen(_ connection: Connection) -> NTStatus {
        switch connection.state {
        case .requested, .accepted: return isDisconnected ? .portDisconnected : .lpcRequestsNotAllowed     // [W] RLI-T
        case .refused: return .portConnectionRefused                                                        // [W] OVMM
        case .open, .disconnected, .closed: return .portDisconnected                                        // [W] RLI-T, OVMM
        }
    }

    /// The peer has sent frames that end or open connections: take them in before deciding.
    @inline(never)
    private func lookForEndings(_ connection: Connection) {
        queues.change { state in
            state.heat(connection.entry)
            state.absorb(connection.entry)
        }
    }

    @inline(never)
    private func peerWent(_ connection: Connection) { PortRundown.linkBroke(connection.entry, of: queues) }

    @inline(__always)
    private func fill(_ frame: inout ntlpc_frame, _ header: MessageHeader) {
        let me = Host.clientID()
        var stamped = header
        stamped.clientProcess = me.process
        stamped.clientThread = me.thread
        frame.header = unsafeBitCast(stamped, to: type(of: frame.header))
        frame.length = UInt32(header.dataLength)
    }

    // MARK: Requests

    /// Sends a request and waits for its answer. `capacity` counts the whole message.
    /// - Throws: `lpcRequestsNotAllowed` (pending, or the peer takes none), `portDisconnected`, `portConnectionRefused`,
    ///   `portMessageTooLong`, `messageLost` or `lpcReplyLost` when the peer goes away, `portClosed`.
    public func request(_ message: borrowing OutgoingMessage, capacity: Int, deadline: Deadline, into delivery: inout Delivery) throws(NTStatus) -> ReceiveOutcome {
        let connection = try route(message)
        if case .server = role { return try ask(message, connection, capacity: capacity, deadline: deadline, into: &delivery) }
        var frame = ntlpc_frame()
        frame.kind = FrameKind.message
        frame.flags = FrameFlags.sync | (message.isLegacy ? FrameFlags.legacy : 0)
        return try exchange(&frame, message, id: nil, connection, capacity: capacity, deadline: deadline, into: &delivery)
    }

    /// The client's way: the reply comes into a slot of the calling thread.
    func exchange(_ frame: inout ntlpc_frame, _ message: borrowing OutgoingMessage, id: UInt32?, _ connection: Connection,
                  capacity: Int, deadline: Deadline, into delivery: inout Delivery) throws(NTStatus) -> ReceiveOutcome {
        let link = connection.link
        guard let (slot, turn) = link.slots.take(connection: connection.number) else { throw .insufficientResources }
        var header = message.header
        header.messageID = id ?? MessageID.make(link: link.number, slot: slot, turn: turn)
        fill(&frame, header)
        frame.connection = connection.number
        frame.slot = UInt32(truncatingIfNeeded: slot)
        frame.turn = turn
        switch link.send(&frame, payload: message.payload, deadline: deadline.nanoseconds) {
        case .sent: break
        case .dead:
            link.slots.giveBack(slot)
            throw .portDisconnected
        case .full:
            link.slots.giveBack(slot)
            if deadline.nanoseconds != 0 { return .timedOut }
            throw .insufficientResources
        }
        let thread = ntlpc_thread_current()
        thread.pointee.call_slot = UInt32(truncatingIfNeeded: slot)
        thread.pointee.call_turn = turn
        thread.pointee.call_id = header.messageID
        thread.pointee.call_connection = connection.number
        thread.pointee.call = Unmanaged.passUnretained(link).toOpaque()
        let outcome = link.slots.wait(slot, turn: turn, deadline: deadline.nanoseconds)
        thread.pointee.call = nil
        switch outcome {
        case .reply:
            return try takeReply(slot, connection, id: header.messageID, message, capacity: capacity, into: &delivery)
        case .timedOut:
            Self.giveUp(link, connection: connection.number, id: header.messageID, slot: slot)
            return .timedOut
        case .interrupted(let why):
            link.slots.abandon(slot)
            throw why == .portClosed ? .portClosed : message.isLegacy ? .lpcReplyLost : .messageLost
        }
    }

    /// The caller stops waiting: the server learns it, and the slot rests until it has.
    static func giveUp(_ link: Link, connection: UInt32, id: UInt32, slot: Int) {
        link.slots.abandon(slot)
        var frame = ntlpc_frame()
        frame.kind = FrameKind.cancel
        frame.connection = connection
        frame.slot = WireLayout.noSlot
        var header = MessageHeader()
        header.messageID = id
        frame.header = unsafeBitCast(header, to: type(of: frame.header))
        _ = link.send(&frame, payload: nil)
    }

    @inline(__always)
    private func takeReply(_ slot: Int, _ connection: Connection, id: UInt32, _ message: borrowing OutgoingMessage,
                           capacity: Int, into delivery: inout Delivery) throws(NTStatus) -> ReceiveOutcome {
        let link = connection.link
        let (head, shared) = link.slots.reply(in: slot)
        guard head.kind == FrameKind.answer else {
            link.slots.giveBack(slot)
            throw head.kind == FrameKind.status && head.detail & 0xC000_0000 == 0xC000_0000 ? NTStatus(rawValue: Int32(bitPattern: head.detail)) : .messageLost
        }
        let count = Int(min(head.length, UInt32(MessageHeader.largestPayload)))
        let staging = StagingMemory.ofThread()
        if count > 0 { staging.copyMemory(from: shared, byteCount: count) }
        link.slots.giveBack(slot)
        let release = head.flags & FrameFlags.release != 0
        var header = unsafeBitCast(head.header, to: MessageHeader.self)
        header.setLength(count)
        header.messageID = id
        header.clientProcess = connection.entry.ntProcess
        header.type = release ? HeaderType.reply : HeaderType.request | HeaderFlags.continuation
        delivery.header = header
        delivery.payload = UnsafeRawPointer(staging)
        delivery.count = count
        delivery.connection = connection
        delivery.messageContext = message.messageContext
        delivery.portContext = 0
        delivery.sequence = 0
        if release && count + MessageHeader.size <= capacity { return .message }
        return keepReply(header, connection, release: release, message, capacity: capacity, into: &delivery)
    }

    /// A reply that can be answered again, or one that did not fit and waits in the port's queue.
    @inline(never)
    private func keepReply(_ header: MessageHeader, _ connection: Connection, release: Bool, _ message: borrowing OutgoingMessage,
                           capacity: Int, into delivery: inout Delivery) -> ReceiveOutcome {
        let fits = delivery.count + MessageHeader.size <= capacity
        let context = message.messageContext
        let payload = delivery.payload
        let kept = queues.change { state -> MessagePointer? in
            if let earlier = connection.entry.table.find(header.messageID) { state.discardAway(earlier) }
            let record: MessagePointer
            if fits {
                record = state.pool.make()
                record.pointee.header = header
                record.pointee.connection = connection
                record.pointee.messageContext = context
                record.pointee.state = .held
            } else {
                record = state.enqueue(header, payload, connection: connection, context: context)
            }
            if release { return nil }
            if !connection.entry.table.insert(record) {
                if fits { state.pool.release(record) }
                return nil
            }
            return record
        }
        delivery.record = fits ? kept : nil
        return fits ? .message : .tooShort(delivery.count + MessageHeader.size)
    }

    // MARK: Asynchronous sends

    /// Sends a request whose answer comes through the queue, or with `datagram` a message without answer.
    /// - Returns: the message's id ([W] PFW, RLI-T: written back to the sender's header).
    public func post(_ message: borrowing OutgoingMessage, datagram: Bool) throws(NTStatus) -> UInt32 {
        if case .unconnected = role { return try postToSelf(message) }
        let connection = try route(message)
        if isServerPort && connection.peerFlags & PortTraits.allowRequests == 0 && !datagram { throw .lpcRequestsNotAllowed }
        let context = message.messageContext
        let isServer = isServerPort
        var frame = ntlpc_frame()
        frame.kind = FrameKind.message
        frame.flags = (datagram ? FrameFlags.release : 0) | (message.isLegacy ? FrameFlags.legacy : 0)
        frame.connection = connection.number
        frame.slot = WireLayout.noSlot
        var header = message.header
        header.messageID = try queues.lock.withLock { (state) throws(NTStatus) -> UInt32 in
            let id = try state.newID(connection, isServer: isServer)
            if datagram { return id }
            if isServer { try state.addAway(id, connection) } else { state.expected[id] = (connection, context) }
            return id
        }
        fill(&frame, header)
        switch connection.link.send(&frame, payload: message.payload) {
        case .sent:
            return header.messageID
        case .dead, .full:
            let isDead = connection.link.peerHasGone
            if !datagram { queues.change { $0.forget(header.messageID, connection) } }
            throw isDead ? .portDisconnected : .insufficientResources
        }
    }

    /// An unconnected port hears what it says ([R] ROS-LPC).
    private func postToSelf(_ message: borrowing OutgoingMessage) throws(NTStatus) -> UInt32 {
        guard UInt32(message.header.totalLength) <= traits.maxMessageLength else { throw .portMessageTooLong }
        var header = message.header
        let payload = message.payload
        let me = Host.clientID()
        header.type = HeaderType.datagram
        header.clientProcess = me.process
        header.clientThread = me.thread
        return queues.change { state in
            state.nextNumber &+= 1
            state.callbackSerial &+= 1
            header.messageID = MessageID.make(link: 0, number: state.nextNumber | 1)
            header.callbackID = UInt64(state.callbackSerial)
            state.enqueue(header, payload, connection: nil)
            return header.messageID
        }
    }

    // MARK: A server's questions

    /// The server asks its client and waits; the answer comes through the queue, reserved for this thread.
    private func ask(_ message: borrowing OutgoingMessage, _ connection: Connection, capacity: Int, deadline: Deadline,
                     into delivery: inout Delivery) throws(NTStatus) -> ReceiveOutcome {
        guard connection.peerFlags & PortTraits.allowRequests != 0 else { throw .lpcRequestsNotAllowed }
        var header = message.header
        header.messageID = try queues.lock.withLock { (state) throws(NTStatus) -> UInt32 in
            let id = try state.newID(connection, isServer: true)
            try state.addAway(id, connection, reserved: true)
            return id
        }
        var frame = ntlpc_frame()
        frame.kind = FrameKind.message
        frame.flags = message.isLegacy ? FrameFlags.legacy : 0
        frame.connection = connection.number
        frame.slot = WireLayout.noSlot
        fill(&frame, header)
        guard case .sent = connection.link.send(&frame, payload: message.payload) else {
            queues.change { $0.forget(header.messageID, connection) }
            throw connection.link.peerHasGone ? .portDisconnected : .insufficientResources
        }
        return try awaitAnswer(header.messageID, connection, capacity: capacity, deadline: deadline, into: &delivery)
    }

    /// Waits for the answer to a message that this side sent with a reserved record.
    func awaitAnswer(_ id: UInt32, _ connection: Connection, capacity: Int, deadline: Deadline, into delivery: inout Delivery) throws(NTStatus) -> ReceiveOutcome {
        let outcome = queues.receive(ReceiveFilter(connection: connection, answerTo: id), capacity: capacity, deadline: deadline, into: &delivery)
        switch outcome {
        case .message where delivery.header.type & 0xFF == HeaderType.cancelled: throw .messageLost
        case .timedOut:
            queues.change { $0.forget(id, connection) }
            return .timedOut
        case .closed: throw .portClosed
        case .disconnected, .refused: throw .messageLost
        case .message, .tooShort: return outcome
        }
    }
}

extension QueueState {
    /// A free id for a message that starts on this side. Ids of asynchronous messages of a client lie above those of its slots.
    mutating func newID(_ connection: Connection, isServer: Bool) throws(NTStatus) -> UInt32 {
        let link = connection.link.number
        for _ in 0..<MessageID.firstAsynchronous {
            nextNumber = (nextNumber &+ 1) & (MessageID.firstAsynchronous - 1)
            let id = MessageID.make(link: link, number: MessageID.firstAsynchronous | nextNumber, server: isServer)
            if isServer ? connection.entry.table.find(id) == nil : expected[id] == nil { return id }
        }
        throw .insufficientResources
    }

    /// Notes a message that the other side will answer.
    mutating func addAway(_ id: UInt32, _ connection: Connection, reserved: Bool = false) throws(NTStatus) {
        let record = pool.make()
        record.pointee.header.messageID = id
        record.pointee.connection = connection
        record.pointee.state = .away
        record.pointee.isReserved = reserved
        guard connection.entry.table.insert(record) else {
            pool.release(record)
            throw .insufficientResources
        }
    }

    /// The message will not be answered after all.
    mutating func forget(_ id: UInt32, _ connection: Connection) {
        expected.removeValue(forKey: id)
        if let record = connection.entry.table.find(id) { discard(record) }
    }

    mutating func discardAway(_ record: MessagePointer) {
        if record.pointee.state != .queued { discard(record) }
    }
}
