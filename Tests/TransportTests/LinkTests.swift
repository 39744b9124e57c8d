// A link with both ends in this process: full rings, dead peers, the control socket.

import CWireFormat
import Glibc
import LinuxSystem
import Synchronization
import Testing
@testable import Transport

@Suite(.guarded) struct LinkTests {
    private func send(_ link: Link, _ payload: [UInt8], detail: UInt32 = 0, deadline: UInt64 = 0) -> SendOutcome {
        var frame = ntlpc_frame()
        frame.kind = FrameKind.message
        frame.length = UInt32(payload.count)
        frame.id = detail
        return payload.withUnsafeBytes { link.send(&frame, payload: $0.count == 0 ? nil : $0.baseAddress, deadline: deadline) }
    }

    private func isSent(_ outcome: SendOutcome) -> Bool { if case .sent = outcome { true } else { false } }

    @Test func `A full ring asks for a drain and is told full at the deadline`() throws {
        let pair = try LinkPair()
        var sent = 0
        while isSent(send(pair.client, pattern(60_000, sent), deadline: Clock.monotonic + 10_000_000)) { sent += 1 }
        #expect(sent >= 3)
        #expect(pair.server.readControl()?.count == 1)
        #expect(pair.server.readControl()?.isEmpty == true)
        guard case .full = send(pair.client, pattern(60_000, 0), deadline: Clock.monotonic + 1) else { Issue.record("not full"); return }
        // Small frames pass a large one that waits only if there is room for them.
        for number in 0 ..< sent {
            guard case .frame = pair.server.consumer.pointee.look() else { Issue.record("frame \(number)"); return }
            pair.server.consumer.pointee.advance()
        }
        pair.server.consumer.pointee.publishCredit()
        #expect(isSent(send(pair.client, pattern(60_000, 0))))
    }

    @Test func `A send to a full ring of a dead peer ends`() throws {
        let pair = try LinkPair()
        while isSent(send(pair.client, pattern(60_000, 0), deadline: Clock.monotonic + 1_000_000)) {}
        let join = onThread {
            usleep(20_000)
            pair.server.close()
        }
        guard case .dead = send(pair.client, pattern(60_000, 0), deadline: Clock.monotonic + 60_000_000_000) else { Issue.record("not dead"); return }
        join()
        #expect(pair.client.peerHasGone && pair.client.readControl()?.count == nil)
    }

    @Test func `Many senders share the ring and no frame is torn`() throws {
        let pair = try LinkPair()
        let senders = 4, each = 500
        let joins = (0 ..< senders).map { sender in
            onThread {
                for number in 0 ..< each {
                    let size = (number * 131 + sender * 17) % 9000
                    if !self.isSent(self.send(pair.client, pattern(size, sender * 1000 + number), detail: UInt32(sender << 16 | number), deadline: Clock.monotonic + 60_000_000_000)) {
                        Issue.record("sender \(sender) number \(number)")
                    }
                }
            }
        }
        var next = [Int](repeating: 0, count: senders), taken = 0
        while taken < senders * each {
            guard case .frame = pair.server.consumer.pointee.look() else {
                pair.server.consumer.pointee.publishCredit()
                _ = pair.server.readControl()
                sched_yield()
                continue
            }
            let sender = Int(pair.server.consumer.pointee.frame.id >> 16), number = Int(pair.server.consumer.pointee.frame.id & 0xFFFF)
            let payload = Array(UnsafeRawBufferPointer(start: pair.server.consumer.pointee.payload, count: Int(pair.server.consumer.pointee.frame.length)))
            #expect(number == next[sender])
            #expect(payload == pattern((number * 131 + sender * 17) % 9000, sender * 1000 + number))
            next[sender] = number + 1
            taken += 1
            pair.server.consumer.pointee.advance()
        }
        for join in joins { join() }
    }

    @Test func `Garbage on the control socket ends the link`() throws {
        for bytes in [[1], [UInt8](repeating: 0xEE, count: MemoryLayout<ntlpc_control>.size), [UInt8](repeating: 0, count: 4000)] as [[UInt8]] {
            let pair = try LinkPair()
            try bytes.withUnsafeBytes { try UnixSocket.send($0, over: pair.client.control) }
            #expect(pair.server.readControl() == nil)
        }
    }

    @Test func `A closed end is seen at once and wakes who waits`() throws {
        let pair = try LinkPair()
        let (slot, turn) = try #require(pair.client.slots.take(connection: 1))
        let ended = Counter()
        let join = onThread {
            if case .interrupted(.linkDead) = pair.client.slots.wait(slot, turn: turn, deadline: 0) { ended.add() }
        }
        usleep(10_000)
        pair.server.close()
        #expect(pair.client.peerHasGone)
        pair.client.markDead()
        join()
        #expect(ended.count == 1 && pair.client.isDead)
    }

    @Test func `A closing frame is announced before it is seen`() throws {
        let pair = try LinkPair()
        #expect(pair.server.core.pointee.closingsSent == 0)
        var frame = ntlpc_frame()
        frame.kind = FrameKind.close
        #expect(isSent(pair.client.send(&frame, payload: nil, closing: true)))
        #expect(pair.server.core.pointee.closingsSent == 1 && pair.server.consumer.pointee.closings == 1)
    }
}
