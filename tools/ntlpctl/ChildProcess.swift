// Programs that this tool starts and waits for.

import Foundation

enum ChildProcess {
    struct Result {
        let output: String
        let errors: String
        /// The exit status; 128 + signal for a program that a signal ended, as shells count.
        let status: Int32
    }

    /// Runs a program to its end. `environment` is added to our own. A program that takes longer than `seconds` is killed,
    /// which is a failure.
    static func run(_ program: String, _ arguments: [String], environment: [String: String] = [:], seconds: Int) throws -> Result {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        // Files, not pipes: a service that the program leaves behind would keep a pipe open for ever.
        let output = try TemporaryFile(), errors = try TemporaryFile()
        process.standardOutput = output.handle
        process.standardError = errors.handle
        do { try process.run() } catch { throw ToolFailure("cannot start \(program): \(error.localizedDescription)") }
        let deadline = Date().addingTimeInterval(Double(seconds))
        while process.isRunning, Date() < deadline { usleep(2000) }
        guard !process.isRunning else {
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            throw ToolFailure("\(program) did not end within \(seconds) seconds")
        }
        process.waitUntilExit()
        let status = process.terminationReason == .uncaughtSignal ? 128 + process.terminationStatus : process.terminationStatus
        return try Result(output: output.text(), errors: errors.text(), status: status)
    }
}

/// A file without a name.
struct TemporaryFile {
    let handle: FileHandle

    init() throws {
        let descriptor = open(FileManager.default.temporaryDirectory.path, O_TMPFILE_FLAGS, 0o600)
        guard descriptor >= 0 else { throw ToolFailure("cannot make a temporary file: \(String(cString: strerror(errno)))") }
        handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    }

    func text() throws -> String {
        try handle.seek(toOffset: 0)
        return String(decoding: try handle.readToEnd() ?? Data(), as: UTF8.self)
    }
}

/// O_TMPFILE is a macro that Swift does not import.
private let O_TMPFILE_FLAGS = 0o20000000 | O_DIRECTORY | O_RDWR | O_CLOEXEC
