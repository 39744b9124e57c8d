// Whom a thread acts for, and who a handle of a process or thread names.

import CNTTypes
import Glibc
import NTObjects
import NTTypes
import Testing

/// What the calling thread impersonates.
struct Acting: Equatable {
    var level: UInt32
    var effectiveOnly: Bool
    var uid: UInt32
    var gid: UInt32

    /// This process's own user, as its servers act for it.
    static func own(level: UInt32 = 2, effectiveOnly: Bool = false) -> Acting {
        Acting(level: level, effectiveOnly: effectiveOnly, uid: geteuid(), gid: getegid())
    }

    /// Takes the thread's identity away as RevertToSelf does, and tells what it was.
    static func revert(sourceLocation: SourceLocation = #_sourceLocation) -> Acting? {
        let found = ThreadIdentity.current
        var none: HANDLE?
        let result = status(NtSetInformationThread(HANDLE(bitPattern: -2), ThreadImpersonationToken, &none, ULONG(MemoryLayout<HANDLE?>.size)))
        #expect(result == .success && ThreadIdentity.current == nil, sourceLocation: sourceLocation)
        return found.map { Acting(level: $0.level, effectiveOnly: $0.effectiveOnly, uid: $0.uid, gid: $0.gid) }
    }

    /// Runs an impersonation call; its status, and what the thread then acted for.
    static func `as`(_ call: () -> NTSTATUS) -> (status: NTStatus, client: Acting?) {
        _ = revert()
        let result = status(call())
        return (result, revert())
    }
}

/// A process or thread that was opened.
struct Opened: Equatable {
    var process: UInt64
    /// 0 for a process.
    var thread: UInt64
    var access: UInt32
    /// OBJ_INHERIT (2).
    var attributes: UInt32

    /// What a handle names, and closes it.
    static func take(_ handle: HANDLE?, isThread: Bool) -> Opened? {
        var opened = Opened(process: 0, thread: 0, access: 0, attributes: 0)
        var about = OBJECT_BASIC_INFORMATION()
        #expect(status(NtQueryObject(handle, ObjectBasicInformation, &about, ULONG(MemoryLayout<OBJECT_BASIC_INFORMATION>.size), nil)) == .success)
        opened.access = about.GrantedAccess
        opened.attributes = about.Attributes
        let result: NTSTATUS
        if isThread {
            var who = THREAD_BASIC_INFORMATION()
            result = NtQueryInformationThread(handle, ThreadBasicInformation, &who, ULONG(MemoryLayout<THREAD_BASIC_INFORMATION>.size), nil)
            opened.process = UInt64(UInt(bitPattern: who.ClientId.UniqueProcess))
            opened.thread = UInt64(UInt(bitPattern: who.ClientId.UniqueThread))
        } else {
            var who = PROCESS_BASIC_INFORMATION()
            result = NtQueryInformationProcess(handle, ProcessBasicInformation, &who, ULONG(MemoryLayout<PROCESS_BASIC_INFORMATION>.size), nil)
            opened.process = UInt64(who.UniqueProcessId)
        }
        #expect(status(result) == .success)
        #expect(status(NtClose(handle)) == .success)
        return opened
    }
}

extension Port {
    /// PROCESS_QUERY_LIMITED_INFORMATION, THREAD_QUERY_LIMITED_INFORMATION.
    static let processAccess: UInt32 = 0x1000
    static let threadAccess: UInt32 = 0x800

    /// NtAlpcOpenSenderProcess, or NtAlpcOpenSenderThread.
    func openSender(_ message: Message?, thread: Bool, more access: UInt32 = 0, flags: UInt32 = 0, attributes: UInt32 = 0, name: String? = nil)
        -> (status: NTStatus, opened: Opened?) {
        var handle = unwrittenHandle
        let result = withObject(name, attributes: attributes) { object in
            status(thread ? NtAlpcOpenSenderThread(&handle, self.handle, message?.pointer, flags, access | Self.threadAccess, object)
                : NtAlpcOpenSenderProcess(&handle, self.handle, message?.pointer, flags, access | Self.processAccess, object))
        }
        if result != .success { #expect(handle == unwrittenHandle) }
        return (result, result == .success ? Opened.take(handle, isThread: thread) : nil)
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
