import NTSecurity
import NTTypes
import Testing

@Suite struct ACLTests {
    static let sample = ACL([.deny(0x1, .authenticatedUsers), .allow(0x1F_0001, .system), .allow(0x1, .everyone)])

    @Test func aListSurvivesTheWayThroughMemory() throws {
        let bytes = try #require(Self.sample.bytes)
        #expect(bytes.count == 8 + 3 * 20)
        #expect(try ACL(bytes[...]) == Self.sample)
        #expect(try ACL((bytes + [1, 2, 3])[...]) == Self.sample)
    }

    @Test func everyTruncationIsRefusedAndNoneTraps() throws {
        let bytes = try #require(Self.sample.bytes)
        for length in 0..<bytes.count { #expect(status { () throws(NTStatus) in try ACL(bytes[..<length]) } == .invalidAcl) }
    }

    @Test func everyChangedByteIsReadOrRefusedAndNoneTraps() throws {
        let bytes = try #require(Self.sample.bytes)
        for position in bytes.indices {
            for value in [0, 1, 4, 0x7F, 0xFF] as [UInt8] {
                var changed = bytes
                changed[position] = value
                let result = status { () throws(NTStatus) in try ACL(changed[...]) }
                #expect([nil, .invalidAcl, .unknownRevision].contains(result))
            }
        }
    }

    struct Row: Sendable {
        var what: String
        var bytes: [UInt8]
        var status: NTStatus
    }

    @Test(arguments: [
        Row(what: "revision 1", bytes: [1, 0, 8, 0, 0, 0, 0, 0], status: .unknownRevision),
        Row(what: "revision 5", bytes: [5, 0, 8, 0, 0, 0, 0, 0], status: .unknownRevision),
        Row(what: "size below the header", bytes: [2, 0, 7, 0, 0, 0, 0, 0], status: .invalidAcl),
        Row(what: "size beyond the bytes", bytes: [2, 0, 9, 0, 0, 0, 0, 0], status: .invalidAcl),
        Row(what: "more entries than bytes", bytes: [2, 0, 8, 0, 1, 0, 0, 0], status: .invalidAcl),
        Row(what: "entry of size 0", bytes: [2, 0, 12, 0, 1, 0, 0, 0, 0, 0, 0, 0], status: .invalidAcl),
        Row(what: "entry without a SID", bytes: [2, 0, 16, 0, 1, 0, 0, 0, 0, 0, 8, 0, 1, 0, 0, 0], status: .invalidAcl),
        Row(what: "odd entry size", bytes: [2, 0, 16, 0, 1, 0, 0, 0, 0x7F, 0, 6, 0, 0, 0, 0, 0], status: .invalidAcl),
        Row(what: "object entry cut before its flags", bytes: [2, 0, 16, 0, 1, 0, 0, 0, 5, 0, 8, 0, 1, 0, 0, 0], status: .invalidAcl),
    ])
    func malformedListsAreRefused(row: Row) {
        #expect(status { () throws(NTStatus) in try ACL(row.bytes[...]) } == row.status, "\(row.what)")
    }

    @Test func entriesOfUnknownTypeAreKeptAndDoNothing() throws {
        let acl = try ACL([2, 0, 16, 0, 1, 0, 0, 0, 0x7F, 0, 8, 0, 1, 2, 3, 4])
        #expect(acl.entries == [AccessControlEntry(type: 0x7F, mask: 0, sid: nil)])
        #expect(acl.entries[0].effect == .none)
    }

    @Test(arguments: [(UInt32(0), 12), (1, 28), (2, 28), (3, 44)])
    func theSIDOfAnObjectEntryFollowsTheGUIDsThatAreThere(flags: UInt32, sidPosition: Int) throws {
        var entry: [UInt8] = [6, 0, UInt8(sidPosition + 12), 0, 0x55, 0, 0, 0, UInt8(flags), 0, 0, 0]
        entry += [UInt8](repeating: 0xEE, count: sidPosition - 12) + SID.everyone.bytes
        let acl = try ACL(([2, 0, UInt8(8 + entry.count), 0, 1, 0, 0, 0] + entry)[...])
        #expect(acl.entries == [AccessControlEntry(type: 6, mask: 0x55, sid: .everyone)])
        #expect(acl.entries[0].effect == .deny)
    }

    @Test func aListTooLongForItsSizeFieldHasNoBytes() {
        #expect(ACL([AccessControlEntry](repeating: .allow(1, .everyone), count: 4000)).bytes == nil)
        #expect(ACL([AccessControlEntry](repeating: .allow(1, .everyone), count: 3276)).bytes?.count == 65528)
    }
}

@Suite struct SecurityDescriptorTests {
    static let samples = [
        SecurityDescriptor.standard(owner: UnixIdentity.userSID(uid: 1000)),
        SecurityDescriptor(owner: nil, dacl: .unrestricted),
        SecurityDescriptor(owner: .system, group: .everyone, dacl: .list(ACL())),
        SecurityDescriptor(owner: .system, group: .administrators, dacl: .list(ACLTests.sample)),
    ]

