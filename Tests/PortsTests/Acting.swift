// Whom a thread acts for, as the host was told. The native host's table is changed once, for the whole test process.

import CNTTypes
import Glibc
@testable import NTObjects
import NTTypes
import Synchronization
import Testing

/// What the calling thread impersonates.
struct Acting: Equatable {
    var level: UInt32
    var effectiveOnly: Bool
    var process: UInt64
    var uid: UInt32
    var gid: UInt32

    private static let threads = Mutex<[Int32: Acting]>([:])

    static let install: Void = {
        _ = Stage.root
        let table = UnsafeMutablePointer(mutating: NativeHost.table)
        table.pointee.Impersonate = { client in
            guard let client = client?.pointee else { return NTStatus.invalidParameter.rawValue }
            let acting = Acting(level: client.Level, effectiveOnly: client.EffectiveOnly != 0, process: UInt64(UInt(bitPattern: client.ProcessId)),
                                uid: client.Uid, gid: client.Gid)
            threads.withLock { $0[gettid()] = acting }
            return 0
        }
        table.pointee.OpenProcess = { handle, access, attributes, id in Opened.note(handle, access, attributes, id, isThread: false) }
        table.pointee.OpenThread = { handle, access, attributes, id in Opened.note(handle, access, attributes, id, isThread: true) }
        table.pointee.CloseObject = { NtClose($0) }
    }()

    /// Takes the thread's identity away, and tells what it was.
    static func revert() -> Acting? { threads.withLock { $0.removeValue(forKey: gettid()) } }

    /// Runs an impersonation call; its status, and what the thread then acted for.
    static func `as`(_ call: () -> NTSTATUS) -> (status: NTStatus, client: Acting?) {
        _ = install
        _ = revert()
        let result = status(call())
        return (result, revert())
    }
}

/// A process or thread that the host was told to open. Its handle is an event's.
struct Opened: Equatable {
    var process: UInt64
    var thread: UInt64
    var access: UInt32
    var attributes: UInt32

    private static let handles = Mutex<[UInt: Opened]>([:])

    fileprivate static func note(_ handle: UnsafeMutablePointer<HANDLE?>?, _ access: UInt32, _ attributes: UInt32, _ id: UnsafePointer<CLIENT_ID>?,
                                 isThread: Bool) -> NTSTATUS {
        guard let id = id?.pointee else { return NTStatus.invalidParameter.rawValue }
        let result = NtCreateEvent(handle, 0x1F0003, nil, NotificationEvent, 0)
        guard result == 0, let made = handle?.pointee else { return result }
        let opened = Opened(process: UInt64(UInt(bitPattern: id.UniqueProcess)), thread: isThread ? UInt64(UInt(bitPattern: id.UniqueThread)) : 0,
                            access: access, attributes: attributes)
        handles.withLock { $0[UInt(bitPattern: made)] = opened }
        return 0
    }

    /// What a handle names, and closes it.
    static func take(_ handle: HANDLE?) -> Opened? {
        guard let opened = handles.withLock({ $0.removeValue(forKey: UInt(bitPattern: handle)) }) else { return nil }
        #expect(status(NtClose(handle)) == .success)
        return opened
    }
}

extension Port {
    /// NtAlpcOpenSenderProcess, or NtAlpcOpenSenderThread.
    func openSender(_ message: Message?, thread: Bool, access: UInt32 = 0x400, flags: UInt32 = 0, attributes: UInt32 = 0, name: String? = nil) -> (status: NTStatus, opened: Opened?) {
        _ = Acting.install
        var handle = unwrittenHandle
        let result = withObject(name, attributes: attributes) { object in
            status(thread ? NtAlpcOpenSenderThread(&handle, self.handle, message?.pointer, flags, access, object)
                : NtAlpcOpenSenderProcess(&handle, self.handle, message?.pointer, flags, access, object))
        }
        if result != .success { #expect(handle == unwrittenHandle) }
        return (result, result == .success ? Opened.take(handle) : nil)
    }

    /// NtAlpcImpersonateClientOfPort.
    func impersonate(_ message: Message?, _ flags: UInt = 0) -> (status: NTStatus, client: Acting?) {
        Acting.as { NtAlpcImpersonateClientOfPort(handle, message?.pointer, PVOID(bitPattern: flags)) }
    }

    /// NtImpersonateClientOfPort.
    func lpcImpersonate(_ message: Message) -> (status: NTStatus, client: Acting?) {
        Acting.as { NtImpersonateClientOfPort(handle, message.pointer) }
    }
}

/// Attributes with a quality of service. Flag 0x10000 lets servers impersonate.
func attributes(_ flags: UInt32, level: UInt32 = 2, dynamic: Bool = true, effectiveOnly: Bool = false) -> ALPC_PORT_ATTRIBUTES {
    var attributes = usual(flags: flags)
    attributes.SecurityQos.ImpersonationLevel = SECURITY_IMPERSONATION_LEVEL(rawValue: level)
    attributes.SecurityQos.ContextTrackingMode = dynamic ? 1 : 0
    attributes.SecurityQos.EffectiveOnly = effectiveOnly ? 1 : 0
    return attributes
}

/// A command that starts a process as user and group 12345.
let stranger = ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups"]

/// Lets that user find the ports of this test run.
func admitStrangers() { for path in ["", "/RPC CONTROL"] { chmod(Stage.root + path, 0o777) } }
