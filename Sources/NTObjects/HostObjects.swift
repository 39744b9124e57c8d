// The part of the seam that concerns objects in messages, completion ports, processes and callbacks. A host may lack any of it.

import CLinuxShims
import CNTTypes
import LinuxSystem
import NTTypes

/// A bit of ALPC_PORFLG_OBJECT_TYPE_*: the kinds of object that a message can carry.
public struct ObjectType: Equatable, Sendable {
    public var rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public static let none = ObjectType(rawValue: 0)
    public static let file = ObjectType(rawValue: 0x1)
    public static let thread = ObjectType(rawValue: 0x4)
    public static let semaphore = ObjectType(rawValue: 0x8)
    public static let event = ObjectType(rawValue: 0x10)
    public static let process = ObjectType(rawValue: 0x20)
    public static let mutant = ObjectType(rawValue: 0x40)
    public static let section = ObjectType(rawValue: 0x80)
    public static let registryKey = ObjectType(rawValue: 0x100)
    public static let token = ObjectType(rawValue: 0x200)
}

/// What a handle of the host names.
public struct HostHandle: Equatable, Sendable {
    public var type: ObjectType
    public var access: UInt32
    public var attributes: UInt32
}

/// A completion port of the host, kept whatever becomes of its handles.
public final class CompletionReference: @unchecked Sendable {
    private let value: PVOID?
    init(_ value: PVOID?) { self.value = value }
    deinit { Host.extended.ReleaseCompletionPort?(value) }

    /// Posts a packet. Any thread may.
    public func post(key: UInt64, apcContext: UInt64 = 0, status: NTStatus = .success, information: UInt64 = 0) {
        // A packet that the host cannot keep is lost, as in NT without memory; the message it announces is still queued.
        _ = Host.extended.PostCompletion?(value, PVOID(bitPattern: UInt(key)), PVOID(bitPattern: UInt(apcContext)), status.rawValue, ULONG_PTR(information))
    }
}

/// An event of a program, kept to be signaled once, when the last reference to this goes.
public final class EventReference: @unchecked Sendable {
    private let waitable: PVOID?
    init(_ waitable: PVOID?) { self.waitable = waitable }

    deinit {
        Host.setSignaled(waitable, true)
        Host.closeWaitable(waitable)
    }
}

extension Host {
    // MARK: Objects

    /// Keeps an event that is to be signaled when the result is let go of.
    /// - Throws: `objectTypeMismatch`, `invalidHandle`, `accessDenied`.
    public static func event(_ handle: HANDLE?) throws(NTStatus) -> EventReference {
        guard let call = extended.ReferenceEvent else { throw .notSupported }
        var waitable: PVOID?
        try succeed(call(handle, &waitable))
        return EventReference(waitable)
    }

    /// - Throws: `invalidHandle`; `notSupported` when the host does not know.
    public static func query(_ handle: HANDLE?) throws(NTStatus) -> HostHandle {
        guard let call = extended.QueryHandle else { throw .notSupported }
        var type: ULONG = 0, access: ACCESS_MASK = 0, attributes: ULONG = 0
        try succeed(call(handle, &type, &access, &attributes))
        return HostHandle(type: ObjectType(rawValue: type), access: access, attributes: attributes)
    }

    /// A descriptor that stands for the object in every process.
    /// - Throws: `invalidHandle`, `accessDenied`, `objectTypeMismatch`, `notSupported`.
    public static func descriptor(of handle: HANDLE?, access: UInt32) throws(NTStatus) -> Descriptor {
        guard let call = extended.HandleToDescriptor else { throw .notSupported }
        var descriptor: Int32 = -1
        try succeed(call(handle, access, &descriptor))
        return Descriptor(owning: ntlpc_move_high(descriptor))
    }

    /// The same for a program, which closes it: the descriptor as the host gives it.
    public static func descriptorForProgram(of handle: HANDLE?, access: UInt32) throws(NTStatus) -> Int32 {
        guard let call = extended.HandleToDescriptor else { throw .notSupported }
        var descriptor: Int32 = -1
        try succeed(call(handle, access, &descriptor))
        return descriptor
    }

    /// A handle for a descriptor of another process, which may be hostile.
    public static func handle(for descriptor: Descriptor, type: ObjectType, access: UInt32, attributes: UInt32) throws(NTStatus) -> HANDLE {
        guard let call = extended.DescriptorToHandle else { throw .notSupported }
        var handle: HANDLE?
        try succeed(call(descriptor.rawValue, type.rawValue, access, attributes, &handle))
        guard let handle else { throw .notSupported }
        return handle
    }

    /// Processes with the same number that is not 0 can give each other handles.
    public static var session: UInt64 { extended.QuerySession?() ?? 0 }

    /// Duplicates a handle into another process of the session. Options: 2 same access, 4 same attributes.
    public static func send(_ handle: HANDLE?, to process: UInt64, access: UInt32, attributes: UInt32, options: UInt32) throws(NTStatus) -> UInt64 {
        guard let call = extended.SendHandle else { throw .notSupported }
        var sent: HANDLE?
        try succeed(call(handle, HANDLE(bitPattern: UInt(process)), access, attributes, options, &sent))
        return UInt64(UInt(bitPattern: sent))
    }

