// A completion list: the messages of a connection port and its clients, written straight into memory of the program.
//
// Whoever brings news (the watcher, a receiver, a call that frees room) feeds the list: takes message after message out of the main
// queue and writes it into free blocks. No lock is held meanwhile, because the memory is the program's; one thread feeds at a time,
// and one that comes meanwhile leaves its wish behind:
//
//   (1) wishes += 1; it was above zero: somebody feeds and will see it   (2) feeds until nothing is left or there is no room
//   (3) wishes: from what it was at (2) to zero; it has grown: (2) again
//
// A list without room: who frees clears bits, then looks whether somebody waits for room; the feeder says that it waits, then looks at
// the bits once more. One of the two sees the other.
//
// A message that the list could never hold stays in the queue, and those behind it; when the list is empty, an ordinary receive takes
// it ([I]: NT's programs make the list large enough).

import CLinuxShims
import CNTTypes
import LinuxSystem
import NTObjects
import NTTypes
import Synchronization
import Tracing

/// What a program registers.
public struct CompletionListRequest: Sendable {
    public var buffer: UInt
    public var size: UInt32
    public var concurrency: UInt32
    public var attributeFlags: UInt32

    public init(buffer: UInt, size: UInt32, concurrency: UInt32, attributeFlags: UInt32) {
        self.buffer = buffer
        self.size = size
        self.concurrency = concurrency
        self.attributeFlags = attributeFlags
    }
}

/// The library's side of a list.
final class CompletionList: @unchecked Sendable {
    let region: CompletionListRegion
    /// No packet is posted while so many workers are active. ORDER: relaxed, a number of its own.
    let concurrency: Atomic<UInt32>
    /// Something came since the list was last found empty: what a port that can be waited on shows. ORDER: relaxed.
    private let noted = Atomic<Bool>(false)
    private let wishes = Atomic<UInt32>(0)
    private let waitsForRoom = Atomic<Bool>(false)
    /// Rundown, or the memory is gone: nothing more is posted.
    private let ended = Atomic<Bool>(false)
    /// Of the feeder alone.
    private var place: UInt64 = 0
    private var hint = 0
    private(set) weak var port: ALPCPort?
    /// The helper functions must tell of a list that becomes empty, because the port's handle shows it.
    private let isWaitable: Bool
    private let forgotten = Atomic<Bool>(false)

    init(_ region: CompletionListRegion, concurrency: UInt32, port: ALPCPort) {
        self.region = region
        self.concurrency = Atomic(concurrency)
        self.port = port
        isWaitable = port.isWaitable
    }

    var isNoted: Bool { noted.load(ordering: .relaxed) }
    var isEnded: Bool { ended.load(ordering: .sequentiallyConsistent) }

    /// The helper functions find the list from now on.
    func enter() {
        CompletionLists.add(self)
        if isWaitable { CompletionLists.attend(1) }
    }

    /// Nothing more is posted; returns when nobody writes any more.
    func end() {
        ended.store(true, ordering: .sequentiallyConsistent)
        // ORDER: sequentially consistent, with the look at `ended` in `feedNext`: a feeder that did not see it is seen here.
        awaitFeeder()
    }

    /// Waits for the thread that feeds, if one does: what it has in its hands is in the list then.
    func awaitFeeder() {
        while wishes.load(ordering: .sequentiallyConsistent) != 0 { ntlpc_sleep_ns(20_000) }
    }

    /// Posting goes on: what ended the list for a moment did not come true.
    func resume(_ queues: PortQueues) {
        ended.store(false, ordering: .sequentiallyConsistent)
        feed(from: queues)
    }

    /// The port has no list any more.
    func forget() {
        guard !forgotten.exchange(true, ordering: .acquiringAndReleasing) else { return }
        CompletionLists.forget(self)
        if isWaitable { CompletionLists.attend(-1) }
        roomCame()
    }

    // MARK: Feeding

    /// Writes what is queued into the list, wakes receivers, and announces each message while fewer workers than wanted are active.
    func feed(from queues: PortQueues) {
        guard wishes.wrappingAdd(1, ordering: .sequentiallyConsistent).oldValue == 0 else { return }
        // A thread that is ended here would leave a list that nobody feeds.
        ntlpc_critical_enter()
        var seen: UInt32
        var posted = 0
        var large: UInt32 = 0
        repeat {
            seen = wishes.load(ordering: .sequentiallyConsistent)
            while feedNext(queues, &large) { posted += 1 }
        } while !wishes.compareExchange(expected: seen, desired: 0, ordering: .sequentiallyConsistent).exchanged
        ntlpc_critical_leave()
        let isBusy = UInt32(region.activeThreads) >= concurrency.load(ordering: .relaxed)
        var packets = isBusy ? 0 : posted
        // A message that the list cannot hold is announced once, as if there were no list.
        if large != 0 && announcedLarge.exchange(large, ordering: .relaxed) != large { packets += 1 } else { large = 0 }
        guard posted > 0 || large != 0 else { return }
        if posted > 0 { noted.store(true, ordering: .sequentiallyConsistent) }
        let (announcer, after) = queues.lock.withLock { state in
            state.wakeForList()
            return (state.announcer, state.takeAftermath())
        }
        queues.perform(after)
        queues.updateSignals()
        if let announcer { for _ in 0..<packets { announcer.announce() } }
    }

