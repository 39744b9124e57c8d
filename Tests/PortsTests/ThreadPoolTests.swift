// The thread pool's callbacks: scenarios K-28 to K-32.

import CLinuxShims
import CNTTypes
import Glibc
import NTObjects
import NTTypes
import Ports
import Synchronization
import Testing

/// What callbacks of a test do and leave behind. Its address is their context.
final class PoolStage: @unchecked Sendable {
    let port: Port
    let calls = Atomic<Int>(0)
    let running = Atomic<Int>(0)
    let mostRunning = Atomic<Int>(0)
    let received = Atomic<Int>(0)
    let fourth = Atomic<UInt>(0xA5)
    var body: @Sendable (PoolStage, PTP_CALLBACK_INSTANCE?, PTP_ALPC?) -> Void
    var alpc: PTP_ALPC?

    init(_ port: Port, _ body: @escaping @Sendable (PoolStage, PTP_CALLBACK_INSTANCE?, PTP_ALPC?) -> Void = { stage, _, _ in stage.drain() }) {
        self.port = port
        self.body = body
    }

    /// Receives as a worker does: until nothing is left.
    func drain() { while port.poll(Message(room: 0x1100)) == .success { received.wrappingAdd(1, ordering: .sequentiallyConsistent) } }

    func run(_ instance: PTP_CALLBACK_INSTANCE?, _ alpc: PTP_ALPC?) {
        let now = running.wrappingAdd(1, ordering: .sequentiallyConsistent).newValue
        mostRunning.max(now, ordering: .sequentiallyConsistent)
        body(self, instance, alpc)
        running.wrappingSubtract(1, ordering: .sequentiallyConsistent)
        calls.wrappingAdd(1, ordering: .sequentiallyConsistent)
    }

    var context: PVOID { Unmanaged.passUnretained(self).toOpaque() }
    static func of(_ context: PVOID?) -> PoolStage { Unmanaged<PoolStage>.fromOpaque(context!).takeUnretainedValue() }

    func allocate() -> NTStatus {
        _ = HostDouble.isInstalled
        return status(TpAllocAlpcCompletion(&alpc, port.handle, { PoolStage.of($1).run($0, $2) }, context, nil))
    }

    func allocateEx() -> NTStatus {
        _ = HostDouble.isInstalled
        return status(TpAllocAlpcCompletionEx(&alpc, port.handle, { instance, context, alpc, apc in
            let stage = PoolStage.of(context)
            stage.fourth.store(UInt(bitPattern: apc), ordering: .sequentiallyConsistent)
            stage.run(instance, alpc)
        }, context, nil))
    }

    /// Ends the callbacks: afterwards none of them refers to the stage.
    func end() {
        TpReleaseAlpcCompletion(alpc)
        eventually { running.load(ordering: .sequentiallyConsistent) == 0 }
        settle(20)
    }
}

/// Sends a byte when the callback ends.
private func sendAtEnd(_ instance: HANDLE?, _ port: HANDLE?, _ message: Message? = Message([1])) -> NTStatus {
    withExtendedLifetime(message) { status(TpCallbackSendAlpcMessageOnCompletion(instance, port, 0x10000, message?.pointer)) }
}

