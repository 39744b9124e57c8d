// The locks and lists of this module, together, so that the child of a fork can start with fresh ones.
//
// In the child only the forking thread lives. A lock that another thread held stays held for ever and what it guards may be half
// changed; so the child leaves all of it behind, unreleased, and begins with no handles. The file descriptors behind the
// parent's objects are closed by the fork handler of CLinuxShims.
//
// Lock order, outermost first: handle table, then retired objects, then the thread list of CLinuxShims; waits and
// mapped views stand alone. A wait packet's lock comes before the waits and before that of a completion port.

import CLinuxShims
import Glibc
import LinuxSystem

/// What this module keeps for the process.
final class ObjectContext: Sendable {
    let handles = FutexLock(HandleTable.State())
    let retired = FutexLock([UInt]())
    let waits = FutexLock(WaitState())
    let views = FutexLock(MappedViews.State())

    private init() {}

    /// Replaced in the child of a fork, while that has one thread; never otherwise.
    nonisolated(unsafe) private static var current = ObjectContext()

    static var shared: ObjectContext { current }

    /// Arranges for forks. Called once, when the first handle is made.
    static let forkHandler: Void = {
        pthread_atfork(nil, nil) {
            // The parent's context is not released: its lists name objects that the child must not touch.
            _ = Unmanaged.passRetained(ObjectContext.current)
            ObjectContext.current = ObjectContext()
            HandleTable.forgetAll()
        }
    }()
}
