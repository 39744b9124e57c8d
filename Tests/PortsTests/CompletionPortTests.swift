// Ports and completion ports: scenarios K-11 to K-16 by the calls.

import CNTTypes
import Glibc
import NTTypes
import Synchronization
import Testing

/// A completion port.
struct CompletionPort: @unchecked Sendable {
    let handle: HANDLE?

    init() {
        var made: HANDLE?
        #expect(status(NtCreateIoCompletion(&made, 0x1F0003, nil, 0)) == .success)
        handle = made
    }

    struct Packet: Equatable {
        var key: UInt, apc: UInt, status: NTSTATUS, information: UInt
    }

    /// The next packet, nil when none comes in time.
    func next(_ timeout: Int64 = guardTime) -> Packet? {
        var key: PVOID?, apc: PVOID?, block = IO_STATUS_BLOCK(), time = LARGE_INTEGER()
        time.QuadPart = timeout
        guard status(NtRemoveIoCompletion(handle, &key, &apc, &block, &time)) == .success else { return nil }
        return Packet(key: UInt(bitPattern: key), apc: UInt(bitPattern: apc), status: block.Status, information: UInt(block.Information))
    }

    /// Associates a port.
    func associate(_ port: Port, key: UInt) -> NTStatus {
        var association = ALPC_PORT_ASSOCIATE_COMPLETION_PORT(CompletionKey: PVOID(bitPattern: key), CompletionPort: handle)
        return status(NtAlpcSetInformation(port.handle, AlpcAssociateCompletionPortInformation, &association, 16))
    }

    func close() { #expect(status(NtClose(handle)) == .success) }
}

@Suite(.guarded) struct CompletionPortTests {
    @Test func `K-11 K-16 One packet for a connection request, with the key and nothing else`() throws {
        let scene = Scene()
        defer { scene.end() }
        let completion = CompletionPort()
        defer { completion.close() }
        let listener = try scene.create()
        #expect(completion.associate(listener, key: 0x1234) == .success)
        #expect(completion.next(0) == nil)
        _ = try scene.pending()
        #expect(completion.next() == CompletionPort.Packet(key: 0x1234, apc: 0, status: 0, information: 0))
        #expect(completion.next(after(milliseconds: 50)) == nil)
        #expect(try listener.take().kind == 10)
    }

    @Test func `K-12 A second association is refused, whatever port it names`() throws {
        let scene = Scene()
        defer { scene.end() }
        let completion = CompletionPort(), other = CompletionPort()
        defer { completion.close(); other.close() }
        let listener = try scene.create()
        #expect(completion.associate(listener, key: 1) == .success)
        #expect(completion.associate(listener, key: 1) == .portAlreadySet)
        #expect(other.associate(listener, key: 2) == .portAlreadySet)
    }

    @Test func `Handles that are no completion port's are refused`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        func associate(_ handle: HANDLE?) -> NTStatus {
            var association = ALPC_PORT_ASSOCIATE_COMPLETION_PORT(CompletionKey: nil, CompletionPort: handle)
            return status(NtAlpcSetInformation(listener.handle, AlpcAssociateCompletionPortInformation, &association, 16))
        }
        #expect(associate(scene.event().handle) == .objectTypeMismatch)
        #expect(associate(listener.handle) == .objectTypeMismatch)
        #expect(associate(scene.closedHandle()) == .invalidHandle)
        let completion = CompletionPort()
        #expect(completion.associate(Port(handle: completion.handle), key: 0) == .objectTypeMismatch)
        #expect(completion.associate(listener, key: 0) == .success)
        completion.close()
    }

    @Test func `K-14 Messages that were queued give their packets at the association`() throws {
        let scene = Scene()
        defer { scene.end() }
        let completion = CompletionPort()
        defer { completion.close() }
        let (listener, _, client) = try scene.connected()
        #expect(client.datagram("1") == .success && client.datagram("2") == .success)
        #expect(completion.associate(listener, key: 7) == .success)
        #expect(completion.next()?.key == 7 && completion.next()?.key == 7)
        #expect(completion.next(after(milliseconds: 30)) == nil)
    }

    @Test func `The completion port lives as long as a port posts to it`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let completion = CompletionPort()
        var second: HANDLE?
        #expect(status(NtDuplicateObject(HANDLE(bitPattern: -1), completion.handle, HANDLE(bitPattern: -1), &second, 0, 0, 2)) == .success)
        #expect(completion.associate(listener, key: 1) == .success)
        completion.close()
        #expect(client.datagram("x") == .success)
        var key: PVOID?, apc: PVOID?, block = IO_STATUS_BLOCK()
        #expect(status(NtRemoveIoCompletion(second, &key, &apc, &block, nil)) == .success && UInt(bitPattern: key) == 1)
        #expect(status(NtClose(second)) == .success)
        #expect(client.datagram("y") == .success)
        #expect(try listener.take().text == "x")
        #expect(try listener.take().text == "y")
    }

    @Test func `A server serves two ports of another process by packets alone`() throws {
        let scene = Scene()
        defer { scene.end() }
        let completion = CompletionPort()
        defer { completion.close() }
        let listener = try scene.create()
        #expect(completion.associate(listener, key: 3) == .success)
        let peers = try (0 ..< 2).map { _ in try Peer() }
        for peer in peers { peer.tell("connect K sync \(scene.name)") }
        let accepted = Atomic<Int>(0), served = Atomic<Int>(0)
        let server = Background {
            while served.load(ordering: .sequentiallyConsistent) < 20 {
                guard completion.next()?.key == 3 else { break }
                let message = Message(room: 0x1100)
                // One packet, one message; more would be somebody else's.
                guard listener.poll(message) == .success else { continue }
                switch message.kind {
                case 10:
                    let made = accept(listener, Message(answering: message))
                    #expect(made.status == .success)
                    scene.keep(made.port)
                    accepted.wrappingAdd(1, ordering: .sequentiallyConsistent)
                case 1:
                    #expect(listener.send(Message(answering: message, message.payload), 0x10000) == .success)
                    served.wrappingAdd(1, ordering: .sequentiallyConsistent)
                default: break
                }
            }
        }
        for peer in peers { #expect(peer.answer() == "STATUS_SUCCESS") }
        for number in 0 ..< 10 {
            for peer in peers { #expect(peer.call("request K 60000 number \(number)").contains("number \(number)")) }
        }
        server.result
        #expect(accepted.load(ordering: .sequentiallyConsistent) == 2)
    }

    @Test func `Ten thousand messages give ten thousand packets`() throws {
        let scene = Scene()
        defer { scene.end() }
        let completion = CompletionPort()
        defer { completion.close() }
        let (listener, _, client) = try scene.connected()
        #expect(completion.associate(listener, key: 9) == .success)
        let total = underThreadSanitizer || underAddressSanitizer ? 2000 : 10_000
        let sender = Background { for _ in 0 ..< total { #expect(client.datagram("x") == .success) } }
        for number in 0 ..< total {
            #expect(completion.next()?.key == 9, "\(number)")
            #expect(listener.poll() == .success, "\(number)")
        }
        sender.result
        #expect(completion.next(0) == nil && listener.poll() == .timeout)
    }
}
