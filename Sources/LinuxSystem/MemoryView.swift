// Mappings of memory files that came with a descriptor: sections and views.

import CLinuxShims
import Glibc

/// What may be done through a mapping.
public enum MemoryAccess: Sendable {
    case read
    case readWrite
    /// Of a file that is sealed against writing, or is going to be.
    case readFinal

    var protection: Int32 { self == .readWrite ? PROT_READ | PROT_WRITE : PROT_READ }
    /// Linux before 6.7 counts a shared mapping of a writable descriptor as a writer, even one without the right to write. Of a file
    /// that does not change, a private mapping shows the same.
    var sharing: Int32 { self == .readFinal ? MAP_PRIVATE : MAP_SHARED }
}

/// A part of a file in memory; unmapped when the last reference goes.
public final class MemoryView: @unchecked Sendable {
    public let base: UnsafeMutableRawPointer
    public let count: Int

    /// Maps `count` bytes of `file` from `offset`, both multiples of the page size.
    /// - Throws: `invalidArgument`, `accessDenied` (the descriptor does not allow it), `noMemory`.
    public init(_ file: Descriptor, offset: UInt64, count: Int, access: MemoryAccess) throws(Errno) {
        guard count > 0, let where_ = off_t(exactly: offset) else { throw .invalidArgument }
        let mapped = mmap(nil, count, access.protection, access.sharing, file.rawValue, where_)
        guard let mapped, mapped != UnsafeMutableRawPointer(bitPattern: -1) else { throw .current }
        base = mapped
        self.count = count
    }

    deinit { munmap(base, count) }

    /// Takes the right to write away, in place and for good: afterwards the file can be sealed against writing.
    public func makeReadOnly(_ file: Descriptor, offset: UInt64) throws(Errno) {
        // A new mapping and not mprotect: one that could be made writable again counts as a writer of the file.
        let mapped = mmap(base, count, PROT_READ, MemoryAccess.readFinal.sharing | MAP_FIXED, file.rawValue, off_t(offset))
        guard mapped == base else { throw .current }
    }
}

extension MemoryFile {
    /// A file of `count` bytes that can neither shrink nor grow, and may be sealed against writing later.
    public static func makeSealable(name: String, count: Int) throws(Errno) -> Descriptor {
        let file = Descriptor(owning: try check(name.withCString { ntlpc_memfd_create($0) }))
        if ftruncate(file.rawValue, off_t(count)) != 0 { throw .current }
        guard fcntl(file.rawValue, addSeals, sealShrink | sealGrow) == 0 else { throw .current }
        return file
    }

    /// Nobody can write to the file from now on. Throws `busy` while somebody has it mapped for writing.
    public static func sealWrites(_ file: Descriptor) throws(Errno) {
        guard fcntl(file.rawValue, addSeals, sealWrite) == 0 else { throw .current }
    }

    public static func isSealedAgainstWrites(_ file: Descriptor) -> Bool { seals(file) & sealWrite != 0 }

    /// It is a memory file whose pages nobody can take away.
    public static func cannotShrink(_ file: Descriptor) -> Bool { seals(file) & sealShrink != 0 }

    private static func seals(_ file: Descriptor) -> Int32 {
        let found = fcntl(file.rawValue, getSeals, 0)
        return found < 0 ? 0 : found
    }

    /// Bytes of a regular or memory file, as the kernel knows it without asking a file system; nil for anything else.
    public static func size(of file: Descriptor) -> UInt64? { UInt64(exactly: ntlpc_regular_size(file.rawValue)) }

    // <linux/fcntl.h>
    private static let addSeals: Int32 = 1033, getSeals: Int32 = 1034
    private static let sealShrink: Int32 = 2, sealGrow: Int32 = 4, sealWrite: Int32 = 8

    /// `count` rounded up to whole pages; nil when that is no size.
    public static func pages(_ count: UInt64) -> UInt64? {
        let (sum, overflows) = count.addingReportingOverflow(UInt64(Mapping.page - 1))
        return overflows ? nil : sum & ~UInt64(Mapping.page - 1)
    }
}
