// Security contexts and the SECURITY attribute: H-27 to H-30 of the scenarios, and every status of the three calls.

import CNTTypes
import Glibc
import NTTypes
import Testing

@Suite(.guarded) struct SecurityContextTests {
    private static let security: UInt32 = 0x8000_0000
    private static let noHandle = UInt(bitPattern: -2)

    private struct Quality {
        var value: SECURITY_QUALITY_OF_SERVICE
        init(_ level: UInt32, dynamic: Bool = true, effectiveOnly: Bool = false) {
            value = SECURITY_QUALITY_OF_SERVICE(Length: 12, ImpersonationLevel: SECURITY_IMPERSONATION_LEVEL(rawValue: level),
                                                ContextTrackingMode: dynamic ? 1 : 0, EffectiveOnly: effectiveOnly ? 1 : 0)
        }
    }

    /// NtAlpcCreateSecurityContext.
    private func create(_ port: Port, _ quality: Quality?, flags: UInt32 = 0, attribute attributeFlags: UInt32 = 0) -> (status: NTStatus, context: UInt) {
        var value = quality?.value ?? SECURITY_QUALITY_OF_SERVICE()
        return withUnsafeMutablePointer(to: &value) { value in
            var attribute = ALPC_SECURITY_ATTR(Flags: attributeFlags, QoS: quality == nil ? nil : value, ContextHandle: ALPC_HANDLE(bitPattern: 0x5A5A))
            let result = status(NtAlpcCreateSecurityContext(port.handle, flags, &attribute))
            #expect(attribute.Flags == attributeFlags && attribute.QoS == (quality == nil ? nil : value))
            let context = UInt(bitPattern: attribute.ContextHandle)
            #expect((context == 0x5A5A) == (result != .success))
            return (result, context)
        }
    }

    private func revoke(_ port: Port, _ context: UInt, _ flags: UInt32 = 0) -> NTStatus {
        status(NtAlpcRevokeSecurityContext(port.handle, flags, ALPC_HANDLE(bitPattern: context)))
    }

    private func delete(_ port: Port, _ context: UInt, _ flags: UInt32 = 0) -> NTStatus {
        status(NtAlpcDeleteSecurityContext(port.handle, flags, ALPC_HANDLE(bitPattern: context)))
    }

    /// An attribute buffer that names a context, with one quality of service that lives as long.
    private final class Naming: @unchecked Sendable {
        let attributes = Attributes(Attributes.all, valid: 0x8000_0000)
        private let quality = UnsafeMutablePointer<SECURITY_QUALITY_OF_SERVICE>.allocate(capacity: 1)

        init(_ context: UInt, flags: UInt32 = 0, _ quality: Quality? = nil) {
            self.quality.initialize(to: quality?.value ?? SECURITY_QUALITY_OF_SERVICE())
            record.pointee = ALPC_SECURITY_ATTR(Flags: flags, QoS: quality == nil ? nil : self.quality, ContextHandle: ALPC_HANDLE(bitPattern: context))
        }

        deinit { quality.deallocate() }

        var record: UnsafeMutablePointer<ALPC_SECURITY_ATTR> {
            AlpcGetMessageAttribute(attributes.pointer, 0x8000_0000)!.assumingMemoryBound(to: ALPC_SECURITY_ATTR.self)
        }
        var context: UInt { UInt(bitPattern: record.pointee.ContextHandle) }
        var flags: UInt32 { record.pointee.Flags }
    }

    private func security(_ attributes: Attributes) -> ALPC_SECURITY_ATTR {
        AlpcGetMessageAttribute(attributes.pointer, Self.security)!.load(as: ALPC_SECURITY_ATTR.self)
    }

    private func stage(_ scene: Scene, client: ALPC_PORT_ATTRIBUTES = attributes(0x10000, level: 1)) throws -> (listener: Port, server: Port, client: Port) {
        try scene.connected(server: usual(flags: 0x30000), client: client)
    }

    // MARK: The calls

    @Test func `A context is made, revoked and deleted`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (_, _, client) = try stage(scene)
        let (made, context) = create(client, Quality(2))
        #expect(made == .success && context != 0 && context >> 31 == 0)
        #expect(revoke(client, context) == .success)
        #expect(revoke(client, context) == .success)
        #expect(delete(client, context) == .success)
        #expect(delete(client, context) == .invalidHandle)
        #expect(revoke(client, context) == .invalidHandle)
        // A value that was used does not come back at once.
        #expect(create(client, Quality(2)).context != context)
        // A pending client can prepare itself; a quality of service that is not given is the port's.
        let pending = try scene.pending()
        #expect(create(pending, nil).status == .success)
        for flags in [0x20000, 0x40000, 0x60000] as [UInt32] { #expect(create(client, Quality(3), attribute: flags).status == .success) }
    }

