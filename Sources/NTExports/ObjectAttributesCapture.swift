// The caller's OBJECT_ATTRIBUTES, UNICODE_STRINGs, security descriptors and qualities of service, as values of ours.
//
// Everything is copied once, bounded by its own 16-bit lengths, and checked afterwards. A security descriptor comes in two
// forms, absolute (pointers) and self-relative (offsets); both leave as self-relative bytes that hold exactly the parts that were
// there, so nobody behind this file sees a pointer or an offset of the caller.

import CNTTypes
import NTObjects
import NTTypes

/// A captured OBJECT_ATTRIBUTES.
struct CapturedObjectAttributes: Sendable {
    /// The full NT path; nil for an unnamed object.
    var name: String?
    /// OBJ_* as given.
    var attributes: UInt32 = 0
    /// Self-relative, nil if none was given.
    var securityDescriptor: [UInt8]?
    var qualityOfService: CapturedQualityOfService?

    private static let validAttributes: UInt32 = 0x1FF2

    /// Captures `pointer`; NULL is an unnamed object without attributes.
    ///
    /// Throws: `accessViolation`; `invalidParameter` for a Length other than 48 and for unknown attributes; `objectNameInvalid` for a
    /// name of odd length or with unpaired surrogates, for a root directory without a name [R] ROS-LPC and for a full name above
    /// 0xFFFF bytes; `objectPathSyntaxBad` for a relative name that begins with a backslash [I]; what the host says of the root
    /// directory; `unknownRevision`, `invalidSid`, `invalidAcl`, `invalidSecurityDescr`; what a quality of service throws.
    init(_ pointer: POBJECT_ATTRIBUTES?) throws(NTStatus) {
        guard pointer != nil else { return }
        let captured = try CallerMemory.read(pointer)
        guard captured.Length == ULONG(MemoryLayout<OBJECT_ATTRIBUTES>.size) else { throw .invalidParameter }
        attributes = try Self.checked(captured.Attributes)
        name = try Self.fullName(captured)
        if let descriptor = captured.SecurityDescriptor {
            securityDescriptor = try SecurityDescriptorCapture.selfRelative(at: descriptor)
        }
        if let quality = captured.SecurityQualityOfService {
            qualityOfService = try CapturedQualityOfService(quality)
        }
    }

    /// OBJ_* bits without unknown ones: `invalidParameter` otherwise.
    static func checked(_ attributes: UInt32) throws(NTStatus) -> UInt32 {
        guard attributes & ~validAttributes == 0 else { throw .invalidParameter }
        return attributes
    }

    private static func fullName(_ captured: OBJECT_ATTRIBUTES) throws(NTStatus) -> String? {
        var units: [UInt16] = []
        if captured.ObjectName != nil { units = try CallerString.units(try CallerMemory.read(captured.ObjectName)) }
        guard let root = captured.RootDirectory else { return units.isEmpty ? nil : try CallerString.text(units) }
        guard let first = units.first else { throw .objectNameInvalid }
        let backslash = UInt16(UInt8(ascii: "\\"))
        guard first != backslash else { throw .objectPathSyntaxBad }
        var full = try Host.directoryName(root)
        // A directory that the host's programs made is one of the tree's from the first use of its handle.
        if full != [backslash] { try ObjectNamespace.makeDirectory(try CallerString.text(full)) }
        if full.last != backslash { full.append(backslash) }
        full += units
        guard full.count * 2 <= 0xFFFF else { throw .objectNameInvalid }
        return try CallerString.text(full)
    }
}

/// Captures of UNICODE_STRING.
enum CallerString {
    /// The text behind a UNICODE_STRING; nil for a NULL pointer, empty for an empty string.
    /// Throws: `accessViolation`; `objectNameInvalid` for an odd length or unpaired surrogates.
    static func capture(_ pointer: PUNICODE_STRING?) throws(NTStatus) -> String? {
        guard pointer != nil else { return nil }
        return try text(try units(try CallerMemory.read(pointer)))
    }

    /// The code units of a string whose structure is captured already. Its length is 16 bits wide, which bounds the copy.
    static func units(_ string: UNICODE_STRING) throws(NTStatus) -> [UInt16] {
        guard string.Length % 2 == 0 else { throw .objectNameInvalid }
        return try CallerMemory.array(at: string.Buffer, count: Int(string.Length) / 2, of: UInt16.self)
    }

    /// NT compares names by code units; ours become file names in UTF-8, which has no unpaired surrogates. Refused rather than
    /// replaced, or two names would become one. [I]
    static func text(_ units: [UInt16]) throws(NTStatus) -> String {
        guard let text = String(validating: units, as: UTF16.self) else { throw .objectNameInvalid }
        return text
    }
}

/// A captured SECURITY_QUALITY_OF_SERVICE.
struct CapturedQualityOfService: Equatable, Sendable {
    /// SecurityAnonymous (0) to SecurityDelegation (3).
    var impersonationLevel: UInt32
    var dynamicTracking: Bool
    var effectiveOnly: Bool

