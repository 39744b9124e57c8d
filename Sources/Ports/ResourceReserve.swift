// Resource reserves: one message's worth of resources that a port sets aside, so that a message which must get through is not refused
// for lack of them. The reserve's id stands in for the MessageId 0 of a new message.
//
// A reserve is in use while the message sent with it lives, on this side: until its last answer, its cancellation, its sender's
// giving up, or the end of the connection. A datagram lives no longer than the send: where it is then, it has left this process. What
// keeps a reserve in use is a `ReserveUse`, which goes wherever the message's record goes and ends with it.
//
// What it reserves here: the receiver's limit of queued messages does not count for it (Quota.swift). Room in the ring comes from the
// peer's watcher, which empties it for any message.

import LinuxSystem
import NTTypes
import Synchronization

/// A reserve of a port.
final class ResourceReserve: PortResource, @unchecked Sendable {
    /// Bytes of payload that a message sent with it may have.
    let messageSize: Int
    private let isInUse = Atomic<Bool>(false)

    init(messageSize: Int) {
        self.messageSize = messageSize
        super.init(kind: .reserve)
    }

    /// Nil while a message that was sent with it lives.
    func use() -> ReserveUse? {
        // ORDER: acquire-release. The last user's release comes before the next one's use; nothing else is published.
        guard !isInUse.exchange(true, ordering: .acquiringAndReleasing) else { return nil }
        return ReserveUse(self)
    }

    fileprivate func finish() { isInUse.store(false, ordering: .releasing) }
}

/// A live message's hold on its reserve. Its end may come under the lock of the queues: it only stores a flag.
public final class ReserveUse: @unchecked Sendable {
    private let reserve: ResourceReserve
    private let isOver = Atomic<Bool>(false)

    fileprivate init(_ reserve: ResourceReserve) { self.reserve = reserve }
    deinit { end() }

    /// Also for a thread that ended in its call and never lets go.
    func end() {
        // ORDER: relaxed. Only the once counts.
        if !isOver.exchange(true, ordering: .relaxed) { reserve.finish() }
    }
}

extension ALPCPort {
    /// Reserves one port may have.
    static let reserveLimit = 4096
    /// MessageSize: 40 at least, and what fits a message beside its header at most ([W] AA-W).
    public static let reserveSizes = MessageHeader.size ... MessageHeader.largestTotal - MessageHeader.size

    /// Makes a reserve for messages of up to `messageSize` bytes.
    /// - Returns: its id, with bit 31 set ([W] RLI-T).
    /// - Throws: `invalidParameter` (too small), `bufferOverflow` (too large), `insufficientResources` (too many).
    public func createReserve(messageSize: UInt) throws(NTStatus) -> UInt32 {
        try resources.insert(ResourceReserve(messageSize: try Self.reserveSize(messageSize)), limit: Self.reserveLimit)
    }

    /// Checks a size by itself.
    @discardableResult
    public static func reserveSize(_ messageSize: UInt) throws(NTStatus) -> Int {
        guard messageSize >= UInt(reserveSizes.lowerBound) else { throw .invalidParameter }
        guard messageSize <= UInt(reserveSizes.upperBound) else { throw .bufferOverflow }
        return Int(messageSize)
    }

    /// Undoes `createReserve`, also while a message sent with it lives: the message goes on ([I]).
    /// - Throws: `invalidHandle` when there is none of that id ([W] AA-W for the second time).
    public func deleteReserve(_ id: UInt32) throws(NTStatus) {
        guard let removed = try existingResources?.remove(id, .reserve, as: ResourceReserve.self) else { throw .invalidHandle }
        _ = removed     // released here, outside the lock
    }

    /// Takes the reserve for a message with `count` bytes of payload.
    /// - Throws: `objectidNotFound` (no such reserve), `resourceInUse` while its last message lives ([W] RLI-T), `portMessageTooLong`
    ///   when it was made for smaller messages ([I]).
    public func useReserve(_ id: UInt32, count: Int) throws(NTStatus) -> ReserveUse {
        guard let reserve = existingResources?.find(id, .reserve, as: ResourceReserve.self) else { throw .objectidNotFound }
        guard count <= reserve.messageSize else { throw .portMessageTooLong }
        guard let use = reserve.use() else { throw .resourceInUse }
        return use
    }
}
