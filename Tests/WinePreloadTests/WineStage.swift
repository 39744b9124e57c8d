// A place to run Windows programs with the preload library: the library built from its sources beside a double of the core, a
// Wine prefix, and the programs of Programs/ built by mingw. Made once in a run.
//
// The prefix is $NTLPC_TEST_PREFIX, else .build/wine-prefix, which tools/test makes, else one in the temporary directory
// that stays there for the next run.

import Foundation
import Testing

struct StageError: Error, CustomStringConvertible {
    let description: String
}

/// How a program ended and what it printed.
struct Outcome {
    let status: Int32
    let wasSignaled: Bool
    let output: String
    /// Lines of checks that did not hold.
    var failures: [Substring] { output.split(separator: "\n").filter { $0.hasPrefix("FAIL") } }
}

final class WineStage: Sendable {
    /// The stage, or the reason why there is none on this machine.
    static let made = Result<WineStage, StageError> { () throws(StageError) in try WineStage() }
    static var isPossible: Bool {
        ["wine", "x86_64-w64-mingw32-gcc", "x86_64-w64-mingw32-dlltool", "clang"].allSatisfy { find($0) != nil }
    }

    /// A program that hangs is ended after this time, and the test with it.
    static let patience: TimeInterval = 240

    let directory: URL
    let prefix: URL
    static let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    static let package = tests.deletingLastPathComponent().deletingLastPathComponent()

    private init() throws(StageError) {
        let files = FileManager.default
        let temporary = files.temporaryDirectory
        directory = temporary.appendingPathComponent("ntlpc-wine-tests-\(getpid())")
        let shared = Self.package.appendingPathComponent(".build/wine-prefix")
        if let named = ProcessInfo.processInfo.environment["NTLPC_TEST_PREFIX"] {
            prefix = URL(fileURLWithPath: named)
        } else if files.fileExists(atPath: shared.appendingPathComponent("system.reg").path) {
            prefix = shared
        } else {
            prefix = temporary.appendingPathComponent("ntlpc-test-prefix-\(getuid())")
        }
        do {
            try files.createDirectory(at: directory, withIntermediateDirectories: true)
        } catch {
            throw StageError(description: "\(error)")
        }
        // Libraries that Wine's services still hold stay readable to them.
        atexit {
            guard case .success(let stage) = WineStage.made else { return }
            do { try FileManager.default.removeItem(at: stage.directory) } catch { print("\(stage.directory.path) stays: \(error)") }
        }
        try buildLibraries()
        try buildPrograms()
        try makePrefix()
    }

    // MARK: Making

