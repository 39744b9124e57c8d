// ntlpctl run: a Windows program under Wine, with ports. This process becomes Wine's, so signals, the terminal and the exit code
// are the program's own.

import ArgumentParser
import Foundation

struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Start a Windows program under Wine, with ports.",
        discussion: "Everything after PROGRAM.exe is passed to it. Put options of ntlpctl before it.")

    @Option(help: "Wine prefix to use (default: WINEPREFIX, else ~/.wine).")
    var prefix: String?

    @Option(help: ArgumentHelp("What to trace on standard error, separated by commas: calls, ports, transport, wine.", valueName: "categories"))
    var trace: String?

    @Option(help: "The wine program to use (default: the one in PATH).")
    var wine: String?

    @Argument(parsing: .captureForPassthrough, help: ArgumentHelp("The program and its arguments.", valueName: "program.exe arguments"))
    var command: [String] = []

    static let traceCategories: Set<String> = ["calls", "ports", "transport", "wine", "all"]

    func validate() throws {
        guard let program = command.first else { throw ValidationError("Missing the program to run: ntlpctl run [options] PROGRAM.exe [ARGS...]") }
        // What follows the program is its own, so the parser does not look for --help here.
        if program == "--help" || program == "-h" { throw CleanExit.helpRequest(self) }
        guard !program.hasPrefix("-") else { throw ValidationError("Unknown option '\(program)'") }
        for category in (trace ?? "").split(separator: ",", omittingEmptySubsequences: true) where !Self.traceCategories.contains(String(category)) {
            throw ValidationError("Unknown trace category '\(category)': use \(Self.traceCategories.sorted().joined(separator: ", "))")
        }
        if prefix?.isEmpty == true { throw ValidationError("--prefix needs a directory") }
    }

    func run() throws {
        let preload = try Installation().requirePreload()
        try checkProgram(command[0])
        let environment = try WineEnvironment(program: wine, prefix: prefix)
        for service in environment.servicesWithoutLayer() {
            note("ntlpctl: \(service) of \(environment.prefix) was started without ntlpc; programs that it starts will have no ports. "
                + "To start it anew: WINEPREFIX=\(environment.prefix) wineserver -k")
        }
        if WineEnvironment.layerIsDisabled { note("ntlpctl: NTLPC_DISABLE is set: the program will have no ports") }
        try replaceProcess(environment.program, [environment.program] + command,
                           environment: environment.environment(preload: preload, trace: trace))
    }

    /// A program given by a Linux path must exist; Wine's own message for that is hard to understand. Windows paths and bare
    /// names are Wine's business.
    private func checkProgram(_ program: String) throws {
        if program.contains("\\") || program.dropFirst().hasPrefix(":") { return }
        var isDirectory: ObjCBool = false
        let exists = FileManager.default.fileExists(atPath: program, isDirectory: &isDirectory)
        if exists, isDirectory.boolValue { throw ToolFailure("\(program) is a directory, not a program") }
        if !exists, program.contains("/") || program.lowercased().hasSuffix(".exe") { throw ToolFailure("\(program): no such file") }
        if exists, access(program, R_OK) != 0 { throw ToolFailure("\(program) cannot be read: \(String(cString: strerror(errno)))") }
    }
}

/// Becomes another program. Returns only by throwing.
func replaceProcess(_ program: String, _ arguments: [String], environment: [String: String]) throws -> Never {
    var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
    var envp: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0)=\($1)") } + [nil]
    execve(program, &argv, &envp)
    throw ToolFailure("cannot start \(program): \(String(cString: strerror(errno)))")
}
