// Resource reserves: I-13 to I-20 of the scenarios.

import CNTTypes
import Glibc
import NTTypes
import Ports
import Synchronization
import Testing

extension Port {
    /// NtAlpcCreateResourceReserve; nil when it fails.
    func reserve(_ size: SIZE_T = 0x100) -> UInt32? {
        var id: ULONG = 0
        return status(NtAlpcCreateResourceReserve(handle, 0, size, &id)) == .success ? id : nil
    }

    func deleteReserve(_ id: UInt32) -> NTStatus { status(NtAlpcDeleteResourceReserve(handle, 0, id)) }
}

@Suite(.guarded) struct ReserveTests {
    @Test func `I-13 I-14 I-15 A reserve has an id with bit 31 and a size within limits`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected()
        for port in [listener, server, client] {
            var id: (ULONG, ULONG) = (0x5A5A_5A5A, 0x5A5A_5A5A)
            func create(_ size: SIZE_T, _ flags: ULONG = 0) -> NTStatus {
                withUnsafeMutablePointer(to: &id.0) { status(NtAlpcCreateResourceReserve(port.handle, flags, size, $0)) }
            }
            for size in [0, 1, 23, 24, 39] as [SIZE_T] { #expect(create(size) == .invalidParameter, "\(size)") }
            for size in [0xFFD8, 0x10000, .max] as [SIZE_T] { #expect(create(size) == .bufferOverflow, "\(size)") }
            for flags in [1, 2, 0x8000_0000] as [ULONG] { #expect(create(0x100, flags) == .invalidParameter, "\(flags)") }
            #expect(id.0 == 0x5A5A_5A5A)
            var seen: Set<UInt32> = []
            for size in [40, 41, 0x100, 0xFFD7] as [SIZE_T] {
                #expect(create(size) == .success, "\(size)")
                #expect(id.0 & 0x8000_0000 != 0 && id.1 == 0x5A5A_5A5A)
                seen.insert(id.0)
            }
            #expect(seen.count == 4)
            for id in seen { #expect(port.deleteReserve(id) == .success) }
        }
    }

    @Test func `Flags and sizes are looked at first, then the memory, then the handle`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create(), event = scene.event(), memory = BadMemory()
        var id: ULONG = 7
        #expect(status(NtAlpcCreateResourceReserve(scene.closedHandle(), 1, 0x100, nil)) == .invalidParameter)
        #expect(status(NtAlpcCreateResourceReserve(scene.closedHandle(), 0, 39, nil)) == .invalidParameter)
        #expect(status(NtAlpcCreateResourceReserve(scene.closedHandle(), 0, 0x100, nil)) == .accessViolation)
        #expect(status(NtAlpcCreateResourceReserve(scene.closedHandle(), 0, 0x100, &id)) == .invalidHandle)
        #expect(status(NtAlpcCreateResourceReserve(event.handle, 0, 0x100, &id)) == .objectTypeMismatch)
        #expect(status(NtAlpcDeleteResourceReserve(scene.closedHandle(), 1, 0)) == .invalidParameter)
        #expect(status(NtAlpcDeleteResourceReserve(scene.closedHandle(), 0, 0)) == .invalidHandle)
        #expect(status(NtAlpcDeleteResourceReserve(event.handle, 0, 0)) == .objectTypeMismatch)
        for pointer in memory.all {
            #expect(status(NtAlpcCreateResourceReserve(listener.handle, 0, 0x100, pointer.assumingMemoryBound(to: ULONG.self))) == .accessViolation)
        }
        #expect(id == 7)
    }

    @Test func `I-16 I-17 I-18 A reserve is in use while its message lives`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let reserve = try #require(client.reserve())
        func exchange(release: Bool) throws -> Message {
            let answer = Message(room: 256)
            let call = Background { client.request(Message([1, 2, 3], id: reserve), answer) }
            let request = try listener.take()
            #expect(request.id & 0x8000_0000 == 0 && request.id != 0 && request.payload == [1, 2, 3])
            #expect(client.send(Message([4], id: reserve)) == .resourceInUse)
            #expect(client.datagram(Message([4], id: reserve)) == .resourceInUse)
            #expect(listener.send(Message(answering: request, [9]), release ? 0x10000 : 0) == .success)
            #expect(call.result == .success)
            #expect(answer.id == request.id && answer.payload == [9])
            return answer
        }
        for _ in 0 ..< 3 { _ = try exchange(release: true) }
        let alive = try exchange(release: false)
        #expect(client.request(Message([1], id: reserve), Message(room: 256)) == .resourceInUse)
        // The message ends with its last answer.
        #expect(client.datagram(Message(answering: alive)) == .success)
        _ = try listener.take()
        _ = try exchange(release: true)
    }

    @Test func `An asynchronous message holds its reserve until its answer is received`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let reserve = try #require(client.reserve())
        let sent = Message([1], id: reserve)
        #expect(client.send(sent) == .success)
        #expect(sent.id != reserve && sent.id & 0x8000_0000 == 0, "the message's own id is written back")
        #expect(client.send(Message([1], id: reserve)) == .resourceInUse)
        let request = try listener.take()
        #expect(request.id == sent.id)
        #expect(listener.datagram(Message(answering: request)) == .success)
        #expect(client.send(Message([1], id: reserve)) == .resourceInUse)
        #expect(try client.take().kind == 2)
        // A datagram is gone once it is sent.
        for _ in 0 ..< 3 {
            #expect(client.datagram(Message([2], id: reserve)) == .success)
            #expect(try listener.take().type == 3)
        }
    }

