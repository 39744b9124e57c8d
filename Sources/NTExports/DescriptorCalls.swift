// Between file descriptors and NT handles, for programs that have both: ntlpc_descriptor_to_handle and ntlpc_handle_to_descriptor.

import CNTTypes
import NTObjects
import NTTypes

@c @implementation
public func ntlpc_descriptor_to_handle(_ descriptor: Int32, _ access: ACCESS_MASK, _ attributes: ULONG, _ handle: PHANDLE?) -> NTSTATUS {
    statusBoundary("ntlpc_descriptor_to_handle") { () throws(NTStatus) -> NTStatus in
        try requireNativeHost()
        try CallerMemory.probeWrite(handle)
        guard attributes & ~HandleTable.inherit == 0 else { throw .invalidParameter }
        let file = try FileObject(duplicating: descriptor)
        var pending = try file.reserveHandle(access: file.grantedAccess(desired: access), attributes: attributes)
        try CallerMemory.write(pending.value, to: handle)
        pending.commit()
        return .success
    }
}

@c @implementation
public func ntlpc_handle_to_descriptor(_ handle: HANDLE?, _ access: ACCESS_MASK, _ descriptor: UnsafeMutablePointer<Int32>?) -> NTSTATUS {
    statusBoundary("ntlpc_handle_to_descriptor") { () throws(NTStatus) -> NTStatus in
        try requireNativeHost()
        try CallerMemory.probeWrite(descriptor)
        try CallerMemory.write(try Host.descriptorForProgram(of: handle, access: access), to: descriptor)
        return .success
    }
}
