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
    /// What goes with it. Kept alive by the caller, so that the way of all other messages counts no references.
    public var attached: Unmanaged<OutgoingAttachments>?
    /// LPC: a question inside a request, not an answer.
    public var isCallback = false
    /// Kept alive by the caller: the hold on the reserve it is sent with, and the memory it names for the server.
    public var reserve: Unmanaged<ReserveUse>?
    public var dataEntries: Unmanaged<DataEntries>?

    public init(header: MessageHeader, payload: UnsafeRawPointer?) {
        self.header = header
        self.payload = payload
    }

    @inline(__always)
    var count: Int { Int(header.dataLength) }
}

extension ALPCPort {
    // MARK: Checks

    /// May a new message of `total` bytes go out on this port now? Returns the connection, which the port keeps alive.
    @inline(__always)
    private func route(_ total: UInt16, reserve: Unmanaged<ReserveUse>?) throws(NTStatus) -> Unmanaged<Connection> {
        guard let reference, let core else { throw unrouted }
        let hasNews = core.pointee.peerHasNews
        if core.pointee.closingsSeen.load(ordering: .acquiring) != core.pointee.closingsSent || hasNews { lookForEndings() }
        let (state, limit) = reference._withUnsafeGuaranteedRef { ($0.state, $0.peerLimit) }
        guard state == .open, !isDisconnected else { throw notOpen(state) }
        guard UInt32(total) <= min(self.limit, limit) else { throw .portMessageTooLong }
        if hasNews && reserve == nil && core.pointee.peerIsFull { throw .quotaExceeded }
        return reference
    }

    /// Why a new message that found no room was not sent.
    @inline(never)
    private func unsent(_ core: LinkPointer, hasReserve: Bool) -> NTStatus {
        if core.pointee.peerHasGone { return .portDisconnected }
        return core.pointee.peerIsFull && !hasReserve ? .quotaExceeded : .insufficientResources
    }

    private var unrouted: NTStatus {
        // A server cannot send on its connection port ([B] CSK issue 6); the status is the one named for that use.
        if case .connection = role { return .lpcInvalidConnectionUsage }
        return .portDisconnected
    }

    private func notOpen(_ state: ConnectionState) -> NTStatus {
        switch state {
        case .requested, .accepted: return isDisconnected ? .portDisconnected : .lpcRequestsNotAllowed     // [W] RLI-T
        case .refused: return .portConnectionRefused                                                        // [W] OVMM
        case .open, .disconnected, .closed: return .portDisconnected                                        // [W] RLI-T, OVMM
        }
    }

    /// The peer has sent frames that end or open connections, or is gone: take that in before deciding.
    @inline(never)
    private func lookForEndings() {
        guard let connection else { return }
        queues.change { state in
            state.heat(connection.entry)
            state.absorb(connection.entry)
        }
        if connection.link.peerHasGone { PortRundown.linkBroke(connection.entry, of: queues) }
    }

    @inline(__always)
    private func fill(_ frame: inout ntlpc_frame, _ header: MessageHeader) {
        let me = Host.clientID()
        var stamped = header
        stamped.clientProcess = me.process
        stamped.clientThread = me.thread
        frame.set(stamped)
        frame.length = UInt32(header.dataLength)
        frame.flags |= (header.type & HeaderFlags.noImpersonation) >> HeaderFlags.noImpersonationShift
    }

    // MARK: Requests

