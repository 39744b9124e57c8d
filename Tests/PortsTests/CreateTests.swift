// Creating ports: section A of the scenarios. The id of a scenario begins the test's name.

import CNTTypes
import Glibc
import NTTypes
import Testing

/// NtAlpcCreatePort, all in the open.
private func create(_ name: String? = nil, _ attributes: ALPC_PORT_ATTRIBUTES? = nil, _ handle: inout HANDLE?) -> NTStatus {
    var copy = attributes ?? ALPC_PORT_ATTRIBUTES()
    return withUnsafeMutablePointer(to: &copy) { copy in
        let attributes = attributes == nil ? nil : copy
        guard let name else { return status(NtAlpcCreatePort(&handle, nil, attributes)) }
        return withObject(name) { status(NtAlpcCreatePort(&handle, $0, attributes)) }
    }
}

private func lpcCreate(_ name: String?, _ handle: inout HANDLE?, _ information: UInt32 = 64, _ limit: UInt32 = 256) -> NTStatus {
    guard let name else { return status(NtCreatePort(&handle, nil, information, limit, 0)) }
    return withObject(name) { status(NtCreatePort(&handle, $0, information, limit, 0)) }
}

private func typeName(_ handle: HANDLE?) -> String {
    var buffer = [UInt64](repeating: 0, count: 64)
    return buffer.withUnsafeMutableBytes { bytes in
        guard NtQueryObject(handle, ObjectTypeInformation, bytes.baseAddress, ULONG(bytes.count), nil) == 0 else { return "?" }
        let name = bytes.load(as: UNICODE_STRING.self)
        return String(decoding: UnsafeBufferPointer(start: name.Buffer, count: Int(name.Length) / 2), as: UTF16.self)
    }
}

@Suite(.guarded) struct CreateTests {
    private func onlyLimit(_ limit: Int, flags: UInt32 = 0) -> ALPC_PORT_ATTRIBUTES {
        var attributes = ALPC_PORT_ATTRIBUTES()
        attributes.MaxMessageLength = SIZE_T(limit)
        attributes.Flags = flags
        return attributes
    }

    @Test func `A-01 A port needs neither name nor attributes`() throws {
        for (name, attributes) in [(nil, nil), (Stage.name(), nil), (nil, usual())] as [(String?, ALPC_PORT_ATTRIBUTES?)] {
            var handle: HANDLE?
            #expect(create(name, attributes, &handle) == .success)
            var information = OBJECT_BASIC_INFORMATION()
            #expect(NtQueryObject(handle, ObjectBasicInformation, &information, ULONG(MemoryLayout<OBJECT_BASIC_INFORMATION>.size), nil) == 0)
            #expect(information.GrantedAccess == 0x1F_0001)
            #expect(information.Attributes == 0)
            #expect(NtClose(handle) == 0)
        }
    }

    @Test func `A-02 A-03 LPC and ALPC ports are of the type ALPC Port`() throws {
        let scene = Scene()
        defer { scene.end() }
        #expect(typeName(try scene.create().handle) == "ALPC Port")
        let other = Scene()
        defer { other.end() }
        #expect(typeName(try other.lpcCreate().handle) == "ALPC Port")
    }

    @Test func `A-04 A NULL out pointer is an access violation and leaves no name`() throws {
        let scene = Scene()
        defer { scene.end() }
        var attributes = usual()
        #expect(withObject(scene.name) { status(NtAlpcCreatePort(nil, $0, &attributes)) } == .accessViolation)
        #expect(withObject(scene.name) { status(NtAlpcCreatePort(nil, $0, nil)) } == .accessViolation)
        _ = try scene.create()
    }

    @Test func `A-05 A name is taken once, in any spelling`() throws {
        let scene = Scene()
        defer { scene.end() }
        let port = try scene.create()
        var handle = unwrittenHandle
        for name in [scene.name, scene.name.uppercased(), scene.name.lowercased()] {
            #expect(create(name, usual(), &handle) == .objectNameCollision)
            #expect(lpcCreate(name, &handle) == .objectNameCollision)
        }
        #expect(handle == unwrittenHandle)
        _ = try scene.client(port)
    }

