// Connecting by LPC: section B of the scenarios. Views (B-13 to B-16) are not served yet.

import CNTTypes
import Glibc
import NTTypes
import Testing

/// S-1-22-1-uid, and any other SID of one or two parts.
func sid(authority: UInt8, _ parts: UInt32..., revision: UInt8 = 1) -> [UInt8] {
    var bytes: [UInt8] = [revision, UInt8(parts.count), 0, 0, 0, 0, 0, authority]
    for part in parts { withUnsafeBytes(of: part.littleEndian) { bytes += $0 } }
    return bytes
}

var ownSID: [UInt8] { sid(authority: 22, 1, geteuid()) }

/// A self-relative descriptor whose DACL allows, or denies first, PORT_CONNECT to each SID; the owner is this user.
func descriptor(allow: [[UInt8]] = [], deny: [[UInt8]] = []) -> [UInt8] {
    var aces: [UInt8] = []
    for (type, sid) in deny.map({ (UInt8(1), $0) }) + allow.map({ (UInt8(0), $0) }) {
        aces += [type, 0] + withUnsafeBytes(of: UInt16(8 + sid.count).littleEndian) { Array($0) }
        aces += withUnsafeBytes(of: UInt32(0x1F_0001).littleEndian) { Array($0) } + sid
    }
    let owner = ownSID
    let acl = [2, 0] + withUnsafeBytes(of: UInt16(8 + aces.count).littleEndian) { Array($0) }
        + [UInt8(allow.count + deny.count), 0, 0, 0] + aces
    func offset(_ value: Int) -> [UInt8] { withUnsafeBytes(of: UInt32(value).littleEndian) { Array($0) } }
    return [1, 0, 0x04, 0x80] + offset(20) + offset(0) + offset(0) + offset(20 + owner.count) + owner + acl
}

@Suite(.guarded) struct LPCConnectTests {
    /// A client that connects on a thread of its own.
    private func client(_ name: String, information: [UInt8]? = nil) -> Background<Outcome> {
        Background {
            let made = lpcConnect(name, information: information)
            return Outcome(status: made.status, port: made.port, information: made.information, limit: made.limit)
        }
    }

    private struct Outcome: Sendable {
        var status: NTStatus
        var port: Port
        var information: [UInt8]
        var limit: UInt32
    }

    private func listen(_ port: Port) throws -> Message {
        let message = Message(room: 1024)
        try #require(status(NtListenPort(port.handle, message.pointer)) == .success)
        return message
    }

    @Test func `B-01 The listener sees who connects with what`() throws {
        let scene = Scene()
        defer { scene.end() }
        let port = try scene.lpcCreate()
        let call = client(scene.name, information: pattern(12))
        let message = try listen(port)
        #expect(message.type == 10)
        #expect(message.dataLength == 12 && message.totalLength == 52)
        #expect(message.payload == pattern(12))
        #expect(message.process == UInt64(getpid()))
        #expect(message.thread != 0 && message.thread != UInt64(gettid()))
        #expect(message.id != 0)
        #expect(message.callbackID == 0) // the size of a client view
        #expect(message.hasCleanTail)
        #expect(lpcAccept(message, accepts: false).status == .success)
        #expect(call.result.status == .portConnectionRefused)
    }

    @Test func `B-02 A refused client gets no handle, nor does the server`() throws {
        let scene = Scene()
        defer { scene.end() }
        let port = try scene.lpcCreate()
        let call = client(scene.name, information: pattern(12))
        let made = lpcAccept(try listen(port), accepts: false)
        #expect(made.status == .success && made.port.handle == unwrittenHandle)
        #expect(call.result.status == .portConnectionRefused && call.result.port.handle == unwrittenHandle)
    }

    @Test func `B-03 A refusal carries the server's reason`() throws {
        let scene = Scene()
        defer { scene.end() }
        let port = try scene.lpcCreate()
        let call = client(scene.name, information: pattern(12))
        let request = try listen(port)
        request.payload = Array("too late".utf8)
        #expect(lpcAccept(request, accepts: false).status == .success)
        #expect(call.result.status == .portConnectionRefused)
        #expect(call.result.information == Array("too late".utf8))
    }

