// Regions without processes, threads, and an end for hangs.

import CLinuxShims
import CWireFormat
import Glibc
import LinuxSystem
import Synchronization
import Testing
@testable import Transport

/// Ends the test process when a test hangs, and says which.
enum Watchdog {
    private static let limit: UInt64 = 300
    private static let running = Mutex<[Int: (name: String, since: UInt64)]>([:])
    private static let serial = Atomic<Int>(0)

    private static let armed: Void = {
        onThread {
            while true {
                sleep(1)
                let now = Clock.monotonic / 1_000_000_000
                guard let hung = running.withLock({ $0.values.first { now - $0.since > limit } }) else { continue }
                var line = "\nTransportTests: hung for \(limit) s: \(hung.name)\n"
                line.withUTF8 { _ = write(2, $0.baseAddress!, $0.count) }
                abort()
            }
        }
    }()

    static func begin(_ name: String) -> Int {
        _ = armed
        let number = serial.wrappingAdd(1, ordering: .relaxed).newValue
        running.withLock { $0[number] = (name, Clock.monotonic / 1_000_000_000) }
        return number
    }

    static func end(_ number: Int) { running.withLock { _ = $0.removeValue(forKey: number) } }
}

/// Arms the watchdog around each test of a suite.
struct Guarded: SuiteTrait, TestTrait, TestScoping {
    var isRecursive: Bool { true }

    func provideScope(for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void) async throws {
        let number = Watchdog.begin(test.name)
        defer { Watchdog.end(number) }
        try await function()
    }
}

extension Trait where Self == Guarded {
    static var guarded: Self { Guarded() }
}

/// Starts a thread; the result joins it.
@discardableResult
func onThread(_ body: @escaping @Sendable () -> Void) -> () -> Void {
    final class Start {
        let body: () -> Void
        init(_ body: @escaping () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    let error = pthread_create(&thread, nil, { @Sendable argument in
        Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue().body()
        return nil
    }, Unmanaged.passRetained(Start(body)).toOpaque())
    precondition(error == 0)
    return { pthread_join(thread, nil) }
}

/// Runs `body` on `count` threads and waits for them.
func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    let joins = (0 ..< count).map { index in onThread { body(index) } }
    for join in joins { join() }
}

/// A number that threads share.
final class Counter: Sendable {
    private let value = Atomic<Int>(0)
    func add(_ amount: Int = 1) { value.wrappingAdd(amount, ordering: .sequentiallyConsistent) }
    var count: Int { value.load(ordering: .sequentiallyConsistent) }
}

/// A region as a server makes it, with the words of both directions.
struct Region: @unchecked Sendable {
    let memory: SharedMemory
    init() throws { memory = try SharedMemory.make(name: "ntlpc-test", count: WireLayout.regionBytes).memory }
    func words(_ direction: Direction = .request) -> DirectionWords { DirectionWords(direction, in: memory) }
}

/// Both ends of one direction, each in a box of its own so that two threads can have one each.
final class ProducerBox: @unchecked Sendable {
    var ring: RingProducer
    init(_ words: DirectionWords) { ring = RingProducer(words) }

    /// Sends one frame; nil when the ring is full, else whether the consumer must be kicked.
    func send(_ payload: [UInt8], detail: UInt32 = 0) -> Bool? {
        guard let place = ring.reserve(payload: payload.count) else { return nil }
        payload.withUnsafeBytes {
            if $0.count > 0 { (place + MemoryLayout<ntlpc_frame>.size).copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
        }
        var frame = ntlpc_frame()
        frame.kind = FrameKind.message
        frame.length = UInt32(payload.count)
        frame.id = detail
        return ring.publish(&frame, at: place)
    }
}

final class ConsumerBox: @unchecked Sendable {
    var ring: RingConsumer
    init(_ words: DirectionWords) { ring = RingConsumer(words) }

    func arm() -> Bool { ring.arm() }

    /// The next frame, nil when there is none.
    func take() -> (detail: UInt32, payload: [UInt8])? {
        guard case .frame = ring.look() else { return nil }
        let payload = Array(UnsafeRawBufferPointer(start: ring.payload, count: Int(ring.frame.length)))
        let detail = ring.frame.id
        ring.advance()
        return (detail, payload)
    }
}

private let patternBytes: [UInt8] = (0 ..< 0x10000 + 4096).map { UInt8(truncatingIfNeeded: $0 &* 7 ^ ($0 >> 8) ^ ($0 >> 3)) }

/// `count` bytes that tell their number: a piece of one long pattern.
func pattern(_ count: Int, _ seed: Int) -> [UInt8] {
    let start = (seed & 0xFFFF) * 13 % 4096
    return Array(patternBytes[start ..< start + count])
}

/// The same numbers in every run.
struct FixedRandom: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state = state &* 6364136223846793005 &+ 1442695040888963407
        return state ^ (state >> 29)
    }
}

/// Both ends of a link in one process, joined by a socket pair.
struct LinkPair: Sendable {
    let client: Link
    let server: Link

    init() throws {
        let region = try Region()
        var sockets: [Int32] = [0, 0]
        try #require(socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue), 0, &sockets) == 0)
        let ends = sockets.map { Descriptor(owning: ntlpc_move_high($0)) }
        let one = try EventFd.make(), two = try EventFd.make()
        let me = try UnixSocket.credentials(of: ends[0])
        client = Link(side: .client, peer: me, control: ends[0], number: 7, greeting: ntlpc_control(), region: region.memory, kick: one, bell: two)
        server = Link(side: .server, peer: me, control: ends[1], number: 7, greeting: ntlpc_control(), region: region.memory, kick: two, bell: one)
    }
}
