// The same measurement between two Windows processes: pingpong.exe of compat/programs, twice, each with the preload library.

import Foundation

final class WineBench {
    private let stage: BenchStage
    private let wine: WineEnvironment
    private let preload: String
    private let program: String

    init(stage: BenchStage, installation: Installation, prefix: String?, pingpong: String?) throws {
        self.stage = stage
        preload = try installation.requirePreload()
        wine = try WineEnvironment(program: nil, prefix: prefix)
        program = try WineBench.findProgram(pingpong, from: installation.toolDirectory)
    }

    /// In the checkout that this tool was built in.
    private static func findProgram(_ given: String?, from directory: String) throws -> String {
        if let given {
            guard FileManager.default.isReadableFile(atPath: given) else { throw ToolFailure("\(given): no such file") }
            return given
        }
        var place = URL(fileURLWithPath: directory)
        while place.path != "/" {
            let candidate = place.path + "/compat/programs/build/pingpong.exe"
            if FileManager.default.isReadableFile(atPath: candidate) { return candidate }
            place.deleteLastPathComponent()
        }
        throw ToolFailure("pingpong.exe was not found: run \"make -C compat/programs windows\" or give --pingpong PATH")
    }

    func measure(_ kind: Measurement, _ placement: Placement) throws -> Percentiles {
        let port = "\\RPC Control\\\(stage.nextName())"
        var environment = wine.environment(preload: preload, trace: nil).merging(stage.environment(kind)) { mine, stages in mine }
        environment["NTLPC_ROOT"] = stage.directory
        environment["NTLPC_TRACE"] = nil
        environment["NTLPC_SPIN"] = kind.spinSetting
        environment["WINEPREFIX"] = wine.prefix
        if environment["WINEDEBUG"] == nil { environment["WINEDEBUG"] = "-all" }
        let cpus = placement.cpus()
        let server = try Peer(wine.program, [program, "--port", port, "--serve"], environment: environment, cpu: cpus.server)
        defer { server.end() }
        guard try server.readLine(seconds: 60)?.contains("listening") == true else { throw ToolFailure("\(program) did not start under Wine") }
        // About as many round trips as fit in the time of a measurement.
        let rounds = max(1000, stage.milliseconds * 100)
        let client = try Peer(wine.program, [program, "--port", port, "--rounds", String(rounds), "--payload", String(stage.payload), "--stop"],
                              environment: environment, cpu: cpus.client)
        defer { client.end() }
        guard let line = try client.readLine(seconds: 60), let result = WineBench.parse(line) else { throw ToolFailure("\(program) gave no result") }
        return result
    }

    /// "pingpong: rounds=20000 payload=32 p50_ns=2500 p90_ns=2600 p99_ns=4000 p999_ns=9000"
    private static func parse(_ line: String) -> Percentiles? {
        var values: [String: Double] = [:]
        for word in line.split(separator: " ") {
            let parts = word.split(separator: "=")
            if parts.count == 2 { values[String(parts[0])] = Double(parts[1]) }
        }
        guard let p50 = values["p50_ns"], let p90 = values["p90_ns"], let p99 = values["p99_ns"], let p999 = values["p999_ns"],
              let rounds = values["rounds"] else { return nil }
        return Percentiles(p50: p50, p90: p90, p99: p99, p999: p999, count: Int(rounds))
    }
}
