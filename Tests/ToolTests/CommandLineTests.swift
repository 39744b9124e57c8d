// What ntlpctl says about command lines that are wrong, and how it ends: 0, 1 and 2 mean what the manual says.

import Foundation
import Testing

@Suite struct CommandLineTests {
    struct Mistake: CustomTestStringConvertible, Sendable {
        let arguments: [String]
        let status: Int32
        let message: String
        var testDescription: String { "ntlpctl " + arguments.joined(separator: " ") }
    }

    static let mistakes: [Mistake] = [
        Mistake(arguments: ["frobnicate"], status: 2, message: "Unexpected argument 'frobnicate'"),
        Mistake(arguments: ["--frob"], status: 2, message: "Unknown option '--frob'"),
        Mistake(arguments: ["run"], status: 2, message: "Missing the program to run"),
        Mistake(arguments: ["run", "--frob", "x.exe"], status: 2, message: "Unknown option '--frob'"),
        Mistake(arguments: ["run", "--trace", "bogus", "x.exe"], status: 2, message: "Unknown trace category 'bogus'"),
        Mistake(arguments: ["run", "--prefix"], status: 2, message: "Missing value for '--prefix"),
        Mistake(arguments: ["status", "--frob"], status: 2, message: "Unknown option '--frob'"),
        Mistake(arguments: ["status", "--format", "xml"], status: 2, message: "'xml' is invalid"),
        Mistake(arguments: ["bench", "roundtrip", "--payload", "70000"], status: 2, message: "--payload needs 0 to 60000 bytes"),
        Mistake(arguments: ["bench", "roundtrip", "--payload", "many"], status: 2, message: "'many' is invalid"),
        Mistake(arguments: ["bench", "roundtrip", "--duration", "1"], status: 2, message: "--duration needs 10 to 10000 milliseconds"),
        Mistake(arguments: ["bench", "roundtrip", "--rounds", "0"], status: 2, message: "--rounds needs 1 to 100"),
        Mistake(arguments: ["bench", "roundtrip", "--placement", "everywhere"], status: 2, message: "'everywhere' is invalid"),
        Mistake(arguments: ["status", "--wine", "/nonexistent/wine"], status: 1, message: "/nonexistent/wine: no such program"),
    ]

    @Test(arguments: mistakes) func aMistakeIsNamedAndGivesItsExitCode(mistake: Mistake) throws {
        let outcome = try Tool.run(mistake.arguments)
        #expect(outcome.status == mistake.status)
        #expect((outcome.errors + outcome.output).contains(mistake.message))
    }

    @Test(arguments: [["--help"], ["run", "--help"], ["status", "--help"], ["bench", "roundtrip", "--help"], ["--version"]])
    func helpGoesToStandardOutputAndSucceeds(arguments: [String]) throws {
        let outcome = try Tool.run(arguments)
        #expect(outcome.status == 0)
        #expect(!outcome.output.isEmpty)
        #expect(outcome.errors.isEmpty)
    }

    @Test func theHiddenPeerIsNotInTheHelp() throws {
        #expect(try !Tool.run(["--help"]).output.contains("bench-peer"))
    }

    @Test func runNamesALibraryThatIsMissing() throws {
        let outcome = try Tool.run(["run", "x.exe"], environment: ["NTLPC_LIBRARY_DIR": "/nonexistent"])
        #expect(outcome.status == 1)
        #expect(outcome.errors.contains("libntlpc-wine.so was not found in /nonexistent"))
    }

    /// LD_PRELOAD is split at spaces and colons and has no way to quote them.
    @Test(arguments: ["with space", "with:colon"]) func runRefusesALibraryThatCannotBePreloaded(name: String) throws {
        let directory = try Tool.makeDirectory()
        defer { #expect(rmdirRecursively(directory)) }
        let place = directory.appendingPathComponent(name)
        try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
        for library in ["libntlpc.so", "libntlpc-wine.so"] {
            Tool.makeFile(place.appendingPathComponent(library).path)
        }
        let outcome = try Tool.run(["run", "x.exe"], environment: ["NTLPC_LIBRARY_DIR": place.path])
        #expect(outcome.status == 1)
        #expect(outcome.errors.contains("LD_PRELOAD cannot hold"))
    }

    @Test func runChecksTheProgramBeforeItStartsWine() throws {
        let directory = try Tool.makeDirectory()
        defer { #expect(rmdirRecursively(directory)) }
        for library in ["libntlpc.so", "libntlpc-wine.so"] {
            Tool.makeFile(directory.appendingPathComponent(library).path)
        }
        let environment = ["NTLPC_LIBRARY_DIR": directory.path]
        let missing = try Tool.run(["run", "\(directory.path)/nosuch.exe"], environment: environment)
        #expect(missing.status == 1)
        #expect(missing.errors.contains("nosuch.exe: no such file"))
        let folder = try Tool.run(["run", directory.path], environment: environment)
        #expect(folder.status == 1)
        #expect(folder.errors.contains("is a directory, not a program"))
    }

    /// A stand-in for Wine shows what Wine would be started with: the exit code and the arguments are the program's own.
    @Test func runPassesArgumentsEnvironmentAndExitCode() throws {
        let directory = try Tool.makeDirectory()
        defer { #expect(rmdirRecursively(directory)) }
        for library in ["libntlpc.so", "libntlpc-wine.so", "program.exe"] {
            Tool.makeFile(directory.appendingPathComponent(library).path)
        }
        let wine = directory.appendingPathComponent("wine").path
        let script = "#!/bin/sh\nprintf '%s\\n' \"$LD_PRELOAD\" \"$WINEPREFIX\" \"$NTLPC_TRACE\" \"$@\"\nexit 42\n"
        Tool.makeFile(wine, contents: script, mode: 0o755)
        let program = directory.appendingPathComponent("program.exe").path
        let outcome = try Tool.run(
            ["run", "--prefix", "\(directory.path)/prefix", "--trace", "calls,wine", "--wine", wine, program, "--prefix", "mine", "-x", "a b"],
            environment: ["NTLPC_LIBRARY_DIR": directory.path])
        #expect(outcome.status == 42)
        let lines = outcome.output.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        #expect(lines.first?.hasSuffix("\(directory.path)/libntlpc-wine.so") == true)
        #expect(Array(lines.dropFirst().prefix(7)) == ["\(directory.path)/prefix", "calls,wine", program, "--prefix", "mine", "-x", "a b"])
    }
}
