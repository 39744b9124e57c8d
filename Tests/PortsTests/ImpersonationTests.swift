// Acting for a client: J-14 to J-20 and C-33 to C-35 of the scenarios, and every status of the three calls.

import CNTTypes
import Glibc
import NTTypes
import Testing

@Suite(.guarded) struct ImpersonationTests {
    private static let allow: UInt32 = 0x10000
    private static let listener = usual(flags: 0x30000)

    /// A client of a port that allows impersonation, and a synchronous request of its that the server holds.
    private struct Held {
        let listener: Port, server: Port, client: Port
        let request: Message
        let call: Background<NTStatus>

        func answer() {
            #expect(listener.datagram(Message(answering: request)) == .success)
            #expect(call.result == .success)
        }
    }

    private func hold(_ scene: Scene, _ client: ALPC_PORT_ATTRIBUTES?, server: ALPC_PORT_ATTRIBUTES? = Self.listener, type: UInt16 = 0) throws -> Held {
        let listener = try scene.create(server)
        let (port, client) = try scene.client(listener, client)
        let call = Background { client.request(Message([1], type: type), Message(room: 256)) }
        return Held(listener: listener, server: port, client: client, request: try listener.take(), call: call)
    }

    @Test func `J-14 The server acts for the client of a request`() throws {
        let scene = Scene()
        defer { scene.end() }
        let held = try hold(scene, attributes(Self.allow, effectiveOnly: true))
        let expected = Acting.own(effectiveOnly: true)
        for port in [held.listener, held.server] {
            #expect(port.impersonate(held.request) == (.success, expected))
            // The id decides: the rest of the header may be zero, but for a callback id that is there.
            #expect(port.impersonate(Message(id: held.request.id)) == (.success, expected))
            #expect(port.impersonate(Message(id: held.request.id, callback: held.request.callbackID + 1)) == (.invalidMessage, nil))
        }
        held.answer()
        #expect(held.listener.impersonate(held.request).status == .invalidMessage)
    }

