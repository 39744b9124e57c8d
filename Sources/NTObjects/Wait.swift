// Waits of the native host: the waiting call, and how it sleeps. The states and their lock are in SignalState.swift.
//
// A waiter whose states are all of this process sleeps on a word of its own. As soon as one state is outside it sleeps in poll()
// and looks again whenever that returns:
//
//   (1) under the lock: result there, or can it be had now? done
//   (2) else note which states outside were not signaled: only those are polled, or a wait for all would spin on the others
//   (3) poll them, and the waiter's own descriptor if a state of this process is among the waiter's
//
// Whoever sets a state of this process between (1) and (3) finds the waiter in its queue and gives it its result, or sends it to (1)
// because what it does not poll may have been taken; then kicks its descriptor. Whoever sets one outside makes its descriptor readable, which poll() does not miss. A state that moves outside
// while threads wait for it sends them to (1).

import CLinuxShims
import CNTTypes
import LinuxSystem
import NTTypes
import Synchronization

/// One wait: of a thread here, of a packet in WaitCompletionPacket.
class Waiter: @unchecked Sendable {
    let states: [SignalState]
    private let all: Bool

    /// `waiting`, `lookAgain`, or 1 + the index of the state that ended the wait. Changed under the lock of all waits. A thread
    /// sleeps on this word.
    fileprivate let result = Atomic<UInt32>(Waiter.waiting)
    fileprivate static let waiting: UInt32 = 0
    /// A state has moved outside, or what is polled may be too little.
    fileprivate static let lookAgain: UInt32 = .max
    /// Kicked when the wait has ended. Set under the lock by the thread that waits, not after the end.
    fileprivate var alarm: Descriptor?
    /// Descriptors of the states outside that the last look did not find signaled; nil among them for a state that can only be
    /// looked at. Changed under the lock.
    private var missing: [Descriptor?] = []
    /// A state is of this process, so another thread may end the wait. The waiting thread's own.
    private var needsAlarm = false
    /// It sleeps in poll(), or is about to. Changed under the lock.
    private(set) var isPolling = false

    init(states: [SignalState], all: Bool) {
        self.states = states
        self.all = all
    }

    /// No thread sleeps for this wait.
    var isUnattended: Bool { false }

    var isFinished: Bool {
        let word = result.load(ordering: .acquiring)
        return word != Waiter.waiting && word != Waiter.lookAgain
    }

    fileprivate var index: Int { Int(result.load(ordering: .acquiring)) - 1 }

    /// Takes what the wait is for, if it is there: the index of the first signaled state, or 0 when all are. Else `missing` is what it
    /// did not find. Each state outside is looked at once: a second look might see another signal than the first, and what one
    /// look misses and the other does not would not be waited for.
    func satisfyLocked(_ state: inout WaitState) -> Int? {
        missing.removeAll(keepingCapacity: true)
        if !all {
            for (index, each) in states.enumerated() {
                if each.isSignaledLocked(&state), each.takeLocked(&state) { return index }
                if let outside = each.outsideLocked(&state) { missing.append(outside.descriptor) }
            }
            return nil
        }
        var isComplete = true
        for each in states where !each.isSignaledLocked(&state) {
            isComplete = false
            if let outside = each.outsideLocked(&state) { missing.append(outside.descriptor) }
        }
        guard isComplete else { return nil }
        // Those outside first: another process may be faster, and then nothing may have happened.
        var taken: [SignalState] = []
        for each in states {
            guard let outside = each.outsideLocked(&state) else { continue }
            guard each.takeLocked(&state) else {
                missing.append(outside.descriptor)
                for other in taken { other.giveBackLocked(&state) }
                return nil
            }
            taken.append(each)
        }
        for each in states where each.outsideLocked(&state) == nil { _ = each.takeLocked(&state) }
        return 0
    }

    /// Enters the queues. The answer is that of `satisfyLocked` for a level that has risen meanwhile.
    func enterQueuesLocked(_ state: inout WaitState) -> Int? {
        state.waiting += 1
        for each in states { each.enqueueLocked(self, &state) }
        guard states.contains(where: \.isLevel), let index = satisfyLocked(&state) else { return nil }
        leaveQueuesLocked(&state)
        return index
    }

    func leaveQueuesLocked(_ state: inout WaitState, except cleaned: SignalState? = nil) {
        state.waiting -= 1
        for each in states where each !== cleaned { each.dequeueLocked(self, &state) }
    }

    /// ORDER: release. Pairs with the acquire loads of the sleeper.
    func finishLocked(_ index: Int, _ state: inout WaitState) { result.store(UInt32(index + 1), ordering: .releasing) }

