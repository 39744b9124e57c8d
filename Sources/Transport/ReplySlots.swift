// Where callers wait for their replies: a slot of shared memory for each waiting thread of the client's process.
//
// The reply word (turn << 2 | interrupted << 1 | waiting) carries the state and both flags, and every change is a
// read-modify-write on it:
//   caller  (W1) the word shows my turn: take the reply  (W2) compareExchange(v -> v | waiting)  (W3) futex wait on v | waiting
//   server  (R1) write the reply  (R2) old = exchange(word, turn << 2)  (R3) if old was waiting: futex wake
//   our own process, when the link dies or the port closes: (I1) set the private interruption  (I2) old = word | interrupted
//           (I3) futex wake
// R2 before W2 makes W2 fail; R2 after W2 sees the flag; the futex compares and sleeps at once, so R2 between W2 and W3 makes
// W3 return. The same holds for I2. A hostile server can undo I2: whoever interrupts does it again until nobody waits.
//
// A caller that gives up (time-out, death of its thread) may not reuse its slot, for the server may be writing into it. The
// slot stays abandoned until the word shows its turn.

import CLinuxShims
import CWireFormat
import LinuxSystem
import Synchronization

/// Why a wait in a slot ended without a reply.
public enum Interruption: UInt32, Sendable {
    /// The server's process or its end of the link is gone.
    case linkDead = 1
    /// The port was closed in the caller's own process.
    case portClosed = 2
    /// The server gave up this connection.
    case disconnected = 3
}

/// The outcome of a wait.
public enum SlotOutcome: Sendable {
    case reply
    case timedOut
    case interrupted(Interruption)
}

/// What the caller's process keeps for a slot.
struct SlotRecord: ~Copyable {
    /// Of the last call. Changed only by the slot's owner.
    var turn: UInt32 = 0
    /// The call that uses the slot: connection << 32 | turn << 2 | interruption; 0 when none does. One word, so that an interruption
    /// meets the call it means or none: between a look and a store the slot may have gone to another call.
    let claim = Atomic<UInt64>(0)
    /// Turns (their low six bits) whose messages live on after the call has left the slot: an answer that is to be answered, a question
    /// inside a request. The numbers of messages are made of slot and turn, so no other call may have such a turn. Private to the process.
    let living = Atomic<UInt64>(0)
}

/// The reply slots of a link, as the client's process uses them. Plain pointers: the link owns the memory.
public struct ReplySlots: @unchecked Sendable {
    private static let wordsOfBits = WireLayout.slotCount / 64

    private let slots: UnsafeMutableRawPointer
    private let records: UnsafeMutablePointer<SlotRecord>
    /// One bit a slot. Private to the process.
    private let free: UnsafeMutablePointer<Atomic<UInt64>>
    private let abandoned: UnsafeMutablePointer<Atomic<UInt64>>

    init(region: SharedMemory) {
        slots = region.base + WireLayout.slotsOffset
        records = .allocate(capacity: WireLayout.slotCount)
        for index in 0..<WireLayout.slotCount { (records + index).initialize(to: SlotRecord()) }
        free = .allocate(capacity: Self.wordsOfBits)
        abandoned = .allocate(capacity: Self.wordsOfBits)
        for index in 0..<Self.wordsOfBits {
            (free + index).initialize(to: Atomic(UInt64.max))
            (abandoned + index).initialize(to: Atomic(0))
        }
    }

    func deallocate() {
        records.deinitialize(count: WireLayout.slotCount)
        records.deallocate()
        free.deinitialize(count: Self.wordsOfBits)
        free.deallocate()
        abandoned.deinitialize(count: Self.wordsOfBits)
        abandoned.deallocate()
    }

    @inline(__always)
    private func head(_ slot: Int) -> UnsafeMutableRawPointer {
        slots + slot * Int(NTLPC_SLOT_STRIDE)
    }

    @inline(__always)
    private func word(_ slot: Int) -> SharedWord { head(slot).assumingMemoryBound(to: Atomic<UInt32>.self) }

