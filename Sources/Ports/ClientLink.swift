// The link that all client ports of this process to one server port share.

import CLinuxShims
import CWireFormat
import LinuxSystem
import NTObjects
import NTTypes
import Tracing
import Transport

/// A client process's end of a link, with the queues its client ports receive from.
final class ClientLink: @unchecked Sendable {
    let entry: LinkEntry
    let queues = PortQueues(server: false)
    private let path: String
    /// The connection port's NT name, as whoever opened the link spelled it.
    let portName: String
    private let process: PortProcess
    /// Ports and connects under way that use it. Guarded by the process's lock.
    private var users = 1

    private init(_ link: Link, to place: NamespacePlace, process: PortProcess) {
        entry = LinkEntry(link)
        entry.ntProcess = link.greeting.nt_process
        path = place.path
        portName = place.name
        self.process = process
    }

    var link: Link { entry.link }

    /// The link to the port at `place`, opened if there is none.
    /// - Throws: `objectNameNotFound`, `objectTypeMismatch`, `serverSidMismatch` when `accept` says no, `timeout` when the server's
    ///   process did not answer until `deadline`, and what its admission says (`accessDenied`).
    static func open(_ place: NamespacePlace, deadline: Deadline, accept: (PeerCredentials) -> Bool) throws(NTStatus) -> ClientLink {
        let process = try PortProcess.current()
        if let found = process.clientLinks.withLock({ links -> ClientLink? in
            guard let found = links[place.path], !found.link.peerHasGone, !UnixSocket.hasHungUp(found.link.control) else { return nil }
            found.users += 1
            return found
        }) {
            guard accept(found.link.peer) else {
                found.release()
                throw .serverSidMismatch
            }
            return found
        }
        guard !ObjectNamespace.isOtherObject(place) else { throw .objectTypeMismatch }
        let link = try meet(place, deadline: deadline, accept: accept)
        let made = ClientLink(link, to: place, process: process)
        // Two threads may have met the server at once: each keeps its own link, the later one is found by others.
        do throws(Errno) {
            made.entry.watchKey = try process.watcher.add(link.control, LinkWatch(made.entry, made.queues))
        } catch {
            link.close()
            throw NTStatus(error)
        }
        made.queues.change { state in
            state.open(made.entry, at: 0)
        }
        process.clientLinks.withLock { $0[place.path] = made }
        return made
    }

    private static func meet(_ place: NamespacePlace, deadline: Deadline, accept: (PeerCredentials) -> Bool) throws(NTStatus) -> Link {
        var hello = ntlpc_control()
        hello.world = Host.world.rawValue
        hello.nt_process = Host.clientID().process
        hello.session = Host.session
        do throws(LinkFailure) {
            return try Rendezvous.open(in: place.directory, leaf: place.leaf, hello: hello, deadline: deadline.nanoseconds, accept: accept)
        } catch {
            switch error {
            case .absent: throw .objectNameNotFound
            case .refused(let status): throw NTStatus(rawValue: status)
            case .timedOut: throw .timeout
            case .wrongServer: throw .serverSidMismatch
            case .system(let errno): throw NTStatus(errno)
            }
        }
    }

    /// One user less; the last closes the link.
    func release() {
        let isLast = process.clientLinks.withLock { links in
            users -= 1
            guard users == 0 else { return false }
            if links[path] === self { links[path] = nil }
            return true
        }
        guard isLast else { return }
        process.watcher.remove(link.control, key: entry.watchKey)
        entry.questions.end()
        link.close()
        queues.change { state in
            state.isClosed = true
            state.dropEverything()
            state.hot = []
            state.entries.removeAll()
        }
    }
}
