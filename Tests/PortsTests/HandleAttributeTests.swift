// The HANDLE attribute: objects that go with a message.

import CNTTypes
import Glibc
import NTTypes
import Testing

/// ALPC_HANDLEFLG_*.
private let sameAccess: UInt32 = 0x1_0000, indirect: UInt32 = 0x4_0000
/// Port flags: takes handles of given types, takes several at once.
private let dupObject: UInt32 = 0x8_0000, multiHandle: UInt32 = 0x200_0000
private let eventType: UInt32 = 0x10, sectionType: UInt32 = 0x80

private func event(signaled: Bool = false) throws -> HANDLE? {
    var handle: HANDLE?
    try #require(NtCreateEvent(&handle, 0x1F0003, nil, NotificationEvent, signaled ? 1 : 0) == 0)
    return handle
}

private func isSignaled(_ handle: HANDLE?) -> Bool {
    var time = LARGE_INTEGER()
    return NtWaitForSingleObject(handle, 0, &time) == 0
}

/// Attributes that carry one handle.
private func carrying(_ handle: HANDLE?, flags: UInt32 = sameAccess, type: UInt32 = 0, access: UInt32 = 0) -> Attributes {
    let attributes = Attributes(Attributes.handle | Attributes.context)
    var record = ALPC_HANDLE_ATTR()
    record.Flags = flags
    record.Handle = handle
    record.ObjectType = type
    record.DesiredAccess = access
    attributes.set(Attributes.handle, record)
    return attributes
}

/// Attributes that carry a list, which must outlive them.
private func carrying(_ list: UnsafeMutableBufferPointer<ALPC_HANDLE_ATTR32>, flags: UInt32 = indirect, count: Int? = nil) -> Attributes {
    let attributes = Attributes(Attributes.handle)
    var record = ALPC_HANDLE_ATTR()
    record.Flags = flags
    record.HandleAttrArray = list.baseAddress
    record.HandleCount = ULONG(count ?? list.count)
    attributes.set(Attributes.handle, record)
    return attributes
}

private func entry(_ handle: HANDLE?, flags: UInt32 = sameAccess) -> ALPC_HANDLE_ATTR32 {
    var entry = ALPC_HANDLE_ATTR32()
    entry.Flags = flags
    entry.Handle = ULONG(UInt(bitPattern: handle))
    return entry
}

/// NtAlpcQueryInformationMessage, class 3.
private func fetch(_ port: Port, _ message: Message, _ index: Int) -> (status: NTStatus, information: ALPC_MESSAGE_HANDLE_INFORMATION) {
    var information = ALPC_MESSAGE_HANDLE_INFORMATION()
    information.Index = ULONG(index)
    let result = NtAlpcQueryInformationMessage(port.handle, message.pointer, AlpcMessageHandleInformation, &information,
                                               ULONG(MemoryLayout<ALPC_MESSAGE_HANDLE_INFORMATION>.size), nil)
    return (status(result), information)
}

@Suite(.guarded) struct HandleAttributeTests {
    /// A server that takes all types, one handle or several.
    private func scene(_ flags: UInt32 = 0, types: UInt32 = 0xFFD) throws -> (scene: Scene, listener: Port, client: Port) {
        let scene = Scene()
        var attributes = usual(flags: 0x20000 | dupObject | flags)
        attributes.DupObjectTypes = types
        let (listener, _, client) = try scene.connected(server: attributes)
        return (scene, listener, client)
    }

    @Test func `An event arrives as a handle of the same event`() throws {
        let (scene, listener, client) = try scene()
        defer { scene.end() }
        let own = try event()
        #expect(client.send("event", 0x10000, carrying(own)) == .success)
        let got = Attributes()
        let message = try listener.take(got)
        #expect(message.type == 0x2003)
        #expect(got.valid & Attributes.handle != 0)
        let record: ALPC_HANDLE_ATTR = got.record(Attributes.handle)
        #expect(record.Flags == 0 && record.ObjectType == eventType && record.Handle != own)
        #expect(!isSignaled(record.Handle))
        #expect(NtSetEvent(own, nil) == 0 && isSignaled(record.Handle))
        #expect(NtResetEvent(record.Handle, nil) == 0 && !isSignaled(own))
        // The sender's handle may go, the receiver's works on.
        #expect(NtClose(own) == 0)
        #expect(NtSetEvent(record.Handle, nil) == 0 && isSignaled(record.Handle))
        #expect(NtClose(record.Handle) == 0)
        #expect(listener.send(Message(answering: message), 0x10000) == .success)
    }

