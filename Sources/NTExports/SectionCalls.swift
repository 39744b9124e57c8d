// Sections of a port and views of them: memory that goes with messages instead of bytes that are copied.

import CNTTypes
import NTObjects
import NTTypes
import Ports

private let secureSection: ULONG = 0x4_0000     // ALPC_CREATEPORTSECTIONFLG_SECURE

/// Makes a section of the port: of fresh memory, or over a section object of the caller's.
///
/// Any kind of port has sections ([W] RLI-T). `*ActualSectionSize` is the size in whole 64 KiB ([W] RLI-T: 1 gives 0x10000), of a
/// caller's section in whole pages. `*AlpcSectionHandle` is a value of the port's own table and no object handle ([D] PHNT).
/// Statuses: `INVALID_PARAMETER` (other flags than 0x40000; with it a section handle or size 0; size 0 without a handle),
/// `ACCESS_VIOLATION`, `INVALID_HANDLE`, `OBJECT_TYPE_MISMATCH`, `ACCESS_DENIED` (the section handle may not be mapped), `SECTION_TOO_BIG`,
/// `INSUFFICIENT_RESOURCES`. Source: behaviour reference 8.13 ([D] PHNT; [W] OVMM, NTOBJ, RLI-T).
@c @implementation
public func NtAlpcCreatePortSection(_ PortHandle: HANDLE?, _ Flags: ULONG, _ SectionHandle: HANDLE?, _ SectionSize: SIZE_T,
                                    _ AlpcSectionHandle: PALPC_HANDLE?, _ ActualSectionSize: PSIZE_T?) -> NTSTATUS {
    statusBoundary("NtAlpcCreatePortSection") { () throws(NTStatus) -> NTStatus in
        guard Flags & ~secureSection == 0 else { throw .invalidParameter }
        let isSecure = Flags & secureSection != 0
        if isSecure && SectionHandle != nil || SectionHandle == nil && SectionSize == 0 { throw .invalidParameter }
        try CallerMemory.probeWrite(AlpcSectionHandle)
        try CallerMemory.probeWrite(ActualSectionSize)
        return try HandleTable.withObject(PortHandle, kind: .port) { (port: ALPCPort) throws(NTStatus) -> NTStatus in
            let made = if SectionHandle != nil { try port.createSection(over: SectionHandle, size: UInt64(SectionSize)) } else {
                try port.createSection(size: UInt64(SectionSize), isSecure: isSecure)
            }
            do throws(NTStatus) {
                try CallerMemory.write(ALPC_HANDLE(bitPattern: UInt(made.handle)), to: UnsafeMutableRawPointer(AlpcSectionHandle))
                try CallerMemory.write(SIZE_T(made.size), to: ActualSectionSize)
            } catch {
                try port.deleteSection(UInt64(made.handle))
                throw error
            }
            return .success
        }
    }
}

/// Deletes a section. Its views stay until they are released, also one in a message under way ([W] OVMM).
///
/// Statuses: `INVALID_PARAMETER` (flags), `INVALID_HANDLE` (the port's, or a section that is none: [R]), `OBJECT_TYPE_MISMATCH`.
/// Source: behaviour reference 8.13.
@c @implementation
public func NtAlpcDeletePortSection(_ PortHandle: HANDLE?, _ Flags: ULONG, _ SectionHandle: ALPC_HANDLE?) -> NTSTATUS {
    statusBoundary("NtAlpcDeletePortSection") { () throws(NTStatus) -> NTStatus in
        guard Flags == 0 else { throw .invalidParameter }
        return try HandleTable.withObject(PortHandle, kind: .port) { (port: ALPCPort) throws(NTStatus) -> NTStatus in
            try port.deleteSection(UInt64(UInt(bitPattern: SectionHandle)))
            return .success
        }
    }
}

/// Maps a region of a section. In: SectionHandle, ViewSize, Flags; out: ViewBase and ViewSize in whole pages.
///
/// Views of one section do not overlap. Statuses: `INVALID_PARAMETER` (flags of the call, unknown flags in the attribute, ViewSize 0, a
/// ViewBase that is not 0), `ACCESS_VIOLATION`, `INVALID_HANDLE` (port, or section), `INVALID_VIEW_SIZE` (the section has no such region free: [I]),
/// `SECTION_TOO_BIG` (above the port's MaxViewSize: [I]), `NO_MEMORY`. Source: behaviour reference 8.13 ([D] PHNT; [W] OVMM, PFW).
@c @implementation
public func NtAlpcCreateSectionView(_ PortHandle: HANDLE?, _ Flags: ULONG, _ ViewAttributes: PALPC_DATA_VIEW_ATTR?) -> NTSTATUS {
    statusBoundary("NtAlpcCreateSectionView") { () throws(NTStatus) -> NTStatus in
        guard Flags == 0 else { throw .invalidParameter }
        var attributes = try CallerMemory.read(ViewAttributes)
        guard attributes.Flags & ~ViewFlags.all == 0, attributes.ViewBase == nil else { throw .invalidParameter }
        try CallerMemory.probeWrite(ViewAttributes)
        return try HandleTable.withObject(PortHandle, kind: .port) { (port: ALPCPort) throws(NTStatus) -> NTStatus in
            let view = try port.createView(section: UInt64(UInt(bitPattern: attributes.SectionHandle)), size: UInt64(attributes.ViewSize))
            attributes.ViewBase = UnsafeMutableRawPointer(bitPattern: view.base)
            attributes.ViewSize = SIZE_T(view.size)
            do throws(NTStatus) {
                try CallerMemory.write(attributes, to: ViewAttributes)
            } catch {
                try port.deleteView(view.base)
                throw error
            }
            return .success
        }
    }
}

/// Releases a view: one made on this port, or one that came with a message.
///
/// Statuses: `INVALID_PARAMETER` (flags; a base that is no view's: [R] RLI-K), `INVALID_HANDLE`, `OBJECT_TYPE_MISMATCH`.
/// Source: behaviour reference 8.13 ([W] LIBA, OVMM for success).
@c @implementation
public func NtAlpcDeleteSectionView(_ PortHandle: HANDLE?, _ Flags: ULONG, _ ViewBase: PVOID?) -> NTSTATUS {
    statusBoundary("NtAlpcDeleteSectionView") { () throws(NTStatus) -> NTStatus in
        guard Flags == 0 else { throw .invalidParameter }
        return try HandleTable.withObject(PortHandle, kind: .port) { (port: ALPCPort) throws(NTStatus) -> NTStatus in
            try port.deleteView(UInt(bitPattern: ViewBase))
            return .success
        }
    }
}
