// A message that this process keeps: queued, held by a receiver who owes an answer, or with the other side.
//
// Records live in memory of their own, outside reference counting, because every request passes through one; all of them
// are reached only under the lock of the queues that own them.

import CLinuxShims
import Transport

/// Where a message is in its life.
enum MessageState: UInt8 {
    /// In the main queue: sent, not yet received.
    case queued
    /// In NT's pending queue: received, and the receiver owes an answer.
    case held
    /// The answer went out without release: the other side may answer again.
    case away
    /// Given up by its sender. The next use of its id says so, once.
    case cancelled
}

/// Who has been told that a queued message is there; see CompletionAssociation.swift.
enum MessageNotice: UInt8 {
    case none
    /// A packet was posted, or nobody wants one.
    case announced
    /// A blocked receiver of any message will take it.
    case promised
    /// A blocked receiver of its connection's messages will take it.
    case promisedNarrowly
}

/// One message.
struct MessageRecord {
    var header = MessageHeader()
    /// Own memory with the payload, while nobody has taken it.
    var payload: UnsafeMutableRawPointer?
    /// Retained. Kept without reference counting by the compiler, because every request sets and clears it.
    private(set) var reference: Unmanaged<Connection>?
    var previous: MessagePointer?
    var next: MessagePointer?
    /// Where the sender waits, if it does.
    var slot = WireLayout.noSlot
    var turn: UInt32 = 0
    var state = MessageState.queued
    /// Kept by `MessageList`.
    var notice = MessageNotice.none
    /// Queued for the thread that waits for this very message, and for nobody else.
    var isReserved = false
    /// The table of its link knows it.
    var isListed = false
    var isLegacy = false
    var isRelease = false
    /// Bytes for which it counts in the main queue.
    var charge: UInt32 = 0
    /// Retained. The hold on the reserve that the message was sent with.
    private(set) var reserve: Unmanaged<ReserveUse>?
    /// The reader's own value, given back with the answer.
    var messageContext: UInt64 = 0
    /// What came with it, retained.
    var attachments: Unmanaged<Attachments>?

    var connection: Connection? {
        get { reference?.takeUnretainedValue() }
        set {
            let old = reference
            reference = newValue.map { Unmanaged.passRetained($0) }
            old?.release()
        }
    }

    /// Takes over a reference that is retained already.
    @inline(__always)
    mutating func adopt(_ retained: Unmanaged<Connection>) { reference = retained }

    /// Gives the reference away with its retain.
    @inline(__always)
    mutating func surrender() -> Unmanaged<Connection>? {
        let given = reference
        reference = nil
        return given
    }

    /// Nobody waits for an answer: it only ends the message and what came with it. An LPC answer that is no last one is a reply too.
    var isOneWay: Bool {
        let type = header.type & 0xFF
        return type == HeaderType.datagram || type == HeaderType.reply && isRelease
    }

    /// Takes a hold over.
    mutating func keep(_ use: Unmanaged<ReserveUse>?) { reserve = use?.retain() }

    @inline(__always)
    mutating func surrenderReserve() -> Unmanaged<ReserveUse>? {
        guard let given = reserve else { return nil }
        reserve = nil
        return given
    }

    var isConnectionRequest: Bool { header.type & 0xFF == HeaderType.connectionRequest }
    var isSynchronous: Bool { slot != WireLayout.noSlot }
}

typealias MessagePointer = UnsafeMutablePointer<MessageRecord>

/// Makes and recycles records. Guarded by the lock of the queues.
struct MessagePool: ~Copyable {
    private var free: MessagePointer?

    @inline(__always)
    mutating func make() -> MessagePointer {
        if let record = free {
            free = record.pointee.next
            record.pointee.next = nil
            return record
        }
        let record = MessagePointer.allocate(capacity: 1)
        record.initialize(to: MessageRecord())
        return record
    }

    /// The record must be in no queue and no table.
    @inline(__always)
    mutating func release(_ record: MessagePointer) {
        if let payload = record.pointee.payload { ntlpc_free(payload) }
        record.pointee.payload = nil
        if let reference = record.pointee.surrender() { reference.release() }
        if let attachments = record.pointee.attachments { attachments.release() }
        record.pointee.attachments = nil
        if let reserve = record.pointee.surrenderReserve() { reserve.release() }
        record.pointee.slot = WireLayout.noSlot
        record.pointee.turn = 0
        record.pointee.state = .queued
        record.pointee.isReserved = false
        record.pointee.isListed = false
        record.pointee.isLegacy = false
        record.pointee.isRelease = false
        record.pointee.messageContext = 0
        record.pointee.previous = nil
        record.pointee.next = free
        free = record
    }

    deinit {
        var record = free
        while let current = record {
            record = current.pointee.next
            current.deinitialize(count: 1)
            current.deallocate()
        }
    }
}

