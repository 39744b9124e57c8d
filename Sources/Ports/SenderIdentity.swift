// Who is at the other end of a link, and the calls that open it: NtAlpcOpenSenderProcess and NtAlpcOpenSenderThread.
//
// The kernel says which process and user a peer is. A number that only the peer's hello says (a Wine process id) counts where the kernel
// says that the peer runs as our own user and the hello that it lives in our own session: whoever could lie there could act as that
// process anyway. Everywhere else the peer's programs and ours do not know the same numbers, and what needs one is `notSupported`.

import CLinuxShims
import CNTTypes
import Glibc
import LinuxSystem
import NTObjects
import NTSecurity
import NTTypes
import Transport

/// The process at the other end of a link.
struct PeerIdentity {
    let pid: Int32
    let uid: UInt32
    let gid: UInt32
    /// Its number for this process's host, when the host can act on it.
    let hostProcess: UInt64?
    /// Its threads have numbers that this process's host knows.
    let sharesThreads: Bool

    init(_ link: Link) {
        let greeting = link.greeting
        pid = link.peer.pid
        uid = link.peer.uid
        gid = link.peer.gid
        let isSameWorld = greeting.world == Host.world.rawValue
        let isOwnProcess = pid == getpid()
        switch Host.world {
        case .native:
            // A process of another pid namespace has no number here: the kernel says 0.
            hostProcess = pid > 0 ? UInt64(pid) : nil
            sharesThreads = isSameWorld && pid > 0
        case .wine, .other:
            let isSameSession = greeting.session != 0 && greeting.session == Host.session && uid == geteuid()
            sharesThreads = isSameWorld && (isSameSession || isOwnProcess)
            hostProcess = sharesThreads ? (isOwnProcess ? Host.clientID().process : greeting.nt_process) : nil
        }
    }

    /// Its user, as a SID. A host with SIDs of its own knows the user that we all run as by another one.
    var userSID: NTSecurity.SID { PortAccess.shownUser(uid: uid) }

    /// The numbers of its token: the host's where it knows the process, else made from what the kernel says.
    var tokenIDs: TokenIDs {
        if let hostProcess {
            do throws(NTStatus) {
                let ids = try Host.tokenIDs(of: hostProcess)
                return TokenIDs(token: ids.token, authentication: ids.authentication, modified: ids.modified)
            } catch {
                // The process has ended, or the host has no tokens.
            }
        }
        return TokenIDs(task: UInt32(bitPattern: pid), started: 0, uid: uid)
    }
}

extension ALPCPort {
    // MARK: Tokens

    /// A client is accepted: from now on it may be impersonated where this connection port allows it, and with static tracking its token is
    /// that of this moment.
    func meet(_ connection: Connection) {
        let allows = allowsImpersonation(traits)
        let isKept = queues.lock.withLock { state in !connection.quality.dynamicTracking || state.list != nil }
        let token = isKept ? tokenIDs(of: connection) : nil
        queues.lock.withLock { _ in
            connection.portAllowsImpersonation = allows
            connection.acceptedToken = token
        }
    }

    /// The numbers of the token that the sender of a connection's messages has, or with static tracking had.
    func tokenIDs(of connection: Connection) -> TokenIDs { knownTokenIDs(of: connection) ?? askTokenIDs(of: connection) }

    private func knownTokenIDs(of connection: Connection) -> TokenIDs? {
        queues.lock.withLock { _ in
            if !connection.quality.dynamicTracking, let token = connection.acceptedToken { return token }
            return connection.entry.tokenIDs
        }
    }

    private func askTokenIDs(of connection: Connection) -> TokenIDs {
        let found = PeerIdentity(connection.link).tokenIDs
        // The native host makes them of what does not change while the link lives; another host's tokens may.
        if Host.isNative { queues.lock.withLock { _ in connection.entry.tokenIDs = found } }
        return found
    }

    /// The same for a thread that the host may not know: the token of the accept stands in for one that would have to be asked for.
    private func tokenIDs(of connection: Connection, mayAsk: Bool) -> TokenIDs? {
        if mayAsk || Host.isNative { return tokenIDs(of: connection) }
        return knownTokenIDs(of: connection) ?? queues.lock.withLock { _ in connection.acceptedToken }
    }

