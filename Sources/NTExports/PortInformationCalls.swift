// NtAlpcQueryInformation and NtAlpcSetInformation, class by class.
//
// Order of the checks: the class, the length (as far as it needs no memory), the caller's memory, the handle, the port. A query whose
// buffer is too short says how long it must be and writes nothing else.

import CNTTypes
import NTObjects
import NTSecurity
import NTTypes
import Ports

/// Asks a port.
///
/// | class | buffer | statuses besides those of all |
/// | --- | --- | --- |
/// | 0 basic | ALPC_BASIC_INFORMATION; a longer buffer is fine ([W] AA-W) | |
/// | 3 connected SID | a SID, compared with the server's user ([D]; NTOBJ) | SERVER_SID_MISMATCH, INVALID_SID, PORT_DISCONNECTED |
/// | 4 server information | ALPC_SERVER_INFORMATION: a thread handle in; what the thread waits for out. PortHandle may be NULL ([D]; [I] AA-T) | as the thread handle's; NOT_SUPPORTED for a thread of another process |
/// | 11 wait for port references | ULONG: returns when at most so many calls with ALPC_MSGFLG_TRACK_PORT_REFERENCES are in progress ([D]) | |
/// | 12 server session | ALPC_SERVER_SESSION_INFORMATION ([D]; [W] NTOBJ) | PORT_DISCONNECTED |
///
/// Statuses: `INVALID_INFO_CLASS` (set-only and unknown classes, [R]), `INFO_LENGTH_MISMATCH` with the length needed, `ACCESS_VIOLATION`,
/// `INVALID_HANDLE`, `OBJECT_TYPE_MISMATCH`, `INVALID_PARAMETER` (classes 3 and 12 on an unconnected port, [I]).
/// Source: behaviour reference 8.8.
@c @implementation
public func NtAlpcQueryInformation(_ PortHandle: HANDLE?, _ PortInformationClass: ALPC_PORT_INFORMATION_CLASS, _ PortInformation: PVOID?,
                                   _ Length: ULONG, _ ReturnLength: PULONG?) -> NTSTATUS {
    statusBoundary("NtAlpcQueryInformation") { () throws(NTStatus) -> NTStatus in
        let answer = Answer(buffer: PortInformation, length: Length, returnLength: ReturnLength)
        switch PortInformationClass.rawValue {
        case AlpcBasicInformation.rawValue: return try basicInformation(PortHandle, answer)
        case AlpcConnectedSIDInformation.rawValue: return try connectedSID(PortHandle, answer)
        case AlpcServerInformation.rawValue: return try serverInformation(PortHandle, answer)
        case AlpcWaitForPortReferences.rawValue: return try portReferences(PortHandle, answer)
        case AlpcServerSessionInformation.rawValue: return try serverSession(PortHandle, answer)
        default: throw .invalidInfoClass
        }
    }
}

/// Where a query's answer goes.
private struct Answer {
    let buffer: PVOID?
    let length: ULONG
    let returnLength: PULONG?

    /// Nil when the answer has room; else what to return.
    func tooShort(for needed: Int) throws(NTStatus) -> NTStatus? {
        guard Int(length) < needed else { return nil }
        try CallerMemory.writeIfPresent(ULONG(needed), to: returnLength)
        return .infoLengthMismatch
    }

    func write<Value>(_ value: Value) throws(NTStatus) -> NTStatus {
        try CallerMemory.write(value, to: buffer)
        try CallerMemory.writeIfPresent(ULONG(MemoryLayout<Value>.size), to: returnLength)
        return .success
    }
}

private func basicInformation(_ handle: HANDLE?, _ answer: Answer) throws(NTStatus) -> NTStatus {
    try HandleTable.withObject(handle, kind: .port) { (port: ALPCPort) throws(NTStatus) -> NTStatus in
        if let short = try answer.tooShort(for: MemoryLayout<ALPC_BASIC_INFORMATION>.size) { return short }
        let found = port.basicInformation()
        var basic = ALPC_BASIC_INFORMATION()
        basic.Flags = found.flags
        basic.SequenceNo = found.sequence
        basic.PortContext = UnsafeMutableRawPointer(bitPattern: UInt(found.context))
        return try answer.write(basic)
    }
}

