// Ports of a test: made in one line, closed at its end.
//
// Names are NT's in the reference's scenarios: C the connection port, S the server communication port, K the client's.

import CNTTypes
import Glibc
import LinuxSystem
import NTTypes
import Synchronization
import Testing

/// The namespace root of this test run.
enum Stage {
    static let root: String = {
        var template = Array("/tmp/ntlpc-ports-XXXXXX\0".utf8CString)
        let path = template.withUnsafeMutableBufferPointer { String(cString: mkdtemp($0.baseAddress!)) }
        setenv("NTLPC_ROOT", path, 1)
        let directory = strdup(path)
        removeAtExit.store(UInt(bitPattern: directory), ordering: .releasing)
        atexit { rmTree(String(cString: UnsafePointer<CChar>(bitPattern: Stage.removeAtExit.load(ordering: .acquiring))!)) }
        return path
    }()

    private static let removeAtExit = Atomic<UInt>(0)
    private static let serial = Atomic<Int>(0)

    /// A port name that nobody else uses.
    static func name(_ directory: String = "\\RPC Control") -> String {
        _ = root
        return "\(directory)\\test \(serial.wrappingAdd(1, ordering: .relaxed).newValue)"
    }
}

/// Removes a directory and all below it.
func rmTree(_ path: String) {
    if let directory = opendir(path) {
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if name == "." || name == ".." { continue }
            if entry.pointee.d_type == UInt8(DT_DIR) { rmTree(path + "/" + name) } else { unlink(path + "/" + name) }
        }
        closedir(directory)
    }
    rmdir(path)
}

func status(_ value: NTSTATUS) -> NTStatus { NTStatus(rawValue: value) }

/// A relative time-out.
func after(milliseconds: Int64) -> Int64 { -milliseconds * 10_000 }

/// The guard of waits that must end: long, for slow machines.
let guardTime = after(milliseconds: 60_000)

/// A port handle with the calls of this test.
struct Port: @unchecked Sendable, Equatable {
    var handle: HANDLE?

    /// Sends without receiving. Flags: 0x10000 datagram or last answer, 0 request or answer.
    func send(_ message: Message, _ flags: UInt32 = 0, _ attributes: Attributes? = nil) -> NTStatus {
        status(NtAlpcSendWaitReceivePort(handle, flags, message.pointer, attributes?.pointer, nil, nil, nil, nil))
    }

    func datagram(_ message: Message) -> NTStatus { send(message, 0x10000) }

    /// Receives into `buffer`, by its own `length`.
    func receive(_ buffer: Message, _ attributes: Attributes? = nil, timeout: Int64 = guardTime) -> NTStatus {
        var time = LARGE_INTEGER()
        time.QuadPart = timeout
        return status(NtAlpcSendWaitReceivePort(handle, 0, nil, nil, buffer.pointer, &buffer.length, attributes?.pointer, &time))
    }

    func poll(_ buffer: Message = Message(room: 4096), _ attributes: Attributes? = nil) -> NTStatus { receive(buffer, attributes, timeout: 0) }

    /// A synchronous request; NULL for `timeout` waits for ever.
    func request(_ message: Message, _ answer: Message, timeout: Int64? = guardTime, sent: Attributes? = nil, got: Attributes? = nil) -> NTStatus {
        var time = LARGE_INTEGER()
        time.QuadPart = timeout ?? 0
        return withUnsafeMutablePointer(to: &time) { time in
            status(NtAlpcSendWaitReceivePort(handle, 0x20000, message.pointer, sent?.pointer, answer.pointer, &answer.length, got?.pointer,
                                             timeout == nil ? nil : time))
        }
    }

    /// Answers and receives the next message in one call.
    func answerAndReceive(_ answer: Message, _ buffer: Message, timeout: Int64 = guardTime) -> NTStatus {
        var time = LARGE_INTEGER()
        time.QuadPart = timeout
        return status(NtAlpcSendWaitReceivePort(handle, 0x10000, answer.pointer, nil, buffer.pointer, &buffer.length, nil, &time))
    }

    /// Waits on the handle.
    func wait(_ timeout: Int64 = guardTime) -> NTStatus {
        var time = LARGE_INTEGER()
        time.QuadPart = timeout
        return status(NtWaitForSingleObject(handle, 0, &time))
    }

    func close() -> NTStatus { status(NtClose(handle)) }

    func disconnect(_ flags: UInt32 = 0) -> NTStatus { status(NtAlpcDisconnectPort(handle, flags)) }

    // LPC