    private func buildLibraries() throws(StageError) {
        let shims = Self.package.appendingPathComponent("CShims")
        let headers = shims.appendingPathComponent("CNTTypes/include").path
        let linux = shims.appendingPathComponent("CLinuxShims")
        let preload = shims.appendingPathComponent("WinePreload")
        try make("clang", ["-std=gnu11", "-g", "-O2", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror", "-I", headers,
                           "-o", directory.appendingPathComponent("libntlpc-wine.so").path]
            + Self.sources(preload, "c") + Self.sources(preload, "S") + ["-ldl"])
        try make("clang", ["-std=gnu11", "-g", "-O2", "-fPIC", "-shared", "-I", headers, "-I", linux.appendingPathComponent("include").path,
                           "-o", directory.appendingPathComponent("libntlpc.so").path]
            + Self.sources(Self.tests.appendingPathComponent("CoreDouble"), "c") + Self.sources(linux, "c") + Self.sources(linux, "S")
            + ["-Wl,-Bsymbolic", "-lpthread"])
        try make("clang", ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-o", directory.appendingPathComponent("peer").path,
                           Self.tests.appendingPathComponent("Peer/peer.c").path])
    }

    private func buildPrograms() throws(StageError) {
        let programs = Self.tests.appendingPathComponent("Programs")
        let imports = directory.appendingPathComponent("imports.a").path
        try make("x86_64-w64-mingw32-dlltool", ["-d", programs.appendingPathComponent("imports.def").path, "-l", imports])
        for source in Self.sources(programs, "c") {
            let name = URL(fileURLWithPath: source).deletingPathExtension().lastPathComponent
            try make("x86_64-w64-mingw32-gcc", [
                "-O1", "-Wall", "-Wextra", "-Werror", "-I", Self.package.appendingPathComponent("CShims/CNTTypes/include").path,
                "-o", directory.appendingPathComponent("\(name).exe").path, source, imports, "-lntdll",
            ])
        }
    }

    private func makePrefix() throws(StageError) {
        if FileManager.default.fileExists(atPath: prefix.appendingPathComponent("system.reg").path) { return }
        try make("wineboot", ["-i"], environment: environment(preload: false))
        try make("wineserver", ["-w"], environment: environment(preload: false))
    }

    private func make(_ tool: String, _ arguments: [String], environment: [String: String]? = nil) throws(StageError) {
        let outcome = try Self.run(tool, arguments, environment: environment ?? ProcessInfo.processInfo.environment,
                                   log: directory.appendingPathComponent("\(tool)-\(UUID().uuidString).log"))
        guard outcome.status == 0 else { throw StageError(description: "\(tool) failed:\n\(outcome.output)") }
    }

    private static func sources(_ directory: URL, _ suffix: String) -> [String] {
        let names = FileManager.default.enumerator(atPath: directory.path)?.compactMap { $0 as? String } ?? []
        return names.filter { $0.hasSuffix(".\(suffix)") }.sorted().map { directory.appendingPathComponent($0).path }
    }

    // MARK: Running

    func environment(preload: Bool) -> [String: String] {
        var result = ProcessInfo.processInfo.environment
        result["WINEPREFIX"] = prefix.path
        result["WINEDEBUG"] = "-all"
        result["WINEDLLOVERRIDES"] = "mscoree,mshtml,winemenubuilder.exe,winedbg.exe="
        for name in ["NTLPC_TRACE", "NTLPC_DISABLE", "LD_PRELOAD", "DISPLAY"] { result[name] = nil }
        if preload { result["LD_PRELOAD"] = directory.appendingPathComponent("libntlpc-wine.so").path }
        return result
    }

    /// Runs a program of Programs/ under Wine.
    func run(_ program: String, _ arguments: [String] = [], with changes: [String: String] = [:]) throws(StageError) -> Outcome {
        try Self.run("wine", [directory.appendingPathComponent("\(program).exe").path] + arguments,
                     environment: environment(preload: true).merging(changes) { $1 },
                     log: directory.appendingPathComponent("\(program)-\(UUID().uuidString).log"))
    }

    private static func find(_ tool: String) -> String? {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        return (path.split(separator: ":").map { "\($0)/\(tool)" }).first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    /// The output goes to a file, not a pipe: Wine's services inherit it and live on.
    static func run(_ tool: String, _ arguments: [String], environment: [String: String], log: URL) throws(StageError) -> Outcome {
        guard let path = find(tool) ?? (tool.hasPrefix("/") ? tool : nil) else { throw StageError(description: "no \(tool) in PATH") }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.environment = environment
        do {
            try Data().write(to: log)
            let output = try FileHandle(forWritingTo: log)
            process.standardOutput = output
            process.standardError = output
            process.standardInput = FileHandle.nullDevice
            try process.run()
        } catch {
            throw StageError(description: "\(tool): \(error)")
        }
        let watchdog = DispatchWorkItem { [identifier = process.processIdentifier] in kill(identifier, SIGKILL) }
        DispatchQueue.global().asyncAfter(deadline: .now() + patience, execute: watchdog)
        process.waitUntilExit()
        watchdog.cancel()
        let output = (FileManager.default.contents(atPath: log.path)).map { String(decoding: $0, as: UTF8.self) } ?? ""
        return Outcome(status: process.terminationStatus, wasSignaled: process.terminationReason == .uncaughtSignal, output: output)
    }
}

extension Result where Failure == StageError {
    init(_ body: () throws(StageError) -> Success) {
        do { self = .success(try body()) } catch { self = .failure(error) }
    }
}
