// The reference tables of compat/ and the files of the checkout, for tests; and running a compiler.

import Foundation
import Testing

enum Checkout {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    static func text(_ path: String) throws -> String {
        try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
    }

    /// The rows of a table in compat/, without its head. A field may be quoted.
    static func rows(_ table: String) throws -> [[String]] {
        try text("compat/\(table).csv").split(separator: "\n").dropFirst().map { line in
            var fields: [String] = [""]
            var quoted = false
            for character in line {
                switch character {
                case "\"": quoted.toggle()
                case "," where !quoted: fields.append("")
                default: fields[fields.count - 1].append(character)
                }
            }
            return fields
        }
    }

    static func number(_ hex: String) -> UInt64? { UInt64(hex.dropFirst(2), radix: 16) }
}

struct CommandResult {
    var status: Int32
    /// Standard output and standard error.
    var output: String
    var succeeded: Bool { status == 0 }
}

enum Command {
    /// The program's full path, or nil when it is not installed.
    static func path(_ name: String) -> String? {
        let directories = (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin").split(separator: ":")
        return directories.map { "\($0)/\(name)" }.first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    static func run(_ command: [String], environment: [String: String] = [:]) throws -> CommandResult {
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        // A watchdog, not a limit: what takes ten minutes hangs, and 124 says so.
        process.arguments = ["timeout", "-k", "10", "600"] + command
        process.currentDirectoryURL = Checkout.root
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return CommandResult(status: process.terminationStatus, output: String(decoding: output, as: UTF8.self))
    }

    /// Runs `body` with a directory that is removed afterwards.
    static func withScratchDirectory(_ body: (String) throws -> Void) throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("ntlpc-tests-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: path, withIntermediateDirectories: true)
        let result = Result { try body(path.path) }
        try FileManager.default.removeItem(at: path)
        try result.get()
    }
}