/// Messages in the order of their arrival.
struct MessageList {
    private(set) var first: MessagePointer?
    private(set) var last: MessagePointer?
    private(set) var count = 0
    /// Of the messages, headers included, as they were when they came.
    private(set) var bytes = 0
    /// Messages of which nobody has been told, and those that blocked receivers will take.
    private(set) var unannounced = 0
    private(set) var promised = 0
    private(set) var promisedNarrowly = 0

    @inline(__always)
    var isEmpty: Bool { first == nil }

    @inline(__always)
    private mutating func charge(_ record: MessagePointer) {
        record.pointee.charge = UInt32(record.pointee.header.totalLength)
        bytes += Int(record.pointee.charge)
        count += 1
    }

    /// Says who has been told of a message in the list.
    mutating func note(_ notice: MessageNotice, of record: MessagePointer) {
        tally(record, -1)
        record.pointee.notice = notice
        tally(record, 1)
    }

    @inline(__always)
    private mutating func tally(_ record: MessagePointer, _ change: Int) {
        switch record.pointee.notice {
        case .none: unannounced += change
        case .announced: break
        case .promised: promised += change
        case .promisedNarrowly:
            promisedNarrowly += change
            record.pointee.reference?._withUnsafeGuaranteedRef { $0.promised += change }
        }
    }

    mutating func append(_ record: MessagePointer) {
        record.pointee.notice = .none
        unannounced += 1
        record.pointee.previous = last
        record.pointee.next = nil
        if let last { last.pointee.next = record } else { first = record }
        last = record
        charge(record)
    }

    /// Puts a message back where it was taken from.
    mutating func prepend(_ record: MessagePointer) {
        record.pointee.notice = .none
        unannounced += 1
        record.pointee.previous = nil
        record.pointee.next = first
        if let first { first.pointee.previous = record } else { last = record }
        first = record
        charge(record)
    }

    mutating func remove(_ record: MessagePointer) {
        tally(record, -1)
        if let previous = record.pointee.previous { previous.pointee.next = record.pointee.next } else { first = record.pointee.next }
        if let next = record.pointee.next { next.pointee.previous = record.pointee.previous } else { last = record.pointee.previous }
        record.pointee.previous = nil
        record.pointee.next = nil
        bytes -= Int(record.pointee.charge)
        count -= 1
    }

    /// The first message that `matches` takes.
    func first(where matches: (MessagePointer) -> Bool) -> MessagePointer? {
        var record = first
        while let current = record {
            if matches(current) { return current }
            record = current.pointee.next
        }
        return nil
    }
}

/// The live messages of one link by id. Ids that are alive together are mostly near each other, so a small table without
/// collisions does; it grows when two meet.
struct MessageTable: ~Copyable {
    private var places: UnsafeMutablePointer<MessagePointer?>
    private var mask: Int

    init() {
        mask = 63
        places = Self.allocate(64)
    }

    deinit { places.deallocate() }

    private static func allocate(_ count: Int) -> UnsafeMutablePointer<MessagePointer?> {
        let memory = UnsafeMutablePointer<MessagePointer?>.allocate(capacity: count)
        memory.initialize(repeating: nil, count: count)
        return memory
    }

    @inline(__always)
    func find(_ id: UInt32) -> MessagePointer? {
        guard let record = places[MessageID.key(of: id) & mask], record.pointee.header.messageID == id else { return nil }
        return record
    }

    /// False when a live message has that id already.
    @inline(__always)
    mutating func insert(_ record: MessagePointer) -> Bool {
        let key = MessageID.key(of: record.pointee.header.messageID)
        if places[key & mask] != nil && !makeRoom(key) { return false }
        places[key & mask] = record
        record.pointee.isListed = true
        return true
    }

    @inline(__always)
    mutating func remove(_ record: MessagePointer) {
        guard record.pointee.isListed else { return }
        let key = MessageID.key(of: record.pointee.header.messageID)
        if places[key & mask] == record { places[key & mask] = nil }
        record.pointee.isListed = false
    }

    @inline(never)
    private mutating func makeRoom(_ key: Int) -> Bool {
        while let other = places[key & mask] {
            if MessageID.key(of: other.pointee.header.messageID) == key { return false }
            let larger = Self.allocate((mask + 1) * 2)
            let largerMask = mask * 2 + 1
            for index in 0...mask {
                if let record = places[index] { larger[MessageID.key(of: record.pointee.header.messageID) & largerMask] = record }
            }
            places.deallocate()
            places = larger
            mask = largerMask
        }
        return true
    }

    /// Every live message; a copy, so that the table may change meanwhile.
    var all: [MessagePointer] { (0...mask).compactMap { places[$0] } }
}
