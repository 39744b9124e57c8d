// NT's access check: what a peer may do with an object that has a security descriptor.
//
// The entries of a DACL count in their order; the first one that speaks about a right decides it, so entries that deny come
// first by convention. The owner may always read and change the descriptor, unless an entry for Owner Rights says otherwise.
// Source: behaviour reference 1.2 for the mapping of ports; the public description of the access check algorithm for the rest.

import NTTypes

/// What the generic rights mean for a type of object: `GENERIC_MAPPING`.
public struct GenericMapping: Equatable, Sendable {
    public var read: UInt32
    public var write: UInt32
    public var execute: UInt32
    public var all: UInt32

    public init(read: UInt32, write: UInt32, execute: UInt32, all: UInt32) {
        self.read = read
        self.write = write
        self.execute = execute
        self.all = all
    }

    /// Of the type "ALPC Port" ([W]).
    public static let port = GenericMapping(read: 0x2_0001, write: 0x1_0001, execute: 0, all: 0x1F_0001)
    /// Of the type "Event".
    public static let event = GenericMapping(read: 0x2_0001, write: 0x2_0002, execute: 0x12_0000, all: 0x1F_0003)

    /// The mask with its generic rights replaced.
    public func map(_ mask: UInt32) -> UInt32 {
        var mapped = mask & 0x0FFF_FFFF
        if mask & AccessRight.genericRead != 0 { mapped |= read }
        if mask & AccessRight.genericWrite != 0 { mapped |= write }
        if mask & AccessRight.genericExecute != 0 { mapped |= execute }
        if mask & AccessRight.genericAll != 0 { mapped |= all }
        return mapped
    }
}

/// Rights that exist for every type of object.
public enum AccessRight {
    /// `PORT_CONNECT`: of ports.
    public static let portConnect: UInt32 = 0x1
    public static let delete: UInt32 = 0x1_0000
    public static let readControl: UInt32 = 0x2_0000
    public static let writeDAC: UInt32 = 0x4_0000
    public static let writeOwner: UInt32 = 0x8_0000
    public static let synchronize: UInt32 = 0x10_0000
    public static let accessSystemSecurity: UInt32 = 0x100_0000
    public static let maximumAllowed: UInt32 = 0x200_0000
    public static let genericAll: UInt32 = 0x1000_0000
    public static let genericExecute: UInt32 = 0x2000_0000
    public static let genericWrite: UInt32 = 0x4000_0000
    public static let genericRead: UInt32 = 0x8000_0000
}

public enum AccessCheck {
    /// - Parameter desired: what is asked for; generic rights and `MAXIMUM_ALLOWED` may be among it.
    /// - Returns: the access granted: all of `desired`, without generic rights; with `MAXIMUM_ALLOWED`, all there is.
    /// - Throws: `accessDenied` when a right is denied or not given, or nothing is asked for or left to give;
    ///   `privilegeNotHeld` for `ACCESS_SYSTEM_SECURITY`: nobody here has that privilege.
    public static func grantedAccess(
        desired: UInt32, to descriptor: SecurityDescriptor, for identity: UnixIdentity, mapping: GenericMapping
    ) throws(NTStatus) -> UInt32 {
        let mapped = mapping.map(desired)
        guard mapped & AccessRight.accessSystemSecurity == 0 else { throw .privilegeNotHeld }
        let maximum = mapped & AccessRight.maximumAllowed != 0
        let wanted = mapped & ~AccessRight.maximumAllowed
        guard maximum || wanted != 0 else { throw .accessDenied }

        guard case .list(let acl) = descriptor.dacl else { return maximum ? wanted | mapping.all : wanted }

        let decided = decide(acl, owner: descriptor.owner, identity: identity, mapping: mapping)
        guard wanted & ~decided == 0 else { throw .accessDenied }
        // Bits that mean nothing for the type are not given away, even if an entry has them.
        let granted = maximum ? decided & mapping.all | wanted : wanted
        guard granted != 0 else { throw .accessDenied }
        return granted
    }

    /// All rights that the list gives. A right belongs to the first entry that speaks about it; so asking for several rights
    /// at once and asking for each alone come to the same.
    private static func decide(_ acl: ACL, owner: SID?, identity: UnixIdentity, mapping: GenericMapping) -> UInt32 {
        let owns = owner.map(identity.contains) ?? false
        var granted: UInt32 = 0
        var denied: UInt32 = 0
        if owns, !acl.entries.contains(where: { $0.sid == .ownerRights && $0.flags & 0x08 == 0 }) {
            granted = AccessRight.readControl | AccessRight.writeDAC
        }
        for entry in acl.entries {
            let effect = entry.effect
            guard effect != .none, let sid = entry.sid else { continue }
            guard identity.contains(sid) || owns && sid == .ownerRights else { continue }
            let mask = mapping.map(entry.mask)
            if effect == .allow {
                granted |= mask & ~denied
            } else {
                denied |= mask & ~granted
            }
        }
        return granted
    }
}
