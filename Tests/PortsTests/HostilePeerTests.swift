// Clients that break the rules of cancellation, of questions over the control socket and of full queues.

import CNTTypes
import CWireFormat
import Glibc
import NTTypes
import Testing
import Transport

@Suite(.guarded) struct HostilePeerTests {
    private func connected(_ scene: Scene, _ attributes: ALPC_PORT_ATTRIBUTES = usual(flags: 0x20000, limit: 0xFFFF)) throws
        -> (client: RawClient, listener: Port, server: Port) {
        let listener = try scene.create(attributes)
        let client = try RawClient(scene.name)
        client.connect()
        eventually { listener.wait(0) == .success || attributes.Flags & 0x40000 == 0 }
        let request = try listener.take()
        #expect(request.kind == 10)
        return (client, listener, scene.keep(accept(listener, Message(answering: request)).port))
    }

    /// The link has ended; the port knows, and serves others.
    private func expectEnd(_ client: RawClient, _ listener: Port, _ scene: Scene) throws {
        eventually { client.isCutOff }
        var last = try listener.take(room: 0x10000)
        while last.kind != 5 { last = try listener.take(room: 0x10000) }
        _ = try scene.client(listener)
    }

    // MARK: Questions

    @Test func `An answer to no question ends the link`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (client, listener, _) = try connected(scene)
        client.question { $0.operation = NTLPC_DATA_ANSWER }
        try expectEnd(client, listener, scene)
    }

    @Test(arguments: [NTLPC_DATA_READ, NTLPC_DATA_WRITE, 0, 5, UInt32.max]) func `A client cannot ask for its server's memory, nor what nobody asks`(operation: UInt32) throws {
        let scene = Scene()
        defer { scene.end() }
        let (client, listener, _) = try connected(scene)
        client.question { $0.operation = operation }
        try expectEnd(client, listener, scene)
    }

    @Test func `Packets of the wrong size end the link`() throws {
        for extra in [1, 100, Int(NTLPC_DATA_BYTES)] {
            let scene = Scene()
            defer { scene.end() }
            let (client, listener, _) = try connected(scene)
            client.question([UInt8](repeating: 1, count: extra)) { $0.operation = NTLPC_DATA_CANCEL }
            try expectEnd(client, listener, scene)
        }
    }

    @Test func `A cancel question gets a status whatever it names, and the link lives`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (client, listener, _) = try connected(scene)
        let (_, other) = try scene.client(listener)
        let victim: Message = "other"
        #expect(other.send(victim) == .success)
        let own = client.send(UInt16(NTLPC_FRAME_MESSAGE), flags: 0, [1])
        func ask(_ id: UInt32, _ connection: UInt32, isTry: UInt32 = 0) -> UInt32 {
            client.question {
                $0.operation = NTLPC_DATA_CANCEL
                $0.serial = 7
                $0.message = id
                $0.entry = connection
                $0.length = isTry
            }
            let answer = client.answer()
            #expect(answer?.serial == 7 && answer?.operation == NTLPC_DATA_ANSWER)
            return UInt32(bitPattern: answer?.status ?? 0)
        }
        for id in [0, 1, 4, UInt32.max, 0x8000_0000, own ^ 1 << 30, victim.id] { #expect(ask(id, RawClient.connection) == 0xC000_0702) }
        #expect(ask(own, 0) == 0xC000_0022)
        #expect(ask(own, RawClient.connection + 1) == 0xC000_0022)
        #expect(ask(own, RawClient.connection, isTry: 1) == 0x103)
        #expect(ask(own, RawClient.connection) == 0xC000_0703)
        #expect(!client.isCutOff)
        // Two links have no order between them.
        #expect(try Set([listener.take().kind, listener.take().kind]) == [1, 12])
    }

    @Test func `A client that answers a cancel with nonsense is not believed`() throws {
        for spoil in 0 ..< 4 {
            let scene = Scene()
            defer { scene.end() }
            let (client, listener, server) = try connected(scene)
            let sent: Message = "datagram"
            #expect(server.datagram(sent) == .success)
            let call = Background { server.cancel(sent.id) }
            guard let question = client.answer() else {
                Issue.record("no question")
                return
            }
            #expect(question.operation == NTLPC_DATA_CANCEL && question.message == sent.id)
            client.question(spoil == 3 ? [1] : []) {
                $0.operation = NTLPC_DATA_ANSWER
                $0.serial = spoil == 2 ? question.serial &+ 1 : question.serial
                $0.status = spoil == 0 ? Int32(bitPattern: 0xC0FF_EE00) : spoil == 1 ? 0x0BAD_F00D : 0x103
            }
            if spoil < 2 {
                // Asked again, because the message may have been on its way.
                guard let again = client.answer() else {
                    Issue.record("not asked again")
                    return
                }
                client.question {
                    $0.operation = NTLPC_DATA_ANSWER
                    $0.serial = again.serial
                    $0.status = 0
                }
                #expect(call.result == .invalidMessage)
            } else {
                #expect(call.result == .portDisconnected)
                try expectEnd(client, listener, scene)
            }
        }
    }

    // MARK: Cancels

    @Test func `Cancels of everything and nothing, for every reason, end no link and no message of others`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (client, listener, _) = try connected(scene)
        let (_, other) = try scene.client(listener)
        let victim: Message = "other"
        #expect(other.send(victim) == .success)
        let held = client.send(UInt16(NTLPC_FRAME_MESSAGE), flags: 0, [1])
        var kinds: [UInt16] = []
        for _ in 0 ..< 2 { kinds.append(try listener.take().kind) }
        #expect(kinds == [1, 1])
        for reason in [0, 1, 2, 3, 4, 8] as [UInt16] {
            for id in [0, 1, 4, UInt32.max, 0x8000_0000, held ^ 1 << 30, victim.id] {
                client.send(UInt16(NTLPC_FRAME_CANCEL), flags: reason, [], id: id)
                client.send(UInt16(NTLPC_FRAME_CANCEL), flags: reason, [], id: id, connection: 0)
            }
        }
        client.send(UInt16(NTLPC_FRAME_MESSAGE), flags: UInt16(NTLPC_FRAMEFLAG_RELEASE), Array("still here".utf8))
        var got = try listener.take()
        var lost = 0
        while got.kind == 4 {
            lost += 1
            got = try listener.take()
        }
        #expect(got.text == "still here" && lost == 7)
        #expect(!client.isCutOff)
        #expect(listener.datagram(Message(id: victim.id)) == .success)
        #expect(try other.take().kind == 2)
        #expect(listener.datagram(Message(id: held)) == .success)
    }

    // MARK: Full queues

    @Test(arguments: [NTLPC_FRAME_MESSAGE, NTLPC_FRAME_CANCEL, NTLPC_FRAME_THREAD_DIED]) func `A client that does not stop when its server is full is cut off`(kind: UInt32) throws {
        let scene = Scene()
        defer { scene.end() }
        // The watcher empties the ring of a waitable port, so the ring is never full.
        let (client, listener, _) = try connected(scene, QuotaTests.attributes(pool: 10_000, flags: 0x60000))
        var sent = 0
        while !client.isCutOff && sent < 2_000_000 {
            switch kind {
            case NTLPC_FRAME_MESSAGE: client.send(UInt16(kind), flags: UInt16(NTLPC_FRAMEFLAG_RELEASE), [UInt8](repeating: 1, count: 8000))
            case NTLPC_FRAME_CANCEL: client.send(UInt16(kind), flags: UInt16(NTLPC_CANCEL_ANSWER_LOST), [], id: 4)
            default: client.send(UInt16(kind), flags: 0, [UInt8](repeating: 1, count: 8))
            }
            sent += 1
        }
        #expect(client.isCutOff)
        // What came before counts; the flood ended at a few megabytes.
        #expect(sent < 300_000, "\(sent)")
        let buffer = Message(room: 0x10000)
        var last: UInt16 = 0
        while listener.poll(buffer) == .success {
            last = buffer.kind
            buffer.length = 0x10000
        }
        #expect(last == 5)
    }
}
