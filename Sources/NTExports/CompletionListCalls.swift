// The Alpc* calls of completion lists: four that are NtAlpcSetInformation by another name, and those that work on the list's memory
// without a system call. The latter may be called from any thread and take no lock; in NT a bad pointer is the program's own fault,
// here they return quietly.

import CLinuxShims
import CNTTypes
import NTObjects
import NTTypes
import Ports

/// Class 6 of NtAlpcSetInformation. AttributeFlags: what each listed message brings with it.
@c @implementation
public func AlpcRegisterCompletionList(_ PortHandle: HANDLE?, _ Buffer: PALPC_COMPLETION_LIST_HEADER?, _ Size: ULONG, _ ConcurrencyCount: ULONG,
                                       _ AttributeFlags: ULONG) -> NTSTATUS {
    var information = ALPC_PORT_COMPLETION_LIST_INFORMATION(Buffer: Buffer, Size: Size, ConcurrencyCount: ConcurrencyCount, AttributeFlags: AttributeFlags)
    return NtAlpcSetInformation(PortHandle, AlpcRegisterCompletionListInformation, &information, ULONG(MemoryLayout.size(ofValue: information)))
}

/// Class 7.
@c @implementation
public func AlpcUnregisterCompletionList(_ PortHandle: HANDLE?) -> NTSTATUS {
    NtAlpcSetInformation(PortHandle, AlpcUnregisterCompletionListInformation, nil, 0)
}

/// Class 10.
@c @implementation
public func AlpcRundownCompletionList(_ PortHandle: HANDLE?) -> NTSTATUS {
    NtAlpcSetInformation(PortHandle, AlpcCompletionListRundownInformation, nil, 0)
}

/// Class 8.
@c @implementation
public func AlpcAdjustCompletionListConcurrencyCount(_ PortHandle: HANDLE?, _ ConcurrencyCount: ULONG) -> NTSTATUS {
    var count = ConcurrencyCount
    return NtAlpcSetInformation(PortHandle, AlpcAdjustCompletionListConcurrencyCountInformation, &count, ULONG(MemoryLayout<ULONG>.size))
}

private func region(_ pointer: UnsafeMutableRawPointer?) -> CompletionListRegion? {
    Host.start()
    return CompletionListRegion(at: pointer)
}

/// Counts the calling thread as active: while ConcurrencyCount threads are, no packets come. FALSE at 65,535 ([R] RLI-K).
@c @implementation
public func AlpcRegisterCompletionListWorkerThread(_ CompletionList: PVOID?) -> BOOLEAN { region(CompletionList)?.enterThread() == true ? 1 : 0 }

/// Takes it off again. FALSE when none is counted, and for the last one while messages wait: it must go on ([R] RLI-K).
@c @implementation
public func AlpcUnregisterCompletionListWorkerThread(_ CompletionList: PVOID?) -> BOOLEAN { region(CompletionList)?.leaveThread() == true ? 1 : 0 }

/// The ids of the message that was listed last ([D] PHNT).
@c @implementation
public func AlpcGetCompletionListLastMessageInformation(_ CompletionList: PVOID?, _ LastMessageId: PULONG?, _ LastCallbackId: PULONG?) {
    guard let last = region(CompletionList)?.lastMessage else { return }
    do throws(NTStatus) {
        try CallerMemory.writeIfPresent(last.message, to: LastMessageId)
        try CallerMemory.writeIfPresent(last.callback, to: LastCallbackId)
    } catch {
        return  // nothing to tell, and nobody to tell it
    }
}

/// Messages that were listed and are not freed yet ([R]).
@c @implementation
public func AlpcGetOutstandingCompletionListMessageCount(_ CompletionList: PVOID?) -> ULONG { region(CompletionList)?.outstanding ?? 0 }

/// Takes the next message; it stays where it is in the list's memory until it is freed. NULL when there is none ([W?] RLI-T).
/// MessageAttributes, if given, receives where its attributes are, or NULL.
@c @implementation
public func AlpcGetMessageFromCompletionList(_ CompletionList: PVOID?, _ MessageAttributes: UnsafeMutablePointer<PALPC_MESSAGE_ATTRIBUTES?>?) -> PPORT_MESSAGE? {
    guard let list = region(CompletionList), let message = list.take() else { return nil }
    if !list.hasMessages { CompletionLists.noticed(list.base) }
    let attributes = list.attributes(of: message)?.assumingMemoryBound(to: ALPC_MESSAGE_ATTRIBUTES.self)
    do throws(NTStatus) {
        try CallerMemory.writeIfPresent(attributes, to: MessageAttributes)
    } catch {
        return message.assumingMemoryBound(to: PORT_MESSAGE.self)   // the message must not be lost for that
    }
    return message.assumingMemoryBound(to: PORT_MESSAGE.self)
}

/// Frees a message that was taken: its room can hold others ([W?] RLI-T). A second time, and any other address, does nothing.
@c @implementation
public func AlpcFreeCompletionListMessage(_ CompletionList: PVOID?, _ Message: PPORT_MESSAGE?) {
    guard let list = region(CompletionList), list.free(Message.map { UnsafeMutableRawPointer($0) }) else { return }
    CompletionLists.noticed(list.base)
}

/// Where the attributes of a taken message are: behind it. NULL for a list without attributes ([W?] RLI-T).
@c @implementation
public func AlpcGetCompletionListMessageAttributes(_ CompletionList: PVOID?, _ Message: PPORT_MESSAGE?) -> PALPC_MESSAGE_ATTRIBUTES? {
    region(CompletionList)?.attributes(of: Message.map { UnsafeMutableRawPointer($0) })?.assumingMemoryBound(to: ALPC_MESSAGE_ATTRIBUTES.self)
}
