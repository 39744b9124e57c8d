// Frames through a ring: order, wrap, room, wake-ups, and producers and consumers that lie.

import CLinuxShims
import CWireFormat
import Glibc
import LinuxSystem
import Synchronization
import Testing
@testable import Transport

@Suite(.guarded) struct MessageRingTests {
    private func pair(_ region: Region) -> (ProducerBox, ConsumerBox) { (ProducerBox(region.words()), ConsumerBox(region.words())) }

    @Test func `Frames of every size come out as they went in, many times around the ring`() throws {
        let region = try Region()
        let (producer, consumer) = pair(region)
        var random = FixedRandom(1)
        for number in 0 ..< 3000 {
            let size = number % 3 == 0 ? Int.random(in: 0 ... 65535, using: &random) : Int.random(in: 0 ... 300, using: &random)
            let payload = pattern(size, number)
            try #require(producer.send(payload, detail: UInt32(number)) != nil)
            let frame = try #require(consumer.take())
            #expect(frame.detail == UInt32(number) && frame.payload == payload)
            #expect(consumer.take() == nil)
        }
    }

    @Test func `A full ring refuses and takes again when there is room`() throws {
        let region = try Region()
        let (producer, consumer) = pair(region)
        for round in 0 ..< 20 {
            var sent = 0
            while producer.send(pattern(60_000, round &+ sent), detail: UInt32(sent)) != nil { sent += 1 }
            #expect(sent >= 3 && sent <= 4)
            for number in 0 ..< sent {
                let frame = try #require(consumer.take())
                #expect(frame.detail == UInt32(number) && frame.payload == pattern(60_000, round &+ number))
            }
            #expect(consumer.take() == nil)
            consumer.ring.publishCredit()
        }
    }

