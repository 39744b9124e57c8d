// Clients that lie about who they are or what they allow.

import CNTTypes
import CWireFormat
import Glibc
import NTTypes
import Testing

@Suite(.guarded) struct HostileIdentityTests {
    @Test(arguments: [4, 5, UInt32.max] as [UInt32]) func `A level that does not exist ends the link`(level: UInt32) throws {
        try refuse { $0.impersonation_level = level }
    }

    @Test func `A tracking mode and a Boolean that do not exist end the link`() throws {
        try refuse { $0.context_tracking = 2 }
        try refuse { $0.effective_only = 2 }
        try refuse { $0.context_tracking = UInt32.max }
    }

    private func refuse(_ spoil: (inout ntlpc_connect) -> Void) throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create(usual(flags: 0x30000))
        let client = try RawClient(scene.name)
        var terms = RawClient.goodTerms
        spoil(&terms)
        client.connect(terms)
        #expect(listener.poll() == .timeout)
        eventually { client.isCutOff }
        // The port serves others.
        _ = try scene.client(listener)
    }

    /// A connection of a raw client, and its server.
    private func connected(_ scene: Scene, _ hello: (inout ntlpc_control) -> Void = { _ in }) throws -> (client: RawClient, listener: Port, server: Port, request: Message) {
        let listener = try scene.create(usual(flags: 0x30000))
        let client = try RawClient(scene.name, hello)
        client.connect()
        let request = try listener.take()
        #expect(request.kind == 10)
        return (client, listener, scene.keep(accept(listener, Message(answering: request)).port), request)
    }

    @Test func `A context is what it says, or the link ends`() throws {
        let good: UInt32 = 0x8000_0000
        for (attributes, context, qos, isGood) in [
            (good, 4, 0x12, true), (good, 0xFFFF_FFFF, 0x33, true), (good, 0, 0x12, false), (good, 4, 0x40, false), (good, 4, 0x4, false),
            (good, 4, 0x8000_0002, false), (0, 4, 0x12, false), (0, 4, 0, false), (0x0200_0000, 4, 0x12, false), (0x2000_0000, 0, 0, false),
            (0x0800_0000, 0, 0, false), (0x0400_0000, 0, 0, false), (1, 0, 0, false),
        ] as [(UInt32, UInt32, UInt32, Bool)] {
            let scene = Scene()
            defer { scene.end() }
            let (client, listener, server, _) = try connected(scene)
            var head = ntlpc_attached()
            head.attributes = attributes
            head.context = context
            head.qos = qos
            client.request(head)
            let got = Attributes()
            if isGood {
                let message = try server.take(got)
                #expect(message.payload == [1, 2, 3] && got.valid & good != 0)
                #expect(listener.impersonate(message).client?.level == qos & 3)
            } else {
                eventually { listener.poll(Message(room: 256), got) != .timeout || client.isCutOff }
                eventually { client.isCutOff }
            }
        }
    }

    @Test func `A process id in the hello is not believed`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (client, listener, _, request) = try connected(scene) { $0.nt_process = 1 }
        #expect(request.process == UInt64(getpid()))
        #expect(listener.openSender(request, thread: false).status != .success)     // answered
        client.request(plain)
        let message = try listener.take()
        #expect(listener.openSender(message, thread: false).opened?.process == UInt64(getpid()))
        #expect(listener.impersonate(message).client == .own())
    }

    @Test func `A client that says it lives in Wine is the process that the kernel knows`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (client, listener, _, request) = try connected(scene) {
            $0.world = 2
            $0.session = 77
            $0.nt_process = 0x1234
        }
        // Programs see Wine's number; what is opened is the kernel's process. Its threads have numbers that mean nothing here.
        #expect(request.process == 0x1234)
        client.request(plain)
        let message = try listener.take()
        #expect(listener.openSender(message, thread: false).opened?.process == UInt64(getpid()))
        #expect(listener.openSender(message, thread: true).status == .accessDenied)
        #expect(listener.impersonate(message).client == .own())
    }

    /// A WORK_ON_BEHALF attribute and nothing else.
    private var plain: ntlpc_attached {
        var head = ntlpc_attached()
        head.attributes = 0x0200_0000
        head.ticket = 7
        return head
    }
}