    @Test func `An asynchronous request and a connection request have a client too`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create(Self.listener)
        let (_, client) = try scene.client(listener, attributes(Self.allow))
        #expect(client.send("question") == .success)
        let request = try listener.take()
        #expect(listener.impersonate(request).status == .success)
        _ = try scene.pending(ConnectOptions(attributes: attributes(Self.allow)))
        let connect = try listener.take()
        #expect(connect.kind == 10)
        #expect(listener.impersonate(connect).client?.level == 2)
        // A datagram leaves no message behind.
        #expect(client.datagram("news") == .success)
        #expect(listener.impersonate(try listener.take()).status == .invalidMessage)
    }

    @Test(arguments: [1, 2, 3] as [UInt32], [true, false])
    func `J-18 The level is the client's`(level: UInt32, dynamic: Bool) throws {
        let scene = Scene()
        defer { scene.end() }
        let held = try hold(scene, attributes(Self.allow, level: level, dynamic: dynamic))
        #expect(held.listener.impersonate(held.request).client?.level == level)
        // J-17: a level that is required, and perhaps not given.
        for required in 0 ..< 4 as Range<UInt> {
            for fallback in [0, 1] as [UInt] {
                let outcome = held.listener.impersonate(held.request, fallback | 2 | required << 2)
                #expect(outcome.status == (required <= UInt(level) ? .success : .accessDenied), "\(required)")
                #expect(outcome.client?.level == (required <= UInt(level) ? level : nil))
            }
            // Without the bit that demands it the level is not looked at.
            #expect(held.listener.impersonate(held.request, required << 2).client?.level == level)
        }
        held.answer()
    }

    @Test func `J-15 A client that does not consent is refused, or anonymous`() throws {
        for terms in [attributes(0), attributes(Self.allow, level: 0), nil] as [ALPC_PORT_ATTRIBUTES?] {
            let scene = Scene()
            defer { scene.end() }
            let held = try hold(scene, terms)
            #expect(held.listener.impersonate(held.request) == (.accessDenied, nil))
            let anonymous = held.listener.impersonate(held.request, 1)
            #expect(anonymous.status == .success)
            #expect(anonymous.client?.level == 0 && anonymous.client?.uid == 65534 && anonymous.client?.gid == 65534)
            for flags in [2, 6, 7, 0xF] as [UInt] { #expect(held.listener.impersonate(held.request, flags) == (.accessDenied, nil), "\(flags)") }
            #expect(held.listener.impersonate(held.request, 3).client?.level == 0)
            held.answer()
        }
    }

    @Test func `J-16 A port that does not allow impersonation says so before it looks for the message`() throws {
        let scene = Scene()
        defer { scene.end() }
        for server in [nil, usual(flags: 0x20000)] as [ALPC_PORT_ATTRIBUTES?] {
            let held = try hold(scene, attributes(Self.allow), server: server)
            for port in [held.listener, held.server] {
                #expect(port.impersonate(Message(id: 0xDEADBEEF)) == (.accessDenied, nil))
                #expect(port.impersonate(held.request) == (.accessDenied, nil))
                #expect(port.impersonate(held.request, 1) == (.accessDenied, nil))
                #expect(port.impersonate(nil) == (.accessDenied, nil))
            }
            held.answer()
            #expect(scene.close(held.listener) == .success)
        }
    }

    @Test func `The connection port alone allows it, whatever the communication port was accepted with`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create(Self.listener)
        let client = try scene.pending(ConnectOptions(attributes: attributes(Self.allow)))
        let server = try scene.admit(listener, attributes: usual(flags: 0))
        #expect(try client.take().kind == 11)
        #expect(client.send("question") == .success)
        #expect(server.impersonate(try server.take()).status == .success)
    }

    @Test func `Statuses of the message: unknown, not received, another client's, given up`() throws {
        let scene = Scene()
        defer { scene.end() }
        let held = try hold(scene, attributes(Self.allow))
        let (otherServer, other) = try scene.client(held.listener, attributes(Self.allow))
        for id in [0, 4, 0xDEADBEEF, held.request.id ^ 0x8000, held.request.id + 1] as [UInt32] {
            #expect(held.listener.impersonate(Message(id: id)).status == .invalidMessage, "\(id)")
        }
        #expect(otherServer.impersonate(held.request).status == .accessDenied)
        // Queued, then received, then given up.
        let late: Message = "late"
        #expect(other.send(late) == .success)
        #expect(held.listener.impersonate(Message(id: late.id)).status == .invalidMessage)
        #expect(held.listener.impersonate(try otherServer.take()).status == .success)
        let brief = Background { other.request("brief", Message(room: 256), timeout: after(milliseconds: 300)) }
        let request = try otherServer.take()
        #expect(brief.result == .timeout)
        for _ in 0 ..< 2 { #expect(held.listener.impersonate(request).status == .requestCanceled) }
        // Another connection port of this process.
        let elsewhere = Scene()
        defer { elsewhere.end() }
        #expect(try elsewhere.create(Self.listener).impersonate(held.request).status == .accessDenied)
        held.answer()
    }

    @Test func `A client port is no server, and cannot act for one`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create(usual(flags: 0x30000))
        let (server, client) = try scene.client(listener, attributes(0x30000))
        #expect(server.send("question") == .success)
        let question = try client.take()
        #expect(question.kind == 1)
        #expect(client.impersonate(question) == (.accessDenied, nil))
        #expect(client.impersonate(nil) == (.accessDenied, nil))
        let container = status(NtAlpcImpersonateClientContainerOfPort(client.handle, question.pointer, 0))
        #expect(container == .accessDenied)
    }

    @Test func `A message marked 0x4000 is not to be impersonated, and shows it`() throws {
        let scene = Scene()
        defer { scene.end() }
        let held = try hold(scene, attributes(Self.allow), type: 0x4000)
        #expect(held.request.type == 0x6001)
        for flags in [0, 1] as [UInt] { #expect(held.listener.impersonate(held.request, flags) == (.accessDenied, nil)) }
        // What the receiver makes of the header changes nothing.
        #expect(held.listener.impersonate(Message(id: held.request.id)) == (.accessDenied, nil))
        held.answer()
        #expect(held.client.send(Message([], type: 0x4000)) == .success)
        let asynchronous = try held.listener.take()
        #expect(asynchronous.type == 0x6001 && held.listener.impersonate(asynchronous).status == .accessDenied)
        #expect(held.client.datagram(Message([], type: 0x4000)) == .success)
        #expect(try held.listener.take().type == 0x4003)
        // The next one is free again.
        #expect(held.client.send("question") == .success)
        let free = try held.listener.take()
        #expect(free.type == 0x2001 && held.listener.impersonate(free).status == .success)
    }

    @Test func `Without a message the static token of the connection is taken`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create(Self.listener)
        let (fixed, client) = try scene.client(listener, attributes(Self.allow, dynamic: false))
        #expect(fixed.impersonate(nil).client == Acting.own())
        #expect(fixed.impersonate(nil, 2 | 3 << 2) == (.accessDenied, nil))
        #expect(listener.impersonate(nil) == (.invalidParameter, nil))
        let (moving, _) = try scene.client(listener, attributes(Self.allow, dynamic: true))
        #expect(moving.impersonate(nil) == (.noImpersonationToken, nil))
        let (unwilling, _) = try scene.client(listener, attributes(0, dynamic: false))
        #expect(unwilling.impersonate(nil) == (.accessDenied, nil))
        #expect(unwilling.impersonate(nil, 1).client?.level == 0)
        #expect(scene.close(client) == .success)
        eventually { fixed.impersonate(nil).status != .success }
        #expect(fixed.impersonate(nil) == (.portDisconnected, nil))
    }

    @Test func `Flags that do not exist come before everything else`() throws {
        for flag in (4 ..< 64).map({ UInt(1) << UInt($0) }) {
            #expect(Port(handle: nil).impersonate(nil, flag) == (.invalidParameter, nil))
        }
        #expect(Port(handle: nil).impersonate(nil, 0xF).status == .invalidHandle)
    }

    @Test func `J-19 The container call checks its flags and its message, and changes nothing`() throws {
        let scene = Scene()
        defer { scene.end() }
        let held = try hold(scene, attributes(0), server: usual())
        func call(_ port: Port, _ message: Message, _ flags: UInt32 = 0) -> (status: NTStatus, client: Acting?) {
            Acting.as { NtAlpcImpersonateClientContainerOfPort(port.handle, message.pointer, flags) }
        }
        for flags in [1, 2, 0x10000, 0x80000000] as [UInt32] { #expect(call(Port(handle: nil), held.request, flags) == (.invalidParameter, nil)) }
        for port in [held.listener, held.server] {
            #expect(call(port, held.request) == (.success, nil))
            #expect(call(port, Message(id: 0xDEADBEEF)) == (.invalidMessage, nil))
        }
        let (other, _) = try scene.client(held.listener, attributes(0))
        #expect(call(other, held.request) == (.accessDenied, nil))
        #expect(call(scene.event(), held.request) == (.objectTypeMismatch, nil))
        #expect(call(Port(handle: scene.closedHandle()), held.request) == (.invalidHandle, nil))
        #expect(status(NtAlpcImpersonateClientContainerOfPort(held.listener.handle, nil, 0)) == .accessViolation)
        held.answer()
        #expect(call(held.listener, held.request) == (.invalidMessage, nil))
    }

    @Test func `M-03 Handles that are no ports`() throws {
        let scene = Scene()
        defer { scene.end() }
        let event = scene.event(), closed = Port(handle: scene.closedHandle())
        #expect(event.impersonate(Message(id: 4)).status == .objectTypeMismatch)
        #expect(closed.impersonate(Message(id: 4)).status == .invalidHandle)
        #expect(event.lpcImpersonate(Message(id: 4)).status == .objectTypeMismatch)
        #expect(closed.lpcImpersonate(Message(id: 4)).status == .invalidHandle)
        #expect(status(NtImpersonateClientOfPort(closed.handle, nil)) == .accessViolation)
    }

    // MARK: Another user

    @Test(.enabled(if: geteuid() == 0, "needs root, to become another user"))
    func `Another user is impersonated as the kernel knows it`() throws {
        admitStrangers()
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create(Self.listener, admitting: [sid(authority: 1, 0)])
        let peer = try Peer(wrapper: stranger)
        peer.tell("connectas K 0x10000 2 1 \(scene.name)")
        let connect = try listener.take()
        let expected = Acting(level: 2, effectiveOnly: false, uid: 12345, gid: 12345)
        #expect(listener.impersonate(connect).client == expected)
        let server = scene.keep(accept(listener, Message(answering: connect)).port)
        #expect(peer.answer() == "STATUS_SUCCESS")
        peer.tell("request K -1 question")
        let request = try server.take()
        #expect(server.impersonate(request).client == expected)
        peer.kill()
        eventually { server.impersonate(request).status != .success }
        #expect(server.impersonate(request).status == .requestCanceled)
    }

    // MARK: LPC

    private func lpcHold(_ scene: Scene, type: UInt16 = 0) throws -> Held {
        let (listener, server, client) = try scene.lpcConnected()
        let call = Background { client.lpcRequest(Message([1], type: type), Message(room: 256)) }
        return Held(listener: listener, server: server, client: client, request: try listener.lpcTake(), call: call)
    }

    @Test func `C-33 C-34 C-35 The LPC call acts for a client that waits`() throws {
        let scene = Scene()
        defer { scene.end() }
        let held = try lpcHold(scene)
        let expected = Acting.own()
        #expect(held.server.lpcImpersonate(held.request) == (.success, expected))
        #expect(held.listener.lpcImpersonate(held.request) == (.invalidPortHandle, nil))
        #expect(held.client.lpcImpersonate(held.request) == (.invalidPortHandle, nil))
        // The ALPC call does the same on an LPC port.
        #expect(held.listener.impersonate(held.request) == (.success, expected))
        for message in [Message(id: 0), Message(id: 4), Message(id: 0xDEADBEEF)] {
            #expect(held.server.lpcImpersonate(message) == (.replyMessageMismatch, nil))
        }
        for change in [0, 1] {
            let other = Message(answering: held.request)
            if change == 0 { other.process += 4 } else { other.thread += 4 }
            #expect(held.server.lpcImpersonate(other) == (.replyMessageMismatch, nil))
        }
        #expect(held.server.lpcReply(Message(answering: held.request)) == .success)
        #expect(held.call.result == .success)
        #expect(held.server.lpcImpersonate(held.request) == (.replyMessageMismatch, nil))
        // A datagram's sender does not wait.
        #expect(held.client.lpcDatagram("news") == .success)
        #expect(held.server.lpcImpersonate(try held.listener.lpcTake()) == (.replyMessageMismatch, nil))
        #expect(scene.close(held.client) == .success)
        #expect(try held.listener.lpcTake().type == 5)
        #expect(held.server.lpcImpersonate(held.request) == (.portDisconnected, nil))
    }

    @Test func `An LPC request marked 0x4000 is not to be impersonated`() throws {
        let scene = Scene()
        defer { scene.end() }
        let held = try lpcHold(scene, type: 0x4000)
        #expect(held.request.type == 0x4001)
        #expect(held.server.lpcImpersonate(held.request) == (.accessDenied, nil))
        #expect(held.server.lpcReply(Message(answering: held.request)) == .success)
        #expect(held.call.result == .success)
    }

    @Test(arguments: [0, 1, 2, 3] as [UInt32])
    func `An LPC client is impersonated at its level, anonymous too`(level: UInt32) throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.lpcCreate()
        let name = scene.name
        let connecting = Background { lpcConnect(name, level: level).port }
        let request = try listener.lpcTake()
        let server = scene.keep(lpcAccept(request).port)
        #expect(status(NtCompleteConnectPort(server.handle)) == .success)
        let client = scene.keep(connecting.result)
        let call = Background { client.lpcRequest("question", Message(room: 256)) }
        let question = try listener.lpcTake()
        let outcome = server.lpcImpersonate(question)
        #expect(outcome.status == .success && outcome.client?.level == level)
        #expect(outcome.client?.uid == (level == 0 ? 65534 : geteuid()))
        #expect(server.lpcReply(Message(answering: question)) == .success)
        #expect(call.result == .success)
    }

    @Test func `The LPC call on an ALPC connection follows that port's and that client's flags`() throws {
        for (server, client, expected) in [(0x30000, 0x10000, .success), (0x20000, 0x10000, .accessDenied), (0x30000, 0, .accessDenied)] as [(UInt32, UInt32, NTStatus)] {
            let scene = Scene()
            defer { scene.end() }
            let held = try hold(scene, attributes(client), server: usual(flags: server))
            #expect(held.server.lpcImpersonate(held.request).status == expected)
            held.answer()
            // An asynchronous request has a sender that does not wait.
            #expect(held.client.send("question") == .success)
            let request = try held.listener.take()
            #expect(held.server.lpcImpersonate(request).status == (server == 0x30000 ? .replyMessageMismatch : .accessDenied))
        }
    }
}

private func == (left: (status: NTStatus, client: Acting?), right: (NTStatus, Acting?)) -> Bool { left.status == right.0 && left.client == right.1 }
