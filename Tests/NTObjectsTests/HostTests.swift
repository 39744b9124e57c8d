// The seam. Tests that install a host or fork run in a process of their own.

import CLinuxShims
import CNTTypes
import Glibc
import NTTypes
import Synchronization
import Testing
@testable import NTExports
@testable import NTObjects

/// A host whose values are far from those of the table, and that records what is asked of it.
private enum FakeHost {
    nonisolated(unsafe) static var next: UInt = 0x9000
    nonisolated(unsafe) static var open = 0
    nonisolated(unsafe) static var waitables = 0
    nonisolated(unsafe) static var signals: [UInt8] = []

    /// Tables live as long as the process; the leak checker finds them here.
    nonisolated(unsafe) private static var tables: [UnsafeMutablePointer<NTLPC_HOST>] = []

    static func table() -> UnsafeMutablePointer<NTLPC_HOST> {
        let table = UnsafeMutablePointer<NTLPC_HOST>.allocate(capacity: 1)
        var host = NTLPC_HOST()
        host.Size = ULONG(MemoryLayout<NTLPC_HOST>.size)
        host.World = 3
        host.CreateHandle = { handle, waitable, _, _, _ in
            FakeHost.next += 4
            FakeHost.open += 1
            FakeHost.waitables += 1
            handle?.pointee = HANDLE(bitPattern: FakeHost.next)
            waitable?.pointee = HANDLE(bitPattern: FakeHost.next)
            return 0
        }
        host.CloseHandle = { _ in
            FakeHost.open -= 1
            return 0
        }
        host.SetSignaled = { _, signaled in FakeHost.signals.append(signaled) }
        host.CloseWaitable = { _ in FakeHost.waitables -= 1 }
        host.ClassifyHandle = { handle in
            (UInt(bitPattern: handle) == 0x40 ? NTStatus.objectTypeMismatch : NTStatus.invalidHandle).rawValue
        }
        host.QueryDirectoryName = { directory, buffer, length in
            // A name of 3000 bytes makes the caller ask twice.
            guard UInt(bitPattern: directory) == 0x40, let length, let buffer else { return NTStatus.invalidHandle.rawValue }
            defer { length.pointee = 3000 }
            guard length.pointee >= 3000 else { return NTStatus.bufferTooSmall.rawValue }
            for index in 0 ..< 1500 { buffer[index] = index == 0 ? 0x5C : 0x61 }
            return 0
        }
        host.QueryClientId = { id in
            id?.pointee.UniqueProcess = HANDLE(bitPattern: 0x123)
            id?.pointee.UniqueThread = HANDLE(bitPattern: 0x456)
        }
        table.initialize(to: host)
        tables.append(table)
        return table
    }
}

@Suite struct HostTests {
    init() { Watchdog.armed }

    @Test func `The ids of the native host are those of Linux`() {
        #expect(Host.clientID() == ClientID(process: UInt64(getpid()), thread: UInt64(ntlpc_gettid())))
    }

