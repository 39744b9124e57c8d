// What a connection port and its communication ports receive from, or the client ports of one link: a main queue, the rings
// that feed it, and the threads that wait.
//
// Locking. One lock guards everything reached from `QueueState`. It is held across no wait, no wake of a peer and no access to
// caller memory: what must happen afterwards is put into `Aftermath` and done when the lock is free. At most one such lock
// is held at a time; before it come the handle table, after it only the producer lock of a link, never both ways.
//
// Waiting. A message goes from a ring to a receiver in one step when somebody is there, otherwise through the main queue.
//   - A ring is hot while its doorbell is not armed: whoever receives next looks at it. A thread that leaves while others
//     wait, or when too many rings are hot, arms them; a ring that cannot be armed has frames, which are taken first.
//   - Receivers of any message sleep in epoll. A receiver of one connection's messages sleeps there only when nobody else does;
//     otherwise it is parked on a word of its own, and whoever finds its message wakes it.
//   - Waits have no time limit of their own: a kick cannot be lost between flag and system call, because that is a critical section
//     without a cancellation point, and a process that dies there shows as a hang-up.
//   - Whoever leaves hands over: a message that others may take wakes one of them; the last thread to leave epoll sends a
//     parked one there.

import CLinuxShims
import CWireFormat
import LinuxSystem
import NTObjects
import NTTypes
import Synchronization
import Tracing
import Transport

/// Which messages a receiver takes. Plain: the port that receives keeps the connection alive.
struct ReceiveFilter {
    /// Messages of this connection only; nil takes those of all.
    let only: Unmanaged<Connection>?
    /// The answer to this very message, which nobody else may take.
    let answerTo: UInt32

    init(connection: Connection?, answerTo: UInt32 = 0) {
        only = connection.map { Unmanaged.passUnretained($0) }
        self.answerTo = answerTo
    }

    static var any: ReceiveFilter { ReceiveFilter(connection: nil) }

    var connection: Connection? { only?.takeUnretainedValue() }

    func takes(_ record: MessagePointer) -> Bool {
        if answerTo != 0 { return record.pointee.isReserved && record.pointee.header.messageID == answerTo }
        guard !record.pointee.isReserved else { return false }
        guard let only else { return true }
        return record.pointee.reference?.toOpaque() == only.toOpaque()
    }

    @inline(__always)
    func takes(_ connection: Unmanaged<Connection>) -> Bool { only == nil || only.unsafelyUnwrapped.toOpaque() == connection.toOpaque() }

    @inline(__always)
    var isNarrow: Bool { answerTo != 0 || only != nil }
}

/// A message on its way to a receiver. The payload is private memory: the thread's staging buffer or `owned`.
public struct Delivery {
    public var header = MessageHeader()
    public var payload: UnsafeRawPointer?
    public var count = 0
    /// To be freed, or put back with the message, by whoever ends the delivery.
    var owned: UnsafeMutableRawPointer?
    /// The message if it lives on: its receiver owes an answer.
    var record: MessagePointer?
    /// Retained for a message without a record, so that it can be put back.
    var retained: Unmanaged<Connection>?
    /// What came with the message, retained.
    var attachments: Unmanaged<Attachments>?
    /// A reply that still lies in its slot: given back when the delivery ends.
    var slot = -1
    var core: LinkPointer?
    public var portContext: UInt64 = 0
    public var messageContext: UInt64 = 0
    public var sequence: UInt32 = 0

    public init() {}
}

/// How a receive ended.
public enum ReceiveOutcome: Sendable {
    case message
    /// The first message needs this many bytes; it stays queued.
    case tooShort(Int)
    case timedOut
    /// The port was closed by another thread.
    case closed
    /// Nothing is queued and nothing will come: the peer is gone.
    case disconnected
    case refused
    /// The port has a completion list, and that holds something.
    case listed
    /// An alertable wait was ended by an APC.
    case alerted
}

/// A thread that sleeps on a word of its own.
final class ParkedReceiver: @unchecked Sendable {
    let filter: ReceiveFilter
    let word = Atomic<UInt32>(0)
    /// An alertable wait sleeps in the host, on this.
    let handle: WaitingHandle?
    /// Whose it is; only to be compared.
    let thread = ntlpc_thread_current()

