// Pointers that lead nowhere, in every argument of every call: a status, nothing changed, never a crash.

import CNTTypes
import Glibc
import NTTypes
import Testing

/// One call, with pointers that work in every place where it takes one.
private struct CallRow {
    let name: String
    /// Names of the pointer arguments in the order of `good`.
    let arguments: [String]
    /// Those that may be NULL; the call then does something else that is legal.
    var mayBeNull: Set<String> = []
    /// Those that the call does not look at in this form.
    var ignored: Set<String> = []
    let call: ([UnsafeMutableRawPointer?]) -> NTSTATUS
    let good: [UnsafeMutableRawPointer?]
}

@Suite(.guarded) struct BadArgumentTests {
    private typealias Pointer = UnsafeMutableRawPointer

    /// Memory that lives as long as the test.
    private final class Arena {
        private var blocks: [Pointer] = []
        deinit { for block in blocks { block.deallocate() } }

        func room(_ count: Int) -> Pointer {
            let block = Pointer.allocate(byteCount: count, alignment: 16)
            block.initializeMemory(as: UInt8.self, repeating: 0, count: count)
            blocks.append(block)
            return block
        }

        func put<T>(_ value: T) -> Pointer {
            let block = room(max(MemoryLayout<T>.size, 64))
            block.initializeMemory(as: T.self, repeating: value, count: 1)
            return block
        }

        func string(_ text: String) -> Pointer {
            let units = Array(text.utf16)
            let buffer = room(units.count * 2)
            units.withUnsafeBytes { buffer.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
            return put(UNICODE_STRING(Length: USHORT(units.count * 2), MaximumLength: USHORT(units.count * 2),
                                      Buffer: buffer.assumingMemoryBound(to: UInt16.self)))
        }

        func object(_ name: String) -> Pointer {
            put(OBJECT_ATTRIBUTES(Length: 48, RootDirectory: nil, ObjectName: string(name).assumingMemoryBound(to: UNICODE_STRING.self), Attributes: 0x40,
                                  SecurityDescriptor: nil, SecurityQualityOfService: nil))
        }

        func message(_ payload: [UInt8] = [], id: UInt32 = 0) -> Pointer {
            let message = Message(payload, id: id)
            let block = room(0x10000)
            block.copyMemory(from: message.base, byteCount: 40 + payload.count)
            return block
        }
    }

    /// Runs a row with each argument NULL and bad in turn. `prepare` renews what the call uses up.
    private func check(_ row: CallRow, prepare: () throws -> Void = {}, legal: Set<NTStatus.RawValue> = [0], cleanUp: (NTSTATUS) -> Void = { _ in }) throws {
        let memory = BadMemory()
        for (index, argument) in row.arguments.enumerated() where !row.ignored.contains(argument) {
            for address in [nil] + memory.all.map(Optional.some) {
                if row.mayBeNull.contains(argument) && address == nil {
                    var pointers = row.good
                    pointers[index] = nil
                    try prepare()
                    let result = row.call(pointers)
                    #expect(legal.contains(result), "\(row.name) with \(argument) NULL: \(status(result).name)")
                    cleanUp(result)
                    continue
                }
                var pointers = row.good
                pointers[index] = address
                try prepare()
                let result = row.call(pointers)
                #expect(status(result) == .accessViolation, "\(row.name) with \(argument) at \(address.map { "\($0)" } ?? "NULL")")
                if result == 0 { cleanUp(result) }
            }
        }
    }

