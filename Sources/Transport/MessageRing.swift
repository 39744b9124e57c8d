// Frames through shared memory: a producer's end and a consumer's end.
//
// Finding frames. The producer clears the stamp word of the unit after a frame, writes the frame, and stamps its header last
// (release); the consumer looks at the stamp where the next frame must start (acquire).
//
// The doorbell protocol. One word, `produced`, carries position and sleep flag, and every change to it is a
// read-modify-write, so all changes are totally ordered:
//   producer  (P1) stamp the frame  (P2) old = exchange(produced, position << 1)  (P3) if old was armed: kick the eventfd
//   consumer  (C1) take all frames that are stamped  (C2) produced |= armed  (C3) look at the next stamp once more: there is a
//             frame, back to C1; there is none, sleep on the eventfd
// If P2 comes before C2, C2 reads what P2 wrote, and with it P1 is visible to C3. If it comes after, it sees the flag and kicks; the
// edge is sticky. A producer that stops between P1 and P2 does no harm: its frame may be taken, and C2 does not wait for P2.
//
// The credit protocol is the same word the other way: `consumed` carries the consumer's position and whether the producer
// sleeps for room.

import CLinuxShims
import CWireFormat
import LinuxSystem
import Synchronization

/// The sending end of a ring. Used under the lock of its link: one producer at a time in a process.
public struct RingProducer: ~Copyable {
    @usableFromInline let words: DirectionWords
    /// Next unit to write, and the last position the consumer is known to have reached.
    @usableFromInline var position: UInt32 = 0
    @usableFromInline var credit: UInt32 = 0
    @usableFromInline var cpu: UInt32 = 0
    /// The frame that fills the ring's end, stamped after the frame behind it.
    @usableFromInline var skip: (place: UnsafeMutableRawPointer, stamp: UInt32)?

    init(_ words: DirectionWords) { self.words = words }

    @inlinable
    @inline(__always)
    static func stampWord(_ place: UnsafeMutableRawPointer) -> SharedWord {
        (place + Int(NTLPC_STAMP_OFFSET)).assumingMemoryBound(to: Atomic<UInt32>.self)
    }

    /// Makes room for a frame and returns where to write it, or nil when the ring is full.
    @inlinable
    @inline(__always)
    public mutating func reserve(payload: Int) -> UnsafeMutableRawPointer? {
        let needed = WireLayout.units(payload: payload)
        var offset = position % WireLayout.ringUnits
        let tail = WireLayout.ringUnits - offset
        let total = (needed <= tail ? needed : needed + tail) &+ 1
        if !hasRoom(total) { return nil }
        if needed > tail {
            let place = words.ring + Int(offset) * WireLayout.unit
            var frame = ntlpc_frame()
            frame.kind = FrameKind.skip
            place.copyMemory(from: &frame, byteCount: MemoryLayout<ntlpc_frame>.size)
            skip = (place, WireLayout.stamp(position))
            position = (position &+ tail) & WireLayout.positionMask
            offset = 0
        }
        return words.ring + Int(offset) * WireLayout.unit
    }

    @inlinable
    @inline(__always)
    mutating func hasRoom(_ units: UInt32) -> Bool {
        let used = (position &- credit) & WireLayout.positionMask
        if used &+ units <= WireLayout.ringUnits { return true }
        return hasRoomAfterLooking(units)
    }

    @usableFromInline
    @inline(never)
    mutating func hasRoomAfterLooking(_ units: UInt32) -> Bool {
        // ORDER: acquire. Pairs with the exchange in `RingConsumer.publishCredit`: the units are no longer read.
        let reached = words.consumed.pointee.load(ordering: .acquiring) >> 1
        let used = (position &- reached) & WireLayout.positionMask
        guard used <= WireLayout.ringUnits else { return false }    // a credit that cannot be: the peer breaks the rules
        credit = reached
        return used &+ units <= WireLayout.ringUnits
    }

    /// Writes the header of a frame whose payload is in `place` already, and publishes it. True: the consumer sleeps and must be
    /// kicked. The header comes last because a spinning consumer looks at its line all the time: writing there twice, with the
    /// payload in between, would make the line travel twice.
    @inlinable
    @inline(__always)
    public mutating func publish(_ frame: inout ntlpc_frame, at place: UnsafeMutableRawPointer) -> Bool {
        let stamp = WireLayout.stamp(position)
        position = (position &+ WireLayout.units(payload: Int(frame.length))) & WireLayout.positionMask
        Self.stampWord(words.ring + Int(position % WireLayout.ringUnits) * WireLayout.unit).pointee.store(0, ordering: .relaxed)
        let here = ntlpc_current_cpu() &+ 1
        if here != cpu {
            cpu = here
            words.producerCPU.pointee.store(here, ordering: .relaxed)   // a hint for spinning only
        }
        place.copyMemory(from: &frame, byteCount: MemoryLayout<ntlpc_frame>.size)
        // P1. ORDER: release. Pairs with the acquire load in `RingConsumer.look`: the frame, and the cleared word behind it.
        Self.stampWord(place).pointee.store(stamp, ordering: .releasing)
        if let skipped = skip {
            Self.stampWord(skipped.place).pointee.store(skipped.stamp, ordering: .releasing)
            skip = nil
        }
        // P2. ORDER: acquire-release. One word for position and flag: see the protocol above.
        return words.produced.pointee.exchange(position << 1, ordering: .acquiringAndReleasing) & 1 != 0
    }

