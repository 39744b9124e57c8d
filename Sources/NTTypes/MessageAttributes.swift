// Sizes and places of message attributes.
//
// An attribute buffer is a header of 8 bytes, ALPC_MESSAGE_ATTRIBUTES, then one record for each known bit of its
// AllocatedAttributes, highest bit first, without gaps. Everything here is arithmetic on the bits; no memory is touched.
// Source: ABI reference section 6 and behaviour reference, the Alpc helpers: [T] asserted by tests that run on Windows.

/// A set of attributes. Unknown bits are kept: the helper functions store them as given and count nothing for them.
public struct AttributeSet: OptionSet, Hashable, Sendable {
    public var rawValue: UInt32
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// `ALPC_MESSAGE_SECURITY_ATTRIBUTE`: ALPC_SECURITY_ATTR.
    @inlinable public static var security: AttributeSet { AttributeSet(rawValue: 0x8000_0000) }
    /// `ALPC_MESSAGE_VIEW_ATTRIBUTE`: ALPC_DATA_VIEW_ATTR.
    @inlinable public static var view: AttributeSet { AttributeSet(rawValue: 0x4000_0000) }
    /// `ALPC_MESSAGE_CONTEXT_ATTRIBUTE`: ALPC_CONTEXT_ATTR.
    @inlinable public static var context: AttributeSet { AttributeSet(rawValue: 0x2000_0000) }
    /// `ALPC_MESSAGE_HANDLE_ATTRIBUTE`: ALPC_HANDLE_ATTR.
    @inlinable public static var handle: AttributeSet { AttributeSet(rawValue: 0x1000_0000) }
    /// `ALPC_MESSAGE_TOKEN_ATTRIBUTE`: ALPC_TOKEN_ATTR. Some headers call the bit reserved.
    @inlinable public static var token: AttributeSet { AttributeSet(rawValue: 0x0800_0000) }
    /// `ALPC_MESSAGE_DIRECT_ATTRIBUTE`: ALPC_DIRECT_ATTR.
    @inlinable public static var direct: AttributeSet { AttributeSet(rawValue: 0x0400_0000) }
    /// `ALPC_MESSAGE_WORK_ON_BEHALF_ATTRIBUTE`: ALPC_WORK_ON_BEHALF_ATTR.
    @inlinable public static var workOnBehalf: AttributeSet { AttributeSet(rawValue: 0x0200_0000) }
    /// `ALPC_MESSAGE_ATTRIBUTE_ALL`: the seven known ones.
    @inlinable public static var known: AttributeSet { AttributeSet(rawValue: 0xFE00_0000) }

    /// Exactly one attribute, and a known one.
    @inlinable public var isOneKnown: Bool { rawValue.nonzeroBitCount == 1 && isSubset(of: .known) }
}

/// Whose layout: that of 64-bit programs or of 32-bit ones.
public enum PointerWidth: Sendable {
    case bits64
    case bits32
}

public enum MessageAttributes {
    /// `sizeof(ALPC_MESSAGE_ATTRIBUTES)`, the same for both widths.
    public static let headerLength = 8

    /// Bytes of the records of `attributes`, without the header. Unknown bits add nothing.
    @inlinable public static func recordsSize(_ attributes: AttributeSet, _ width: PointerWidth = .bits64) -> Int {
        // A sum of products instead of a loop: this is on the way of every message.
        let bits = Int(attributes.rawValue)
        switch width {
        case .bits64:
            return (bits >> 31 & 1) * 24 + (bits >> 30 & 1) * 32 + (bits >> 29 & 1) * 32 + (bits >> 28 & 1) * 24
                + (bits >> 27 & 1) * 24 + (bits >> 26 & 1) * 8 + (bits >> 25 & 1) * 8
        case .bits32:
            return (bits >> 31 & 1) * 12 + (bits >> 30 & 1) * 16 + (bits >> 29 & 1) * 20 + (bits >> 28 & 1) * 16
                + (bits >> 27 & 1) * 24 + (bits >> 26 & 1) * 4 + (bits >> 25 & 1) * 8
        }
    }

    /// Bytes of a buffer with room for `attributes`: what `AlpcGetHeaderSize` returns.
    @inlinable public static func headerSize(_ attributes: AttributeSet, _ width: PointerWidth = .bits64) -> Int {
        headerLength + recordsSize(attributes, width)
    }

    /// Where in a buffer with `allocated` attributes the record of `attribute` starts, in bytes; nil when it is not exactly one
    /// known attribute or has no room: what `AlpcGetMessageAttribute` finds.
    @inlinable public static func offset(
        of attribute: AttributeSet, in allocated: AttributeSet, _ width: PointerWidth = .bits64
    ) -> Int? {
        guard attribute.isOneKnown, allocated.contains(attribute) else { return nil }
        // The records before it are those of the higher bits.
        let higher = AttributeSet(rawValue: allocated.rawValue & ~(attribute.rawValue << 1 &- 1))
        return headerSize(attribute == .security ? [] : higher, width)
    }
}
