// Announcing messages: one packet for each message that no thread is blocked for. Scenarios K-11 to K-16, on the core's own
// announcers; CompletionPortTests has the calls.

import CNTTypes
import Glibc
import NTObjects
import NTTypes
import Ports
import Synchronization
import Testing

/// Counts what a port announces.
final class CountingAnnouncer: MessageAnnouncer {
    private let total = Atomic<Int>(0)
    func announce() { total.wrappingAdd(1, ordering: .sequentiallyConsistent) }
    var count: Int { total.load(ordering: .sequentiallyConsistent) }
}

extension Port {
    var object: ALPCPort {
        get throws { try HandleTable.object(handle, kind: .port) }
    }

    func announce(to announcer: CountingAnnouncer) throws -> NTStatus {
        do throws(NTStatus) {
            try HandleTable.withObject(handle, kind: .port) { (port: ALPCPort) throws(NTStatus) in try port.associate(announcer) }
            return .success
        } catch {
            return error
        }
    }
}

@Suite(.guarded) struct CompletionTests {
    @Test func `K-11 A connection request announces itself once, and so does each message after it`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let packets = CountingAnnouncer()
        #expect(try listener.announce(to: packets) == .success)
        let client = try scene.pending()
        eventually { packets.count == 1 }
        let server = try scene.admit(listener)
        #expect(packets.count == 1)
        for number in 1 ... 5 {
            #expect(client.datagram("x") == .success)
            eventually { packets.count == 1 + number }
        }
        for _ in 1 ... 5 { #expect(listener.poll() == .success) }
        #expect(listener.poll() == .timeout)
        settle()
        #expect(packets.count == 6)
        // The end of a client is news too: here the cancelled notice of nothing, only the closed port.
        #expect(scene.close(client) == .success)
        eventually { packets.count == 7 }
        #expect(try listener.take().kind == 5)
        _ = server
    }

