// A Linux error number. LinuxSystem throws nothing else; NTObjects/HostErrors turns it into an NT status.

import CLinuxShims
import Glibc

/// A Linux error number, as the calls of this module throw it.
public struct Errno: Error, RawRepresentable, Equatable, Hashable, Sendable {
    public let rawValue: Int32
    public init(rawValue: Int32) { self.rawValue = rawValue }

    public static let noEntry = Errno(rawValue: ENOENT)
    public static let interrupted = Errno(rawValue: EINTR)
    public static let again = Errno(rawValue: EAGAIN)
    public static let noMemory = Errno(rawValue: ENOMEM)
    public static let accessDenied = Errno(rawValue: EACCES)
    public static let notPermitted = Errno(rawValue: EPERM)
    public static let exists = Errno(rawValue: EEXIST)
    public static let notDirectory = Errno(rawValue: ENOTDIR)
    public static let invalidArgument = Errno(rawValue: EINVAL)
    public static let tooManyFiles = Errno(rawValue: EMFILE)
    public static let tooManyFilesInSystem = Errno(rawValue: ENFILE)
    public static let noSpace = Errno(rawValue: ENOSPC)
    public static let quotaExceeded = Errno(rawValue: EDQUOT)
    public static let readOnly = Errno(rawValue: EROFS)
    public static let nameTooLong = Errno(rawValue: ENAMETOOLONG)
    public static let connectionRefused = Errno(rawValue: ECONNREFUSED)
    public static let connectionReset = Errno(rawValue: ECONNRESET)
    public static let brokenPipe = Errno(rawValue: EPIPE)
    public static let addressInUse = Errno(rawValue: EADDRINUSE)
    public static let timedOut = Errno(rawValue: ETIMEDOUT)
    public static let badMessage = Errno(rawValue: EBADMSG)
    public static let badDescriptor = Errno(rawValue: EBADF)
    public static let noSuchProcess = Errno(rawValue: ESRCH)
    public static let operationNotSupported = Errno(rawValue: EOPNOTSUPP)
    public static let fileTooBig = Errno(rawValue: EFBIG)

    /// The calling thread's `errno`.
    public static var current: Errno { Errno(rawValue: errno) }
}

/// The result of a shim: 0 or more, or a negated error number.
@inlinable
@discardableResult
func check(_ result: Int32) throws(Errno) -> Int32 {
    if result < 0 { throw Errno(rawValue: -result) }
    return result
}

@inlinable
@discardableResult
func check(_ result: Int) throws(Errno) -> Int {
    if result < 0 { throw Errno(rawValue: Int32(-result)) }
    return result
}
