// What the system around the ports does to them: killed servers, full and closed directories, too few descriptors, forks.

import CNTTypes
import Glibc
import NTTypes
import Testing

@Suite(.guarded) struct SurroundingsTests {
    /// A namespace root of its own, in a state that `prepare` makes. Removed afterwards.
    private func withRoot(_ prepare: (String) throws -> Void = { _ in }, _ body: (String) throws -> Void) throws {
        var template = Array("/tmp/ntlpc-surroundings-XXXXXX\0".utf8CString)
        let path = template.withUnsafeMutableBufferPointer { String(cString: mkdtemp($0.baseAddress!)) }
        defer { rmTree(path) }
        try prepare(path)
        try body(path)
    }

    @Test func `A socket that a killed server left is no name and no collision`() throws {
        let scene = Scene()
        defer { scene.end() }
        for lpc in [false, true] {
            let peer = try Peer()
            #expect(peer.call(lpc ? "lpccreate C 512 \(scene.name)" : "create C 0 4096 \(scene.name)") == "STATUS_SUCCESS")
            peer.kill()
            #expect(connect(scene.name).status == .objectNameNotFound)
            #expect(lpcConnect(scene.name).status == .objectNameNotFound)
            let listener = try scene.create()
            _ = try scene.client(listener)
            #expect(scene.close(listener) == .success)
        }
    }

    @Test func `A name that a live server of another process has is a collision`() throws {
        let scene = Scene()
        defer { scene.end() }
        let peer = try Peer()
        #expect(peer.call("create C 0 4096 \(scene.name)") == "STATUS_SUCCESS")
        let other = try Peer()
        #expect(other.call("create C 0 4096 \(scene.name)") == "STATUS_OBJECT_NAME_COLLISION")
        #expect(peer.call("close C") == "STATUS_SUCCESS")
        #expect(other.call("create C 0 4096 \(scene.name)") == "STATUS_SUCCESS")
    }

