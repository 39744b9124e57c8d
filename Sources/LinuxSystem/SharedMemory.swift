// Memory files that two processes map. The maker seals the size, so that neither side can take pages away from the other.

import CLinuxShims
import Glibc

/// A mapping of a sealed memory file. Unmapped when the last reference goes; absent in the child of a fork.
public final class SharedMemory: @unchecked Sendable {
    public let base: UnsafeMutableRawPointer
    public let count: Int

    private init(base: UnsafeMutableRawPointer, count: Int) {
        self.base = base
        self.count = count
    }

    deinit { munmap(base, count) }

    /// Makes a memory file of `count` bytes that can neither shrink nor grow, and maps it.
    public static func make(name: String, count: Int) throws(Errno) -> (memory: SharedMemory, file: Descriptor) {
        let file = Descriptor(owning: try check(name.withCString { ntlpc_memfd_create($0) }))
        if ftruncate(file.rawValue, off_t(count)) != 0 { throw .current }
        try check(ntlpc_memfd_seal(file.rawValue))
        return (try map(file, count: count), file)
    }

    /// Maps a file that came from another process.
    /// - Throws: `badMessage` when it is no sealed memory file of exactly `count` bytes.
    public static func adopt(_ file: Descriptor, count: Int) throws(Errno) -> SharedMemory {
        guard ntlpc_memfd_is_sealed(file.rawValue) == 1 else { throw .badMessage }
        var status = stat()
        guard fstat(file.rawValue, &status) == 0, status.st_size == off_t(count) else { throw .badMessage }
        return try map(file, count: count)
    }

    private static func map(_ file: Descriptor, count: Int) throws(Errno) -> SharedMemory {
        let base = mmap(nil, count, PROT_READ | PROT_WRITE, MAP_SHARED, file.rawValue, 0)
        guard let base, base != UnsafeMutableRawPointer(bitPattern: -1) else { throw .current }
        madvise(base, count, MADV_DONTFORK)
        return SharedMemory(base: base, count: count)
    }
}