    /// Sends a request and waits for its answer. `capacity` counts the whole message.
    /// - Throws: `lpcRequestsNotAllowed` (pending, or the peer takes none), `portDisconnected`, `portConnectionRefused`,
    ///   `portMessageTooLong`, `messageLost` or `lpcReplyLost` when the peer goes away, `portClosed`.
    @inline(__always)
    public func request(_ message: borrowing OutgoingMessage, capacity: Int, deadline: Deadline, into delivery: inout Delivery) throws(NTStatus) -> ReceiveOutcome {
        let connection = try route(message.header.totalLength, reserve: message.reserve)
        if isServerPort { return try ask(message, connection.takeUnretainedValue(), capacity: capacity, deadline: deadline, into: &delivery) }
        var frame = ntlpc_frame()
        frame.kind = FrameKind.message
        frame.flags = FrameFlags.sync | (message.isLegacy ? FrameFlags.legacy : 0) | (message.reserve != nil ? FrameFlags.reserved : 0)
        return try exchange(&frame, message, id: 0, connection, capacity: capacity, deadline: deadline, into: &delivery)
    }

    /// The client's way: the reply comes into a slot of the calling thread. `id` is 0 for a new message.
    @inline(__always)
    func exchange(_ frame: inout ntlpc_frame, _ message: borrowing OutgoingMessage, id: UInt32, _ connection: Unmanaged<Connection>,
                  capacity: Int, deadline: Deadline, into delivery: inout Delivery) throws(NTStatus) -> ReceiveOutcome {
        let core = core.unsafelyUnwrapped
        let number = connection._withUnsafeGuaranteedRef { $0.number }
        guard let (slot, turn) = core.pointee.slots.take(connection: number) ?? waitForSlot(deadline.nanoseconds) else {
            // Not even sent before its time was over.
            if deadline.nanoseconds != 0 && deadline.hasPassed { return .timedOut }
            throw .insufficientResources
        }
        var header = message.header
        header.messageID = id != 0 ? id : MessageID.make(link: core.pointee.number, slot: slot, turn: turn)
        fill(&frame, header)
        frame.connection = number
        frame.slot = UInt32(truncatingIfNeeded: slot)
        frame.turn = turn
        let until = deadline.nanoseconds
        let hasReserve = message.reserve != nil
        let mayHaveEntries = header.dataInfoOffset != 0 || id != 0 || hasReserve
        if mayHaveEntries { openEntries(message, header.messageID) }
        let sent: SendOutcome
        if let attached = message.attached {
            do throws(NTStatus) {
                sent = try ALPCPort.send(attached.takeUnretainedValue(), &frame, message.payload, connection.takeUnretainedValue().entry, deadline: until)
            } catch {
                if mayHaveEntries { closeEntries(header.messageID, isAlive: id != 0) }
                core.pointee.slots.giveBack(slot)
                throw error
            }
        } else {
            sent = Link.send(core, &frame, payload: message.payload, deadline: until, askToDrain: { self.askToDrain() })
        }
        switch sent {
        case .sent: break
        case .dead, .full:
            core.pointee.slots.giveBack(slot)
            if mayHaveEntries { closeEntries(header.messageID, isAlive: id != 0) }
            let status = unsent(core, hasReserve: hasReserve || id != 0)
            if until != 0 && status == .insufficientResources { return .timedOut }
            throw status
        }
        let thread = ntlpc_thread_current()
        thread.pointee.call_slot = UInt32(truncatingIfNeeded: slot)
        thread.pointee.call_turn = turn
        thread.pointee.call_id = header.messageID
        thread.pointee.call_connection = number
        ntlpc_thread_set_call(thread, connection.toOpaque())
        #if !arch(x86_64)
        atomicMemoryFence(ordering: .sequentiallyConsistent)    // on x86-64 the exchanges of the ring's lock have done it
        #endif
        // The connection ended between the check of the route and the claim of the slot: nobody else would wake this thread.
        if connection._withUnsafeGuaranteedRef({ $0.state }) != .open { core.pointee.slots.interruptOwn(slot, .disconnected) }
        let outcome = core.pointee.slots.wait(slot, turn: turn, deadline: until)
        ntlpc_thread_set_call(thread, nil)
        if mayHaveEntries { closeEntries(header.messageID, isAlive: true) }
        defer {
            if mayHaveEntries && delivery.record == nil {
                closeEntries(header.messageID, isAlive: false)
                if id != 0 { core.pointee.slots.freeNumber(MessageID.number(of: id)) }
            }
        }
        guard case .reply = outcome else { return try unanswered(outcome, slot, header.messageID, isLegacy: message.isLegacy) }
        let head = core.pointee.slots.headOfReply(slot)
        let shared = head.load(as: ntlpc_reply.self)
        guard shared.kind == FrameKind.answer else { throw failure(shared, slot) }
        if shared.flags & FrameFlags.attached != 0 {
            return try takeAttachedReply(shared, head, slot, header.messageID, message, capacity: capacity, into: &delivery)
        }
        let count = Int(min(shared.length, UInt32(MessageHeader.largestPayload)))
        delivery.header = MessageHeader(shared)
        delivery.header.setLength(count)
        delivery.header.messageID = header.messageID
        delivery.header.clientProcess = core.pointee.peerNumber
        delivery.payload = UnsafeRawPointer(head + MemoryLayout<ntlpc_reply>.size)
        delivery.count = count
        delivery.slot = slot
        delivery.core = core
        delivery.messageContext = message.messageContext
        if shared.flags & FrameFlags.release != 0 && count + MessageHeader.size <= capacity {
            delivery.header.type = HeaderType.reply
            return .message
        }
        return keepReply(shared.flags, message.reserve, capacity: capacity, into: &delivery)
    }

