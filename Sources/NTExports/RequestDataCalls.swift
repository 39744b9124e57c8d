// NtReadRequestData and NtWriteRequestData: memory of a client that waits for the answer to a request.

import CLinuxShims
import CNTTypes
import NTObjects
import NTTypes
import Ports

/// What both calls check before they copy: the message's header, the sizes, the memory.
private func transfer(_ handle: HANDLE?, _ message: PPORT_MESSAGE?, _ size: SIZE_T, _ number: PSIZE_T?,
                      probe: () throws(NTStatus) -> Void,
                      copy: (WaitingRequest, _ offset: Int, _ count: Int, _ total: UInt32) throws(NTStatus) -> WaitingRequest.Piece) throws(NTStatus) -> NTStatus {
    let header = try MessageCapture.header(at: message)
    guard header.dataInfoOffset != 0, let total = UInt32(exactly: size) else { throw .invalidParameter }
    try probe()
    if number != nil { try CallerMemory.probeWrite(number) }
    return try HandleTable.withObject(handle, kind: .port) { (port: ALPCPort) throws(NTStatus) -> NTStatus in
        let request = try port.waitingRequest(header)
        var done = 0
        var status = NTStatus.success
        do throws(NTStatus) {
            repeat {
                let piece = try copy(request, done, min(Int(total) - done, WaitingRequest.pieceLimit), total)
                done += piece.count
                status = piece.status
            } while status == .success && done < Int(total)
        } catch {
            if done > 0 { try CallerMemory.writeIfPresent(SIZE_T(done), to: number) }
            throw error
        }
        try CallerMemory.writeIfPresent(SIZE_T(done), to: number)
        return status
    }
}

/// Copies from the client's memory into the server's buffer.
///
/// NumberOfBytesRead is optional and gets the count copied, even after a partial copy. Statuses, in the order of the checks:
/// `ACCESS_VIOLATION`, `INVALID_PARAMETER` (DataInfoOffset 0), `INVALID_HANDLE`, `OBJECT_TYPE_MISMATCH`, `REPLY_MESSAGE_MISMATCH` (nobody
/// waits for that id on this port), `INVALID_PARAMETER` (no such entry in the message that was sent, or BufferSize above it),
/// `PARTIAL_COPY` when the client's memory ends before ([I]). Source: behaviour reference 5.13 ([R] ROS-LPC).
@c @implementation
public func NtReadRequestData(_ PortHandle: HANDLE?, _ Message: PPORT_MESSAGE?, _ DataEntryIndex: ULONG, _ Buffer: PVOID?, _ BufferSize: SIZE_T,
                              _ NumberOfBytesRead: PSIZE_T?) -> NTSTATUS {
    statusBoundary("NtReadRequestData") { () throws(NTStatus) -> NTStatus in
        try transfer(PortHandle, Message, BufferSize, NumberOfBytesRead,
                     probe: { () throws(NTStatus) in try CallerMemory.probeWrite(Buffer, count: Int(BufferSize)) },
                     copy: { (request, offset, count, total) throws(NTStatus) in
            let piece = try request.read(entry: DataEntryIndex, offset: offset, count: count, total: total)
            if let Buffer { try CallerMemory.copyOut(piece.bytes, to: Buffer + offset) }
            return piece
        })
    }
}

/// Copies from the server's buffer into the client's memory. As `NtReadRequestData`.
@c @implementation
public func NtWriteRequestData(_ PortHandle: HANDLE?, _ Message: PPORT_MESSAGE?, _ DataEntryIndex: ULONG, _ Buffer: PVOID?, _ BufferSize: SIZE_T,
                               _ NumberOfBytesWritten: PSIZE_T?) -> NTSTATUS {
    statusBoundary("NtWriteRequestData") { () throws(NTStatus) -> NTStatus in
        try transfer(PortHandle, Message, BufferSize, NumberOfBytesWritten,
                     probe: { () throws(NTStatus) in if Buffer == nil && BufferSize > 0 { throw .accessViolation } },
                     copy: { (request, offset, count, total) throws(NTStatus) in
            let bytes = try CallerMemory.bytes(at: Buffer.map { UnsafeRawPointer($0) + offset }, count: count)
            return try request.write(bytes, entry: DataEntryIndex, offset: offset, total: total)
        })
    }
}
