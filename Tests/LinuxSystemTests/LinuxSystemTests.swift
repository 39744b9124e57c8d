// Descriptors, sockets, memory files, locks and clocks.

import CLinuxShims
import Glibc
import LinuxSystem
import Synchronization
import Testing

/// A pair of connected SEQPACKET sockets.
private func socketPair() throws -> (Descriptor, Descriptor) {
    var sockets: [Int32] = [0, 0]
    try #require(socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue), 0, &sockets) == 0)
    return (Descriptor(owning: ntlpc_move_high(sockets[0])), Descriptor(owning: ntlpc_move_high(sockets[1])))
}

private func thread(_ body: @escaping @Sendable () -> Void) -> () -> Void {
    final class Start {
        let body: () -> Void
        init(_ body: @escaping () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    pthread_create(&thread, nil, { @Sendable argument in
        Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue().body()
        return nil
    }, Unmanaged.passRetained(Start(body)).toOpaque())
    return { pthread_join(thread, nil) }
}

private func error(_ body: () throws(Errno) -> Void) -> Errno? {
    do throws(Errno) {
        try body()
        return nil
    } catch {
        return error
    }
}

/// The next message's length and descriptors; nil at the end.
private func receive(_ socket: Descriptor, room: Int = 64) throws(Errno) -> (count: Int, descriptors: [Descriptor])? {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: room, alignment: 8)
    defer { buffer.deallocate() }
    return try UnixSocket.receive(into: buffer, from: socket)
}

private func send(_ count: Int, _ descriptors: [Descriptor] = [], over socket: Descriptor) throws(Errno) {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 8)
    defer { buffer.deallocate() }
    buffer.initializeMemory(as: UInt8.self, repeating: 1)
    try UnixSocket.send(UnsafeRawBufferPointer(buffer), descriptors: descriptors, over: socket)
}

@Suite struct DescriptorTests {
    @Test func `Descriptors of the library are high and close on exec`() throws {
        for descriptor in [try EventFd.make(), try Epoll.make(), try socketPair().0] {
            #expect(descriptor.rawValue > 1023)
            #expect(fcntl(descriptor.rawValue, F_GETFD) & FD_CLOEXEC != 0)
        }
    }

    @Test func `A descriptor is closed with its last reference`() throws {
        var descriptor: Descriptor? = try EventFd.make()
        let number = try #require(descriptor?.rawValue)
        #expect(fcntl(number, F_GETFD) >= 0)
        descriptor = nil
        // Another test may open the number again; nobody can have it while it is open here.
        #expect(fcntl(number, F_GETFD) < 0 || number > 1023)
    }

    @Test func `Messages keep their bounds and carry descriptors`() throws {
        let (a, b) = try socketPair()
        let bell = try EventFd.make()
        try send(10, [bell, bell], over: a)
        try send(20, over: a)
        let first = try #require(try receive(b))
        #expect(first.count == 10 && first.descriptors.count == 2)
        #expect(first.descriptors.allSatisfy { $0.rawValue > 1023 && fcntl($0.rawValue, F_GETFD) & FD_CLOEXEC != 0 })
        let second = try #require(try receive(b))
        #expect(second.count == 20 && second.descriptors.isEmpty)
        #expect(error { () throws(Errno) in _ = try receive(b) } == .again)
        UnixSocket.shutDown(a)
        #expect(UnixSocket.hasHungUp(b))
        let end = try receive(b)
        #expect(end == nil)
    }

    @Test func `A message longer than the buffer is an error and its descriptors are closed`() throws {
        let (a, b) = try socketPair()
        try send(100, [try EventFd.make()], over: a)
        #expect(error { () throws(Errno) in _ = try receive(b, room: 10) } == Errno(rawValue: EMSGSIZE))
    }

    @Test func `A wait for a message ends at its deadline`() throws {
        let (c, d) = try socketPair()
        let begin = Clock.monotonic
        #expect(error { () throws(Errno) in try UnixSocket.waitReadable(d, deadline: begin + 20_000_000) } == .timedOut)
        #expect(Clock.monotonic - begin >= 20_000_000)
        withExtendedLifetime(c) {}
    }

