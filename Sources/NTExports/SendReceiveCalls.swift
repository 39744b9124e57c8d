// NtAlpcSendWaitReceivePort: flags, capture, look up, send, wait, write back.

import CLinuxShims
import CNTTypes
import NTObjects
import NTTypes
import Ports

/// ALPC_MSGFLG_*: the bits that change what a call does. The low 16 are the kernel's and ignored from user mode ([D] PHNT).
private enum MessageCallFlags {
    static let release: ULONG = 0x0001_0000
    static let sync: ULONG = 0x0002_0000
    static let internalReject: ULONG = 0x0100_0000
    /// The call counts for AlpcWaitForPortReferences.
    static let trackReferences: ULONG = 0x0004_0000
    /// APCs may end the wait: `USER_APC`.
    static let waitAlertable: ULONG = 0x0020_0000
}

/// Sends, receives, or both.
///
/// Without `SendMessage` it receives. A message whose MessageId is 0 is new: a synchronous request (0x20000), a datagram
/// (0x10000) or an asynchronous request; the id of a resource reserve stands in for 0; with another id it is an answer, the last one
/// with 0x10000.
/// Statuses, in the order of the checks: `INVALID_PARAMETER_2` (sync without a message, with release, or the internal bit),
/// `LPC_RECEIVE_BUFFER_EXPECTED` (sync without a buffer), `ACCESS_VIOLATION`, `INVALID_PARAMETER` (lengths), `INVALID_HANDLE`,
/// `OBJECT_TYPE_MISMATCH`, then those of sending and receiving; `TIMEOUT` is a success. `BUFFER_TOO_SMALL` leaves the message queued
/// and writes the length needed. `ALPC_CHECK_COMPLETION_LIST`: the port has a completion list, and that holds something ([D]). `USER_APC`: an
/// alertable wait (0x200000) was ended; a request that went out stays in flight (section 17, point 24).
/// Source: behaviour reference 8.5 ([W] OVMM, RLI-T, CSK, PFW, SDKT; disputed points 1, 4, 6, 7).
@c @implementation
public func NtAlpcSendWaitReceivePort(
    _ PortHandle: HANDLE?, _ Flags: ULONG, _ SendMessage: PPORT_MESSAGE?, _ SendMessageAttributes: PALPC_MESSAGE_ATTRIBUTES?,
    _ ReceiveMessage: PPORT_MESSAGE?, _ BufferLength: PSIZE_T?, _ ReceiveMessageAttributes: PALPC_MESSAGE_ATTRIBUTES?,
    _ Timeout: PLARGE_INTEGER?
) -> NTSTATUS {
    statusBoundary("NtAlpcSendWaitReceivePort") { () throws(NTStatus) -> NTStatus in
        if Flags & MessageCallFlags.trackReferences != 0 && !ALPCPort.isTracking {
            return try HandleTable.withObject(PortHandle, kind: .port) { (port: ALPCPort) throws(NTStatus) -> NTStatus in
                port.tracking {
                    NTStatus(rawValue: NtAlpcSendWaitReceivePort(PortHandle, Flags, SendMessage, SendMessageAttributes, ReceiveMessage, BufferLength,
                                                                 ReceiveMessageAttributes, Timeout))
                }
            }
        }
        let isSync = Flags & MessageCallFlags.sync != 0
        if isSync && (SendMessage == nil || Flags & MessageCallFlags.release != 0) { throw .invalidParameter2 }
        if Flags & MessageCallFlags.internalReject != 0 && SendMessage != nil { throw .invalidParameter2 }
        if isSync && ReceiveMessage == nil { throw .lpcReceiveBufferExpected }
        let deadline = try MessageCapture.deadline(Timeout)
        var capacity = Int.max
        if let BufferLength, ReceiveMessage != nil {
            var given: SIZE_T = 0
            guard ntlpc_copy_8(&given, BufferLength) == 0 else { throw .accessViolation }
            capacity = Int(min(given, SIZE_T(Int.max)))
        }
        guard let SendMessage else {
            guard ReceiveMessage != nil else { throw .invalidParameter }
            return try HandleTable.withObject(PortHandle, kind: .port) { (port: ALPCPort) throws(NTStatus) -> NTStatus in
                try receive(port, Flags, ReceiveMessage, BufferLength, ReceiveMessageAttributes, capacity, deadline)
            }
        }
        let call = MessageCall(flags: Flags, send: SendMessage, receive: ReceiveMessage, length: BufferLength, attributes: ReceiveMessageAttributes,
                               capacity: capacity, deadline: deadline)
        let message = try MessageCapture.message(at: SendMessage, .alpc)
        if let SendMessageAttributes { return try call.send(message, SendMessageAttributes, on: PortHandle) }
        return try HandleTable.withObject(PortHandle, kind: .port) { (port: ALPCPort) throws(NTStatus) -> NTStatus in try call.send(message, port) }
    }
}

