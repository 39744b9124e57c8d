// Who a Linux user is in NT's terms: the one place where uids and gids become SIDs.
//
// The numbers come from the kernel (SO_PEERCRED, peer groups), never from a message. uid n is S-1-22-1-n and gid n S-1-22-2-n,
// the convention of Samba; root is LocalSystem as well; everybody is Everyone and an authenticated user. A host with tokens of
// its own (Wine) adds the SIDs that it knows a peer by. Source: design, Security.

/// The SIDs that an access check sees of a peer.
public struct UnixIdentity: Equatable, Sendable {
    public let uid: UInt32
    /// The SIDs that name the user: the first is the one by uid.
    public let userSIDs: [SID]
    /// The SIDs of the groups, Everyone and authenticated users among them.
    public let groupSIDs: [SID]

    /// - Parameters:
    ///   - gids: the primary group and the supplementary ones; doubles do no harm.
    ///   - alsoKnownAs: SIDs by which the peer's host knows the same user.
    public init(uid: UInt32, gids: [UInt32], alsoKnownAs: [SID] = []) {
        self.uid = uid
        userSIDs = UnixIdentity.userSIDs(uid: uid) + alsoKnownAs
        var groups: [SID] = []
        for gid in gids {
            let sid = UnixIdentity.groupSID(gid: gid)
            if !groups.contains(sid) { groups.append(sid) }
        }
        groupSIDs = groups + [.everyone, .authenticatedUsers]
    }

    /// The SID that stands for the user where there can be only one.
    public var userSID: SID { userSIDs[0] }

    public func contains(_ sid: SID) -> Bool { userSIDs.contains(sid) || groupSIDs.contains(sid) }

    // MARK: Numbers to SIDs

    /// S-1-22-1-uid
    public static func userSID(uid: UInt32) -> SID { SID(authority: 22, [1, uid]) }
    /// S-1-22-2-gid
    public static func groupSID(gid: UInt32) -> SID { SID(authority: 22, [2, gid]) }

    /// Every SID that names the user by itself; root is LocalSystem too.
    public static func userSIDs(uid: UInt32) -> [SID] {
        uid == 0 ? [userSID(uid: 0), .system] : [userSID(uid: uid)]
    }

    /// The SID that is shown of a user: root is LocalSystem.
    public static func shownSID(uid: UInt32) -> SID { uid == 0 ? .system : userSID(uid: uid) }

    /// Whether `sid` names this user: what a required server SID is compared with.
    /// - Parameter alsoKnownAs: SIDs by which the user's host knows the same user.
    public static func matchesUser(_ sid: SID, uid: UInt32, alsoKnownAs: [SID] = []) -> Bool {
        userSIDs(uid: uid).contains(sid) || alsoKnownAs.contains(sid)
    }

    /// The uid that a SID of the form S-1-22-1-uid names.
    public static func uid(of sid: SID) -> UInt32? {
        guard sid.authority == 22, sid.subAuthorities.count == 2, sid.subAuthorities[0] == 1 else { return nil }
        return sid.subAuthorities[1]
    }
}
