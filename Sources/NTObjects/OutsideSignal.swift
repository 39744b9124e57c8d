// Signals that lie outside of this process's memory, and the thread that watches for waits which have no thread.
//
// A thread that waits for such a state sleeps in poll() on its descriptor. If it waits for states of both sorts, a descriptor of
// its own is among them and whoever ends the wait kicks that (Wait.swift). A wait that posts a packet has no thread of its own:
// one thread of the library polls for all of them. It starts with the first and ends with the last, so a process that makes no
// such waits has no such thread.
//
// Another process may take a signal between our look and our taking; then the wait goes on. What is given back after a wait for
// all that failed half-way is given as a set: whoever sleeps is woken again, and whoever set the event meanwhile finds it set, as
// if we had not touched it.

import CLinuxShims
import LinuxSystem
import NTTypes

/// A signal that a descriptor stands for.
class OutsideSignal: @unchecked Sendable {
    /// Readable while the signal is there; nil for a signal that can only be looked at.
    let descriptor: Descriptor?

    init(_ descriptor: Descriptor?) { self.descriptor = descriptor }

    var isSignaled: Bool { descriptor.map(SharedEvent.isSignaled) ?? false }
    /// Takes the signal; false when there was none.
    func take() -> Bool { isSignaled }
    /// Signals and returns whether it was signaled before.
    func set() -> Bool { isSignaled }
}

/// An event that several processes have.
final class SharedEventSignal: OutsideSignal, @unchecked Sendable {
    override func take() -> Bool { SharedEvent.take(descriptor!) }
    override func set() -> Bool { SharedEvent.put(descriptor!) }
}

/// The end of a process or thread, which never passes.
final class TaskSignal: OutsideSignal, @unchecked Sendable {
    private let id: Int32
    private let started: UInt64

    /// - Parameter started: tells the task from a later one of the same id, where there is no descriptor.
    init(_ descriptor: Descriptor?, id: Int32, started: UInt64) {
        self.id = id
        self.started = started
        super.init(descriptor)
    }

    override var isSignaled: Bool {
        if let descriptor { return SharedEvent.isSignaled(descriptor) }
        do throws(Errno) {
            let now = try LinuxTask.information(id)
            return now.started != started || now.hasEnded
        } catch {
            return true
        }
    }
}

/// The thread that polls for waits without one.
enum OutsideWatch {
    /// A signal without descriptor is looked at this often, in nanoseconds.
    static let period: UInt64 = 20_000_000

    struct State {
        var waiters: [Waiter] = []
        var isRunning = false
        /// Wakes the thread when the list has changed.
        var wake: Descriptor?
    }

    /// Starts the thread if it does not run. It is rare, and under the lock so that a wait is either watched or refused.
    static func ensureRunningLocked(_ state: inout WaitState) throws(NTStatus) {
        if state.watch.isRunning { return }
        do throws(Errno) {
            if state.watch.wake == nil { state.watch.wake = try EventFd.make() }
            let error = ntlpc_start_thread("ntlpc-waits", { _ in OutsideWatch.run() }, nil)
            if error != 0 { throw Errno(rawValue: -error) }
        } catch {
            throw .insufficientResources
        }
        state.watch.isRunning = true
    }

    static func addLocked(_ waiter: Waiter, _ state: inout WaitState) {
        state.watch.waiters.append(waiter)
        changedLocked(&state)
    }

    static func removeLocked(_ waiter: Waiter, _ state: inout WaitState) {
        guard let index = state.watch.waiters.firstIndex(where: { $0 === waiter }) else { return }
        state.watch.waiters.remove(at: index)
        changedLocked(&state)
    }

    /// The thread must look at its list again.
    private static func changedLocked(_ state: inout WaitState) {
        if let wake = state.watch.wake { EventFd.kick(wake) }
    }

    private static func run() {
        while true {
            // (1) what to watch
            let next = ObjectContext.shared.waits.withLock { state -> (waiters: [Waiter], descriptors: [Descriptor?], wake: Descriptor)? in
                guard !state.watch.waiters.isEmpty, let wake = state.watch.wake else {
                    state.watch.isRunning = false
                    return nil
                }
                let descriptors = state.watch.waiters.map { $0.watchedLocked(&state)?.descriptor }
                return (state.watch.waiters, descriptors, wake)
            }
            guard let next else { return }
            // (2) sleep
            let deadline = next.descriptors.contains { $0 == nil } ? Clock.monotonic + period : 0
            var ready: [Bool]
            do throws(Errno) {
                ready = try Poll.wait(next.descriptors + [next.wake], deadline: deadline)
            } catch {
                ntlpc_sleep_ns(period) // no memory: later there may be
                continue
            }
            if ready.removeLast() { _ = SharedEvent.take(next.wake) }
            // (3) who can go
            let woken = ObjectContext.shared.waits.withLock { state -> [Waiter] in
                var woken: [Waiter] = []
                for (index, waiter) in next.waiters.enumerated() where (ready[index] || next.descriptors[index] == nil) && !waiter.isFinished {
                    guard let found = waiter.satisfyLocked(&state) else { continue }
                    waiter.finishLocked(found, &state)
                    waiter.leaveQueuesLocked(&state)
                    woken.append(waiter)
                }
                return woken
            }
            for waiter in woken { waiter.wake() }
        }
    }
}