    /// Closes a handle that came with a message.
    public static func closeObject(_ handle: HANDLE?) { extended.CloseObject?(handle) }

    // MARK: Completion ports

    /// - Throws: as NtSetIoCompletion for handles that are none of a completion port.
    public static func completionPort(_ handle: HANDLE?) throws(NTStatus) -> CompletionReference {
        guard let call = extended.ReferenceCompletionPort, extended.PostCompletion != nil else { throw .notSupported }
        var value: PVOID?
        try succeed(call(handle, &value))
        return CompletionReference(value)
    }

    // MARK: Processes and threads

    public static func openProcess(_ id: ClientID, access: UInt32, attributes: UInt32) throws(NTStatus) -> HANDLE {
        try open(extended.OpenProcess, id, access, attributes)
    }

    public static func openThread(_ id: ClientID, access: UInt32, attributes: UInt32) throws(NTStatus) -> HANDLE {
        try open(extended.OpenThread, id, access, attributes)
    }

    private static func open(_ call: ((UnsafeMutablePointer<HANDLE?>?, ACCESS_MASK, ULONG, UnsafePointer<CLIENT_ID>?) -> NTSTATUS)?, _ id: ClientID,
                             _ access: UInt32, _ attributes: UInt32) throws(NTStatus) -> HANDLE {
        guard let call else { throw .notSupported }
        var named = CLIENT_ID()
        named.UniqueProcess = HANDLE(bitPattern: UInt(id.process))
        named.UniqueThread = HANDLE(bitPattern: UInt(id.thread))
        var handle: HANDLE?
        try succeed(call(&handle, access, attributes, &named))
        guard let handle else { throw .invalidCid }
        return handle
    }

    /// Which thread a thread handle names.
    public static func thread(of handle: HANDLE?) throws(NTStatus) -> ClientID {
        guard let call = extended.QueryThread else { throw .notSupported }
        var id = CLIENT_ID()
        try succeed(call(handle, &id))
        return ClientID(process: UInt64(UInt(bitPattern: id.UniqueProcess)), thread: UInt64(UInt(bitPattern: id.UniqueThread)))
    }

    /// TokenId, AuthenticationId and ModifiedId of a process's token; 0 asks for the calling thread's.
    public static func tokenIDs(of process: UInt64) throws(NTStatus) -> (token: LUID, authentication: LUID, modified: LUID) {
        guard let call = extended.QueryToken else { throw .notSupported }
        var ids = (LUID(), LUID(), LUID())
        let status = withUnsafeMutablePointer(to: &ids) { ids in
            ids.withMemoryRebound(to: LUID.self, capacity: 3) { call(HANDLE(bitPattern: UInt(process)), $0) }
        }
        try succeed(status)
        return (ids.0, ids.1, ids.2)
    }

    /// Makes the calling thread act for a client until its thread token is taken away.
    public static func impersonate(_ client: NTLPC_CLIENT) throws(NTStatus) {
        guard let call = extended.Impersonate else { throw .notSupported }
        var client = client
        try succeed(call(&client))
    }

    /// The user's SID, in bytes, as the host's programs know the user that this process runs as; nil when the host has no such SIDs.
    public static func userSID() -> [UInt8]? {
        guard let call = extended.QueryUserSid else { return nil }
        var length: ULONG = 68  // SECURITY_MAX_SID_SIZE
        var bytes = [UInt8](repeating: 0, count: Int(length))
        guard bytes.withUnsafeMutableBytes({ call($0.baseAddress, &length) }) >= 0, length <= 68 else { return nil }
        return Array(bytes.prefix(Int(length)))
    }

    // MARK: Waits and callbacks

    /// Waits for a handle: `success`, `timeout`, `userApc`.
    public static func wait(for handle: HANDLE?, alertable: Bool, deadline: Deadline) throws(NTStatus) -> NTStatus {
        guard let call = extended.WaitForHandle else { throw .notSupported }
        var timeout = LARGE_INTEGER()
        let nanoseconds = deadline.monotonicNanoseconds
        let left = nanoseconds > Clock.monotonic ? nanoseconds &- Clock.monotonic : 0
        timeout.QuadPart = -Int64(left / 100 + (left % 100 == 0 ? 0 : 1))
        let status = NTStatus(rawValue: nanoseconds == 0 ? call(handle, alertable ? 1 : 0, nil) : call(handle, alertable ? 1 : 0, &timeout))
        guard status.isSuccess else { throw status }
        return status
    }

    /// Starts a thread that runs the work of `pool`.
    public static func startWorker(_ pool: PVOID) throws(NTStatus) {
        guard let call = extended.StartWorker else { throw .notSupported }
        try succeed(call(pool))
    }

    private static func succeed(_ status: NTSTATUS) throws(NTStatus) {
        if status < 0 { throw NTStatus(rawValue: status) }
    }
}