    @Test func `A handle that is not committed was never there`() async {
        // In a process of its own: no other test takes the values that become free.
        await #expect(processExitsWith: .success) {
            let counts = Counts(), first = HANDLE(bitPattern: 4)
            do {
                let pending = try Host.reserveHandle(for: Probe(0, counts), access: 1, waitable: true)
                precondition(pending.value == first && HandleTable.kind(of: first) == nil)
            }
            precondition(counts.freed == 1 && counts.closed == 0)
            var pending = try Host.reserveHandle(for: Probe(0, counts), access: 1, waitable: true)
            pending.commit()
            precondition(pending.value == first && HandleTable.kind(of: first) == .port)
            Host.closeHandle(first)
            precondition(HandleTable.kind(of: first) == nil && counts.closed == 1)
        }
    }

    @Test func `Native handles are small multiples of four, lowest first`() async {
        await #expect(processExitsWith: .success) {
            var handles: [HANDLE?] = []
            for _ in 0 ..< 3 {
                var handle: HANDLE?
                precondition(NtCreateEvent(&handle, 0x1F0003, nil, NotificationEvent, 0) == 0)
                handles.append(handle)
            }
            precondition(handles == [HANDLE(bitPattern: 4), HANDLE(bitPattern: 8), HANDLE(bitPattern: 12)])
            precondition(NtClose(handles[1]) == 0)
            var handle: HANDLE?
            precondition(NtCreateEvent(&handle, 0x1F0003, nil, NotificationEvent, 0) == 0)
            precondition(handle == HANDLE(bitPattern: 8))
        }
    }

    @Test func `A table with holes, a wrong size or after the first call is refused`() async {
        await #expect(processExitsWith: .success) {
            let table = FakeHost.table()
            precondition(NTStatus(rawValue: ntlpc_set_host(nil)) == .invalidParameter)
            table.pointee.Size -= 1
            precondition(NTStatus(rawValue: ntlpc_set_host(table)) == .invalidParameter)
            table.pointee.Size += 1
            table.pointee.World = 4
            precondition(NTStatus(rawValue: ntlpc_set_host(table)) == .invalidParameter)
            table.pointee.World = 3
            table.pointee.CloseWaitable = nil
            precondition(NTStatus(rawValue: ntlpc_set_host(table)) == .invalidParameter)
            precondition(NtClose(nil) == NTStatus.invalidHandle.rawValue)
            precondition(NTStatus(rawValue: ntlpc_set_host(FakeHost.table())) == .alreadyInitialized)
        }
    }

    @Test func `A host's handles, signals and names go through its table`() async {
        await #expect(processExitsWith: .success) {
            precondition(ntlpc_set_host(FakeHost.table()) == 0)
            precondition(NTStatus(rawValue: ntlpc_set_host(FakeHost.table())) == .alreadyInitialized)
            precondition(Host.world == .other)
            let counts = Counts()
            var port: Probe? = Probe(0, counts)
            let first = try Host.makeHandle(for: port!, access: 0x1F0001, waitable: true)
            precondition(UInt(bitPattern: first) == 0x9004 && port!.signal == nil)
            port!.setSignaled(true)
            port!.setSignaled(false)
            precondition(FakeHost.signals == [1, 0])
            precondition(ntlpc_handle_is_port(first) == 1 && ntlpc_handle_is_port(HANDLE(bitPattern: 0x40)) == 0)

            let second = HANDLE(bitPattern: 0xA000)
            precondition(ntlpc_handle_duplicated(first, second) == 1)
            precondition(ntlpc_handle_duplicated(HANDLE(bitPattern: 0x40), HANDLE(bitPattern: 0xA004)) == 0)
            precondition(ntlpc_handle_closed(first) == 1 && ntlpc_handle_closed(first) == 0)
            precondition(counts.closed == 0)
            port = nil
            precondition(ntlpc_handle_duplicated(HANDLE(bitPattern: 0x40), second) == 0) // the value went to another object
            precondition(counts.closed == 1 && counts.freed == 1 && FakeHost.waitables == 0)
            precondition(FakeHost.open == 1) // closes that the host reports are not reported back

            // A port that cannot be waited on keeps no waitable; a handle that was not committed is given back.
            let idle = try Host.makeHandle(for: Probe(), access: 1, waitable: false)
            precondition(FakeHost.waitables == 0)
            Host.closeHandle(idle)
            precondition(FakeHost.open == 1)
            _ = try Host.reserveHandle(for: Probe(), access: 1, waitable: true)
            precondition(FakeHost.open == 1 && FakeHost.waitables == 0)

            // Handles that are not ours are the host's to name.
            do throws(NTStatus) {
                try HandleTable.withObject(HANDLE(bitPattern: 0x40), kind: .port) { (_: Probe) in }
                preconditionFailure()
            } catch {
                precondition(error == .objectTypeMismatch)
            }
            precondition(NTStatus(rawValue: NtClose(first)) == .notSupported)
            let directory = try Host.directoryName(HANDLE(bitPattern: 0x40))
            precondition(directory.count == 1500 && directory[0] == 0x5C)
            precondition(Host.clientID() == ClientID(process: 0x123, thread: 0x456))
        }
    }

    @Test func `A value beyond the table is given back to its host`() async {
        await #expect(processExitsWith: .success) {
            precondition(ntlpc_set_host(FakeHost.table()) == 0)
            FakeHost.next = 1 << 27
            do throws(NTStatus) {
                _ = try Host.makeHandle(for: Probe(), access: 1, waitable: true)
                preconditionFailure()
            } catch {
                precondition(error == .insufficientResources)
            }
            precondition(FakeHost.open == 0 && FakeHost.waitables == 0)
        }
    }

    @Test(.disabled(if: runsUnderThreadSanitizer, "a fork with threads hangs the sanitizer"))
    func `The child of a fork has an empty table that works, whatever locks the parent held`() async {
        await #expect(processExitsWith: .success) {
            var parents: HANDLE?
            precondition(NtCreateEvent(&parents, 0x1F0003, nil, NotificationEvent, 1) == 0)
            // Each call once before the first fork: the Swift runtime makes type metadata at first use, under locks of its own
            // that a fork does not free.
            precondition(worksAsNew(stale: nil))
            let handle = UInt(bitPattern: parents), stop = Atomic<Bool>(false)
            onThreads(3) { index in
                if index > 0 {
                    // Keeps the locks busy while the other thread forks.
                    while !stop.load(ordering: .acquiring) {
                        var other: HANDLE?
                        precondition(NtCreateEvent(&other, 0x1F0003, nil, SynchronizationEvent, 0) == 0)
                        precondition(NtSetEvent(other, nil) == 0)
                        precondition(NtClose(other) == 0)
                    }
                    return
                }
                for _ in 0 ..< 50 {
                    let child = forkProcess()
                    if child == 0 {
                        _exit(worksAsNew(stale: HANDLE(bitPattern: handle)) ? 0 : 1)
                    }
                    var result: Int32 = 0
                    waitpid(child, &result, 0)
                    precondition(result == 0)
                }
                stop.store(true, ordering: .releasing)
            }
            precondition(NtWaitForSingleObject(parents, 0, nil) == 0)
        }
    }
}

/// Makes an event, waits on it and closes it; in the child of a fork its handle is the first.
private func worksAsNew(stale: HANDLE?) -> Bool {
    var mine: HANDLE?
    let refused = NtClose(stale) == NTStatus.invalidHandle.rawValue
    let made = NtCreateEvent(&mine, 0x1F0003, nil, NotificationEvent, 0)
    let set = NtSetEvent(mine, nil)
    let waited = NtWaitForSingleObject(mine, 0, nil)
    let first = stale == nil || mine == HANDLE(bitPattern: 4)
    let closed = NtClose(mine)
    return refused && made == 0 && set == 0 && waited == 0 && closed == 0 && first && Host.clientID().process == UInt64(getpid())
}

/// fork is marked unavailable in Swift; in this test the child only makes the calls that are tested.
@_extern(c, "fork") private func forkProcess() -> pid_t
