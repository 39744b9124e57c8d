// Completion lists: scenarios K-18 to K-26, the layout of abi.md, and what a program does to the memory.

import CLinuxShims
import CNTTypes
import Glibc
import NTObjects
import NTTypes
import Synchronization
import Testing

/// Memory of a list and the calls on it.
final class ListMemory: @unchecked Sendable {
    let base: UnsafeMutableRawPointer
    let size: Int

    init(_ size: Int = 0x4000) {
        self.size = size
        base = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
        memset(base, 0xA5, size)
    }

    deinit { munmap(base, size) }

    func register(_ port: Port, concurrency: UInt32 = 1, attributes: UInt32 = Attributes.context, size: Int? = nil) -> NTStatus {
        status(AlpcRegisterCompletionList(port.handle, OpaquePointer(base), ULONG(size ?? self.size), concurrency, attributes))
    }

    func word(_ offset: Int) -> UInt32 { base.load(fromByteOffset: offset, as: UInt32.self) }
    func long(_ offset: Int) -> UInt64 { base.load(fromByteOffset: offset, as: UInt64.self) }

    /// The next message, which stays in the list.
    func take() -> UnsafeMutableRawPointer? { AlpcGetMessageFromCompletionList(base, nil).map { UnsafeMutableRawPointer($0) } }
    func free(_ message: UnsafeMutableRawPointer?) { AlpcFreeCompletionListMessage(base, message?.assumingMemoryBound(to: PORT_MESSAGE.self)) }
    var outstanding: UInt32 { AlpcGetOutstandingCompletionListMessageCount(base) }
    func contains(_ message: UnsafeMutableRawPointer) -> Bool { message >= base && message < base + size }

    /// The next message, which must come, copied and freed.
    func next(sourceLocation: SourceLocation = #_sourceLocation) -> Message {
        var found: UnsafeMutableRawPointer?
        eventually {
            found = take()
            return found != nil
        }
        let message = ListMemory.copy(found!)
        free(found)
        return message
    }

    static func copy(_ found: UnsafeMutableRawPointer) -> Message {
        let count = Int(found.load(fromByteOffset: 2, as: UInt16.self))
        let message = Message(room: max(count, 40))
        message.base.copyMemory(from: found, byteCount: count)
        return message
    }
}

