// The meeting of two processes, with guests and hosts that do not keep to the protocol.

import CLinuxShims
import CWireFormat
import Glibc
import LinuxSystem
import Synchronization
import Testing
@testable import Transport

/// Admits everybody and keeps the links.
private final class Host: LinkAcceptor, @unchecked Sendable {
    let links = Mutex<[Link]>([])
    let refusal: Int32
    init(refusal: Int32 = 0) { self.refusal = refusal }

    func admission(of peer: PeerCredentials, hello: ntlpc_control) -> Admission {
        if refusal != 0 { return .refuse(status: refusal) }
        var answer = ntlpc_control()
        answer.link = 3
        answer.max_message_length = 4096
        return .admit(answer: answer)
    }

    func linkOpened(_ link: Link) { links.withLock { $0.append(link) } }
    var count: Int { links.withLock { $0.count } }
}

@Suite(.guarded) struct RendezvousTests {
    /// A directory of its own with a listening host in it.
    private final class Meeting: @unchecked Sendable {
        let path: String
        let directory: Descriptor
        let host: Host
        let listener: Listener
        private let watcher: Watcher

        init(refusal: Int32 = 0) throws {
            var template = Array("/tmp/ntlpc-meeting-XXXXXX\0".utf8CString)
            path = template.withUnsafeMutableBufferPointer { String(cString: mkdtemp($0.baseAddress!)) }
            directory = Descriptor(owning: ntlpc_open_directory(AT_FDCWD, path, true))
            watcher = try Watcher()
            host = Host(refusal: refusal)
            listener = try Listener(socket: try UnixSocket.listen(in: directory, leaf: "port", backlog: 16), watcher: watcher, acceptor: host)
        }

        deinit {
            listener.close()
            unlink(path + "/port")
            rmdir(path)
        }

        func open(deadline: UInt64 = 0, accept: (PeerCredentials) -> Bool = { _ in true }) throws(LinkFailure) -> Link {
            try Rendezvous.open(in: directory, leaf: "port", hello: ntlpc_control(), deadline: deadline, accept: accept)
        }

        /// A guest by hand.
        func knock(_ bytes: [UInt8], descriptors: [Descriptor] = []) throws -> Descriptor {
            let socket = try UnixSocket.connect(in: directory, leaf: "port")
            if !bytes.isEmpty { try bytes.withUnsafeBytes { try UnixSocket.send($0, descriptors: descriptors, over: socket) } }
            return socket
        }
    }

    private func eventually(_ condition: () -> Bool) { while !condition() { usleep(1000) } }

    private func hello(_ change: (inout ntlpc_control) -> Void = { _ in }) -> [UInt8] {
        var message = ntlpc_control()
        message.magic = NTLPC_WIRE_MAGIC
        message.version = NTLPC_WIRE_VERSION
        message.kind = NTLPC_CONTROL_HELLO
        change(&message)
        return withUnsafeBytes(of: &message) { Array($0) }
    }

    private func failure(_ body: () throws(LinkFailure) -> Link) -> LinkFailure? {
        do throws(LinkFailure) {
            _ = try body()
            return nil
        } catch {
            return error
        }
    }

    @Test func `A client and a server meet and share a region`() throws {
        let meeting = try Meeting()
        let client = try meeting.open()
        eventually { meeting.host.count == 1 }
        let server = meeting.host.links.withLock { $0[0] }
        #expect(client.number == 3 && client.peer.pid == getpid() && server.peer.uid == getuid())
        var frame = ntlpc_frame()
        frame.kind = FrameKind.message
        frame.length = 5
        let sent = Array("hello".utf8).withUnsafeBytes { client.send(&frame, payload: $0.baseAddress) }
        guard case .sent = sent else { Issue.record("not sent"); return }
        guard case .frame = server.consumer.pointee.look() else { Issue.record("nothing came"); return }
        #expect(server.consumer.pointee.frame.length == 5)
        client.close()
        #expect(server.peerHasGone)
        server.close()
    }