    /// Takes a free slot for a call on `connection` and starts its next turn; nil when all are taken.
    @inline(__always)
    public func take(connection: UInt32) -> (slot: Int, turn: UInt32)? {
        // A thread that calls alone finds the lowest bit of the first word.
        let bits = free[0].load(ordering: .relaxed)
        let bit = bits & (~bits &+ 1)
        if bits != 0, free[0].compareExchange(expected: bits, desired: bits & ~bit, successOrdering: .acquiring, failureOrdering: .relaxed).exchanged {
            return start(bit.trailingZeroBitCount, connection)
        }
        return search(connection)
    }

    @inline(__always)
    private func start(_ slot: Int, _ connection: UInt32) -> (slot: Int, turn: UInt32) {
        var turn = (records[slot].turn &+ 1) & 0x3FFF_FFFF
        // ORDER: relaxed. Who sets a bit holds the slot, and the slot's release and acquire lie between that and this look.
        let living = records[slot].living.load(ordering: .relaxed)
        if living != 0 && living != .max {
            while living >> UInt64(turn & 63) & 1 != 0 { turn = (turn &+ 1) & 0x3FFF_FFFF }
        }
        records[slot].turn = turn
        // ORDER: relaxed. The word says all that `interrupt` needs; nothing is published by it.
        records[slot].claim.store(UInt64(connection) << 32 | UInt64(turn) << 2, ordering: .relaxed)
        return (slot, turn)
    }

    @inline(never)
    private func search(_ connection: UInt32) -> (slot: Int, turn: UInt32)? {
        for attempt in 0..<2 {
            for index in 0..<Self.wordsOfBits {
                var bits = free[index].load(ordering: .relaxed)
                while bits != 0 {
                    let bit = bits & (~bits &+ 1)
                    // ORDER: acquire. Pairs with the release in `giveBack`: the last owner's use of the record is over.
                    let (done, found) = free[index].weakCompareExchange(expected: bits, desired: bits & ~bit, successOrdering: .acquiring, failureOrdering: .relaxed)
                    if done { return start(index * 64 + bit.trailingZeroBitCount, connection) }
                    bits = found
                }
            }
            if attempt == 0 && !reclaim() { return nil }
        }
        return nil
    }

    /// Frees abandoned slots whose turn the server has answered since.
    private func reclaim() -> Bool {
        var any = false
        for index in 0..<Self.wordsOfBits {
            var bits = abandoned[index].load(ordering: .acquiring)
            while bits != 0 {
                let slot = index * 64 + bits.trailingZeroBitCount
                let mask = bits & (~bits &+ 1)
                bits &= ~mask
                guard word(slot).pointee.load(ordering: .acquiring) >> 2 == records[slot].turn else { continue }
                if abandoned[index].bitwiseAnd(~mask, ordering: .acquiringAndReleasing).oldValue & mask != 0 {
                    giveBack(slot)
                    any = true
                }
            }
        }
        return any
    }

    /// The message with that number (slot << 6 | low bits of the turn) outlives the call in its slot. Call while the slot is held.
    public func keepNumber(_ number: UInt32) { change(number) { $0.bitwiseOr($1, ordering: .relaxed) } }

    /// It has ended.
    public func freeNumber(_ number: UInt32) { change(number) { $0.bitwiseAnd(~$1, ordering: .relaxed) } }

    private func change(_ number: UInt32, _ body: (borrowing Atomic<UInt64>, UInt64) -> Void) {
        let slot = Int(number >> 6)
        guard slot < WireLayout.slotCount else { return }
        body(records[slot].living, 1 << UInt64(number & 63))
    }

    @inline(__always)
    public func giveBack(_ slot: Int) {
        records[slot].claim.store(0, ordering: .relaxed)
        free[slot / 64].bitwiseOr(1 << UInt64(slot % 64), ordering: .releasing)
    }

