// The command line tool of ntlpc. Exit codes, everywhere: 0 it worked, 1 it failed, 2 the command line is wrong.

import ArgumentParser
import Foundation

struct Ntlpctl: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ntlpctl",
        abstract: "Windows NT ports (LPC and ALPC) on Linux and under Wine.",
        version: "ntlpctl 0.1.0",
        subcommands: [RunCommand.self, StatusCommand.self, BenchCommand.self, BenchPeerCommand.self])
}

/// Why a command could not do what it was asked to. The text says what to do about it.
struct ToolFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case text, json
}

@main
enum Main {
    static func main() {
        do {
            var command = try Ntlpctl.parseAsRoot()
            try command.run()
        } catch let failure as ToolFailure {
            note("ntlpctl: \(failure)")
            exit(1)
        } catch {
            let code = Ntlpctl.exitCode(for: error)
            if code.isSuccess { Ntlpctl.exit(withError: error) }    // --help and --version print and exit 0
            note(Ntlpctl.fullMessage(for: error))
            exit(code == .validationFailure ? 2 : 1)
        }
    }
}

/// One line on standard error.
func note(_ line: String) {
    FileHandle.standardError.write(Data((line + "\n").utf8))
}

func encodeJSON(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(value), as: UTF8.self)
}
