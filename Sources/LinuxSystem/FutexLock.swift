// A lock that is private to the process: three states in one word.
//
// 0 free, 1 held, 2 held and somebody may sleep. The standard library's Mutex traps in the child of a fork that happened
// while another thread held it; this one is thrown away there with the context that owns it. The owner is in a critical
// section of its thread, so a host that suspends or ends threads by signal does so after the lock is free again.

import CLinuxShims
import Synchronization

/// The lock itself, for those who keep it beside what it guards.
public struct FutexMutex: ~Copyable, Sendable {
    @usableFromInline let word = Atomic<UInt32>(0)

    public init() {}

    @inlinable
    @inline(__always)
    public func lock() {
        ntlpc_critical_enter()
        // ORDER: acquire. Pairs with the release exchange in `unlock`.
        if !word.compareExchange(expected: 0, desired: 1, successOrdering: .acquiring, failureOrdering: .relaxed).exchanged {
            lockSlowly()
        }
    }

    @inlinable
    @inline(__always)
    public func unlock() {
        // ORDER: release. Pairs with the acquire exchanges of the next owner; publishes the state.
        if word.exchange(0, ordering: .releasing) == 2 { wakeOne() }
        ntlpc_critical_leave()
    }

    @usableFromInline
    @inline(never)
    func lockSlowly() {
        // Most sections are shorter than a sleep: look a few times first.
        for _ in 0..<100 {
            if word.load(ordering: .relaxed) == 0,
               word.compareExchange(expected: 0, desired: 1, successOrdering: .acquiring, failureOrdering: .relaxed).exchanged { return }
            ntlpc_cpu_relax()
        }
        while word.exchange(2, ordering: .acquiring) != 0 { _ = ntlpc_futex_wait(futexAddress(of: word), 2, false, 0) }
    }

    @usableFromInline
    @inline(never)
    func wakeOne() { _ = ntlpc_futex_wake(futexAddress(of: word), 1, false) }
}

/// Guards a `State`, which can be reached only while the lock is held.
public final class FutexLock<State: ~Copyable>: @unchecked Sendable {
    @usableFromInline let mutex = FutexMutex()
    @usableFromInline var state: State

    public init(_ state: consuming State) { self.state = state }

    @inlinable
    @inline(__always)
    public func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout State) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        mutex.lock()
        defer { mutex.unlock() }
        return try body(&state)
    }
}

/// Where an atomic lives, for the futex calls.
@inlinable
@inline(__always)
public func futexAddress(of word: borrowing Atomic<UInt32>) -> UnsafeRawPointer {
    withUnsafePointer(to: word) { UnsafeRawPointer($0) }
}

/// A word of this process that threads sleep on.
public enum Futex {
    /// Sleeps while the word holds `expected`, until a wake or `deadline` (absolute nanoseconds, 0 for ever).
    @inlinable
    public static func wait(_ word: UnsafeRawPointer, _ expected: UInt32, shared: Bool, deadline: UInt64) {
        _ = ntlpc_futex_wait(word, expected, shared, deadline)
    }

    @inlinable
    public static func wake(_ word: UnsafeRawPointer, _ count: Int32 = 1, shared: Bool) {
        _ = ntlpc_futex_wake(word, count, shared)
    }
}
