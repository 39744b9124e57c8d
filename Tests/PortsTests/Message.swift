// Message and attribute buffers of a program that calls ports. Every buffer is filled with a marker, so that a test can prove
// that a call wrote nothing else.

import CNTTypes
import Glibc
import NTTypes
import Testing

/// A PORT_MESSAGE with room behind it.
final class Message: @unchecked Sendable {
    static let header = 40
    static let marker: UInt8 = 0xA5

    let base: UnsafeMutableRawPointer
    /// Bytes of the buffer, header included; what a call is told unless it is told otherwise.
    let room: Int
    /// *BufferLength: capacity in, length out.
    var length: SIZE_T

    /// A message to send: header zero but for the lengths, then the payload.
    init(_ payload: [UInt8] = [], type: UInt16 = 0, id: UInt32 = 0, callback: UInt64 = 0, room: Int = 0) {
        self.room = max(room, Self.header + payload.count)
        length = SIZE_T(self.room)
        base = .allocate(byteCount: self.room + 64, alignment: 16)
        base.initializeMemory(as: UInt8.self, repeating: Self.marker, count: self.room + 64)
        base.initializeMemory(as: UInt8.self, repeating: 0, count: Self.header)
        self.payload = payload
        self.type = type
        self.id = id
        callbackID = callback
    }

    /// Room for a message to come: the marker all over.
    init(room: Int) {
        self.room = room
        length = SIZE_T(room)
        base = .allocate(byteCount: room + 64, alignment: 16)
        base.initializeMemory(as: UInt8.self, repeating: Self.marker, count: room + 64)
    }

    /// A copy of another message with other bytes behind the header.
    convenience init(answering other: Message, _ payload: [UInt8] = [], type: UInt16? = nil) {
        self.init(payload, type: type ?? other.type, id: other.id, callback: other.callbackID)
        process = other.process
        thread = other.thread
    }

    deinit { base.deallocate() }

    var pointer: PPORT_MESSAGE { base.assumingMemoryBound(to: PORT_MESSAGE.self) }

    private subscript<T>(_ offset: Int, _: T.Type) -> T {
        get { base.load(fromByteOffset: offset, as: T.self) }
        set { base.storeBytes(of: newValue, toByteOffset: offset, as: T.self) }
    }

    var dataLength: UInt16 { get { self[0, UInt16.self] } set { self[0, UInt16.self] = newValue } }
    var totalLength: UInt16 { get { self[2, UInt16.self] } set { self[2, UInt16.self] = newValue } }
    /// The whole Type; `kind` is its low byte.
    var type: UInt16 { get { self[4, UInt16.self] } set { self[4, UInt16.self] = newValue } }
    var kind: UInt16 { type & 0xFF }
    var dataInfoOffset: UInt16 { get { self[6, UInt16.self] } set { self[6, UInt16.self] = newValue } }
    var process: UInt64 { get { self[8, UInt64.self] } set { self[8, UInt64.self] = newValue } }
    var thread: UInt64 { get { self[16, UInt64.self] } set { self[16, UInt64.self] = newValue } }
    var id: UInt32 { get { self[24, UInt32.self] } set { self[24, UInt32.self] = newValue } }
    var callbackID: UInt64 { get { self[32, UInt64.self] } set { self[32, UInt64.self] = newValue } }

    /// The bytes behind the header; setting them sets the lengths.
    var payload: [UInt8] {
        get { Array(UnsafeRawBufferPointer(start: base + Self.header, count: min(Int(dataLength), room - Self.header))) }
        set {
            newValue.withUnsafeBytes { if $0.count > 0 { (base + Self.header).copyMemory(from: $0.baseAddress!, byteCount: $0.count) } }
            dataLength = UInt16(truncatingIfNeeded: newValue.count)
            totalLength = UInt16(truncatingIfNeeded: newValue.count + Self.header)
        }
    }

    var text: String { String(decoding: payload, as: UTF8.self) }

    /// The bytes from `offset` to the end, and those that lie behind the buffer, still hold the marker.
    func isUntouched(from offset: Int = 0) -> Bool {
        let count = room + 64 - offset
        guard count > 0 else { return true }
        // The first byte is the marker, and each byte equals the one before.
        return base.load(fromByteOffset: offset, as: UInt8.self) == Self.marker && memcmp(base + offset, base + offset + 1, count - 1) == 0
    }

    /// Nothing behind the message that the header describes was written.
    var hasCleanTail: Bool { isUntouched(from: Int(totalLength)) }

    /// All bytes, to compare before and after.
    var bytes: [UInt8] { Array(UnsafeRawBufferPointer(start: base, count: room + 64)) }
}

extension Message: ExpressibleByStringLiteral {
    convenience init(stringLiteral value: String) { self.init(Array(value.utf8)) }
}

/// An ALPC_MESSAGE_ATTRIBUTES buffer with room for every attribute.
final class Attributes: @unchecked Sendable {
    static let all: UInt32 = 0xFE00_0000
    static let context: UInt32 = 0x2000_0000
    static let view: UInt32 = 0x4000_0000
    private static let count = 160

    let base: UnsafeMutableRawPointer

    init(_ allocated: UInt32 = Attributes.all, valid: UInt32 = 0) {
        base = .allocate(byteCount: Self.count, alignment: 16)
        base.initializeMemory(as: UInt8.self, repeating: Message.marker, count: Self.count)
        self.allocated = allocated
        self.valid = valid
    }

    deinit { base.deallocate() }

    var pointer: PALPC_MESSAGE_ATTRIBUTES { base.assumingMemoryBound(to: ALPC_MESSAGE_ATTRIBUTES.self) }
    var allocated: UInt32 { get { base.load(as: UInt32.self) } set { base.storeBytes(of: newValue, as: UInt32.self) } }
    var valid: UInt32 {
        get { base.load(fromByteOffset: 4, as: UInt32.self) }
        set { base.storeBytes(of: newValue, toByteOffset: 4, as: UInt32.self) }
    }

    /// The CONTEXT attribute; the buffer must have room for it.
    var context: ALPC_CONTEXT_ATTR {
        get { AlpcGetMessageAttribute(pointer, Self.context)!.load(as: ALPC_CONTEXT_ATTR.self) }
        set { AlpcGetMessageAttribute(pointer, Self.context)!.storeBytes(of: newValue, as: ALPC_CONTEXT_ATTR.self) }
    }

    var portContext: UInt { UInt(bitPattern: context.PortContext) }
    var messageContext: UInt { UInt(bitPattern: context.MessageContext) }
    var sequence: UInt32 { context.Sequence }
}

/// `count` bytes that differ from each other and from the marker's run.
func pattern(_ count: Int, seed: Int = 0) -> [UInt8] {
    let start = (seed & 0xFFFF) * 13 % 4096
    return Array(patternBytes[start ..< start + count])
}

private let patternBytes: [UInt8] = (0 ..< 0x10000 + 4096).map { UInt8(truncatingIfNeeded: ($0 &* 31) ^ ($0 >> 8)) }
