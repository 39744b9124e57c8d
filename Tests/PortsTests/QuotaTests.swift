// MaxPoolUsage: a queue that reaches its limit refuses the next message, and neither blocks nor loses any.

import CNTTypes
import Glibc
import NTTypes
import Synchronization
import Testing

@Suite(.guarded) struct QuotaTests {
    static func attributes(pool: SIZE_T, flags: UInt32 = 0x20000, limit: Int = 0xFFFF) -> ALPC_PORT_ATTRIBUTES {
        var attributes = usual(flags: flags, limit: limit)
        attributes.MaxPoolUsage = pool
        return attributes
    }

    /// Sends until the port says no; how many went out.
    static func fill(_ port: Port, _ size: Int = 1000, limit: Int = 100_000) -> (sent: Int, status: NTStatus) {
        for count in 0 ..< limit {
            let message = Message(pattern(size, seed: count))
            let outcome = port.datagram(message)
            if outcome != .success { return (count, outcome) }
        }
        return (limit, .success)
    }

    /// Receives `count` datagrams in order.
    static func drain(_ port: Port, _ count: Int, _ size: Int = 1000, from first: Int = 0) {
        let buffer = Message(room: 0x10000)
        for index in first ..< first + count {
            buffer.length = 0x10000
            guard port.receive(buffer) == .success, buffer.type == 3, buffer.payload == pattern(size, seed: index) else {
                Issue.record("message \(index) is missing")
                return
            }
        }
    }

