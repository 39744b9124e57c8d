// Sections of the native host: memory that processes can map.
//
// A section without a file is a memory file that neither shrinks nor grows, so a mapping of it never loses its pages whatever the
// other processes do; its pages come into being when they are touched, whether it was made with SEC_COMMIT or SEC_RESERVE. A
// section over a file maps that file, with what Linux does when somebody cuts it short: the program meets SIGBUS. NT would refuse
// to cut it; Linux cannot. Views of a program are its own business; the library reads them only through CallerMemory.

import Glibc
import LinuxSystem
import NTTypes

/// What pages of a section or view allow. NT: PAGE_*.
public struct PageProtection: Equatable, Sendable {
    public let rawValue: UInt32
    public let reads: Bool, writes: Bool, copies: Bool, executes: Bool

    /// - Throws: `invalidPageProtection` for anything but exactly one of the eight.
    public init(_ rawValue: UInt32) throws(NTStatus) {
        guard [1, 2, 4, 8, 0x10, 0x20, 0x40, 0x80].contains(rawValue) else { throw .invalidPageProtection }
        self.rawValue = rawValue
        reads = rawValue & 0xFE != 0
        writes = rawValue & 0x44 != 0
        copies = rawValue & 0x88 != 0
        executes = rawValue & 0xF0 != 0
    }

    private init(executable: Bool, writable: Bool) {
        rawValue = writable ? (executable ? 0x40 : 0x04) : (executable ? 0x20 : 0x02)
        (reads, writes, copies, executes) = (true, writable, false, executable)
    }

    public static let readWrite = PageProtection(executable: false, writable: true)
    static let executeReadWrite = PageProtection(executable: true, writable: true)
    static let executeRead = PageProtection(executable: true, writable: false)

    /// Whether views with `view` may be made of a section with this protection. Copies are always possible where reading is. [D]
    func allows(_ view: PageProtection) -> Bool {
        (!view.writes || writes) && (!view.executes || executes)
    }

    /// The rights to a section that a view needs. [D]
    public var neededAccess: UInt32 {
        (reads ? 0x4 : 0) | (writes ? 0x2 : 0) | (executes ? 0x8 : 0)
    }

    var linux: Int32 {
        (reads ? PROT_READ : PROT_NONE) | (writes || copies ? PROT_WRITE : 0) | (executes ? PROT_EXEC : 0)
    }
}

/// An NT section object.
public final class Section: KernelObject, @unchecked Sendable {
    /// The memory file or the file.
    public let file: Descriptor
    /// In bytes. Whole pages, but for a file's.
    public let size: UInt64
    public let protection: PageProtection
    /// SEC_*, as NtQuerySection tells them.
    public let attributes: UInt32

    static let fileAttribute: UInt32 = 0x0080_0000  // SEC_FILE
    static let commitAttribute: UInt32 = 0x0800_0000 // SEC_COMMIT
    /// More than a process can map.
    static let largestSize: UInt64 = 1 << 46
    /// Views begin at multiples of this, in the section and in memory. NT's allocation granularity.
    public static let granularity = 0x1_0000

    private init(file: Descriptor, size: UInt64, protection: PageProtection, attributes: UInt32) {
        self.file = file
        self.size = size
        self.protection = protection
        self.attributes = attributes
        super.init(kind: .section)
    }

    /// A section of memory.
    /// - Throws: `sectionTooBig`, `insufficientResources`.
    public static func make(size: UInt64, protection: PageProtection = .readWrite, attributes: UInt32 = 0) throws(NTStatus) -> Section {
        guard size <= largestSize else { throw .sectionTooBig }
        let whole = (size + UInt64(Mapping.page - 1)) & ~UInt64(Mapping.page - 1)
        do throws(Errno) {
            let file = try MemoryFile.make(name: "ntlpc-section", count: whole)
            return Section(file: file, size: whole, protection: protection, attributes: attributes)
        } catch {
            throw NTStatus(error)
        }
    }

    /// A section over a file, which becomes longer if `size` is and the section can be written.
    /// - Parameter size: 0 for the file's.
    /// - Throws: `invalidFileForSection` for what cannot be mapped; `mappedFileSizeZero`; `sectionTooBig`.
    public static func make(over file: FileObject, size: UInt64, protection: PageProtection, attributes: UInt32) throws(NTStatus) -> Section {
        let descriptor: Descriptor
        do throws(Errno) { descriptor = try file.descriptor.duplicated() } catch { throw NTStatus(error) }
        let length = try fileSize(descriptor)
        guard size > 0 || length > 0 else { throw .mappedFileSizeZero }
        if size > length {
            guard protection.writes, size <= largestSize, ftruncate(descriptor.rawValue, off_t(size)) == 0 else { throw .sectionTooBig }
        }
        return Section(file: descriptor, size: size == 0 ? length : size, protection: protection, attributes: attributes | fileAttribute)
    }

