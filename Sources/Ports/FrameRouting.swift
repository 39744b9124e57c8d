// Who hears whom: what each side does with the frames that the other side's ring brings. All of it runs under the lock of the
// queues. A frame that no honest peer sends ends the link: these functions return false.

import CLinuxShims
import CWireFormat
import LinuxSystem
import NTTypes
import Synchronization
import Transport

extension QueueState {
    /// Queues a message with its own copy of the payload.
    @discardableResult
    mutating func enqueue(_ header: MessageHeader, _ payload: UnsafeRawPointer?, connection: Connection?, context: UInt64 = 0) -> MessagePointer {
        let record = pool.make()
        record.pointee.header = header
        record.pointee.connection = connection
        record.pointee.messageContext = context
        record.pointee.state = .queued
        if let payload { record.pointee.payload = StagingMemory.copy(payload, Int(header.dataLength)) }
        adoptCarried(record)
        main.append(record)
        return record
    }

    /// The message takes over what came with its frame. Views and handles make an answer due, even to a datagram ([W] OVMM).
    private mutating func adoptCarried(_ record: MessagePointer) {
        guard let carried else { return }
        self.carried = nil
        record.pointee.attachments = Unmanaged.passRetained(carried)
        if carried.needsContinuation { record.pointee.header.type |= HeaderFlags.continuation }
    }

    /// Queues the notice that a message was cancelled: its id, no data ([W] OVMM, PFW).
    mutating func enqueueCancelNotice(for header: MessageHeader, connection: Connection?, context: UInt64 = 0) {
        var notice = header
        notice.setLength(0)
        notice.type = HeaderType.cancelled
        notice.dataInfoOffset = 0
        enqueue(notice, nil, connection: connection, context: context)
    }

    // MARK: The server's side

    mutating func takeFromClient(_ frame: ntlpc_frame, _ payload: UnsafeRawPointer, _ entry: LinkEntry) -> Bool {
        switch frame.kind {
        case FrameKind.message: return takeMessage(frame, payload, entry)
        case FrameKind.answer: return takeAnswerFromClient(frame, payload, entry)
        case FrameKind.connect: return takeConnect(frame, payload, entry)
        case FrameKind.cancel:
            entry.closingsSeen &+= 1
            takeCancel(frame, entry)
            return true
        case FrameKind.close:
            entry.closingsSeen &+= 1
            if let connection = entry.connection(frame.connection) {
                runDown(connection, forget: true)
            }
            return true
        case FrameKind.terms:
            entry.closingsSeen &+= 1
            return takeTerms(frame, payload, entry)
        case FrameKind.threadDied:
            guard frame.length == 8, let connection = entry.connection(frame.connection) else { return frame.length == 8 }
            var header = MessageHeader(frame)
            header.type = HeaderType.clientDied
            header.setLength(8)
            header.clientProcess = entry.ntProcess
            if connection.state == .open { enqueue(header, payload, connection: connection) }
            return true
        default:
            return false
        }
    }

    private mutating func takeMessage(_ frame: ntlpc_frame, _ payload: UnsafeRawPointer, _ entry: LinkEntry) -> Bool {
        guard Int(frame.length) <= MessageHeader.largestPayload else { return false }
        guard let connection = entry.connection(frame.connection), connection.state == .open else {
            answerSlot(entry.link, frame.slot, frame.turn, frame.flags & FrameFlags.legacy != 0 ? .lpcReplyLost : .portDisconnected)
            return true
        }
        var header = MessageHeader(frame)
        guard admit(&header, count: Int(frame.length), flags: frame.flags, entry.core) else { return false }
        let record = enqueue(header, payload, connection: connection)
        record.pointee.isLegacy = frame.flags & FrameFlags.legacy != 0
        if record.pointee.header.type & HeaderFlags.continuation != 0 {
            record.pointee.slot = frame.slot
            record.pointee.turn = frame.turn
            guard enlist(record, entry) else {
                discard(record)
                return false
            }
        }
        return true
    }