/// The arguments of a call that sends.
private struct MessageCall {
    let flags: ULONG
    let send: PPORT_MESSAGE
    let receive: PPORT_MESSAGE?
    let length: PSIZE_T?
    let attributes: PALPC_MESSAGE_ATTRIBUTES?
    let capacity: Int
    let deadline: Deadline

    @inline(__always)
    var isSync: Bool { flags & MessageCallFlags.sync != 0 }
    @inline(__always)
    var isRelease: Bool { flags & MessageCallFlags.release != 0 }

    @inline(__always)
    func send(_ message: borrowing OutgoingMessage, _ port: ALPCPort) throws(NTStatus) -> NTStatus {
        if message.header.messageID & MessageCall.reserveTag != 0 { return try sendReserved(copy message, port) }
        if isSync { return try exchange(port, flags, message, receive, length, attributes, capacity, deadline) }
        if message.header.messageID == 0 {
            // A new message must not pretend to be a reply ([W] SDKT).
            guard message.header.type & 0xFF != HeaderType.reply else { throw .lpcRequestsNotAllowed }
            let id = try port.post(message, datagram: isRelease)
            try CallerMemory.write(id, to: UnsafeMutableRawPointer(send) + 24)
        } else {
            try port.answer(message, release: isRelease)
        }
        guard receive != nil else { return .success }
        return try NTExports.receive(port, flags, receive, length, attributes, capacity, deadline)
    }

    /// The same with attributes.
    @inline(never)
    func send(_ message: OutgoingMessage, _ attributes: PALPC_MESSAGE_ATTRIBUTES, on handle: HANDLE?) throws(NTStatus) -> NTStatus {
        let sent = try AttributeTransfer.read(attributes)
        var message = message
        message.messageContext = sent.messageContext
        return try HandleTable.withObject(handle, kind: .port) { (port: ALPCPort) throws(NTStatus) -> NTStatus in
            if sent.isEmpty { return try send(message, port) }
            let attachment = try Attachment(sent, port, &message)
            defer { attachment.end() }
            try attachment.giveContext(attributes)
            let status = try send(message, port)
            attachment.isSent = true
            return status
        }
    }

    /// Set in the ids of reserves, and in no message's.
    static let reserveTag: UInt32 = 0x8000_0000

    /// A new message that a reserve carries: `OBJECTID_NOT_FOUND`, `RESOURCE_IN_USE` while the last one lives ([W] RLI-T),
    /// `PORT_MESSAGE_TOO_LONG` when the reserve was made for smaller ones ([I]).
    @inline(never)
    private func sendReserved(_ given: OutgoingMessage, _ port: ALPCPort) throws(NTStatus) -> NTStatus {
        guard given.header.type & 0xFF != HeaderType.reply else { throw .lpcRequestsNotAllowed }
        let use = try port.useReserve(given.header.messageID, count: Int(given.header.dataLength))
        defer { withExtendedLifetime(use) {} }
        var message = given
        message.header.messageID = 0
        message.reserve = Unmanaged.passUnretained(use)
        if isSync { return try exchange(port, flags, message, receive, length, attributes, capacity, deadline) }
        let id = try port.post(message, datagram: isRelease)
        try CallerMemory.write(id, to: UnsafeMutableRawPointer(send) + 24)
        guard receive != nil else { return .success }
        return try NTExports.receive(port, flags, receive, length, attributes, capacity, deadline)
    }
}

/// What a call attaches to its message, for as long as the call lasts.
private final class Attachment {
    private let attached: OutgoingAttachments
    /// The view that came with the message which this one answers, if it is to go ([D] ALPC_VIEWFLG_UNMAP_EXISTING).
    private let old: Attachments?
    private let port: ALPCPort
    /// Where a new security context's value was written.
    private var contextPlace: UnsafeMutableRawPointer?
    var isSent = false

    @inline(never)
    init(_ sent: SentAttributes, _ port: ALPCPort, _ message: inout OutgoingMessage) throws(NTStatus) {
        let named = message.header.messageID
        let id = named & MessageCall.reserveTag == 0 ? named : 0
        old = id != 0 && (sent.view?.flags ?? 0) & ViewFlags.unmapExisting != 0 ? port.attachments(of: id) : nil
        self.port = port
        attached = try port.attach(sent, answering: id)
        if !attached.isEmpty { message.attached = Unmanaged.passUnretained(attached) }
    }

