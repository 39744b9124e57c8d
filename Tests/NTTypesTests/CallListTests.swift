import CNTTypes
import Testing

/// functions.csv, ntlpc_calls.h and ntlpc.map tell the same story.
@Suite struct CallListTests {
    struct Call: Equatable, CustomStringConvertible {
        var returns: String, name: String, parameters: [String]
        var description: String { "\(returns) \(name)(\(parameters.joined(separator: ", ")))" }
    }

    /// The calls that libntlpc.so must export: system calls, thread pool, and the Alpc functions of ntdll.
    static func reference() throws -> [Call] {
        try Checkout.rows("functions").compactMap { row in
            guard !row[0].contains("("), ["syscall", "tp"].contains(row[1]) || row[0].hasPrefix("Alpc") else { return nil }
            let parameters = ["(none)", "unknown"].contains(row[3])
                ? [] : row[3].split(separator: ";").map { $0.replacing(/\[[^\]]*\]/, with: "").filter { $0 != " " && $0 != "*" } }
            return Call(returns: row[2] == "unknown" ? "NTSTATUS" : row[2], name: row[0], parameters: parameters)
        }
    }

    static func listed(_ list: String) throws -> [Call] {
        let header = try Checkout.text("CShims/CNTTypes/include/ntlpc/ntlpc_calls.h")
        let start = try #require(header.range(of: "#define \(list)(X)"))
        let body = header[start.upperBound...].prefix(upTo: header[start.upperBound...].range(of: "\n\n")!.lowerBound)
            .replacing("\\\n", with: "")
        return try body.matches(of: /X\((\w+), (\w+),\s*\(([^)]*)\),\s*\(([^)]*)\), (\d+)\)/).map { match in
            let parameters = match.3 == "VOID" ? [] : match.3.split(separator: ",").map { $0.filter { $0 != " " && $0 != "*" } }
            let count = try #require(Int(match.5))
            #expect(count == parameters.count, "\(match.2)")
            let arguments = match.4.split(separator: ",").map { $0.filter { $0 != " " } }
            #expect(arguments.count == count, "\(match.2)")
            for (parameter, argument) in zip(parameters, arguments) { #expect(parameter.hasSuffix(argument), "\(match.2)") }
            return Call(returns: String(match.1), name: String(match.2), parameters: parameters)
        }
    }

    @Test func theListsHoldEveryCallOfTheReferenceWithItsParameters() throws {
        let listed = try Self.listed("NTLPC_PORT_CALLS")
        let reference = try Self.reference()
        #expect(listed.count == reference.count)
        for call in reference {
            #expect(listed.contains(call), "\(call)")
        }
    }

    @Test func theSymbolMapNamesEveryCall() throws {
        let names = try (Self.listed("NTLPC_PORT_CALLS") + Self.listed("NTLPC_NATIVE_HOST_CALLS")).map(\.name)
        let map = try Checkout.text("CShims/CMSABIThunks/ntlpc.map")
        let exported = map.matches(of: /\n    (\w+);/).map { String($0.1) }
        #expect(Set(exported.filter { !$0.hasPrefix("ntlpc_") }) == Set(names))
        #expect(Set(exported).count == exported.count)
        #expect(map.contains("local:\n    *;"))
    }

    @Test func theSymbolMapNamesEveryFunctionOfTheHostSeam() throws {
        let seam = try Checkout.text("CShims/CNTTypes/include/ntlpc/ntlpc_host.h")
        let map = try Checkout.text("CShims/CMSABIThunks/ntlpc.map")
        let functions = Set(seam.matches(of: /\b(ntlpc_\w+)\(/).map { String($0.1) })
        #expect(functions.count >= 10)
        for function in functions { #expect(map.contains("    \(function);"), "\(function)") }
    }
}