    private let announcedLarge = Atomic<UInt32>(0)

    /// Posts the next message; false when there is none, or no room. `large`: the id of one that can never have room.
    private func feedNext(_ queues: PortQueues, _ large: inout UInt32) -> Bool {
        guard !isEnded, let (size, id) = queues.lock.withLock({ state in
            state.firstForList().map { ($0.pointee.header.totalLength, $0.pointee.header.messageID) }
        }) else { return false }
        let span = spanOf(size)
        guard span <= region.blocks else {
            large = id
            return false
        }
        let block: Int
        switch reserve(span) {
        case .block(let found): block = found
        case .full: return false
        case .gone:
            giveUp(queues, nil)
            return false
        }
        var delivery = Delivery()
        // Only this thread takes messages out for the list, but a message may be cancelled between the look and this.
        guard queues.lock.withLock({ $0.takeForList(&delivery, largest: size) }) else {
            region.release(block, span)
            return queues.lock.withLock { $0.firstForList() } != nil && feedNext(queues, &large)
        }
        if write(delivery, to: region.address(of: block)),
           region.post(block, span: span, place: &place, message: delivery.header.messageID, callback: UInt32(truncatingIfNeeded: delivery.header.callbackID)) {
            ALPCPort.finish(&delivery)
            return true
        }
        giveUp(queues, delivery)
        return false
    }

    /// The list could not hold a message of this length even if it were empty.
    func isTooSmall(for total: UInt16) -> Bool { spanOf(total) > region.blocks }

    private func spanOf(_ total: UInt16) -> Int {
        let attributes = region.attributeFlags == 0 ? 0 : MessageAttributes.headerSize(AttributeSet(rawValue: region.attributeFlags))
        return ((Int(total) + 7) & ~7 + attributes + CompletionListRegion.blockSize - 1) / CompletionListRegion.blockSize
    }

    /// Takes room; where there is none, whoever frees some will see that it is wanted.
    private func reserve(_ span: Int) -> CompletionListRegion.Reservation {
        let first = region.reserve(span, hint: &hint)
        guard case .full = first else { return first }
        if !waitsForRoom.exchange(true, ordering: .sequentiallyConsistent) { CompletionLists.attend(1) }
        // ORDER: sequentially consistent. The wish before the look at the bits; pairs with the fence in `CompletionLists.noticed`.
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        let second = region.reserve(span, hint: &hint)
        if case .block = second { roomCame() }
        return second
    }

    private func roomCame() {
        if waitsForRoom.exchange(false, ordering: .sequentiallyConsistent) { CompletionLists.attend(-1) }
    }

    /// The program took the memory away: the port goes on without the list.
    private func giveUp(_ queues: PortQueues, _ delivery: consuming Delivery?) {
        Trace.note(.ports, "completion list at \(region.base) is gone")
        ended.store(true, ordering: .sequentiallyConsistent)
        var taken = delivery
        let isOurs = queues.change { state in
            if taken != nil { state.putBack(&taken!) }
            guard state.list === self else { return false }
            state.list = nil
            state.updateAnnouncing()
            state.forgetNotices()
            return true
        }
        if taken != nil { ALPCPort.finish(&taken!) }
        if isOurs {
            forget()
            queues.endPumping()
        }
    }

    // MARK: News from the program

    /// A receiver found the list empty.
    func foundEmpty(_ queues: PortQueues) {
        guard noted.exchange(false, ordering: .sequentiallyConsistent) else { return }
        if region.hasMessages { noted.store(true, ordering: .sequentiallyConsistent) } else { queues.updateSignals() }
    }

    /// A helper function emptied the list or freed a message.
    fileprivate func noticed() {
        guard let queues = port?.queues else { return }
        if waitsForRoom.load(ordering: .sequentiallyConsistent) {
            roomCame()
            feed(from: queues)
        }
        if !region.hasMessages { foundEmpty(queues) }
    }
}

/// The lists of this process by address, for the helper functions, which know nothing else.
public enum CompletionLists {
    nonisolated(unsafe) private static var lists = FutexLock<[UInt: CompletionList]>([:])
    /// How many reasons there are for the helper functions to look here: lists that wait for room, and those of waitable ports.
    private static let attention = Atomic<Int>(0)

