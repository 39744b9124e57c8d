// The views of an LPC connection.

import CNTTypes
import Glibc
import NTTypes
import Testing

private func section(_ size: Int, fill: UInt8) throws -> HANDLE? {
    var handle: HANDLE?, length = LARGE_INTEGER()
    length.QuadPart = Int64(size)
    try #require(NtCreateSection(&handle, 0xF001F, nil, &length, 4, 0x800_0000, nil) == 0)
    var base: PVOID?, count: SIZE_T = 0
    let current = HANDLE(bitPattern: -1)
    try #require(NtMapViewOfSection(handle, current, &base, 0, 0, nil, &count, SECTION_INHERIT(rawValue: 2), 0, 4) == 0)
    memset(try #require(base), Int32(fill), size)
    try #require(NtUnmapViewOfSection(current, base) == 0)
    return handle
}

private func portView(_ section: HANDLE?, offset: Int = 0, size: Int = 0) -> PORT_VIEW {
    var view = PORT_VIEW()
    view.Length = ULONG(MemoryLayout<PORT_VIEW>.size)
    view.SectionHandle = section
    view.SectionOffset = ULONG(offset)
    view.ViewSize = SIZE_T(size)
    return view
}

private func remoteView() -> REMOTE_PORT_VIEW {
    var view = REMOTE_PORT_VIEW()
    view.Length = ULONG(MemoryLayout<REMOTE_PORT_VIEW>.size)
    return view
}

/// What a connect gave.
private struct Result: @unchecked Sendable {
    var status: NTStatus
    var port = Port(handle: nil)
    var own: PORT_VIEW
    var remote: REMOTE_PORT_VIEW
}

private func connect(_ name: String, _ view: PORT_VIEW?, wantsRemote: Bool = true) -> Result {
    var handle = unwrittenHandle
    var quality = SECURITY_QUALITY_OF_SERVICE()
    quality.Length = 12
    quality.ImpersonationLevel = SecurityImpersonation
    var own = view ?? PORT_VIEW(), remote = remoteView()
    let outcome = withString(name) { name in
        withUnsafeMutablePointer(to: &own) { own in
            withUnsafeMutablePointer(to: &remote) { remote in
                NtConnectPort(&handle, name, &quality, view == nil ? nil : own, wantsRemote ? remote : nil, nil, nil, nil)
            }
        }
    }
    return Result(status: status(outcome), port: Port(handle: handle), own: own, remote: remote)
}

@Suite(.guarded) struct LegacyViewTests {
    /// Accepts and completes; the views are those of the server.
    private func serve(_ listener: Port, _ view: PORT_VIEW?) throws -> (port: Port, request: Message, own: PORT_VIEW, remote: REMOTE_PORT_VIEW) {
        let request = Message(room: 512)
        try #require(status(NtListenPort(listener.handle, request.pointer)) == .success)
        var handle: HANDLE?
        var own = view ?? PORT_VIEW(), remote = remoteView()
        let outcome = withUnsafeMutablePointer(to: &own) { NtAcceptConnectPort(&handle, nil, request.pointer, 1, view == nil ? nil : $0, &remote) }
        try #require(status(outcome) == .success)
        try #require(status(NtCompleteConnectPort(handle)) == .success)
        return (Port(handle: handle), request, own, remote)
    }

    @Test func `The client's section is seen by both sides`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.lpcCreate()
        let shared = try section(0x20000, fill: 0x11)
        let name = scene.name
        let view = UncheckedBox(portView(shared, offset: 0x10000, size: 0x1800))
        let call = Background { connect(name, view.value) }
        let server = try serve(listener, nil)
        let client = call.result
        try #require(client.status == .success)
        scene.keep(server.port)
        scene.keep(client.port)
        // The request tells the size ([R] ROS-LPC), in whole pages.
        #expect(server.request.callbackID == 0x2000)
        #expect(client.own.ViewSize == 0x2000 && server.remote.ViewSize == 0x2000)
        #expect(client.own.ViewRemoteBase == server.remote.ViewBase)
        let mine = try #require(client.own.ViewBase), theirs = try #require(server.remote.ViewBase)
        #expect(mine != theirs && theirs.load(as: UInt8.self) == 0x11)
        mine.storeBytes(of: 0x22, toByteOffset: 5, as: UInt8.self)
        #expect(theirs.load(fromByteOffset: 5, as: UInt8.self) == 0x22)
        // No view of the server's.
        #expect(client.remote.ViewSize == 0 && client.remote.ViewBase == nil)
        #expect(scene.close(client.port) == .success)
        #expect(!isMapped(mine))
        #expect(scene.close(server.port) == .success)
        #expect(!isMapped(theirs))
        #expect(NtClose(shared) == 0)
    }

    @Test func `The server's section is seen by both sides`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.lpcCreate()
        let shared = try section(0x3000, fill: 0x33)
        let name = scene.name
        let call = Background { connect(name, nil) }
        let server = try serve(listener, portView(shared))
        let client = call.result
        try #require(client.status == .success)
        scene.keep(server.port)
        scene.keep(client.port)
        #expect(server.own.ViewSize == 0x3000 && client.remote.ViewSize == 0x3000)
        #expect(server.own.ViewRemoteBase == client.remote.ViewBase)
        let mine = try #require(server.own.ViewBase), theirs = try #require(client.remote.ViewBase)
        theirs.storeBytes(of: 0x44, toByteOffset: 9, as: UInt8.self)
        #expect(mine.load(fromByteOffset: 9, as: UInt8.self) == 0x44 && mine.load(as: UInt8.self) == 0x33)
        #expect(server.remote.ViewSize == 0 && server.remote.ViewBase == nil && server.request.callbackID == 0)
        #expect(NtClose(shared) == 0)
        #expect(theirs.load(as: UInt8.self) == 0x33)
        // A program may unmap its view itself.
        #expect(NtUnmapViewOfSection(HANDLE(bitPattern: -1), theirs) == 0)
        #expect(!isMapped(theirs) && mine.load(as: UInt8.self) == 0x33)
        #expect(status(NtUnmapViewOfSection(HANDLE(bitPattern: -1), theirs)) == .notMappedView)
    }

    @Test func `Sections both ways`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.lpcCreate()
        let first = try section(0x10000, fill: 1), second = try section(0x10000, fill: 2)
        let name = scene.name
        let view = UncheckedBox(portView(first))
        let call = Background { connect(name, view.value) }
        let server = try serve(listener, portView(second))
        let client = call.result
        try #require(client.status == .success)
        scene.keep(server.port)
        scene.keep(client.port)
        #expect(server.remote.ViewBase!.load(as: UInt8.self) == 1 && client.remote.ViewBase!.load(as: UInt8.self) == 2)
        for each in [first, second] { #expect(NtClose(each) == 0) }
    }

    @Test func `Views that cannot be`() throws {
        let scene = Scene()
        defer { scene.end() }
        _ = try scene.lpcCreate()
        let shared = try section(0x10000, fill: 0)
        var short = portView(shared)
        short.Length -= 1
        #expect(connect(scene.name, short).status == .invalidParameter)
        #expect(connect(scene.name, portView(HANDLE(bitPattern: 0xDEAD0))).status == .invalidHandle)
        #expect(connect(scene.name, portView(shared, offset: 0x1000)).status == .mappedAlignment)
        #expect(connect(scene.name, portView(shared, offset: 0x10000)).status == .invalidViewSize)
        #expect(connect(scene.name, portView(shared, size: 0x10001)).status == .invalidViewSize)
        var weak: HANDLE?
        let current = HANDLE(bitPattern: -1)
        try #require(NtDuplicateObject(current, shared, current, &weak, 4, 0, 0) == 0)      // SECTION_MAP_READ
        #expect(connect(scene.name, portView(weak)).status == .accessDenied)
        for each in [shared, weak] { #expect(NtClose(each) == 0) }
    }

    @Test func `A refused view is unmapped`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.lpcCreate()
        let shared = try section(0x10000, fill: 0)
        let name = scene.name
        let view = UncheckedBox(portView(shared))
        let call = Background { connect(name, view.value) }
        let request = Message(room: 512)
        try #require(status(NtListenPort(listener.handle, request.pointer)) == .success)
        #expect(lpcAccept(request, accepts: false).status == .success)
        #expect(call.result.status == .portConnectionRefused)
        #expect(NtClose(shared) == 0)
    }
}

/// C structures are not known as Sendable.
private struct UncheckedBox<Value>: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
}
