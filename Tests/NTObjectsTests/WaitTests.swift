import CNTTypes
import Glibc
import LinuxSystem
import NTTypes
import Synchronization
import Testing
@testable import NTObjects

/// A deadline that many milliseconds from now.
private func after(_ milliseconds: UInt64) -> UInt64 { Clock.monotonic + milliseconds * 1_000_000 }

@Suite struct WaitTests {
    init() { Watchdog.armed }

    @Test func `A notification stays signaled, a synchronization is taken by one wait`() {
        let notification = SignalState(.notification, signaled: true), synchronization = SignalState(.synchronization, signaled: true)
        #expect(Wait.wait(for: [notification], all: false, deadline: 1) == 0)
        #expect(Wait.wait(for: [notification], all: false, deadline: 1) == 0)
        #expect(Wait.wait(for: [synchronization], all: false, deadline: 1) == 0)
        #expect(Wait.wait(for: [synchronization], all: false, deadline: 1) == nil)
    }

    @Test func `Set and reset tell what was before`() {
        for behaviour in [SignalState.Behaviour.notification, .synchronization] {
            let state = SignalState(behaviour, signaled: false)
            #expect(!state.set())
            #expect(state.set())
            #expect(state.reset())
            #expect(!state.reset())
        }
    }

    @Test func `A wait for any takes the first signaled state only`() {
        let states = (0 ..< 4).map { SignalState(.synchronization, signaled: $0 >= 2) }
        #expect(Wait.wait(for: states, all: false, deadline: 1) == 2)
        #expect(Wait.wait(for: states, all: false, deadline: 1) == 3)
        #expect(Wait.wait(for: states, all: false, deadline: 1) == nil)
    }

    @Test func `A wait for all takes all states or none`() {
        let states = (0 ..< 3).map { _ in SignalState(.synchronization, signaled: false) }
        states[0].set()
        states[2].set()
        #expect(Wait.wait(for: states, all: true, deadline: after(5)) == nil)
        #expect(states[0].isSignaled && states[2].isSignaled)
        states[1].set()
        #expect(Wait.wait(for: states, all: true, deadline: 1) == 0)
        #expect(!states.contains { $0.isSignaled })
    }

    @Test func `A wait that ends by time has waited for it`() {
        let state = SignalState(.notification, signaled: false)
        let begin = Clock.monotonic
        #expect(Wait.wait(for: [state], all: false, deadline: begin + 20_000_000) == nil)
        #expect(Clock.monotonic - begin >= 20_000_000)
        #expect(state.waiterCount == 0)
    }

    @Test func `One set of a notification releases every waiter`() {
        let state = SignalState(.notification, signaled: false), released = Atomic<Int>(0)
        onThreads(40) { index in
            if index == 0 {
                eventually { state.waiterCount == 39 }
                state.set()
            } else if Wait.wait(for: [state], all: false, deadline: 0) == 0 {
                released.wrappingAdd(1, ordering: .relaxed)
            }
        }
        #expect(released.load(ordering: .relaxed) == 39)
    }

    @Test func `Each set of a synchronization releases one waiter and none is lost`() {
        let state = SignalState(.synchronization, signaled: false), acknowledged = SignalState(.synchronization, signaled: false)
        let waiters = 4, each = 500
        onThreads(waiters + 1) { index in
            if index == 0 {
                for _ in 0 ..< waiters * each {
                    state.set()
                    _ = Wait.wait(for: [acknowledged], all: false, deadline: 0)
                }
            } else {
                for _ in 0 ..< each {
                    _ = Wait.wait(for: [state], all: false, deadline: 0)
                    acknowledged.set()
                }
            }
        }
        #expect(!state.isSignaled)
        #expect(!acknowledged.isSignaled)
    }

    @Test func `Waits for all and for any compete for the same states`() {
        // Every token that is put in comes out once: two for a round of "all", one for a round of "any".
        let a = SignalState(.synchronization, signaled: false), b = SignalState(.synchronization, signaled: false)
        let taken = Atomic<Int>(0), put = Atomic<Int>(0), rounds = 300
        onThreads(3) { index in
            switch index {
            case 0:
                while taken.load(ordering: .acquiring) < rounds * 3 {
                    for state in [a, b] where !state.set() { put.wrappingAdd(1, ordering: .relaxed) }
                    sched_yield()
                }
            case 1:
                for _ in 0 ..< rounds where Wait.wait(for: [a, b], all: true, deadline: 0) == 0 { taken.wrappingAdd(2, ordering: .releasing) }
            default:
                for _ in 0 ..< rounds where Wait.wait(for: [b, a], all: false, deadline: 0) != nil { taken.wrappingAdd(1, ordering: .releasing) }
            }
        }
        #expect(taken.load(ordering: .relaxed) == rounds * 3)
        #expect(put.load(ordering: .relaxed) == rounds * 3 + [a, b].filter(\.isSignaled).count)
    }

    @Test func `A time-out that races a set loses no signal`() {
        let state = SignalState(.synchronization, signaled: false), taken = Atomic<Int>(0), done = Atomic<Bool>(false)
        let rounds = 2000
        onThreads(2) { index in
            if index == 0 {
                for round in 0 ..< rounds {
                    state.set()
                    eventually { taken.load(ordering: .acquiring) == round + 1 }
                }
                done.store(true, ordering: .releasing)
            } else {
                while !done.load(ordering: .acquiring) {
                    if Wait.wait(for: [state], all: false, deadline: Clock.monotonic + 20_000) != nil { taken.wrappingAdd(1, ordering: .releasing) }
                }
            }
        }
        #expect(taken.load(ordering: .relaxed) == rounds)
    }
}
