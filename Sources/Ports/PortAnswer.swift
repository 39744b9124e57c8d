// Answers: a reply to a message that was received, the last one or one that keeps the message alive.

import CLinuxShims
import CWireFormat
import LinuxSystem
import NTObjects
import NTTypes
import Transport

extension ALPCPort {
    /// Where an answer goes. The link is retained: nothing else keeps it once the message is gone.
    private struct Route {
        let connection: Unmanaged<Connection>
        let core: LinkPointer
        let number: UInt32
        let slot: UInt32
        let turn: UInt32
        /// Of the hop that the answer starts.
        let callback: UInt64
        /// Retained: the hold on the message's reserve, when the record is gone.
        let reserve: Unmanaged<ReserveUse>?
        /// Nobody hears the answer: it only ends a message that was kept for its attachments.
        let isSilent: Bool
    }

    /// Answers the message that `message.header` names.
    ///
    /// With `release` the message ends; without, the other side may answer again. The connection port and the communication port
    /// both serve ([W] OVMM uses both). The id decides; a callback id that is not 0 must match ([W] CSK, OVMM).
    /// - Throws: `invalidMessage` (unknown or finished), `accessDenied` (another port's), `requestCanceled` (its sender gave up; once),
    ///   `portMessageTooLong`, `portDisconnected`.
    @inline(__always)
    public func answer(_ message: borrowing OutgoingMessage, release: Bool) throws(NTStatus) {
        let route = try take(message, release: release, reserved: false)
        defer {
            if release && !isServerPort && reference != nil { endNumber(message.header.messageID) }
            finish(route)
        }
        if route.isSilent { return }
        do throws(NTStatus) {
            try deliver(message, route, release: release)
        } catch {
            if !release { forget(message.header.messageID, route) }
            throw error
        }
    }

    @inline(__always)
    private func finish(_ route: Route) {
        if let reserve = route.reserve { reserve.release() }
        route.connection.release()
    }

    /// The hop that could not be delivered: the message has ended.
    @inline(never)
    private func forget(_ id: UInt32, _ route: Route) {
        let connection = route.connection.takeUnretainedValue()
        queues.change { state in
            if let record = connection.entry.table.find(id), record.pointee.state == .away, record.pointee.connection === connection { state.discard(record) }
        }
    }

    /// A client ends a message that had outlived its call.
    @inline(never)
    private func endNumber(_ id: UInt32) { core?.pointee.slots.freeNumber(MessageID.number(of: id)) }

    /// Answers without release and waits for the answer to that: a question inside a request, or the next hop.
    public func answerAndWait(_ message: borrowing OutgoingMessage, capacity: Int, deadline: Deadline, into delivery: inout Delivery) throws(NTStatus) -> ReceiveOutcome {
        let id = message.header.messageID
        let isClient = if case .client = role { true } else { false }
        let route = try take(message, release: isClient, reserved: !isClient)
        defer { finish(route) }
        guard !route.isSilent else { throw .invalidMessage }
        if isClient {
            var frame = ntlpc_frame()
            frame.kind = FrameKind.answer
            frame.flags = FrameFlags.sync | (message.isLegacy ? FrameFlags.legacy : 0) | (message.isCallback ? FrameFlags.callback : 0)
            var hop = OutgoingMessage(header: message.header, payload: message.payload)
            hop.messageContext = message.messageContext
            hop.isLegacy = message.isLegacy
            hop.reserve = route.reserve
            return try exchange(&frame, hop, id: id, route.connection, capacity: capacity, deadline: deadline, into: &delivery)
        }
        do throws(NTStatus) {
            try deliver(message, route, release: false)
        } catch {
            forget(id, route)
            throw error
        }
        return try awaitAnswer(id, route.connection.takeUnretainedValue(), capacity: capacity, deadline: deadline, into: &delivery)
    }

    /// Answers without release; the answer to that is reserved for this thread. The connection is retained.
    func answerReserved(_ message: borrowing OutgoingMessage) throws(NTStatus) -> Unmanaged<Connection> {
        let route = try take(message, release: false, reserved: true)
        do throws(NTStatus) {
            try deliver(message, route, release: false)
        } catch {
            route.connection.release()
            throw error
        }
        return route.connection
    }