    @Test func `Two processes that create one name at once get one port`() throws {
        let peers = try (0 ..< 4).map { _ in try Peer() }
        for _ in 0 ..< 10 {
            let name = Stage.name()
            for peer in peers { peer.tell("create C 0 4096 \(name)") }
            let answers = peers.map { $0.answer() }
            #expect(answers.filter { $0 == "STATUS_SUCCESS" }.count == 1)
            #expect(answers.filter { $0 == "STATUS_OBJECT_NAME_COLLISION" }.count == 3)
            for (peer, answer) in zip(peers, answers) where answer == "STATUS_SUCCESS" { #expect(peer.call("close C") == "STATUS_SUCCESS") }
        }
    }

    @Test(.enabled(if: geteuid() == 0, "needs root, to mount"))
    func `A full namespace directory is told and leaves nothing`() throws {
        try withRoot { root in
            // Inodes for the directories and the lock, and none for a socket.
            guard mount("tmpfs", root, "tmpfs", 0, "nr_inodes=3") == 0 else { return }
            defer { umount2(root, Int32(MNT_DETACH)) }
            let peer = try Peer(root: root)
            #expect(["STATUS_DISK_FULL", "STATUS_INSUFFICIENT_RESOURCES"].contains(peer.call("create C 0 4096 \\RPC Control\\x")))
            #expect(["STATUS_DISK_FULL", "STATUS_INSUFFICIENT_RESOURCES"].contains(peer.call("lpccreate C 512 \\RPC Control\\x")))
            #expect(peer.call("connect K async \\RPC Control\\x") == "STATUS_OBJECT_NAME_NOT_FOUND")
        }
    }

    @Test func `A namespace root that cannot be written is access denied`() throws {
        try withRoot { root in
            chmod(root, 0o555)
            defer { chmod(root, 0o700) }
            let peer = try Peer(wrapper: geteuid() == 0 ? ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups"] : [], root: root)
            let answer = peer.call("create C 0 4096 \\RPC Control\\x")
            #expect(["STATUS_ACCESS_DENIED", "STATUS_OBJECT_PATH_NOT_FOUND"].contains(answer), "\(answer)")
            #expect(peer.call("connect K async \\RPC Control\\x") == "STATUS_OBJECT_PATH_NOT_FOUND")
        }
    }

    @Test func `A namespace root that is a file is a path not found`() throws {
        try withRoot { root in
            let file = root + "/file"
            close(open(file, O_CREAT | O_WRONLY, 0o600))
            let peer = try Peer(root: file)
            #expect(peer.call("create C 0 4096 \\RPC Control\\x") == "STATUS_OBJECT_PATH_NOT_FOUND")
            #expect(peer.call("connect K async \\RPC Control\\x") == "STATUS_OBJECT_PATH_NOT_FOUND")
        }
    }

    @Test func `A client without descriptors gets a status, and a port when there are some again`() throws {
        let server = try EchoServer()
        defer { server.end() }
        for limit in [4, 5, 6, 8, 10, 12, 14] {
            let peer = try Peer()
            #expect(peer.call("limit \(limit)") == "SUCCESS")
            let answer = peer.call("connect K sync \(server.name)")
            #expect(["STATUS_INSUFFICIENT_RESOURCES", "STATUS_TOO_MANY_OPENED_FILES", "STATUS_SUCCESS"].contains(answer), "limit \(limit): \(answer)")
            #expect(peer.call("census").hasPrefix("descriptors="))
            peer.tell("exit")
            #expect(peer.wait() == 0)
        }
        #expect(try Peer().call("rounds 3 \(server.name)") == "wrong=0")
    }

    @Test func `A server without descriptors creates nothing and says so`() throws {
        for limit in [4, 5, 6, 7, 8, 9, 10, 12] {
            let name = Stage.name()
            let peer = try Peer()
            #expect(peer.call("limit \(limit)") == "SUCCESS")
            let answer = peer.call("create C 0 4096 \(name)")
            #expect(["STATUS_INSUFFICIENT_RESOURCES", "STATUS_TOO_MANY_OPENED_FILES", "STATUS_SUCCESS"].contains(answer), "limit \(limit): \(answer)")
            if answer != "STATUS_SUCCESS" { #expect(connect(name).status == .objectNameNotFound, "limit \(limit)") }
            peer.tell("exit")
            #expect(peer.wait() == 0)
        }
    }

    @Test func `A server that runs out of descriptors turns clients away and serves those it has`() throws {
        let name = Stage.name()
        let server = try Peer()
        #expect(server.call("create C 0x20000 65535 \(name)") == "STATUS_SUCCESS")
        #expect(server.call("serve C") == "STATUS_SUCCESS")
        let first = try Peer()
        #expect(first.call("connect K sync \(name)") == "STATUS_SUCCESS")
        let used = server.call("census").split(separator: " ")[0].dropFirst("descriptors=".count)
        #expect(server.call("limit \(Int(used)! - 1)") == "SUCCESS")
        let second = try Peer()
        second.tell("connect K sync \(name)")
        // The new client may be refused or kept waiting; the old one is served.
        #expect(first.call("request K 60000 still").contains("text=still"))
        #expect(first.call("close K") == "STATUS_SUCCESS")
        second.kill()
        #expect(first.call("request K 0 gone") == "STATUS_INVALID_HANDLE")
    }

    @Test(.disabled(if: underThreadSanitizer, "it does not survive the fork of a process with threads"))
    func `The child of a fork has none of its parent's ports and makes its own`() throws {
        let server = try EchoServer()
        defer { server.end() }
        let peer = try Peer()
        #expect(peer.call("create C 0x20000 65535 \(Stage.name())") == "STATUS_SUCCESS")
        #expect(peer.call("serve C") == "STATUS_SUCCESS")
        #expect(peer.call("connect K sync \(server.name)") == "STATUS_SUCCESS")
        #expect(peer.call("request K 60000 before").contains("text=before"))
        #expect(peer.call("fork \(Stage.name())") == "SUCCESS")
        #expect(peer.call("request K 60000 after").contains("text=after"))
        #expect(peer.call("close K") == "STATUS_SUCCESS")
    }

    @Test(.disabled(if: underThreadSanitizer, "it does not survive the fork of a process with threads"))
    func `The child of a fork does not keep a dead server alive`() throws {
        let scene = Scene()
        defer { scene.end() }
        let peer = try Peer()
        #expect(peer.call("create C 0x20000 4096 \(scene.name)") == "STATUS_SUCCESS")
        let client = try scene.pending()
        #expect(peer.call("receive C 60000").hasPrefix("SUCCESS type=0x200a"))
        #expect(peer.call("accept C S 1") == "STATUS_SUCCESS")
        #expect(try client.take().kind == 11)
        let child = pid_t(peer.call("fork \(Stage.name())stay").split(separator: " ").last!)!
        defer { kill(child, SIGKILL) }
        let call = Background { client.request("q", Message(room: 256)) }
        #expect(peer.call("receive C 60000").contains("text=q"))
        peer.kill()
        #expect([.messageLost, .portDisconnected].contains(call.result))
        #expect(connect(scene.name).status == .objectNameNotFound)
        _ = try scene.create()
    }

    @Test func `A client killed in a request leaves nothing in its server`() throws {
        let server = try EchoServer(threads: 2, wait: { _ in usleep(500) })
        defer { server.end() }
        for round in 0 ..< 20 {
            let peer = try Peer()
            peer.tell("churn 100000 \(server.name)")
            usleep(UInt32(20_000 + round * 3_000))
            peer.kill()
        }
        // Everything the dead had open is closed and the living are served.
        let peer = try Peer()
        #expect(peer.call("churn 40 \(server.name)") == "wrong=0")
        peer.kill()
    }

    @Test func `A server killed in a request ends its clients' calls each time`() throws {
        let scene = Scene()
        defer { scene.end() }
        for round in 0 ..< 20 {
            let peer = try Peer("create C 0x20000 65535 \(scene.name)", "serve C")
            #expect(peer.answer() == "STATUS_SUCCESS" && peer.answer() == "STATUS_SUCCESS")
            let name = scene.name
            let calls = (0 ..< 3).map { index in
                Background { () -> NTStatus in
                    let made = connect(name, .waiting())
                    guard made.status == .success else { return made.status }
                    defer { _ = made.port.close() }
                    let answer = Message(room: 4096)
                    while true {
                        let text = pattern(index * 100 + 1, seed: round)
                        answer.length = 4096
                        let result = made.port.request(Message(text), answer, timeout: nil)
                        if result != .success { return result }
                        if answer.payload != text { return .invalidMessage }
                    }
                }
            }
            usleep(UInt32(5_000 + round * 2_000))
            peer.kill()
            for call in calls {
                #expect([.messageLost, .portDisconnected, .objectNameNotFound, .portConnectionRefused].contains(call.result), "\(call.result.name)")
            }
        }
        _ = try scene.create()
    }

    @Test func `Two thousand connections leave no descriptor, mapping or thread on either side`() throws {
        let name = Stage.name()
        let server = try Peer("create C 0x20000 65535 \(name)", "serve C")
        #expect(server.answer() == "STATUS_SUCCESS" && server.answer() == "STATUS_SUCCESS")
        let client = try Peer()
        #expect(client.call("churn 40 \(name)") == "wrong=0")
        /// The watcher closes what the other side has closed a moment later: the count settles.
        func settled(_ peer: Peer, _ expected: String) -> Bool {
            for _ in 0 ..< 200 {
                if peer.call("census") == expected { return true }
                usleep(10_000)
            }
            return false
        }
        usleep(200_000)
        let before = (client.call("census"), server.call("census"))
        #expect(client.call("rounds 1000 \(name)") == "wrong=0")
        #expect(client.call("churn 1000 \(name)") == "wrong=0")
        #expect(settled(client, before.0), "client: \(before.0) then \(client.call("census"))")
        #expect(settled(server, before.1), "server: \(before.1) then \(server.call("census"))")
    }

    @Test func `M-05 Two processes that serve each other do not block each other`() throws {
        let names = (Stage.name(), Stage.name())
        let a = try Peer("create C 0x20000 65535 \(names.0)", "serve C"), b = try Peer("create C 0x20000 65535 \(names.1)", "serve C")
        for peer in [a, b] { for _ in 0 ..< 2 { #expect(peer.answer() == "STATUS_SUCCESS") } }
        a.tell("churn 400 \(names.1)")
        b.tell("churn 400 \(names.0)")
        #expect(a.answer() == "wrong=0")
        #expect(b.answer() == "wrong=0")
    }

    @Test func `M-03 A process sees a peer's thread end by each registration`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.lpcCreate()
        let peer = try Peer()
        peer.tell("lpcconnect K \(scene.name)")
        let server = scene.keep(lpcAccept(try listener.lpcTake()).port)
        #expect(status(NtCompleteConnectPort(server.handle)) == .success)
        #expect(peer.answer() == "STATUS_SUCCESS")
        #expect(peer.call("threadend K") == "STATUS_SUCCESS")
        let died = try listener.lpcTake()
        #expect(died.type == 6 && died.process == UInt64(peer.pid) && died.thread != UInt64(peer.pid))
    }
}