    @Test func `The kernel says who the peer is`() throws {
        let (a, _) = try socketPair()
        let peer = try UnixSocket.credentials(of: a)
        #expect(peer.pid == getpid() && peer.uid == getuid() && peer.gid == getgid())
    }

    @Test func `An edge comes once for each kick`() throws {
        let epoll = try Epoll.make(), bell = try EventFd.make()
        try Epoll.add(bell, to: epoll, key: 42, edge: true)
        let ready = UnsafeMutableBufferPointer<ntlpc_ready>.allocate(capacity: 4)
        defer { ready.deallocate() }
        for _ in 0 ..< 3 {
            EventFd.kick(bell)
            #expect(try Epoll.wait(epoll, into: ready, deadline: 1) == 1)
            #expect(ready[0].key == 42)
            #expect(try Epoll.wait(epoll, into: ready, deadline: 1) == 0)
        }
        Epoll.remove(bell, from: epoll)
        EventFd.kick(bell)
        #expect(try Epoll.wait(epoll, into: ready, deadline: 1) == 0)
    }
}

@Suite struct SharedMemoryTests {
    @Test func `A memory file is shared, sealed and of its size`() throws {
        let (memory, file) = try SharedMemory.make(name: "ntlpc-test", count: 8192)
        let other = try SharedMemory.adopt(file, count: 8192)
        memory.base.storeBytes(of: 0x1234, as: UInt32.self)
        #expect(other.base.load(as: UInt32.self) == 0x1234)
        #expect(ftruncate(file.rawValue, 4096) != 0)
        #expect(ftruncate(file.rawValue, 16384) != 0)
        #expect(error { () throws(Errno) in _ = try SharedMemory.adopt(file, count: 4096) } == .badMessage)
    }

    @Test func `What is no sealed memory file is not mapped`() throws {
        let open = Descriptor(owning: ntlpc_memfd_create("ntlpc-test"))
        ftruncate(open.rawValue, 8192)
        #expect(error { () throws(Errno) in _ = try SharedMemory.adopt(open, count: 8192) } == .badMessage)
        let bell = try EventFd.make()
        #expect(error { () throws(Errno) in _ = try SharedMemory.adopt(bell, count: 8192) } == .badMessage)
    }
}

@Suite struct FutexLockTests {
    @Test func `One thread at a time is inside the lock`() {
        let lock = FutexLock(0)
        let joins = (0 ..< 8).map { _ in
            thread { for _ in 0 ..< 20_000 { lock.withLock { $0 += 1 } } }
        }
        for join in joins { join() }
        #expect(lock.withLock { $0 } == 160_000)
    }

    @Test func `A lock is free again after an error`() {
        struct Failure: Error {}
        let lock = FutexLock(1)
        #expect(throws: Failure.self) { try lock.withLock { _ throws(Failure) in throw Failure() } }
        #expect(lock.withLock { $0 } == 1)
    }

    @Test func `A wait ends by a wake, by another value and by its deadline`() {
        final class Word: Sendable { let value = Atomic<UInt32>(0) }
        let word = Word()
        let begin = Clock.monotonic
        Futex.wait(futexAddress(of: word.value), 0, shared: false, deadline: begin + 10_000_000)
        #expect(Clock.monotonic - begin >= 10_000_000)
        Futex.wait(futexAddress(of: word.value), 7, shared: false, deadline: 0)
        let join = thread {
            while word.value.load(ordering: .acquiring) == 0 { Futex.wait(futexAddress(of: word.value), 0, shared: false, deadline: 0) }
        }
        usleep(10_000)
        word.value.store(1, ordering: .releasing)
        Futex.wake(futexAddress(of: word.value), shared: false)
        join()
    }

    @Test func `Critical sections note signals and deliver them at the end`() {
        #expect(!ntlpc_defer_signal(SIGUSR1))
        signal(SIGUSR1) { signal in _ = ntlpc_defer_signal(signal) }
        ntlpc_critical_enter()
        ntlpc_critical_enter()
        #expect(ntlpc_defer_signal(SIGUSR1))
        ntlpc_critical_leave()
        #expect(ntlpc_thread_current().pointee.deferred != 0)
        ntlpc_critical_leave()
        #expect(ntlpc_thread_current().pointee.deferred == 0)
        signal(SIGUSR1, SIG_DFL)
    }
}
