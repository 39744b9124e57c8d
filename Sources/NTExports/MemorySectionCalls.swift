// Sections of the native host: NtCreateSection, NtMapViewOfSection, NtUnmapViewOfSection, NtQuerySection. See HandleCalls.swift for
// other hosts.

import CNTTypes
import Glibc
import NTObjects
import NTTypes

private enum SectionAttributes {
    static let image: ULONG = 0x0100_0000, reserve: ULONG = 0x0400_0000, commit: ULONG = 0x0800_0000
    static let noCache: ULONG = 0x1000_0000, writeCombine: ULONG = 0x4000_0000, largePages: ULONG = 0x8000_0000
    static let based: ULONG = 0x0020_0000, noChange: ULONG = 0x0040_0000
    static let known = image | reserve | commit | noCache | writeCombine | largePages | based | noChange
}

private let sectionQuery: UInt32 = 0x1 // SECTION_QUERY

/// Makes a section: of memory without `fileHandle`, else over that file.
///
/// SEC_COMMIT and SEC_RESERVE come to the same: pages come into being when they are touched. SEC_NOCACHE, SEC_WRITECOMBINE and
/// SEC_NO_CHANGE are accepted and have no effect. A section of memory is a whole number of pages. A file grows to `maximumSize` if it
/// is shorter and the section can be written. [D]
///
/// Statuses: STATUS_ACCESS_VIOLATION; STATUS_INVALID_PARAMETER_6 for unknown attributes and for other than one of SEC_COMMIT,
/// SEC_RESERVE, SEC_IMAGE [I]; STATUS_INVALID_PAGE_PROTECTION for other than one protection, and for PAGE_NOACCESS;
/// STATUS_NOT_SUPPORTED for SEC_IMAGE over a file, SEC_BASED, SEC_LARGE_PAGES and a name; STATUS_INVALID_FILE_FOR_SECTION for SEC_IMAGE
/// without file and for a file that is no regular one; STATUS_INVALID_PARAMETER_4 without file and size; STATUS_SECTION_TOO_BIG for a size
/// beyond 2^46, and beyond a file that is not to be written; STATUS_MAPPED_FILE_SIZE_ZERO for an empty file without size;
/// STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH, STATUS_ACCESS_DENIED for a file handle that does not grant what the protection
/// needs; STATUS_INSUFFICIENT_RESOURCES; and as ObjectAttributesCapture.swift says.
@c @implementation
public func NtCreateSection(
    _ sectionHandle: PHANDLE?, _ desiredAccess: ACCESS_MASK, _ objectAttributes: POBJECT_ATTRIBUTES?, _ maximumSize: PLARGE_INTEGER?,
    _ sectionPageProtection: ULONG, _ allocationAttributes: ULONG, _ fileHandle: HANDLE?
) -> NTSTATUS {
    statusBoundary("NtCreateSection") { () throws(NTStatus) -> NTStatus in
        try requireNativeHost()
        try CallerMemory.probeWrite(sectionHandle)
        let size = try CallerMemory.readIfPresent(maximumSize).map { UInt64(bitPattern: $0.QuadPart) } ?? 0
        let attributes = try CapturedObjectAttributes(objectAttributes)
        guard attributes.name == nil else { throw .notSupported }
        let protection = try validate(sectionPageProtection, allocationAttributes)
        guard allocationAttributes & SectionAttributes.image == 0 else { throw fileHandle == nil ? .invalidFileForSection : .notSupported }
        guard allocationAttributes & (SectionAttributes.based | SectionAttributes.largePages) == 0 else { throw .notSupported }

        let section: Section
        if let fileHandle {
            let needed = (protection.executes ? 0x20 : 0) | (protection.writes ? 0x3 : 0x1) as UInt32 // FILE_EXECUTE, FILE_READ_DATA, FILE_WRITE_DATA
            let file: FileObject = try HandleTable.object(fileHandle, kind: .file, access: needed)
            section = try Section.make(over: file, size: size, protection: protection, attributes: allocationAttributes)
        } else {
            guard size > 0 else { throw .invalidParameter4 }
            section = try Section.make(size: size, protection: protection, attributes: allocationAttributes)
        }
        var pending = try section.reserveHandle(
            access: ObjectKind.section.grantedAccess(desired: desiredAccess), attributes: attributes.attributes)
        try CallerMemory.write(pending.value, to: sectionHandle)
        pending.commit()
        return .success
    }
}

