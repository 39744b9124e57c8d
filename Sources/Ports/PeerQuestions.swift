// What one process of a link asks the other's watcher over the control socket, where the ring would be too late or too small: bytes of
// a waiting caller's memory (DataEntries.swift), and whether a message can still be had back (Cancellation.swift).
//
// One question is under way in each direction of a link, so that an answer always has room in the socket; others wait for their
// turn. The watcher, not the asking thread, ends the turn when the answer comes: a thread that ends in its wait holds nobody up.
// A peer that answers what was not asked breaks the rules. The end of the link answers every question.
//
//   asking thread  (Q1) takes the turn  (Q2) sends the question  (Q3) sleeps on the question's word
//   watcher        (A1) matches the answer with the question  (A2) ends the turn, wakes who waits for one  (A3) sets the word, wakes

import CWireFormat
import CLinuxShims
import LinuxSystem
import NTTypes
import Synchronization
import Tracing
import Transport

/// A question under way.
private final class Question: @unchecked Sendable {
    let serial: UInt32
    let operation: UInt32
    let length: UInt32
    /// 1 when the field below is set. ORDER: release on store, acquire on load; publishes it.
    let word = Atomic<UInt32>(0)
    /// Nil: the link ended first.
    var answer: PeerQuestions.Answer?

    init(serial: UInt32, operation: UInt32, length: UInt32) {
        self.serial = serial
        self.operation = operation
        self.length = length
    }

    func finish() {
        word.store(1, ordering: .releasing)
        Futex.wake(futexAddress(of: word), Int32.max, shared: false)
    }
}

/// The questions of one end of a link.
final class PeerQuestions: @unchecked Sendable {
    /// What the peer said.
    struct Answer {
        var status: NTStatus
        /// Bytes copied.
        var count = 0
        var bytes: [UInt8] = []
    }

    private struct State {
        var serial: UInt32 = 0
        var current: Question?
        var isOver = false
    }

    private let state = FutexLock(State())
    /// Grows with each turn that ends; threads that wait for a turn sleep on it.
    private let turns = Atomic<UInt32>(0)

    // MARK: Asking

    /// Asks and waits for the answer. `question` holds all but the fixed fields; `bytes` follow it.
    /// - Returns: nil when `deadline` passed; the question may still be answered then, and nobody hears it.
    /// - Throws: `portDisconnected` when the link ends.
    func ask(_ question: ntlpc_data_request, _ bytes: [UInt8] = [], over link: Link,
             deadline: UInt64) throws(NTStatus) -> Answer? {
        guard let mine = try takeTurn(question, deadline) else { return nil }
        var packet = question
        packet.magic = NTLPC_WIRE_MAGIC
        packet.version = NTLPC_WIRE_VERSION
        packet.kind = NTLPC_CONTROL_DATA
        packet.serial = mine.serial
        let whole = withUnsafeBytes(of: &packet) { Array($0) } + bytes
        guard Self.send(whole, over: link, deadline: deadline) else {
            endTurn(of: mine)
            if link.isDead { throw .portDisconnected }
            return nil
        }
        while mine.word.load(ordering: .acquiring) == 0 {
            if deadline != 0 && Clock.monotonic >= deadline { return nil }
            Futex.wait(futexAddress(of: mine.word), 0, shared: false, deadline: deadline)
        }
        guard let answer = mine.answer else { throw .portDisconnected }
        return answer
    }

    private func takeTurn(_ question: ntlpc_data_request, _ deadline: UInt64) throws(NTStatus) -> Question? {
        while true {
            // ORDER: acquire. Pairs with the release in `wakeNext`: a turn that ends after this look changes the word.
            let seen = turns.load(ordering: .acquiring)
            let mine = try state.withLock { (state) throws(NTStatus) -> Question? in
                guard !state.isOver else { throw .portDisconnected }
                guard state.current == nil else { return nil }
                state.serial &+= 1
                let mine = Question(serial: state.serial, operation: question.operation, length: question.length)
                state.current = mine
                return mine
            }
            if let mine { return mine }
            if deadline != 0 && Clock.monotonic >= deadline { return nil }
            Futex.wait(futexAddress(of: turns), seen, shared: false, deadline: deadline)
        }
    }

    private func endTurn(of question: Question) {
        state.withLock { if $0.current === question { $0.current = nil } }
        wakeNext()
    }

