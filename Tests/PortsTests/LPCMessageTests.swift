// LPC messages: section C of the scenarios. Impersonation, data entries and queries (C-26 to C-35) are not served yet.

import CNTTypes
import Glibc
import NTTypes
import Synchronization
import Testing

@Suite(.guarded) struct LPCMessageTests {
    @Test func `C-01 C-02 C-03 A datagram arrives with its sender's id and leaves the sender's buffer alone`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.lpcConnected()
        for receiver in [server, listener] {
            let sent = Message(pattern(4)), before = sent.bytes
            #expect(client.lpcDatagram(sent) == .success)
            #expect(sent.bytes == before)
            let message = try receiver.lpcTake()
            #expect(message.type == 3)
            #expect(message.payload == pattern(4) && message.totalLength == 44)
            #expect(message.process == UInt64(getpid()) && message.thread == UInt64(gettid()))
            #expect(message.hasCleanTail)
        }
    }

    @Test func `C-04 Messages bring their connection's context, requests to connect bring none`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.lpcConnected(context: 0x1234)
        let message = Message(room: 1024)
        var context = PVOID(bitPattern: 1)
        #expect(client.lpcDatagram("x") == .success)
        #expect(status(NtReplyWaitReceivePort(listener.handle, &context, nil, message.pointer)) == .success)
        #expect(context == PVOID(bitPattern: 0x1234))
        let name = scene.name
        let call = Background { lpcConnect(name).status }
        #expect(status(NtReplyWaitReceivePort(listener.handle, &context, nil, message.pointer)) == .success)
        #expect(message.type == 10 && context == nil)
        #expect(lpcAccept(message, accepts: false).status == .success)
        #expect(call.result == .portConnectionRefused)
    }

    @Test func `C-05 C-06 A request gets its reply and the replier's buffer stays as it is`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.lpcConnected()
        let answer = Message(room: 512)
        let call = Background { client.lpcRequest("question", answer) }
        let request = try listener.lpcTake()
        #expect(request.type == 1 && request.text == "question" && request.id != 0)
        let reply = Message(answering: request, Array("answer".utf8)), before = reply.bytes
        #expect(listener.lpcReply(reply) == .success)
        #expect(reply.bytes == before && reply.type == 1)
        #expect(call.result == .success)
        #expect(answer.type == 2 && answer.id == request.id && answer.text == "answer")
        #expect(answer.hasCleanTail)
    }

    @Test func `C-05 Request and reply may share a buffer`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.lpcConnected()
        let buffer = Message(Array("question".utf8), room: 512)
        let call = Background { client.lpcRequest(buffer, buffer) }
        let request = try listener.lpcTake()
        #expect(listener.lpcReply(Message(answering: request, pattern(300))) == .success)
        #expect(call.result == .success)
        #expect(buffer.type == 2 && buffer.payload == pattern(300) && buffer.hasCleanTail)
    }

    @Test func `C-07 One call answers a request and receives the next`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.lpcConnected()
        let rounds = 20
        let call = Background { () -> [String] in
            (0 ..< rounds).map { round in
                let answer = Message(room: 512)
                guard client.lpcRequest(Message(Array("\(round)".utf8)), answer) == .success else { return "failed" }
                return answer.text
            }
        }
        let request = try listener.lpcTake()
        for round in 0 ..< rounds {
            #expect(request.text == "\(round)")
            let answer = Message(answering: request, Array("re \(round)".utf8))
            if round < rounds - 1 {
                #expect(listener.lpcReceive(request, answering: answer) == .success)
            } else {
                #expect(listener.lpcReply(answer) == .success)
            }
        }
        #expect(call.result == (0 ..< rounds).map { "re \($0)" })
    }

    @Test func `C-08 A datagram must not pretend to be a request or a death`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.lpcConnected()
        for type in [1, 6] as [UInt16] { #expect(client.lpcDatagram(Message([1], type: type)) == .invalidParameter) }
        #expect(listener.lpcReceive(Message(room: 512), timeout: 0) == .timeout)
    }

    @Test func `C-09 A request with the type of a connection request is a plain request`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.lpcConnected()
        let answer = Message(room: 512)
        let call = Background { client.lpcRequest(Message([1], type: 10), answer) }
        let request = try listener.lpcTake()
        #expect(request.type == 1)
        #expect(listener.lpcReply(request) == .success)
        #expect(call.result == .success)
    }

    @Test func `C-10 Messages above the limit are too long, those of the limit are not`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.lpcConnected(limit: 200)
        let long = Message(pattern(161))
        #expect(client.lpcDatagram(long) == .portMessageTooLong)
        #expect(client.lpcRequest(long, Message(room: 512)) == .portMessageTooLong)
        let answer = Message(room: 512)
        let call = Background { client.lpcRequest(Message(pattern(160)), answer) }
        let request = try listener.lpcTake()
        #expect(request.payload == pattern(160))
        #expect(listener.lpcReply(Message(answering: request, pattern(161))) == .portMessageTooLong)
        #expect(listener.lpcReply(Message(answering: request, pattern(160))) == .success)
        #expect(call.result == .success)
        #expect(answer.payload == pattern(160))
    }

    @Test func `C-11 C-12 Lengths that clash and data entries in datagrams are invalid`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.lpcConnected()
        let clash = Message(pattern(16))
        clash.totalLength = 48
        #expect(client.lpcDatagram(clash) == .invalidParameter)
        #expect(client.lpcRequest(clash, Message(room: 512)) == .invalidParameter)
        let entries = Message(pattern(16))
        entries.dataInfoOffset = 40
        #expect(client.lpcDatagram(entries) == .invalidParameter)
        // A total that is larger than it must be is legal in LPC.
        let loose = Message(pattern(16))
        loose.totalLength = 64
        #expect(client.lpcDatagram(loose) == .success)
        #expect(try listener.lpcTake().payload == pattern(16))
    }

    @Test func `C-13 C-14 A reply names a message, once`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.lpcConnected()
        #expect(listener.lpcReply(Message([1])) == .invalidParameter)
        let mayEnd = Atomic<Bool>(false)
        let call = Background {
            let outcome = client.lpcRequest("x", Message(room: 512))
            eventually { mayEnd.load(ordering: .acquiring) }
            return outcome
        }
        let request = try listener.lpcTake()
        #expect(listener.lpcReply(request) == .success)
        #expect(listener.lpcReply(request) == .replyMessageMismatch)
        mayEnd.store(true, ordering: .releasing)
        #expect(call.result == .success)
        // Its thread has ended ([R] ROS-LPC); the kernel lets go of it a moment later.
        #expect([.invalidCid, .replyMessageMismatch].contains(listener.lpcReply(request)))
    }

    @Test func `C-15 A reply that nobody waits for is a mismatch`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, _) = try scene.lpcConnected()
        for id in [4, 0x3FFF_FFFC, 0x7FFF_FFF0, 0xFFFF_FFFF] as [UInt32] {
            let reply = Message([1], id: id)
            reply.process = UInt64(getpid())
            reply.thread = UInt64(gettid())
            #expect(listener.lpcReply(reply) == .replyMessageMismatch, "id \(id)")
            #expect(server.lpcReply(reply) == .replyMessageMismatch, "id \(id)")
            #expect(listener.lpcReceive(Message(room: 512), answering: reply, timeout: 0) == .replyMessageMismatch, "id \(id)")
        }
    }

    @Test func `C-16 A reply to a dead client names no thread`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.lpcCreate()
        let peer = try Peer()
        peer.tell("lpcconnect K \(scene.name)")
        let server = scene.keep(lpcAccept(try listener.lpcTake()).port)
        #expect(status(NtCompleteConnectPort(server.handle)) == .success)
        #expect(peer.answer() == "STATUS_SUCCESS")
        peer.tell("lpcrequest K hello")
        let request = try listener.lpcTake()
        peer.kill()
        #expect(try listener.lpcTake().type == 5)
        #expect(listener.lpcReply(request) == .invalidCid)
        #expect(listener.lpcReply(request) == .invalidCid)
        // Without the thread's id it can only be said that nobody waits.
        #expect(listener.lpcReply(Message([], id: request.id)) == .replyMessageMismatch)
    }

    @Test func `C-17 A server asks back inside a request`() throws {
        // The client's half answers by the ALPC call: NtReplyWaitReplyPort is not served yet.
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.lpcConnected()
        let call = Background { () -> [String] in
            let buffer = Message(Array("outer".utf8), room: 512)
            guard client.lpcRequest(buffer, buffer) == .success else { return ["request failed"] }
            let question = "type \(buffer.type) \(buffer.text) \(buffer.callbackID != 0)", id = buffer.id
            let answer = Message(answering: buffer, Array("inner answer".utf8))
            buffer.length = 512
            guard client.request(answer, buffer) == .success else { return [question, "answer failed"] }
            return [question, "type \(buffer.kind) \(buffer.text) \(buffer.id == id)"]
        }
        let request = try listener.lpcTake()
        let inner = Message(room: 512)
        let question = Message(answering: request, Array("inner".utf8), type: 1)
        #expect(server.lpcRequest(question, inner) == .success)
        #expect(inner.type & 0xFF == 2 || inner.type & 0xFF == 1)
        #expect(inner.text == "inner answer" && inner.id == request.id)
        #expect(server.lpcReply(Message(answering: inner, Array("outer answer".utf8))) == .success)
        #expect(call.result == ["type 1 inner true", "type 2 outer answer true"])
    }

    @Test func `C-18 A callback needs the id of a request`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (_, server, _) = try scene.lpcConnected()
        #expect(server.lpcRequest(Message([1], type: 1), Message(room: 512)) == .invalidParameter)
        #expect(server.lpcRequest(Message([1], type: 1, id: 0x7FFF_FFF0), Message(room: 512)) == .replyMessageMismatch)
    }

    @Test func `C-19 A client whose server closed its port is disconnected`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (_, server, client) = try scene.lpcConnected()
        #expect(scene.close(server) == .success)
        #expect(client.lpcDatagram("x") == .portDisconnected)
        #expect(client.lpcRequest("x", Message(room: 512)) == .portDisconnected)
    }

    @Test(arguments: [false, true]) func `C-20 A request whose server goes away has lost its reply`(received: Bool) throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.lpcConnected()
        let call = Background { client.lpcRequest("x", Message(room: 512)) }
        if received { _ = try listener.lpcTake() } else { settle(100) }
        #expect(scene.close(server) == .success)
        #expect(scene.close(listener) == .success)
        #expect(call.result == .lpcReplyLost)
    }

    @Test func `C-21 C-22 A receive with a time-out ends with it`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, _) = try scene.lpcConnected()
        let buffer = Message(room: 512)
        #expect(listener.lpcReceive(buffer, timeout: 0) == .timeout)
        let begin = ContinuousClock.now
        #expect(listener.lpcReceive(buffer, timeout: after(milliseconds: 50)) == .timeout)
        #expect(ContinuousClock.now - begin >= .milliseconds(50))
        #expect(buffer.isUntouched())
    }

    @Test func `C-23 The close of a client is told with eight bytes`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.lpcConnected(context: 0x99)
        #expect(scene.close(client) == .success)
        let message = Message(room: 512)
        var context: PVOID?
        #expect(status(NtReplyWaitReceivePort(listener.handle, &context, nil, message.pointer)) == .success)
        #expect(message.type == 5 && message.dataLength == 8 && message.totalLength == 48)
        #expect(context == PVOID(bitPattern: 0x99))
    }

    @Test(arguments: [1, 2]) func `C-24 C-25 A thread's end is told to each port it registered`(times: Int) throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.lpcConnected()
        let call = Background { () -> [NTStatus] in (0 ..< times).map { _ in status(NtRegisterThreadTerminatePort(client.handle)) } }
        #expect(call.result == [NTStatus](repeating: .success, count: times))
        for _ in 0 ..< times {
            let message = try listener.lpcTake()
            #expect(message.type == 6 && message.dataLength == 8)
            #expect(message.process == UInt64(getpid()) && message.thread != UInt64(gettid()))
        }
        #expect(listener.lpcReceive(Message(room: 512), timeout: 0) == .timeout)
    }

    @Test func `C-36 C-37 Closed handles and events are told apart in every call`() throws {
        let scene = Scene()
        defer { scene.end() }
        let event = scene.event()
        for (handle, expected) in [(scene.closedHandle(), .invalidHandle), (nil, .invalidHandle), (event.handle, .objectTypeMismatch)] as [(HANDLE?, NTStatus)] {
            let port = Port(handle: handle), buffer = Message(room: 512)
            #expect(status(NtListenPort(handle, buffer.pointer)) == expected)
            #expect(status(NtCompleteConnectPort(handle)) == expected)
            #expect(port.lpcDatagram("x") == expected)
            #expect(port.lpcRequest("x", buffer) == expected)
            #expect(port.lpcReply(Message([], id: 4)) == expected)
            #expect(status(NtReplyWaitReceivePort(handle, nil, nil, buffer.pointer)) == expected)
            #expect(port.lpcReceive(buffer, timeout: 0) == expected)
            #expect(status(NtRegisterThreadTerminatePort(handle)) == expected)
            #expect(buffer.isUntouched())
        }
    }

    @Test func `C-38 An LPC client talks to an ALPC port served by both kinds of calls`() throws {
        let scene = Scene()
        defer { scene.end() }
        var only = ALPC_PORT_ATTRIBUTES()
        only.MaxMessageLength = 512
        let listener = try scene.create(only)
        let name = scene.name
        let answer = Message(room: 512)
        let call = Background { () -> NTStatus in
            let made = lpcConnect(name)
            guard made.status == .success else { return made.status }
            let result = made.port.lpcRequest("question", answer)
            #expect(made.port.close() == .success)
            return result
        }
        let request = try listener.lpcTake()
        #expect(request.type & 0xFF == 10)
        let made = accept(listener, request)
        #expect(made.status == .success)
        scene.keep(made.port)
        let question = try listener.lpcTake()
        #expect(question.type & 0xFF == 1 && question.text == "question")
        let bare = Message(Array("answer".utf8), type: 2, id: question.id)
        let next = Message(room: 512)
        #expect(listener.lpcReceive(next, answering: bare) == .success)
        #expect(call.result == .success)
        #expect(answer.type == 2 && answer.text == "answer")
        #expect(next.type & 0xFF == 5)
    }
}
