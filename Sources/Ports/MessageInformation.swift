// What NtAlpcQueryInformationMessage tells of a message: its sender's SID, the modified id of the sender's token, whether a direct message
// is done, and its handles one by one. Source: behaviour reference 8.10, 9.5.

import CNTTypes
import NTObjects
import NTSecurity
import NTTypes

/// Answers about a received message. The port is the one whose pending queue holds the message: any of the three kinds.
public enum MessageInformation {
    /// Class 0: the sender's user.
    /// - Throws: `invalidMessage`, `accessDenied` (another port's), `requestCanceled`.
    public static func sid(_ port: ALPCPort, _ header: MessageHeader) throws(NTStatus) -> NTSecurity.SID {
        PeerIdentity(try port.received(header).connection.link).userSID
    }

    /// Class 1: the modified id of the sender's token: with static tracking that of connect time.
    /// - Throws: as `sid`.
    public static func modifiedID(_ port: ALPCPort, _ header: MessageHeader) throws(NTStatus) -> LUID {
        port.tokenIDs(of: try port.received(header).connection).luids.modified
    }

    /// Class 2: `pending` while the message is under way or owed an answer, `success` when its answer is here.
    ///
    /// Both sides may ask: the receiver for a message that it holds, the sender for one that it sent. [I]
    /// - Throws: `invalidMessage` for a message that is unknown or over; `accessDenied` (another port's).
    public static func directStatus(_ port: ALPCPort, _ header: MessageHeader) throws(NTStatus) -> NTStatus {
        if port.isClientPort, let status = port.statusOfSent(header.messageID) { return status }
        _ = try port.received(header)
        return .pending
    }

    /// Class 3: one of the message's handles, as a new handle of this process that the caller of the call must close.
    /// - Throws: as `sid`; `invalidHandle` for an index that is not below the count (section 17, point 13); what the host says of an object
    ///   that it cannot make a handle for.
    public static func handle(_ port: ALPCPort, _ header: MessageHeader, index: UInt32) throws(NTStatus) -> ALPC_MESSAGE_HANDLE_INFORMATION {
        guard let handles = try port.received(header).attachments?.handles, Int(index) < handles.count else { throw .invalidHandle }
        let carried = handles[Int(index)]
        var answer = ALPC_MESSAGE_HANDLE_INFORMATION()
        answer.Index = index
        answer.Handle = ULONG(truncatingIfNeeded: UInt(bitPattern: try carried.fetch()))
        answer.ObjectType = carried.type.rawValue
        answer.GrantedAccess = carried.access
        return answer
    }
}

extension ALPCPort {
    /// Whether an asynchronous message of this client port has its answer; nil when it is none.
    fileprivate func statusOfSent(_ id: UInt32) -> NTStatus? {
        queues.lock.withLock { state in
            if let waiting = state.expected[id] { return waiting.connection === connection ? .pending : nil }
            let isAnswered = state.main.first { $0.pointee.header.messageID == id && $0.pointee.connection === connection && $0.pointee.header.type & 0xFF == HeaderType.reply } != nil
            return isAnswered ? .success : nil
        }
    }
}
