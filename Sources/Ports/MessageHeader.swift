// The 40 bytes of a PORT_MESSAGE as the ports keep them, and the numbers in them.
//
// A message id must be the same number on both sides, and the sender learns it from the send call, so the sender makes it:
//   bit 31      0 (a reserve id has it set)
//   bit 30      made by the server's side
//   bits 15-29  the message's number in its link; for a synchronous request: its reply slot and the low bits of the turn
//   bits 2-14   the link's number at the server
//   bits 0-1    0: observed ids are multiples of four ([W] VOST, CHEN)

import CWireFormat
import Transport

/// A PORT_MESSAGE header, 64-bit form.
@frozen
public struct MessageHeader: Sendable {
    public static let size = 40

    public var dataLength: UInt16 = 0
    public var totalLength: UInt16 = 0
    /// `HeaderType` in the low byte, `HeaderFlags` in the high one.
    public var type: UInt16 = 0
    public var dataInfoOffset: UInt16 = 0
    public var clientProcess: UInt64 = 0
    public var clientThread: UInt64 = 0
    public var messageID: UInt32 = 0
    public var padding: UInt32 = 0
    /// CallbackId, or ClientViewSize in an LPC connection request.
    public var callbackID: UInt64 = 0

    public init() {}

    @inlinable
    @inline(__always)
    public mutating func setLength(_ payload: Int) {
        dataLength = UInt16(truncatingIfNeeded: payload)
        totalLength = UInt16(truncatingIfNeeded: payload + Self.size)
    }

    /// What a frame says of its message: all but the lengths, the type and the sender's process, which the receiver knows better.
    @inline(__always)
    init(_ frame: ntlpc_frame) {
        dataInfoOffset = frame.info
        clientThread = UInt64(frame.sender)
        messageID = frame.id
        callbackID = UInt64(frame.callback)
    }

    /// The same for a reply in a slot, whose message the caller knows.
    @inline(__always)
    init(_ reply: ntlpc_reply) {
        dataInfoOffset = reply.info
        clientThread = UInt64(reply.sender)
        callbackID = UInt64(reply.callback)
    }

    /// LPC and ALPC messages end at 64 KiB: the largest total is 0xFFFF ([B] LIBA, CSK).
    public static let largestTotal = 0xFFFF
    public static let largestPayload = largestTotal - size
}

/// The low byte of Type, as numbers for the hot path; NTTypes.MessageType names and explains them.
public enum HeaderType {
    public static let request: UInt16 = 1
    public static let reply: UInt16 = 2
    public static let datagram: UInt16 = 3
    public static let lostReply: UInt16 = 4
    public static let portClosed: UInt16 = 5
    public static let clientDied: UInt16 = 6
    public static let connectionRequest: UInt16 = 10
    public static let connectionReply: UInt16 = 11
    public static let cancelled: UInt16 = 12

    /// What the receiver of an answer sees, by the frame's flags (section 17, point 1): a last answer is a reply, one that can be
    /// answered again a request, unless an LPC call made it, whose answers are always replies. A question inside a request is none.
    @inline(__always)
    static func ofAnswer(_ flags: UInt16) -> UInt16 {
        if flags & FrameFlags.release != 0 { return reply }
        let isReply = flags & (FrameFlags.legacy | FrameFlags.callback) == FrameFlags.legacy
        return (isReply ? reply : request) | HeaderFlags.continuation
    }
}

/// The high byte of Type; NTTypes.MessageFlags explains it.
public enum HeaderFlags {
    /// LPC_CONTINUATION_REQUIRED: the receiver owes an answer, a release or a cancel.
    public static let continuation: UInt16 = 0x2000
    /// LPC_NO_IMPERSONATE: the sender does not want to be impersonated for this message ([D] PHNT; [R] ROS-LPC).
    public static let noImpersonation: UInt16 = 0x4000
    /// From there to `FrameFlags.noImpersonation` and back.
    static let noImpersonationShift: UInt16 = 9
    /// What a legacy receive shows of a type ([W?] RLI-T, and the exact compares of WINE-PORT).
    public static let legacyMask: UInt16 = 0xC00F
}

extension ntlpc_frame {
    @inline(__always)
    mutating func set(_ header: MessageHeader) {
        info = header.dataInfoOffset
        sender = UInt32(truncatingIfNeeded: header.clientThread)
        id = header.messageID
        callback = UInt32(truncatingIfNeeded: header.callbackID)
    }
}

extension ntlpc_reply {
    @inline(__always)
    mutating func set(_ header: MessageHeader) {
        info = header.dataInfoOffset
        sender = UInt32(truncatingIfNeeded: header.clientThread)
        callback = UInt32(truncatingIfNeeded: header.callbackID)
    }
}

/// How a message id is put together.
public enum MessageID {
    public static let linkLimit: UInt32 = 0x1FFF
    public static let fromServer: UInt32 = 1 << 30
    /// Numbers from here on belong to asynchronous messages; those below to reply slots.
    public static let firstAsynchronous: UInt32 = 0x4000
    public static let numberMask: UInt32 = 0x7FFF

    @inlinable
    @inline(__always)
    public static func make(link: UInt32, number: UInt32, server: Bool = false) -> UInt32 {
        (server ? fromServer : 0) | (number & numberMask) << 15 | (link & linkLimit) << 2
    }

    /// For a synchronous request: a slot has one caller at a time, so slot and turn are a number of their own.
    @inlinable
    @inline(__always)
    public static func make(link: UInt32, slot: Int, turn: UInt32) -> UInt32 {
        make(link: link, number: UInt32(truncatingIfNeeded: slot) << 6 | (turn & 63))
    }

    @inlinable
    @inline(__always)
    public static func link(of id: UInt32) -> UInt32 { (id >> 2) & linkLimit }

    /// The number of the message in its link.
    public static func number(of id: UInt32) -> UInt32 { (id >> 15) & numberMask }

    /// The part that is unique within a link: side and number.
    @inlinable
    @inline(__always)
    public static func key(of id: UInt32) -> Int { Int((id >> 15) & 0xFFFF) }

    @inlinable
    public static func isWellFormed(_ id: UInt32) -> Bool { id & 0x8000_0003 == 0 }
}
