// Making, connecting, accepting, disconnecting and asking: the ALPC calls that are about ports and not about messages.

import CNTTypes
import NTObjects
import NTSecurity
import NTTypes
import Ports

/// Access of every handle that a create, connect or accept call gives, whatever the DACL says ([W] WINE-ALPC; [R] connect, accept).
private let portAllAccess: UInt32 = 0x001F_0001
private let inheritAttribute: UInt32 = 0x2

/// Gives `port` a handle and writes it to the caller; on failure the port is closed and nothing is left.
func giveHandle(_ port: ALPCPort, to pointer: PHANDLE?, attributes: UInt32 = 0) throws(NTStatus) {
    do throws(NTStatus) {
        var pending = try Host.reserveHandle(for: port, access: portAllAccess, attributes: attributes & inheritAttribute != 0 ? HandleTable.inherit : 0,
                                             waitable: port.traits.isWaitable)
        try port.start()
        try CallerMemory.write(HANDLE?.some(pending.value), to: pointer)
        pending.commit()
    } catch {
        port.lastHandleClosed()
        throw error
    }
}

/// Makes a connection port; without a name it can be reached by nobody.
///
/// Statuses: `ACCESS_VIOLATION` (also for a NULL PortHandle, and nothing is left behind), `INVALID_PARAMETER` (the system process
/// flag, a message limit below the header or above 0xFFFF), `OBJECT_NAME_COLLISION`, `OBJECT_NAME_INVALID`, `OBJECT_PATH_NOT_FOUND`,
/// `INSUFFICIENT_RESOURCES`. Source: behaviour reference 8.1 ([W] WINE-ALPC, RLI-T).
@c @implementation
public func NtAlpcCreatePort(_ PortHandle: PHANDLE?, _ ObjectAttributes: POBJECT_ATTRIBUTES?, _ PortAttributes: PALPC_PORT_ATTRIBUTES?) -> NTSTATUS {
    statusBoundary("NtAlpcCreatePort") { () throws(NTStatus) -> NTStatus in
        var traits = PortTraits()
        if let PortAttributes { traits.attributes = try NTTypes.PortAttributes(try CallerMemory.read(PortAttributes), for: .create) }
        let object = try CapturedObjectAttributes(ObjectAttributes)
        try CallerMemory.probeWrite(PortHandle)
        let port = try ALPCPort.create(name: object.name, traits: traits, descriptor: object.securityDescriptor)
        try giveHandle(port, to: PortHandle, attributes: object.attributes)
        return .success
    }
}

/// What both connect calls share after their names and requirements are captured.
private func connect(_ name: String, _ requirement: ServerRequirement, _ handle: PHANDLE?, objectAttributes: UInt32, _ attributes: PALPC_PORT_ATTRIBUTES?,
                     _ flags: ULONG, _ message: PPORT_MESSAGE?, _ length: PSIZE_T?, _ outAttributes: PALPC_MESSAGE_ATTRIBUTES?,
                     _ inAttributes: PALPC_MESSAGE_ATTRIBUTES?, _ timeout: PLARGE_INTEGER?) throws(NTStatus) -> NTStatus {
    let syncConnection: ULONG = 0x0002_0000
    var traits = PortTraits()
    if let attributes { traits.attributes = try PortAttributes(try CallerMemory.read(attributes), for: .communication) }
    let deadline = try MessageCapture.deadline(timeout)
    var header = MessageHeader()
    header.setLength(0)
    var outgoing = OutgoingMessage(header: header, payload: nil)
    if message != nil { outgoing = try MessageCapture.message(at: message, .alpc) }
    outgoing.header.messageID = 0
    _ = try AttributeTransfer.read(outAttributes)
    let capacity = try CallerMemory.readIfPresent(length).map { Int(min($0, SIZE_T(Int.max))) }
    try CallerMemory.probeWrite(handle)
    let outcome = try ALPCPort.connect(to: name, traits: traits, message: outgoing, waits: flags & syncConnection != 0,
                                       capacity: message == nil ? nil : capacity, deadline: deadline, requirement: requirement)
    switch outcome {
    case .connected(let result):
        if flags & syncConnection != 0, let message {
            do throws(NTStatus) {
                try CallerMemory.copyOut(result.payload, to: UnsafeMutableRawPointer(message) + MessageHeader.size)
                try CallerMemory.write(result.header, to: UnsafeMutableRawPointer(message))
                try CallerMemory.writeIfPresent(SIZE_T(result.header.totalLength), to: length)
                try AttributeTransfer.clear(inAttributes)
            } catch {
                result.port.lastHandleClosed()
                throw error
            }
        }
        try giveHandle(result.port, to: handle, attributes: objectAttributes)
        return .success
    case .timedOut: return .timeout
    case .refused: throw .portConnectionRefused
    case .tooShort(let needed):
        try CallerMemory.writeIfPresent(SIZE_T(needed), to: length)
        return .bufferTooSmall
    }
}

