// The one thread that the library keeps for itself: it sleeps until a peer hangs up, a client knocks, a full ring must be
// drained, or a port that can be waited on gets a message. It never waits for a peer and never calls the host.

import CLinuxShims
import LinuxSystem
import Tracing

/// Something the watcher looks after.
public protocol Watched: AnyObject, Sendable {
    /// The descriptor became readable, or its peer hung up. Runs on the watcher's thread.
    func watchedReady(hungUp: Bool)
}

/// Watches descriptors for the whole process. The thread starts with the first descriptor.
public final class Watcher: @unchecked Sendable {
    private struct State {
        var watched: [UInt64: any Watched] = [:]
        var nextKey: UInt64 = 1
        var running = false
    }

    private let epoll: Descriptor
    private let state = FutexLock(State())

    public init() throws(Errno) { epoll = try Epoll.make() }

    /// Watches `descriptor` until `remove` is called with the key returned.
    public func add(_ descriptor: Descriptor, _ watched: any Watched) throws(Errno) -> UInt64 {
        let (key, start) = state.withLock { state in
            let key = state.nextKey
            state.nextKey += 1
            state.watched[key] = watched
            let start = !state.running
            state.running = true
            return (key, start)
        }
        do throws(Errno) {
            if start { try startThread() }
            try Epoll.add(descriptor, to: epoll, key: key, edge: false)
        } catch {
            _ = state.withLock { $0.watched.removeValue(forKey: key) }
            throw error
        }
        return key
    }

    public func remove(_ descriptor: Descriptor, key: UInt64) {
        Epoll.remove(descriptor, from: epoll)
        let gone = state.withLock { $0.watched.removeValue(forKey: key) }
        _ = gone    // released here, outside the lock
    }

    private func startThread() throws(Errno) {
        let context = Unmanaged.passRetained(self).toOpaque()
        let result = ntlpc_start_thread("ntlpc-watcher", { context in
            Unmanaged<Watcher>.fromOpaque(context!).takeRetainedValue().run()
        }, context)
        if result < 0 {
            Unmanaged<Watcher>.fromOpaque(context).release()
            state.withLock { $0.running = false }
            throw Errno(rawValue: -result)
        }
    }

    private func run() {
        let ready = UnsafeMutableBufferPointer<ntlpc_ready>.allocate(capacity: Int(NTLPC_EPOLL_BATCH))
        while true {
            let count: Int
            do throws(Errno) {
                count = try Epoll.wait(epoll, into: ready, deadline: 0)
            } catch {
                Trace.note(.transport, "watcher stops: errno \(error.rawValue)")
                return
            }
            for event in ready[0..<count] {
                let watched = state.withLock { $0.watched[event.key] }
                watched?.watchedReady(hungUp: event.hung_up != 0)
            }
        }
    }
}
