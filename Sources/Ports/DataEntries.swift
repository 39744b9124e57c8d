// NtReadRequestData and NtWriteRequestData: a server copies from and to memory that its client named in a request and still waits behind
// (PORT_DATA_INFORMATION in the message).
//
// Neither process reaches into the other: the server asks over the control socket, in pieces, and the client's watcher copies. It believes
// the entries that the request was sent with, not what the server says, and only while a thread waits for the answer.
//   (D1) the caller registers its entries, then sends   (D2) its wait ends: it takes them away
//   (D3) the watcher finds them and copies
// D2 and D3 meet under the entries' lock, so nothing is written behind a call that has returned. A callback suspends the entries; when
// its answer waits again for the same request, they hold again.

import CLinuxShims
import CWireFormat
import LinuxSystem
import NTTypes
import Synchronization
import Transport

/// The entries of one request.
public final class DataEntries: @unchecked Sendable {
    /// Memory of the caller: from the message, unchecked. Every copy may fault.
    struct Entry {
        let address: UInt
        let size: UInt32
    }

    private let entries: [Entry]
    private let mutex = FutexMutex()
    /// A thread waits behind them. Guarded by `mutex`.
    private let isOpen = Atomic<Bool>(false)

    /// The entries that a message of `count` bytes of payload names at `offset` (from the start of its header); nil when they do not
    /// fit into the message ([R] ROS-LPC).
    public init?(payload: UnsafeRawPointer?, count: Int, offset: Int) {
        let head = 8, size = 16     // CountDataEntries with its padding; Base, Size and padding
        let start = offset - MessageHeader.size
        guard let payload, start >= 0, start + head <= count else { return nil }
        let number = Int((payload + start).loadUnaligned(as: UInt32.self))
        guard number <= (count - start - head) / size else { return nil }
        entries = (0..<number).map { index in
            let place = payload + start + head + index * size
            return Entry(address: UInt(place.loadUnaligned(as: UInt64.self)), size: (place + 8).loadUnaligned(as: UInt32.self))
        }
    }

    func open() { set(true) }
    func close() { set(false) }

    private func set(_ open: Bool) {
        mutex.lock()
        isOpen.store(open, ordering: .relaxed)
        mutex.unlock()
    }

    // MARK: The client's side, for the watcher

    /// Copies one piece for the server that `entry` leads to.
    static func serve(_ question: ntlpc_data_request, _ bytes: UnsafeRawBufferPointer, _ link: LinkEntry) -> PeerQuestions.Answer {
        guard let found = link.calls.entries(question.message) else { return PeerQuestions.Answer(status: .replyMessageMismatch) }
        return found.serve(question, bytes)
    }

    private func serve(_ question: ntlpc_data_request, _ bytes: UnsafeRawBufferPointer) -> PeerQuestions.Answer {
        guard question.entry < entries.count else { return PeerQuestions.Answer(status: .invalidParameter) }
        let entry = entries[Int(question.entry)]
        let count = Int(question.length)
        let (end, overflows) = question.offset.addingReportingOverflow(UInt64(count))
        guard question.total <= entry.size, !overflows, end <= UInt64(entry.size),
              !entry.address.addingReportingOverflow(UInt(end)).overflow else { return PeerQuestions.Answer(status: .invalidParameter) }
        let place = UnsafeMutableRawPointer(bitPattern: entry.address &+ UInt(question.offset))
        // SAFETY: the address may be any; ntlpc_copy ends at the first byte that is not there. The lock is this request's own, and keeps
        // its caller from returning in the middle.
        mutex.lock()
        defer { mutex.unlock() }
        guard isOpen.load(ordering: .relaxed) else { return PeerQuestions.Answer(status: .replyMessageMismatch) }
        var copied = [UInt8]()
        var left = 0
        if count == 0 {
            // Only asked whether there is such an entry.
        } else if question.operation == NTLPC_DATA_READ {
            copied = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
                left = ntlpc_copy(buffer.baseAddress, place, count)
                initialized = count - left
            }
        } else {
            left = ntlpc_copy(place, bytes.baseAddress, count)
        }
        return PeerQuestions.Answer(status: left == 0 ? .success : .partialCopy, count: count - left, bytes: copied)
    }
}

/// What callers of a link's client process left for the time of their waits, by message id. Reached by pointer and not by exclusive
/// access: a thread that ends in its wait asks too, and in debug builds Swift's record of its accesses is void by then. Innermost lock.
final class WaitingCalls: @unchecked Sendable {
    private struct State {
        var entries: [UInt32: DataEntries] = [:]
        var reserves: [UInt32: ReserveUse] = [:]
    }

    private let mutex = FutexMutex()
    private let state: UnsafeMutablePointer<State>

    init() {
        state = .allocate(capacity: 1)
        state.initialize(to: State())
    }

    deinit {
        state.deinitialize(count: 1)
        state.deallocate()
    }