    @Test func `A queue at its limit refuses the next message of every kind, and loses none`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected(server: Self.attributes(pool: 100_000), client: Self.attributes(pool: .max, flags: 0))
        let (sent, outcome) = Self.fill(client)
        #expect(outcome == .quotaExceeded)
        #expect(sent * 1040 > 100_000 && sent * 1040 < 3 * 256 * 1024)
        // It is the same for all of them, at once.
        #expect(client.send("x") == .quotaExceeded)
        #expect(client.request("x", Message(room: 256)) == .quotaExceeded)
        #expect(client.request("x", Message(room: 256), timeout: nil) == .quotaExceeded)
        Self.drain(listener, sent)
        #expect(listener.poll() == .timeout)
        #expect(client.datagram("x") == .success)
    }

    @Test func `Receiving makes room again`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected(server: Self.attributes(pool: 50_000), client: Self.attributes(pool: .max, flags: 0))
        var next = 0
        for _ in 0 ..< 5 {
            var sent = 0
            while true {
                let outcome = client.datagram(Message(pattern(1000, seed: next + sent)))
                if outcome == .quotaExceeded { break }
                #expect(outcome == .success)
                sent += 1
            }
            #expect(sent > 0)
            Self.drain(listener, sent, from: next)
            #expect(listener.poll() == .timeout)
            next += sent
        }
    }

    @Test func `Answers, cancels, connects and closes get through a full queue`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected(server: Self.attributes(pool: 50_000), client: Self.attributes(pool: .max, flags: 0x20000))
        let question: Message = "question"
        #expect(server.send(question) == .success)
        let asked = try client.take()
        let early: Message = "early"
        #expect(client.send(early) == .success)
        let (sent, outcome) = Self.fill(client)
        #expect(outcome == .quotaExceeded)
        // A server that waits for an answer gets it.
        let call = Background { server.request("another", Message(room: 256)) }
        #expect(client.datagram(Message(answering: try client.take())) == .success)
        #expect(call.result == .success)
        #expect(client.datagram(Message(answering: asked)) == .success)
        #expect(client.cancel(early.id) == .pending)
        let pending = try scene.pending(ConnectOptions(attributes: Self.attributes(pool: .max, flags: 0)))
        #expect(scene.close(client) == .success)
        // All that was sent before the close is noticed or there.
        let buffer = Message(room: 0x10000)
        var kinds: [UInt16: Int] = [:]
        while true {
            buffer.length = 0x10000
            guard listener.poll(buffer) == .success else { break }
            kinds[buffer.kind, default: 0] += 1
            if buffer.kind == 10 { scene.keep(accept(listener, Message(answering: buffer)).port) }
        }
        #expect(kinds[12] == sent + 1 && kinds[5] == 1 && kinds[10] == 1 && kinds[2] == 1, "\(kinds)")
        #expect(try pending.take().kind == 11)
    }

    @Test func `Two clients share the limit of their server's port`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create(Self.attributes(pool: 200_000))
        let (_, first) = try scene.client(listener, Self.attributes(pool: .max, flags: 0))
        let peer = try Peer()
        peer.tell("connect K async \(scene.name)")
        _ = try scene.admit(listener)
        #expect(peer.answer() == "STATUS_SUCCESS")
        #expect(Self.fill(first).status == .quotaExceeded)
        // The other process's link was told as well.
        #expect(peer.call("receive K 60000").contains("type=0xb"))
        #expect(peer.call("send K 0x10000 hello") == "STATUS_QUOTA_EXCEEDED")
        #expect(peer.call("request K 60000 hello") == "STATUS_QUOTA_EXCEEDED")
        let buffer = Message(room: 0x10000)
        buffer.length = 0x10000
        while listener.poll(buffer) == .success { buffer.length = 0x10000 }
        #expect(peer.call("send K 0x10000 hello") == "STATUS_SUCCESS")
        #expect(try listener.take().text == "hello")
    }

    @Test func `A link that opens to a full queue is told at once`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create(Self.attributes(pool: 50_000))
        let (_, first) = try scene.client(listener, Self.attributes(pool: .max, flags: 0))
        #expect(Self.fill(first).status == .quotaExceeded)
        let peer = try Peer()
        #expect(peer.call("connect K async \(scene.name)") == "STATUS_SUCCESS")
        // The request to connect is behind the datagrams.
        let buffer = Message(room: 0x10000)
        var count = 0
        while buffer.kind != 10 {
            buffer.length = 0x10000
            try #require(listener.receive(buffer) == .success)
            count += 1
            if count == 1 { #expect(Self.fill(first).status == .quotaExceeded) }
        }
        scene.keep(accept(listener, Message(answering: buffer)).port)
        #expect(peer.call("receive K 60000").contains("type=0xb"))
    }

    @Test func `A reserve gets a message into a full queue`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected(server: Self.attributes(pool: 20_000), client: Self.attributes(pool: .max, flags: 0))
        let reserve = try #require(client.reserve())
        let (sent, outcome) = Self.fill(client)
        #expect(outcome == .quotaExceeded)
        let call = Background { client.request(Message(Array("urgent".utf8), id: reserve), Message(room: 256)) }
        Self.drain(listener, sent)
        let request = try listener.take()
        #expect(request.text == "urgent")
        #expect(listener.datagram(Message(answering: request)) == .success)
        #expect(call.result == .success)
        let (again, full) = Self.fill(client)
        #expect(full == .quotaExceeded)
        #expect(client.datagram(Message([1], id: reserve)) == .success)
        #expect(client.datagram(Message([2], id: reserve)) == .success)
        Self.drain(listener, again)
        #expect(try listener.take().payload == [1])
        #expect(try listener.take().payload == [2])
    }

    @Test func `A client's port limits what its server may send`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (_, server, client) = try scene.connected(server: Self.attributes(pool: .max), client: Self.attributes(pool: 30_000))
        let (sent, outcome) = Self.fill(server)
        #expect(outcome == .quotaExceeded)
        #expect(server.send("x") == .quotaExceeded)
        #expect(server.request("x", Message(room: 256)) == .quotaExceeded)
        Self.drain(client, sent)
        #expect(server.datagram("x") == .success)
        #expect(try client.take().text == "x")
    }

    @Test func `A message larger than the limit finds an empty queue open`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected(server: Self.attributes(pool: 100), client: Self.attributes(pool: .max, flags: 0))
        for round in 0 ..< 5 {
            #expect(client.datagram(Message(pattern(60_000, seed: round))) == .success)
            Self.drain(listener, 1, 60_000, from: round)
        }
    }

    @Test(arguments: [0, SIZE_T.max]) func `Without a limit of its own a queue takes what is reasonable`(pool: SIZE_T) throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected(server: Self.attributes(pool: pool), client: Self.attributes(pool: .max, flags: 0))
        let (sent, outcome) = Self.fill(client, 60_000, limit: 2000)
        #expect(outcome == .quotaExceeded)
        #expect(sent * 60_000 > 60 << 20 && sent * 60_000 < 70 << 20, "\(sent)")
        Self.drain(listener, sent, 60_000)
    }

    @Test func `LPC ports have the limit of their create call`() throws {
        let scene = Scene()
        defer { scene.end() }
        var handle = unwrittenHandle
        #expect(withObject(scene.name) { status(NtCreatePort(&handle, $0, 256, 512, 5000)) } == .success)
        let listener = scene.keep(Port(handle: handle))
        let (_, client) = try scene.lpcClient(listener)
        var sent = 0
        while client.lpcDatagram(Message(pattern(400, seed: sent))) == .success { sent += 1 }
        #expect(client.lpcDatagram("x") == .quotaExceeded)
        #expect(client.lpcRequest("x", Message(room: 512)) == .quotaExceeded)
        for index in 0 ..< sent { #expect(try listener.lpcTake().payload == pattern(400, seed: index)) }
        #expect(client.lpcDatagram("x") == .success)
    }

    @Test func `An unconnected port has a limit too`() throws {
        let scene = Scene()
        defer { scene.end() }
        var handle = unwrittenHandle
        #expect(withObject(nil) { status(NtCreatePort(&handle, $0, 256, 512, 5000)) } == .success)
        let port = scene.keep(Port(handle: handle))
        var sent = 0
        while port.lpcDatagram(Message(pattern(400, seed: sent))) == .success { sent += 1 }
        #expect(sent >= 10 && sent <= 13)
        #expect(port.lpcDatagram("x") == .quotaExceeded)
        #expect(try port.lpcTake().payload == pattern(400, seed: 0))
        #expect(try port.lpcTake().payload == pattern(400, seed: 1))
        #expect(port.lpcDatagram("x") == .success)
    }

    @Test func `Senders and receivers around the limit lose nothing`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected(server: Self.attributes(pool: 20_000, flags: 0x60000), client: Self.attributes(pool: .max, flags: 0))
        let senders = 3, each = underThreadSanitizer ? 500 : 3000
        let refused = Atomic<Int>(0), left = Atomic<Int>(senders)
        let receiver = Background { () -> [Int] in
            var next = [Int](repeating: 0, count: senders)
            let buffer = Message(room: 0x10000)
            while true {
                buffer.length = 0x10000
                let isLast = left.load(ordering: .acquiring) == 0
                guard listener.poll(buffer) == .success else {
                    if isLast { return next }
                    usleep(2000)
                    continue
                }
                let sender = Int(buffer.payload[0]), number = Int(buffer.payload[1]) | Int(buffer.payload[2]) << 8
                if number != next[sender] { return [] }
                next[sender] += 1
            }
        }
        onThreads(senders) { sender in
            for number in 0 ..< each {
                let message = Message([UInt8(sender), UInt8(number & 0xFF), UInt8(number >> 8)] + pattern(2000))
                while true {
                    let outcome = client.datagram(message)
                    message.id = 0
                    if outcome == .success { break }
                    if outcome != .quotaExceeded { return }
                    refused.wrappingAdd(1, ordering: .relaxed)
                    usleep(200)
                }
            }
            left.wrappingSubtract(1, ordering: .acquiringAndReleasing)
        }
        #expect(receiver.result == [Int](repeating: each, count: senders))
        #expect(refused.load(ordering: .relaxed) > 0)
    }
}
