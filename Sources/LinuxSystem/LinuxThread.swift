// Threads of any process, by the kernel's numbers.

import CLinuxShims

/// A thread.
public enum LinuxThread {
    /// The process has such a thread now; also when it belongs to somebody else.
    public static func exists(process: UInt64, thread: UInt64) -> Bool {
        guard let pid = Int32(exactly: process), let tid = Int32(exactly: thread), pid > 0, tid > 0 else { return false }
        return ntlpc_thread_exists(pid, tid)
    }
}
