// Answers: a reply to a message that was received, the last one or one that keeps the message alive.

import CLinuxShims
import CWireFormat
import LinuxSystem
import NTObjects
import NTTypes
import Transport

extension ALPCPort {
    /// Where an answer goes.
    private struct Route {
        let connection: Connection
        let slot: UInt32
        let turn: UInt32
    }

    /// Answers the message that `message.header` names.
    ///
    /// With `release` the message ends; without, the other side may answer again. The connection port and the communication port
    /// both serve ([W] OVMM uses both). The id decides; a callback id that is not 0 must match ([W] CSK, OVMM).
    /// - Throws: `invalidMessage` (unknown or finished), `accessDenied` (another port's), `requestCanceled` (its sender gave up; once),
    ///   `portMessageTooLong`, `portDisconnected`.
    public func answer(_ message: borrowing OutgoingMessage, release: Bool) throws(NTStatus) {
        let route = try take(message, release: release, reserved: false)
        try deliver(message, route, release: release, waitsFor: nil)
    }

    /// Answers without release and waits for the answer to that: a question inside a request, or the next hop.
    public func answerAndWait(_ message: borrowing OutgoingMessage, capacity: Int, deadline: Deadline, into delivery: inout Delivery) throws(NTStatus) -> ReceiveOutcome {
        if case .client(let connection, _) = role {
            let route = try take(message, release: true, reserved: false)
            _ = route
            var frame = ntlpc_frame()
            frame.kind = FrameKind.answer
            frame.flags = FrameFlags.sync | (message.isLegacy ? FrameFlags.legacy : 0)
            return try exchange(&frame, message, id: message.header.messageID, connection, capacity: capacity, deadline: deadline, into: &delivery)
        }
        let id = message.header.messageID
        let route = try take(message, release: false, reserved: true)
        try deliver(message, route, release: false, waitsFor: id)
        return try awaitAnswer(id, route.connection, capacity: capacity, deadline: deadline, into: &delivery)
    }

    /// Finds the message and takes the right to answer it.
    @inline(__always)
    private func take(_ message: borrowing OutgoingMessage, release: Bool, reserved: Bool) throws(NTStatus) -> Route {
        let id = message.header.messageID
        let callback = UInt32(truncatingIfNeeded: message.header.callbackID)
        let mine = connection
        let total = UInt32(message.header.totalLength)
        let limit = traits.maxMessageLength
        return try queues.lock.withLock { (state) throws(NTStatus) -> Route in
            let record = try state.find(id)
            guard let connection = record.pointee.connection else { throw .invalidMessage }
            guard mine == nil || mine === connection else { throw .accessDenied }
            switch record.pointee.state {
            case .held: break
            case .cancelled:
                state.discard(record)
                throw .requestCanceled
            case .queued, .away: throw .invalidMessage
            }
            guard callback == 0 || UInt64(callback) == record.pointee.header.callbackID else { throw .invalidMessage }
            guard !record.pointee.isConnectionRequest else { throw .invalidMessage }
            guard total <= min(limit, connection.peerLimit) else { throw .portMessageTooLong }
            let route = Route(connection: connection, slot: record.pointee.slot, turn: record.pointee.turn)
            if release {
                connection.entry.table.remove(record)
                state.expected.removeValue(forKey: id)
                state.pool.release(record)
            } else {
                record.pointee.state = .away
                record.pointee.slot = WireLayout.noSlot
                record.pointee.isReserved = reserved
            }
            return route
        }
    }

    @inline(__always)
    private func deliver(_ message: borrowing OutgoingMessage, _ route: Route, release: Bool, waitsFor: UInt32?) throws(NTStatus) {
        let me = Host.clientID()
        var header = message.header
        header.clientProcess = me.process
        header.clientThread = me.thread
        let flags = (release ? FrameFlags.release : 0) | (message.isLegacy ? FrameFlags.legacy : 0)
        if route.slot != WireLayout.noSlot {
            var reply = ntlpc_reply()
            reply.kind = FrameKind.answer
            reply.flags = flags
            reply.length = UInt32(header.dataLength)
            reply.connection = route.connection.number
            reply.header = unsafeBitCast(header, to: type(of: reply.header))
            route.connection.link.replies.publish(&reply, payload: message.payload, slot: route.slot, turn: route.turn)
            return
        }
        var frame = ntlpc_frame()
        frame.kind = FrameKind.answer
        frame.flags = flags
        frame.length = UInt32(header.dataLength)
        frame.connection = route.connection.number
        frame.slot = WireLayout.noSlot
        frame.header = unsafeBitCast(header, to: type(of: frame.header))
        switch route.connection.link.send(&frame, payload: message.payload) {
        case .sent: return
        case .dead: throw .portDisconnected
        case .full: throw .insufficientResources
        }
    }

    /// Takes the next message for this port; `capacity` counts the whole message.
    @inline(__always)
    public func receive(capacity: Int, deadline: Deadline, into delivery: inout Delivery) -> ReceiveOutcome {
        queues.receive(filter, capacity: capacity, deadline: deadline, into: &delivery)
    }

    /// The receiver's memory was not there: the message is queued again.
    public func putBack(_ delivery: inout Delivery) {
        var taken = delivery
        queues.change { $0.putBack(&taken) }
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
        if let owned = delivery.owned {
            StagingMemory.free(owned)
            delivery.owned = nil
        }
    }
}

extension QueueState {
    /// The live message with that id.
    @inline(__always)
    func find(_ id: UInt32) throws(NTStatus) -> MessagePointer {
        let number = isServer ? Int(MessageID.link(of: id)) : 0
        guard MessageID.isWellFormed(id), number < entries.count, let entry = entries[number], entry.link.number == MessageID.link(of: id),
              let record = entry.table.find(id) else { throw .invalidMessage }
        return record
    }
}