/// Connects to a named port. With flag 0x20000 it waits for the server; otherwise the port is pending and its queue brings the answer.
///
/// ObjectAttributes describes the new client port. Statuses: `OBJECT_NAME_NOT_FOUND`, `OBJECT_NAME_INVALID`, `OBJECT_PATH_NOT_FOUND`,
/// `OBJECT_TYPE_MISMATCH`, `ACCESS_DENIED`, `INVALID_SID`, `SERVER_SID_MISMATCH`, `PORT_MESSAGE_TOO_LONG`, `INVALID_PARAMETER`,
/// `PORT_CONNECTION_REFUSED`, `BUFFER_TOO_SMALL`, `TIMEOUT` (a success, without a port). Source: behaviour reference 8.2.
@c @implementation
public func NtAlpcConnectPort(
    _ PortHandle: PHANDLE?, _ PortName: PUNICODE_STRING?, _ ObjectAttributes: POBJECT_ATTRIBUTES?, _ PortAttributes: PALPC_PORT_ATTRIBUTES?,
    _ Flags: ULONG, _ RequiredServerSid: PSID?, _ ConnectionMessage: PPORT_MESSAGE?, _ BufferLength: PSIZE_T?,
    _ OutMessageAttributes: PALPC_MESSAGE_ATTRIBUTES?, _ InMessageAttributes: PALPC_MESSAGE_ATTRIBUTES?, _ Timeout: PLARGE_INTEGER?
) -> NTSTATUS {
    statusBoundary("NtAlpcConnectPort") { () throws(NTStatus) -> NTStatus in
        guard let name = try CallerString.capture(PortName) else { throw .accessViolation }
        let object = try CapturedObjectAttributes(ObjectAttributes)
        var requirement = ServerRequirement.none
        if let RequiredServerSid { requirement = .user(try SID(try SecurityDescriptorCapture.sid(at: UnsafeRawPointer(RequiredServerSid)))) }
        return try connect(name, requirement, PortHandle, objectAttributes: object.attributes, PortAttributes, Flags, ConnectionMessage, BufferLength,
                           OutMessageAttributes, InMessageAttributes, Timeout)
    }
}

/// The same, with the server named by object attributes and required to be granted PORT_CONNECT by a descriptor.
/// Without a name: `INVALID_PARAMETER` ([R] NW-S, SOG). Source: behaviour reference 8.3.
@c @implementation
public func NtAlpcConnectPortEx(
    _ PortHandle: PHANDLE?, _ ConnectionPortObjectAttributes: POBJECT_ATTRIBUTES?, _ ClientPortObjectAttributes: POBJECT_ATTRIBUTES?,
    _ PortAttributes: PALPC_PORT_ATTRIBUTES?, _ Flags: ULONG, _ ServerSecurityRequirements: PSECURITY_DESCRIPTOR?,
    _ ConnectionMessage: PPORT_MESSAGE?, _ BufferLength: PSIZE_T?, _ OutMessageAttributes: PALPC_MESSAGE_ATTRIBUTES?,
    _ InMessageAttributes: PALPC_MESSAGE_ATTRIBUTES?, _ Timeout: PLARGE_INTEGER?
) -> NTSTATUS {
    statusBoundary("NtAlpcConnectPortEx") { () throws(NTStatus) -> NTStatus in
        guard ConnectionPortObjectAttributes != nil, let name = try CapturedObjectAttributes(ConnectionPortObjectAttributes).name else {
            throw .invalidParameter
        }
        let object = try CapturedObjectAttributes(ClientPortObjectAttributes)
        var requirement = ServerRequirement.none
        if let ServerSecurityRequirements { requirement = .granted(by: try SecurityDescriptorCapture.selfRelative(at: ServerSecurityRequirements)) }
        return try connect(name, requirement, PortHandle, objectAttributes: object.attributes, PortAttributes, Flags, ConnectionMessage, BufferLength,
                           OutMessageAttributes, InMessageAttributes, Timeout)
    }
}

