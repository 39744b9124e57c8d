// The Wine of this machine: the program that starts it, the prefix it works in, and whether services of that prefix were started
// without ntlpc (what they start in turn has no ports either).

import Foundation

struct WineEnvironment {
    /// The program to start, absolute.
    let program: String
    let prefix: String
    /// The prefix was named by an option; otherwise it comes from the environment or is Wine's default.
    private let prefixIsGiven: Bool

    /// The places Debian and others put a loader that is not in PATH.
    private static let fallbackPrograms = ["/usr/lib/wine/wine64", "/usr/lib/wine/wine", "/opt/wine-stable/bin/wine"]

    init(program given: String?, prefix givenPrefix: String?) throws {
        if let given {
            guard let found = WineEnvironment.findProgram(given) else { throw ToolFailure("\(given): no such program; give --wine the path of wine") }
            program = found
        } else if let found = WineEnvironment.findProgram("wine") ?? WineEnvironment.findProgram("wine64")
                    ?? WineEnvironment.fallbackPrograms.first(where: { access($0, X_OK) == 0 }) {
            program = found
        } else {
            throw ToolFailure("Wine was not found: install it (Debian: apt install wine wine64) or give --wine PATH")
        }
        prefixIsGiven = givenPrefix != nil
        let environment = ProcessInfo.processInfo.environment
        let inherited = environment["WINEPREFIX"].flatMap { $0.isEmpty ? nil : $0 }
        let chosen = givenPrefix ?? inherited ?? (environment["HOME"] ?? "/root") + "/.wine"
        prefix = URL(fileURLWithPath: chosen).standardized.path
        if givenPrefix != nil {
            var isDirectory: ObjCBool = false
            if FileManager.default.fileExists(atPath: prefix, isDirectory: &isDirectory), !isDirectory.boolValue {
                throw ToolFailure("\(prefix): the prefix is not a directory")
            }
        }
    }

    /// NTLPC_DISABLE makes the preload library step aside.
    static var layerIsDisabled: Bool {
        let value = ProcessInfo.processInfo.environment["NTLPC_DISABLE"] ?? ""
        return !value.isEmpty && value != "0"
    }

    var prefixExists: Bool { FileManager.default.fileExists(atPath: prefix + "/system.reg") }

    private static func findProgram(_ name: String) -> String? {
        if name.contains("/") { return access(name, X_OK) == 0 ? URL(fileURLWithPath: name).path : nil }
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"
        return path.split(separator: ":").map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
    }

    /// The environment for Wine with the layer: everything of ours, the preload library last in LD_PRELOAD.
    func environment(preload: String, trace: String?) -> [String: String] {
        var environment = ProcessInfo.processInfo.environment
        let others = (environment["LD_PRELOAD"] ?? "").split(whereSeparator: { $0 == ":" || $0 == " " }).filter { $0 != preload }
        environment["LD_PRELOAD"] = (others.map(String.init) + [preload]).joined(separator: ":")
        if prefixIsGiven { environment["WINEPREFIX"] = prefix }
        if let trace { environment["NTLPC_TRACE"] = trace }
        return environment
    }

    /// Services of the prefix that run without the layer: "services.exe (process 123)".
    func servicesWithoutLayer() -> [String] {
        var result: [String] = []
        for entry in (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [] {
            guard let pid = Int32(entry), let name = try? String(contentsOfFile: "/proc/\(pid)/comm", encoding: .utf8),
                  name.hasPrefix("services.exe"), let environment = WineEnvironment.environment(of: pid),
                  !(environment["LD_PRELOAD"] ?? "").contains(Installation.preloadName) else { continue }
            let its = environment["WINEPREFIX"] ?? (environment["HOME"] ?? "") + "/.wine"
            if URL(fileURLWithPath: its).standardized.path == prefix { result.append("services.exe (process \(pid))") }
        }
        return result
    }

    private static func environment(of pid: Int32) -> [String: String]? {
        guard let bytes = FileManager.default.contents(atPath: "/proc/\(pid)/environ"), !bytes.isEmpty else { return nil }
        var result: [String: String] = [:]
        for pair in bytes.split(separator: 0) {
            let text = String(decoding: pair, as: UTF8.self)
            if let equals = text.firstIndex(of: "=") { result[String(text[..<equals])] = String(text[text.index(after: equals)...]) }
        }
        return result
    }

    /// "wine-8.0 (Debian 8.0~repack-4)".
    func version() throws -> String {
        let result = try ChildProcess.run(program, ["--version"], environment: ["WINEDEBUG": "-all"], seconds: 10)
        return result.output.split(separator: "\n").first.map(String.init) ?? "unknown"
    }
}