    @Test func `A ring full of the smallest frames keeps them all`() throws {
        let region = try Region()
        let (producer, consumer) = pair(region)
        var sent = 0
        while producer.send([], detail: UInt32(sent)) != nil { sent += 1 }
        #expect(sent == Int(WireLayout.ringUnits) - 1) // one unit stays free for the next stamp
        for number in 0 ..< sent { #expect(consumer.take()?.detail == UInt32(number)) }
        #expect(consumer.take() == nil)
    }

    @Test func `A frame that does not fit before the end starts the ring anew`() throws {
        let region = try Region()
        let (producer, consumer) = pair(region)
        // Three frames leave a tail that the fourth does not fit into.
        for number in 0 ..< 3 {
            #expect(producer.send(pattern(65_000, number)) != nil)
            #expect(consumer.take()?.payload == pattern(65_000, number))
        }
        consumer.ring.publishCredit()
        for number in 3 ..< 9 {
            #expect(producer.send(pattern(65_000, number)) != nil)
            #expect(consumer.take()?.payload == pattern(65_000, number))
            consumer.ring.publishCredit()
        }
    }

    @Test func `Old payload is never taken for a frame`() throws {
        let region = try Region()
        let (producer, consumer) = pair(region)
        // Payload made of words that look like every stamp to come.
        var random = FixedRandom(2)
        for _ in 0 ..< 4000 {
            let words = Int.random(in: 0 ... 600, using: &random)
            let base = (producer.ring.position &+ UInt32.random(in: 0 ... 64, using: &random)) & WireLayout.positionMask
            let payload = (0 ..< words).flatMap { index in withUnsafeBytes(of: WireLayout.stamp(base &+ UInt32(index / 16))) { Array($0) } }
            #expect(producer.send(payload) != nil)
            #expect(consumer.take()?.payload == payload)
            #expect(consumer.take() == nil)
        }
    }

    @Test func `Only the producer that finds the flag must kick`() throws {
        let region = try Region()
        let (producer, consumer) = pair(region)
        #expect(producer.send([1]) == false)
        #expect(!consumer.arm()) // a frame is there
        #expect(consumer.take() != nil)
        #expect(consumer.arm())
        #expect(consumer.arm()) // twice does no harm
        #expect(producer.send([1]) == true)
        #expect(producer.send([1]) == false)
    }

    @Test func `No wake-up is lost in a hundred thousand rounds`() throws {
        let region = try Region()
        let (producer, consumer) = pair(region)
        let bell = try EventFd.make(), epoll = try Epoll.make()
        try Epoll.add(bell, to: epoll, key: 1, edge: true)
        let rounds = 100_000
        let lost = Counter(), taken = Counter()
        let join = onThread {
            for number in 0 ..< rounds {
                while true {
                    if let kick = producer.send([], detail: UInt32(number)) {
                        if kick { EventFd.kick(bell) }
                        break
                    }
                    sched_yield()
                }
                // Often let the consumer run dry, so that the two meet at the edge.
                if number % 3 == 0 { while taken.count < number { sched_yield() } }
            }
        }
        let ready = UnsafeMutableBufferPointer<ntlpc_ready>.allocate(capacity: 4)
        defer { ready.deallocate() }
        var expected: UInt32 = 0
        while expected < UInt32(rounds) {
            if let frame = consumer.take() {
                if frame.detail != expected { lost.add() }
                expected += 1
                taken.add()
                continue
            }
            guard consumer.ring.arm() else { continue }
            if try Epoll.wait(epoll, into: ready, deadline: Clock.monotonic + 20_000_000_000) == 0 {
                lost.add()
                break
            }
        }
        #expect(lost.count == 0 && expected == UInt32(rounds))
        join()
    }

    @Test func `No wait for room is lost`() throws {
        let region = try Region()
        let (producer, consumer) = pair(region)
        let rounds = 3000
        let lost = Counter()
        let join = onThread {
            for number in 0 ..< rounds {
                let payload = pattern(20_000 + number % 40_000, number)
                while producer.send(payload, detail: UInt32(number)) == nil {
                    guard let value = producer.ring.awaitRoom(payload: payload.count) else { continue }
                    let end = Clock.monotonic + 20_000_000_000
                    Futex.wait(producer.ring.creditAddress, value, shared: true, deadline: end)
                    if Clock.monotonic >= end { return lost.add() }
                }
            }
        }
        var expected = 0
        let end = Clock.monotonic + 100_000_000_000
        while expected < rounds && lost.count == 0 && Clock.monotonic < end {
            guard let frame = consumer.take() else {
                consumer.ring.publishCredit()
                sched_yield()
                continue
            }
            if frame.detail != UInt32(expected) || frame.payload.count != 20_000 + expected % 40_000 { lost.add() }
            expected += 1
        }
        consumer.ring.publishCredit()
        join()
        #expect(expected == rounds && lost.count == 0)
    }

    // MARK: Lies

    @Test func `A frame that reaches behind the ring's end is broken`() throws {
        let region = try Region()
        let (producer, consumer) = pair(region)
        while Int(consumer.ring.position) < Int(WireLayout.ringUnits) - 4 {
            try #require(producer.send([]) != nil)
            try #require(consumer.take() != nil)
            consumer.ring.publishCredit()
        }
        for length in [1000, 65_535] as [UInt32] {
            var frame = ntlpc_frame()
            frame.kind = FrameKind.message
            frame.length = length
            frame.stamp = WireLayout.stamp(consumer.ring.position)
            (region.words().ring + Int(consumer.ring.position) * WireLayout.unit).copyMemory(from: &frame, byteCount: MemoryLayout<ntlpc_frame>.size)
            guard case .broken = consumer.ring.look() else {
                Issue.record("length \(length)")
                continue
            }
        }
    }

    @Test func `A skip of the whole ring is broken`() throws {
        // A producer that stamps one skip after the other would keep its reader for ever.
        let region = try Region()
        let consumer = ConsumerBox(region.words())
        var frame = ntlpc_frame()
        frame.kind = FrameKind.skip
        frame.stamp = WireLayout.stamp(0)
        region.words().ring.copyMemory(from: &frame, byteCount: MemoryLayout<ntlpc_frame>.size)
        guard case .broken = consumer.ring.look() else {
            Issue.record("not broken")
            return
        }
    }

    @Test func `Random rings never lead the consumer out of the ring`() throws {
        let region = try Region()
        let words = region.words()
        var random = FixedRandom(3)
        for _ in 0 ..< 300 {
            let consumer = ConsumerBox(words)
            for unit in 0 ..< Int(WireLayout.ringUnits) {
                var frame = ntlpc_frame()
                frame.length = UInt32(truncatingIfNeeded: random.next()) & (unit % 5 == 0 ? 0xFFFF : 0x1FF)
                frame.kind = UInt16(truncatingIfNeeded: random.next()) % 12
                frame.stamp = WireLayout.stamp(UInt32(unit))
                (words.ring + unit * WireLayout.unit).copyMemory(from: &frame, byteCount: MemoryLayout<ntlpc_frame>.size)
            }
            for _ in 0 ..< 10_000 {
                guard case .frame = consumer.ring.look() else { break }
                let start = consumer.ring.payload - words.ring
                #expect(start >= 0 && start + Int(consumer.ring.frame.length) <= Int(NTLPC_RING_BYTES))
                consumer.ring.advance()
            }
        }
    }

    @Test func `A credit that cannot be gives no room`() throws {
        var random = FixedRandom(4)
        for _ in 0 ..< 2000 {
            let region = try Region.shared()
            let producer = ProducerBox(region.words())
            region.words().consumed.pointee.store(UInt32(truncatingIfNeeded: random.next()), ordering: .relaxed)
            // However the consumer lies, the producer stays in the ring and stops.
            var sent = 0
            while sent < 5000, let place = producer.ring.reserve(payload: 1000) {
                let offset = place - region.words().ring
                #expect(offset >= 0 && offset + 1000 + MemoryLayout<ntlpc_frame>.size <= Int(NTLPC_RING_BYTES))
                var frame = ntlpc_frame()
                frame.length = 1000
                _ = producer.ring.publish(&frame, at: place)
                sent += 1
            }
            #expect(sent < 5000)
            _ = producer.ring.awaitRoom(payload: 1000)
        }
    }
}

extension Region {
    private static let one = Mutex<Region?>(nil)

    /// One region for tests that need none of their own.
    static func shared() throws -> Region {
        try one.withLock { one in
            if let one { return one }
            let made = try Region()
            one = made
            return made
        }
    }
}
