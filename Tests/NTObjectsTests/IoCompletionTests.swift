// Completion ports and wait completion packets.

import CNTTypes
import Glibc
import LinuxSystem
import NTTypes
import Synchronization
import Testing
@testable import NTExports
@testable import NTObjects

private func post(_ port: HANDLE?, _ key: Int, _ context: Int = 0, _ result: NTStatus = .success, _ information: UInt = 0) -> NTStatus {
    nt(NtSetIoCompletion(port, PVOID(bitPattern: key), PVOID(bitPattern: context), result.rawValue, ULONG_PTR(information)))
}

private struct Removed: Equatable {
    var status: NTStatus, key = 0, context = 0, result = NTStatus.success, information: UInt = 0
}

private func remove(_ port: HANDLE?, _ milliseconds: Int64? = 0) -> Removed {
    var key: PVOID?, context: PVOID?, block = IO_STATUS_BLOCK()
    let result = withTimeout(milliseconds) { nt(NtRemoveIoCompletion(port, &key, &context, &block, $0)) }
    guard result == .success else { return Removed(status: result) }
    return Removed(
        status: result, key: Int(bitPattern: key), context: Int(bitPattern: context), result: NTStatus(rawValue: block.Status), information: UInt(block.Information))
}

private func removeMany(_ port: HANDLE?, _ count: ULONG, _ milliseconds: Int64? = 0) -> (status: NTStatus, keys: [Int]) {
    var entries = [FILE_IO_COMPLETION_INFORMATION](repeating: FILE_IO_COMPLETION_INFORMATION(), count: Int(count)), taken: ULONG = 99
    let result = withTimeout(milliseconds) { nt(NtRemoveIoCompletionEx(port, &entries, count, &taken, $0, 1)) }
    return (result, entries.prefix(Int(taken)).map { Int(bitPattern: $0.KeyContext) })
}

private func depth(_ port: HANDLE?) -> Int32 {
    var information = IO_COMPLETION_BASIC_INFORMATION(Depth: -1)
    #expect(nt(NtQueryIoCompletion(port, IoCompletionBasicInformation, &information, 4, nil)) == .success)
    return information.Depth
}

private func object(_ handle: HANDLE?) throws -> IoCompletion { try HandleTable.object(handle, kind: .ioCompletion) }

@Suite struct IoCompletionTests {
    init() { Watchdog.armed }

