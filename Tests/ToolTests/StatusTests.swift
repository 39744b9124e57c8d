// ntlpctl status: a report that other programs can read, also when things are missing.

import Foundation
import Testing

@Suite struct StatusTests {
    /// What the JSON form promises.
    struct Report: Decodable {
        struct Wine: Decodable {
            let program: String
            let version: String
            let prefix: String
            let layerIsActive: Bool?
            let note: String?
            let servicesWithoutLayer: [String]
        }
        let version: String?
        let library: String?
        let preload: String?
        let namespaceRoot: String?
        let implementedCalls: Int
        let missingCalls: [String]
        let wine: Wine?
        let problems: [String]
    }

    private func report(_ outcome: Tool.Outcome) throws -> Report {
        try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
    }

    @Test func withoutLibrariesItFailsAndSaysWhatIsMissing() throws {
        let outcome = try Tool.run(["status", "--format", "json", "--prefix", "/nonexistent/prefix"],
                                   environment: ["NTLPC_LIBRARY_DIR": "/nonexistent"])
        #expect(outcome.status == 1)
        let report = try report(outcome)
        #expect(report.library == nil)
        #expect(report.preload == nil)
        #expect(report.implementedCalls == 0)
        #expect(report.problems.contains { $0.contains("libntlpc.so was not found in /nonexistent") })
    }

    @Test func aLibraryThatDoesNotLoadIsAProblemAndNoCrash() throws {
        let directory = try Tool.makeDirectory()
        defer { #expect(rmdirRecursively(directory)) }
        Tool.makeFile(directory.appendingPathComponent("libntlpc.so").path, contents: "no library")
        let outcome = try Tool.run(["status", "--format", "json", "--prefix", "/nonexistent/prefix"],
                                   environment: ["NTLPC_LIBRARY_DIR": directory.path])
        #expect(outcome.status == 1)
        #expect(try report(outcome).problems.contains { $0.contains("cannot load") })
    }

    /// Looking must not make a prefix: that takes half a minute and a hundred megabytes.
    @Test func aPrefixThatDoesNotExistIsNotMade() throws {
        let directory = try Tool.makeDirectory()
        defer { #expect(rmdirRecursively(directory)) }
        let prefix = directory.appendingPathComponent("prefix").path
        let outcome = try Tool.run(["status", "--format", "json", "--prefix", prefix])
        #expect(!FileManager.default.fileExists(atPath: prefix))
        if let wine = try report(outcome).wine {
            #expect(wine.prefix == prefix)
            #expect(wine.layerIsActive != true)
        }
    }

    @Test func textAndJSONTellTheSame() throws {
        let environment = ["NTLPC_LIBRARY_DIR": "/nonexistent"]
        let arguments = ["status", "--prefix", "/nonexistent/prefix"]
        let text = try Tool.run(arguments, environment: environment)
        let report = try report(Tool.run(arguments + ["--format", "json"], environment: environment))
        for problem in report.problems { #expect(text.output.contains(problem)) }
        #expect(text.output.contains("\(report.implementedCalls) implemented, \(report.missingCalls.count) answer STATUS_NOT_IMPLEMENTED"))
    }
}