    @Test func `A-06 A closed port's name is free`() throws {
        let scene = Scene()
        defer { scene.end() }
        for _ in 0 ..< 3 { #expect(scene.close(try scene.create()) == .success) }
        _ = try scene.create()
    }

    @Test(arguments: 0 ..< 32) func `A-07 Every flag but the system process's is accepted`(_ bit: Int) {
        var handle: HANDLE?
        let expected: NTStatus = bit == 20 ? .invalidParameter : .success
        #expect(create(nil, onlyLimit(1024, flags: 1 << UInt32(bit)), &handle) == expected)
        if expected == .success { #expect(NtClose(handle) == 0) } else { #expect(handle == nil) }
    }

    @Test func `A-08 A-09 A-11 The message limit lies between the header and 64 KiB`() {
        for (limit, expected) in [(39, .invalidParameter), (40, .success), (0xFFEF, .success), (0xFFFF, .success), (0x10000, .invalidParameter)] as [(Int, NTStatus)] {
            var handle: HANDLE?
            #expect(create(nil, onlyLimit(limit), &handle) == expected, "limit \(limit)")
            if handle != nil { #expect(NtClose(handle) == 0) }
        }
    }

    @Test func `A-12 A port with nothing but a limit serves`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create(onlyLimit(256))
        let (_, client) = try scene.client(listener, onlyLimit(256))
        let answer = Message(room: 256)
        let call = Background { client.request("ping", answer) }
        let request = try listener.take()
        #expect(request.text == "ping")
        #expect(listener.datagram(Message(answering: request, Array("pong".utf8))) == .success)
        #expect(call.result == .success)
        #expect(answer.text == "pong" && answer.hasCleanTail)
    }

    @Test func `A-13 A new port tells its flags and nothing else`() throws {
        let scene = Scene()
        defer { scene.end() }
        let information = try scene.create(usual(flags: 0x20000)).basic()
        #expect(information.Flags & 0x20000 != 0)
        #expect(information.SequenceNo == 0)
        #expect(information.PortContext == nil)
    }

    @Test func `A-15 A directory that does not exist is a path not found`() {
        var handle: HANDLE?
        #expect(create("\\NoSuchDir-x\\port", nil, &handle) == .objectPathNotFound)
        #expect(lpcCreate("\\NoSuchDir-x\\port", &handle) == .objectPathNotFound)
    }

    @Test func `A-16 An LPC port is made with its limits`() {
        var handle: HANDLE?
        #expect(lpcCreate(Stage.name(), &handle, 64, 256) == .success)
        #expect(NtClose(handle) == 0)
    }

    @Test func `A-17 A-18 LPC limits that are too large name their parameter`() {
        var handle: HANDLE?
        #expect(lpcCreate(Stage.name(), &handle, 0xFFFF, 256) == .invalidParameter3)
        #expect(lpcCreate(Stage.name(), &handle, 64, 0x7FFF_FFFF) == .invalidParameter4)
        #expect(handle == nil)
    }

    @Test func `A-19 An LPC create into memory that is not there leaves no name`() throws {
        let scene = Scene()
        defer { scene.end() }
        let memory = BadMemory()
        for address in memory.all {
            let result = withObject(scene.name) { status(NtCreatePort(address.assumingMemoryBound(to: HANDLE?.self), $0, 64, 256, 0)) }
            #expect(result == .accessViolation)
        }
        #expect(connect(scene.name).status == .objectNameNotFound)
        _ = try scene.lpcCreate()
    }

    @Test func `A-20 A waitable LPC port is signaled when a client knocks`() throws {
        let scene = Scene()
        defer { scene.end() }
        let port = try scene.lpcCreate(waitable: true)
        #expect(port.wait(0) == .timeout)
        let name = scene.name
        let call = Background { lpcConnect(name).status }
        #expect(port.wait() == .success)
        let request = try port.lpcTake()
        #expect(request.type == 10)
        #expect(lpcAccept(request, accepts: false).status == .success)
        #expect(call.result == .portConnectionRefused)
        #expect(port.wait(0) == .timeout)
    }

    @Test func `A-21 A-22 An unnamed LPC port can be made and found by nobody`() {
        var handle: HANDLE?
        #expect(lpcCreate(nil, &handle) == .success)
        #expect(lpcConnect(Stage.name()).status == .objectNameNotFound)
        #expect(connect(Stage.name()).status == .objectNameNotFound)
        #expect(NtClose(handle) == 0)
    }

    @Test func `Names that no object can have are refused`() {
        var handle: HANDLE?
        let long = "\\RPC Control\\" + String(repeating: "x", count: 300)
        for name in ["x", "relative\\name", "\\RPC Control\\", "\\\\x", "\\RPC Control\\\\x", long] {
            #expect(create(name, nil, &handle) == .objectNameInvalid, "\(name.prefix(40))")
            #expect(lpcCreate(name, &handle) == .objectNameInvalid, "\(name.prefix(40))")
            #expect(connect(name).status == .objectNameInvalid, "\(name.prefix(40))")
            #expect(lpcConnect(name).status == .objectNameInvalid, "\(name.prefix(40))")
        }
        #expect(handle == nil)
    }

    @Test func `Names with odd letters are told apart and found again`() throws {
        var ports: [HANDLE?] = []
        let base = Stage.name()
        for tail in [".hidden", "/slash", "%41", "A", "Ä", "straße", "a b", "..", "tab\t", "\u{1F600}"] {
            var handle: HANDLE?
            try #require(create(base + tail, nil, &handle) == .success, "\(tail)")
            ports.append(handle)
            let made = connect(base + tail.lowercased())
            #expect(made.status == .success, "\(tail)")
            #expect(made.port.close() == .success)
        }
        for port in ports { #expect(NtClose(port) == 0) }
    }

    @Test func `Text that is no text and lengths that lie are refused`() {
        var handle: HANDLE?
        var units: [UInt16] = Array("\\RPC Control\\x".utf16) + [0xD800]
        units.withUnsafeMutableBufferPointer { units in
            for (length, expected) in [(units.count * 2, .objectNameInvalid), (5, .objectNameInvalid)] as [(Int, NTStatus)] {
                var name = UNICODE_STRING(Length: USHORT(length), MaximumLength: USHORT(length), Buffer: units.baseAddress)
                withUnsafeMutablePointer(to: &name) { name in
                    var object = OBJECT_ATTRIBUTES(Length: 48, RootDirectory: nil, ObjectName: name, Attributes: 0x40, SecurityDescriptor: nil,
                                                   SecurityQualityOfService: nil)
                    #expect(status(NtAlpcCreatePort(&handle, &object, nil)) == expected)
                    #expect(status(NtAlpcConnectPort(&handle, name, nil, nil, 0, nil, nil, nil, nil, nil, nil)) == expected)
                    object.Length = 47
                    #expect(status(NtAlpcCreatePort(&handle, &object, nil)) == .invalidParameter)
                }
            }
        }
        // A buffer that ends before its length does.
        let memory = BadMemory()
        var name = UNICODE_STRING(Length: 64, MaximumLength: 64, Buffer: memory.last(32).assumingMemoryBound(to: UInt16.self))
        #expect(status(NtAlpcConnectPort(&handle, &name, nil, nil, 0, nil, nil, nil, nil, nil, nil)) == .accessViolation)
        #expect(handle == nil)
    }
}
