// The second process of the tests. Each argument, then each line of standard input, is a command; each gives one line of answer.
//
//   create P FLAGS LIMIT NAME      lpccreate P LIMIT NAME      NtAlpcCreatePort, NtCreatePort; P names the handle in later commands
//   connect P sync|async NAME      lpcconnect P NAME
//   connectas P FLAGS LEVEL TRACKING NAME                      the same with port flags and a quality of service, waiting
//   receive P MS                   lpcreceive P MS             prints type, lengths, ids and text; later commands answer that message
//   accept P S CONTEXT             refuse P                    lpcaccept S CONTEXT, lpccomplete S
//   send P FLAGS TEXT              request P MS TEXT           reply P FLAGS TEXT     lpcsend, lpcrequest, lpcreply P TEXT
//   opensender P                   NtAlpcOpenSenderProcess for the message received last, and closes the handle
//   close P    disconnect P        wait P MS                   duplicate P Q
//   lpcdata P COUNT                a request that names COUNT bytes of memory; prints the status and their sum afterwards
//   serve P                        a thread accepts everybody and echoes every request until the port is closed
//   threadend P                    a thread registers P as its terminate port and ends
//   threadkill P TEXT              a thread makes a request and is ended in it
//   rounds N NAME, churn N NAME    connect, request, disconnect N times, in one thread or in four
//   closerace N NAME               N times: three threads make requests until another closes their port
//   census                         descriptors, threads, mappings
//   limit N | fork NAME | exit | die
//   (ObjectCommands.swift has those about events and other objects that came as descriptors)
// SIGUSR2 prints what the ports do. A peer that its test forgot ends after ten minutes.

import CNTTypes
import Glibc
import NTTypes
import Synchronization

/// The commands' state: handles by name, and the message received last.
final class Session: @unchecked Sendable {
    var handles: [Substring: HANDLE] = [:]
    var current = Buffer()

    func handle(_ name: Substring?) -> HANDLE? { name.flatMap { handles[$0] } }
}

/// A message buffer of the largest size.
final class Buffer: @unchecked Sendable {
    let base = UnsafeMutableRawPointer.allocate(byteCount: 0x10000, alignment: 16)
    var length: SIZE_T = 0x10000

    init(_ text: String = "") {
        base.initializeMemory(as: UInt8.self, repeating: 0, count: 0x10000)
        set(text)
    }

    deinit { base.deallocate() }

    var pointer: PPORT_MESSAGE { base.assumingMemoryBound(to: PORT_MESSAGE.self) }
    var count: UInt16 { base.load(as: UInt16.self) }
    var type: UInt16 { base.load(fromByteOffset: 4, as: UInt16.self) }
    var id: UInt32 { base.load(fromByteOffset: 24, as: UInt32.self) }

    func set(_ text: String) {
        let bytes = Array(text.utf8)
        if !bytes.isEmpty { bytes.withUnsafeBytes { (base + 40).copyMemory(from: $0.baseAddress!, byteCount: $0.count) } }
        base.storeBytes(of: UInt16(bytes.count), as: UInt16.self)
        base.storeBytes(of: UInt16(bytes.count + 40), toByteOffset: 2, as: UInt16.self)
    }

    /// Header fields of a new message.
    func forgetIdentity() { (base + 4).initializeMemory(as: UInt8.self, repeating: 0, count: 36) }

    var text: String { String(decoding: UnsafeRawBufferPointer(start: base + 40, count: Int(count)), as: UTF8.self) }

    var line: String {
        let process = base.load(fromByteOffset: 8, as: UInt64.self), thread = base.load(fromByteOffset: 16, as: UInt64.self)
        return "type=0x\(String(type, radix: 16)) length=\(count) id=\(id) process=\(process) thread=\(thread) text=\(text)"
    }
}

func name(of value: NTSTATUS) -> String { NTStatus(rawValue: value).name }

func withTime<R>(_ milliseconds: Int64, _ body: (PLARGE_INTEGER?) -> R) -> R {
    if milliseconds < 0 { return body(nil) }
    var time = LARGE_INTEGER()
    time.QuadPart = -milliseconds * 10_000
    return body(&time)
}

func withName<R>(_ text: some StringProtocol, _ body: (PUNICODE_STRING) -> R) -> R {
    var units = Array(text.utf16)
    return units.withUnsafeMutableBufferPointer { units in
        var string = UNICODE_STRING(Length: USHORT(units.count * 2), MaximumLength: USHORT(units.count * 2), Buffer: units.baseAddress)
        return body(&string)
    }
}

func connect(_ name: some StringProtocol, sync: Bool, _ handle: inout HANDLE?) -> NTSTATUS {
    var attributes = ALPC_PORT_ATTRIBUTES()
    attributes.MaxMessageLength = 0xFFFF
    attributes.Flags = 0x20000
    return withName(name) { NtAlpcConnectPort(&handle, $0, nil, &attributes, sync ? 0x20000 : 0, nil, nil, nil, nil, nil, nil) }
}

func lpcConnect(_ name: some StringProtocol, _ handle: inout HANDLE?) -> NTSTATUS {
    var quality = SECURITY_QUALITY_OF_SERVICE()
    quality.Length = 12
    quality.ImpersonationLevel = SecurityImpersonation
    return withName(name) { NtConnectPort(&handle, $0, &quality, nil, nil, nil, nil, nil) }
}

