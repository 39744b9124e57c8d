// The LPC calls that ask or set something and move no message.

import CNTTypes
import Glibc
import NTObjects
import NTTypes
import Ports

/// Asks a port. No class returns data: a valid port gives `SUCCESS` with nothing written, whatever the class.
///
/// Statuses: `INVALID_INFO_CLASS` (NULL handle), `ACCESS_VIOLATION` (memory that could not be written), `INVALID_HANDLE`,
/// `OBJECT_TYPE_MISMATCH`. Source: behaviour reference 5.14 ([R] ROS-LPC). Real data: NtAlpcQueryInformation.
@c @implementation
public func NtQueryInformationPort(_ PortHandle: HANDLE?, _ PortInformationClass: PORT_INFORMATION_CLASS, _ PortInformation: PVOID?,
                                   _ Length: ULONG, _ ReturnLength: PULONG?) -> NTSTATUS {
    statusBoundary("NtQueryInformationPort") { () throws(NTStatus) -> NTStatus in
        if PortInformation != nil { try CallerMemory.probeWrite(PortInformation, count: Int(Length)) }
        if ReturnLength != nil { try CallerMemory.probeWrite(ReturnLength) }
        guard PortHandle != nil else { throw .invalidInfoClass }
        return try HandleTable.withObject(PortHandle, kind: .port) { (_: ALPCPort) throws(NTStatus) -> NTStatus in .success }
    }
}

/// Makes the port the one that hard errors go to: for the process here, where NT has one for the system.
///
/// Statuses, in the order of the checks: `PRIVILEGE_NOT_HELD` (only root acts as part of the system), `INVALID_HANDLE`,
/// `OBJECT_TYPE_MISMATCH`, `UNSUCCESSFUL` (there is one already; it cannot be changed) ([I]). Nothing of this library raises hard errors.
@c @implementation
public func NtSetDefaultHardErrorPort(_ DefaultHardErrorPort: HANDLE?) -> NTSTATUS {
    statusBoundary("NtSetDefaultHardErrorPort") { () throws(NTStatus) -> NTStatus in
        guard geteuid() == 0 else { throw .privilegeNotHeld }
        let port: ALPCPort = try HandleTable.object(DefaultHardErrorPort, kind: .port)
        try port.becomeHardErrorPort()
        return .success
    }
}

/// Returns the constant 1 ([R] ROS-LPC; [I] AA-T; behaviour reference 5.16).
@c @implementation
public func NtQueryPortInformationProcess() -> NTSTATUS {
    statusBoundary("NtQueryPortInformationProcess") { () throws(NTStatus) -> NTStatus in .wait1 }
}
