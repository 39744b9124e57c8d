// The Alpc* helpers that work on attribute buffers in the caller's own memory. They make no system call in NT, so a bad pointer
// is the program's own fault there; these return quietly where the value allows it.

import CNTTypes
import NTTypes

/// The largest total length of a message, in bytes: 0xFFFF in 64-bit code ([B] LIBA, CSK; section 17, point 16).
@c @implementation
public func AlpcMaxAllowedMessageLength() -> ULONG { ULONG(PortMessage.maximumTotalLength) }

/// Bytes of an attribute buffer: 8 and the sizes of the known attributes; unknown bits add nothing ([W] WINE-ALPC).
@c @implementation
public func AlpcGetHeaderSize(_ AttributeFlags: ULONG) -> SIZE_T {
    SIZE_T(MessageAttributes.headerSize(AttributeSet(rawValue: AttributeFlags)))
}

/// Prepares an attribute buffer. RequiredBufferSize is always written. `BUFFER_TOO_SMALL` leaves the buffer alone; a NULL buffer of enough
/// size succeeds; nothing behind the two header words is touched ([W] WINE-ALPC). `ACCESS_VIOLATION` for bad pointers.
@c @implementation
public func AlpcInitializeMessageAttribute(_ AttributeFlags: ULONG, _ Buffer: PALPC_MESSAGE_ATTRIBUTES?, _ BufferSize: SIZE_T,
                                           _ RequiredBufferSize: PSIZE_T?) -> NTSTATUS {
    statusBoundary("AlpcInitializeMessageAttribute") { () throws(NTStatus) -> NTStatus in
        let required = AlpcGetHeaderSize(AttributeFlags)
        try CallerMemory.write(required, to: RequiredBufferSize)
        guard BufferSize >= required else { throw .bufferTooSmall }
        if Buffer != nil {
            try CallerMemory.write(ALPC_MESSAGE_ATTRIBUTES(AllocatedAttributes: AttributeFlags, ValidAttributes: 0), to: Buffer)
        }
        return .success
    }
}

/// Where an allocated attribute lies in the buffer, or NULL: exactly one known flag, and only AllocatedAttributes counts ([W] WINE-ALPC).
@c @implementation
public func AlpcGetMessageAttribute(_ Buffer: PALPC_MESSAGE_ATTRIBUTES?, _ AttributeFlag: ULONG) -> PVOID? {
    let flag = AttributeSet(rawValue: AttributeFlag)
    guard let Buffer, flag.isOneKnown else { return nil }
    do throws(NTStatus) {
        let allocated = AttributeSet(rawValue: try CallerMemory.read(Buffer).AllocatedAttributes)
        return MessageAttributes.offset(of: flag, in: allocated).map { UnsafeMutableRawPointer(Buffer) + $0 }
    } catch {
        return nil
    }
}
