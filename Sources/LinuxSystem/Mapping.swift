// Memory files of any size, and mappings at aligned addresses.

import CLinuxShims
import Glibc

/// Files in memory that have no name.
public enum MemoryFile {
    /// Makes a file of `count` zero bytes that can neither shrink nor grow. Only its own user can open it anew.
    /// - Throws: `fileTooBig`, `noMemory`, `tooManyFiles`.
    public static func make(name: String, count: UInt64) throws(Errno) -> Descriptor {
        guard let length = off_t(exactly: count) else { throw .fileTooBig }
        let file = Descriptor(owning: try check(name.withCString { ntlpc_memfd_create($0) }))
        if ftruncate(file.rawValue, length) != 0 {
            let error = Errno.current
            throw error == .invalidArgument ? .fileTooBig : error
        }
        if fchmod(file.rawValue, 0o600) != 0 { throw .current }
        try check(ntlpc_memfd_seal(file.rawValue))
        return file
    }
}

/// Mappings that their owner unmaps.
public enum Mapping {
    public static let page = 4096

    /// Maps `count` bytes (a multiple of the page size) of `file`.
    /// - Parameters:
    ///   - protection, flags: of mmap: PROT_*, and MAP_SHARED or MAP_PRIVATE.
    ///   - address: where, a multiple of the page size; nil lets the kernel choose a multiple of `alignment`.
    ///   - limit: no byte may lie at or above it.
    ///   - forChildren: whether the child of a fork has the mapping too.
    /// - Throws: `exists` when something is mapped there; `noMemory`; `accessDenied`, `notPermitted` for what the file does not allow.
    public static func map(
        _ file: Descriptor, offset: UInt64, count: Int, protection: Int32, flags: Int32, at address: UInt? = nil, alignment: Int = page,
        limit: UInt = .max, forChildren: Bool
    ) throws(Errno) -> UnsafeMutableRawPointer {
        let base: UInt
        if let address {
            base = address
            let (end, wraps) = address.addingReportingOverflow(UInt(count))
            guard !wraps, end <= limit else { throw .noMemory }
            try reserve(count, at: address)
        } else {
            base = try reserve(count, alignment: alignment, limit: limit)
        }
        // The place is reserved, so nothing of anybody else's is replaced.
        let mapped = mmap(UnsafeMutableRawPointer(bitPattern: base), count, protection, flags | MAP_FIXED, file.rawValue, off_t(offset))
        guard let mapped, mapped != UnsafeMutableRawPointer(bitPattern: -1) else {
            let error = Errno.current
            munmap(UnsafeMutableRawPointer(bitPattern: base), count)
            throw error
        }
        if !forChildren { madvise(mapped, count, MADV_DONTFORK) }
        return mapped
    }

    public static func unmap(_ base: UnsafeMutableRawPointer, count: Int) { munmap(base, count) }

    /// Takes a place that must be free.
    private static func reserve(_ count: Int, at address: UInt) throws(Errno) {
        let fixedNoReplace: Int32 = 0x10_0000 // MAP_FIXED_NOREPLACE, Linux 4.17; before, the address is only a wish
        let found = mmap(UnsafeMutableRawPointer(bitPattern: address), count, PROT_NONE, reserving | fixedNoReplace, -1, 0)
        guard let found, found != UnsafeMutableRawPointer(bitPattern: -1) else { throw .current }
        if UInt(bitPattern: found) != address {
            munmap(found, count)
            throw .exists
        }
    }

    /// Takes a place at a multiple of `alignment`: more than is needed, and what is too much is given back.
    private static func reserve(_ count: Int, alignment: Int, limit: UInt) throws(Errno) -> UInt {
        let slack = alignment - page
        let (room, overflow) = count.addingReportingOverflow(slack)
        guard !overflow else { throw .noMemory }
        for wish in [0, Int32(MAP_32BIT)] {
            let found = mmap(nil, room, PROT_NONE, reserving | wish, -1, 0)
            guard let found, found != UnsafeMutableRawPointer(bitPattern: -1) else { throw .current }
            let start = UInt(bitPattern: found), base = (start + UInt(alignment - 1)) & ~UInt(alignment - 1)
            let before = Int(base - start), after = room - before - count
            if before > 0 { munmap(found, before) }
            if after > 0 { munmap(UnsafeMutableRawPointer(bitPattern: base + UInt(count)), after) }
            if base + UInt(count) <= limit { return base }
            munmap(UnsafeMutableRawPointer(bitPattern: base), count)
        }
        throw .noMemory
    }

    private static let reserving = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
}
