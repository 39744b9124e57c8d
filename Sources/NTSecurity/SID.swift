// Security identifiers.
//
// In memory: revision 1, a count of sub-authorities (0 to 15), a 48-bit big-endian authority, the sub-authorities as
// little-endian 32-bit numbers: 8 + 4 * count bytes. As text: S-1-authority-sub-sub..., the authority in hexadecimal when it
// needs more than 32 bits. Source: ABI reference section 14 [P].

import NTTypes

public struct SID: Equatable, Hashable, Sendable {
    /// `SID_MAX_SUB_AUTHORITIES`
    public static let maximumSubAuthorities = 15
    /// `SECURITY_MAX_SID_SIZE`, in bytes.
    public static let maximumByteCount = byteCount(subAuthorities: maximumSubAuthorities)
    /// Bytes before the sub-authorities: enough to know how long a SID is.
    public static let prefixByteCount = 8

    /// 48 bits.
    public let authority: UInt64
    public let subAuthorities: [UInt32]

    /// - Precondition: the authority has at most 48 bits, and there are at most 15 sub-authorities.
    public init(authority: UInt64, _ subAuthorities: [UInt32]) {
        precondition(authority < 1 << 48 && subAuthorities.count <= SID.maximumSubAuthorities, "no such SID")
        self.authority = authority
        self.subAuthorities = subAuthorities
    }

    public static func byteCount(subAuthorities count: Int) -> Int { prefixByteCount + 4 * count }
    public var byteCount: Int { SID.byteCount(subAuthorities: subAuthorities.count) }

    // MARK: Bytes

    /// How many bytes a SID that starts so has.
    /// - Throws: `invalidSid` when the bytes cannot start a SID: fewer than 2 of them, a revision other than 1, a count above 15.
    public static func byteCount(startingWith bytes: ArraySlice<UInt8>) throws(NTStatus) -> Int {
        guard bytes.count >= 2, bytes.byte(0) == 1, bytes.byte(1) <= maximumSubAuthorities else { throw .invalidSid }
        return byteCount(subAuthorities: Int(bytes.byte(1)))
    }

    /// Reads the SID at the start of `bytes`; what follows it is not looked at.
    /// - Throws: `invalidSid` when it is malformed or cut short.
    public init(_ bytes: ArraySlice<UInt8>) throws(NTStatus) {
        let length = try SID.byteCount(startingWith: bytes)
        guard bytes.count >= length else { throw .invalidSid }
        var authority: UInt64 = 0
        for index in 2..<8 { authority = authority << 8 | UInt64(bytes.byte(index)) }
        self.authority = authority
        self.subAuthorities = (0..<Int(bytes.byte(1))).map { bytes.uint32(8 + 4 * $0) }
    }

    public init(_ bytes: [UInt8]) throws(NTStatus) { try self.init(bytes[...]) }

    public var bytes: [UInt8] {
        var bytes: [UInt8] = [1, UInt8(subAuthorities.count)]
        bytes.reserveCapacity(byteCount)
        for shift in stride(from: 40, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: authority >> UInt64(shift))) }
        for value in subAuthorities { bytes.append(littleEndian: value) }
        return bytes
    }
}

// MARK: - Text

extension SID: CustomStringConvertible, LosslessStringConvertible {
    public var description: String {
        var text = "S-1-"
        if authority >> 32 == 0 {
            text += String(authority)
        } else {
            let digits = String(authority, radix: 16)
            text += "0x" + String(repeating: "0", count: 12 - digits.count) + digits
        }
        for value in subAuthorities { text += "-" + String(value) }
        return text
    }

    /// nil when the text is not a SID.
    public init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count >= 3, parts.count <= 3 + SID.maximumSubAuthorities, parts[0] == "S" || parts[0] == "s", parts[1] == "1" else {
            return nil
        }
        let authority: UInt64? =
            parts[2].hasPrefix("0x") || parts[2].hasPrefix("0X")
            ? SID.number(parts[2].dropFirst(2), radix: 16) : SID.number(parts[2], radix: 10)
        guard let authority, authority < 1 << 48 else { return nil }
        var values: [UInt32] = []
        for part in parts[3...] {
            guard let number = SID.number(part, radix: 10), let value = UInt32(exactly: number) else { return nil }
            values.append(value)
        }
        self.init(authority: authority, values)
    }

    /// Digits only: Swift's own parser takes a sign too.
    private static func number(_ text: Substring, radix: Int) -> UInt64? {
        guard let first = text.utf8.first, first != UInt8(ascii: "+"), first != UInt8(ascii: "-") else { return nil }
        return UInt64(text, radix: radix)
    }
}

// MARK: - Well-known SIDs

extension SID {
    /// S-1-1-0
    public static let everyone = SID(authority: 1, [0])
    /// S-1-3-4: in a DACL, whoever owns the object; its presence takes away the owner's implicit rights.
    public static let ownerRights = SID(authority: 3, [4])
    /// S-1-5-11
    public static let authenticatedUsers = SID(authority: 5, [11])
    /// S-1-5-18: LocalSystem.
    public static let system = SID(authority: 5, [18])
    /// S-1-5-32-544
    public static let administrators = SID(authority: 5, [32, 544])
}
