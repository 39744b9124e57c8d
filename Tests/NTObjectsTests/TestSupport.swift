// Threads, bad memory, and an end for hangs.

import Glibc
import NTObjects
import Synchronization
import Testing

/// Ends the test process when it hangs. Every suite arms it; the time is for the whole run on a slow machine under a sanitizer.
enum Watchdog {
    static let armed: Void = {
        var thread = pthread_t()
        pthread_create(&thread, nil, { _ in
            sleep(600)
            let line = "NTObjectsTests: hung for 600 s, giving up\n"
            write(2, line, line.utf8.count)
            abort()
        }, nil)
        pthread_detach(thread)
    }()
}

/// Runs `body` on `count` threads of their own and waits for all of them. The argument is the thread's index.
func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    final class Start {
        let index: Int
        let body: @Sendable (Int) -> Void
        init(_ index: Int, _ body: @escaping @Sendable (Int) -> Void) { (self.index, self.body) = (index, body) }
    }
    var threads: [pthread_t] = []
    for index in 0 ..< count {
        var thread = pthread_t()
        let start = Unmanaged.passRetained(Start(index, body)).toOpaque()
        let error = pthread_create(&thread, nil, { @Sendable argument in
            let start = Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
            start.body(start.index)
            return nil
        }, start)
        precondition(error == 0)
        threads.append(thread)
    }
    for thread in threads { pthread_join(thread, nil) }
}

/// The thread sanitizer cannot follow the fork of a process with threads: its own locks stay held in the child.
let runsUnderThreadSanitizer = dlsym(nil, "__tsan_init") != nil

/// Sleeps in small steps until `condition` holds. The watchdog ends a wait that never does.
func eventually(_ condition: () -> Bool) {
    while !condition() { usleep(1000) }
}

/// What the objects of one test went through.
final class Counts: Sendable {
    let lastCloses = Atomic<Int>(0)
    let deinits = Atomic<Int>(0)
    var closed: Int { lastCloses.load(ordering: .acquiring) }
    var freed: Int { deinits.load(ordering: .acquiring) }
}

/// An object that knows whether it is alive.
final class Probe: KernelObject, @unchecked Sendable {
    static let alive: UInt64 = 0x600D_600D_600D_600D
    let number: Int
    let counts: Counts
    private(set) var magic = Probe.alive

    init(_ number: Int = 0, _ counts: Counts = Counts()) {
        self.number = number
        self.counts = counts
        super.init(kind: .port)
    }

    deinit {
        magic = 0xDEAD
        counts.deinits.wrappingAdd(1, ordering: .releasing)
    }

    override func lastHandleClosed() { counts.lastCloses.wrappingAdd(1, ordering: .releasing) }
}

/// Two pages: the first can be used, the second cannot.
final class BadMemory {
    static let page = 4096
    let base: UnsafeMutableRawPointer

    init() {
        base = mmap(nil, 2 * Self.page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
        mprotect(base + Self.page, Self.page, PROT_NONE)
    }

    deinit { munmap(base, 2 * Self.page) }

    /// An address in the page that cannot be used.
    var none: UnsafeMutableRawPointer { base + Self.page + 64 }
    /// The last `count` bytes that can be used.
    func last(_ count: Int) -> UnsafeMutableRawPointer { base + Self.page - count }
    func makeReadOnly() { mprotect(base, Self.page, PROT_READ) }

    /// An address that nobody has mapped, one that the processor refuses, and one that belongs to the kernel.
    static var wild: [UnsafeMutableRawPointer] {
        [0x10, 0x7000_0000_0000_0000, 0xFFFF_8000_0000_1000, UInt.max - 8].map { UnsafeMutableRawPointer(bitPattern: $0)! }
    }
}
