// Calls in progress that were made with ALPC_MSGFLG_TRACK_PORT_REFERENCES, for those who want to know when a port has become quiet
// (AlpcWaitForPortReferences): a server that ends waits until its other threads have left the port.

import CLinuxShims
import LinuxSystem
import Synchronization

/// The tracked calls of one port.
final class PortReferences: @unchecked Sendable {
    /// ORDER: acquire-release on changes, acquire on looks: who sees a call gone sees what it did.
    private let count = Atomic<UInt32>(0)

    func enter() { count.wrappingAdd(1, ordering: .acquiringAndReleasing) }

    func leave() {
        count.wrappingSubtract(1, ordering: .acquiringAndReleasing)
        Futex.wake(futexAddress(of: count), Int32.max, shared: false)
    }

    /// Waits until at most `limit` calls are in progress.
    func wait(for limit: UInt32) {
        while true {
            let now = count.load(ordering: .acquiring)
            if now <= limit { return }
            Futex.wait(futexAddress(of: count), now, shared: false, deadline: 0)
        }
    }

    /// A thread ended in a tracked call. The call's references are lost with its stack, so the port is alive.
    static func forget(_ thread: UnsafeMutablePointer<ntlpc_thread>) {
        guard let tracked = thread.pointee.tracked else { return }
        thread.pointee.tracked = nil
        Unmanaged<PortReferences>.fromOpaque(tracked).takeUnretainedValue().leave()
    }
}

extension ALPCPort {
    /// The calling thread is in a call that is counted. Calls nest only where the host runs a callback inside one; that is not counted.
    public static var isTracking: Bool { ntlpc_thread_current().pointee.tracked != nil }

    /// Runs a call that is counted.
    @inline(never)
    public func tracking<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
        let thread = ntlpc_thread_current()
        if thread.pointee.registered == 0 { ntlpc_thread_register() }
        references.enter()
        thread.pointee.tracked = Unmanaged.passUnretained(references).toOpaque()
        defer {
            thread.pointee.tracked = nil
            references.leave()
        }
        return try body()
    }

    /// AlpcWaitForPortReferences: waits until at most `limit` tracked calls are in progress ([D] PHNT).
    public func waitForReferences(_ limit: UInt32) { references.wait(for: limit) }
}
