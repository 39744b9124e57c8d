// The state behind the lock of a port's queues, and the steps that change it.

import CLinuxShims
import CWireFormat
import LinuxSystem
import NTObjects
import NTTypes
import Transport

/// A port whose handle says whether messages are queued.
struct WaitablePort {
    weak var port: ALPCPort?
}

/// A client's asynchronous request that is not answered yet, of which its own side keeps no message.
struct ExpectedAnswer {
    let connection: Connection
    /// The sender's own value.
    let context: UInt64
    /// The hold on the reserve that it was sent with.
    var reserve: ReserveUse?
    /// Signaled when this is forgotten: the request is over.
    var event: EventReference?
}

/// Everything that the lock of `PortQueues` guards.
struct QueueState: ~Copyable {
    let isServer: Bool
    var pool = MessagePool()
    /// Messages sent and not yet received, in the order of arrival.
    var main = MessageList()
    /// Messages that were cancelled in somebody's hands; see Cancellation.swift.
    var cancelled = MessageList()
    /// Links by number; a client's queues have one.
    var entries = LinkEntries()
    /// Entries are kept alive by `entries`.
    var hot: ContiguousArray<Unmanaged<LinkEntry>> = []
    var bells: PortQueues.Bells?
    /// Links whose bells are not in the epoll set yet.
    private var unheard: [(key: Int, entry: LinkEntry)] = []
    /// Threads asleep in epoll, and how many of them take any message.
    var epollSleepers = 0
    var broadSleepers = 0
    var parked: [ParkedReceiver] = []
    var isClosed = false
    /// Serial number of hops ([W] VOST, CHEN: separate from message ids, growing).
    var callbackSerial: UInt32 = 0
    /// Messages received from this port so far ([W] PFW).
    var sequence: UInt32 = 0
    /// For messages that start on the server's side, and a client's asynchronous ones.
    var nextNumber: UInt32 = 0
    /// A client's asynchronous requests: what comes back with the answer.
    var expected: [UInt32: ExpectedAnswer] = [:]
    var waitablePorts: [WaitablePort] = []
    var quota = PoolQuota()
    /// What came with the frame that is being taken in; whoever makes its record takes it over.
    var carried: Attachments?
    /// The watcher empties the rings when nobody receives.
    var isPumped = false
    /// Somebody is told of messages: an association or a completion list exists, so every message goes through the main queue.
    var announces = false
    var announcers = 0
    /// The association of the connection port, or of an unconnected one.
    var announcer: (any MessageAnnouncer)?
    /// Blocked receivers of any message; those of one connection's are counted there.
    var waiting = 0
    var list: CompletionList?
    var aftermath = Aftermath()

    init(isServer: Bool) { self.isServer = isServer }

    var sleepers: Int { epollSleepers + parked.count }

    mutating func takeAftermath() -> Aftermath {
        if cancelled.count > Self.cancelledLimit { trimCancelled() }
        var taken = Aftermath()
        if !aftermath.isEmpty { swap(&taken, &aftermath) }
        return taken
    }

    // MARK: Taking a message

    struct TakeOutcome {
        var result: ReceiveOutcome
        /// Nothing is left to do when the thread leaves.
        var isClean: Bool
        /// The only ring that can bring news, for a thread that looks before it sleeps.
        var watched: LinkEntry?
    }

    /// Takes the next message for `filter`, straight from a ring where possible; `.timedOut` when there is none now.
    @inline(__always)
    mutating func takeNext(_ filter: ReceiveFilter, capacity: Int, staging: UnsafeMutableRawPointer, into delivery: inout Delivery) -> TakeOutcome {
        if main.isEmpty && !isClosed && !announces && filter.answerTo == 0 {
            var index = 0
            while index < hot.count {
                if takeDirectly(hot[index], filter, capacity: capacity, staging: staging, into: &delivery) {
                    let isClean = sleepers == 0 && !isPumped && aftermath.isEmpty && hot.count <= PortQueues.hotLimit
                    return TakeOutcome(result: .message, isClean: isClean, watched: nil)
                }
                index += 1
            }
        }
        let result = takeQueued(filter, capacity: capacity, into: &delivery)
        let mayWatch = hot.count == 1 && sleepers == 0 && !announces
        return TakeOutcome(result: result, isClean: false, watched: mayWatch ? hot[0].takeUnretainedValue() : nil)
    }