    func lpcDatagram(_ message: Message) -> NTStatus { status(NtRequestPort(handle, message.pointer)) }
    func lpcRequest(_ message: Message, _ answer: Message) -> NTStatus { status(NtRequestWaitReplyPort(handle, message.pointer, answer.pointer)) }
    func lpcReply(_ message: Message) -> NTStatus { status(NtReplyPort(handle, message.pointer)) }
    func lpcReceive(_ buffer: Message, answering answer: Message? = nil, timeout: Int64 = guardTime) -> NTStatus {
        var time = LARGE_INTEGER()
        time.QuadPart = timeout
        return status(NtReplyWaitReceivePortEx(handle, nil, answer?.pointer, buffer.pointer, &time))
    }

    /// Receives one message, which must come.
    func take(room: Int = 4096, _ attributes: Attributes? = nil, sourceLocation: SourceLocation = #_sourceLocation) throws -> Message {
        let buffer = Message(room: room)
        let outcome = receive(buffer, attributes)
        try #require(outcome == .success, "receive", sourceLocation: sourceLocation)
        #expect(buffer.hasCleanTail, sourceLocation: sourceLocation)
        return buffer
    }

    func lpcTake(sourceLocation: SourceLocation = #_sourceLocation) throws -> Message {
        let buffer = Message(room: 4096)
        let outcome = lpcReceive(buffer)
        try #require(outcome == .success, "receive", sourceLocation: sourceLocation)
        return buffer
    }

    /// AlpcBasicInformation.
    func basic(sourceLocation: SourceLocation = #_sourceLocation) throws -> ALPC_BASIC_INFORMATION {
        var information = ALPC_BASIC_INFORMATION()
        let result = status(NtAlpcQueryInformation(handle, AlpcBasicInformation, &information, ULONG(MemoryLayout<ALPC_BASIC_INFORMATION>.size), nil))
        try #require(result == .success, sourceLocation: sourceLocation)
        return information
    }
}

/// Attributes with a limit of 4 KiB of payload, unless told otherwise; everything else all ones, impersonation and dynamic.
func usual(flags: UInt32 = 0x20000, limit: Int = Message.header + 0x1000) -> ALPC_PORT_ATTRIBUTES {
    var attributes = ALPC_PORT_ATTRIBUTES()
    attributes.Flags = flags
    attributes.SecurityQos.Length = ULONG(MemoryLayout<SECURITY_QUALITY_OF_SERVICE>.size)
    attributes.SecurityQos.ImpersonationLevel = SecurityImpersonation
    attributes.SecurityQos.ContextTrackingMode = 1
    attributes.MaxMessageLength = SIZE_T(limit)
    attributes.MemoryBandwidth = .max
    attributes.MaxPoolUsage = .max
    attributes.MaxSectionSize = .max
    attributes.MaxViewSize = .max
    attributes.MaxTotalSectionSize = .max
    return attributes
}

/// Runs `body` with a UNICODE_STRING.
func withString<R>(_ text: String, _ body: (PUNICODE_STRING) throws -> R) rethrows -> R {
    var units = Array(text.utf16)
    return try units.withUnsafeMutableBufferPointer { units in
        var string = UNICODE_STRING(Length: USHORT(units.count * 2), MaximumLength: USHORT(units.count * 2), Buffer: units.baseAddress)
        return try body(&string)
    }
}

/// Runs `body` with OBJECT_ATTRIBUTES.
func withObject<R>(_ name: String?, attributes: UInt32 = 0x40, descriptor: UnsafeMutableRawPointer? = nil, root: HANDLE? = nil,
                   _ body: (POBJECT_ATTRIBUTES) throws -> R) rethrows -> R {
    func run(_ name: PUNICODE_STRING?) throws -> R {
        var object = OBJECT_ATTRIBUTES(Length: ULONG(MemoryLayout<OBJECT_ATTRIBUTES>.size), RootDirectory: root, ObjectName: name,
                                       Attributes: attributes, SecurityDescriptor: descriptor, SecurityQualityOfService: nil)
        return try body(&object)
    }
    guard let name else { return try run(nil) }
    return try withString(name) { try run($0) }
}

/// The outcome of a connect.
struct Connected: Sendable {
    var status: NTStatus
    var port: Port
}

/// What a client asks for.
struct ConnectOptions: @unchecked Sendable {
    var flags: UInt32 = 0
    var attributes: ALPC_PORT_ATTRIBUTES? = usual(flags: 0)
    var message: Message?
    var timeout: Int64? = guardTime
    var sid: [UInt8]?
    static func waiting(_ message: Message? = nil, port flags: UInt32 = 0, timeout: Int64? = guardTime) -> ConnectOptions {
        ConnectOptions(flags: 0x20000, attributes: usual(flags: flags), message: message, timeout: timeout)
    }
}

/// What an out parameter holds before a call that must not write it.
nonisolated(unsafe) let unwrittenHandle = HANDLE(bitPattern: 0x5A5A_5A5A)

