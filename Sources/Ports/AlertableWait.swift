// Waits that an APC may end (ALPC_MSGFLG_WAIT_ALERTABLE).
//
// Only the host knows APCs, so the thread sleeps in the host, on a handle of its own; the watcher empties the rings meanwhile, and
// whoever finds the thread's message signals the handle. A synchronous request goes out as one whose answer comes through the queue,
// reserved for its caller. When an APC ends the wait, the message stays in flight: its answer is then received like that of an
// asynchronous request (section 17, point 24). A host without such waits knows no APCs either: the wait is an ordinary one.

import CLinuxShims
import CWireFormat
import LinuxSystem
import NTObjects
import NTTypes
import Transport

extension ALPCPort {
    /// `receive` with a wait that an APC may end: `.alerted`.
    public func receiveAlertably(capacity: Int, deadline: Deadline, into delivery: inout Delivery) throws(NTStatus) -> ReceiveOutcome {
        guard Host.canWaitForHandles else { return receive(capacity: capacity, deadline: deadline, into: &delivery) }
        return try queues.receiveAlertably(filter, capacity: capacity, deadline: deadline, into: &delivery)
    }

    /// `request` likewise.
    public func requestAlertably(_ message: borrowing OutgoingMessage, capacity: Int, deadline: Deadline, into delivery: inout Delivery) throws(NTStatus) -> ReceiveOutcome {
        guard Host.canWaitForHandles else { return try request(message, capacity: capacity, deadline: deadline, into: &delivery) }
        let (id, connection) = try sendReserved(message)
        return try awaitAlertably(id, connection, capacity: capacity, deadline: deadline, into: &delivery)
    }

    /// `answerAndWait` likewise.
    public func answerAndWaitAlertably(_ message: borrowing OutgoingMessage, capacity: Int, deadline: Deadline, into delivery: inout Delivery) throws(NTStatus) -> ReceiveOutcome {
        guard Host.canWaitForHandles else { return try answerAndWait(message, capacity: capacity, deadline: deadline, into: &delivery) }
        let connection = try answerReserved(message)
        defer { connection.release() }
        return try awaitAlertably(message.header.messageID, connection.takeUnretainedValue(), capacity: capacity, deadline: deadline, into: &delivery)
    }

    /// Waits for the answer to a message whose record is reserved. The thread's record names the call, as for a wait in a slot.
    private func awaitAlertably(_ id: UInt32, _ connection: Connection, capacity: Int, deadline: Deadline, into delivery: inout Delivery) throws(NTStatus) -> ReceiveOutcome {
        let thread = ntlpc_thread_current()
        if isClientPort {
            thread.pointee.call_slot = WireLayout.noSlot
            thread.pointee.call_id = id
            thread.pointee.call_connection = connection.number
            ntlpc_thread_set_call(thread, Unmanaged.passUnretained(connection).toOpaque())
        }
        defer { ntlpc_thread_set_call(thread, nil) }
        let outcome: ReceiveOutcome
        do throws(NTStatus) {
            outcome = try queues.receiveAlertably(ReceiveFilter(connection: connection, answerTo: id), capacity: capacity, deadline: deadline, into: &delivery)
        } catch {
            abandon(id, connection)
            throw error
        }
        switch outcome {
        case .message where delivery.header.type & 0xFF == HeaderType.cancelled:
            ALPCPort.finish(&delivery)
            throw .messageLost
        case .timedOut:
            abandon(id, connection)
            return .timedOut
        case .alerted:
            queues.change { $0.unreserve(id, connection) }
            return .alerted
        case .tooShort:
            queues.change { $0.unreserve(id, connection) }
            return outcome
        case .closed: throw .portClosed
        case .disconnected, .refused: throw .messageLost
        case .message, .listed: return outcome
        }
    }

    /// Gives a message up whose answer nobody will take.
    private func abandon(_ id: UInt32, _ connection: Connection) {
        queues.change { $0.forget(id, connection) }
        if isClientPort { ALPCPort.giveUp(connection.link, connection: connection.number, id: id, reason: 0) }
    }
}

extension PortQueues {
    /// `receive` with a sleep in the host. The steps are those of CompletionAssociation.swift: (1) looks and counts itself, (2) sleeps in
    /// the host, (3) takes, (4) leaves.
    fileprivate func receiveAlertably(_ filter: ReceiveFilter, capacity: Int, deadline: Deadline, into delivery: inout Delivery) throws(NTStatus) -> ReceiveOutcome {
        let staging = StagingMemory.ofThread()
        let first = try lookOnce(filter, capacity: capacity, staging: staging, into: &delivery)
        if let first { return first }
        if deadline.isPoll || deadline.hasPassed { return .timedOut }
        let handle = try WaitingHandle()
        defer { handle.close() }
        try beginPumping()
        defer { endPumping() }
        var isWaiting = false
        defer { if isWaiting { leave(filter) } }
        let parked = ParkedReceiver(filter, handle: handle)
        while true {
            handle.reset()
            let mustLook = parkAlertably(parked, &isWaiting)
            var ended = NTStatus.success
            if !mustLook && !(hasList.load(ordering: .relaxed) && filter.answerTo == 0 && listHasMessages) {
                do throws(NTStatus) { ended = try handle.wait(deadline: deadline) } catch { ended = error }
            }
            var isClean = true
            let outcome = lock.withLock { state -> ReceiveOutcome in
                state.parked.removeAll { $0 === parked }
                let taken = state.wakeUp(filter, capacity: capacity, staging: staging, &isWaiting, into: &delivery)
                isClean = taken.isClean
                return taken.result
            }
            if !isClean { leave(nil) }
            guard case .timedOut = outcome else { return outcome }
            if hasList.load(ordering: .relaxed), let listed = lookIntoList(filter, capacity: capacity, into: &delivery) { return listed }
            if ended == .userApc || ended == .alerted { return .alerted }
            if ended == .timeout || deadline.hasPassed { return .timedOut }
            if !ended.isSuccess { throw ended }
        }
    }

    /// A look without waiting; nil when nothing is there.
    private func lookOnce(_ filter: ReceiveFilter, capacity: Int, staging: UnsafeMutableRawPointer, into delivery: inout Delivery) throws(NTStatus) -> ReceiveOutcome? {
        let outcome = receive(filter, Unmanaged.passUnretained(lock), capacity: capacity, deadline: .immediate, into: &delivery)
        if case .timedOut = outcome { return nil }
        return outcome
    }

    /// Step (1); true when there is something to take instead.
    private func parkAlertably(_ parked: ParkedReceiver, _ isWaiting: inout Bool) -> Bool {
        var after = Aftermath()
        let mustLook = lock.withLock { state -> Bool in
            defer {
                state.announce()
                after = state.takeAftermath()
            }
            _ = state.listen()
            if state.mustLook(parked.filter) { return true }
            if !isWaiting {
                state.beginWaiting(parked.filter, in: self)
                isWaiting = true
            }
            state.parked.append(parked)
            return false
        }
        perform(after)
        return mustLook
    }
}

extension QueueState {
    /// Nobody waits for the answer any more: whoever receives takes it.
    mutating func unreserve(_ id: UInt32, _ connection: Connection) {
        guard let record = connection.entry.table.find(id) ?? main.first(where: { $0.pointee.header.messageID == id && $0.pointee.isReserved }) else { return }
        record.pointee.isReserved = false
        guard record.pointee.state == .queued else { return }
        // It may have come in the meantime: now it is news.
        main.remove(record)
        main.append(record)
    }
}
