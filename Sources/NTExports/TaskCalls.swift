// Processes and threads of the native host: NtQueryInformationProcess, NtQueryInformationThread, NtSetInformationThread. See
// HandleCalls.swift for other hosts.

import CNTTypes
import Glibc
import LinuxSystem
import NTObjects
import NTTypes

/// Throws unless a process handle names the calling process: what is in another one's memory and handle table is out of reach.
/// - Throws: `notSupported` for another process; `invalidHandle`, `objectTypeMismatch`, `accessDenied` when `access` is not granted.
func requireCurrentProcess(_ handle: HANDLE?, access: UInt32) throws(NTStatus) {
    if handle == HANDLE(bitPattern: -1) { return }
    let process = try HandleTable.withObject(handle, kind: .process, access: access) { (object: ProcessObject) in object.process }
    guard process == getpid() else { throw .notSupported }
}

/// Runs `body` with the process or thread that a handle or NtCurrentProcess() or NtCurrentThread() names.
private func withTask<R>(
    _ handle: HANDLE?, kind: ObjectKind, access: UInt32, _ body: (TaskObject) throws(NTStatus) -> R
) throws(NTStatus) -> R {
    if let task = try PseudoHandle.object(handle) {
        guard task.kind == kind else { throw .objectTypeMismatch }
        return try body(task)
    }
    return try HandleTable.withObject(handle, kind: kind, access: access) { (task: TaskObject) throws(NTStatus) in try body(task) }
}

/// Tells who a process is: ProcessBasicInformation, 48 bytes exactly.
///
/// ExitStatus is STATUS_PENDING while the process runs, then its exit code or 128 + signal as far as the kernel tells, else 0. Ids are
/// those of Linux, 0 for a process of another pid namespace. There is no PEB. [I]
///
/// Statuses: STATUS_INVALID_INFO_CLASS; STATUS_INFO_LENGTH_MISMATCH; STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH,
/// STATUS_ACCESS_DENIED without PROCESS_QUERY_LIMITED_INFORMATION; STATUS_ACCESS_VIOLATION.
@c @implementation
public func NtQueryInformationProcess(
    _ processHandle: HANDLE?, _ processInformationClass: PROCESSINFOCLASS, _ processInformation: PVOID?,
    _ processInformationLength: ULONG, _ returnLength: PULONG?
) -> NTSTATUS {
    statusBoundary("NtQueryInformationProcess") { () throws(NTStatus) -> NTStatus in
        try requireNativeHost()
        guard processInformationClass == ProcessBasicInformation else { throw .invalidInfoClass }
        let size = ULONG(MemoryLayout<PROCESS_BASIC_INFORMATION>.size)
        guard processInformationLength == size else { throw .infoLengthMismatch }
        let information = try withTask(processHandle, kind: .process, access: 0x1000) { process throws(NTStatus) in
            var information = PROCESS_BASIC_INFORMATION()
            information.ExitStatus = process.exitStatus
            information.BasePriority = normalPriority
            information.UniqueProcessId = ULONG_PTR(process.process)
            if information.ExitStatus == NTStatus.pending.rawValue {
                information.AffinityMask = ULONG_PTR(LinuxTask.affinity(process.process))
                do throws(Errno) {
                    information.InheritedFromUniqueProcessId = ULONG_PTR(try LinuxTask.information(process.process).parent)
                } catch {
                    // It has ended since: what is not known stays 0.
                }
            }
            return information
        }
        try CallerMemory.write(information, to: processInformation)
        try CallerMemory.writeIfPresent(size, to: returnLength)
        return .success
    }
}

private let normalPriority: KPRIORITY = 8

/// Tells who a thread is: ThreadBasicInformation, 48 bytes exactly. There is no TEB.
///
/// Statuses: those of NtQueryInformationProcess; STATUS_ACCESS_DENIED without THREAD_QUERY_LIMITED_INFORMATION.
@c @implementation
public func NtQueryInformationThread(
    _ threadHandle: HANDLE?, _ threadInformationClass: THREADINFOCLASS, _ threadInformation: PVOID?, _ threadInformationLength: ULONG,
    _ returnLength: PULONG?
) -> NTSTATUS {
    statusBoundary("NtQueryInformationThread") { () throws(NTStatus) -> NTStatus in
        try requireNativeHost()
        guard threadInformationClass == ThreadBasicInformation else { throw .invalidInfoClass }
        let size = ULONG(MemoryLayout<THREAD_BASIC_INFORMATION>.size)
        guard threadInformationLength == size else { throw .infoLengthMismatch }
        let information = try withTask(threadHandle, kind: .thread, access: 0x800) { thread throws(NTStatus) in
            var information = THREAD_BASIC_INFORMATION()
            information.ExitStatus = thread.exitStatus
            information.ClientId.UniqueProcess = HANDLE(bitPattern: Int(thread.process))
            information.ClientId.UniqueThread = HANDLE(bitPattern: Int(thread.thread))
            information.Priority = normalPriority
            information.BasePriority = normalPriority
            if information.ExitStatus == NTStatus.pending.rawValue { information.AffinityMask = ULONG_PTR(LinuxTask.affinity(thread.thread)) }
            return information
        }
        try CallerMemory.write(information, to: threadInformation)
        try CallerMemory.writeIfPresent(size, to: returnLength)
        return .success
    }
}

/// Takes the calling thread's impersonation away: ThreadImpersonationToken with a NULL token, 8 bytes exactly.
///
/// Statuses: STATUS_INVALID_INFO_CLASS for other classes; STATUS_INFO_LENGTH_MISMATCH; STATUS_ACCESS_VIOLATION; STATUS_NOT_SUPPORTED for a
/// token that is not NULL and for another thread; STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH, STATUS_ACCESS_DENIED without
/// THREAD_SET_THREAD_TOKEN.
@c @implementation
public func NtSetInformationThread(
    _ threadHandle: HANDLE?, _ threadInformationClass: THREADINFOCLASS, _ threadInformation: PVOID?, _ threadInformationLength: ULONG
) -> NTSTATUS {
    statusBoundary("NtSetInformationThread") { () throws(NTStatus) -> NTStatus in
        try requireNativeHost()
        guard threadInformationClass == ThreadImpersonationToken else { throw .invalidInfoClass }
        guard threadInformationLength == ULONG(MemoryLayout<HANDLE?>.size) else { throw .infoLengthMismatch }
        let token = try CallerMemory.read(threadInformation, as: HANDLE?.self)
        if threadHandle != HANDLE(bitPattern: -2) {
            let id = try HandleTable.withObject(threadHandle, kind: .thread, access: 0x80) { (thread: ThreadObject) in thread.thread }
            guard UInt64(id) == Host.clientID().thread else { throw .notSupported }
        }
        guard token == nil else { throw .notSupported }
        ThreadIdentity.clear()
        return .success
    }
}
