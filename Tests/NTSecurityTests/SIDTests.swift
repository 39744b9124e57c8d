import NTSecurity
import NTTypes
import Testing

func status<R>(_ body: () throws(NTStatus) -> R) -> NTStatus? {
    do throws(NTStatus) { _ = try body() } catch { return error }
    return nil
}

@Suite struct SIDTests {
    struct Row: Sendable {
        var text: String
        var bytes: [UInt8]
    }

    @Test(arguments: [
        Row(text: "S-1-1-0", bytes: [1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]),
        Row(text: "S-1-5-18", bytes: [1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0]),
        Row(text: "S-1-5-32-544", bytes: [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0]),
        Row(text: "S-1-22-1-1000", bytes: [1, 2, 0, 0, 0, 0, 0, 22, 1, 0, 0, 0, 0xE8, 3, 0, 0]),
        Row(text: "S-1-4294967295", bytes: [1, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]),
        Row(text: "S-1-0x010000000000-4294967295", bytes: [1, 1, 1, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]),
    ])
    func bytesAndTextAgree(row: Row) throws {
        let sid = try SID(row.bytes)
        #expect(sid.description == row.text)
        #expect(sid.bytes == row.bytes)
        #expect(sid.byteCount == row.bytes.count)
        #expect(SID(row.text) == sid)
    }

    @Test func whatFollowsASIDIsNotLookedAt() throws {
        let bytes = SID.everyone.bytes + [9, 9]
        #expect(try SID(bytes) == .everyone)
        #expect(try SID((bytes + bytes)[14...]) == .everyone)
    }

    @Test(arguments: [
        [], [1], [1, 1], [1, 1, 0, 0, 0, 0, 0, 1], [1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0], [2, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0], [1, 16] + [UInt8](repeating: 0, count: 80), [1, 255] + [UInt8](repeating: 0, count: 2000), [1, 0, 0, 0, 0, 0, 0],
    ] as [[UInt8]])
    func malformedBytesAreRefused(bytes: [UInt8]) {
        #expect(status { () throws(NTStatus) in try SID(bytes) } == .invalidSid)
    }

    @Test func theLongestSIDHas68Bytes() throws {
        #expect(SID.maximumByteCount == 68)
        let sid = SID(authority: 5, Array(1...15))
        #expect(sid.bytes.count == 68)
        #expect(try SID(sid.bytes) == sid)
        #expect(SID(sid.description) == sid)
    }

    @Test(arguments: ["", "S", "S-1", "S-2-5-18", "S-1-", "S-1-5-", "S-1-+5", "S-1-5--18", "S-1-5-4294967296", "S-1-281474976710656", "X-1-5-18",
                      "S-1-5-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16", "S-1-5-18 ", "S-1-0x"])
    func textThatIsNotASIDIsRefused(text: String) {
        #expect(SID(text) == nil)
    }

    @Test func everyTruncationOfAValidSIDIsRefusedAndNoneTraps() {
        let bytes = SID(authority: 5, [21, 1, 2, 3, 500]).bytes
        for length in 0..<bytes.count { #expect(status { () throws(NTStatus) in try SID(bytes[..<length]) } == .invalidSid) }
    }
}

@Suite struct UnixIdentityTests {
    @Test func anOrdinaryUserIsNamedByUidGroupsAndEveryone() {
        let identity = UnixIdentity(uid: 1000, gids: [1000, 27, 1000])
        #expect(identity.userSID.description == "S-1-22-1-1000")
        #expect(identity.userSIDs.count == 1)
        #expect(identity.groupSIDs.map(\.description) == ["S-1-22-2-1000", "S-1-22-2-27", "S-1-1-0", "S-1-5-11"])
        #expect(identity.contains(.everyone))
        #expect(identity.contains(.authenticatedUsers))
        #expect(!identity.contains(.system))
    }

    @Test func rootIsLocalSystemToo() {
        let identity = UnixIdentity(uid: 0, gids: [0])
        #expect(identity.userSIDs.map(\.description) == ["S-1-22-1-0", "S-1-5-18"])
        #expect(identity.userSID == SID("S-1-22-1-0"))
    }

    @Test func aHostMayKnowTheUserByMoreNames() throws {
        let wine = try #require(SID("S-1-5-21-0-0-0-1000"))
        let identity = UnixIdentity(uid: 1000, gids: [], alsoKnownAs: [wine])
        #expect(identity.contains(wine))
        #expect(identity.userSID.description == "S-1-22-1-1000")
        #expect(UnixIdentity.matchesUser(wine, uid: 1000, alsoKnownAs: [wine]))
        #expect(!UnixIdentity.matchesUser(wine, uid: 1000))
    }

    @Test(arguments: [
        ("S-1-22-1-1000", UInt32(1000), true), ("S-1-22-1-1000", 1001, false), ("S-1-22-2-1000", 1000, false), ("S-1-5-18", 0, true),
        ("S-1-5-18", 1000, false), ("S-1-1-0", 0, false), ("S-1-22-1-4294967295", UInt32.max, true),
    ])
    func aUserMatchesItsOwnSIDsOnly(text: String, uid: UInt32, matches: Bool) throws {
        #expect(UnixIdentity.matchesUser(try #require(SID(text)), uid: uid) == matches)
    }

    @Test func aUserSIDGivesItsUidBack() {
        #expect(UnixIdentity.uid(of: UnixIdentity.userSID(uid: 77)) == 77)
        #expect(UnixIdentity.uid(of: UnixIdentity.groupSID(gid: 77)) == nil)
        #expect(UnixIdentity.uid(of: .system) == nil)
    }
}