    @Test func `B-04 B-22 The client waits for the completion, which happens once`() throws {
        let scene = Scene()
        defer { scene.end() }
        let port = try scene.lpcCreate()
        let call = client(scene.name)
        let made = lpcAccept(try listen(port))
        #expect(made.status == .success)
        scene.keep(made.port)
        settle(200)
        #expect(!call.isDone)
        #expect(status(NtCompleteConnectPort(made.port.handle)) == .success)
        #expect(call.result.status == .success)
        scene.keep(call.result.port)
        #expect(status(NtCompleteConnectPort(made.port.handle)) == .invalidParameter)
    }

    @Test func `B-05 The client learns the port's limit and the server's information`() throws {
        let scene = Scene()
        defer { scene.end() }
        let port = try scene.lpcCreate(limit: 200)
        let call = client(scene.name, information: pattern(16))
        let request = try listen(port)
        request.payload = Array("welcome".utf8)
        let made = scene.keep(lpcAccept(request).port)
        #expect(status(NtCompleteConnectPort(made.handle)) == .success)
        #expect(call.result.status == .success)
        #expect(call.result.limit == 200)
        #expect(call.result.information == Array("welcome".utf8))
        scene.keep(call.result.port)
    }

    @Test func `B-06 No connection information is needed`() throws {
        let scene = Scene()
        defer { scene.end() }
        let port = try scene.lpcCreate()
        let call = client(scene.name)
        let request = try listen(port)
        #expect(request.dataLength == 0 && request.totalLength == 40)
        let made = scene.keep(lpcAccept(request).port)
        #expect(status(NtCompleteConnectPort(made.handle)) == .success)
        #expect(call.result.status == .success)
        scene.keep(call.result.port)
    }

    @Test func `B-07 A name that nobody has is not found`() {
        let made = lpcConnect(Stage.name())
        #expect(made.status == .objectNameNotFound && made.port.handle == unwrittenHandle)
    }

    @Test func `B-08 D-18 A name of something else is a type mismatch`() throws {
        // Named events do not exist natively: a file in the tree stands for any object that is no port.
        let scene = Scene()
        defer { scene.end() }
        _ = try scene.create() // makes the directory
        let name = Stage.name()
        let path = Stage.root + "/RPC CONTROL/" + name.split(separator: "\\").last!.uppercased()
        try #require(mkdir(path, 0o700) == 0)
        defer { rmdir(path) }
        #expect(lpcConnect(name).status == .objectTypeMismatch)
        #expect(connect(name).status == .objectTypeMismatch)
    }

    @Test(.enabled(if: geteuid() == 0, "needs root, to become another user"))
    func `B-09 A user whom the port's descriptor does not admit is denied`() throws {
        for path in ["", "/RPC CONTROL"] { chmod(Stage.root + path, 0o777) }
        let stranger: [String] = ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups"]
        for (descriptor, expected) in [
            (descriptor(allow: [sid(authority: 1, 0)]), "TIMEOUT"), (descriptor(allow: [sid(authority: 22, 1, 12345)]), "TIMEOUT"),
            (descriptor(deny: [sid(authority: 1, 0)]), "ACCESS_DENIED"), (descriptor(allow: [ownSID]), "ACCESS_DENIED"), (nil, "ACCESS_DENIED"),
        ] as [([UInt8]?, String)] {
            let scene = Scene()
            defer { scene.end() }
            var handle: HANDLE?
            var bytes = descriptor ?? []
            let result = bytes.withUnsafeMutableBytes { bytes in
                withObject(scene.name, descriptor: descriptor == nil ? nil : bytes.baseAddress) { status(NtCreatePort(&handle, $0, 64, 256, 0)) }
            }
            try #require(result == .success)
            let port = scene.keep(Port(handle: handle))
            let peer = try Peer(wrapper: stranger)
            peer.tell("lpcconnect K \(scene.name)")
            if expected == "TIMEOUT" {
                let request = Message(room: 512)
                #expect(port.lpcReceive(request) == .success)
                #expect(request.process == UInt64(peer.pid))
                #expect(lpcAccept(request, accepts: false).status == .success)
                #expect(peer.answer() == "STATUS_PORT_CONNECTION_REFUSED")
            } else {
                #expect(peer.answer() == "STATUS_\(expected)")
                #expect(port.lpcReceive(Message(room: 512), timeout: 0) == .timeout)
            }
        }
    }

