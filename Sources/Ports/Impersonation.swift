// Acting for a client: NtAlpcImpersonateClientOfPort, its container form, and NtImpersonateClientOfPort.
//
// Three parties have a say, in this order: the connection port (flag 0x10000), the message, and its client (flag 0x10000 and the quality
// of service of its connection, or of the security context that the message came under). What they agree on is a level; the host
// then makes the calling thread act for that client until it reverts. Who the client is, the kernel says.
// Source: behaviour reference 5.12, 8.12, 12, disputed point 8.

import CNTTypes
import NTObjects
import NTSecurity
import NTTypes

extension Connection {
    /// The client lets itself be impersonated: flag 0x10000 of its port ([W] CSK, PFW). LPC has no such flag, there the quality of
    /// service says all.
    var consentsToImpersonation: Bool { isLegacy || peerFlags & PortFlags.allowImpersonation.rawValue != 0 }
}

extension ALPCPort {
    /// Whether servers of a connection port with these traits may impersonate its clients ([W?] RLI-T). LPC ports always do.
    func allowsImpersonation(_ traits: PortTraits) -> Bool { traits.isLegacy || traits.attributes.flags.contains(.allowImpersonation) }

    /// The port is a server's, and lets its servers impersonate.
    private var letsImpersonate: Bool {
        switch role {
        case .connection(let port): allowsImpersonation(port.traits)
        case .server(let connection): queues.lock.withLock { _ in connection.portAllowsImpersonation }
        case .client, .unconnected: false
        }
    }

    /// NtAlpcImpersonateClientOfPort. Without a header the token of connect time is taken: static tracking only, on a server
    /// communication port ([R] NW-S).
    ///
    /// - Throws: in this order: `accessDenied` (the port does not allow it, or is a client's; [W] RLI-T), `invalidParameter` (no header on a
    ///   connection port [I]), `invalidMessage`, `requestCanceled`, `accessDenied` (another port's message; one marked 0x4000 ([R]); the
    ///   client's terms), `portDisconnected` and `noImpersonationToken` (no header, and no client or no static token; [I]); what the host says.
    public func impersonateClient(_ header: MessageHeader?, _ request: ImpersonationRequest) throws(NTStatus) {
        guard letsImpersonate else { throw .accessDenied }
        guard let header else { return try impersonateConnection(request) }
        let message = try received(header)
        guard !message.isNotToBeImpersonated else { throw .accessDenied }
        let (consents, own) = queues.lock.withLock { _ in (message.connection.consentsToImpersonation, message.connection.quality) }
        let quality = message.context?.quality ?? own
        try act(for: message.connection, at: try request.grantedLevel(quality, consents: consents), quality)
    }

    private func impersonateConnection(_ request: ImpersonationRequest) throws(NTStatus) {
        guard isServerPort, let connection else { throw .invalidParameter }
        let (state, consents, quality) = terms(of: connection)
        guard state == .open || state == .accepted else { throw .portDisconnected }
        let level = try request.grantedLevel(quality, consents: consents)
        guard !quality.dynamicTracking || level == .anonymous else { throw .noImpersonationToken }
        try act(for: connection, at: level, quality)
    }

    /// NtAlpcImpersonateClientContainerOfPort. Every process lives in the one container there is, so there is nothing to change once the
    /// message is found.
    ///
    /// - Throws: `accessDenied` (a client's port; another port's message), `invalidMessage`, `requestCanceled`. [I]
    public func enterClientContainer(_ header: MessageHeader) throws(NTStatus) {
        guard queues.isServer else { throw .accessDenied }
        _ = try received(header)
    }

    /// NtImpersonateClientOfPort. A client whose quality of service is anonymous is impersonated as that ([R] ROS-LPC).
    ///
    /// - Throws: in this order: `invalidPortHandle` (no server communication port), `accessDenied` (the connection port, made by an ALPC call,
    ///   does not allow it), `portDisconnected` (the client's port is closed), `replyMessageMismatch` (its sender does not wait for that id), `accessDenied`
    ///   (marked 0x4000; an ALPC client without consent). [R] ROS-LPC
    public func impersonateLegacyClient(_ header: MessageHeader) throws(NTStatus) {
        guard isServerPort, let connection else { throw .invalidPortHandle }
        guard letsImpersonate else { throw .accessDenied }
        let (state, consents, own) = terms(of: connection)
        guard state == .open || state == .accepted else { throw .portDisconnected }
        let message: ReceivedMessage
        do throws(NTStatus) {
            message = try received(header)
        } catch {
            throw .replyMessageMismatch
        }
        guard message.isSynchronous, header.clientProcess == 0 || header.clientProcess == message.header.clientProcess,
              header.clientThread == 0 || header.clientThread == message.header.clientThread else { throw .replyMessageMismatch }
        guard !message.isNotToBeImpersonated else { throw .accessDenied }
        let quality = message.context?.quality ?? own
        let request = ImpersonationRequest(fallsBackToAnonymous: connection.isLegacy)
        try act(for: connection, at: try request.grantedLevel(quality, consents: consents), quality)
    }

    /// What the client of this port has said, and whether it is still there.
    private func terms(of connection: Connection) -> (state: ConnectionState, consents: Bool, quality: SecurityQualityOfService) {
        queues.change { state in
            state.takeEndings(connection.entry)
            return (connection.state, connection.consentsToImpersonation, connection.quality)
        }
    }

    /// Makes the calling thread act for the client until its thread token is taken away.
    private func act(for connection: Connection, at level: SecurityQualityOfService.Level, _ quality: SecurityQualityOfService) throws(NTStatus) {
        var client = NTLPC_CLIENT()
        client.Level = level.rawValue
        client.EffectiveOnly = quality.effectiveOnly ? 1 : 0
        if level == .anonymous {
            // Nobody: the kernel's overflow ids.
            client.Uid = 65534
            client.Gid = 65534
        } else {
            let peer = PeerIdentity(connection.link)
            client.ProcessId = peer.hostProcess.flatMap { HANDLE(bitPattern: UInt($0)) }
            client.Uid = peer.uid
            client.Gid = peer.gid
        }
        try Host.impersonate(client)
    }
}
