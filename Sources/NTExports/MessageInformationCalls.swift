// Questions about a message that was received and is not answered yet.

import CNTTypes
import NTObjects
import NTSecurity
import NTTypes
import Ports

/// Tells who sent a message, whether a direct message is done, or opens one of the message's handles.
///
/// Classes: 0 SID of the sender's user; 1 LUID, the modified id of its token; 2 nothing, the status is the answer (`PENDING` is a
/// success); 3 ALPC_MESSAGE_HANDLE_INFORMATION, Index in. The header may have the 32-bit form, which bit 0x1000 of its Type says ([W] AA-W).
///
/// Statuses, in the order of the checks: `ACCESS_VIOLATION` (PortMessage: [I] AA-T), `INVALID_PARAMETER` (MessageId 0, even with a bad handle: [W]
/// AA-W; class 2 with a buffer, a length or a ReturnLength: [D] NTOBJ), `INVALID_INFO_CLASS` (disputed point 21), `INVALID_HANDLE`,
/// `OBJECT_TYPE_MISMATCH`, `INVALID_MESSAGE` (unknown, not received, answered), `REQUEST_CANCELED`, `ACCESS_DENIED` (another port's: [R]),
/// `BUFFER_TOO_SMALL` with the length needed ([W] RLI-T), `INVALID_HANDLE` (class 3: an index not below the count; disputed point 13).
/// Source: behaviour reference 8.10.
@c @implementation
public func NtAlpcQueryInformationMessage(_ PortHandle: HANDLE?, _ PortMessage: PPORT_MESSAGE?, _ MessageInformationClass: ALPC_MESSAGE_INFORMATION_CLASS,
                                          _ MessageInformation: PVOID?, _ Length: ULONG, _ ReturnLength: PULONG?) -> NTSTATUS {
    statusBoundary("NtAlpcQueryInformationMessage") { () throws(NTStatus) -> NTStatus in
        let header = try MessageCapture.selfDescribingHeader(at: PortMessage)
        guard header.messageID != 0 else { throw .invalidParameter }
        let output = MessageOutput(buffer: MessageInformation, length: Int(Length), returnLength: ReturnLength)
        switch MessageInformationClass {
        case AlpcMessageSidInformation:
            return try withPort(PortHandle) { (port) throws(NTStatus) in
                try output.give(Ports.MessageInformation.sid(port, header).bytes)
            }
        case AlpcMessageTokenModifiedIdInformation:
            return try withPort(PortHandle) { (port) throws(NTStatus) in
                try output.give(Ports.MessageInformation.modifiedID(port, header))
            }
        case AlpcMessageDirectStatusInformation:
            guard MessageInformation == nil, Length == 0, ReturnLength == nil else { throw .invalidParameter }
            return try withPort(PortHandle) { (port) throws(NTStatus) in try Ports.MessageInformation.directStatus(port, header) }
        case AlpcMessageHandleInformation:
            return try withPort(PortHandle) { (port) throws(NTStatus) in try giveHandle(port, header, output) }
        default:
            throw .invalidInfoClass
        }
    }
}

/// Class 3. The buffer says which handle, so it is read before and probed; a handle that cannot be told is closed again.
private func giveHandle(_ port: ALPCPort, _ header: MessageHeader, _ output: MessageOutput) throws(NTStatus) -> NTStatus {
    let size = MemoryLayout<ALPC_MESSAGE_HANDLE_INFORMATION>.size
    guard output.length >= size else { return try output.tooSmall(size) }
    let index = try CallerMemory.read(UnsafeRawPointer(output.buffer), as: ULONG.self)
    try CallerMemory.probeWrite(output.buffer, count: size)
    try CallerMemory.probeWrite(UnsafeMutableRawPointer(output.returnLength), count: output.returnLength == nil ? 0 : MemoryLayout<ULONG>.size)
    let answer = try MessageInformation.handle(port, header, index: index)
    do throws(NTStatus) {
        return try output.give(answer)
    } catch {
        Host.closeObject(HANDLE(bitPattern: UInt(answer.Handle)))
        throw error
    }
}

private func withPort(_ handle: HANDLE?, _ body: (ALPCPort) throws(NTStatus) -> NTStatus) throws(NTStatus) -> NTStatus {
    try HandleTable.withObject(handle, kind: .port) { (port: ALPCPort) throws(NTStatus) in try body(port) }
}

/// Where an answer goes.
private struct MessageOutput {
    let buffer: UnsafeMutableRawPointer?
    let length: Int
    let returnLength: PULONG?

    func give(_ bytes: [UInt8]) throws(NTStatus) -> NTStatus {
        guard length >= bytes.count else { return try tooSmall(bytes.count) }
        try CallerMemory.copyOut(bytes, to: buffer)
        try CallerMemory.writeIfPresent(ULONG(bytes.count), to: returnLength)
        return .success
    }

    /// A C structure.
    func give<Value>(_ value: Value) throws(NTStatus) -> NTStatus {
        try give(withUnsafeBytes(of: value) { Array($0) })
    }

    func tooSmall(_ needed: Int) throws(NTStatus) -> NTStatus {
        try CallerMemory.writeIfPresent(ULONG(needed), to: returnLength)
        return .bufferTooSmall
    }
}
