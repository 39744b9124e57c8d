// A handle of the host that one waiting call sleeps on: alertable waits happen in the host, because only the host knows the
// callbacks that may end them.
//
// Natively it is an event in the handle table; elsewhere it is what the host makes for ports that can be waited on. Programs never
// learn the value. It is not signaled at first.

import CNTTypes
import NTTypes

/// One handle to wait on.
public final class WaitingHandle: @unchecked Sendable {
    public let handle: HANDLE
    private let event: Event?
    private let waitable: PVOID?

    /// - Throws: `notSupported` for a host without waits; what the host says.
    public init() throws(NTStatus) {
        guard Host.canWaitForHandles else { throw .notSupported }
        if Host.isNative {
            let event = Event(.notification, signaled: false)
            var pending = try event.reserveHandle(access: 0x0010_0000)    // SYNCHRONIZE
            handle = pending.value
            pending.commit()
            self.event = event
            waitable = nil
        } else {
            (handle, waitable) = try Host.makeWaitable()
            event = nil
        }
    }

    deinit { if event == nil { Host.closeWaitable(waitable) } }

    /// Gives the handle back: once, on the thread that made it. A late `signal` is harmless.
    public func close() { if event != nil { HandleTable.remove(handle) } else { Host.abandon(handle) } }

    /// Ends the wait, or the next one. Any thread.
    public func signal() {
        if let event { _ = event.set() } else { Host.setSignaled(waitable, true) }
    }

    public func reset() {
        if let event { _ = event.reset() } else { Host.setSignaled(waitable, false) }
    }

    /// Waits: `success` when signaled, `timeout`, `userApc` or `alerted`.
    public func wait(deadline: Deadline) throws(NTStatus) -> NTStatus { try Host.wait(for: handle, alertable: true, deadline: deadline) }
}

extension Host {
    /// The host can wait for its handles, and so knows what ends an alertable wait.
    public static var canWaitForHandles: Bool { extended.WaitForHandle != nil }

    fileprivate static func makeWaitable() throws(NTStatus) -> (HANDLE, PVOID?) {
        var handle: HANDLE?
        var waitable: PVOID?
        let status = NTStatus(rawValue: extended.CreateHandle!(&handle, &waitable, 0x0010_0000, 0, 0))
        guard status.isSuccess else { throw status }
        guard let handle else { throw .insufficientResources }
        return (handle, waitable)
    }
}
