// Opening the sender of a message: J-01 to J-07 of the scenarios, and every status of the two calls.

import CNTTypes
import Glibc
import NTTypes
import Testing

@Suite(.guarded) struct SenderTests {
    private func held(_ scene: Scene) throws -> (listener: Port, server: Port, client: Port, request: Message, call: Background<NTStatus>, thread: UInt64) {
        let (listener, server, client) = try scene.connected()
        let call = Background { client.request("question", Message(room: 256)) }
        let request = try listener.take()
        return (listener, server, client, request, call, request.thread)
    }

    @Test func `J-01 J-02 J-03 The process and the thread of a synchronous request`() throws {
        let scene = Scene()
        defer { scene.end() }
        let held = try held(scene)
        for port in [held.listener, held.server] {
            #expect(port.openSender(held.request, thread: false, more: 0x400)
                == (.success, Opened(process: UInt64(getpid()), thread: 0, access: 0x1400, attributes: 0)))
            #expect(port.openSender(held.request, thread: true, more: 0x40, attributes: 2)
                == (.success, Opened(process: UInt64(getpid()), thread: held.thread, access: 0x840, attributes: 2)))
        }
        #expect(held.thread != UInt64(gettid()))
        #expect(held.listener.datagram(Message(answering: held.request)) == .success)
        #expect(held.call.result == .success)
        // J-07
        for thread in [false, true] { #expect(held.listener.openSender(held.request, thread: thread) == (.invalidMessage, nil)) }
    }

    @Test func `J-04 A sender that does not wait has a process and no thread`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected()
        let process = Opened(process: UInt64(getpid()), thread: 0, access: 0x1000, attributes: 0)
        #expect(client.send("question") == .success)
        let request = try listener.take()
        #expect(client.datagram("news") == .success)
        let datagram = try listener.take()
        #expect(datagram.type == 3)
        for message in [request, datagram] {
            for port in [listener, server] {
                #expect(port.openSender(message, thread: false) == (.success, process))
                #expect(port.openSender(message, thread: true) == (.accessDenied, nil))
            }
        }
        let (otherServer, _) = try scene.client(listener)
        #expect(otherServer.openSender(request, thread: false) == (.accessDenied, nil))
        // All connections of one process share a link, and a datagram's id names no more than that.
        #expect(otherServer.openSender(datagram, thread: false).status == .success)
        // A connection request of a client that does not wait, and of one that does.
        _ = try scene.pending()
        let connect = try listener.take()
        #expect(listener.openSender(connect, thread: false) == (.success, process))
        #expect(listener.openSender(connect, thread: true) == (.accessDenied, nil))
        let name = scene.name
        let connecting = Background { PortsTests.connect(name, .waiting()) }
        let waiting = try listener.take()
        #expect(listener.openSender(waiting, thread: true).opened?.thread == waiting.thread)
        #expect(accept(listener, Message(answering: waiting), accepts: false).status == .success)
        #expect(connecting.result.status == .portConnectionRefused)
    }

    @Test func `J-05 Object attributes: there, and without a name`() throws {
        let scene = Scene()
        defer { scene.end() }
        let held = try held(scene)
        for thread in [false, true] {
            #expect(held.listener.openSender(held.request, thread: thread, name: "\\x") == (.invalidParameterMix, nil))
            #expect(held.listener.openSender(held.request, thread: thread, name: "") == (.invalidParameterMix, nil))
            #expect(held.listener.openSender(held.request, thread: thread, attributes: 0x8000_0000) == (.invalidParameter, nil))
            var handle = unwrittenHandle
            var object = OBJECT_ATTRIBUTES()
            for length in [0, 47, 49] as [ULONG] {
                object.Length = length
                let result = thread ? NtAlpcOpenSenderThread(&handle, held.listener.handle, held.request.pointer, 0, 0x40, &object)
                    : NtAlpcOpenSenderProcess(&handle, held.listener.handle, held.request.pointer, 0, 0x400, &object)
                #expect(status(result) == .invalidParameter)
            }
            let missing = thread ? NtAlpcOpenSenderThread(&handle, held.listener.handle, held.request.pointer, 0, 0x40, nil)
                : NtAlpcOpenSenderProcess(&handle, held.listener.handle, held.request.pointer, 0, 0x400, nil)
            #expect(status(missing) == .accessViolation)
            #expect(held.listener.openSender(nil, thread: thread) == (.accessViolation, nil))
            #expect(handle == unwrittenHandle)
        }
        #expect(held.listener.datagram(Message(answering: held.request)) == .success)
        #expect(held.call.result == .success)
    }

    @Test func `J-06 A header that names another sender`() throws {
        let scene = Scene()
        defer { scene.end() }
        let held = try held(scene)
        let process = Message(answering: held.request), thread = Message(answering: held.request)
        process.process += 4
        thread.thread += 4
        for one in [false, true] { #expect(held.listener.openSender(process, thread: one) == (.invalidCid, nil)) }
        #expect(held.listener.openSender(thread, thread: true) == (.accessDenied, nil))
        #expect(held.listener.openSender(thread, thread: false).status == .success)
        let callback = Message(answering: held.request)
        callback.callbackID += 1
        #expect(held.listener.openSender(callback, thread: false) == (.invalidMessage, nil))
        #expect(held.client.datagram("news") == .success)
        let datagram = try held.listener.take()
        datagram.process += 4
        #expect(held.listener.openSender(datagram, thread: false) == (.invalidCid, nil))
        #expect(held.listener.datagram(Message(answering: held.request)) == .success)
        #expect(held.call.result == .success)
    }

    @Test func `Messages that are not here`() throws {
        let scene = Scene()
        defer { scene.end() }
        let held = try held(scene)
        let (otherServer, other) = try scene.client(held.listener)
        for thread in [false, true] {
            for id in [0, 4, 0xDEADBEEF, held.request.id ^ 0x8000] as [UInt32] {
                for type in [0x2001, 3] as [UInt16] {
                    let message = Message(answering: held.request, type: type)
                    message.id = id
                    // A datagram's id proves its link and no more.
                    if type == 3 && id == held.request.id ^ 0x8000 { continue }
                    #expect(held.listener.openSender(message, thread: thread) == (.invalidMessage, nil), "\(id) \(type)")
                }
            }
            #expect(otherServer.openSender(held.request, thread: thread) == (.accessDenied, nil))
        }
        #expect(scene.close(held.client) == .success)
        for thread in [false, true] { #expect(held.listener.openSender(held.request, thread: thread) == (.requestCanceled, nil)) }
        _ = held.call.result
        #expect(scene.close(other) == .success)
    }

    @Test func `A server's question has a sender too`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (_, server, client) = try scene.connected(client: usual(flags: 0x20000))
        #expect(server.send("question") == .success)
        let question = try client.take()
        #expect(client.openSender(question, thread: false).opened?.process == UInt64(getpid()))
        #expect(client.openSender(question, thread: true) == (.accessDenied, nil))
    }

    @Test func `Flags: of a process only the top bits count, and the highest means the 32-bit form`() throws {
        let scene = Scene()
        defer { scene.end() }
        let held = try held(scene)
        for flags in [1, 0x10000, 0x3FFF_FFFF, 0x4000_0000] as [UInt32] {
            #expect(held.listener.openSender(held.request, thread: false, flags: flags).status == .success)
            #expect(held.listener.openSender(held.request, thread: true, flags: flags) == (.invalidParameter, nil))
        }
        #expect(held.listener.openSender(held.request, thread: true, flags: 0x8000_0000) == (.invalidParameter, nil))
        let narrow = Message(room: 64)
        narrow.base.storeBytes(of: PORT_MESSAGE32(), as: PORT_MESSAGE32.self)
        narrow.base.storeBytes(of: held.request.type | 0x1000, toByteOffset: 4, as: UInt16.self)
        narrow.base.storeBytes(of: UInt32(held.request.process), toByteOffset: 8, as: UInt32.self)
        narrow.base.storeBytes(of: UInt32(held.request.thread), toByteOffset: 12, as: UInt32.self)
        narrow.base.storeBytes(of: held.request.id, toByteOffset: 16, as: UInt32.self)
        #expect(held.listener.openSender(narrow, thread: false, flags: 0x8000_0000).opened?.process == UInt64(getpid()))
        #expect(held.listener.openSender(narrow, thread: false).status != .success)
        #expect(held.listener.datagram(Message(answering: held.request)) == .success)
        #expect(held.call.result == .success)
    }

    @Test func `M-03 Handles that are no ports`() throws {
        let scene = Scene()
        defer { scene.end() }
        for thread in [false, true] {
            #expect(scene.event().openSender(Message(id: 4), thread: thread) == (.objectTypeMismatch, nil))
            #expect(Port(handle: scene.closedHandle()).openSender(Message(id: 4), thread: thread) == (.invalidHandle, nil))
        }
    }

    @Test func `The sender is the process that the kernel names`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let peer = try Peer()
        peer.tell("connectas K 0 2 1 \(scene.name)")
        let connect = try listener.take()
        #expect(listener.openSender(connect, thread: false).opened?.process == UInt64(peer.pid))
        #expect(listener.openSender(connect, thread: true).opened?.thread == connect.thread)
        scene.keep(accept(listener, Message(answering: connect)).port)
        #expect(peer.answer() == "STATUS_SUCCESS")
        #expect(peer.call("send K 0x10000 news") == "STATUS_SUCCESS")
        let datagram = try listener.take()
        #expect(listener.openSender(datagram, thread: false).opened?.process == UInt64(peer.pid))
        peer.kill()
        eventually { listener.openSender(datagram, thread: false).status != .success }
        #expect([.invalidMessage, .invalidCid].contains(listener.openSender(datagram, thread: false).status))
    }

    @Test(.enabled(if: geteuid() == 0, "needs root, to become another user"))
    func `A server may open nobody whom Linux does not give it power over`() throws {
        // A namespace of that user's own, which root may use too.
        var template = Array("/tmp/ntlpc-sender-XXXXXX\0".utf8CString)
        let root = template.withUnsafeMutableBufferPointer { String(cString: mkdtemp($0.baseAddress!)) }
        defer { rmTree(root) }
        chown(root, 12345, 12345)
        let peer = try Peer(wrapper: stranger, root: root), name = Stage.name()
        #expect(peer.call("create C 0 4096 \(name)") == "STATUS_SUCCESS")
        let superior = try Peer(root: root)
        #expect(superior.call("connect K async \(name)") == "STATUS_SUCCESS")
        #expect(peer.call("receive C 60000").hasPrefix("SUCCESS type=0x200a"))
        #expect(peer.call("opensender C") == "STATUS_ACCESS_DENIED")
        let friend = try Peer(wrapper: stranger, root: root)
        #expect(friend.call("connect K async \(name)") == "STATUS_SUCCESS")
        #expect(peer.call("receive C 60000").hasPrefix("SUCCESS type=0x200a"))
        #expect(peer.call("opensender C") == "STATUS_SUCCESS")
    }
}

private func == (left: (status: NTStatus, opened: Opened?), right: (NTStatus, Opened?)) -> Bool { left.status == right.0 && left.opened == right.1 }
