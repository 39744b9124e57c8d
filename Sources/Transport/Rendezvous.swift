// How two processes meet: a socket under the port's name, a hello, a welcome with the region and two eventfds.
//
// The kernel says who the peer is. The server makes the region and seals it, so neither side can take its pages away. The
// client looks at the server's identity before it sends anything but the hello, and at the seals before it maps anything.

import CLinuxShims
import CWireFormat
import LinuxSystem
import Tracing

/// The server's decision about a client that knocks.
public enum Admission: Sendable {
    /// `answer` carries the port's limits and the link's number.
    case admit(answer: ntlpc_control)
    /// An NTSTATUS that the client's call returns.
    case refuse(status: Int32)
}

/// What a listening port wants to know and to be told. Called on the watcher's thread.
public protocol LinkAcceptor: AnyObject, Sendable {
    func admission(of peer: PeerCredentials, hello: ntlpc_control) -> Admission
    func linkOpened(_ link: Link)
}

/// A port's socket. Accepts client processes until closed.
public final class Listener: Watched, @unchecked Sendable {
    /// Half-open clients a listener keeps; one more ends the oldest.
    private static let halfOpenLimit = 64

    let socket: Descriptor
    private let watcher: Watcher
    private weak var acceptor: (any LinkAcceptor)?
    private var key: UInt64 = 0
    private let halfOpen = FutexLock<[Knock]>([])

    public init(socket: Descriptor, watcher: Watcher, acceptor: any LinkAcceptor) throws(Errno) {
        self.socket = socket
        self.watcher = watcher
        self.acceptor = acceptor
        key = try watcher.add(socket, self)
    }

    public func close() {
        watcher.remove(socket, key: key)
        UnixSocket.shutDown(socket)
        let knocks = halfOpen.withLock { all in
            let old = all
            all = []
            return old
        }
        for knock in knocks { knock.end() }
    }

    public func watchedReady(hungUp: Bool) {
        while true {
            do throws(Errno) {
                let client = try UnixSocket.accept(socket)
                let knock = Knock(client, self)
                try knock.begin(watcher)
                let surplus = halfOpen.withLock { all in
                    all.append(knock)
                    return all.count > Self.halfOpenLimit ? all.removeFirst() : nil
                }
                surplus?.end()
            } catch {
                if error == .tooManyFiles || error == .tooManyFilesInSystem { dropOne() }
                if error != .again { Trace.note(.transport, "client not accepted: errno \(error.rawValue)") }
                return
            }
        }
    }

    /// No descriptor is free: the oldest half-open client has to go, so that the queue moves on.
    private func dropOne() {
        let oldest = halfOpen.withLock { $0.isEmpty ? nil : $0.removeFirst() }
        oldest?.end()
    }

    fileprivate func greet(_ knock: Knock, hello: ntlpc_control) {
        forget(knock)
        guard let acceptor else { return }
        do throws(Errno) {
            let peer = try UnixSocket.credentials(of: knock.socket)
            var answer = ntlpc_control()
            var refusal: Int32 = 0
            if hello.version != NTLPC_WIRE_VERSION {
                refusal = Int32(bitPattern: 0xC000_0059)    // STATUS_REVISION_MISMATCH
            } else {
                switch acceptor.admission(of: peer, hello: hello) {
                case .admit(let given): answer = given
                case .refuse(let status): refusal = status
                }
            }
            answer.magic = NTLPC_WIRE_MAGIC
            answer.version = NTLPC_WIRE_VERSION
            answer.kind = NTLPC_CONTROL_WELCOME
            answer.status = refusal
            if refusal != 0 {
                try withUnsafeBytes(of: &answer) { (bytes) throws(Errno) in try UnixSocket.send(bytes, over: knock.socket) }
                return
            }
            let (region, file) = try SharedMemory.make(name: "ntlpc-link", count: WireLayout.regionBytes)
            var header = ntlpc_region_header(magic: NTLPC_WIRE_MAGIC, version: NTLPC_WIRE_VERSION, ring_bytes: NTLPC_RING_BYTES,
                                             slot_count: NTLPC_SLOT_COUNT, slot_stride: NTLPC_SLOT_STRIDE)
            region.base.copyMemory(from: &header, byteCount: MemoryLayout<ntlpc_region_header>.size)
            let bell = try EventFd.make(), kick = try EventFd.make()
            let link = Link(side: .server, peer: peer, control: knock.socket, number: answer.link, greeting: hello,
                            region: region, kick: kick, bell: bell)
            // The link must be able to receive before the client can send.
            acceptor.linkOpened(link)
            try withUnsafeBytes(of: &answer) { (bytes) throws(Errno) in
                try UnixSocket.send(bytes, descriptors: [file, bell, kick], over: knock.socket)
            }
        } catch {
            Trace.note(.transport, "handshake failed: errno \(error.rawValue)")
            UnixSocket.shutDown(knock.socket)
        }
    }

    fileprivate func forget(_ knock: Knock) {
        halfOpen.withLock { $0.removeAll { $0 === knock } }
    }
}