    /// The answer to a message that this side sent, or that it answered without release.
    private mutating func takeAnswerFromClient(_ frame: ntlpc_frame, _ payload: UnsafeRawPointer, _ entry: LinkEntry) -> Bool {
        let sent = MessageHeader(frame)
        guard Int(frame.length) <= MessageHeader.largestPayload else { return false }
        guard let record = entry.table.find(sent.messageID), record.pointee.state == .away, let connection = record.pointee.connection,
              connection.number == frame.connection else {
            // Late: this side gave the message up.
            answerSlot(entry.link, frame.slot, frame.turn, .requestCanceled)
            return true
        }
        settleAnswer(record, frame, sent, payload, process: entry.ntProcess)
        return true
    }

    /// Queues the answer to a message of this side, in the message's own record.
    private mutating func settleAnswer(_ record: MessagePointer, _ frame: ntlpc_frame, _ sent: MessageHeader, _ payload: UnsafeRawPointer, process: UInt64) {
        let release = frame.flags & FrameFlags.release != 0
        if release && !isServer { expected.removeValue(forKey: sent.messageID) }
        callbackSerial &+= 1
        record.pointee.header = sent
        record.pointee.header.setLength(Int(frame.length))
        record.pointee.header.type = HeaderType.ofAnswer(frame.flags)
        record.pointee.header.clientProcess = process
        record.pointee.header.callbackID = UInt64(callbackSerial)
        record.pointee.isLegacy = frame.flags & FrameFlags.legacy != 0
        record.pointee.payload = StagingMemory.copy(payload, Int(frame.length))
        record.pointee.slot = frame.slot
        record.pointee.turn = frame.turn
        record.pointee.isRelease = release
        record.pointee.state = .queued
        if let old = record.pointee.attachments { old.release() }
        record.pointee.attachments = nil
        adoptCarried(record)
        if record.pointee.header.type & HeaderFlags.continuation == 0 { unlist(record) }
        main.append(record)
    }

    private mutating func takeConnect(_ frame: ntlpc_frame, _ payload: UnsafeRawPointer, _ entry: LinkEntry) -> Bool {
        let prefix = MemoryLayout<ntlpc_connect>.size
        guard Int(frame.length) >= prefix, Int(frame.length) - prefix <= MessageHeader.largestPayload else { return false }
        let terms = payload.loadUnaligned(as: ntlpc_connect.self)
        guard let quality = SecurityQualityOfService(terms) else { return false }
        let legacy = frame.flags & FrameFlags.legacy != 0
        let connection = Connection(entry: entry, number: frame.connection, state: .requested, isLegacy: legacy,
                                    peerFlags: terms.port_flags, peerLimit: terms.max_message_length)
        connection.peerTypes = terms.dup_object_types
        if terms.parcel != 0 {
            defer { if entry.link.hasNews { noteNews(entry) } }
            guard legacy, let view = OfferedView(parcel: terms.parcel, entry) else { return false }
            connection.clientView = view
        }
        connection.quality = quality
        guard entry.add(connection) else { return false }
        var header = MessageHeader(frame)
        guard MessageID.isWellFormed(header.messageID), MessageID.link(of: header.messageID) == entry.link.number,
              header.messageID & MessageID.fromServer == 0 else { return false }
        header.setLength(Int(frame.length) - prefix)
        header.type = HeaderType.connectionRequest | HeaderFlags.continuation
        header.clientProcess = entry.ntProcess
        callbackSerial &+= 1
        // In an LPC connection request this is the size of the client's view, if it has one ([R] ROS-LPC).
        header.callbackID = legacy ? connection.clientView?.size ?? 0 : UInt64(callbackSerial)
        connection.requestID = header.messageID
        connection.requestSlot = frame.slot
        connection.requestTurn = frame.turn
        let record = enqueue(header, payload + prefix, connection: connection)
        record.pointee.slot = frame.slot
        record.pointee.turn = frame.turn
        record.pointee.isLegacy = legacy
        guard enlist(record, entry) else {
            discard(record)
            return false
        }
        return true
    }

