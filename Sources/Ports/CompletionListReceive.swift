// Receiving from a port that has a completion list: the messages are in the list, and the receiver is told so. What the list does
// not take is received as from any port.

import CLinuxShims
import LinuxSystem
import NTTypes
import Synchronization
import Transport

extension PortQueues {
    /// What a receiver hears that found nothing else: `.listed`, or a message that the list leaves to it. Nil: nothing.
    @inline(never)
    func lookIntoList(_ filter: ReceiveFilter, capacity: Int, into delivery: inout Delivery) -> ReceiveOutcome? {
        guard filter.answerTo == 0, let list = lock.withLock({ $0.list }) else { return nil }
        list.feed(from: self)
        list.awaitFeeder()
        if list.region.hasMessages { return .listed }
        list.foundEmpty(self)
        return lock.withLock { $0.takeUnlisted(filter, list, capacity: capacity, into: &delivery) }
    }

    var listHasMessages: Bool { lock.withLock({ $0.list })?.region.hasMessages ?? false }
}

extension CompletionList {
    /// The message is not for the list: that takes nothing more, or could never hold it.
    func leaves(_ record: MessagePointer) -> Bool { isEnded || isTooSmall(for: record.pointee.header.totalLength) }
}

extension QueueState {
    /// The next message for the list.
    func firstForList() -> MessagePointer? { main.first { !$0.pointee.isReserved } }

    /// Takes it, if it is at most `largest` bytes long.
    mutating func takeForList(_ delivery: inout Delivery, largest: UInt16) -> Bool {
        guard !isClosed, let record = firstForList(), record.pointee.header.totalLength <= largest else { return false }
        main.remove(record)
        checkQuota()
        deliver(record, into: &delivery)
        return true
    }

    mutating func takeUnlisted(_ filter: ReceiveFilter, _ list: CompletionList, capacity: Int, into delivery: inout Delivery) -> ReceiveOutcome? {
        guard !isClosed, let record = main.first(where: filter.takes), list.leaves(record) else { return nil }
        let total = Int(record.pointee.header.totalLength)
        if total > capacity { return .tooShort(total) }
        main.remove(record)
        checkQuota()
        deliver(record, into: &delivery)
        // Those behind it may have room in the list.
        if !main.isEmpty { aftermath.feeds = true }
        return .message
    }

    /// Something came into the list: one who receives learns it.
    mutating func wakeForList() {
        if let waiter = parked.first(where: { $0.filter.answerTo == 0 }) { aftermath.wakes.append(waiter) }
        if epollSleepers > 0 { aftermath.nudge = true }
    }
}
