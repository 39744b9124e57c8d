import Testing

/// The public headers, as compilers see them: C and C++, natively, for 32 bits and for Windows.
@Suite struct HeaderTests {
    static let include = "CShims/CNTTypes/include"
    static let program = "Tests/NTTypesTests/Fixtures/header_program.c"
    static let strict = ["-Wall", "-Wextra", "-Werror", "-I\(include)"]
    static let mingw = "x86_64-w64-mingw32-gcc"
    static let mingwInclude = "/usr/x86_64-w64-mingw32/include"

    private func compile(_ compiler: [String], _ source: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
        let result = try Command.run(compiler + Self.strict + ["-fsyntax-only", source])
        #expect(result.succeeded, "\(compiler.joined(separator: " ")) \(source): \(result.output)", sourceLocation: sourceLocation)
    }

    @Test(arguments: [
        ["clang", "-std=c11", "-xc"], ["clang++", "-std=c++17", "-xc++"], ["gcc", "-std=c11", "-xc"], ["g++", "-std=c++17", "-xc++"],
    ])
    func aLinuxProgramCompiles(compiler: [String]) throws {
        guard Command.path(compiler[0]) != nil else { return }
        try compile(compiler + ["-Wpedantic", "-Wshadow", "-Wundef"], Self.program)
    }

    /// Which headers a program includes in which order: see the fixture.
    static let orders = ["OURS_ONLY", "WINDOWS_FIRST", "WINDOWS_LAST", "WINTERNL_FIRST", "NTSTATUS_FIRST", "NTSTATUS_LAST"]

    @Test(.enabled(if: Command.path(mingw) != nil, "mingw is not installed"), arguments: orders)
    func aWindowsProgramCompilesInEveryIncludeOrder(order: String) throws {
        try compile([Self.mingw, "-std=c11", "-D\(order)"], Self.program)
    }

    /// mingw's own C++ compiler is a large package; clang speaks the same language with the same headers.
    @Test(.enabled(if: Command.path(mingw) != nil, "mingw is not installed"), arguments: orders)
    func aWindowsProgramInCPlusPlusCompilesInEveryIncludeOrder(order: String) throws {
        try compile(["clang++", "--target=x86_64-w64-mingw32", "-isystem", Self.mingwInclude, "-std=c++17", "-xc++", "-D\(order)"], Self.program)
    }

    @Test func eachHeaderStandsAlone() throws {
        try Command.withScratchDirectory { directory in
            for header in ["nttypes", "ntsecurity", "ntstatus", "ntobject", "ntsection", "ntcompletion", "ntprocess", "ntlpcapi", "ntlpcapi32", "ntlpcfuncs", "ntlpc_calls", "ntlpc_host",
                           "ntlpc_msabi", "ntlpc"] {
                let source = "\(directory)/\(header).c"
                try "#include <ntlpc/\(header).h>\n#include <ntlpc/\(header).h>\nint main(void) { return 0; }\n"
                    .write(toFile: source, atomically: true, encoding: .utf8)
                try compile(["clang", "-std=c11"], source)
            }
        }
    }

    @Test(arguments: ["layout_checks", "constant_checks"])
    func layoutsAndConstantsAreThoseOfTheReference(file: String) throws {
        let source = "CShims/CNTTypes/\(file).c"
        try compile(["clang", "-std=c11"], source)
        try compile(["clang", "-std=c11", "--target=i686-linux-gnu", "-ffreestanding"], source)
        if Command.path(Self.mingw) != nil {
            try compile([Self.mingw, "-std=c11"], source)
            // The same headers serve 32-bit Windows, whose alignment of 64-bit fields is the real one.
            try compile(["clang", "--target=i686-w64-mingw32", "-isystem", Self.mingwInclude, "-std=c11"], source)
        }
    }

    @Test func aWrongLayoutWouldBeNoticed() throws {
        try Command.withScratchDirectory { directory in
            let source = "\(directory)/wrong.c"
            let checks = try Checkout.text("CShims/CNTTypes/layout_checks.c")
            try checks.replacing("SIZE(PORT_MESSAGE, 24)", with: "SIZE(PORT_MESSAGE, 25)").write(toFile: source, atomically: true, encoding: .utf8)
            let command = ["clang", "-std=c11", "-ffreestanding", "-fsyntax-only", "-I\(Self.include)", source]
            #expect(try Command.run(command).succeeded)
            #expect(try !Command.run(command + ["--target=i686-linux-gnu"]).succeeded)
        }
    }

    @Test func theGeneratedChecksAreUpToDate() throws {
        let result = try Command.run(["tools/generate-layout-checks", "--check"])
        #expect(result.succeeded, "\(result.output)")
    }

    @Test func everyRowOfTheReferenceIsChecked() throws {
        let checks = try Checkout.text("CShims/CNTTypes/layout_checks.c")
        for row in try Checkout.rows("layouts") where !row[1].contains("_bits") {
            let line = row[1] == "(sizeof)" ? "SIZE(\(row[0]), \(row[3]));" : "FIELD(\(row[0]), \(row[1]), \(row[2]), \(row[3]));"
            #expect(checks.contains(line), "\(line)")
        }
    }
}