    /// Throws: `accessViolation` also for NULL; `invalidParameter` for a Length other than 12; `badImpersonationLevel` above
    /// SecurityDelegation. [R] NW-S
    init(_ pointer: UnsafeRawPointer?) throws(NTStatus) {
        let captured = try CallerMemory.read(pointer, as: (length: UInt32, level: UInt32, tracking: UInt8, effective: UInt8, padding: UInt16).self)
        guard captured.length == UInt32(MemoryLayout<SECURITY_QUALITY_OF_SERVICE>.size) else { throw .invalidParameter }
        guard captured.level <= 3 else { throw .badImpersonationLevel }
        impersonationLevel = captured.level
        dynamicTracking = captured.tracking != 0
        effectiveOnly = captured.effective != 0
    }
}

/// Captures of SIDs and security descriptors.
enum SecurityDescriptorCapture {
    private static let selfRelativeBit: UInt16 = 0x8000 // SE_SELF_RELATIVE
    private static let daclPresentBit: UInt16 = 0x0004    // SE_DACL_PRESENT
    private static let saclPresentBit: UInt16 = 0x0010    // SE_SACL_PRESENT
    private static let headerCount = 20                 // SECURITY_DESCRIPTOR_RELATIVE
    private static let maximumSubAuthorities = 15       // SID_MAX_SUB_AUTHORITIES

    /// The bytes of a SID: 8, and 4 for each sub-authority.
    /// Throws: `accessViolation`; `invalidSid` for another revision than 1 and for more than 15 sub-authorities.
    static func sid(at pointer: UnsafeRawPointer?) throws(NTStatus) -> [UInt8] {
        let head = try CallerMemory.read(pointer, as: (revision: UInt8, count: UInt8).self)
        guard head.revision == 1, head.count <= UInt8(maximumSubAuthorities) else { throw .invalidSid }
        var bytes = try CallerMemory.bytes(at: pointer, count: 8 + 4 * Int(head.count))
        // The bytes may have changed since: what was checked counts.
        bytes[0] = head.revision
        bytes[1] = head.count
        return bytes
    }

    /// A descriptor in self-relative form, at most 20 bytes, two SIDs and two lists of 0xFFFF bytes.
    static func selfRelative(at pointer: UnsafeRawPointer) throws(NTStatus) -> [UInt8] {
        let head = try CallerMemory.read(pointer, as: (revision: UInt8, sbz1: UInt8, control: UInt16).self)
        guard head.revision == 1 else { throw .unknownRevision }
        let parts = head.control & selfRelativeBit != 0 ? try offsets(at: pointer) : try pointers(at: pointer)

        var bytes = [UInt8](repeating: 0, count: headerCount)
        bytes[0] = head.revision
        bytes[1] = head.sbz1
        let control = head.control | selfRelativeBit
        bytes[2] = UInt8(truncatingIfNeeded: control)
        bytes[3] = UInt8(truncatingIfNeeded: control >> 8)
        if let owner = parts.owner { append(try sid(at: owner), field: 4, to: &bytes) }
        if let group = parts.group { append(try sid(at: group), field: 8, to: &bytes) }
        // A list counts only if the control bits say that it is there; there and NULL means everybody.
        if let sacl = parts.sacl, control & saclPresentBit != 0 { append(try acl(at: sacl), field: 12, to: &bytes) }
        if let dacl = parts.dacl, control & daclPresentBit != 0 { append(try acl(at: dacl), field: 16, to: &bytes) }
        return bytes
    }

    private typealias Parts = (owner: UnsafeRawPointer?, group: UnsafeRawPointer?, sacl: UnsafeRawPointer?, dacl: UnsafeRawPointer?)

    private static func pointers(at pointer: UnsafeRawPointer) throws(NTStatus) -> Parts {
        let captured = try CallerMemory.read(pointer, as: SECURITY_DESCRIPTOR.self)
        return (UnsafeRawPointer(captured.Owner), UnsafeRawPointer(captured.Group), UnsafeRawPointer(captured.Sacl), UnsafeRawPointer(captured.Dacl))
    }

    private static func offsets(at pointer: UnsafeRawPointer) throws(NTStatus) -> Parts {
        let captured = try CallerMemory.read(pointer, as: SECURITY_DESCRIPTOR_RELATIVE.self)
        var found: [UnsafeRawPointer?] = []
        for offset in [captured.Owner, captured.Group, captured.Sacl, captured.Dacl] {
            if offset == 0 {
                found.append(nil)
            } else {
                guard offset >= ULONG(headerCount) else { throw .invalidSecurityDescr }
                found.append(UnsafeRawPointer(bitPattern: UInt(bitPattern: pointer) &+ UInt(offset)))
            }
        }
        return (found[0], found[1], found[2], found[3])
    }

    /// The bytes of an access control list: as many as its AclSize says.
    private static func acl(at pointer: UnsafeRawPointer) throws(NTStatus) -> [UInt8] {
        let captured = try CallerMemory.read(pointer, as: ACL.self)
        guard Int(captured.AclSize) >= MemoryLayout<ACL>.size else { throw .invalidAcl }
        var bytes = try CallerMemory.bytes(at: pointer, count: Int(captured.AclSize))
        withUnsafeBytes(of: captured) { bytes.replaceSubrange(0 ..< MemoryLayout<ACL>.size, with: $0) }
        return bytes
    }

    /// Puts a part at the end, aligned to 4 bytes, and its offset into the header.
    private static func append(_ part: [UInt8], field: Int, to bytes: inout [UInt8]) {
        while bytes.count % 4 != 0 { bytes.append(0) }
        withUnsafeBytes(of: UInt32(bytes.count).littleEndian) { bytes.replaceSubrange(field ..< field + 4, with: $0) }
        bytes += part
    }
}
