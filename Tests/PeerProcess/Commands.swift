// What each command does.

import CNTTypes
import Glibc
import NTTypes
import Synchronization
import NTObjects

extension Session {
    /// Runs one command; nil when the answer was printed already.
    func run(_ line: String) -> String? {
        let words = line.split(separator: " ")
        func number(_ index: Int) -> Int64 {
            guard words.indices.contains(index) else { return 0 }
            return words[index].hasPrefix("0x") ? Int64(words[index].dropFirst(2), radix: 16) ?? 0 : Int64(words[index]) ?? 0
        }
        /// From the word at `index` to the end, spaces and all.
        func rest(_ index: Int) -> String { line.split(separator: " ", maxSplits: index, omittingEmptySubsequences: false).dropFirst(index).first.map(String.init) ?? "" }
        let port = handle(words.count > 1 ? words[1] : nil)
        var made: HANDLE?
        var result: NTSTATUS = 0
        switch words.first {
        case "create":
            var attributes = ALPC_PORT_ATTRIBUTES()
            attributes.Flags = ULONG(number(2))
            attributes.MaxMessageLength = SIZE_T(number(3))
            result = withObject(rest(4)) { NtAlpcCreatePort(&made, $0, &attributes) }
        case "lpccreate":
            result = withObject(rest(3)) { NtCreatePort(&made, $0, 256, ULONG(number(2)), 0) }
        case "connect":
            result = connect(rest(3), sync: words[2] == "sync", &made)
        case "connectas":
            var attributes = ALPC_PORT_ATTRIBUTES()
            attributes.MaxMessageLength = 0xFFFF
            attributes.Flags = ULONG(number(2))
            attributes.SecurityQos.ImpersonationLevel = SECURITY_IMPERSONATION_LEVEL(rawValue: UInt32(number(3)))
            attributes.SecurityQos.ContextTrackingMode = BOOLEAN(number(4))
            result = withName(rest(5)) { NtAlpcConnectPort(&made, $0, nil, &attributes, 0x20000, nil, nil, nil, nil, nil, nil) }
        case "lpcconnect":
            result = lpcConnect(rest(2), &made)
        case "receive", "lpcreceive":
            current.length = 0x10000
            result = withTime(number(2)) { time in
                words[0] == "receive" ? NtAlpcSendWaitReceivePort(port, 0, nil, nil, current.pointer, &current.length, nil, time)
                    : NtReplyWaitReceivePortEx(port, nil, nil, current.pointer, time)
            }
            if result == 0 { return "SUCCESS \(current.line)" }
        case "accept":
            current.set("")
            result = NtAlpcAcceptConnectPort(&made, port, 0, nil, nil, PVOID(bitPattern: Int(number(3))), current.pointer, nil, 1)
            if result == 0 { handles[words[2]] = made }
            return name(of: result)
        case "refuse":
            current.set("")
            result = NtAlpcAcceptConnectPort(nil, port, 0, nil, nil, nil, current.pointer, nil, 0)
        case "lpcaccept":
            result = NtAcceptConnectPort(&made, PVOID(bitPattern: Int(number(2))), current.pointer, 1, nil, nil)
        case "lpccomplete":
            result = NtCompleteConnectPort(port)
        case "send":
            let message = Buffer(rest(3))
            result = withExtendedLifetime(message) { NtAlpcSendWaitReceivePort(port, ULONG(number(2)), message.pointer, nil, nil, nil, nil, nil) }
        case "lpcsend":
            let message = Buffer(rest(2))
            result = withExtendedLifetime(message) { NtRequestPort(port, message.pointer) }
        case "request":
            let message = Buffer(rest(3))
            result = request(port, message, milliseconds: number(2))
            if result == 0 { return "SUCCESS \(message.line)" }
        case "lpcrequest":
            let message = Buffer(rest(2))
            result = withExtendedLifetime(message) { NtRequestWaitReplyPort(port, message.pointer, message.pointer) }
            if result == 0 { return "SUCCESS \(message.line)" }
        case "lpcdata":
            // A request that names memory: 0, 1, 2 ... modulo 251. What it holds when the reply has come is summed up.
            let count = Int(number(2)), memory = UnsafeMutableRawPointer.allocate(byteCount: count, alignment: 16), message = Buffer("")
            defer { memory.deallocate() }
            for index in 0 ..< count { memory.storeBytes(of: UInt8(index % 251), toByteOffset: index, as: UInt8.self) }
            message.set(String(repeating: " ", count: 24))
            message.base.storeBytes(of: UInt16(40), toByteOffset: 6, as: UInt16.self)
            message.base.storeBytes(of: UInt64(1), toByteOffset: 40, as: UInt64.self)
            message.base.storeBytes(of: UInt64(UInt(bitPattern: memory)), toByteOffset: 48, as: UInt64.self)
            message.base.storeBytes(of: UInt64(count), toByteOffset: 56, as: UInt64.self)
            result = withExtendedLifetime(message) { NtRequestWaitReplyPort(port, message.pointer, message.pointer) }
            return "\(name(of: result)) sum=\((0 ..< count).reduce(0) { $0 + Int(memory.load(fromByteOffset: $1, as: UInt8.self)) })"
        case "reply":
            current.set(rest(3))
            result = NtAlpcSendWaitReceivePort(port, ULONG(number(2)), current.pointer, nil, nil, nil, nil, nil)
        case "lpcreply":
            current.set(rest(2))
            result = NtReplyPort(port, current.pointer)
        case "opensender":
            var object = OBJECT_ATTRIBUTES()
            object.Length = ULONG(MemoryLayout<OBJECT_ATTRIBUTES>.size)
            result = NtAlpcOpenSenderProcess(&made, port, current.pointer, 0, 0x1000, &object)
            if result == 0 { return name(of: NtClose(made)) }
        case "close": result = NtClose(port)
        case "disconnect": result = NtAlpcDisconnectPort(port, 0)
        case "wait": result = withTime(number(2)) { NtWaitForSingleObject(port, 0, $0) }
        case "duplicate":
            result = NtDuplicateObject(HANDLE(bitPattern: -1), port, HANDLE(bitPattern: -1), &made, 0, 0, 2)
            if result == 0 { handles[words[2]] = made }
            return name(of: result)
        case "serve":
            let listener = UInt(bitPattern: port)
            pthread_detach(thread { PeerProcess.serve(HANDLE(bitPattern: listener)) })
        case "threadend":
            let port = UInt(bitPattern: port), outcome = Atomic<Int32>(0)
            withExtendedLifetime(Shared(outcome)) { shared in
                pthread_join(thread { shared.value.store(NtRegisterThreadTerminatePort(HANDLE(bitPattern: port)), ordering: .releasing) }, nil)
                result = shared.value.load(ordering: .acquiring)
            }
        case "threadkill":
            let port = UInt(bitPattern: port), text = rest(2)
            let victim = thread {
                pthread_setcanceltype(Int32(PTHREAD_CANCEL_ASYNCHRONOUS), nil)
                _ = request(HANDLE(bitPattern: port), Buffer(text), milliseconds: -1)
            }
            usleep(200_000)
            pthread_cancel(victim)
            pthread_join(victim, nil)
        case "rounds": return "wrong=\(rounds(Int(number(1)), rest(2)))"
        case "closerace": return closeRaces(Int(number(1)), rest(2))
        case "churn":
            let count = Int(number(1)), name = rest(2), shared = Shared(Atomic(0))
            let threads = (0 ..< 4).map { _ in thread { shared.value.wrappingAdd(Int32(rounds(count / 4, name)), ordering: .relaxed) } }
            for one in threads { pthread_join(one, nil) }
            return "wrong=\(shared.value.load(ordering: .relaxed))"
        case "census": return "descriptors=\(entries("/proc/self/fd")) threads=\(entries("/proc/self/task")) regions=\(linkRegions())"
        case "limit":
            var limit = rlimit(rlim_cur: rlim_t(number(1)), rlim_max: rlim_t(number(1)))
            return setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 ? "SUCCESS" : "errno \(errno)"
        case "fork": return forked(rest(1))
        case "exit": exit(Int32(number(1)))
        case "die": kill(getpid(), SIGKILL)
        default: return runObjects(words) ?? "unknown command: \(line)"
        }
        if let made, result == 0, words.count > 1 { handles[words[1]] = made }
        return name(of: result)
    }

