// Telling others that messages are there: a completion port or a thread pool that a port is associated with.
//
// A packet says no more than "receive": one for each message that no thread was blocked for when it came ([W] OVMM, RLI-T). The
// association of a connection port covers its clients; a communication port may have one of its own, which then takes that
// connection's messages over ([I]).
//
// While anybody is to be told, no message is taken straight from a ring: all go through the main queue, and the watcher empties the
// rings when nobody receives. Each queued message has a notice: nobody knows of it, it is announced, or it is promised to a receiver
// that is blocked. The steps of a receiver that may sleep, and of a message that comes:
//
//   receiver                                           message
//   (1) under the lock: looks, finds nothing,          (A) under the lock: enters the main queue
//       arms the rings, counts itself as waiting       (B) in the same section: fewer promised than wait? it is promised
//   (2) sleeps                                             to one of them; otherwise a packet is due
//   (3) under the lock: takes a message, whose         (C) after the lock: packets are posted, receivers woken
//       promise ends with that; waits no more
//   (4) or gives up (time-out, APC, death): under the
//       lock: waits no more; promises that nobody is left for become packets
//
// (1) is one section: a message before it is found, one after it finds the receiver waiting. (3) and (4) are one section each, so
// at no moment is a message without a packet, a promise, or a thread that is about to look. A receiver may take a message that was
// announced before, and leave the packet over: NT's packets behave the same, whoever gets one receives until STATUS_TIMEOUT.

import CLinuxShims
import LinuxSystem
import NTObjects
import NTTypes
import Synchronization
import Transport

/// Who is told of messages.
public protocol MessageAnnouncer: AnyObject, Sendable {
    /// One message more can be received. Any thread, no lock held.
    func announce()
}

/// A completion port with the key of the association. In the packets all else is 0 ([W?] NW-T; section 17, point 23).
public final class CompletionAnnouncer: MessageAnnouncer {
    private let port: CompletionReference
    private let key: UInt64

    public init(_ port: CompletionReference, key: UInt64) {
        self.port = port
        self.key = key
    }

    public func announce() { port.post(key: key) }
}

extension ALPCPort {
    /// Associates the port, once for its life. What is queued already is announced ([W?] NW-T).
    ///
    /// A client port's packet also comes when the server is gone or refuses, so that its program looks ([I]).
    /// - Throws: `portAlreadySet` the second time ([W] RLI-T), `insufficientResources`, `portClosed` when it is being closed.
    public func associate(_ announcer: any MessageAnnouncer) throws(NTStatus) {
        try queues.beginPumping()
        do throws(NTStatus) {
            try queues.change { (state) throws(NTStatus) in
                guard !hasEnded else { throw .portClosed }
                guard !isAssociated else { throw .portAlreadySet }
                isAssociated = true
                if let connection { connection.announcer = announcer } else { state.announcer = announcer }
                state.announcers += 1
                state.announces = true
                state.announceEarlier(to: announcer)
            }
        } catch {
            queues.endPumping()
            throw error
        }
    }

    /// The last handle is closed: nobody is told any more.
    func endAnnouncing() {
        let dropped = queues.lock.withLock { state -> (announcer: (any MessageAnnouncer)?, list: CompletionList?) in
            hasEnded = true
            let list = isConnectionPort ? state.list : nil
            if list != nil { state.list = nil }
            var announcer: (any MessageAnnouncer)?
            if isAssociated {
                announcer = connection == nil ? state.announcer : connection?.announcer
                if let connection { connection.announcer = nil } else { state.announcer = nil }
                state.announcers -= 1
            }
            state.updateAnnouncing()
            return (announcer, list)
        }
        if let list = dropped.list {
            list.end()
            list.forget()
            queues.endPumping()
        }
        if dropped.announcer != nil { queues.endPumping() }
    }
}

extension QueueState {
    mutating func updateAnnouncing() { announces = announcers > 0 || list != nil }

    /// Who hears of the messages of `connection`.
    private func announcer(of connection: Unmanaged<Connection>?) -> (any MessageAnnouncer)? {
        connection?._withUnsafeGuaranteedRef { $0.announcer } ?? announcer
    }

    // MARK: Messages

    /// Steps (B) and (4): tells of new messages, and of those whose receivers have left.
    @inline(__always)
    mutating func announce() {
        guard announces else { return }
        if main.unannounced > 0 { announceNew() }
        if main.promised > waiting || main.promisedNarrowly > 0 { breakPromises() }
    }

    /// New messages are at the end, but for those that were put back.
    @inline(never)
    private mutating func announceNew() {
        var record = main.last
        var fresh: [MessagePointer] = []
        while let current = record, fresh.count < main.unannounced {
            if current.pointee.notice == .none { fresh.append(current) }
            record = current.pointee.previous
        }
        for record in fresh.reversed() { tell(record) }
    }

