// Processes and threads of the machine: descriptors that name them for good, and what the kernel tells of them.

import CLinuxShims

/// What /proc tells of a process or thread.
public struct TaskInformation: Equatable, Sendable {
    public let process: Int32
    public let parent: Int32
    /// Effective ids.
    public let uid: UInt32
    public let gid: UInt32
    /// Clock ticks since boot. With the id it names the task for ever.
    public let started: UInt64
    /// It has ended and waits to be forgotten.
    public let hasEnded: Bool
}

/// A process or a thread.
public enum LinuxTask {
    /// - Throws: `noSuchProcess`.
    public static func information(_ id: Int32) throws(Errno) -> TaskInformation {
        var task = ntlpc_task()
        try check(ntlpc_task_read(id, &task))
        return TaskInformation(
            process: task.process, parent: task.parent, uid: task.uid, gid: task.gid, started: task.started, hasEnded: task.ended)
    }

    /// A descriptor that is readable when the process has ended.
    public static func openProcess(_ id: Int32) throws(Errno) -> Descriptor { Descriptor(owning: try check(ntlpc_task_open(id, false))) }

    /// The same for a thread. Throws `invalidArgument` where the kernel is older than Linux 6.9.
    public static func openThread(_ id: Int32) throws(Errno) -> Descriptor { Descriptor(owning: try check(ntlpc_task_open(id, true))) }

    /// Whether the caller may send signals to it: `notPermitted`, `noSuchProcess`.
    public static func checkPermission(process: Int32, thread: Int32, _ descriptor: Descriptor?) throws(Errno) {
        try check(ntlpc_task_permitted(process, thread, descriptor?.rawValue ?? -1))
    }

    /// Whether a task's descriptor names a thread.
    public static func isThread(_ descriptor: Descriptor) -> Bool { ntlpc_task_is_thread(descriptor.rawValue) }

    /// The id that a task's descriptor names. Throws `noSuchProcess` when it has ended and been forgotten.
    public static func id(of descriptor: Descriptor) throws(Errno) -> Int32 { try check(ntlpc_task_id(descriptor.rawValue)) }

    /// The first 64 processors that it may run on; 0 when not known.
    public static func affinity(_ id: Int32) -> UInt64 { ntlpc_task_affinity(id) }

    /// Exit code, or 128 + signal; nil when the kernel does not tell.
    public static func exitStatus(_ descriptor: Descriptor) -> Int32? {
        var status: Int32 = 0
        return ntlpc_task_exit_status(descriptor.rawValue, &status) ? status : nil
    }
}
