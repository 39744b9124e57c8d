// Threads, waits with an end, memory that is not there, and the watchdog.

import CLinuxShims
import CNTTypes
import Glibc
import LinuxSystem
import NTTypes
import Synchronization
import Testing
import NTObjects

/// A call on a thread of its own.
final class Background<Result: Sendable>: @unchecked Sendable {
    private var thread = pthread_t()
    private let done = Atomic<Bool>(false)
    private var value: Result?
    private let body: @Sendable () -> Result
    private var joined = false

    init(_ body: @escaping @Sendable () -> Result) {
        self.body = body
        let start = Unmanaged.passRetained(ThreadStart { [self] in
            value = self.body()
            done.store(true, ordering: .releasing)
        }).toOpaque()
        let error = pthread_create(&thread, nil, { @Sendable argument in
            Unmanaged<ThreadStart>.fromOpaque(argument!).takeRetainedValue().body()
            return nil
        }, start)
        precondition(error == 0)
    }

    /// The call has returned.
    var isDone: Bool { done.load(ordering: .acquiring) }

    /// Waits for the thread's end; the watchdog ends a wait that lasts.
    var result: Result {
        if !joined {
            pthread_join(thread, nil)
            joined = true
        }
        return value!
    }

    /// Sends a signal to the thread.
    func signal(_ number: Int32) { pthread_kill(thread, number) }

    /// Ends the thread wherever it is; its rundown still runs.
    func kill() {
        pthread_cancel(thread)
        pthread_join(thread, nil)
        joined = true
    }
}

private final class ThreadStart {
    let body: () -> Void
    init(_ body: @escaping () -> Void) { self.body = body }
}

/// Runs `body` on `count` threads and waits for all of them.
func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    let threads = (0 ..< count).map { index in Background { body(index) } }
    for thread in threads { thread.result }
}

/// The kernel's number of the calling thread.
func gettid() -> Int32 { ntlpc_gettid() }

/// The tests run under the address sanitizer.
let underAddressSanitizer = dlsym(nil, "__asan_init") != nil
/// The same for the thread sanitizer.
let underThreadSanitizer = dlsym(nil, "__tsan_init") != nil

/// Looks in small steps until `condition` holds. The watchdog ends a wait that never does.
func eventually(_ condition: () -> Bool) {
    while !condition() { usleep(1000) }
}

/// A receive for a thread that will be ended in it: with nothing of the test's in use meanwhile but the stack, because what is in use
/// then stays so for the checks of debug builds.
func receiveUntilEnded(_ port: Port, flags: UInt32 = 0) -> NTStatus {
    withUnsafeTemporaryAllocation(byteCount: 256, alignment: 16) { buffer in
        var time = LARGE_INTEGER(), length: SIZE_T = 256
        time.QuadPart = guardTime
        return status(NtAlpcSendWaitReceivePort(port.handle, flags, nil, nil, buffer.baseAddress!.assumingMemoryBound(to: PORT_MESSAGE.self), &length, nil, &time))
    }
}

/// The same for a synchronous request of one byte.
func requestUntilEnded(_ port: Port, flags: UInt32 = 0x20000) -> NTStatus {
    withUnsafeTemporaryAllocation(byteCount: 256, alignment: 16) { buffer in
        var time = LARGE_INTEGER(), length: SIZE_T = 256
        time.QuadPart = guardTime
        memset(buffer.baseAddress!, 0, 256)
        buffer.storeBytes(of: 1, as: UInt16.self)
        buffer.storeBytes(of: 41, toByteOffset: 2, as: UInt16.self)
        let message = buffer.baseAddress!.assumingMemoryBound(to: PORT_MESSAGE.self)
        return status(NtAlpcSendWaitReceivePort(port.handle, flags, message, nil, message, &length, nil, &time))
    }
}

