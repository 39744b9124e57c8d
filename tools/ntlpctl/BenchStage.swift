// Runs one measurement: a directory and a namespace of its own, a server process, a client process, their result.

import CBench
import Foundation

final class BenchStage {
    let library: String
    let payload: Int
    let milliseconds: Int
    private(set) var directory: String
    private var serial = 0

    init(library: String, payload: Int, milliseconds: Int) throws {
        (self.library, self.payload, self.milliseconds) = (library, payload, milliseconds)
        var template = Array((FileManager.default.temporaryDirectory.path + "/ntlpctl-bench.XXXXXX").utf8CString)
        guard mkdtemp(&template) != nil else { throw ToolFailure("cannot make a directory for the benchmark: \(String(cString: strerror(errno)))") }
        directory = String(decoding: template.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    func close() {
        do { try FileManager.default.removeItem(atPath: directory) } catch { note("ntlpctl: cannot remove \(directory): \(error.localizedDescription)") }
    }

    /// A name that no other measurement has used.
    func nextName() -> String {
        serial += 1
        return "bench-\(serial)"
    }

    func environment(_ kind: Measurement) -> [String: String] {
        var environment = ProcessInfo.processInfo.environment
        environment["NTLPC_ROOT"] = directory
        environment["NTLPC_TRACE"] = nil
        environment["NTLPC_SPIN"] = kind.spinSetting
        return environment
    }

    func measure(_ kind: Measurement, _ placement: Placement) throws -> Percentiles {
        let name = nextName()
        let path = "\(directory)/\(name)"
        if kind == .futex || kind == .spin { try makePage(path) }
        let arguments = ["bench-peer", "--kind", kind.peerName, "--path", path, "--payload", String(payload), "--duration", String(milliseconds),
                         "--library", library]
        let cpus = placement.cpus()
        let server = try Peer(Installation.executable, arguments + ["--serve"], environment: environment(kind), cpu: cpus.server)
        defer { server.end() }
        guard try server.readLine(seconds: 20) == "ready" else { throw ToolFailure("the server of \"\(kind.rawValue)\" did not start") }
        let client = try Peer(Installation.executable, arguments, environment: environment(kind), cpu: cpus.client)
        defer { client.end() }
        guard let line = try client.readLine(seconds: 20 + milliseconds / 1000), let result = decode(line) else {
            throw ToolFailure("\"\(kind.rawValue)\" gave no result")
        }
        return result
    }

    private func decode(_ line: String) -> Percentiles? {
        do { return try JSONDecoder().decode(Percentiles.self, from: Data(line.utf8)) } catch { return nil }
    }

    private func makePage(_ path: String) throws {
        guard FileManager.default.createFile(atPath: path, contents: Data(count: Int(CBENCH_PAGE_SIZE))) else {
            throw ToolFailure("cannot make \(path): \(String(cString: strerror(errno)))")
        }
    }
}

extension Measurement {
    /// As the peers' command lines say it.
    var peerName: String {
        switch self {
        case .futex: "futex"
        case .spin: "spin"
        case .socket: "socket"
        default: "port"
        }
    }
}

/// A process of the benchmark whose standard output is read line by line.
final class Peer {
    private let process = Process()
    private let pipe = Pipe()
    private var buffered: [UInt8] = []

    /// Starts it, bound to a CPU (-1: to none). The binding is inherited from this thread.
    init(_ program: String, _ arguments: [String], environment: [String: String], cpu: Int32) throws {
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.environment = environment
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = pipe
        let failed = cbench_bind_cpu(cpu)
        guard failed == 0 else { throw ToolFailure("cannot use CPU \(cpu): \(String(cString: strerror(-failed)))") }
        defer { _ = cbench_bind_cpu(-1) }
        do { try process.run() } catch { throw ToolFailure("cannot start \(program): \(error.localizedDescription)") }
    }

    /// The next line, or nil when the process has ended. A process that is silent for too long is a failure.
    func readLine(seconds: Int) throws -> String? {
        let descriptor = pipe.fileHandleForReading.fileDescriptor
        let deadline = Date().addingTimeInterval(Double(seconds))
        while true {
            if let end = buffered.firstIndex(of: UInt8(ascii: "\n")) {
                let line = String(decoding: buffered[..<end].filter { $0 != UInt8(ascii: "\r") }, as: UTF8.self)
                buffered.removeSubrange(...end)
                return line
            }
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let left = deadline.timeIntervalSinceNow
            guard left > 0 else { throw ToolFailure("a process of the benchmark said nothing for \(seconds) seconds") }
            guard poll(&entry, 1, Int32(left * 1000) + 1) > 0 else { continue }
            var bytes = [UInt8](repeating: 0, count: 4096)
            let count = read(descriptor, &bytes, bytes.count)
            if count <= 0 { return nil }
            buffered += bytes[..<count]
        }
    }

    func end() {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
    }
}