    /// The fast way: an ordinary message at the head of a hot ring.
    @inline(__always)
    private mutating func takeDirectly(_ hot: Unmanaged<LinkEntry>, _ filter: ReceiveFilter, capacity: Int,
                                       staging: UnsafeMutableRawPointer, into delivery: inout Delivery) -> Bool {
        let core = hot._withUnsafeGuaranteedRef { $0.core }
        let consumer = core.pointee.consumer
        guard case .frame = consumer.pointee.look() else { return false }
        let kind = consumer.pointee.frame.kind
        let count = Int(consumer.pointee.frame.length)
        guard kind == FrameKind.message, consumer.pointee.frame.flags & FrameFlags.attached == 0, consumer.pointee.closings == core.pointee.closingsSeen.load(ordering: .relaxed),
              count + MessageHeader.size <= capacity, count <= MessageHeader.largestPayload,
              let connection = hot._withUnsafeGuaranteedRef({ $0.find(consumer.pointee.frame.connection) }),
              connection._withUnsafeGuaranteedRef({ $0.state }) == .open, filter.takes(connection) else { return false }
        let flags = consumer.pointee.frame.flags
        delivery.header = MessageHeader(consumer.pointee.frame)
        guard admit(&delivery.header, count: count, flags: flags, core) else {
            breakLink(hot.takeUnretainedValue())
            return false
        }
        if flags & FrameFlags.release == 0 {
            let record = pool.make()
            record.pointee.header = delivery.header
            record.pointee.slot = consumer.pointee.frame.slot
            record.pointee.turn = consumer.pointee.frame.turn
            record.pointee.state = .held
            record.pointee.isLegacy = flags & FrameFlags.legacy != 0
            guard hot._withUnsafeGuaranteedRef({ $0.table.insert(record) }) || enlist(record, hot.takeUnretainedValue()) else {
                pool.release(record)
                breakLink(hot.takeUnretainedValue())
                return false
            }
            record.pointee.adopt(connection.retain())
            delivery.record = record
        } else {
            delivery.retained = connection.retain()
        }
        if count > 0 { staging.copyMemory(from: consumer.pointee.payload, byteCount: count) }
        consumer.pointee.advance()
        delivery.payload = UnsafeRawPointer(staging)
        delivery.count = count
        delivery.portContext = connection._withUnsafeGuaranteedRef { $0.portContext }
        sequence &+= 1
        delivery.sequence = sequence
        return true
    }

    /// The slow way: through the main queue.
    @inline(never)
    private mutating func takeQueued(_ filter: ReceiveFilter, capacity: Int, into delivery: inout Delivery) -> ReceiveOutcome {
        if isClosed { return .closed }
        absorbEverything()
        // Its messages go into the list, which the receiver looks into next; see CompletionListReceive.swift.
        if list != nil && filter.answerTo == 0 { return nothing(for: filter) }
        var found = main.first(where: filter.takes)
        // Its sender may have given it up since: what the ring announces comes first.
        if let entry = found?.pointee.connection?.entry, !entry.isOver, entry.link.consumer.pointee.closings != entry.closingsSeen {
            heat(entry)
            absorb(entry)
            found = main.first(where: filter.takes)
        }
        // Also of a message that this receiver will take: it came when the receiver was not blocked for it.
        announce()
        guard let record = found else { return nothing(for: filter) }
        let count = Int(record.pointee.header.dataLength)
        if count + MessageHeader.size > capacity { return .tooShort(count + MessageHeader.size) }
        main.remove(record)
        checkQuota()
        deliver(record, into: &delivery)
        return .message
    }

    /// What a receiver hears when nothing is queued for it.
    func nothing(for filter: ReceiveFilter) -> ReceiveOutcome {
        guard let connection = filter.connection else { return .timedOut }
        switch connection.state {
        case .refused: return .refused
        case .disconnected: return .disconnected
        case .closed: return .closed
        case .requested, .accepted, .open: return .timedOut
        }
    }

    mutating func deliver(_ record: MessagePointer, into delivery: inout Delivery) {
        sequence &+= 1
        delivery.header = record.pointee.header
        delivery.count = Int(record.pointee.header.dataLength)
        delivery.owned = record.pointee.payload
        delivery.payload = UnsafeRawPointer(record.pointee.payload)
        delivery.portContext = record.pointee.isConnectionRequest ? 0 : record.pointee.connection?.portContext ?? 0
        delivery.messageContext = record.pointee.messageContext
        delivery.attachments = record.pointee.attachments.map { $0.retain() }
        delivery.sequence = sequence
        delivery.record = nil
        record.pointee.payload = nil
        record.pointee.isReserved = false
        if record.pointee.isListed && record.pointee.header.type & HeaderFlags.continuation != 0 {
            record.pointee.state = .held
            delivery.record = record
        } else {
            delivery.retained = record.pointee.connection.map { Unmanaged.passRetained($0) }
            unlist(record)
            pool.release(record)
        }
    }

