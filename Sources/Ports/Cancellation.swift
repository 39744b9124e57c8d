// NtAlpcCancelMessage, and what the CANCEL frame of the other side does here.
//
// A message is cancelled where it is. The side that received its present hop holds it, and decides alone:
//   the holder cancels    a sender that waits in a slot learns MESSAGE_LOST there; an asynchronous one gets a CANCEL frame, which
//                         becomes a notice of type 12 (section 17, points 2 and 3)
//   the sender cancels    it asks the holder's process (PeerQuestions.swift), because only that knows whether the message has been
//                         retrieved: a queued message becomes a notice of type 12, a retrieved one stays (try) or is cancelled
// A cancelled message that somebody held says REQUEST_CANCELED to the next use of its id, then it is unknown. Such records are kept
// in the cancelled queue, the latest of them only: a receiver that never answers what it cancelled costs no more than that.
//
// Races:
//   (C1) the holder's answer claims the record, under the lock of its queues   (C2) the cancel marks it, under the same lock
//   (C3) the sender's question absorbs the ring first, so the message it asks for is seen
//   C1 before C2: the cancel finds the message away, answered or unknown. C2 before C1: the answer says REQUEST_CANCELED.
//   A sender whose question crosses an answer finds the message on its own side when it looks again.

import CLinuxShims
import CWireFormat
import LinuxSystem
import NTObjects
import NTTypes
import Tracing
import Transport

/// What a caller of NtAlpcCancelMessage gave.
public struct CancelRequest: Sendable {
    public var id: UInt32
    /// 0, or that of the hop which the caller received.
    public var callback: UInt32 = 0
    public var context: UInt64 = 0
    /// Only if its receiver has not taken it.
    public var isTry = false
    /// `context` must be the message's.
    public var checksContext = false

    public init(id: UInt32) { self.id = id }
}

/// What is left to do when the queues' lock is free.
enum CancelStep {
    case done(NTStatus)
    /// The sender gets a notice.
    case tell(Connection, NTStatus)
    /// The peer's process holds the message.
    case ask(Connection)
}

extension ALPCPort {
    /// How long a process may take to say whether it still has a message. One that is stopped takes longer, and then the message is
    /// cancelled without its word.
    private static let patience: UInt64 = 2_000_000_000

    /// Cancels the message that `request` names, from whichever side.
    ///
    /// Returns `pending` when a waiting sender was woken or the message had not been retrieved, `messageRetrieved` when its receiver has
    /// it: cancelled all the same, unless it was a try.
    /// - Throws: `invalidMessage` (unknown, finished), `accessDenied` (another port's), `requestCanceled` (cancelled before),
    ///   `contextMismatch`, `portDisconnected` when the peer goes away in between.
    public func cancel(_ request: CancelRequest) throws(NTStatus) -> NTStatus {
        var attempt = 0
        while true {
            let step: CancelStep
            do throws(NTStatus) {
                step = try queues.change { (state) throws(NTStatus) in try state.beginCancel(request, self) }
            } catch {
                throw error == .invalidMessage && isForeign(request.id) ? .accessDenied : error
            }
            switch step {
            case .done(let status):
                return status
            case .tell(let connection, let status):
                Self.sendCancel(connection, request.id, CancelReason.byHolder)
                return status
            case .ask(let connection):
                let status = try askHolder(connection, request)
                attempt += 1
                if status == .invalidMessage && attempt == 1 { continue }
                guard status.isSuccess else { throw status }
                if status == .pending || !request.isTry { queues.change { $0.endSenderCancel(request.id, connection) } }
                return status
            }
        }
    }

    private func askHolder(_ connection: Connection, _ request: CancelRequest) throws(NTStatus) -> NTStatus {
        var question = ntlpc_data_request()
        question.operation = NTLPC_DATA_CANCEL
        question.message = request.id
        question.entry = connection.number
        question.length = request.isTry ? 1 : 0
        let answer = try connection.entry.questions.ask(question, over: connection.link, deadline: Clock.monotonic &+ Self.patience)
        guard let answer else {
            Self.sendCancel(connection, request.id, CancelReason.bySender)
            return .pending
        }
        switch answer.status {
        case .pending, .messageRetrieved, .requestCanceled, .accessDenied: return answer.status
        default: return .invalidMessage     // also what no honest peer says
        }
    }

