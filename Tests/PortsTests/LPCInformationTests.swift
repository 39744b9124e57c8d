// The LPC calls that ask or set something: C-32 of the scenarios, and behaviour reference 5.14 and 5.16.

import CNTTypes
import Glibc
import NTTypes
import Testing

@Suite(.guarded) struct LPCInformationTests {
    @Test func `C-32 A port is asked and says nothing, no port has no such class`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, server, client) = try scene.lpcConnected()
        for port in [listener, server, client] {
            for information in [0, 1, 77] as [UInt32] {
                let buffer = Message(room: 64)
                var length: ULONG = 0xA5A5_A5A5
                #expect(status(NtQueryInformationPort(port.handle, PORT_INFORMATION_CLASS(information), buffer.base, 64, &length)) == .success)
                #expect(buffer.isUntouched() && length == 0xA5A5_A5A5)
                #expect(status(NtQueryInformationPort(port.handle, PORT_INFORMATION_CLASS(information), nil, 0, nil)) == .success)
            }
        }
        let none = PORT_INFORMATION_CLASS(0)
        #expect(status(NtQueryInformationPort(nil, none, nil, 0, nil)) == .invalidInfoClass)
        #expect(status(NtQueryInformationPort(scene.closedHandle(), none, nil, 0, nil)) == .invalidHandle)
        #expect(status(NtQueryInformationPort(scene.event().handle, none, nil, 0, nil)) == .objectTypeMismatch)
        let memory = BadMemory()
        for pointer in memory.all {
            #expect(status(NtQueryInformationPort(listener.handle, none, pointer, 64, nil)) == .accessViolation)
            #expect(status(NtQueryInformationPort(nil, none, nil, 0, pointer.assumingMemoryBound(to: ULONG.self))) == .accessViolation)
        }
    }

    @Test func `NtQueryPortInformationProcess is the constant 1`() {
        #expect(NtQueryPortInformationProcess() == 1)
    }

    @Test func `The default hard error port is set once, by root`() throws {
        let scene = Scene()
        defer { scene.end() }
        let listener = try scene.lpcCreate()
        guard geteuid() == 0 else {
            #expect(status(NtSetDefaultHardErrorPort(nil)) == .privilegeNotHeld)
            #expect(status(NtSetDefaultHardErrorPort(listener.handle)) == .privilegeNotHeld)
            return
        }
        #expect(status(NtSetDefaultHardErrorPort(nil)) == .invalidHandle)
        #expect(status(NtSetDefaultHardErrorPort(scene.closedHandle())) == .invalidHandle)
        #expect(status(NtSetDefaultHardErrorPort(scene.event().handle)) == .objectTypeMismatch)
        #expect(status(NtSetDefaultHardErrorPort(listener.handle)) == .success)
        #expect(status(NtSetDefaultHardErrorPort(listener.handle)) == .unsuccessful)
    }
}
