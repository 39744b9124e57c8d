// The LPC calls. They act on the same objects as the ALPC ones ([B] CSK, WI6); what differs is here: plain message types, no
// write-back into the sender's buffer, LPC's own statuses for answers that nobody waits for.

import CNTTypes
import LinuxSystem
import NTObjects
import NTSecurity
import NTTypes
import Ports

// MARK: Creating

private func createPort(_ handle: PHANDLE?, _ attributes: POBJECT_ATTRIBUTES?, _ maxConnectInfo: ULONG, _ maxMessage: ULONG, _ maxPool: ULONG,
                        waitable: Bool) throws(NTStatus) -> NTStatus {
    let caseInsensitive: UInt32 = 0x40, inherit: UInt32 = 0x2
    let object = try CapturedObjectAttributes(attributes)
    guard object.attributes & ~(caseInsensitive | inherit) == 0 else { throw .invalidParameter }
    guard maxConnectInfo <= 512 else { throw .invalidParameter3 }
    guard maxMessage >= ULONG(MessageHeader.size), maxMessage <= ULONG(MessageHeader.largestTotal) else { throw .invalidParameter4 }
    try CallerMemory.probeWrite(handle)
    var traits = PortTraits()
    traits.isLegacy = true
    traits.maxConnectInfo = maxConnectInfo
    traits.attributes.maxMessageLength = Int(maxMessage)
    traits.attributes.maxPoolUsage = UInt(maxPool)
    traits.attributes.givenFlags = PortTraits.allowRequests | (waitable ? PortFlags.waitable.rawValue : 0)
    let port = try ALPCPort.create(name: object.name, traits: traits, descriptor: object.securityDescriptor)
    try giveHandle(port, to: handle, attributes: object.attributes)
    return .success
}

/// Makes a connection port, or without a name an unconnected one.
///
/// Lengths are bytes; MaxMessageLength counts the header; MaxPoolUsage limits what is queued, 0 sets no limit. Statuses: `INVALID_PARAMETER_3` (connection information above 512 bytes),
/// `INVALID_PARAMETER_4` (message limit below the header or above 0xFFFF), `INVALID_PARAMETER` (object attributes other than
/// OBJ_CASE_INSENSITIVE), and those of a named create. Source: behaviour reference 5.1, disputed point 10.
@c @implementation
public func NtCreatePort(_ PortHandle: PHANDLE?, _ ObjectAttributes: POBJECT_ATTRIBUTES?, _ MaxConnectionInfoLength: ULONG,
                         _ MaxMessageLength: ULONG, _ MaxPoolUsage: ULONG) -> NTSTATUS {
    statusBoundary("NtCreatePort") { () throws(NTStatus) -> NTStatus in
        try createPort(PortHandle, ObjectAttributes, MaxConnectionInfoLength, MaxMessageLength, MaxPoolUsage, waitable: false)
    }
}

/// The same; the handle is signaled while messages are queued ([R] ROS-LPC; [B]).
@c @implementation
public func NtCreateWaitablePort(_ PortHandle: PHANDLE?, _ ObjectAttributes: POBJECT_ATTRIBUTES?, _ MaxConnectionInfoLength: ULONG,
                                 _ MaxMessageLength: ULONG, _ MaxPoolUsage: ULONG) -> NTSTATUS {
    statusBoundary("NtCreateWaitablePort") { () throws(NTStatus) -> NTStatus in
        try createPort(PortHandle, ObjectAttributes, MaxConnectionInfoLength, MaxMessageLength, MaxPoolUsage, waitable: true)
    }
}

// MARK: Connecting