    private func askToDrain() { connection?.link.askToDrain() }

    private func waitForSlot(_ deadline: UInt64) -> (slot: Int, turn: UInt32)? { connection.flatMap { Self.waitForSlot($0, deadline) } }

    /// Every slot is in use or was given up behind a server that does not receive. Its watcher settles the abandoned ones when it
    /// empties the ring: tries again for a while, at least long enough for that.
    @inline(never)
    static func waitForSlot(_ connection: Connection, _ deadline: UInt64) -> (slot: Int, turn: UInt32)? {
        let link = connection.link
        let now = Clock.monotonic
        let end = deadline == 0 ? now &+ 1_000_000_000 : max(now &+ 50_000_000, min(deadline, now &+ 1_000_000_000))
        link.askToDrain()
        repeat {
            ntlpc_sleep_ns(500_000)
            if let taken = link.slots.take(connection: connection.number) { return taken }
        } while Clock.monotonic < end && !link.peerHasGone
        return nil
    }

    @inline(never)
    private func unanswered(_ outcome: SlotOutcome, _ slot: Int, _ id: UInt32, isLegacy: Bool) throws(NTStatus) -> ReceiveOutcome {
        guard let connection else { throw .portClosed }
        switch outcome {
        case .interrupted(let why):
            connection.link.slots.abandon(slot)
            throw why == .portClosed ? .portClosed : isLegacy ? .lpcReplyLost : .messageLost
        case .timedOut, .reply:
            Self.giveUp(connection.link, connection: connection.number, id: id, slot: slot)
            return .timedOut
        }
    }

    /// The slot holds no answer but a status.
    @inline(never)
    private func failure(_ shared: ntlpc_reply, _ slot: Int) -> NTStatus {
        connection?.link.slots.giveBack(slot)
        guard shared.kind == FrameKind.status, shared.detail & 0xC000_0000 == 0xC000_0000 else { return .messageLost }
        return NTStatus(rawValue: Int32(bitPattern: shared.detail))
    }

    /// The caller stops waiting: the server learns it, and the slot rests until it has.
    static func giveUp(_ link: Link, connection: UInt32, id: UInt32, slot: Int) {
        if slot != Int(WireLayout.noSlot) { link.slots.abandon(slot) }
        giveUp(link, connection: connection, id: id, reason: 0)
    }

