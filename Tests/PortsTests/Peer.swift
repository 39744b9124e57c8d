// A second process: PeerProcess, told one command a line, answering one line each.

import Glibc
import LinuxSystem
import Synchronization
import Testing

/// All peers that run, for the watchdog.
enum Peers {
    fileprivate static let running = FutexLock<[pid_t: String]>([:])

    /// Each prints what its ports do; see PeerProcess.
    static func tellAll() {
        for pid in running.withLock({ Array($0.keys) }) { kill(pid, SIGUSR2) }
    }
}

/// A running PeerProcess.
final class Peer: @unchecked Sendable {
    let pid: pid_t
    private let input: Int32
    private let output: Int32
    private var unread: [UInt8] = []
    private var isOver = false

    /// The helper beside the test binary.
    static let path: String = {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        let own = String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return own[..<own.lastIndex(of: "/")!] + "/PeerProcess"
    }()

    /// Starts a peer. `wrapper` is a command that starts it (setpriv), `root` another namespace root.
    init(_ commands: String..., wrapper: [String] = [], root: String = Stage.root) throws {
        var toChild: [Int32] = [0, 0], fromChild: [Int32] = [0, 0]
        pipe(&toChild)
        pipe(&fromChild)
        for end in [toChild[1], fromChild[0]] { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, toChild[0], 0)
        posix_spawn_file_actions_adddup2(&actions, fromChild[1], 1)
        let words = wrapper + [Self.path] + commands
        var environment = ["NTLPC_ROOT=\(root)"]
        for name in ["NTLPC_TRACE", "NTLPC_LOG", "NTLPC_SPIN", "TSAN_OPTIONS", "PATH", "HOME"] {
            if let value = getenv(name) { environment.append("\(name)=\(String(cString: value))") }
        }
        // Leaks are looked for in the test process: a peer may be out of descriptors, or killed.
        environment.append("ASAN_OPTIONS=" + (getenv("ASAN_OPTIONS").map { String(cString: $0) + ":" } ?? "") + "detect_leaks=0")
        var arguments = words.map { strdup($0) } + [nil], variables = environment.map { strdup($0) } + [nil]
        var child: pid_t = 0
        let error = posix_spawnp(&child, words[0], &actions, nil, &arguments, &variables)
        for word in arguments + variables { free(word) }
        posix_spawn_file_actions_destroy(&actions)
        Glibc.close(toChild[0])
        Glibc.close(fromChild[1])
        pid = child
        input = toChild[1]
        output = fromChild[0]
        try #require(error == 0, "cannot start \(words[0])")
        Peers.running.withLock { $0[child] = words.joined(separator: " ") }
    }

    deinit {
        finish(killing: true)
        Glibc.close(input)
        Glibc.close(output)
    }

    /// Sends a command and returns its answer.
    @discardableResult
    func call(_ command: String) -> String {
        tell(command)
        return answer()
    }

    func tell(_ command: String) {
        let line = Array((command + "\n").utf8)
        _ = write(input, line, line.count)
    }

    /// The next line; "(gone)" when the process has ended.
    func answer() -> String {
        while true {
            if let end = unread.firstIndex(of: 10) {
                let line = String(decoding: unread[..<end], as: UTF8.self)
                unread.removeSubrange(...end)
                return line
            }
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = read(output, &buffer, buffer.count)
            if count <= 0 { return "(gone)" }
            unread += buffer.prefix(count)
        }
    }

    /// SIGSTOP, and waits until no thread of the process runs.
    func stop() {
        Glibc.kill(pid, SIGSTOP)
        eventually {
            guard let tasks = opendir("/proc/\(pid)/task") else { return true }
            defer { closedir(tasks) }
            while let entry = readdir(tasks) {
                let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
                guard let file = fopen("/proc/\(pid)/task/\(name)/stat", "r") else { continue }
                defer { fclose(file) }
                var line = [UInt8](repeating: 0, count: 512)
                let count = fread(&line, 1, line.count, file)
                guard let end = line[..<count].lastIndex(of: UInt8(ascii: ")")), end + 2 < count else { continue }
                if line[end + 2] != UInt8(ascii: "T") { return false }
            }
            return true
        }
    }

    /// SIGKILL, and waits until the process is gone.
    func kill() { finish(killing: true) }

    /// Waits for the end; the exit status, or minus the signal.
    @discardableResult
    func wait() -> Int32 { finish(killing: false) }

    @discardableResult
    private func finish(killing: Bool) -> Int32 {
        if isOver { return 0 }
        isOver = true
        if killing { Glibc.kill(pid, SIGKILL) }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        Peers.running.withLock { _ = $0.removeValue(forKey: pid) }
        return status & 0x7F == 0 ? (status >> 8) & 0xFF : -(status & 0x7F)
    }
}
