// What programs ask and tell a port about itself: attributes, the server's identity, who a blocked thread waits for.

import CLinuxShims
import CWireFormat
import LinuxSystem
import NTObjects
import NTSecurity
import NTTypes
import Synchronization
import Tracing
import Transport

/// Port attributes that can change. Shared by a connection port and its acceptor.
final class SharedTraits: Sendable {
    private let lock: FutexLock<PortTraits>
    init(_ traits: PortTraits) { lock = FutexLock(traits) }
    var value: PortTraits { lock.withLock { $0 } }
    func change(_ body: (inout PortTraits) -> Void) { lock.withLock { body(&$0) } }
}

/// What a blocked thread waits for.
public struct BlockedThread: Sendable {
    /// As the server's world numbers it.
    public var serverProcess: UInt64
    /// Full name of the connection port, as the connecting program spelled it.
    public var portName: String
}

extension ALPCPort {
    // MARK: AlpcPortInformation

    /// Takes new attributes over: the flags, the limits of sections and pool, the types of handles.
    ///
    /// Fixed when the port was made, and kept ([I]): whether its handle can be waited on, the message limit, and the quality of
    /// service, which the peer has been told. The peer learns new flags, so that a client can begin to take requests ([W] RLI-T).
    public func setAttributes(_ new: PortAttributes) {
        sharedTraits.change { traits in
            let fixed = PortFlags.waitable.rawValue
            let flags = new.givenFlags & ~fixed | traits.attributes.givenFlags & fixed
            let (quality, limit) = (traits.attributes.securityQos, traits.attributes.maxMessageLength)
            traits.attributes = new
            traits.attributes.givenFlags = flags
            traits.attributes.securityQos = quality
            traits.attributes.maxMessageLength = limit
        }
        sendTerms()
    }

    /// Tells the peer. A connect or an accept that is still to come tells it by itself.
    private func sendTerms() {
        guard let connection else { return }
        let state = connection.state
        guard state == .open || state == .accepted || (state == .requested && isClientPort), !isDisconnected else { return }
        let traits = traits
        var terms = ntlpc_accepted()
        terms.port_flags = traits.flags
        terms.max_message_length = traits.maxMessageLength
        var frame = ntlpc_frame()
        frame.kind = FrameKind.terms
        frame.connection = connection.number
        frame.slot = WireLayout.noSlot
        frame.length = UInt32(MemoryLayout<ntlpc_accepted>.size)
        // Announced like a closing, so that a peer who is about to send looks for it first.
        let sent = withUnsafeBytes(of: &terms) { connection.link.send(&frame, payload: $0.baseAddress, closing: true) }
        if case .sent = sent { return }
        Trace.note(.ports, "new attributes of connection \(connection.number) not sent")
    }

    // MARK: The server

    private func serverEnd() throws(NTStatus) -> Connection? {
        switch role {
        case .client(let connection, _):
            guard connection.state != .disconnected, connection.state != .refused, !isDisconnected else { throw .portDisconnected }
            return connection
        case .server, .connection: return nil
        case .unconnected: throw .invalidParameter
        }
    }

    /// AlpcConnectedSIDInformation: is the server's user `sid`? On a server's own ports that is this process's.
    /// - Throws: `serverSidMismatch` ([D] PHNT; NTOBJ), `portDisconnected`, `invalidParameter` on an unconnected port ([I]).
    public func checkServer(_ sid: SID) throws(NTStatus) {
        let isServer = if let connection = try serverEnd() { PortAccess.isServer(connection.link.peer, sid) } else { PortAccess.isOwnProcess(sid) }
        guard isServer else { throw .serverSidMismatch }
    }

    /// AlpcServerSessionInformation: the process of the server, as its world numbers it ([W] NTOBJ).
    public func serverProcess() throws(NTStatus) -> UInt64 {
        if let connection = try serverEnd() { return connection.entry.ntProcess }
        return Host.clientID().process
    }

    /// AlpcServerInformation: what a thread of this process waits for; nil when it waits for no server.
    public static func blockedThread(_ thread: UInt64) throws(NTStatus) -> BlockedThread? {
        guard let call = waitingCall(of: thread) else { return nil }
        // The call may end at any moment: its connection is looked for among those that are there, not reached by its address.
        let links = try PortProcess.current().clientLinks.withLock { Array($0.values) }
        for link in links {
            let isHere = link.queues.lock.withLock { _ in
                link.entry.connections.contains { UnsafeRawPointer(Unmanaged.passUnretained($0).toOpaque()) == call }
            }
            if isHere { return BlockedThread(serverProcess: link.entry.ntProcess, portName: link.portName) }
        }
        return nil
    }

    private static func waitingCall(of thread: UInt64) -> UnsafeRawPointer? {
        var search = (thread: thread, call: UnsafeRawPointer?.none)
        withUnsafeMutablePointer(to: &search) { search in
            ntlpc_thread_each({ record, context in
                let search = context!.assumingMemoryBound(to: (thread: UInt64, call: UnsafeRawPointer?).self)
                if ntlpc_thread_id(record) == search.pointee.thread { search.pointee.call = ntlpc_thread_call(record).map { UnsafeRawPointer($0) } }
            }, search)
        }
        return search.call
    }
}

extension QueueState {
    /// The peer's attributes have changed. False: no honest peer sends that.
    mutating func takeTerms(_ frame: ntlpc_frame, _ payload: UnsafeRawPointer, _ entry: LinkEntry) -> Bool {
        guard Int(frame.length) == MemoryLayout<ntlpc_accepted>.size else { return false }
        let terms = payload.loadUnaligned(as: ntlpc_accepted.self)
        entry.connection(frame.connection)?.peerFlags = terms.port_flags
        return true
    }
}