    static func giveUp(_ link: Link, connection: UInt32, id: UInt32, reason: UInt16) {
        var frame = ntlpc_frame()
        frame.kind = FrameKind.cancel
        frame.flags = reason
        frame.connection = connection
        frame.slot = WireLayout.noSlot
        var header = MessageHeader()
        header.messageID = id
        frame.set(header)
        // Announced like a closing, so that nobody takes the message at the head of the ring without looking behind it.
        _ = link.send(&frame, payload: nil, closing: true)
    }

    /// A reply that can be answered again, or one that did not fit and waits in the port's queue.
    @inline(never)
    func keepReply(_ flags: UInt16, _ reserve: Unmanaged<ReserveUse>?, capacity: Int, into delivery: inout Delivery) -> ReceiveOutcome {
        guard let connection else { return .closed }
        let release = flags & FrameFlags.release != 0
        let attachments = delivery.attachments
        let ends = release && attachments?._withUnsafeGuaranteedRef({ $0.needsContinuation }) != true
        delivery.header.type = HeaderType.ofAnswer(flags) | (ends ? 0 : HeaderFlags.continuation)
        let header = delivery.header
        let fits = delivery.count + MessageHeader.size <= capacity
        let context = delivery.messageContext
        let payload = delivery.payload
        if !ends { connection.link.slots.keepNumber(MessageID.number(of: header.messageID)) }
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
            record.pointee.isLegacy = flags & FrameFlags.legacy != 0
            record.pointee.isRelease = release
            record.pointee.keep(reserve)
            record.pointee.attachments = attachments.map { $0.retain() }
            if ends {
                if fits { state.pool.release(record) }
                return nil
            }
            if !state.enlist(record, connection.entry) {
                if fits { state.pool.release(record) }
                return nil
            }
            return record
        }
        delivery.record = fits ? kept : nil
        if !fits { ALPCPort.finish(&delivery) }
        return fits ? .message : .tooShort(Int(header.dataLength) + MessageHeader.size)
    }

    // MARK: Asynchronous sends

    /// Sends a request whose answer comes through the queue, or with `datagram` a message without answer.
    /// - Returns: the message's id ([W] PFW, RLI-T: written back to the sender's header).
    public func post(_ message: borrowing OutgoingMessage, datagram: Bool) throws(NTStatus) -> UInt32 {
        if case .unconnected = role { return try postToSelf(message) }
        let connection = try route(message.header.totalLength, reserve: message.reserve).takeUnretainedValue()
        if isServerPort && connection.peerFlags & PortTraits.allowRequests == 0 && !datagram { throw .lpcRequestsNotAllowed }
        let context = message.messageContext
        let event = message.attached?.takeUnretainedValue().event
        let isServer = isServerPort
        var frame = ntlpc_frame()
        frame.kind = FrameKind.message
        let reserve = message.reserve
        frame.flags = (datagram ? FrameFlags.release : 0) | (message.isLegacy ? FrameFlags.legacy : 0) | (reserve != nil ? FrameFlags.reserved : 0)
        frame.connection = connection.number
        frame.slot = WireLayout.noSlot
        var header = message.header
        header.messageID = try queues.lock.withLock { (state) throws(NTStatus) -> UInt32 in
            let id = try state.newID(connection, isServer: isServer)
            if datagram { return id }
            if isServer {
                try state.addAway(id, connection, context: context, reserve: reserve)
            } else {
                state.expected[id] = ExpectedAnswer(connection: connection, context: context, reserve: reserve?.takeUnretainedValue(), event: event)
            }
            return id
        }
        fill(&frame, header)
        let outcome: SendOutcome
        do throws(NTStatus) {
            outcome = try send(message, &frame, connection)
        } catch {
            if !datagram { queues.change { $0.forget(header.messageID, connection) } }
            throw error
        }
        switch outcome {
        case .sent:
            return header.messageID
        case .dead, .full:
            let status = unsent(connection.core, hasReserve: reserve != nil)
            if !datagram { queues.change { $0.forget(header.messageID, connection) } }
            throw status
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
        return try queues.change { (state) throws(NTStatus) in
            guard !state.quota.isFull else { throw .quotaExceeded }
            state.nextNumber &+= 1
            state.callbackSerial &+= 1
            header.messageID = MessageID.make(link: 0, number: state.nextNumber | 1)
            header.callbackID = UInt64(state.callbackSerial)
            state.enqueue(header, payload, connection: nil)
            state.checkQuota()
            return header.messageID
        }
    }

    // MARK: A server's questions

    /// The server asks its client and waits; the answer comes through the queue, reserved for this thread.
    private func ask(_ message: borrowing OutgoingMessage, _ connection: Connection, capacity: Int, deadline: Deadline,
                     into delivery: inout Delivery) throws(NTStatus) -> ReceiveOutcome {
        let id = try sendReserved(message).id
        return try awaitAnswer(id, connection, capacity: capacity, deadline: deadline, into: &delivery)
    }

    /// Sends a request whose answer comes through the queue, reserved for this thread.
    func sendReserved(_ message: borrowing OutgoingMessage) throws(NTStatus) -> (id: UInt32, connection: Connection) {
        let reserve = message.reserve
        let connection = try route(message.header.totalLength, reserve: reserve).takeUnretainedValue()
        guard !isServerPort || connection.peerFlags & PortTraits.allowRequests != 0 else { throw .lpcRequestsNotAllowed }
        var header = message.header
        let context = message.messageContext
        header.messageID = try queues.lock.withLock { (state) throws(NTStatus) -> UInt32 in
            let id = try state.newID(connection, isServer: isServerPort)
            try state.addAway(id, connection, reserved: true, context: context, reserve: reserve)
            return id
        }
        var frame = ntlpc_frame()
        frame.kind = FrameKind.message
        frame.flags = (message.isLegacy ? FrameFlags.legacy : 0) | (reserve != nil ? FrameFlags.reserved : 0)
        frame.connection = connection.number
        frame.slot = WireLayout.noSlot
        fill(&frame, header)
        let outcome: SendOutcome
        do throws(NTStatus) {
            outcome = try send(message, &frame, connection)
        } catch {
            queues.change { $0.forget(header.messageID, connection) }
            throw error
        }
        guard case .sent = outcome else {
            let status = unsent(connection.core, hasReserve: reserve != nil)
            queues.change { $0.forget(header.messageID, connection) }
            throw status
        }
        return (header.messageID, connection)
    }

    /// Waits for the answer to a message that this side sent with a reserved record.
    func awaitAnswer(_ id: UInt32, _ connection: Connection, capacity: Int, deadline: Deadline, into delivery: inout Delivery) throws(NTStatus) -> ReceiveOutcome {
        let outcome = queues.receive(ReceiveFilter(connection: connection, answerTo: id), stateLock, capacity: capacity, deadline: deadline, into: &delivery)
        switch outcome {
        case .message where delivery.header.type & 0xFF == HeaderType.cancelled:
            ALPCPort.finish(&delivery)
            throw .messageLost
        case .timedOut:
            queues.change { $0.forget(id, connection) }
            Self.sendCancel(connection, id, 0)
            return .timedOut
        case .closed: throw .portClosed
        case .disconnected, .refused: throw .messageLost
        case .message, .tooShort, .listed, .alerted: return outcome
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
            if connection.entry.table.find(id) == nil && (isServer || expected[id] == nil) { return id }
        }
        throw .insufficientResources
    }

    /// Notes a message that the other side will answer.
    mutating func addAway(_ id: UInt32, _ connection: Connection, reserved: Bool = false, context: UInt64 = 0,
                          reserve: Unmanaged<ReserveUse>? = nil) throws(NTStatus) {
        let record = pool.make()
        record.pointee.header.messageID = id
        record.pointee.connection = connection
        record.pointee.state = .away
        record.pointee.isReserved = reserved
        record.pointee.messageContext = context
        record.pointee.keep(reserve)
        guard enlist(record, connection.entry) else {
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