    /// Undoes a delivery whose receiver's memory was not there: the message is first in the queue again.
    mutating func putBack(_ delivery: inout Delivery) {
        let record: MessagePointer
        if let listed = delivery.record {
            // Its sender may have given up meanwhile; then the notice is on its way and the message stays as it is.
            guard listed.pointee.isListed, listed.pointee.state == .held, listed.pointee.header.messageID == delivery.header.messageID else { return }
            record = listed
        } else {
            record = pool.make()
            record.pointee.header = delivery.header
            record.pointee.connection = delivery.retained?.takeUnretainedValue()
            record.pointee.messageContext = delivery.messageContext
            record.pointee.attachments = delivery.attachments.map { $0.retain() }
        }
        record.pointee.state = .queued
        if let owned = delivery.owned {
            record.pointee.payload = owned
            delivery.owned = nil
        } else if let payload = delivery.payload {
            record.pointee.payload = StagingMemory.copy(payload, delivery.count)
        }
        main.prepend(record)
        sequence &-= 1
        delivery.record = nil
    }

    // MARK: Rings

    /// Checks the header of a message frame and makes it what its receiver will see; false when the sender breaks the rules.
    @inline(__always)
    mutating func admit(_ header: inout MessageHeader, count: Int, flags: UInt16, _ core: LinkPointer) -> Bool {
        let serverMade = header.messageID & MessageID.fromServer != 0
        guard MessageID.isWellFormed(header.messageID), MessageID.link(of: header.messageID) == core.pointee.number, serverMade != isServer else {
            return false
        }
        header.setLength(count)
        header.type = flags & FrameFlags.release != 0 ? HeaderType.datagram : HeaderType.request | HeaderFlags.continuation
        header.type |= (flags & FrameFlags.noImpersonation) << HeaderFlags.noImpersonationShift
        header.clientProcess = core.pointee.peerNumber
        callbackSerial &+= 1
        header.callbackID = UInt64(callbackSerial)
        return true
    }

    /// Takes every frame of every hot ring into the main queue.
    mutating func absorbEverything() {
        var index = 0
        while index < hot.count {
            absorb(hot[index].takeUnretainedValue())
            index += 1
        }
    }

    /// Takes every frame of one ring, at most a ring's worth in one go.
    mutating func absorb(_ entry: LinkEntry) {
        for _ in 0..<WireLayout.ringUnits {
            switch entry.link.consumer.pointee.look() {
            case .empty:
                entry.link.consumer.pointee.publishCredit()
                return
            case .broken:
                breakLink(entry)
                return
            case .frame:
                var payload = UnsafeRawPointer(entry.link.consumer.pointee.payload)
                var frame = entry.link.consumer.pointee.frame
                let before = main.bytes
                var good = frame.flags & FrameFlags.attached == 0 || unpack(&frame, &payload, entry)
                if good { good = isServer ? takeFromClient(frame, payload, entry) : takeFromServer(frame, payload, entry) }
                carried = nil
                guard good, noteGrowth(entry, frame, since: before) else {
                    breakLink(entry)
                    return
                }
                entry.link.consumer.pointee.advance()
            }
        }
    }

    /// The control socket of a link brought something for the watcher while a parcel was looked for.
    mutating func noteNews(_ entry: LinkEntry) { aftermath.news.append(entry) }

    mutating func breakLink(_ entry: LinkEntry) {
        cool(entry)
        if !aftermath.breaks.contains(where: { $0 === entry }) { aftermath.breaks.append(entry) }
    }

    /// The ring is not looked at any more.
    mutating func cool(_ entry: LinkEntry) {
        hot.removeAll { $0.toOpaque() == Unmanaged.passUnretained(entry).toOpaque() }
        entry.isHot = false
    }

    /// A ring has or may have news.
    mutating func heat(_ key: UInt64) {
        guard key < UInt64(entries.count), let entry = entries[Int(key)] else { return }
        heat(entry)
    }

    mutating func heat(_ entry: LinkEntry) {
        guard !entry.isHot, !entry.isOver else { return }
        entry.isHot = true
        hot.append(Unmanaged.passUnretained(entry))
    }

    /// Looks at every ring without waiting for its bell; true when one has news.
    mutating func heatNews() -> Bool {
        var any = false
        for entry in entries.all where entry.link.consumer.pointee.hasNews {
            heat(entry)
            any = true
        }
        return any
    }

    mutating func collectEvents(_ bells: PortQueues.Bells) {
        withUnsafeTemporaryAllocation(of: ntlpc_ready.self, capacity: Int(NTLPC_EPOLL_BATCH)) { ready in
            let count = ntlpc_epoll_wait(bells.epoll.rawValue, ready.baseAddress!, NTLPC_EPOLL_BATCH, 1)
            for index in 0..<max(0, Int(count)) where ready[index].key != PortQueues.nudgeKey { heat(ready[index].key) }
        }
    }

