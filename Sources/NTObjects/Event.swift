// Events of the native host. Other hosts have their own.

import NTTypes

/// An NT event object.
public final class Event: KernelObject, @unchecked Sendable {
    public init(_ behaviour: SignalState.Behaviour, signaled: Bool) {
        super.init(kind: .event)
        signal = SignalState(behaviour, signaled: signaled)
    }

    /// Makes a handle of the event, in the native host only. It names nothing until it is committed.
    public func reserveHandle(access: UInt32, attributes: UInt32 = 0) throws(NTStatus) -> PendingHandle {
        try PendingHandle.native(for: self, access: access, attributes: attributes)
    }

    /// Signals the event and returns whether it was signaled.
    public func set() -> Bool { signal!.set() }

    /// Resets the event and returns whether it was signaled.
    public func reset() -> Bool { signal!.reset() }

    public override func describe() -> String {
        let behaviour = signal!.behaviour == .notification ? "notification" : "synchronization"
        return "\(super.describe()) \(behaviour) signaled=\(signal!.isSignaled) waiters=\(signal!.waiterCount)"
    }
}