    /// The TOKEN attribute of a message that was just received; nil when it has none.
    ///
    /// A connection request always has one ([W?] NW-T). A client's other messages have it if the client may be impersonated ([W] PFW): with
    /// static tracking always, with dynamic tracking when the sender waits ([R] NW-S). What comes from a server has none ([W] PFW).
    /// - Parameter mayAsk: the host knows the calling thread.
    public func tokenAttribute(of delivery: borrowing Delivery, mayAsk: Bool = true) -> TokenIDs? {
        guard queues.isServer else { return nil }
        let header = delivery.header
        let found = liveMessage(header), retained = delivery.retained
        switch header.type & 0xFF {
        case HeaderType.connectionRequest:
            return found.flatMap { tokenIDs(of: $0.connection, mayAsk: mayAsk) }
        case HeaderType.request, HeaderType.datagram:
            guard let sender = found?.connection ?? retained?.takeUnretainedValue(),
                  mayBeImpersonated(sender, quality: found?.context?.quality, isSynchronous: found?.isSynchronous ?? false) else { return nil }
            return tokenIDs(of: sender, mayAsk: mayAsk)
        default:
            return nil
        }
    }

    /// What was just taken out of the queue, if it lives on.
    private func liveMessage(_ header: MessageHeader) -> ReceivedMessage? {
        queues.lock.withLock { state in
            do throws(NTStatus) { return try state.received(header, by: connection) } catch { return nil }
        }
    }

    private func mayBeImpersonated(_ connection: Connection, quality: SecurityQualityOfService?, isSynchronous: Bool) -> Bool {
        let (consents, terms) = queues.lock.withLock { _ in (connection.consentsToImpersonation, quality ?? connection.quality) }
        return consents && terms.level > .anonymous && (!terms.dynamicTracking || isSynchronous)
    }

    // MARK: Opening the sender

    /// Opens the process that sent a received message.
    ///
    /// A datagram leaves no message behind; the link that its id names is enough to know its sender ([W] RLI-T: the process opens).
    /// - Throws: `invalidMessage`, `requestCanceled`, `accessDenied` (another port's message), `invalidCid` (the header names another
    ///   process than the sender ([R] NW-S), or the sender is gone), `notSupported` (a process that this host has no handles for), and what
    ///   the host says of the access.
    public func openSenderProcess(_ header: MessageHeader, access: UInt32, attributes: UInt32) throws(NTStatus) -> HANDLE {
        let link: Link
        if header.type & 0xFF == HeaderType.datagram, header.type & HeaderFlags.continuation == 0 {
            link = try datagramLink(header)
        } else {
            let message = try received(header)
            guard header.clientProcess == message.header.clientProcess else { throw .invalidCid }
            link = message.connection.link
        }
        let peer = PeerIdentity(link)
        guard let process = peer.hostProcess else { throw .notSupported }
        return try open(link) { () throws(NTStatus) in
            try Host.openProcess(ClientID(process: process, thread: 0), access: access, attributes: attributes)
        }
    }

    /// Opens the thread that sent a received message and waits for the answer.
    ///
    /// - Throws: as `openSenderProcess`; `accessDenied` also when the sender does not wait ([W] RLI-T), and when the header names another thread
    ///   of it ([R] NW-S).
    public func openSenderThread(_ header: MessageHeader, access: UInt32, attributes: UInt32) throws(NTStatus) -> HANDLE {
        if header.type & 0xFF == HeaderType.datagram, header.type & HeaderFlags.continuation == 0 {
            _ = try datagramLink(header)
            throw .accessDenied
        }
        let message = try received(header)
        guard header.clientProcess == message.header.clientProcess else { throw .invalidCid }
        guard header.clientThread == message.header.clientThread, message.isSynchronous else { throw .accessDenied }
        let peer = PeerIdentity(message.connection.link)
        guard let process = peer.hostProcess, peer.sharesThreads else { throw .notSupported }
        return try open(message.connection.link) { () throws(NTStatus) in
            try Host.openThread(ClientID(process: process, thread: header.clientThread), access: access, attributes: attributes)
        }
    }

    /// A process id may belong to another process when its owner has died: the link shows it. Open first, then look.
    private func open(_ link: Link, _ body: () throws(NTStatus) -> HANDLE) throws(NTStatus) -> HANDLE {
        let handle = try body()
        if link.peerHasGone || UnixSocket.hasHungUp(link.control) {
            Host.closeObject(handle)
            throw .invalidCid
        }
        return handle
    }

    /// The link of a datagram that was received here, from its id.
    private func datagramLink(_ header: MessageHeader) throws(NTStatus) -> Link {
        let number = MessageID.link(of: header.messageID)
        guard header.messageID != 0, MessageID.isWellFormed(header.messageID) else { throw .invalidMessage }
        let entry = queues.lock.withLock { state -> LinkEntry? in
            guard let entry = state.entries[state.isServer ? Int(number) : 0], entry.link.number == number, !entry.isOver else { return nil }
            return entry
        }
        guard let entry else { throw .invalidMessage }
        guard connection == nil || connection?.entry === entry else { throw .accessDenied }
        guard header.clientProcess == entry.ntProcess else { throw .invalidCid }
        return entry.link
    }
}