/// A client that has connected and not yet said hello.
private final class Knock: Watched, @unchecked Sendable {
    let socket: Descriptor
    private let listener: Listener
    private var watcher: Watcher?
    private var key: UInt64 = 0

    init(_ socket: Descriptor, _ listener: Listener) {
        self.socket = socket
        self.listener = listener
    }

    func begin(_ watcher: Watcher) throws(Errno) {
        self.watcher = watcher
        key = try watcher.add(socket, self)
    }

    func end() {
        watcher?.remove(socket, key: key)
        UnixSocket.shutDown(socket)
    }

    func watchedReady(hungUp: Bool) {
        var hello = ntlpc_control()
        var good = false
        do throws(Errno) {
            let received = try withUnsafeMutableBytes(of: &hello) { (bytes) throws(Errno) in try UnixSocket.receive(into: bytes, from: socket) }
            good = received?.count == MemoryLayout<ntlpc_control>.size && hello.magic == NTLPC_WIRE_MAGIC && hello.kind == NTLPC_CONTROL_HELLO
        } catch {
            if error == .again && !hungUp { return }
        }
        watcher?.remove(socket, key: key)
        if good { listener.greet(self, hello: hello) } else {
            listener.forget(self)
            UnixSocket.shutDown(socket)
        }
    }
}

/// Why a client could not open a link.
public enum LinkFailure: Error, Sendable {
    /// Nobody listens under the name.
    case absent
    /// The server said no: its NTSTATUS.
    case refused(Int32)
    /// The server did not answer in time.
    case timedOut
    /// The server's process is not the one required.
    case wrongServer
    case system(Errno)
}

/// The client's half of the meeting.
public enum Rendezvous {
    /// Opens a link to the port listening as `leaf` in `directory`.
    /// - Parameters:
    ///   - accept: looks at the server's kernel-given identity; false ends the meeting before anything is sent.
    ///   - deadline: absolute nanoseconds; 0 waits for ever.
    public static func open(in directory: Descriptor, leaf: String, hello: ntlpc_control, deadline: UInt64,
                            accept: (PeerCredentials) -> Bool) throws(LinkFailure) -> Link {
        let socket: Descriptor
        do throws(Errno) {
            socket = try UnixSocket.connect(in: directory, leaf: leaf)
        } catch {
            throw error == .noEntry || error == .connectionRefused || error == .notDirectory ? .absent : .system(error)
        }
        let peer: PeerCredentials
        do throws(Errno) {
            peer = try UnixSocket.credentials(of: socket)
        } catch {
            throw .system(error)
        }
        guard accept(peer) else { throw .wrongServer }
        let welcome: (message: ntlpc_control, descriptors: [Descriptor])
        do throws(Errno) {
            welcome = try exchange(socket, hello: hello, deadline: deadline)
        } catch {
            switch error {
            case .timedOut: throw .timedOut
            case .connectionReset, .brokenPipe: throw .absent
            default: throw .system(error)
            }
        }
        guard welcome.message.status == 0 else { throw .refused(welcome.message.status) }
        do throws(Errno) {
            return try adopt(welcome.message, welcome.descriptors, socket, peer)
        } catch {
            throw .system(error)
        }
    }

    private static func exchange(_ socket: Descriptor, hello: ntlpc_control, deadline: UInt64) throws(Errno) -> (ntlpc_control, [Descriptor]) {
        var message = hello
        message.magic = NTLPC_WIRE_MAGIC
        message.version = NTLPC_WIRE_VERSION
        message.kind = NTLPC_CONTROL_HELLO
        try withUnsafeBytes(of: &message) { (bytes) throws(Errno) in try UnixSocket.send(bytes, over: socket) }
        try UnixSocket.waitReadable(socket, deadline: deadline)
        var welcome = ntlpc_control()
        let received = try withUnsafeMutableBytes(of: &welcome) { (bytes) throws(Errno) in try UnixSocket.receive(into: bytes, from: socket) }
        guard let received else { throw .connectionReset }
        guard received.count == MemoryLayout<ntlpc_control>.size, welcome.magic == NTLPC_WIRE_MAGIC,
              welcome.kind == NTLPC_CONTROL_WELCOME else { throw .badMessage }
        return (welcome, received.descriptors)
    }

    private static func adopt(_ welcome: ntlpc_control, _ descriptors: [Descriptor], _ socket: Descriptor, _ peer: PeerCredentials) throws(Errno) -> Link {
        guard descriptors.count == 3 else { throw .badMessage }
        let region = try SharedMemory.adopt(descriptors[0], count: WireLayout.regionBytes)
        let header = region.base.load(as: ntlpc_region_header.self)
        guard header.magic == NTLPC_WIRE_MAGIC, header.version == NTLPC_WIRE_VERSION, header.ring_bytes == NTLPC_RING_BYTES,
              header.slot_count == NTLPC_SLOT_COUNT, header.slot_stride == NTLPC_SLOT_STRIDE else { throw .badMessage }
        return Link(side: .client, peer: peer, control: socket, number: welcome.link, greeting: welcome,
                    region: region, kick: descriptors[1], bell: descriptors[2])
    }
}
