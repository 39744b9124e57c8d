// swift-tools-version: 6.3
import PackageDescription

// The module graph is the architecture; README.md draws it. A module may import only what it lists here.

let swiftSettings: [SwiftSetting] = [
    .unsafeFlags(["-enforce-exclusivity=unchecked", "-cross-module-optimization"], .when(configuration: .release)),
]

/// Flags of the shared library alone. They sit on a target that nothing else depends on, because linker flags propagate.
let libraryLinkerSettings: [LinkerSetting] = [
    .unsafeFlags([
        "-static-stdlib",
        "-Xlinker", "--version-script=\(Context.packageDirectory)/CShims/CMSABIThunks/ntlpc.map",
        "-Xlinker", "-soname=libntlpc.so.1", "-Xlinker", "-Bsymbolic",
        "-Xlinker", "-z", "-Xlinker", "nodelete", "-Xlinker", "-z", "-Xlinker", "now",
    ]),
]

let package = Package(
    name: "ntlpc",
    products: [
        .library(name: "ntlpc", type: .dynamic, targets: ["NTLPC"]),
        .library(name: "ntlpc-wine", type: .dynamic, targets: ["WinePreload"]),
        .executable(name: "ntlpctl", targets: ["ntlpctl"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    ],
    targets: [
        // C: what Swift cannot say.
        .target(name: "CNTTypes", path: "CShims/CNTTypes"),
        .target(name: "CWireFormat", path: "CShims/CWireFormat"),
        .target(name: "CLinuxShims", path: "CShims/CLinuxShims"),
        .target(name: "CMSABIThunks", dependencies: ["CNTTypes", "CLinuxShims"], path: "CShims/CMSABIThunks", exclude: ["ntlpc.map"]),
        // C only: without the last line the preload library would bring the Swift runtime into every process. Nothing may depend on
        // this target, because the flags travel.
        .target(name: "WinePreload", dependencies: ["CNTTypes"], path: "CShims/WinePreload",
                linkerSettings: [.linkedLibrary("dl"), .unsafeFlags(["-enable-experimental-feature", "Embedded", "-no-toolchain-stdlib-rpath"])]),

        // NT side.
        .target(name: "NTTypes", dependencies: ["CNTTypes"], swiftSettings: swiftSettings),
        .target(name: "NTSecurity", dependencies: ["NTTypes", "CNTTypes"], swiftSettings: swiftSettings),

        // Linux side.
        .target(name: "LinuxSystem", dependencies: ["CLinuxShims"], swiftSettings: swiftSettings),
        .target(name: "Tracing", dependencies: ["LinuxSystem", "CLinuxShims"], swiftSettings: swiftSettings),
        .target(name: "Transport", dependencies: ["LinuxSystem", "Tracing", "CWireFormat", "CLinuxShims"], swiftSettings: swiftSettings),

        // Where they meet.
        .target(name: "NTObjects", dependencies: ["NTSecurity", "NTTypes", "LinuxSystem", "Tracing", "CNTTypes", "CLinuxShims"], swiftSettings: swiftSettings),
        .target(name: "Ports", dependencies: ["NTObjects", "NTSecurity", "NTTypes", "Transport", "Tracing", "LinuxSystem", "CNTTypes", "CWireFormat", "CLinuxShims"], swiftSettings: swiftSettings),
        .target(name: "NTExports", dependencies: ["Ports", "NTObjects", "NTSecurity", "NTTypes", "Tracing", "LinuxSystem", "CNTTypes", "CLinuxShims"], swiftSettings: swiftSettings),
        .target(name: "NTLPC", dependencies: ["NTExports", "CMSABIThunks"], swiftSettings: swiftSettings, linkerSettings: libraryLinkerSettings),

        // Tools.
        .target(name: "CBench", dependencies: ["CNTTypes"], path: "CShims/CBench", linkerSettings: [.linkedLibrary("dl")]),
        .executableTarget(
            name: "ntlpctl",
            dependencies: [
                "CBench", "CNTTypes",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Histogram", package: "hdrhistogram-swift"),
            ],
            path: "tools/ntlpctl"),

        // Tests of the NT side.
        .testTarget(name: "NTTypesTests", dependencies: ["NTTypes", "CNTTypes"], exclude: ["Fixtures"]),
        .testTarget(name: "NTSecurityTests", dependencies: ["NTSecurity", "NTTypes"]),

        .testTarget(
            name: "NTObjectsTests", dependencies: ["PeerProcess", "NTExports", "NTObjects", "NTTypes", "LinuxSystem", "CNTTypes", "CLinuxShims"],
            swiftSettings: [.enableExperimentalFeature("Extern")]),

        // Tests of the tools.
        .testTarget(name: "ToolTests", dependencies: ["ntlpctl"]),

        // Under Wine, with a double in place of the core; built by the tests themselves.
        .testTarget(name: "WinePreloadTests", exclude: ["CoreDouble", "Peer", "Programs"]),

        // Tests of the Linux side and of the ports, with a second process to talk to.
        .executableTarget(name: "PeerProcess", dependencies: ["NTExports", "NTObjects", "NTTypes", "LinuxSystem", "CNTTypes", "CLinuxShims"], path: "Tests/PeerProcess"),
        .testTarget(name: "LinuxSystemTests", dependencies: ["LinuxSystem", "CLinuxShims"]),
        .testTarget(name: "TransportTests", dependencies: ["Transport", "LinuxSystem", "CWireFormat", "CLinuxShims"]),
        .testTarget(name: "PortsTests", dependencies: ["PeerProcess", "Transport", "LinuxSystem", "NTExports", "Ports", "NTObjects", "NTTypes", "CNTTypes", "CWireFormat", "CLinuxShims"]),
    ],
    swiftLanguageModes: [.v6]
)
