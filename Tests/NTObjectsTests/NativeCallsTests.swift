// NtClose, NtDuplicateObject, NtQueryObject, NtCreateEvent, NtSetEvent, NtResetEvent and the waits, as a C program sees them.

import CNTTypes
import Glibc
import NTTypes
import Testing
@testable import NTExports
@testable import NTObjects

private var current: HANDLE? { HANDLE(bitPattern: -1) } // NtCurrentProcess()
private func status(_ value: NTSTATUS) -> NTStatus { NTStatus(rawValue: value) }

/// An event of its own, closed at the end of the test.
private func withEvent(
    _ type: EVENT_TYPE = NotificationEvent, signaled: Bool = false, access: UInt32 = 0x1F0003, _ body: (HANDLE) throws -> Void
) throws {
    var handle: HANDLE?
    #expect(status(NtCreateEvent(&handle, access, nil, type, signaled ? 1 : 0)) == .success)
    try body(try #require(handle))
    #expect(status(NtClose(handle)) == .success)
}

private func wait(_ handle: HANDLE?, _ timeout: Int64? = 0) -> NTStatus {
    guard let timeout else { return status(NtWaitForSingleObject(handle, 0, nil)) }
    var time = LARGE_INTEGER()
    time.QuadPart = timeout
    return status(NtWaitForSingleObject(handle, 0, &time))
}

private func waitMany(_ handles: [HANDLE?], _ type: WAIT_TYPE, _ timeout: Int64 = 0) -> NTStatus {
    var handles = handles, time = LARGE_INTEGER()
    time.QuadPart = timeout
    return status(NtWaitForMultipleObjects(ULONG(handles.count), &handles, type, 0, &time))
}

@Suite struct NativeCallsTests {
    init() { Watchdog.armed }

    // MARK: Events and waits

    @Test func `A notification event is set, waited for twice, and reset`() throws {
        try withEvent { (event: HANDLE) throws in
            var before: LONG = 7
            #expect(wait(event) == .timeout)
            #expect(status(NtSetEvent(event, &before)) == .success && before == 0)
            #expect(wait(event) == .success)
            #expect(wait(event, nil) == .success)
            #expect(status(NtSetEvent(event, &before)) == .success && before == 1)
            #expect(status(NtResetEvent(event, &before)) == .success && before == 1)
            #expect(status(NtResetEvent(event, nil)) == .success)
            #expect(wait(event) == .timeout)
        }
    }

    @Test func `A synchronization event satisfies one wait`() throws {
        try withEvent(SynchronizationEvent, signaled: true) { (event: HANDLE) throws in
            #expect(wait(event, nil) == .success)
            #expect(wait(event) == .timeout)
        }
    }

    @Test(arguments: [-1, 0, 1, 1000, Int64.min, 116_444_736_000_000_000])
    func `Time-outs in every form end`(_ timeout: Int64) throws {
        // Relative, zero and past ones end by themselves; the longest of all is ended by a signaled event.
        try withEvent(signaled: timeout == .min) { (event: HANDLE) throws in
            #expect(wait(event, timeout) == (timeout == .min ? .success : .timeout))
        }
    }

    @Test func `A wait for several objects names the lowest signaled one, or all`() throws {
        try withEvent { first in try withEvent(signaled: true) { second in try withEvent(SynchronizationEvent, signaled: true) { third in
            #expect(waitMany([first, second, third], WaitAny) == NTStatus(rawValue: 1))
            #expect(waitMany([first, third, second], WaitAny) == NTStatus(rawValue: 1))
            #expect(waitMany([first, third], WaitAny) == .timeout) // the wait before took it
            #expect(waitMany([first, second], WaitAll, -1000) == .timeout)
            #expect(status(NtSetEvent(first, nil)) == .success)
            #expect(waitMany([first, second], WaitAll) == .success)
        } } }
    }

    @Test func `Waits with wrong counts, types and duplicates are refused`() throws {
        try withEvent(signaled: true) { (event: HANDLE) throws in
            #expect(waitMany([], WaitAny) == .invalidParameter1)
            #expect(waitMany(Array(repeating: event, count: 65), WaitAny) == .invalidParameter1)
            #expect(waitMany(Array(repeating: event, count: 64), WaitAny) == .success)
            #expect(waitMany([event], WAIT_TYPE(rawValue: 2)) == .invalidParameter3)
            #expect(waitMany([event, event], WaitAll) == .invalidParameterMix)
            var twin: HANDLE?
            #expect(status(NtDuplicateObject(current, event, current, &twin, 0, 0, 2)) == .success)
            #expect(waitMany([event, twin], WaitAll) == .invalidParameterMix)
            #expect(status(NtClose(twin)) == .success)
            #expect(waitMany([event, HANDLE(bitPattern: 0x3FF_FF00)], WaitAny) == .invalidHandle)
            #expect(waitMany([event, nil], WaitAny) == .invalidHandle)
        }
    }

    @Test func `A handle without the right is denied`() throws {
        try withEvent(access: 2) { (event: HANDLE) throws in
            #expect(wait(event) == .accessDenied)
            #expect(status(NtSetEvent(event, nil)) == .success)
        }
        try withEvent(access: 0x0010_0000) { (event: HANDLE) throws in
            #expect(wait(event) == .timeout)
            #expect(status(NtSetEvent(event, nil)) == .accessDenied)
            #expect(status(NtResetEvent(event, nil)) == .accessDenied)
        }
        try withEvent(access: 0x0200_0000) { event in #expect(status(NtSetEvent(event, nil)) == .success) } // MAXIMUM_ALLOWED
        try withEvent(access: 0x1000_0000) { event in #expect(status(NtSetEvent(event, nil)) == .success) } // GENERIC_ALL
    }

    @Test func `A handle of another type is a mismatch`() throws {
        let port = Probe()
        let handle = try Host.makeHandle(for: port, access: 0x1F0001, waitable: true)
        #expect(status(NtSetEvent(handle, nil)) == .objectTypeMismatch)
        #expect(wait(handle) == .timeout)
        port.setSignaled(true)
        #expect(wait(handle) == .success)
        port.setSignaled(false)
        #expect(wait(handle) == .timeout)
        #expect(status(NtClose(handle)) == .success)
        let idle = try Host.makeHandle(for: Probe(), access: 0x1F0001, waitable: false)
        #expect(wait(idle) == .success) // no wait may hang on a port that cannot be waited on
        #expect(status(NtClose(idle)) == .success)
    }

    @Test func `Closing a handle does not end a wait on its object`() throws {
        var handle: HANDLE?, twin: HANDLE?
        #expect(status(NtCreateEvent(&handle, 0x1F0003, nil, NotificationEvent, 0)) == .success)
        #expect(status(NtDuplicateObject(current, handle, current, &twin, 0, 0, 2)) == .success)
        let waited = UInt(bitPattern: handle), other = UInt(bitPattern: twin)
        let state = try HandleTable.withAnyObject(handle) { object, _ in object.signal! }
        onThreads(2) { index in
            if index == 0 {
                #expect(wait(HANDLE(bitPattern: waited), nil) == .success)
            } else {
                eventually { state.waiterCount == 1 }
                #expect(status(NtClose(HANDLE(bitPattern: waited))) == .success)
                #expect(status(NtSetEvent(HANDLE(bitPattern: other), nil)) == .success)
            }
        }
        #expect(status(NtClose(twin)) == .success)
    }

    @Test func `Events that cannot be are refused and leave nothing`() throws {
        var handle: HANDLE? = current
        #expect(status(NtCreateEvent(nil, 0x1F0003, nil, NotificationEvent, 0)) == .accessViolation)
        #expect(status(NtCreateEvent(&handle, 0x1F0003, nil, EVENT_TYPE(rawValue: 2), 0)) == .invalidParameter)
        var attributes = OBJECT_ATTRIBUTES()
        #expect(status(NtCreateEvent(&handle, 0x1F0003, &attributes, NotificationEvent, 0)) == .invalidParameter)
        #expect(handle == current)
        attributes.Length = ULONG(MemoryLayout<OBJECT_ATTRIBUTES>.size)
        attributes.Attributes = 2 // OBJ_INHERIT
        #expect(status(NtCreateEvent(&handle, 0x1F0003, &attributes, NotificationEvent, 0)) == .success)
        #expect(try HandleTable.information(handle).attributes == HandleTable.inherit)
        #expect(status(NtClose(handle)) == .success)
        var text: [UInt16] = Array("\\BaseNamedObjects\\x".utf16)
        text.withUnsafeMutableBufferPointer { text in
            var name = UNICODE_STRING(Length: USHORT(text.count * 2), MaximumLength: USHORT(text.count * 2), Buffer: text.baseAddress)
            withUnsafeMutablePointer(to: &name) { attributes.ObjectName = $0 }
            #expect(status(NtCreateEvent(&handle, 0x1F0003, &attributes, NotificationEvent, 0)) == .notSupported)
        }
    }

    // MARK: Handles

    @Test func `What is no handle is refused by every call`() {
        for handle in [nil, current, HANDLE(bitPattern: -2), HANDLE(bitPattern: 0x3FF_FF00), HANDLE(bitPattern: 1 << 40)] {
            #expect(status(NtClose(handle)) == .invalidHandle)
            #expect(status(NtSetEvent(handle, nil)) == .invalidHandle)
            if Int(bitPattern: handle) < 0 { continue } // those two can be waited for and asked about
            #expect(wait(handle) == .invalidHandle)
            #expect(status(NtQueryObject(handle, ObjectTypeInformation, nil, 0, nil)) == .invalidHandle)
        }
    }

    @Test func `A duplicate has the access and attributes that were asked for`() throws {
        try withEvent { (event: HANDLE) throws in
            var twin: HANDLE?
            #expect(status(NtDuplicateObject(current, event, current, &twin, 0x0010_0000, 2, 0)) == .success)
            #expect(try HandleTable.information(twin) == HandleInformation(grantedAccess: 0x0010_0000, attributes: 2, handleCount: 2))
            var third: HANDLE?
            #expect(status(NtDuplicateObject(current, twin, current, &third, 0, 0, 2 | 4)) == .success)
            #expect(try HandleTable.information(third) == HandleInformation(grantedAccess: 0x0010_0000, attributes: 2, handleCount: 3))
            #expect(status(NtDuplicateObject(current, third, current, &third, 0x8000_0000, 0, 1)) == .success) // moves it
            #expect(try HandleTable.information(third) == HandleInformation(grantedAccess: 0x0002_0001, attributes: 0, handleCount: 3))
            #expect(status(NtDuplicateObject(current, third, nil, nil, 0, 0, 1)) == .success) // closes it
            #expect(try HandleTable.information(twin).handleCount == 2)
            #expect(status(NtClose(twin)) == .success)
        }
    }

    @Test func `Duplicates that cannot be are refused`() throws {
        try withEvent { (event: HANDLE) throws in
            var twin: HANDLE?
            #expect(status(NtDuplicateObject(event, event, current, &twin, 0, 0, 2)) == .objectTypeMismatch)
            #expect(status(NtDuplicateObject(current, event, event, &twin, 0, 0, 2)) == .objectTypeMismatch)
            #expect(status(NtDuplicateObject(nil, event, current, &twin, 0, 0, 2)) == .invalidHandle)
            #expect(status(NtDuplicateObject(current, HANDLE(bitPattern: -4), current, &twin, 0, 0, 2)) == .notSupported)
            #expect(status(NtDuplicateObject(current, event, current, &twin, 0, 0, 8)) == .invalidParameter)
            #expect(status(NtDuplicateObject(current, event, nil, nil, 0, 0, 2)) == .invalidParameter)
            #expect(status(NtDuplicateObject(current, HANDLE(bitPattern: 0x3FF_FF00), current, &twin, 0, 0, 2)) == .invalidHandle)
            let memory = BadMemory()
            let bad = memory.none.assumingMemoryBound(to: HANDLE?.self)
            #expect(status(NtDuplicateObject(current, event, current, bad, 0, 0, 2 | 1)) == .accessViolation)
            #expect(twin == nil)
            #expect(try HandleTable.information(event).handleCount == 1)
        }
    }

    @Test func `A protected handle is not closed, not even by a duplicate that closes its source`() throws {
        var handle: HANDLE?, twin: HANDLE?
        #expect(status(NtCreateEvent(&handle, 0x1F0003, nil, NotificationEvent, 0)) == .success)
        try HandleTable.setAttributes(HandleTable.protectFromClose, of: handle)
        #expect(status(NtClose(handle)) == .handleNotClosable)
        #expect(status(NtDuplicateObject(current, handle, current, &twin, 0, 0, 2 | 1)) == .success)
        #expect(try HandleTable.information(handle).handleCount == 2)
        #expect(status(NtDuplicateObject(current, handle, nil, nil, 0, 0, 1)) == .handleNotClosable)
        try HandleTable.setAttributes(0, of: handle)
        #expect(status(NtClose(handle)) == .success)
        #expect(status(NtClose(twin)) == .success)
    }

    // MARK: Queries

    @Test func `Basic information is exact in its length`() throws {
        try withEvent(access: 0x0012_0003) { (event: HANDLE) throws in
            var information = OBJECT_BASIC_INFORMATION(), needed: ULONG = 0
            let size = ULONG(MemoryLayout<OBJECT_BASIC_INFORMATION>.size)
            #expect(size == 56)
            for length in [0, 55, 57] as [ULONG] {
                #expect(status(NtQueryObject(event, ObjectBasicInformation, &information, length, &needed)) == .infoLengthMismatch)
                #expect(needed == 56)
            }
            #expect(status(NtQueryObject(event, ObjectBasicInformation, &information, size, nil)) == .success)
            #expect(information.GrantedAccess == 0x0012_0003)
            #expect(information.Attributes == 0)
            #expect(information.HandleCount == 1)
            #expect(information.NameInformationLength == 0)
        }
    }

    @Test func `The type's name lies behind the type information`() throws {
        let handle = try Host.makeHandle(for: Probe(), access: 0x1F0001, waitable: false)
        var needed: ULONG = 0
        #expect(status(NtQueryObject(handle, ObjectTypeInformation, nil, 0, &needed)) == .infoLengthMismatch)
        #expect(needed == 104 + 20)
        let memory = BadMemory()
        let buffer = memory.last(Int(needed))
        memset(memory.base, 0xA5, BadMemory.page)
        #expect(status(NtQueryObject(handle, ObjectTypeInformation, buffer, needed - 1, nil)) == .infoLengthMismatch)
        #expect(buffer.load(as: UInt8.self) == 0xA5)
        #expect(status(NtQueryObject(handle, ObjectTypeInformation, buffer, needed, nil)) == .success)
        let type = buffer.loadUnaligned(as: OBJECT_TYPE_INFORMATION.self)
        #expect(type.TypeName.Length == 18 && type.TypeName.MaximumLength == 20)
        #expect(UnsafeMutableRawPointer(type.TypeName.Buffer) == buffer + 104)
        let text = UnsafeBufferPointer(start: type.TypeName.Buffer, count: 10)
        #expect(String(decoding: text.dropLast(), as: UTF16.self) == "ALPC Port" && text[9] == 0)
        #expect(type.GenericMapping.GenericAll == 0x1F0001 && type.ValidAccessMask == 0x1F0001)
        #expect((buffer - 1).load(as: UInt8.self) == 0xA5)
        #expect(status(NtClose(handle)) == .success)
    }

    @Test func `A name is told with its length, an unnamed object has none`() throws {
        final class Named: KernelObject, @unchecked Sendable {
            override var objectName: String? { "\\RPC Control\\näme" }
        }
        let handle = try Host.makeHandle(for: Named(kind: .port), access: 0x1F0001, waitable: false)
        let count = "\\RPC Control\\näme".utf16.count
        var needed: ULONG = 0
        let memory = BadMemory()
        for length in [0, 15] as [ULONG] {
            #expect(status(NtQueryObject(handle, ObjectNameInformation, memory.base, length, &needed)) == .infoLengthMismatch)
            #expect(needed == ULONG(16 + 2 * (count + 1)))
        }
        for length in [16, needed - 1] {
            #expect(status(NtQueryObject(handle, ObjectNameInformation, memory.base, length, &needed)) == .bufferOverflow)
        }
        #expect(status(NtQueryObject(handle, ObjectNameInformation, memory.base, needed, nil)) == .success)
        let name = memory.base.load(as: UNICODE_STRING.self)
        #expect(String(decoding: UnsafeBufferPointer(start: name.Buffer, count: Int(name.Length) / 2), as: UTF16.self) == "\\RPC Control\\näme")
        #expect(status(NtClose(handle)) == .success)
        try withEvent { (event: HANDLE) throws in
            #expect(status(NtQueryObject(event, ObjectNameInformation, nil, 0, &needed)) == .infoLengthMismatch)
            #expect(needed == 16)
            #expect(status(NtQueryObject(event, ObjectNameInformation, memory.base, 16, &needed)) == .success)
            let none = memory.base.load(as: UNICODE_STRING.self)
            #expect(none.Length == 0 && none.MaximumLength == 0 && none.Buffer == nil)
        }
    }

    @Test func `Handle flags are two bytes, other classes are unknown`() throws {
        try withEvent { (event: HANDLE) throws in
            var flags = OBJECT_DATA_INFORMATION(InheritHandle: 9, ProtectFromClose: 9)
            #expect(status(NtQueryObject(event, ObjectDataInformation, &flags, 2, nil)) == .success)
            #expect(flags.InheritHandle == 0 && flags.ProtectFromClose == 0)
            try HandleTable.setAttributes(3, of: event)
            #expect(status(NtQueryObject(event, ObjectDataInformation, &flags, 2, nil)) == .success)
            #expect(flags.InheritHandle == 1 && flags.ProtectFromClose == 1)
            try HandleTable.setAttributes(0, of: event)
            #expect(status(NtQueryObject(event, ObjectDataInformation, &flags, 3, nil)) == .infoLengthMismatch)
            for other in [3, 5, 0x7FFF_FFFF, 0xFFFF_FFFF] as [UInt32] {
                #expect(status(NtQueryObject(event, OBJECT_INFORMATION_CLASS(rawValue: other), &flags, 2, nil)) == .invalidInfoClass)
            }
        }
    }

    // MARK: Bad pointers

    @Test func `A bad pointer in any argument is an access violation and changes nothing`() throws {
        let memory = BadMemory()
        try withEvent { (event: HANDLE) throws in
            for address in BadMemory.wild + [memory.none] {
                let long = address.assumingMemoryBound(to: LONG.self), unsigned = address.assumingMemoryBound(to: ULONG.self)
                let time = address.assumingMemoryBound(to: LARGE_INTEGER.self), handles = address.assumingMemoryBound(to: HANDLE?.self)
                #expect(status(NtCreateEvent(handles, 0x1F0003, nil, NotificationEvent, 0)) == .accessViolation)
                var out: HANDLE?
                let attributes = address.assumingMemoryBound(to: OBJECT_ATTRIBUTES.self)
                #expect(status(NtCreateEvent(&out, 0x1F0003, attributes, NotificationEvent, 0)) == .accessViolation)
                #expect(out == nil)
                #expect(status(NtSetEvent(event, long)) == .accessViolation)
                #expect(wait(event) == .timeout)
                #expect(status(NtResetEvent(event, long)) == .accessViolation)
                #expect(status(NtWaitForSingleObject(event, 0, time)) == .accessViolation)
                #expect(status(NtWaitForMultipleObjects(2, handles, WaitAny, 0, nil)) == .accessViolation)
                var values: [HANDLE?] = [event]
                #expect(status(NtWaitForMultipleObjects(1, &values, WaitAny, 0, time)) == .accessViolation)
                #expect(status(NtQueryObject(event, ObjectDataInformation, address, 2, nil)) == .accessViolation)
                #expect(status(NtQueryObject(event, ObjectTypeInformation, nil, 0, unsigned)) == .accessViolation)
                #expect(status(NtDuplicateObject(current, event, current, handles, 0, 0, 2)) == .accessViolation)
            }
            #expect(status(NtWaitForMultipleObjects(1, nil, WaitAny, 0, nil)) == .accessViolation)
            #expect(status(NtQueryObject(event, ObjectDataInformation, nil, 2, nil)) == .accessViolation)
            #expect(try HandleTable.information(event).handleCount == 1)
            memory.makeReadOnly()
            #expect(status(NtSetEvent(event, memory.base.assumingMemoryBound(to: LONG.self))) == .accessViolation)
            #expect(wait(event) == .timeout)
        }
    }
}
