// A server's connection port: its name, its socket, and who may connect.

import CLinuxShims
import CWireFormat
import LinuxSystem
import NTObjects
import NTSecurity
import NTTypes
import Tracing
import Transport

/// The server's end of a name.
final class ConnectionPort: LinkAcceptor, @unchecked Sendable {
    let queues = PortQueues(server: true)
    let sharedTraits: SharedTraits
    var traits: PortTraits { sharedTraits.value }
    private let descriptor: SecurityDescriptor
    private let watcher: Watcher
    private(set) weak var port: ALPCPort?
    private(set) var listener: Listener?
    private(set) var place: NamespacePlace?

    private init(traits: PortTraits, descriptor: SecurityDescriptor, watcher: Watcher) {
        sharedTraits = SharedTraits(traits)
        self.descriptor = descriptor
        self.watcher = watcher
    }

    /// Makes a connection port. An unnamed one works, but nobody can find it.
    /// - Throws: `objectNameCollision`, `objectNameInvalid`, `objectPathNotFound`, `insufficientResources`.
    static func create(name: String?, traits: PortTraits, descriptor: [UInt8]?) throws(NTStatus) -> ALPCPort {
        let process = try PortProcess.current()
        let port = ConnectionPort(traits: traits, descriptor: try PortAccess.descriptor(descriptor), watcher: process.watcher)
        port.queues.lock.withLock { $0.quota.limit = PoolQuota.bytes(traits.attributes.maxPoolUsage) }
        if let name {
            let (socket, place) = try ObjectNamespace.publish(name, isOpen: descriptor != nil)
            port.place = place
            do throws(Errno) {
                port.listener = try Listener(socket: socket, watcher: process.watcher, acceptor: port)
            } catch {
                ObjectNamespace.withdraw(place)
                throw NTStatus(error)
            }
        }
        let made = ALPCPort(.connection(port), queues: port.queues, traits: traits, name: name)
        port.port = made
        return made
    }

    // MARK: Clients

    func admission(of peer: PeerCredentials, hello: ntlpc_control) -> Admission {
        guard PortAccess.mayConnect(peer, descriptor) else { return .refuse(status: NTStatus.accessDenied.rawValue) }
        queues.change { $0.forgetDeadLinks() }
        let number = queues.lock.withLock({ $0.isClosed }) ? nil : LinkNumbers.take(for: self)
        guard let number else { return .refuse(status: NTStatus.insufficientResources.rawValue) }
        var answer = ntlpc_control()
        answer.link = number
        answer.port_flags = traits.flags
        answer.max_message_length = traits.maxMessageLength
        answer.max_connect_info = traits.maxConnectInfo
        answer.world = Host.world.rawValue
        answer.nt_process = ownProcess
        answer.session = ownSession
        return .admit(answer: answer)
    }

    /// The process's own number: the watcher's thread may not ask the host, the creating thread has.
    private let ownProcess = Host.clientID().process
    private let ownSession = Host.session

    func linkOpened(_ link: Link) {
        let entry = LinkEntry(link)
        // The number that a process of this host gives itself is the kernel's; another world's number cannot be checked and is
        // used for nothing but the ClientId that programs see.
        entry.ntProcess = link.greeting.world == Host.World.native.rawValue ? UInt64(link.peer.pid) : link.greeting.nt_process
        do throws(Errno) {
            entry.watchKey = try watcher.add(link.control, LinkWatch(entry, queues))
        } catch {
            link.close()
            LinkNumbers.giveBack(link.number)
            return
        }
        let isOpen = queues.change { state -> Bool in
            guard !state.isClosed else { return false }
            state.open(entry, at: Int(link.number))
            return true
        }
        Trace.note(.ports, "link \(link.number) from process \(link.peer.pid) uid \(link.peer.uid)")
        if !isOpen {
            LinkNumbers.giveBack(link.number)
            watcher.remove(link.control, key: entry.watchKey)
            link.close()
        }
    }
}
