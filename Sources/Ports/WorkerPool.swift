// The thread pool of TpAllocAlpcCompletion: each message that a port announces runs the port's callback once.
//
// Workers are threads of the host, which runs the callbacks as its programs expect; they come here for work (ntlpc_next_work). Only
// a host's own thread may start another: one worker more than there are callbacks is kept asleep for that, up to a limit. As many
// callbacks run at once as there are processors; work that has waited for 10 ms, because those that run are blocked, is given to
// the spare workers, so that callbacks that wait for each other get on. A worker that has nothing to do for 20 s ends.

import CLinuxShims
import Glibc
import LinuxSystem
import NTTypes
import Synchronization
import Tracing

/// What programs know objects of the pool by: an address that nothing else has, of zeros, for other functions of a host's thread pool
/// may look there and must find nothing of theirs. An address rests for a while before it names another object.
enum PoolAddress {
    private static let size = 256
    private static let resting = 1024
    nonisolated(unsafe) private static var given = FutexLock<[UnsafeMutableRawPointer]>([])

    static func take() -> UnsafeMutableRawPointer {
        let rested = given.withLock { $0.count > resting ? $0.removeFirst() : nil }
        let address = rested ?? .allocate(byteCount: size, alignment: 16)
        address.initializeMemory(as: UInt8.self, repeating: 0, count: size)
        return address
    }

    static func giveBack(_ address: UnsafeMutableRawPointer) { given.withLock { $0.append(address) } }

    /// In the child of a fork, while it has one thread.
    static func forgetAll() { given = FutexLock([]) }
}

/// A TP_ALPC object: a port's messages and the callback they run. Guarded by the pool's lock.
public final class PoolCompletion: MessageAnnouncer, @unchecked Sendable {
    /// The program's PTP_ALPC.
    public let address = PoolAddress.take()
    public let callback: UnsafeMutableRawPointer
    public let context: UnsafeMutableRawPointer?
    public weak var port: ALPCPort?
    private let pool: WorkerPool
    /// Messages announced whose callback has not begun, and callbacks that run.
    fileprivate var pending = 0
    fileprivate var running = 0
    fileprivate var isReleased = false
    fileprivate var isQueued = false
    /// Changes when a callback ends: what TpWaitForAlpcCompletion sleeps on.
    fileprivate let endings = Atomic<UInt32>(0)

    public init(callback: UnsafeMutableRawPointer, context: UnsafeMutableRawPointer?, pool: WorkerPool) {
        self.callback = callback
        self.context = context
        self.pool = pool
    }

    deinit { PoolAddress.giveBack(address) }

    public func announce() { pool.submit(self) }
}

/// A callback that runs: the program's PTP_CALLBACK_INSTANCE.
public final class CallbackInstance: @unchecked Sendable {
    public let address = PoolAddress.take()
    public let completion: PoolCompletion
    fileprivate let thread: Int32
    /// What to send when the callback returns, in order. Guarded by the pool's lock.
    fileprivate var endWork: [@Sendable () -> Void] = []

    fileprivate init(_ completion: PoolCompletion, thread: Int32) {
        self.completion = completion
        self.thread = thread
    }

    deinit { PoolAddress.giveBack(address) }
}

/// The pool of the process.
public final class WorkerPool: @unchecked Sendable {
    private struct State {
        var completions: [UInt: PoolCompletion] = [:]
        var instances: [UInt: CallbackInstance] = [:]
        /// What each worker runs.
        var current: [Int32: CallbackInstance] = [:]
        /// Completions with pending callbacks, in turn.
        var queue: [PoolCompletion] = []
        var queuedSince: UInt64 = 0
        /// Workers started, and those that have come for work.
        var workers = 0
        var threads: Set<Int32> = []
        var idle = 0
    }

    public static let limit = 64
    private static let patience: UInt64 = 10_000_000
    private static let idleTime: UInt64 = 20_000_000_000

    private let state = FutexLock(State())
    /// Grows with each piece of work: what idle workers sleep on.
    private let news = Atomic<UInt32>(0)
    private let startWorker: @Sendable (UnsafeMutableRawPointer) -> NTStatus

    private init(startWorker: @escaping @Sendable (UnsafeMutableRawPointer) -> NTStatus) { self.startWorker = startWorker }

    // MARK: The pool of the process

    nonisolated(unsafe) private static var instance = FutexLock<WorkerPool?>(nil)

