// The header of a port message as a value.
//
// A `PortMessage` has exactly the layout of the 40-byte PORT_MESSAGE (a test compares them field by field), so it can be copied
// from and to memory as it is. It is its own type because Swift does not see imported unions as bitwise copyable, and so that
// NT's fields have their types: unsigned lengths, a type and flags that are told apart, the two readings of the last field. A
// header that came from a caller or a peer says anything; the validate functions are where it is believed.
// Source: compat/layouts.csv (PORT_MESSAGE); behaviour reference, message header.

import CNTTypes

/// The low byte of a message's type. Values that are not listed exist and are kept.
public struct MessageType: RawRepresentable, Equatable, Hashable, Sendable {
    public var rawValue: UInt8
    @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// `LPC_NEW_MESSAGE`: not sent yet.
    @inlinable public static var new: MessageType { MessageType(rawValue: 0) }
    /// `LPC_REQUEST`
    @inlinable public static var request: MessageType { MessageType(rawValue: 1) }
    /// `LPC_REPLY`
    @inlinable public static var reply: MessageType { MessageType(rawValue: 2) }
    /// `LPC_DATAGRAM`: one-way.
    @inlinable public static var datagram: MessageType { MessageType(rawValue: 3) }
    /// `LPC_LOST_REPLY`: a reply could not be delivered.
    @inlinable public static var lostReply: MessageType { MessageType(rawValue: 4) }
    /// `LPC_PORT_CLOSED`: the peer closed its port.
    @inlinable public static var portClosed: MessageType { MessageType(rawValue: 5) }
    /// `LPC_CLIENT_DIED`: a thread that registered a terminate port ended.
    @inlinable public static var clientDied: MessageType { MessageType(rawValue: 6) }
    /// `LPC_EXCEPTION`
    @inlinable public static var exception: MessageType { MessageType(rawValue: 7) }
    /// `LPC_DEBUG_EVENT`
    @inlinable public static var debugEvent: MessageType { MessageType(rawValue: 8) }
    /// `LPC_ERROR_EVENT`
    @inlinable public static var errorEvent: MessageType { MessageType(rawValue: 9) }
    /// `LPC_CONNECTION_REQUEST`
    @inlinable public static var connectionRequest: MessageType { MessageType(rawValue: 10) }
    /// `LPC_INTERNAL_CONNECTION_REPLY`: the accept message, as the client sees it.
    @inlinable public static var connectionReply: MessageType { MessageType(rawValue: 11) }
    /// `LPC_CANCEL_MESSAGE`: notice that a message was cancelled.
    @inlinable public static var cancelled: MessageType { MessageType(rawValue: 12) }
    /// `LPC_LEGACY_CONNECTION_REPLY`
    @inlinable public static var legacyConnectionReply: MessageType { MessageType(rawValue: 13) }
}

/// The high byte of a message's type. Bits that are not listed are kept.
public struct MessageFlags: OptionSet, Hashable, Sendable {
    /// The bits as they lie in the type: 0xFF00.
    public var rawValue: UInt16
    @inlinable public init(rawValue: UInt16) { self.rawValue = rawValue & 0xFF00 }

    /// `LPC_RESERVED_MESSAGE`: the header is in its 32-bit form.
    @inlinable public static var header32: MessageFlags { MessageFlags(rawValue: 0x1000) }
    /// `LPC_CONTINUATION_REQUIRED`: a reply or a cancel is owed.
    @inlinable public static var continuationRequired: MessageFlags { MessageFlags(rawValue: 0x2000) }
    /// `LPC_NO_IMPERSONATE`
    @inlinable public static var noImpersonate: MessageFlags { MessageFlags(rawValue: 0x4000) }
    /// `LPC_KERNELMODE_MESSAGE`
    @inlinable public static var kernelMode: MessageFlags { MessageFlags(rawValue: 0x8000) }
}

/// The process and thread that sent a message, as their world numbers them.
public struct ClientID: BitwiseCopyable, Equatable, Hashable, Sendable {
    public var process: UInt64
    public var thread: UInt64
    @inlinable public init(process: UInt64, thread: UInt64) {
        self.process = process
        self.thread = thread
    }
}

public struct PortMessage: BitwiseCopyable, Sendable {
    /// `sizeof(PORT_MESSAGE)`.
    public static let headerSize = 40
    /// The longest total length a message can have: what `AlpcMaxAllowedMessageLength` returns.
    public static let maximumTotalLength = 0xFFFF
    /// The longest data: the longest message without its header.
    public static let maximumDataLength = maximumTotalLength - headerSize