private func connectPort(_ handle: PHANDLE?, _ name: PUNICODE_STRING?, _ quality: PSECURITY_QUALITY_OF_SERVICE?, _ clientView: PPORT_VIEW?,
                         _ sid: PSID?, _ serverView: PREMOTE_PORT_VIEW?, _ maxMessage: PULONG?, _ information: PVOID?, _ length: PULONG?) throws(NTStatus) -> NTStatus {
    guard let name = try CallerString.capture(name) else { throw .accessViolation }
    var traits = PortTraits()
    traits.isLegacy = true
    traits.attributes.givenFlags = PortTraits.allowRequests
    traits.attributes.securityQos = try SecurityQualityOfService(try CallerMemory.read(quality))
    let ownView = try LegacyViewCapture(clientView)
    if serverView != nil {
        guard try CallerMemory.read(serverView).Length == ULONG(MemoryLayout<REMOTE_PORT_VIEW>.size) else { throw .invalidParameter }
    }
    let given = information == nil ? 0 : try CallerMemory.readIfPresent(length) ?? 0
    let count = min(Int(given), 512)
    let staging = StagingMemory.outgoing()
    if count > 0 { try CallerMemory.copyIn(staging, from: information, count: count) }
    var header = MessageHeader()
    header.setLength(count)
    var message = OutgoingMessage(header: header, payload: UnsafeRawPointer(staging))
    message.isLegacy = true
    var requirement = ServerRequirement.none
    if let sid { requirement = .user(try SID(try SecurityDescriptorCapture.sid(at: UnsafeRawPointer(sid)))) }
    try CallerMemory.probeWrite(handle)
    if serverView != nil { try CallerMemory.probeWrite(serverView) }
    let offered = try ownView?.offer()
    // The caller's buffer has room for what it gave; the server's answer is cut to that.
    func giveInformation(_ payload: [UInt8]) throws(NTStatus) {
        guard information != nil, length != nil else { return }
        let answer = Array(payload.prefix(Int(given)))
        try CallerMemory.copyOut(answer, to: information)
        try CallerMemory.write(ULONG(answer.count), to: length)
    }
    switch try ALPCPort.connect(to: name, traits: traits, message: message, waits: true, capacity: nil, deadline: .never, requirement: requirement,
                              view: offered) {
    case .connected(let result):
        do throws(NTStatus) {
            try giveInformation(result.payload)
            try CallerMemory.writeIfPresent(result.maxMessageLength, to: maxMessage)
            if let view = result.ownView { try ownView?.give(view, remote: result.remoteBase) }
            try LegacyViewCapture.give(result.serverView, to: serverView)
        } catch {
            result.port.lastHandleClosed()
            throw error
        }
        try giveHandle(result.port, to: handle)
        return .success
    case .refused(let payload):
        try giveInformation(payload)
        throw .portConnectionRefused
    case .timedOut, .tooShort:
        throw .portConnectionRefused    // neither a deadline nor a limit was given
    }
}

/// Connects and waits until the server completes the connection, refuses it or goes away.
///
/// On success and on refusal the connection information is the server's ([R] ROS-LPC; [B] WI6). Information above the port's limit is cut.
/// Statuses: `OBJECT_NAME_NOT_FOUND`, `OBJECT_TYPE_MISMATCH`, `ACCESS_DENIED`, `PORT_CONNECTION_REFUSED`, `INVALID_PARAMETER` (view
/// lengths), and those of the client's section (LegacyView.swift). Source: behaviour reference 5.3.
@c @implementation
public func NtConnectPort(_ PortHandle: PHANDLE?, _ PortName: PUNICODE_STRING?, _ SecurityQos: PSECURITY_QUALITY_OF_SERVICE?,
                          _ ClientView: PPORT_VIEW?, _ ServerView: PREMOTE_PORT_VIEW?, _ MaxMessageLength: PULONG?,
                          _ ConnectionInformation: PVOID?, _ ConnectionInformationLength: PULONG?) -> NTSTATUS {
    statusBoundary("NtConnectPort") { () throws(NTStatus) -> NTStatus in
        try connectPort(PortHandle, PortName, SecurityQos, ClientView, nil, ServerView, MaxMessageLength, ConnectionInformation, ConnectionInformationLength)
    }
}

