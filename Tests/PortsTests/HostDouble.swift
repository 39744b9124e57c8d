// What tests put into the native host's table: worker threads and waits, where a test must see or steer them.

import CLinuxShims
import CNTTypes
import Glibc
import LinuxSystem
@testable import NTObjects
import NTTypes

/// The native host with waits that a test can end as an APC would.
enum HostDouble {
    /// Threads whose next alertable wait is to end with STATUS_USER_APC.
    private static let pending = FutexLock<Set<Int32>>([])

    private static let noEvents = ntlpc_epoll_create()

    /// Fills in what the table lacks, and takes the waits over. Once for the process, before the first port call that needs it.
    static let isInstalled: Bool = {
        let table = UnsafeMutablePointer(mutating: NativeHost.table)
        if table.pointee.StartWorker == nil {
            table.pointee.StartWorker = { pool in
                let start = UInt(bitPattern: pool)
                var thread = pthread_t()
                let error = pthread_create(&thread, nil, { @Sendable argument in
                    var work = NTLPC_WORK()
                    while ntlpc_next_work(argument, &work) != 0 {
                        typealias Callback = @convention(c) (PVOID?, PVOID?, PVOID?, PVOID?) -> Void
                        let arguments = work.Arguments
                        unsafeBitCast(work.Function, to: Callback.self)(arguments.0, arguments.1, arguments.2, arguments.3)
                    }
                    return nil
                }, UnsafeMutableRawPointer(bitPattern: start))
                if error == 0 { pthread_detach(thread) }
                return error == 0 ? NTStatus.success.rawValue : NTStatus.insufficientResources.rawValue
            }
        }
        table.pointee.WaitForHandle = { handle, alertable, timeout in
            let me = ntlpc_gettid()
            var left = timeout?.pointee.QuadPart
            while true {
                if alertable != 0 && HostDouble.pending.withLock({ $0.remove(me) }) != nil { return NTStatus.userApc.rawValue }
                var none = LARGE_INTEGER()
                let status = NtWaitForSingleObject(handle, 0, &none)
                if status != NTStatus.timeout.rawValue { return status }
                if let remaining = left {
                    if remaining >= 0 { return status }
                    left = remaining + 10_000
                }
                // A thread can be ended here. (Not in usleep: the thread sanitizer does not get over that.)
                var nothing = ntlpc_ready()
                _ = ntlpc_epoll_wait(HostDouble.noEvents, &nothing, 1, ntlpc_monotonic_ns() + 1_000_000)
            }
        }
        return true
    }()

    /// Queues an APC to a thread.
    static func queueAPC(_ thread: Int32) { pending.withLock { _ = $0.insert(thread) } }
}