    /// The client's end of a connection is gone. The server learns of each of its messages, then of the end ([W] OVMM, PFW).
    mutating func runDown(_ connection: Connection, forget: Bool) {
        let entry = connection.entry
        let wasOpen = connection.state == .open || connection.state == .accepted
        let wasOver = connection.state == .disconnected || connection.state == .closed
        connection.state = .disconnected
        if forget { entry.remove(connection) }
        if wasOver { return }
        var record = main.first
        while let current = record {
            record = current.pointee.next
            guard current.pointee.connection === connection else { continue }
            giveUpQueued(current, connection)
        }
        for held in entry.table.all where held.pointee.connection === connection { giveUpHeld(held, connection) }
        if wasOpen {
            var header = MessageHeader()
            header.type = HeaderType.portClosed
            header.setLength(8)
            header.clientProcess = entry.ntProcess
            header.messageID = MessageID.make(link: entry.link.number, number: 0, server: true)
            // The create time of the client's process is not known here: the time it was met stands in (section 17, point 22).
            var time = Clock.systemTime
            enqueue(header, &time, connection: connection)
        }
    }

    /// A message that nobody has received yet: the payload is lost, a notice remains.
    private mutating func giveUpQueued(_ record: MessagePointer, _ connection: Connection) {
        let type = record.pointee.header.type & 0xFF
        switch type {
        case HeaderType.request, HeaderType.datagram:
            if connection.isLegacy || record.pointee.isSynchronous {
                discard(record)
            } else {
                becomeNotice(record)
            }
        case HeaderType.connectionRequest:
            discard(record)
        default:
            break   // notices and answers are still news
        }
    }

    private mutating func giveUpHeld(_ record: MessagePointer, _ connection: Connection) {
        switch record.pointee.state {
        case .held:
            markCancelled(record)
            if !connection.isLegacy { enqueueCancelNotice(for: record.pointee.header, connection: connection) }
        case .away:
            // A question of this side that will never be answered: its waiter must know.
            if record.pointee.isReserved { becomeNotice(record) } else { markCancelled(record) }
        case .queued, .cancelled:
            break
        }
    }

    // MARK: The client's side

    mutating func takeFromServer(_ frame: ntlpc_frame, _ payload: UnsafeRawPointer, _ entry: LinkEntry) -> Bool {
        guard Int(frame.length) <= MessageHeader.largestPayload + MemoryLayout<ntlpc_accepted>.size else { return false }
        switch frame.kind {
        case FrameKind.close, FrameKind.accepted, FrameKind.refused, FrameKind.cancel, FrameKind.terms: entry.closingsSeen &+= 1
        default: break
        }
        // A connection that is closed here, and the server does not know yet.
        guard let connection = entry.connection(frame.connection), connection.state != .closed else { return true }
        switch frame.kind {
        case FrameKind.message:
            guard Int(frame.length) <= MessageHeader.largestPayload else { return false }
            return takeQuestion(frame, payload, connection)
        case FrameKind.answer:
            guard Int(frame.length) <= MessageHeader.largestPayload else { return false }
            takeAnswerFromServer(frame, payload, connection)
            return true
        case FrameKind.cancel:
            takeCancel(frame, entry)
            return true
        case FrameKind.accepted:
            guard Int(frame.length) >= MemoryLayout<ntlpc_accepted>.size else { return false }
            takeAccepted(frame, payload, connection)
            return true
        case FrameKind.refused:
            if connection.state == .requested {
                connection.state = .refused
                announceEnd(of: connection)
            }
            return true
        case FrameKind.close:
            serverLeft(connection)
            return true
        case FrameKind.terms:
            return takeTerms(frame, payload, entry)
        default:
            return false
        }
    }

