// Waits that an APC ends: section 17, point 24. The host's waits are a double that a test can end.

import CLinuxShims
import CNTTypes
import Glibc
import NTTypes
import Synchronization
import Testing

extension Port {
    /// Receives alertably.
    func receiveAlertably(_ buffer: Message, timeout: Int64 = guardTime) -> NTStatus {
        _ = HostDouble.isInstalled
        var time = LARGE_INTEGER()
        time.QuadPart = timeout
        return status(NtAlpcSendWaitReceivePort(handle, 0x200000, nil, nil, buffer.pointer, &buffer.length, nil, &time))
    }

    func requestAlertably(_ message: Message, _ answer: Message, timeout: Int64 = guardTime) -> NTStatus {
        _ = HostDouble.isInstalled
        var time = LARGE_INTEGER()
        time.QuadPart = timeout
        return status(NtAlpcSendWaitReceivePort(handle, 0x220000, message.pointer, nil, answer.pointer, &answer.length, nil, &time))
    }
}

@Suite(.guarded) struct AlertableWaitTests {
    @Test func `An alertable receive takes messages, times out, and is ended by an APC`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected()
        for port in [listener, server] {
            #expect(client.datagram("there already") == .success)
            let buffer = Message(room: 256)
            #expect(port.receiveAlertably(buffer) == .success && buffer.text == "there already")
            let call = Background { () -> String in
                let buffer = Message(room: 256)
                return port.receiveAlertably(buffer) == .success ? buffer.text : "failed"
            }
            settle()
            #expect(client.datagram("comes") == .success)
            #expect(call.result == "comes")
            #expect(port.receiveAlertably(Message(room: 256), timeout: 0) == .timeout)
            #expect(port.receiveAlertably(Message(room: 256), timeout: after(milliseconds: 30)) == .timeout)
            let thread = Atomic<Int32>(0)
            let alerted = Background {
                thread.store(gettid(), ordering: .releasing)
                return port.receiveAlertably(Message(room: 256))
            }
            settle()
            HostDouble.queueAPC(thread.load(ordering: .acquiring))
            #expect(alerted.result == .userApc)
        }
        #expect(client.datagram("after") == .success)
        #expect(try listener.take().text == "after")
    }

    @Test func `A client receives alertably what its server sends`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (_, server, client) = try scene.connected(client: usual())
        let call = Background { () -> String in
            let buffer = Message(room: 256)
            return client.receiveAlertably(buffer) == .success ? buffer.text : "failed"
        }
        settle()
        #expect(server.datagram("news") == .success)
        #expect(call.result == "news")
        let ended = Background { client.receiveAlertably(Message(room: 256)) }
        settle()
        #expect(scene.close(server) == .success)
        #expect(ended.result == .portDisconnected)
    }

    @Test func `An alertable request gets its answer`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        for round in 0 ..< 20 {
            let answer = Message(room: 256)
            let call = Background { client.requestAlertably(Message(pattern(20, seed: round)), answer) }
            let request = try listener.take()
            #expect(request.payload == pattern(20, seed: round) && request.kind == 1)
            #expect(listener.send(Message(answering: request, pattern(30, seed: round)), 0x10000) == .success)
            #expect(call.result == .success && answer.payload == pattern(30, seed: round) && answer.kind == 2)
            #expect(answer.id == request.id && answer.length == 70)
        }
        #expect(client.poll() == .timeout)
    }

    @Test func `An APC leaves the request in flight, and its answer is received later`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let thread = Atomic<Int32>(0)
        let call = Background {
            thread.store(gettid(), ordering: .releasing)
            return client.requestAlertably("question", Message(room: 256))
        }
        let request = try listener.take()
        HostDouble.queueAPC(thread.load(ordering: .acquiring))
        #expect(call.result == .userApc)
        #expect(client.poll() == .timeout)
        #expect(listener.send(Message(answering: request, pattern(4)), 0x10000) == .success)
        let answer = try client.take()
        #expect(answer.kind == 2 && answer.id == request.id && answer.payload == pattern(4))
    }

    @Test(.disabled(if: underThreadSanitizer, "it does not survive a thread that ends in a call which it watches"))
    func `The end of its thread gives a request up`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        _ = HostDouble.isInstalled
        let killed = Background { requestUntilEnded(client, flags: 0x220000) }
        let request = try listener.take()
        settle()
        killed.kill()
        eventually { listener.send(Message(answering: request), 0x10000) != .success }
        #expect(client.requestAlertably("none", Message(room: 256), timeout: 0) == .timeout)
    }

    @Test func `A time-out and the server's end give the request up`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected()
        #expect(client.requestAlertably("unseen", Message(room: 256), timeout: after(milliseconds: 30)) == .timeout)
        #expect(listener.poll() == .timeout)
        let late = Background { client.requestAlertably("late", Message(room: 256), timeout: after(milliseconds: 200)) }
        let request = try listener.take()
        #expect(late.result == .timeout)
        eventually { listener.send(Message(answering: request), 0x10000) != .success }
        let lost = Background { client.requestAlertably("lost", Message(room: 256)) }
        _ = try listener.take()
        settle()
        #expect(scene.close(server) == .success)
        #expect(lost.result == .messageLost)
        #expect(client.requestAlertably("none", Message(room: 256)) == .portDisconnected)
    }

    @Test func `An answer that does not fit stays for a larger buffer`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let small = Message(room: 60)
        let call = Background { client.requestAlertably("question", small) }
        let request = try listener.take()
        #expect(listener.send(Message(answering: request, pattern(100)), 0x10000) == .success)
        #expect(call.result == .bufferTooSmall && small.length == 140)
        #expect(try client.take().payload == pattern(100))
    }

    @Test func `A server asks alertably inside and outside a request`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected(client: usual())
        let answer = Message(room: 256)
        let ask = Background { server.requestAlertably("are you there", answer) }
        let question = try client.take()
        #expect(question.text == "are you there")
        #expect(client.send(Message(answering: question, pattern(7)), 0x10000) == .success)
        #expect(ask.result == .success && answer.payload == pattern(7))
        // Inside: the server answers without release and waits for the next hop.
        let first = Message(room: 256)
        let request = Background { client.requestAlertably("open", first) }
        let held = try listener.take()
        let hop = Message(room: 256)
        let inner = Background { listener.requestAlertably(Message(answering: held, pattern(2)), hop) }
        #expect(request.result == .success && first.payload == pattern(2) && first.kind == 1)
        let last = Message(room: 256)
        let closing = Background { client.requestAlertably(Message(answering: first, pattern(3)), last) }
        #expect(inner.result == .success && hop.payload == pattern(3))
        #expect(listener.send(Message(answering: hop, pattern(4)), 0x10000) == .success)
        #expect(closing.result == .success && last.payload == pattern(4) && last.kind == 2)
    }

    @Test func `Alertable receivers count as blocked for announcements`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let packets = CountingAnnouncer()
        #expect(try listener.announce(to: packets) == .success)
        let thread = Atomic<Int32>(0)
        let call = Background { listener.receiveAlertably(Message(room: 256)) }
        settle()
        #expect(client.datagram("x") == .success)
        #expect(call.result == .success && packets.count == 0)
        let alerted = Background {
            thread.store(gettid(), ordering: .releasing)
            return listener.receiveAlertably(Message(room: 256))
        }
        settle()
        HostDouble.queueAPC(thread.load(ordering: .acquiring))
        #expect(alerted.result == .userApc)
        #expect(client.datagram("y") == .success)
        eventually { packets.count == 1 }
    }

    @Test func `Alertable and plain receivers share the messages of many clients`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let clients = try (0 ..< 3).map { _ in try scene.client(listener).client }
        let each = 400, received = Atomic<Int>(0)
        let receivers = (0 ..< 4).map { index in
            Background {
                while received.load(ordering: .relaxed) < 3 * each {
                    let buffer = Message(room: 256)
                    let outcome = index % 2 == 0 ? listener.receiveAlertably(buffer, timeout: after(milliseconds: 20)) : listener.receive(buffer, timeout: after(milliseconds: 20))
                    if outcome == .success { received.wrappingAdd(1, ordering: .relaxed) }
                }
            }
        }
        onThreads(3) { index in
            for _ in 0 ..< each { #expect(clients[index].datagram("x") == .success) }
        }
        for one in receivers { one.result }
        #expect(received.load(ordering: .relaxed) == 3 * each)
    }
}
