import NTTypes
import Testing

@Suite struct NTTimeTests {
    /// Monotonic clock at 1,000 s; time of day 2026-01-01 or so.
    static let monotonic: UInt64 = 1_000_000_000_000
    static let now = NTTime(ticks: 134_000_000_000_000_000)

    struct Row: Sendable {
        var timeout: Int64?
        var deadline: Deadline
    }

    @Test(arguments: [
        Row(timeout: nil, deadline: .never),
        Row(timeout: 0, deadline: .immediate),
        Row(timeout: -1, deadline: .at(monotonic + 100)),
        Row(timeout: -10_000_000, deadline: .at(monotonic + 1_000_000_000)),
        Row(timeout: now.ticks + 1, deadline: .at(monotonic + 100)),
        Row(timeout: now.ticks, deadline: .immediate),
        Row(timeout: now.ticks - 1, deadline: .immediate),
        Row(timeout: 1, deadline: .immediate),
        Row(timeout: .min, deadline: .never),
        Row(timeout: .min + 1, deadline: .never),
        Row(timeout: .max, deadline: .never),
    ])
    func aTimeoutBecomesADeadline(row: Row) {
        #expect(Deadline(timeout: row.timeout, monotonicNow: Self.monotonic, now: Self.now) == row.deadline)
    }

    @Test func theLongestTimeoutThatAClockReachesIsKept() {
        let reachable = Int64((UInt64(Int64.max) - Self.monotonic) / 100)
        #expect(Deadline(timeout: -reachable, monotonicNow: Self.monotonic, now: Self.now) == .at(Self.monotonic + UInt64(reachable) * 100))
        #expect(Deadline(timeout: -reachable - 1, monotonicNow: Self.monotonic, now: Self.now) == .never)
    }

    @Test func aTimeOfDayBeforeTheClocksStartDoesNotTrap() {
        #expect(Deadline(timeout: .max, monotonicNow: 0, now: NTTime(ticks: .min)) == .never)
        #expect(Deadline(timeout: 5, monotonicNow: .max, now: NTTime(ticks: 0)) == .never)
    }

    @Test func theTimeOfDayIsNotAskedForRelativeTimeouts() {
        var asked = false
        func now() -> NTTime { asked = true; return Self.now }
        _ = Deadline(timeout: -5, monotonicNow: 0, now: now())
        #expect(!asked)
    }

    @Test(arguments: [(Deadline.never, UInt64(0)), (.immediate, 1), (.at(77), 77), (.at(0), 1)])
    func theLinuxSideSeesZeroForEver(deadline: Deadline, nanoseconds: UInt64) {
        #expect(deadline.monotonicNanoseconds == nanoseconds)
    }

    @Test func deadlinesPass() {
        #expect(Deadline.immediate.hasPassed(monotonicNow: 0))
        #expect(!Deadline.never.hasPassed(monotonicNow: .max))
        #expect(!Deadline.at(10).hasPassed(monotonicNow: 9))
        #expect(Deadline.at(10).hasPassed(monotonicNow: 10))
    }

    @Test(arguments: [
        (Int64(0), Int64(0), NTTime.unixEpoch.ticks), (1, 0, NTTime.unixEpoch.ticks + 10_000_000),
        (0, 199, NTTime.unixEpoch.ticks + 1), (-11_644_473_600, 0, 0), (.max, 0, .max), (.min, 0, Int64.min + NTTime.unixEpoch.ticks),
    ])
    func unixTimeConverts(seconds: Int64, nanoseconds: Int64, ticks: Int64) {
        #expect(NTTime(unixSeconds: seconds, nanoseconds: nanoseconds).ticks == ticks)
    }
}
