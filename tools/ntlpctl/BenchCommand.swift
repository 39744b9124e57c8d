// ntlpctl bench: how long a round trip takes, beside what the machine can do at best.
//
// Absolute times on shared machines drift, so everything is measured in the same run, in interleaved rounds, and shown as a
// ratio to a raw futex ping-pong of the same placement (and to raw spinning where both sides have a CPU). Each side of each
// measurement is a process of its own: this tool, started again.

import ArgumentParser
import CBench
import Foundation

struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure.", subcommands: [RoundTripCommand.self])
}

enum Placement: String, CaseIterable, Encodable {
    case oneCore = "one-core", twoCores = "two-cores", unpinned

    /// The CPUs of client and server; -1 for all.
    func cpus() -> (client: Int32, server: Int32) {
        let usable = Placement.usableCPUs
        switch self {
        case .oneCore: return (usable[0], usable[0])
        case .twoCores: return (usable[0], usable[usable.count - 1])
        case .unpinned: return (-1, -1)
        }
    }

    /// Whether a measurement means something here. Spinning on a shared CPU measures the scheduler's time slices, nothing else;
    /// without a binding the scheduler may put two spinners on one CPU, which ntlpc's adaptive spinning notices and raw spinning
    /// does not, so that is shown only as the limit.
    func allows(_ kind: Measurement) -> Bool {
        switch kind {
        case .spin: self != .oneCore && Placement.usableCPUs.count > 1
        case .spinning: self == .twoCores
        default: true
        }
    }

    static let usableCPUs: [Int32] = {
        var cpus = [Int32](repeating: 0, count: 1024)
        let count = cbench_usable_cpus(&cpus, Int32(cpus.count))
        return count > 0 ? Array(cpus[..<Int(count)]) : [0]
    }()
}

enum PlacementChoice: String, ExpressibleByArgument, CaseIterable {
    case oneCore = "one-core", twoCores = "two-cores", unpinned, all

    var placements: [Placement] {
        switch self {
        case .oneCore: [.oneCore]
        case .twoCores: [.twoCores]
        case .unpinned: [.unpinned]
        case .all: Placement.allCases.filter { $0 != .twoCores || Placement.usableCPUs.count > 1 }
        }
    }
}

struct RoundTripCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "roundtrip",
        abstract: "Latency of a synchronous request and its reply between two processes.",
        discussion: """
            Measured beside a raw futex ping-pong, raw spinning on shared memory and a SEQPACKET socket, in interleaved rounds.
            ntlpc blocking: NTLPC_SPIN=0; adaptive: the default; spinning: NTLPC_SPIN=always.
            """)

    @Option(help: ArgumentHelp("Bytes after the message header.", valueName: "bytes"))
    var payload: Int = 32

    @Option(help: "one-core, two-cores, unpinned or all.")
    var placement: PlacementChoice = .all

    @Option(help: ArgumentHelp("Milliseconds of each measurement.", valueName: "ms"))
    var duration: Int = 200

    @Option(help: ArgumentHelp("Measurements of each kind; the median is shown.", valueName: "count"))
    var rounds: Int = 5

    @Flag(help: "Also between two Windows processes under Wine.")
    var wine = false

    @Option(help: "Wine prefix for --wine (default: WINEPREFIX, else ~/.wine).")
    var prefix: String?

    @Option(help: ArgumentHelp("Path of pingpong.exe for --wine (default: compat/programs/build).", valueName: "path"))
    var pingpong: String?

    @Option(help: "text or json.")
    var format: OutputFormat = .text

    func validate() throws {
        guard (0 ... Int(CBENCH_MAX_PAYLOAD)).contains(payload) else { throw ValidationError("--payload needs 0 to \(CBENCH_MAX_PAYLOAD) bytes") }
        guard (10 ... 10000).contains(duration) else { throw ValidationError("--duration needs 10 to 10000 milliseconds") }
        guard (1 ... 100).contains(rounds) else { throw ValidationError("--rounds needs 1 to 100") }
        guard !wine || payload <= 4000 else { throw ValidationError("--wine allows a payload of at most 4000 bytes") }
        if placement == .twoCores, Placement.usableCPUs.count < 2 { throw ValidationError("--placement two-cores needs two CPUs; this process may use one") }
    }

    func run() throws {
        let installation = Installation()
        let library = try installation.requireLibrary()
        let stage = try BenchStage(library: library, payload: payload, milliseconds: duration)
        defer { stage.close() }
        let windows = wine ? try WineBench(stage: stage, installation: installation, prefix: prefix, pingpong: pingpong) : nil
        var report = BenchReport(payload: payload, milliseconds: duration, rounds: rounds)
        for placement in placement.placements {
            let kinds = Measurement.allCases.filter { placement.allows($0) && (windows != nil || !$0.isWine) }
            var results: [Measurement: [Percentiles]] = [:]
            for _ in 0 ..< rounds {
                for kind in kinds {
                    let result = if kind.isWine { try windows!.measure(kind, placement) } else { try stage.measure(kind, placement) }
                    results[kind, default: []].append(result)
                }
            }
            report.add(placement, kinds.map { ($0, Percentiles.median(results[$0] ?? [])) })
        }
        switch format {
        case .text: print(report.text)
        case .json: print(try encodeJSON(report))
        }
    }
}