    /// Arms every hot ring, so that the next frame kicks. Nil: there is no way to sleep (no descriptors left).
    mutating func listen() -> PortQueues.Bells? {
        if bells == nil {
            do throws(Errno) {
                let made = PortQueues.Bells(epoll: try Epoll.make(), nudge: try EventFd.make())
                try Epoll.add(made.nudge, to: made.epoll, key: PortQueues.nudgeKey, edge: true)
                bells = made
            } catch {
                return nil
            }
        }
        guard let bells else { return nil }
        if !unheard.isEmpty { hear(bells) }
        var passes = 0
        while let entry = hot.last?.takeUnretainedValue() {
            passes += 1
            if entry.link.consumer.pointee.arm() {
                entry.isHot = false
                hot.removeLast()
            } else {
                absorb(entry)
                // A producer that never pauses may not keep this thread for ever.
                if passes > 64 { break }
            }
        }
        return bells
    }

    /// Puts the bells of new links into the epoll set.
    @inline(never)
    private mutating func hear(_ bells: PortQueues.Bells) {
        for (key, entry) in unheard where !entry.isOver {
            do throws(Errno) {
                try Epoll.add(entry.link.bell, to: bells.epoll, key: UInt64(key), edge: true)
                entry.isListening = true
            } catch {
                breakLink(entry)
            }
        }
        unheard = []
    }

    /// A link has come: its ring is looked at from now on.
    mutating func open(_ entry: LinkEntry, at key: Int) {
        entries[key] = entry
        if quota.isFull { entry.core.pointee.setFull(true) }
        unheard.append((key, entry))
        heat(entry)
    }

    /// Before sleeping: something came in while the rings were armed.
    func mustLook(_ filter: ReceiveFilter) -> Bool {
        if isClosed || !hot.isEmpty { return true }
        if let record = main.first(where: filter.takes), filter.answerTo != 0 || list?.leaves(record) ?? true { return true }
        if let connection = filter.connection {
            switch connection.state {
            case .refused, .disconnected, .closed: return true
            case .requested, .accepted, .open: return false
            }
        }
        return false
    }

    // MARK: Handing over

    /// Wakes who can take what is queued. A leaving thread also leaves the rings to those who stay.
    mutating func handOver(leaving: Bool) {
        if sleepers == 0 && !isPumped {
            if leaving && hot.count > PortQueues.hotLimit { _ = listen() }
            return
        }
        if (epollSleepers > 0 || isPumped) && !hot.isEmpty { _ = listen() }
        announce()
        for waiter in parked where main.first(where: waiter.filter.takes) != nil || isOver(waiter.filter) {
            aftermath.wakes.append(waiter)
        }
        if epollSleepers > 0 {
            if !main.isEmpty || isClosed || !leaving || list != nil { aftermath.nudge = true }
        } else if aftermath.wakes.isEmpty, let waiter = parked.first(where: { $0.handle == nil }) {
            aftermath.wakes.append(waiter)
        }
    }

    /// Before a thread sleeps again that has taken in messages for others: nobody else was woken for them.
    mutating func passOn() {
        guard !main.isEmpty else { return }
        for waiter in parked where main.first(where: waiter.filter.takes) != nil { aftermath.wakes.append(waiter) }
    }

    private func isOver(_ filter: ReceiveFilter) -> Bool {
        if isClosed { return true }
        guard let connection = filter.connection else { return false }
        return connection.state == .disconnected || connection.state == .closed || connection.state == .refused
    }

    @inline(__always)
    mutating func unlist(_ record: MessagePointer) {
        guard record.pointee.isListed, let connection = record.pointee.reference else { return }
        connection._withUnsafeGuaranteedRef { $0.entry.table.remove(record) }
    }

    /// Takes a message out of everything and forgets it.
    mutating func discard(_ record: MessagePointer) {
        switch record.pointee.state {
        case .queued:
            main.remove(record)
            checkQuota()
        case .cancelled: cancelled.remove(record)
        case .held, .away: break
        }
        unlist(record)
        pool.release(record)
    }

    mutating func answerSlot(of record: MessagePointer, _ status: NTStatus) {
        guard record.pointee.isSynchronous, let connection = record.pointee.connection else { return }
        aftermath.statuses.append((connection.link, record.pointee.slot, record.pointee.turn, status))
        record.pointee.slot = WireLayout.noSlot
    }

    mutating func answerSlot(_ link: Link, _ slot: UInt32, _ turn: UInt32, _ status: NTStatus) {
        if slot != WireLayout.noSlot { aftermath.statuses.append((link, slot, turn, status)) }
    }

    func isSignaled(_ port: ALPCPort) -> Bool {
        if isClosed { return true }
        if let list { return list.isNoted }
        if case .connection = port.role { return main.first(where: { !$0.pointee.isReserved }) != nil }
        guard let connection = port.connection else { return !main.isEmpty }
        let filter = ReceiveFilter(connection: connection)
        return main.first(where: filter.takes) != nil || connection.state == .disconnected || connection.state == .refused
    }
}
