// NtReadRequestData and NtWriteRequestData: C-26 to C-31 of the scenarios, between threads and between processes.

import CNTTypes
import Glibc
import NTTypes
import Synchronization
import Testing

/// The payload of a request that names memory for the server: a PORT_DATA_INFORMATION behind `lead` bytes.
func dataBlock(_ entries: [(base: UnsafeMutableRawPointer?, size: UInt32)], lead: Int = 8, count: UInt32? = nil) -> [UInt8] {
    var bytes = pattern(lead)
    func append<T>(_ value: T) { withUnsafeBytes(of: value) { bytes += $0 } }
    append(count ?? UInt32(entries.count))
    append(UInt32(0))
    for entry in entries {
        append(UInt64(UInt(bitPattern: entry.base)))
        append(entry.size)
        append(UInt32(0))
    }
    return bytes
}

/// A request with such a block.
func dataRequest(_ entries: [(base: UnsafeMutableRawPointer?, size: UInt32)], lead: Int = 8, count: UInt32? = nil) -> Message {
    let message = Message(dataBlock(entries, lead: lead, count: count), room: 512)
    message.dataInfoOffset = UInt16(Message.header + lead)
    return message
}

extension Port {
    func readData(_ message: Message, _ index: UInt32, _ buffer: UnsafeMutableRawPointer?, _ size: SIZE_T, _ count: PSIZE_T? = nil) -> NTStatus {
        status(NtReadRequestData(handle, message.pointer, index, buffer, size, count))
    }

    func writeData(_ message: Message, _ index: UInt32, _ buffer: UnsafeMutableRawPointer?, _ size: SIZE_T, _ count: PSIZE_T? = nil) -> NTStatus {
        status(NtWriteRequestData(handle, message.pointer, index, buffer, size, count))
    }
}

/// Memory that lives as long as its test.
final class Block: @unchecked Sendable {
    let base: UnsafeMutableRawPointer
    let count: Int
    init(_ bytes: [UInt8]) {
        count = bytes.count
        base = .allocate(byteCount: max(1, count), alignment: 16)
        bytes.withUnsafeBytes { if $0.count > 0 { base.copyMemory(from: $0.baseAddress!, byteCount: $0.count) } }
    }
    convenience init(count: Int) { self.init([UInt8](repeating: Message.marker, count: count)) }
    deinit { base.deallocate() }
    var bytes: [UInt8] { withExtendedLifetime(self) { Array(UnsafeRawBufferPointer(start: base, count: count)) } }
}