    @Test func `Statuses of creating`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try stage(scene)
        for flag in (0 ..< 32).map({ UInt32(1) << UInt32($0) }) {
            #expect(create(Port(handle: nil), Quality(2), flags: flag).status == .invalidParameter)
            if flag != 0x20000 && flag != 0x40000 { #expect(create(client, Quality(2), attribute: flag).status == .invalidParameter) }
        }
        #expect(create(client, Quality(4)).status == .badImpersonationLevel)
        var odd = Quality(2)
        odd.value.ContextTrackingMode = 2
        #expect(create(client, odd).status == .invalidParameter)
        #expect(create(listener, Quality(2)).status == .lpcInvalidConnectionUsage)
        #expect(create(server, Quality(2)).status == .lpcInvalidConnectionUsage)
        #expect(create(scene.event(), Quality(2)).status == .objectTypeMismatch)
        #expect(create(Port(handle: scene.closedHandle()), Quality(2)).status == .invalidHandle)
        #expect(status(NtAlpcCreateSecurityContext(client.handle, 0, nil)) == .accessViolation)
        // Nothing of all that is left.
        let memory = BadMemory()
        for address in memory.all {
            #expect(status(NtAlpcCreateSecurityContext(client.handle, 0, address.assumingMemoryBound(to: ALPC_SECURITY_ATTR.self))) == .accessViolation)
            var attribute = ALPC_SECURITY_ATTR(Flags: 0, QoS: address.assumingMemoryBound(to: SECURITY_QUALITY_OF_SERVICE.self), ContextHandle: nil)
            let result = status(NtAlpcCreateSecurityContext(client.handle, 0, &attribute))
            #expect(result == .accessViolation || result == .success)   // memory that can only be read will do
            if result == .success { #expect(delete(client, UInt(bitPattern: attribute.ContextHandle)) == .success) }
        }
    }

    @Test func `Statuses of revoking and deleting`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try stage(scene)
        let context = create(client, Quality(2)).context
        let other = try scene.client(listener, usual(flags: 0)).client
        for call in [revoke, delete] as [(Port, UInt, UInt32) -> NTStatus] {
            for flag in (0 ..< 32).map({ UInt32(1) << UInt32($0) }) { #expect(call(Port(handle: nil), context, flag) == .invalidParameter) }
            for wrong in [0, 1, 4, context + 4, context | 1 << 31, context | 1 << 32, Self.noHandle, UInt.max] as [UInt] {
                #expect(call(client, wrong, 0) == .invalidHandle, "\(wrong)")
            }
            for port in [listener, server, other] { #expect(call(port, context, 0) == .invalidHandle) }
            #expect(call(scene.event(), context, 0) == .objectTypeMismatch)
            #expect(call(Port(handle: scene.closedHandle()), context, 0) == .invalidHandle)
        }
        #expect(delete(client, context) == .success)
    }

    @Test func `Contexts have a limit and give a status there`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (_, _, client) = try stage(scene)
        var contexts: [UInt] = []
        while true {
            let (made, context) = create(client, Quality(2))
            if made != .success {
                #expect(made == .insufficientResources)
                break
            }
            contexts.append(context)
        }
        #expect(contexts.count > 1000 && Set(contexts).count == contexts.count)
        #expect(delete(client, contexts[7]) == .success)
        #expect(create(client, Quality(2)).status == .success)
    }

    // MARK: Messages

    @Test func `H-27 A message under a context shows it, a plain one does not`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try stage(scene)
        let context = create(client, Quality(3, dynamic: false, effectiveOnly: true)).context
        let naming = Naming(context)
        let got = Attributes()
        for port in [listener, server] {
            let call = Background { client.request("question", Message(room: 256), sent: naming.attributes) }
            let request = try port.take(got)
            #expect(got.valid & Self.security != 0)
            let shown = security(got)
            #expect(UInt(bitPattern: shown.ContextHandle) == context && shown.Flags == 0 && shown.QoS == nil)
            // The context takes the place of the connection's terms, which say identification.
            #expect(port.impersonate(request).client == Acting.own(level: 3, effectiveOnly: true))
            #expect(server.lpcImpersonate(request).client?.level == 3)
            #expect(port.datagram(Message(answering: request)) == .success)
            #expect(call.result == .success)
        }
        #expect(naming.context == context && naming.flags == 0)
        for flags in [0, 0x10000] as [UInt32] {
            #expect(client.send("question", flags, naming.attributes) == .success)
            let message = try listener.take(got)
            #expect(got.valid & Self.security != 0 && UInt(bitPattern: security(got).ContextHandle) == context)
            if flags == 0 { #expect(listener.impersonate(message).client?.level == 3) }
        }
        #expect(client.send("plain") == .success)
        let plain = try listener.take(got)
        #expect(got.valid & Self.security == 0)
        #expect(listener.impersonate(plain).client?.level == 1)
    }

    @Test func `A context's tracking decides about the token, its level about impersonation`() throws {
        for (level, dynamic, token) in [(2, false, true), (2, true, false), (0, false, false)] as [(UInt32, Bool, Bool)] {
            let scene = Scene()
            defer { scene.end() }
            let (listener, _, client) = try stage(scene, client: attributes(0x10000, level: 2, dynamic: !dynamic))
            let naming = Naming(create(client, Quality(level, dynamic: dynamic)).context), got = Attributes()
            #expect(client.send("question", 0, naming.attributes) == .success)
            let request = try listener.take(got)
            #expect((got.valid & 0x0800_0000 != 0) == token)
            #expect(listener.impersonate(request).status == (level == 0 ? .accessDenied : .success))
        }
    }

    @Test func `A context does not take the place of the port's consent`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try stage(scene, client: attributes(0))
        let naming = Naming(create(client, Quality(2)).context)
        #expect(client.send("question", 0, naming.attributes) == .success)
        #expect(listener.impersonate(try listener.take()).status == .accessDenied)
    }

