// Whom a thread of the native host acts for. NT: the thread's impersonation token.
//
// The record hangs on the thread's own record in CLinuxShims, in memory that C can free: it goes with the thread, and the child of
// a fork starts without. Only the thread itself ever looks at it.

import CLinuxShims
import NTTypes

/// The identity that a thread has taken on.
public struct ThreadIdentity: Equatable, Sendable {
    /// SECURITY_IMPERSONATION_LEVEL: 0 anonymous, 1 identification, 2 impersonation, 3 delegation.
    public var level: UInt32
    /// Only privileges that are enabled count.
    public var effectiveOnly: Bool
    public var uid: UInt32
    public var gid: UInt32
    public var groups: [UInt32]

    public init(level: UInt32, effectiveOnly: Bool, uid: UInt32, gid: UInt32, groups: [UInt32] = []) {
        self.level = level
        self.effectiveOnly = effectiveOnly
        self.uid = uid
        self.gid = gid
        self.groups = groups
    }

    /// Words before the groups: level, effective only, uid, gid, number of groups.
    private static let fixed = 5

    /// The calling thread's, nil when it acts for itself.
    public static var current: ThreadIdentity? {
        guard let words = ntlpc_thread_current().pointee.identity?.assumingMemoryBound(to: UInt32.self) else { return nil }
        return ThreadIdentity(
            level: words[0], effectiveOnly: words[1] != 0, uid: words[2], gid: words[3],
            groups: (0 ..< Int(words[4])).map { words[fixed + $0] })
    }

    /// Makes the calling thread act for somebody else.
    public static func set(_ identity: ThreadIdentity) {
        let words = ntlpc_allocate((fixed + identity.groups.count) * MemoryLayout<UInt32>.size).assumingMemoryBound(to: UInt32.self)
        let values = [identity.level, identity.effectiveOnly ? 1 : 0, identity.uid, identity.gid, UInt32(identity.groups.count)] + identity.groups
        for (index, value) in values.enumerated() { words[index] = value }
        replace(with: UnsafeMutableRawPointer(words))
    }

    /// Makes the calling thread act for itself again.
    public static func clear() { replace(with: nil) }

    private static func replace(with new: UnsafeMutableRawPointer?) {
        let thread = ntlpc_thread_current()
        // The record is freed when a registered thread ends.
        if thread.pointee.registered == 0 { ntlpc_thread_register() }
        let old = thread.pointee.identity
        thread.pointee.identity = new
        ntlpc_free(old)
    }
}