    private func secureConnect(_ name: String, _ required: [UInt8]) -> NTStatus {
        var handle = unwrittenHandle
        var quality = SECURITY_QUALITY_OF_SERVICE()
        quality.Length = 12
        var required = required
        let result = withString(name) { name in
            required.withUnsafeMutableBytes { NtSecureConnectPort(&handle, name, &quality, nil, $0.baseAddress, nil, nil, nil, nil) }
        }
        if result == 0 { #expect(NtClose(handle) == 0) } else { #expect(handle == unwrittenHandle) }
        return status(result)
    }

    @Test func `B-10 B-11 A secure connect asks for the server's user`() throws {
        let scene = Scene()
        defer { scene.end() }
        let port = try scene.lpcCreate()
        #expect(secureConnect(scene.name, sid(authority: 22, 1, 54321)) == .serverSidMismatch)
        #expect(secureConnect(scene.name, sid(authority: 1, 0)) == .serverSidMismatch)
        #expect(secureConnect(scene.name, sid(authority: 22, 1, 0, revision: 9)) == .invalidSid)
        #expect(port.lpcReceive(Message(room: 512), timeout: after(milliseconds: 50)) == .timeout)
        let name = scene.name
        let call = Background { self.secureConnect(name, ownSID) }
        let made = scene.keep(lpcAccept(try listen(port)).port)
        #expect(status(NtCompleteConnectPort(made.handle)) == .success)
        #expect(call.result == .success)
    }

    @Test func `B-12 A view of the wrong length is an invalid parameter`() throws {
        let scene = Scene()
        defer { scene.end() }
        let port = try scene.lpcCreate()
        var handle = unwrittenHandle
        var quality = SECURITY_QUALITY_OF_SERVICE()
        quality.Length = 12
        var view = PORT_VIEW(), remote = REMOTE_PORT_VIEW()
        view.Length = ULONG(MemoryLayout<PORT_VIEW>.size) - 1
        remote.Length = ULONG(MemoryLayout<REMOTE_PORT_VIEW>.size) - 1
        withString(scene.name) { name in
            #expect(status(NtConnectPort(&handle, name, &quality, &view, nil, nil, nil, nil)) == .invalidParameter)
            #expect(status(NtConnectPort(&handle, name, &quality, nil, &remote, nil, nil, nil)) == .invalidParameter)
        }
        #expect(handle == unwrittenHandle)
        let call = client(scene.name)
        let request = try listen(port)
        #expect(status(NtAcceptConnectPort(&handle, nil, request.pointer, 1, &view, nil)) == .invalidParameter)
        #expect(status(NtAcceptConnectPort(&handle, nil, request.pointer, 1, nil, &remote)) == .invalidParameter)
        #expect(handle == unwrittenHandle && !call.isDone)
        #expect(lpcAccept(request, accepts: false).status == .success)
        #expect(call.result.status == .portConnectionRefused)
    }

    @Test func `B-17 Information that is too long is cut at the port's limit`() throws {
        let scene = Scene()
        defer { scene.end() }
        let port = try scene.lpcCreate(information: 24)
        let call = client(scene.name, information: pattern(100))
        let request = try listen(port)
        #expect(request.payload == pattern(24))
        request.payload = pattern(90, seed: 7)
        let made = scene.keep(lpcAccept(request).port)
        #expect(status(NtCompleteConnectPort(made.handle)) == .success)
        #expect(call.result.status == .success)
        #expect(call.result.information == pattern(24, seed: 7))
        scene.keep(call.result.port)
    }

    @Test func `B-18 A client that waits is refused when the server closes`() throws {
        for received in [false, true] {
            let scene = Scene()
            defer { scene.end() }
            let port = try scene.lpcCreate()
            let call = client(scene.name)
            if received { _ = try listen(port) } else { settle(100) }
            #expect(scene.close(port) == .success)
            #expect(call.result.status == .portConnectionRefused, "received: \(received)")
        }
    }

    @Test func `B-19 B-20 A request is answered once, by its id`() throws {
        let scene = Scene()
        defer { scene.end() }
        let port = try scene.lpcCreate()
        let call = client(scene.name)
        let request = try listen(port)
        let nameless = Message(answering: request)
        nameless.id = 0
        #expect(lpcAccept(nameless).status == .replyMessageMismatch)
        nameless.id = 0x3FFF_FFF0
        #expect(lpcAccept(nameless).status == .replyMessageMismatch)
        settle()
        #expect(!call.isDone)
        #expect(lpcAccept(request, accepts: false).status == .success)
        #expect(call.result.status == .portConnectionRefused)
        // The thread that asked has ended: its id names nobody any more ([R] ROS-LPC), as soon as the kernel has let go of it.
        #expect([.invalidCid, .replyMessageMismatch].contains(lpcAccept(request, accepts: false).status))
        request.thread = UInt64(gettid())
        #expect(lpcAccept(request, accepts: false).status == .replyMessageMismatch)
        #expect(lpcAccept(request).status == .replyMessageMismatch)
    }

    @Test func `B-21 The client id of no thread does not stop an accept`() throws {
        // NT 5 says INVALID_CID; ports that stand on ALPC look at the message id alone (disputed point 9).
        let scene = Scene()
        defer { scene.end() }
        let port = try scene.lpcCreate()
        let call = client(scene.name)
        let request = try listen(port)
        request.thread = 0x7FFF_FFFF
        let made = lpcAccept(request)
        #expect(made.status == .success)
        scene.keep(made.port)
        #expect(status(NtCompleteConnectPort(made.port.handle)) == .success)
        #expect(call.result.status == .success)
        scene.keep(call.result.port)
    }

    @Test func `B-23 Only a server communication port can be completed`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.lpcConnected()
        #expect(status(NtCompleteConnectPort(listener.handle)) == .invalidPortHandle)
        #expect(status(NtCompleteConnectPort(client.handle)) == .invalidPortHandle)
    }

