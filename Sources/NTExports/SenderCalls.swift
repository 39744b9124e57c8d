// Opening the process or thread that sent a received message.

import CNTTypes
import NTObjects
import NTTypes
import Ports

/// Opens the process that sent a received message; for a datagram too, which leaves nothing else behind ([W] RLI-T).
///
/// Of Flags only the two top bits count; 0x80000000 says that `PortMessage` has the 32-bit form ([D] PHNT). ObjectAttributes must be there
/// and have no name. Statuses, in the order of the checks: `ACCESS_VIOLATION`, `INVALID_PARAMETER` (object attributes), `INVALID_PARAMETER_MIX` (a name:
/// [R] NW-S), `INVALID_HANDLE`, `OBJECT_TYPE_MISMATCH`, `INVALID_MESSAGE` (disputed point 25), `REQUEST_CANCELED`, `ACCESS_DENIED` (another port's
/// message), `INVALID_CID` (the header's process is not the sender: [R] NW-S; the sender is gone), `NOT_SUPPORTED` (a process of another
/// world that this host has no handles for), and the host's answer to DesiredAccess. Source: behaviour reference 8.11.
@c @implementation
public func NtAlpcOpenSenderProcess(_ ProcessHandle: PHANDLE?, _ PortHandle: HANDLE?, _ PortMessage: PPORT_MESSAGE?, _ Flags: ULONG,
                                    _ DesiredAccess: ACCESS_MASK, _ ObjectAttributes: POBJECT_ATTRIBUTES?) -> NTSTATUS {
    statusBoundary("NtAlpcOpenSenderProcess") { () throws(NTStatus) -> NTStatus in
        let narrow = Flags & ULONG(ALPC_PORTFLG_WOW64_STYLE_HEADER) != 0
        let header = narrow ? try MessageCapture.narrowHeader(at: PortMessage) : try MessageCapture.header(at: PortMessage)
        return try openSender(ProcessHandle, PortHandle, ObjectAttributes) { (port, attributes) throws(NTStatus) in
            try port.openSenderProcess(header, access: DesiredAccess, attributes: attributes)
        }
    }
}

/// Opens the thread that sent a received message and waits for its answer.
///
/// Statuses: `INVALID_PARAMETER` (Flags not 0 [I]), those of NtAlpcOpenSenderProcess, and `ACCESS_DENIED` when the sender does not wait
/// (asynchronous requests, datagrams: [W] RLI-T) or the header names another thread ([R] NW-S). Source: behaviour reference 8.11.
@c @implementation
public func NtAlpcOpenSenderThread(_ ThreadHandle: PHANDLE?, _ PortHandle: HANDLE?, _ PortMessage: PPORT_MESSAGE?, _ Flags: ULONG,
                                   _ DesiredAccess: ACCESS_MASK, _ ObjectAttributes: POBJECT_ATTRIBUTES?) -> NTSTATUS {
    statusBoundary("NtAlpcOpenSenderThread") { () throws(NTStatus) -> NTStatus in
        guard Flags == 0 else { throw .invalidParameter }
        let header = try MessageCapture.header(at: PortMessage)
        return try openSender(ThreadHandle, PortHandle, ObjectAttributes) { (port, attributes) throws(NTStatus) in
            try port.openSenderThread(header, access: DesiredAccess, attributes: attributes)
        }
    }
}

/// Object attributes without a name, the handle of the port, and the way of the new handle to the caller.
private func openSender(_ result: PHANDLE?, _ port: HANDLE?, _ objectAttributes: POBJECT_ATTRIBUTES?,
                        _ open: (ALPCPort, UInt32) throws(NTStatus) -> HANDLE) throws(NTStatus) -> NTStatus {
    let captured = try CallerMemory.read(objectAttributes)
    guard captured.Length == ULONG(MemoryLayout<OBJECT_ATTRIBUTES>.size) else { throw .invalidParameter }
    // Any name, an empty one too; nothing behind the pointer is looked at.
    guard captured.ObjectName == nil else { throw .invalidParameterMix }
    let attributes = try CapturedObjectAttributes.checked(captured.Attributes)
    try CallerMemory.probeWrite(result)
    return try HandleTable.withObject(port, kind: .port) { (port: ALPCPort) throws(NTStatus) -> NTStatus in
        let handle = try open(port, attributes)
        do throws(NTStatus) {
            try CallerMemory.write(HANDLE?.some(handle), to: result)
        } catch {
            Host.closeObject(handle)
            throw error
        }
        return .success
    }
}
