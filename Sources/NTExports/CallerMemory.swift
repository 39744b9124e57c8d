// Memory of the caller: any address may be wrong, and any byte may change while we look at it.
//
// Each value is copied exactly once, by a routine that a fault ends instead of the process; what was copied is then checked and
// used. A pointer that cannot be read or written throws `accessViolation`, and nothing of ours has changed: callers of this file
// hold no lock, and probe their outputs before they make anything that would have to be undone.
// Faults return a status and are never raised. [W] RLI-T, NDK

import CLinuxShims
import CNTTypes
import NTTypes

/// Reads and writes the caller's memory. A `Value` is a number, a pointer or a C structure: something that bytes are all of. (The
/// compiler has BitwiseCopyable for that, but does not see it in C unions, and most NT structures have one.)
enum CallerMemory {
    /// Copies `count` bytes of the caller into memory of ours.
    @inline(__always)
    static func copyIn(_ destination: UnsafeMutableRawPointer, from source: UnsafeRawPointer?, count: Int) throws(NTStatus) {
        guard let source else {
            if count == 0 { return }
            throw .accessViolation
        }
        if ntlpc_copy(destination, source, count) != 0 { throw .accessViolation }
    }

    /// Copies `count` bytes of ours to the caller. A fault in the middle leaves the part before it written.
    @inline(__always)
    static func copyOut(_ destination: UnsafeMutableRawPointer?, from source: UnsafeRawPointer, count: Int) throws(NTStatus) {
        guard let destination else {
            if count == 0 { return }
            throw .accessViolation
        }
        if ntlpc_copy(destination, source, count) != 0 { throw .accessViolation }
    }

    /// Writes bytes of ours to the caller.
    static func copyOut(_ bytes: [UInt8], to destination: UnsafeMutableRawPointer?) throws(NTStatus) {
        let left = bytes.withUnsafeBytes { $0.isEmpty ? 0 : ntlpc_copy(destination, $0.baseAddress, $0.count) }
        if left != 0 { throw .accessViolation }
    }

    /// One value at a caller's address, aligned or not.
    @inline(__always)
    static func read<Value>(_ source: UnsafeRawPointer?, as type: Value.Type) throws(NTStatus) -> Value {
        let value = withUnsafeTemporaryAllocation(of: Value.self, capacity: 1) { buffer -> Value? in
            guard let source, ntlpc_copy(buffer.baseAddress, source, MemoryLayout<Value>.size) == 0 else { return nil }
            return buffer.baseAddress.unsafelyUnwrapped.pointee
        }
        guard let value else { throw .accessViolation }
        return value
    }

    @inline(__always)
    static func read<Value>(_ source: UnsafePointer<Value>?) throws(NTStatus) -> Value {
        try read(UnsafeRawPointer(source), as: Value.self)
    }

    @inline(__always)
    static func read<Value>(_ source: UnsafeMutablePointer<Value>?) throws(NTStatus) -> Value {
        try read(UnsafeRawPointer(source), as: Value.self)
    }

    /// The value behind an optional argument; nil when there is none.
    @inline(__always)
    static func readIfPresent<Value>(_ source: UnsafeMutablePointer<Value>?) throws(NTStatus) -> Value? {
        guard let source else { return nil }
        return try read(UnsafeRawPointer(source), as: Value.self)
    }

    /// Writes one value to a caller's address, aligned or not.
    @inline(__always)
    static func write<Value>(_ value: Value, to destination: UnsafeMutableRawPointer?) throws(NTStatus) {
        let left = withUnsafePointer(to: value) { ntlpc_copy(destination, $0, MemoryLayout<Value>.size) }
        if left != 0 || destination == nil { throw .accessViolation }
    }

    @inline(__always)
    static func write<Value>(_ value: Value, to destination: UnsafeMutablePointer<Value>?) throws(NTStatus) {
        try write(value, to: UnsafeMutableRawPointer(destination))
    }

    /// Writes a value where the caller wants it; without a pointer it does not.
    @inline(__always)
    static func writeIfPresent<Value>(_ value: Value, to destination: UnsafeMutablePointer<Value>?) throws(NTStatus) {
        if let destination { try write(value, to: UnsafeMutableRawPointer(destination)) }
    }

    /// A copy of `count` bytes.
    static func bytes(at source: UnsafeRawPointer?, count: Int) throws(NTStatus) -> [UInt8] {
        try array(at: source, count: count, of: UInt8.self)
    }

    /// A copy of `count` values. The caller bounds `count`.
    static func array<Value>(at source: UnsafeRawPointer?, count: Int, of type: Value.Type) throws(NTStatus) -> [Value] {
        guard count > 0 else { return [] }
        guard let source else { throw .accessViolation }
        let copied = [Value](unsafeUninitializedCapacity: count) { buffer, initialized in
            initialized = ntlpc_copy(buffer.baseAddress, source, count * MemoryLayout<Value>.stride) == 0 ? count : 0
        }
        if copied.isEmpty { throw .accessViolation }
        return copied
    }

    /// Proves that `count` bytes can be written, without a change: one byte of each page is read and written back. A byte that
    /// another thread of the caller writes at that moment may be lost, so only outputs of the call are probed.
    static func probeWrite(_ destination: UnsafeMutableRawPointer?, count: Int) throws(NTStatus) {
        guard count > 0 else { return }
        guard let destination else { throw .accessViolation }
        let (last, wraps) = UInt(bitPattern: destination).addingReportingOverflow(UInt(count) - 1)
        if wraps { throw .accessViolation }
        var address = UInt(bitPattern: destination)
        while true {
            try probeByte(UnsafeMutableRawPointer(bitPattern: address))
            let nextPage = (address | 0xFFF) &+ 1
            if nextPage == 0 || nextPage > last { break }
            address = nextPage
        }
    }

    /// Proves that a value can be written to its place.
    @inline(__always)
    static func probeWrite<Value>(_ destination: UnsafeMutablePointer<Value>?) throws(NTStatus) {
        try probeWrite(UnsafeMutableRawPointer(destination), count: MemoryLayout<Value>.size)
    }

    @inline(__always)
    private static func probeByte(_ address: UnsafeMutableRawPointer?) throws(NTStatus) {
        try write(try read(UnsafeRawPointer(address), as: UInt8.self), to: address)
    }
}
