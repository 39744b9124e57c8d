import NTSecurity
import NTTypes
import Testing

@Suite struct ImpersonationRequestTests {
    private typealias Level = SecurityQualityOfService.Level
    private static let levels: [Level] = [.anonymous, .identification, .impersonation, .delegation]

    @Test func `Four bits count and no other`() throws {
        for flags in 0 ..< 16 as Range<UInt> {
            let request = try ImpersonationRequest(flags: flags)
            #expect(request.fallsBackToAnonymous == (flags & 1 != 0))
            #expect(request.requiredLevel == (flags & 2 != 0 ? Level(rawValue: UInt32(flags >> 2)) : nil))
        }
        for bit in 4 ..< UInt.bitWidth {
            #expect(status { () throws(NTStatus) in try ImpersonationRequest(flags: 1 << UInt(bit)) } == .invalidParameter)
            #expect(status { () throws(NTStatus) in try ImpersonationRequest(flags: 1 << UInt(bit) | 0xF) } == .invalidParameter)
        }
    }

    @Test func `Every combination of what is asked for and what is allowed`() throws {
        for allowed in Self.levels {
            for consents in [true, false] {
                for flags in 0 ..< 16 as Range<UInt> {
                    let request = try ImpersonationRequest(flags: flags)
                    let quality = SecurityQualityOfService(level: allowed, dynamicTracking: true, effectiveOnly: false)
                    let given = consents ? allowed : .anonymous
                    let isEnough = flags & 2 == 0 || UInt(given.rawValue) >= flags >> 2
                    let isSomething = given != .anonymous || flags & 1 != 0
                    var granted: Level?
                    let refusal = status { () throws(NTStatus) in granted = try request.grantedLevel(quality, consents: consents) }
                    #expect(granted == (isEnough && isSomething ? given : nil), "\(allowed) \(consents) \(flags)")
                    #expect(refusal == (isEnough && isSomething ? nil : .accessDenied))
                }
            }
        }
    }
}

@Suite struct TokenIDsTests {
    @Test func `The same process gives the same numbers, another one gives others`() {
        let one = TokenIDs(task: 100, started: 7, uid: 1000)
        #expect(one == TokenIDs(task: 100, started: 7, uid: 1000) && one.token != one.modified)
        for other in [TokenIDs(task: 101, started: 7, uid: 1000), TokenIDs(task: 100, started: 8, uid: 1000)] {
            #expect(one.token != other.token && one.modified != other.modified && one.authentication == other.authentication)
        }
        #expect(TokenIDs(task: 100, started: 7, uid: 1001).authentication != one.authentication)
    }

    @Test func `Root's logon is LocalSystem's`() {
        #expect(TokenIDs(task: 1, started: 0, uid: 0).authentication == 0x3E7)
        #expect(TokenIDs(task: 1, started: 0, uid: 0x3E7).authentication != 0x3E7)
    }

    @Test func `Numbers and their two halves are the same`() {
        for number in [0, 1, 0x3E7, 0xFFFF_FFFF, 0x1_0000_0000, 0x7FFF_FFFF_FFFF_FFFF, UInt64.max] {
            let ids = TokenIDs(token: number, authentication: number / 2, modified: number / 3)
            #expect(TokenIDs(token: ids.luids.token, authentication: ids.luids.authentication, modified: ids.luids.modified) == ids)
        }
    }
}