    @Test(arguments: samples)
    func aDescriptorSurvivesTheWayThroughMemory(descriptor: SecurityDescriptor) throws {
        let bytes = try #require(descriptor.selfRelativeBytes)
        #expect(try SecurityDescriptor(selfRelative: bytes) == descriptor)
        #expect(try SecurityDescriptor(selfRelative: bytes + [7]) == descriptor)
    }

    @Test func everyTruncationIsRefusedAndNoneTraps() throws {
        let bytes = try #require(Self.samples[3].selfRelativeBytes)
        for length in 0..<bytes.count {
            let result = status { () throws(NTStatus) in try SecurityDescriptor(selfRelative: Array(bytes[..<length])) }
            #expect([.invalidSecurityDescr, .invalidSid, .invalidAcl].contains(result), "\(length)")
        }
    }

    @Test func everyChangedByteIsReadOrRefusedAndNoneTraps() throws {
        let bytes = try #require(Self.samples[3].selfRelativeBytes)
        for position in bytes.indices {
            for value in [0, 1, 3, 0x13, 0x7F, 0xFF] as [UInt8] {
                var changed = bytes
                changed[position] = value
                _ = status { () throws(NTStatus) in try SecurityDescriptor(selfRelative: changed) }
            }
        }
    }

    struct Row: Sendable {
        var what: String
        var bytes: [UInt8]
        var status: NTStatus
    }

    static func header(revision: UInt8 = 1, control: UInt16 = 0x8004, owner: UInt8 = 0, group: UInt8 = 0, dacl: UInt8 = 0) -> [UInt8] {
        [revision, 0, UInt8(truncatingIfNeeded: control), UInt8(control >> 8), owner, 0, 0, 0, group, 0, 0, 0, 0, 0, 0, 0, dacl, 0, 0, 0]
    }

    @Test(arguments: [
        Row(what: "too short", bytes: Array(header().dropLast()), status: .invalidSecurityDescr),
        Row(what: "not self-relative", bytes: header(control: 0x4), status: .invalidSecurityDescr),
        Row(what: "revision 2", bytes: header(revision: 2), status: .unknownRevision),
        Row(what: "owner inside the header", bytes: header(owner: 4), status: .invalidSecurityDescr),
        Row(what: "owner outside", bytes: header(owner: 21), status: .invalidSecurityDescr),
        Row(what: "owner at the very end", bytes: header(owner: 20), status: .invalidSid),
        Row(what: "group malformed", bytes: header(group: 20) + [2, 0, 0, 0, 0, 0, 0, 0], status: .invalidSid),
        Row(what: "list malformed", bytes: header(dacl: 20) + [2, 0, 1, 0, 0, 0, 0, 0], status: .invalidAcl),
    ])
    func malformedDescriptorsAreRefused(row: Row) {
        #expect(status { () throws(NTStatus) in try SecurityDescriptor(selfRelative: row.bytes) } == row.status, "\(row.what)")
    }

    @Test func aListThatIsNotPresentIsNotLookedAt() throws {
        let bytes = Self.header(control: 0x8000, dacl: 20) + [9, 9]
        #expect(try SecurityDescriptor(selfRelative: bytes).dacl == .unrestricted)
    }

    @Test func aPresentNullListIsUnrestrictedAndAnEmptyOneIsNot() throws {
        #expect(try SecurityDescriptor(selfRelative: Self.header()).dacl == .unrestricted)
        #expect(try SecurityDescriptor(selfRelative: Self.header(dacl: 20) + [2, 0, 8, 0, 0, 0, 0, 0]).dacl == .list(ACL()))
    }

    @Test func theAbsoluteFormIsMadeFromItsParts() throws {
        let acl = try #require(ACLTests.sample.bytes)
        let descriptor = try SecurityDescriptor(
            revision: 1, control: .daclPresent, owner: SID.system.bytes[...], group: nil, dacl: acl[...])
        #expect(descriptor == SecurityDescriptor(owner: .system, dacl: .list(ACLTests.sample)))
    }
}