@Suite(.guarded) struct ThreadPoolTests {
    @Test func `K-28 A callback runs for each message`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let stage = PoolStage(listener) { stage, instance, alpc in
            #expect(instance != nil && alpc == stage.alpc)
            let request = Message(room: 256)
            #expect(stage.port.poll(request) == .success && request.kind == 10)
            stage.received.wrappingAdd(1, ordering: .sequentiallyConsistent)
        }
        #expect(stage.allocate() == .success)
        defer { stage.end() }
        let clients = try (0 ..< 3).map { _ in try scene.pending() }
        eventually { stage.calls.load(ordering: .sequentiallyConsistent) == 3 }
        settle()
        #expect(stage.calls.load(ordering: .sequentiallyConsistent) == 3 && stage.received.load(ordering: .sequentiallyConsistent) == 3)
        _ = clients
    }

    @Test func `K-29 The longer form has a fourth argument`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let stage = PoolStage(listener)
        #expect(stage.allocateEx() == .success)
        defer { stage.end() }
        #expect(client.datagram("x") == .success)
        eventually { stage.calls.load(ordering: .sequentiallyConsistent) == 1 }
        #expect(stage.fourth.load(ordering: .sequentiallyConsistent) == 0)
    }

    @Test func `K-30 Waiting waits for callbacks, releasing ends them, the port stays associated`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let mayEnd = Atomic<Bool>(false)
        let stage = PoolStage(listener) { stage, _, _ in
            stage.drain()
            eventually { mayEnd.load(ordering: .acquiring) }
        }
        #expect(stage.allocate() == .success)
        TpWaitForAlpcCompletion(stage.alpc)
        #expect(client.datagram("x") == .success)
        eventually { stage.running.load(ordering: .sequentiallyConsistent) == 1 }
        let alpc = UInt(bitPattern: stage.alpc)
        let wait = Background { TpWaitForAlpcCompletion(PTP_ALPC(bitPattern: alpc)) }
        settle()
        #expect(!wait.isDone)
        TpReleaseAlpcCompletion(stage.alpc)
        settle()
        #expect(!wait.isDone)
        mayEnd.store(true, ordering: .releasing)
        wait.result
        #expect(stage.running.load(ordering: .sequentiallyConsistent) == 0)
        let again = PoolStage(listener)
        #expect(again.allocate() == .portAlreadySet)
        #expect(try listener.announce(to: CountingAnnouncer()) == .portAlreadySet)
        // Released: no callback comes, the message waits.
        #expect(client.datagram("y") == .success)
        settle()
        #expect(stage.calls.load(ordering: .sequentiallyConsistent) == 1)
        #expect(try listener.take().text == "y")
    }

    @Test func `A callback may wait for and release its own object`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let stage = PoolStage(listener) { stage, _, alpc in
            stage.drain()
            TpWaitForAlpcCompletion(alpc)
            TpReleaseAlpcCompletion(alpc)
            TpReleaseAlpcCompletion(alpc)
        }
        #expect(stage.allocate() == .success)
        #expect(client.datagram("x") == .success)
        eventually { stage.calls.load(ordering: .sequentiallyConsistent) == 1 }
        #expect(client.datagram("y") == .success)
        stage.end()
        #expect(stage.calls.load(ordering: .sequentiallyConsistent) == 1)
    }

    @Test func `K-31 A message is sent when the callback ends, or before on demand`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let mayEnd = Atomic<Bool>(false), sendsNow = Atomic<Bool>(false)
        let stage = PoolStage(listener) { stage, instance, _ in
            let request = Message(room: 256)
            guard stage.port.poll(request) == .success else { return }
            let answer = Message(answering: request, request.payload)
            #expect(sendAtEnd(HANDLE(instance!), stage.port.handle, answer) == .success)
            memset(answer.base, 0xFF, answer.room)
            if sendsNow.load(ordering: .acquiring) { #expect(status(TpCallbackSendPendingAlpcMessage()) == .success) }
            eventually { mayEnd.load(ordering: .acquiring) }
        }
        #expect(stage.allocate() == .success)
        defer { stage.end() }
        let first = Background { client.request(Message(pattern(9)), Message(room: 256)) }
        eventually { stage.running.load(ordering: .sequentiallyConsistent) == 1 }
        settle()
        #expect(!first.isDone)
        mayEnd.store(true, ordering: .releasing)
        #expect(first.result == .success)
        eventually { stage.running.load(ordering: .sequentiallyConsistent) == 0 }
        mayEnd.store(false, ordering: .releasing)
        sendsNow.store(true, ordering: .releasing)
        let second = Background { client.request(Message(pattern(9)), Message(room: 256)) }
        #expect(second.result == .success)
        #expect(stage.running.load(ordering: .sequentiallyConsistent) == 1)
        mayEnd.store(true, ordering: .releasing)
        eventually { stage.running.load(ordering: .sequentiallyConsistent) == 0 }
    }

    @Test func `Sends at the end check what they can at once`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let bad = BadMemory()
        let none = UInt(bitPattern: bad.none)
        #expect(status(TpCallbackSendPendingAlpcMessage()) == .invalidParameter)
        for instance in bad.all + [UnsafeMutableRawPointer(bitPattern: 8)!] {
            #expect(sendAtEnd(instance, client.handle) == .invalidParameter)
        }
        let seen = Atomic<UInt>(0)
        let stage = PoolStage(listener) { stage, instance, _ in
            stage.drain()
            let instance = HANDLE(instance!)
            seen.store(UInt(bitPattern: instance), ordering: .sequentiallyConsistent)
            #expect(status(TpCallbackSendAlpcMessageOnCompletion(instance, nil, 0x10000, nil)) == .accessViolation)
            #expect(status(TpCallbackSendAlpcMessageOnCompletion(instance, nil, 0x10000, PPORT_MESSAGE(bitPattern: none))) == .accessViolation)
            let message = Message([1, 2])
            #expect(withExtendedLifetime(message) { status(TpCallbackSendAlpcMessageOnCompletion(instance, nil, 0x20000, message.pointer)) } == .invalidParameter)
            message.totalLength = 41
            #expect(sendAtEnd(instance, nil, message) == .invalidParameter)
            // A handle that is none: nobody is there to hear of it.
            #expect(sendAtEnd(instance, nil) == .success)
        }
        #expect(stage.allocate() == .success)
        defer { stage.end() }
        #expect(client.datagram("x") == .success)
        eventually { stage.calls.load(ordering: .sequentiallyConsistent) == 1 && stage.running.load(ordering: .sequentiallyConsistent) == 0 }
        settle(20)
        // The callback has returned: its instance is nobody's any more.
        let stale = HANDLE(bitPattern: seen.load(ordering: .sequentiallyConsistent))
        #expect(sendAtEnd(stale, client.handle) == .invalidParameter)
    }

    @Test func `K-32 The pool goes on with a completion list`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let list = ListMemory()
        let stage = PoolStage(listener) { stage, _, _ in
            #expect(AlpcRegisterCompletionListWorkerThread(list.base) == 1)
            repeat {
                while let found = list.take() {
                    list.free(found)
                    stage.received.wrappingAdd(1, ordering: .sequentiallyConsistent)
                }
            } while AlpcUnregisterCompletionListWorkerThread(list.base) == 0
        }
        #expect(list.register(listener) == .success)
        #expect(client.datagram("before") == .success)
        eventually { list.outstanding == 1 }
        #expect(stage.allocate() == .success)
        TpAlpcRegisterCompletionList(stage.alpc)
        eventually { stage.received.load(ordering: .sequentiallyConsistent) == 1 }
        for _ in 0 ..< 1000 { #expect(client.datagram("x") == .success) }
        eventually { stage.received.load(ordering: .sequentiallyConsistent) == 1001 }
        TpAlpcUnregisterCompletionList(stage.alpc)
        stage.end()
        eventually { list.outstanding == 0 }
        #expect(status(AlpcUnregisterCompletionList(listener.handle)) == .success)
    }

    @Test func `Bad arguments are refused, and bad objects do nothing`() throws {
        _ = HostDouble.isInstalled
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let bad = BadMemory()
        var alpc: PTP_ALPC?
        #expect(status(TpAllocAlpcCompletion(&alpc, listener.handle, nil, nil, nil)) == .invalidParameter)
        #expect(status(TpAllocAlpcCompletionEx(&alpc, listener.handle, nil, nil, nil)) == .invalidParameter)
        for pointer in bad.all {
            #expect(status(TpAllocAlpcCompletion(pointer.assumingMemoryBound(to: PTP_ALPC?.self), listener.handle, { _, _, _ in }, nil, nil)) == .accessViolation)
        }
        #expect(status(TpAllocAlpcCompletion(nil, listener.handle, { _, _, _ in }, nil, nil)) == .accessViolation)
        #expect(status(TpAllocAlpcCompletion(&alpc, nil, { _, _, _ in }, nil, nil)) == .invalidHandle)
        #expect(status(TpAllocAlpcCompletion(&alpc, scene.closedHandle(), { _, _, _ in }, nil, nil)) == .invalidHandle)
        #expect(status(TpAllocAlpcCompletion(&alpc, scene.event().handle, { _, _, _ in }, nil, nil)) == .objectTypeMismatch)
        #expect(alpc == nil)
        for pointer in bad.all.map({ OpaquePointer($0) }) + [nil, OpaquePointer(bitPattern: 16)] {
            TpReleaseAlpcCompletion(pointer)
            TpWaitForAlpcCompletion(pointer)
            TpAlpcRegisterCompletionList(pointer)
            TpAlpcUnregisterCompletionList(pointer)
        }
        var work = NTLPC_WORK()
        #expect(ntlpc_next_work(nil, &work) == 0 && ntlpc_next_work(bad.base, &work) == 0)
        // The environment is accepted, whatever it says.
        var environment = TP_CALLBACK_ENVIRON()
        environment.Version = 3
        #expect(status(TpAllocAlpcCompletion(&alpc, listener.handle, { _, _, _ in }, nil, &environment)) == .success)
        TpReleaseAlpcCompletion(alpc)
    }

    @Test func `Callbacks that block do not keep others from running`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.create()
        let clients = try (0 ..< 8).map { _ in try scene.client(listener).client }
        // All eight callbacks must be inside at once: more than there are processors here, perhaps.
        let stage = PoolStage(listener) { stage, _, _ in
            stage.drain()
            eventually { stage.running.load(ordering: .sequentiallyConsistent) == 8 || stage.mostRunning.load(ordering: .sequentiallyConsistent) == 8 }
        }
        #expect(stage.allocate() == .success)
        defer { stage.end() }
        for client in clients { #expect(client.datagram("x") == .success) }
        eventually { stage.calls.load(ordering: .sequentiallyConsistent) == 8 }
    }

    @Test func `Thousands of messages of several ports run as many callbacks`() throws {
        let scene = Scene()
        defer { scene.end() }
        let sets = try (0 ..< 3).map { _ -> (Port, PoolStage, Scene) in
            let inner = Scene()
            let (listener, _, client) = try inner.connected()
            return (client, PoolStage(listener) { stage, _, _ in
                if stage.port.poll(Message(room: 256)) == .success { stage.received.wrappingAdd(1, ordering: .sequentiallyConsistent) }
            }, inner)
        }
        for (_, stage, _) in sets { #expect(stage.allocate() == .success) }
        let each = 2000
        onThreads(3) { index in
            for _ in 0 ..< each { #expect(sets[index].0.datagram("x") == .success) }
        }
        for (_, stage, inner) in sets {
            TpWaitForAlpcCompletion(stage.alpc)
            eventually { stage.received.load(ordering: .sequentiallyConsistent) == each }
            eventually { stage.calls.load(ordering: .sequentiallyConsistent) == each }
            stage.end()
            inner.end()
        }
    }
}