    init(_ filter: ReceiveFilter, handle: WaitingHandle? = nil) {
        self.filter = filter
        self.handle = handle
    }

    func signal() {
        if let handle { return handle.signal() }
        // ORDER: release. Pairs with the acquire load in `PortQueues.park`.
        word.store(1, ordering: .releasing)
        Futex.wake(futexAddress(of: word), shared: false)
    }
}

/// What to do when the lock is free again.
struct Aftermath {
    var wakes: [ParkedReceiver] = []
    var nudge = false
    var statuses: [(link: Link, slot: UInt32, turn: UInt32, status: NTStatus)] = []
    var breaks: [LinkEntry] = []
    /// Links whose control socket brought more than the parcel that was looked for.
    var news: [LinkEntry] = []
    var frees: [UnsafeMutableRawPointer] = []
    /// One for each message that is to be announced.
    var packets: [any MessageAnnouncer] = []
    /// Messages wait for the completion list.
    var feeds = false

    @inline(__always)
    var isEmpty: Bool {
        !nudge && !feeds && wakes.isEmpty && statuses.isEmpty && breaks.isEmpty && news.isEmpty && frees.isEmpty && packets.isEmpty
    }
}

extension Deadline {
    @inline(__always)
    var isPoll: Bool { self == .immediate }
    var hasPassed: Bool { hasPassed(monotonicNow: Clock.monotonic) }
    @inline(__always)
    var nanoseconds: UInt64 { monotonicNanoseconds }
}

/// The queues of a server's connection port, or of a client link.
final class PortQueues: @unchecked Sendable {
    /// Rings that may stay hot when a receiver leaves and nobody waits.
    static let hotLimit = 4
    let lock: FutexLock<QueueState>
    let isServer: Bool
    /// A completion list is or was registered. ORDER: relaxed: whoever must not miss it changes under the lock.
    let hasList = Atomic<Bool>(false)

    init(server: Bool) {
        isServer = server
        lock = FutexLock(QueueState(isServer: server))
        // Each client port of a link adds its own.
        if !server { lock.withLock { $0.quota.limit = 0 } }
    }

    // MARK: Changing the state

    /// Runs `body` under the lock, hands over what it queued, and does afterwards what must not be done inside.
    func change<Result, Failure: Error>(_ body: (inout QueueState) throws(Failure) -> Result) throws(Failure) -> Result {
        var aftermath = Aftermath()
        defer {
            perform(aftermath)
            updateSignals()
        }
        return try lock.withLock { (state) throws(Failure) -> Result in
            defer {
                state.handOver(leaving: false)
                aftermath = state.takeAftermath()
            }
            return try body(&state)
        }
    }

    func perform(_ aftermath: Aftermath) {
        if !aftermath.isEmpty { performSlowly(aftermath) }
    }

    @inline(never)
    private func performSlowly(_ aftermath: Aftermath) {
        for one in aftermath.statuses {
            var reply = ntlpc_reply()
            reply.kind = FrameKind.status
            reply.detail = UInt32(bitPattern: one.status.rawValue)
            one.link.replies.publish(&reply, payload: nil, slot: one.slot, turn: one.turn)
        }
        for waiter in aftermath.wakes { waiter.signal() }
        if aftermath.nudge { nudge() }
        for memory in aftermath.frees { StagingMemory.free(memory) }
        for entry in aftermath.news { LinkWatch(entry, self).readControl() }
        for announcer in aftermath.packets { announcer.announce() }
        if aftermath.feeds, let list = lock.withLock({ $0.list }) { list.feed(from: self) }
        for entry in aftermath.breaks { PortRundown.linkBroke(entry, of: self) }
        updateSignals()
    }

    // MARK: Waiting

    /// The epoll set and the descriptor that wakes its sleepers; made when somebody first has to sleep.
    struct Bells: Sendable {
        let epoll: Descriptor
        let nudge: Descriptor
    }

