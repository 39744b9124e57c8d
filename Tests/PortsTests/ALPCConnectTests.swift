// Connecting by ALPC: section D of the scenarios, without token and handle attributes (D-34, D-35, D-37 to D-41).

import CNTTypes
import Glibc
import NTTypes
import Testing

@Suite(.guarded) struct ALPCConnectTests {
    /// A connect that waits, on a thread of its own.
    private func waiting(_ name: String, _ message: Message? = nil, timeout: Int64? = guardTime) -> Background<Connected> {
        Background { connect(name, .waiting(message, timeout: timeout)) }
    }

    @Test func `D-01 D-02 A minimal connect returns at once and arrives as a request`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        var handle: HANDLE?
        let result = withString(scene.name) { status(NtAlpcConnectPort(&handle, $0, nil, nil, 0, nil, nil, nil, nil, nil, nil)) }
        #expect(result == .success)
        scene.keep(Port(handle: handle))
        let request = try listener.take()
        #expect(request.type == 0x200A)
        #expect(request.dataLength == 0 && request.totalLength == 40)
        #expect(request.process == UInt64(getpid()) && request.thread == UInt64(gettid()))
        #expect(request.id != 0 && request.id & 0x8000_0000 == 0)
    }

    @Test func `D-03 A connect that does not wait leaves the buffers alone`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let message = Message(pattern(8), room: 256), before = message.bytes
        let client = try scene.pending(ConnectOptions(message: message))
        #expect(message.bytes == before && message.length == 256)
        #expect(try listener.take().payload == pattern(8))
        _ = client
    }

    @Test func `D-04 D-05 A pending client may send only after the accept`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let client = try scene.pending()
        #expect(client.datagram("early") == .lpcRequestsNotAllowed)
        #expect(client.send("early") == .lpcRequestsNotAllowed)
        #expect(client.request("early", Message(room: 256)) == .lpcRequestsNotAllowed)
        _ = try scene.admit(listener)
        #expect(client.datagram("now") == .success)
        let message = try listener.take()
        #expect(message.type == 3 && message.text == "now")
    }

    @Test func `D-06 The connection reply names the request and who accepted`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let client = try scene.pending()
        let request = try listener.take()
        let answer = Message(Array("abcd".utf8), id: request.id)
        scene.keep(accept(listener, answer).port)
        let reply = try client.take()
        #expect(reply.kind == 11 && reply.id == request.id)
        #expect(reply.text == "abcd" && reply.totalLength == 44)
        #expect(reply.process == UInt64(getpid()) && reply.thread == UInt64(gettid()))
        #expect(client.poll() == .timeout)
    }

    @Test func `D-07 A connect that waits returns the accept message`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let message = Message([], room: 256)
        let call = waiting(scene.name, message)
        _ = try scene.admit(listener, Array("abcd".utf8))
        #expect(call.result.status == .success)
        scene.keep(call.result.port)
        #expect(message.kind == 11 && message.dataLength == 4 && message.text == "abcd")
        #expect(message.length == 44)
        #expect(message.process == UInt64(getpid()) && message.thread == UInt64(gettid()))
        #expect(message.hasCleanTail)
        #expect(call.result.port.poll() == .timeout)
    }

    @Test func `D-08 A pending client that is refused learns it by receiving and sending`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let client = try scene.pending()
        let request = try listener.take()
        let made = accept(listener, Message([], id: request.id), accepts: false)
        #expect(made.status == .success && made.port.handle == unwrittenHandle)
        #expect(client.receive(Message(room: 256)) == .portConnectionRefused)
        #expect(client.datagram("x") == .portConnectionRefused)
        #expect(client.poll() == .portConnectionRefused)
    }

    @Test func `D-08 A pending client that sends before it receives is refused too`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let client = try scene.pending()
        #expect(accept(listener, Message(answering: try listener.take()), accepts: false).status == .success)
        #expect(client.datagram("x") == .portConnectionRefused)
    }

    @Test func `D-09 A refused connect that waited changes nothing of the caller's`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let message = Message(pattern(8), room: 256), before = message.bytes
        let call = waiting(scene.name, message)
        let request = try listener.take()
        #expect(accept(listener, Message(Array("no".utf8), id: request.id), accepts: false).status == .success)
        #expect(call.result.status == .portConnectionRefused)
        #expect(call.result.port.handle == unwrittenHandle)
        #expect(message.bytes == before && message.length == 256)
    }

    @Test(arguments: [false, true]) func `D-10 A connect that waited too long withdraws its request`(received: Bool) throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let call = waiting(scene.name, timeout: after(milliseconds: 100))
        let request = Message(room: 256)
        if received { #expect(listener.receive(request) == .success) }
        #expect(call.result.status == .timeout)
        #expect(call.result.port.handle == unwrittenHandle)
        if received {
            let answer = Message([], id: request.id)
            #expect(accept(listener, answer).status == .requestCanceled)
            #expect(accept(listener, answer).status == .invalidMessage)
        }
        #expect(listener.poll() == .timeout)
    }

    @Test func `D-11 A name that nobody has is not found`() {
        let made = connect(Stage.name())
        #expect(made.status == .objectNameNotFound && made.port.handle == unwrittenHandle)
        #expect(connect(Stage.name(), .waiting()).status == .objectNameNotFound)
    }

    @Test func `D-12 D-13 D-14 The server's user must be the required one, and a broken SID is no SID`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        func attempt(_ sid: [UInt8]) -> Connected { connect(scene.name, ConnectOptions(sid: sid)) }
        #expect(attempt(sid(authority: 1, 0)).status == .serverSidMismatch)
        #expect(attempt(sid(authority: 22, 1, 54321)).status == .serverSidMismatch)
        #expect(attempt(sid(authority: 22, 1, geteuid(), revision: 0x55)).status == .invalidSid)
        #expect(listener.poll() == .timeout)
        let made = attempt(ownSID)
        #expect(made.status == .success)
        scene.keep(made.port)
        #expect(try listener.take().kind == 10)
        // Also over a link that is open already.
        #expect(attempt(sid(authority: 1, 0)).status == .serverSidMismatch)
        #expect(listener.poll() == .timeout)
    }

    @Test func `D-15 A connection message above the listener's limit is too long`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create(usual(limit: 56))
        for options in [ConnectOptions(message: Message(pattern(32))), .waiting(Message(pattern(32)))] {
            let made = connect(scene.name, options)
            #expect(made.status == .portMessageTooLong && made.port.handle == unwrittenHandle)
        }
        #expect(listener.poll() == .timeout)
        _ = try scene.pending(ConnectOptions(message: Message(pattern(16))))
        #expect(try listener.take().payload == pattern(16))
    }

    @Test func `D-16 Lengths that clash are an invalid parameter`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let message = Message(pattern(16))
        message.dataLength = 8
        #expect(connect(scene.name, ConnectOptions(message: message)).status == .invalidParameter)
        #expect(connect(scene.name, .waiting(message)).status == .invalidParameter)
        #expect(listener.poll() == .timeout)
    }

    @Test func `D-17 An accept message that does not fit ends the connect with the length it needs`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let message = Message(pattern(4), room: 44)
        let before = message.bytes
        let call = waiting(scene.name, message)
        let request = try listener.take()
        scene.keep(accept(listener, Message(pattern(16), id: request.id), context: 9).port)
        #expect(call.result.status == .bufferTooSmall)
        #expect(call.result.port.handle == unwrittenHandle)
        #expect(message.length == 56 && message.bytes == before)
        #expect(try listener.take().kind == 5)
    }

    @Test func `D-19 D-20 D-21 D-22 ConnectEx names its server by object attributes and judges it by a descriptor`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        func attempt(_ name: String?, _ required: [UInt8]?) -> (NTStatus, HANDLE?) {
            var handle = unwrittenHandle
            var bytes = required ?? []
            let result = bytes.withUnsafeMutableBytes { bytes in
                withObject(name) { object in
                    status(NtAlpcConnectPortEx(&handle, object, nil, nil, 0, required == nil ? nil : bytes.baseAddress, nil, nil, nil, nil, nil))
                }
            }
            return (result, handle)
        }
        for (required, expected) in [(nil, .success), (descriptor(allow: [ownSID]), .success),
                                     (descriptor(allow: [sid(authority: 22, 1, 54321)]), .serverSidMismatch)] as [([UInt8]?, NTStatus)] {
            let (result, handle) = attempt(scene.name, required)
            #expect(result == expected)
            if expected == .success {
                scene.keep(Port(handle: handle))
                let request = try listener.take()
                #expect(request.type == 0x200A && request.dataLength == 0)
            } else {
                #expect(handle == unwrittenHandle)
                #expect(listener.poll() == .timeout)
            }
        }
        #expect(attempt(nil, nil).0 == .invalidParameter)
        var handle = unwrittenHandle
        #expect(status(NtAlpcConnectPortEx(&handle, nil, nil, nil, 0, nil, nil, nil, nil, nil, nil)) == .invalidParameter)
        #expect(handle == unwrittenHandle)
    }

    @Test func `D-23 D-24 The ids alone name the request`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        for withCallback in [false, true] {
            let client = try scene.pending()
            let request = try listener.take()
            let answer = Message([], id: request.id, callback: withCallback ? request.callbackID : 0)
            let made = accept(listener, answer)
            #expect(made.status == .success)
            scene.keep(made.port)
            #expect(try client.take().kind == 11)
        }
    }

    @Test func `D-25 The received request may be accepted as it is`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let client = try scene.pending(ConnectOptions(message: Message(pattern(20))))
        let request = try listener.take()
        let made = accept(listener, request)
        #expect(made.status == .success)
        scene.keep(made.port)
        #expect(try client.take().payload == pattern(20))
    }

    @Test func `D-26 D-27 What was not asked cannot be answered, nor twice`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        for id in [0x7FFF_FFF0, 0, 0xFFFF_FFFF, 5] as [UInt32] {
            let made = accept(listener, Message([], id: id))
            #expect(made.status == .invalidMessage && made.port.handle == unwrittenHandle, "id \(id)")
        }
        _ = try scene.pending()
        let request = try listener.take()
        scene.keep(accept(listener, Message(answering: request)).port)
        #expect(accept(listener, Message(answering: request)).status == .invalidMessage)
        #expect(accept(listener, Message(answering: request), accepts: false).status == .invalidMessage)
    }

    @Test func `D-28 D-29 A client that went away before the accept leaves a notice and a cancelled request`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let client = try scene.pending()
        let request = try listener.take()
        #expect(scene.close(client) == .success)
        let notice = try listener.take()
        #expect(notice.type == 12 && notice.id == request.id && notice.dataLength == 0)
        #expect(accept(listener, Message(answering: request)).status == .requestCanceled)
        #expect(accept(listener, Message(answering: request)).status == .invalidMessage)
        #expect(listener.poll() == .timeout)
    }

    @Test func `D-30 A pending client whose listener closes gets a notice of its own request`() throws {
        let scene = Scene()
        defer { scene.end() }
        for received in [false, true] {
            let listener = try scene.create()
            let client = try scene.pending()
            var id: UInt32?
            if received { id = try listener.take().id }
            #expect(scene.close(listener) == .success)
            let notice = try client.take()
            #expect(notice.kind == 12 && notice.dataLength == 0 && notice.totalLength == 40)
            #expect(id == nil || notice.id == id)
            #expect(notice.process == UInt64(getpid()) && notice.thread == UInt64(gettid()))
            #expect(client.poll() != .success)
        }
    }

    @Test func `D-31 D-32 The context of an accept comes back with messages and queries`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected(context: 0xBADF00D)
        #expect(client.datagram("x") == .success)
        let attributes = Attributes(Attributes.context)
        #expect(try listener.take(attributes).text == "x")
        #expect(attributes.valid == Attributes.context)
        #expect(attributes.portContext == 0xBADF00D)
        #expect(try server.basic().PortContext == PVOID(bitPattern: 0xBADF00D))
    }

    @Test func `D-33 Refusing needs no handle pointer, accepting does`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let client = try scene.pending()
        let request = try listener.take()
        #expect(status(NtAlpcAcceptConnectPort(nil, listener.handle, 0, nil, nil, nil, request.pointer, nil, 1)) == .accessViolation)
        #expect(status(NtAlpcAcceptConnectPort(nil, listener.handle, 0, nil, nil, nil, request.pointer, nil, 0)) == .success)
        #expect(client.receive(Message(room: 256)) == .portConnectionRefused)
    }

    @Test func `D-34 A connection request shows no context`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        _ = try scene.pending()
        let attributes = Attributes(valid: .max)
        _ = try listener.take(attributes)
        #expect(attributes.valid & ~0x0800_0000 == 0)
    }

    @Test func `D-36 Only a connection port accepts`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected()
        _ = try scene.pending()
        let request = try listener.take()
        for port in [client, server] {
            let made = accept(port, Message(answering: request))
            #expect(made.status == .invalidPortHandle && made.port.handle == unwrittenHandle)
        }
        #expect(accept(Port(handle: scene.event().handle), Message(answering: request)).status == .objectTypeMismatch)
        #expect(accept(Port(handle: scene.closedHandle()), Message(answering: request)).status == .invalidHandle)
        scene.keep(accept(listener, Message(answering: request)).port)
    }

    @Test func `An accept payload above the client's limit is too long and can be mended`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let client = try scene.pending(ConnectOptions(attributes: usual(flags: 0, limit: 60)))
        let request = try listener.take()
        let made = accept(listener, Message(pattern(21), id: request.id))
        #expect(made.status == .portMessageTooLong)
        scene.keep(accept(listener, Message(pattern(20), id: request.id)).port)
        #expect(try client.take().payload == pattern(20))
    }

    @Test func `A waiting connect is refused when the listener closes`() throws {
        for received in [false, true] {
            let scene = Scene()
            defer { scene.end() }
            let listener = try scene.create()
            let call = waiting(scene.name)
            if received { _ = try listener.take() } else { settle(100) }
            #expect(scene.close(listener) == .success)
            #expect(call.result.status == .portConnectionRefused, "received: \(received)")
        }
    }

    @Test func `M-01 A client's limit above 64 KiB is cut`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create(usual(limit: 0xFFFF))
        let (_, client) = try scene.client(listener, usual(flags: 0x20000, limit: 0x20000))
        #expect(client.datagram(Message(pattern(0xFFFF - 40))) == .success)
        #expect(try listener.take(room: 0xFFFF).payload == pattern(0xFFFF - 40))
    }

    @Test func `M-09 A client that dies in the handshake is cancelled or closed`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let peer = try Peer()
        peer.tell("connect K sync \(scene.name)")
        let request = try listener.take()
        peer.kill()
        let notice = try listener.take()
        #expect(notice.kind == 12 && notice.id == request.id)
        #expect(accept(listener, Message(answering: request)).status == .requestCanceled)
    }

    @Test func `M-16 The thread that asked may end before the accept`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let name = scene.name
        let call = Background { connect(name, ConnectOptions(attributes: usual(flags: 0x40000))) }
        #expect(call.result.status == .success)
        let client = scene.keep(call.result.port)
        _ = try scene.admit(listener, pattern(16))
        #expect(client.wait() == .success)
        let reply = try client.take()
        #expect(reply.kind == 11 && reply.payload == pattern(16) && reply.thread == UInt64(gettid()))
    }

    @Test func `The handle of a client port has the attributes that were asked for`() throws {
        let scene = Scene()
        defer { scene.end() }
        _ = try scene.create()
        for (given, expected) in [(UInt32(0), UInt32(0)), (2, 2)] {
            var handle: HANDLE?
            let result = withString(scene.name) { name in
                withObject(nil, attributes: given) { object in NtAlpcConnectPort(&handle, name, object, nil, 0, nil, nil, nil, nil, nil, nil) }
            }
            try #require(status(result) == .success)
            scene.keep(Port(handle: handle))
            var basic = OBJECT_BASIC_INFORMATION()
            #expect(NtQueryObject(handle, ObjectBasicInformation, &basic, ULONG(MemoryLayout<OBJECT_BASIC_INFORMATION>.size), nil) == 0)
            #expect(basic.Attributes & 2 == expected)   // OBJ_INHERIT
        }
    }
}
