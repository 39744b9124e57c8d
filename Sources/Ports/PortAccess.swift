// Who may connect. The kernel says who the peer is; the port's security descriptor says what that is worth.

import Glibc
import LinuxSystem
import NTObjects
import NTSecurity
import NTTypes
import Tracing

/// Access checks of a connect.
enum PortAccess {
    /// A captured descriptor as the port keeps it. Without one: owner and SYSTEM, nobody else.
    static func descriptor(_ captured: [UInt8]?) throws(NTStatus) -> SecurityDescriptor {
        let owner = UnixIdentity.userSID(uid: geteuid())
        guard let captured else { return .standard(owner: owner) }
        var parsed = try SecurityDescriptor(selfRelative: captured)
        if parsed.owner == nil { parsed.owner = owner }
        return parsed
    }

    /// The server's check of a client.
    /// A descriptor made by a Wine program names Wine's SIDs, which the kernel does not know; there a process of the server's own
    /// user is the server's user.
    static func mayConnect(_ peer: PeerCredentials, _ descriptor: SecurityDescriptor) -> Bool {
        if Host.world == .wine && peer.uid == geteuid() { return true }
        return grants(descriptor, UnixIdentity(uid: peer.uid, gids: [peer.gid]))
    }

    /// Whether `required` names the user of a peer: RequiredServerSid at a connect, and AlpcConnectedSIDInformation afterwards.
    static func isServer(_ peer: PeerCredentials, _ required: SID) -> Bool {
        UnixIdentity.matchesUser(required, uid: peer.uid, alsoKnownAs: hostNames(uid: peer.uid))
    }

    /// The one SID that is shown of a user: the host's own where it has one for us all, else that of the Linux user.
    static func shownUser(uid: UInt32) -> SID { hostNames(uid: uid).first ?? UnixIdentity.shownSID(uid: uid) }

    /// SIDs by which the host's programs know a Linux user: they all run as the user of this process.
    private static func hostNames(uid: UInt32) -> [SID] {
        guard uid == geteuid(), let bytes = Host.userSID() else { return [] }
        do throws(NTStatus) { return [try SID(bytes)] } catch { return [] }
    }

    /// The same for this process's own ports.
    static func isOwnProcess(_ required: SID) -> Bool { UnixIdentity.matchesUser(required, uid: geteuid()) }

    /// NtAlpcConnectPortEx: the descriptor must grant PORT_CONNECT to the server's user.
    static func isServer(_ peer: PeerCredentials, grantedBy descriptor: [UInt8]) throws(NTStatus) -> Bool {
        grants(try SecurityDescriptor(selfRelative: descriptor), UnixIdentity(uid: peer.uid, gids: [peer.gid], alsoKnownAs: hostNames(uid: peer.uid)))
    }

    private static func grants(_ descriptor: SecurityDescriptor, _ identity: UnixIdentity) -> Bool {
        do throws(NTStatus) {
            _ = try AccessCheck.grantedAccess(desired: AccessRight.portConnect, to: descriptor, for: identity, mapping: .port)
            return true
        } catch {
            Trace.note(.ports, "connect by uid \(identity.uid) refused: \(error.name)")
            return false
        }
    }
}