/// NtAlpcConnectPort.
func connect(_ name: String, _ options: ConnectOptions = ConnectOptions()) -> Connected {
    var handle = unwrittenHandle
    var time = LARGE_INTEGER()
    time.QuadPart = options.timeout ?? 0
    var attributes = options.attributes ?? ALPC_PORT_ATTRIBUTES()
    var sid = options.sid ?? []
    let result = withString(name) { name in
        withUnsafeMutablePointer(to: &time) { time in
            withUnsafeMutablePointer(to: &attributes) { attributes in
                sid.withUnsafeMutableBytes { sid in
                    func call(_ length: PSIZE_T?) -> NTSTATUS {
                        NtAlpcConnectPort(&handle, name, nil, options.attributes == nil ? nil : attributes, options.flags,
                                          options.sid == nil ? nil : sid.baseAddress, options.message?.pointer, length, nil, nil,
                                          options.timeout == nil ? nil : time)
                    }
                    guard let message = options.message else { return call(nil) }
                    return call(&message.length)
                }
            }
        }
    }
    return Connected(status: status(result), port: Port(handle: handle))
}

/// NtConnectPort with connection information.
func lpcConnect(_ name: String, information: [UInt8]? = nil, level: UInt32 = 2) -> (status: NTStatus, port: Port, information: [UInt8], limit: UInt32) {
    var handle = unwrittenHandle
    var quality = SECURITY_QUALITY_OF_SERVICE()
    quality.Length = 12
    quality.ImpersonationLevel = SECURITY_IMPERSONATION_LEVEL(rawValue: level)
    quality.ContextTrackingMode = 1
    var bytes = (information ?? []) + [UInt8](repeating: Message.marker, count: 64)
    var length = ULONG(information?.count ?? 0), limit: ULONG = 0xA5A5_A5A5
    let result = withString(name) { name in
        bytes.withUnsafeMutableBytes { bytes in
            information == nil ? NtConnectPort(&handle, name, &quality, nil, nil, &limit, nil, nil)
                : NtConnectPort(&handle, name, &quality, nil, nil, &limit, bytes.baseAddress, &length)
        }
    }
    #expect(bytes[(information?.count ?? 0)...].allSatisfy { $0 == Message.marker })
    return (status(result), Port(handle: handle), Array(bytes.prefix(Int(length))), limit)
}

/// NtAlpcAcceptConnectPort.
func accept(_ listener: Port, _ request: Message, context: UInt = 0, accepts: Bool = true, attributes: ALPC_PORT_ATTRIBUTES? = nil) -> Connected {
    var handle = unwrittenHandle
    var copy = attributes ?? ALPC_PORT_ATTRIBUTES()
    let result = withUnsafeMutablePointer(to: &copy) { copy in
        NtAlpcAcceptConnectPort(&handle, listener.handle, 0, nil, attributes == nil ? nil : copy, PVOID(bitPattern: context), request.pointer, nil, accepts ? 1 : 0)
    }
    return Connected(status: status(result), port: Port(handle: handle))
}

/// NtAcceptConnectPort.
func lpcAccept(_ request: Message, context: UInt = 0, accepts: Bool = true) -> Connected {
    var handle = unwrittenHandle
    let result = NtAcceptConnectPort(&handle, PVOID(bitPattern: context), request.pointer, accepts ? 1 : 0, nil, nil)
    return Connected(status: status(result), port: Port(handle: handle))
}

/// The handles of one test. `end()` closes those that are open and forgets those that the test has closed.
final class Scene: @unchecked Sendable {
    private let handles = FutexLock<[UInt]>([])
    let name: String

    init(_ name: String = Stage.name()) { self.name = name }

    @discardableResult
    func keep(_ port: Port) -> Port {
        handles.withLock { $0.append(UInt(bitPattern: port.handle)) }
        return port
    }

    func close(_ port: Port) -> NTStatus {
        handles.withLock { $0.removeAll { $0 == UInt(bitPattern: port.handle) } }
        return port.close()
    }

