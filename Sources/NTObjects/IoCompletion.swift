// Completion ports of the native host: packets first in, first out; waiting threads last in, first out.
//
//   post                                             remove
//   (1) under the lock: is a thread waiting? give    (1) under the lock: packets there? take them, done
//       the last of them the packet, off the stack   (2) else enter the stack
//   (2) else queue the packet                        (3) sleep on the waiter's own word
//   (3) after the lock: wake that thread, or raise   (4) time over: under the lock, given one? take it;
//       the level that waits on the handle see           else leave the stack
//
// A packet is given to a thread before the thread runs, so no second thread is woken for it in vain, and the thread that slept
// last has the warmest caches. NT also limits how many threads run at once; that needs to know when a thread blocks elsewhere, which
// Linux does not tell, so the limit is accepted and not enforced.

import CLinuxShims
import LinuxSystem
import NTTypes
import Synchronization

/// What a completion port hands out.
public struct CompletionPacket: Sendable {
    public var key: UInt64
    public var apcContext: UInt64
    public var status: NTStatus
    public var information: UInt64
    /// Who must know when the packet has left the queue.
    var owner: WaitCompletionPacket?

    public init(key: UInt64, apcContext: UInt64 = 0, status: NTStatus = .success, information: UInt64 = 0) {
        self.key = key
        self.apcContext = apcContext
        self.status = status
        self.information = information
    }
}

/// An NT completion port.
public final class IoCompletion: KernelObject, @unchecked Sendable {
    /// A thread that waits for a packet.
    private final class Sleeper: @unchecked Sendable {
        /// 0 while the thread waits, 1 when `packet` is there, 2 when the port has lost its last handle. The thread sleeps on it.
        let word = Atomic<UInt32>(0)
        /// Written before the word is.
        var packet: CompletionPacket?
    }

    private struct State {
        /// Those before `first` are gone.
        var packets: [CompletionPacket?] = []
        var first = 0
        /// The last one is woken first.
        var sleepers: [Sleeper] = []
        var isClosed = false

        var count: Int { packets.count - first }

        mutating func takeFirst() -> CompletionPacket? {
            guard first < packets.count else { return nil }
            let packet = packets[first]
            packets[first] = nil
            first += 1
            if first == packets.count || first >= 1024 && first * 2 >= packets.count {
                packets.removeFirst(first)
                first = 0
            }
            return packet
        }
    }

    /// Before: the lock of a wait packet. After: none.
    private let state = FutexLock(State())
    private let level = SignalLevel()

    public init() {
        super.init(kind: .ioCompletion)
        signal = SignalState(level: level)
    }

    /// Packets in the queue.
    public var depth: Int { state.withLock { $0.count } }

    /// Queues a packet. Without a handle nobody can take it, and it is dropped.
    public func post(_ packet: CompletionPacket) {
        var isFirst = false, isDropped = false
        let sleeper = state.withLock { state -> Sleeper? in
            if state.isClosed {
                isDropped = true
                return nil
            }
            if let sleeper = state.sleepers.popLast() {
                sleeper.packet = packet
                // ORDER: release. Pairs with the acquire load of the sleeper; publishes the packet.
                sleeper.word.store(1, ordering: .releasing)
                return sleeper
            }
            state.packets.append(packet)
            isFirst = state.count == 1
            level.count.store(state.count, ordering: .sequentiallyConsistent)
            return nil
        }
        if let sleeper { Futex.wake(futexAddress(of: sleeper.word), shared: false) }
        if isFirst { signal!.levelRaised() }
        if isDropped { packet.owner?.packetDelivered() }
    }

    /// Takes up to `count` packets, waiting for the first.
    /// - Parameter deadline: nanoseconds of CLOCK_MONOTONIC; 0 waits for ever, a time that has passed only looks.
    /// - Returns: none when the time is over; nil when the port lost its last handle while the thread waited.
    public func remove(count: Int, deadline: UInt64) -> [CompletionPacket]? {
        var taken: [CompletionPacket] = []
        var sleeper: Sleeper?
        let onlyLook = deadline != 0 && deadline <= Clock.monotonic
        let isClosed = state.withLock { state -> Bool in
            takeLocked(count, into: &taken, &state)
            if taken.isEmpty, state.isClosed { return true }
            if taken.isEmpty, !onlyLook {
                let new = Sleeper()
                sleeper = new
                state.sleepers.append(new)
            }
            return false
        }
        if isClosed { return nil }
        if let sleeper {
            while sleeper.word.load(ordering: .acquiring) == 0, deadline == 0 || Clock.monotonic < deadline {
                Futex.wait(futexAddress(of: sleeper.word), 0, shared: false, deadline: deadline)
            }
            let word: UInt32
            if sleeper.word.load(ordering: .acquiring) == 1, count == 1 {
                word = 1 // the usual end needs no lock
            } else {
                word = state.withLock { state in
                    let word = sleeper.word.load(ordering: .acquiring)
                    if word == 0 { state.sleepers.removeAll { $0 === sleeper } }
                    if word == 1 { takeLocked(count - 1, into: &taken, &state) }
                    return word
                }
            }
            if word == 1 { taken.insert(sleeper.packet!, at: 0) }
            if word == 2 { return nil }
        }
        for packet in taken { packet.owner?.packetDelivered() }
        return taken
    }

    private func takeLocked(_ count: Int, into taken: inout [CompletionPacket], _ state: inout State) {
        while taken.count < count, let packet = state.takeFirst() { taken.append(packet) }
        level.count.store(state.count, ordering: .sequentiallyConsistent)
    }

    /// Takes a wait packet's packet back, if it is still in the queue.
    func withdraw(_ owner: WaitCompletionPacket) -> Bool {
        state.withLock { state in
            guard let index = state.packets.indices.first(where: { state.packets[$0]?.owner === owner }) else { return false }
            state.packets.remove(at: index)
            level.count.store(state.count, ordering: .sequentiallyConsistent)
            return true
        }
    }

    /// Threads that wait end with STATUS_ABANDONED_WAIT_0. [D]
    public override func lastHandleClosed() {
        var sleepers: [Sleeper] = [], dropped: [CompletionPacket?] = []
        state.withLock { state in
            state.isClosed = true
            swap(&sleepers, &state.sleepers)
            swap(&dropped, &state.packets)
            state.first = 0
            level.count.store(0, ordering: .sequentiallyConsistent)
            for sleeper in sleepers { sleeper.word.store(2, ordering: .releasing) }
        }
        for sleeper in sleepers { Futex.wake(futexAddress(of: sleeper.word), shared: false) }
        for packet in dropped { packet?.owner?.packetDelivered() }
    }

    public override func describe() -> String {
        let (count, sleepers) = state.withLock { ($0.count, $0.sleepers.count) }
        return "\(super.describe()) packets=\(count) waiting=\(sleepers)"
    }
}