    @Test func `Creates with bad pointers leave nothing`() throws {
        let arena = Arena()
        let name = Stage.name()
        let out = arena.room(8), object = arena.object(name), attributes = arena.put(usual())
        func closeMade(_ result: NTSTATUS) { if result == 0 { #expect(NtClose(out.load(as: HANDLE?.self)) == 0) } }
        try check(CallRow(name: "NtAlpcCreatePort", arguments: ["PortHandle", "ObjectAttributes", "PortAttributes"],
                          mayBeNull: ["ObjectAttributes", "PortAttributes"], call: {
            NtAlpcCreatePort($0[0]?.assumingMemoryBound(to: HANDLE?.self), $0[1]?.assumingMemoryBound(to: OBJECT_ATTRIBUTES.self),
                             $0[2]?.assumingMemoryBound(to: ALPC_PORT_ATTRIBUTES.self))
        }, good: [out, object, attributes]), cleanUp: closeMade)
        for waitable in [false, true] {
            try check(CallRow(name: waitable ? "NtCreateWaitablePort" : "NtCreatePort", arguments: ["PortHandle", "ObjectAttributes"],
                              mayBeNull: ["ObjectAttributes"], call: {
                let handle = $0[0]?.assumingMemoryBound(to: HANDLE?.self), object = $0[1]?.assumingMemoryBound(to: OBJECT_ATTRIBUTES.self)
                return waitable ? NtCreateWaitablePort(handle, object, 64, 256, 0) : NtCreatePort(handle, object, 64, 256, 0)
            }, good: [out, object]), cleanUp: closeMade)
        }
        // Bad pointers one level down.
        let memory = BadMemory()
        for address in memory.all {
            var inner = object.load(as: OBJECT_ATTRIBUTES.self)
            inner.ObjectName = address.assumingMemoryBound(to: UNICODE_STRING.self)
            #expect(status(NtAlpcCreatePort(out.assumingMemoryBound(to: HANDLE?.self), &inner, nil)) == .accessViolation)
            inner = object.load(as: OBJECT_ATTRIBUTES.self)
            inner.SecurityDescriptor = address
            #expect(status(NtAlpcCreatePort(out.assumingMemoryBound(to: HANDLE?.self), &inner, nil)) == .accessViolation)
            inner = object.load(as: OBJECT_ATTRIBUTES.self)
            var string = inner.ObjectName.pointee
            string.Buffer = address.assumingMemoryBound(to: UInt16.self)
            withUnsafeMutablePointer(to: &string) { string in
                inner.ObjectName = string
                #expect(status(NtAlpcCreatePort(out.assumingMemoryBound(to: HANDLE?.self), &inner, nil)) == .accessViolation)
                #expect(status(NtAlpcConnectPort(out.assumingMemoryBound(to: HANDLE?.self), string, nil, nil, 0, nil, nil, nil, nil, nil, nil)) == .accessViolation)
            }
        }
        #expect(connect(name).status == .objectNameNotFound)
    }

    @Test(arguments: [0, 0x20000] as [UInt32]) func `Connects with bad pointers leave no handle and no client`(flags: UInt32) throws {
        let arena = Arena(), server = try EchoServer()
        let out = arena.room(8), length = arena.put(SIZE_T(4096)), message = arena.message(pattern(8))
        let sid = arena.room(64), time = arena.put(LARGE_INTEGER(QuadPart: guardTime)), attributes = arena.put(ALPC_MESSAGE_ATTRIBUTES())
        ownSID.withUnsafeBytes { sid.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
        let fresh = Message(pattern(8))
        func renew() {
            message.copyMemory(from: fresh.base, byteCount: 48)
            length.storeBytes(of: 4096, as: SIZE_T.self)
        }
        func closeMade(_ result: NTSTATUS) { if result == 0 { #expect(NtClose(out.load(as: HANDLE?.self)) == 0) } }
        let names = ["PortHandle", "PortName", "ObjectAttributes", "PortAttributes", "RequiredServerSid", "ConnectionMessage", "BufferLength",
                     "OutMessageAttributes", "InMessageAttributes", "Timeout"]
        let good = [out, arena.string(server.name), arena.put(OBJECT_ATTRIBUTES(Length: 48, RootDirectory: nil, ObjectName: nil, Attributes: 0, SecurityDescriptor: nil,
                    SecurityQualityOfService: nil)), arena.put(usual(flags: 0)), sid, message, length, attributes, attributes, time]
        let optional = Set(names.dropFirst(2))
        // A connect that does not wait has nothing to write there.
        try check(CallRow(name: "NtAlpcConnectPort", arguments: names, mayBeNull: optional, ignored: flags == 0 ? ["InMessageAttributes"] : [], call: {
            NtAlpcConnectPort($0[0]?.assumingMemoryBound(to: HANDLE?.self), $0[1]?.assumingMemoryBound(to: UNICODE_STRING.self),
                              $0[2]?.assumingMemoryBound(to: OBJECT_ATTRIBUTES.self), $0[3]?.assumingMemoryBound(to: ALPC_PORT_ATTRIBUTES.self), flags, $0[4],
                              $0[5]?.assumingMemoryBound(to: PORT_MESSAGE.self), $0[6]?.assumingMemoryBound(to: SIZE_T.self),
                              $0[7]?.assumingMemoryBound(to: ALPC_MESSAGE_ATTRIBUTES.self), $0[8]?.assumingMemoryBound(to: ALPC_MESSAGE_ATTRIBUTES.self),
                              $0[9]?.assumingMemoryBound(to: LARGE_INTEGER.self))
        }, good: good), prepare: renew, cleanUp: closeMade)
        var exGood: [Pointer?] = good
        exGood[1] = arena.object(server.name)
        exGood[4] = arena.room(256)
        let required = descriptor(allow: [ownSID])
        required.withUnsafeBytes { exGood[4]!.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
        // Without a name the call is an invalid parameter, which is no access violation.
        try check(CallRow(name: "NtAlpcConnectPortEx", arguments: names, mayBeNull: optional.union(["PortName"]),
                          ignored: flags == 0 ? ["InMessageAttributes"] : [], call: {
            NtAlpcConnectPortEx($0[0]?.assumingMemoryBound(to: HANDLE?.self), $0[1]?.assumingMemoryBound(to: OBJECT_ATTRIBUTES.self),
                                $0[2]?.assumingMemoryBound(to: OBJECT_ATTRIBUTES.self), $0[3]?.assumingMemoryBound(to: ALPC_PORT_ATTRIBUTES.self), flags, $0[4],
                                $0[5]?.assumingMemoryBound(to: PORT_MESSAGE.self), $0[6]?.assumingMemoryBound(to: SIZE_T.self),
                                $0[7]?.assumingMemoryBound(to: ALPC_MESSAGE_ATTRIBUTES.self), $0[8]?.assumingMemoryBound(to: ALPC_MESSAGE_ATTRIBUTES.self),
                                $0[9]?.assumingMemoryBound(to: LARGE_INTEGER.self))
        }, good: exGood), prepare: renew, legal: [0, NTStatus.invalidParameter.rawValue], cleanUp: closeMade)
        // The server still serves.
        let made = connect(server.name, .waiting())
        #expect(made.status == .success)
        #expect(made.port.close() == .success)
        server.end()
    }

    @Test func `LPC connects with bad pointers leave no handle`() throws {
        let arena = Arena(), scene = Scene()
        let listener = try scene.lpcCreate()
        let server = Background { () -> Void in
            let request = Message(room: 4096)
            while true {
                switch listener.lpcReceive(request) {
                case .success: break
                case .timeout: continue
                default: return
                }
                guard request.type == 10 else { continue }
                let made = lpcAccept(request)
                if made.status == .success {
                    _ = NtCompleteConnectPort(made.port.handle)
                    _ = made.port.close()
                }
            }
        }
        let out = arena.room(8), length = arena.put(ULONG(16)), sid = arena.room(64)
        ownSID.withUnsafeBytes { sid.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
        var quality = SECURITY_QUALITY_OF_SERVICE()
        quality.Length = 12
        var view = PORT_VIEW(), remote = REMOTE_PORT_VIEW()
        view.Length = ULONG(MemoryLayout<PORT_VIEW>.size)
        remote.Length = ULONG(MemoryLayout<REMOTE_PORT_VIEW>.size)
        let names = ["PortHandle", "PortName", "SecurityQos", "RequiredServerSid", "ServerView", "MaxMessageLength", "ConnectionInformation", "Length"]
        let good = [out, arena.string(scene.name), arena.put(quality), sid, arena.put(remote), arena.room(8), arena.room(64), length]
        func closeMade(_ result: NTSTATUS) { if result == 0 { #expect(NtClose(out.load(as: HANDLE?.self)) == 0) } }
        try check(CallRow(name: "NtSecureConnectPort", arguments: names, mayBeNull: Set(names.dropFirst(3)), call: {
            NtSecureConnectPort($0[0]?.assumingMemoryBound(to: HANDLE?.self), $0[1]?.assumingMemoryBound(to: UNICODE_STRING.self),
                                $0[2]?.assumingMemoryBound(to: SECURITY_QUALITY_OF_SERVICE.self), nil, $0[3], $0[4]?.assumingMemoryBound(to: REMOTE_PORT_VIEW.self),
                                $0[5]?.assumingMemoryBound(to: ULONG.self), $0[6], $0[7]?.assumingMemoryBound(to: ULONG.self))
        }, good: good), prepare: { length.storeBytes(of: 16, as: ULONG.self) }, cleanUp: closeMade)
        let memory = BadMemory()
        for address in memory.all {
            let result = withString(scene.name) {
                NtConnectPort(out.assumingMemoryBound(to: HANDLE?.self), $0, &quality, address.assumingMemoryBound(to: PORT_VIEW.self), nil, nil, nil, nil)
            }
            #expect(status(result) == .accessViolation)
        }
        scene.end()
        server.result
    }

    @Test func `Accepts with bad pointers leave the request to be answered`() throws {
        let arena = Arena(), scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let client = try scene.pending()
        let request = try listener.take()
        let out = arena.room(8), message = arena.message([], id: request.id)
        // NULL attributes are legal and would accept: they are left out here.
        try check(CallRow(name: "NtAlpcAcceptConnectPort", arguments: ["PortHandle", "ObjectAttributes", "PortAttributes", "ConnectionRequest"], call: {
            if $0[1] == nil || $0[2] == nil { return NTStatus.accessViolation.rawValue }
            return NtAlpcAcceptConnectPort($0[0]?.assumingMemoryBound(to: HANDLE?.self), listener.handle, 0, $0[1]?.assumingMemoryBound(to: OBJECT_ATTRIBUTES.self),
                                           $0[2]?.assumingMemoryBound(to: ALPC_PORT_ATTRIBUTES.self), nil, $0[3]?.assumingMemoryBound(to: PORT_MESSAGE.self), nil, 1)
        }, good: [out, arena.put(OBJECT_ATTRIBUTES(Length: 48, RootDirectory: nil, ObjectName: nil, Attributes: 0, SecurityDescriptor: nil, SecurityQualityOfService: nil)),
                  arena.put(usual(flags: 0)), message]))
        for address in [nil] + BadMemory().all.map(Optional.some) {
            #expect(status(NtAcceptConnectPort(out.assumingMemoryBound(to: HANDLE?.self), nil, address?.assumingMemoryBound(to: PORT_MESSAGE.self), 1, nil, nil)) == .accessViolation)
        }
        #expect(client.poll() == .timeout)
        let made = accept(listener, Message([], id: request.id))
        #expect(made.status == .success)
        scene.keep(made.port)
    }

    @Test func `Sends and receives with bad pointers are access violations`() throws {
        let arena = Arena(), server = try EchoServer()
        let made = connect(server.name, .waiting(port: 0x20000))
        try #require(made.status == .success)
        let port = made.port
        let message = arena.message(pattern(8)), answer = arena.room(0x10000), length = arena.put(SIZE_T(0x10000)), time = arena.put(LARGE_INTEGER(QuadPart: guardTime))
        var noAttributes = ALPC_MESSAGE_ATTRIBUTES()
        noAttributes.AllocatedAttributes = 0
        let attributes = arena.put(noAttributes)
        let fresh = Message(pattern(8))
        func renew() {
            message.copyMemory(from: fresh.base, byteCount: 48)
            length.storeBytes(of: 0x10000, as: SIZE_T.self)
        }
        let names = ["SendMessage", "SendMessageAttributes", "ReceiveMessage", "BufferLength", "ReceiveMessageAttributes", "Timeout"]
        func row(_ flags: UInt32, _ mayBeNull: Set<String>, _ good: [Pointer?]) -> CallRow {
            CallRow(name: "NtAlpcSendWaitReceivePort 0x\(String(flags, radix: 16))", arguments: names, mayBeNull: mayBeNull, call: {
                NtAlpcSendWaitReceivePort(port.handle, flags, $0[0]?.assumingMemoryBound(to: PORT_MESSAGE.self), $0[1]?.assumingMemoryBound(to: ALPC_MESSAGE_ATTRIBUTES.self),
                                          $0[2]?.assumingMemoryBound(to: PORT_MESSAGE.self), $0[3]?.assumingMemoryBound(to: SIZE_T.self),
                                          $0[4]?.assumingMemoryBound(to: ALPC_MESSAGE_ATTRIBUTES.self), $0[5]?.assumingMemoryBound(to: LARGE_INTEGER.self))
            }, good: good)
        }
        let everything = Set(names)
        // NULL for the messages is another call: what it answers is in the scenarios.
        try check(row(0x20000, everything, [message, attributes, answer, length, attributes, time]), prepare: renew,
                  legal: [0, NTStatus.invalidParameter2.rawValue, NTStatus.lpcReceiveBufferExpected.rawValue])
        // Replies that met a bad receiver wait in the queue.
        let buffer = Message(room: 0x10000)
        while port.poll(buffer) == .success { buffer.length = 0x10000 }
        #expect(port.request(Message(pattern(8)), Message(room: 256)) == .success)
        #expect(port.close() == .success)
        server.end()
    }

    @Test func `LPC messages with bad pointers are access violations`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.lpcConnected()
        let memory = BadMemory()
        let room = Message(room: 512), one = Message([1])
        defer { withExtendedLifetime((room, one)) {} }
        for address in [nil] + memory.all.map(Optional.some) {
            let message = address?.assumingMemoryBound(to: PORT_MESSAGE.self)
            for port in [listener, server, client] {
                #expect(status(NtRequestPort(port.handle, message)) == .accessViolation)
                #expect(status(NtRequestWaitReplyPort(port.handle, message, room.pointer)) == .accessViolation)
                #expect(status(NtRequestWaitReplyPort(port.handle, one.pointer, message)) == .accessViolation)
                #expect(status(NtReplyPort(port.handle, message)) == .accessViolation)
            }
            #expect(status(NtListenPort(listener.handle, message)) == .accessViolation)
            if let message {
                #expect(status(NtReplyWaitReceivePort(listener.handle, nil, message, room.pointer)) == .accessViolation)
                var time = LARGE_INTEGER()
                #expect(status(NtReplyWaitReceivePortEx(listener.handle, nil, nil, room.pointer, UnsafeMutableRawPointer(message).assumingMemoryBound(to: LARGE_INTEGER.self))) == .accessViolation)
                #expect(client.lpcDatagram("kept") == .success)
                #expect(status(NtReplyWaitReceivePortEx(listener.handle, nil, nil, message, &time)) == .accessViolation)
                #expect(status(NtReplyWaitReceivePortEx(listener.handle, UnsafeMutableRawPointer(message).assumingMemoryBound(to: PVOID?.self), nil, room.pointer, &time)) == .accessViolation)
                #expect(try listener.lpcTake().text == "kept")
            }
        }
        #expect(listener.lpcReceive(Message(room: 512), timeout: 0) == .timeout)
    }

    @Test func `Attribute helpers survive bad pointers`() {
        for address in BadMemory().all {
            let buffer = address.assumingMemoryBound(to: ALPC_MESSAGE_ATTRIBUTES.self)
            var needed: SIZE_T = 0
            #expect(status(AlpcInitializeMessageAttribute(0x2000_0000, buffer, 160, &needed)) == .accessViolation)
            #expect(status(AlpcInitializeMessageAttribute(0x2000_0000, nil, 160, address.assumingMemoryBound(to: SIZE_T.self))) == .accessViolation)
            #expect(AlpcGetMessageAttribute(buffer, 0x2000_0000) == nil)
        }
        #expect(status(AlpcInitializeMessageAttribute(0x2000_0000, nil, 160, nil)) == .accessViolation)
        #expect(AlpcGetMessageAttribute(nil, 0x2000_0000) == nil)
    }
}
