// Traces for people who debug: silent by default, one line for each event when asked for.
//
// NTLPC_TRACE=calls,ports,transport,wine (or "all") chooses; NTLPC_LOG=FILE sends the lines to a file instead of stderr.

import CLinuxShims
import Glibc

/// Kinds of events; the names are those of NTLPC_TRACE.
public struct TraceCategory: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let calls = TraceCategory(rawValue: 1)
    public static let ports = TraceCategory(rawValue: 2)
    public static let transport = TraceCategory(rawValue: 4)
    public static let wine = TraceCategory(rawValue: 8)
    public static let all = TraceCategory(rawValue: 0xFFFF_FFFF)
}

/// Where traces go.
public enum Trace {

    private static let output: Int32 = {
        guard let path = getenv("NTLPC_LOG"), path.pointee != 0 else { return 2 }
        let file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        return file < 0 ? 2 : file
    }()

    @inlinable
    @inline(__always)
    public static func isOn(_ category: TraceCategory) -> Bool { ntlpc_trace_setting() & category.rawValue != 0 }

    /// Writes one line if the category is on. The text is not even made when it is off.
    @inlinable
    @inline(__always)
    public static func note(_ category: TraceCategory, _ text: @autoclosure () -> String) {
        if isOn(category) { write(text()) }
    }

    @usableFromInline
    @inline(never)
    static func write(_ text: String) {
        var line = "ntlpc \(getpid()).\(ntlpc_gettid()): \(text)\n"
        line.withUTF8 { bytes in _ = Glibc.write(output, bytes.baseAddress!, bytes.count) }
    }
}