    static let nudgeKey = UInt64.max

    private func nudge() {
        if let bells = lock.withLock({ $0.bells }) { EventFd.kick(bells.nudge) }
    }

    /// Takes the next message that `filter` takes. `capacity` counts the whole message.
    @inline(__always)
    func receive(_ filter: ReceiveFilter, _ stateLock: Unmanaged<FutexLock<QueueState>>, capacity: Int, deadline: Deadline,
                 into delivery: inout Delivery) -> ReceiveOutcome {
        let staging = StagingMemory.ofThread()
        let outcome = stateLock._withUnsafeGuaranteedRef { lock in
            lock.withLock { $0.takeNext(filter, capacity: capacity, staging: staging, into: &delivery) }
        }
        if case .message = outcome.result, outcome.isClean { return .message }
        return receiveSlowly(filter, capacity: capacity, deadline: deadline, staging: staging, first: consume outcome, into: &delivery)
    }

    /// Takes `first` over: a sleeping receiver must not keep the link that it looked at last.
    @inline(never)
    private func receiveSlowly(_ filter: ReceiveFilter, capacity: Int, deadline: Deadline, staging: UnsafeMutableRawPointer,
                               first: consuming QueueState.TakeOutcome, into delivery: inout Delivery) -> ReceiveOutcome {
        var outcome = consume first
        var hasSpun = false
        var isWaiting = false
        while true {
            guard case .timedOut = outcome.result else {
                if !outcome.isClean || isWaiting { leave(isWaiting ? filter : nil) }
                return outcome.result
            }
            if hasList.load(ordering: .relaxed), let result = lookIntoList(filter, capacity: capacity, into: &delivery) {
                leave(isWaiting ? filter : nil)
                return result
            }
            if deadline.isPoll {
                // The watcher may have taken in what this thread did not see yet.
                let second = lock.withLock { state -> QueueState.TakeOutcome? in
                    guard state.heatNews() || !state.main.isEmpty else { return nil }
                    return state.takeNext(filter, capacity: capacity, staging: staging, into: &delivery)
                }
                if let second { outcome = second }
                // Or given it to the list in the meantime.
                if case .timedOut = outcome.result, hasList.load(ordering: .relaxed),
                   let result = lookIntoList(filter, capacity: capacity, into: &delivery) {
                    leave(nil)
                    return result
                }
                if case .timedOut = outcome.result {
                    leave(nil)
                    return .timedOut
                }
                continue
            }
            if !hasSpun, let watched = outcome.watched {
                hasSpun = true
                if spin(watched, deadline) {
                    outcome = lock.withLock { $0.takeNext(filter, capacity: capacity, staging: staging, into: &delivery) }
                    continue
                }
            }
            outcome.watched = nil
            if deadline.hasPassed {
                leave(isWaiting ? filter : nil)
                return .timedOut
            }
            outcome = sleep(filter, capacity: capacity, deadline: deadline, staging: staging, &isWaiting, into: &delivery)
            if Spin.isEndless { hasSpun = false }
        }
    }

    /// Hands over to those who stay. `waited`: what a receiver took that was counted as waiting.
    func leave(_ waited: ReceiveFilter?) {
        perform(lock.withLock { state in
            if let waited { state.endWaiting(waited) }
            state.handOver(leaving: true)
            return state.takeAftermath()
        })
        updateSignals()
    }

    /// Looks at the only hot ring for a while. One thread at a time does so.
    @inline(__always)
    private func spin(_ watched: LinkEntry, _ deadline: Deadline) -> Bool {
        // ORDER: none needed: the flag only keeps a second thread from burning a processor as well.
        guard !isSpinning.exchange(true, ordering: .relaxed) else { return false }
        defer { isSpinning.store(false, ordering: .relaxed) }
        let thread = ntlpc_thread_current()
        let core = watched.core
        let consumer = watched.link.consumer
        let (word, stamp) = consumer.pointee.watched
        guard Spin.isWorthwhile(thread, peerCPU: consumer.pointee.producerCPU) else { return false }
        let found = Spin.look(thread, deadline: deadline.nanoseconds) { word.pointee.load(ordering: .relaxed) == stamp || core.pointee.isDead }
        // The payload's first line travels while the header is looked at.
        if found { ntlpc_prefetch(consumer.pointee.payload) }
        return found
    }