    @Test func `B-24 A connection whose client died is completed all the same`() throws {
        let scene = Scene()
        defer { scene.end() }
        let port = try scene.lpcCreate()
        let peer = try Peer()
        peer.tell("lpcconnect K \(scene.name)")
        let request = try listen(port)
        let made = lpcAccept(request, context: 0x77)
        #expect(made.status == .success)
        scene.keep(made.port)
        peer.kill()
        settle(100)
        #expect(status(NtCompleteConnectPort(made.port.handle)) == .success)
        #expect(try port.lpcTake().type == 5)
    }

    @Test func `B-25 A listener drops whatever is no connection request`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.lpcConnected()
        #expect(client.lpcDatagram("lost") == .success)
        let call = self.client(scene.name)
        let request = try listen(listener)
        #expect(request.type == 10)
        #expect(lpcAccept(request, accepts: false).status == .success)
        #expect(call.result.status == .portConnectionRefused)
        #expect(listener.lpcReceive(Message(room: 512), timeout: 0) == .timeout)
    }

    @Test func `A client of an LPC port sees its own context only in the server`() throws {
        // A NULL context becomes the value of the new handle ([R] ROS-LPC).
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.lpcConnected(context: 0)
        #expect(client.lpcDatagram("x") == .success)
        var context: PVOID?
        let message = Message(room: 512)
        #expect(status(NtReplyWaitReceivePort(listener.handle, &context, nil, message.pointer)) == .success)
        #expect(context == server.handle)
    }
}
