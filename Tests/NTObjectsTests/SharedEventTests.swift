// Events that other processes have too, and waits over states here and outside.

import CLinuxShims
import CNTTypes
import Glibc
import LinuxSystem
import NTTypes
import Synchronization
import Testing
@testable import NTExports
@testable import NTObjects

private func adopt(_ descriptor: Descriptor, access: UInt32 = 0x1F0003) throws(NTStatus) -> HANDLE {
    try Host.handle(for: descriptor, type: .event, access: access, attributes: 0)
}

private func close(_ handles: HANDLE?...) {
    for handle in handles { #expect(nt(NtClose(handle)) == .success) }
}

@Suite struct SharedEventTests {
    init() { Watchdog.armed }

    @Test(arguments: [NotificationEvent, SynchronizationEvent], [false, true])
    func `An event keeps its state and its kind when it is shared`(_ type: EVENT_TYPE, _ signaled: Bool) throws {
        let event = makeEvent(type, signaled: signaled)
        let descriptor = try descriptor(of: event)
        #expect(SharedEvent.isSignaled(descriptor) == signaled)
        let twin = try adopt(descriptor)
        #expect(try state(of: twin).behaviour == state(of: event).behaviour)
        #expect(waitFor(twin) == (signaled ? .success : .timeout))
        #expect(waitFor(event) == (signaled && type == NotificationEvent ? .success : .timeout))
        var before: LONG = 9
        #expect(nt(NtSetEvent(twin, &before)) == .success && before == (signaled && type == NotificationEvent ? 1 : 0))
        #expect(nt(NtSetEvent(event, &before)) == .success && before == 1)
        #expect(nt(NtResetEvent(twin, &before)) == .success && before == 1)
        #expect(nt(NtResetEvent(event, &before)) == .success && before == 0)
        #expect(waitFor([event, twin], WaitAny) == .timeout)
        #expect(nt(NtSetEvent(event, nil)) == .success)
        #expect(waitFor([event, twin], WaitAny) == .success)
        close(event, twin)
    }

    @Test func `An event that is set twice is taken once`() throws {
        let event = makeEvent(SynchronizationEvent), descriptor = try descriptor(of: event)
        for _ in 0 ..< 3 { #expect(nt(NtSetEvent(event, nil)) == .success) }
        #expect(waitFor(event) == .success)
        #expect(waitFor(event) == .timeout)
        // A peer may count as it likes: it is still one signal.
        for _ in 0 ..< 5 { EventFd.kick(descriptor) }
        #expect(waitFor(event) == .success)
        #expect(waitFor(event) == .timeout)
        close(event)
    }

    @Test func `What is no event is not taken for one`() throws {
        for other in [try MemoryFile.make(name: "test", count: 4096), try Epoll.make(), Descriptor(owning: ntlpc_move_high(open("/", O_RDONLY)))] {
            #expect(thrown { () throws(NTStatus) in _ = try adopt(other) } == .objectTypeMismatch)
        }
        #expect(thrown { () throws(NTStatus) in
            _ = try NativeObjects.handle(for: 0x3FFF_FFFF, type: .event, access: 0, attributes: 0)
        } == .invalidHandle)
        #expect(thrown { () throws(NTStatus) in
            _ = try Host.handle(for: try! EventFd.make(), type: .semaphore, access: 0, attributes: 0)
        } == .notSupported)
    }

    @Test func `A peer that makes the descriptor block, or fills it, blocks nobody`() throws {
        let event = makeEvent(SynchronizationEvent), descriptor = try descriptor(of: event)
        _ = fcntl(descriptor.rawValue, F_SETFL, fcntl(descriptor.rawValue, F_GETFL) & ~O_NONBLOCK)
        #expect(waitFor(event) == .timeout)
        #expect(waitFor(event, 5) == .timeout)
        #expect(nt(NtResetEvent(event, nil)) == .success)
        var most = UInt64.max - 1
        #expect(write(descriptor.rawValue, &most, 8) == 8)
        _ = fcntl(descriptor.rawValue, F_SETFL, fcntl(descriptor.rawValue, F_GETFL) & ~O_NONBLOCK)
        var before: LONG = 0
        #expect(nt(NtSetEvent(event, &before)) == .success && before == 1)
        #expect(waitFor(event) == .success)
        #expect(waitFor(event) == .timeout)
        close(event)
    }

    @Test func `Threads that wait when an event moves are not forgotten`() throws {
        // Waits for one event, for any and for all of several, and one whose other event has moved before.
        let moving = makeEvent(), still = makeEvent(signaled: true), silent = makeEvent(), moved = makeEvent(signaled: true)
        _ = try descriptor(of: moved)
        let values = [moving, still, silent, moved].map { UInt(bitPattern: $0) }
        let signal = try state(of: moving)
        onThreads(5) { index in
            let handles = values.map { HANDLE(bitPattern: $0) }
            switch index {
            case 0: #expect(waitFor(handles[0], nil) == .success)
            case 1: #expect(waitFor([handles[2], handles[0]], WaitAny, nil) == NTStatus(rawValue: 1))
            case 2: #expect(waitFor([handles[1], handles[0]], WaitAll, nil) == .success)
            case 3: #expect(waitFor([handles[3], handles[0]], WaitAll, nil) == .success)
            default:
                eventually { signal.waiterCount == 4 }
                let shared: Descriptor
                do throws(NTStatus) { shared = try descriptor(of: handles[0]) } catch {
                    Issue.record(error)
                    return
                }
                #expect(signal.waiterCount == 4)
                usleep(20_000)
                _ = SharedEvent.put(shared)
            }
        }
        #expect(signal.waiterCount == 0)
        close(moving, still, silent, moved)
    }

    @Test func `A wait for all over here and outside takes all or none`() throws {
        let here = makeEvent(SynchronizationEvent), outside = makeEvent(SynchronizationEvent)
        let shared = try descriptor(of: outside)
        _ = SharedEvent.put(shared)
        #expect(waitFor([here, outside], WaitAll, 10) == .timeout)
        #expect(SharedEvent.isSignaled(shared))
        #expect(nt(NtSetEvent(here, nil)) == .success)
        #expect(waitFor([here, outside], WaitAll) == .success)
        #expect(waitFor([here, outside], WaitAny) == .timeout)
        let values = [UInt(bitPattern: here), UInt(bitPattern: outside)], signal = try state(of: here)
        for first in [0, 1] {
            onThreads(2) { index in
                let handles = values.map { HANDLE(bitPattern: $0) }
                if index == 0 {
                    #expect(waitFor(handles, WaitAll, nil) == .success)
                } else {
                    eventually { signal.waiterCount == 1 }
                    #expect(nt(NtSetEvent(handles[first], nil)) == .success)
                    usleep(10_000)
                    #expect(nt(NtSetEvent(handles[1 - first], nil)) == .success)
                }
            }
            #expect(waitFor([here, outside], WaitAny) == .timeout)
        }
        close(here, outside)
    }

    @Test func `What was there outside and was taken is waited for again`() throws {
        // The waiter sees the event outside signaled and waits for the one here; then the first is taken, and comes later.
        let here = makeEvent(), outside = makeEvent(SynchronizationEvent), shared = try descriptor(of: outside)
        let values = [UInt(bitPattern: here), UInt(bitPattern: outside)], signal = try state(of: here)
        for _ in 0 ..< 20 {
            _ = SharedEvent.put(shared)
            onThreads(2) { index in
                let handles = values.map { HANDLE(bitPattern: $0) }
                if index == 0 {
                    #expect(waitFor(handles, WaitAll, nil) == .success)
                } else {
                    eventually { signal.waiterCount == 1 }
                    usleep(2000)
                    #expect(SharedEvent.take(shared))
                    #expect(nt(NtSetEvent(handles[0], nil)) == .success)
                    usleep(2000)
                    _ = SharedEvent.put(shared)
                }
            }
            #expect(waitFor(outside) == .timeout)
            #expect(nt(NtResetEvent(here, nil)) == .success)
        }
        close(here, outside)
    }

    @Test func `A wait that cannot be had does not spin on the event that is there`() throws {
        let there = makeEvent(signaled: true), missing = makeEvent(), here = makeEvent()
        _ = try descriptor(of: there)
        _ = try descriptor(of: missing)
        #expect(waitFor([there, missing], WaitAll, 200) == .timeout)
        #expect(waitFor([there, here], WaitAll, 200) == .timeout)
        let values = [UInt(bitPattern: there), UInt(bitPattern: missing)]
        onThreads(1) { _ in
            var before = rusage(), after = rusage()
            let thread = __rusage_who_t(1) // RUSAGE_THREAD
            getrusage(thread, &before)
            #expect(waitFor(values.map { HANDLE(bitPattern: $0) }, WaitAll, 300) == .timeout)
            getrusage(thread, &after)
            #expect(after.ru_nvcsw - before.ru_nvcsw < 50)
            let used = (after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1_000_000 + Int(after.ru_utime.tv_usec - before.ru_utime.tv_usec)
            #expect(used < 200_000)
        }
        close(there, missing, here)
    }

    // MARK: Two processes

    @Test func `Set here wakes there, and back`() throws {
        let ours = makeEvent(), theirs = makeEvent(SynchronizationEvent)
        let peer = try ObjectPeer([try descriptor(of: ours), try descriptor(of: theirs)])
        #expect(peer.call("adopt O 10 0x10 0x1F0003") == "SUCCESS")
        #expect(peer.call("adopt T 11 0x10 0x1F0003") == "SUCCESS")
        #expect(peer.call("any 0 O T") == "STATUS_TIMEOUT")
        peer.tell("any -1 T O")
        #expect(nt(NtSetEvent(ours, nil)) == .success)
        #expect(peer.answer() == "1")
        #expect(peer.call("set O") == "SUCCESS 1")
        #expect(peer.call("reset O") == "SUCCESS 1")
        #expect(waitFor(ours) == .timeout)
        #expect(peer.call("set T") == "SUCCESS 0")
        #expect(waitFor(theirs, nil) == .success)
        #expect(peer.call("any 0 T") == "STATUS_TIMEOUT")
        peer.tell("all -1 O T")
        #expect(nt(NtSetEvent(theirs, nil)) == .success)
        #expect(nt(NtSetEvent(ours, nil)) == .success)
        #expect(peer.answer() == "0")
        #expect(waitFor(theirs) == .timeout && waitFor(ours) == .success)
        // The events outlive either process.
        #expect(peer.call("set T") == "SUCCESS 0")
        peer.kill()
        #expect(waitFor(theirs) == .success)
        close(ours, theirs)
    }

    @Test func `Each set is taken by one wait, of whichever process, and none is lost`() throws {
        let event = makeEvent(SynchronizationEvent), answer = makeEvent(SynchronizationEvent), stop = makeEvent()
        let descriptors = try [event, answer, stop].map { try descriptor(of: $0) }
        let peers = try (0 ..< 2).map { _ in try ObjectPeer(descriptors) }
        for peer in peers {
            for (index, name) in ["E", "A", "S"].enumerated() { #expect(peer.call("adopt \(name) \(10 + index) 0x10 0x1F0003") == "SUCCESS") }
        }
        peers[0].tell("answer E A S 2")
        peers[1].tell("answer E A S 1")
        let values = [UInt(bitPattern: event), UInt(bitPattern: answer), UInt(bitPattern: stop)], here = Atomic<Int>(0), rounds = 4000
        onThreads(3) { index in
            let handles = values.map { HANDLE(bitPattern: $0) }
            if index == 0 {
                for _ in 0 ..< rounds {
                    #expect(nt(NtSetEvent(handles[0], nil)) == .success)
                    #expect(waitFor(handles[1], nil) == .success)
                }
                #expect(nt(NtSetEvent(handles[2], nil)) == .success)
            } else {
                while waitFor([handles[2], handles[0]], WaitAny, nil) == NTStatus(rawValue: 1) {
                    here.wrappingAdd(1, ordering: .relaxed)
                    #expect(nt(NtSetEvent(handles[1], nil)) == .success)
                }
            }
        }
        var total = here.load(ordering: .relaxed)
        for peer in peers { total += Int(peer.answer().dropFirst("answered=".count)) ?? -1_000_000 }
        #expect(total == rounds)
        #expect(waitFor([event, answer], WaitAny) == .timeout)
        close(event, answer, stop)
    }

    @Test func `Waits for all and for any compete over events of two processes`() throws {
        // Two tokens for each round of "all", one for each of "any": what is put in comes out, whoever takes it.
        let a = makeEvent(SynchronizationEvent), b = makeEvent(SynchronizationEvent), local = makeEvent(SynchronizationEvent)
        let descriptors = try [a, b].map { try descriptor(of: $0) }
        let peer = try ObjectPeer(descriptors)
        for (index, name) in ["A", "B"].enumerated() { #expect(peer.call("adopt \(name) \(10 + index) 0x10 0x1F0003") == "SUCCESS") }
        let values = [a, b, local].map { UInt(bitPattern: $0) }, done = Atomic<Int>(0), rounds = 300
        onThreads(4) { index in
            let handles = values.map { HANDLE(bitPattern: $0) }
            switch index {
            case 0:
                while done.load(ordering: .acquiring) < 3 {
                    for handle in handles { NtSetEvent(handle, nil) }
                    sched_yield()
                }
            case 1:
                for _ in 0 ..< rounds { #expect(waitFor([handles[0], handles[2], handles[1]], WaitAll, nil) == .success) }
                done.wrappingAdd(1, ordering: .releasing)
            case 2:
                for _ in 0 ..< rounds { #expect(waitFor([handles[1], handles[2]], WaitAny, nil).isSuccess) }
                done.wrappingAdd(1, ordering: .releasing)
            default:
                for round in 0 ..< rounds {
                    let answer = peer.call(round % 2 == 0 ? "all -1 B A" : "any -1 B A")
                    #expect(answer == "0" || answer == "1")
                }
                done.wrappingAdd(1, ordering: .releasing)
            }
        }
        close(a, b, local)
    }

    @Test func `A peer that dies in a wait takes no signal with it`() throws {
        let event = makeEvent(SynchronizationEvent), shared = try descriptor(of: event)
        for _ in 0 ..< 10 {
            let peer = try ObjectPeer([shared])
            #expect(peer.call("adopt E 10 0x10 0x1F0003") == "SUCCESS")
            peer.tell("any -1 E")
            usleep(20_000)
            peer.kill()
            #expect(nt(NtSetEvent(event, nil)) == .success)
            #expect(waitFor(event, nil) == .success)
        }
        close(event)
    }

    @Test func `Shared events and their waits leave no descriptor and no thread`() async {
        await #expect(processExitsWith: .success) {
            func tasks() -> Int {
                let directory = opendir("/proc/self/task")!
                defer { closedir(directory) }
                var count = 0
                while readdir(directory) != nil { count += 1 }
                return count
            }
            var first = 0, threads = 0
            for round in 0 ..< 40 {
                let event = makeEvent(SynchronizationEvent), here = makeEvent(), port = makePort()
                let shared = try descriptor(of: event)
                let twin = try Host.handle(for: shared, type: .event, access: 0x1F0003, attributes: 0)
                precondition(waitFor([event, here, twin], WaitAny, 1) == .timeout)
                precondition(waitFor([event, here], WaitAll, 1) == .timeout)
                var packet: HANDLE?
                precondition(NtCreateWaitCompletionPacket(&packet, 1, nil) == 0)
                precondition(NtAssociateWaitCompletionPacket(packet, port, event, nil, nil, 0, 0, nil) == 0)
                if round % 2 == 0 {
                    _ = SharedEvent.put(shared)
                    var key: PVOID?, context: PVOID?, block = IO_STATUS_BLOCK()
                    precondition(NtRemoveIoCompletion(port, &key, &context, &block, nil) == 0)
                }
                for handle in [event, here, twin, packet, port] { precondition(NtClose(handle) == 0) }
                if round == 0 {
                    usleep(50_000)
                    (first, threads) = (descriptorCount(), tasks())
                }
            }
            // The watching thread has ended, or will as soon as it runs.
            eventually { descriptorCount() <= first && tasks() <= threads }
        }
    }
}
