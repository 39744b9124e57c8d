// Runs ntlpctl as a user would: the executable beside the test bundle, with a command line and an environment.

import Foundation
import Testing

struct Tool {
    struct Outcome {
        let status: Int32
        let output: String
        let errors: String
    }

    /// A watchdog ends a tool that hangs, which then shows as a signal; no time is part of any expectation.
    private static let watchdogSeconds = 120

    static func run(_ arguments: [String], environment: [String: String] = [:]) throws -> Outcome {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try executable())
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("ntlpc-tool-test-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { _ = rmdirRecursively(directory) }
        let (output, errors) = (directory.appendingPathComponent("output"), directory.appendingPathComponent("errors"))
        for file in [output, errors] { makeFile(file.path) }
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = try FileHandle(forWritingTo: errors)
        try process.run()
        let identifier = process.processIdentifier
        let watchdog = Thread {
            Thread.sleep(forTimeInterval: Double(watchdogSeconds))
            if process.isRunning { kill(identifier, SIGKILL) }
        }
        watchdog.start()
        process.waitUntilExit()
        #expect(process.terminationReason == .exit, "ntlpctl ended by signal \(process.terminationStatus)")
        return Outcome(status: process.terminationStatus, output: try String(contentsOf: output, encoding: .utf8),
                       errors: try String(contentsOf: errors, encoding: .utf8))
    }

    /// A directory for one test, removed with `rmdirRecursively`.
    static func makeDirectory() throws -> URL {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("ntlpc-tool-test-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        return directory
    }

    static func makeFile(_ path: String, contents: String = "", mode: Int = 0o644) {
        #expect(FileManager.default.createFile(atPath: path, contents: Data(contents.utf8), attributes: [.posixPermissions: mode]))
    }

    private static func executable() throws -> String {
        var place = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath().deletingLastPathComponent()
        if let bundle = Bundle.allBundles.first(where: { $0.bundlePath.hasSuffix(".xctest") }) {
            place = bundle.bundleURL.deletingLastPathComponent()
        }
        let path = place.appendingPathComponent("ntlpctl").path
        try #require(FileManager.default.isExecutableFile(atPath: path), "no ntlpctl in \(place.path)")
        return path
    }
}

/// True when it is gone.
func rmdirRecursively(_ directory: URL) -> Bool {
    do { try FileManager.default.removeItem(at: directory) } catch { return false }
    return true
}