private func validate(_ protection: ULONG, _ attributes: ULONG) throws(NTStatus) -> PageProtection {
    let kind = attributes & (SectionAttributes.commit | SectionAttributes.reserve | SectionAttributes.image)
    guard attributes & ~SectionAttributes.known == 0, kind.nonzeroBitCount == 1 else { throw .invalidParameter6 }
    let page = try PageProtection(protection)
    guard page.reads else { throw .invalidPageProtection }
    return page
}

private enum ViewArguments {
    static let share = ViewShare, unmap = ViewUnmap
    /// MEM_RESERVE, MEM_TOP_DOWN: accepted and without effect.
    static let allocationTypes: ULONG = 0x0000_2000 | 0x0010_0000
    /// Where user memory ends.
    static let highestAddress: UInt = 0x7FFF_FFFF_0000
}

/// Maps a view of a section into the calling process.
///
/// `baseAddress`: 0 lets the system choose. `sectionOffset` may be NULL for 0. `viewSize`: 0 for all of the section behind the offset;
/// receives whole pages. Offsets and addresses are multiples of 64 KiB. ViewShare gives the child of a fork the view too. `zeroBits`
/// bounds the address as in NT: up to 21 leading zero bits of 32, or from 32 on a mask. [D]
///
/// Statuses: STATUS_INVALID_PARAMETER_8 for another inheritance; STATUS_INVALID_PARAMETER_9 for allocation types other than MEM_RESERVE
/// and MEM_TOP_DOWN; STATUS_INVALID_PARAMETER_4 for 22 to 31 zero bits; STATUS_INVALID_PAGE_PROTECTION; STATUS_ACCESS_VIOLATION;
/// STATUS_INVALID_PARAMETER_3 for an address beyond user memory; STATUS_INVALID_PARAMETER_5 for more to commit than the view;
/// STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH for either handle; STATUS_ACCESS_DENIED when the section handle does not grant what
/// the protection needs; STATUS_NOT_SUPPORTED for another process; STATUS_MAPPED_ALIGNMENT; STATUS_INVALID_VIEW_SIZE for a view that the
/// section does not hold; STATUS_SECTION_PROTECTION; STATUS_CONFLICTING_ADDRESSES; STATUS_NO_MEMORY.
@c @implementation
public func NtMapViewOfSection(
    _ sectionHandle: HANDLE?, _ processHandle: HANDLE?, _ baseAddress: UnsafeMutablePointer<PVOID?>?, _ zeroBits: ULONG_PTR,
    _ commitSize: SIZE_T, _ sectionOffset: PLARGE_INTEGER?, _ viewSize: PSIZE_T?, _ inheritDisposition: SECTION_INHERIT,
    _ allocationType: ULONG, _ win32Protect: ULONG
) -> NTSTATUS {
    statusBoundary("NtMapViewOfSection") { () throws(NTStatus) -> NTStatus in
        try requireNativeHost()
        guard inheritDisposition == ViewArguments.share || inheritDisposition == ViewArguments.unmap else { throw .invalidParameter8 }
        guard allocationType & ~ViewArguments.allocationTypes == 0 else { throw .invalidParameter9 }
        let limit = try limit(zeroBits: UInt(zeroBits))
        let protection = try PageProtection(win32Protect)
        let base = UInt(bitPattern: try CallerMemory.read(baseAddress))
        let size = UInt(try CallerMemory.read(viewSize))
        let offset = UInt64(bitPattern: try CallerMemory.readIfPresent(sectionOffset)?.QuadPart ?? 0)
        try CallerMemory.probeWrite(baseAddress)
        try CallerMemory.probeWrite(viewSize)
        if sectionOffset != nil { try CallerMemory.probeWrite(sectionOffset) }
        guard base <= ViewArguments.highestAddress, size <= ViewArguments.highestAddress - base else { throw .invalidParameter3 }
        guard size == 0 || UInt(commitSize) <= size else { throw .invalidParameter5 }
        try requireCurrentProcess(processHandle, access: 0x8) // PROCESS_VM_OPERATION

        let section: Section = try HandleTable.object(sectionHandle, kind: .section, access: protection.neededAccess)
        let view = try section.mapView(
            offset: offset, count: UInt64(size), protection: protection, at: base == 0 ? nil : base, limit: limit,
            forChildren: inheritDisposition == ViewArguments.share)
        do throws(NTStatus) {
            try CallerMemory.write(PVOID(bitPattern: view.base), to: baseAddress)
            try CallerMemory.write(SIZE_T(view.count), to: viewSize)
        } catch {
            try MappedViews.unmap(containing: view.base)
            throw error
        }
        return .success
    }
}

