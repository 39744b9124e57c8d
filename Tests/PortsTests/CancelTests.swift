// NtAlpcCancelMessage: section F of the scenarios, and the sides and races that it leaves out.

import CNTTypes
import Glibc
import NTTypes
import Synchronization
import Testing

/// A CONTEXT attribute that holds no more than a message's id, unless told.
func named(_ id: UInt32, callback: UInt32 = 0, context: UInt = 0) -> ALPC_CONTEXT_ATTR {
    var attribute = ALPC_CONTEXT_ATTR()
    attribute.MessageId = id
    attribute.CallbackId = callback
    attribute.MessageContext = PVOID(bitPattern: context)
    return attribute
}

extension Port {
    func cancel(_ id: UInt32, _ flags: UInt32 = 0) -> NTStatus { cancel(named(id), flags) }

    func cancel(_ context: ALPC_CONTEXT_ATTR, _ flags: UInt32 = 0) -> NTStatus {
        var context = context
        return status(NtAlpcCancelMessage(handle, flags, &context))
    }
}

@Suite(.guarded) struct CancelTests {
    // MARK: Arguments

    @Test func `F-01 F-02 F-03 Flags come first, then the id, then the handle`() throws {
        let scene = Scene()
        defer { scene.end() }
        let closed = Port(handle: scene.closedHandle()), event = scene.event()
        for flags in [0x10, 0x10000, 0x8000_0000, 0x11] as [UInt32] { #expect(closed.cancel(4, flags) == .invalidParameter, "\(flags)") }
        #expect(status(NtAlpcCancelMessage(closed.handle, 0x10, nil)) == .invalidParameter)
        for flags in [0, 1, 4, 8, 0xF] as [UInt32] { #expect(closed.cancel(0, flags) == .messageNotFound, "\(flags)") }
        for flags in [0, 1, 8] as [UInt32] {
            #expect(closed.cancel(1, flags) == .invalidHandle)
            #expect(event.cancel(1, flags) == .objectTypeMismatch)
        }
    }

    @Test func `A context that cannot be read is an access violation, before the handle`() throws {
        let memory = BadMemory()
        for pointer in memory.all + [memory.last(16)] {
            for flags in [0, 4] as [UInt32] {
                #expect(status(NtAlpcCancelMessage(nil, flags, pointer.assumingMemoryBound(to: ALPC_CONTEXT_ATTR.self))) == .accessViolation)
            }
        }
        #expect(status(NtAlpcCancelMessage(nil, 0, nil)) == .accessViolation)
        // The 32-bit form ends earlier.
        #expect(status(NtAlpcCancelMessage(nil, 4, memory.last(20).assumingMemoryBound(to: ALPC_CONTEXT_ATTR.self))) == .messageNotFound)
    }

    @Test func `F-04 An unknown id is invalid on every kind of port`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected()
        for id in [0xFFFF_FFFF, 0x7FFF_FFF0, 0x3FFF_FFFC, 4, 8] as [UInt32] {
            for port in [listener, server, client] { #expect(port.cancel(id) == .invalidMessage, "\(id)") }
        }
        // Right but for the number: the server's process is asked, and says no.
        #expect(client.send("x") == .success)
        let id = try listener.take().id
        #expect(client.cancel(id ^ 1 << 20) == .invalidMessage)
        #expect(client.cancel(id ^ 1 << 29) == .invalidMessage)
        #expect(server.cancel(id ^ 1 << 30) == .invalidMessage)
        #expect(listener.datagram(Message(id: id)) == .success)
        #expect(listener.cancel(id) == .invalidMessage)
        #expect(client.cancel(id) == .invalidMessage)
    }

    // MARK: The sender cancels

    @Test(arguments: [0, 1] as [UInt32]) func `F-05 A queued request that its sender cancels becomes a notice`(flags: UInt32) throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected(context: 0x77)
        let sent: Message = "request"
        #expect(client.send(sent) == .success)
        #expect(client.cancel(sent.id, flags) == .pending)
        let attributes = Attributes()
        let notice = try listener.take(attributes)
        #expect(notice.type == 12 && notice.dataLength == 0 && notice.id == sent.id)
        #expect(attributes.portContext == 0x77)
        #expect(listener.poll() == .timeout)
        #expect(listener.datagram(Message(answering: notice)) == .invalidMessage)
        #expect(client.poll() == .timeout)
        #expect(client.cancel(sent.id, flags) == .requestCanceled)
    }

    @Test func `A queued datagram that its sender cancels becomes a notice, and others keep their place`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let messages = ["one", "two", "three"].map { Message(Array($0.utf8)) }
        for message in messages { #expect(client.datagram(message) == .success) }
        #expect(client.cancel(messages[1].id, 1) == .pending)
        #expect(client.cancel(messages[1].id) == .requestCanceled)
        #expect(try listener.take().text == "one")
        let notice = try listener.take()
        #expect(notice.type == 12 && notice.id == messages[1].id)
        #expect(try listener.take().text == "three")
        #expect(client.cancel(messages[0].id) == .invalidMessage)
    }

    @Test func `A request that its receiver has taken is not had back by a try`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let sent: Message = "request"
        #expect(client.send(sent) == .success)
        let request = try listener.take()
        #expect(client.cancel(sent.id, 1) == .messageRetrieved)
        #expect(client.cancel(sent.id, 1) == .messageRetrieved)
        #expect(listener.poll() == .timeout)
        #expect(listener.datagram(Message(answering: request, [7])) == .success)
        let answer = try client.take()
        #expect(answer.type == 2 && answer.id == sent.id && answer.payload == [7])
    }

