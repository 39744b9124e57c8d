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

/// The part of a link that every message passes through: plain memory that the link owns, outside reference counting.
public struct LinkCore: ~Copyable {
    public let number: UInt32
    let kick: Int32
    let mutex = FutexMutex()
    // The two ends change under locks of their own: each lies in a place of its own, so that a change of one is no change of the
    // other, nor of the words beside them.
    /// Guarded by `mutex`.
    let producer: UnsafeMutablePointer<RingProducer>
    /// Guarded by the lock of the queues that the link feeds.
    public let consumer: UnsafeMutablePointer<RingConsumer>
    public let slots: ReplySlots
    public let replies: ReplyPublisher
    /// How many frames that end or open a connection have been taken in. Read without the lock by senders.
    /// ORDER: release on store, acquire on load; publishes the states of the connections.
    public let closingsSeen = Atomic<UInt32>(0)
    /// The peer's process as its world numbers it; kept here for the layer above.
    public var peerNumber: UInt64 = 0
    let dead = Atomic<Bool>(false)
    let ownGone: SharedWord
    let peerGone: SharedWord
    let peerClosings: SharedWord

    init(number: UInt32, kick: Int32, outbound: DirectionWords, inbound: DirectionWords, region: SharedMemory) {
        self.number = number
        self.kick = kick
        producer = .allocate(capacity: 1)
        producer.initialize(to: RingProducer(outbound))
        consumer = .allocate(capacity: 1)
        consumer.initialize(to: RingConsumer(inbound))
        slots = ReplySlots(region: region)
        replies = ReplyPublisher(region: region)
        ownGone = outbound.gone
        peerGone = inbound.gone
        peerClosings = inbound.closings
    }

    deinit {
        producer.deinitialize(count: 1)
        producer.deallocate()
        consumer.deinitialize(count: 1)
        consumer.deallocate()
    }

    /// The peer's process is gone, or broke the rules, or this end was closed.
    @inline(__always)
    public var isDead: Bool { dead.load(ordering: .relaxed) }

    /// The peer has closed its end, though the hang-up may not have been seen yet.
    @inline(__always)
    public var peerHasGone: Bool { dead.load(ordering: .acquiring) || peerGone.pointee.load(ordering: .acquiring) & NTLPC_GONE_CLOSED != 0 }

    /// The peer has closed its end or takes no new messages: worth a look before one is sent.
    @inline(__always)
    public var peerHasNews: Bool { dead.load(ordering: .acquiring) || peerGone.pointee.load(ordering: .acquiring) != 0 }

    /// The peer's queue has reached its limit: it takes no new messages now.
    public var peerIsFull: Bool { peerGone.pointee.load(ordering: .acquiring) & NTLPC_GONE_FULL != 0 }

    /// Says the same of this end. A hint for the peer: what it has sent already still arrives.
    public func setFull(_ full: Bool) {
        // ORDER: relaxed would do: nothing is published by it.
        if full {
            ownGone.pointee.bitwiseOr(NTLPC_GONE_FULL, ordering: .releasing)
        } else {
            ownGone.pointee.bitwiseAnd(~NTLPC_GONE_FULL, ordering: .releasing)
        }
    }

    /// How many frames that end or open a connection the peer has sent; see `RingConsumer.closings`. Any thread may ask.
    @inline(__always)
    public var closingsSent: UInt32 { peerClosings.pointee.load(ordering: .acquiring) }
}

