// Where the pieces of ntlpc are: the two libraries are looked for beside this tool (a build directory) and in ../lib (an
// installation). NTLPC_LIBRARY_DIR overrides both, for packagers.

import Foundation

struct Installation {
    /// libntlpc.so, the port calls.
    let library: String?
    /// libntlpc-wine.so, which puts them into Wine.
    let preload: String?
    /// Directory of this tool's executable, links resolved.
    let toolDirectory: String

    static let libraryName = "libntlpc.so"
    static let preloadName = "libntlpc-wine.so"

    init() {
        toolDirectory = URL(fileURLWithPath: Installation.executable).deletingLastPathComponent().path
        var places = [toolDirectory, URL(fileURLWithPath: toolDirectory + "/../lib").standardized.path]
        if let place = ProcessInfo.processInfo.environment["NTLPC_LIBRARY_DIR"], !place.isEmpty { places = [place] }
        func find(_ name: String) -> String? {
            places.map { "\($0)/\(name)" }.first { FileManager.default.isReadableFile(atPath: $0) }
        }
        library = find(Installation.libraryName)
        preload = find(Installation.preloadName)
        searched = places
    }

    private let searched: [String]

    /// Path of this executable.
    static var executable: String {
        (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    }

    func requireLibrary() throws -> String {
        guard let library else { throw missing(Installation.libraryName) }
        return library
    }

    /// The preload library, checked for what LD_PRELOAD cannot express.
    func requirePreload() throws -> String {
        guard let preload else { throw missing(Installation.preloadName) }
        _ = try requireLibrary()    // the preload library loads it from its own directory
        guard !preload.contains(where: { $0 == " " || $0 == ":" || $0 == "\t" }) else {
            throw ToolFailure("LD_PRELOAD cannot hold \"\(preload)\": move ntlpc to a directory without spaces and colons in its path")
        }
        return preload
    }

    private func missing(_ name: String) -> ToolFailure {
        ToolFailure("\(name) was not found in \(searched.joined(separator: " or ")): build it with \"swift build -c release\"")
    }
}