    static func add(_ list: CompletionList) { lists.withLock { $0[UInt(bitPattern: list.region.base)] = list } }

    static func forget(_ list: CompletionList) {
        lists.withLock { lists in
            let key = UInt(bitPattern: list.region.base)
            if lists[key] === list { lists[key] = nil }
        }
    }

    static func attend(_ change: Int) { attention.wrappingAdd(change, ordering: .sequentiallyConsistent) }

    /// A helper function emptied the list at `address`, or freed a message of it.
    @inline(__always)
    public static func noticed(_ address: UnsafeMutableRawPointer) {
        // ORDER: sequentially consistent. The bits that were cleared before the look at the wish; pairs with the fence in `reserve`.
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        if attention.load(ordering: .sequentiallyConsistent) > 0 { noticedSlowly(address) }
    }

    @inline(never)
    private static func noticedSlowly(_ address: UnsafeMutableRawPointer) {
        lists.withLock { $0[UInt(bitPattern: address)] }?.noticed()
    }

    /// In the child of a fork, while it has one thread. The parent's lists are not released.
    static func forgetAll() {
        _ = Unmanaged.passRetained(lists)
        lists = FutexLock([:])
        attention.store(0, ordering: .relaxed)
    }
}

extension ALPCPort {
    // MARK: The calls

    /// Gives the port a completion list. What is queued goes into it at once.
    /// - Throws: `lpcInvalidConnectionUsage` on anything but a connection port ([R] RLI-K: an error); `invalidParameter` for a buffer that
    ///   is not there, not aligned to 8 bytes, or too small for one block ([I]); `accessViolation`; `portAlreadyHasCompletionList` ([D]).
    public func registerCompletionList(_ request: CompletionListRequest) throws(NTStatus) {
        guard isConnectionPort else { throw .lpcInvalidConnectionUsage }
        guard request.buffer & 7 == 0, let base = UnsafeMutableRawPointer(bitPattern: request.buffer) else { throw .invalidParameter }
        guard let region = CompletionListRegion(base: base, size: Int(request.size), attributeFlags: request.attributeFlags) else { throw .invalidParameter }
        guard queues.lock.withLock({ $0.list }) == nil else { throw .portAlreadyHasCompletionList }
        guard region.initialize() else { throw .accessViolation }
        let list = CompletionList(region, concurrency: Self.concurrency(request.concurrency), port: self)
        try queues.beginPumping()
        do throws(NTStatus) {
            try queues.change { (state) throws(NTStatus) in
                guard !hasEnded else { throw .portClosed }
                guard state.list == nil else { throw .portAlreadyHasCompletionList }
                queues.hasList.store(true, ordering: .relaxed)
                list.enter()
                state.list = list
                state.updateAnnouncing()
                state.forgetNotices()
            }
        } catch {
            queues.endPumping()
            throw error
        }
    }

    /// Zero is the number of processors, as for completion ports ([I]).
    private static func concurrency(_ given: UInt32) -> UInt32 { given == 0 ? WorkerPool.processors : given }

    public var completionListHasMessages: Bool { queues.listHasMessages }

    private func registeredList() throws(NTStatus) -> CompletionList {
        guard let list = queues.lock.withLock({ $0.list }), isConnectionPort else { throw .invalidParameter }
        return list
    }

    /// Takes the list away; the memory is the program's again.
    /// - Throws: `invalidParameter` without a list; `resourceInUse` while messages are outstanding ([D] that it fails; [I] the status).
    public func unregisterCompletionList() throws(NTStatus) {
        let list = try registeredList()
        let wasEnded = list.isEnded
        if !wasEnded { list.end() }
        guard list.region.outstanding == 0 else {
            if !wasEnded { list.resume(queues) }
            throw .resourceInUse
        }
        let isOurs = queues.change { state -> Bool in
            guard state.list === list else { return false }
            state.list = nil
            state.updateAnnouncing()
            state.forgetNotices()
            return true
        }
        guard isOurs else { throw .invalidParameter }
        list.forget()
        queues.endPumping()
    }

    /// Posts nothing more to the list; what is in it can still be taken and freed, later messages are received as if there were none ([I]).
    /// - Throws: `invalidParameter` without a list.
    public func runDownCompletionList() throws(NTStatus) { try registeredList().end() }

    /// How many workers may be active before packets stop.
    /// - Throws: `invalidParameter` without a list ([I]).
    public func adjustCompletionListConcurrency(_ count: UInt32) throws(NTStatus) {
        try registeredList().concurrency.store(Self.concurrency(count), ordering: .relaxed)
    }
}