    @Test func `K-12 A port is associated once`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected()
        for port in [listener, server, client] {
            #expect(try port.announce(to: CountingAnnouncer()) == .success)
            #expect(try port.announce(to: CountingAnnouncer()) == .portAlreadySet)
        }
    }

    @Test func `K-14 What is queued before the association is announced then`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        #expect(client.datagram("1") == .success && client.datagram("2") == .success)
        let packets = CountingAnnouncer()
        #expect(try listener.announce(to: packets) == .success)
        eventually { packets.count == 2 }
        settle()
        #expect(packets.count == 2)
        #expect(try listener.take().text == "1")
        #expect(try listener.take().text == "2")
    }

    @Test func `K-15 A blocked receiver gets the message and no packet comes`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected()
        let packets = CountingAnnouncer()
        #expect(try listener.announce(to: packets) == .success)
        for receiver in [listener, server] {
            for round in 0 ..< 20 {
                let before = packets.count
                let thread = Atomic<Int32>(0)
                let call = Background { () -> String in
                    thread.store(gettid(), ordering: .releasing)
                    let buffer = Message(room: 256)
                    return receiver.receive(buffer) == .success ? buffer.text : "failed"
                }
                untilBlocked(thread)
                #expect(client.datagram("for you") == .success)
                #expect(call.result == "for you", "\(round)")
                #expect(packets.count == before, "\(round)")
            }
        }
        // One receiver, three messages: the others are announced.
        let thread = Atomic<Int32>(0)
        let call = Background {
            thread.store(gettid(), ordering: .releasing)
            return listener.receive(Message(room: 256))
        }
        untilBlocked(thread)
        let before = packets.count
        for _ in 0 ..< 3 { #expect(client.datagram("x") == .success) }
        #expect(call.result == .success)
        eventually { packets.count == before + 2 }
        #expect(listener.poll() == .success && listener.poll() == .success && listener.poll() == .timeout)
    }

    @Test func `A receiver that gives up leaves no message unannounced`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let packets = CountingAnnouncer()
        #expect(try listener.announce(to: packets) == .success)
        var taken = 0, announced = 0
        for round in 0 ..< 400 {
            let before = packets.count
            let call = Background { listener.receive(Message(room: 256), timeout: after(milliseconds: 1)) }
            if round % 3 == 0 { usleep(UInt32(900 + round % 7 * 40)) }
            #expect(client.datagram("x") == .success)
            if call.result == .success {
                taken += 1
                continue
            }
            // Nobody waits any more: a packet must be there or come.
            eventually { packets.count > before }
            announced += 1
            #expect(listener.poll() == .success)
        }
        #expect(taken + announced == 400)
    }

    @Test(.disabled(if: underThreadSanitizer, "it does not survive a thread that ends in a call which it watches"))
    func `A receiver whose thread ends is waited for by no message`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected()
        let packets = CountingAnnouncer()
        #expect(try listener.announce(to: packets) == .success)
        for receiver in [listener, server, listener] {
            let call = Background { receiveUntilEnded(receiver) }
            settle()
            call.kill()
            let before = packets.count
            #expect(client.datagram("x") == .success)
            eventually { packets.count == before + 1 }
            #expect(listener.poll() == .success)
        }
    }

    @Test func `A poll that is quicker than the watcher takes no packet away`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let packets = CountingAnnouncer()
        #expect(try listener.announce(to: packets) == .success)
        for number in 1 ... 500 {
            #expect(client.datagram("x") == .success)
            #expect(listener.poll() == .success)
            if number % 100 == 0 { eventually { packets.count == number } }
        }
    }

    @Test func `A communication port's own association takes its messages over`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let (firstServer, first) = try scene.client(listener)
        let (_, second) = try scene.client(listener)
        let all = CountingAnnouncer(), own = CountingAnnouncer()
        #expect(try listener.announce(to: all) == .success)
        #expect(try firstServer.announce(to: own) == .success)
        #expect(first.datagram("1") == .success)
        eventually { own.count == 1 }
        #expect(second.datagram("2") == .success)
        eventually { all.count == 1 }
        settle()
        #expect(own.count == 1 && all.count == 1)
    }

    @Test func `A client's association hears of the accept, of messages, and of the server's end`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let client = try scene.pending(ConnectOptions(attributes: usual()))
        let packets = CountingAnnouncer()
        #expect(try client.announce(to: packets) == .success)
        let server = try scene.admit(listener)
        eventually { packets.count == 1 }
        #expect(try client.take().kind == 11)
        #expect(server.datagram("from the server") == .success)
        eventually { packets.count == 2 }
        #expect(try client.take().text == "from the server")
        // An answer to an asynchronous request comes through the queue.
        #expect(client.send("question") == .success)
        let question = try listener.take()
        #expect(listener.send(Message(answering: question, pattern(3)), 0x10000) == .success)
        eventually { packets.count == 3 }
        #expect(try client.take().kind == 2)
        #expect(scene.close(server) == .success)
        eventually { packets.count == 4 }
        #expect(client.poll() == .portDisconnected)
    }

    @Test func `A refusal is announced`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let client = try scene.pending()
        let packets = CountingAnnouncer()
        #expect(try client.announce(to: packets) == .success)
        #expect(accept(listener, try listener.take(), accepts: false).status == .success)
        eventually { packets.count == 1 }
        #expect(client.poll() == .portConnectionRefused)
    }

    @Test func `Synchronous requests are announced, their answers are not`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let packets = CountingAnnouncer(), replies = CountingAnnouncer()
        #expect(try listener.announce(to: packets) == .success)
        #expect(try client.announce(to: replies) == .success)
        for number in 1 ... 10 {
            let answer = Message(room: 256)
            let call = Background { client.request(Message(pattern(8, seed: number)), answer) }
            eventually { packets.count == number }
            let request = try listener.take()
            #expect(request.payload == pattern(8, seed: number))
            #expect(listener.send(Message(answering: request, request.payload), 0x10000) == .success)
            #expect(call.result == .success && answer.payload == pattern(8, seed: number))
        }
        #expect(replies.count == 0)
    }

    @Test func `A message whose receiver's memory was bad is announced again`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let packets = CountingAnnouncer()
        #expect(try listener.announce(to: packets) == .success)
        #expect(client.datagram("x") == .success)
        eventually { packets.count == 1 }
        let bad = BadMemory()
        var length: SIZE_T = 256
        #expect(status(NtAlpcSendWaitReceivePort(listener.handle, 0, nil, nil, bad.none.assumingMemoryBound(to: PORT_MESSAGE.self), &length, nil, nil)) == .accessViolation)
        eventually { packets.count == 2 }
        #expect(try listener.take().text == "x")
    }

    @Test func `Nobody is told after the port's end`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected()
        let packets = CountingAnnouncer()
        #expect(try server.announce(to: packets) == .success)
        #expect(scene.close(server) == .success)
        settle()
        let before = packets.count
        _ = client.datagram("x")
        settle()
        #expect(packets.count == before)
        _ = listener
    }

    @Test func `Under load each message is taken or announced`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let clients = try (0 ..< 4).map { _ in try scene.client(listener).client }
        let packets = CountingAnnouncer()
        #expect(try listener.announce(to: packets) == .success)
        let each = 1000, received = Atomic<Int>(0)
        // One receiver takes packets as a worker would; others block now and then.
        let worker = Background {
            var used = 0
            while received.load(ordering: .relaxed) < 4 * each {
                guard packets.count > used else {
                    usleep(100)
                    continue
                }
                used += 1
                while listener.poll(Message(room: 256)) == .success { received.wrappingAdd(1, ordering: .relaxed) }
            }
        }
        let blockers = (0 ..< 2).map { index in
            Background {
                while received.load(ordering: .relaxed) < 4 * each {
                    if listener.receive(Message(room: 256), timeout: -Int64(1000 + index * 777)) == .success { received.wrappingAdd(1, ordering: .relaxed) }
                    usleep(300)
                }
            }
        }
        onThreads(4) { index in
            for number in 0 ..< each {
                #expect(clients[index].datagram(Message(withUnsafeBytes(of: UInt32(number)) { Array($0) })) == .success)
                if number % 50 == 0 { usleep(500) }
            }
        }
        worker.result
        for one in blockers { one.result }
        #expect(received.load(ordering: .relaxed) == 4 * each)
        #expect(listener.poll() == .timeout)
    }
}
