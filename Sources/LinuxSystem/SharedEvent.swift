// Signal states that two processes share, and sleeping until one of several descriptors is readable.

import CLinuxShims

/// What a descriptor from outside is, as the kernel says.
public enum DescriptorKind: Sendable {
    /// A file of a file system.
    case regular
    /// A memory file that takes seals.
    case memory
    /// An eventfd.
    case event
    /// A process or thread (pidfd).
    case task
    case other

    /// Throws when the descriptor is none or the kernel does not tell (a root without /proc).
    public init(_ descriptor: Descriptor) throws(Errno) {
        switch try check(ntlpc_descriptor_kind(descriptor.rawValue)) {
        case NTLPC_DESCRIPTOR_REGULAR: self = .regular
        case NTLPC_DESCRIPTOR_MEMORY: self = .memory
        case NTLPC_DESCRIPTOR_EVENT: self = .event
        case NTLPC_DESCRIPTOR_TASK: self = .task
        default: self = .other
        }
    }
}

extension Descriptor {
    /// Another descriptor of the same open file.
    public func duplicated() throws(Errno) -> Descriptor { try Descriptor.duplicate(of: rawValue) }

    /// The same for a descriptor that is not the library's.
    public static func duplicate(of number: Int32) throws(Errno) -> Descriptor {
        Descriptor(owning: try check(ntlpc_duplicate(number, true)))
    }

    /// A descriptor for a program, which closes it: close-on-exec, the lowest number, not closed in the child of a fork.
    public func duplicatedForProgram() throws(Errno) -> Int32 { try check(ntlpc_duplicate(rawValue, false)) }

    /// What can be done with the open file.
    public var mode: (reads: Bool, writes: Bool) {
        get throws(Errno) {
            let bits = try check(ntlpc_open_mode(rawValue))
            return (bits & 1 != 0, bits & 2 != 0)
        }
    }

    /// The same file opened anew for less.
    public func reopened(reads: Bool, writes: Bool) throws(Errno) -> Descriptor {
        Descriptor(owning: try check(ntlpc_reopen(rawValue, reads, writes)))
    }

    /// Makes sure that a memory file does not shrink: a mapping of it then never loses its pages.
    public func keepSize() throws(Errno) { try check(ntlpc_memory_keep_size(rawValue)) }
}

/// An event in the kernel: signaled while its counter is not 0.
///
/// Every process that has the descriptor can change the counter and the flags. Two who set it at the same time may both add one;
/// taking removes all of it, so the event is still taken once.
public enum SharedEvent {
    /// - Parameter takenByWait: whether a wait that sees the signal takes it. The descriptor tells it to other processes.
    public static func make(takenByWait: Bool, signaled: Bool) throws(Errno) -> Descriptor {
        Descriptor(owning: try check(ntlpc_event_create(takenByWait, signaled)))
    }

    public static func isTakenByWait(_ event: Descriptor) -> Bool { ntlpc_event_is_taken_by_wait(event.rawValue) }
    public static func isSignaled(_ event: Descriptor) -> Bool { ntlpc_readable(event.rawValue) }

    /// Takes the signal back and returns whether there was one.
    public static func take(_ event: Descriptor) -> Bool { ntlpc_event_take(event.rawValue) }

    /// Signals and returns whether it was signaled before.
    public static func put(_ event: Descriptor) -> Bool { ntlpc_event_put(event.rawValue) }
}

/// Sleeping on descriptors.
public enum Poll {
    /// Waits until one of `descriptors` is readable or at its end, or `deadline` (0 for ever). The answer has a place for each of
    /// them; none is true when the time has passed. Nil among them is passed over.
    public static func wait(_ descriptors: [Descriptor?], deadline: UInt64) throws(Errno) -> [Bool] {
        let numbers = descriptors.map { $0?.rawValue ?? -1 }
        var ready = [UInt8](repeating: 0, count: numbers.count)
        let result = numbers.withUnsafeBufferPointer { numbers in
            // With an empty list there is only the deadline; the shim is not told where nothing is.
            ready.withUnsafeMutableBufferPointer { ready -> Int32 in
                guard let first = numbers.baseAddress, let flags = ready.baseAddress else { return 0 }
                return ntlpc_poll(first, flags, Int32(numbers.count), deadline)
            }
        }
        withExtendedLifetime(descriptors) {}
        try check(result)
        return ready.map { $0 != 0 }
    }
}