/// Answers a received connection request: makes the server's port for the client, or refuses.
///
/// MessageId alone decides; a CallbackId that is not 0 must match ([W] CSK, OVMM). Refusing needs no PortHandle (section 17, point 9).
/// Statuses: `INVALID_MESSAGE` (unknown or answered), `REQUEST_CANCELED` (the client is gone; once), `INVALID_PORT_HANDLE` (no
/// connection port), `INVALID_PARAMETER` (lengths), `PORT_MESSAGE_TOO_LONG`. Source: behaviour reference 8.4.
@c @implementation
public func NtAlpcAcceptConnectPort(
    _ PortHandle: PHANDLE?, _ ConnectionPortHandle: HANDLE?, _ Flags: ULONG, _ ObjectAttributes: POBJECT_ATTRIBUTES?,
    _ PortAttributes: PALPC_PORT_ATTRIBUTES?, _ PortContext: PVOID?, _ ConnectionRequest: PPORT_MESSAGE?,
    _ ConnectionMessageAttributes: PALPC_MESSAGE_ATTRIBUTES?, _ AcceptConnection: BOOLEAN
) -> NTSTATUS {
    statusBoundary("NtAlpcAcceptConnectPort") { () throws(NTStatus) -> NTStatus in
        let refuse = AcceptConnection == 0
        let message = try MessageCapture.message(at: ConnectionRequest, .alpc)
        var traits: PortTraits?
        if let PortAttributes {
            var given = PortTraits()
            given.attributes = try NTTypes.PortAttributes(try CallerMemory.read(PortAttributes), for: .communication)
            traits = given
        }
        let object = try CapturedObjectAttributes(ObjectAttributes)
        if !refuse { try CallerMemory.probeWrite(PortHandle) }
        let listener: ALPCPort = try HandleTable.object(ConnectionPortHandle, kind: .port)
        let pending = try listener.prepareAccept(message.header, traits: traits, context: nil, refuse: refuse)
        let context = UInt64(UInt(bitPattern: PortContext))
        try accept(listener, pending, message, context: context, handle: PortHandle, attributes: object.attributes, completes: true)
        return .success
    }
}

/// Gives the new port its handle, then answers the client. The handle goes live only when the client has its answer.
func accept(_ listener: ALPCPort, _ pending: ALPCPort.PendingAccept, _ message: OutgoingMessage, context: UInt64, handle: PHANDLE?,
            attributes: UInt32 = 0, completes: Bool, contextIsHandle: Bool = false) throws(NTStatus) {
    guard let port = pending.port else {
        try listener.commit(pending, message, context: context, completes: completes)
        return
    }
    var reserved = try Host.reserveHandle(for: port, access: portAllAccess, attributes: attributes & inheritAttribute != 0 ? HandleTable.inherit : 0,
                                          waitable: port.traits.isWaitable)
    let value = UInt64(UInt(bitPattern: reserved.value))
    try CallerMemory.write(HANDLE?.some(reserved.value), to: handle)
    try listener.commit(pending, message, context: contextIsHandle ? value : context, completes: completes)
    reserved.commit()
    try port.start()
}

/// Ends a conversation from one side. Flags: 0, or 1 (leave the pending queue alone); others `INVALID_PARAMETER`.
/// `PORT_DISCONNECTED` the second time ([W] SOG). Source: behaviour reference 8.6, disputed points 5 and 18.
@c @implementation
public func NtAlpcDisconnectPort(_ PortHandle: HANDLE?, _ Flags: ULONG) -> NTSTATUS {
    statusBoundary("NtAlpcDisconnectPort") { () throws(NTStatus) -> NTStatus in
        guard Flags & ~1 == 0 else { throw .invalidParameter }
        try HandleTable.withObject(PortHandle, kind: .port) { (port: ALPCPort) throws(NTStatus) in try port.disconnect(flags: Flags) }
        return .success
    }
}
