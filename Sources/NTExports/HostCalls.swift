// The functions of ntlpc_host.h that a host calls: it installs itself and tells us what happens to its handles and signals.

import CLinuxShims
import CNTTypes
import NTObjects
import NTTypes

@c @implementation
public func ntlpc_set_host(_ host: UnsafePointer<NTLPC_HOST>?) -> NTSTATUS {
    do throws(NTStatus) {
        try Host.install(host)
        return NTStatus.success.rawValue
    } catch {
        return error.rawValue
    }
}

@c @implementation
public func ntlpc_handle_closed(_ handle: HANDLE?) -> BOOLEAN {
    HandleTable.remove(handle) == .port ? 1 : 0
}

/// The duplicate gets the access and attributes of the first handle: the host checks its own.
@c @implementation
public func ntlpc_handle_duplicated(_ handle: HANDLE?, _ newHandle: HANDLE?) -> BOOLEAN {
    guard HandleTable.kind(of: handle) == .port else {
        // Another object's handle took over a value that we still know: its close was not reported.
        HandleTable.remove(newHandle)
        return 0
    }
    do throws(NTStatus) {
        try HandleTable.duplicate(handle, at: newHandle)
        return 1
    } catch {
        return 0 // closed meanwhile, or the value is beyond the table: to us it is no port's handle
    }
}

@c @implementation
public func ntlpc_handle_is_port(_ handle: HANDLE?) -> BOOLEAN {
    HandleTable.kind(of: handle) == .port ? 1 : 0
}

/// Runs in a signal handler.
@c @implementation
public func ntlpc_handle_fault_signal(_ signal: Int32, _ sigInfo: UnsafeMutableRawPointer?, _ uContext: UnsafeMutableRawPointer?) -> BOOLEAN {
    ntlpc_handle_fault(signal, sigInfo, uContext) ? 1 : 0
}

/// Runs in a signal handler.
@c @implementation
public func ntlpc_handle_thread_signal(_ signal: Int32) -> BOOLEAN {
    ntlpc_defer_signal(signal) ? 1 : 0
}
