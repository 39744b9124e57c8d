import NTSecurity
import NTTypes
import Testing

@Suite struct AccessCheckTests {
    static let alice = UnixIdentity(uid: 1000, gids: [1000, 27])
    static let bob = UnixIdentity(uid: 1001, gids: [1001])
    static let root = UnixIdentity(uid: 0, gids: [0])
    static let aliceSID = UnixIdentity.userSID(uid: 1000)
    static let sudoGroup = UnixIdentity.groupSID(gid: 27)
    static let connect = AccessRight.portConnect
    static let ownerImplicit = AccessRight.readControl | AccessRight.writeDAC

    struct Row: Sendable, CustomStringConvertible {
        var description: String
        var owner: SID?
        var entries: [AccessControlEntry]?
        var who: UnixIdentity
        var desired: UInt32
        var granted: UInt32?
        var refusal: NTStatus = .accessDenied
    }

    static let rows = [
        Row(description: "no list: everybody has what is asked for", entries: nil, who: bob, desired: connect, granted: connect),
        Row(description: "no list, maximum: all that the type has", entries: nil, who: bob, desired: 0x200_0000, granted: 0x1F_0001),
        Row(description: "no list, generic read: mapped", entries: nil, who: bob, desired: 0x8000_0000, granted: 0x2_0001),
        Row(description: "empty list: nobody", entries: [], who: bob, desired: connect),
        Row(description: "empty list: not even root", entries: [], who: root, desired: connect),
        Row(description: "empty list: the owner reads the descriptor", owner: aliceSID, entries: [], who: alice, desired: ownerImplicit,
            granted: ownerImplicit),
        Row(description: "empty list: the owner cannot connect", owner: aliceSID, entries: [], who: alice, desired: connect),
        Row(description: "owner by group", owner: sudoGroup, entries: [], who: alice, desired: 0x2_0000, granted: 0x2_0000),
        Row(description: "not the owner", owner: aliceSID, entries: [], who: bob, desired: 0x2_0000),
        Row(description: "Owner Rights takes the implicit rights away", owner: aliceSID, entries: [.allow(connect, .ownerRights)],
            who: alice, desired: 0x2_0000),
        Row(description: "Owner Rights gives its own", owner: aliceSID, entries: [.allow(connect, .ownerRights)], who: alice,
            desired: connect, granted: connect),
        Row(description: "Owner Rights is for the owner only", owner: aliceSID, entries: [.allow(connect, .ownerRights)], who: bob,
            desired: connect),
        Row(description: "allowed by user", entries: [.allow(connect, aliceSID)], who: alice, desired: connect, granted: connect),
        Row(description: "somebody else's entry", entries: [.allow(connect, aliceSID)], who: bob, desired: connect),
        Row(description: "allowed by group", entries: [.allow(connect, sudoGroup)], who: alice, desired: connect, granted: connect),
        Row(description: "allowed as everyone", entries: [.allow(connect, .everyone)], who: bob, desired: connect, granted: connect),
        Row(description: "allowed as authenticated", entries: [.allow(connect, .authenticatedUsers)], who: bob, desired: connect,
            granted: connect),
        Row(description: "root as LocalSystem", entries: [.allow(0x1000_0000, .system)], who: root, desired: 0x1F_0001, granted: 0x1F_0001),
        Row(description: "deny before allow", entries: [.deny(connect, aliceSID), .allow(connect, .everyone)], who: alice, desired: connect),
        Row(description: "deny concerns only its SID", entries: [.deny(connect, aliceSID), .allow(connect, .everyone)], who: bob,
            desired: connect, granted: connect),
        Row(description: "the first entry that speaks decides", entries: [.allow(connect, .everyone), .deny(connect, aliceSID)], who: alice,
            desired: connect, granted: connect),
        Row(description: "rights add up over entries", entries: [.allow(connect, sudoGroup), .allow(0x10_0000, .everyone)], who: alice,
            desired: 0x10_0001, granted: 0x10_0001),
        Row(description: "one right missing refuses all", entries: [.allow(connect, .everyone)], who: alice, desired: 0x10_0001),
        Row(description: "a denied right among allowed ones refuses all",
            entries: [.deny(0x10_0000, aliceSID), .allow(0x1F_0001, .everyone)], who: alice, desired: 0x10_0001),
        Row(description: "a generic right in an entry is mapped", entries: [.allow(0x8000_0000, .everyone)], who: bob, desired: 0x2_0001,
            granted: 0x2_0001),
        Row(description: "a generic right asked for is mapped", entries: [.allow(0x1_0001, .everyone)], who: bob, desired: 0x4000_0000,
            granted: 0x1_0001),
        Row(description: "generic execute is nothing for a port", entries: [.allow(0x1F_0001, .everyone)], who: bob, desired: 0x2000_0000),
        Row(description: "maximum collects what is left after denials",
            entries: [.deny(0x1_0000, .everyone), .allow(0x3_0001, .everyone)], who: bob, desired: 0x200_0000, granted: 0x2_0001),
        Row(description: "maximum with the owner's rights", owner: aliceSID, entries: [.allow(connect, .everyone)], who: alice,
            desired: 0x200_0000, granted: 0x6_0001),
        Row(description: "maximum of nothing", entries: [], who: bob, desired: 0x200_0000),
        Row(description: "maximum and a right that is not there", entries: [.allow(connect, .everyone)], who: bob, desired: 0x210_0000),
        Row(description: "maximum does not give bits that mean nothing", entries: [.allow(0x0300_8001, .everyone)], who: bob,
            desired: 0x200_0000, granted: connect),
        Row(description: "inherit-only entries are for children",
            entries: [AccessControlEntry(type: 0, flags: 0x08, mask: connect, sid: .everyone)], who: bob, desired: connect),
        Row(description: "conditional allow does not allow",
            entries: [AccessControlEntry(type: 0x09, mask: connect, sid: .everyone)], who: bob, desired: connect),
        Row(description: "conditional deny denies",
            entries: [AccessControlEntry(type: 0x0A, mask: connect, sid: .everyone), .allow(connect, .everyone)], who: bob, desired: connect),
        Row(description: "a label is no right", entries: [AccessControlEntry(type: 0x11, mask: connect, sid: .everyone)], who: bob,
            desired: connect),
        Row(description: "nothing asked for", entries: [.allow(connect, .everyone)], who: bob, desired: 0),
        Row(description: "the system's list needs a privilege", entries: nil, who: root, desired: 0x100_0001, refusal: .privilegeNotHeld),
    ]