    /// Tells the other side that a message is cancelled.
    static func sendCancel(_ connection: Connection, _ id: UInt32, _ reason: UInt16) {
        guard connection.state != .closed, !connection.link.isDead else { return }
        var frame = ntlpc_frame()
        frame.kind = FrameKind.cancel
        frame.flags = reason
        frame.connection = connection.number
        frame.slot = WireLayout.noSlot
        var header = MessageHeader()
        header.messageID = id
        header.clientThread = Host.clientID().thread
        frame.set(header)
        // Announced like a closing: the peer must not answer what it could know to be cancelled.
        // A peer whose ring stays full does not listen: it will see the hang-up.
        if case .full = connection.link.send(&frame, payload: nil, closing: true) { connection.link.close() }
    }

    /// The id belongs to a live message of another port of this process's.
    func isForeign(_ id: UInt32) -> Bool {
        // An id of this port's own link is nobody else's, even when the peer is this process.
        if let core, core.pointee.number == MessageID.link(of: id) { return false }
        guard MessageID.isWellFormed(id), let owner = LinkNumbers.owner(of: MessageID.link(of: id)), owner.queues !== queues else { return false }
        return owner.queues.lock.withLock { $0.record(id) != nil }
    }
}

extension QueueState {
    /// How many cancelled messages are remembered.
    static var cancelledLimit: Int { 1024 }

    /// The live message with that id, wherever it is in its life.
    func record(_ id: UInt32) -> MessagePointer? {
        let number = isServer ? Int(MessageID.link(of: id)) : 0
        guard number < entries.count, let entry = entries[number], entry.link.number == MessageID.link(of: id) else { return nil }
        return entry.table.find(id)
    }

    // MARK: The cancelled queue

    /// Nobody may answer the message any more. The next use of its id says so.
    mutating func markCancelled(_ record: MessagePointer) {
        guard record.pointee.state != .cancelled else { return }
        if record.pointee.state == .queued { main.remove(record) }
        empty(record)
        if let reserve = record.pointee.surrenderReserve() { reserve.release() }
        record.pointee.slot = WireLayout.noSlot
        record.pointee.state = .cancelled
        cancelled.append(record)
    }

    /// What the message brought ends with it, not with the last that is known of it. Its number is free for another call.
    private func empty(_ record: MessagePointer) {
        if !isServer, let connection = record.pointee.connection {
            connection.link.slots.freeNumber(MessageID.number(of: record.pointee.header.messageID))
        }
        if let payload = record.pointee.payload { StagingMemory.free(payload) }
        record.pointee.payload = nil
        if let attachments = record.pointee.attachments { attachments.release() }
        record.pointee.attachments = nil
    }

    mutating func trimCancelled() {
        while cancelled.count > Self.cancelledLimit, let oldest = cancelled.first { discard(oldest) }
    }

    /// Puts a message into the table of its link. One of the same id whose sender has let it go makes room: ids come round.
    mutating func enlist(_ record: MessagePointer, _ entry: LinkEntry) -> Bool {
        if entry.table.insert(record) { return true }
        guard let old = entry.table.find(record.pointee.header.messageID),
              old.pointee.state == .cancelled || old.pointee.state == .away, !old.pointee.isReserved else { return false }
        discard(old)
        return entry.table.insert(record)
    }

    // MARK: This side cancels

    mutating func beginCancel(_ request: CancelRequest, _ port: ALPCPort) throws(NTStatus) -> CancelStep {
        let id = request.id, own = port.connection
        if case .unconnected = port.role {
            guard let record = main.first(where: { $0.pointee.header.messageID == id }) else { throw .invalidMessage }
            discard(record)
            return .done(.pending)
        }
        let number = MessageID.link(of: id)
        let index = isServer ? Int(number) : 0
        guard MessageID.isWellFormed(id), index < entries.count, let entry = entries[index], entry.link.number == number else { throw .invalidMessage }
        if !entry.isOver {
            heat(entry)
            absorb(entry)
        }
        let waiting = expected[id]
        if let record = entry.table.find(id), record.pointee.state != .cancelled || waiting == nil {
            guard own == nil || record.pointee.connection === own else { throw .accessDenied }
            return try cancel(record, request)
        }
        if let waiting {
            guard waiting.connection === own else { throw .accessDenied }
            guard !request.checksContext || waiting.context == request.context else { throw .contextMismatch }
            return .ask(waiting.connection)
        }
        if let record = main.first(where: { $0.pointee.header.messageID == id && !$0.pointee.isListed }) {
            guard own == nil || record.pointee.connection === own else { throw .accessDenied }
            switch record.pointee.header.type & 0xFF {
            case HeaderType.datagram:
                discard(record)
                return .done(.pending)
            case HeaderType.cancelled: throw .requestCanceled
            default: throw .invalidMessage
            }
        }
        // A datagram, a request whose sender waits in a slot, a connection request: this side keeps nothing of them.
        guard let own, (id & MessageID.fromServer != 0) == isServer, own.entry === entry, !entry.isOver,
              own.state == .open || own.requestID == id && own.state == .requested else { throw .invalidMessage }
        return .ask(own)
    }

