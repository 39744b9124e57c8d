// Completion ports and wait completion packets of the native host. See HandleCalls.swift for other hosts.
//
// Alertable removals are accepted; a Linux thread gets no APCs, so nothing alerts it.

import CNTTypes
import NTObjects
import NTTypes

private let queryState: UInt32 = 0x1, modifyState: UInt32 = 0x2 // IO_COMPLETION_*
private let modifyPacket: UInt32 = 0x1                          // WAIT_COMPLETION_PACKET_MODIFY_STATE
private let largestRemoval: ULONG = 0x1_0000

/// Makes a completion port. `count` is how many threads NT lets run at once; accepted and not enforced (see IoCompletion.swift).
///
/// Statuses: STATUS_ACCESS_VIOLATION; STATUS_NOT_SUPPORTED for a name; STATUS_INSUFFICIENT_RESOURCES; as ObjectAttributesCapture.swift says.
@c @implementation
public func NtCreateIoCompletion(
    _ ioCompletionHandle: PHANDLE?, _ desiredAccess: ACCESS_MASK, _ objectAttributes: POBJECT_ATTRIBUTES?, _ count: ULONG
) -> NTSTATUS {
    statusBoundary("NtCreateIoCompletion") { () throws(NTStatus) -> NTStatus in
        try makeUnnamed(ioCompletionHandle, desiredAccess, objectAttributes) { IoCompletion() }
    }
}

/// Captures the arguments that all makers of unnamed objects have, makes the object and its handle.
private func makeUnnamed(
    _ handle: PHANDLE?, _ desiredAccess: ACCESS_MASK, _ objectAttributes: POBJECT_ATTRIBUTES?, _ make: () -> KernelObject
) throws(NTStatus) -> NTStatus {
    try requireNativeHost()
    try CallerMemory.probeWrite(handle)
    let attributes = try CapturedObjectAttributes(objectAttributes)
    guard attributes.name == nil else { throw .notSupported }
    let object = make()
    var pending = try object.reserveHandle(access: object.kind.grantedAccess(desired: desiredAccess), attributes: attributes.attributes)
    try CallerMemory.write(pending.value, to: handle)
    pending.commit()
    return .success
}

/// Queues a packet.
///
/// Statuses: STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH, STATUS_ACCESS_DENIED without IO_COMPLETION_MODIFY_STATE.
@c @implementation
public func NtSetIoCompletion(
    _ ioCompletionHandle: HANDLE?, _ keyContext: PVOID?, _ apcContext: PVOID?, _ ioStatus: NTSTATUS, _ ioStatusInformation: ULONG_PTR
) -> NTSTATUS {
    statusBoundary("NtSetIoCompletion") { () throws(NTStatus) -> NTStatus in
        try requireNativeHost()
        let packet = packet(keyContext, apcContext, ioStatus, ioStatusInformation)
        try HandleTable.withObject(ioCompletionHandle, kind: .ioCompletion, access: modifyState) { (port: IoCompletion) in port.post(packet) }
        return .success
    }
}

private func packet(_ key: PVOID?, _ apcContext: PVOID?, _ status: NTSTATUS, _ information: ULONG_PTR) -> CompletionPacket {
    CompletionPacket(
        key: UInt64(UInt(bitPattern: key)), apcContext: UInt64(UInt(bitPattern: apcContext)), status: NTStatus(rawValue: status),
        information: UInt64(information))
}

