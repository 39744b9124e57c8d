// A message that a call names by its header: impersonation, the opening of its sender, and the questions about it.
//
// The id decides, and a callback id that is not 0 must match, as for answers. What is found is a copy made under the lock: the message
// may be answered by another thread a moment later, and then the call has come first.

import CLinuxShims
import NTTypes
import Transport

/// A live message, received and not yet answered, as it was a moment ago.
struct ReceivedMessage {
    let connection: Connection
    /// As its receiver got it.
    let header: MessageHeader
    /// Its sender waits for the answer.
    let isSynchronous: Bool
    /// What it brought besides bytes.
    let attachments: Attachments?

    /// The security context that it came under, if it named one.
    var context: SentContext? { attachments?.context }

    var isNotToBeImpersonated: Bool { header.type & HeaderFlags.noImpersonation != 0 }
}

extension ALPCPort {
    /// The received message that `header` names.
    ///
    /// - Throws: `invalidMessage` (unknown, not received yet, answered; the callback id of another hop), `accessDenied` (another
    ///   port's), `requestCanceled` (its sender gave it up; as often as one asks).
    func received(_ header: MessageHeader) throws(NTStatus) -> ReceivedMessage {
        let found: Result<ReceivedMessage, NTStatus> = queues.change { state in
            do throws(NTStatus) {
                if let sender = try state.find(header.messageID).pointee.connection { state.takeEndings(sender.entry) }
                return .success(try state.received(header, by: connection))
            } catch {
                return .failure(error)
            }
        }
        if case .failure(.invalidMessage) = found, isElsewhere(header.messageID) { throw .accessDenied }
        return try found.get()
    }

    /// A message that this process knows, but not at this port: one that it waits for on this client port, or that another connection
    /// port of the process received.
    private func isElsewhere(_ id: UInt32) -> Bool {
        guard id != 0, MessageID.isWellFormed(id) else { return false }
        if case .client = role, queues.lock.withLock({ $0.expected[id] != nil }) { return true }
        guard let owner = LinkNumbers.owner(of: MessageID.link(of: id)), owner.queues !== queues else { return false }
        return owner.queues.lock.withLock { state in
            do throws(NTStatus) { return try state.find(id).pointee.state == .held } catch { return false }
        }
    }
}

extension QueueState {
    /// An end that the ring announces, of a connection or of a message, has come before a call that starts now.
    mutating func takeEndings(_ entry: LinkEntry) {
        guard !entry.isOver, entry.link.consumer.pointee.closings != entry.closingsSeen else { return }
        heat(entry)
        absorb(entry)
    }

    /// - Parameter connection: of the port that asks; nil for the connection port, which knows the messages of all its clients.
    func received(_ header: MessageHeader, by connection: Connection?) throws(NTStatus) -> ReceivedMessage {
        let record = try find(header.messageID)
        guard let sender = record.pointee.connection else { throw .invalidMessage }
        guard connection == nil || connection === sender else { throw .accessDenied }
        switch record.pointee.state {
        case .held: break
        case .cancelled: throw .requestCanceled
        case .queued, .away: throw .invalidMessage
        }
        // In an LPC connection request the field is the size of the client's view.
        let callback = UInt32(truncatingIfNeeded: header.callbackID)
        guard callback == 0 || record.pointee.isConnectionRequest || UInt64(callback) == record.pointee.header.callbackID else { throw .invalidMessage }
        return ReceivedMessage(connection: sender, header: record.pointee.header, isSynchronous: record.pointee.isSynchronous,
                               attachments: record.pointee.attachments?.takeUnretainedValue())
    }
}
