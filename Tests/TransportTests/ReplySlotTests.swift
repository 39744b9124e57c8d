// Reply slots: waits, time-outs, interruptions, and a server that lies.

import CWireFormat
import Glibc
import LinuxSystem
import Synchronization
import Testing
@testable import Transport

@Suite(.guarded) struct ReplySlotTests {
    private final class Slots: @unchecked Sendable {
        let region: Region
        let slots: ReplySlots
        let publisher: ReplyPublisher

        init() throws {
            region = try Region()
            slots = ReplySlots(region: region.memory)
            publisher = ReplyPublisher(region: region.memory)
        }

        deinit { slots.deallocate() }

        @discardableResult
        func reply(_ slot: Int, _ turn: UInt32, _ payload: [UInt8] = []) -> Bool {
            var reply = ntlpc_reply()
            reply.kind = FrameKind.answer
            reply.length = UInt32(payload.count)
            return payload.withUnsafeBytes {
                publisher.publish(&reply, payload: $0.count == 0 ? nil : $0.baseAddress, slot: UInt32(slot), turn: turn)
            }
        }

        func word(_ slot: Int) -> SharedWord {
            (region.memory.base + WireLayout.slotsOffset + slot * Int(NTLPC_SLOT_STRIDE)).assumingMemoryBound(to: Atomic<UInt32>.self)
        }
    }

    private func isReply(_ outcome: SlotOutcome) -> Bool { if case .reply = outcome { true } else { false } }
    private func isTimeOut(_ outcome: SlotOutcome) -> Bool { if case .timedOut = outcome { true } else { false } }
    private func reason(_ outcome: SlotOutcome) -> Interruption? { if case .interrupted(let why) = outcome { why } else { nil } }

    @Test func `A reply is found before and during the wait`() throws {
        let slots = try Slots()
        for round in 0 ..< 200 {
            let (slot, turn) = try #require(slots.slots.take(connection: 1))
            let payload = pattern(round * 100, round)
            let join = onThread {
                if round % 2 == 0 { usleep(200) }
                slots.reply(slot, turn, payload)
            }
            #expect(isReply(slots.slots.wait(slot, turn: turn, deadline: 0)))
            let (head, shared) = slots.slots.reply(in: slot)
            #expect(Array(UnsafeRawBufferPointer(start: shared, count: Int(head.length))) == payload)
            slots.slots.giveBack(slot)
            join()
        }
    }

    @Test func `All slots can be taken once, and again when given back`() throws {
        let slots = try Slots()
        for _ in 0 ..< 3 {
            var taken: Set<Int> = []
            while let (slot, _) = slots.slots.take(connection: 1) { taken.insert(slot) }
            #expect(taken == Set(0 ..< WireLayout.slotCount))
            for slot in taken { slots.slots.giveBack(slot) }
        }
    }

    @Test func `An abandoned slot comes back when the server has answered it`() throws {
        let slots = try Slots()
        var turns: [Int: UInt32] = [:]
        while let (slot, turn) = slots.slots.take(connection: 1) {
            turns[slot] = turn
            #expect(isTimeOut(slots.slots.wait(slot, turn: turn, deadline: 1)))
            slots.slots.abandon(slot)
        }
        #expect(turns.count == WireLayout.slotCount)
        #expect(!slots.reply(5, turns[5]!)) // the server learns that nobody waits
        let again = try #require(slots.slots.take(connection: 2))
        #expect(again.slot == 5 && again.turn == turns[5]! + 1)
        #expect(slots.slots.take(connection: 2) == nil)
        #expect(slots.reply(5, again.turn))
        #expect(isReply(slots.slots.wait(5, turn: again.turn, deadline: 0)))
    }

    @Test func `A late reply to an earlier turn is no reply`() throws {
        let slots = try Slots()
        let (slot, turn) = try #require(slots.slots.take(connection: 1))
        slots.slots.giveBack(slot)
        let (same, next) = try #require(slots.slots.take(connection: 1))
        #expect(same == slot && next == turn + 1)
        slots.reply(slot, turn)
        #expect(isTimeOut(slots.slots.wait(slot, turn: next, deadline: Clock.monotonic + 5_000_000)))
    }

    @Test func `An interruption wakes the connection's callers and no others`() throws {
        let slots = try Slots()
        let mine = try #require(slots.slots.take(connection: 1)), other = try #require(slots.slots.take(connection: 2))
        let ended = Counter()
        let joins = [
            onThread { if self.reason(slots.slots.wait(mine.slot, turn: mine.turn, deadline: 0)) == .portClosed { ended.add() } },
            onThread { if self.isReply(slots.slots.wait(other.slot, turn: other.turn, deadline: 0)) { ended.add(10) } },
        ]
        usleep(20_000)
        slots.slots.interrupt(connection: 1, .portClosed)
        joins[0]()
        #expect(ended.count == 1)
        slots.reply(other.slot, other.turn)
        joins[1]()
        #expect(ended.count == 11)
    }