    /// The value of a context that was made for the message goes into the attribute that asked for it, before the message does: a buffer
    /// that is received into may be the same.
    func giveContext(_ attributes: PALPC_MESSAGE_ATTRIBUTES) throws(NTStatus) {
        guard let context = attached.contextToWrite else { return }
        let place = SecurityAttributeCapture.handlePlace(in: attributes)
        try CallerMemory.write(ALPC_HANDLE(bitPattern: UInt(context)), to: place)
        contextPlace = place
    }

    func end() {
        if isSent { old?.unmapView() }
        if !attached.end(port), let contextPlace { takeContextBack(contextPlace) }
        withExtendedLifetime(attached) {}
    }

    /// The message did not go out and the context is no more: the attribute asks for one again, so that the call can be repeated.
    private func takeContextBack(_ place: UnsafeMutableRawPointer) {
        do throws(NTStatus) {
            try CallerMemory.write(SecurityFlags.noHandle, to: place)
        } catch {
            // The memory was there a moment ago; its owner has taken it away.
        }
    }
}

private func receive(_ port: ALPCPort, _ flags: ULONG, _ buffer: PPORT_MESSAGE?, _ length: PSIZE_T?, _ attributes: PALPC_MESSAGE_ATTRIBUTES?,
                     _ capacity: Int, _ deadline: Deadline) throws(NTStatus) -> NTStatus {
    var delivery = Delivery()
    let outcome: ReceiveOutcome
    if flags & MessageCallFlags.waitAlertable != 0 && !port.isWaitable {
        outcome = try port.receiveAlertably(capacity: capacity, deadline: deadline, into: &delivery)
    } else {
        outcome = port.receive(capacity: capacity, deadline: port.isWaitable ? .immediate : deadline, into: &delivery)
    }
    switch outcome {
    case .message:
        do throws(NTStatus) {
            try MessageCapture.write(delivery, to: buffer)
            if attributes != nil { try AttributeTransfer.write(delivery, from: port, to: attributes) }
        } catch {
            port.putBack(&delivery)
            throw error
        }
        ALPCPort.finish(&delivery)
        return .success
    case .tooShort(let needed):
        try CallerMemory.writeIfPresent(SIZE_T(needed), to: length)
        return .bufferTooSmall
    case .timedOut:
        // A waitable port never blocks: whoever finds it empty did not wait for it (section 17, point 11).
        return port.isWaitable ? .unsuccessful : .timeout
    case .closed: throw .portClosed
    case .disconnected: throw port.isWaitable ? .unsuccessful : .portDisconnected
    case .refused: throw .portConnectionRefused
    case .listed: return .alpcCheckCompletionList
    case .alerted: return .userApc
    }
}

/// A synchronous request, or an answer that waits for the next hop.
@inline(__always)
private func exchange(_ port: ALPCPort, _ flags: ULONG, _ message: borrowing OutgoingMessage, _ buffer: PPORT_MESSAGE?, _ length: PSIZE_T?,
                      _ attributes: PALPC_MESSAGE_ATTRIBUTES?, _ capacity: Int, _ deadline: Deadline) throws(NTStatus) -> NTStatus {
    var delivery = Delivery()
    let outcome: ReceiveOutcome
    if message.header.messageID == 0 {
        guard message.header.type & 0xFF != HeaderType.reply else { throw .lpcRequestsNotAllowed }
        outcome = flags & MessageCallFlags.waitAlertable == 0 ? try port.request(message, capacity: capacity, deadline: deadline, into: &delivery)
            : try port.requestAlertably(message, capacity: capacity, deadline: deadline, into: &delivery)
    } else {
        outcome = flags & MessageCallFlags.waitAlertable == 0 ? try port.answerAndWait(message, capacity: capacity, deadline: deadline, into: &delivery)
            : try port.answerAndWaitAlertably(message, capacity: capacity, deadline: deadline, into: &delivery)
    }
    switch outcome {
    case .message:
        do throws(NTStatus) {
            try MessageCapture.write(delivery, to: buffer)
            if attributes != nil { try AttributeTransfer.write(delivery, from: port, to: attributes) }
            if let length {
                var actual = SIZE_T(delivery.count + MessageHeader.size)
                guard ntlpc_copy_8(length, &actual) == 0 else { throw .accessViolation }
            }
        } catch {
            port.putBack(&delivery)
            throw error
        }
        ALPCPort.finish(&delivery)
        return .success
    case .tooShort(let needed):
        try CallerMemory.writeIfPresent(SIZE_T(needed), to: length)
        return .bufferTooSmall
    case .timedOut: return .timeout
    case .closed: throw .portClosed
    case .disconnected: throw .portDisconnected
    case .refused: throw .portConnectionRefused
    case .listed: return .alpcCheckCompletionList
    case .alerted: return .userApc
    }
}
