import Testing

/// The C side of the exports: thunks and name resolution. It is built with stand-ins for the calls that Swift implements.
@Suite struct ThunkTests {
    static let sources = ["ms_abi_thunks.c", "resolve.c"].map { "CShims/CMSABIThunks/\($0)" }
    static let flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-ICShims/CNTTypes/include", "-ICShims/CMSABIThunks/include"]

    @Test(arguments: ["clang", "gcc"])
    func argumentsAndResultsPassThroughEveryDoor(compiler: String) throws {
        guard Command.path(compiler) != nil else { return }
        try Command.withScratchDirectory { directory in
            let fixtures = ["thunk_program.c", "thunk_stand_ins.c"].map { "Tests/NTTypesTests/Fixtures/\($0)" }
            let build = try Command.run([compiler] + Self.flags + Self.sources + fixtures + ["-lpthread", "-o", "\(directory)/program"])
            try #require(build.succeeded, "\(build.output)")
            let run = try Command.run(["\(directory)/program"])
            #expect(run.succeeded, "\(run.output)")
        }
    }

    @Test func everyCallHasItsTwoDoors() throws {
        let native = try CallListTests.listed("NTLPC_NATIVE_HOST_CALLS").map(\.name)
        let ports = try CallListTests.listed("NTLPC_PORT_CALLS").map(\.name)
        try Command.withScratchDirectory { directory in
            var defined: Set<String> = [], wanted: Set<String> = []
            for source in Self.sources {
                let object = "\(directory)/object.o"
                let build = try Command.run(["clang"] + Self.flags + ["-c", source, "-o", object])
                try #require(build.succeeded, "\(build.output)")
                for line in try Command.run(["nm", object]).output.split(separator: "\n") {
                    let fields = line.split(separator: " ")
                    if fields.count == 3, ["T", "W"].contains(fields[1]) { defined.insert(String(fields[2])) }
                    if fields.count == 2, fields[0] == "U" { wanted.insert(String(fields[1])) }
                }
            }
            for name in native + ports { #expect(defined.contains("ntlpc_ms_\(name)"), "\(name)") }
            // What is left for Swift to define.
            #expect(wanted.subtracting(defined).filter { $0.hasPrefix("Nt") || $0.hasPrefix("Alpc") || $0.hasPrefix("Tp") || $0.hasPrefix("Rtl") }
                == Set(native + ports))
        }
    }
}
