// NT time: 100 ns units, counted from 1601-01-01 UTC when absolute; and what a timeout means on a Linux clock.
//
// A timeout is a LARGE_INTEGER: negative is relative, positive is a time of day, 0 means look and do not wait, no pointer means
// wait for ever. A wait sleeps until a CLOCK_MONOTONIC deadline in nanoseconds, so a time of day becomes a distance at the
// start of the wait: a clock that is set during it does not move its end. Source: ABI reference section 14 [P].
// All arithmetic saturates: a timeout of Int64.min is a very long one, not a trap.

public struct NTTime: Equatable, Hashable, Comparable, Sendable {
    /// 100 ns units.
    public var ticks: Int64

    @inlinable public init(ticks: Int64) { self.ticks = ticks }

    @inlinable public static func < (left: NTTime, right: NTTime) -> Bool { left.ticks < right.ticks }

    public static let ticksPerSecond: Int64 = 10_000_000
    /// 1970-01-01 UTC.
    public static let unixEpoch = NTTime(ticks: 116_444_736_000_000_000)

    /// A time of day from Unix seconds and nanoseconds.
    public init(unixSeconds: Int64, nanoseconds: Int64) {
        let (seconds, overflow) = unixSeconds.multipliedReportingOverflow(by: NTTime.ticksPerSecond)
        let limit: Int64 = unixSeconds < 0 ? .min : .max
        let whole = overflow ? limit : seconds.addingSaturated(nanoseconds / 100)
        ticks = whole.addingSaturated(NTTime.unixEpoch.ticks)
    }
}

/// When a wait ends.
public enum Deadline: Equatable, Sendable {
    /// Now: look and do not wait.
    case immediate
    /// At this CLOCK_MONOTONIC time, in nanoseconds.
    case at(UInt64)
    case never

    /// - Parameters:
    ///   - timeout: as a program gives it, in 100 ns units; nil for a NULL pointer.
    ///   - monotonicNow: CLOCK_MONOTONIC, in nanoseconds.
    ///   - now: the time of day.
    /// A deadline that the monotonic clock cannot reach is `never`; one that has passed is `immediate`.
    @inlinable public init(timeout: Int64?, monotonicNow: UInt64, now: @autoclosure () -> NTTime) {
        guard let timeout else { self = .never; return }
        if timeout == 0 { self = .immediate; return }
        let ticks: UInt64
        if timeout < 0 {
            ticks = timeout.magnitude
        } else {
            // An absolute time before the clock's start cannot be: the difference of two positive numbers does not overflow.
            let difference = timeout.subtractingSaturated(now().ticks)
            if difference <= 0 { self = .immediate; return }
            ticks = UInt64(difference)
        }
        let (nanoseconds, tooLong) = ticks.multipliedReportingOverflow(by: 100)
        let (end, tooLate) = monotonicNow.addingReportingOverflow(nanoseconds)
        // Beyond a signed 64-bit count of nanoseconds (292 years) no clock call can sleep.
        self = tooLong || tooLate || end > UInt64(Int64.max) ? .never : .at(end)
    }

    /// The deadline as the Linux side takes it: 0 waits for ever, a time that has passed does not wait.
    @inlinable public var monotonicNanoseconds: UInt64 {
        switch self {
        case .immediate: 1
        case .at(let time): max(time, 1)
        case .never: 0
        }
    }

    @inlinable public func hasPassed(monotonicNow: UInt64) -> Bool {
        switch self {
        case .immediate: true
        case .at(let time): monotonicNow >= time
        case .never: false
        }
    }
}

extension Int64 {
    @inlinable func addingSaturated(_ other: Int64) -> Int64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? (other < 0 ? .min : .max) : sum
    }

    @inlinable func subtractingSaturated(_ other: Int64) -> Int64 {
        let (difference, overflow) = subtractingReportingOverflow(other)
        return overflow ? (other < 0 ? .max : .min) : difference
    }
}