/// The same, if the server's user is RequiredServerSid: otherwise `SERVER_SID_MISMATCH` before anything is sent; `INVALID_SID`.
@c @implementation
public func NtSecureConnectPort(_ PortHandle: PHANDLE?, _ PortName: PUNICODE_STRING?, _ SecurityQos: PSECURITY_QUALITY_OF_SERVICE?,
                                _ ClientView: PPORT_VIEW?, _ RequiredServerSid: PSID?, _ ServerView: PREMOTE_PORT_VIEW?,
                                _ MaxMessageLength: PULONG?, _ ConnectionInformation: PVOID?, _ ConnectionInformationLength: PULONG?) -> NTSTATUS {
    statusBoundary("NtSecureConnectPort") { () throws(NTStatus) -> NTStatus in
        try connectPort(PortHandle, PortName, SecurityQos, ClientView, RequiredServerSid, ServerView, MaxMessageLength, ConnectionInformation,
                        ConnectionInformationLength)
    }
}

/// Waits for a connection request and discards every other message ([R] ROS-LPC). Type is exactly 10 ([W] ROS-TEST).
@c @implementation
public func NtListenPort(_ PortHandle: HANDLE?, _ ConnectionRequest: PPORT_MESSAGE?) -> NTSTATUS {
    statusBoundary("NtListenPort") { () throws(NTStatus) -> NTStatus in
        try CallerMemory.probeWrite(UnsafeMutableRawPointer(ConnectionRequest), count: MessageHeader.size)
        return try HandleTable.withObject(PortHandle, kind: .port) { (port: ALPCPort) throws(NTStatus) -> NTStatus in
            guard port.isConnectionPort else { throw .invalidPortHandle }
            while true {
                var delivery = Delivery()
                let status = try receive(port, &delivery, .never)
                guard status == .success else { return status }
                if delivery.header.type & 0xFF == HeaderType.connectionRequest {
                    return try finish(port, &delivery, ConnectionRequest, nil)
                }
                port.discard(&delivery)
            }
        }
    }
}

/// Answers a connection request from NtListenPort. Accepted, the client stays blocked until NtCompleteConnectPort.
///
/// PortContext NULL: the new handle's value is the context ([R] ROS-LPC). Statuses: `REPLY_MESSAGE_MISMATCH` (id 0, unknown, answered),
/// `INVALID_CID` (that, and its ClientId names no thread), `INVALID_PARAMETER` (view lengths), and those of the server's section
/// (LegacyView.swift). Source: behaviour reference 5.5.
@c @implementation
public func NtAcceptConnectPort(_ PortHandle: PHANDLE?, _ PortContext: PVOID?, _ ConnectionRequest: PPORT_MESSAGE?, _ AcceptConnection: BOOLEAN,
                                _ ServerView: PPORT_VIEW?, _ ClientView: PREMOTE_PORT_VIEW?) -> NTSTATUS {
    statusBoundary("NtAcceptConnectPort") { () throws(NTStatus) -> NTStatus in
        let refuse = AcceptConnection == 0
        let message = try MessageCapture.message(at: ConnectionRequest, .lpc)
        let ownView = try LegacyViewCapture(ServerView)
        if ClientView != nil {
            guard try CallerMemory.read(ClientView).Length == ULONG(MemoryLayout<REMOTE_PORT_VIEW>.size) else { throw .invalidParameter }
        }
        if !refuse {
            try CallerMemory.probeWrite(PortHandle)
            if ClientView != nil { try CallerMemory.probeWrite(ClientView) }
        }
        let offered = refuse ? nil : try ownView?.offer()
        let listener = try ALPCPort.connectionPort(of: message.header)
        do throws(NTStatus) {
            var pending = try listener.prepareAccept(message.header, traits: nil, context: nil, refuse: refuse)
            do throws(NTStatus) {
                try listener.mapClientView(&pending)
                if let offered {
                    let shown = try listener.show(offered, pending)
                    try ownView?.give(shown.own, remote: shown.remote)
                }
                if !refuse { try LegacyViewCapture.give(pending.clientView, to: ClientView) }
                try accept(listener, pending, message, context: UInt64(UInt(bitPattern: PortContext)), handle: PortHandle, completes: false,
                           contextIsHandle: PortContext == nil)
            } catch {
                listener.unmapViews(pending)
                throw error
            }
        } catch {
            throw unanswerable(message.header, error)
        }
        return .success
    }
}

