// Asking and telling ports about themselves: scenarios K-01 to K-10 and K-17, and the classes of 8.8 and 8.9 one by one.

import CLinuxShims
import CNTTypes
import Glibc
import NTObjects
import NTSecurity
import NTTypes
import Ports
import Synchronization
import Testing

@Suite(.guarded) struct PortInformationTests {
    private func query(_ port: Port, _ kind: ALPC_PORT_INFORMATION_CLASS, _ buffer: UnsafeMutableRawPointer?, _ length: Int, _ needed: PULONG? = nil) -> NTStatus {
        status(NtAlpcQueryInformation(port.handle, kind, buffer, ULONG(length), needed))
    }

    private func set(_ port: Port, _ kind: ALPC_PORT_INFORMATION_CLASS, _ buffer: UnsafeMutableRawPointer?, _ length: Int) -> NTStatus {
        status(NtAlpcSetInformation(port.handle, kind, buffer, ULONG(length)))
    }

    // MARK: Basic

    @Test func `K-01 Basic information has its size for every length`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected(context: 0xC0DE)
        for (port, flags, context) in [(listener, 0x20000, 0), (server, 0x20000, 0xC0DE), (client, 0, 0)] as [(Port, UInt32, UInt)] {
            for length in 0 ... 32 {
                let buffer = Message(room: 64)
                var needed: ULONG = 0
                let result = query(port, AlpcBasicInformation, buffer.base, length, &needed)
                #expect(needed == 16)
                guard length >= 16 else {
                    #expect(result == .infoLengthMismatch && buffer.isUntouched())
                    continue
                }
                #expect(result == .success && buffer.isUntouched(from: 16))
                let basic = buffer.base.load(as: ALPC_BASIC_INFORMATION.self)
                #expect(basic.Flags == flags && UInt(bitPattern: basic.PortContext) == context)
            }
        }
    }

    @Test func `K-02 Bad pages give access violation and stay as they are`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let bad = BadMemory()
        for pointer in bad.all {
            #expect(query(listener, AlpcBasicInformation, pointer, 16) == .accessViolation)
            #expect(query(client, AlpcServerSessionInformation, pointer, 8) == .accessViolation)
            #expect(query(client, AlpcConnectedSIDInformation, pointer, 28) == .accessViolation)
            #expect(query(client, AlpcWaitForPortReferences, pointer, 4) == .accessViolation)
            #expect(query(client, AlpcServerInformation, pointer, 64) == .accessViolation)
            for (kind, length) in [(AlpcPortInformation, 72), (AlpcAssociateCompletionPortInformation, 16), (AlpcMessageZoneInformation, 16),
                                   (AlpcRegisterCompletionListInformation, 24), (AlpcAdjustCompletionListConcurrencyCountInformation, 4)] {
                #expect(set(listener, kind, pointer, length) == .accessViolation)
            }
        }
        bad.makeReadOnly()
        #expect(query(listener, AlpcBasicInformation, bad.base, 16) == .accessViolation)
        #expect(query(listener, AlpcServerSessionInformation, bad.base, 8) == .accessViolation)
    }

    @Test func `K-08 Classes of the other call, unknown ones and the kernel's are refused`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        var buffer = [UInt64](repeating: 0, count: 16)
        for kind in [1, 2, 5, 6, 7, 8, 9, 10, 13, 14, 0xFFFF_FFFF] as [UInt32] {
            #expect(query(listener, ALPC_PORT_INFORMATION_CLASS(rawValue: kind), &buffer, 128) == .invalidInfoClass, "\(kind)")
        }
        for kind in [0, 3, 4, 9, 11, 12, 13, 0xFFFF_FFFF] as [UInt32] {
            #expect(set(listener, ALPC_PORT_INFORMATION_CLASS(rawValue: kind), &buffer, 128) == .invalidInfoClass, "\(kind)")
        }
    }

    @Test func `M-03 Wrong handles`() throws {
        let scene = Scene()
        defer { scene.end() }
        let event = scene.event(), closed = Port(handle: scene.closedHandle()), none = Port(handle: nil)
        var sid = UnixIdentity.userSID(uid: geteuid()).bytes, count: ULONG = 0, basic = ALPC_BASIC_INFORMATION(), session = ALPC_SERVER_SESSION_INFORMATION()
        var attributes = usual(), zone = ALPC_PORT_MESSAGE_ZONE_INFORMATION()
        for (port, expected) in [(event, .objectTypeMismatch), (closed, .invalidHandle), (none, .invalidHandle)] as [(Port, NTStatus)] {
            #expect(query(port, AlpcBasicInformation, &basic, 16) == expected)
            #expect(query(port, AlpcConnectedSIDInformation, &sid, sid.count) == expected)
            #expect(query(port, AlpcWaitForPortReferences, &count, 4) == expected)
            #expect(query(port, AlpcServerSessionInformation, &session, 8) == expected)
            #expect(set(port, AlpcPortInformation, &attributes, 72) == expected)
            #expect(set(port, AlpcMessageZoneInformation, &zone, 16) == expected)
            #expect(set(port, AlpcAdjustCompletionListConcurrencyCountInformation, &count, 4) == expected)
            for kind in [AlpcUnregisterCompletionListInformation, AlpcCompletionListRundownInformation] { #expect(set(port, kind, nil, 0) == expected) }
        }
    }

    // MARK: The server

    @Test func `K-06 The server's SID is compared`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected()
        var own = UnixIdentity.userSID(uid: geteuid()).bytes, other = SID(authority: 22, [1, 54321]).bytes
        for port in [client, server, listener] {
            #expect(query(port, AlpcConnectedSIDInformation, &own, own.count) == .success)
            #expect(query(port, AlpcConnectedSIDInformation, &own, own.count + 100) == .success)
            #expect(query(port, AlpcConnectedSIDInformation, &other, other.count) == .serverSidMismatch)
        }
        for length in 0 ..< own.count { #expect(query(client, AlpcConnectedSIDInformation, &own, length) == .infoLengthMismatch) }
        var malformed = own
        malformed[0] = 2
        #expect(query(client, AlpcConnectedSIDInformation, &malformed, own.count) == .invalidSid)
        #expect(scene.close(server) == .success)
        eventually { query(client, AlpcConnectedSIDInformation, &own, own.count) != .success || client.datagram("x") == .portDisconnected }
        #expect(query(client, AlpcConnectedSIDInformation, &own, own.count) == .portDisconnected)
        var handle: HANDLE?
        #expect(status(NtCreatePort(&handle, nil, 0, 256, 0)) == .success)
        #expect(query(scene.keep(Port(handle: handle)), AlpcConnectedSIDInformation, &own, own.count) == .invalidParameter)
    }

    @Test func `K-07 The server's session and process`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected()
        for port in [client, server, listener] {
            var session = ALPC_SERVER_SESSION_INFORMATION(SessionId: 9, ProcessId: 9), needed: ULONG = 0
            #expect(query(port, AlpcServerSessionInformation, &session, 7, &needed) == .infoLengthMismatch && needed == 8 && session.ProcessId == 9)
            #expect(query(port, AlpcServerSessionInformation, &session, 8, &needed) == .success)
            #expect(session.SessionId == 0 && session.ProcessId == ULONG(getpid()))
        }
        let peer = try Peer()
        let name = Stage.name()
        #expect(peer.call("create C 0x20000 4096 \(name)") == "STATUS_SUCCESS")
        let remote = connect(name)
        #expect(remote.status == .success)
        scene.keep(remote.port)
        var session = ALPC_SERVER_SESSION_INFORMATION()
        #expect(query(remote.port, AlpcServerSessionInformation, &session, 8) == .success && session.ProcessId == ULONG(peer.pid))
    }

    @Test func `K-03 A thread that waits in a request is seen with its server`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let waiting = Atomic<UInt64>(0)
        let call = Background {
            waiting.store(UInt64(gettid()), ordering: .releasing)
            return client.request("question", Message(room: 256))
        }
        let request = try listener.take()
        var found: BlockedThread?
        eventually {
            do throws(NTStatus) { found = try ALPCPort.blockedThread(waiting.load(ordering: .acquiring)) } catch { Issue.record("\(error)") }
            return found != nil
        }
        #expect(found?.serverProcess == UInt64(getpid()) && found?.portName == scene.name)
        // The call, by a handle of the thread.
        var thread: HANDLE?
        let opened = withObject(nil, attributes: 0) { NtAlpcOpenSenderThread(&thread, listener.handle, request.pointer, 0, 0x1F_FFFF, $0) }
        try #require(status(opened) == .success)
        scene.keep(Port(handle: thread))
        let buffer = Message(room: 256), size = MemoryLayout<ALPC_SERVER_INFORMATION>.size, bytes = scene.name.utf16.count * 2
        var needed: ULONG = 0
        buffer.base.storeBytes(of: thread, as: HANDLE?.self)
        // K-04: the structure alone is too short.
        #expect(query(Port(handle: nil), AlpcServerInformation, buffer.base, size, &needed) == .infoLengthMismatch && needed == ULONG(size + bytes))
        #expect(query(Port(handle: nil), AlpcServerInformation, buffer.base, size + bytes - 1, &needed) == .infoLengthMismatch)
        for port in [Port(handle: nil), client, listener] {
            buffer.base.storeBytes(of: thread, as: HANDLE?.self)
            #expect(query(port, AlpcServerInformation, buffer.base, size + bytes, &needed) == .success && needed == ULONG(size + bytes))
            let out = buffer.base.load(as: ALPC_SERVER_INFORMATION.self).Out
            #expect(out.ThreadBlocked == 1 && UInt(bitPattern: out.ConnectedProcessId) == UInt(getpid()))
            #expect(Int(out.ConnectionPortName.Length) == bytes && UnsafeMutableRawPointer(out.ConnectionPortName.Buffer) == buffer.base + size)
            let text = UnsafeBufferPointer(start: out.ConnectionPortName.Buffer, count: bytes / 2).map { UInt16($0) }
            #expect(String(decoding: text, as: UTF16.self) == scene.name)
        }
        #expect(buffer.isUntouched(from: size + bytes))
        #expect(listener.send(Message(answering: request), 0x10000) == .success)
        #expect(call.result == .success)
        buffer.base.storeBytes(of: HANDLE(bitPattern: -2), as: HANDLE?.self)
        #expect(query(Port(handle: nil), AlpcServerInformation, buffer.base, size, &needed) == .success && needed == ULONG(size))
        #expect(buffer.base.load(as: ALPC_SERVER_INFORMATION.self).Out.ThreadBlocked == 0)
        // K-05: an idle thread, one that is gone, and one that waits for messages.
        #expect(try ALPCPort.blockedThread(UInt64(gettid())) == nil)
        #expect(try ALPCPort.blockedThread(waiting.load(ordering: .acquiring)) == nil)
    }

    @Test func `Server information needs room for its structure and a thread`() throws {
        let scene = Scene()
        defer { scene.end() }
        var information = ALPC_SERVER_INFORMATION(), needed: ULONG = 0
        for length in 0 ..< 32 { #expect(query(Port(handle: nil), AlpcServerInformation, &information, length, &needed) == .infoLengthMismatch && needed == 32) }
        #expect(query(Port(handle: nil), AlpcServerInformation, &information, 32) != .success)
        #expect(query(Port(handle: scene.closedHandle()), AlpcServerInformation, &information, 32) == .invalidHandle)
        #expect(query(scene.event(), AlpcServerInformation, &information, 32) == .objectTypeMismatch)
    }

    // MARK: Attributes

    @Test func `K-09 A client can begin to take requests`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (_, server, client) = try scene.connected()
        #expect(server.send("question") == .lpcRequestsNotAllowed)
        var attributes = usual(flags: 0x20000)
        #expect(set(client, AlpcPortInformation, &attributes, 72) == .success)
        #expect(try client.basic().Flags == 0x20000)
        #expect(server.send("question") == .success)
        #expect(try client.take().text == "question")
        attributes = usual(flags: 0)
        #expect(set(client, AlpcPortInformation, &attributes, 72) == .success)
        #expect(server.send("question") == .lpcRequestsNotAllowed)
    }

    @Test func `A pending client's new attributes count when it is accepted`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let client = try scene.pending()
        var attributes = usual(flags: 0x20000)
        #expect(set(client, AlpcPortInformation, &attributes, 72) == .success)
        let server = try scene.admit(listener)
        #expect(server.send("question") == .success)
        #expect(try client.take().kind == 11)
        #expect(try client.take().text == "question")
    }

    @Test func `New attributes reach another process`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let peer = try Peer()
        peer.tell("connect K sync \(scene.name)")
        let server = try scene.admit(listener)
        #expect(peer.answer() == "STATUS_SUCCESS")
        // The server's own flags change; its client goes on.
        var attributes = usual(flags: 0xA0000)
        #expect(set(server, AlpcPortInformation, &attributes, 72) == .success)
        #expect(try server.basic().Flags == 0xA0000)
        #expect(server.datagram("hello") == .success)
        #expect(peer.call("receive K 60000").contains("hello"))
        #expect(peer.call("send K 0x10000 back") == "STATUS_SUCCESS")
        #expect(try listener.take().text == "back")
    }

    @Test func `K-10 Attributes have one length, and what is fixed stays`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create(usual(flags: 0x60000, limit: 0x400))
        var attributes = usual(flags: 0x80000, limit: 0x8000)
        for length in [0, 44, 71, 73, 80] { #expect(set(listener, AlpcPortInformation, &attributes, length) == .infoLengthMismatch) }
        #expect(set(listener, AlpcPortInformation, &attributes, 72) == .success)
        // Whether the handle can be waited on was decided when it was made.
        #expect(try listener.basic().Flags == 0xC0000)
        let client = try scene.pending()
        #expect(listener.wait() == .success)
        let server = try scene.admit(listener)
        #expect(client.poll() == .success)
        #expect(client.datagram(Message(pattern(0x400 - 40))) == .success)
        #expect(client.datagram(Message(pattern(0x400 - 39))) == .portMessageTooLong)
        attributes.Flags = 0x100000
        #expect(set(server, AlpcPortInformation, &attributes, 72) == .invalidParameter)
        attributes = usual()
        attributes.SecurityQos.ContextTrackingMode = 2
        #expect(set(server, AlpcPortInformation, &attributes, 72) == .invalidParameter)
        attributes.SecurityQos.ContextTrackingMode = 1
        attributes.SecurityQos.ImpersonationLevel = SECURITY_IMPERSONATION_LEVEL(rawValue: 4)
        #expect(set(server, AlpcPortInformation, &attributes, 72) == .badImpersonationLevel)
    }

    @Test func `K-17 The message zone is accepted and does nothing`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        var zone = ALPC_PORT_MESSAGE_ZONE_INFORMATION(Buffer: nil, Size: 0)
        for length in 0 ..< 24 where length != 16 { #expect(set(listener, AlpcMessageZoneInformation, &zone, length) == .invalidParameter) }
        #expect(set(listener, AlpcMessageZoneInformation, &zone, 16) == .success)
        zone.Size = 4096
        #expect(set(listener, AlpcMessageZoneInformation, &zone, 16) == .invalidParameter)
    }

    @Test func `K-13 An association needs its structure and a completion port`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        var association = ALPC_PORT_ASSOCIATE_COMPLETION_PORT()
        for length in 0 ..< 16 { #expect(set(listener, AlpcAssociateCompletionPortInformation, &association, length) == .infoLengthMismatch) }
        #expect(set(listener, AlpcAssociateCompletionPortInformation, &association, 16) == .invalidParameter)
    }

    // MARK: References

    @Test func `Port references are waited for until the tracked calls have left`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        @Sendable func wait(_ count: ULONG) -> NTStatus {
            var count = count
            return query(listener, AlpcWaitForPortReferences, &count, 4)
        }
        var long: UInt64 = 0
        for length in [0, 3, 5, 8] { #expect(query(listener, AlpcWaitForPortReferences, &long, length) == .infoLengthMismatch) }
        #expect(wait(0) == .success)
        let tracked = (0 ..< 2).map { _ in
            Background { receiveUntilEnded(listener, flags: 0x40000) }
        }
        // A call without the flag does not count.
        let plain = Background { listener.receive(Message(room: 256), timeout: after(milliseconds: 500)) }
        settle()
        #expect(wait(2) == .success)
        let quiet = Background { wait(1) }, silent = Background { wait(0) }
        settle()
        #expect(!quiet.isDone && !silent.isDone)
        while !quiet.isDone {
            #expect(client.datagram("x") == .success)
            settle(20)
        }
        #expect(quiet.result == .success)
        while !tracked.allSatisfy(\.isDone) {
            #expect(client.datagram("x") == .success)
            settle(20)
        }
        #expect(silent.result == .success)
        for one in tracked { #expect(one.result == .success) }
        _ = plain.result
    }

    @Test(.disabled(if: underThreadSanitizer, "it does not survive a thread that ends in a call which it watches"))
    func `A thread that ends in a tracked call has left the port`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let tracked = Background { receiveUntilEnded(listener, flags: 0x40000) }
        settle()
        let quiet = Background { () -> NTStatus in
            var count: ULONG = 0
            return status(NtAlpcQueryInformation(listener.handle, AlpcWaitForPortReferences, &count, 4, nil))
        }
        settle()
        #expect(!quiet.isDone)
        tracked.kill()
        #expect(quiet.result == .success)
    }
}