@Suite(.guarded) struct RequestDataTests {
    @Test(arguments: [0, 1, 32, 4096, 32768, 32769, 200_000]) func `C-26 C-29 The server reads and writes what its client named`(size: Int) throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.lpcConnected()
        let given = Block(pattern(min(size, 60_000)) + [UInt8](repeating: 3, count: max(0, size - 60_000)) + [0xEE]), taken = Block(count: size + 1)
        let call = Background { () -> NTStatus in
            client.lpcRequest(dataRequest([(given.base, UInt32(size)), (taken.base, UInt32(size))]), Message(room: 512))
        }
        let request = try listener.lpcTake()
        #expect(request.dataInfoOffset == 48)
        let buffer = Block(count: size + 1)
        var count: SIZE_T = 99
        #expect(server.readData(request, 0, buffer.base, SIZE_T(size), &count) == .success)
        #expect(count == SIZE_T(size))
        #expect(buffer.bytes.dropLast() == given.bytes.dropLast() && buffer.bytes.last == Message.marker)
        count = 99
        #expect(listener.writeData(request, 1, buffer.base, SIZE_T(size / 2), &count) == .success)
        #expect(count == SIZE_T(size / 2))
        #expect(server.readData(request, 0, buffer.base, SIZE_T(size)) == .success, "the count is optional")
        #expect(server.writeData(request, 1, buffer.base, SIZE_T(size / 2)) == .success)
        #expect(listener.lpcReply(request) == .success)
        #expect(call.result == .success)
        #expect(Array(taken.bytes.prefix(size / 2)) == Array(given.bytes.prefix(size / 2)))
        #expect(taken.bytes.dropFirst(size / 2).allSatisfy { $0 == Message.marker })
    }

    @Test func `C-27 C-28 C-30 Indexes, sizes and offsets outside the block are invalid`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.lpcConnected()
        let memory = Block(count: 32)
        let call = Background { client.lpcRequest(dataRequest([(memory.base, 32)]), Message(room: 512)) }
        let request = try listener.lpcTake()
        let buffer = Block(count: 70_000)
        var count: SIZE_T = 99
        for index in [1, 2, 0x8000_0000, .max] as [UInt32] {
            #expect(server.readData(request, index, buffer.base, 32, &count) == .invalidParameter)
            #expect(server.writeData(request, index, buffer.base, 32, &count) == .invalidParameter)
        }
        for size in [33, 65_536] as [SIZE_T] {
            #expect(server.readData(request, 0, buffer.base, size, &count) == .invalidParameter)
            #expect(server.writeData(request, 0, buffer.base, size, &count) == .invalidParameter)
        }
        #expect(server.readData(request, 0, buffer.base, 1 << 32, &count) == .invalidParameter)
        let bare = Message(answering: request)
        #expect(server.readData(bare, 0, buffer.base, 32, &count) == .invalidParameter)
        #expect(server.writeData(bare, 0, buffer.base, 32, &count) == .invalidParameter)
        #expect(count == 99 && buffer.bytes.allSatisfy { $0 == Message.marker } && memory.bytes.allSatisfy { $0 == Message.marker })
        #expect(server.readData(request, 0, buffer.base, 32, &count) == .success)
        #expect(listener.lpcReply(request) == .success)
        #expect(call.result == .success)
    }

    @Test func `Blocks that do not fit into the message are invalid`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.lpcConnected()
        let memory = Block(count: 32)
        func outcome(_ message: Message) -> NTStatus { client.lpcRequest(message, Message(room: 512)) }
        #expect(outcome(dataRequest([(memory.base, 32)], count: 2)) == .invalidParameter)
        #expect(outcome(dataRequest([(memory.base, 32)], count: .max)) == .invalidParameter)
        for offset in [1, 39, 60, 65, 72, 0xFFFF] as [UInt16] {
            let message = dataRequest([(memory.base, 32)])
            message.dataInfoOffset = offset
            #expect(outcome(message) == .invalidParameter, "offset \(offset)")
        }
        let empty = Message([])
        empty.dataInfoOffset = 40
        #expect(outcome(empty) == .invalidParameter)
        #expect(listener.lpcReceive(Message(room: 512), timeout: 0) == .timeout)
        // No entries are entries.
        let call = Background { client.lpcRequest(dataRequest([]), Message(room: 512)) }
        let request = try listener.lpcTake()
        #expect(listener.readData(request, 0, memory.base, 0) == .invalidParameter)
        #expect(listener.lpcReply(request) == .success)
        #expect(call.result == .success)
    }

    @Test func `C-31 Only the memory of a caller that still waits is reached`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.lpcConnected()
        let (otherServer, _) = try scene.lpcClient(listener)
        let memory = Block(count: 32), buffer = Block(count: 32)
        let call = Background { client.lpcRequest(dataRequest([(memory.base, 32)]), Message(room: 512)) }
        let request = try listener.lpcTake()
        #expect(otherServer.readData(request, 0, buffer.base, 32) == .replyMessageMismatch)
        #expect(client.readData(request, 0, buffer.base, 32) == .replyMessageMismatch)
        let unknown = Message(answering: request)
        unknown.dataInfoOffset = 48
        unknown.id = 0x3FFF_FFF0
        #expect(server.readData(unknown, 0, buffer.base, 32) == .replyMessageMismatch)
        #expect(listener.lpcReply(request) == .success)
        #expect(call.result == .success)
        #expect(server.readData(request, 0, buffer.base, 32) == .replyMessageMismatch)
        #expect(server.writeData(request, 0, buffer.base, 32) == .replyMessageMismatch)
    }

    @Test func `Requests without a block, and entries that the server makes up, are refused by the client`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.lpcConnected()
        let secret = Block(pattern(32)), buffer = Block(count: 32)
        let call = Background { client.lpcRequest(Message(dataBlock([(secret.base, 32)])), Message(room: 512)) }
        let request = try listener.lpcTake()
        request.dataInfoOffset = 48
        #expect(server.readData(request, 0, buffer.base, 32) == .replyMessageMismatch)
        #expect(buffer.bytes.allSatisfy { $0 == Message.marker })
        #expect(listener.lpcReply(request) == .success)
        #expect(call.result == .success)
    }

    @Test func `Memory that ends is copied as far as it goes`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.lpcConnected()
        let memory = BadMemory(), last = UInt(bitPattern: memory.last(100))
        memory.last(100).initializeMemory(as: UInt8.self, repeating: 0x11, count: 100)
        let call = Background {
            client.lpcRequest(dataRequest([(UnsafeMutableRawPointer(bitPattern: last), 200), (nil, 32), (UnsafeMutableRawPointer(bitPattern: UInt.max - 7), 32)]),
                              Message(room: 512))
        }
        let request = try listener.lpcTake()
        let buffer = Block(count: 200)
        var count: SIZE_T = 0
        #expect(server.readData(request, 0, buffer.base, 100, &count) == .success)
        #expect(count == 100)
        #expect(server.readData(request, 0, buffer.base, 200, &count) == .partialCopy)
        #expect(count <= 100)
        #expect(server.writeData(request, 0, buffer.base, 200, &count) == .partialCopy)
        #expect(count <= 100)
        for index in [1, 2] as [UInt32] {
            #expect([.partialCopy, .invalidParameter].contains(server.readData(request, index, buffer.base, 32, &count)))
            #expect([.partialCopy, .invalidParameter].contains(server.writeData(request, index, buffer.base, 32, &count)))
        }
        #expect(listener.lpcReply(request) == .success)
        #expect(call.result == .success)
        withExtendedLifetime(memory) {}
    }

    @Test func `The server's own memory is probed first, and handles are told apart`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.lpcConnected()
        let given = Block(count: 32), memory = BadMemory(), event = scene.event()
        let call = Background { client.lpcRequest(dataRequest([(given.base, 32)]), Message(room: 512)) }
        let request = try listener.lpcTake()
        let buffer = Block(count: 32)
        for pointer in memory.all + [memory.last(16)] {
            #expect(server.readData(request, 0, pointer, 32) == .accessViolation)
            #expect(server.writeData(request, 0, pointer, 32) == .accessViolation)
        }
        for pointer in memory.all {
            #expect(server.readData(request, 0, buffer.base, 32, pointer.assumingMemoryBound(to: SIZE_T.self)) == .accessViolation)
            #expect(server.writeData(request, 0, buffer.base, 32, pointer.assumingMemoryBound(to: SIZE_T.self)) == .accessViolation)
            #expect(status(NtReadRequestData(server.handle, pointer.assumingMemoryBound(to: PORT_MESSAGE.self), 0, buffer.base, 32, nil)) == .accessViolation)
            #expect(status(NtWriteRequestData(server.handle, pointer.assumingMemoryBound(to: PORT_MESSAGE.self), 0, buffer.base, 32, nil)) == .accessViolation)
        }
        #expect(server.readData(request, 0, nil, 32) == .accessViolation)
        #expect(server.writeData(request, 0, nil, 32) == .accessViolation)
        for (port, expected) in [(Port(handle: scene.closedHandle()), NTStatus.invalidHandle), (event, .objectTypeMismatch)] {
            #expect(port.readData(request, 0, buffer.base, 32) == expected)
            #expect(port.writeData(request, 0, buffer.base, 32) == expected)
        }
        #expect(given.bytes.allSatisfy { $0 == Message.marker })
        #expect(listener.lpcReply(request) == .success)
        #expect(call.result == .success)
    }

    @Test func `Entries hold again when the answer to a callback waits for the request`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.lpcConnected()
        let memory = Block(pattern(32)), buffer = Block(count: 32)
        let isAsked = Atomic<Bool>(false), mayAnswer = Atomic<Bool>(false)
        let call = Background { () -> NTStatus in
            let message = dataRequest([(memory.base, 32)])
            guard client.lpcRequest(message, message) == .success, message.type == 1 else { return .unsuccessful }
            isAsked.store(true, ordering: .releasing)
            eventually { mayAnswer.load(ordering: .acquiring) }
            return client.lpcReplyAndWait(CallbackTests.answer(message, "answer"))
        }
        let request = try listener.lpcTake()
        #expect(server.readData(request, 0, buffer.base, 32) == .success)
        let inner = Message(room: 512)
        let asking = Background { server.lpcRequest(CallbackTests.answer(request, "question", type: 1), inner) }
        eventually { isAsked.load(ordering: .acquiring) }
        // Its thread is somewhere else.
        #expect(server.readData(request, 0, buffer.base, 32) == .replyMessageMismatch)
        mayAnswer.store(true, ordering: .releasing)
        #expect(asking.result == .success)
        let again = Message(answering: inner)
        again.dataInfoOffset = 48
        #expect(server.readData(again, 0, buffer.base, 32) == .success)
        #expect(buffer.bytes == memory.bytes)
        #expect(server.lpcReply(Message(answering: inner)) == .success)
        #expect(call.result == .success)
        #expect(server.readData(again, 0, buffer.base, 32) == .replyMessageMismatch)
    }

    @Test func `A client of another process is read, written, stopped and killed`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.lpcCreate()
        let peer = try Peer()
        peer.tell("lpcconnect K \(scene.name)")
        let server = scene.keep(lpcAccept(try listener.lpcTake()).port)
        #expect(status(NtCompleteConnectPort(server.handle)) == .success)
        #expect(peer.answer() == "STATUS_SUCCESS")
        peer.tell("lpcdata K 100000")
        let request = try listener.lpcTake()
        let buffer = Block(count: 100_000)
        var count: SIZE_T = 0
        #expect(server.readData(request, 0, buffer.base, 100_000, &count) == .success)
        #expect(count == 100_000 && buffer.bytes.enumerated().allSatisfy { $0.element == UInt8($0.offset % 251) })
        for index in 0 ..< 100_000 { buffer.base.storeBytes(of: UInt8(index % 13), toByteOffset: index, as: UInt8.self) }
        #expect(server.writeData(request, 0, buffer.base, 100_000, &count) == .success)
        #expect(count == 100_000)
        #expect(listener.lpcReply(request) == .success)
        #expect(peer.answer() == "STATUS_SUCCESS sum=\((0 ..< 100_000).reduce(0) { $0 + $1 % 13 })")
        peer.tell("lpcdata K 100000")
        let next = try listener.lpcTake()
        peer.stop()
        let call = Background { server.readData(next, 0, buffer.base, 100_000) }
        let second = Background { server.writeData(next, 0, buffer.base, 10) }
        settle()
        #expect(!call.isDone && !second.isDone)
        peer.kill()
        #expect(call.result == .replyMessageMismatch)
        #expect(second.result == .replyMessageMismatch)
    }

    @Test func `Many servers read at once while callers come and go`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.lpcConnected()
        let rounds = underThreadSanitizer ? 20 : 50
        let wrong = Atomic<Int>(0), left = Atomic<Int>(3)
        let servers = (0 ..< 3).map { _ in
            Background {
                let buffer = Block(count: 40_000), other = Block(count: 40_000)
                while left.load(ordering: .acquiring) > 0 {
                    let request = Message(room: 512)
                    guard listener.lpcReceive(request, timeout: after(milliseconds: 20)) == .success else { continue }
                    // A second thread reads while the first answers: it gets all or learns that nobody waits.
                    let late = Background { listener.readData(request, 0, other.base, 40_000) }
                    let outcome = listener.readData(request, 0, buffer.base, 40_000)
                    if outcome != .success || buffer.bytes.contains(where: { $0 != buffer.bytes[0] }) { wrong.wrappingAdd(1, ordering: .relaxed) }
                    if listener.lpcReply(request) != .success { wrong.wrappingAdd(1, ordering: .relaxed) }
                    if ![.success, .replyMessageMismatch].contains(late.result) { wrong.wrappingAdd(1, ordering: .relaxed) }
                }
            }
        }
        onThreads(3) { thread in
            for round in 0 ..< rounds {
                let memory = Block([UInt8](repeating: UInt8((thread * 50 + round) & 0xFF), count: 40_000))
                let outcome = withExtendedLifetime(memory) { client.lpcRequest(dataRequest([(memory.base, 40_000)]), Message(room: 512)) }
                if outcome != .success { wrong.wrappingAdd(1, ordering: .relaxed) }
            }
            left.wrappingSubtract(1, ordering: .acquiringAndReleasing)
        }
        for server in servers { server.result }
        #expect(wrong.load(ordering: .relaxed) == 0)
    }

    @Test func `Questions that are read by whoever looks for a view are answered all the same`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let memory = Block(pattern(32)), rounds = underThreadSanitizer ? 30 : 60
        let reading = Background { () -> NTStatus in withExtendedLifetime(memory) { client.lpcRequest(dataRequest([(memory.base, 32)]), Message(room: 512)) } }
        let request = try listener.lpcTake()
        let isOver = Atomic<Bool>(false)
        // Each answer brings a view: its receiver reads the control socket, where the questions about memory come too.
        let asking = Background { () -> Int in
            for round in 0 ..< rounds {
                let answer = Message(room: 256), got = Attributes()
                guard client.request("give", answer, got: got) == .success, client.deleteView(got.viewRecord.ViewBase) == .success,
                      client.datagram(Message(answering: answer)) == .success else { return round }
            }
            return rounds
        }
        let giving = Background { () -> Int in
            for round in 0 ..< rounds {
                do {
                    let asked = try listener.take(), view = try listener.filledView(4096).view
                    guard listener.send(Message(answering: asked), 0x10000, carrying(view)) == .success else { return round }
                    _ = listener.deleteView(view.ViewBase)
                } catch {
                    return round
                }
            }
            isOver.store(true, ordering: .releasing)
            return rounds
        }
        let buffer = Block(count: 32)
        while !isOver.load(ordering: .acquiring) {
            guard listener.readData(request, 0, buffer.base, 32) == .success else {
                Issue.record("not read")
                break
            }
        }
        #expect(giving.result == rounds && asking.result == rounds)
        #expect(buffer.bytes == memory.bytes)
        #expect(listener.lpcReply(request) == .success)
        #expect(reading.result == .success)
    }

    @Test func `A caller that ends in its wait takes its memory with it`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.lpcConnected()
        let memory = Block(count: 32), buffer = Block(count: 32)
        let call = Background { () -> NTStatus in
            pthread_setcanceltype(Int32(PTHREAD_CANCEL_ASYNCHRONOUS), nil)
            return client.lpcRequest(dataRequest([(memory.base, 32)]), Message(room: 512))
        }
        let request = try listener.lpcTake()
        settle()
        call.kill()
        #expect(server.readData(request, 0, buffer.base, 32) == .replyMessageMismatch)
        #expect(buffer.bytes.allSatisfy { $0 == Message.marker })
    }
}