    private let isSpinning = Atomic<Bool>(false)

    private enum Bed {
        case epoll(Bells)
        case parked(ParkedReceiver)
        /// There is something to take.
        case none
    }

    /// Sleeps until something happens or `deadline` passes, and takes what is there then.
    private func sleep(_ filter: ReceiveFilter, capacity: Int, deadline: Deadline, staging: UnsafeMutableRawPointer,
                       _ isWaiting: inout Bool, into delivery: inout Delivery) -> QueueState.TakeOutcome {
        var after = Aftermath()
        let bed: Bed = lock.withLock { state in
            defer {
                state.announce()
                after = state.takeAftermath()
            }
            guard let bells = state.listen() else { return .none }
            if state.mustLook(filter) { return .none }
            if !isWaiting {
                state.beginWaiting(filter, in: self)
                isWaiting = true
            }
            state.passOn()
            // A kick wakes one thread in epoll, whichever that is. Threads that take anything may share it; one that takes only some messages
            // sits there alone and wakes the others itself.
            if filter.isNarrow && state.epollSleepers > 0 || state.epollSleepers > state.broadSleepers {
                let parked = ParkedReceiver(filter)
                state.parked.append(parked)
                return .parked(parked)
            }
            state.epollSleepers += 1
            if !filter.isNarrow { state.broadSleepers += 1 }
            ntlpc_thread_current().pointee.waiting_asleep |= NTLPC_ASLEEP_IN_EPOLL | (filter.isNarrow ? 0 : NTLPC_ASLEEP_FOR_ANY)
            return .epoll(bells)
        }
        perform(after)
        // What came into a completion list after this thread was counted asleep wakes it; what came before is seen here.
        let deadline = hasList.load(ordering: .relaxed) && filter.answerTo == 0 && listHasMessages ? Deadline.at(1) : deadline
        switch bed {
        case .none:
            return lock.withLock { $0.takeNext(filter, capacity: capacity, staging: staging, into: &delivery) }
        case .parked(let parked):
            // ORDER: acquire. Pairs with the release store in `signal`.
            while parked.word.load(ordering: .acquiring) == 0 && !deadline.hasPassed {
                Futex.wait(futexAddress(of: parked.word), 0, shared: false, deadline: deadline.nanoseconds)
            }
            return lock.withLock { state in
                state.parked.removeAll { $0 === parked }
                return state.wakeUp(filter, capacity: capacity, staging: staging, &isWaiting, into: &delivery)
            }
        case .epoll(let bells):
            return withUnsafeTemporaryAllocation(of: ntlpc_ready.self, capacity: Int(NTLPC_EPOLL_BATCH)) { ready in
                var count = 0
                do throws(Errno) {
                    count = try Epoll.wait(bells.epoll, into: ready, deadline: deadline.nanoseconds)
                } catch {
                    Trace.note(.ports, "wait failed: errno \(error.rawValue)")
                }
                return lock.withLock { state in
                    state.epollSleepers -= 1
                    if !filter.isNarrow { state.broadSleepers -= 1 }
                    ntlpc_thread_current().pointee.waiting_asleep &= NTLPC_ASLEEP_FOR_ANSWER
                    for event in ready[0..<count] where event.key != Self.nudgeKey { state.heat(event.key) }
                    return state.wakeUp(filter, capacity: capacity, staging: staging, &isWaiting, into: &delivery)
                }
            }
        }
    }

    // MARK: For the watcher

    /// Empties the rings into the main queue: a producer has no room, or a port that can be waited on has news.
    func pump() {
        change { state in
            if let bells = state.bells { state.collectEvents(bells) }
            _ = state.heatNews()
            state.absorbEverything()
            _ = state.listen()
        }
        updateSignals()
    }

    // MARK: Ports that can be waited on