/// Takes the oldest packet, waiting for one. `timeout`: NULL waits for ever, as in NtWaitForSingleObject.
///
/// Statuses: STATUS_TIMEOUT; STATUS_ABANDONED_WAIT_0 when the last handle is closed meanwhile [D]; STATUS_ACCESS_VIOLATION, before a packet
/// is taken; STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH, STATUS_ACCESS_DENIED without IO_COMPLETION_MODIFY_STATE.
@c @implementation
public func NtRemoveIoCompletion(
    _ ioCompletionHandle: HANDLE?, _ keyContext: UnsafeMutablePointer<PVOID?>?, _ apcContext: UnsafeMutablePointer<PVOID?>?,
    _ ioStatusBlock: PIO_STATUS_BLOCK?, _ timeout: PLARGE_INTEGER?
) -> NTSTATUS {
    statusBoundary("NtRemoveIoCompletion") { () throws(NTStatus) -> NTStatus in
        try requireNativeHost()
        try CallerMemory.probeWrite(keyContext)
        try CallerMemory.probeWrite(apcContext)
        try CallerMemory.probeWrite(ioStatusBlock)
        let deadline = try MessageCapture.deadline(timeout).monotonicNanoseconds
        let port: IoCompletion = try HandleTable.object(ioCompletionHandle, kind: .ioCompletion, access: modifyState)
        guard let packets = port.remove(count: 1, deadline: deadline) else { return .abandonedWait0 }
        guard let packet = packets.first else { return .timeout }
        let entry = entry(packet)
        try CallerMemory.write(entry.KeyContext, to: keyContext)
        try CallerMemory.write(entry.ApcContext, to: apcContext)
        try CallerMemory.write(entry.IoStatusBlock, to: ioStatusBlock)
        return .success
    }
}

private func entry(_ packet: CompletionPacket) -> FILE_IO_COMPLETION_INFORMATION {
    var entry = FILE_IO_COMPLETION_INFORMATION()
    entry.KeyContext = PVOID(bitPattern: UInt(packet.key))
    entry.ApcContext = PVOID(bitPattern: UInt(packet.apcContext))
    entry.IoStatusBlock.Status = packet.status.rawValue
    entry.IoStatusBlock.Information = ULONG_PTR(packet.information)
    return entry
}

/// Takes up to `count` packets, waiting for the first. `numEntriesRemoved` receives how many, 0 when the time is over. [I]
///
/// At most 65,536 packets are taken at once. Statuses: STATUS_INVALID_PARAMETER for a count of 0 [I]; those of NtRemoveIoCompletion.
@c @implementation
public func NtRemoveIoCompletionEx(
    _ ioCompletionHandle: HANDLE?, _ ioCompletionInformation: PFILE_IO_COMPLETION_INFORMATION?, _ count: ULONG, _ numEntriesRemoved: PULONG?,
    _ timeout: PLARGE_INTEGER?, _ alertable: BOOLEAN
) -> NTSTATUS {
    statusBoundary("NtRemoveIoCompletionEx") { () throws(NTStatus) -> NTStatus in
        try requireNativeHost()
        guard count > 0 else { throw .invalidParameter }
        let wanted = Int(min(count, largestRemoval))
        let stride = MemoryLayout<FILE_IO_COMPLETION_INFORMATION>.stride
        try CallerMemory.probeWrite(UnsafeMutableRawPointer(ioCompletionInformation), count: wanted * stride)
        try CallerMemory.probeWrite(numEntriesRemoved)
        let deadline = try MessageCapture.deadline(timeout).monotonicNanoseconds
        let port: IoCompletion = try HandleTable.object(ioCompletionHandle, kind: .ioCompletion, access: modifyState)
        let packets = port.remove(count: wanted, deadline: deadline)
        let entries = (packets ?? []).map(entry)
        try CallerMemory.copyOut(entries.withUnsafeBytes { Array($0) }, to: UnsafeMutableRawPointer(ioCompletionInformation))
        try CallerMemory.write(ULONG(entries.count), to: numEntriesRemoved)
        return packets == nil ? .abandonedWait0 : entries.isEmpty ? .timeout : .success
    }
}

/// Tells how many packets are queued.
///
/// Statuses: STATUS_INVALID_INFO_CLASS; STATUS_INFO_LENGTH_MISMATCH for other than 4 bytes; STATUS_INVALID_HANDLE,
/// STATUS_OBJECT_TYPE_MISMATCH, STATUS_ACCESS_DENIED without IO_COMPLETION_QUERY_STATE; STATUS_ACCESS_VIOLATION.
@c @implementation
public func NtQueryIoCompletion(
    _ ioCompletionHandle: HANDLE?, _ ioCompletionInformationClass: IO_COMPLETION_INFORMATION_CLASS, _ ioCompletionInformation: PVOID?,
    _ ioCompletionInformationLength: ULONG, _ returnLength: PULONG?
) -> NTSTATUS {
    statusBoundary("NtQueryIoCompletion") { () throws(NTStatus) -> NTStatus in
        try requireNativeHost()
        guard ioCompletionInformationClass == IoCompletionBasicInformation else { throw .invalidInfoClass }
        let size = ULONG(MemoryLayout<IO_COMPLETION_BASIC_INFORMATION>.size)
        guard ioCompletionInformationLength == size else { throw .infoLengthMismatch }
        let depth = try HandleTable.withObject(ioCompletionHandle, kind: .ioCompletion, access: queryState) { (port: IoCompletion) in port.depth }
        try CallerMemory.write(IO_COMPLETION_BASIC_INFORMATION(Depth: LONG(clamping: depth)), to: ioCompletionInformation)
        try CallerMemory.writeIfPresent(size, to: returnLength)
        return .success
    }
}

