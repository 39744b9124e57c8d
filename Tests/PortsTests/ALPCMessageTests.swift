// Sending by ALPC: section E of the scenarios, E-04 to E-30 and E-39 to E-46.

import CNTTypes
import Glibc
import NTTypes
import Testing

@Suite(.guarded) struct ALPCMessageTests {
    @Test func `E-04 A datagram arrives without a debt`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        #expect(client.datagram("abc") == .success)
        let message = try listener.take()
        #expect(message.type == 3 && message.dataLength == 3 && message.text == "abc")
    }

    @Test func `E-05 E-06 E-36 E-37 An asynchronous request arrives with ids that its sender knows`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        var lastCallback: UInt64 = 0
        for _ in 0 ..< 3 {
            let sent = Message(pattern(3)), before = sent.bytes
            #expect(client.send(sent) == .success)
            let message = try listener.take()
            #expect(message.type == 0x2001)
            #expect(sent.id != 0 && sent.id == message.id && sent.id & 0x8000_0000 == 0)
            #expect(Array(sent.bytes[28...]) == Array(before[28...]) && Array(sent.bytes[..<24]) == Array(before[..<24]))
            #expect(message.callbackID > lastCallback && message.callbackID != UInt64(message.id))
            #expect(message.process == UInt64(getpid()) && message.thread == UInt64(gettid()))
            lastCallback = message.callbackID
        }
    }

    @Test func `E-07 A synchronous request gets its reply`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let answer = Message(room: 256)
        let call = Background { client.request("question", answer) }
        let request = try listener.take()
        #expect(request.type == 0x2001)
        #expect(listener.datagram(Message([1, 2, 3], id: request.id)) == .success)
        #expect(call.result == .success)
        #expect(answer.type == 2 && answer.id == request.id && answer.payload == [1, 2, 3])
        #expect(answer.length == 43 && answer.hasCleanTail)
    }

    @Test func `E-08 E-09 A reply without release can be answered`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let answer = Message(room: 256)
        let call = Background { client.request("question", answer) }
        let request = try listener.take()
        #expect(listener.send(Message([7], id: request.id)) == .success)
        #expect(call.result == .success)
        #expect(answer.type == 0x2001 && answer.id == request.id && answer.payload == [7])
        #expect(client.datagram(Message([], id: answer.id)) == .success)
        let end = try listener.take()
        #expect(end.kind == 2 && end.id == request.id && end.dataLength == 0)
        #expect(listener.datagram(Message([], id: request.id)) == .invalidMessage)
        #expect(client.datagram(Message([], id: answer.id)) == .invalidMessage)
    }

    @Test func `E-10 An asynchronous request's reply comes through the client's queue`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let sent: Message = "question"
        #expect(client.send(sent) == .success)
        let request = try listener.take()
        #expect(listener.datagram(Message(answering: request, [9])) == .success)
        let reply = try client.take()
        #expect(reply.type == 2 && reply.id == sent.id && reply.payload == [9])
        #expect(client.poll() == .timeout)
    }

    @Test func `E-11 E-12 A server's question is answered at the connection port`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected(client: usual(flags: 0x20000))
        let sent: Message = "abc"
        #expect(server.send(sent) == .success)
        let question = try client.take()
        #expect(question.kind == 1 && question.text == "abc" && question.id == sent.id)
        #expect(client.datagram(Message(answering: question, [5])) == .success)
        let answer = try listener.take()
        #expect(answer.kind == 2 && answer.id == sent.id && answer.payload == [5])
    }

    @Test func `E-13 A server's datagram arrives at the client`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (_, server, client) = try scene.connected(client: usual(flags: 0x20000))
        #expect(server.datagram("abc") == .success)
        let message = try client.take()
        #expect(message.type == 3 && message.text == "abc")
        #expect(message.process == UInt64(getpid()))
    }

    @Test func `E-14 A client that takes no requests is asked nothing`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (_, server, client) = try scene.connected()
        #expect(server.send("abc") == .lpcRequestsNotAllowed)
        #expect(server.request("abc", Message(room: 256)) == .lpcRequestsNotAllowed)
        #expect(client.poll() == .timeout)
    }

    @Test func `E-15 E-16 A reply may go through S and may be the received message`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected()
        let answer = Message(room: 256)
        let call = Background { client.request("echo", answer) }
        let request = try listener.take()
        #expect(request.type == 0x2001)
        #expect(server.datagram(request) == .success)
        #expect(call.result == .success)
        #expect(answer.text == "echo" && answer.type == 2)
    }

    @Test func `E-17 A new message must not have the type of a reply`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        #expect(client.send(Message([1], type: 2)) == .lpcRequestsNotAllowed)
        #expect(client.datagram(Message([1], type: 2)) == .lpcRequestsNotAllowed)
        #expect(client.request(Message([1], type: 2), Message(room: 256)) == .lpcRequestsNotAllowed)
        #expect(listener.poll() == .timeout)
    }

    @Test func `E-18 E-19 E-20 E-21 E-22 Flags are checked before anything else`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let buffer = Message(room: 256)
        func call(_ flags: UInt32, _ send: Message?, _ receive: Message?) -> NTStatus {
            var time = LARGE_INTEGER()
            return status(NtAlpcSendWaitReceivePort(client.handle, flags, send?.pointer, nil, receive?.pointer, nil, nil, &time))
        }
        #expect(call(0x20000, "x", nil) == .lpcReceiveBufferExpected)
        #expect(call(0x20000, nil, buffer) == .invalidParameter2)
        #expect(call(0x30000, "x", buffer) == .invalidParameter2)
        #expect(call(0x0100_0000, "x", nil) == .invalidParameter2)
        #expect(call(0x0101_0000, "x", nil) == .invalidParameter2)
        #expect(listener.poll() == .timeout)
        #expect(call(0x10003, "x", nil) == .success)
        #expect(try listener.take().type == 3)
        #expect(buffer.isUntouched())
    }

    @Test func `E-23 M-02 Closed handles and events are told apart`() throws {
        let scene = Scene()
        defer { scene.end() }
        let event = scene.event()
        for (handle, expected) in [(scene.closedHandle(), .invalidHandle), (nil, .invalidHandle), (HANDLE(bitPattern: 0xDEAD), .invalidHandle),
                                   (event.handle, .objectTypeMismatch)] as [(HANDLE?, NTStatus)] {
            let port = Port(handle: handle), buffer = Message(room: 256)
            #expect(port.send("x") == expected)
            #expect(port.datagram("x") == expected)
            #expect(port.datagram(Message([], id: 1)) == expected)
            #expect(port.request("x", buffer) == expected)
            #expect(port.request(Message([], id: 1), buffer) == expected)
            #expect(port.poll(buffer) == expected)
            #expect(port.disconnect() == expected)
            var information = ALPC_BASIC_INFORMATION()
            #expect(status(NtAlpcQueryInformation(handle, AlpcBasicInformation, &information, 16, nil)) == expected)
            #expect(buffer.isUntouched())
        }
    }

    @Test func `E-24 E-25 The limit itself passes, one byte more does not`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected(server: usual(limit: 140))
        #expect(client.datagram(Message(pattern(101))) == .portMessageTooLong)
        #expect(client.send(Message(pattern(101))) == .portMessageTooLong)
        #expect(client.request(Message(pattern(101)), Message(room: 256)) == .portMessageTooLong)
        #expect(listener.poll() == .timeout)
        #expect(client.datagram(Message(pattern(100))) == .success)
        #expect(try listener.take().payload == pattern(100))
        #expect(client.send("q") == .success)
        let request = try listener.take()
        #expect(listener.datagram(Message(answering: request, pattern(101))) == .portMessageTooLong)
        #expect(listener.datagram(Message(answering: request, pattern(100))) == .success)
    }

    @Test(arguments: [0x4000, 0x7FD8, 0xFFFF - 40]) func `E-26 Long messages make the round trip`(count: Int) throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected(server: usual(limit: 0xFFFF), client: usual(flags: 0, limit: 0xFFFF))
        for round in 0 ..< 40 {
            let answer = Message(room: 0xFFFF)
            let call = Background { client.request(Message(pattern(count, seed: round)), answer) }
            let request = try listener.take(room: 0xFFFF)
            #expect(request.payload == pattern(count, seed: round))
            #expect(listener.datagram(Message(answering: request, pattern(count, seed: round + 1))) == .success)
            #expect(call.result == .success)
            #expect(answer.payload == pattern(count, seed: round + 1) && answer.hasCleanTail)
        }
    }

    @Test func `E-27 A message without data fits a buffer of the header's size`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        #expect(client.datagram(Message([])) == .success)
        let message = try listener.take(room: 40)
        #expect(message.dataLength == 0 && message.totalLength == 40)
    }

    @Test func `E-28 E-29 Lengths that lie are an invalid parameter`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        for (data, total) in [(0, 36), (0, 0), (8, 56), (16, 48), (0xFFFF, 39), (0xFFFF, 0xFFFF), (0xFFD8, 0)] as [(UInt16, UInt16)] {
            let message = Message(pattern(16))
            (message.dataLength, message.totalLength) = (data, total)
            #expect(client.datagram(message) == .invalidParameter, "\(data) \(total)")
            #expect(client.send(message) == .invalidParameter, "\(data) \(total)")
            #expect(client.request(message, Message(room: 256)) == .invalidParameter, "\(data) \(total)")
        }
        #expect(listener.poll() == .timeout)
    }

    @Test func `E-30 A short buffer is told the length and the message stays`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let client = try scene.pending()
        _ = try scene.admit(listener, pattern(16))
        let short = Message(room: 44)
        #expect(client.receive(short) == .bufferTooSmall)
        #expect(short.length == 56 && short.isUntouched())
        #expect(try client.take().payload == pattern(16))
        // The same for each kind of message and each way to the receiver.
        for flags in [0, 0x10000] as [UInt32] {
            #expect(client.send(Message(pattern(16)), flags) == .success)
            #expect(client.send("next", 0x10000) == .success)
            let short = Message(room: 55)
            #expect(listener.receive(short) == .bufferTooSmall)
            #expect(short.length == 56 && short.isUntouched())
            let message = try listener.take(room: 56)
            #expect(message.payload == pattern(16))
            #expect(try listener.take().text == "next")
        }
    }

    @Test func `A reply that does not fit waits in the queue`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        for flags in [0, 0x10000] as [UInt32] {
            let short = Message(room: 44)
            let call = Background { client.request("q", short) }
            let request = try listener.take()
            #expect(listener.send(Message(answering: request, pattern(16)), flags) == .success)
            #expect(call.result == .bufferTooSmall)
            #expect(short.length == 56 && short.isUntouched())
            let reply = try client.take()
            #expect(reply.payload == pattern(16) && reply.id == request.id)
        }
    }

    @Test func `E-39 E-40 What was not asked cannot be answered, nor twice`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected()
        for id in [0x7FFF_FFF0, 4, 0x3FFF_FFFC, 3] as [UInt32] {
            for port in [listener, server, client] {
                #expect(port.datagram(Message([], id: id)) == .invalidMessage, "id \(id)")
                #expect(port.send(Message([], id: id)) == .invalidMessage, "id \(id)")
            }
        }
        #expect(client.send("q") == .success)
        let request = try listener.take()
        #expect(listener.datagram(Message(answering: request)) == .success)
        #expect(listener.datagram(Message(answering: request)) == .invalidMessage)
        #expect(server.datagram(Message(answering: request)) == .invalidMessage)
    }

    @Test func `An unreceived request cannot be answered`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let sent: Message = "q"
        #expect(client.send(sent) == .success)
        #expect(listener.datagram(Message([], id: sent.id)) == .invalidMessage)
        #expect(try listener.take().text == "q")
    }

    @Test func `E-41 Another server's port answers nothing`() throws {
        let scene = Scene(), other = Scene()
        defer { scene.end() }
        defer { other.end() }
        let (listener, _, client) = try scene.connected()
        let (_, second) = try scene.client(listener)
        let (foreign, _, _) = try other.connected()
        #expect(client.send("q") == .success)
        let request = try listener.take()
        #expect([.accessDenied, .invalidMessage].contains(foreign.datagram(Message(answering: request))))
        let (server, _) = try scene.client(listener)
        #expect(server.datagram(Message(answering: request)) == .accessDenied)
        #expect([.accessDenied, .invalidMessage].contains(second.datagram(Message(answering: request))))
        #expect(listener.datagram(Message(answering: request)) == .success)
    }

    @Test func `E-42 E-43 A request that waited too long is cancelled once`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let buffer = Message(room: 256)
        let begin = ContinuousClock.now
        let call = Background { client.request("q", buffer, timeout: after(milliseconds: 100)) }
        let request = try listener.take()
        #expect(call.result == .timeout)
        #expect(ContinuousClock.now - begin >= .milliseconds(100))
        #expect(buffer.isUntouched())
        #expect(listener.datagram(Message(answering: request)) == .requestCanceled)
        #expect(listener.datagram(Message(answering: request)) == .invalidMessage)
        // Never received: gone without a trace.
        #expect(client.request("q", buffer, timeout: after(milliseconds: 30)) == .timeout)
        #expect(client.request("q", buffer, timeout: 0) == .timeout)
        #expect(listener.poll() == .timeout)
        _ = try roundTrip(client, listener)
    }

    private func roundTrip(_ client: Port, _ listener: Port) throws -> Message {
        let answer = Message(room: 256)
        let call = Background { client.request("again", answer) }
        let request = try listener.take()
        #expect(request.text == "again")
        #expect(listener.datagram(Message(answering: request, Array("still here".utf8))) == .success)
        #expect(call.result == .success)
        #expect(answer.text == "still here")
        return answer
    }

    @Test func `E-44 A server answers and receives in one call`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let call = Background { () -> [String] in
            (0 ..< 2).map { index in
                let answer = Message(room: 256)
                return client.request(Message([UInt8(index)]), answer) == .success ? answer.text : "failed"
            }
        }
        let first = try listener.take()
        let second = Message(room: 256)
        #expect(listener.answerAndReceive(Message(answering: first, Array("one".utf8)), second) == .success)
        #expect(second.payload == [1] && second.type == 0x2001)
        #expect(listener.datagram(Message(answering: second, Array("two".utf8))) == .success)
        #expect(call.result == ["one", "two"])
    }

    @Test func `E-45 A server asks back inside a request`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected()
        let call = Background { () -> [String] in
            let buffer = Message(room: 256)
            guard client.request("outer", buffer) == .success else { return ["request failed"] }
            let question = "\(buffer.kind) \(buffer.text)", id = buffer.id
            buffer.length = 256
            guard client.request(Message(Array("inner answer".utf8), id: id), buffer) == .success else { return [question, "answer failed"] }
            return [question, "\(buffer.kind) \(buffer.text) \(buffer.id == id)"]
        }
        let request = try listener.take()
        let inner = Message(room: 256)
        #expect(server.request(Message(answering: request, Array("inner".utf8)), inner) == .success)
        #expect(inner.text == "inner answer" && inner.id == request.id)
        #expect(listener.datagram(Message(Array("outer answer".utf8), id: inner.id)) == .success)
        #expect(call.result == ["1 inner", "2 outer answer true"])
    }

    @Test func `E-46 A callback id must belong to the message, and none is needed`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        #expect(client.send("one") == .success)
        #expect(client.send("two") == .success)
        let one = try listener.take(), two = try listener.take()
        #expect(listener.datagram(Message([], id: one.id, callback: two.callbackID)) == .invalidMessage)
        #expect(listener.datagram(Message([], id: one.id)) == .success)
        #expect(listener.datagram(Message([], id: two.id, callback: two.callbackID)) == .success)
    }

    @Test func `A connection port cannot send without a client`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        #expect(!listener.datagram("x").isSuccess)
        #expect(!listener.send("x").isSuccess)
        #expect(!listener.request("x", Message(room: 256)).isSuccess)
        #expect(client.poll() == .timeout)
    }

    @Test func `A server's question that nobody answers ends with its time and with its client`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected(client: usual(flags: 0x20000))
        #expect(server.request("q", Message(room: 256), timeout: after(milliseconds: 50)) == .timeout)
        // Nobody received it: it is gone.
        #expect(client.poll() == .timeout)
        // One that was received can no longer be answered.
        let given = Background { server.request("q", Message(room: 256), timeout: after(milliseconds: 300)) }
        let late = try client.take()
        #expect(late.text == "q")
        #expect(given.result == .timeout)
        #expect(client.poll() == .timeout)
        #expect(client.datagram(Message(answering: late)) == .requestCanceled)
        #expect(client.datagram(Message(answering: late)) == .invalidMessage)
        let call = Background { server.request("q", Message(room: 256)) }
        #expect(try client.take().text == "q")
        #expect(scene.close(client) == .success)
        #expect([.messageLost, .portDisconnected].contains(call.result))
        #expect(try listener.take().kind == 5)
    }

    @Test func `A request is sent and any message awaited in one call`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected(client: usual(flags: 0x20000))
        let sent: Message = "ask", buffer = Message(room: 256)
        let call = Background { () -> NTStatus in
            var time = LARGE_INTEGER()
            time.QuadPart = guardTime
            return status(NtAlpcSendWaitReceivePort(client.handle, 0, sent.pointer, nil, buffer.pointer, &buffer.length, nil, &time))
        }
        let request = try listener.take()
        #expect(request.text == "ask" && request.type == 0x2001)
        // Not the answer, but the first thing that comes.
        #expect(server.datagram("first") == .success)
        #expect(call.result == .success)
        #expect(buffer.text == "first" && buffer.kind == 3)
        #expect(listener.datagram(Message(answering: request)) == .success)
        let answer = try client.take()
        #expect(answer.id == sent.id && answer.kind == 2)
    }
}
