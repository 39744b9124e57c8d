// NtAlpcCreateResourceReserve and NtAlpcDeleteResourceReserve.

import CNTTypes
import NTObjects
import NTTypes
import Ports

/// Sets resources for one message of up to MessageSize bytes aside. The id stands in for MessageId 0 in a send.
///
/// Statuses, in the order of the checks: `INVALID_PARAMETER` (flags; MessageSize below 40), `BUFFER_OVERFLOW` (above 0xFFD7),
/// `ACCESS_VIOLATION`, `INVALID_HANDLE`, `OBJECT_TYPE_MISMATCH`, `INSUFFICIENT_RESOURCES` (4096 reserves). ResourceId is 4 bytes and is
/// written on success only. Source: behaviour reference 8.14 ([W] RLI-T, AA-W).
@c @implementation
public func NtAlpcCreateResourceReserve(_ PortHandle: HANDLE?, _ Flags: ULONG, _ MessageSize: SIZE_T, _ ResourceId: PULONG?) -> NTSTATUS {
    statusBoundary("NtAlpcCreateResourceReserve") { () throws(NTStatus) -> NTStatus in
        guard Flags == 0 else { throw .invalidParameter }
        try ALPCPort.reserveSize(UInt(MessageSize))
        try CallerMemory.probeWrite(ResourceId)
        return try HandleTable.withObject(PortHandle, kind: .port) { (port: ALPCPort) throws(NTStatus) -> NTStatus in
            let id = try port.createReserve(messageSize: UInt(MessageSize))
            do throws(NTStatus) {
                try CallerMemory.write(id, to: ResourceId)
            } catch {
                try port.deleteReserve(id)
                throw error
            }
            return .success
        }
    }
}

/// Gives a reserve back. `INVALID_PARAMETER` (flags), `INVALID_HANDLE` (port; unknown id, also the second time),
/// `OBJECT_TYPE_MISMATCH`. A message that was sent with it lives on ([I]). Source: behaviour reference 8.14 ([W] AA-W).
@c @implementation
public func NtAlpcDeleteResourceReserve(_ PortHandle: HANDLE?, _ Flags: ULONG, _ ResourceId: ULONG) -> NTSTATUS {
    statusBoundary("NtAlpcDeleteResourceReserve") { () throws(NTStatus) -> NTStatus in
        guard Flags == 0 else { throw .invalidParameter }
        return try HandleTable.withObject(PortHandle, kind: .port) { (port: ALPCPort) throws(NTStatus) -> NTStatus in
            try port.deleteReserve(ResourceId)
            return .success
        }
    }
}
