// One side of a fence pays for both.
//
// A handle lookup publishes "I use this object" and then looks whether the handle is still open; a close marks the handle and
// then looks who uses the object. Each needs its store to be seen before its load. Lookups are millions to one close, so the
// lookup gets by with program order and the close asks the kernel (membarrier) to run a full fence on every processor
// that runs a thread of this process. Where the kernel refuses, lookups run a fence of their own.
//
// Source: Linux, membarrier(2), MEMBARRIER_CMD_PRIVATE_EXPEDITED.

import CLinuxShims
import Glibc
import Synchronization

/// The two sides of the asymmetric fence.
enum AsymmetricFence {
    /// 1 once the kernel has agreed to do the work. Until then, and where it refuses, the light side is a full fence.
    private static let registered = Atomic<UInt32>(0)

    /// Asks the kernel. Done when the table gets its first handle, in the child of a fork again.
    static func register() {
        // ORDER: relaxed. A thread that still sees 0 runs the stronger fence.
        if ntlpc_membarrier_register() == 0 { registered.store(1, ordering: .relaxed) }
    }

    /// Between the store and the load of the frequent side.
    ///
    /// With the kernel's help nothing is needed but program order, and that the compiler keeps: it moves no acquiring load
    /// over a releasing store that comes earlier in the text.
    @inline(__always)
    static func light() {
        if registered.load(ordering: .relaxed) == 0 { atomicMemoryFence(ordering: .sequentiallyConsistent) }
    }

    /// Between the store and the load of the rare side: afterwards every other thread either has its store visible here or
    /// will see ours.
    static func heavy() {
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        while registered.load(ordering: .relaxed) != 0 {
            let result = ntlpc_membarrier()
            if result == 0 { return }
            // The kernel may be out of memory for its processor mask: that passes. Any other refusal is for good.
            if result != -ENOMEM { giveUp() }
        }
    }

    /// Goes on without the kernel: it refuses now what it granted (a sandbox that was entered since).
    ///
    /// Threads that are between their store and their load at this moment have run no fence. A processor's store reaches memory
    /// within microseconds, so a millisecond later every such store can be seen, and all later ones are fenced.
    static func giveUp() {
        registered.store(0, ordering: .sequentiallyConsistent)
        ntlpc_sleep_ns(1_000_000)
        atomicMemoryFence(ordering: .sequentiallyConsistent)
    }
}
