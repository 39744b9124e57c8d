// LPC callbacks: a server asks back inside a request, and what answers it. C-17, C-18, E-45 of the scenarios.

import CNTTypes
import Glibc
import NTTypes
import Synchronization
import Testing

extension Port {
    /// NtReplyWaitReplyPort: the message is answer and buffer.
    func lpcReplyAndWait(_ message: Message) -> NTStatus { status(NtReplyWaitReplyPort(handle, message.pointer)) }
}

/// Holds a thread in a signal handler for ever.
enum Trap {
    private static let isHeld = Atomic<Bool>(false)

    private static let armed: Void = {
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { _ in
            Trap.isHeld.store(true, ordering: .releasing)
            while true { pause() }
        }
        sigaction(SIGUSR1, &action, nil)
    }()

    /// The calling thread may be held: those of the tests have every signal blocked.
    static func allow() {
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGUSR1)
        pthread_sigmask(SIG_UNBLOCK, &signals, nil)
    }

    static func hold(_ thread: Background<NTStatus>) {
        _ = armed
        isHeld.store(false, ordering: .releasing)
        thread.signal(SIGUSR1)
        eventually { isHeld.load(ordering: .acquiring) }
    }
}

@Suite(.guarded) struct CallbackTests {
    /// What an answering call needs: room for what comes back.
    static func answer(_ other: Message, _ text: String, type: UInt16? = nil) -> Message {
        let message = Message(Array(text.utf8), type: type ?? other.type, id: other.id, callback: other.callbackID, room: 512)
        message.process = other.process
        message.thread = other.thread
        return message
    }