private func connectedSID(_ handle: HANDLE?, _ answer: Answer) throws(NTStatus) -> NTStatus {
    guard Int(answer.length) >= SID.prefixByteCount else { return .infoLengthMismatch }
    let bytes = try SecurityDescriptorCapture.sid(at: answer.buffer.map { UnsafeRawPointer($0) })
    guard Int(answer.length) >= bytes.count else { return .infoLengthMismatch }
    let sid = try SID(bytes)
    try HandleTable.withObject(handle, kind: .port) { (port: ALPCPort) throws(NTStatus) in try port.checkServer(sid) }
    return .success
}

private func serverInformation(_ handle: HANDLE?, _ answer: Answer) throws(NTStatus) -> NTStatus {
    let size = MemoryLayout<ALPC_SERVER_INFORMATION>.size
    if let short = try answer.tooShort(for: size) { return short }
    let thread = try CallerMemory.read(answer.buffer.map { UnsafeRawPointer($0) }, as: HANDLE?.self)
    if handle != nil { try HandleTable.withObject(handle, kind: .port) { (_: ALPCPort) throws(NTStatus) in } }
    let id = try Host.thread(of: thread)
    // Threads of other processes are not in reach: a false answer would be worse than none.
    guard id.process == Host.clientID().process else { throw .notSupported }
    let found = try ALPCPort.blockedThread(id.thread)
    let name = found.map { Array($0.portName.utf16) } ?? []
    let needed = size + name.count * 2
    if let short = try answer.tooShort(for: needed) { return short }
    var information = ALPC_SERVER_INFORMATION()
    if let found, let buffer = answer.buffer {
        information.Out.ThreadBlocked = 1
        information.Out.ConnectedProcessId = HANDLE(bitPattern: UInt(found.serverProcess))
        information.Out.ConnectionPortName = UNICODE_STRING(
            Length: USHORT(name.count * 2), MaximumLength: USHORT(name.count * 2), Buffer: (buffer + size).assumingMemoryBound(to: WCHAR.self))
        try CallerMemory.copyOut(name.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }, to: buffer + size)
    } else {
        information.Out = .init()
    }
    try CallerMemory.write(information, to: answer.buffer)
    try CallerMemory.writeIfPresent(ULONG(needed), to: answer.returnLength)
    return .success
}

private func portReferences(_ handle: HANDLE?, _ answer: Answer) throws(NTStatus) -> NTStatus {
    guard answer.length == ULONG(MemoryLayout<ULONG>.size) else { return .infoLengthMismatch }
    let limit = try CallerMemory.read(answer.buffer.map { UnsafeRawPointer($0) }, as: ULONG.self)
    try HandleTable.withObject(handle, kind: .port) { (port: ALPCPort) throws(NTStatus) in port.waitForReferences(limit) }
    return .success
}

private func serverSession(_ handle: HANDLE?, _ answer: Answer) throws(NTStatus) -> NTStatus {
    try HandleTable.withObject(handle, kind: .port) { (port: ALPCPort) throws(NTStatus) -> NTStatus in
        if let short = try answer.tooShort(for: MemoryLayout<ALPC_SERVER_SESSION_INFORMATION>.size) { return short }
        var session = ALPC_SERVER_SESSION_INFORMATION()
        // Linux has no such sessions, and a Wine prefix has one for all its programs but services, which is number 1 ([I]).
        session.SessionId = Host.world == .wine ? 1 : 0
        session.ProcessId = ULONG(truncatingIfNeeded: try port.serverProcess())
        return try answer.write(session)
    }
}

