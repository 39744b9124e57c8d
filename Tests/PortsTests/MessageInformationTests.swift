// Questions about a message and the TOKEN attribute: J-08 to J-13, D-34, H-31, H-32 of the scenarios.

import CNTTypes
import Glibc
import NTTypes
import Testing

@Suite(.guarded) struct MessageInformationTests {
    private struct Answer: Equatable {
        var status: NTStatus
        /// What was written, by the length that was returned.
        var bytes: [UInt8] = []
        var length: ULONG = 0xA5A5_A5A5
    }

    /// NtAlpcQueryInformationMessage with a buffer of `count` bytes; nothing behind the answer may change.
    private func ask(_ port: Port, _ message: Message?, _ kind: UInt32, _ count: Int, room: Bool = true) -> Answer {
        var answer = Answer(status: .success)
        var buffer = [UInt8](repeating: Message.marker, count: count + 64)
        if kind == 3 { buffer.replaceSubrange(0 ..< 4, with: [0, 0, 0, 0]) }
        let before = buffer
        answer.status = buffer.withUnsafeMutableBytes {
            status(NtAlpcQueryInformationMessage(port.handle, message?.pointer, ALPC_MESSAGE_INFORMATION_CLASS(rawValue: kind), room ? $0.baseAddress : nil,
                                                 ULONG(count), &answer.length))
        }
        let written = answer.status == .success ? Int(answer.length) : 0
        #expect(buffer[written...] == before[written...])
        answer.bytes = Array(buffer.prefix(written))
        return answer
    }

    private func held(_ scene: Scene, _ client: ALPC_PORT_ATTRIBUTES? = usual(flags: 0)) throws -> (listener: Port, server: Port, client: Port, request: Message, call: Background<NTStatus>) {
        let (listener, server, client) = try scene.connected(client: client)
        let call = Background { client.request("question", Message(room: 256)) }
        return (listener, server, client, try listener.take(), call)
    }

    /// S-1-5-18 for root.
    private static var shownSID: [UInt8] { geteuid() == 0 ? sid(authority: 5, 18) : ownSID }