    @Test func `Packets come out whole and in their order`() {
        let port = makePort()
        #expect(remove(port) == Removed(status: .timeout))
        for index in 1 ... 3000 { #expect(post(port, index, -index, NTStatus(rawValue: Int32(index)), UInt(index) << 33) == .success) }
        #expect(depth(port) == 3000)
        for index in 1 ... 1500 {
            #expect(remove(port) == Removed(status: .success, key: index, context: -index, result: NTStatus(rawValue: Int32(index)), information: UInt(index) << 33))
        }
        let many = removeMany(port, 1000)
        #expect(many.status == .success && many.keys == Array(1501 ... 2500))
        let rest = removeMany(port, 1000, nil)
        #expect(rest.status == .success && rest.keys == Array(2501 ... 3000))
        #expect(depth(port) == 0)
        let none = removeMany(port, 1000, 1)
        #expect(none.status == .timeout && none.keys == [])
        #expect(nt(NtClose(port)) == .success)
    }

    @Test func `A wait on the handle ends while packets are queued and takes none`() throws {
        let port = makePort(), event = makeEvent()
        #expect(waitFor(port) == .timeout)
        #expect(post(port, 1) == .success)
        #expect(waitFor(port) == .success && waitFor(port, nil) == .success)
        #expect(waitFor([event, port], WaitAny) == NTStatus(rawValue: 1))
        #expect(waitFor([event, port], WaitAll, 1) == .timeout)
        #expect(remove(port).key == 1)
        #expect(waitFor(port) == .timeout)
        let value = UInt(bitPattern: port), signal = try state(of: port)
        onThreads(3) { index in
            if index < 2 {
                #expect(waitFor(HANDLE(bitPattern: value), nil) == .success)
            } else {
                eventually { signal.waiterCount == 2 }
                #expect(post(HANDLE(bitPattern: value), 2) == .success)
            }
        }
        #expect(remove(port).key == 2)
        #expect(nt(NtClose(port)) == .success && nt(NtClose(event)) == .success)
    }

    @Test func `A wait on the handle that races posts and removals loses none`() throws {
        let port = makePort(), value = UInt(bitPattern: port), rounds = 3000
        onThreads(2) { index in
            for round in 1 ... rounds {
                if index == 0 {
                    #expect(post(HANDLE(bitPattern: value), round) == .success)
                    if round % 3 == 0 { sched_yield() }
                } else {
                    while true {
                        #expect(waitFor(HANDLE(bitPattern: value), nil) == .success)
                        let got = remove(HANDLE(bitPattern: value))
                        if got.status == .success {
                            #expect(got.key == round)
                            break
                        }
                    }
                }
            }
        }
        #expect(nt(NtClose(port)) == .success)
    }

    @Test func `The thread that came last is woken first`() throws {
        let port = makePort(), value = UInt(bitPattern: port), completion = try object(port)
        let order = Counts(), last = Atomic<Int>(-1)
        onThreads(4) { index in
            if index < 3 {
                eventually { order.freed == index }
                eventually { completion.describe().contains("waiting=\(index)") }
                order.deinits.wrappingAdd(1, ordering: .releasing)
                #expect(remove(HANDLE(bitPattern: value), nil).key == 10 - index)
                last.store(index, ordering: .releasing)
            } else {
                eventually { completion.describe().contains("waiting=3") }
                for index in [2, 1, 0] {
                    #expect(post(HANDLE(bitPattern: value), 10 - index) == .success)
                    eventually { last.load(ordering: .acquiring) == index }
                }
            }
        }
        #expect(nt(NtClose(port)) == .success)
    }

    @Test func `Many threads take every packet once`() {
        let port = makePort(), value = UInt(bitPattern: port), each = 4000, sum = Atomic<Int>(0), taken = Atomic<Int>(0)
        onThreads(6) { index in
            if index < 3 {
                for number in 1 ... each { #expect(post(HANDLE(bitPattern: value), number) == .success) }
            } else {
                while taken.load(ordering: .relaxed) < 3 * each {
                    let got = removeMany(HANDLE(bitPattern: value), index == 3 ? 1 : 16, 5)
                    for key in got.keys { sum.wrappingAdd(key, ordering: .relaxed) }
                    taken.wrappingAdd(got.keys.count, ordering: .relaxed)
                }
            }
        }
        #expect(taken.load(ordering: .relaxed) == 3 * each && sum.load(ordering: .relaxed) == 3 * each * (each + 1) / 2)
        #expect(nt(NtClose(port)) == .success)
    }

    @Test func `A time-out that races a post loses no packet`() {
        let port = makePort(), value = UInt(bitPattern: port), rounds = 2000, taken = Atomic<Int>(0)
        onThreads(2) { index in
            if index == 0 {
                for round in 1 ... rounds {
                    #expect(post(HANDLE(bitPattern: value), round) == .success)
                    eventually { taken.load(ordering: .acquiring) == round }
                }
            } else {
                var time = LARGE_INTEGER()
                time.QuadPart = -200 // 20 us
                while taken.load(ordering: .relaxed) < rounds {
                    var key: PVOID?, context: PVOID?, block = IO_STATUS_BLOCK()
                    if NtRemoveIoCompletion(HANDLE(bitPattern: value), &key, &context, &block, &time) == 0 { taken.wrappingAdd(1, ordering: .releasing) }
                }
            }
        }
        #expect(nt(NtClose(port)) == .success)
    }

    @Test func `The close of the last handle ends the waits of its threads`() throws {
        let port = makePort(), value = UInt(bitPattern: port), completion = try object(port)
        onThreads(3) { index in
            if index == 0 {
                #expect(remove(HANDLE(bitPattern: value), nil).status == .abandonedWait0)
            } else if index == 1 {
                let got = removeMany(HANDLE(bitPattern: value), 4, nil)
                #expect(got.status == .abandonedWait0 && got.keys == [])
            } else {
                eventually { completion.describe().contains("waiting=2") }
                #expect(nt(NtClose(HANDLE(bitPattern: value))) == .success)
            }
        }
        completion.post(CompletionPacket(key: 1)) // a reference that outlives the handles
        #expect(completion.depth == 0 && completion.handleCount == 0)
    }

    @Test func `Handles without the right or of another type are refused`() {
        let event = makeEvent(), look = makePort(access: 0x1), change = makePort(access: 0x2)
        var information = IO_COMPLETION_BASIC_INFORMATION()
        for (handle, status) in [(event, NTStatus.objectTypeMismatch), (look, .accessDenied), (nil, .invalidHandle)] as [(HANDLE?, NTStatus)] {
            #expect(post(handle, 1) == status)
            #expect(remove(handle).status == status)
            #expect(removeMany(handle, 2).status == status)
        }
        #expect(nt(NtQueryIoCompletion(event, IoCompletionBasicInformation, &information, 4, nil)) == .objectTypeMismatch)
        #expect(nt(NtQueryIoCompletion(change, IoCompletionBasicInformation, &information, 4, nil)) == .accessDenied)
        #expect(nt(NtQueryIoCompletion(look, IoCompletionBasicInformation, &information, 4, nil)) == .success)
        #expect(nt(NtQueryIoCompletion(look, IoCompletionBasicInformation, &information, 3, nil)) == .infoLengthMismatch)
        #expect(nt(NtQueryIoCompletion(look, IO_COMPLETION_INFORMATION_CLASS(rawValue: 1), &information, 4, nil)) == .invalidInfoClass)
        #expect(waitFor(look) == .accessDenied)
        var taken: ULONG = 0, entry = FILE_IO_COMPLETION_INFORMATION()
        #expect(nt(NtRemoveIoCompletionEx(change, &entry, 0, &taken, nil, 0)) == .invalidParameter)
        for handle in [event, look, change] { #expect(nt(NtClose(handle)) == .success) }
    }

    @Test func `A bad pointer is an access violation and takes no packet`() {
        let port = makePort(), memory = BadMemory()
        #expect(post(port, 5) == .success)
        for address in BadMemory.wild + [memory.none] {
            let pointer = address.assumingMemoryBound(to: PVOID?.self), count = address.assumingMemoryBound(to: ULONG.self)
            let time = address.assumingMemoryBound(to: LARGE_INTEGER.self), block = address.assumingMemoryBound(to: IO_STATUS_BLOCK.self)
            var one: PVOID?, two: PVOID?, status = IO_STATUS_BLOCK(), taken: ULONG = 0, entries = [FILE_IO_COMPLETION_INFORMATION()]
            #expect(nt(NtCreateIoCompletion(pointer, 0x1F0003, nil, 0)) == .accessViolation)
            #expect(nt(NtRemoveIoCompletion(port, pointer, &two, &status, nil)) == .accessViolation)
            #expect(nt(NtRemoveIoCompletion(port, &one, pointer, &status, nil)) == .accessViolation)
            #expect(nt(NtRemoveIoCompletion(port, &one, &two, block, nil)) == .accessViolation)
            #expect(nt(NtRemoveIoCompletion(port, &one, &two, &status, time)) == .accessViolation)
            #expect(nt(NtRemoveIoCompletionEx(port, address.assumingMemoryBound(to: FILE_IO_COMPLETION_INFORMATION.self), 1, &taken, nil, 0)) == .accessViolation)
            #expect(nt(NtRemoveIoCompletionEx(port, &entries, 1, count, nil, 0)) == .accessViolation)
            #expect(nt(NtQueryIoCompletion(port, IoCompletionBasicInformation, address, 4, nil)) == .accessViolation)
            #expect(nt(NtCreateWaitCompletionPacket(pointer, 1, nil)) == .accessViolation)
        }
        #expect(depth(port) == 1)
        #expect(nt(NtClose(port)) == .success)
    }

    @Test func `The host keeps a completion port for packets whatever becomes of its handles`() throws {
        let port = makePort(), twin: HANDLE?
        var reference: CompletionReference? = try Host.completionPort(port)
        var made: HANDLE?
        #expect(nt(NtDuplicateObject(currentProcess, port, currentProcess, &made, 0, 0, 2)) == .success)
        twin = made
        #expect(nt(NtClose(port)) == .success)
        reference!.post(key: 7, apcContext: 8, status: .timeout, information: 9)
        #expect(remove(twin) == Removed(status: .success, key: 7, context: 8, result: .timeout, information: 9))
        #expect(nt(NtClose(twin)) == .success)
        reference!.post(key: 1)
        reference = nil
        #expect(thrown { () throws(NTStatus) in _ = try Host.completionPort(twin) } == .invalidHandle)
        let event = makeEvent(), look = makePort(access: 0x1)
        #expect(thrown { () throws(NTStatus) in _ = try Host.completionPort(event) } == .objectTypeMismatch)
        #expect(thrown { () throws(NTStatus) in _ = try Host.completionPort(look) } == .accessDenied)
        for handle in [event, look] { #expect(nt(NtClose(handle)) == .success) }
    }
}

@Suite struct WaitCompletionPacketTests {
    init() { Watchdog.armed }

    private func make(access: UInt32 = 0xF0001) -> HANDLE {
        var handle: HANDLE?
        precondition(NtCreateWaitCompletionPacket(&handle, access, nil) == 0)
        return handle!
    }

    private func associate(_ packet: HANDLE?, _ port: HANDLE?, _ target: HANDLE?, key: Int = 1) -> (status: NTStatus, signaled: BOOLEAN) {
        var signaled: BOOLEAN = 9
        let result = nt(NtAssociateWaitCompletionPacket(packet, port, target, PVOID(bitPattern: key), PVOID(bitPattern: 2), NTStatus.pending.rawValue, 3, &signaled))
        return (result, signaled)
    }

    private func cancel(_ packet: HANDLE?, removing: Bool = false) -> NTStatus { nt(NtCancelWaitCompletionPacket(packet, removing ? 1 : 0)) }

    @Test func `A packet comes when its object is signaled`() {
        let port = makePort(), event = makeEvent(SynchronizationEvent), packet = make()
        for round in 1 ... 3 {
            #expect(associate(packet, port, event, key: round) == (.success, 0))
            #expect(remove(port).status == .timeout)
            #expect(nt(NtSetEvent(event, nil)) == .success)
            #expect(remove(port) == Removed(status: .success, key: round, context: 2, result: .pending, information: 3))
            #expect(waitFor(event) == .timeout) // the packet's wait took it
        }
        #expect(nt(NtSetEvent(event, nil)) == .success)
        #expect(associate(packet, port, event, key: 4) == (.success, 1))
        #expect(waitFor(event) == .timeout)
        #expect(remove(port).key == 4)
        for handle in [port, event, packet] { #expect(nt(NtClose(handle)) == .success) }
    }

    @Test func `A packet in use cannot be used again`() {
        let port = makePort(), event = makeEvent(), other = makeEvent(signaled: true), packet = make()
        #expect(associate(packet, port, event).status == .success)
        #expect(associate(packet, port, other) == (.invalidParameter1, 9))
        #expect(nt(NtSetEvent(event, nil)) == .success)
        #expect(associate(packet, port, other).status == .invalidParameter1) // queued
        #expect(remove(port).status == .success)
        #expect(associate(packet, port, other) == (.success, 1))
        for handle in [port, event, other, packet] { #expect(nt(NtClose(handle)) == .success) }
    }

    @Test func `A cancel ends the wait, and takes a queued packet only if asked to`() throws {
        let port = makePort(), event = makeEvent(), packet = make()
        #expect(cancel(packet) == .cancelled)
        #expect(associate(packet, port, event).status == .success)
        #expect(try state(of: event).waiterCount == 1)
        #expect(cancel(packet) == .success)
        #expect(try state(of: event).waiterCount == 0)
        #expect(cancel(packet) == .cancelled)
        #expect(nt(NtSetEvent(event, nil)) == .success)
        #expect(remove(port).status == .timeout)
        #expect(associate(packet, port, event) == (.success, 1))
        #expect(cancel(packet) == .pending)
        #expect(depth(port) == 1)
        #expect(cancel(packet, removing: true) == .success)
        #expect(depth(port) == 0 && waitFor(port) == .timeout)
        #expect(associate(packet, port, event) == (.success, 1))
        #expect(remove(port).status == .success)
        #expect(cancel(packet, removing: true) == .cancelled)
        for handle in [port, event, packet] { #expect(nt(NtClose(handle)) == .success) }
    }

    @Test func `The close of a packet ends its wait, the close of its port frees it`() throws {
        let port = makePort(), event = makeEvent(), packet = make()
        #expect(associate(packet, port, event).status == .success)
        #expect(nt(NtClose(packet)) == .success)
        #expect(try state(of: event).waiterCount == 0)
        let second = make(), other = makePort()
        #expect(nt(NtSetEvent(event, nil)) == .success)
        #expect(associate(second, other, event) == (.success, 1))
        #expect(nt(NtClose(other)) == .success)
        #expect(associate(second, port, event) == (.success, 1))
        #expect(nt(NtClose(second)) == .success)
        #expect(depth(port) == 0)
        for handle in [port, event] { #expect(nt(NtClose(handle)) == .success) }
    }

    @Test func `Wrong handles are refused, each with its reason`() {
        let port = makePort(), event = makeEvent(), packet = make()
        var section: HANDLE?, size = LARGE_INTEGER()
        size.QuadPart = 4096
        #expect(nt(NtCreateSection(&section, 0xF001F, nil, &size, 4, 0x0800_0000, nil)) == .success)
        #expect(associate(nil, port, event).status == .invalidHandle)
        #expect(associate(event, port, event).status == .objectTypeMismatch)
        #expect(associate(packet, nil, event).status == .invalidHandle)
        #expect(associate(packet, event, event).status == .objectTypeMismatch)
        #expect(associate(packet, port, nil).status == .invalidHandle)
        #expect(associate(packet, port, packet).status == .accessDenied) // neither has SYNCHRONIZE to grant
        #expect(associate(packet, port, section).status == .accessDenied)
        let look = makePort(access: 0x1), silent = makeEvent(access: 0x2), weak = make(access: 0x20000)
        #expect(associate(packet, look, event).status == .accessDenied)
        #expect(associate(packet, port, silent).status == .accessDenied)
        #expect(associate(weak, port, event).status == .accessDenied)
        #expect(cancel(weak) == .accessDenied && cancel(event) == .objectTypeMismatch && cancel(nil) == .invalidHandle)
        let memory = BadMemory()
        #expect(nt(NtAssociateWaitCompletionPacket(packet, port, event, nil, nil, 0, 0, memory.none.assumingMemoryBound(to: BOOLEAN.self))) == .accessViolation)
        #expect(cancel(packet) == .cancelled)
        for handle in [port, event, packet, section, look, silent, weak] { #expect(nt(NtClose(handle)) == .success) }
    }

    @Test func `Packets wait for shared events, processes and completion ports too`() throws {
        let port = makePort(), packet = make(), event = makeEvent(SynchronizationEvent)
        #expect(associate(packet, port, event, key: 1) == (.success, 0))
        let shared = try descriptor(of: event) // it moves while the packet waits
        #expect(SharedEvent.put(shared) == false)
        #expect(remove(port, nil).key == 1)
        #expect(waitFor(event) == .timeout)
        #expect(associate(packet, port, event, key: 2) == (.success, 0)) // it has moved before
        #expect(cancel(packet) == .success)
        #expect(associate(packet, port, event, key: 3) == (.success, 0))
        #expect(nt(NtSetEvent(event, nil)) == .success)
        #expect(remove(port, nil).key == 3)

        let peer = try ObjectPeer([])
        let process = try Host.openProcess(ClientID(process: UInt64(peer.pid), thread: 0), access: 0x1F_FFFF, attributes: 0)
        #expect(associate(packet, port, process, key: 4) == (.success, 0))
        #expect(remove(port, 20).status == .timeout)
        peer.kill()
        #expect(remove(port, nil).key == 4)
        #expect(associate(packet, port, process, key: 5) == (.success, 1))
        #expect(remove(port).key == 5)

        let other = makePort()
        #expect(associate(packet, port, other, key: 6) == (.success, 0))
        #expect(post(other, 1) == .success)
        #expect(remove(port).key == 6)
        #expect(depth(other) == 1)
        for handle in [port, packet, event, process, other] { #expect(nt(NtClose(handle)) == .success) }
    }

    @Test func `Signals and cancels that meet spend each signal once`() throws {
        let port = makePort(), packet = make(), rounds = 2000, cancelled = Atomic<Int>(0), removed = Atomic<Int>(0)
        for shared in [false, true] {
            let event = makeEvent(SynchronizationEvent)
            if shared { _ = try descriptor(of: event) }
            let values = [UInt(bitPattern: port), UInt(bitPattern: packet), UInt(bitPattern: event)]
            cancelled.store(0, ordering: .relaxed)
            removed.store(0, ordering: .relaxed)
            let turn = Atomic<Int>(0)
            onThreads(2) { index in
                let port = HANDLE(bitPattern: values[0]), packet = HANDLE(bitPattern: values[1]), event = HANDLE(bitPattern: values[2])
                for round in 1 ... rounds / (shared ? 4 : 1) {
                    if index == 0 {
                        while turn.load(ordering: .acquiring) != 2 * round - 1 { sched_yield() }
                        #expect(nt(NtSetEvent(event, nil)) == .success)
                        turn.store(2 * round, ordering: .releasing)
                        continue
                    }
                    #expect(associate(packet, port, event) == (.success, 0))
                    turn.store(2 * round - 1, ordering: .releasing)
                    switch cancel(packet) {
                    case .success:
                        // The signal is for somebody else.
                        while waitFor(event) != .success {}
                        cancelled.wrappingAdd(1, ordering: .relaxed)
                    case .pending:
                        #expect(remove(port, nil).status == .success)
                        removed.wrappingAdd(1, ordering: .relaxed)
                    case .cancelled: Issue.record("nobody has removed it")
                    case let other: Issue.record("\(other)")
                    }
                    while turn.load(ordering: .acquiring) != 2 * round { sched_yield() }
                    #expect(waitFor(event) == .timeout && depth(port) == 0)
                }
            }
            #expect(cancelled.load(ordering: .relaxed) + removed.load(ordering: .relaxed) == rounds / (shared ? 4 : 1))
            #expect(nt(NtClose(event)) == .success)
        }
        for handle in [port, packet] { #expect(nt(NtClose(handle)) == .success) }
    }
}