    /// Makes the handle state of every waitable port say whether something is queued for it. One thread at a time, so that the
    /// last state wins.
    func updateSignals() {
        // ORDER: acquire. Pairs with the release store in `startSignaling`.
        guard hasWaitablePorts.load(ordering: .acquiring) else { return }
        signalLock.lock()
        defer { signalLock.unlock() }
        let states = lock.withLock { state in
            state.waitablePorts.compactMap(\.port).map { ($0, state.isSignaled($0)) }
        }
        for (port, signaled) in states { port.setSignaled(signaled) }
    }

    /// Some port of these queues can be waited on.
    private let hasWaitablePorts = Atomic<Bool>(false)
    /// The watcher's interest in the bells, and how many want it: waitable ports, associations, a completion list, alertable
    /// waits. Before the lock of the queues.
    private let pumping = FutexLock<(reasons: Int, key: UInt64, epoll: Descriptor, watcher: Watcher)?>(nil)

    /// From now on the watcher empties the rings when nobody receives.
    /// - Throws: `insufficientResources` when no descriptor is left.
    func beginPumping() throws(NTStatus) {
        let watcher = try PortProcess.current().watcher
        try pumping.withLock { (pumping) throws(NTStatus) in
            if pumping != nil {
                pumping!.reasons += 1
                return
            }
            guard let bells = lock.withLock({ $0.listen() }) else { throw .insufficientResources }
            do throws(Errno) {
                pumping = (1, try watcher.add(bells.epoll, PortPump(self)), bells.epoll, watcher)
            } catch {
                throw NTStatus(error)
            }
            lock.withLock { $0.isPumped = true }
        }
        // What came before the watcher looked.
        pump()
    }

    func endPumping() {
        let ended = pumping.withLock { pumping -> (key: UInt64, epoll: Descriptor, watcher: Watcher)? in
            guard let current = pumping else { return nil }
            pumping!.reasons -= 1
            guard current.reasons == 1 else { return nil }
            pumping = nil
            lock.withLock { $0.isPumped = false }
            return (current.key, current.epoll, current.watcher)
        }
        if let ended { ended.watcher.remove(ended.epoll, key: ended.key) }
    }

    /// Makes the handle state of `port` follow the queue.
    func startSignaling(_ port: ALPCPort) throws(NTStatus) {
        try beginPumping()
        hasWaitablePorts.store(true, ordering: .releasing)
        change { state in
            state.waitablePorts.removeAll { $0.port == nil }
            state.waitablePorts.append(WaitablePort(port: port))
        }
    }

    /// The last handle of `port` is closed.
    func stopSignaling(_ port: ALPCPort) {
        let found = lock.withLock { state -> Bool in
            let before = state.waitablePorts.count
            state.waitablePorts.removeAll { $0.port === port }
            return state.waitablePorts.count < before
        }
        if found { endPumping() }
    }

    private let signalLock = FutexMutex()
}

/// Private memory for messages under way.
public enum StagingMemory {
    public static let size = MessageHeader.largestTotal + 1

    /// The calling thread's buffer of `size` bytes.
    @inline(__always)
    static func ofThread() -> UnsafeMutableRawPointer {
        let thread = ntlpc_thread_current()
        if let memory = thread.pointee.staging { return memory }
        return make(thread)
    }

    @inline(never)
    private static func make(_ thread: UnsafeMutablePointer<ntlpc_thread>) -> UnsafeMutableRawPointer {
        ntlpc_thread_register()
        // Two buffers: one for what goes out, one for what comes in.
        let memory = ntlpc_allocate(2 * size)
        thread.pointee.staging = memory
        return memory
    }

    /// The second half: for what a call sends, while the first receives.
    @inline(__always)
    public static func outgoing() -> UnsafeMutableRawPointer { ofThread() + size }

    static func copy(_ bytes: UnsafeRawPointer, _ count: Int) -> UnsafeMutableRawPointer? {
        if count == 0 { return nil }
        let memory = ntlpc_allocate(count)
        memory.copyMemory(from: bytes, byteCount: count)
        return memory
    }

    static func free(_ memory: UnsafeMutableRawPointer) { ntlpc_free(memory) }
}