    @Test func `A name without a listener is absent, dead or alive`() throws {
        let meeting = try Meeting()
        let missing = failure { () throws(LinkFailure) in
            try Rendezvous.open(in: meeting.directory, leaf: "nobody", hello: ntlpc_control(), deadline: 0) { _ in true }
        }
        guard case .absent = missing else { Issue.record("\(String(describing: missing))"); return }
        meeting.listener.close()
        let closed = failure { () throws(LinkFailure) in try meeting.open(deadline: Clock.monotonic + 5_000_000_000) }
        guard case .absent = closed else { Issue.record("\(String(describing: closed))"); return }
    }

    @Test func `A refusal carries its status and opens nothing`() throws {
        let meeting = try Meeting(refusal: -1_073_741_790)
        let outcome = failure { () throws(LinkFailure) in try meeting.open() }
        guard case .refused(-1_073_741_790) = outcome else { Issue.record("\(String(describing: outcome))"); return }
        #expect(meeting.host.count == 0)
    }

    @Test func `A client that does not like the server says nothing`() throws {
        let meeting = try Meeting()
        let outcome = failure { () throws(LinkFailure) in try meeting.open { _ in false } }
        guard case .wrongServer = outcome else { Issue.record("\(String(describing: outcome))"); return }
        _ = try meeting.open()
        #expect(meeting.host.count == 1)
    }