    /// A section behind a descriptor of another process, which may be hostile: a memory file is made to keep its size.
    /// - Parameter access: the rights that its handle is to grant.
    /// - Throws: `objectTypeMismatch` for anything that is no file, or a memory file that may shrink; `accessDenied` for rights that the
    ///   open file does not allow.
    static func adopt(_ descriptor: Descriptor, access: UInt32) throws(NTStatus) -> Section {
        let mode: (reads: Bool, writes: Bool), kind: DescriptorKind
        do throws(Errno) {
            kind = try DescriptorKind(descriptor)
            mode = try descriptor.mode
        } catch {
            throw .notSupported
        }
        guard mode.reads else { throw .objectTypeMismatch }
        guard mode.writes || access & 0x2 == 0 else { throw .accessDenied }
        if kind == .memory {
            do throws(Errno) { try descriptor.keepSize() } catch { throw .objectTypeMismatch }
        }
        guard let size = MemoryFile.size(of: descriptor), size > 0, size <= largestSize else { throw .objectTypeMismatch }
        return Section(
            file: descriptor, size: size, protection: mode.writes ? .executeReadWrite : .executeRead,
            attributes: kind == .memory ? commitAttribute : fileAttribute)
    }

    private static func fileSize(_ file: Descriptor) throws(NTStatus) -> UInt64 {
        var status = stat()
        guard fstat(file.rawValue, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { throw .invalidFileForSection }
        return UInt64(max(0, status.st_size))
    }

    /// A descriptor that other processes can map as far as `access` goes.
    func descriptor(for access: UInt32) throws(NTStatus) -> Descriptor {
        let mode: (reads: Bool, writes: Bool)
        do throws(Errno) { mode = try file.mode } catch { throw NTStatus(error) }
        return try FileObject.limit(file, to: (true, access & 0x2 != 0), has: mode)
    }

    // MARK: Views

    /// Maps a view and enters it among the process's.
    /// - Parameters:
    ///   - count: 0 for all behind `offset`. The answer is in whole pages.
    ///   - address: nil for anywhere.
    ///   - limit: no byte of it may lie at or above.
    ///   - forChildren: whether the child of a fork has it too.
    /// - Throws: `mappedAlignment` for an offset or address that is no multiple of 64 KiB; `invalidViewSize` for a view that the
    ///   section does not hold; `sectionProtection` for more than the section allows; `conflictingAddresses` when something is mapped
    ///   there; `noMemory`; `accessDenied` when the file cannot be mapped so (a file system without execution).
    public func mapView(
        offset: UInt64, count: UInt64, protection view: PageProtection, at address: UInt? = nil, limit: UInt = .max, forChildren: Bool = false
    ) throws(NTStatus) -> MappedView {
        let granularity = UInt64(Section.granularity)
        guard offset % granularity == 0, UInt64(address ?? 0) % granularity == 0 else { throw .mappedAlignment }
        guard offset < size, count <= size - offset || count <= wholePages(size - offset) else { throw .invalidViewSize }
        guard protection.allows(view) else { throw .sectionProtection }
        let room = wholePages(count == 0 ? size - offset : count)
        guard let length = Int(exactly: room) else { throw .invalidViewSize }
        let base: UnsafeMutableRawPointer
        do throws(Errno) {
            base = try Mapping.map(
                file, offset: offset, count: length, protection: view.linux, flags: view.copies ? MAP_PRIVATE : MAP_SHARED, at: address,
                alignment: Section.granularity, limit: limit, forChildren: forChildren)
        } catch {
            switch error {
            case .exists: throw .conflictingAddresses
            case .noMemory: throw .noMemory
            default: throw NTStatus(error)
            }
        }
        let place = UInt(bitPattern: base)
        return MappedViews.add(base: base, count: length) { Mapping.unmap(UnsafeMutableRawPointer(bitPattern: place)!, count: length) }
    }

    private func wholePages(_ count: UInt64) -> UInt64 { (count + UInt64(Mapping.page - 1)) & ~UInt64(Mapping.page - 1) }

    public override func describe() -> String { "\(super.describe()) size=\(size) attributes=0x\(String(attributes, radix: 16))" }
}