/// Waits until the thread sleeps in a wait for events, where receivers do.
func untilBlocked(_ thread: borrowing Atomic<Int32>) {
    eventually {
        let number = thread.load(ordering: .acquiring)
        guard number != 0, let file = fopen("/proc/self/task/\(number)/syscall", "r") else { return false }
        defer { fclose(file) }
        var call: Int32 = -1
        return withUnsafeMutablePointer(to: &call) { pointer in withVaList([pointer]) { vfscanf(file, "%d", $0) } } == 1
            && [232, 281, 441, 202].contains(call)     // epoll_wait, epoll_pwait, epoll_pwait2, futex
    }
}

/// Long enough for a thread to reach its wait, where a test must show that it stays there.
func settle(_ milliseconds: UInt32 = 50) { usleep(milliseconds * 1000) }

/// Pages that can be used, then one that cannot.
final class BadMemory {
    static let page = 4096
    let base: UnsafeMutableRawPointer
    private let pages = 3

    init() {
        base = mmap(nil, pages * Self.page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
        mprotect(base + (pages - 1) * Self.page, Self.page, PROT_NONE)
    }

    deinit { munmap(base, pages * Self.page) }

    var none: UnsafeMutableRawPointer { base + (pages - 1) * Self.page + 64 }
    /// The last `count` bytes that can be used.
    func last(_ count: Int) -> UnsafeMutableRawPointer { base + (pages - 1) * Self.page - count }
    func makeReadOnly() { mprotect(base, (pages - 1) * Self.page, PROT_READ) }

    /// Nobody has mapped it, the processor refuses it, the kernel owns it, it wraps; and a page without access.
    var all: [UnsafeMutableRawPointer] {
        [0x10, 0x7000_0000_0000_0000, 0xFFFF_8000_0000_1000, UInt.max - 7].map { UnsafeMutableRawPointer(bitPattern: $0)! } + [none]
    }
}

/// Ends the test process when a test hangs, and says which and what its ports were doing.
enum Watchdog {
    private static let limit: UInt64 = 300
    /// Not the standard library's Mutex, whose accesses the thread sanitizer does not understand.
    private static let running = FutexLock<[Int: (name: String, since: UInt64)]>([:])
    private static let serial = Atomic<Int>(0)

    private static let armed: Void = {
        var thread = pthread_t()
        pthread_create(&thread, nil, { @Sendable _ in
            while true {
                sleep(1)
                let now = seconds
                if let hung = running.withLock({ $0.values.first { now - $0.since > limit } }) { giveUp(hung.name) }
            }
        }, nil)
        pthread_detach(thread)
    }()

    private static var seconds: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec)
    }

    static func begin(_ name: String) -> Int {
        _ = armed
        let number = serial.wrappingAdd(1, ordering: .relaxed).newValue
        running.withLock { $0[number] = (name, seconds) }
        return number
    }

    static func end(_ number: Int) { running.withLock { _ = $0.removeValue(forKey: number) } }

    private static func giveUp(_ name: String) -> Never {
        var lines = "\nHUNG for \(limit) s: \(name)\n(NTLPC_TRACE=ports,transport shows what led to it)\n"
        for value in stride(from: UInt(4), to: 4096, by: 4) {
            do throws(NTStatus) {
                try HandleTable.withAnyObject(HANDLE(bitPattern: value)) { object, _ in lines += "  handle \(value): \(object.describe())\n" }
            } catch {
                continue    // no such handle
            }
        }
        lines.withUTF8 { _ = write(2, $0.baseAddress!, $0.count) }
        Peers.tellAll()
        sleep(1)
        abort()
    }
}

/// Arms the watchdog around each test of a suite.
struct Guarded: SuiteTrait, TestTrait, TestScoping {
    var isRecursive: Bool { true }

    func provideScope(for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void) async throws {
        let number = Watchdog.begin(test.name)
        defer { Watchdog.end(number) }
        try await function()
    }
}

extension Trait where Self == Guarded {
    static var guarded: Self { Guarded() }
}