/// Wakes the client of an accepted connection. `INVALID_PORT_HANDLE` for any other port, `INVALID_PARAMETER` the second time ([R] ROS-LPC).
@c @implementation
public func NtCompleteConnectPort(_ PortHandle: HANDLE?) -> NTSTATUS {
    statusBoundary("NtCompleteConnectPort") { () throws(NTStatus) -> NTStatus in
        try HandleTable.withObject(PortHandle, kind: .port) { (port: ALPCPort) throws(NTStatus) in try port.complete() }
        return .success
    }
}

// MARK: Messages

/// Queues a one-way message. The caller's buffer is not changed ([W] WINE-PORT).
///
/// Statuses: `INVALID_PARAMETER` (DataInfoOffset, a Type forged as request or client death ([W] RLI-T), lengths), `PORT_MESSAGE_TOO_LONG`,
/// `PORT_DISCONNECTED`. Source: behaviour reference 5.7.
@c @implementation
public func NtRequestPort(_ PortHandle: HANDLE?, _ RequestMessage: PPORT_MESSAGE?) -> NTSTATUS {
    statusBoundary("NtRequestPort") { () throws(NTStatus) -> NTStatus in
        let message = try MessageCapture.message(at: RequestMessage, .lpc)
        let type = message.header.type & 0xFF
        guard message.header.dataInfoOffset == 0, type != HeaderType.request, type != HeaderType.clientDied else { throw .invalidParameter }
        try HandleTable.withObject(PortHandle, kind: .port) { (port: ALPCPort) throws(NTStatus) in _ = try port.post(message, datagram: true) }
        return .success
    }
}

/// Sends a request and waits for the answer, without a time limit. The buffers may be the same ([W] WINE-PORT).
///
/// Type LPC_REQUEST with a MessageId is a callback: a question to whoever waits for the answer to that message. Its call returns with the
/// question, Type 1 and a new CallbackId, and the answer comes by a reply call, NtReplyWaitReplyPort to wait again.
/// Statuses: `INVALID_PARAMETER` (lengths; a callback without a MessageId; data entries that do not fit into the message),
/// `PORT_DISCONNECTED`, `PORT_MESSAGE_TOO_LONG`, `QUOTA_EXCEEDED`, for a callback `REPLY_MESSAGE_MISMATCH` (nobody waits for that id) and
/// `INVALID_CID` (its thread is gone), `LPC_REPLY_LOST` when the peer goes away. Source: behaviour reference 5.8.
@c @implementation
public func NtRequestWaitReplyPort(_ PortHandle: HANDLE?, _ RequestMessage: PPORT_MESSAGE?, _ ReplyMessage: PPORT_MESSAGE?) -> NTSTATUS {
    statusBoundary("NtRequestWaitReplyPort") { () throws(NTStatus) -> NTStatus in
        var message = try MessageCapture.message(at: RequestMessage, .lpc)
        try CallerMemory.probeWrite(UnsafeMutableRawPointer(ReplyMessage), count: MessageHeader.size)
        let isCallback = message.header.type & 0xFF == HeaderType.request
        guard !isCallback || message.header.messageID != 0 else { throw .invalidParameter }
        if !isCallback { message.header.messageID = 0 }
        message.isCallback = isCallback
        var entries: DataEntries?
        if message.header.dataInfoOffset != 0 && !isCallback {
            entries = DataEntries(payload: message.payload, count: Int(message.header.dataLength), offset: Int(message.header.dataInfoOffset))
            guard let entries else { throw .invalidParameter }
            message.dataEntries = Unmanaged.passUnretained(entries)
        }
        defer { withExtendedLifetime(entries) {} }
        return try HandleTable.withObject(PortHandle, kind: .port) { (port: ALPCPort) throws(NTStatus) -> NTStatus in
            var delivery = Delivery()
            let outcome: ReceiveOutcome
            if isCallback {
                outcome = try legacyStatuses(message.header) { () throws(NTStatus) in
                    try port.answerAndWait(message, capacity: .max, deadline: .never, into: &delivery)
                }
            } else {
                outcome = try lossIsOfReply { () throws(NTStatus) in
                    try port.request(message, capacity: .max, deadline: .never, into: &delivery)
                }
            }
            guard case .message = outcome else { throw .lpcReplyLost }
            return try finish(port, &delivery, ReplyMessage, nil)
        }
    }
}

