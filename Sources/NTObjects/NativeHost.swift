// The host of processes that live in no other world: handle values from our own table, waits on our own signal states,
// process and thread ids of Linux. It fills in the same C table as any other host.

import CLinuxShims
import CNTTypes
import Glibc
import NTTypes

/// The native host's NTLPC_HOST.
enum NativeHost {
    nonisolated(unsafe) static let table: UnsafePointer<NTLPC_HOST> = {
        let table = UnsafeMutablePointer<NTLPC_HOST>.allocate(capacity: 1)
        var host = NTLPC_HOST()
        host.Size = ULONG(MemoryLayout<NTLPC_HOST>.size)
        host.World = Host.World.native.rawValue
        host.CreateHandle = { handle, waitable, _, _, signaled in
            do throws(NTStatus) {
                handle?.pointee = try HandleTable.reserve()
            } catch {
                return error.rawValue
            }
            waitable?.pointee = Unmanaged.passRetained(SignalState(.notification, signaled: signaled != 0)).toOpaque()
            return NTStatus.success.rawValue
        }
        host.CloseHandle = { handle in
            HandleTable.unreserve(handle)
            return NTStatus.success.rawValue
        }
        host.SetSignaled = { waitable, signaled in
            guard let waitable else { return }
            Unmanaged<SignalState>.fromOpaque(waitable)._withUnsafeGuaranteedRef { state in
                _ = signaled != 0 ? state.set() : state.reset()
            }
        }
        host.CloseWaitable = { waitable in
            if let waitable { Unmanaged<SignalState>.fromOpaque(waitable).release() }
        }
        // Every object of this world is in the table: what a lookup did not find there did not exist, whatever may have its
        // value by now.
        host.ClassifyHandle = { _ in NTStatus.invalidHandle.rawValue }
        // There are no directory objects, so no handle is one.
        host.QueryDirectoryName = { handle, _, _ in
            (HandleTable.kind(of: handle) == nil ? NTStatus.invalidHandle : NTStatus.objectTypeMismatch).rawValue
        }
        host.QueryClientId = { id in
            id?.pointee.UniqueProcess = HANDLE(bitPattern: Int(getpid()))
            id?.pointee.UniqueThread = HANDLE(bitPattern: Int(ntlpc_gettid()))
        }
        NativeObjects.install(in: &host)
        table.initialize(to: host)
        return UnsafePointer(table)
    }()

    /// The state behind a waitable that this host made.
    static func state(of waitable: PVOID) -> SignalState { Unmanaged<SignalState>.fromOpaque(waitable).takeUnretainedValue() }
}
