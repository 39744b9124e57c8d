// One end of the channel between a client process and a port of a server process.
//
// Both processes hold a Link object over the same region. The client's end produces requests and consumes deliveries; the
// server's end the reverse, and it also publishes replies into the client's slots.

import CLinuxShims
import CWireFormat
import LinuxSystem
import Synchronization
import Tracing

/// How a send ended.
public enum SendOutcome: Sendable {
    case sent
    /// The ring stayed full until the deadline.
    case full
    /// The peer is gone.
    case dead
}

/// One end of a link.
public final class Link: @unchecked Sendable {
    public enum Side: Sendable { case client, server }

    public let side: Side
    public let peer: PeerCredentials
    public let control: Descriptor
    /// The server's number for the link; a part of the ids of its messages.
    public let number: UInt32
    /// What the peer said of itself in the handshake: useful, never trusted for access.
    public let greeting: ntlpc_control
    let region: SharedMemory
    /// Kicked for the peer, and kicked by the peer for us.
    let kick: Descriptor
    public let bell: Descriptor

    let producer: FutexLock<RingProducer>
    /// Guarded by the lock of the queues this link feeds.
    public var consumer: RingConsumer
    public let slots: ReplySlots
    public let replies: ReplyPublisher
    let dead = Atomic<Bool>(false)
    let ownGone: SharedWord
    @usableFromInline let peerGone: SharedWord
    @usableFromInline let peerClosings: SharedWord

    init(side: Side, peer: PeerCredentials, control: Descriptor, number: UInt32, greeting: ntlpc_control,
         region: SharedMemory, kick: Descriptor, bell: Descriptor) {
        self.side = side
        self.peer = peer
        self.control = control
        self.number = number
        self.greeting = greeting
        self.region = region
        self.kick = kick
        self.bell = bell
        let outbound = DirectionWords(side == .client ? .request : .delivery, in: region)
        let inbound = DirectionWords(side == .client ? .delivery : .request, in: region)
        producer = FutexLock(RingProducer(outbound))
        consumer = RingConsumer(inbound)
        slots = ReplySlots(region: region)
        replies = ReplyPublisher(region: region)
        ownGone = outbound.gone
        peerGone = inbound.gone
        peerClosings = inbound.closings
    }

    /// The peer's process is gone, or broke the rules, or this end was closed.
    @inlinable
    @inline(__always)
    public var isDead: Bool { deadFlag }
    @usableFromInline var deadFlag: Bool { dead.load(ordering: .acquiring) }

    /// How many frames that end or open a connection the peer has sent; see `RingConsumer.closings`. Any thread may ask.
    @inlinable
    @inline(__always)
    public var closingsSent: UInt32 { peerClosings.pointee.load(ordering: .acquiring) }

    /// The peer has closed its end, though the hang-up may not have been seen yet.
    public var peerHasGone: Bool { dead.load(ordering: .acquiring) || peerGone.pointee.load(ordering: .acquiring) != 0 }

    /// `closing` marks a frame that ends or opens a connection, so that the peer looks ahead for it.
    /// Sends one frame: `prefix` and `payload` one after the other.
    /// A full ring asks the peer's process to drain it and waits until `deadline` (absolute nanoseconds; 0 is one second).
    @inline(__always)
    public func send(_ frame: inout ntlpc_frame, prefix: UnsafeRawBufferPointer = .init(start: nil, count: 0),
                     payload: UnsafeRawPointer?, closing: Bool = false, deadline: UInt64 = 0) -> SendOutcome {
        // The critical section covers the kick: a thread ended between taking the flag and kicking would lose the wake.
        ntlpc_critical_enter()
        defer { ntlpc_critical_leave() }
        let count = Int(frame.length)
        let kickNeeded: Bool? = producer.withLock { ring in
            guard let place = ring.reserve(payload: count) else { return nil }
            write(&frame, prefix, payload, to: place)
            if closing { ring.announceClosing() }
            return ring.publish(payload: count)
        }
        guard let kickNeeded else { return sendWhenRoom(&frame, prefix, payload, closing: closing, deadline: deadline) }
        if kickNeeded { EventFd.kick(kick) }
        return .sent
    }