    func end() {
        let open = handles.withLock { handles in
            defer { handles = [] }
            return handles
        }
        for handle in open.reversed() { #expect(status(NtClose(HANDLE(bitPattern: handle))) == .success) }
    }

    /// NtAlpcCreatePort under this scene's name.
    /// Users other than this process's own are let in if their SIDs are among `admitting`.
    func create(_ attributes: ALPC_PORT_ATTRIBUTES? = usual(), name: String? = nil, admitting users: [[UInt8]] = [],
                sourceLocation: SourceLocation = #_sourceLocation) throws -> Port {
        var handle = unwrittenHandle
        var copy = attributes ?? ALPC_PORT_ATTRIBUTES()
        var access = users.isEmpty ? [] : descriptor(allow: users)
        let result = access.withUnsafeMutableBytes { access in
            withObject(name ?? self.name, descriptor: users.isEmpty ? nil : access.baseAddress) { object in
                withUnsafeMutablePointer(to: &copy) { status(NtAlpcCreatePort(&handle, object, attributes == nil ? nil : $0)) }
            }
        }
        try #require(result == .success, "NtAlpcCreatePort", sourceLocation: sourceLocation)
        return keep(Port(handle: handle))
    }

    /// NtCreatePort under this scene's name.
    func lpcCreate(information: UInt32 = 256, limit: UInt32 = 512, waitable: Bool = false, sourceLocation: SourceLocation = #_sourceLocation) throws -> Port {
        var handle = unwrittenHandle
        let result = withObject(name) { object in
            status(waitable ? NtCreateWaitablePort(&handle, object, information, limit, 0) : NtCreatePort(&handle, object, information, limit, 0))
        }
        try #require(result == .success, "NtCreatePort", sourceLocation: sourceLocation)
        return keep(Port(handle: handle))
    }

    /// A pending client: connects without waiting.
    func pending(_ options: ConnectOptions = ConnectOptions(), sourceLocation: SourceLocation = #_sourceLocation) throws -> Port {
        let made = connect(name, options)
        try #require(made.status == .success, "NtAlpcConnectPort", sourceLocation: sourceLocation)
        return keep(made.port)
    }

    /// Receives a connection request on `listener` and accepts it.
    func admit(_ listener: Port, context: UInt = 0, _ payload: [UInt8] = [], attributes: ALPC_PORT_ATTRIBUTES? = nil,
               sourceLocation: SourceLocation = #_sourceLocation) throws -> Port {
        let request = try listener.take(sourceLocation: sourceLocation)
        try #require(request.kind == 10, sourceLocation: sourceLocation)
        let made = accept(listener, Message(answering: request, payload), context: context, attributes: attributes)
        try #require(made.status == .success, "NtAlpcAcceptConnectPort", sourceLocation: sourceLocation)
        return keep(made.port)
    }

    /// "Setup connected" of the scenarios: connected, and the connection reply taken.
    func client(_ listener: Port, context: UInt = 0x1234, _ attributes: ALPC_PORT_ATTRIBUTES? = usual(flags: 0),
                sourceLocation: SourceLocation = #_sourceLocation) throws -> (server: Port, client: Port) {
        let client = try pending(ConnectOptions(attributes: attributes), sourceLocation: sourceLocation)
        let server = try admit(listener, context: context, sourceLocation: sourceLocation)
        let reply = try client.take(sourceLocation: sourceLocation)
        try #require(reply.kind == 11, sourceLocation: sourceLocation)
        return (server, client)
    }

    func connected(context: UInt = 0x1234, server: ALPC_PORT_ATTRIBUTES = usual(), client attributes: ALPC_PORT_ATTRIBUTES? = usual(flags: 0),
                   sourceLocation: SourceLocation = #_sourceLocation) throws -> (listener: Port, server: Port, client: Port) {
        let listener = try create(server, sourceLocation: sourceLocation)
        let (server, client) = try client(listener, context: context, attributes, sourceLocation: sourceLocation)
        return (listener, server, client)
    }

    /// An LPC server and its client, connected and completed.
    func lpcConnected(limit: UInt32 = 512, context: UInt = 0x1234, sourceLocation: SourceLocation = #_sourceLocation) throws
        -> (listener: Port, server: Port, client: Port) {
        let listener = try lpcCreate(limit: limit, sourceLocation: sourceLocation)
        let (server, client) = try lpcClient(listener, context: context, sourceLocation: sourceLocation)
        return (listener, server, client)
    }

    func lpcClient(_ listener: Port, context: UInt = 0x1234, sourceLocation: SourceLocation = #_sourceLocation) throws -> (server: Port, client: Port) {
        let name = self.name
        let call = Background { () -> Connected in
            let made = lpcConnect(name)
            return Connected(status: made.status, port: made.port)
        }
        let request = try listener.lpcTake(sourceLocation: sourceLocation)
        try #require(request.type == 10, sourceLocation: sourceLocation)
        let accepted = lpcAccept(request, context: context)
        try #require(accepted.status == .success, sourceLocation: sourceLocation)
        keep(accepted.port)
        try #require(status(NtCompleteConnectPort(accepted.port.handle)) == .success, sourceLocation: sourceLocation)
        try #require(call.result.status == .success, sourceLocation: sourceLocation)
        return (accepted.port, keep(call.result.port))
    }

    /// An event handle: an object of the wrong type.
    func event() -> Port {
        var handle: HANDLE?
        #expect(status(NtCreateEvent(&handle, 0x1F0003, nil, NotificationEvent, 0)) == .success)
        return keep(Port(handle: handle))
    }

    /// A handle that was closed.
    func closedHandle() -> HANDLE? { HANDLE(bitPattern: 0x3FF_FF00) }
}