    @Test func `A message that is cancelled, given up or lost gives its reserve back`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let reserve = try #require(client.reserve())
        // Its time is over.
        #expect(client.request(Message([1], id: reserve), Message(room: 256), timeout: after(milliseconds: 20)) == .timeout)
        // Its sender cancels it.
        let sent = Message([1], id: reserve)
        #expect(client.send(sent) == .success)
        #expect(client.cancel(sent.id) == .pending)
        #expect(try listener.take().type == 12)
        // Its receiver cancels it.
        let other = Message([1], id: reserve)
        #expect(client.send(other) == .success)
        #expect(listener.cancel(try listener.take().id) == .messageRetrieved)
        #expect(try client.take().type == 12)
        let call = Background { client.request(Message([1], id: reserve), Message(room: 256)) }
        #expect(listener.cancel(try listener.take().id) == .pending)
        #expect(call.result == .messageLost)
        // A hop that ends.
        let hop = Message([1], id: reserve)
        #expect(client.send(hop) == .success)
        #expect(listener.send(Message(answering: try listener.take())) == .success)
        let answer = try client.take()
        #expect(client.send(Message([1], id: reserve)) == .resourceInUse)
        let next = Background { client.request(Message(answering: answer, [5]), Message(room: 256)) }
        let back = try listener.take()
        #expect(client.send(Message([1], id: reserve)) == .resourceInUse)
        #expect(listener.datagram(Message(answering: back)) == .success)
        #expect(next.result == .success)
        #expect(client.send(Message([1], id: reserve)) == .success)
    }

    @Test func `The thread that ends in its call leaves its reserve free`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let reserve = try #require(client.reserve())
        let call = Background { () -> NTStatus in
            pthread_setcanceltype(Int32(PTHREAD_CANCEL_ASYNCHRONOUS), nil)
            return client.request(Message([1], id: reserve), Message(room: 256))
        }
        _ = try listener.take()
        settle()
        call.kill()
        #expect(client.datagram(Message([1], id: reserve)) == .success)
    }

    @Test func `A server's question may use a reserve of its port`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected(client: usual(flags: 0x20000))
        let reserve = try #require(server.reserve())
        #expect(listener.send(Message([1], id: reserve)) == .objectidNotFound)
        #expect(server.send(Message([1], id: reserve)) == .success)
        #expect(server.send(Message([1], id: reserve)) == .resourceInUse)
        #expect(client.datagram(Message(answering: try client.take())) == .success)
        #expect(try listener.take().kind == 2)
        let call = Background { server.request(Message([1], id: reserve), Message(room: 256)) }
        let question = try client.take()
        #expect(server.send(Message([1], id: reserve)) == .resourceInUse)
        #expect(client.datagram(Message(answering: question)) == .success)
        #expect(call.result == .success)
        #expect(server.datagram(Message([1], id: reserve)) == .success)
    }

    @Test func `I-19 I-20 Unknown reserves are not found, deleted ones are no handles`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        for id in [0x8000_0F00, 0x8000_0000, 0xFFFF_FFFF] as [UInt32] {
            #expect(client.send(Message([1], id: id)) == .objectidNotFound)
            #expect(client.datagram(Message([1], id: id)) == .objectidNotFound)
            #expect(client.request(Message([1], id: id), Message(room: 256)) == .objectidNotFound)
            #expect(client.deleteReserve(id) == .invalidHandle)
        }
        let reserve = try #require(client.reserve())
        #expect(listener.deleteReserve(reserve) == .invalidHandle, "another port's")
        #expect(client.deleteReserve(reserve & 0x7FFF_FFFF) == .invalidHandle)
        #expect(client.deleteReserve(reserve) == .success)
        #expect(client.deleteReserve(reserve) == .invalidHandle)
        #expect(client.send(Message([1], id: reserve)) == .objectidNotFound)
        // The place is used again, the id is not.
        let next = try #require(client.reserve())
        #expect(next != reserve)
        #expect(client.send(Message([1], id: reserve)) == .objectidNotFound)
        #expect(client.send(Message([1], id: next)) == .success)
    }

    @Test func `Messages above a reserve's size, with a reply's type, or on a port that cannot send leave it free`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.connected()
        let reserve = try #require(client.reserve(40))
        #expect(client.send(Message(pattern(41), id: reserve)) == .portMessageTooLong)
        #expect(client.send(Message([1], type: 2, id: reserve)) == .lpcRequestsNotAllowed)
        #expect(client.send(Message(pattern(40), id: reserve)) == .success)
        let ofListener = try #require(listener.reserve())
        #expect(listener.send(Message([1], id: ofListener)) == .lpcInvalidConnectionUsage)
        #expect(listener.send(Message([1], id: ofListener)) == .lpcInvalidConnectionUsage)
        let large = try #require(client.reserve(0xFFD7))
        #expect(client.send(Message(pattern(0x1001), id: large)) == .portMessageTooLong, "the port's limit")
        #expect(scene.close(server) == .success)
        #expect(client.send(Message([1], id: large)) == .portDisconnected)
        #expect(client.send(Message([1], id: large)) == .portDisconnected)
    }

    @Test func `A deleted reserve's message lives on`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let reserve = try #require(client.reserve())
        let answer = Message(room: 256)
        let call = Background { client.request(Message([1], id: reserve), answer) }
        let request = try listener.take()
        #expect(client.deleteReserve(reserve) == .success)
        #expect(listener.datagram(Message(answering: request, [2])) == .success)
        #expect(call.result == .success)
        #expect(answer.payload == [2])
    }

    @Test func `A port has so many reserves and no more, and they end with it`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (_, _, client) = try scene.connected()
        var ids: [UInt32] = []
        while let id = client.reserve() { ids.append(id) }
        #expect(ids.count == 4096 && Set(ids).count == ids.count)
        var id: ULONG = 0
        #expect(status(NtAlpcCreateResourceReserve(client.handle, 0, 40, &id)) == .insufficientResources)
        #expect(client.deleteReserve(ids[100]) == .success)
        #expect(client.reserve() != nil)
        #expect(scene.close(client) == .success)
    }

    @Test func `Race: deleting a reserve against sends with it`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        for round in 0 ..< 500 {
            let reserve = try #require(client.reserve())
            let go = Atomic<Bool>(false)
            let sends = (0 ..< 2).map { _ in
                Background { () -> NTStatus in
                    while !go.load(ordering: .acquiring) {}
                    return client.send(Message([1], id: reserve))
                }
            }
            let delete = Background { () -> NTStatus in
                while !go.load(ordering: .acquiring) {}
                return client.deleteReserve(reserve)
            }
            go.store(true, ordering: .releasing)
            let outcomes = sends.map(\.result)
            #expect(delete.result == .success, "round \(round)")
            let sent = outcomes.filter { $0 == .success }.count
            #expect(sent <= 1 && outcomes.allSatisfy { [.success, .resourceInUse, .objectidNotFound].contains($0) }, "round \(round): \(outcomes)")
            for _ in 0 ..< sent { #expect(listener.datagram(Message(answering: try listener.take())) == .success) }
            for _ in 0 ..< sent { #expect(try client.take().kind == 2) }
        }
    }
}
