// A packet that is queued to a completion port when an object is signaled. NT: WaitCompletionPacket.
//
//            associate                    the object is signaled                a thread removes the packet
//   idle ---------------> waiting(wait) -------------------------> queued(port) ---------------------------> idle
//                             '------------ cancel -------------------'------- cancel, with removal ---------^
//
// Signaled and cancelled can meet. (1) The setter finishes the wait under the lock of all waits. (2) After that lock it takes the
// packet's lock and, if the packet still waits for this wait, queues it. A cancel takes the packet's lock and then asks, under
// the lock of all waits, whether (1) has happened: if so the signal is spent and the packet counts as signaled; else it takes the
// wait out of the queues and (1) never happens.
// Packets are posted outside the lock, because a post may end other packets' waits.
// Lock order: packet, then waits; packet, then completion port.

import LinuxSystem
import NTTypes

/// An NT wait completion packet.
public final class WaitCompletionPacket: KernelObject, @unchecked Sendable {
    private enum Phase {
        case idle
        case waiting(PacketWait)
        case queued(IoCompletion)
    }

    /// Before: waits, completion port.
    private let phase = FutexLock(Phase.idle)

    public init() { super.init(kind: .waitCompletionPacket) }

    /// Queues `packet` to `port` once `target` is signaled, and takes what a wait takes.
    /// - Returns: whether it was signaled already; the packet is queued then.
    /// - Throws: `invalidParameter1` while the packet waits or lies in a queue [I]; `insufficientResources`.
    public func associate(_ port: IoCompletion, target: SignalState, packet: CompletionPacket) throws(NTStatus) -> Bool {
        var packet = packet
        packet.owner = self
        let wait = PacketWait(target, port: port, packet: packet)
        let isSignaled = try phase.withLock { phase throws(NTStatus) -> Bool in
            guard case .idle = phase else { throw .invalidParameter1 }
            let isSignaled = try ObjectContext.shared.waits.withLock { state throws(NTStatus) -> Bool in
                if let index = wait.satisfyLocked(&state) {
                    wait.finishLocked(index, &state)
                    return true
                }
                if target.outsideLocked(&state) != nil {
                    try OutsideWatch.ensureRunningLocked(&state)
                    OutsideWatch.addLocked(wait, &state)
                }
                if let index = wait.enterQueuesLocked(&state) {
                    wait.finishLocked(index, &state)
                    return true
                }
                return false
            }
            phase = isSignaled ? .queued(port) : .waiting(wait)
            return isSignaled
        }
        if isSignaled { port.post(packet) }
        return isSignaled
    }

    /// Step (2): the wait has ended.
    fileprivate func waitEnded(_ wait: PacketWait) {
        let isCurrent = phase.withLock { phase in
            guard case .waiting(let current) = phase, current === wait else { return false }
            phase = .queued(wait.port)
            return true
        }
        if isCurrent { wait.port.post(wait.packet) }
    }

    /// A thread has the packet, or the port was closed.
    func packetDelivered() {
        phase.withLock { phase in
            if case .queued = phase { phase = .idle }
        }
    }

    /// Ends the wait.
    /// - Parameter removing: takes a packet that is queued already out of the queue.
    /// - Returns: `success`; `pending` when the object was signaled and the packet is, or comes, in the queue. [I]
    /// - Throws: `cancelled` when there is nothing to cancel. [I]
    public func cancel(removing: Bool) throws(NTStatus) -> NTStatus {
        try phase.withLock { phase throws(NTStatus) -> NTStatus in
            switch phase {
            case .idle:
                throw .cancelled
            case .waiting(let wait):
                let isSignaled = ObjectContext.shared.waits.withLock { state in
                    if wait.isFinished { return true }
                    wait.leaveQueuesLocked(&state)
                    // The watching thread may still have it on its list, and must not take a signal for it.
                    wait.finishLocked(0, &state)
                    return false
                }
                if isSignaled, !removing { return .pending }
                phase = .idle
                return .success
            case .queued(let port):
                guard removing, port.withdraw(self) else { return .pending }
                phase = .idle
                return .success
            }
        }
    }

    /// Nobody can cancel any more: the wait ends, and a queued packet goes. [I]
    public override func lastHandleClosed() {
        do throws(NTStatus) {
            _ = try cancel(removing: true)
        } catch {
            // It was idle.
        }
    }

    public override func describe() -> String {
        let word = phase.withLock { phase in
            switch phase {
            case .idle: "idle"
            case .waiting: "waiting"
            case .queued: "queued"
            }
        }
        return "\(super.describe()) \(word)"
    }
}

/// The wait of a packet: nobody sleeps for it.
private final class PacketWait: Waiter, @unchecked Sendable {
    let port: IoCompletion
    let packet: CompletionPacket

    init(_ target: SignalState, port: IoCompletion, packet: CompletionPacket) {
        self.port = port
        self.packet = packet
        super.init(states: [target], all: false)
    }

    override var isUnattended: Bool { true }

    override func lookAgainLocked(_ state: inout WaitState) -> Descriptor? {
        OutsideWatch.addLocked(self, &state)
        return nil
    }

    override func leaveQueuesLocked(_ state: inout WaitState, except cleaned: SignalState? = nil) {
        super.leaveQueuesLocked(&state, except: cleaned)
        OutsideWatch.removeLocked(self, &state)
    }

    override func wake() { packet.owner?.waitEnded(self) }
}
