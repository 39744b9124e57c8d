// Many threads at once, full rings, races. No time is measured: the watchdog ends what hangs.

import CNTTypes
import Glibc
import NTTypes
import Synchronization
import Testing

@Suite(.guarded) struct StressTests {
    @Test func `Eight client threads and four server threads exchange what belongs together`() throws {
        let server = try EchoServer(threads: 4)
        let name = server.name
        let wrong = Counter(), done = Counter()
        onThreads(8) { index in
            let made = connect(name, .waiting())
            guard made.status == .success else { return wrong.add() }
            let answer = Message(room: 0x2000)
            for round in 0 ..< 300 {
                let payload = pattern((round * 37 + index) % 3000 + 1, seed: index &* 17 &+ round)
                answer.length = 0x2000
                let result = made.port.request(Message(payload), answer)
                if result != .success || answer.payload != payload { wrong.add() }
                done.add()
            }
            if made.port.close() != .success { wrong.add() }
        }
        #expect(wrong.count == 0)
        #expect(done.count == 2400)
        server.end()
    }

    @Test func `Threads that share one port get their own replies`() throws {
        let server = try EchoServer(threads: 2)
        let made = connect(server.name, .waiting())
        try #require(made.status == .success)
        let port = made.port
        let wrong = Counter()
        onThreads(8) { index in
            let answer = Message(room: 4096)
            for round in 0 ..< 300 {
                let payload = pattern(round % 700, seed: index)
                answer.length = 4096
                if port.request(Message(payload), answer) != .success || answer.payload != payload { wrong.add() }
            }
        }
        #expect(wrong.count == 0)
        #expect(port.close() == .success)
        server.end()
    }

    @Test func `Receivers on C and on S at once take every message once`() throws {
        let scene = Scene()
        let listener = try scene.create(usual(limit: 0xFFFF))
        let pairs = try (0 ..< 3).map { try scene.client(listener, context: UInt($0 + 1)) }
        let each = 400
        let taken = Counter(), misplaced = Counter()
        let total = pairs.count * each
        let receivers = (0 ..< 2).map { _ in (listener, 0) } + pairs.enumerated().map { ($1.server, $0 + 1) }
        let threads = receivers.map { port, context in
            Background { () -> Void in
                let buffer = Message(room: 256), attributes = Attributes(Attributes.context)
                while taken.count < total {
                    buffer.length = 256
                    let result = port.receive(buffer, attributes, timeout: after(milliseconds: 20))
                    guard result == .success else { continue }
                    if context != 0 && attributes.portContext != UInt(context) { misplaced.add() }
                    if buffer.payload.first != UInt8(attributes.portContext) { misplaced.add() }
                    if buffer.kind == 1 && listener.datagram(Message(answering: buffer)) != .success { misplaced.add() }
                    taken.add()
                }
            }
        }
        onThreads(pairs.count) { index in
            for round in 0 ..< each {
                let message = Message([UInt8(index + 1)] + pattern(round % 100))
                let result = round % 3 == 0 ? pairs[index].client.request(message, Message(room: 256)) : pairs[index].client.datagram(message)
                if result != .success { misplaced.add() }
            }
        }
        for thread in threads { thread.result }
        #expect(taken.count == total && misplaced.count == 0)
        #expect(listener.poll() == .timeout)
        scene.end()
    }