    public static func shared(startWorker: @escaping @Sendable (UnsafeMutableRawPointer) -> NTStatus) -> WorkerPool {
        _ = arrangeForForks
        return instance.withLock { instance in
            if let instance { return instance }
            let made = WorkerPool(startWorker: startWorker)
            instance = made
            return made
        }
    }

    public static var existing: WorkerPool? { instance.withLock { $0 } }

    /// The child of a fork has no workers, and no ports whose messages they could announce.
    private static let arrangeForForks: Void = {
        pthread_atfork(nil, nil) {
            _ = Unmanaged.passRetained(WorkerPool.instance)
            WorkerPool.instance = FutexLock(nil)
            PoolAddress.forgetAll()
        }
    }()

    /// Processors of the machine.
    public static let processors = UInt32(max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))))

    // MARK: Completions

    /// Takes a completion in and sees to it that a worker is there. On a thread of the host.
    /// - Throws: what the host says when it has no threads to give.
    public func add(_ completion: PoolCompletion) throws(NTStatus) {
        let starts = state.withLock { state -> Bool in
            state.completions[UInt(bitPattern: completion.address)] = completion
            guard state.workers == 0 else { return false }
            state.workers = 1
            return true
        }
        guard starts else { return }
        let status = startWorker(Unmanaged.passUnretained(self).toOpaque())
        guard !status.isSuccess else { return }
        state.withLock { state in
            state.workers -= 1
            state.completions[UInt(bitPattern: completion.address)] = nil
        }
        throw status
    }

    public func completion(at address: UnsafeMutableRawPointer?) -> PoolCompletion? { state.withLock { $0.completions[UInt(bitPattern: address)] } }
    public func instance(at address: UnsafeMutableRawPointer?) -> CallbackInstance? { state.withLock { $0.instances[UInt(bitPattern: address)] } }
    /// What the calling worker runs.
    public var currentInstance: CallbackInstance? { state.withLock { $0.current[ntlpc_gettid()] } }

    /// No callback begins any more; those that run end in peace. The object is gone with the last of them.
    public func release(_ completion: PoolCompletion) {
        let dropped = state.withLock { state -> PoolCompletion? in
            completion.isReleased = true
            completion.pending = 0
            state.queue.removeAll { $0 === completion }
            return completion.running == 0 ? state.completions.removeValue(forKey: UInt(bitPattern: completion.address)) : nil
        }
        completion.endings.wrappingAdd(1, ordering: .acquiringAndReleasing)
        Futex.wake(futexAddress(of: completion.endings), Int32.max, shared: false)
        _ = dropped
    }

    /// Waits until no callback of `completion` runs or waits to run; the caller's own does not count.
    public func wait(for completion: PoolCompletion) {
        let me = ntlpc_gettid()
        while true {
            // ORDER: acquire. The word before the look; pairs with the additions in `end` and `release`.
            let seen = completion.endings.load(ordering: .acquiring)
            let isOver = state.withLock { state in
                let own = state.current[me]?.completion === completion ? 1 : 0
                return completion.pending == 0 && completion.running <= own
            }
            if isOver { return }
            Futex.wait(futexAddress(of: completion.endings), seen, shared: false, deadline: 0)
        }
    }

    // MARK: Work

    fileprivate func submit(_ completion: PoolCompletion) {
        let isWanted = state.withLock { state -> Bool in
            guard !completion.isReleased else { return false }
            completion.pending += 1
            guard !completion.isQueued else { return true }
            completion.isQueued = true
            if state.queue.isEmpty { state.queuedSince = Clock.monotonic }
            state.queue.append(completion)
            return true
        }
        guard isWanted else { return }
        ring()
    }

    private func ring() {
        // ORDER: release. Pairs with the acquire load in `nextWork`; the queue itself is under the lock.
        news.wrappingAdd(1, ordering: .acquiringAndReleasing)
        Futex.wake(futexAddress(of: news), 1, shared: false)
    }

    /// `work` will run when the callback of `instance` returns; false when it has returned.
    public func atEnd(of instance: CallbackInstance, _ work: @escaping @Sendable () -> Void) -> Bool {
        state.withLock { state in
            guard state.instances[UInt(bitPattern: instance.address)] === instance else { return false }
            instance.endWork.append(work)
            return true
        }
    }

    /// Takes out what waits for the callback's end.
    public func takeEndWork(of instance: CallbackInstance) -> [@Sendable () -> Void] {
        state.withLock { _ in
            let work = instance.endWork
            instance.endWork = []
            return work
        }
    }

    /// What a worker does next.
    private enum Step {
        /// Runs a callback; first starts one worker more, or wakes one, if that is needed for what is still queued.
        case run(CallbackInstance, starts: Bool, wakes: Bool)
        case sleep(until: UInt64)
        case end
    }

    /// For a worker: ends what it ran, and waits for more. Nil: the thread shall end.
    public func nextWork() -> CallbackInstance? {
        let me = ntlpc_gettid()
        let thread = ntlpc_thread_current()
        if thread.pointee.is_worker == 0 {
            ntlpc_thread_register()
            thread.pointee.is_worker = 1
        }
        endCurrent(me)
        state.withLock { state in
            state.threads.insert(me)
            state.idle += 1
        }
        var endsAt = Clock.monotonic &+ Self.idleTime
        while true {
            // ORDER: acquire. The word before the look; pairs with the addition in `ring`.
            let seen = news.load(ordering: .acquiring)
            switch state.withLock({ nextStep(&$0, me, &endsAt) }) {
            case .run(let instance, let starts, let wakes):
                if starts { startOneMore() }
                if wakes { ring() }
                return instance
            case .sleep(let until):
                Futex.wait(futexAddress(of: news), seen, shared: false, deadline: until)
            case .end:
                return nil
            }
        }
    }

    private func nextStep(_ state: inout State, _ me: Int32, _ endsAt: inout UInt64) -> Step {
        let now = Clock.monotonic
        if state.queue.isEmpty {
            if now < endsAt { return .sleep(until: endsAt) }
            endsAt = now &+ Self.idleTime
            guard state.idle > 1 || state.completions.isEmpty else { return .sleep(until: endsAt) }
            state.threads.remove(me)
            state.workers -= 1
            state.idle -= 1
            return .end
        }
        let patience = state.queuedSince &+ Self.patience
        guard state.current.count < Int(Self.processors) || now >= patience else { return .sleep(until: patience) }
        let instance = begin(&state, thread: me)
        state.idle -= 1
        let starts = state.idle == 0 && state.workers < Self.limit
        if starts { state.workers += 1 }
        // Who sleeps may have looked before the rest of the queue came: one of them must look again.
        return .run(instance, starts: starts, wakes: !state.queue.isEmpty)
    }

    private func begin(_ state: inout State, thread: Int32) -> CallbackInstance {
        let completion = state.queue.removeFirst()
        completion.pending -= 1
        completion.running += 1
        completion.isQueued = completion.pending > 0
        if completion.isQueued { state.queue.append(completion) }
        state.queuedSince = Clock.monotonic
        let instance = CallbackInstance(completion, thread: thread)
        state.instances[UInt(bitPattern: instance.address)] = instance
        state.current[thread] = instance
        return instance
    }

    private func startOneMore() {
        guard !startWorker(Unmanaged.passUnretained(self).toOpaque()).isSuccess else { return }
        Trace.note(.ports, "no further worker thread")
        state.withLock { $0.workers -= 1 }
    }

    private func endCurrent(_ thread: Int32) {
        guard let instance = state.withLock({ $0.current[thread] }) else { return }
        for work in takeEndWork(of: instance) { work() }
        end(instance, thread)
    }

    /// A worker's thread has ended, perhaps in the middle of a callback: what it was to send is not sent.
    static func workerEnded() {
        guard let pool = existing else { return }
        let me = ntlpc_gettid()
        let running = pool.state.withLock { state -> CallbackInstance? in
            guard state.threads.remove(me) != nil else { return nil }
            state.workers -= 1
            let running = state.current[me]
            if running == nil { state.idle -= 1 }
            return running
        }
        if let running { pool.end(running, me) }
    }

    private func end(_ instance: CallbackInstance, _ thread: Int32) {
        let dropped = state.withLock { state -> PoolCompletion? in
            state.current[thread] = nil
            state.instances[UInt(bitPattern: instance.address)] = nil
            let completion = instance.completion
            completion.running -= 1
            guard completion.isReleased, completion.running == 0 else { return nil }
            return state.completions.removeValue(forKey: UInt(bitPattern: completion.address))
        }
        instance.completion.endings.wrappingAdd(1, ordering: .acquiringAndReleasing)
        Futex.wake(futexAddress(of: instance.completion.endings), Int32.max, shared: false)
        _ = dropped
    }
}
