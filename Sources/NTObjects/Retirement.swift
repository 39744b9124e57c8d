// Objects that lost their last handle, until the last lookup is out of them. Steps (B) to (D) and (5) of HandleTable.swift.
//
// A lookup that leaves has to know whether somebody waits for it. One word tells: each retired object sets the bit that its
// address hashes to. Only a hit looks at the list itself.

import CLinuxShims
import LinuxSystem
import Synchronization

/// The table's references to objects without handles.
enum Retirement {
    /// Bits of the objects on the list. Changed under the list's lock.
    private static let filter = Atomic<UInt64>(0)

    /// The bit of an object. Its address is a multiple of 16; the multiplier spreads the rest.
    @inline(__always)
    private static func bit(_ object: UInt) -> UInt64 {
        1 << ((UInt64(object >> 4) &* 0x9E37_79B9_7F4A_7C15) >> 58)
    }

    /// Gives up the table's reference: at once if no thread uses the object, else when the last one is out of it.
    static func retire(_ object: Unmanaged<KernelObject>) {
        let address = UInt(bitPattern: object.toOpaque())
        let free = ObjectContext.shared.retired.withLock { list in
            list.append(address)
            return sweepLocked(&list)
        }
        free.forEach(releaseReference)
    }

    /// A lookup of `object` has cleared its hazard; the object may be gone already.
    @inline(__always)
    static func readerLeft(_ object: UInt) {
        AsymmetricFence.light()
        // ORDER: acquire, so that it stays behind the store of the hazard.
        if filter.load(ordering: .acquiring) & bit(object) != 0 { sweep(for: object) }
    }

    @inline(never)
    private static func sweep(for object: UInt) {
        let free = ObjectContext.shared.retired.withLock { list in list.contains(object) ? sweepLocked(&list) : [] }
        free.forEach(releaseReference)
    }

    /// Takes the objects that no thread uses off the list. The lock is kept over the fence, so a reader that leaves meanwhile
    /// waits for it and then sees what this sweep has left.
    private static func sweepLocked(_ list: inout [UInt]) -> [UInt] {
        filter.store(list.reduce(0) { $0 | bit($1) }, ordering: .releasing)
        AsymmetricFence.heavy()
        var hazards: [UInt] = []
        withUnsafeMutablePointer(to: &hazards) { pointer in
            ntlpc_thread_each({ thread, context in
                let hazards = context!.assumingMemoryBound(to: [UInt].self)
                for word in [ntlpc_thread_hazard(thread), ntlpc_thread_hazard2(thread)] {
                    // Step (C). ORDER: acquire. Pairs with the release stores in `HandleTable.acquire` and `release`.
                    let object = atomic(word).pointee.load(ordering: .acquiring)
                    if object != 0 { hazards.pointee.append(object) }
                }
            }, pointer)
        }
        let free = list.filter { !hazards.contains($0) }
        if free.isEmpty { return [] }
        list.removeAll { !hazards.contains($0) }
        filter.store(list.reduce(0) { $0 | bit($1) }, ordering: .releasing)
        return free
    }

    private static func releaseReference(_ address: UInt) {
        Unmanaged<KernelObject>.fromOpaque(UnsafeRawPointer(bitPattern: address)!).release()
    }

    /// In the child of a fork.
    static func forgetAll() { filter.store(0, ordering: .relaxed) }
}