    private mutating func tell(_ record: MessagePointer) {
        guard !record.pointee.isReserved else { return main.note(.announced, of: record) }
        if let list, !list.isEnded {
            aftermath.feeds = true
            return main.note(.announced, of: record)
        }
        let connection = record.pointee.reference
        guard let announcer = announcer(of: connection) else { return main.note(.announced, of: record) }
        if let connection, connection._withUnsafeGuaranteedRef({ $0.promised < $0.waiting }) {
            main.note(.promisedNarrowly, of: record)
        } else if main.promised < waiting {
            main.note(.promised, of: record)
        } else {
            main.note(.announced, of: record)
            aftermath.packets.append(announcer)
        }
    }

    /// A receiver that was to take a message has left without it.
    @inline(never)
    private mutating func breakPromises() {
        var record = main.first
        while let current = record, main.promised > 0 || main.promisedNarrowly > 0 {
            record = current.pointee.next
            switch current.pointee.notice {
            case .promised where main.promised > waiting: tell(current)
            case .promisedNarrowly where current.pointee.reference?._withUnsafeGuaranteedRef({ $0.promised > $0.waiting }) ?? true: tell(current)
            case .none, .announced, .promised, .promisedNarrowly: continue
            }
        }
    }

    /// What was queued when nobody, or somebody else, was to be told. Messages without a notice get theirs as always.
    mutating func announceEarlier(to new: any MessageAnnouncer) {
        guard list == nil else { return }
        var record = main.first
        while let current = record {
            record = current.pointee.next
            guard current.pointee.notice == .announced, !current.pointee.isReserved, announcer(of: current.pointee.reference) === new else { continue }
            aftermath.packets.append(new)
        }
    }

    /// Nobody has been told of anything: a completion list has come or gone.
    mutating func forgetNotices() {
        var record = main.first
        while let current = record {
            record = current.pointee.next
            if current.pointee.notice != .none { main.note(.none, of: current) }
        }
    }

    /// A client port has lost its server: its program must look.
    mutating func announceEnd(of connection: Connection) {
        if let announcer = connection.announcer, connection.waiting == 0 { aftermath.packets.append(announcer) }
    }

    // MARK: Receivers

    /// Step (1). The thread's record says so too, for the case that it ends in its wait.
    mutating func beginWaiting(_ filter: ReceiveFilter, in queues: PortQueues) {
        let thread = ntlpc_thread_current()
        if thread.pointee.registered == 0 { ntlpc_thread_register() }
        thread.pointee.waiting_in = Unmanaged.passUnretained(queues).toOpaque()
        thread.pointee.waiting_asleep = filter.answerTo != 0 ? NTLPC_ASLEEP_FOR_ANSWER : 0
        guard filter.answerTo == 0 else { return }
        if let only = filter.only { only._withUnsafeGuaranteedRef { $0.waiting += 1 } } else { waiting += 1 }
        thread.pointee.waiting_for = filter.only?.toOpaque()
    }

    mutating func endWaiting(_ filter: ReceiveFilter) {
        ntlpc_thread_current().pointee.waiting_in = nil
        guard filter.answerTo == 0 else { return }
        if let only = filter.only { only._withUnsafeGuaranteedRef { $0.waiting -= 1 } } else { waiting -= 1 }
    }

    /// Step (3): takes what is there; who got something waits no more.
    mutating func wakeUp(_ filter: ReceiveFilter, capacity: Int, staging: UnsafeMutableRawPointer, _ isWaiting: inout Bool,
                         into delivery: inout Delivery) -> TakeOutcome {
        let outcome = takeNext(filter, capacity: capacity, staging: staging, into: &delivery)
        if case .timedOut = outcome.result { return outcome }
        endWaiting(filter)
        isWaiting = false
        return outcome
    }
}

extension PortQueues {
    /// Step (4) for a thread that ended in its wait. Its call's references are lost with its stack, so the queues are alive.
    static func forgetWaiter(_ thread: UnsafeMutablePointer<ntlpc_thread>) {
        guard let found = thread.pointee.waiting_in else { return }
        let queues = Unmanaged<PortQueues>.fromOpaque(found).takeUnretainedValue()
        queues.change { state in
            if thread.pointee.waiting_asleep & NTLPC_ASLEEP_IN_EPOLL != 0 {
                state.epollSleepers -= 1
                if thread.pointee.waiting_asleep & NTLPC_ASLEEP_FOR_ANY != 0 { state.broadSleepers -= 1 }
            }
            state.parked.removeAll { $0.thread == thread }
            if thread.pointee.waiting_asleep & NTLPC_ASLEEP_FOR_ANSWER != 0 {
                return
            } else if let connection = thread.pointee.waiting_for {
                Unmanaged<Connection>.fromOpaque(connection)._withUnsafeGuaranteedRef { $0.waiting -= 1 }
            } else {
                state.waiting -= 1
            }
        }
        thread.pointee.waiting_in = nil
        thread.pointee.waiting_asleep = 0
        // It may have taken a bell's event with it.
        queues.pump()
    }
}
