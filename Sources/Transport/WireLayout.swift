// The Swift twin of wire_format.h: where things lie in a region, and the only way to their atomics.

import CWireFormat
import LinuxSystem
import Synchronization

/// Sizes and offsets in a region, in bytes.
public enum WireLayout {
    public static let unit = Int(NTLPC_UNIT)
    public static let ringUnits = NTLPC_RING_BYTES / NTLPC_UNIT
    public static let maximumPayload = Int(NTLPC_MAX_PAYLOAD)
    public static let slotCount = Int(NTLPC_SLOT_COUNT)
    public static let noSlot = UInt32(0xFFFF_FFFF)
    public static let slotsOffset = Int(NTLPC_REQUEST_RING + 2 * NTLPC_RING_BYTES)
    public static let regionBytes = slotsOffset + slotCount * Int(NTLPC_SLOT_STRIDE)

    /// Positions in a ring count units modulo 2^31; bit 0 of the shared word is the flag.
    public static let positionMask: UInt32 = 0x7FFF_FFFF

    /// What the header of a frame at `position` shows when the frame is there.
    @inlinable
    @inline(__always)
    public static func stamp(_ position: UInt32) -> UInt32 { position << 1 | 1 }

    /// Units of a frame with `payload` bytes.
    @inlinable
    @inline(__always)
    public static func units(payload: Int) -> UInt32 {
        UInt32(truncatingIfNeeded: (MemoryLayout<ntlpc_frame>.size + payload + unit - 1) / unit)
    }
}

/// One direction of a link: where its words and its ring are.
public enum Direction: Sendable {
    /// Client to server.
    case request
    /// Server to client.
    case delivery

    @usableFromInline var doorbell: Int { self == .request ? Int(NTLPC_REQUEST_DOORBELL) : Int(NTLPC_DELIVERY_DOORBELL) }
    @usableFromInline var notes: Int { self == .request ? Int(NTLPC_REQUEST_NOTES) : Int(NTLPC_DELIVERY_NOTES) }
    @usableFromInline var credit: Int { self == .request ? Int(NTLPC_REQUEST_CREDIT) : Int(NTLPC_DELIVERY_CREDIT) }
    @usableFromInline var ring: Int { Int(NTLPC_REQUEST_RING) + (self == .request ? 0 : Int(NTLPC_RING_BYTES)) }
}

/// A shared 32-bit word.
public typealias SharedWord = UnsafeMutablePointer<Atomic<UInt32>>

/// The words of one direction.
@frozen
public struct DirectionWords: @unchecked Sendable {
    public let produced: SharedWord
    public let producerCPU: SharedWord
    public let closings: SharedWord
    public let gone: SharedWord
    public let consumed: SharedWord
    public let ring: UnsafeMutableRawPointer

    init(_ direction: Direction, in region: SharedMemory) {
        let doorbell = region.base + direction.doorbell
        // SAFETY: a region has WireLayout.regionBytes; all words lie in its first page and are 4-byte aligned.
        produced = doorbell.assumingMemoryBound(to: Atomic<UInt32>.self)
        let notes = region.base + direction.notes
        producerCPU = notes.assumingMemoryBound(to: Atomic<UInt32>.self)
        closings = (notes + 4).assumingMemoryBound(to: Atomic<UInt32>.self)
        gone = (notes + 8).assumingMemoryBound(to: Atomic<UInt32>.self)
        consumed = (region.base + direction.credit).assumingMemoryBound(to: Atomic<UInt32>.self)
        ring = region.base + direction.ring
    }
}

/// Frame kinds; the numbers are the wire's.
public enum FrameKind {
    public static let skip = UInt16(NTLPC_FRAME_SKIP)
    public static let message = UInt16(NTLPC_FRAME_MESSAGE)
    public static let answer = UInt16(NTLPC_FRAME_ANSWER)
    public static let cancel = UInt16(NTLPC_FRAME_CANCEL)
    public static let connect = UInt16(NTLPC_FRAME_CONNECT)
    public static let close = UInt16(NTLPC_FRAME_CLOSE)
    public static let threadDied = UInt16(NTLPC_FRAME_THREAD_DIED)
    public static let accepted = UInt16(NTLPC_FRAME_ACCEPTED)
    public static let refused = UInt16(NTLPC_FRAME_REFUSED)
    public static let status = UInt16(NTLPC_FRAME_STATUS)
    public static let terms = UInt16(NTLPC_FRAME_TERMS)
}

/// Frame flags.
public enum FrameFlags {
    public static let sync = UInt16(NTLPC_FRAMEFLAG_SYNC)
    public static let release = UInt16(NTLPC_FRAMEFLAG_RELEASE)
    public static let legacy = UInt16(NTLPC_FRAMEFLAG_LEGACY)
    public static let callback = UInt16(NTLPC_FRAMEFLAG_CALLBACK)
    public static let attached = UInt16(NTLPC_FRAMEFLAG_ATTACHED)
    public static let noImpersonation = UInt16(NTLPC_FRAMEFLAG_NO_IMPERSONATE)
    public static let reserved = UInt16(NTLPC_FRAMEFLAG_RESERVED)
}

/// Why a CANCEL frame was sent; 0 is a sender that gave up and says no more.
public enum CancelReason {
    public static let bySender = UInt16(NTLPC_CANCEL_BY_SENDER)
    public static let byHolder = UInt16(NTLPC_CANCEL_BY_HOLDER)
    public static let answerLost = UInt16(NTLPC_CANCEL_ANSWER_LOST)
}

/// The narrow fields of the wire, in the widths that the code counts in.
extension ntlpc_frame {
    @inlinable
    public var kind: UInt16 {
        @inline(__always) get { UInt16(frame_kind) }
        @inline(__always) set { frame_kind = UInt8(truncatingIfNeeded: newValue) }
    }

    @inlinable
    public var flags: UInt16 {
        @inline(__always) get { UInt16(frame_flags) }
        @inline(__always) set { frame_flags = UInt8(truncatingIfNeeded: newValue) }
    }

    /// Of the payload, in bytes: at most `WireLayout.maximumPayload`.
    @inlinable
    public var length: UInt32 {
        @inline(__always) get { UInt32(payload_length) }
        @inline(__always) set { payload_length = UInt16(truncatingIfNeeded: newValue) }
    }

    /// Where the caller waits, or `WireLayout.noSlot`.
    @inlinable
    public var slot: UInt32 {
        @inline(__always) get { reply_slot == UInt16(NTLPC_NO_SLOT) ? WireLayout.noSlot : UInt32(reply_slot) }
        @inline(__always) set { reply_slot = UInt16(truncatingIfNeeded: newValue) }
    }
}

extension ntlpc_reply {
    @inlinable
    public var kind: UInt16 {
        @inline(__always) get { UInt16(frame_kind) }
        @inline(__always) set { frame_kind = UInt8(truncatingIfNeeded: newValue) }
    }

    @inlinable
    public var flags: UInt16 {
        @inline(__always) get { UInt16(frame_flags) }
        @inline(__always) set { frame_flags = UInt8(truncatingIfNeeded: newValue) }
    }

    @inlinable
    public var length: UInt32 {
        @inline(__always) get { UInt32(payload_length) }
        @inline(__always) set { payload_length = UInt16(truncatingIfNeeded: newValue) }
    }
}
