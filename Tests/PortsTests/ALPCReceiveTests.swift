// Receiving by ALPC: sections E (E-01 to E-03, E-31 to E-38, E-47 to E-52) and H (H-01 to H-10) of the scenarios.

import CNTTypes
import Glibc
import NTTypes
import Testing

@Suite(.guarded) struct ALPCReceiveTests {
    @Test func `E-01 E-02 E-03 An empty port times out in every form`() throws {
        let scene = Scene()
        defer { scene.end() }
        var handle: HANDLE?
        #expect(status(NtAlpcCreatePort(&handle, nil, nil)) == .success)
        for port in [try scene.create(), scene.keep(Port(handle: handle))] {
            let buffer = Message(room: 256)
            for timeout in [0, -1, 1, 116_444_736_000_000_000, after(milliseconds: 20)] {
                #expect(port.receive(buffer, timeout: timeout) == .timeout, "\(timeout)")
            }
            var time = LARGE_INTEGER()
            #expect(status(NtAlpcSendWaitReceivePort(port.handle, 0, nil, nil, buffer.pointer, nil, nil, &time)) == .timeout)
            #expect(buffer.isUntouched() && buffer.length == 256)
        }
    }

    @Test func `E-31 A plain receive leaves the caller's length`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        #expect(client.datagram(Message(pattern(16))) == .success)
        let message = try listener.take(room: 72)
        #expect(message.totalLength == 56 && message.length == 72)
    }

    @Test func `E-32 Ten thousand datagrams wait and come in order`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let count = 10_000
        var sent = 0
        for number in 0 ..< count {
            let message = Message(withUnsafeBytes(of: UInt32(number)) { Array($0) } + pattern(60))
            guard client.datagram(message) == .success else { break }
            sent += 1
        }
        #expect(sent == count)
        let buffer = Message(room: 256)
        var read = 0
        while read < count {
            buffer.length = 256
            guard listener.receive(buffer) == .success, buffer.payload.withUnsafeBytes({ $0.load(as: UInt32.self) }) == UInt32(read) else { break }
            read += 1
        }
        #expect(read == count)
        #expect(listener.poll() == .timeout)
    }

    @Test func `E-33 M-06 Messages of several clients keep their order and their contexts`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let (_, first) = try scene.client(listener, context: 1)
        let (_, second) = try scene.client(listener, context: 2)
        for (port, number) in [(first, 1), (second, 2), (first, 3)] as [(Port, UInt8)] { #expect(port.datagram(Message([number])) == .success) }
        for (context, number) in [(1, 1), (2, 2), (1, 3)] as [(UInt, UInt8)] {
            let attributes = Attributes(Attributes.context)
            #expect(try listener.take(attributes).payload == [number])
            #expect(attributes.portContext == context)
        }
    }

    @Test func `E-34 The sequence counts the messages of a port`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        var last: UInt32 = 0
        for index in 0 ..< 4 {
            #expect(client.datagram("x") == .success)
            let attributes = Attributes(Attributes.context)
            _ = try listener.take(attributes)
            // The connection request counted too: the first datagram is number two here.
            if index > 0 { #expect(attributes.sequence == last + 1) } else { #expect(attributes.sequence == 2) }
            last = attributes.sequence
        }
        #expect(try listener.basic().SequenceNo == last)
    }

    @Test func `E-35 A message context comes back to its sender only`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let sent = Attributes(Attributes.context, valid: Attributes.context), got = Attributes(Attributes.context)
        var context = ALPC_CONTEXT_ATTR()
        context.MessageContext = PVOID(bitPattern: 0x77)
        sent.context = context
        let answer = Message(room: 256)
        let call = Background { client.request("q", answer, sent: sent, got: got) }
        let seen = Attributes(Attributes.context)
        let request = try listener.take(seen)
        #expect(seen.messageContext == 0 && seen.portContext == 0x1234)
        #expect(seen.context.MessageId == request.id && UInt64(seen.context.CallbackId) == request.callbackID)
        #expect(listener.datagram(Message(answering: request)) == .success)
        #expect(call.result == .success)
        #expect(got.valid == Attributes.context && got.messageContext == 0x77)
        // The same for an answer that comes through the queue.
        #expect(client.send("q", 0, sent) == .success)
        #expect(listener.datagram(Message(answering: try listener.take())) == .success)
        _ = try client.take(got)
        #expect(got.messageContext == 0x77)
    }

    @Test func `E-38 A communication port takes its client's messages only`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let (server, client) = try scene.client(listener)
        let (second, other) = try scene.client(listener)
        #expect(client.send(Message([0x11])) == .success)
        #expect(other.send(Message([0x22])) == .success)
        #expect(try second.take().payload == [0x22])
        #expect(second.poll() == .timeout)
        #expect(try server.take().payload == [0x11])
        #expect(listener.poll() == .timeout)
    }

    @Test func `E-47 An empty waitable port does not block`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create(usual(flags: 0x60000))
        #expect([.unsuccessful, .timeout].contains(listener.poll()))
        #expect(listener.receive(Message(room: 256)) == .unsuccessful)
        let client = try scene.pending(ConnectOptions(attributes: usual(flags: 0x40000)))
        #expect(scene.close(listener) == .success)
        #expect(client.wait() == .success)
        #expect(try client.take().kind == 12)
        #expect(client.poll() == .unsuccessful)
    }

    @Test func `E-48 A waitable port is signaled while messages wait`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create(usual(flags: 0x60000))
        #expect(listener.wait(0) == .timeout)
        let call = Background { listener.wait() }
        settle()
        let client = try scene.pending()
        #expect(call.result == .success)
        #expect(listener.wait(0) == .success)
        let request = try listener.take()
        #expect(request.kind == 10)
        #expect(listener.wait(0) == .timeout)
        scene.keep(accept(listener, Message(answering: request)).port)
        #expect(client.datagram("a") == .success)
        #expect(client.datagram("b") == .success)
        for text in ["a", "b"] {
            #expect(listener.wait() == .success)
            #expect(try listener.take().text == text)
        }
        #expect(listener.wait(0) == .timeout)
    }

    @Test func `E-49 E-50 A waitable client is signaled by the accept and by the end`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let client = try scene.pending(ConnectOptions(attributes: usual(flags: 0x40000)))
        #expect(client.wait(0) == .timeout)
        let server = try scene.admit(listener)
        #expect(client.wait() == .success)
        #expect(try client.take().kind == 11)
        #expect(client.wait(0) == .timeout)
        let name = scene.name
        let call = Background { connect(name, .waiting(port: 0x40000)) }
        _ = try scene.admit(listener)
        #expect(call.result.status == .success)
        #expect(scene.keep(call.result.port).wait(0) == .timeout)
        #expect(scene.close(server) == .success)
        #expect(client.wait() == .success)
        #expect(call.result.port.wait(0) == .timeout)
    }

    @Test func `E-51 A receive into memory that is not there leaves the message queued`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let memory = BadMemory()
        for flags in [0, 0x10000] as [UInt32] {
            #expect(client.send(Message(pattern(100)), flags) == .success)
            #expect(client.datagram("next") == .success)
            // Nothing there, the header only, and all but the last bytes.
            for address in memory.all + [memory.last(40), memory.last(8), memory.last(100)] {
                var time = LARGE_INTEGER(), length: SIZE_T = 256
                let buffer = address.assumingMemoryBound(to: PORT_MESSAGE.self)
                #expect(status(NtAlpcSendWaitReceivePort(listener.handle, 0, nil, nil, buffer, &length, nil, &time)) == .accessViolation)
                #expect(length == 256)
            }
            let attributes = Attributes(Attributes.context)
            let message = try listener.take(attributes)
            #expect(message.payload == pattern(100))
            #expect(message.kind == (flags == 0 ? 1 : 3))
            if flags == 0 { #expect(listener.datagram(Message(answering: message)) == .success) }
            #expect(try listener.take().text == "next")
        }
    }

    @Test func `E-52 A send from memory that is not there sends nothing`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected(client: usual(flags: 0x20000))
        let memory = BadMemory()
        let header = memory.last(48).assumingMemoryBound(to: PORT_MESSAGE.self)
        header.withMemoryRebound(to: UInt16.self, capacity: 2) { $0[0] = 16; $0[1] = 56 }
        for address in memory.all + [memory.last(39), UnsafeMutableRawPointer(header)] {
            let message = address.assumingMemoryBound(to: PORT_MESSAGE.self)
            for port in [client, server] {
                for flags in [0, 0x10000] as [UInt32] {
                    #expect(status(NtAlpcSendWaitReceivePort(port.handle, flags, message, nil, nil, nil, nil, nil)) == .accessViolation)
                }
            }
        }
        #expect(listener.poll() == .timeout)
        #expect(client.poll(Message(room: 256)) == .timeout)
    }

    @Test func `M-10 Large and small messages alternate in order`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected(server: usual(limit: 0xFFFF), client: usual(flags: 0, limit: 0xFFFF))
        let sizes = [0xFFFF - 40, 0, 0xFFFF - 40, 1, 24, 0xFFFF - 40]
        for (index, size) in sizes.enumerated() { #expect(client.datagram(Message(pattern(size, seed: index))) == .success) }
        for (index, size) in sizes.enumerated() {
            let message = try listener.take(room: 0xFFFF)
            #expect(message.totalLength == size + 40 && message.payload == pattern(size, seed: index))
        }
    }

    @Test func `M-12 One datagram wakes one of two receivers`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let calls = (0 ..< 2).map { _ in Background { listener.receive(Message(room: 256), timeout: after(milliseconds: 400)) } }
        settle(100)
        #expect(client.datagram("x") == .success)
        #expect(Set(calls.map { $0.result.name }) == ["STATUS_SUCCESS", "STATUS_TIMEOUT"])
    }

    // MARK: Attributes

    @Test func `H-01 H-02 The size of an attribute buffer is the sum of its known attributes`() {
        #expect(AlpcGetHeaderSize(0) == 8)
        #expect(AlpcGetHeaderSize(0x8000_0000) == 8 + 0x18)
        #expect(AlpcGetHeaderSize(0xFFFF_FFFF) == 160)
        for bit in 0 ..< 25 {
            #expect(AlpcGetHeaderSize(1 << UInt32(bit)) == 8)
            #expect(AlpcGetHeaderSize(0x2000_0000 | 1 << UInt32(bit)) == 8 + 0x20)
        }
    }

    @Test func `H-03 H-04 H-05 An attribute buffer is prepared if it has room`() {
        for size in [72, 73] as [SIZE_T] {
            let buffer = Attributes()
            var needed: SIZE_T = 0
            #expect(status(AlpcInitializeMessageAttribute(0x6000_0000, buffer.pointer, size, &needed)) == .success)
            #expect(needed == 72 && buffer.allocated == 0x6000_0000 && buffer.valid == 0)
            #expect(UnsafeRawBufferPointer(start: buffer.base + 8, count: 152).allSatisfy { $0 == Message.marker })
        }
        let buffer = Attributes(0x1111_1111, valid: 0x2222_2222)
        var needed: SIZE_T = 0
        #expect(status(AlpcInitializeMessageAttribute(0x6000_0000, buffer.pointer, 71, &needed)) == .bufferTooSmall)
        #expect(needed == 72 && buffer.allocated == 0x1111_1111 && buffer.valid == 0x2222_2222)
        #expect(status(AlpcInitializeMessageAttribute(0x6000_0000, nil, 72, &needed)) == .success && needed == 72)
        needed = 0
        #expect(status(AlpcInitializeMessageAttribute(0x6000_0000, nil, 0, &needed)) == .bufferTooSmall && needed == 72)
    }

    @Test func `H-06 H-07 An attribute is found by one flag, by what is allocated`() {
        let buffer = Attributes(0x6000_0000)
        for valid in [0, 0xFFFF_FFFF] as [UInt32] {
            buffer.valid = valid
            #expect(AlpcGetMessageAttribute(buffer.pointer, 0x4000_0000) == buffer.base + 8)
            #expect(AlpcGetMessageAttribute(buffer.pointer, 0x2000_0000) == buffer.base + 40)
            for flag in [0x1000_0000, 0x6000_0000, 0, 1] as [UInt32] { #expect(AlpcGetMessageAttribute(buffer.pointer, flag) == nil) }
        }
        buffer.allocated = 0
        for bit in 0 ..< 32 { #expect(AlpcGetMessageAttribute(buffer.pointer, 1 << UInt32(bit)) == nil) }
    }

    @Test func `H-08 Valid attributes without room are an invalid parameter`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let attributes = Attributes(0x4000_0000, valid: 0x6000_0000)
        #expect(client.send("x", 0, attributes) == .invalidParameter)
        #expect(client.request("x", Message(room: 256), sent: attributes) == .invalidParameter)
        #expect(listener.poll() == .timeout)
    }

    @Test func `H-09 H-10 The valid bits show what came and nothing stale`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let seen = Attributes(valid: .max), got = Attributes(valid: .max)
        let answer = Message(room: 256)
        let call = Background { client.request("q", answer, got: got) }
        let request = try listener.take(seen)
        #expect(seen.valid & ~0x0800_0000 == Attributes.context)
        #expect(listener.datagram(Message(answering: request)) == .success)
        #expect(call.result == .success)
        #expect(got.valid == Attributes.context)
        let small = Attributes(0, valid: .max)
        #expect(client.datagram("x") == .success)
        _ = try listener.take(small)
        #expect(small.valid == 0 && small.allocated == 0)
        #expect(UnsafeRawBufferPointer(start: small.base + 8, count: 152).allSatisfy { $0 == Message.marker })
    }

    @Test func `K-01 K-02 Basic information is written whole or not at all`() throws {
        let scene = Scene()
        defer { scene.end() }
        let port = try scene.create()
        let size = MemoryLayout<ALPC_BASIC_INFORMATION>.size
        for length in 0 ... size + 16 {
            var bytes = [UInt8](repeating: Message.marker, count: size + 16), returned: ULONG = 0
            let result = bytes.withUnsafeMutableBytes { status(NtAlpcQueryInformation(port.handle, AlpcBasicInformation, $0.baseAddress, ULONG(length), &returned)) }
            #expect(result == (length < size ? .infoLengthMismatch : .success))
            #expect(returned == ULONG(size))
            #expect(bytes[(length < size ? 0 : size)...].allSatisfy { $0 == Message.marker })
        }
        let memory = BadMemory()
        for address in memory.all { #expect(status(NtAlpcQueryInformation(port.handle, AlpcBasicInformation, address, 64, nil)) == .accessViolation) }
        memory.makeReadOnly()
        #expect(status(NtAlpcQueryInformation(port.handle, AlpcBasicInformation, memory.base, 64, nil)) == .accessViolation)
        #expect(UnsafeRawBufferPointer(start: memory.base, count: 64).allSatisfy { $0 == 0 })
        #expect(status(NtAlpcQueryInformation(port.handle, ALPC_PORT_INFORMATION_CLASS(rawValue: 2), memory.base, 64, nil)) == .invalidInfoClass)
        #expect(status(NtAlpcQueryInformation(port.handle, ALPC_PORT_INFORMATION_CLASS(rawValue: 99), memory.base, 64, nil)) == .invalidInfoClass)
    }
}
