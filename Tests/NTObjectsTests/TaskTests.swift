// Processes, threads, identity, files, and the entries of the native host that other modules call.

import CLinuxShims
import CNTTypes
import Glibc
import LinuxSystem
import NTTypes
import Synchronization
import Testing
@testable import NTExports
@testable import NTObjects

private func openProcess(_ id: UInt64, access: UInt32 = 0x1F_FFFF) throws(NTStatus) -> HANDLE {
    try Host.openProcess(ClientID(process: id, thread: 0), access: access, attributes: 0)
}

private func openThread(_ process: UInt64, _ thread: UInt64, access: UInt32 = 0x1F_FFFF) throws(NTStatus) -> HANDLE {
    try Host.openThread(ClientID(process: process, thread: thread), access: access, attributes: 0)
}

private func process(_ handle: HANDLE?) -> (status: NTStatus, information: PROCESS_BASIC_INFORMATION) {
    var information = PROCESS_BASIC_INFORMATION(), length: ULONG = 0
    let result = nt(NtQueryInformationProcess(handle, ProcessBasicInformation, &information, 48, &length))
    #expect(result != .success || length == 48)
    return (result, information)
}

private func thread(_ handle: HANDLE?) -> (status: NTStatus, information: THREAD_BASIC_INFORMATION) {
    var information = THREAD_BASIC_INFORMATION(), length: ULONG = 0
    let result = nt(NtQueryInformationThread(handle, ThreadBasicInformation, &information, 48, &length))
    #expect(result != .success || length == 48)
    return (result, information)
}

