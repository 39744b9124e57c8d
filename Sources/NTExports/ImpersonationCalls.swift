// Acting for a client until the thread's token is taken away again (NtSetInformationThread with a NULL token). [D]

import CNTTypes
import NTObjects
import NTSecurity
import NTTypes
import Ports

/// Makes the calling thread act for the client that sent `Message`, at the level that the client allows.
///
/// `Flags` is a value: 1 falls back to anonymous for a client that allows nothing, 2 demands the level in bits 2 and 3. Message NULL
/// takes the static token of the connection, on a server communication port ([R] NW-S). The client's terms are those of the security context
/// that the message came under, else those of its connection ([B] WI6; [W] PFW, NTOBJ).
///
/// Statuses, in the order of the checks: `INVALID_PARAMETER` (other flags ([R] NW-S)), `ACCESS_VIOLATION`, `INVALID_HANDLE`,
/// `OBJECT_TYPE_MISMATCH`, `ACCESS_DENIED` (the connection port lacks flag 0x10000, or this is a client's port; before the message is looked
/// up: [W] RLI-T), `INVALID_MESSAGE` (unknown, not received, answered: [R] NW-S), `REQUEST_CANCELED` (given up by its sender), `ACCESS_DENIED` (another
/// port's message; one marked 0x4000; a client without consent or at a level below the required one: [W] CSK, [R] NW-S); without a message
/// `INVALID_PARAMETER` (on a connection port), `PORT_DISCONNECTED`, `NO_IMPERSONATION_TOKEN` (dynamic tracking) [I].
/// Source: behaviour reference 8.12, disputed point 8.
@c @implementation
public func NtAlpcImpersonateClientOfPort(_ PortHandle: HANDLE?, _ Message: PPORT_MESSAGE?, _ Flags: PVOID?) -> NTSTATUS {
    statusBoundary("NtAlpcImpersonateClientOfPort") { () throws(NTStatus) -> NTStatus in
        let request = try ImpersonationRequest(flags: UInt(bitPattern: Flags))
        var header: MessageHeader?
        if Message != nil { header = try MessageCapture.header(at: Message) }
        try HandleTable.withObject(PortHandle, kind: .port) { (port: ALPCPort) throws(NTStatus) in try port.impersonateClient(header, request) }
        return .success
    }
}

/// Takes the container of the client that sent `Message`. There is one container only, so success changes nothing.
///
/// Statuses: `INVALID_PARAMETER` (Flags not 0: [W?] AA-W), `ACCESS_VIOLATION`, `INVALID_HANDLE`, `OBJECT_TYPE_MISMATCH`, `ACCESS_DENIED` (a client's
/// port, another port's message), `INVALID_MESSAGE`, `REQUEST_CANCELED` [I]. Source: behaviour reference 8.12.
@c @implementation
public func NtAlpcImpersonateClientContainerOfPort(_ PortHandle: HANDLE?, _ Message: PPORT_MESSAGE?, _ Flags: ULONG) -> NTSTATUS {
    statusBoundary("NtAlpcImpersonateClientContainerOfPort") { () throws(NTStatus) -> NTStatus in
        guard Flags == 0 else { throw .invalidParameter }
        let header = try MessageCapture.header(at: Message)
        try HandleTable.withObject(PortHandle, kind: .port) { (port: ALPCPort) throws(NTStatus) in try port.enterClientContainer(header) }
        return .success
    }
}

/// The LPC form: `Message` is a request whose client still waits, `PortHandle` the server communication port that it came by.
///
/// Statuses, in the order of the checks: `ACCESS_VIOLATION`, `INVALID_HANDLE`, `OBJECT_TYPE_MISMATCH`, `INVALID_PORT_HANDLE` (any other port),
/// `ACCESS_DENIED` (a connection port of an ALPC create without flag 0x10000), `PORT_DISCONNECTED` (the client's port is closed),
/// `REPLY_MESSAGE_MISMATCH` (nobody waits for that id), `ACCESS_DENIED` (the client marked the request 0x4000; an ALPC client without consent).
/// Source: behaviour reference 5.12 ([R] ROS-LPC).
@c @implementation
public func NtImpersonateClientOfPort(_ PortHandle: HANDLE?, _ Message: PPORT_MESSAGE?) -> NTSTATUS {
    statusBoundary("NtImpersonateClientOfPort") { () throws(NTStatus) -> NTStatus in
        let header = try MessageCapture.header(at: Message)
        try HandleTable.withObject(PortHandle, kind: .port) { (port: ALPCPort) throws(NTStatus) in try port.impersonateLegacyClient(header) }
        return .success
    }
}