    @Test func `C-17 The client's call returns with the question, and NtReplyWaitReplyPort answers it`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.lpcConnected()
        let call = Background { () -> [String] in
            let buffer = Message(Array("outer".utf8), room: 512)
            guard client.lpcRequest(buffer, buffer) == .success else { return ["request failed"] }
            let id = buffer.id, callback = buffer.callbackID
            let question = "type \(buffer.type) \(buffer.text) \(callback != 0)"
            let answer = Self.answer(buffer, "inner answer")
            guard client.lpcReplyAndWait(answer) == .success else { return [question, "answer failed"] }
            return [question, "type \(answer.type) \(answer.text) \(answer.id == id)"]
        }
        let request = try listener.lpcTake()
        let inner = Message(room: 512)
        #expect(server.lpcRequest(Self.answer(request, "inner", type: 1), inner) == .success)
        #expect(inner.type == 2 && inner.text == "inner answer" && inner.id == request.id)
        #expect(inner.callbackID != request.callbackID)
        #expect(server.lpcReply(Self.answer(request, "no longer the message's callback")) == .replyMessageMismatch)
        #expect(server.lpcReply(Self.answer(inner, "outer answer")) == .success)
        #expect(call.result == ["type 1 inner true", "type 2 outer answer true"])
    }

    @Test func `Every question has a callback id of its own`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.lpcConnected()
        let rounds = 20
        let call = Background { () -> Set<UInt64> in
            var ids: Set<UInt64> = []
            var buffer = Message(Array("outer".utf8), room: 512)
            guard client.lpcRequest(buffer, buffer) == .success else { return [] }
            while buffer.type == 1 {
                ids.insert(buffer.callbackID)
                buffer = Self.answer(buffer, "re " + buffer.text)
                guard client.lpcReplyAndWait(buffer) == .success else { return [] }
            }
            return ids
        }
        let request = try listener.lpcTake()
        var last = request
        for round in 0 ..< rounds {
            let inner = Message(room: 512)
            #expect(listener.lpcRequest(Self.answer(last, "\(round)", type: 1), inner) == .success)
            #expect(inner.text == "re \(round)" && inner.type == 2)
            last = inner
        }
        #expect(listener.lpcReply(Self.answer(last, "end")) == .success)
        #expect(call.result.count == rounds)
    }

    @Test func `A question inside a question`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.lpcConnected()
        let call = Background { () -> [String] in
            var said: [String] = []
            let buffer = Message(Array("1".utf8), room: 512)
            guard client.lpcRequest(buffer, buffer) == .success else { return ["1 failed"] }
            said.append("\(buffer.type) \(buffer.text)")
            // Not an answer: a question of its own, inside the server's.
            let inner = Message(room: 512)
            guard client.lpcRequest(Self.answer(buffer, "3", type: 1), inner) == .success else { return said + ["3 failed"] }
            said.append("\(inner.type) \(inner.text)")
            let last = Self.answer(inner, "5")
            guard client.lpcReplyAndWait(last) == .success else { return said + ["5 failed"] }
            said.append("\(last.type) \(last.text)")
            return said
        }
        let request = try listener.lpcTake()
        let nested = Message(room: 512)
        #expect(server.lpcRequest(Self.answer(request, "2", type: 1), nested) == .success)
        #expect(nested.type == 1 && nested.text == "3")
        let answered = Self.answer(nested, "4")
        #expect(server.lpcReplyAndWait(answered) == .success)
        #expect(answered.type == 2 && answered.text == "5")
        #expect(server.lpcReply(Self.answer(answered, "6")) == .success)
        #expect(call.result == ["1 2", "2 4", "2 6"])
    }

    @Test(arguments: [false, true]) func `A question that is answered without waiting ends the request`(combined: Bool) throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.lpcConnected()
        let mayEnd = Atomic<Bool>(false)
        let call = Background { () -> NTStatus in
            defer { eventually { mayEnd.load(ordering: .acquiring) } }
            let buffer = Message(Array("outer".utf8), room: 512)
            guard client.lpcRequest(buffer, buffer) == .success, buffer.type == 1 else { return .unsuccessful }
            let answer = Self.answer(buffer, "inner answer")
            return combined ? client.lpcReceive(Message(room: 512), answering: answer, timeout: 0) : client.lpcReply(answer)
        }
        let request = try listener.lpcTake()
        let inner = Message(room: 512)
        #expect(server.lpcRequest(Self.answer(request, "inner", type: 1), inner) == .success)
        #expect(inner.type == 2 && inner.text == "inner answer")
        // Nobody waits for the reply to the request any more.
        #expect(server.lpcReply(Self.answer(inner, "outer answer")) == .replyMessageMismatch)
        mayEnd.store(true, ordering: .releasing)
        #expect(call.result == (combined ? .timeout : .success))
    }

    @Test func `E-45 The ALPC calls do the same`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let call = Background { () -> [String] in
            let buffer = Message(room: 256)
            guard client.request("outer", buffer) == .success else { return ["request failed"] }
            let question = "type \(String(buffer.type, radix: 16)) \(buffer.text)"
            buffer.length = 256
            guard client.request(Message(answering: buffer, Array("inner answer".utf8)), buffer) == .success else { return [question] }
            return [question, "type \(buffer.type) \(buffer.text)"]
        }
        let request = try listener.take()
        let inner = Message(room: 256)
        #expect(listener.request(Message(answering: request, Array("inner".utf8)), inner) == .success)
        #expect(inner.type == 0x2001 && inner.id == request.id && inner.text == "inner answer")
        #expect(listener.datagram(Message(answering: inner, Array("outer answer".utf8))) == .success)
        #expect(call.result == ["type 2001 inner", "type 2 outer answer"])
    }

    @Test func `An ALPC server sees what an LPC client answers to its question as a reply`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.lpcConnected()
        let call = Background { () -> [UInt16] in
            let buffer = Message(Array("outer".utf8), room: 512)
            guard client.lpcRequest(buffer, buffer) == .success else { return [] }
            let type = buffer.type, answer = Self.answer(buffer, "answer")
            guard client.lpcReplyAndWait(answer) == .success else { return [type] }
            return [type, answer.type]
        }
        let request = try listener.take()
        let inner = Message(room: 512)
        #expect(server.request(Message(answering: request, [1]), inner) == .success)
        #expect(inner.type == 0x2002 && inner.text == "answer")
        #expect(server.datagram(Message(answering: inner, [2])) == .success)
        #expect(call.result == [1, 2])
    }

    @Test func `C-18 A callback and its answer need ids that somebody waits for`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.lpcConnected()
        let buffer = Message(room: 512)
        #expect(server.lpcRequest(Message([1], type: 1), buffer) == .invalidParameter)
        #expect(server.lpcReplyAndWait(Message([1], room: 512)) == .invalidParameter)
        for id in [4, 0x3FFF_FFFC, 0x7FFF_FFF0, 0xFFFF_FFFF] as [UInt32] {
            for port in [listener, server, client] {
                #expect(port.lpcRequest(Message([1], type: 1, id: id), buffer) == .replyMessageMismatch, "id \(id)")
                #expect(port.lpcReplyAndWait(Message([1], id: id, room: 512)) == .replyMessageMismatch, "id \(id)")
                let dead = Message([1], id: id, room: 512)
                dead.process = UInt64(getpid())
                dead.thread = 0x7FFF_FFF0
                #expect(port.lpcReplyAndWait(dead) == .invalidCid, "id \(id)")
            }
        }
        let call = Background { client.lpcRequest("x", Message(room: 512)) }
        let request = try listener.lpcTake()
        #expect(server.lpcReplyAndWait(Self.answer(request, String(repeating: "x", count: 500))) == .portMessageTooLong)
        #expect(server.lpcRequest(Self.answer(request, String(repeating: "x", count: 500), type: 1), buffer) == .portMessageTooLong)
        let clash = Self.answer(request, "x")
        clash.totalLength = 40
        #expect(server.lpcReplyAndWait(clash) == .invalidParameter)
        #expect(server.lpcReply(request) == .success)
        #expect(call.result == .success)
    }

    @Test func `NtReplyWaitReplyPort tells handles and memory apart`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.lpcCreate(), event = scene.event(), memory = BadMemory()
        #expect(Port(handle: scene.closedHandle()).lpcReplyAndWait(Message([1], id: 4, room: 512)) == .invalidHandle)
        #expect(event.lpcReplyAndWait(Message([1], id: 4, room: 512)) == .objectTypeMismatch)
        for pointer in memory.all + [memory.last(16)] {
            #expect(status(NtReplyWaitReplyPort(listener.handle, pointer.assumingMemoryBound(to: PORT_MESSAGE.self))) == .accessViolation)
        }
        #expect(status(NtReplyWaitReplyPort(listener.handle, nil)) == .accessViolation)
        // Read-only memory is no buffer for what comes.
        let message = memory.last(40), header = Message([], id: 4)
        withExtendedLifetime(header) { message.copyMemory(from: header.base, byteCount: 40) }
        memory.makeReadOnly()
        #expect(status(NtReplyWaitReplyPort(listener.handle, message.assumingMemoryBound(to: PORT_MESSAGE.self))) == .accessViolation)
    }

    @Test(arguments: [false, true]) func `A question whose client goes away has lost its reply`(closes: Bool) throws {
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
        let call = Background { server.lpcRequest(Self.answer(request, "question", type: 1), Message(room: 512)) }
        #expect(peer.answer().contains("question"))
        if closes { peer.tell("close K") } else { peer.kill() }
        #expect(call.result == .lpcReplyLost)
        #expect(try listener.lpcTake().type == 5)
        #expect([.replyMessageMismatch, .invalidCid].contains(server.lpcReply(request)))
    }

    @Test func `The client's answer to a question whose server has gone is lost`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.lpcConnected()
        let call = Background { () -> NTStatus in
            let buffer = Message(Array("outer".utf8), room: 512)
            guard client.lpcRequest(buffer, buffer) == .success else { return .unsuccessful }
            return client.lpcReplyAndWait(Self.answer(buffer, "answer"))
        }
        let request = try listener.lpcTake()
        #expect(server.lpcRequest(Self.answer(request, "question", type: 1), Message(room: 512)) == .success)
        #expect(scene.close(server) == .success)
        #expect(call.result == .lpcReplyLost)
    }

    // MARK: Lost replies

    @Test(.disabled(if: underThreadSanitizer, "it does not survive a thread that ends in a call which it watches"))
    func `A reply that arrived and that its thread did not live to take is told to the LPC server`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.lpcConnected()
        for isLegacy in [true, false] {
            let call = Background { () -> NTStatus in
                pthread_setcanceltype(Int32(PTHREAD_CANCEL_ASYNCHRONOUS), nil)
                Trap.allow()
                return client.lpcRequest("x", Message(room: 512))
            }
            let request = try listener.lpcTake()
            settle()
            // The thread is held in a signal handler while the reply comes, and then ends there.
            Trap.hold(call)
            if isLegacy { #expect(listener.lpcReply(request) == .success) } else { #expect(listener.datagram(request) == .success) }
            call.kill()
            guard isLegacy else { continue }
            let lost = try listener.lpcTake()
            #expect(lost.type == 4 && lost.id == request.id && lost.dataLength == 0)
        }
        #expect(listener.lpcReceive(Message(room: 512), timeout: after(milliseconds: 50)) == .timeout)
    }

    @Test func `A reply in the queue of a port that closes is told to the LPC server`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        // An asynchronous request, answered by an LPC call, and not received before its port closes.
        let sent: Message = "x"
        #expect(client.send(sent) == .success)
        let request = try listener.lpcTake()
        #expect(listener.lpcReply(Message([1], id: request.id)) == .success)
        #expect(client.cancel(sent.id) == .invalidMessage, "its answer is there")
        #expect(scene.close(client) == .success)
        let lost = try listener.lpcTake()
        #expect(lost.type == 4 && lost.id == request.id && lost.dataLength == 0)
        #expect(try listener.lpcTake().type == 5)
    }

    @Test func `The reply of an ALPC server that nobody took is not told`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        #expect(client.send("x") == .success)
        #expect(listener.datagram(Message(answering: try listener.take())) == .success)
        #expect(scene.close(client) == .success)
        #expect(try listener.take().type == 5)
    }

    @Test func `A request with a question open keeps its id while hundreds of others come and go`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.lpcConnected()
        // (1) a request is asked something and has left its slot  (2) the slot serves more turns than ids have room for  (3) it goes on
        let buffer = Message(Array("outer".utf8), room: 512)
        let call = Background { client.lpcRequest(buffer, buffer) }
        let request = try listener.lpcTake()
        let question = Background { () -> NTStatus in
            let inner = Message(room: 512)
            let result = listener.lpcRequest(Self.answer(request, "?", type: 1), inner)
            guard result == .success, inner.text == "!" else { return result == .success ? .unsuccessful : result }
            return listener.lpcReply(Self.answer(inner, "end"))
        }
        #expect(call.result == .success && buffer.type == 1)
        let rounds = 200
        let server = Background { () -> Int in
            (0 ..< rounds).count { _ in
                let other = Message(room: 512)
                return listener.lpcReceive(other) == .success && listener.lpcReply(Self.answer(other, "ok")) == .success
            }
        }
        for round in 0 ..< rounds {
            let other = Message(Array("\(round)".utf8), room: 512)
            try #require(client.lpcRequest(other, other) == .success && other.text == "ok", "round \(round)")
        }
        #expect(server.result == rounds)
        let answer = Self.answer(buffer, "!")
        #expect(client.lpcReplyAndWait(answer) == .success && answer.text == "end" && answer.type == 2)
        #expect(question.result == .success)
    }

    @Test func `A thousand requests with questions inside, from several threads`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.lpcConnected()
        let rounds = underThreadSanitizer ? 50 : 250
        let wrong = Atomic<Int>(0), left = Atomic<Int>(4)
        let servers = (0 ..< 4).map { _ in
            Background {
                while left.load(ordering: .acquiring) > 0 {
                    let request = Message(room: 512), inner = Message(room: 512)
                    guard listener.lpcReceive(request, timeout: after(milliseconds: 20)) == .success else { continue }
                    guard listener.lpcRequest(Self.answer(request, "?" + request.text, type: 1), inner) == .success, inner.type == 2,
                          inner.text == "!" + request.text, listener.lpcReply(Self.answer(inner, "=" + request.text)) == .success else {
                        wrong.wrappingAdd(1, ordering: .relaxed)
                        continue
                    }
                }
            }
        }
        onThreads(4) { thread in
            for round in 0 ..< rounds {
                let text = "\(thread).\(round)", buffer = Message(Array(text.utf8), room: 512)
                guard client.lpcRequest(buffer, buffer) == .success, buffer.type == 1, buffer.text == "?" + text else {
                    wrong.wrappingAdd(1, ordering: .relaxed)
                    continue
                }
                let answer = Self.answer(buffer, "!" + text)
                if client.lpcReplyAndWait(answer) != .success || answer.type != 2 || answer.text != "=" + text { wrong.wrappingAdd(1, ordering: .relaxed) }
            }
            left.wrappingSubtract(1, ordering: .acquiringAndReleasing)
        }
        for server in servers { server.result }
        #expect(wrong.load(ordering: .relaxed) == 0)
    }
}
