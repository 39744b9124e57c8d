// Sections and views: memory that goes with a message.

import CNTTypes
import Glibc
import NTTypes
import Testing

extension Attributes {
    static let handle: UInt32 = 0x1000_0000
    static let token: UInt32 = 0x0800_0000
    static let direct: UInt32 = 0x0400_0000
    static let work: UInt32 = 0x0200_0000
    static let security: UInt32 = 0x8000_0000

    /// The record of one attribute; the buffer must have room for it.
    func record<Record>(_ attribute: UInt32, as type: Record.Type = Record.self) -> Record { AlpcGetMessageAttribute(pointer, attribute)!.load(as: type) }

    func set<Record>(_ attribute: UInt32, _ record: Record) {
        AlpcGetMessageAttribute(pointer, attribute)!.storeBytes(of: record, as: Record.self)
        valid |= attribute
    }

    var viewRecord: ALPC_DATA_VIEW_ATTR { record(Self.view) }
}

extension Port {
    /// NtAlpcCreatePortSection.
    func section(_ size: Int, secure: Bool = false, over handle: HANDLE? = nil) -> (status: NTStatus, handle: ALPC_HANDLE?, size: Int) {
        var made = ALPC_HANDLE(bitPattern: 0x5A5A), actual: SIZE_T = 0x5A5A
        let result = NtAlpcCreatePortSection(self.handle, secure ? 0x40000 : 0, handle, SIZE_T(size), &made, &actual)
        return (status(result), made, Int(actual))
    }

    func deleteSection(_ section: ALPC_HANDLE?) -> NTStatus { status(NtAlpcDeletePortSection(handle, 0, section)) }

    /// NtAlpcCreateSectionView.
    func view(_ section: ALPC_HANDLE?, _ size: Int, flags: UInt32 = 0) -> (status: NTStatus, view: ALPC_DATA_VIEW_ATTR) {
        var view = ALPC_DATA_VIEW_ATTR()
        view.Flags = flags
        view.SectionHandle = section
        view.ViewSize = SIZE_T(size)
        return (status(NtAlpcCreateSectionView(handle, 0, &view)), view)
    }

    func deleteView(_ base: PVOID?) -> NTStatus { status(NtAlpcDeleteSectionView(handle, 0, base)) }

    /// A view with contents, ready to be sent.
    func filledView(_ size: Int, secure: Bool = false, flags: UInt32 = 0, seed: Int = 1) throws -> (section: ALPC_HANDLE?, view: ALPC_DATA_VIEW_ATTR) {
        let section = section(size, secure: secure)
        try #require(section.status == .success)
        let made = view(section.handle, size)
        try #require(made.status == .success)
        let bytes = UnsafeMutableRawBufferPointer(start: made.view.ViewBase, count: size)
        bytes.copyBytes(from: pattern(min(size, 4096), seed: seed))
        bytes[size - 1] = UInt8(truncatingIfNeeded: seed)
        var view = made.view
        view.Flags = flags
        return (section.handle, view)
    }
}

/// Attributes that carry a view.
func carrying(_ view: ALPC_DATA_VIEW_ATTR) -> Attributes {
    let attributes = Attributes(Attributes.view | Attributes.context)
    attributes.set(Attributes.view, view)
    return attributes
}

/// The address is mapped in this process.
func isMapped(_ address: PVOID?) -> Bool {
    var page: UInt8 = 0
    return mincore(UnsafeMutableRawPointer(bitPattern: UInt(bitPattern: address) & ~4095), 4096, &page) == 0
}

/// It may be written to: a pipe's reader gets an error where the program would get a signal.
func isWritable(_ address: PVOID?) -> Bool {
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else { return false }
    defer { for end in ends { Glibc.close(end) } }
    write(ends[1], "x", 1)
    return read(ends[0], address, 1) == 1
}

