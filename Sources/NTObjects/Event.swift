// Events of the native host. Other hosts have their own.

import LinuxSystem
import NTTypes

/// An NT event object.
public final class Event: KernelObject, @unchecked Sendable {
    public init(_ behaviour: SignalState.Behaviour, signaled: Bool) {
        super.init(kind: .event)
        signal = SignalState(behaviour, signaled: signaled)
    }

    /// The event behind an eventfd of another process.
    init(shared descriptor: Descriptor) {
        super.init(kind: .event)
        let behaviour: SignalState.Behaviour = SharedEvent.isTakenByWait(descriptor) ? .synchronization : .notification
        signal = SignalState(behaviour, outside: SharedEventSignal(descriptor))
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