/// Answers a callback and waits for what comes next: another callback, or the reply to the original request, which has the same
/// MessageId. ReplyMessage is overwritten.
///
/// Statuses: `INVALID_PARAMETER` (MessageId 0, lengths), `REPLY_MESSAGE_MISMATCH` (nobody waits for it), `INVALID_CID` (the thread
/// that did is gone), `PORT_MESSAGE_TOO_LONG`, `LPC_REPLY_LOST` when the peer goes away. Source: behaviour reference 5.10 ([R]).
@c @implementation
public func NtReplyWaitReplyPort(_ PortHandle: HANDLE?, _ ReplyMessage: PPORT_MESSAGE?) -> NTSTATUS {
    statusBoundary("NtReplyWaitReplyPort") { () throws(NTStatus) -> NTStatus in
        let message = try MessageCapture.message(at: ReplyMessage, .lpc)
        guard message.header.messageID != 0 else { throw .invalidParameter }
        try CallerMemory.probeWrite(UnsafeMutableRawPointer(ReplyMessage), count: MessageHeader.size)
        return try HandleTable.withObject(PortHandle, kind: .port) { (port: ALPCPort) throws(NTStatus) -> NTStatus in
            var delivery = Delivery()
            let outcome = try legacyStatuses(message.header) { () throws(NTStatus) in
                try port.answerAndWait(message, capacity: .max, deadline: .never, into: &delivery)
            }
            guard case .message = outcome else { throw .lpcReplyLost }
            return try finish(port, &delivery, ReplyMessage, nil)
        }
    }
}

/// Sends a reply. The caller's buffer keeps its Type ([W] WINE-PORT).
///
/// Statuses: `INVALID_PARAMETER` (MessageId 0, lengths), `REPLY_MESSAGE_MISMATCH` (nobody waits for it), `INVALID_CID` (nor is the thread
/// that its ClientId names there any more), `PORT_MESSAGE_TOO_LONG`. Source: behaviour reference 5.9.
@c @implementation
public func NtReplyPort(_ PortHandle: HANDLE?, _ ReplyMessage: PPORT_MESSAGE?) -> NTSTATUS {
    statusBoundary("NtReplyPort") { () throws(NTStatus) -> NTStatus in
        let message = try MessageCapture.message(at: ReplyMessage, .lpc)
        guard message.header.messageID != 0 else { throw .invalidParameter }
        try HandleTable.withObject(PortHandle, kind: .port) { (port: ALPCPort) throws(NTStatus) in try reply(port, message) }
        return .success
    }
}

private func replyWaitReceive(_ handle: HANDLE?, _ context: UnsafeMutablePointer<PVOID?>?, _ replyMessage: PPORT_MESSAGE?, _ buffer: PPORT_MESSAGE?,
                              _ deadline: Deadline) throws(NTStatus) -> NTStatus {
    var answer: OutgoingMessage?
    if replyMessage != nil {
        let message = try MessageCapture.message(at: replyMessage, .lpc)
        guard message.header.messageID != 0 else { throw .invalidParameter }
        answer = message
    }
    return try HandleTable.withObject(handle, kind: .port) { (port: ALPCPort) throws(NTStatus) -> NTStatus in
        if let answer { try reply(port, answer) }
        var delivery = Delivery()
        let status = try receive(port, &delivery, deadline)
        guard status == .success else { return status }
        return try finish(port, &delivery, buffer, context)
    }
}

/// Replies if a reply is given, then waits for the next message. PortContext gets the context of the message's connection.
///
/// A reply that fails ends the call with its status. The buffer must have room for the port's longest message: no length is given.
/// Source: behaviour reference 5.11.
@c @implementation
public func NtReplyWaitReceivePort(_ PortHandle: HANDLE?, _ PortContext: UnsafeMutablePointer<PVOID?>?, _ ReplyMessage: PPORT_MESSAGE?,
                                   _ ReceiveMessage: PPORT_MESSAGE?) -> NTSTATUS {
    statusBoundary("NtReplyWaitReceivePort") { () throws(NTStatus) -> NTStatus in
        try replyWaitReceive(PortHandle, PortContext, ReplyMessage, ReceiveMessage, .never)
    }
}

