// One side of a measurement, started by `ntlpctl bench`. Hidden: its command line may change at any time.

import ArgumentParser
import CBench
import Foundation

struct BenchPeerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "bench-peer", abstract: "One side of a measurement.", shouldDisplay: false)

    enum Kind: String, ExpressibleByArgument, CaseIterable { case futex, spin, socket, port }

    @Option var kind: Kind
    /// The shared page, the socket, or a path whose last part names the port.
    @Option var path: String
    @Option var payload: Int
    @Option var duration: Int
    @Option var library: String
    @Flag var serve = false

    private static let capacity = 4_000_000

    func validate() throws {
        guard (0 ... Int(CBENCH_MAX_PAYLOAD)).contains(payload), (10 ... 10000).contains(duration) else { throw ValidationError("out of range") }
    }

    func run() throws {
        cbench_die_with_parent()
        switch kind {
        case .futex, .spin: try runOnPage()
        case .socket: try runOnSocket()
        case .port: try runOnPort()
        }
    }

    private func ready() { sayLine("ready") }

    /// Times the rounds that `body` makes, and prints the percentiles.
    private func measure(_ body: (inout cbench_run) throws -> Void) throws {
        let samples = UnsafeMutablePointer<UInt64>.allocate(capacity: Self.capacity)
        defer { samples.deallocate() }
        // Touched now, so that no page fault is measured.
        samples.initialize(repeating: 0, count: Self.capacity)
        var run = cbench_run()
        run.samples = samples
        run.capacity = Self.capacity
        run.duration_ns = UInt64(duration) * 1_000_000
        try body(&run)
        guard run.count > 0, run.elapsed_ticks > 0 else { throw ToolFailure("no round trip was measured: give a longer --duration") }
        let scale = Double(run.elapsed_ns) / Double(run.elapsed_ticks)
        let result = Percentiles(ticks: UnsafeBufferPointer(start: samples, count: run.count), nanosecondsPerTick: scale)
        sayLine(String(decoding: try JSONEncoder().encode(result), as: UTF8.self))
    }

    private func runOnPage() throws {
        let descriptor = open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0, let page = mmap(nil, Int(CBENCH_PAGE_SIZE), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0),
              page != MAP_FAILED else { throw ToolFailure("cannot map \(path): \(String(cString: strerror(errno)))") }
        if serve {
            ready()
            if kind == .futex { cbench_futex_serve(page) } else { cbench_spin_serve(page) }
        } else {
            try measure { if kind == .futex { cbench_futex_run(page, &$0) } else { cbench_spin_run(page, &$0) } }
        }
    }

    private func runOnSocket() throws {
        let socket = try openSocket()
        let failed: Int32
        if serve {
            ready()
            let peer = accept(socket, nil, nil)
            failed = peer < 0 ? -errno : cbench_socket_serve(peer, payload)
        } else {
            var result: Int32 = 0
            try measure { result = cbench_socket_run(socket, payload, &$0) }
            failed = result
        }
        if failed != 0 { throw ToolFailure("the socket failed: \(String(cString: strerror(-failed)))") }
    }

    private func openSocket() throws -> Int32 {
        func failure(_ what: String) -> ToolFailure { ToolFailure("\(what) \(path): \(String(cString: strerror(errno)))") }
        let descriptor = socket(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw failure("cannot open a socket for") }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let fits = withUnsafeMutableBytes(of: &address.sun_path) { bytes in
            guard path.utf8.count < bytes.count else { return false }
            bytes.copyBytes(from: path.utf8)
            return true
        }
        guard fits else { throw ToolFailure("\(path) is too long for a socket: set TMPDIR to a shorter path") }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                let size = socklen_t(MemoryLayout<sockaddr_un>.size)
                return serve ? bind(descriptor, $0, size) : connect(descriptor, $0, size)
            }
        }
        guard result == 0, !serve || listen(descriptor, 1) == 0 else { throw failure("cannot use the socket") }
        return descriptor
    }

    private func runOnPort() throws {
        var calls = try Library(path: library).benchmarkCalls()
        let name = "\\RPC Control\\\(URL(fileURLWithPath: path).lastPathComponent)"
        var status: NTSTATUS = 0
        if serve {
            status = cbench_port_serve(&calls, name) { sayLine("ready") }
        } else {
            try measure {
                status = cbench_port_run(&calls, name, payload, &$0)
                if status != 0 { throw ToolFailure("a port call gave \(hexadecimal(status))") }
            }
        }
        if status != 0 { throw ToolFailure("a port call gave \(hexadecimal(status))") }
    }
}

private func hexadecimal(_ status: NTSTATUS) -> String {
    String(format: "0x%08x", UInt32(bitPattern: status))
}

/// One line on standard output, at once.
private func sayLine(_ line: String) {
    FileHandle.standardOutput.write(Data((line + "\n").utf8))
}