@Suite(.guarded) struct CompletionListTests {
    @Test func `K-18 A list has its magic numbers and parts that lie inside`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let list = ListMemory(0x10000)
        #expect(list.register(listener) == .success)
        #expect(list.long(0) == 0xDEAD_BEEF_BAAD_F00D && list.long(0x148) != 0xA5A5_A5A5_A5A5_A5A5)
        #expect(list.word(0x08) <= 0x10000)
        let (listOffset, listSize, mapOffset, mapSize, dataOffset, dataSize) = (list.word(0x0C), list.word(0x10), list.word(0x14), list.word(0x18), list.word(0x1C), list.word(0x20))
        #expect(listOffset == 0x180 && listOffset + listSize == mapOffset && mapOffset + mapSize == dataOffset)
        #expect(dataOffset % 64 == 0 && dataSize % 64 == 0 && dataOffset + dataSize == list.word(0x08) && dataSize > 0xD000)
        #expect(list.word(0x24) == Attributes.context && list.word(0x28) == 40)
        #expect(list.long(0x40) & 0xFFFF_FFFF_FFFF == 0xFFFF_FFFF_FFFF && list.word(0x80) == 0 && list.word(0xC0) == 0)
        #expect(list.outstanding == 0)
    }

    @Test func `K-19 A second list is refused`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let list = ListMemory(), other = ListMemory()
        #expect(list.register(listener) == .success)
        #expect(other.register(listener) == .portAlreadyHasCompletionList)
        #expect(other.long(0) == 0xA5A5_A5A5_A5A5_A5A5)
    }

    @Test func `K-20 K-26 A message comes into the list, is taken and freed`() throws {
        let scene = Scene()
        defer { scene.end() }
        let list = ListMemory()
        let (listener, _, client) = try scene.connected(context: 0x77)
        #expect(list.register(listener) == .success)
        #expect(client.send(Message(pattern(100))) == .success)
        var found: UnsafeMutableRawPointer?
        var attributes: PALPC_MESSAGE_ATTRIBUTES?
        eventually {
            found = AlpcGetMessageFromCompletionList(list.base, &attributes).map { UnsafeMutableRawPointer($0) }
            return found != nil
        }
        let message = try #require(found)
        #expect(list.contains(message) && (message - list.base) % 64 == Int(list.word(0x1C)) % 64)
        let copy = ListMemory.copy(message)
        #expect(copy.payload == pattern(100) && copy.type == 0x2001 && copy.totalLength == 140)
        #expect(UnsafeMutableRawPointer(attributes!) == message + 144)
        #expect(AlpcGetCompletionListMessageAttributes(list.base, message.assumingMemoryBound(to: PORT_MESSAGE.self)) == attributes)
        #expect(attributes!.pointee.ValidAttributes == Attributes.context && attributes!.pointee.AllocatedAttributes == Attributes.context)
        let context = AlpcGetMessageAttribute(attributes, Attributes.context)!.load(as: ALPC_CONTEXT_ATTR.self)
        #expect(UInt(bitPattern: context.PortContext) == 0x77 && context.MessageId == copy.id && UInt64(context.CallbackId) == copy.callbackID)
        var id: ULONG = 0, callback: ULONG = 0
        AlpcGetCompletionListLastMessageInformation(list.base, &id, &callback)
        #expect(id == copy.id && UInt64(callback) == copy.callbackID)
        #expect(list.outstanding == 1)
        // It can be answered like any received message.
        #expect(listener.send(Message(answering: copy, pattern(5)), 0x10000) == .success)
        #expect(try client.take().payload == pattern(5))
        list.free(message)
        #expect(list.outstanding == 0)
        list.free(message)
        list.free(message + 64)
        #expect(list.outstanding == 0 && list.take() == nil)
    }

    @Test func `K-21 An empty list gives nothing, and a receive beside it times out`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let list = ListMemory()
        #expect(list.register(listener) == .success)
        var attributes: PALPC_MESSAGE_ATTRIBUTES? = PALPC_MESSAGE_ATTRIBUTES(bitPattern: 0x5A50)
        #expect(AlpcGetMessageFromCompletionList(list.base, &attributes) == nil && attributes == PALPC_MESSAGE_ATTRIBUTES(bitPattern: 0x5A50))
        #expect(listener.poll() == .timeout)
        #expect(listener.receive(Message(room: 64), timeout: after(milliseconds: 20)) == .timeout)
    }

    @Test func `A receive on the port says that the list holds something`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected()
        let list = ListMemory()
        #expect(list.register(listener) == .success)
        let calls = [listener, server].map { port in Background { port.receive(Message(room: 256)) } }
        settle()
        #expect(client.datagram("1") == .success)
        for call in calls { #expect(call.result == .alpcCheckCompletionList) }
        #expect(listener.poll() == .alpcCheckCompletionList)
        #expect(list.next().text == "1")
        #expect(listener.poll() == .timeout)
    }

    @Test func `What was queued goes into the list at once, in order, from all clients`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let clients = try (0 ..< 3).map { _ in try scene.client(listener).client }
        for number in 0 ..< 9 { #expect(clients[number % 3].datagram(Message([UInt8(number)])) == .success) }
        let list = ListMemory()
        #expect(list.register(listener) == .success)
        var last = [-1, -1, -1]
        for _ in 0 ..< 9 {
            let number = Int(list.next().payload[0])
            #expect(number > last[number % 3])
            last[number % 3] = number
        }
        #expect(list.take() == nil && list.outstanding == 0)
    }

    @Test func `Connection requests come into the list and are accepted from there`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let list = ListMemory()
        #expect(list.register(listener, attributes: 0) == .success)
        let client = try scene.pending()
        let request = list.next()
        #expect(request.kind == 10)
        let made = accept(listener, Message(answering: request), context: 9)
        #expect(made.status == .success)
        scene.keep(made.port)
        #expect(try client.take().kind == 11)
        #expect(scene.close(client) == .success)
        #expect(list.next().kind == 5)
    }

    @Test func `A list without attributes has none behind its messages`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let list = ListMemory()
        #expect(list.register(listener, attributes: 0) == .success)
        #expect(client.datagram("x") == .success)
        var found: UnsafeMutableRawPointer?
        eventually {
            found = list.take()
            return found != nil
        }
        #expect(AlpcGetCompletionListMessageAttributes(list.base, found!.assumingMemoryBound(to: PORT_MESSAGE.self)) == nil)
        list.free(found)
    }

    @Test func `K-22 Workers are counted`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let list = ListMemory()
        #expect(list.register(listener) == .success)
        #expect(AlpcUnregisterCompletionListWorkerThread(list.base) == 0)
        #expect(AlpcRegisterCompletionListWorkerThread(list.base) == 1 && AlpcRegisterCompletionListWorkerThread(list.base) == 1)
        #expect(list.long(0x40) >> 48 == 2)
        #expect(client.datagram("x") == .success)
        eventually { list.outstanding == 1 }
        // One may go while the other is there; the last must stay for the message that waits.
        #expect(AlpcUnregisterCompletionListWorkerThread(list.base) == 1)
        #expect(AlpcUnregisterCompletionListWorkerThread(list.base) == 0)
        _ = list.next()
        #expect(AlpcUnregisterCompletionListWorkerThread(list.base) == 1)
        #expect(AlpcUnregisterCompletionListWorkerThread(list.base) == 0)
        for _ in 0 ..< 0xFFFF { #expect(AlpcRegisterCompletionListWorkerThread(list.base) == 1) }
        #expect(AlpcRegisterCompletionListWorkerThread(list.base) == 0)
    }

    @Test func `K-23 Only connection ports have lists`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (_, server, client) = try scene.connected()
        let list = ListMemory()
        for port in [server, client] { #expect(list.register(port) == .lpcInvalidConnectionUsage) }
        #expect(list.register(scene.event()) == .objectTypeMismatch)
        #expect(list.register(Port(handle: scene.closedHandle())) == .invalidHandle)
    }

    @Test func `K-24 The concurrency decides whether packets come`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let packets = CountingAnnouncer()
        #expect(try listener.announce(to: packets) == .success)
        #expect(status(AlpcAdjustCompletionListConcurrencyCount(listener.handle, 4)) == .invalidParameter)
        let list = ListMemory()
        #expect(list.register(listener) == .success)
        #expect(client.datagram("1") == .success)
        eventually { packets.count == 1 }
        #expect(AlpcRegisterCompletionListWorkerThread(list.base) == 1)
        #expect(client.datagram("2") == .success)
        eventually { list.outstanding == 2 }
        settle()
        #expect(packets.count == 1)
        #expect(status(AlpcAdjustCompletionListConcurrencyCount(listener.handle, 4)) == .success)
        #expect(client.datagram("3") == .success)
        eventually { packets.count == 2 }
        for text in ["1", "2", "3"] { #expect(list.next().text == text) }
    }

    @Test func `K-25 Outstanding messages keep the list, rundown stops new ones`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        for call in [AlpcUnregisterCompletionList, AlpcRundownCompletionList] { #expect(status(call(listener.handle)) == .invalidParameter) }
        let list = ListMemory()
        #expect(list.register(listener) == .success)
        #expect(client.datagram("1") == .success)
        eventually { list.outstanding == 1 }
        #expect(status(AlpcUnregisterCompletionList(listener.handle)) == .resourceInUse)
        #expect(client.datagram("2") == .success)
        eventually { list.outstanding == 2 }
        #expect(status(AlpcRundownCompletionList(listener.handle)) == .success)
        #expect(client.datagram("3") == .success)
        settle()
        #expect(list.outstanding == 2)
        #expect(listener.poll() == .alpcCheckCompletionList)
        #expect(status(AlpcUnregisterCompletionList(listener.handle)) == .resourceInUse)
        #expect(list.next().text == "1" && list.next().text == "2")
        // The list is empty: what came after the rundown is received.
        #expect(try listener.take().text == "3")
        #expect(status(AlpcUnregisterCompletionList(listener.handle)) == .success)
        #expect(status(AlpcUnregisterCompletionList(listener.handle)) == .invalidParameter)
        #expect(client.datagram("4") == .success)
        #expect(try listener.take().text == "4")
        #expect(list.register(listener) == .success)
        #expect(client.datagram("5") == .success)
        #expect(list.next().text == "5")
    }

    @Test func `Bad requests are refused and nothing is written`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let list = ListMemory()
        #expect(list.register(listener, size: 0) == .invalidParameter && list.register(listener, size: 0x1C0) == .invalidParameter)
        #expect(status(AlpcRegisterCompletionList(listener.handle, nil, 0x4000, 1, 0)) == .invalidParameter)
        #expect(status(AlpcRegisterCompletionList(listener.handle, OpaquePointer(list.base + 4), 0x1000, 1, 0)) == .invalidParameter)
        #expect(list.long(0) == 0xA5A5_A5A5_A5A5_A5A5)
        let bad = BadMemory()
        #expect(status(AlpcRegisterCompletionList(listener.handle, OpaquePointer(bad.none), 0x4000, 1, 0)) == .accessViolation)
        #expect(status(AlpcRegisterCompletionList(listener.handle, OpaquePointer(bad.base), 0x4000, 1, 0)) == .accessViolation)
        bad.makeReadOnly()
        #expect(status(AlpcRegisterCompletionList(listener.handle, OpaquePointer(bad.base), 0x2000, 1, 0)) == .accessViolation)
        var information = ALPC_PORT_COMPLETION_LIST_INFORMATION()
        #expect(status(NtAlpcSetInformation(listener.handle, AlpcRegisterCompletionListInformation, &information, 23)) == .infoLengthMismatch)
        #expect(status(NtAlpcSetInformation(listener.handle, AlpcRegisterCompletionListInformation, bad.none, 24)) == .accessViolation)
        var count: ULONG = 1
        #expect(status(NtAlpcSetInformation(listener.handle, AlpcAdjustCompletionListConcurrencyCountInformation, &count, 3)) == .infoLengthMismatch)
        #expect(listener.poll() == .timeout)
        #expect(list.register(listener, size: 0x23F) == .invalidParameter && list.register(listener, concurrency: 0, size: 0x240) == .success)
    }

    @Test func `The helpers return quietly for memory that is no list`() throws {
        let bad = BadMemory()
        let empty = ListMemory()
        for pointer in bad.all + [empty.base, empty.base + 1] + [UnsafeMutableRawPointer(bitPattern: 1)!] {
            #expect(AlpcGetMessageFromCompletionList(pointer, nil) == nil)
            AlpcFreeCompletionListMessage(pointer, pointer.assumingMemoryBound(to: PORT_MESSAGE.self))
            #expect(AlpcGetCompletionListMessageAttributes(pointer, nil) == nil)
            #expect(AlpcGetOutstandingCompletionListMessageCount(pointer) == 0)
            #expect(AlpcRegisterCompletionListWorkerThread(pointer) == 0 && AlpcUnregisterCompletionListWorkerThread(pointer) == 0)
            AlpcGetCompletionListLastMessageInformation(pointer, nil, nil)
        }
        #expect(AlpcGetMessageFromCompletionList(nil, nil) == nil)
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        #expect(empty.register(listener) == .success)
        #expect(client.datagram("x") == .success)
        eventually { empty.outstanding == 1 }
        // A bad place for the attributes' address loses no message.
        let found = AlpcGetMessageFromCompletionList(empty.base, bad.none.assumingMemoryBound(to: PALPC_MESSAGE_ATTRIBUTES?.self))
        #expect(found != nil)
        AlpcGetCompletionListLastMessageInformation(empty.base, bad.none.assumingMemoryBound(to: ULONG.self), nil)
        AlpcFreeCompletionListMessage(empty.base, found)
        #expect(empty.outstanding == 0)
    }

    @Test func `What was sent is in the list when a poll says so, and the poll says so at once`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let list = ListMemory()
        #expect(list.register(listener) == .success)
        for number in 0 ..< 500 {
            #expect(client.datagram(Message([UInt8(truncatingIfNeeded: number)])) == .success)
            #expect(listener.poll() == .alpcCheckCompletionList)
            let found = list.take()
            #expect(found?.load(fromByteOffset: 40, as: UInt8.self) == UInt8(truncatingIfNeeded: number))
            list.free(found)
        }
    }

    @Test func `A full list keeps messages waiting and takes them in as room comes`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let list = ListMemory(0x2000)
        #expect(list.register(listener) == .success)
        let total = 500
        for number in 0 ..< total {
            #expect(client.datagram(Message(withUnsafeBytes(of: UInt32(number)) { Array($0) } + pattern(number % 700))) == .success)
        }
        eventually { list.outstanding > 0 }
        settle()
        #expect(list.outstanding < 100)
        var held: [UnsafeMutableRawPointer] = []
        for number in 0 ..< total {
            var found: UnsafeMutableRawPointer?
            eventually {
                found = list.take()
                // Everything is taken and nothing freed: room comes only from here.
                if found == nil, !held.isEmpty { list.free(held.removeFirst()) }
                return found != nil
            }
            #expect(found!.load(fromByteOffset: 40, as: UInt32.self) == UInt32(number))
            #expect(ListMemory.copy(found!).payload.dropFirst(4).elementsEqual(pattern(number % 700)))
            held.append(found!)
        }
        for message in held.shuffled() { list.free(message) }
        #expect(list.outstanding == 0 && list.take() == nil)
        // Every block is free again.
        let mapOffset = Int(list.word(0x14)), mapSize = Int(list.word(0x18))
        for offset in stride(from: mapOffset, to: mapOffset + mapSize, by: 8) { #expect(list.long(offset) == 0) }
    }

    @Test func `A message that the list can never hold is received, and those behind it go on`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let packets = CountingAnnouncer()
        #expect(try listener.announce(to: packets) == .success)
        let list = ListMemory(0x800)
        #expect(list.register(listener) == .success)
        #expect(client.datagram("before") == .success)
        #expect(client.datagram(Message(pattern(0x1000))) == .success)
        #expect(client.datagram("behind") == .success)
        #expect(list.next().text == "before")
        eventually { packets.count == 2 }
        #expect(try listener.take(room: 0x1100).payload == pattern(0x1000))
        #expect(list.next().text == "behind")
        // The same with a receiver that waits.
        let call = Background { () -> Int in
            let buffer = Message(room: 0x1100)
            return listener.receive(buffer) == .success ? buffer.payload.count : -1
        }
        settle()
        #expect(client.datagram(Message(pattern(0xFFF))) == .success)
        #expect(call.result == 0xFFF)
    }

    @Test func `A waitable port shows whether its list holds something`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create(usual(flags: 0x60000))
        let client = try scene.pending()
        #expect(listener.wait() == .success)
        _ = try scene.admit(listener)
        #expect(try client.take().kind == 11)
        let list = ListMemory()
        #expect(list.register(listener) == .success)
        #expect(listener.wait(0) == .timeout)
        for _ in 0 ..< 3 {
            #expect(client.datagram("1") == .success && client.datagram("2") == .success)
            #expect(listener.wait() == .success)
            #expect(listener.poll() == .alpcCheckCompletionList)
            #expect(list.next().text == "1")
            #expect(list.next().text == "2")
            eventually { listener.wait(0) == .timeout }
            #expect(listener.poll() == .unsuccessful)
        }
    }

    @Test func `Views come with listed messages`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let view: UInt32 = 0x4000_0000, context = Attributes.context
        let list = ListMemory()
        #expect(list.register(listener, attributes: view | context) == .success)
        var section: ALPC_HANDLE?
        var actual: SIZE_T = 0
        #expect(status(NtAlpcCreatePortSection(client.handle, 0, nil, 0x10000, &section, &actual)) == .success)
        var data = ALPC_DATA_VIEW_ATTR()
        data.SectionHandle = section
        data.ViewSize = 0x1000
        #expect(status(NtAlpcCreateSectionView(client.handle, 0, &data)) == .success)
        data.ViewBase!.storeBytes(of: 0x1234_5678, as: UInt32.self)
        let attributes = Attributes(view)
        attributes.valid = view
        AlpcGetMessageAttribute(attributes.pointer, view)!.storeBytes(of: data, as: ALPC_DATA_VIEW_ATTR.self)
        #expect(client.send("look", 0, attributes) == .success)
        var found: PPORT_MESSAGE?
        var received: PALPC_MESSAGE_ATTRIBUTES?
        eventually {
            found = AlpcGetMessageFromCompletionList(list.base, &received)
            return found != nil
        }
        #expect(received!.pointee.ValidAttributes == view | context)
        let got = AlpcGetMessageAttribute(received, view)!.load(as: ALPC_DATA_VIEW_ATTR.self)
        #expect(got.ViewSize == 0x1000 && got.ViewBase!.load(as: UInt32.self) == 0x1234_5678)
        let copy = ListMemory.copy(UnsafeMutableRawPointer(found!))
        #expect(listener.send(Message(answering: copy), 0x10000) == .success)
        list.free(UnsafeMutableRawPointer(found!))
    }

    @Test func `Memory that goes away ends the list and loses no message`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let list = ListMemory(0x10000)
        #expect(list.register(listener) == .success)
        #expect(client.datagram("1") == .success)
        #expect(list.next().text == "1")
        mprotect(list.base, list.size, PROT_NONE)
        #expect(client.datagram("2") == .success)
        #expect(try listener.take().text == "2")
        #expect(listener.poll() == .timeout)
        mprotect(list.base, list.size, PROT_READ | PROT_WRITE)
        let other = ListMemory()
        #expect(other.register(listener) == .success)
        #expect(client.datagram("3") == .success)
        #expect(other.next().text == "3")
    }

    @Test func `Scribbling over the list harms nobody`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let list = ListMemory(0x8000)
        var generator = SystemRandomNumberGenerator()
        for _ in 0 ..< 60 {
            if list.register(listener) != .success { break }
            for _ in 0 ..< 20 {
                let offset = Int.random(in: 0 ..< (Bool.random() ? 0x800 : list.size / 8), using: &generator) & ~7
                list.base.storeBytes(of: UInt64.random(in: .min ... .max, using: &generator), toByteOffset: offset, as: UInt64.self)
                #expect(client.datagram(Message(pattern(50))) == .success)
                let found = list.take()
                if let found { #expect(list.contains(found)) }
                list.free(found)
                _ = listener.poll()
            }
            // The counts may say anything, and a message may come in between.
            eventually {
                memset(list.base + 0x80, 0, 4)
                memset(list.base + 0xC0, 0, 4)
                return status(AlpcUnregisterCompletionList(listener.handle)) == .success
            }
            while listener.poll() == .success {}
        }
        #expect(client.datagram("still here") == .success)
        #expect(try listener.take().text == "still here")
    }

    @Test func `Closing the port ends the list`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let list = ListMemory()
        #expect(list.register(listener) == .success)
        #expect(client.datagram("1") == .success)
        eventually { list.outstanding == 1 }
        let call = Background { () -> NTStatus in
            while listener.poll() == .alpcCheckCompletionList {
                usleep(1000)
                if list.outstanding == 0 { break }
                list.free(list.take())
            }
            return listener.receive(Message(room: 64))
        }
        settle()
        #expect(scene.close(listener) == .success)
        #expect(call.result == .portClosed)
    }

    @Test func `Several threads take and free while several clients send`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let clients = try (0 ..< 3).map { _ in try scene.client(listener).client }
        let list = ListMemory(0x3000)
        #expect(list.register(listener) == .success)
        let each = underThreadSanitizer || underAddressSanitizer ? 1000 : 4000
        let sum = Atomic<Int>(0), received = Atomic<Int>(0)
        let takers = (0 ..< 3).map { _ in
            Background {
                while received.load(ordering: .relaxed) < 3 * each {
                    guard let found = list.take() else {
                        // As a worker without packets would: the receive blocks until something is listed.
                        _ = listener.receive(Message(room: 64), timeout: after(milliseconds: 2))
                        continue
                    }
                    let copy = ListMemory.copy(found)
                    list.free(found)
                    let number = copy.payload.withUnsafeBytes { Int($0.load(as: UInt32.self)) }
                    #expect(copy.payload.dropFirst(4).elementsEqual(pattern(number % 300)))
                    sum.wrappingAdd(number, ordering: .relaxed)
                    received.wrappingAdd(1, ordering: .relaxed)
                }
            }
        }
        onThreads(3) { index in
            for number in 0 ..< each {
                let message = Message(withUnsafeBytes(of: UInt32(number)) { Array($0) } + pattern(number % 300))
                #expect(clients[index].datagram(message) == .success)
            }
        }
        for taker in takers { taker.result }
        #expect(sum.load(ordering: .relaxed) == 3 * (each * (each - 1) / 2))
        #expect(list.outstanding == 0 && list.take() == nil)
    }

    @Test func `Lists come and go while messages come`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let list = ListMemory()
        let total = 3000
        let sender = Background {
            for number in 0 ..< total {
                #expect(client.datagram(Message(withUnsafeBytes(of: UInt32(number)) { Array($0) })) == .success)
                if number % 20 == 0 { usleep(200) }
            }
        }
        var next: UInt32 = 0
        while next < UInt32(total) {
            #expect(list.register(listener) == .success)
            for _ in 0 ..< 30 {
                if let found = list.take() {
                    #expect(found.load(fromByteOffset: 40, as: UInt32.self) == next)
                    next += 1
                    list.free(found)
                }
            }
            while status(AlpcUnregisterCompletionList(listener.handle)) == .resourceInUse {
                if let found = list.take() {
                    #expect(found.load(fromByteOffset: 40, as: UInt32.self) == next)
                    next += 1
                    list.free(found)
                }
            }
            let buffer = Message(room: 256)
            for _ in 0 ..< 10 where listener.poll(buffer) == .success {
                #expect(buffer.base.load(fromByteOffset: 40, as: UInt32.self) == next)
                next += 1
                buffer.length = 256
            }
        }
        sender.result
    }
}
