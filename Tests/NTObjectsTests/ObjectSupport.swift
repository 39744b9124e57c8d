// What the tests of the native host's objects share: short forms of the calls, and a second process.

import CLinuxShims
import CNTTypes
import Glibc
import LinuxSystem
import NTTypes
import Testing
@testable import NTExports
@testable import NTObjects

var currentProcess: HANDLE? { HANDLE(bitPattern: -1) }
var currentThread: HANDLE? { HANDLE(bitPattern: -2) }
func nt(_ value: NTSTATUS) -> NTStatus { NTStatus(rawValue: value) }

/// A relative time-out in milliseconds, nil for none.
func withTimeout<R>(_ milliseconds: Int64?, _ body: (PLARGE_INTEGER?) -> R) -> R {
    guard let milliseconds else { return body(nil) }
    var time = LARGE_INTEGER()
    time.QuadPart = -milliseconds * 10_000
    return body(&time)
}

func waitFor(_ handle: HANDLE?, _ milliseconds: Int64? = 0) -> NTStatus { withTimeout(milliseconds) { nt(NtWaitForSingleObject(handle, 0, $0)) } }

func waitFor(_ handles: [HANDLE?], _ type: WAIT_TYPE, _ milliseconds: Int64? = 0) -> NTStatus {
    var handles = handles
    return withTimeout(milliseconds) { nt(NtWaitForMultipleObjects(ULONG(handles.count), &handles, type, 0, $0)) }
}

func makeEvent(_ type: EVENT_TYPE = NotificationEvent, signaled: Bool = false, access: UInt32 = 0x1F0003) -> HANDLE {
    var handle: HANDLE?
    precondition(NtCreateEvent(&handle, access, nil, type, signaled ? 1 : 0) == 0)
    return handle!
}

func makePort(access: UInt32 = 0x1F0003) -> HANDLE {
    var handle: HANDLE?
    precondition(NtCreateIoCompletion(&handle, access, nil, 0) == 0)
    return handle!
}

/// The state behind a handle.
func state(of handle: HANDLE?) throws -> SignalState { try HandleTable.withAnyObject(handle) { object, _ in object.signal! } }

/// The descriptor that a message with the handle would carry.
func descriptor(of handle: HANDLE?, access: UInt32 = 0) throws(NTStatus) -> Descriptor { try Host.descriptor(of: handle, access: access) }

func thrown(_ body: () throws(NTStatus) -> Void) -> NTStatus? {
    do throws(NTStatus) {
        try body()
        return nil
    } catch {
        return error
    }
}

/// Open descriptors of this process.
func descriptorCount() -> Int {
    guard let directory = opendir("/proc/self/fd") else { return -1 }
    defer { closedir(directory) }
    var count = 0
    while readdir(directory) != nil { count += 1 }
    return count
}

/// pipe2, which Glibc's module leaves out: without it, a process that another test starts at this moment gets the ends too.
@_extern(c, "pipe2") private func makePipe(_ ends: UnsafeMutablePointer<Int32>, _ flags: Int32) -> Int32

/// A running PeerProcess that has some descriptors of ours, from number 10 on.
final class ObjectPeer: @unchecked Sendable {
    let pid: pid_t
    private let input: UnsafeMutablePointer<FILE>
    private let output: UnsafeMutablePointer<FILE>

    init(_ descriptors: [Descriptor]) throws {
        var toChild: [Int32] = [0, 0], fromChild: [Int32] = [0, 0]
        let made = [makePipe(&toChild, O_CLOEXEC), makePipe(&fromChild, O_CLOEXEC)]
        try #require(made == [0, 0])
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, toChild[0], 0)
        posix_spawn_file_actions_adddup2(&actions, fromChild[1], 1)
        for (index, descriptor) in descriptors.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, descriptor.rawValue, Int32(10 + index))
        }
        var buffer = [CChar](repeating: 0, count: 4096)
        let length = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        let own = String(decoding: buffer.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let path = own[..<own.lastIndex(of: "/")!] + "/PeerProcess"
        var arguments: [UnsafeMutablePointer<CChar>?] = [strdup(String(path)), nil]
        var child: pid_t = 0
        let error = posix_spawn(&child, String(path), &actions, nil, &arguments, environ)
        free(arguments[0])
        posix_spawn_file_actions_destroy(&actions)
        close(toChild[0])
        close(fromChild[1])
        withExtendedLifetime(descriptors) {}
        pid = child
        input = fdopen(toChild[1], "w")
        output = fdopen(fromChild[0], "r")
        try #require(error == 0)
    }

    deinit {
        kill()
        fclose(input)
        fclose(output)
    }

    func tell(_ command: String) {
        fputs(command + "\n", input)
        fflush(input)
    }

    /// The next line; "(gone)" when the process has ended.
    func answer() -> String {
        var line = [CChar](repeating: 0, count: 4096)
        guard fgets(&line, 4096, output) != nil else { return "(gone)" }
        return String(decoding: line.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    @discardableResult
    func call(_ command: String) -> String {
        tell(command)
        return answer()
    }

    /// Ends the process and waits for it; its exit status or minus the signal. Once.
    @discardableResult
    func kill(_ signal: Int32 = SIGKILL) -> Int32 {
        if isOver { return 0 }
        isOver = true
        if signal != 0 { Glibc.kill(pid, signal) }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        return status & 0x7F == 0 ? (status >> 8) & 0xFF : -(status & 0x7F)
    }

    private var isOver = false
}
