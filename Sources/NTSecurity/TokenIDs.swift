// The three numbers by which a server tells its clients' tokens apart: TOKEN_STATISTICS' TokenId, AuthenticationId and ModifiedId,
// which are what the TOKEN attribute of a message holds. Source: behaviour reference 9.7 ([W] PFW).
//
// A host with tokens knows them. For a process of another world they are made from what the kernel says of it: the same process gives
// the same numbers in every server, two processes never share a TokenId while both live, and two logons are two users. [I]

import CNTTypes

/// TokenId, AuthenticationId and ModifiedId of a token.
public struct TokenIDs: Equatable, Sendable {
    public var token: UInt64
    /// Of the logon session: 0x3E7 is LocalSystem's.
    public var authentication: UInt64
    /// Another number after each change of the token.
    public var modified: UInt64

    public init(token: UInt64, authentication: UInt64, modified: UInt64) {
        self.token = token
        self.authentication = authentication
        self.modified = modified
    }

    public init(token: LUID, authentication: LUID, modified: LUID) {
        self.init(token: token.number, authentication: authentication.number, modified: modified.number)
    }

    /// `SYSTEM_LUID`
    public static let systemLogon: UInt64 = 0x3E7

    /// Of a process that no host of ours knows, by its kernel credentials. The high half of the first two names the kind of number, so
    /// that they meet none that a host counts up from 0.
    public init(process pid: UInt32, uid: UInt32, gid: UInt32) {
        token = 0x17 << 32 | UInt64(pid)
        authentication = uid == 0 ? Self.systemLogon : 0x16 << 32 | UInt64(uid)
        // Different ids of user and group are different states of the token.
        var mixed: UInt64 = UInt64(uid) << 32 | UInt64(gid)
        mixed = (mixed ^ (mixed >> 29) ^ token) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        modified = (mixed ^ (mixed >> 31)) & 0x7FFF_FFFF_FFFF_FFFF
    }

    public var luids: (token: LUID, authentication: LUID, modified: LUID) { (LUID(token), LUID(authentication), LUID(modified)) }
}

extension LUID {
    public init(_ number: UInt64) {
        self.init(LowPart: ULONG(truncatingIfNeeded: number), HighPart: LONG(truncatingIfNeeded: number >> 32))
    }

    public var number: UInt64 { UInt64(UInt32(bitPattern: HighPart)) << 32 | UInt64(LowPart) }
}
