import CNTTypes
import Glibc
import LinuxSystem
import NTTypes
import Synchronization
import Testing
@testable import NTObjects

private func value(_ number: UInt) -> HANDLE { HANDLE(bitPattern: 0x200_0000 + number * 4)! }

@Suite struct HandleRaceTests {
    init() { Watchdog.armed }

    private static let rounds = 4000

    @Test func `Lookups race closes and never see a dead object`() { raceLookupsAgainstCloses() }

    @Test func `The same holds where the kernel gives no fence`() async {
        await #expect(processExitsWith: .success) {
            try HandleTable.insert(Probe(), at: value(99), access: 1)
            AsymmetricFence.giveUp()
            HandleRaceTests().raceLookupsAgainstCloses()
            HandleTable.remove(value(99))
        }
    }

    private func raceLookupsAgainstCloses() {
        let handles: UInt = 8, counts = Counts(), made = Atomic<Int>(0), done = Atomic<Bool>(false), found = Atomic<Int>(0)
        onThreads(4) { index in
            if index < 2 {
                var round = 0
                while round < Self.rounds || found.load(ordering: .relaxed) < Self.rounds {
                    round += 1
                    let handle = value(UInt(round) % handles)
                    do throws(NTStatus) {
                        try HandleTable.close(handle)
                    } catch {
                        if error != .invalidHandle { Issue.record(error) }
                    }
                    do throws(NTStatus) {
                        try HandleTable.insert(Probe(round, counts), at: handle, access: 1)
                        made.wrappingAdd(1, ordering: .relaxed)
                    } catch {
                        Issue.record(error)
                    }
                }
                done.store(true, ordering: .releasing)
            } else {
                var round: UInt = 0
                while !done.load(ordering: .acquiring) {
                    round &+= 1
                    do throws(NTStatus) {
                        try HandleTable.withObject(value(round % handles), kind: .port, access: 1) { (probe: Probe) throws(NTStatus) in
                            // A second look goes through the second hazard.
                            let same = try HandleTable.withAnyObject(value(round % handles)) { object, _ in object.kind == .port }
                            if !same || probe.magic != Probe.alive { Issue.record("a dead object was found") }
                        }
                        found.wrappingAdd(1, ordering: .relaxed)
                    } catch {
                        if error != .invalidHandle { Issue.record(error) }
                    }
                }
            }
        }
        for number in 0 ..< handles { HandleTable.remove(value(number)) }
        #expect(counts.closed == made.load(ordering: .relaxed))
        #expect(counts.freed == made.load(ordering: .relaxed))
    }

    @Test func `A value that goes from one object to another and back never mixes their rights`() {
        // Object 1 is only ever there with right 1, object 2 with right 2.
        let one = Probe(1), two = Probe(2), done = Atomic<Bool>(false)
        onThreads(3) { index in
            if index == 0 {
                for round in 0 ..< Self.rounds {
                    do throws(NTStatus) {
                        try HandleTable.insert(round % 2 == 0 ? one : two, at: value(100), access: round % 2 == 0 ? 1 : 2)
                        try HandleTable.close(value(100))
                    } catch {
                        Issue.record(error)
                    }
                }
                done.store(true, ordering: .releasing)
                return
            }
            while !done.load(ordering: .acquiring) {
                do throws(NTStatus) {
                    let number = try HandleTable.withObject(value(100), kind: .port, access: UInt32(index)) { (probe: Probe) in probe.number }
                    if number != index { Issue.record("the rights of one object opened the other") }
                } catch {
                    if error != .invalidHandle && error != .accessDenied { Issue.record(error) }
                }
            }
        }
        #expect(one.handleCount == 0)
        #expect(two.handleCount == 0)
    }

    @Test func `Only one of several closes of a handle succeeds`() {
        let counts = Counts(), succeeded = Atomic<Int>(0)
        for round in 0 ..< 200 {
            do {
                try HandleTable.insert(Probe(round, counts), at: value(101), access: 1)
            } catch {
                Issue.record(error)
            }
            onThreads(3) { _ in
                do throws(NTStatus) {
                    try HandleTable.close(value(101))
                    succeeded.wrappingAdd(1, ordering: .relaxed)
                } catch {
                    if error != .invalidHandle { Issue.record(error) }
                }
            }
        }
        #expect(succeeded.load(ordering: .relaxed) == 200)
        #expect(counts.closed == 200)
        #expect(counts.freed == 200)
    }

    @Test func `Duplicates race closes and the object ends with the last of them`() {
        let counts = Counts(), rounds = 500
        for round in 0 ..< rounds {
            do {
                try HandleTable.insert(Probe(round, counts), at: value(110), access: 1)
            } catch {
                Issue.record(error)
            }
            onThreads(3) { index in
                do throws(NTStatus) {
                    if index == 0 { try HandleTable.close(value(110)) } else { try HandleTable.duplicate(value(110), at: value(110 + UInt(index))) }
                } catch {
                    if error != .invalidHandle { Issue.record(error) }
                }
            }
            for number: UInt in 111 ... 112 { HandleTable.remove(value(number)) }
        }
        #expect(counts.closed == rounds)
        #expect(counts.freed == rounds)
    }

    @Test func `Reserved values are distinct on all threads`() {
        let seen = FutexLock<Set<UInt>>([])
        onThreads(4) { _ in
            for _ in 0 ..< 300 {
                do throws(NTStatus) {
                    let value = UInt(bitPattern: try HandleTable.reserve())
                    let new = seen.withLock { $0.insert(value).inserted }
                    if !new { Issue.record("a value was given out twice") }
                } catch {
                    Issue.record(error)
                }
            }
        }
        seen.withLock { $0.forEach { HandleTable.unreserve(HANDLE(bitPattern: $0)) } }
    }
}
