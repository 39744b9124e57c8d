// Access control lists.
//
// In memory: an 8-byte header, then the entries one after the other, each with a header of type, flags and size. Entries whose
// type is not known are kept with their size and otherwise ignored, as NT does. Entries for object types and with conditions
// are known by type only: see `AccessControlEntry.effect`. Source: ABI reference section 14 [P].

import NTTypes

public struct AccessControlEntry: Equatable, Sendable {
    /// `ACE_HEADER.AceType`, as in memory.
    public var type: UInt8
    /// `ACE_HEADER.AceFlags`, as in memory.
    public var flags: UInt8
    /// `ACCESS_MASK`; 0 in an entry that has none.
    public var mask: UInt32
    /// nil in an entry whose type does not hold one.
    public var sid: SID?

    public init(type: UInt8, flags: UInt8 = 0, mask: UInt32, sid: SID?) {
        self.type = type
        self.flags = flags
        self.mask = mask
        self.sid = sid
    }

    public static func allow(_ mask: UInt32, _ sid: SID) -> AccessControlEntry { AccessControlEntry(type: 0, mask: mask, sid: sid) }
    public static func deny(_ mask: UInt32, _ sid: SID) -> AccessControlEntry { AccessControlEntry(type: 1, mask: mask, sid: sid) }

    public enum Effect: Sendable { case allow, deny, none }

    /// What the entry does in an access check of an object without sub-objects.
    /// An entry for an object type, or with a condition, that we cannot evaluate never allows, and always denies.
    public var effect: Effect {
        // INHERIT_ONLY_ACE: the entry is for children only.
        if flags & 0x08 != 0 || sid == nil { return .none }
        switch type {
        case 0x00: return .allow            // ACCESS_ALLOWED_ACE_TYPE
        case 0x01, 0x06, 0x0A: return .deny // ACCESS_DENIED_ACE_TYPE, ACCESS_DENIED_OBJECT_ACE_TYPE, ACCESS_DENIED_CALLBACK_ACE_TYPE
        default: return .none
        }
    }

    // MARK: Bytes

    /// - Parameter bytes: the entry, exactly as long as its header says.
    /// - Throws: `invalidAcl` when the entry is too short for its type or its SID is malformed.
    init(_ bytes: ArraySlice<UInt8>) throws(NTStatus) {
        let type = bytes.byte(0), flags = bytes.byte(1)
        let sidPosition: Int
        switch type {
        case 0x00, 0x01, 0x02, 0x03, 0x09, 0x0A, 0x11:
            sidPosition = 8
        case 0x05, 0x06, 0x07:
            // The two GUIDs are there if bits of the flags after the mask say so.
            guard bytes.count >= 12 else { throw .invalidAcl }
            let present = bytes.uint32(8)
            sidPosition = 12 + (present & 1 != 0 ? 16 : 0) + (present & 2 != 0 ? 16 : 0)
        default:
            self.init(type: type, flags: flags, mask: 0, sid: nil)
            return
        }
        guard bytes.count >= 8, let rest = bytes.rest(from: sidPosition) else { throw .invalidAcl }
        do throws(NTStatus) {
            self.init(type: type, flags: flags, mask: bytes.uint32(4), sid: try SID(rest))
        } catch {
            throw .invalidAcl
        }
    }
}

public struct ACL: Equatable, Sendable {
    public var entries: [AccessControlEntry]

    public init(_ entries: [AccessControlEntry] = []) { self.entries = entries }

    /// `sizeof(ACL)`
    public static let headerByteCount = 8

    /// How many bytes a list that starts so has.
    /// - Throws: `invalidAcl` when the bytes cannot start a list; `unknownRevision` for a revision other than 2 to 4.
    public static func byteCount(startingWith bytes: ArraySlice<UInt8>) throws(NTStatus) -> Int {
        guard bytes.count >= headerByteCount else { throw .invalidAcl }
        guard (2...4).contains(bytes.byte(0)) else { throw .unknownRevision }
        let size = Int(bytes.uint16(2))
        guard size >= headerByteCount else { throw .invalidAcl }
        return size
    }

    /// Reads the list at the start of `bytes`; what follows it is not looked at.
    /// - Throws: `invalidAcl` when the list or an entry is malformed or cut short; `unknownRevision`.
    public init(_ bytes: ArraySlice<UInt8>) throws(NTStatus) {
        let size = try ACL.byteCount(startingWith: bytes)
        guard bytes.count >= size else { throw .invalidAcl }
        let list = bytes.prefix(size)
        var entries: [AccessControlEntry] = []
        var position = ACL.headerByteCount
        for _ in 0..<Int(list.uint16(4)) {
            guard let rest = list.rest(from: position), rest.count >= 4 else { throw .invalidAcl }
            let length = Int(rest.uint16(2))
            guard length >= 4, length % 4 == 0, length <= rest.count else { throw .invalidAcl }
            entries.append(try AccessControlEntry(rest.prefix(length)))
            position += length
        }
        self.entries = entries
    }

    /// The list in memory. Entries that hold no SID, and those for object types, are left out: their rest is not kept.
    /// nil when the list is longer than its 16-bit size can say.
    public var bytes: [UInt8]? {
        var body: [UInt8] = []
        var count: UInt16 = 0
        for entry in entries where ![0x05, 0x06, 0x07].contains(entry.type) {
            guard let sid = entry.sid else { continue }
            body += [entry.type, entry.flags]
            body.append(littleEndian: UInt16(8 + sid.byteCount))
            body.append(littleEndian: entry.mask)
            body += sid.bytes
            count += 1
            guard body.count <= Int(UInt16.max) - ACL.headerByteCount else { return nil }
        }
        var bytes: [UInt8] = [2, 0]
        bytes.append(littleEndian: UInt16(ACL.headerByteCount + body.count))
        bytes.append(littleEndian: count)
        bytes.append(littleEndian: UInt16(0))
        return bytes + body
    }
}
