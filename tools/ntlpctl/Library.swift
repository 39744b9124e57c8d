// libntlpc.so as this tool sees it: opened at run time, so that `status` can describe a library that does not load.

import CBench
import CNTTypes
import Foundation

struct Library {
    let path: String
    private let handle: UnsafeMutableRawPointer

    struct Call {
        let name: String
        let isImplemented: Bool
    }

    init(path: String) throws {
        guard let handle = dlopen(path, RTLD_NOW | RTLD_LOCAL) else {
            throw ToolFailure("cannot load \(path): \(dlerror().map { String(cString: $0) } ?? "unknown error")")
        }
        self.path = path
        self.handle = handle
    }

    private func function<Function>(_ name: String, as type: Function.Type) throws -> Function {
        guard let symbol = dlsym(handle, name) else { throw ToolFailure("\(path) does not export \(name)") }
        return unsafeBitCast(symbol, to: type)
    }

    func version() throws -> String {
        let version = try function("ntlpc_version", as: (@convention(c) () -> UnsafePointer<CChar>?).self)
        guard let text = version() else { throw ToolFailure("\(path) has no version") }
        return String(cString: text)
    }

    func namespaceRoot() throws -> String {
        typealias Query = @convention(c) (UnsafeMutablePointer<CChar>?, ULONG) -> ULONG
        let query = try function("ntlpc_namespace_root", as: Query.self)
        var buffer = [CChar](repeating: 0, count: 4096)
        _ = query(&buffer, ULONG(buffer.count))
        return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    func calls() throws -> [Call] {
        typealias Exports = @convention(c) (UnsafeMutablePointer<ULONG>?) -> UnsafePointer<NTLPC_EXPORT>?
        var count: ULONG = 0
        guard let table = try function("ntlpc_exports", as: Exports.self)(&count) else { return [] }
        return (0 ..< Int(count)).map { Call(name: String(cString: table[$0].Name), isImplemented: table[$0].Implemented != 0) }
    }

    /// The calls of the benchmark.
    func benchmarkCalls() throws -> cbench_calls {
        var calls = cbench_calls()
        if let missing = cbench_find_calls(handle, &calls) { throw ToolFailure("\(path) does not export \(String(cString: missing))") }
        return calls
    }
}