/// The first address that a view may not have, from NT's leading zero bits.
private func limit(zeroBits: UInt) throws(NTStatus) -> UInt {
    if zeroBits == 0 { return .max }
    if zeroBits <= 21 { return 1 << (32 - zeroBits) }
    guard zeroBits >= 32 else { throw .invalidParameter4 }
    // A mask: every bit below its highest one may be set in an address.
    return zeroBits.leadingZeroBitCount == 0 ? .max : 1 << (UInt(UInt.bitWidth) - UInt(zeroBits.leadingZeroBitCount))
}

/// Unmaps the view that `baseAddress` lies in, be it mapped by NtMapViewOfSection or by a port.
///
/// Statuses: STATUS_NOT_MAPPED_VIEW for an address in no view; STATUS_NOT_SUPPORTED for another process; STATUS_INVALID_HANDLE,
/// STATUS_OBJECT_TYPE_MISMATCH, STATUS_ACCESS_DENIED for the process handle.
@c @implementation
public func NtUnmapViewOfSection(_ processHandle: HANDLE?, _ baseAddress: PVOID?) -> NTSTATUS {
    statusBoundary("NtUnmapViewOfSection") { () throws(NTStatus) -> NTStatus in
        try requireNativeHost()
        try requireCurrentProcess(processHandle, access: 0x8)
        try MappedViews.unmap(containing: UInt(bitPattern: baseAddress))
        return .success
    }
}

/// Tells size and attributes of a section.
///
/// Statuses: STATUS_INVALID_INFO_CLASS; STATUS_INFO_LENGTH_MISMATCH below 24 bytes; STATUS_SECTION_NOT_IMAGE for SectionImageInformation;
/// STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH, STATUS_ACCESS_DENIED without SECTION_QUERY; STATUS_ACCESS_VIOLATION.
@c @implementation
public func NtQuerySection(
    _ sectionHandle: HANDLE?, _ sectionInformationClass: SECTION_INFORMATION_CLASS, _ sectionInformation: PVOID?,
    _ sectionInformationLength: SIZE_T, _ returnLength: PSIZE_T?
) -> NTSTATUS {
    statusBoundary("NtQuerySection") { () throws(NTStatus) -> NTStatus in
        try requireNativeHost()
        let size = MemoryLayout<SECTION_BASIC_INFORMATION>.size
        guard sectionInformationClass == SectionBasicInformation || sectionInformationClass == SectionImageInformation else { throw .invalidInfoClass }
        guard Int(clamping: sectionInformationLength) >= size || sectionInformationClass == SectionImageInformation else { throw .infoLengthMismatch }
        let section: Section = try HandleTable.object(sectionHandle, kind: .section, access: sectionQuery)
        guard sectionInformationClass == SectionBasicInformation else { throw .sectionNotImage }
        var information = SECTION_BASIC_INFORMATION()
        information.AllocationAttributes = section.attributes
        information.MaximumSize.QuadPart = Int64(section.size)
        try CallerMemory.write(information, to: sectionInformation)
        try CallerMemory.writeIfPresent(SIZE_T(size), to: returnLength)
        return .success
    }
}
