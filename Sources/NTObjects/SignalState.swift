// What a thread of the native host can wait on. The waits are in Wait.swift.
//
// One lock guards all states and waiters, as NT's dispatcher lock once did: a wait for all of several objects must take them in
// one step. It is held for a few instructions, never while a thread sleeps or is woken; calls into the kernel under it are those
// that look at a descriptor or take its signal without waiting.
//
//   wait                                             set
//   (1) under the lock: satisfied already? done      (1) under the lock: state := signaled
//   (2) else enter the queue of each state           (2) give it to waiters, oldest first, while it is signaled: each gets
//   (3) sleep on the waiter's own word                   its result and leaves all its queues
//   (4) time over: under the lock, result there?     (3) after the lock: wake them
//       take it; else leave the queues
//
// A state has one of three homes. Its own: a word of this process. A level: a count that somebody else keeps (the packets of a
// completion port). Outside: a descriptor of the kernel, because other processes change it too. An event moves outside when it is
// first handed to another process and stays there; see OutsideSignal.swift for how such states are waited for.

import CLinuxShims
import LinuxSystem
import NTTypes
import Synchronization

/// Shown by functions that need the lock of all waits. What the lock guards is spread over the states.
struct WaitState {
    /// Waits that are in queues.
    var waiting = 0
    /// Waits for states outside that no thread of their own sleeps for.
    var watch = OutsideWatch.State()
}

/// A count that signals while it is above zero.
final class SignalLevel: Sendable {
    let count = Atomic<Int>(0)
}

/// Who is to be woken after the lock.
struct WokenWaiters {
    /// Those whose wait has ended.
    var finished: [Waiter] = []
    /// Those who must look again, with what wakes them.
    var looking: [(waiter: Waiter, alarm: Descriptor?)] = []

    func wake() {
        for waiter in finished { waiter.wake() }
        for (waiter, alarm) in looking { waiter.wake(alarm) }
    }
}

/// One signal state: that of an event, a port, a completion port, a process.
public final class SignalState: @unchecked Sendable {
    /// How a satisfied wait changes the state.
    public enum Behaviour: Sendable {
        /// Stays signaled until it is reset; releases every waiter. NT: NotificationEvent.
        case notification
        /// Is reset by the one wait that it satisfies. NT: SynchronizationEvent.
        case synchronization
    }

    public let behaviour: Behaviour

    /// Changed under the lock of all waits. False for good once the state is outside.
    private let signaled: Atomic<Bool>
    private let level: SignalLevel?
    /// Set once, under the lock, before `isOutside`.
    private var outside: OutsideSignal?
    private let isOutside: Atomic<Bool>
    /// Who waits, oldest first. Guarded by the lock of all waits.
    private var queue: [Waiter] = []
    /// Whether the queue holds anybody, for those who raise the level.
    private let hasWaiters = Atomic<Bool>(false)

    public init(_ behaviour: Behaviour, signaled: Bool) {
        self.behaviour = behaviour
        self.signaled = Atomic(signaled)
        isOutside = Atomic(false)
        level = nil
    }

    /// A state that is signaled while `level` is above zero. Whoever raises it from zero calls `levelRaised`.
    init(level: SignalLevel) {
        behaviour = .notification
        signaled = Atomic(false)
        isOutside = Atomic(false)
        self.level = level
    }

    init(_ behaviour: Behaviour, outside: OutsideSignal) {
        self.behaviour = behaviour
        signaled = Atomic(false)
        isOutside = Atomic(true)
        level = nil
        self.outside = outside
    }

    /// A moment's truth, for queries.
    public var isSignaled: Bool {
        if let outside = moved { return outside.isSignaled }
        if let level { return level.count.load(ordering: .acquiring) > 0 }
        return signaled.load(ordering: .acquiring)
    }

    /// How many waits are in the queue at this moment; for people who debug.
    public var waiterCount: Int { ObjectContext.shared.waits.withLock { _ in queue.count } }

    /// Where the state has gone, if it has.
    private var moved: OutsideSignal? {
        // ORDER: acquire. Pairs with the release store in `share`; publishes `outside`.
        isOutside.load(ordering: .acquiring) ? outside : nil
    }

    /// Signals the state and returns whether it was signaled before.
    @discardableResult
    public func set() -> Bool {
        if let moved { return moved.set() }
        // A notification that is signaled already has no waiters to release.
        // ORDER: acquire and release through the lock in the other case; here the earlier setter's news are as good as ours.
        if behaviour == .notification, signaled.load(ordering: .acquiring) { return true }
        var woken = WokenWaiters()
        let before = ObjectContext.shared.waits.withLock { state -> Bool? in
            if outside != nil { return nil }
            let before = signaled.load(ordering: .relaxed)
            signaled.store(true, ordering: .releasing)
            woken = releaseWaitersLocked(&state)
            return before
        }
        guard let before else { return outside!.set() }
        woken.wake()
        return before
    }