    /// Sends a sleeping thread to (1). Returns what `wake` needs then.
    func lookAgainLocked(_ state: inout WaitState) -> Descriptor? {
        result.store(Waiter.lookAgain, ordering: .releasing)
        return alarm
    }

    /// The signal that the library's thread polls for an unattended wait.
    func watchedLocked(_ state: inout WaitState) -> OutsideSignal? { states[0].outsideLocked(&state) }

    /// After the lock: the wait has ended.
    func wake() { wake(alarm) }

    /// After the lock: the wait has ended, or must look again.
    final func wake(_ alarm: Descriptor?) {
        Futex.wake(futexAddress(of: result), shared: false)
        if let alarm { EventFd.kick(alarm) }
    }

    // MARK: The sleeping thread

    /// What to poll after `satisfyLocked` has found too little, nil when every state is of this process.
    fileprivate func descriptorsLocked(_ state: inout WaitState) -> [Descriptor?]? {
        let outside = states.count { $0.outsideLocked(&state) != nil }
        guard outside > 0 else { return nil }
        needsAlarm = outside < states.count
        isPolling = true
        if !isFinished { result.store(Waiter.waiting, ordering: .relaxed) }
        return missing
    }

    private enum Outcome {
        case done(Int)
        case timeOver
        case again([Descriptor?]?)
    }

    /// Sleeps until the wait is finished or the deadline (nanoseconds of CLOCK_MONOTONIC, 0 for none) has passed.
    fileprivate func sleep(_ first: [Descriptor?]?, deadline: UInt64) -> Int? {
        var descriptors = first
        while true {
            if let descriptors {
                poll(descriptors, deadline: deadline)
            } else {
                while result.load(ordering: .acquiring) == Waiter.waiting, deadline == 0 || Clock.monotonic < deadline {
                    Futex.wait(futexAddress(of: result), Waiter.waiting, shared: false, deadline: deadline)
                }
            }
            if isFinished { return index }
            let isOver = deadline != 0 && Clock.monotonic >= deadline
            let outcome = ObjectContext.shared.waits.withLock { state -> Outcome in
                if isFinished { return .done(index) }
                let found = satisfyLocked(&state)
                if let found { finishLocked(found, &state) }
                if found != nil || isOver { leaveQueuesLocked(&state) }
                if let found { return .done(found) }
                return isOver ? .timeOver : .again(descriptorsLocked(&state))
            }
            switch outcome {
            case .done(let index): return index
            case .timeOver: return nil
            case .again(let next): descriptors = next
            }
        }
    }

    private func poll(_ descriptors: [Descriptor?], deadline: UInt64) {
        if needsAlarm, alarm == nil {
            do throws(Errno) {
                let new = try EventFd.make()
                // A result that came before could not kick it.
                let isNews = ObjectContext.shared.waits.withLock { _ in
                    if !isFinished { alarm = new }
                    return result.load(ordering: .relaxed) != Waiter.waiting
                }
                if isNews { return }
            } catch {
                // No descriptor to be had: look from time to time.
            }
        }
        var until = deadline
        if (needsAlarm && alarm == nil) || descriptors.contains(where: { $0 == nil }) {
            let soon = Clock.monotonic + OutsideWatch.period
            until = deadline == 0 ? soon : min(deadline, soon)
        }
        do throws(Errno) {
            let ready = try Poll.wait(descriptors + [alarm], deadline: until)
            if let alarm, ready[descriptors.count] { _ = SharedEvent.take(alarm) }
        } catch {
            ntlpc_sleep_ns(1_000_000) // no memory: later there may be
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
        var descriptors: [Descriptor?]?
        let satisfied = ObjectContext.shared.waits.withLock { state -> Int? in
            if let index = waiter.satisfyLocked(&state) { return index }
            if onlyLook { return nil }
            if let index = waiter.enterQueuesLocked(&state) { return index }
            descriptors = waiter.descriptorsLocked(&state)
            return nil
        }
        if satisfied != nil || onlyLook { return satisfied }
        return waiter.sleep(descriptors, deadline: deadline)
    }

    /// What a wait on the handle looks at.
    /// - Throws: `invalidHandle`; `accessDenied` without SYNCHRONIZE; `objectTypeMismatch` for an object that is never signaled.
    public static func state(of handle: HANDLE?) throws(NTStatus) -> SignalState {
        if let task = try PseudoHandle.object(handle) { return task.signal! }
        return try HandleTable.withAnyObject(handle, access: 0x0010_0000) { object, _ throws(NTStatus) in
            guard let state = object.signal else { throw .objectTypeMismatch }
            return state
        }
    }
}
