// NtAlpcCancelMessage: flags, id, handle, in that order.

import CNTTypes
import NTObjects
import NTTypes
import Ports

private enum CancelFlags {
    static let tryCancel: ULONG = 0x1
    /// The context has the layout of 32-bit programs.
    static let capture32: ULONG = 0x4
    /// Whatever its name says, a context that is not the message's is refused ([W?] NW-T; section 17, point 12).
    static let checkContext: ULONG = 0x8
    static let userMask: ULONG = 0xF
}

/// Cancels a message that this port sent or received.
///
/// MessageContext is a CONTEXT attribute as received, or zero but for the MessageId. Try (1): only if the receiver has not taken it.
/// Returns `PENDING` when the message was still queued or its sender waited for it, `MESSAGE_RETRIEVED` when its receiver has it. A
/// synchronous sender's call ends with `MESSAGE_LOST`, an asynchronous one gets a notice of type 12; a receiver whose message the sender
/// cancelled gets such a notice too. A later answer says `REQUEST_CANCELED`, once.
/// Statuses, in the order of the checks: `INVALID_PARAMETER` (flags outside the low nibble: the internal flush among them),
/// `ACCESS_VIOLATION`, `MESSAGE_NOT_FOUND` (id 0), `INVALID_HANDLE`, `OBJECT_TYPE_MISMATCH`, `INVALID_MESSAGE` (unknown, finished),
/// `ACCESS_DENIED` (another port's), `REQUEST_CANCELED` (cancelled before), `CONTEXT_MISMATCH` (flag 8), `PORT_DISCONNECTED`.
/// Source: behaviour reference 8.7, disputed points 2, 3, 12 and 29.
@c @implementation
public func NtAlpcCancelMessage(_ PortHandle: HANDLE?, _ Flags: ULONG, _ MessageContext: PALPC_CONTEXT_ATTR?) -> NTSTATUS {
    statusBoundary("NtAlpcCancelMessage") { () throws(NTStatus) -> NTStatus in
        guard Flags & ~CancelFlags.userMask == 0 else { throw .invalidParameter }
        var request: CancelRequest
        if Flags & CancelFlags.capture32 != 0 {
            let context = try CallerMemory.read(UnsafeRawPointer(MessageContext), as: ALPC_CONTEXT_ATTR32.self)
            request = CancelRequest(id: context.MessageId)
            request.callback = context.CallbackId
            request.context = UInt64(context.MessageContext)
        } else {
            let context = try CallerMemory.read(MessageContext)
            request = CancelRequest(id: context.MessageId)
            request.callback = context.CallbackId
            request.context = UInt64(UInt(bitPattern: context.MessageContext))
        }
        guard request.id != 0 else { throw .messageNotFound }
        request.isTry = Flags & CancelFlags.tryCancel != 0
        request.checksContext = Flags & CancelFlags.checkContext != 0
        return try HandleTable.withObject(PortHandle, kind: .port) { (port: ALPCPort) throws(NTStatus) in try port.cancel(request) }
    }
}
