// NtWaitForSingleObject and NtWaitForMultipleObjects of the native host. See HandleCalls.swift for other hosts.
//
// A wait keeps the signal state, not the handle: closing the handle of an object that others wait on does not end the wait.
// Alertable waits are accepted; a Linux thread gets no APCs, so nothing alerts it.

import CNTTypes
import NTObjects
import NTTypes

private let maximumWaitObjects = 64           // MAXIMUM_WAIT_OBJECTS

/// Waits for one object.
///
/// `timeout` is in units of 100 ns: NULL waits for ever, negative is relative, positive is a system time, 0 only looks. [D] [I] AA-T
/// Statuses: STATUS_WAIT_0 (0) when the object was signaled, STATUS_TIMEOUT (0x102); STATUS_ACCESS_VIOLATION for a bad `timeout`;
/// STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH for an object without signal, STATUS_ACCESS_DENIED without SYNCHRONIZE.
@c @implementation
public func NtWaitForSingleObject(_ handle: HANDLE?, _ alertable: BOOLEAN, _ timeout: PLARGE_INTEGER?) -> NTSTATUS {
    statusBoundary("NtWaitForSingleObject") { () throws(NTStatus) -> NTStatus in
        try requireNativeHost()
        let deadline = try MessageCapture.deadline(timeout).monotonicNanoseconds
        let state = try Wait.state(of: handle)
        return Wait.wait(for: [state], all: false, deadline: deadline) == nil ? .timeout : .success
    }
}

/// Waits for one of several objects (WaitAny) or until all are signaled at the same moment (WaitAll).
///
/// Statuses: STATUS_WAIT_0 + the lowest index of a signaled object, or STATUS_WAIT_0 for all; STATUS_TIMEOUT;
/// STATUS_INVALID_PARAMETER_1 for a count of 0 or above 64, STATUS_INVALID_PARAMETER_3 for another wait type;
/// STATUS_INVALID_PARAMETER_MIX when all are waited for and two handles name one object; and those of NtWaitForSingleObject.
@c @implementation
public func NtWaitForMultipleObjects(
    _ count: ULONG, _ handles: PHANDLE?, _ waitType: WAIT_TYPE, _ alertable: BOOLEAN, _ timeout: PLARGE_INTEGER?
) -> NTSTATUS {
    statusBoundary("NtWaitForMultipleObjects") { () throws(NTStatus) -> NTStatus in
        try requireNativeHost()
        guard count > 0, count <= ULONG(maximumWaitObjects) else { throw .invalidParameter1 }
        guard waitType == WaitAll || waitType == WaitAny else { throw .invalidParameter3 }
        let values = try CallerMemory.array(at: handles, count: Int(count), of: HANDLE?.self)
        let deadline = try MessageCapture.deadline(timeout).monotonicNanoseconds
        var states: [SignalState] = []
        states.reserveCapacity(values.count)
        for value in values { states.append(try Wait.state(of: value)) }
        if waitType == WaitAll {
            let distinct = Set(states.map { ObjectIdentifier($0) })
            guard distinct.count == states.count else { throw .invalidParameterMix }
        }
        guard let index = Wait.wait(for: states, all: waitType == WaitAll, deadline: deadline) else { return .timeout }
        return NTStatus(rawValue: NTSTATUS(index))
    }
}