    /// Says that a frame which closes a connection follows, so that the consumer looks ahead.
    public func announceClosing() { words.closings.pointee.add(1, ordering: .relaxed) }

    /// Marks that the producer wants a wake when the consumer moves on; the value to sleep on, or nil when room appeared.
    public mutating func awaitRoom(payload: Int) -> UInt32? {
        let needed = WireLayout.units(payload: payload)
        let tail = WireLayout.ringUnits - position % WireLayout.ringUnits
        let total = (needed <= tail ? needed : needed + tail) &+ 1
        if hasRoomAfterLooking(total) { return nil }
        let current = words.consumed.pointee.load(ordering: .acquiring)
        let marked = current | 1
        // ORDER: acquire-release. One word for position and flag: a consumer that moves on after this sees the flag.
        let (done, _) = words.consumed.pointee.compareExchange(expected: current, desired: marked, ordering: .acquiringAndReleasing)
        return done ? marked : awaitRoom(payload: payload)
    }

    public var creditAddress: UnsafeRawPointer { UnsafeRawPointer(words.consumed) }
}

/// What a consumer finds at the head of a ring.
public enum RingHead {
    case empty
    case frame
    /// The producer wrote what no honest producer writes.
    case broken
}

/// The receiving end of a ring. Used under the lock of its inbox.
public struct RingConsumer: ~Copyable {
    @usableFromInline let words: DirectionWords
    @usableFromInline var position: UInt32 = 0
    /// The position last given back as credit.
    @usableFromInline var credited: UInt32 = 0
    /// A private copy of the frame at the head: the shared one may change under our eyes.
    public var frame = ntlpc_frame()

    init(_ words: DirectionWords) { self.words = words }

    /// Where the payload of `frame` lies: shared memory, to be copied once and not believed.
    @inlinable
    @inline(__always)
    public var payload: UnsafeMutableRawPointer {
        words.ring + Int(position % WireLayout.ringUnits) * WireLayout.unit + MemoryLayout<ntlpc_frame>.size
    }

    /// The unit where the next frame starts.
    @inlinable
    @inline(__always)
    var head: UnsafeMutableRawPointer { words.ring + Int(position % WireLayout.ringUnits) * WireLayout.unit }

    /// True when there is a frame. For spinning: reads one word, changes nothing.
    @inlinable
    @inline(__always)
    public var hasNews: Bool { RingProducer.stampWord(head).pointee.load(ordering: .relaxed) == WireLayout.stamp(position) }

    /// Looks at the head of the ring and copies its header into `frame`.
    @inlinable
    @inline(__always)
    public mutating func look() -> RingHead {
        while true {
            let place = head
            // ORDER: acquire. Pairs with the release store in `RingProducer.publish`; the frame's bytes are visible.
            guard RingProducer.stampWord(place).pointee.load(ordering: .acquiring) == WireLayout.stamp(position) else { return .empty }
            // SAFETY: `head` lies in the ring, which has ringUnits * 64 bytes.
            frame = place.load(as: ntlpc_frame.self)
            let tail = WireLayout.ringUnits - position % WireLayout.ringUnits
            if frame.kind == FrameKind.skip {
                // Nobody skips a whole ring: a producer that stamped skips without end would keep this loop for ever.
                guard tail < WireLayout.ringUnits else { return .broken }
                position = (position &+ tail) & WireLayout.positionMask
                continue
            }
            guard WireLayout.units(payload: Int(frame.length)) <= tail else { return .broken }
            return .frame
        }
    }

    /// Steps over the frame that `look` found.
    @inlinable
    @inline(__always)
    public mutating func advance() {
        position = (position &+ WireLayout.units(payload: Int(frame.length))) & WireLayout.positionMask
        if (position &- credited) & WireLayout.positionMask >= WireLayout.ringUnits / 8 { publishCredit() }
    }

    /// Gives the units taken so far back to the producer, and wakes it if it sleeps for room.
    @inline(never)
    public mutating func publishCredit() {
        guard credited != position else { return }
        credited = position
        // ORDER: acquire-release. Releases our reads of the units to the producer's acquire load; sees its flag.
        if words.consumed.pointee.exchange(position << 1, ordering: .acquiringAndReleasing) & 1 != 0 {
            Futex.wake(UnsafeRawPointer(words.consumed), shared: true)
        }
    }

    /// Says that the consumer is going to sleep. False: there is a frame, take it first.
    public mutating func arm() -> Bool {
        publishCredit()
        // C2. ORDER: acquire-release. What the producer did before its last exchange is visible to the look below.
        _ = words.produced.pointee.bitwiseOr(1, ordering: .acquiringAndReleasing)
        return !hasNews
    }

    /// How often the producer has announced a closing.
    @inlinable
    @inline(__always)
    public var closings: UInt32 { words.closings.pointee.load(ordering: .relaxed) }

    /// The processor the producer last ran on, plus one.
    @inlinable
    @inline(__always)
    public var producerCPU: UInt32 { words.producerCPU.pointee.load(ordering: .relaxed) }

    /// The producer has closed its end.
    @inlinable
    @inline(__always)
    public var producerIsGone: Bool { words.gone.pointee.load(ordering: .acquiring) & NTLPC_GONE_CLOSED != 0 }

    /// The word that spinning watches and the value that means a frame.
    @inlinable
    public var watched: (word: SharedWord, stamp: UInt32) { (RingProducer.stampWord(head), WireLayout.stamp(position)) }
}
