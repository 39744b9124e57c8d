// Events of the native host: NtCreateEvent, NtSetEvent, NtResetEvent. See HandleCalls.swift for other hosts.

import CNTTypes
import NTObjects
import NTTypes

private let eventModifyState: UInt32 = 2 // EVENT_MODIFY_STATE

/// Makes an event. Only unnamed ones: a name would have to mean the same event in other processes.
///
/// Statuses: STATUS_ACCESS_VIOLATION; STATUS_INVALID_PARAMETER for an event type that is neither NotificationEvent nor
/// SynchronizationEvent, and as ObjectAttributesCapture.swift says; STATUS_NOT_SUPPORTED for a name; STATUS_INSUFFICIENT_RESOURCES.
@c @implementation
public func NtCreateEvent(
    _ eventHandle: PHANDLE?, _ desiredAccess: ACCESS_MASK, _ objectAttributes: POBJECT_ATTRIBUTES?, _ eventType: EVENT_TYPE,
    _ initialState: BOOLEAN
) -> NTSTATUS {
    statusBoundary("NtCreateEvent") { () throws(NTStatus) -> NTStatus in
        try requireNativeHost()
        try CallerMemory.probeWrite(eventHandle)
        let behaviour: SignalState.Behaviour
        switch eventType {
        case NotificationEvent: behaviour = .notification
        case SynchronizationEvent: behaviour = .synchronization
        default: throw .invalidParameter
        }
        let attributes = try CapturedObjectAttributes(objectAttributes)
        guard attributes.name == nil else { throw .notSupported }
        let event = Event(behaviour, signaled: initialState != 0)
        var pending = try event.reserveHandle(
            access: ObjectKind.event.grantedAccess(desired: desiredAccess), attributes: attributes.attributes)
        try CallerMemory.write(pending.value, to: UnsafeMutableRawPointer(eventHandle))
        pending.commit()
        return .success
    }
}

/// Signals an event. `previousState` may be NULL; else it receives 1 if the event was signaled, 0 if not.
///
/// Statuses: STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH, STATUS_ACCESS_DENIED without EVENT_MODIFY_STATE;
/// STATUS_ACCESS_VIOLATION for a bad `previousState`, before the event changes.
@c @implementation
public func NtSetEvent(_ eventHandle: HANDLE?, _ previousState: PLONG?) -> NTSTATUS {
    statusBoundary("NtSetEvent") { () throws(NTStatus) -> NTStatus in
        try changeEvent(eventHandle, previousState) { $0.set() }
        return .success
    }
}

/// Takes the signal of an event back. Parameters and statuses are those of NtSetEvent.
@c @implementation
public func NtResetEvent(_ eventHandle: HANDLE?, _ previousState: PLONG?) -> NTSTATUS {
    statusBoundary("NtResetEvent") { () throws(NTStatus) -> NTStatus in
        try changeEvent(eventHandle, previousState) { $0.reset() }
        return .success
    }
}

@inline(__always)
private func changeEvent(_ handle: HANDLE?, _ previousState: PLONG?, _ change: (Event) -> Bool) throws(NTStatus) {
    try requireNativeHost()
    if previousState != nil { try CallerMemory.probeWrite(previousState) }
    let before = try HandleTable.withObject(handle, kind: .event, access: eventModifyState) { (event: Event) in change(event) }
    try CallerMemory.writeIfPresent(before ? 1 : 0, to: previousState)
}
