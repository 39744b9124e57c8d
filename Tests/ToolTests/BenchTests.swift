// ntlpctl bench: that it measures and reports, not what it measures.

import Foundation
import Testing

@Suite(.serialized) struct BenchTests {
    struct Report: Decodable {
        struct Row: Decodable {
            struct Times: Decodable { let p50, p90, p99, p999: Double; let count: Int }
            let kind: String
            let placement: String
            let nanoseconds: Times
            let ratioToFutex: Double
        }
        let payload: Int
        let machine: String
        let rows: [Row]
    }

    /// The library is beside the tool only when its product was built too, as tools/test does.
    static var libraryIsBuilt: Bool {
        do {
            let outcome = try Tool.run(["status", "--format", "json", "--prefix", "/nonexistent/prefix"])
            return !outcome.output.contains("libntlpc.so was not found")
        } catch { return false }
    }

    @Test(.enabled(if: libraryIsBuilt, "libntlpc.so is not built in this directory"))
    func aShortRunGivesOrderedPercentiles() throws {
        let outcome = try Tool.run(["bench", "roundtrip", "--placement", "unpinned", "--duration", "20", "--rounds", "1", "--format", "json"])
        #expect(outcome.status == 0, "\(outcome.errors)")
        let report = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
        #expect(report.payload == 32)
        #expect(report.rows.contains { $0.kind == "ntlpc, blocking" })
        for row in report.rows {
            #expect(row.nanoseconds.count > 0)
            #expect(row.nanoseconds.p50 <= row.nanoseconds.p90)
            #expect(row.nanoseconds.p90 <= row.nanoseconds.p99)
            #expect(row.nanoseconds.p99 <= row.nanoseconds.p999)
            #expect(row.ratioToFutex > 0)
        }
    }
}