func request(_ handle: HANDLE?, _ message: Buffer, milliseconds: Int64) -> NTSTATUS {
    message.length = 0x10000
    return withTime(milliseconds) { NtAlpcSendWaitReceivePort(handle, 0x20000, message.pointer, nil, message.pointer, &message.length, nil, $0) }
}

/// Starts a thread; the result joins it.
func thread(_ body: @escaping @Sendable () -> Void) -> pthread_t {
    final class Start {
        let body: () -> Void
        init(_ body: @escaping () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    pthread_create(&thread, nil, { @Sendable argument in
        Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue().body()
        return nil
    }, Unmanaged.passRetained(Start(body)).toOpaque())
    return thread
}

/// An echo server: every request gets its own bytes back.
func serve(_ listener: HANDLE?) {
    let message = Buffer()
    var open: [UInt: HANDLE] = [:]
    var context: UInt = 0, owes = false
    let room = AlpcGetHeaderSize(0x2000_0000)
    let attributes = UnsafeMutableRawPointer.allocate(byteCount: Int(room), alignment: 16).assumingMemoryBound(to: ALPC_MESSAGE_ATTRIBUTES.self)
    defer { attributes.deallocate() }
    while true {
        var needed: SIZE_T = 0
        _ = AlpcInitializeMessageAttribute(0x2000_0000, attributes, room, &needed)
        message.length = 0x10000
        let result = NtAlpcSendWaitReceivePort(listener, owes ? 0x10000 : 0, owes ? message.pointer : nil, nil, message.pointer, &message.length, attributes, nil)
        owes = false
        // An answer that nobody waits for any more is no reason to stop.
        if result < 0 && [.portClosed, .invalidHandle].contains(NTStatus(rawValue: result)) { return }
        if result != 0 { continue }
        switch message.type & 0xFF {
        case 10:
            context += 1
            var port: HANDLE?
            message.set("")
            if NtAlpcAcceptConnectPort(&port, listener, 0, nil, nil, PVOID(bitPattern: context), message.pointer, nil, 1) == 0 { open[context] = port }
        case 1: owes = true
        case 5:
            if let record = AlpcGetMessageAttribute(attributes, 0x2000_0000) {
                let closed = UInt(bitPattern: record.load(as: ALPC_CONTEXT_ATTR.self).PortContext)
                if let port = open.removeValue(forKey: closed) { NtClose(port) }
            }
        default: break
        }
    }
}

/// Connects, asks, compares, closes; the number of rounds that went wrong.
func rounds(_ count: Int, _ name: String) -> Int {
    var wrong = 0
    let message = Buffer()
    for round in 0 ..< count {
        var handle: HANDLE?
        guard connect(name, sync: true, &handle) == 0 else {
            wrong += 1
            continue
        }
        message.forgetIdentity()
        message.set("round \(round)")
        if request(handle, message, milliseconds: 60_000) != 0 || message.text != "round \(round)" { wrong += 1 }
        if NtClose(handle) != 0 { wrong += 1 }
    }
    return wrong
}

/// The statuses that should not have come.
func closeRaces(_ count: Int, _ name: String) -> String {
    let odd = Mutex<Set<String>>([])
    let expected: Set<NTStatus.RawValue> = [NTStatus.portClosed.rawValue, NTStatus.invalidHandle.rawValue, NTStatus.portDisconnected.rawValue,
                                            NTStatus.messageLost.rawValue]
    return withExtendedLifetime(Names(odd)) { odd in
        for _ in 0 ..< count {
            var handle: HANDLE?
            let made = connect(name, sync: true, &handle)
            if made != 0 {
                odd.values.withLock { _ = $0.insert(PeerProcess.name(of: made)) }
                continue
            }
            let value = UInt(bitPattern: handle)
            let threads = (0 ..< 3).map { _ in
                thread {
                    let message = Buffer()
                    while true {
                        message.forgetIdentity()
                        message.set("x")
                        let result = request(HANDLE(bitPattern: value), message, milliseconds: -1)
                        if result == 0 { continue }
                        if !expected.contains(result) { odd.values.withLock { _ = $0.insert(PeerProcess.name(of: result)) } }
                        return
                    }
                }
            }
            usleep(300)
            NtClose(handle)
            for one in threads { pthread_join(one, nil) }
        }
        return "odd=" + odd.values.withLock { $0.sorted().joined(separator: " ") }
    }
}

/// Texts that threads share.
final class Names: Sendable {
    let values: Mutex<Set<String>>
    init(_ values: consuming sending Mutex<Set<String>>) { self.values = values }
}

func entries(_ path: String) -> Int {
    guard let directory = opendir(path) else { return -1 }
    defer { closedir(directory) }
    var count = 0
    while readdir(directory) != nil { count += 1 }
    return count - 2
}

func linkRegions() -> Int {
    guard let file = fopen("/proc/self/maps", "r") else { return -1 }
    defer { fclose(file) }
    var count = 0
    var line = [CChar](repeating: 0, count: 1024)
    while fgets(&line, 1024, file) != nil {
        if strstr(line, "ntlpc-link") != nil { count += 1 }
    }
    return count
}
