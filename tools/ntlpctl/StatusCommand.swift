// ntlpctl status: what is installed, which Wine was found, whether the layer works in it, where names live, what is missing.
// It looks and changes nothing: a Wine prefix that does not exist is not made.

import ArgumentParser
import Foundation

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Say what is installed, and whether Windows programs get ports.")

    @Option(help: "text or json.")
    var format: OutputFormat = .text

    @Option(help: "Wine prefix to look at (default: WINEPREFIX, else ~/.wine).")
    var prefix: String?

    @Option(help: "The wine program to use (default: the one in PATH).")
    var wine: String?

    func run() throws {
        let status = Status(prefix: prefix, wine: wine)
        switch format {
        case .text: print(status.text)
        case .json: print(try encodeJSON(status))
        }
        if !status.problems.isEmpty { throw ExitCode(1) }
    }
}

struct Status: Encodable {
    var version: String?
    var library: String?
    var preload: String?
    var namespaceRoot: String?
    var implementedCalls = 0
    var missingCalls: [String] = []
    var wine: WineStatus?
    /// What stops Windows or Linux programs from using ports. Wine that is not installed is no problem.
    var problems: [String] = []

    struct WineStatus: Encodable {
        let program: String
        let version: String
        let prefix: String
        /// Found out by starting a small Windows program with the layer; absent when that was not possible.
        var layerIsActive: Bool?
        var note: String?
        let servicesWithoutLayer: [String]
    }

    init(prefix: String?, wine wineProgram: String?) {
        let installation = Installation()
        library = installation.library
        preload = installation.preload
        do {
            let loaded = try Library(path: installation.requireLibrary())
            version = try loaded.version()
            namespaceRoot = try loaded.namespaceRoot()
            let calls = try loaded.calls()
            implementedCalls = calls.count { $0.isImplemented }
            missingCalls = calls.filter { !$0.isImplemented }.map(\.name).sorted()
            _ = try installation.requirePreload()
        } catch { problems.append("\(error)") }
        do { wine = try Status.examineWine(program: wineProgram, prefix: prefix, preload: preload) } catch {
            if wineProgram != nil { problems.append("\(error)") }
        }
        if let wine, wine.layerIsActive == false { problems.append(wine.note ?? "the layer is not active in Wine") }
    }

    private static func examineWine(program: String?, prefix: String?, preload: String?) throws -> WineStatus {
        let environment = try WineEnvironment(program: program, prefix: prefix)
        var status = try WineStatus(program: environment.program, version: environment.version(), prefix: environment.prefix,
                                    servicesWithoutLayer: environment.servicesWithoutLayer())
        if WineEnvironment.layerIsDisabled {
            status.layerIsActive = false
            status.note = "NTLPC_DISABLE is set"
        } else if let preload, environment.prefixExists {
            status.note = try probe(environment, preload: preload)
            status.layerIsActive = status.note == nil
        } else if preload != nil {
            status.note = "not tested: \(environment.prefix) is no Wine prefix yet (run wineboot -i)"
        }
        return status
    }

    /// Starts a Windows program that does nothing; the preload library says in a trace line whether it is in place. Returns why it
    /// is not, or nil when it is.
    private static func probe(_ environment: WineEnvironment, preload: String) throws -> String? {
        var variables = environment.environment(preload: preload, trace: "wine")
        variables["WINEPREFIX"] = environment.prefix
        if variables["WINEDEBUG"] == nil { variables["WINEDEBUG"] = "-all" }
        let result = try ChildProcess.run(environment.program, ["cmd", "/c", "exit"], environment: variables, seconds: 60)
        let lines = result.errors.split(separator: "\n").filter { $0.hasPrefix("ntlpc: wine: ") }
        if lines.contains(where: { $0.contains(": installed") }) { return nil }
        // "ntlpc: wine: process 12: not installed: the reason"
        if let line = lines.first { return line.split(separator: ":", maxSplits: 3).last.map { $0.trimmingCharacters(in: .whitespaces) } }
        if result.status != 0 { return "Wine did not start a program in this prefix (exit status \(result.status))" }
        return "Wine started without it; see docs/wine.md"
    }

    var text: String {
        var lines: [String] = []
        func add(_ title: String, _ value: String) { lines.append(title.padding(toLength: 16, withPad: " ", startingAt: 0) + value) }
        add("ntlpc", version ?? "does not load")
        add("library", library ?? "not found")
        add("preload library", preload ?? "not found")
        if let namespaceRoot { add("namespace root", namespaceRoot) }
        if let wine {
            add("wine", "\(wine.version), \(wine.program)")
            add("wine prefix", wine.prefix)
            let active = wine.layerIsActive.map { $0 ? "active" : "not active" } ?? "unknown"
            add("layer in wine", active + (wine.note.map { ": \($0)" } ?? ""))
            for service in wine.servicesWithoutLayer { add("", "\(service) runs without the layer: programs that it starts have no ports") }
        } else {
            add("wine", "not found")
        }
        add("calls", "\(implementedCalls) implemented, \(missingCalls.count) answer STATUS_NOT_IMPLEMENTED")
        if !missingCalls.isEmpty { lines.append(contentsOf: wrap(missingCalls)) }
        for problem in problems { add("problem", problem) }
        return lines.joined(separator: "\n")
    }

    private func wrap(_ names: [String]) -> [String] {
        var lines: [String] = [], line = ""
        for name in names {
            if !line.isEmpty, line.count + name.count > 100 { lines.append(line); line = "" }
            line += (line.isEmpty ? "                " : " ") + name
        }
        return lines + [line]
    }
}