    @Test(arguments: rows)
    func accessIsGrantedOrRefusedByTheRules(row: Row) {
        let dacl = row.entries.map { SecurityDescriptor.DACL.list(ACL($0)) } ?? .unrestricted
        let descriptor = SecurityDescriptor(owner: row.owner, dacl: dacl)
        var granted: UInt32?
        let refusal = status { () throws(NTStatus) in
            granted = try AccessCheck.grantedAccess(desired: row.desired, to: descriptor, for: row.who, mapping: .port)
        }
        #expect(granted == row.granted)
        #expect(refusal == (row.granted == nil ? row.refusal : nil))
    }

    @Test func theStandardDescriptorIsForTheOwnerAndTheSystem() throws {
        let descriptor = SecurityDescriptor.standard(owner: Self.aliceSID)
        func connect(_ who: UnixIdentity) throws(NTStatus) -> UInt32 {
            try AccessCheck.grantedAccess(desired: 1, to: descriptor, for: who, mapping: .port)
        }
        #expect(try connect(Self.alice) == 1)
        #expect(try connect(Self.root) == 1)
        #expect(status { () throws(NTStatus) in try connect(Self.bob) } == .accessDenied)
    }

    @Test func theMappingOfPortsIsThatOfTheReference() {
        #expect(GenericMapping.port.map(0x8000_0000) == 0x2_0001)
        #expect(GenericMapping.port.map(0x4000_0000) == 0x1_0001)
        #expect(GenericMapping.port.map(0x2000_0000) == 0)
        #expect(GenericMapping.port.map(0x1000_0000) == 0x1F_0001)
        #expect(GenericMapping.port.map(0x10_0001) == 0x10_0001)
    }
}
