// Adaptive spinning before a thread blocks.
//
// A wake across processors costs tens of microseconds in a virtual machine; the answer often comes sooner. So a thread
// looks for a short while first, but only when the peer last ran on another processor (on the same one it cannot run while we
// look), with a budget of the observed wake time, and less and less often where looking does not help.

import CLinuxShims

/// How long a thread looks before it sleeps.
public enum Spin {
    /// NTLPC_SPIN is "always": threads look until their deadline, and never sleep for long.
    @inlinable
    @inline(__always)
    public static var isEndless: Bool { ntlpc_spin_setting() < 0 }

    /// True when the calling thread should look for news of a peer that last ran on `peerCPU` (plus one; 0 is unknown).
    @inlinable
    @inline(__always)
    public static func isWorthwhile(_ thread: UnsafeMutablePointer<ntlpc_thread>, peerCPU: UInt32) -> Bool {
        if ntlpc_spin_setting() <= 0 { return isEndless }
        if peerCPU == ntlpc_current_cpu() &+ 1 { return false }
        if thread.pointee.spin_skips > 0 {
            thread.pointee.spin_skips -= 1
            return false
        }
        return true
    }

    /// Looks until `found` or the budget is spent; true when found. A failure makes the next attempts rarer.
    @inlinable
    @inline(__always)
    public static func look(_ thread: UnsafeMutablePointer<ntlpc_thread>, deadline: UInt64, _ found: () -> Bool) -> Bool {
        // Most answers of a spinning peer come within these few looks; the clock is not read for them.
        for _ in 0..<64 {
            if found() {
                thread.pointee.spin_failures = 0
                return true
            }
            ntlpc_cpu_relax()
        }
        return lookByTheClock(thread, deadline: deadline, found)
    }

    @inlinable
    @inline(never)
    static func lookByTheClock(_ thread: UnsafeMutablePointer<ntlpc_thread>, deadline: UInt64, _ found: () -> Bool) -> Bool {
        let start = ntlpc_monotonic_ns()
        // Endless looking still looks at the world now and then: a peer may have died.
        var end = start &+ (isEndless ? 200_000_000 : UInt64(ntlpc_spin_setting()))
        if deadline != 0 { end = min(end, deadline) }
        while true {
            for _ in 0..<32 {
                if found() {
                    thread.pointee.spin_failures = 0
                    return true
                }
                ntlpc_cpu_relax()
            }
            if ntlpc_monotonic_ns() >= end { break }
        }
        if !isEndless {
            thread.pointee.spin_failures = min(thread.pointee.spin_failures + 1, 8)
            if thread.pointee.spin_failures >= 3 { thread.pointee.spin_skips = (1 << thread.pointee.spin_failures) - 1 }
        }
        return false
    }
}
