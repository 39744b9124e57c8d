// What a Linux error means to a caller of NT. The only such table.

import Glibc
import LinuxSystem
import NTTypes

extension NTStatus {
    /// The status for an error of the operating system. Those that name a thing (a missing file, a name in use) mean the object
    /// namespace; callers that know better say so themselves. [I]
    public init(_ error: Errno) {
        switch error {
        case .noEntry: self = .objectNameNotFound
        case .notDirectory: self = .objectPathNotFound
        case .exists, .addressInUse: self = .objectNameCollision
        case .nameTooLong: self = .objectNameInvalid
        case .accessDenied, .notPermitted, .readOnly: self = .accessDenied
        case .noSuchProcess: self = .invalidCid
        case .fileTooBig: self = .sectionTooBig
        case .connectionRefused: self = .objectNameNotFound
        case .connectionReset, .brokenPipe, .badMessage: self = .portDisconnected
        case .timedOut: self = .timeout
        case .quotaExceeded: self = .quotaExceeded
        case .invalidArgument: self = .invalidParameter
        case .noMemory, .noSpace, .tooManyFiles, .tooManyFilesInSystem: self = .insufficientResources
        default: self = .insufficientResources
        }
    }
}