    @Test func `H-28 A context is made with its first message`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try stage(scene)
        let naming = Naming(Self.noHandle, flags: 0x20000, Quality(2)), got = Attributes()
        #expect(client.send("question", 0, naming.attributes) == .success)
        let context = naming.context
        #expect(context != Self.noHandle && context != 0 && naming.flags == 0x20000)
        let request = try listener.take(got)
        #expect(UInt(bitPattern: security(got).ContextHandle) == context)
        #expect(listener.impersonate(request).client?.level == 2)
        // It stays, and can be named.
        #expect(client.send("question", 0, Naming(context).attributes) == .success)
        _ = try listener.take(got)
        #expect(UInt(bitPattern: security(got).ContextHandle) == context)
        #expect(delete(client, context) == .success)
        // A synchronous request with one buffer for both ways: the reply's bits are what is left.
        let both = Naming(Self.noHandle, flags: 0x20000, Quality(3))
        let call = Background { client.request("question", Message(room: 256), sent: both.attributes, got: both.attributes) }
        #expect(listener.datagram(Message(answering: try listener.take(got))) == .success)
        #expect(call.result == .success)
        #expect(both.attributes.valid == 0x2000_0000 && both.context == UInt(bitPattern: security(got).ContextHandle))
        // Without a quality of service it has the port's.
        let plain = Naming(Self.noHandle, flags: 0x20000)
        #expect(client.send("question", 0, plain.attributes) == .success)
        #expect(listener.impersonate(try listener.take()).client?.level == 1)
    }

    @Test func `Without the flag the context is for one message`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try stage(scene)
        let naming = Naming(Self.noHandle, Quality(3)), got = Attributes()
        #expect(client.send("question", 0, naming.attributes) == .success)
        #expect(naming.context == Self.noHandle)
        let request = try listener.take(got)
        #expect(listener.impersonate(request).client?.level == 3)
        #expect(delete(client, UInt(bitPattern: security(got).ContextHandle)) == .invalidHandle)
    }

    @Test func `A context that is deleted with its message is gone, and the message keeps it`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try stage(scene)
        let context = create(client, Quality(3)).context
        #expect(client.send("question", 0, Naming(context, flags: 0x10000).attributes) == .success)
        #expect(delete(client, context) == .invalidHandle)
        #expect(client.send("question", 0, Naming(context).attributes) == .invalidHandle)
        #expect(listener.impersonate(try listener.take()).client?.level == 3)
    }

    @Test func `A revoked context serves messages under way and no new ones`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try stage(scene)
        let context = create(client, Quality(3)).context
        #expect(client.send("before", 0, Naming(context).attributes) == .success)
        #expect(revoke(client, context) == .success)
        #expect(client.send("after", 0, Naming(context).attributes) == .accessDenied)
        #expect(listener.impersonate(try listener.take()).client?.level == 3)
        #expect(listener.poll() == .timeout)
    }

    @Test func `H-30 A context is its maker's`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try stage(scene)
        let (_, other) = try scene.client(listener, attributes(0x30000))
        let context = create(client, Quality(2)).context
        #expect(other.send("question", 0, Naming(context).attributes) == .invalidHandle)
        #expect(client.send("question", 0, Naming(context).attributes) == .success)
        let request = try listener.take()
        let making = Naming(Self.noHandle, flags: 0x20000, Quality(2))
        // The server knows the value from a message that it holds, and may not use it.
        for port in [server, listener] {
            #expect(revoke(port, context) == .accessDenied)
            #expect(delete(port, context) == .accessDenied)
            #expect(port.send(Message(answering: request), 0x10000, Naming(context).attributes) == .accessDenied)
            #expect(port.send(Message(answering: request), 0x10000, Naming(context + 4).attributes) == .invalidHandle)
            #expect(port.send(Message(answering: request), 0x10000, making.attributes) == .lpcInvalidConnectionUsage)
        }
        #expect(listener.datagram(Message(answering: request)) == .success)
        #expect(delete(server, context) == .invalidHandle)
        #expect(delete(client, context) == .success)
    }

    @Test func `An attribute that cannot be is refused, and nothing is sent or left behind`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try stage(scene)
        let context = create(client, Quality(2)).context
        for (naming, expected) in [
            (Naming(Self.noHandle, flags: 0x30000, Quality(2)), .invalidParameter), (Naming(Self.noHandle, flags: 0x10000, Quality(2)), .invalidParameter),
            (Naming(context, flags: 0x20000, Quality(2)), .invalidParameter), (Naming(context, flags: 1), .invalidParameter),
            (Naming(context, flags: 0x80000), .invalidParameter), (Naming(Self.noHandle, flags: 0x20000, Quality(4)), .badImpersonationLevel),
            (Naming(0), .invalidHandle), (Naming(context + 4), .invalidHandle), (Naming(UInt.max), .invalidHandle), (Naming(context | 1 << 40), .invalidHandle),
        ] as [(Naming, NTStatus)] {
            #expect(client.send("question", 0, naming.attributes) == expected)
        }
        // Too long to be sent: the new context is taken back, and the attribute asks for one again.
        let naming = Naming(Self.noHandle, flags: 0x20000, Quality(2))
        #expect(client.send(Message(pattern(0x2000)), 0, naming.attributes) == .portMessageTooLong)
        #expect(naming.context == Self.noHandle)
        #expect(client.send("question", 0, Naming(context, flags: 0x10000).attributes) == .success)
        #expect(listener.impersonate(try listener.take()).status == .success)
        #expect(client.send(Message(pattern(0x2000)), 0, naming.attributes) == .portMessageTooLong)
        #expect(listener.poll() == .timeout)
    }

    @Test func `A context lives through a failed send`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (_, _, client) = try stage(scene)
        let context = create(client, Quality(2)).context
        #expect(client.send(Message(pattern(0x2000)), 0, Naming(context, flags: 0x10000).attributes) == .portMessageTooLong)
        #expect(delete(client, context) == .success)
    }

    @Test func `Contexts that many threads make, use and delete`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try stage(scene)
        let shared = create(client, Quality(2)).context
        let server = Background { () -> Int in
            var seen = 0
            let got = Attributes()
            while true {
                let message = Message(room: 256)
                guard listener.receive(message, got) == .success else { return seen }
                if message.kind == 5 { return seen }
                if message.kind == 1 {
                    if got.valid & Self.security != 0, listener.impersonate(message).status == .success { seen += 1 }
                    _ = listener.datagram(Message(answering: message))
                }
            }
        }
        onThreads(4) { _ in
            for round in 0 ..< 200 {
                let own = create(client, Quality(UInt32(1 + round % 3)))
                #expect(own.status == .success)
                #expect(client.send("question", 0, Naming(own.context).attributes) == .success)
                #expect(client.send("question", 0, Naming(shared).attributes) == .success)
                #expect(delete(client, own.context) == .success)
                while client.poll(Message(room: 256)) == .success {}
            }
        }
        #expect(scene.close(client) == .success)
        #expect(server.result > 0)
    }
}