    func entries(_ id: UInt32) -> DataEntries? {
        mutex.lock()
        defer { mutex.unlock() }
        return state.pointee.entries[id]
    }

    /// A call begins to wait. Without entries of its own those hold that the message has already.
    func begin(_ id: UInt32, _ entries: DataEntries?, _ reserve: ReserveUse?) {
        mutex.lock()
        if let reserve { state.pointee.reserves[id] = reserve }
        if let entries { state.pointee.entries[id] = entries }
        let found = state.pointee.entries[id]
        mutex.unlock()
        found?.open()
    }

    /// Its wait is over. `isAlive`: the message lives on, and its sender may wait for it again.
    func end(_ id: UInt32, isAlive: Bool) {
        let (found, reserve) = take(id, isAlive: isAlive)
        found?.close()
        _ = reserve     // released here, outside the lock
    }

    /// The thread that waited has ended, and will never let go of its reserve.
    func abandon(_ id: UInt32) {
        let (found, reserve) = take(id, isAlive: false)
        found?.close()
        reserve?.end()
    }

    private func take(_ id: UInt32, isAlive: Bool) -> (DataEntries?, ReserveUse?) {
        mutex.lock()
        defer { mutex.unlock() }
        let reserve = state.pointee.reserves.removeValue(forKey: id)
        return (isAlive ? state.pointee.entries[id] : state.pointee.entries.removeValue(forKey: id), reserve)
    }
}

extension ALPCPort {
    // MARK: The client's side, for the caller

    /// Before a request goes out: its entries hold from now on, and the end of its thread will free its reserve. A hop of a request
    /// that had entries opens them again.
    @inline(never)
    func openEntries(_ message: borrowing OutgoingMessage, _ id: UInt32) {
        connection?.entry.calls.begin(id, message.dataEntries?.takeUnretainedValue(), message.reserve?.takeUnretainedValue())
    }

    /// The caller's wait is over. `isAlive`: the message lives on, and its sender may wait for it again.
    @inline(never)
    func closeEntries(_ id: UInt32, isAlive: Bool) { connection?.entry.calls.end(id, isAlive: isAlive) }

    // MARK: The server's side

    /// The request that `header` names, if its sender waits for the answer.
    /// - Throws: `replyMessageMismatch` otherwise ([R] ROS-LPC).
    public func waitingRequest(_ header: MessageHeader) throws(NTStatus) -> WaitingRequest {
        let own = connection
        let found = queues.lock.withLock { state -> Connection? in
            guard state.isServer, MessageID.isWellFormed(header.messageID), let record = state.record(header.messageID), record.pointee.state == .held,
                  record.pointee.isSynchronous, !record.pointee.isConnectionRequest, own == nil || record.pointee.connection === own else { return nil }
            return record.pointee.connection
        }
        guard let found else { throw .replyMessageMismatch }
        return WaitingRequest(connection: found, id: header.messageID)
    }
}

/// A request whose sender waits.
public struct WaitingRequest {
    let connection: Connection
    let id: UInt32

    /// Bytes that one piece may have.
    public static let pieceLimit = Int(NTLPC_DATA_BYTES)

    /// How a piece was copied.
    public struct Piece {
        public var status: NTStatus
        public var count: Int
        public var bytes: [UInt8]
    }

    /// Reads `count` bytes at `offset` of an entry; `total` is what the whole call is about.
    /// - Throws: `invalidParameter` (no such entry, or it is smaller), `replyMessageMismatch` (the sender does not wait any more),
    ///   `replyMessageMismatch` also when its process ends.
    public func read(entry: UInt32, offset: Int, count: Int, total: UInt32) throws(NTStatus) -> Piece {
        try ask(NTLPC_DATA_READ, entry, offset, count, total, [])
    }

    /// Writes `bytes` at `offset` of an entry.
    public func write(_ bytes: [UInt8], entry: UInt32, offset: Int, total: UInt32) throws(NTStatus) -> Piece {
        try ask(NTLPC_DATA_WRITE, entry, offset, bytes.count, total, bytes)
    }

    private func ask(_ operation: UInt32, _ entry: UInt32, _ offset: Int, _ count: Int, _ total: UInt32, _ bytes: [UInt8]) throws(NTStatus) -> Piece {
        var question = ntlpc_data_request()
        question.operation = operation
        question.message = id
        question.entry = entry
        question.length = UInt32(count)
        question.offset = UInt64(offset)
        question.total = total
        let answer: PeerQuestions.Answer?
        do throws(NTStatus) {
            answer = try connection.entry.questions.ask(question, bytes, over: connection.link, deadline: 0)
        } catch {
            throw .replyMessageMismatch
        }
        guard let answer else { throw .replyMessageMismatch }
        switch answer.status {
        case .success where answer.count == count, .partialCopy: return Piece(status: answer.status, count: answer.count, bytes: answer.bytes)
        case .invalidParameter: throw .invalidParameter
        default: throw .replyMessageMismatch
        }
    }
}