// MARK: Wait completion packets

/// Makes a wait completion packet. Statuses: those of NtCreateIoCompletion.
@c @implementation
public func NtCreateWaitCompletionPacket(
    _ waitCompletionPacketHandle: PHANDLE?, _ desiredAccess: ACCESS_MASK, _ objectAttributes: POBJECT_ATTRIBUTES?
) -> NTSTATUS {
    statusBoundary("NtCreateWaitCompletionPacket") { () throws(NTStatus) -> NTStatus in
        try makeUnnamed(waitCompletionPacketHandle, desiredAccess, objectAttributes) { WaitCompletionPacket() }
    }
}

/// Queues the packet once the object is signaled; a synchronization event is taken by that. `alreadySignaled` may be NULL; it receives
/// whether that has happened at once. The packet can be used again when a thread has removed it. [D]
///
/// Statuses: STATUS_ACCESS_VIOLATION; STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH for any of the handles, the latter also for a
/// target that is never signaled; STATUS_ACCESS_DENIED without WAIT_COMPLETION_PACKET_MODIFY_STATE, IO_COMPLETION_MODIFY_STATE and
/// SYNCHRONIZE; STATUS_INVALID_PARAMETER_1 while the packet waits or is queued [I]; STATUS_INSUFFICIENT_RESOURCES.
@c @implementation
public func NtAssociateWaitCompletionPacket(
    _ waitCompletionPacketHandle: HANDLE?, _ ioCompletionHandle: HANDLE?, _ targetObjectHandle: HANDLE?, _ keyContext: PVOID?,
    _ apcContext: PVOID?, _ ioStatus: NTSTATUS, _ ioStatusInformation: ULONG_PTR, _ alreadySignaled: PBOOLEAN?
) -> NTSTATUS {
    statusBoundary("NtAssociateWaitCompletionPacket") { () throws(NTStatus) -> NTStatus in
        try requireNativeHost()
        if alreadySignaled != nil { try CallerMemory.probeWrite(alreadySignaled) }
        let wait: WaitCompletionPacket = try HandleTable.object(waitCompletionPacketHandle, kind: .waitCompletionPacket, access: modifyPacket)
        let port: IoCompletion = try HandleTable.object(ioCompletionHandle, kind: .ioCompletion, access: modifyState)
        let target = try Wait.state(of: targetObjectHandle)
        let isSignaled = try wait.associate(port, target: target, packet: packet(keyContext, apcContext, ioStatus, ioStatusInformation))
        try CallerMemory.writeIfPresent(isSignaled ? 1 : 0, to: alreadySignaled)
        return .success
    }
}

/// Ends the packet's wait. `removeSignaledPacket` also takes a packet that is queued already out of the queue.
///
/// Statuses: STATUS_SUCCESS; STATUS_PENDING when the object was signaled and the packet stays queued, or a thread is taking it [I];
/// STATUS_CANCELLED when the packet does not wait [I]; STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH, STATUS_ACCESS_DENIED.
@c @implementation
public func NtCancelWaitCompletionPacket(_ waitCompletionPacketHandle: HANDLE?, _ removeSignaledPacket: BOOLEAN) -> NTSTATUS {
    statusBoundary("NtCancelWaitCompletionPacket") { () throws(NTStatus) -> NTStatus in
        try requireNativeHost()
        let wait: WaitCompletionPacket = try HandleTable.object(waitCompletionPacketHandle, kind: .waitCompletionPacket, access: modifyPacket)
        return try wait.cancel(removing: removeSignaledPacket != 0)
    }
}
