// The three numbers by which a server tells its clients' tokens apart: TOKEN_STATISTICS' TokenId, AuthenticationId and ModifiedId,
// which are what the TOKEN attribute of a message holds. Source: behaviour reference 9.7 ([W] PFW).
//
// A host with tokens knows them. Where there are none they are made of what the kernel says of a process: the same process gives the
// same numbers in every server, two processes never share a TokenId while both live, and two logons are two users. [I]

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

    /// The token of a process or thread of the kernel's.
    /// - Parameter started: tells processes apart that had the same id one after the other; 0 when that is not known.
    public init(task id: UInt32, started: UInt32, uid: UInt32) {
        token = UInt64(id) << 32 | UInt64(started)
        // No other session is below 2^32.
        authentication = uid == 0 ? Self.systemLogon : 1 << 32 | UInt64(uid)
        modified = token ^ 0x8000_0000
    }

    public var luids: (token: LUID, authentication: LUID, modified: LUID) { (LUID(token), LUID(authentication), LUID(modified)) }
}

extension LUID {
    public init(_ number: UInt64) {
        self.init(LowPart: ULONG(truncatingIfNeeded: number), HighPart: LONG(truncatingIfNeeded: number >> 32))
    }

    public var number: UInt64 { UInt64(UInt32(bitPattern: HighPart)) << 32 | UInt64(LowPart) }
}
