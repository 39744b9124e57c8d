// Processes and threads of the native host: handles of Linux tasks, signaled when they have ended.
//
// A handle says who somebody is and when he is gone; it gives no power over him that Linux does not give anyway. So whoever may
// send a task signals (the same user, or CAP_KILL) may open it with any right, and nobody else with any. [I]
// A task is held by a pidfd, which names it for good. Threads have them since Linux 6.9; before, a thread is looked at by its id
// and the time it was started.

import CLinuxShims
import CNTTypes
import Glibc
import LinuxSystem
import NTTypes

/// What processes and threads have in common.
public class TaskObject: KernelObject, @unchecked Sendable {
    /// Linux ids; 0 for a task of another pid namespace, and for one that had ended when it was handed over.
    public let process: Int32
    public let thread: Int32
    let descriptor: Descriptor?

    fileprivate init(kind: ObjectKind, process: Int32, thread: Int32, descriptor: Descriptor?, started: UInt64) {
        self.process = process
        self.thread = thread
        self.descriptor = descriptor
        super.init(kind: kind)
        let id = kind == .thread ? thread : process
        signal = SignalState(.notification, outside: TaskSignal(descriptor, id: id, started: started))
    }

    public var hasEnded: Bool { signal!.isSignaled }

    /// The exit code, or 128 + signal; 0 when the kernel does not tell; STATUS_PENDING (0x103) while the task runs.
    public var exitStatus: Int32 {
        guard hasEnded else { return NTStatus.pending.rawValue }
        return descriptor.flatMap(LinuxTask.exitStatus) ?? 0
    }

    public override func describe() -> String { "\(super.describe()) process=\(process) thread=\(thread) ended=\(hasEnded)" }

    /// An id as Linux counts them.
    /// - Throws: `invalidCid` for a number that is no id.
    fileprivate static func id(_ number: UInt64) throws(NTStatus) -> Int32 {
        guard let id = Int32(exactly: number), id > 0 else { throw .invalidCid }
        return id
    }

    /// What an error means for somebody who names a task by id.
    fileprivate static func status(_ error: Errno) -> NTStatus {
        switch error {
        case .noSuchProcess, .noEntry, .invalidArgument: .invalidCid
        case .notPermitted, .accessDenied: .accessDenied
        default: NTStatus(error)
        }
    }
}

/// The small negative numbers that name something without being handles.
public enum PseudoHandle {
    /// The object behind NtCurrentProcess() or NtCurrentThread(), made for the occasion; nil for any other value.
    /// - Throws: `insufficientResources`.
    public static func object(_ handle: HANDLE?) throws(NTStatus) -> TaskObject? {
        switch Int(bitPattern: handle) {
        case -1: try ProcessObject.open(UInt64(getpid()))
        case -2: try ThreadObject.open(process: 0, thread: UInt64(ntlpc_gettid()))
        default: nil
        }
    }
}

/// An NT process object.
public final class ProcessObject: TaskObject, @unchecked Sendable {
    /// - Throws: `invalidCid` when there is no such process; `accessDenied` for one that the caller may not send signals;
    ///   `insufficientResources`.
    public static func open(_ number: UInt64) throws(NTStatus) -> ProcessObject {
        let id = try id(number)
        do throws(Errno) {
            let descriptor = try LinuxTask.openProcess(id)
            try LinuxTask.checkPermission(process: id, thread: id, descriptor)
            return ProcessObject(kind: .process, process: id, thread: 0, descriptor: descriptor, started: 0)
        } catch {
            throw status(error)
        }
    }

    /// The process behind a pidfd of somebody else.
    /// - Throws: `objectTypeMismatch` when it is a thread's.
    static func adopt(_ descriptor: Descriptor) throws(NTStatus) -> ProcessObject {
        guard !LinuxTask.isThread(descriptor) else { throw .objectTypeMismatch }
        return ProcessObject(kind: .process, process: idOrNone(descriptor), thread: 0, descriptor: descriptor, started: 0)
    }

    fileprivate static func idOrNone(_ descriptor: Descriptor) -> Int32 {
        do throws(Errno) { return try LinuxTask.id(of: descriptor) } catch { return 0 }
    }
}

/// An NT thread object.
public final class ThreadObject: TaskObject, @unchecked Sendable {
    /// - Parameter process: 0 takes the thread of any process.
    /// - Throws: `invalidCid` when there is no such thread, or it is another process's; the others as for processes.
    public static func open(process: UInt64, thread: UInt64) throws(NTStatus) -> ThreadObject {
        let id = try id(thread)
        let owner = process == 0 ? 0 : try Self.id(process)
        do throws(Errno) {
            var descriptor: Descriptor?
            do throws(Errno) {
                descriptor = try LinuxTask.openThread(id)
            } catch {
                // Linux before 6.9.
                guard error == .invalidArgument else { throw error }
            }
            let task = try LinuxTask.information(id)
            guard owner == 0 || task.process == owner else { throw .noSuchProcess }
            try LinuxTask.checkPermission(process: task.process, thread: id, descriptor)
            return ThreadObject(kind: .thread, process: task.process, thread: id, descriptor: descriptor, started: task.started)
        } catch {
            throw status(error)
        }
    }

    /// The thread behind a pidfd of somebody else.
    /// - Throws: `objectTypeMismatch` when it is a process's.
    static func adopt(_ descriptor: Descriptor) throws(NTStatus) -> ThreadObject {
        guard LinuxTask.isThread(descriptor) else { throw .objectTypeMismatch }
        let id = ProcessObject.idOrNone(descriptor)
        var process: Int32 = 0
        do throws(Errno) {
            if id > 0 { process = try LinuxTask.information(id).process }
        } catch {
            // It has ended: nobody knows any more whose thread it was.
        }
        return ThreadObject(kind: .thread, process: process, thread: id, descriptor: descriptor, started: 0)
    }
}