    @Test func `J-08 J-09 The SID of the sender, whole or not at all`() throws {
        let scene = Scene()
        defer { scene.end() }
        let held = try held(scene)
        #expect(held.client.send("asynchronous") == .success)
        let asynchronous = try held.listener.take()
        let size = Self.shownSID.count
        for message in [held.request, asynchronous, Message(id: held.request.id)] {
            for port in [held.listener, held.server] {
                for count in [size, size + 1, 68, 4096] {
                    #expect(ask(port, message, 0, count) == Answer(status: .success, bytes: Self.shownSID, length: ULONG(size)))
                }
                for count in [0, 4, size - 1] {
                    #expect(ask(port, message, 0, count) == Answer(status: .bufferTooSmall, length: ULONG(size)))
                    #expect(ask(port, message, 0, count, room: false) == Answer(status: .bufferTooSmall, length: ULONG(size)))
                }
                #expect(ask(port, message, 0, 68, room: false).status == .accessViolation)
            }
        }
        #expect(held.listener.datagram(Message(answering: held.request)) == .success)
        #expect(held.call.result == .success)
        for kind in [0, 1, 3] as [UInt32] { #expect(ask(held.listener, held.request, kind, 68).status == .invalidMessage) }
    }

    @Test func `J-10 The modified id has eight bytes and is the sender's`() throws {
        let scene = Scene()
        defer { scene.end() }
        let held = try held(scene)
        let first = ask(held.listener, held.request, 1, 8)
        #expect(first.status == .success && first.length == 8)
        #expect(ask(held.server, held.request, 1, 100) == first)
        for count in [0, 7] { #expect(ask(held.listener, held.request, 1, count) == Answer(status: .bufferTooSmall, length: 8)) }
        #expect(held.listener.datagram(Message(answering: held.request)) == .success)
        #expect(held.call.result == .success)
        let peer = try Peer()
        peer.tell("connectas K 0 2 1 \(scene.name)")
        let other = ask(held.listener, try held.listener.take(), 1, 8)
        #expect(other.status == .success && other.bytes != first.bytes)
    }

    @Test func `J-11 J-12 Order of the checks, and the two forms of the header`() throws {
        let scene = Scene()
        defer { scene.end() }
        let event = scene.event(), closed = Port(handle: scene.closedHandle())
        for port in [event, closed] {
            #expect(ask(port, nil, 0, 68).status == .accessViolation)
            #expect(ask(port, Message(id: 0), 0, 68).status == .invalidParameter)
            #expect(ask(port, Message(type: 0x1000, id: 1), 0, 68).status == .invalidParameter)
            #expect(ask(port, Message(id: 1), 4, 68).status == .invalidInfoClass)
        }
        for kind in [0, 1, 3] as [UInt32] {
            #expect(ask(event, Message(id: 1), kind, 68).status == .objectTypeMismatch)
            #expect(ask(closed, Message(id: 1), kind, 68).status == .invalidHandle)
        }
        let held = try held(scene)
        let narrow = Message(type: 0x1000, id: 0)
        narrow.thread = UInt64(held.request.id)
        #expect(ask(held.listener, narrow, 0, 68).bytes == Self.shownSID)
        for kind in [4, 5, 0x7FFF_FFFF, 0xFFFF_FFFF] as [UInt32] { #expect(ask(held.listener, held.request, kind, 68).status == .invalidInfoClass) }
        #expect(held.listener.datagram(Message(answering: held.request)) == .success)
        #expect(held.call.result == .success)
    }

    @Test func `Messages that are not here`() throws {
        let scene = Scene()
        defer { scene.end() }
        let held = try held(scene)
        let (otherServer, _) = try scene.client(held.listener)
        for kind in [0, 1, 3] as [UInt32] {
            #expect(ask(held.listener, Message(id: 0xDEADBEEF), kind, 68).status == .invalidMessage)
            #expect(ask(otherServer, held.request, kind, 68).status == .accessDenied)
            // The client's own request is the server's to be asked about.
            #expect(ask(held.client, held.request, kind, 68).status == .accessDenied)
        }
        #expect(scene.close(held.client) == .success)
        for kind in [0, 1, 3] as [UInt32] { #expect(ask(held.listener, held.request, kind, 68).status == .requestCanceled) }
        _ = held.call.result
    }

    @Test func `J-13 The direct status is the answer`() throws {
        let scene = Scene()
        defer { scene.end() }
        let held = try held(scene)
        func direct(_ port: Port, _ message: Message) -> NTStatus {
            status(NtAlpcQueryInformationMessage(port.handle, message.pointer, AlpcMessageDirectStatusInformation, nil, 0, nil))
        }
        #expect(direct(held.listener, held.request) == .pending)
        #expect(direct(held.server, held.request) == .pending)
        #expect(ask(held.listener, held.request, 2, 0, room: false).status == .invalidParameter)     // a ReturnLength
        var byte: UInt8 = 0
        #expect(status(NtAlpcQueryInformationMessage(held.listener.handle, held.request.pointer, AlpcMessageDirectStatusInformation, &byte, 0, nil)) == .invalidParameter)
        #expect(status(NtAlpcQueryInformationMessage(held.listener.handle, held.request.pointer, AlpcMessageDirectStatusInformation, nil, 1, nil)) == .invalidParameter)
        #expect(direct(held.listener, Message(id: 0xDEADBEEF)) == .invalidMessage)
        #expect(direct(scene.event(), held.request) == .objectTypeMismatch)
        #expect(held.listener.datagram(Message(answering: held.request)) == .success)
        #expect(held.call.result == .success)
        #expect(direct(held.listener, held.request) == .invalidMessage)
        // The sender asks about what it sent.
        let (_, other) = try scene.client(held.listener)
        let sent: Message = "asynchronous"
        #expect(held.client.send(sent) == .success)
        #expect(direct(held.client, sent) == .pending)
        #expect(direct(other, sent) == .accessDenied)
        let request = try held.listener.take()
        #expect(held.listener.datagram(Message(answering: request)) == .success)
        #expect(held.client.wait(0) != .objectTypeMismatch)
        let reply = try held.client.take()
        #expect(reply.kind == 2)
        #expect(direct(held.client, sent) == .invalidMessage)
    }

    @Test func `A message without handles has none to ask for`() throws {
        let scene = Scene()
        defer { scene.end() }
        let held = try held(scene)
        #expect(ask(held.listener, held.request, 3, 20) == Answer(status: .invalidHandle))
        for count in [4, 19] { #expect(ask(held.listener, held.request, 3, count) == Answer(status: .bufferTooSmall, length: 20)) }
        #expect(ask(held.listener, held.request, 3, 20, room: false).status == .accessViolation)
        #expect(held.listener.datagram(Message(answering: held.request)) == .success)
        #expect(held.call.result == .success)
    }

    @Test(.enabled(if: geteuid() == 0, "needs root, to become another user"))
    func `Another user's SID is the kernel's word`() throws {
        admitStrangers()
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create(admitting: [sid(authority: 1, 0)])
        let peer = try Peer(wrapper: stranger)
        peer.tell("connectas K 0 0 1 \(scene.name)")
        #expect(ask(listener, try listener.take(), 0, 68).bytes == sid(authority: 22, 1, 12345))
    }

    // MARK: TOKEN

    private static let token: UInt32 = 0x0800_0000

    private func token(_ attributes: Attributes) -> ALPC_TOKEN_ATTR { AlpcGetMessageAttribute(attributes.pointer, Self.token)!.load(as: ALPC_TOKEN_ATTR.self) }

    private func number(_ luid: LUID) -> UInt64 { UInt64(UInt32(bitPattern: luid.HighPart)) << 32 | UInt64(luid.LowPart) }

    @Test func `D-34 A connection request has a token and nothing else`() throws {
        for flags in [0, 0x10000] as [UInt32] {
            let scene = Scene()
            defer { scene.end() }
            let listener = try scene.create()
            _ = try scene.pending(ConnectOptions(attributes: attributes(flags)))
            let got = Attributes()
            let request = try listener.take(got)
            #expect(request.kind == 10 && got.valid == Self.token)
            let modified = ask(listener, request, 1, 8).bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
            #expect(number(token(got).ModifiedId) == modified && number(token(got).TokenId) != 0)
            if geteuid() == 0 { #expect(number(token(got).AuthenticationId) == 0x3E7) }
        }
    }

    @Test func `H-31 Who gives its token away with which message`() throws {
        for (flags, level, dynamic, sync, asynchronous) in [
            (0x10000, 2, false, true, true), (0x10000, 2, true, true, false), (0x10000, 1, false, true, true), (0x10000, 0, false, false, false),
            (0, 2, false, false, false), (0, 2, true, false, false),
        ] as [(UInt32, UInt32, Bool, Bool, Bool)] {
            let scene = Scene()
            defer { scene.end() }
            let listener = try scene.create()
            let (_, client) = try scene.client(listener, attributes(flags, level: level, dynamic: dynamic))
            let got = Attributes(), call = Background { client.request("question", Message(room: 256)) }
            let request = try listener.take(got)
            #expect(got.valid == 0x2000_0000 | (sync ? Self.token : 0), "\(flags) \(level) \(dynamic)")
            #expect(listener.datagram(Message(answering: request)) == .success)
            #expect(call.result == .success)
            #expect(client.send("question") == .success)
            let other = try listener.take(got)
            #expect(got.valid == 0x2000_0000 | (asynchronous ? Self.token : 0))
            if asynchronous {
                #expect(number(token(got).ModifiedId) == ask(listener, other, 1, 8).bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) })
            }
            #expect(client.datagram("news") == .success)
            _ = try listener.take(got)
            #expect(got.valid == 0x2000_0000 | (asynchronous ? Self.token : 0))
            // The end of a client has a context and no token.
            #expect(scene.close(client) == .success)
            let notice = try listener.take(got)
            #expect([5, 12].contains(notice.kind) && got.valid == 0x2000_0000)
        }
    }

    @Test func `H-32 A reply and a server's question have no token`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected(client: attributes(0x30000, dynamic: false))
        let got = Attributes(), answer = Message(room: 256)
        let call = Background { client.request("question", answer, got: got) }
        #expect(listener.datagram(Message(answering: try listener.take())) == .success)
        #expect(call.result == .success)
        #expect(got.valid == 0x2000_0000)
        #expect(server.send("question") == .success)
        _ = try client.take(got)
        #expect(got.valid == 0x2000_0000)
    }

    @Test func `A completion list has tokens too`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let list = ListMemory()
        #expect(list.register(listener, attributes: Self.token | 0x2000_0000) == .success)
        _ = try scene.pending(ConnectOptions(attributes: attributes(0x10000, dynamic: false)))
        func next() -> (message: Message, valid: UInt32, modified: UInt64) {
            var found: UnsafeMutableRawPointer?, attributes: PALPC_MESSAGE_ATTRIBUTES?
            eventually {
                found = AlpcGetMessageFromCompletionList(list.base, &attributes).map { UnsafeMutableRawPointer($0) }
                return found != nil
            }
            defer { list.free(found) }
            let token = AlpcGetMessageAttribute(attributes, Self.token)!.load(as: ALPC_TOKEN_ATTR.self)
            return (ListMemory.copy(found!), attributes!.pointee.ValidAttributes, number(token.ModifiedId))
        }
        let request = next()
        #expect(request.message.kind == 10 && request.valid == Self.token)
        #expect(request.modified == ask(listener, request.message, 1, 8).bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) })
        #expect(accept(listener, Message(answering: request.message), accepts: false).status == .success)
    }

    @Test func `A token for which there is no room is not written`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected(client: attributes(0x10000, dynamic: false))
        #expect(client.send("question") == .success)
        let got = Attributes(0xF000_0000)
        _ = try listener.take(got)
        #expect(got.valid == 0x2000_0000)
    }
}