    private mutating func cancel(_ record: MessagePointer, _ request: CancelRequest) throws(NTStatus) -> CancelStep {
        guard record.pointee.state != .cancelled else { throw .requestCanceled }
        guard !request.checksContext || record.pointee.messageContext == request.context else { throw .contextMismatch }
        guard let connection = record.pointee.connection else { throw .invalidMessage }
        if record.pointee.state == .away { return .ask(connection) }
        let isHeld = record.pointee.state == .held
        if isHeld {
            guard request.callback == 0 || UInt64(request.callback) == record.pointee.header.callbackID else { throw .invalidMessage }
            if request.isTry { return .done(.messageRetrieved) }
        }
        let hasWaiter = record.pointee.isSynchronous
        let type = record.pointee.header.type & 0xFF
        endRequest(record, connection)
        expected.removeValue(forKey: request.id)
        if record.pointee.isReserved {
            // A thread of this side waits for it: it must learn.
            becomeNotice(record)
        } else {
            markCancelled(record)
        }
        if hasWaiter { return .done(.pending) }
        if type == HeaderType.datagram { return .done(.messageRetrieved) }
        return .tell(connection, isHeld ? .messageRetrieved : .pending)
    }

    /// Wakes a sender that waits; a connection that was asked for is none.
    private mutating func endRequest(_ record: MessagePointer, _ connection: Connection) {
        let isConnect = record.pointee.isConnectionRequest
        answerSlot(of: record, isConnect ? (record.pointee.isLegacy ? .portConnectionRefused : .messageLost)
                       : record.pointee.isLegacy ? .lpcReplyLost : .messageLost)
        if isConnect {
            connection.state = .disconnected
            connection.entry.remove(connection)
        }
    }

    /// The holder has let the message go for its sender on this side.
    mutating func endSenderCancel(_ id: UInt32, _ connection: Connection) {
        let wasExpected = expected.removeValue(forKey: id) != nil
        if connection.requestID == id && connection.state == .requested { connection.state = .disconnected }
        if let record = connection.entry.table.find(id) {
            guard record.pointee.state == .away else { return }
            if record.pointee.isReserved { becomeNotice(record) } else { markCancelled(record) }
        } else if wasExpected {
            // So that a second cancel finds it.
            let record = pool.make()
            record.pointee.header.messageID = id
            record.pointee.connection = connection
            record.pointee.state = .held
            if enlist(record, connection.entry) { markCancelled(record) } else { pool.release(record) }
        }
    }

    /// A notice takes the message's place in the queue: its id, no data ([W] OVMM, PFW).
    mutating func becomeNotice(_ record: MessagePointer) {
        if record.pointee.state == .cancelled { cancelled.remove(record) }
        let isQueued = record.pointee.state == .queued
        empty(record)
        unlist(record)
        record.pointee.header.type = HeaderType.cancelled
        record.pointee.header.setLength(0)
        record.pointee.header.dataInfoOffset = 0
        record.pointee.slot = WireLayout.noSlot
        record.pointee.state = .queued
        if !isQueued { main.append(record) }
    }

    // MARK: The other side cancels

    /// The sender's question (C3). The answer is what its call returns.
    mutating func cancelForSender(id: UInt32, connection number: UInt32, isTry: Bool, _ entry: LinkEntry) -> NTStatus {
        guard !entry.isOver else { return .invalidMessage }
        heat(entry)
        absorb(entry)
        let found = entry.table.find(id) ?? main.first {
            $0.pointee.header.messageID == id && !$0.pointee.isListed && $0.pointee.connection?.entry === entry
        }
        guard let record = found, let connection = record.pointee.connection else { return .invalidMessage }
        guard connection.number == number else { return .accessDenied }
        switch record.pointee.state {
        case .queued:
            guard isCancellable(record) else { return record.pointee.header.type & 0xFF == HeaderType.cancelled ? .requestCanceled : .invalidMessage }
            withdraw(record, connection, tells: true)
            return .pending
        case .held:
            if isTry { return .messageRetrieved }
            withdraw(record, connection, tells: true)
            return .messageRetrieved
        case .away: return .invalidMessage      // the answer is on its way to the sender
        case .cancelled: return .requestCanceled
        }
    }