@Suite(.guarded) struct ViewTests {
    func contents(_ view: ALPC_DATA_VIEW_ATTR, seed: Int) -> Bool {
        let size = Int(view.ViewSize)
        let bytes = UnsafeRawBufferPointer(start: view.ViewBase, count: size)
        let start = pattern(min(size, 4096), seed: seed)
        return bytes[size - 1] == UInt8(truncatingIfNeeded: seed) && bytes.prefix(start.count).dropLast().elementsEqual(start.dropLast())
    }

    @Test func `A section's size is whole 64 KiB and its handle is the port's own`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let made = listener.section(1)
        #expect(made.status == .success && made.size == 0x10000)
        #expect(listener.section(0x10001).size == 0x20000)
        #expect(listener.section(0x10000, secure: true).status == .success)
        #expect(status(NtClose(made.handle)) == .invalidHandle)
        #expect(listener.deleteSection(made.handle) == .success)
        #expect(listener.deleteSection(made.handle) == .invalidHandle)
    }

    @Test func `Sections that cannot be`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        #expect(listener.section(0).status == .invalidParameter)
        #expect(listener.section(0, secure: true).status == .invalidParameter)
        #expect(listener.section(0x1000, secure: true, over: listener.handle).status == .invalidParameter)
        #expect(listener.section(Int.max).status == .sectionTooBig)
        var handle: ALPC_HANDLE?, size: SIZE_T = 0
        #expect(status(NtAlpcCreatePortSection(listener.handle, 1, nil, 1, &handle, &size)) == .invalidParameter)
        #expect(status(NtAlpcCreatePortSection(listener.handle, 0, nil, 1, nil, &size)) == .accessViolation)
        #expect(status(NtAlpcCreatePortSection(listener.handle, 0, nil, 1, &handle, nil)) == .accessViolation)
        #expect(status(NtAlpcCreatePortSection(nil, 0, nil, 1, &handle, &size)) == .invalidHandle)
        #expect(status(NtAlpcDeletePortSection(listener.handle, 1, nil)) == .invalidParameter)
        #expect(listener.deleteSection(ALPC_HANDLE(bitPattern: 0x1234_5678_0004)) == .invalidHandle)
        let limited = Scene()
        defer { limited.end() }
        var attributes = usual()
        attributes.MaxSectionSize = 0x20000
        attributes.MaxTotalSectionSize = 0x30000
        attributes.MaxViewSize = 0x1000
        let port = try limited.create(attributes)
        #expect(port.section(0x20001).status == .sectionTooBig)
        let section = port.section(0x20000)
        #expect(section.status == .success)
        #expect(port.section(0x20000).status == .sectionTooBig)
        #expect(port.view(section.handle, 0x1001).status == .sectionTooBig)
        #expect(port.view(section.handle, 0x1000).status == .success)
    }

    @Test func `Views are regions of their section and end by name`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let section = listener.section(0x10000).handle
        let first = listener.view(section, 0x4001), second = listener.view(section, 0x4000)
        #expect(first.status == .success && first.view.ViewSize == 0x5000)
        #expect(second.status == .success && second.view.ViewBase != first.view.ViewBase)
        second.view.ViewBase!.storeBytes(of: 7, as: UInt8.self)
        #expect(first.view.ViewBase!.load(as: UInt8.self) == 0)
        #expect(listener.view(section, 0x8000).status == .invalidViewSize)
        #expect(listener.deleteView(first.view.ViewBase) == .success)
        #expect(!isMapped(first.view.ViewBase))
        #expect(listener.deleteView(first.view.ViewBase) == .invalidParameter)
        #expect(listener.view(section, 0x5000).status == .success)
        #expect(listener.view(section, 0).status == .invalidParameter)
        #expect(listener.view(ALPC_HANDLE(bitPattern: 0x99), 0x1000).status == .invalidHandle)
        #expect(listener.view(section, 0x1000, flags: 1).status == .invalidParameter)
        var view = second.view
        #expect(status(NtAlpcCreateSectionView(listener.handle, 1, &view)) == .invalidParameter)
        // Where it lies is not the caller's choice.
        view.ViewSize = 0x1000
        #expect(status(NtAlpcCreateSectionView(listener.handle, 0, &view)) == .invalidParameter)
        #expect(status(NtAlpcCreateSectionView(listener.handle, 0, nil)) == .accessViolation)
        #expect(status(NtAlpcDeleteSectionView(listener.handle, 1, view.ViewBase)) == .invalidParameter)
        #expect(status(NtAlpcDeleteSectionView(nil, 0, view.ViewBase)) == .invalidHandle)
        // The views outlive the section, and end with the port.
        #expect(listener.deleteSection(section) == .success)
        #expect(second.view.ViewBase!.load(as: UInt8.self) == 7)
        #expect(scene.close(listener) == .success)
        #expect(!isMapped(second.view.ViewBase))
    }

    @Test func `A datagram's view reaches the receiver, who must answer it`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let (section, view) = try client.filledView(0x1000, seed: 5)
        #expect(client.send("look", 0x10000, carrying(view)) == .success)
        #expect(client.deleteSection(section) == .success)
        let got = Attributes()
        let message = try listener.take(got)
        #expect(message.type == 0x2003 && message.text == "look")
        #expect(got.valid == Attributes.view | Attributes.context)
        let received = got.viewRecord
        #expect(received.SectionHandle == nil && received.ViewSize == 0x1000 && received.Flags == 0)
        #expect(contents(received, seed: 5))
        // One memory, two addresses.
        #expect(received.ViewBase != view.ViewBase)
        view.ViewBase!.storeBytes(of: 0xEE, toByteOffset: 100, as: UInt8.self)
        #expect(received.ViewBase!.load(fromByteOffset: 100, as: UInt8.self) == 0xEE)
        #expect(listener.send(Message(answering: message), 0x10000) == .success)
        #expect(listener.send(Message(answering: message), 0x10000) == .invalidMessage)
        #expect(listener.deleteView(received.ViewBase) == .success)
        #expect(client.poll() == .timeout)
    }

    @Test func `A request's view is released by the answer's flag`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let (_, view) = try client.filledView(0x4000, seed: 9)
        let answer = Message(room: 256), sent = carrying(view)
        let call = Background { client.request("take", answer, sent: sent) }
        let got = Attributes()
        let request = try listener.take(got)
        #expect(contents(got.viewRecord, seed: 9))
        let base = got.viewRecord.ViewBase
        var release = ALPC_DATA_VIEW_ATTR()
        release.Flags = 0x10000
        #expect(listener.send(Message(answering: request), 0x10000, carrying(release)) == .success)
        #expect(call.result == .success)
        #expect(!isMapped(base))
        #expect(listener.deleteView(base) == .invalidParameter)
        #expect(isMapped(view.ViewBase))
    }

    @Test func `A reply's view reaches the client, who ends the message`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected()
        let got = Attributes()
        let answer = Message(room: 256)
        let call = Background { client.request("give", answer, got: got) }
        let request = try listener.take()
        let (_, view) = try server.filledView(0x2000, seed: 3)
        #expect(server.send(Message(answering: request, [1, 2, 3]), 0x10000, carrying(view)) == .success)
        #expect(call.result == .success)
        #expect(answer.type == 0x2002 && answer.payload == [1, 2, 3])
        #expect(contents(got.viewRecord, seed: 3))
        #expect(client.send(Message(answering: answer), 0x10000) == .success)
        #expect(client.deleteView(got.viewRecord.ViewBase) == .success)
        #expect(listener.poll() == .timeout)
    }

    @Test func `Nobody can change a secure view after it was sent`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let (_, view) = try client.filledView(0x10000, secure: true, seed: 4)
        #expect(isWritable(view.ViewBase! + 0x8000))
        #expect(client.send("final", 0x10000, carrying(view)) == .success)
        #expect(!isWritable(view.ViewBase! + 0x8000))
        let got = Attributes()
        _ = try listener.take(got)
        #expect(got.viewRecord.Flags == 0x40000)
        #expect(contents(got.viewRecord, seed: 4))
        #expect(!isWritable(got.viewRecord.ViewBase! + 0x8000))
    }

    @Test func `An auto-release view leaves its sender`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let (_, view) = try client.filledView(0x1000, flags: 0x20000, seed: 6)
        #expect(client.send("gone", 0x10000, carrying(view)) == .success)
        #expect(!isMapped(view.ViewBase))
        let got = Attributes()
        _ = try listener.take(got)
        #expect(contents(got.viewRecord, seed: 6))
    }

    @Test func `Without room for it the view stays with the message and goes with it`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let (_, view) = try client.filledView(0x1000)
        #expect(client.send("quiet", 0x10000, carrying(view)) == .success)
        let got = Attributes(Attributes.context)
        let message = try listener.take(got)
        #expect(got.valid == Attributes.context && message.type == 0x2003)
        #expect(listener.send(Message(answering: message), 0x10000) == .success)
    }

    @Test func `A view of 64 MiB is not copied`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let size = 64 << 20
        let (_, view) = try client.filledView(size, seed: 8)
        #expect(client.send("big", 0x10000, carrying(view)) == .success)
        let got = Attributes()
        _ = try listener.take(got)
        #expect(got.viewRecord.ViewSize == SIZE_T(size))
        #expect(contents(got.viewRecord, seed: 8))
    }

    @Test func `Views that are none are refused before anything is sent`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        var (_, view) = try client.filledView(0x1000)
        view.ViewSize = 0x2000
        #expect(client.send("x", 0x10000, carrying(view)) == .invalidParameter)
        view.ViewSize = 0x1000
        view.Flags = 1
        #expect(client.send("x", 0x10000, carrying(view)) == .invalidParameter)
        view.Flags = 0
        view.ViewBase! += 0x1000
        #expect(client.send("x", 0x10000, carrying(view)) == .invalidParameter)
        let attributes = Attributes(Attributes.context)
        attributes.valid = Attributes.view
        #expect(client.send("x", 0x10000, attributes) == .invalidParameter)
        #expect(listener.poll() == .timeout)
    }

    @Test func `A view whose receiver is gone, or has no memory for the message, is not lost`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected()
        let (_, view) = try client.filledView(0x1000, seed: 2)
        #expect(client.send("again", 0x10000, carrying(view)) == .success)
        // A buffer that is not there: the message is queued again, with its view.
        var time = LARGE_INTEGER()
        time.QuadPart = guardTime
        var length: SIZE_T = 4096
        let got = Attributes()
        #expect(status(NtAlpcSendWaitReceivePort(listener.handle, 0, nil, nil, PPORT_MESSAGE(bitPattern: 0x10), &length, got.pointer, &time)) == .accessViolation)
        let message = try listener.take(got)
        #expect(message.text == "again" && contents(got.viewRecord, seed: 2))
        #expect(scene.close(server) == .success)
        #expect(client.send("late", 0x10000, carrying(view)) == .portDisconnected)
        #expect(isMapped(view.ViewBase))
    }

    @Test func `The view of an asynchronous answer comes through the queue`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        #expect(client.send("ask") == .success)
        let request = try listener.take()
        let (_, view) = try listener.filledView(0x1000, seed: 11)
        #expect(listener.send(Message(answering: request), 0x10000, carrying(view)) == .success)
        let got = Attributes()
        let answer = try client.take(got)
        #expect(answer.type == 0x2002)
        #expect(contents(got.viewRecord, seed: 11))
        #expect(client.send(Message(answering: answer), 0x10000) == .success)
    }

    @Test func `A ticket travels with its message`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let sent = Attributes(Attributes.work)
        var work = ALPC_WORK_ON_BEHALF_ATTR()
        work.Ticket = 0x1122_3344_5566_7788
        sent.set(Attributes.work, work)
        #expect(client.send("work", 0x10000, sent) == .success)
        let got = Attributes()
        let message = try listener.take(got)
        #expect(message.type == 3 && got.valid == Attributes.context | Attributes.work)
        #expect(got.record(Attributes.work, as: ALPC_WORK_ON_BEHALF_ATTR.self).Ticket == 0x1122_3344_5566_7788)
    }
}