    /// The caller gives up, but the server may still write: see the note above.
    public func abandon(_ slot: Int) {
        records[slot].claim.store(0, ordering: .relaxed)
        // A thread that ended in its wait has not marked the word itself.
        word(slot).pointee.bitwiseOr(2, ordering: .acquiringAndReleasing)
        abandoned[slot / 64].bitwiseOr(1 << UInt64(slot % 64), ordering: .releasing)
    }

    /// The last reply to `turn` is there, made by an LPC call: it is lost if the caller does not take it.
    public func hasLegacyReply(_ slot: Int, turn: UInt32) -> Bool {
        guard word(slot).pointee.load(ordering: .acquiring) >> 2 == turn else { return false }
        let head = head(slot).load(as: ntlpc_reply.self)
        return head.kind == FrameKind.answer && head.flags & FrameFlags.legacy != 0 && head.flags & FrameFlags.release != 0
    }

    @inline(__always)
    public func headOfReply(_ slot: Int) -> UnsafeMutableRawPointer { head(slot) }

    /// The reply head, copied once, and where its payload lies: shared memory.
    @inline(__always)
    public func reply(in slot: Int) -> (head: ntlpc_reply, payload: UnsafeMutableRawPointer) {
        (head(slot).load(as: ntlpc_reply.self), head(slot) + MemoryLayout<ntlpc_reply>.size)
    }

    /// Waits for the reply of `turn`. `deadline`: absolute nanoseconds, 0 waits for ever.
    @inline(__always)
    public func wait(_ slot: Int, turn: UInt32, deadline: UInt64) -> SlotOutcome {
        let word = word(slot)
        // ORDER: acquire. Pairs with the exchange in `ReplyPublisher.publish`; the reply's bytes are visible.
        if word.pointee.load(ordering: .acquiring) >> 2 == turn { return .reply }
        return lookAndBlock(slot, word, turn: turn, deadline: deadline)
    }

    @inline(never)
    private func lookAndBlock(_ slot: Int, _ word: SharedWord, turn: UInt32, deadline: UInt64) -> SlotOutcome {
        let thread = ntlpc_thread_current()
        let serverCPU = UInt32((head(slot) + Int(NTLPC_REPLY_CPU_OFFSET)).load(as: UInt16.self))
        if Spin.isWorthwhile(thread, peerCPU: serverCPU),
           Spin.look(thread, deadline: deadline, { word.pointee.load(ordering: .acquiring) & ~1 != ((turn &- 1) & 0x3FFF_FFFF) << 2 }) {
            // The payload's first line travels while the header is looked at.
            ntlpc_prefetch(head(slot) + MemoryLayout<ntlpc_reply>.size)
            if word.pointee.load(ordering: .acquiring) >> 2 == turn { return .reply }
        }
        return block(slot, word, turn: turn, deadline: deadline)
    }

    @inline(never)
    private func block(_ slot: Int, _ word: SharedWord, turn: UInt32, deadline: UInt64) -> SlotOutcome {
        while true {
            var value = word.pointee.load(ordering: .acquiring)
            if value >> 2 == turn { return .reply }
            // Who leaves takes the turn back first: a reply that was quicker is taken, a later one finds the mark and fails at the server.
            if let why = Interruption(rawValue: UInt32(truncatingIfNeeded: records[slot].claim.load(ordering: .acquiring) & 3)) {
                if takeBack(word, value) { return .interrupted(why) }
                continue
            }
            if deadline != 0 && ntlpc_monotonic_ns() >= deadline {
                if takeBack(word, value) { return .timedOut }
                continue
            }
            if value & 1 == 0 {
                // W2. ORDER: acquire-release, one word for state and flags: see the note above.
                let (done, _) = word.pointee.compareExchange(expected: value, desired: value | 1, ordering: .acquiringAndReleasing)
                if !done { continue }
                value |= 1
            }
            if value & 2 != 0 {
                // Interrupted, yet there is no private reason: a forged flag. Take it off, or the wait would never sleep.
                _ = word.pointee.compareExchange(expected: value, desired: value & ~2, ordering: .acquiringAndReleasing)
                continue
            }
            Futex.wait(UnsafeRawPointer(word), value, shared: true, deadline: deadline)
        }
    }