    @Test func `A section arrives with its contents`() throws {
        let (scene, listener, client) = try scene()
        defer { scene.end() }
        var section: HANDLE?, size = LARGE_INTEGER()
        size.QuadPart = 0x2000
        try #require(NtCreateSection(&section, 0xF001F, nil, &size, 4, 0x800_0000, nil) == 0)
        func map(_ section: HANDLE?) -> UnsafeMutableRawPointer? {
            var base: PVOID?, count: SIZE_T = 0
            guard NtMapViewOfSection(section, HANDLE(bitPattern: -1), &base, 0, 0, nil, &count, SECTION_INHERIT(rawValue: 2), 0, 4) == 0 else { return nil }
            return base
        }
        let mine = try #require(map(section))
        mine.storeBytes(of: 0xC0FFEE, as: UInt32.self)
        #expect(client.send("section", 0x10000, carrying(section, type: sectionType)) == .success)
        let got = Attributes()
        _ = try listener.take(got)
        let record: ALPC_HANDLE_ATTR = got.record(Attributes.handle)
        #expect(record.ObjectType == sectionType)
        let theirs = try #require(map(record.Handle))
        #expect(theirs != mine && theirs.load(as: UInt32.self) == 0xC0FFEE)
        for base in [mine, theirs] { #expect(NtUnmapViewOfSection(HANDLE(bitPattern: -1), base) == 0) }
        #expect(NtClose(section) == 0 && NtClose(record.Handle) == 0)
    }

    @Test func `Several handles are counted and fetched one by one`() throws {
        let (scene, listener, client) = try scene(multiHandle)
        defer { scene.end() }
        let events = try [event(), event(signaled: true), event()]
        var list = events.map { entry($0) }
        let answer = Message(room: 256)
        let call = list.withUnsafeMutableBufferPointer { list -> NTStatus in
            client.send("three", 0, carrying(list))
        }
        #expect(call == .success)
        let got = Attributes()
        let message = try listener.take(got)
        let record: ALPC_HANDLE_ATTR = got.record(Attributes.handle)
        #expect(record.HandleCount == 3)
        let second = fetch(listener, message, 1)
        #expect(second.status == .success && second.information.ObjectType == eventType)
        let handle = HANDLE(bitPattern: UInt(second.information.Handle))
        #expect(isSignaled(handle))
        // Asked twice, two handles of one object.
        let again = fetch(listener, message, 1)
        #expect(again.status == .success && again.information.Handle != second.information.Handle)
        #expect(NtResetEvent(HANDLE(bitPattern: UInt(again.information.Handle)), nil) == 0 && !isSignaled(handle))
        #expect(fetch(listener, message, 3).status == .invalidHandle)
        #expect(listener.send(Message(answering: message), 0x10000) == .success)
        #expect(!fetch(listener, message, 0).status.isSuccess)
        #expect(client.receive(answer) == .success)
        for each in events + [handle, HANDLE(bitPattern: UInt(again.information.Handle))] { #expect(NtClose(each) == 0) }
    }

    @Test func `The most handles a message can carry`() throws {
        let (scene, listener, client) = try scene(multiHandle)
        defer { scene.end() }
        let one = try event(signaled: true)
        var list = Array(repeating: entry(one), count: 513)
        list.withUnsafeMutableBufferPointer { list in
            #expect(client.send("too many", 0x10000, carrying(list)) == .lpcHandleCountExceeded)
            #expect(client.send("most", 0x10000, carrying(list, count: 512)) == .success)
        }
        let message = try listener.take()
        #expect(message.text == "most")
        let last = fetch(listener, message, 511)
        #expect(last.status == .success && isSignaled(HANDLE(bitPattern: UInt(last.information.Handle))))
        #expect(NtClose(HANDLE(bitPattern: UInt(last.information.Handle))) == 0)
        #expect(listener.send(Message(answering: message), 0x10000) == .success)
        #expect(NtClose(one) == 0)
    }

    @Test func `Lists that are none`() throws {
        let (scene, listener, client) = try scene(multiHandle)
        defer { scene.end() }
        let one = try event()
        var list = [entry(one), entry(one, flags: indirect)]
        list.withUnsafeMutableBufferPointer { list in
            #expect(client.send("x", 0, carrying(list, count: 1)) == .invalidParameter)
            #expect(client.send("x", 0, carrying(list, count: 0)) == .invalidParameter)
            #expect(client.send("x", 0, carrying(list)) == .invalidParameter)
            #expect(client.send("x", 0, carrying(UnsafeMutableBufferPointer(start: nil, count: 0), count: 512)) == .accessViolation)
        }
        #expect(client.send("x", 0, carrying(one, flags: 1)) == .invalidParameter)
        #expect(listener.poll() == .timeout)
        #expect(NtClose(one) == 0)
    }

    @Test func `Handles that cannot go`() throws {
        let (scene, listener, client) = try scene(types: sectionType)
        defer { scene.end() }
        let one = try event()
        #expect(client.send("x", 0, carrying(HANDLE(bitPattern: 0xDEAD0))) == .invalidHandle)
        #expect(client.send("x", 0, carrying(nil)) == .invalidHandle)
        // A port has no type that travels ([W] OVMM).
        #expect(client.send("x", 0, carrying(listener.handle)) == .objectTypeMismatch)
        #expect(client.send("x", 0, carrying(one, type: sectionType)) == .objectTypeMismatch)
        // The receiver takes sections alone (section 17, point 13).
        #expect(client.send("x", 0, carrying(one)) == .accessDenied)
        #expect(listener.poll() == .timeout)
        #expect(NtClose(one) == 0)
    }

    @Test func `Rights do not grow on the way`() throws {
        let (scene, listener, client) = try scene()
        defer { scene.end() }
        var weak: HANDLE?
        let full = try event()
        let current = HANDLE(bitPattern: -1)
        try #require(NtDuplicateObject(current, full, current, &weak, 0x100000, 0, 0) == 0)     // SYNCHRONIZE
        #expect(client.send("x", 0x10000, carrying(weak)) == .success)
        let got = Attributes()
        _ = try listener.take(got)
        let record: ALPC_HANDLE_ATTR = got.record(Attributes.handle)
        #expect(record.GrantedAccess == 0x100000)
        #expect(status(NtSetEvent(record.Handle, nil)) == .accessDenied)
        #expect(client.send("x", 0x10000, carrying(weak, flags: 0, access: 0x1F0003)) == .accessDenied)
        for each in [full, weak, record.Handle] { #expect(NtClose(each) == 0) }
    }

    @Test func `Handles that nobody fetches are closed with their message`() async {
        // In a process of its own, where nobody else opens descriptors.
        await #expect(processExitsWith: .success) {
            let tests = HandleAttributeTests()
            let (scene, listener, client) = try tests.scene(multiHandle)
            let one = try event()
            func round() throws {
                guard client.send("x", 0x10000, carrying(one)) == .success else { exit(1) }
                let message = try listener.take()
                guard listener.send(Message(answering: message), 0x10000) == .success else { exit(2) }
            }
            try round()
            let before = tests.openDescriptors()
            for _ in 0 ..< 50 { try round() }
            // A receiver that sleeps for the first time makes its two bells.
            guard tests.openDescriptors() <= before + 2 else { exit(3) }
            scene.end()
        }
    }

    private func openDescriptors() -> Int {
        var count = 0
        for number: Int32 in 0 ..< 4096 where fcntl(number, F_GETFD) >= 0 { count += 1 }
        return count
    }
}
