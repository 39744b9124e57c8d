// What a thread of the native host can wait on, and the waits themselves.
//
// One lock guards all states and waiters, as NT's dispatcher lock once did: a wait for all of several objects must take them in
// one step. It is held for a few instructions, never while a thread sleeps or is woken.
//
//   wait                                             set
//   (1) under the lock: satisfied already? done      (1) under the lock: state := signaled
//   (2) else enter the queue of each state           (2) give it to waiters, oldest first, while it is signaled: each gets
//   (3) sleep on the waiter's own word                   its result and leaves all its queues
//   (4) time over: under the lock, result there?     (3) after the lock: wake them
//       take it; else leave the queues

import CLinuxShims
import LinuxSystem
import Synchronization

/// Shown by functions that need the lock of all waits. What the lock guards is spread over the states.
struct WaitState {
    /// Waits that are in queues.
    var waiting = 0
}

/// One signal state: that of an event, or of a port that can be waited on.
public final class SignalState: @unchecked Sendable {
    /// How a satisfied wait changes the state.
    public enum Behaviour: Sendable {
        /// Stays signaled until it is reset; releases every waiter. NT: NotificationEvent.
        case notification
        /// Is reset by the one wait that it satisfies. NT: SynchronizationEvent.
        case synchronization
    }

    public let behaviour: Behaviour

    /// Changed under the lock of all waits.
    private let signaled: Atomic<Bool>
    /// Who waits, oldest first. Guarded by the lock of all waits.
    private var queue: [Waiter] = []

    public init(_ behaviour: Behaviour, signaled: Bool) {
        self.behaviour = behaviour
        self.signaled = Atomic(signaled)
    }

    /// A moment's truth, for queries.
    public var isSignaled: Bool { signaled.load(ordering: .acquiring) }

    /// How many waits are in the queue at this moment; for people who debug.
    public var waiterCount: Int { ObjectContext.shared.waits.withLock { _ in queue.count } }

    /// Signals the state and returns whether it was signaled before.
    @discardableResult
    public func set() -> Bool {
        // A notification that is signaled already has no waiters to release.
        // ORDER: acquire and release through the lock in the other case; here the earlier setter's news are as good as ours.
        if behaviour == .notification, signaled.load(ordering: .acquiring) { return true }
        var woken: [Waiter] = []
        let before = ObjectContext.shared.waits.withLock { state in
            let before = signaled.load(ordering: .relaxed)
            signaled.store(true, ordering: .releasing)
            woken = releaseWaitersLocked(&state)
            return before
        }
        for waiter in woken { waiter.wake() }
        return before
    }

    /// Takes the signal back and returns whether there was one.
    @discardableResult
    public func reset() -> Bool {
        if !signaled.load(ordering: .acquiring) { return false }
        return ObjectContext.shared.waits.withLock { _ in signaled.exchange(false, ordering: .acquiringAndReleasing) }
    }

    private func releaseWaitersLocked(_ state: inout WaitState) -> [Waiter] {
        var woken: [Waiter] = []
        // A waiter that cannot go yet (it waits for all, and another state is missing) keeps its place in the queue.
        for waiter in queue where !waiter.isFinished && signaled.load(ordering: .relaxed) {
            guard let index = waiter.satisfyLocked(&state) else { continue }
            waiter.finishLocked(index, &state)
            woken.append(waiter)
        }
        if !woken.isEmpty {
            queue.removeAll { $0.isFinished } // all of them in one pass: there may be thousands
            for waiter in woken { waiter.leaveQueuesLocked(&state, except: self) }
        }
        return woken
    }

    fileprivate func isSignaledLocked(_ state: inout WaitState) -> Bool { signaled.load(ordering: .relaxed) }
    fileprivate func consumeLocked(_ state: inout WaitState) { if behaviour == .synchronization { signaled.store(false, ordering: .releasing) } }
    fileprivate func enqueueLocked(_ waiter: Waiter, _ state: inout WaitState) { queue.append(waiter) }
    fileprivate func dequeueLocked(_ waiter: Waiter, _ state: inout WaitState) { queue.removeAll { $0 === waiter } }
}

/// One waiting call.
final class Waiter: @unchecked Sendable {
    private let states: [SignalState]
    private let all: Bool

    /// 0 while the thread waits, then 1 + the index of the state that released it. The thread sleeps on this word.
    private let result = Atomic<UInt32>(0)

    init(states: [SignalState], all: Bool) {
        self.states = states
        self.all = all
    }

    var isFinished: Bool { result.load(ordering: .acquiring) != 0 }
    var index: Int { Int(result.load(ordering: .acquiring)) - 1 }

    /// Takes what the wait is for, if it is there: the index of the first signaled state, or 0 when all are.
    func satisfyLocked(_ state: inout WaitState) -> Int? {
        if all {
            guard states.allSatisfy({ $0.isSignaledLocked(&state) }) else { return nil }
            for each in states { each.consumeLocked(&state) }
            return 0
        }
        guard let index = states.firstIndex(where: { $0.isSignaledLocked(&state) }) else { return nil }
        states[index].consumeLocked(&state)
        return index
    }

    func enterQueuesLocked(_ state: inout WaitState) {
        state.waiting += 1
        for each in states { each.enqueueLocked(self, &state) }
    }

    func leaveQueuesLocked(_ state: inout WaitState, except cleaned: SignalState? = nil) {
        state.waiting -= 1
        for each in states where each !== cleaned { each.dequeueLocked(self, &state) }
    }

    /// ORDER: release. Pairs with the acquire load of the sleeper in `sleep`.
    func finishLocked(_ index: Int, _ state: inout WaitState) { result.store(UInt32(index + 1), ordering: .releasing) }

    func wake() { Futex.wake(futexAddress(of: result), shared: false) }

    /// Sleeps until the wait is finished or the deadline (nanoseconds of CLOCK_MONOTONIC, 0 for none) has passed.
    func sleep(deadline: UInt64) {
        while !isFinished, deadline == 0 || Clock.monotonic < deadline {
            Futex.wait(futexAddress(of: result), 0, shared: false, deadline: deadline)
        }
    }
}

/// Waits of the native host.
public enum Wait {
    /// Waits until one of `states`, or with `all` every one at the same moment, is signaled.
    /// - Parameter deadline: nanoseconds of CLOCK_MONOTONIC; 0 waits for ever, a time that has passed only looks.
    /// - Returns: index of the state that ended the wait (0 with `all`), nil when the time was over.
    public static func wait(for states: [SignalState], all: Bool, deadline: UInt64) -> Int? {
        let waiter = Waiter(states: states, all: all)
        let onlyLook = deadline != 0 && deadline <= Clock.monotonic
        let satisfied = ObjectContext.shared.waits.withLock { state -> Int? in
            if let index = waiter.satisfyLocked(&state) { return index }
            if !onlyLook { waiter.enterQueuesLocked(&state) }
            return nil
        }
        if satisfied != nil || onlyLook { return satisfied }
        waiter.sleep(deadline: deadline)
        if waiter.isFinished { return waiter.index }
        return ObjectContext.shared.waits.withLock { state in
            if waiter.isFinished { return waiter.index }
            waiter.leaveQueuesLocked(&state)
            return nil
        }
    }
}
