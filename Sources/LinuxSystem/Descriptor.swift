// An open file descriptor with one owner.
//
// Every descriptor of the library is close-on-exec, lies above 1023 (programs that use select() can have only the low ones),
// and is known to the fork handler: the child closes all of them, or a dead server would seem alive to its clients.

import CLinuxShims

/// A file descriptor that is closed when its last reference goes.
public final class Descriptor: Sendable {
    public let rawValue: Int32

    /// Takes ownership of a descriptor that came from a shim.
    public init(owning rawValue: Int32) { self.rawValue = rawValue }

    deinit { ntlpc_descriptor_close(rawValue) }
}

/// Counts events in the kernel; here only ever the edge counts, never the number.
public enum EventFd {
    public static func make() throws(Errno) -> Descriptor { Descriptor(owning: try check(ntlpc_eventfd())) }

    @inlinable
    public static func kick(_ descriptor: Descriptor) { ntlpc_eventfd_kick(descriptor.rawValue) }
}

/// A set of descriptors to wait on.
public enum Epoll {
    public static func make() throws(Errno) -> Descriptor { Descriptor(owning: try check(ntlpc_epoll_create())) }

    /// Adds `descriptor`; `key` comes back with its events. With `edge`, an event comes once for each change.
    public static func add(_ descriptor: Descriptor, to epoll: Descriptor, key: UInt64, edge: Bool) throws(Errno) {
        try check(ntlpc_epoll_add(epoll.rawValue, descriptor.rawValue, key, edge))
    }

    public static func remove(_ descriptor: Descriptor, from epoll: Descriptor) {
        ntlpc_epoll_remove(epoll.rawValue, descriptor.rawValue)
    }

    /// Waits until `deadline` (absolute nanoseconds of CLOCK_MONOTONIC; 0 waits for ever) and returns how many entries of
    /// `ready` were filled: 0 when the time has passed or a signal came.
    public static func wait(_ epoll: Descriptor, into ready: UnsafeMutableBufferPointer<ntlpc_ready>, deadline: UInt64) throws(Errno) -> Int {
        let found = ntlpc_epoll_wait(epoll.rawValue, ready.baseAddress!, Int32(ready.count), deadline)
        if found == -Errno.interrupted.rawValue { return 0 }
        return Int(try check(found))
    }
}

/// Clocks, in the units of the kernel.
public enum Clock {
    /// Nanoseconds of CLOCK_MONOTONIC.
    public static var monotonic: UInt64 { ntlpc_monotonic_ns() }
    /// 100 ns units since 1601, as NT counts.
    public static var systemTime: UInt64 { ntlpc_realtime_100ns() }
}

/// Raises the soft limit of descriptors to the hard one: a server needs two for each client process and port.
public func raiseDescriptorLimit() { ntlpc_raise_descriptor_limit() }