    @Test func `M-13 A time-out that races a reply is one or the other at both ends`() throws {
        let scene = Scene()
        let (listener, _, client) = try scene.connected()
        let rounds = 2000
        let replied = Numbers(), cancelled = Counter(), odd = Counter(), over = Counter()
        let server = Background { () -> Void in
            let buffer = Message(room: 256)
            while over.count == 0 {
                buffer.length = 256
                guard listener.receive(buffer, timeout: after(milliseconds: 20)) == .success, buffer.kind == 1 else { continue }
                let number = buffer.payload.withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) }
                let until = ContinuousClock.now + .microseconds(Int(number % 97))
                while ContinuousClock.now < until {}
                switch listener.datagram(Message(answering: buffer)) {
                case .success: replied.insert(number)
                case .requestCanceled, .invalidMessage: cancelled.add()
                default: odd.add()
                }
            }
        }
        var served: Set<UInt32> = [], timedOut = 0
        let answer = Message(room: 256)
        for round in 0 ..< UInt32(rounds) {
            answer.length = 256
            // From none to 150 microseconds.
            let result = client.request(Message(withUnsafeBytes(of: round) { Array($0) }), answer, timeout: -Int64(round % 151) * 10)
            if result == .success { served.insert(round) } else if result == .timeout { timedOut += 1 } else { odd.add() }
        }
        over.add()
        server.result
        #expect(odd.count == 0)
        #expect(served.count + timedOut == rounds)
        #expect(replied.all == served)
        // All slots come back: as many waiting threads as before can ask.
        let last = Background { () -> Void in
            let buffer = Message(room: 256)
            for _ in 0 ..< 40 {
                buffer.length = 256
                if listener.receive(buffer) == .success { _ = listener.datagram(Message(answering: buffer)) }
            }
        }
        for _ in 0 ..< 40 { #expect(client.request("x", Message(room: 256)) == .success) }
        last.result
        scene.end()
    }

    @Test func `Abandoned requests do not use up the slots`() throws {
        let scene = Scene()
        let (listener, _, client) = try scene.connected()
        // More time-outs than a link has slots, none of them received.
        for _ in 0 ..< 600 { #expect(client.request("x", Message(room: 256), timeout: 0) == .timeout) }
        let call = Background { client.request("y", Message(room: 256)) }
        let request = try listener.take()
        #expect(request.text == "y")
        #expect(listener.datagram(Message(answering: request)) == .success)
        #expect(call.result == .success)
        scene.end()
    }

    @Test func `Datagrams of sixty kilobytes wait for room and keep their order`() throws {
        let scene = Scene()
        let (listener, _, client) = try scene.connected(server: usual(limit: 0xFFFF), client: usual(flags: 0, limit: 0xFFFF))
        let count = 60
        let sender = Background { () -> Int in
            (0 ..< count).count { client.datagram(Message(pattern(60_000 + $0, seed: $0))) == .success }
        }
        settle(20)
        let buffer = Message(room: 0xFFFF)
        for number in 0 ..< count {
            buffer.length = 0xFFFF
            try #require(listener.receive(buffer) == .success)
            #expect(buffer.payload == pattern(60_000 + number, seed: number))
        }
        #expect(sender.result == count)
        scene.end()
    }

    @Test func `A reply that finds a full ring waits for its client`() throws {
        let scene = Scene()
        let (listener, server, client) = try scene.connected(server: usual(limit: 0xFFFF), client: usual(flags: 0x20000, limit: 0xFFFF))
        _ = listener
        let count = 30
        let sender = Background { () -> Int in
            (0 ..< count).count { server.datagram(Message(pattern(60_000, seed: $0))) == .success }
        }
        settle(20)
        let buffer = Message(room: 0xFFFF)
        for number in 0 ..< count {
            buffer.length = 0xFFFF
            try #require(client.receive(buffer) == .success)
            #expect(buffer.payload == pattern(60_000, seed: number))
        }
        #expect(sender.result == count)
        scene.end()
    }

    @Test func `Ports are opened and closed under traffic`() throws {
        let server = try EchoServer(threads: 3)
        let name = server.name
        let wrong = Counter()
        onThreads(6) { index in
            for round in 0 ..< 60 {
                let made = connect(name, round % 2 == 0 ? .waiting() : ConnectOptions())
                guard made.status == .success else {
                    wrong.add()
                    continue
                }
                if round % 2 == 0 {
                    let answer = Message(room: 256)
                    if made.port.request(Message(pattern(32, seed: index)), answer) != .success { wrong.add() }
                }
                if made.port.close() != .success { wrong.add() }
            }
        }
        #expect(wrong.count == 0)
        server.end()
    }

    @Test func `Requests race the close of their own port and none hangs`() throws {
        // In a process of its own: a closed handle's value may be another test's by the time of the next call.
        let server = try EchoServer(threads: 2)
        #expect(try Peer().call("closerace 100 \(server.name)") == "odd=")
        server.end()
    }

    @Test func `Requests race the close of the server's port and none hangs`() throws {
        let odd = Counter()
        for round in 0 ..< 100 {
            let scene = Scene()
            let (listener, server, client) = try scene.connected()
            let calls = (0 ..< 3).map { _ in
                Background { () -> Void in
                    while true {
                        switch client.request("x", Message(room: 256), timeout: nil) {
                        case .success: continue
                        case .portDisconnected, .messageLost: return
                        case let other:
                            odd.add(other)
                            return
                        }
                    }
                }
            }
            if round % 2 == 0 {
                for _ in 0 ..< round % 7 {
                    let buffer = Message(room: 256)
                    if listener.receive(buffer) == .success, buffer.kind == 1 { _ = listener.datagram(Message(answering: buffer)) }
                }
            }
            #expect(scene.close(server) == .success)
            for call in calls { call.result }
            scene.end()
        }
        #expect(odd.count == 0, "\(odd.seen)")
    }
}

/// A number that threads add to.
final class Counter: Sendable {
    private let value = Atomic<Int>(0)
    private let names = Mutex<Set<String>>([])
    func add() { value.wrappingAdd(1, ordering: .relaxed) }
    /// Counts a status that should not have come, and remembers which.
    func add(_ status: NTStatus) {
        add()
        names.withLock { _ = $0.insert(status.name) }
    }
    var seen: String { names.withLock { $0.sorted().joined(separator: " ") } }
    var count: Int { value.load(ordering: .relaxed) }
}

/// A set that threads share.
final class Numbers: Sendable {
    private let values = Mutex<Set<UInt32>>([])
    func insert(_ value: UInt32) { values.withLock { _ = $0.insert(value) } }
    var all: Set<UInt32> { values.withLock { $0 } }
}