    @Test func `An interruption before the wait ends it too`() throws {
        let slots = try Slots()
        let (slot, turn) = try #require(slots.slots.take(connection: 1))
        slots.slots.interrupt(connection: nil, .linkDead)
        #expect(reason(slots.slots.wait(slot, turn: turn, deadline: 0)) == .linkDead)
    }

    @Test func `A reply whose server was killed before its wake is found at the end of the link`() throws {
        let slots = try Slots()
        let (slot, turn) = try #require(slots.slots.take(connection: 1))
        let ended = Counter()
        let join = onThread { if self.isReply(slots.slots.wait(slot, turn: turn, deadline: 0)) { ended.add() } }
        while slots.word(slot).pointee.load(ordering: .acquiring) & 1 == 0 { usleep(1000) }
        usleep(20_000)
        slots.word(slot).pointee.store(turn << 2, ordering: .releasing) // R2 without R3
        slots.slots.interrupt(connection: nil, .linkDead)
        join()
        #expect(ended.count == 1)
    }

    @Test func `No call gets the number of a message that outlived its own`() throws {
        let slots = try Slots()
        guard let (slot, turn) = slots.slots.take(connection: 1) else { Issue.record("no slot"); return }
        let number = UInt32(slot) << 6 | turn & 63
        slots.slots.keepNumber(number)
        slots.slots.giveBack(slot)
        for _ in 0 ..< 200 {
            guard let next = slots.slots.take(connection: 1) else { Issue.record("no slot"); return }
            #expect(UInt32(next.slot) << 6 | next.turn & 63 != number)
            slots.slots.giveBack(next.slot)
        }
        slots.slots.freeNumber(number)
        let found = (0 ..< 64).contains { _ in
            guard let next = slots.slots.take(connection: 1) else { return false }
            slots.slots.giveBack(next.slot)
            return UInt32(next.slot) << 6 | next.turn & 63 == number
        }
        #expect(found)
    }

    @Test func `A time-out that races a reply is one or the other at both ends`() throws {
        let slots = try Slots()
        let rounds = 5000
        let delivered = Counter(), refused = Counter(), current = Atomic<UInt64>(0)
        withExtendedLifetime(Box(current)) { current in
            let join = onThread {
                var last: UInt64 = 0
                for _ in 0 ..< rounds {
                    var value = current.value.load(ordering: .acquiring)
                    while value == last {
                        sched_yield()
                        value = current.value.load(ordering: .acquiring)
                    }
                    last = value
                    for _ in 0 ..< Int(value % 61) { ntlpcRelax() }
                    if slots.reply(Int(value >> 32) & 0xFFFF, UInt32(truncatingIfNeeded: value)) { delivered.add() } else { refused.add() }
                }
            }
            var replies = 0, timeOuts = 0
            for round in 0 ..< rounds {
                var taken = slots.slots.take(connection: 1)
                while taken == nil {
                    sched_yield()
                    taken = slots.slots.take(connection: 1)
                }
                let (slot, turn) = taken.unsafelyUnwrapped
                current.value.store(UInt64(slot) << 32 | UInt64(turn) | UInt64(round + 1) << 48, ordering: .releasing)
                switch slots.slots.wait(slot, turn: turn, deadline: Clock.monotonic + UInt64(round % 50) * 200) {
                case .reply:
                    replies += 1
                    slots.slots.giveBack(slot)
                case .timedOut:
                    timeOuts += 1
                    slots.slots.abandon(slot)
                case .interrupted: Issue.record("nobody interrupted")
                }
                while delivered.count + refused.count <= round { sched_yield() }
            }
            join()
            #expect(replies == delivered.count && timeOuts == refused.count)
        }
    }

    @Test func `Flags that the server forges end no wait and keep none busy`() throws {
        let slots = try Slots()
        let (slot, turn) = try #require(slots.slots.take(connection: 1))
        for forged in [1, 2, 3, 0xFFFF_FFFC, 0x8000_0002] as [UInt32] {
            slots.word(slot).pointee.store(forged, ordering: .releasing)
            #expect(isTimeOut(slots.slots.wait(slot, turn: turn, deadline: Clock.monotonic + 3_000_000)), "\(forged)")
        }
    }

    @Test func `A reply to a slot that cannot be is dropped`() throws {
        let slots = try Slots()
        for slot in [WireLayout.slotCount, 0x7FFF_FFFF, Int(UInt32.max)] { #expect(!slots.reply(slot, 1)) }
    }
}

final class Box: Sendable {
    let value: Atomic<UInt64>
    init(_ value: consuming Atomic<UInt64>) { self.value = value }
}

func ntlpcRelax() { sched_yield() }