/// Tells a port.
///
/// | class | buffer | statuses besides those of all |
/// | --- | --- | --- |
/// | 1 port information | ALPC_PORT_ATTRIBUTES, exactly ([W] AA-W): flags (0x20000 can be turned on, [W] RLI-T) and limits; see `ALPCPort.setAttributes` | as at create |
/// | 2 completion port | ALPC_PORT_ASSOCIATE_COMPLETION_PORT, once in the port's life ([W] RLI-T, OVMM) | PORT_ALREADY_SET; INVALID_PARAMETER for a NULL port ([R] NW-S); the completion port's handle errors |
/// | 5 message zone | ALPC_PORT_MESSAGE_ZONE_INFORMATION: accepted, without effect ([W] AA-W) | INVALID_PARAMETER for another length |
/// | 6 completion list | ALPC_PORT_COMPLETION_LIST_INFORMATION | see `ALPCPort.registerCompletionList` |
/// | 7, 10 | none: unregister, rundown | INVALID_PARAMETER without a list; RESOURCE_IN_USE with messages outstanding (7) |
/// | 8 | ULONG: concurrency | INVALID_PARAMETER without a list |
///
/// Statuses: `INVALID_INFO_CLASS` (query-only and unknown classes, and 9, which is the kernel's; [R], 9 [I]), `INFO_LENGTH_MISMATCH`,
/// `ACCESS_VIOLATION`, `INVALID_HANDLE`, `OBJECT_TYPE_MISMATCH`. Source: behaviour reference 8.9.
@c @implementation
public func NtAlpcSetInformation(_ PortHandle: HANDLE?, _ PortInformationClass: ALPC_PORT_INFORMATION_CLASS, _ PortInformation: PVOID?,
                                 _ Length: ULONG) -> NTSTATUS {
    statusBoundary("NtAlpcSetInformation") { () throws(NTStatus) -> NTStatus in
        switch PortInformationClass.rawValue {
        case AlpcPortInformation.rawValue:
            guard Length == ULONG(MemoryLayout<ALPC_PORT_ATTRIBUTES>.size) else { throw .infoLengthMismatch }
            let attributes = try PortAttributes(try captured(PortInformation, as: ALPC_PORT_ATTRIBUTES.self), for: .communication)
            try withPort(PortHandle) { port throws(NTStatus) in port.setAttributes(attributes) }
        case AlpcAssociateCompletionPortInformation.rawValue:
            try associate(PortHandle, PortInformation, Length)
        case AlpcMessageZoneInformation.rawValue:
            guard Length == ULONG(MemoryLayout<ALPC_PORT_MESSAGE_ZONE_INFORMATION>.size) else { throw .invalidParameter }
            let zone = try captured(PortInformation, as: ALPC_PORT_MESSAGE_ZONE_INFORMATION.self)
            try withPort(PortHandle) { _ throws(NTStatus) in
                guard zone.Buffer != nil || zone.Size == 0 else { throw .invalidParameter }
            }
        case AlpcRegisterCompletionListInformation.rawValue:
            guard Length >= ULONG(MemoryLayout<ALPC_PORT_COMPLETION_LIST_INFORMATION>.size) else { throw .infoLengthMismatch }
            let list = try captured(PortInformation, as: ALPC_PORT_COMPLETION_LIST_INFORMATION.self)
            let request = CompletionListRequest(buffer: UInt(bitPattern: list.Buffer), size: list.Size, concurrency: list.ConcurrencyCount,
                                                attributeFlags: list.AttributeFlags)
            try withPort(PortHandle) { port throws(NTStatus) in try port.registerCompletionList(request) }
        case AlpcUnregisterCompletionListInformation.rawValue:
            try withPort(PortHandle) { port throws(NTStatus) in try port.unregisterCompletionList() }
        case AlpcAdjustCompletionListConcurrencyCountInformation.rawValue:
            guard Length == ULONG(MemoryLayout<ULONG>.size) else { throw .infoLengthMismatch }
            let count = try captured(PortInformation, as: ULONG.self)
            try withPort(PortHandle) { port throws(NTStatus) in try port.adjustCompletionListConcurrency(count) }
        case AlpcCompletionListRundownInformation.rawValue:
            try withPort(PortHandle) { port throws(NTStatus) in try port.runDownCompletionList() }
        default:
            throw .invalidInfoClass
        }
        return .success
    }
}

private func captured<Value>(_ pointer: PVOID?, as type: Value.Type) throws(NTStatus) -> Value {
    try CallerMemory.read(pointer.map { UnsafeRawPointer($0) }, as: type)
}

private func withPort(_ handle: HANDLE?, _ body: (ALPCPort) throws(NTStatus) -> Void) throws(NTStatus) {
    try HandleTable.withObject(handle, kind: .port) { (port: ALPCPort) throws(NTStatus) in try body(port) }
}

private func associate(_ handle: HANDLE?, _ buffer: PVOID?, _ length: ULONG) throws(NTStatus) {
    guard length >= ULONG(MemoryLayout<ALPC_PORT_ASSOCIATE_COMPLETION_PORT>.size) else { throw .infoLengthMismatch }
    let association = try captured(buffer, as: ALPC_PORT_ASSOCIATE_COMPLETION_PORT.self)
    try withPort(handle) { port throws(NTStatus) in
        guard association.CompletionPort != nil else { throw .invalidParameter }
        let completion = try Host.completionPort(association.CompletionPort)
        try port.associate(CompletionAnnouncer(completion, key: UInt64(UInt(bitPattern: association.CompletionKey))))
    }
}