    @Test func `Guests that speak otherwise are shown out, and others are served`() throws {
        let meeting = try Meeting()
        let spare = try EventFd.make()
        let wrong: [[UInt8]] = [
            [1], Array(hello().dropLast()), hello() + [0], hello { $0.magic = 1 }, hello { $0.kind = NTLPC_CONTROL_WELCOME },
            hello { $0.kind = NTLPC_CONTROL_DRAIN }, [UInt8](repeating: 0xFF, count: 4096),
        ]
        for bytes in wrong {
            let socket = try meeting.knock(bytes)
            eventually { UnixSocket.hasHungUp(socket) }
        }
        // Descriptors that nobody asked for are closed, however many.
        for count in [1, 4] {
            let socket = try meeting.knock(hello(), descriptors: Array(repeating: spare, count: count))
            _ = socket
        }
        // A wrong version gets an answer.
        let socket = try meeting.knock(hello { $0.version = 99 })
        try UnixSocket.waitReadable(socket, deadline: Clock.monotonic + 20_000_000_000)
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 8)
        defer { room.deallocate() }
        let received = try UnixSocket.receive(into: room, from: socket)
        #expect(received?.count == MemoryLayout<ntlpc_control>.size)
        #expect(room.load(as: ntlpc_control.self).status == Int32(bitPattern: 0xC000_0059))
        let link = try meeting.open()
        link.close()
    }

    @Test func `Guests that say nothing, or leave at once, keep nobody out`() throws {
        let meeting = try Meeting()
        var silent: [Descriptor] = []
        for _ in 0 ..< 200 { silent.append(try meeting.knock([])) }
        for _ in 0 ..< 50 { _ = try meeting.knock([]) }
        for _ in 0 ..< 20 {
            let link = try meeting.open()
            link.close()
        }
        _ = silent
    }

    /// A host by hand: answers the first guest with what `reply` makes of the welcome.
    private func withFalseHost(_ reply: @escaping @Sendable (Descriptor) -> Void, _ check: (LinkFailure?) -> Void, deadline: UInt64 = 0) throws {
        var template = Array("/tmp/ntlpc-meeting-XXXXXX\0".utf8CString)
        let path = template.withUnsafeMutableBufferPointer { String(cString: mkdtemp($0.baseAddress!)) }
        defer {
            unlink(path + "/port")
            rmdir(path)
        }
        let directory = Descriptor(owning: ntlpc_open_directory(AT_FDCWD, path, true))
        let socket = try UnixSocket.listen(in: directory, leaf: "port", backlog: 4)
        let done = Counter()
        let join = onThread {
            while done.count == 0 {
                do throws(Errno) {
                    let guest = try UnixSocket.accept(socket)
                    try UnixSocket.waitReadable(guest, deadline: Clock.monotonic + 20_000_000_000)
                    // A socket that is closed with something unread resets its peer, which would then never see the reply.
                    var hello = ntlpc_control()
                    _ = try withUnsafeMutableBytes(of: &hello) { (bytes) throws(Errno) in try UnixSocket.receive(into: bytes, from: guest) }
                    reply(guest)
                    return
                } catch {
                    usleep(1000)
                }
            }
        }
        check(failure { () throws(LinkFailure) in
            try Rendezvous.open(in: directory, leaf: "port", hello: ntlpc_control(), deadline: deadline) { _ in true }
        })
        done.add()
        join()
    }

    private static func welcome(_ change: (inout ntlpc_control) -> Void = { _ in }) -> [UInt8] {
        var message = ntlpc_control()
        message.magic = NTLPC_WIRE_MAGIC
        message.version = NTLPC_WIRE_VERSION
        message.kind = NTLPC_CONTROL_WELCOME
        change(&message)
        return withUnsafeBytes(of: &message) { Array($0) }
    }

    private static func send(_ bytes: [UInt8], _ descriptors: [Descriptor], _ socket: Descriptor) {
        bytes.withUnsafeBytes { bytes in
            do throws(Errno) {
                try UnixSocket.send(bytes, descriptors: descriptors, over: socket)
            } catch {
                Issue.record("welcome not sent: \(error.rawValue)")
            }
        }
    }

    @Test func `A host's welcome is believed only if all of it is right`() throws {
        let bell = try EventFd.make()
        let (sealed, file) = try SharedMemory.make(name: "ntlpc-test", count: WireLayout.regionBytes)
        let (_, small) = try SharedMemory.make(name: "ntlpc-test", count: 4096)
        let open = Descriptor(owning: ntlpc_memfd_create("ntlpc-test"))
        ftruncate(open.rawValue, off_t(WireLayout.regionBytes))
        // The header of the sealed region is all zero: not a region.
        #expect(sealed.base.load(as: UInt32.self) == 0)
        let cases: [(String, [UInt8], [Descriptor])] = [
            ("short", Array(Self.welcome().dropLast()), [file, bell, bell]), ("long", Self.welcome() + [0], [file, bell, bell]),
            ("magic", Self.welcome { $0.magic = 0 }, [file, bell, bell]), ("kind", Self.welcome { $0.kind = 1 }, [file, bell, bell]),
            ("no descriptors", Self.welcome(), []), ("one descriptor", Self.welcome(), [file]), ("four descriptors", Self.welcome(), [file, bell, bell, bell]),
            ("a region without header", Self.welcome(), [file, bell, bell]), ("a small region", Self.welcome(), [small, bell, bell]),
            ("unsealed memory", Self.welcome(), [open, bell, bell]), ("no memory file", Self.welcome(), [bell, bell, bell]),
        ]
        for (name, bytes, descriptors) in cases {
            try withFalseHost({ Self.send(bytes, descriptors, $0) }) { outcome in
                guard case .system = outcome else { Issue.record("\(name): \(String(describing: outcome))"); return }
            }
        }
    }

    @Test func `A host that hangs up is absent, one that is silent is late`() throws {
        try withFalseHost({ UnixSocket.shutDown($0) }) { outcome in
            guard case .absent = outcome else { Issue.record("\(String(describing: outcome))"); return }
        }
        try withFalseHost({ _ in usleep(300_000) }, { outcome in
            guard case .timedOut = outcome else { Issue.record("\(String(describing: outcome))"); return }
        }, deadline: Clock.monotonic + 100_000_000)
    }
}