    // The order of these is the layout. ---------------------------------------------------------------------------------

    /// Bytes after the header.
    public var dataLength: UInt16
    /// Header and data, in bytes.
    public var totalLength: UInt16
    /// Type and flags together: `u2.s2.Type`.
    public var typeAndFlags: UInt16
    /// Where in the message a PORT_DATA_INFORMATION lies; 0 for none. LPC only.
    public var dataInfoOffset: UInt16
    public var clientID: ClientID
    public var messageID: UInt32
    /// Padding: 0 in what we make, as given in what we copy.
    public var reserved: UInt32
    /// In an LPC connection request: bytes of the client's view, 0 for none. Shares its place with `callbackID`.
    public var clientViewSize: UInt64

    // --------------------------------------------------------------------------------------------------------------------

    /// A header with every byte zero, the unused ones too.
    @inlinable public init() {
        dataLength = 0
        totalLength = 0
        typeAndFlags = 0
        dataInfoOffset = 0
        clientID = ClientID(process: 0, thread: 0)
        messageID = 0
        reserved = 0
        clientViewSize = 0
    }

    /// - Parameter dataLength: at most `maximumDataLength`.
    @inlinable public init(type: MessageType, flags: MessageFlags = [], dataLength: UInt16) {
        self.init()
        typeAndFlags = UInt16(type.rawValue) | flags.rawValue
        setLengths(data: dataLength)
    }

    /// The same bytes as C's type.
    // SAFETY: both have the same size and alignment and any bytes are valid in both; a test compares their layouts.
    @inlinable public init(_ header: PORT_MESSAGE) { self = unsafeBitCast(header, to: PortMessage.self) }
    @inlinable public var header: PORT_MESSAGE { unsafeBitCast(self, to: PORT_MESSAGE.self) }

    /// Sets both lengths. `data` is at most `maximumDataLength`.
    @inlinable public mutating func setLengths(data: UInt16) {
        dataLength = data
        totalLength = data + UInt16(PortMessage.headerSize)
    }

    @inlinable public var type: MessageType {
        get { MessageType(rawValue: UInt8(truncatingIfNeeded: typeAndFlags)) }
        set { typeAndFlags = typeAndFlags & 0xFF00 | UInt16(newValue.rawValue) }
    }

    @inlinable public var flags: MessageFlags {
        get { MessageFlags(rawValue: typeAndFlags) }
        set { typeAndFlags = typeAndFlags & 0x00FF | newValue.rawValue }
    }

    /// Number of this hop of a request. Shares its place with `clientViewSize`; setting it clears the upper half.
    @inlinable public var callbackID: UInt32 {
        get { UInt32(truncatingIfNeeded: clientViewSize) }
        set { clientViewSize = UInt64(newValue) }
    }

    // MARK: Validation

    /// Checks the lengths of a message that a program hands to an ALPC call.
    /// - Parameter limit: the port's longest message, with the header.
    /// - Throws: `invalidParameter` when the total is not header and data; `portMessageTooLong` above the limit.
    /// Source: behaviour reference, length rules: [I] for the first, [W] for the second.
    @inlinable public func validateALPC(limit: Int) throws(NTStatus) {
        guard Int(totalLength) == PortMessage.headerSize + Int(dataLength) else { throw .invalidParameter }
        guard Int(totalLength) <= limit else { throw .portMessageTooLong }
    }

    /// Checks the lengths of a message that a program hands to an LPC call. The total may be more than header and data.
    /// - Parameter limit: the port's longest message, with the header.
    /// - Throws: `invalidParameter` when header and data are more than the total; `portMessageTooLong` above the limit.
    /// Source: behaviour reference, length rules: [R].
    @inlinable public func validateLPC(limit: Int) throws(NTStatus) {
        guard Int(totalLength) >= PortMessage.headerSize + Int(dataLength) else { throw .invalidParameter }
        guard Int(totalLength) <= limit else { throw .portMessageTooLong }
    }
}

extension PortMessage: CustomStringConvertible {
    /// One line for traces.
    public var description: String {
        "type 0x\(String(typeAndFlags, radix: 16)) data \(dataLength) total \(totalLength) client \(clientID.process).\(clientID.thread)"
            + " message \(messageID) callback \(callbackID)"
    }
}
