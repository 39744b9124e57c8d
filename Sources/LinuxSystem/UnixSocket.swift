// Local sockets of the rendezvous: short datagrams, descriptors, and the kernel's word on who the peer is.

import CLinuxShims

/// What the kernel says about the process at the other end.
public struct PeerCredentials: Equatable, Sendable {
    public let pid: Int32
    public let uid: UInt32
    public let gid: UInt32
}

/// A SEQPACKET socket: keeps message boundaries, carries descriptors, hangs up when the peer dies.
public enum UnixSocket {
    /// Listens under `leaf` in an open directory. Throws `addressInUse` when something has that name.
    public static func listen(in directory: Descriptor, leaf: String, backlog: Int32) throws(Errno) -> Descriptor {
        Descriptor(owning: try check(leaf.withCString { ntlpc_unix_listen(directory.rawValue, $0, backlog) }))
    }

    /// Throws `noEntry` when there is no such name and `connectionRefused` when nobody listens behind it.
    public static func connect(in directory: Descriptor, leaf: String) throws(Errno) -> Descriptor {
        Descriptor(owning: try check(leaf.withCString { ntlpc_unix_connect(directory.rawValue, $0) }))
    }

    public static func accept(_ listener: Descriptor) throws(Errno) -> Descriptor {
        Descriptor(owning: try check(ntlpc_unix_accept(listener.rawValue)))
    }

    public static func credentials(of socket: Descriptor) throws(Errno) -> PeerCredentials {
        var peer = ntlpc_peer()
        try check(ntlpc_peer_credentials(socket.rawValue, &peer))
        return PeerCredentials(pid: peer.pid, uid: peer.uid, gid: peer.gid)
    }

    public static func send(_ bytes: UnsafeRawBufferPointer, descriptors: [Descriptor] = [], over socket: Descriptor) throws(Errno) {
        let numbers = descriptors.map(\.rawValue)
        let sent = numbers.withUnsafeBufferPointer {
            ntlpc_send_with_descriptors(socket.rawValue, bytes.baseAddress!, bytes.count, $0.baseAddress, Int32($0.count), false)
        }
        try check(sent)
    }

    /// Receives one datagram without waiting: nil at the end of the stream, `again` when nothing is there, `tooManyFiles` when its
    /// descriptors had no room in this process. At most `most` descriptors are taken, the rest is closed.
    public static func receive(into buffer: UnsafeMutableRawBufferPointer, from socket: Descriptor,
                               most: Int = 4) throws(Errno) -> (count: Int, descriptors: [Descriptor])? {
        var found = Int32(min(most, Int(NTLPC_DESCRIPTORS_MAX)))
        var count = 0
        let numbers = [Int32](unsafeUninitializedCapacity: Int(found)) { numbers, initialized in
            count = ntlpc_receive_with_descriptors(socket.rawValue, buffer.baseAddress!, buffer.count, numbers.baseAddress!, &found, false)
            initialized = Int(found)
        }
        try check(count)
        return count == 0 ? nil : (count, numbers.map { Descriptor(owning: $0) })
    }

    /// Waits until something can be received. Throws `timedOut` at `deadline` (absolute nanoseconds, 0 waits for ever).
    public static func waitReadable(_ socket: Descriptor, deadline: UInt64) throws(Errno) {
        try check(ntlpc_wait_readable(socket.rawValue, deadline))
    }

    /// Waits until something can be sent, likewise.
    public static func waitWritable(_ socket: Descriptor, deadline: UInt64) throws(Errno) {
        try check(ntlpc_wait_writable(socket.rawValue, deadline))
    }

    public static func hasHungUp(_ socket: Descriptor) -> Bool { ntlpc_hung_up(socket.rawValue) }

    /// Ends both directions, so that the peer sees a hang-up at once, while other threads may still hold the descriptor.
    public static func shutDown(_ socket: Descriptor) { ntlpc_shutdown(socket.rawValue) }
}