    /// In the child of a fork the parent's handles are nothing, and new ports work. The child answers through its exit code.
    private func forked(_ name: String) -> String {
        let child = fork_now()
        if child == 0 {
            for handle in handles.values where NtClose(handle) != NTStatus.invalidHandle.rawValue { _exit(1) }
            var listener: HANDLE?
            var attributes = ALPC_PORT_ATTRIBUTES()
            attributes.MaxMessageLength = 0xFFFF
            guard withObject(name, { NtAlpcCreatePort(&listener, $0, &attributes) }) == 0 else { _exit(2) }
            let value = UInt(bitPattern: listener)
            let server = thread { PeerProcess.serve(HANDLE(bitPattern: value)) }
            guard rounds(20, name) == 0 else { _exit(3) }
            guard NtClose(listener) == 0 else { _exit(4) }
            pthread_join(server, nil)
            // Stays: the parent's death must be seen by its clients although this process lives.
            if name.hasSuffix("stay") { while true { pause() } }
            _exit(0)
        }
        if name.hasSuffix("stay") { return "child \(child)" }
        var status: Int32 = 0
        waitpid(child, &status, 0)
        return status == 0 ? "SUCCESS" : "child \(status)"
    }
}

/// A number that threads share.
final class Shared: Sendable {
    let value: Atomic<Int32>
    init(_ value: consuming Atomic<Int32>) { self.value = value }
}

func withObject<R>(_ name: String, _ body: (POBJECT_ATTRIBUTES) -> R) -> R {
    withName(name) { name in
        var object = OBJECT_ATTRIBUTES(Length: ULONG(MemoryLayout<OBJECT_ATTRIBUTES>.size), RootDirectory: nil, ObjectName: name, Attributes: 0x40,
                                       SecurityDescriptor: nil, SecurityQualityOfService: nil)
        return body(&object)
    }
}

/// Glibc's fork is hidden from Swift, which knows of no program that survives it; this one does little in between.
@_silgen_name("fork") private func fork_now() -> pid_t

private func describePorts() {
    for value in stride(from: UInt(4), to: 1024, by: 4) {
        do throws(NTStatus) {
            try HandleTable.withAnyObject(HANDLE(bitPattern: value)) { object, _ in
                var line = "  peer \(getpid()) handle \(value): \(object.describe())\n"
                line.withUTF8 { _ = write(2, $0.baseAddress!, $0.count) }
            }
        } catch {
            continue    // no such handle
        }
    }
}

@main
enum Main {
    static func main() {
        signal(SIGUSR2) { _ in describePorts() }
        alarm(600)
        let session = Session()
        func run(_ line: String) {
            guard let answer = session.run(line) else { return }
            var text = answer.replacing("\n", with: " ") + "\n"
            text.withUTF8 { _ = write(1, $0.baseAddress!, $0.count) }
        }
        for line in CommandLine.arguments.dropFirst() { run(line) }
        while let line = readLine() { run(line) }
    }
}