/// The same with a time limit: NULL waits for ever, 0 polls; `TIMEOUT` is a success.
@c @implementation
public func NtReplyWaitReceivePortEx(_ PortHandle: HANDLE?, _ PortContext: UnsafeMutablePointer<PVOID?>?, _ ReplyMessage: PPORT_MESSAGE?,
                                     _ ReceiveMessage: PPORT_MESSAGE?, _ Timeout: PLARGE_INTEGER?) -> NTSTATUS {
    statusBoundary("NtReplyWaitReceivePortEx") { () throws(NTStatus) -> NTStatus in
        try replyWaitReceive(PortHandle, PortContext, ReplyMessage, ReceiveMessage, try MessageCapture.deadline(Timeout))
    }
}

/// Adds the port to the calling thread's list: when the thread ends the port's peer gets LPC_CLIENT_DIED ([W] WINE-PORT).
@c @implementation
public func NtRegisterThreadTerminatePort(_ PortHandle: HANDLE?) -> NTSTATUS {
    statusBoundary("NtRegisterThreadTerminatePort") { () throws(NTStatus) -> NTStatus in
        ThreadRundown.register(try HandleTable.object(PortHandle, kind: .port))
        return .success
    }
}

// MARK: Shared steps

/// An answer that nobody waits for has one status in LPC, and another when the thread that its ClientId names is gone ([R] ROS-LPC). A
/// header may hold no more than a MessageId ([W] KDU), and the ids of a Windows program name no Linux thread.
private func unanswerable(_ header: MessageHeader, _ status: NTStatus) -> NTStatus {
    switch status {
    case .invalidMessage, .requestCanceled, .accessDenied:
        guard Host.isNative, header.clientProcess != 0, header.clientThread != 0, ALPCPort.senderIsNative(header) else { return .replyMessageMismatch }
        return LinuxThread.exists(process: header.clientProcess, thread: header.clientThread) ? .replyMessageMismatch : .invalidCid
    case .messageLost: return .lpcReplyLost
    default: return status
    }
}

private func legacyStatuses<Result>(_ header: MessageHeader, _ body: () throws(NTStatus) -> Result) throws(NTStatus) -> Result {
    do throws(NTStatus) {
        return try body()
    } catch {
        throw unanswerable(header, error)
    }
}

/// What ALPC calls a lost message is a lost reply in LPC.
private func lossIsOfReply<Result>(_ body: () throws(NTStatus) -> Result) throws(NTStatus) -> Result {
    do throws(NTStatus) {
        return try body()
    } catch {
        throw error == .messageLost ? .lpcReplyLost : error
    }
}

private func reply(_ port: ALPCPort, _ message: OutgoingMessage) throws(NTStatus) {
    try legacyStatuses(message.header) { () throws(NTStatus) in try port.answer(message, release: true) }
}

private func receive(_ port: ALPCPort, _ delivery: inout Delivery, _ deadline: Deadline) throws(NTStatus) -> NTStatus {
    switch port.receive(capacity: .max, deadline: deadline, into: &delivery) {
    case .message: return .success
    case .timedOut, .tooShort: return .timeout
    case .listed: return .alpcCheckCompletionList
    case .alerted: return .userApc
    case .closed: throw .portClosed
    case .disconnected: throw .portDisconnected
    case .refused: throw .portConnectionRefused
    }
}

/// Writes a received message and its context to the caller.
private func finish(_ port: ALPCPort, _ delivery: inout Delivery, _ buffer: PPORT_MESSAGE?, _ context: UnsafeMutablePointer<PVOID?>?) throws(NTStatus) -> NTStatus {
    do throws(NTStatus) {
        try MessageCapture.write(delivery, to: buffer, legacy: true)
        try CallerMemory.writeIfPresent(UnsafeMutableRawPointer(bitPattern: UInt(delivery.portContext)), to: context)
    } catch {
        port.putBack(&delivery)
        throw error
    }
    ALPCPort.finish(&delivery)
    return .success
}