    private func wakeNext() {
        _ = turns.wrappingAdd(1, ordering: .acquiringAndReleasing)
        Futex.wake(futexAddress(of: turns), Int32.max, shared: false)
    }

    /// Sends one packet; a socket that is full is emptied by the peer's watcher soon, unless the peer is stopped. False: not sent.
    private static func send(_ packet: [UInt8], over link: Link, deadline: UInt64) -> Bool {
        while !link.isDead {
            let failure = packet.withUnsafeBytes { bytes -> Errno? in
                do throws(Errno) {
                    try UnixSocket.send(bytes, over: link.control)
                    return nil
                } catch {
                    return error
                }
            }
            guard let failure else { return true }
            guard failure == .again else { return false }
            if deadline != 0 && Clock.monotonic >= deadline { return false }
            ntlpc_sleep_ns(1_000_000)
        }
        return false
    }

    // MARK: For the watcher

    /// A packet came: an answer to this side's question, or a question. False when the peer breaks the rules.
    func take(_ packet: UnsafeRawBufferPointer, _ entry: LinkEntry, _ queues: PortQueues) -> Bool {
        let size = MemoryLayout<ntlpc_data_request>.size
        guard packet.count >= size, packet.count <= size + Int(NTLPC_DATA_BYTES) else { return false }
        let question = packet.loadUnaligned(as: ntlpc_data_request.self)
        let bytes = UnsafeRawBufferPointer(rebasing: packet[size...])
        switch question.operation {
        case NTLPC_DATA_ANSWER:
            return takeAnswer(question, bytes)
        case NTLPC_DATA_CANCEL:
            guard bytes.isEmpty else { return false }
            let status = queues.change { state in
                state.cancelForSender(id: question.message, connection: question.entry, isTry: question.length != 0, entry)
            }
            return reply(question, Answer(status: status), entry)
        case NTLPC_DATA_MAP:
            guard !queues.isServer, bytes.isEmpty, let answer = OfferedView.serveMap(question, entry, queues) else { return false }
            return reply(question, answer, entry)
        case NTLPC_DATA_READ, NTLPC_DATA_WRITE:
            guard !queues.isServer, question.length <= NTLPC_DATA_BYTES,
                  bytes.count == (question.operation == NTLPC_DATA_WRITE ? Int(question.length) : 0) else { return false }
            return reply(question, DataEntries.serve(question, bytes, entry), entry)
        default:
            return false
        }
    }

    private func takeAnswer(_ answer: ntlpc_data_request, _ bytes: UnsafeRawBufferPointer) -> Bool {
        // A1
        let asked = state.withLock { state -> Question? in
            guard let current = state.current, current.serial == answer.serial else { return nil }
            let hasBytes = current.operation == NTLPC_DATA_READ || current.operation == NTLPC_DATA_MAP
            let expected = hasBytes ? Int(answer.length) : 0
            guard bytes.count == expected, current.operation == NTLPC_DATA_CANCEL || answer.length <= current.length else { return nil }
            state.current = nil
            return current
        }
        guard let asked else { return false }
        wakeNext()      // A2
        asked.answer = Answer(status: NTStatus(rawValue: answer.status), count: Int(answer.length), bytes: Array(bytes))
        asked.finish()  // A3
        return true
    }

    /// The asker has no other question under way, so only requests to drain can fill the socket, and its watcher takes those at once.
    private func reply(_ question: ntlpc_data_request, _ answer: Answer, _ entry: LinkEntry) -> Bool {
        var packet = ntlpc_data_request()
        packet.magic = NTLPC_WIRE_MAGIC
        packet.version = NTLPC_WIRE_VERSION
        packet.kind = NTLPC_CONTROL_DATA
        packet.serial = question.serial
        packet.operation = NTLPC_DATA_ANSWER
        packet.message = question.message
        packet.length = UInt32(answer.count)
        packet.status = answer.status.rawValue
        let whole = withUnsafeBytes(of: &packet) { Array($0) } + answer.bytes
        if Self.send(whole, over: entry.link, deadline: Clock.monotonic &+ 100_000_000) { return true }
        Trace.note(.ports, "link to process \(entry.link.peer.pid): an answer found no room")
        return false
    }

    /// The link is over: whoever waits learns it.
    func end() {
        let asked = state.withLock { state -> Question? in
            state.isOver = true
            let current = state.current
            state.current = nil
            return current
        }
        asked?.finish()
        wakeNext()
    }
}
