// The native host's part of the seam that concerns objects in messages, completion ports, tasks and callbacks (HostObjects.swift).
//
// Objects travel between native processes as descriptors: a file as itself, a section as its memory file, an event as the eventfd
// that its state moves into, a process or thread as its pidfd. What a descriptor is, is asked of the kernel, not believed.

import CLinuxShims
import CNTTypes
import Glibc
import LinuxSystem
import NTSecurity
import NTTypes

enum NativeObjects {
    /// Fills in the entries of the host's table.
    static func install(in host: inout NTLPC_HOST) {
        host.QueryHandle = { handle, type, access, attributes in
            status { () throws(NTStatus) in
                let found = try NativeObjects.query(handle)
                type?.pointee = found.type.rawValue
                access?.pointee = found.access
                attributes?.pointee = found.attributes
            }
        }
        host.HandleToDescriptor = { handle, access, descriptor in
            status { () throws(NTStatus) in
                let found = try NativeObjects.descriptor(of: handle, access: access)
                do throws(Errno) { descriptor?.pointee = try found.duplicatedForProgram() } catch { throw NTStatus(error) }
            }
        }
        host.DescriptorToHandle = { descriptor, type, access, attributes, handle in
            status { () throws(NTStatus) in
                handle?.pointee = try NativeObjects.handle(for: descriptor, type: ObjectType(rawValue: type), access: access, attributes: attributes)
            }
        }
        host.QuerySession = { 0 }
        host.CloseObject = { handle in HandleTable.remove(handle) }

        // The event itself is kept, as a waitable: SetSignaled works on its state.
        host.ReferenceEvent = { handle, waitable in
            status { () throws(NTStatus) in
                let event: Event = try HandleTable.object(handle, kind: .event, access: 0x2)
                waitable?.pointee = Unmanaged.passRetained(event.signal!).toOpaque()
            }
        }
        host.ReferenceCompletionPort = { handle, completion in
            status { () throws(NTStatus) in
                let port: IoCompletion = try HandleTable.object(handle, kind: .ioCompletion, access: 0x2)
                completion?.pointee = Unmanaged.passRetained(port).toOpaque()
            }
        }
        host.PostCompletion = { completion, key, apcContext, result, information in
            guard let completion else { return NTStatus.invalidHandle.rawValue }
            Unmanaged<IoCompletion>.fromOpaque(completion)._withUnsafeGuaranteedRef { port in
                port.post(CompletionPacket(
                    key: UInt64(UInt(bitPattern: key)), apcContext: UInt64(UInt(bitPattern: apcContext)), status: NTStatus(rawValue: result),
                    information: UInt64(information)))
            }
            return NTStatus.success.rawValue
        }
        host.ReleaseCompletionPort = { completion in
            if let completion { Unmanaged<IoCompletion>.fromOpaque(completion).release() }
        }

        host.OpenProcess = { process, access, attributes, id in
            status { () throws(NTStatus) in
                let object = try ProcessObject.open(number(id?.pointee.UniqueProcess))
                process?.pointee = try NativeObjects.makeHandle(object, access, attributes)
            }
        }
        host.OpenThread = { thread, access, attributes, id in
            status { () throws(NTStatus) in
                let object = try ThreadObject.open(process: number(id?.pointee.UniqueProcess), thread: number(id?.pointee.UniqueThread))
                thread?.pointee = try NativeObjects.makeHandle(object, access, attributes)
            }
        }
        host.QueryThread = { handle, id in
            status { () throws(NTStatus) in
                let object = try NativeObjects.thread(handle, access: 0x800)
                id?.pointee.UniqueProcess = HANDLE(bitPattern: Int(object.process))
                id?.pointee.UniqueThread = HANDLE(bitPattern: Int(object.thread))
            }
        }
        host.QueryToken = { process, ids in
            status { () throws(NTStatus) in
                let found = try tokenIDs(of: number(process)).luids
                ids?[0] = found.token
                ids?[1] = found.authentication
                ids?[2] = found.modified
            }
        }
        host.Impersonate = { client in
            guard let client = client?.pointee else { return NTStatus.invalidParameter.rawValue }
            ThreadIdentity.set(ThreadIdentity(
                level: client.Level, effectiveOnly: client.EffectiveOnly != 0, uid: client.Uid, gid: client.Gid, groups: [client.Gid]))
            return NTStatus.success.rawValue
        }

        host.WaitForHandle = { handle, _, timeout in
            let deadline = Deadline(
                timeout: timeout?.pointee.QuadPart, monotonicNow: Clock.monotonic, now: NTTime(ticks: Int64(Clock.systemTime)))
            do throws(NTStatus) {
                let state = try Wait.state(of: handle)
                let index = Wait.wait(for: [state], all: false, deadline: deadline.monotonicNanoseconds)
                return (index == nil ? NTStatus.timeout : .success).rawValue
            } catch {
                return error.rawValue
            }
        }
        host.StartWorker = { pool in
            let error = ntlpc_start_program_thread("ntlpc-worker", { pool in
                var work = NTLPC_WORK()
                while ntlpc_next_work(pool, &work) != 0 {
                    typealias Callback = @convention(c) (PVOID?, PVOID?, PVOID?, PVOID?) -> Void
                    guard let function = work.Function else { continue }
                    let arguments = work.Arguments
                    unsafeBitCast(function, to: Callback.self)(arguments.0, arguments.1, arguments.2, arguments.3)
                }
            }, pool)
            return error == 0 ? NTStatus.success.rawValue : NTStatus.insufficientResources.rawValue
        }
    }

