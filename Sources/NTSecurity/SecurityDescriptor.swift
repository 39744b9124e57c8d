// Security descriptors: owner and DACL as a value.
//
// A descriptor lies in memory in one of two forms. The self-relative one is a header of 20 bytes with offsets, parsed here from
// bytes. The absolute one has pointers, so whoever may read the caller's memory fetches its parts and gives them here. The
// SACL plays no part in an access check that has no audit, so it is not kept. Source: ABI reference section 14 [P].

import NTTypes

/// `SECURITY_DESCRIPTOR.Control`
public struct DescriptorControl: OptionSet, Equatable, Sendable {
    public var rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// `SE_DACL_PRESENT`: without it the descriptor says nothing about access, and everybody has it.
    public static let daclPresent = DescriptorControl(rawValue: 0x0004)
    /// `SE_SELF_RELATIVE`
    public static let selfRelative = DescriptorControl(rawValue: 0x8000)
}

public struct SecurityDescriptor: Equatable, Sendable {
    public enum DACL: Equatable, Sendable {
        /// No list, or a NULL one: everybody has all access.
        case unrestricted
        /// Whom the list does not allow has no access: an empty list allows nobody.
        case list(ACL)
    }

    public var owner: SID?
    public var group: SID?
    public var dacl: DACL

    public init(owner: SID?, group: SID? = nil, dacl: DACL) {
        self.owner = owner
        self.group = group
        self.dacl = dacl
    }

    /// What an object gets whose creator gives no descriptor: its owner and LocalSystem have all access, nobody else any.
    public static func standard(owner: SID) -> SecurityDescriptor {
        // GENERIC_ALL
        SecurityDescriptor(owner: owner, dacl: .list(ACL([.allow(0x1000_0000, owner), .allow(0x1000_0000, .system)])))
    }

    // MARK: From memory

    /// `sizeof(SECURITY_DESCRIPTOR_RELATIVE)`
    public static let selfRelativeHeaderByteCount = 20

    /// - Parameter bytes: a descriptor in self-relative form; what follows its parts is not looked at.
    /// - Throws: `invalidSecurityDescr` when it is cut short, not self-relative, or an offset points into the header or outside;
    ///   `unknownRevision` for a revision other than 1; `invalidSid` and `invalidAcl` for malformed parts.
    public init(selfRelative bytes: [UInt8]) throws(NTStatus) {
        let all = bytes[...]
        guard all.count >= SecurityDescriptor.selfRelativeHeaderByteCount else { throw .invalidSecurityDescr }
        let control = DescriptorControl(rawValue: all.uint16(2))
        guard control.contains(.selfRelative) else { throw .invalidSecurityDescr }

        func part(_ position: Int) throws(NTStatus) -> ArraySlice<UInt8>? {
            let offset = all.uint32(position)
            if offset == 0 { return nil }
            guard offset >= SecurityDescriptor.selfRelativeHeaderByteCount, let rest = all.rest(from: Int(offset)) else {
                throw .invalidSecurityDescr
            }
            return rest
        }
        try self.init(revision: all.byte(0), control: control, owner: part(4), group: part(8), dacl: part(16))
    }

    /// From the parts of a descriptor in absolute form. A nil part was a NULL pointer. Each may be longer than its content.
    /// - Throws: `unknownRevision` for a revision other than 1; `invalidSid` and `invalidAcl` for malformed parts.
    public init(
        revision: UInt8, control: DescriptorControl, owner: ArraySlice<UInt8>?, group: ArraySlice<UInt8>?, dacl: ArraySlice<UInt8>?
    ) throws(NTStatus) {
        guard revision == 1 else { throw .unknownRevision }
        self.owner = if let owner { try SID(owner) } else { nil }
        self.group = if let group { try SID(group) } else { nil }
        if control.contains(.daclPresent), let dacl {
            self.dacl = .list(try ACL(dacl))
        } else {
            self.dacl = .unrestricted
        }
    }

    /// The descriptor in self-relative form. nil when its list is too long for one: see `ACL.bytes`.
    public var selfRelativeBytes: [UInt8]? {
        var body: [UInt8] = []
        func place(_ part: [UInt8]?) -> UInt32 {
            guard let part else { return 0 }
            let offset = SecurityDescriptor.selfRelativeHeaderByteCount + body.count
            body += part
            return UInt32(offset)
        }
        var control = DescriptorControl.selfRelative
        var list: [UInt8]?
        switch dacl {
        case .unrestricted:
            // A present NULL list, so that it stays one where an absent list would be replaced by a default.
            control.insert(.daclPresent)
        case .list(let acl):
            control.insert(.daclPresent)
            guard let bytes = acl.bytes else { return nil }
            list = bytes
        }
        let offsets = [place(owner?.bytes), place(group?.bytes), 0, place(list)]
        var bytes: [UInt8] = [1, 0]
        bytes.append(littleEndian: control.rawValue)
        for offset in offsets { bytes.append(littleEndian: offset) }
        return bytes + body
    }
}