    @inline(__always)
    private func write(_ frame: inout ntlpc_frame, _ prefix: UnsafeRawBufferPointer, _ payload: UnsafeRawPointer?, to place: UnsafeMutableRawPointer) {
        place.copyMemory(from: &frame, byteCount: MemoryLayout<ntlpc_frame>.size)
        var body = place + MemoryLayout<ntlpc_frame>.size
        if prefix.count > 0 {
            body.copyMemory(from: prefix.baseAddress!, byteCount: prefix.count)
            body += prefix.count
        }
        if let payload, Int(frame.length) > prefix.count { body.copyMemory(from: payload, byteCount: Int(frame.length) - prefix.count) }
    }

    @inline(never)
    private func sendWhenRoom(_ frame: inout ntlpc_frame, _ prefix: UnsafeRawBufferPointer, _ payload: UnsafeRawPointer?,
                              closing: Bool, deadline: UInt64) -> SendOutcome {
        let end = deadline != 0 ? deadline : Clock.monotonic &+ 1_000_000_000
        let count = Int(frame.length)
        var asked = false
        while true {
            if peerHasGone { return .dead }
            enum Step { case sent(kick: Bool), again, sleep(UInt32) }
            let address = producer.withLock { $0.creditAddress }
            let step: Step = producer.withLock { ring in
                if let place = ring.reserve(payload: count) {
                    write(&frame, prefix, payload, to: place)
                    if closing { ring.announceClosing() }
                    return .sent(kick: ring.publish(payload: count))
                }
                if let value = ring.awaitRoom(payload: count) { return .sleep(value) }
                return .again
            }
            switch step {
            case .sent(let kickNeeded):
                if kickNeeded { EventFd.kick(kick) }
                return .sent
            case .again:
                continue
            case .sleep(let value):
                if !asked {
                    askToDrain()
                    asked = true
                }
                let now = Clock.monotonic
                if now >= end { return .full }
                Futex.wait(address, value, shared: true, deadline: min(end, now &+ 100_000_000))
            }
        }
    }

    private func askToDrain() {
        var message = ntlpc_control()
        message.magic = NTLPC_WIRE_MAGIC
        message.version = NTLPC_WIRE_VERSION
        message.kind = NTLPC_CONTROL_DRAIN
        // A full socket already holds such a request; a dead one shows as a hang-up.
        do throws(Errno) {
            try withUnsafeBytes(of: &message) { (bytes) throws(Errno) in try UnixSocket.send(bytes, over: control) }
        } catch {
            Trace.note(.transport, "drain request not sent: errno \(error.rawValue)")
        }
    }

    /// Reads what waits on the control socket. True: the peer asks to drain. Nil: it hung up or broke the rules.
    public func readControl() -> Bool? {
        var message = ntlpc_control()
        var drain = false
        while true {
            do throws(Errno) {
                let received = try withUnsafeMutableBytes(of: &message) { (bytes) throws(Errno) in try UnixSocket.receive(into: bytes, from: control) }
                guard let received else { return nil }
                guard received.count == MemoryLayout<ntlpc_control>.size, message.magic == NTLPC_WIRE_MAGIC,
                      message.kind == NTLPC_CONTROL_DRAIN else { return nil }
                drain = true
            } catch {
                return error == .again ? drain : nil
            }
        }
    }

    /// Ends this end: the peer sees `gone` at once and the hang-up soon.
    public func close() {
        ownGone.pointee.store(1, ordering: .releasing)
        dead.store(true, ordering: .releasing)
        UnixSocket.shutDown(control)
        // A peer that sleeps for a delivery must look.
        EventFd.kick(kick)
    }

    /// The peer is gone: callers that wait here wake.
    public func markDead() {
        dead.store(true, ordering: .releasing)
        slots.interrupt(connection: nil, .linkDead)
    }
}