    @Test func `A taken request that its sender cancels is noticed, and answered with a cancellation once`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let sent: Message = "request"
        #expect(client.send(sent) == .success)
        let request = try listener.take()
        #expect(client.cancel(sent.id) == .messageRetrieved)
        let notice = try listener.take()
        #expect(notice.type == 12 && notice.id == sent.id && notice.dataLength == 0)
        #expect(client.cancel(sent.id) == .requestCanceled)
        #expect(listener.cancel(sent.id) == .requestCanceled)
        #expect(listener.send(Message(answering: request)) == .requestCanceled)
        #expect(listener.send(Message(answering: request)) == .invalidMessage)
        #expect(client.poll() == .timeout)
    }

    @Test(arguments: [false, true]) func `A waiting request can be cancelled by another thread of its process`(received: Bool) throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        // The id is known to whoever the server tells; here the test looks into the server's queue.
        let call = Background { client.request("x", Message(room: 256)) }
        let request = try listener.take()
        if received {
            #expect(client.cancel(request.id) == .messageRetrieved)
            #expect(try listener.take().type == 12)
            #expect(listener.datagram(Message(answering: request)) == .requestCanceled)
            #expect(call.result == .messageLost)
        } else {
            #expect(client.cancel(request.id, 1) == .messageRetrieved)
            settle()
            #expect(!call.isDone)
            #expect(listener.datagram(Message(answering: request)) == .success)
            #expect(call.result == .success)
        }
    }

    @Test func `A server cancels its own question`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected(client: usual(flags: 0x20000))
        let queued: Message = "queued"
        #expect(server.send(queued) == .success)
        #expect(server.cancel(queued.id) == .pending)
        let notice = try client.take()
        #expect(notice.type == 12 && notice.id == queued.id)
        #expect(server.cancel(queued.id) == .requestCanceled)
        let taken: Message = "taken"
        #expect(server.send(taken) == .success)
        let question = try client.take()
        #expect(server.cancel(taken.id, 1) == .messageRetrieved)
        #expect(listener.cancel(taken.id) == .messageRetrieved)
        #expect(try client.take().type == 12)
        #expect(client.datagram(Message(answering: question)) == .requestCanceled)
        #expect(client.datagram(Message(answering: question)) == .invalidMessage)
        let datagram: Message = "datagram"
        #expect(server.datagram(datagram) == .success)
        #expect(server.cancel(datagram.id) == .pending)
        #expect(try client.take().type == 12)
        #expect(listener.poll() == .timeout)
    }

    @Test func `A pending connect is cancelled by its client`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let first: Message = "first", second: Message = "second"
        let pending = try scene.pending(ConnectOptions(message: first))
        let taken = try scene.pending(ConnectOptions(message: second))
        let one = try listener.take()
        #expect(one.text == "first")
        #expect(pending.cancel(one.id, 1) == .messageRetrieved)
        #expect(pending.cancel(one.id) == .messageRetrieved)
        #expect(accept(listener, Message(answering: one)).status == .requestCanceled)
        #expect(accept(listener, Message(answering: one)).status == .invalidMessage)
        #expect(pending.send("x") == .portDisconnected)
        let two = try listener.take()
        #expect(two.text == "second")
        let server = accept(listener, Message(answering: two))
        #expect(server.status == .success)
        scene.keep(server.port)
        #expect(try taken.take().type & 0xFF == 11)
    }

    // MARK: The receiver cancels

    @Test(arguments: [false, true]) func `F-06 F-07 F-08 The receiver of a waiting request tries, then cancels`(onServerPort: Bool) throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected()
        let answer = Message(room: 256)
        let call = Background { client.request("x", answer) }
        let port = onServerPort ? server : listener
        let attributes = Attributes()
        let request = try listener.take(attributes)
        #expect(port.cancel(attributes.context, 1) == .messageRetrieved)
        settle()
        #expect(!call.isDone)
        #expect(port.cancel(attributes.context) == .pending)
        #expect(call.result == .messageLost)
        #expect(answer.isUntouched())
        #expect(port.cancel(attributes.context) == .requestCanceled)
        #expect(port.cancel(attributes.context, 1) == .requestCanceled)
        #expect(port.datagram(Message(answering: request)) == .requestCanceled)
        #expect(port.datagram(Message(answering: request)) == .invalidMessage)
        #expect(port.cancel(attributes.context) == .invalidMessage)
        #expect(listener.poll() == .timeout && client.poll() == .timeout)
    }

    @Test func `F-09 A context that is not the message's is refused when it is to be checked`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected()
        let call = Background { client.request("x", Message(room: 256)) }
        let attributes = Attributes()
        _ = try listener.take(attributes)
        var other = attributes.context
        other.MessageContext = PVOID(bitPattern: 0x4711)
        #expect(server.cancel(other, 8) == .contextMismatch)
        #expect(server.cancel(other, 9) == .contextMismatch)
        settle()
        #expect(!call.isDone)
        #expect(server.cancel(attributes.context, 9) == .messageRetrieved)
        #expect(server.cancel(other, 0) == .pending, "not to be checked")
        #expect(call.result == .messageLost)
    }

    @Test func `The sender's context is the one it sent`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let sent: Message = "x", attributes = Attributes(valid: Attributes.context)
        var context = attributes.context
        context.MessageContext = PVOID(bitPattern: 0x77)
        attributes.context = context
        #expect(client.send(sent, 0, attributes) == .success)
        #expect(client.cancel(named(sent.id, context: 0x78), 8) == .contextMismatch)
        #expect(client.cancel(named(sent.id, context: 0x77), 8) == .pending)
        #expect(try listener.take().type == 12)
    }

    @Test func `The 32-bit form of the context is read with flag 4`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        #expect(client.send("x") == .success)
        let request = try listener.take()
        var context = ALPC_CONTEXT_ATTR32()
        context.MessageId = request.id
        context.CallbackId = UInt32(request.callbackID)
        context.MessageContext = 5
        func cancel(_ flags: UInt32) -> NTStatus {
            withUnsafeMutablePointer(to: &context) {
                status(NtAlpcCancelMessage(listener.handle, flags, UnsafeMutableRawPointer($0).assumingMemoryBound(to: ALPC_CONTEXT_ATTR.self)))
            }
        }
        #expect(cancel(0xC) == .contextMismatch)
        context.MessageContext = 0
        #expect(cancel(0xC) == .messageRetrieved)
        #expect(try client.take().type == 12)
    }

    @Test func `F-10 The id alone is enough`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let call = Background { client.request("x", Message(room: 256)) }
        #expect(listener.cancel(try listener.take().id) == .pending)
        #expect(call.result == .messageLost)
    }

    @Test func `A callback id must be the message's, if there is one`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        #expect(client.send("x") == .success)
        let request = try listener.take()
        #expect(listener.cancel(named(request.id, callback: UInt32(request.callbackID) &+ 1)) == .invalidMessage)
        #expect(listener.cancel(named(request.id, callback: UInt32(request.callbackID))) == .messageRetrieved)
        #expect(try client.take().type == 12)
    }

    @Test func `The sender of an asynchronous request gets a notice with its context, and its thread and process are the canceller's`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let sent: Message = "x", attributes = Attributes(valid: Attributes.context)
        var context = attributes.context
        context.MessageContext = PVOID(bitPattern: 0x99)
        attributes.context = context
        #expect(client.send(sent, 0, attributes) == .success)
        let request = try listener.take()
        #expect(listener.cancel(request.id) == .messageRetrieved)
        let got = Attributes()
        let notice = try client.take(got)
        #expect(notice.type == 12 && notice.dataLength == 0 && notice.id == sent.id)
        #expect(notice.process == UInt64(getpid()) && notice.thread == UInt64(gettid()))
        #expect(got.messageContext == 0x99)
        #expect(client.poll() == .timeout)
    }

    @Test func `A client cancels the question that it holds`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected(context: 0x55, client: usual(flags: 0x20000))
        let sent: Message = "asynchronous"
        #expect(server.send(sent) == .success)
        #expect(client.cancel(try client.take().id) == .messageRetrieved)
        let got = Attributes()
        let notice = try listener.take(got)
        #expect(notice.type == 12 && notice.id == sent.id && got.portContext == 0x55)
        let call = Background { server.request("synchronous", Message(room: 256)) }
        let question = try client.take()
        #expect(client.cancel(question.id, 1) == .messageRetrieved)
        #expect(client.cancel(question.id) == .messageRetrieved)
        #expect(call.result == .messageLost)
        #expect(listener.poll() == .timeout)
        #expect(client.datagram(Message(answering: question)) == .requestCanceled)
        #expect(client.datagram(Message(answering: question)) == .invalidMessage)
    }

    @Test func `An answer that keeps the message alive can be cancelled by its holder, whose peer is noticed`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let sent: Message = "x"
        #expect(client.send(sent) == .success)
        let request = try listener.take()
        #expect(listener.send(Message(answering: request, [1])) == .success)
        let hop = try client.take()
        #expect(hop.type == 0x2001)
        #expect(client.cancel(hop.id) == .messageRetrieved)
        let notice = try listener.take()
        #expect(notice.type == 12 && notice.id == sent.id)
        #expect(client.send(Message(answering: hop)) == .requestCanceled)
        #expect(listener.send(Message(answering: request)) == .invalidMessage)
    }

    @Test func `The answerer cancels an answer that has not been received`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        #expect(client.send("x") == .success)
        let request = try listener.take()
        #expect(listener.send(Message(answering: request, [1])) == .success)
        #expect(listener.cancel(request.id) == .pending)
        let notice = try client.take()
        #expect(notice.type == 12 && notice.id == request.id)
        #expect(listener.cancel(request.id) == .requestCanceled)
        #expect(listener.send(Message(answering: request)) == .requestCanceled)
        #expect(listener.send(Message(answering: request)) == .invalidMessage)
    }

    @Test(arguments: [false, true]) func `A connection request can be cancelled instead of answered`(waits: Bool) throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let name = scene.name
        if waits {
            let call = Background { connect(name, .waiting()).status }
            let request = try listener.take()
            #expect(listener.cancel(request.id, 1) == .messageRetrieved)
            #expect(listener.cancel(request.id) == .pending)
            #expect(call.result == .messageLost)
            #expect(accept(listener, Message(answering: request)).status == .requestCanceled)
            #expect(accept(listener, Message(answering: request)).status == .invalidMessage)
        } else {
            let client = try scene.pending()
            let request = try listener.take()
            #expect(listener.cancel(request.id) == .messageRetrieved)
            let notice = try client.take()
            #expect(notice.type == 12 && notice.id == request.id && notice.dataLength == 0)
            #expect(client.send("x") == .portDisconnected)
            #expect(accept(listener, Message(answering: request)).status == .requestCanceled)
        }
        #expect(listener.poll() == .timeout)
    }

    @Test func `An LPC caller whose message is cancelled has lost its reply`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.lpcConnected()
        let call = Background { client.lpcRequest("x", Message(room: 512)) }
        let request = try listener.lpcTake()
        #expect(listener.cancel(request.id) == .pending)
        #expect(call.result == .lpcReplyLost)
        let reply = Message([], id: request.id)
        #expect(listener.lpcReply(reply) == .replyMessageMismatch)
        #expect(listener.lpcReply(reply) == .replyMessageMismatch)
    }

    @Test func `F-11 A datagram that was kept for its view is released by a cancel, and its sender hears nothing`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        for _ in 0 ..< 50 {
            let (section, view) = try client.filledView(4096)
            #expect(client.send("view", 0x10000, carrying(view)) == .success)
            let got = Attributes()
            let message = try listener.take(got)
            #expect(message.type == 0x2003)
            #expect(listener.deleteView(got.viewRecord.ViewBase) == .success)
            #expect(listener.cancel(got.context) == .messageRetrieved)
            #expect(listener.cancel(got.context) == .requestCanceled)
            #expect(listener.datagram(Message(answering: message)) == .requestCanceled)
            #expect(client.poll() == .timeout)
            #expect(client.deleteView(view.ViewBase) == .success)
            #expect(client.deleteSection(section) == .success)
        }
        // One that was never received goes with its view.
        let (_, view) = try client.filledView(4096)
        let sent: Message = "view"
        #expect(client.send(sent, 0x10000, carrying(view)) == .success)
        #expect(client.cancel(sent.id) == .pending)
        let got = Attributes()
        let notice = try listener.take(got)
        #expect(notice.type == 12 && got.valid & Attributes.view == 0)
    }

    @Test func `Cancelled messages keep no descriptors`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        func descriptors() -> Int {
            var count = 0
            if let directory = opendir("/proc/self/fd") {
                while readdir(directory) != nil { count += 1 }
                closedir(directory)
            }
            return count
        }
        let (_, view) = try client.filledView(4096)
        let before = descriptors()
        for _ in 0 ..< 300 {
            #expect(client.send("view", 0, carrying(view)) == .success)
            let request = try listener.take()
            #expect(listener.cancel(request.id) == .messageRetrieved)
            #expect(try client.take().type == 12)
        }
        // Other tests run beside this one.
        #expect(descriptors() < before + 200)
    }

    @Test func `F-12 Another port's message is not one's own to cancel`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected()
        let (otherServer, otherClient) = try scene.client(listener)
        let stranger = Scene()
        defer { stranger.end() }
        let (foreignListener, _, _) = try stranger.connected()
        let sent: Message = "x"
        #expect(client.send(sent) == .success)
        #expect(otherClient.cancel(sent.id) == .accessDenied)
        #expect(otherServer.cancel(sent.id) == .accessDenied)
        #expect(foreignListener.cancel(sent.id) == .accessDenied)
        let datagram: Message = "y"
        #expect(client.datagram(datagram) == .success)
        #expect(otherClient.cancel(datagram.id) == .accessDenied)
        let request = try listener.take()
        #expect(otherServer.cancel(request.id) == .accessDenied)
        #expect(otherServer.datagram(Message(answering: request)) == .accessDenied)
        #expect(foreignListener.datagram(Message(answering: request)) == .accessDenied)
        #expect(server.datagram(Message(answering: request)) == .success)
        #expect(try listener.take().text == "y")
    }

    // MARK: Across processes

    @Test func `A stopped server does not keep its client in a cancel`() throws {
        let scene = Scene()
        defer { scene.end() }
        let peer = try Peer()
        let name = Stage.name()
        #expect(peer.call("create C 0x20000 4096 \(name)") == "STATUS_SUCCESS")
        let made = connect(name)
        #expect(made.status == .success)
        let client = scene.keep(made.port)
        #expect(peer.call("receive C 60000").hasPrefix("SUCCESS"))
        #expect(peer.call("accept C S 0") == "STATUS_SUCCESS")
        #expect(try client.take().kind == 11)
        let sent: Message = "x"
        #expect(client.send(sent) == .success)
        peer.stop()
        #expect(client.cancel(sent.id) == .pending)
        #expect(client.poll() == .timeout)
        kill(peer.pid, SIGCONT)
        #expect(peer.call("receive C 60000").contains("type=0xc"))
        peer.stop()
        let other: Message = "y"
        #expect(client.send(other) == .success)
        let call = Background { client.cancel(other.id) }
        settle()
        peer.kill()
        #expect([.portDisconnected, .invalidMessage].contains(call.result))
    }

    // MARK: Ids and memory

    @Test func `Messages that are only ever cancelled cost a bounded number of records, and their ids come round`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let buffer = Message(room: 256)
        for round in 0 ..< 40_000 {
            let sent: Message = "x"
            #expect(client.send(sent) == .success)
            #expect(listener.receive(buffer) == .success)
            guard buffer.kind == 1, listener.cancel(buffer.id) == .messageRetrieved else {
                Issue.record("round \(round): \(buffer.kind)")
                return
            }
            #expect(client.receive(buffer) == .success)
            guard buffer.kind == 12, buffer.id == sent.id else {
                Issue.record("round \(round): \(buffer.kind)")
                return
            }
        }
    }

    @Test func `Synchronous answers that nobody releases do not end the conversation when their ids come round`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let rounds = 500
        let call = Background { () -> Int in
            let answer = Message(room: 256)
            for round in 0 ..< rounds {
                answer.length = 256
                guard client.request(Message([UInt8(round & 0xFF)]), answer) == .success, answer.type == 0x2001 else { return round }
            }
            return rounds
        }
        for _ in 0 ..< rounds {
            let request = try listener.take()
            #expect(listener.send(Message(answering: request, request.payload)) == .success)
        }
        #expect(call.result == rounds)
    }

    // MARK: Races

    @Test func `Race (C1) (C2): cancel against answer leaves one of them`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected()
        for round in 0 ..< 2000 {
            let answer = Message(room: 256)
            let call = Background { client.request("x", answer) }
            let request = try listener.take()
            let id = request.id
            let canceller = Background { server.cancel(id) }
            let answered = listener.datagram(Message(answering: request, [1]))
            let cancelled = canceller.result, outcome = call.result
            switch answered {
            case .success:
                #expect(outcome == .success && cancelled == .invalidMessage, "round \(round): \(outcome) \(cancelled)")
            case .requestCanceled:
                #expect(outcome == .messageLost && cancelled == .pending, "round \(round): \(outcome) \(cancelled)")
            default:
                Issue.record("round \(round): \(answered) \(outcome) \(cancelled)")
            }
        }
    }

    @Test func `Race (C3): a sender's cancel against receive and answer leaves one of them`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        for round in 0 ..< 2000 {
            let sent: Message = "x"
            #expect(client.send(sent) == .success)
            let id = sent.id
            let canceller = Background { client.cancel(id, round % 2 == 0 ? 1 : 0) }
            let got = try listener.take()
            guard got.kind == 1 else {
                #expect(got.kind == 12 && canceller.result == .pending, "round \(round): \(canceller.result)")
                #expect(client.poll() == .timeout)
                continue
            }
            let answered = listener.datagram(Message(answering: got, [1]))
            let cancelled = canceller.result
            switch (answered, cancelled) {
            case (.success, _) where cancelled == .invalidMessage || cancelled == .messageRetrieved && round % 2 == 0:
                #expect(try client.take().kind == 2)
            case (.requestCanceled, .messageRetrieved) where round % 2 == 1:
                #expect(try listener.take().kind == 12)
                #expect(client.poll() == .timeout)
            default:
                Issue.record("round \(round): \(answered) \(cancelled)")
            }
        }
        #expect(listener.poll() == .timeout && client.poll() == .timeout)
    }

    @Test func `Many threads cancel, answer and give up at once, and every message has one end`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let rounds = underThreadSanitizer ? 100 : 400, clients = 4
        let left = Atomic<Int>(clients)
        let unknown = Atomic<Int>(0)
        let servers = (0 ..< 2).map { server in
            Background {
                var count = 0
                let buffer = Message(room: 256)
                while left.load(ordering: .acquiring) > 0 {
                    buffer.length = 256
                    guard listener.receive(buffer, timeout: after(milliseconds: 20)) == .success else { continue }
                    guard buffer.kind == 1 else { continue }
                    count += 1
                    switch count % 3 {
                    case 0:
                        if ![.pending, .messageRetrieved, .requestCanceled, .invalidMessage].contains(listener.cancel(buffer.id)) { unknown.wrappingAdd(1, ordering: .relaxed) }
                    case 1: _ = listener.datagram(Message(answering: buffer, [1]))
                    default: usleep(500); _ = listener.datagram(Message(answering: buffer, [2]))
                    }
                }
                _ = server
            }
        }
        onThreads(clients) { thread in
            let answer = Message(room: 256)
            for round in 0 ..< rounds {
                answer.length = 256
                let outcome = client.request(Message([UInt8(thread)]), answer, timeout: round % 5 == 0 ? -1000 : guardTime)
                if ![.success, .messageLost, .timeout].contains(outcome) { unknown.wrappingAdd(1, ordering: .relaxed) }
            }
            left.wrappingSubtract(1, ordering: .acquiringAndReleasing)
        }
        for server in servers { server.result }
        #expect(unknown.load(ordering: .relaxed) == 0)
        // The conversation goes on.
        while listener.poll() == .success {}
        let call = Background { client.request("last", Message(room: 256)) }
        #expect(listener.datagram(Message(answering: try listener.take())) == .success)
        #expect(call.result == .success)
    }
}