    /// Finds the message and takes the right to answer it.
    @inline(__always)
    private func take(_ message: borrowing OutgoingMessage, release: Bool, reserved: Bool) throws(NTStatus) -> Route {
        let header = message.header, context = message.messageContext
        let outcome: Result<Route, NTStatus> = stateLock._withUnsafeGuaranteedRef { lock in
            lock.withLock { state in
                do throws(NTStatus) {
                    return .success(try claim(&state, header, context, release: release, reserved: reserved))
                } catch {
                    return .failure(error)
                }
            }
        }
        if case .success(let route) = outcome { return route }
        throw untaken(outcome, header.messageID)
    }

    @inline(never)
    private func untaken(_ outcome: Result<Route, NTStatus>, _ id: UInt32) -> NTStatus {
        guard case .failure(let status) = outcome else { return .invalidMessage }
        return status == .invalidMessage && isForeign(id) ? .accessDenied : status
    }

    @inline(__always)
    private func claim(_ state: inout QueueState, _ header: MessageHeader, _ context: UInt64, release: Bool, reserved: Bool) throws(NTStatus) -> Route {
        let record = try state.find(header.messageID)
        let callback = UInt32(truncatingIfNeeded: header.callbackID)
        let type = record.pointee.header.type & 0xFF
        guard record.pointee.state == .held, type <= HeaderType.datagram,
              callback == 0 || UInt64(callback) == record.pointee.header.callbackID else { throw state.unanswerable(record) }
        guard let connection = record.pointee.reference else { throw .invalidMessage }
        guard reference == nil || reference.unsafelyUnwrapped.toOpaque() == connection.toOpaque() else { throw .accessDenied }
        guard UInt32(header.totalLength) <= min(limit, connection._withUnsafeGuaranteedRef { $0.peerLimit }) else { throw .portMessageTooLong }
        if !release { state.callbackSerial &+= 1 }
        let isSilent = record.pointee.isOneWay
        let route = Route(connection: connection, core: connection._withUnsafeGuaranteedRef { $0.core },
                          number: connection._withUnsafeGuaranteedRef { $0.number }, slot: record.pointee.slot, turn: record.pointee.turn,
                          callback: release ? header.callbackID : UInt64(state.callbackSerial),
                          reserve: release ? record.pointee.surrenderReserve() : nil, isSilent: isSilent)
        if release || isSilent {
            // The record's own reference becomes the route's.
            state.unlist(record)
            _ = record.pointee.surrender()
            state.end(record)
        } else {
            _ = connection.retain()
            record.pointee.state = .away
            if context != 0 { record.pointee.messageContext = context }
            record.pointee.slot = WireLayout.noSlot
            record.pointee.isReserved = reserved
        }
        return route
    }

    @inline(__always)
    private func deliver(_ message: borrowing OutgoingMessage, _ route: Route, release: Bool) throws(NTStatus) {
        let me = Host.clientID()
        var header = message.header
        header.clientProcess = me.process
        header.clientThread = me.thread
        header.callbackID = route.callback
        let flags = (release ? FrameFlags.release : 0) | (message.isLegacy ? FrameFlags.legacy : 0) | (message.isCallback ? FrameFlags.callback : 0)
        if message.attached != nil || route.isSilent { return try deliverAttached(message, header, flags, route) }
        if route.slot != WireLayout.noSlot {
            var reply = ntlpc_reply()
            reply.kind = FrameKind.answer
            reply.flags = flags
            reply.length = UInt32(header.dataLength)
            reply.set(header)
            // A caller that gave up says so in its slot before its cancellation arrives here.
            guard route.core.pointee.replies.publish(&reply, payload: message.payload, slot: route.slot, turn: route.turn) else { throw .requestCanceled }
            return
        }
        try send(header, message.payload, flags, route)
    }

    /// An answer with attachments, or one that only ends a message.
    @inline(never)
    private func deliverAttached(_ message: borrowing OutgoingMessage, _ header: MessageHeader, _ flags: UInt16, _ route: Route) throws(NTStatus) {
        if route.isSilent { return }
        guard let attached = message.attached?.takeUnretainedValue() else { return }
        let entry = route.connection.takeUnretainedValue().entry
        if route.slot == WireLayout.noSlot {
            var frame = ntlpc_frame()
            frame.kind = FrameKind.answer
            frame.flags = flags
            frame.length = UInt32(header.dataLength)
            frame.connection = route.number
            frame.slot = WireLayout.noSlot
            frame.set(header)
            switch try ALPCPort.send(attached, &frame, message.payload, entry) {
            case .sent: return
            case .dead: throw .portDisconnected
            case .full: throw .insufficientResources
            }
        }
        var head = try attached.pack(entry)
        var reply = ntlpc_reply()
        reply.kind = FrameKind.answer
        reply.flags = flags | FrameFlags.attached
        reply.set(header)
        let bytes = withUnsafeBytes(of: &head) { Array($0) } + UnsafeRawBufferPointer(start: message.payload, count: message.count)
        reply.length = UInt32(bytes.count)
        let taken = bytes.withUnsafeBytes { entry.link.replies.publish(&reply, payload: $0.baseAddress, slot: route.slot, turn: route.turn) }
        guard taken else {
            attached.takeBack(entry)
            throw .requestCanceled
        }
        attached.commit()
    }