private func close(_ handles: HANDLE?...) {
    for handle in handles { #expect(nt(NtClose(handle)) == .success) }
}

@Suite struct TaskTests {
    init() { Watchdog.armed }

    @Test func `A process handle says who it is, and is signaled at the end`() throws {
        let peer = try ObjectPeer([]), handle = try openProcess(UInt64(peer.pid))
        let running = process(handle)
        #expect(running.status == .success && running.information.UniqueProcessId == ULONG_PTR(peer.pid))
        #expect(running.information.InheritedFromUniqueProcessId == ULONG_PTR(getpid()))
        #expect(running.information.ExitStatus == NTStatus.pending.rawValue && running.information.AffinityMask != 0)
        #expect(waitFor(handle) == .timeout)
        peer.tell("exit 7")
        #expect(waitFor(handle, nil) == .success)
        #expect(process(handle).information.ExitStatus == 7) // nobody has waited for it yet
        #expect(peer.kill(0) == 7)
        let ended = process(handle)
        #expect(ended.status == .success && ended.information.UniqueProcessId == ULONG_PTR(peer.pid))
        #expect([7, 0].contains(ended.information.ExitStatus)) // as far as the kernel tells
        #expect(waitFor(handle) == .success)
        close(handle)
    }

    @Test func `A process that was ended by a signal tells which`() throws {
        let peer = try ObjectPeer([]), handle = try openProcess(UInt64(peer.pid))
        kill(peer.pid, SIGKILL)
        #expect(waitFor(handle, nil) == .success)
        #expect(process(handle).information.ExitStatus == 128 + SIGKILL)
        peer.kill()
        close(handle)
    }

    @Test func `Who does not exist is an invalid id`() throws {
        for id in [0, 0x7FFF_FFFE, 0x8000_0000, UInt64.max] as [UInt64] {
            #expect(thrown { () throws(NTStatus) in _ = try openProcess(id) } == .invalidCid)
            #expect(thrown { () throws(NTStatus) in _ = try openThread(UInt64(getpid()), id) } == .invalidCid)
        }
        let peer = try ObjectPeer([])
        #expect(thrown { () throws(NTStatus) in _ = try openThread(UInt64(getpid()), UInt64(peer.pid)) } == .invalidCid) // another's thread
        peer.kill()
        #expect(thrown { () throws(NTStatus) in _ = try openProcess(UInt64(peer.pid)) } == .invalidCid)
        #expect(thrown { () throws(NTStatus) in _ = try openThread(0, UInt64(peer.pid)) } == .invalidCid)
    }

    @Test func `Another user's process is denied to those who may not signal it`() async {
        await #expect(processExitsWith: .success) {
            // Process 1 belongs to root; whoever is root here steps down first.
            if geteuid() == 0 { precondition(changeUser(65534, 65534, 65534) == 0) }
            precondition(thrown { () throws(NTStatus) in _ = try openProcess(1) } == .accessDenied)
            precondition(thrown { () throws(NTStatus) in _ = try openThread(1, 1) } == .accessDenied)
            precondition(process(currentProcess).status == .success)
        }
    }

    @Test func `A thread handle says whose it is, and is signaled at the end`() throws {
        let id = Atomic<Int32>(0), go = Atomic<Bool>(false)
        var handle: HANDLE?
        onThreads(2) { index in
            if index == 0 {
                id.store(ntlpc_gettid(), ordering: .releasing)
                eventually { go.load(ordering: .acquiring) }
            } else {
                eventually { id.load(ordering: .acquiring) != 0 }
                do throws(NTStatus) {
                    let handle = try openThread(UInt64(getpid()), UInt64(id.load(ordering: .acquiring)))
                    let found = thread(handle)
                    #expect(found.status == .success && found.information.ExitStatus == NTStatus.pending.rawValue)
                    #expect(found.information.ClientId.UniqueProcess == HANDLE(bitPattern: Int(getpid())))
                    #expect(found.information.ClientId.UniqueThread == HANDLE(bitPattern: Int(id.load(ordering: .acquiring))))
                    #expect(try Host.thread(of: handle) == ClientID(process: UInt64(getpid()), thread: UInt64(id.load(ordering: .acquiring))))
                    #expect(waitFor(handle, 5) == .timeout)
                    go.store(true, ordering: .releasing)
                    #expect(waitFor(handle, nil) == .success)
                    #expect(thread(handle).information.ExitStatus != NTStatus.pending.rawValue)
                    #expect(nt(NtClose(handle)) == .success)
                } catch {
                    Issue.record(error)
                    go.store(true, ordering: .releasing)
                }
            }
        }
        handle = try openThread(0, UInt64(ntlpc_gettid()))
        #expect(thread(handle).information.ClientId.UniqueProcess == HANDLE(bitPattern: Int(getpid())))
        close(handle)
    }

    @Test func `A thread without descriptor is looked at`() throws {
        let peer = try ObjectPeer([])
        let task = try LinuxTask.information(peer.pid)
        let signal = SignalState(.notification, outside: TaskSignal(nil, id: peer.pid, started: task.started))
        #expect(Wait.wait(for: [signal], all: false, deadline: Clock.monotonic + 30_000_000) == nil)
        onThreads(2) { index in
            if index == 0 {
                #expect(Wait.wait(for: [SignalState(.synchronization, signaled: false), signal], all: false, deadline: 0) == 1)
            } else {
                usleep(50_000)
                peer.kill()
            }
        }
        let other = SignalState(.notification, outside: TaskSignal(nil, id: getpid(), started: task.started &+ 1_000_000))
        #expect(other.isSignaled) // a later task of the same id is another one
    }

    @Test func `The pseudo-handles become handles that everybody can use`() throws {
        var mine: HANDLE?, own: HANDLE?
        #expect(nt(NtDuplicateObject(currentProcess, currentProcess, currentProcess, &mine, 0, 0, 2)) == .success)
        #expect(nt(NtDuplicateObject(currentProcess, currentThread, currentProcess, &own, 0x40, 2, 0)) == .success)
        #expect(process(mine).information.UniqueProcessId == ULONG_PTR(getpid()))
        #expect(thread(own).information.ClientId.UniqueThread == HANDLE(bitPattern: Int(ntlpc_gettid())))
        #expect(try HandleTable.information(mine).grantedAccess == 0x1F_FFFF)
        #expect(try HandleTable.information(own) == HandleInformation(grantedAccess: 0x840, attributes: 2, handleCount: 1))
        #expect(process(currentProcess).information.UniqueProcessId == ULONG_PTR(getpid()))
        #expect(thread(currentThread).information.ClientId.UniqueThread == HANDLE(bitPattern: Int(ntlpc_gettid())))
        for (pseudo, name, length) in [(currentProcess, "Process", 14), (currentThread, "Thread", 12)] as [(HANDLE?, String, Int)] {
            #expect(waitFor(pseudo) == .timeout && waitFor(pseudo, 2) == .timeout)
            var buffer = [UInt64](repeating: 0, count: 32), basic = OBJECT_BASIC_INFORMATION()
            buffer.withUnsafeMutableBytes { bytes in
                #expect(nt(NtQueryObject(pseudo, ObjectTypeInformation, bytes.baseAddress, ULONG(bytes.count), nil)) == .success)
                let type = bytes.load(as: OBJECT_TYPE_INFORMATION.self)
                #expect(type.TypeName.Length == length)
                #expect(String(decoding: UnsafeBufferPointer(start: type.TypeName.Buffer, count: length / 2), as: UTF16.self) == name)
            }
            #expect(nt(NtQueryObject(pseudo, ObjectBasicInformation, &basic, 56, nil)) == .success && basic.GrantedAccess == 0x1F_FFFF)
        }
        // A handle of the own process is as good as NtCurrentProcess().
        let event = makeEvent()
        var twin: HANDLE?
        #expect(nt(NtDuplicateObject(mine, event, mine, &twin, 0, 0, 2)) == .success)
        let weak: HANDLE = try openProcess(UInt64(getpid()), access: 0x1000)
        #expect(nt(NtDuplicateObject(weak, event, mine, &twin, 0, 0, 2)) == .accessDenied)
        let peer = try ObjectPeer([]), other = try openProcess(UInt64(peer.pid))
        #expect(nt(NtDuplicateObject(currentProcess, event, other, &twin, 0, 0, 2)) == .notSupported)
        #expect(nt(NtDuplicateObject(other, event, currentProcess, &twin, 0, 0, 2)) == .notSupported)
        #expect(nt(NtUnmapViewOfSection(other, nil)) == .notSupported)
        close(mine, own, event, twin, weak, other)
    }

    @Test func `Queries that cannot be answered say why`() throws {
        let own = try openProcess(UInt64(getpid())), blind = try openProcess(UInt64(getpid()), access: 0x10_0000), event = makeEvent()
        let mine = try openThread(UInt64(getpid()), UInt64(ntlpc_gettid())), dim = try openThread(0, UInt64(ntlpc_gettid()), access: 0x10_0000)
        var memory = [UInt8](repeating: 0, count: 64)
        for length in [0, 47, 49] as [ULONG] {
            #expect(nt(NtQueryInformationProcess(own, ProcessBasicInformation, &memory, length, nil)) == .infoLengthMismatch)
            #expect(nt(NtQueryInformationThread(mine, ThreadBasicInformation, &memory, length, nil)) == .infoLengthMismatch)
        }
        #expect(nt(NtQueryInformationProcess(own, PROCESSINFOCLASS(rawValue: 7), &memory, 48, nil)) == .invalidInfoClass)
        #expect(nt(NtQueryInformationThread(mine, ThreadImpersonationToken, &memory, 48, nil)) == .invalidInfoClass)
        for (handle, status) in [(blind, NTStatus.accessDenied), (event, .objectTypeMismatch), (mine, .objectTypeMismatch), (nil, .invalidHandle), (currentThread, .objectTypeMismatch)] as [(HANDLE?, NTStatus)] {
            #expect(process(handle).status == status)
        }
        for (handle, status) in [(dim, NTStatus.accessDenied), (event, .objectTypeMismatch), (own, .objectTypeMismatch), (nil, .invalidHandle), (currentProcess, .objectTypeMismatch)] as [(HANDLE?, NTStatus)] {
            #expect(thread(handle).status == status)
        }
        #expect(thrown { () throws(NTStatus) in _ = try Host.thread(of: dim) } == .accessDenied)
        #expect(thrown { () throws(NTStatus) in _ = try Host.thread(of: own) } == .objectTypeMismatch)
        let bad = BadMemory()
        #expect(nt(NtQueryInformationProcess(own, ProcessBasicInformation, bad.none, 48, nil)) == .accessViolation)
        #expect(nt(NtQueryInformationThread(mine, ThreadBasicInformation, nil, 48, nil)) == .accessViolation)
        close(own, blind, event, mine, dim)
    }

    @Test func `Processes and threads cross as descriptors, and nothing else does for them`() throws {
        let peer = try ObjectPeer([]), process = try openProcess(UInt64(peer.pid)), thread = try openThread(0, UInt64(peer.pid))
        let one = try descriptor(of: process), two = try descriptor(of: thread)
        let copy = try Host.handle(for: one, type: .process, access: 0x1F_FFFF, attributes: 0)
        let twin = try Host.handle(for: two, type: .thread, access: 0x1F_FFFF, attributes: 0)
        #expect(NTObjectsTests.process(copy).information.UniqueProcessId == ULONG_PTR(peer.pid))
        #expect(try Host.thread(of: twin) == ClientID(process: UInt64(peer.pid), thread: UInt64(peer.pid)))
        for (descriptor, type) in [(one, ObjectType.thread), (two, .process), (try EventFd.make(), .process), (try EventFd.make(), .thread)] {
            #expect(thrown { () throws(NTStatus) in _ = try Host.handle(for: descriptor, type: type, access: 0, attributes: 0) } == .objectTypeMismatch)
        }
        peer.kill()
        #expect(waitFor([copy, twin, process, thread], WaitAll, nil) == .success)
        // One that ended on the way is signaled, and nobody.
        let late = try Host.handle(for: one, type: .process, access: 0x1F_FFFF, attributes: 0)
        #expect(waitFor(late) == .success)
        #expect(try descriptor(of: currentProcess).rawValue > 0)
        #expect(try descriptor(of: currentThread).rawValue > 0)
        close(copy, twin, late, process, thread)
    }

    // MARK: Identity

    @Test func `A thread's identity is its own, and goes when it is taken away or the thread ends`() throws {
        onThreads(3) { index in
            #expect(ThreadIdentity.current == nil)
            let identity = ThreadIdentity(level: 2, effectiveOnly: index == 1, uid: UInt32(1000 + index), gid: 7, groups: [1, 2, UInt32(index)])
            ThreadIdentity.set(identity)
            #expect(ThreadIdentity.current == identity)
            ThreadIdentity.set(ThreadIdentity(level: 1, effectiveOnly: false, uid: 5, gid: 6))
            #expect(ThreadIdentity.current == ThreadIdentity(level: 1, effectiveOnly: false, uid: 5, gid: 6))
            if index == 0 { return } // ends with it
            var none: HANDLE?
            #expect(nt(NtSetInformationThread(currentThread, ThreadImpersonationToken, &none, 8)) == .success)
            #expect(ThreadIdentity.current == nil)
        }
        var client = NTLPC_CLIENT()
        (client.Level, client.EffectiveOnly, client.Uid, client.Gid) = (3, 1, 42, 43)
        try Host.impersonate(client)
        #expect(ThreadIdentity.current == ThreadIdentity(level: 3, effectiveOnly: true, uid: 42, gid: 43, groups: [43]))
        ThreadIdentity.clear()
    }

    @Test func `A thread token is only taken away`() throws {
        var none: HANDLE?, some = HANDLE(bitPattern: 4)
        #expect(nt(NtSetInformationThread(currentThread, ThreadBasicInformation, &none, 8)) == .invalidInfoClass)
        #expect(nt(NtSetInformationThread(currentThread, ThreadImpersonationToken, &none, 4)) == .infoLengthMismatch)
        #expect(nt(NtSetInformationThread(currentThread, ThreadImpersonationToken, &some, 8)) == .notSupported)
        #expect(nt(NtSetInformationThread(currentThread, ThreadImpersonationToken, nil, 8)) == .accessViolation)
        #expect(nt(NtSetInformationThread(nil, ThreadImpersonationToken, &none, 8)) == .invalidHandle)
        let event = makeEvent(), weak = try openThread(0, UInt64(ntlpc_gettid()), access: 0x40)
        let own = try openThread(0, UInt64(ntlpc_gettid())), peer = try ObjectPeer([]), other = try openThread(0, UInt64(peer.pid))
        #expect(nt(NtSetInformationThread(event, ThreadImpersonationToken, &none, 8)) == .objectTypeMismatch)
        #expect(nt(NtSetInformationThread(weak, ThreadImpersonationToken, &none, 8)) == .accessDenied)
        #expect(nt(NtSetInformationThread(other, ThreadImpersonationToken, &none, 8)) == .notSupported)
        ThreadIdentity.set(ThreadIdentity(level: 2, effectiveOnly: false, uid: 1, gid: 1))
        #expect(nt(NtSetInformationThread(own, ThreadImpersonationToken, &none, 8)) == .success)
        #expect(ThreadIdentity.current == nil)
        close(event, weak, own, other)
    }

    @Test(.disabled(if: runsUnderThreadSanitizer, "a fork with threads hangs the sanitizer"))
    func `The child of a fork acts for nobody`() async {
        await #expect(processExitsWith: .success) {
            ThreadIdentity.set(ThreadIdentity(level: 2, effectiveOnly: false, uid: 1, gid: 1))
            _ = makeEvent() // arranges for forks
            let child = forkProcess()
            if child == 0 { _exit(ThreadIdentity.current == nil ? 0 : 1) }
            var status: Int32 = 0
            waitpid(child, &status, 0)
            precondition(status == 0 && ThreadIdentity.current != nil)
        }
    }

    @Test func `A token's numbers are the same whoever asks`() throws {
        let peer = try ObjectPeer([])
        let first = try Host.tokenIDs(of: UInt64(peer.pid)), again = try Host.tokenIDs(of: UInt64(peer.pid))
        let own = try Host.tokenIDs(of: 0), mine = try Host.tokenIDs(of: UInt64(getpid()))
        func equal(_ a: LUID, _ b: LUID) -> Bool { a.LowPart == b.LowPart && a.HighPart == b.HighPart }
        #expect(equal(first.token, again.token) && equal(first.modified, again.modified) && equal(first.authentication, own.authentication))
        #expect(equal(own.token, mine.token) && !equal(own.token, first.token) && !equal(own.token, own.modified))
        #expect(getuid() != 0 || (own.authentication.LowPart == 0x3E7 && own.authentication.HighPart == 0))
        ThreadIdentity.set(ThreadIdentity(level: 2, effectiveOnly: false, uid: 4711, gid: 1))
        let other = try Host.tokenIDs(of: 0)
        #expect(!equal(other.token, own.token) && equal(other.authentication, LUID(LowPart: 4711, HighPart: 1)))
        #expect(equal(try Host.tokenIDs(of: UInt64(getpid())).token, own.token))
        ThreadIdentity.clear()
        #expect(thrown { () throws(NTStatus) in _ = try Host.tokenIDs(of: 0x7FFF_FFFE) } == .invalidCid)
        #expect(thrown { () throws(NTStatus) in _ = try Host.tokenIDs(of: .max) } == .invalidCid)
    }

    // MARK: The host's table

    @Test func `The host tells what a handle is`() throws {
        let event = makeEvent(access: 0x3), port = makePort()
        var inherited: HANDLE?
        #expect(nt(NtDuplicateObject(currentProcess, event, currentProcess, &inherited, 0x1, 3, 0)) == .success)
        #expect(try Host.query(event) == HostHandle(type: .event, access: 0x3, attributes: 0))
        #expect(try Host.query(inherited) == HostHandle(type: .event, access: 0x1, attributes: 2))
        #expect(try Host.query(port).type == .none)
        #expect(try Host.query(currentProcess).type == .process)
        #expect(try Host.query(currentThread).type == .thread)
        #expect(thrown { () throws(NTStatus) in _ = try Host.query(nil) } == .invalidHandle)
        #expect(thrown { () throws(NTStatus) in _ = try descriptor(of: nil) } == .invalidHandle)
        #expect(thrown { () throws(NTStatus) in _ = try descriptor(of: port) } == .notSupported)
        #expect(thrown { () throws(NTStatus) in _ = try descriptor(of: inherited, access: 0x2) } == .accessDenied)
        #expect(thrown { () throws(NTStatus) in _ = try Host.send(event, to: 1, access: 0, attributes: 0, options: 2) } == .notSupported)
        #expect(Host.session == 0)
        Host.closeObject(inherited) // protected, and closed all the same
        #expect(thrown { () throws(NTStatus) in _ = try Host.query(inherited) } == .invalidHandle)
        close(event, port)
    }

    @Test func `The host waits for any handle`() throws {
        let event = makeEvent(SynchronizationEvent)
        #expect(try Host.wait(for: event, alertable: true, deadline: .immediate) == .timeout)
        #expect(try Host.wait(for: event, alertable: false, deadline: .at(Clock.monotonic + 2_000_000)) == .timeout)
        #expect(nt(NtSetEvent(event, nil)) == .success)
        #expect(try Host.wait(for: event, alertable: true, deadline: .never) == .success)
        #expect(thrown { () throws(NTStatus) in _ = try Host.wait(for: nil, alertable: false, deadline: .never) } == .invalidHandle)
        close(event)
    }

    // MARK: Files

    @Test func `A descriptor becomes a handle and a handle a descriptor`() throws {
        var path = Array("/tmp/ntlpc-file-XXXXXX".utf8CString)
        let file = mkstemp(&path)
        unlink(path)
        var handle: HANDLE?, back: Int32 = -1
        #expect(nt(ntlpc_descriptor_to_handle(file, 0xC000_0000, 2, &handle)) == .success)
        #expect(try HandleTable.information(handle) == HandleInformation(grantedAccess: 0x12_019F, attributes: 2, handleCount: 1))
        _ = Glibc.close(file)
        #expect(nt(ntlpc_handle_to_descriptor(handle, 0, &back)) == .success)
        #expect(write(back, "abc", 3) == 3 && fcntl(back, F_GETFD) & FD_CLOEXEC != 0)
        var reads: Int32 = -1
        #expect(nt(ntlpc_handle_to_descriptor(handle, 0x8000_0000, &reads)) == .success)
        var text = [UInt8](repeating: 0, count: 3)
        #expect(write(reads, "x", 1) < 0 && pread(reads, &text, 3, 0) == 3 && text == Array("abc".utf8))
        #expect(waitFor(handle) == .success)
        #expect(try Host.query(handle) == HostHandle(type: .file, access: 0x12_019F, attributes: 2))
        for one in [back, reads] { _ = Glibc.close(one) }
        close(handle)
    }

    @Test func `A file's handles grant what its descriptor can do, and no more than they were given`() throws {
        let readOnly = open("/dev/null", O_RDONLY), both = open("/dev/null", O_RDWR), path = Int32(open("/", 0x20_0000)) // O_PATH
        var handle: HANDLE?, twin: HANDLE?
        #expect(nt(ntlpc_descriptor_to_handle(readOnly, 0x4000_0000, 0, &handle)) == .accessDenied)
        #expect(nt(ntlpc_descriptor_to_handle(readOnly, 0x1000_0000, 0, &handle)) == .accessDenied)
        #expect(nt(ntlpc_descriptor_to_handle(path, 0x8000_0000, 0, &handle)) == .accessDenied)
        #expect(nt(ntlpc_descriptor_to_handle(readOnly, 0x0200_0000, 0, &handle)) == .success)
        #expect(try HandleTable.information(handle).grantedAccess == 0x1F_01FF & ~0x6)
        close(handle)
        #expect(nt(ntlpc_descriptor_to_handle(both, 0x8000_0000, 0, &handle)) == .success)
        #expect(nt(NtDuplicateObject(currentProcess, handle, currentProcess, &twin, 0x2, 0, 0)) == .accessDenied)
        #expect(nt(NtDuplicateObject(currentProcess, handle, currentProcess, &twin, 0x0200_0000, 0, 0)) == .success)
        #expect(try HandleTable.information(twin).grantedAccess == 0x12_0089)
        // What cannot be opened anew cannot be handed over for less than it can do.
        #expect(thrown { () throws(NTStatus) in _ = try descriptor(of: handle) } == .notSupported)
        #expect(thrown { () throws(NTStatus) in _ = try descriptor(of: handle, access: 0x2) } == .accessDenied)
        close(handle, twin)
        for one in [readOnly, both, path] { _ = Glibc.close(one) }
        #expect(nt(ntlpc_descriptor_to_handle(-1, 0, 0, &handle)) == .invalidHandle)
        #expect(nt(ntlpc_descriptor_to_handle(0x3FFF_FFFF, 0, 0, &handle)) == .invalidHandle)
        #expect(nt(ntlpc_descriptor_to_handle(0, 0, 1, &handle)) == .invalidParameter)
        #expect(nt(ntlpc_descriptor_to_handle(0, 0, 0, nil)) == .accessViolation)
        var number: Int32 = 0
        #expect(nt(ntlpc_handle_to_descriptor(nil, 0, &number)) == .invalidHandle)
        #expect(nt(ntlpc_handle_to_descriptor(nil, 0, nil)) == .accessViolation)
    }

    @Test func `Every kind of object has its name and its rights`() throws {
        var section: HANDLE?, packet: HANDLE?, file: HANDLE?, size = LARGE_INTEGER()
        size.QuadPart = 1
        #expect(nt(NtCreateSection(&section, 0x0200_0000, nil, &size, 4, 0x0800_0000, nil)) == .success)
        #expect(nt(NtCreateWaitCompletionPacket(&packet, 0x0200_0000, nil)) == .success)
        let null = open("/dev/null", O_RDWR)
        #expect(nt(ntlpc_descriptor_to_handle(null, 0x0200_0000, 0, &file)) == .success)
        _ = Glibc.close(null)
        let all: [(HANDLE?, String, UInt32)] = [
            (section, "Section", 0xF001F), (packet, "WaitCompletionPacket", 0xF0001), (file, "File", 0x1F01FF), (makePort(access: 0x0200_0000), "IoCompletion", 0x1F0003),
            (try openProcess(UInt64(getpid()), access: 0x0200_0000), "Process", 0x1F_FFFF), (try openThread(0, UInt64(ntlpc_gettid()), access: 0x0200_0000), "Thread", 0x1F_FFFF),
        ]
        for (handle, name, access) in all {
            var buffer = [UInt64](repeating: 0, count: 64)
            buffer.withUnsafeMutableBytes { bytes in
                #expect(nt(NtQueryObject(handle, ObjectTypeInformation, bytes.baseAddress, ULONG(bytes.count), nil)) == .success)
                let type = bytes.load(as: OBJECT_TYPE_INFORMATION.self)
                #expect(String(decoding: UnsafeBufferPointer(start: type.TypeName.Buffer, count: Int(type.TypeName.Length) / 2), as: UTF16.self) == name)
                #expect(type.ValidAccessMask == access)
            }
            #expect(try HandleTable.information(handle).grantedAccess == access)
            var twin: HANDLE?
            #expect(nt(NtDuplicateObject(currentProcess, handle, currentProcess, &twin, 0, 0, 2)) == .success)
            #expect(try HandleTable.information(twin).handleCount == 2)
            #expect(try HandleTable.withAnyObject(handle) { object, _ in object.describe().hasPrefix("\(name) handles=2") })
            close(handle, twin)
        }
    }
}

@_extern(c, "setresuid") private func changeUser(_ real: uid_t, _ effective: uid_t, _ saved: uid_t) -> Int32
@_extern(c, "fork") private func forkProcess() -> pid_t