/// A link's core. Valid while the link is.
public typealias LinkPointer = UnsafeMutablePointer<LinkCore>

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
    public let core: LinkPointer
    /// The receiving end. Guarded by the lock of the queues that the link feeds.
    public let consumer: UnsafeMutablePointer<RingConsumer>
    private let region: SharedMemory
    /// Kicked for the peer, and kicked by the peer for us.
    private let kick: Descriptor
    public let bell: Descriptor
    /// What the control socket has brought; see Parcel.swift.
    let inbox = FutexLock(ControlInbox())
    let serials = Atomic<UInt32>(0)

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
        core = .allocate(capacity: 1)
        core.initialize(to: LinkCore(number: number, kick: kick.rawValue, outbound: outbound, inbound: inbound, region: region))
        consumer = core.pointee.consumer
    }

    deinit {
        core.pointee.slots.deallocate()
        core.deinitialize(count: 1)
        core.deallocate()
    }

    /// The peer's process is gone, or broke the rules, or this end was closed.
    public var isDead: Bool { core.pointee.dead.load(ordering: .acquiring) }
    public var peerHasGone: Bool { core.pointee.peerHasGone }
    public var slots: ReplySlots { core.pointee.slots }
    public var replies: ReplyPublisher { core.pointee.replies }

    /// `Link.send` over this link.
    public func send(_ frame: inout ntlpc_frame, prefix: UnsafeRawBufferPointer = .init(start: nil, count: 0),
                     payload: UnsafeRawPointer?, closing: Bool = false, deadline: UInt64 = 0) -> SendOutcome {
        Link.send(core, &frame, prefix: prefix, payload: payload, closing: closing, deadline: deadline) { self.askToDrain() }
    }

    /// Sends one frame: `prefix` and `payload` one after the other. `closing` marks a frame that ends or opens a connection, so that
    /// the peer looks ahead for it. A full ring asks the peer's process to drain it and waits until `deadline` (absolute
    /// nanoseconds; 0 is one second).
    @inline(__always)
    public static func send(_ core: LinkPointer, _ frame: inout ntlpc_frame, prefix: UnsafeRawBufferPointer = .init(start: nil, count: 0),
                            payload: UnsafeRawPointer?, closing: Bool = false, deadline: UInt64 = 0, askToDrain: () -> Void) -> SendOutcome {
        // The critical section covers the kick: a thread ended between taking the flag and kicking would lose the wake.
        ntlpc_critical_enter()
        defer { ntlpc_critical_leave() }
        let count = Int(frame.length)
        let producer = core.pointee.producer
        core.pointee.mutex.lock()
        guard let place = producer.pointee.reserve(payload: count) else {
            core.pointee.mutex.unlock()
            return sendWhenRoom(core, &frame, prefix, payload, closing: closing, deadline: deadline, askToDrain)
        }
        write(count, prefix, payload, to: place)
        if closing { producer.pointee.announceClosing() }
        let kickNeeded = producer.pointee.publish(&frame, at: place)
        core.pointee.mutex.unlock()
        if kickNeeded { ntlpc_eventfd_kick(core.pointee.kick) }
        return .sent
    }

    @inline(__always)
    private static func write(_ count: Int, _ prefix: UnsafeRawBufferPointer, _ payload: UnsafeRawPointer?, to place: UnsafeMutableRawPointer) {
        var body = place + MemoryLayout<ntlpc_frame>.size
        if prefix.count > 0 {
            body.copyMemory(from: prefix.baseAddress!, byteCount: prefix.count)
            body += prefix.count
        }
        if let payload, count > prefix.count { body.copyMemory(from: payload, byteCount: count - prefix.count) }
    }

    @inline(never)
    private static func sendWhenRoom(_ core: LinkPointer, _ frame: inout ntlpc_frame, _ prefix: UnsafeRawBufferPointer, _ payload: UnsafeRawPointer?,
                                     closing: Bool, deadline: UInt64, _ askToDrain: () -> Void) -> SendOutcome {
        let end = deadline != 0 ? deadline : Clock.monotonic &+ 1_000_000_000
        let count = Int(frame.length)
        let producer = core.pointee.producer
        var asked = false
        while true {
            if core.pointee.peerHasGone { return .dead }
            if core.pointee.peerIsFull && frame.kind == FrameKind.message && frame.flags & FrameFlags.reserved == 0 { return .full }
            core.pointee.mutex.lock()
            if let place = producer.pointee.reserve(payload: count) {
                write(count, prefix, payload, to: place)
                if closing { producer.pointee.announceClosing() }
                let kickNeeded = producer.pointee.publish(&frame, at: place)
                core.pointee.mutex.unlock()
                if kickNeeded { ntlpc_eventfd_kick(core.pointee.kick) }
                return .sent
            }
            let awaited = producer.pointee.awaitRoom(payload: count)
            let address = producer.pointee.creditAddress
            core.pointee.mutex.unlock()
            guard let awaited else { continue }
            if !asked {
                askToDrain()
                asked = true
            }
            let now = Clock.monotonic
            if now >= end { return .full }
            Futex.wait(address, awaited, shared: true, deadline: min(end, now &+ 100_000_000))
        }
    }

    public func askToDrain() {
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

    /// Ends this end: the peer sees `gone` at once and the hang-up soon.
    public func close() {
        core.pointee.ownGone.pointee.bitwiseOr(NTLPC_GONE_CLOSED, ordering: .releasing)
        core.pointee.dead.store(true, ordering: .releasing)
        UnixSocket.shutDown(control)
        // A peer that sleeps for a delivery must look.
        EventFd.kick(kick)
    }

    /// The peer is gone: callers that wait here wake.
    public func markDead() {
        core.pointee.dead.store(true, ordering: .releasing)
        slots.interrupt(connection: nil, .linkDead)
    }
}