    /// Takes the signal back and returns whether there was one.
    @discardableResult
    public func reset() -> Bool {
        if let moved { return moved.take() }
        if !signaled.load(ordering: .acquiring) { return false }
        let before = ObjectContext.shared.waits.withLock { _ -> Bool? in
            outside != nil ? nil : signaled.exchange(false, ordering: .acquiringAndReleasing)
        }
        return before ?? outside!.take()
    }

    /// The level has risen above zero: releases those who wait for it.
    ///
    /// Raiser and waiter each write first and look second: the raiser the level and then `hasWaiters`, the waiter `hasWaiters` and
    /// then the level. ORDER: sequentially consistent, all four, so at least one of them sees the other.
    func levelRaised() {
        guard hasWaiters.load(ordering: .sequentiallyConsistent) else { return }
        ObjectContext.shared.waits.withLock { state in releaseWaitersLocked(&state) }.wake()
    }

    /// Moves the state into a descriptor that other processes can have, and returns it. The state does not change by that.
    /// - Throws: `insufficientResources`.
    func share() throws(NTStatus) -> Descriptor {
        if let found = moved?.descriptor { return found }
        let new: Descriptor
        do throws(Errno) {
            new = try SharedEvent.make(takenByWait: behaviour == .synchronization, signaled: false)
        } catch {
            throw NTStatus(error)
        }
        var sleepers = WokenWaiters()
        let shared = try ObjectContext.shared.waits.withLock { state throws(NTStatus) -> Descriptor? in
            if let outside { return outside.descriptor }
            if queue.contains(where: \.isUnattended) { try OutsideWatch.ensureRunningLocked(&state) }
            if signaled.exchange(false, ordering: .relaxed) { _ = SharedEvent.put(new) }
            outside = SharedEventSignal(new)
            // ORDER: release. Pairs with the acquire load in `moved`.
            isOutside.store(true, ordering: .releasing)
            for waiter in queue where !waiter.isFinished { sleepers.looking.append((waiter, waiter.lookAgainLocked(&state))) }
            return new
        }
        sleepers.wake()
        guard let shared else { throw .notSupported }
        return shared
    }

    private func releaseWaitersLocked(_ state: inout WaitState) -> WokenWaiters {
        var woken = WokenWaiters()
        for waiter in queue where !waiter.isFinished && isSignaledLocked(&state) {
            if let index = waiter.satisfyLocked(&state) {
                waiter.finishLocked(index, &state)
                woken.finished.append(waiter)
            } else if waiter.isPolling {
                // It does not poll what it saw signaled outside, and that may be taken by now.
                woken.looking.append((waiter, waiter.lookAgainLocked(&state)))
            }
            // Else it cannot go yet (it waits for all, and another state is missing) and keeps its place in the queue.
        }
        if !woken.finished.isEmpty {
            queue.removeAll { $0.isFinished } // all of them in one pass: there may be thousands
            queueChangedLocked()
            for waiter in woken.finished { waiter.leaveQueuesLocked(&state, except: self) }
        }
        return woken
    }

    // MARK: For waiters

    func isSignaledLocked(_ state: inout WaitState) -> Bool {
        if let outside { return outside.isSignaled }
        if let level { return level.count.load(ordering: .sequentiallyConsistent) > 0 }
        return signaled.load(ordering: .relaxed)
    }

    /// Takes what a wait takes of a state that is signaled: false when another process was faster.
    func takeLocked(_ state: inout WaitState) -> Bool {
        guard behaviour == .synchronization else { return true }
        if let outside { return outside.take() }
        signaled.store(false, ordering: .releasing)
        return true
    }

    /// Undoes `takeLocked` of a state outside.
    func giveBackLocked(_ state: inout WaitState) {
        if behaviour == .synchronization { _ = outside?.set() }
    }

    func outsideLocked(_ state: inout WaitState) -> OutsideSignal? { outside }
    var isLevel: Bool { level != nil }

    func enqueueLocked(_ waiter: Waiter, _ state: inout WaitState) {
        queue.append(waiter)
        queueChangedLocked()
    }

    func dequeueLocked(_ waiter: Waiter, _ state: inout WaitState) {
        queue.removeAll { $0 === waiter }
        queueChangedLocked()
    }

    private func queueChangedLocked() {
        if level != nil { hasWaiters.store(!queue.isEmpty, ordering: .sequentiallyConsistent) }
    }
}