    /// An answer that nobody waits for in a slot goes through the ring.
    @inline(never)
    private func send(_ header: MessageHeader, _ payload: UnsafeRawPointer?, _ flags: UInt16, _ route: Route) throws(NTStatus) {
        var frame = ntlpc_frame()
        frame.kind = FrameKind.answer
        frame.flags = flags
        frame.length = UInt32(header.dataLength)
        frame.connection = route.number
        frame.slot = WireLayout.noSlot
        frame.set(header)
        switch route.connection.takeUnretainedValue().link.send(&frame, payload: payload) {
        case .sent: return
        case .dead: throw .portDisconnected
        case .full: throw .insufficientResources
        }
    }

    /// Takes the next message for this port; `capacity` counts the whole message.
    @inline(__always)
    public func receive(capacity: Int, deadline: Deadline, into delivery: inout Delivery) -> ReceiveOutcome {
        queuesReference._withUnsafeGuaranteedRef { $0.receive(filter, stateLock, capacity: capacity, deadline: deadline, into: &delivery) }
    }

    /// The receiver's memory was not there: the message is queued again.
    public func putBack(_ delivery: inout Delivery) {
        var taken = delivery
        // A reply out of a slot came to one port and to nobody else: it waits there.
        if taken.slot >= 0 && taken.record == nil, let connection { taken.retained = Unmanaged.passRetained(connection) }
        queues.change { $0.putBack(&taken) }
        ALPCPort.finish(&taken)
        delivery = taken
    }

    /// The receiver does not want the message: it ends without an answer, and a sender that waits learns it.
    public func discard(_ delivery: inout Delivery) {
        ALPCPort.finish(&delivery)
        guard let record = delivery.record else { return }
        let id = delivery.header.messageID
        queues.change { state in
            guard record.pointee.isListed, record.pointee.header.messageID == id, record.pointee.state == .held else { return }
            state.answerSlot(of: record, record.pointee.isLegacy ? .lpcReplyLost : .messageLost)
            state.discard(record)
        }
        delivery.record = nil
    }

    /// Ends a delivery whose message reached its receiver.
    @inline(__always)
    public static func finish(_ delivery: inout Delivery) {
        if delivery.slot >= 0, let core = delivery.core {
            core.pointee.slots.giveBack(delivery.slot)
            delivery.slot = -1
        }
        if let owned = delivery.owned {
            StagingMemory.free(owned)
            delivery.owned = nil
        }
        if let retained = delivery.retained {
            retained.release()
            delivery.retained = nil
        }
        if let attachments = delivery.attachments {
            attachments.release()
            delivery.attachments = nil
        }
    }
}

extension QueueState {
    /// The message, already out of its table, got its last answer.
    @inline(__always)
    mutating func end(_ record: MessagePointer) {
        if !isServer { expected.removeValue(forKey: record.pointee.header.messageID) }
        pool.release(record)
    }

    /// Why a message cannot be answered. One that its sender gave up says so once.
    mutating func unanswerable(_ record: MessagePointer) -> NTStatus {
        guard record.pointee.state == .cancelled else { return .invalidMessage }
        discard(record)
        return .requestCanceled
    }

    /// The live message with that id.
    @inline(__always)
    func find(_ id: UInt32) throws(NTStatus) -> MessagePointer {
        let number = isServer ? Int(MessageID.link(of: id)) : 0
        guard MessageID.isWellFormed(id), number < entries.count, let entry = entries.reference(number) else { throw .invalidMessage }
        let found = entry._withUnsafeGuaranteedRef { entry -> MessagePointer? in
            entry.core.pointee.number == MessageID.link(of: id) ? entry.table.find(id) : nil
        }
        guard let found else { throw .invalidMessage }
        return found
    }
}