    // MARK: Handles and what they stand for

    private static func query(_ handle: HANDLE?) throws(NTStatus) -> HostHandle {
        if let task = try PseudoHandle.object(handle) {
            return HostHandle(type: task.kind.messageType, access: task.kind.genericMapping.all, attributes: 0)
        }
        return try HandleTable.withAnyObject(handle) { object, handle throws(NTStatus) in
            HostHandle(type: object.kind.messageType, access: handle.grantedAccess, attributes: handle.attributes & HandleTable.inherit)
        }
    }

    /// - Parameter access: what the descriptor is to be good for; 0 for what the handle grants.
    static func descriptor(of handle: HANDLE?, access: UInt32) throws(NTStatus) -> Descriptor {
        if let task = try PseudoHandle.object(handle) { return try descriptor(of: task) }
        // Looked up twice, because what an access means depends on the type. A handle that changes meanwhile is the caller's doing.
        guard let kind = HandleTable.kind(of: handle) else { throw .invalidHandle }
        return try HandleTable.withAnyObject(handle, access: kind.grantedAccess(desired: access)) { object, information throws(NTStatus) in
            let effective = access == 0 || access & 0x0200_0000 != 0 ? information.grantedAccess : object.kind.grantedAccess(desired: access)
            switch object {
            case let file as FileObject: return try file.descriptor(for: effective)
            case let section as Section: return try section.descriptor(for: effective)
            case let event as Event: return try event.signal!.share()
            case let task as TaskObject: return try descriptor(of: task)
            default: throw .notSupported
            }
        }
    }

    private static func descriptor(of task: TaskObject) throws(NTStatus) -> Descriptor {
        guard let descriptor = task.descriptor else { throw .notSupported }
        return descriptor
    }

    /// A handle for a descriptor that stays the caller's.
    /// - Throws: `objectTypeMismatch` when it is no such thing; `accessDenied` for rights that it does not give; `notSupported` for types
    ///   that do not travel so, and where the kernel does not tell what it is.
    static func handle(for number: Int32, type: ObjectType, access: UInt32, attributes: UInt32) throws(NTStatus) -> HANDLE {
        let descriptor: Descriptor, kind: DescriptorKind
        do throws(Errno) { descriptor = try Descriptor.duplicate(of: number) } catch { throw error == .badDescriptor ? .invalidHandle : NTStatus(error) }
        if type == .file {
            let file = FileObject(descriptor)
            let granted = try file.grantedAccess(desired: access)
            return try commit(file.reserveHandle(access: granted, attributes: attributes))
        }
        do throws(Errno) { kind = try DescriptorKind(descriptor) } catch { throw .notSupported }
        switch type {
        case .section:
            let granted = ObjectKind.section.grantedAccess(desired: access)
            return try commit(Section.adopt(descriptor, access: granted).reserveHandle(access: granted, attributes: attributes))
        case .event:
            guard kind == .event else { throw .objectTypeMismatch }
            return try makeHandle(Event(shared: descriptor), access, attributes)
        case .process:
            guard kind == .task else { throw .objectTypeMismatch }
            return try makeHandle(ProcessObject.adopt(descriptor), access, attributes)
        case .thread:
            guard kind == .task else { throw .objectTypeMismatch }
            return try makeHandle(ThreadObject.adopt(descriptor), access, attributes)
        default:
            throw .notSupported
        }
    }

    private static func makeHandle(_ object: KernelObject, _ access: UInt32, _ attributes: UInt32) throws(NTStatus) -> HANDLE {
        commit(try object.reserveHandle(access: object.kind.grantedAccess(desired: access), attributes: attributes))
    }

    private static func commit(_ pending: consuming PendingHandle) -> HANDLE {
        pending.commit()
        return pending.value
    }

    /// The thread that a handle names.
    static func thread(_ handle: HANDLE?, access: UInt32) throws(NTStatus) -> ThreadObject {
        if let task = try PseudoHandle.object(handle) as? ThreadObject { return task }
        return try HandleTable.object(handle, kind: .thread, access: access)
    }
}

private func number(_ value: HANDLE?) -> UInt64 { UInt64(UInt(bitPattern: value)) }

private func status(_ body: () throws(NTStatus) -> Void) -> NTSTATUS {
    do throws(NTStatus) {
        try body()
        return NTStatus.success.rawValue
    } catch {
        return error.rawValue
    }
}

/// The numbers of a process's token, made of what the kernel tells of it: the same whoever asks, others for every process.
/// - Parameter process: 0 for the calling thread's token.
/// - Throws: `invalidCid` when there is no such process.
private func tokenIDs(of process: UInt64) throws(NTStatus) -> TokenIDs {
    let id = process == 0 ? UInt64(getpid()) : process
    guard let number = Int32(exactly: id), number > 0 else { throw .invalidCid }
    let task: TaskInformation
    do throws(Errno) { task = try LinuxTask.information(number) } catch { throw NTStatus(error) }
    guard task.process == number else { throw .invalidCid }
    let started = UInt32(truncatingIfNeeded: task.started)
    if process == 0, let identity = ThreadIdentity.current {
        // A thread that acts for somebody has a token of its own.
        return TokenIDs(task: UInt32(bitPattern: ntlpc_gettid()), started: started ^ 0x4000_0000 ^ identity.uid, uid: identity.uid)
    }
    return TokenIDs(task: UInt32(bitPattern: number), started: started, uid: task.uid)
}
