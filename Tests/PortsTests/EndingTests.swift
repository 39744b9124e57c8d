// Closing, disconnecting and dying: section G of the scenarios.

import CNTTypes
import Glibc
import NTTypes
import Testing

@Suite(.guarded) struct EndingTests {
    /// Receives until the queue is empty: the low bytes of the types, with their data lengths.
    private func drain(_ port: Port) -> [[UInt16]] {
        var all: [[UInt16]] = []
        let buffer = Message(room: 4096)
        while port.poll(buffer) == .success {
            all.append([buffer.type, buffer.dataLength])
            buffer.length = 4096
        }
        return all
    }

    @Test func `G-01 G-18 A client's close is told with the connection's context`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected(context: 0x55)
        #expect(scene.close(client) == .success)
        let attributes = Attributes()
        let message = try listener.take(attributes)
        #expect(message.type == 5 && message.dataLength == 8)
        #expect(attributes.valid & Attributes.context != 0 && attributes.portContext == 0x55)
        #expect(listener.poll() == .timeout)
        #expect(listener.datagram(Message(answering: message)) == .invalidMessage)
    }

    @Test func `G-02 A datagram that nobody read before the close is only noticed`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        #expect(client.datagram("abc") == .success)
        #expect(scene.close(client) == .success)
        let notice = try listener.take()
        #expect(notice.type == 12 && notice.dataLength == 0)
        #expect(try listener.take().type == 5)
        #expect(listener.poll() == .timeout)
    }

    @Test func `G-03 Requests that were held are noticed each, and the close once`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        var ids: Set<UInt32> = []
        for _ in 0 ..< 2 {
            #expect(client.send("q") == .success)
            ids.insert(try listener.take().id)
        }
        #expect(scene.close(client) == .success)
        var noticed: Set<UInt32> = [], closes = 0
        for _ in 0 ..< 3 {
            let message = try listener.take()
            #expect(message.type & 0x2000 == 0)
            if message.kind == 12 { noticed.insert(message.id) } else { closes += message.kind == 5 ? 1 : 0 }
        }
        #expect(noticed == ids && closes == 1)
        #expect(listener.poll() == .timeout)
        for id in ids { #expect(listener.datagram(Message([], id: id)) == .requestCanceled) }
    }

    @Test func `G-04 A killed client is a closed one`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let peer = try Peer()
        peer.tell("connect K sync \(scene.name)")
        _ = try scene.admit(listener, context: 0x42)
        #expect(peer.answer() == "STATUS_SUCCESS")
        #expect(peer.call("send K 0 held") == "STATUS_SUCCESS")
        let held = try listener.take()
        #expect(held.text == "held" && held.process == UInt64(peer.pid))
        peer.kill()
        var kinds: [UInt16] = []
        for _ in 0 ..< 2 {
            let attributes = Attributes(Attributes.context)
            let message = try listener.take(attributes)
            #expect(attributes.portContext == 0x42 && message.process == UInt64(peer.pid))
            kinds.append(message.type)
        }
        #expect(Set(kinds) == [12, 5])
        #expect(listener.datagram(Message(answering: held)) == .requestCanceled)
    }

    @Test func `G-05 A client whose server closed its port is disconnected`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected()
        #expect(scene.close(server) == .success)
        #expect(client.datagram("x") == .portDisconnected)
        #expect(client.send("x") == .portDisconnected)
        #expect(client.request("x", Message(room: 256)) == .portDisconnected)
        #expect(client.receive(Message(room: 256)) == .portDisconnected)
        // The listener serves others.
        _ = try scene.client(listener)
    }

    @Test func `G-06 G-07 G-08 G-09 A port is disconnected once, with flags that exist`() throws {
        let scene = Scene()
        defer { scene.end() }
        for flags in [0, 1] as [UInt32] {
            let (listener, server, client) = try Scene.fresh(scene)
            #expect(client.disconnect(2) == .invalidParameter)
            #expect(client.disconnect(0x8000_0000) == .invalidParameter)
            #expect(client.disconnect(flags) == .success)
            #expect(client.datagram("x") == .portDisconnected)
            #expect(client.disconnect(flags) == .portDisconnected)
            // G-10: the server hears of it.
            #expect(try listener.take().kind == 5)
            _ = server
        }
    }

    @Test func `G-11 A server that disconnects and keeps its handle does not stop its client's sends`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let name = scene.name
        let call = Background { connect(name, .waiting()) }
        let server = try scene.admit(listener)
        #expect(call.result.status == .success)
        let client = scene.keep(call.result.port)
        #expect(server.disconnect() == .success)
        #expect(client.send("x") == .success)
        #expect(server.datagram("x") == .portDisconnected)
        #expect(server.disconnect() == .portDisconnected)
    }

    @Test(arguments: [false, true], [false, true]) func `G-12 A waiting request ends with its server`(received: Bool, both: Bool) throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected()
        let call = Background { client.request("q", Message(room: 256)) }
        if received { _ = try listener.take() } else { settle(100) }
        #expect(scene.close(server) == .success)
        if both { #expect(scene.close(listener) == .success) }
        #expect(call.result == (received ? .messageLost : .portDisconnected))
    }

    @Test func `G-13 A receive ends when its port is closed`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let (_, client) = try scene.client(listener)
        for port in [client, listener] {
            _ = drain(listener)
            let calls = (0 ..< 3).map { _ in Background { port.receive(Message(room: 256)) } }
            settle(100)
            #expect(calls.allSatisfy { !$0.isDone })
            #expect(scene.close(port) == .success)
            for call in calls { #expect([.portClosed, .invalidHandle].contains(call.result)) }
        }
    }

    @Test func `G-13 A receive on a communication port ends when it is closed`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (_, server, _) = try scene.connected()
        let calls = (0 ..< 2).map { _ in Background { server.receive(Message(room: 256)) } }
        settle(100)
        #expect(scene.close(server) == .success)
        for call in calls { #expect([.portClosed, .invalidHandle, .portDisconnected].contains(call.result)) }
    }

    @Test func `A waiting request ends when its own port is closed`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let call = Background { client.request("q", Message(room: 256)) }
        let request = try listener.take()
        #expect(scene.close(client) == .success)
        #expect([.portClosed, .invalidHandle, .messageLost].contains(call.result))
        #expect(Set(drain(listener).map { $0[0] }).contains(5))
        #expect(listener.datagram(Message(answering: request)) == .requestCanceled)
    }

    @Test func `G-14 G-15 Closing the connection port ends its conversations and its name`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        #expect(scene.close(listener) == .success)
        #expect(client.datagram("x") == .portDisconnected)
        #expect(connect(scene.name).status == .objectNameNotFound)
        _ = try scene.create()
        _ = try scene.pending()
    }

    @Test(.disabled(if: underAddressSanitizer, "it takes the unwound stack of an ended thread for an overrun"))
    func `G-16 The reply to an ended thread is cancelled`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let peer = try Peer()
        peer.tell("connect K sync \(scene.name)")
        _ = try scene.admit(listener)
        #expect(peer.answer() == "STATUS_SUCCESS")
        peer.tell("threadkill K hello")
        let request = try listener.take()
        #expect(request.text == "hello")
        #expect(peer.answer() == "STATUS_SUCCESS")
        // The cancellation travels like a message: look until it has come.
        #expect(listener.receive(Message(room: 256), timeout: after(milliseconds: 50)) == .timeout)
        #expect(listener.datagram(Message(answering: request)) == .requestCanceled)
        #expect(listener.datagram(Message(answering: request)) == .invalidMessage)
        // The process and its port live on.
        peer.tell("request K 60000 again")
        let next = try listener.take()
        #expect(next.text == "again")
        #expect(listener.datagram(Message(answering: next)) == .success)
        #expect(peer.answer().hasPrefix("SUCCESS type=0x2"))
    }

    @Test func `G-17 A port lives as long as one of its handles`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        var twin: HANDLE?
        let current = HANDLE(bitPattern: -1)
        #expect(status(NtDuplicateObject(current, client.handle, current, &twin, 0, 0, 2)) == .success)
        let second = scene.keep(Port(handle: twin))
        #expect(scene.close(client) == .success)
        #expect(listener.poll() == .timeout)
        #expect(second.datagram("x") == .success)
        #expect(try listener.take().text == "x")
        #expect(scene.close(second) == .success)
        #expect(try listener.take().kind == 5)
    }

    @Test func `A killed server ends its clients' calls`() throws {
        let scene = Scene()
        defer { scene.end() }
        let peer = try Peer()
        #expect(peer.call("create C 0x20000 4096 \(scene.name)") == "STATUS_SUCCESS")
        var clients: [Port] = []
        for _ in 0 ..< 3 {
            let client = try scene.pending()
            #expect(peer.call("receive C 60000").hasPrefix("SUCCESS type=0x200a"))
            #expect(peer.call("accept C S 1") == "STATUS_SUCCESS")
            #expect(try client.take().kind == 11)
            clients.append(client)
        }
        let (first, second, third) = (clients[0], clients[1], clients[2])
        let received = Background { first.request("q", Message(room: 256)) }
        #expect(peer.call("receive C 60000").contains("text=q"))
        let unreceived = Background { second.request("r", Message(room: 256)) }
        let receiver = Background { third.receive(Message(room: 256)) }
        let name = scene.name
        let connecting = Background { connect(name, .waiting()).status }
        settle(100)
        peer.kill()
        #expect([.messageLost, .portDisconnected].contains(received.result))
        #expect([.messageLost, .portDisconnected].contains(unreceived.result))
        #expect(receiver.result == .portDisconnected)
        #expect(connecting.result == .portConnectionRefused)
        for client in clients { #expect(client.datagram("x") == .portDisconnected) }
        #expect(connect(scene.name).status == .objectNameNotFound)
    }

    @Test func `A killed server ends LPC requests with a lost reply`() throws {
        let scene = Scene()
        defer { scene.end() }
        let peer = try Peer()
        #expect(peer.call("lpccreate C 512 \(scene.name)") == "STATUS_SUCCESS")
        let name = scene.name
        let call = Background { () -> NTStatus in
            let made = lpcConnect(name)
            guard made.status == .success else { return made.status }
            defer { _ = made.port.close() }
            return made.port.lpcRequest("q", Message(room: 512))
        }
        #expect(peer.call("lpcreceive C 60000").hasPrefix("SUCCESS type=0xa "))
        #expect(peer.call("lpcaccept S 1") == "STATUS_SUCCESS")
        #expect(peer.call("lpccomplete S") == "STATUS_SUCCESS")
        #expect(peer.call("lpcreceive C 60000").hasPrefix("SUCCESS type=0x1 "))
        peer.kill()
        #expect(call.result == .lpcReplyLost)
    }
}

extension Scene {
    /// A connected pair under a name of its own.
    static func fresh(_ scene: Scene) throws -> (listener: Port, server: Port, client: Port) {
        let inner = Scene()
        let made = try inner.connected()
        for port in [made.listener, made.server, made.client] { scene.keep(port) }
        return made
    }

    @Test func `A connection port can be disconnected once`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        #expect(listener.disconnect() == .success)
        #expect(listener.disconnect() == .portDisconnected)
    }
}
