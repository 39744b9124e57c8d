// What a benchmark found: percentiles by kind and placement, ratios to the raw primitives, and the machine they hold for.

import Foundation
import Histogram

/// What is measured.
enum Measurement: String, CaseIterable, Encodable {
    case futex = "raw futex"
    case spin = "raw spin"
    case socket = "SEQPACKET socket"
    case blocking = "ntlpc, blocking"
    case adaptive = "ntlpc, adaptive"
    case spinning = "ntlpc, spinning"
    case wineBlocking = "ntlpc in Wine, blocking"
    case wineAdaptive = "ntlpc in Wine, adaptive"

    var isWine: Bool { self == .wineBlocking || self == .wineAdaptive }

    /// NTLPC_SPIN for both sides; nil leaves the default.
    var spinSetting: String? {
        switch self {
        case .blocking, .wineBlocking: "0"
        case .spinning: "always"
        default: nil
        }
    }
}

/// Of one measurement, in nanoseconds.
struct Percentiles: Codable {
    var p50, p90, p99, p999: Double
    /// Round trips that were measured.
    var count: Int

    /// From samples in ticks.
    init(ticks: UnsafeBufferPointer<UInt64>, nanosecondsPerTick scale: Double) {
        var histogram = Histogram<UInt64>(highestTrackableValue: 60_000_000_000, numberOfSignificantValueDigits: .three)
        for sample in ticks { histogram.record(UInt64(Double(sample) * scale)) }
        func value(_ percentile: Double) -> Double { Double(histogram.valueAtPercentile(percentile)) }
        (p50, p90, p99, p999) = (value(50), value(90), value(99), value(99.9))
        count = ticks.count
    }

    init(p50: Double, p90: Double, p99: Double, p999: Double, count: Int) {
        (self.p50, self.p90, self.p99, self.p999, self.count) = (p50, p90, p99, p999, count)
    }

    /// The median of each percentile over the rounds.
    static func median(_ rounds: [Percentiles]) -> Percentiles {
        func middle(_ path: KeyPath<Percentiles, Double>) -> Double {
            let sorted = rounds.map { $0[keyPath: path] }.sorted()
            if sorted.isEmpty { return .nan }
            let half = sorted.count / 2
            return sorted.count % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
        }
        return Percentiles(p50: middle(\.p50), p90: middle(\.p90), p99: middle(\.p99), p999: middle(\.p999),
                           count: rounds.reduce(0) { $0 + $1.count })
    }
}

struct BenchReport: Encodable {
    struct Row: Encodable {
        let kind: Measurement
        let placement: Placement
        let nanoseconds: Percentiles
        /// Of the median, to a raw futex ping-pong in the same placement.
        let ratioToFutex: Double
        /// To raw spinning, where that was measured.
        let ratioToSpin: Double?
    }

    let payload: Int
    let milliseconds: Int
    let rounds: Int
    let machine = BenchReport.describeMachine()
    private(set) var rows: [Row] = []

    init(payload: Int, milliseconds: Int, rounds: Int) {
        (self.payload, self.milliseconds, self.rounds) = (payload, milliseconds, rounds)
    }

    mutating func add(_ placement: Placement, _ results: [(Measurement, Percentiles)]) {
        let futex = results.first { $0.0 == .futex }?.1.p50 ?? .nan
        let spin = results.first { $0.0 == .spin }?.1.p50
        for (kind, percentiles) in results {
            rows.append(Row(kind: kind, placement: placement, nanoseconds: percentiles, ratioToFutex: percentiles.p50 / futex,
                            ratioToSpin: spin.map { percentiles.p50 / $0 }))
        }
    }

    var text: String {
        var lines = ["round trip, \(payload) bytes of payload, median of \(rounds) rounds of \(milliseconds) ms", machine, ""]
        lines.append(line(["placement", "kind", "p50 ns", "p90 ns", "p99 ns", "p99.9 ns", "to futex", "to spin", "round trips"]))
        for row in rows {
            let times = row.nanoseconds
            lines.append(line([row.placement.rawValue, row.kind.rawValue, number(times.p50, 0), number(times.p90, 0), number(times.p99, 0),
                               number(times.p999, 0), number(row.ratioToFutex, 3), row.ratioToSpin.map { number($0, 2) } ?? "-",
                               String(times.count)]))
        }
        return lines.joined(separator: "\n")
    }

    private func number(_ value: Double, _ digits: Int) -> String { value.isNaN ? "-" : String(format: "%.\(digits)f", value) }

    private func line(_ cells: [String]) -> String {
        let widths = [10, 25, 9, 9, 9, 10, 9, 8, 12]
        return zip(cells, widths).enumerated().map { index, pair in
            let (cell, width) = pair
            let fill = String(repeating: " ", count: max(0, width - cell.count))
            return index < 2 ? cell + fill : fill + cell
        }.joined()
    }

    private static func describeMachine() -> String {
        var name = utsname()
        uname(&name)
        func text<T>(_ field: T) -> String {
            withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        }
        let information = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
        let model = information.split(separator: "\n").first { $0.hasPrefix("model name") }?.split(separator: ":").last
            .map { $0.trimmingCharacters(in: .whitespaces) } ?? "unknown processor"
        return "machine: \(text(name.sysname)) \(text(name.release)) \(text(name.machine)), \(Placement.usableCPUs.count) x \(model)"
    }
}