    /// Marks the turn as given up; false when the word has changed meanwhile.
    private func takeBack(_ word: SharedWord, _ value: UInt32) -> Bool {
        // ORDER: acquire-release. One word: either the server's exchange R2 sees the mark, or this fails and the reply is there.
        word.pointee.compareExchange(expected: value, desired: value | 2, ordering: .acquiringAndReleasing).exchanged
    }

    /// The same for the caller itself, before it waits.
    public func interruptOwn(_ slot: Int, _ why: Interruption) {
        _ = records[slot].claim.bitwiseOr(UInt64(why.rawValue), ordering: .relaxed)
    }

    /// Wakes every caller that waits on `connection`, or on the link as a whole when nil.
    public func interrupt(connection: UInt32?, _ why: Interruption) {
        // Once is enough for an honest server. One that takes the flag off again keeps callers for the pauses between the attempts.
        for attempt in 0..<100 {
            if !interruptOnce(connection: connection, why) { return }
            if attempt > 0 { ntlpc_sleep_ns(1_000_000) }
        }
    }

    private func interruptOnce(connection: UInt32?, _ why: Interruption) -> Bool {
        var any = false
        for slot in 0..<WireLayout.slotCount {
            let claim = records[slot].claim.load(ordering: .acquiring)
            guard claim != 0, connection == nil || UInt32(claim >> 32) == connection else { continue }
            let word = word(slot)
            if word.pointee.load(ordering: .relaxed) >> 2 == UInt32(truncatingIfNeeded: claim) >> 2 {
                // It has its reply, but may sleep: a server that is killed between R2 and R3 leaves it so.
                Futex.wake(UnsafeRawPointer(word), Int32.max, shared: true)
                continue
            }
            any = true
            // I1. ORDER: release. Pairs with the acquire load in `block`.
            if claim & 3 == 0, !records[slot].claim.compareExchange(expected: claim, desired: claim | UInt64(why.rawValue), ordering: .acquiringAndReleasing).exchanged {
                continue
            }
            word.pointee.bitwiseOr(2, ordering: .acquiringAndReleasing)
            Futex.wake(UnsafeRawPointer(word), Int32.max, shared: true)
        }
        return any
    }
}

/// Writes replies into the slots of a client's process: the server's side.
public struct ReplyPublisher: @unchecked Sendable {
    @usableFromInline let slots: UnsafeMutableRawPointer

    init(region: SharedMemory) { slots = region.base + WireLayout.slotsOffset }

    /// Writes `reply` and its payload into `slot` and wakes the caller if it sleeps.
    /// A slot number that cannot be is dropped: only a client that breaks the rules would miss it.
    /// - Returns: false when the caller had given up before.
    @inlinable
    @inline(__always)
    @discardableResult
    public func publish(_ reply: inout ntlpc_reply, payload: UnsafeRawPointer?, slot: UInt32, turn: UInt32) -> Bool {
        guard slot < UInt32(WireLayout.slotCount) else { return false }
        let head = slots + Int(slot) * Int(NTLPC_SLOT_STRIDE)
        let word = head.assumingMemoryBound(to: Atomic<UInt32>.self)
        reply.cpu = UInt16(truncatingIfNeeded: ntlpc_current_cpu() &+ 1)
        if let payload { (head + MemoryLayout<ntlpc_reply>.size).copyMemory(from: payload, byteCount: Int(reply.length)) }
        withUnsafeBytes(of: &reply) { bytes in
            // All but the word itself, which the exchange below publishes.
            (head + 4).copyMemory(from: bytes.baseAddress! + 4, byteCount: MemoryLayout<ntlpc_reply>.size - 4)
        }
        ntlpc_critical_enter()
        // R2. ORDER: acquire-release. Publishes the reply to the caller's acquire load of the word.
        let before = word.pointee.exchange(turn << 2, ordering: .acquiringAndReleasing)
        if before & 1 != 0 { Futex.wake(UnsafeRawPointer(word), shared: true) }
        ntlpc_critical_leave()
        return before & 2 == 0
    }
}
