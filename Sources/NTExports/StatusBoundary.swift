// Where Swift ends and the C ABI begins: the one place that turns a thrown status into an NTSTATUS, and traces it.
//
// Success-class news (STATUS_TIMEOUT, STATUS_PENDING) is returned by the body, a failure is thrown; a failure that also writes
// outputs (a buffer that was too small) is returned after the outputs are written. To the caller all look the same.

import CNTTypes
import NTObjects
import NTTypes
import Tracing

/// Runs one exported call.
@inline(__always)
func statusBoundary(_ call: StaticString, _ body: () throws(NTStatus) -> NTStatus) -> NTSTATUS {
    Host.start()
    let status: NTStatus
    do throws(NTStatus) {
        status = try body()
    } catch {
        status = error
    }
    if Trace.isOn(.calls) { trace(call, status) }
    return status.rawValue
}

@inline(never)
private func trace(_ call: StaticString, _ status: NTStatus) {
    Trace.note(.calls, "\(call) = \(status.name)")
}