    /// A last answer is no message of its own any more, a notice never was.
    private func isCancellable(_ record: MessagePointer) -> Bool {
        switch record.pointee.header.type & 0xFF {
        case HeaderType.request, HeaderType.datagram, HeaderType.connectionRequest: true
        case HeaderType.reply: record.pointee.isListed
        default: false
        }
    }

    /// Takes a message that the other side sent from whoever would receive or has received it. `tells`: by a notice, to ALPC.
    private mutating func withdraw(_ record: MessagePointer, _ connection: Connection, tells: Bool) {
        if record.pointee.isConnectionRequest {
            answerSlot(of: record, record.pointee.isLegacy ? .portConnectionRefused : .messageLost)
            if record.pointee.state == .held {
                connection.state = .disconnected
                markCancelled(record)
            } else {
                connection.entry.remove(connection)
                discard(record)
            }
            return
        }
        answerSlot(of: record, tells ? (record.pointee.isLegacy ? .lpcReplyLost : .messageLost) : .requestCanceled)
        let header = record.pointee.header
        switch record.pointee.state {
        case .queued:
            // Never received. A sender that merely gave up leaves no trace (section 17, point 28), unless a thread waits for this.
            if record.pointee.isReserved || tells && !connection.isLegacy { becomeNotice(record) } else { discard(record) }
        case .held:
            markCancelled(record)
            if tells && !connection.isLegacy { enqueueCancelNotice(for: header, connection: connection) }
        case .away, .cancelled:
            break
        }
    }

    /// A CANCEL frame.
    mutating func takeCancel(_ frame: ntlpc_frame, _ entry: LinkEntry) {
        let id = frame.id, reason = frame.flags
        if reason == CancelReason.answerLost {
            if isServer, let connection = entry.connection(frame.connection) { enqueueLostReply(frame, connection) }
            return
        }
        if let record = entry.table.find(id), record.pointee.state != .cancelled || expected[id] == nil {
            guard let connection = record.pointee.connection, connection.number == frame.connection else { return }
            switch record.pointee.state {
            case .queued, .held:
                withdraw(record, connection, tells: reason == CancelReason.bySender)
            case .away:
                // The holder gives back what this side sent last: a thread that waits for it wakes, another sender gets a notice.
                expected.removeValue(forKey: id)
                if record.pointee.isReserved || reason == CancelReason.byHolder { becomeNotice(record) } else { markCancelled(record) }
            case .cancelled:
                break
            }
            return
        }
        if reason == CancelReason.bySender {
            if let record = main.first(where: { $0.pointee.header.messageID == id && $0.pointee.connection?.entry === entry }),
               let connection = record.pointee.connection, connection.number == frame.connection, isCancellable(record) {
                withdraw(record, connection, tells: true)
            }
            return
        }
        guard !isServer, reason == CancelReason.byHolder, let connection = entry.connection(frame.connection) else { return }
        var header = MessageHeader(frame)
        header.clientProcess = entry.ntProcess
        if let waiting = expected[id], waiting.connection === connection {
            expected.removeValue(forKey: id)
            enqueueCancelNotice(for: header, connection: connection, context: waiting.context)
        } else if connection.requestID == id && connection.state == .requested {
            serverLeft(connection)
        }
    }

    // MARK: Lost replies

    /// An LPC server learns that a reply reached nobody ([B] header).
    private mutating func enqueueLostReply(_ frame: ntlpc_frame, _ connection: Connection) {
        guard connection.state == .open else { return }
        var header = MessageHeader(frame)
        header.type = HeaderType.lostReply
        header.setLength(0)
        header.dataInfoOffset = 0
        header.clientProcess = connection.entry.ntProcess
        enqueue(header, nil, connection: connection)
    }

    /// Last replies of LPC servers that wait for this client port and that nobody will receive.
    func unreadReplies(of connection: Connection) -> [UInt32] {
        var ids: [UInt32] = []
        var record = main.first
        while let current = record {
            record = current.pointee.next
            if current.pointee.connection === connection && current.pointee.isLegacy && current.pointee.header.type & 0xFF == HeaderType.reply {
                ids.append(current.pointee.header.messageID)
            }
        }
        return ids
    }
}
