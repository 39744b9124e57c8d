// Servers on threads of their own, for tests that need somebody who answers.

import CNTTypes
import LinuxSystem
import NTTypes
import Synchronization
import Testing

/// Accepts everybody and gives every request its own bytes back.
final class EchoServer: @unchecked Sendable {
    let listener: Port
    let name: String
    private let scene: Scene
    private var threads: [Background<Void>] = []
    /// Not the standard library's Mutex, whose accesses the thread sanitizer does not understand.
    private let servers = FutexLock<[UInt: UInt]>([:])
    private let contexts = Atomic<UInt>(0)
    let answered = Atomic<Int>(0)
    let closed = Atomic<Int>(0)

    /// `wait` runs before each answer.
    init(threads count: Int = 1, limit: Int = 0xFFFF, wait: @escaping @Sendable (Int) -> Void = { _ in }) throws {
        scene = Scene()
        name = scene.name
        listener = try scene.create(usual(limit: limit))
        threads = (0 ..< count).map { index in Background { [self] in serve(index, wait) } }
    }

    private func serve(_ index: Int, _ wait: (Int) -> Void) {
        let room = Message(room: 0xFFFF), attributes = Attributes(Attributes.context)
        while true {
            room.length = 0xFFFF
            let result = listener.receive(room, attributes)
            if result == .timeout { continue }
            if result != .success {
                if ![.portClosed, .invalidHandle].contains(result) { Issue.record("the echo server ends: \(result.name)") }
                return
            }
            switch room.kind {
            case 10: admit(room)
            case 1:
                wait(index)
                let answer = Message(answering: room, room.payload)
                if listener.datagram(answer) == .success { answered.wrappingAdd(1, ordering: .relaxed) }
            case 5:
                closed.wrappingAdd(1, ordering: .relaxed)
                if let handle = servers.withLock({ $0.removeValue(forKey: attributes.portContext) }) {
                    _ = Port(handle: HANDLE(bitPattern: handle)).close()
                }
            default: break
            }
        }
    }

    private func admit(_ request: Message) {
        let context = contexts.wrappingAdd(1, ordering: .relaxed).newValue
        // Noted before the accept: the client's close may come to another thread at once.
        servers.withLock { $0[context] = 0 }
        let made = accept(listener, Message(answering: request), context: context)
        let late = servers.withLock { servers -> Bool in
            guard made.status == .success else {
                servers[context] = nil
                return false
            }
            if servers[context] == nil { return true }
            servers[context] = UInt(bitPattern: made.port.handle)
            return false
        }
        if late { _ = made.port.close() }
    }

    /// Closes everything and waits for the threads.
    func end() {
        scene.end()
        for thread in threads { thread.result }
        threads = []    // they refer to this object
        for handle in servers.withLock({ Array($0.values) }) where handle != 0 { _ = Port(handle: HANDLE(bitPattern: handle)).close() }
    }
}
