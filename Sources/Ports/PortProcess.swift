// What the ports keep for the whole process: the watcher and the links to servers. The child of a fork starts anew.

import CLinuxShims
import Glibc
import LinuxSystem
import NTObjects
import NTTypes
import Transport

/// The process's ports.
final class PortProcess: @unchecked Sendable {
    let watcher: Watcher
    /// Open links to servers by the path of the port's socket. Outermost lock of this module.
    let clientLinks = FutexLock<[String: ClientLink]>([:])
    /// NtSetDefaultHardErrorPort: kept for the life of the process.
    let hardErrorPort = FutexLock<ALPCPort?>(nil)

    private init() throws(Errno) { watcher = try Watcher() }

    nonisolated(unsafe) private static var instance = FutexLock<PortProcess?>(nil)

    /// - Throws: `insufficientResources` when no descriptor is left.
    static func current() throws(NTStatus) -> PortProcess {
        _ = arrangeForForks
        ntlpc_thread_set_rundown { ThreadRundown.run($0) }
        return try instance.withLock { (instance) throws(NTStatus) -> PortProcess in
            if let instance { return instance }
            do throws(Errno) {
                let made = try PortProcess()
                instance = made
                return made
            } catch {
                throw NTStatus(error)
            }
        }
    }

    private static let arrangeForForks: Void = {
        pthread_atfork(nil, nil) {
            // Left behind unreleased: it names threads and locks of the parent.
            _ = Unmanaged.passRetained(PortProcess.instance)
            PortProcess.instance = FutexLock(nil)
            LinkNumbers.forgetAll()
            PortViews.forgetAll()
            CompletionLists.forgetAll()
        }
    }()
}

/// Tells the owner of a link what the watcher sees on its control socket.
final class LinkWatch: Watched, @unchecked Sendable {
    let entry: LinkEntry
    let queues: PortQueues

    init(_ entry: LinkEntry, _ queues: PortQueues) {
        self.entry = entry
        self.queues = queues
    }

    func watchedReady(hungUp: Bool) {
        readControl()
        if hungUp { PortRundown.linkBroke(entry, of: queues) }
    }
}

extension LinkWatch {
    /// Does what the peer's process asks for over the control socket. Any thread, no lock held.
    func readControl() {
        // What is done for one packet may look for a parcel and read others.
        repeat {
            guard let news = entry.link.readControl() else {
                PortRundown.linkBroke(entry, of: queues)
                return
            }
            for one in news {
                switch one {
                case .drain: queues.pump()
                case .data(let packet):
                    guard packet.withUnsafeBytes({ entry.questions.take($0, entry, queues) }) else {
                        PortRundown.linkBroke(entry, of: queues)
                        return
                    }
                }
            }
        } while entry.link.hasNews
    }
}

/// Empties the rings of a port that can be waited on, so that its handle's state is true while nobody receives.
final class PortPump: Watched, @unchecked Sendable {
    private weak var queues: PortQueues?
    init(_ queues: PortQueues) { self.queues = queues }
    func watchedReady(hungUp: Bool) { queues?.pump() }
}

/// The numbers of the links of all connection ports of this process. A message id holds its link's number, so the calls that get a
/// message but no port (NtAcceptConnectPort) find the port by it.
enum LinkNumbers {
    nonisolated(unsafe) private static var owners = FutexLock<[WeakPort]>([])

    private struct WeakPort {
        weak var port: ConnectionPort?
        var isTaken: Bool
    }

    /// A free number from 1 to `MessageID.linkLimit`, or nil. Innermost lock.
    static func take(for port: ConnectionPort) -> UInt32? {
        owners.withLock { owners in
            if owners.isEmpty { owners.append(WeakPort(port: nil, isTaken: true)) }
            if let free = owners.firstIndex(where: { !$0.isTaken }) {
                owners[free] = WeakPort(port: port, isTaken: true)
                return UInt32(free)
            }
            guard owners.count <= Int(MessageID.linkLimit) else { return nil }
            owners.append(WeakPort(port: port, isTaken: true))
            return UInt32(owners.count - 1)
        }
    }

    static func giveBack(_ number: UInt32) {
        owners.withLock { owners in
            if Int(number) < owners.count && number > 0 { owners[Int(number)] = WeakPort(port: nil, isTaken: false) }
        }
    }

    static func owner(of number: UInt32) -> ConnectionPort? {
        owners.withLock { Int(number) < $0.count ? $0[Int(number)].port : nil }
    }

    /// In the child of a fork, while it has one thread.
    static func forgetAll() { owners = FutexLock([]) }
}
