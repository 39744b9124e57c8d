// Security contexts of a client port, and the capture of the SECURITY attribute that names one.

import CNTTypes
import NTObjects
import NTTypes
import Ports

/// Captures of ALPC_SECURITY_ATTR.
enum SecurityAttributeCapture {
    /// - Parameter always: the quality of service is read, if there is one; otherwise only for a context that is to be made, because the
    ///   attribute of one that exists may hold an old pointer.
    /// - Throws: `accessViolation`; `invalidParameter` (a tracking mode other than 0 and 1), `badImpersonationLevel` ([R] NW-S).
    static func read(_ pointer: UnsafeRawPointer?, qualityAlways always: Bool) throws(NTStatus) -> SentSecurity {
        let captured = try CallerMemory.read(pointer, as: ALPC_SECURITY_ATTR.self)
        var sent = SentSecurity(flags: captured.Flags, qos: nil, context: UInt64(UInt(bitPattern: captured.ContextHandle)))
        if let quality = captured.QoS, always || sent.makesContext { sent.qos = try SecurityQualityOfService(try CallerMemory.read(quality)) }
        return sent
    }

    /// The record's place in a buffer of attributes: it comes first, whatever else is allocated.
    static func place(in base: UnsafeRawPointer) -> UnsafeRawPointer { base + MessageAttributes.headerLength }

    /// Where a new context's value goes.
    static func handlePlace(_ record: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
        record + MemoryLayout<ALPC_SECURITY_ATTR>.offset(of: \.ContextHandle)!
    }

    static func handlePlace(in attributes: PALPC_MESSAGE_ATTRIBUTES) -> UnsafeMutableRawPointer {
        handlePlace(UnsafeMutableRawPointer(attributes) + MessageAttributes.headerLength)
    }
}

/// Captures the caller's identity under a quality of service, for messages that name the context in their SECURITY attribute.
///
/// `SecurityAttribute.ContextHandle` receives the context; QoS NULL stands for that of the port ([I]). Statuses, in the order of the checks:
/// `INVALID_PARAMETER` (Flags not 0: [D] PHNT, [R]), `ACCESS_VIOLATION`, `INVALID_PARAMETER` (unknown flags in the attribute, or the one that deletes
/// [I]; a tracking mode other than 0 and 1), `BAD_IMPERSONATION_LEVEL`, `INVALID_HANDLE`, `OBJECT_TYPE_MISMATCH`, `LPC_INVALID_CONNECTION_USAGE` (no
/// client communication port [I]), `INSUFFICIENT_RESOURCES`. Source: behaviour reference 8.15.
@c @implementation
public func NtAlpcCreateSecurityContext(_ PortHandle: HANDLE?, _ Flags: ULONG, _ SecurityAttribute: PALPC_SECURITY_ATTR?) -> NTSTATUS {
    statusBoundary("NtAlpcCreateSecurityContext") { () throws(NTStatus) -> NTStatus in
        guard Flags == 0 else { throw .invalidParameter }
        let attribute = try SecurityAttributeCapture.read(UnsafeRawPointer(SecurityAttribute), qualityAlways: true)
        let allowed = SecurityFlags.createHandle | SecurityFlags.noSectionHandle
        guard attribute.flags & ~allowed == 0, let SecurityAttribute else { throw .invalidParameter }
        let place = SecurityAttributeCapture.handlePlace(UnsafeMutableRawPointer(SecurityAttribute))
        try CallerMemory.probeWrite(place, count: MemoryLayout<ALPC_HANDLE?>.size)
        try HandleTable.withObject(PortHandle, kind: .port) { (port: ALPCPort) throws(NTStatus) in
            let value = try port.createSecurityContext(attribute.qos)
            do throws(NTStatus) {
                try CallerMemory.write(ALPC_HANDLE(bitPattern: UInt(value)), to: place)
            } catch {
                try port.deleteSecurityContext(UInt64(value))
                throw error
            }
        }
        return .success
    }
}

/// Lets no new message be sent under a context; messages under way keep it ([W] RLI-T; [I]).
///
/// Statuses: `INVALID_PARAMETER` (Flags not 0), `INVALID_HANDLE` (port or context), `OBJECT_TYPE_MISMATCH`, `ACCESS_DENIED` (a context of the other
/// endpoint: [R] RLI-K, NW-S). Source: behaviour reference 8.15.
@c @implementation
public func NtAlpcRevokeSecurityContext(_ PortHandle: HANDLE?, _ Flags: ULONG, _ ContextHandle: ALPC_HANDLE?) -> NTSTATUS {
    statusBoundary("NtAlpcRevokeSecurityContext") { () throws(NTStatus) -> NTStatus in
        guard Flags == 0 else { throw .invalidParameter }
        try HandleTable.withObject(PortHandle, kind: .port) { (port: ALPCPort) throws(NTStatus) in
            try port.revokeSecurityContext(UInt64(UInt(bitPattern: ContextHandle)))
        }
        return .success
    }
}

/// Ends a context. Statuses: as NtAlpcRevokeSecurityContext. Source: behaviour reference 8.15 ([W] RLI-T).
@c @implementation
public func NtAlpcDeleteSecurityContext(_ PortHandle: HANDLE?, _ Flags: ULONG, _ ContextHandle: ALPC_HANDLE?) -> NTSTATUS {
    statusBoundary("NtAlpcDeleteSecurityContext") { () throws(NTStatus) -> NTStatus in
        guard Flags == 0 else { throw .invalidParameter }
        try HandleTable.withObject(PortHandle, kind: .port) { (port: ALPCPort) throws(NTStatus) in
            try port.deleteSecurityContext(UInt64(UInt(bitPattern: ContextHandle)))
        }
        return .success
    }
}