    private mutating func takeQuestion(_ frame: ntlpc_frame, _ payload: UnsafeRawPointer, _ connection: Connection) -> Bool {
        var header = MessageHeader(frame)
        guard admit(&header, count: Int(frame.length), flags: frame.flags, connection.core) else { return false }
        let record = enqueue(header, payload, connection: connection)
        record.pointee.isLegacy = frame.flags & FrameFlags.legacy != 0
        if record.pointee.header.type & HeaderFlags.continuation != 0 && !enlist(record, connection.entry) {
            discard(record)
            return false
        }
        return true
    }

    private mutating func takeAnswerFromServer(_ frame: ntlpc_frame, _ payload: UnsafeRawPointer, _ connection: Connection) {
        let sent = MessageHeader(frame)
        if let record = connection.entry.table.find(sent.messageID), record.pointee.state == .away {
            settleAnswer(record, frame, sent, payload, process: connection.entry.ntProcess)
            return
        }
        guard let waiting = expected[sent.messageID], waiting.connection === connection else { return }
        let release = frame.flags & FrameFlags.release != 0
        var header = sent
        header.setLength(Int(frame.length))
        header.clientProcess = connection.entry.ntProcess
        header.type = HeaderType.ofAnswer(frame.flags)
        let record = enqueue(header, payload, connection: connection, context: waiting.context)
        record.pointee.isLegacy = frame.flags & FrameFlags.legacy != 0
        record.pointee.isRelease = release
        // The message lives until its last answer is received.
        record.pointee.keep(waiting.reserve.map { Unmanaged.passUnretained($0) })
        if release { expected.removeValue(forKey: sent.messageID) }
        if record.pointee.header.type & HeaderFlags.continuation != 0 && !enlist(record, connection.entry) { discard(record) }
    }

    private mutating func takeAccepted(_ frame: ntlpc_frame, _ payload: UnsafeRawPointer, _ connection: Connection) {
        guard connection.state == .requested else { return }
        let terms = payload.loadUnaligned(as: ntlpc_accepted.self)
        open(connection, terms)
        var header = MessageHeader(frame)
        header.setLength(Int(frame.length) - MemoryLayout<ntlpc_accepted>.size)
        header.type = HeaderType.connectionReply
        header.messageID = connection.requestID
        header.clientProcess = connection.entry.ntProcess
        enqueue(header, payload + MemoryLayout<ntlpc_accepted>.size, connection: connection)
    }

    /// The server's terms become the connection's.
    mutating func open(_ connection: Connection, _ terms: ntlpc_accepted) {
        // The server may have left again, or died, between its answer and this moment: an end stays an end.
        if connection.state == .requested { connection.state = .open }
        connection.peerFlags = terms.port_flags
        connection.peerTypes = terms.dup_object_types
        connection.peerLimit = min(terms.max_message_length, UInt32(MessageHeader.largestTotal))
    }

    /// The server gave up this connection or is gone.
    mutating func serverLeft(_ connection: Connection) {
        switch connection.state {
        case .requested:
            // The listener vanished under a pending connect: a notice with the request's id and the client's own ids ([W?] NW-T).
            connection.state = .disconnected
            if connection.requestSlot == WireLayout.noSlot {
                var header = MessageHeader()
                header.messageID = connection.requestID
                header.clientProcess = connection.requestProcess
                header.clientThread = connection.requestThread
                enqueueCancelNotice(for: header, connection: connection)
            }
        case .accepted, .open:
            connection.state = .disconnected
        case .refused, .disconnected, .closed:
            return
        }
        // ORDER: sequentially consistent. The state before the look at the slots; pairs with `exchange`, which claims a slot before it
        // looks at the state. One of the two sees the other.
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        connection.entry.link.slots.interrupt(connection: connection.number, .disconnected)
        for id in expected.filter({ $0.value.connection === connection }).keys { expected.removeValue(forKey: id) }
        for held in connection.entry.table.all where held.pointee.connection === connection && held.pointee.state != .queued {
            markCancelled(held)
        }
        announceEnd(of: connection)
    }
}
