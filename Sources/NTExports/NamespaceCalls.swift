// Where the object namespace lives, for tools.

import CNTTypes
import NTObjects
import NTTypes

/// Copies the root's path with its NUL, cut to `Size` bytes, and returns the length needed; 0 when there is no usable root.
@c @implementation
public func ntlpc_namespace_root(_ Buffer: UnsafeMutablePointer<CChar>?, _ Size: ULONG) -> ULONG {
    let root: String
    do throws(NTStatus) {
        root = try ObjectNamespace.root()
    } catch {
        return 0
    }
    let bytes = Array(root.utf8CString)
    if let Buffer, Size > 0 {
        let count = min(bytes.count, Int(Size))
        bytes.withUnsafeBufferPointer { Buffer.update(from: $0.baseAddress!, count: count) }
        Buffer[count - 1] = 0
    }
    return ULONG(bytes.count)
}
