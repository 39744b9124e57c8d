// Pointers that lead nowhere, for the calls about identity: an access violation, nothing left behind, never a crash.

import CNTTypes
import Glibc
import NTObjects
import NTTypes
import Ports
import Testing

@Suite(.guarded) struct IdentityBadArgumentTests {
    private typealias Pointer = UnsafeMutableRawPointer

    /// A page with nothing behind it, and one that can only be read.
    private final class EdgeMemory {
        let base: Pointer
        let readOnly: Pointer
        init() {
            base = mmap(nil, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
            readOnly = base + 8192
            mprotect(base + 4096, 4096, PROT_NONE)
        }
        deinit { munmap(base, 3 * 4096) }
        /// The last `count` bytes of the page.
        func last(_ count: Int) -> Pointer { base + 4096 - count }
        func protect() { mprotect(readOnly, 4096, PROT_READ) }
    }

    private func held(_ scene: Scene) throws -> (listener: Port, client: Port, request: Message, call: Background<NTStatus>) {
        let (listener, _, client) = try scene.connected(server: usual(flags: 0x30000), client: attributes(0x10000))
        let call = Background { client.request("question", Message(room: 256)) }
        return (listener, client, try listener.take(), call)
    }

    @Test func `Headers that are not there`() throws {
        let scene = Scene()
        defer { scene.end() }
        let held = try held(scene), memory = BadMemory(), edge = EdgeMemory()
        var object = OBJECT_ATTRIBUTES(Length: 48, RootDirectory: nil, ObjectName: nil, Attributes: 0, SecurityDescriptor: nil, SecurityQualityOfService: nil)
        var handle = unwrittenHandle, buffer = [UInt8](repeating: 0, count: 68)
        func each(_ pointer: Pointer?, _ expected: NTStatus, query: NTStatus? = nil) {
            let message = pointer?.assumingMemoryBound(to: PORT_MESSAGE.self), port = held.listener.handle
            if pointer != nil { #expect(Acting.as { NtAlpcImpersonateClientOfPort(port, message, nil) }.status == expected) }
            #expect(status(NtAlpcImpersonateClientContainerOfPort(port, message, 0)) == expected)
            #expect(status(NtImpersonateClientOfPort(port, message)) == (expected == .success ? .invalidPortHandle : expected))
            for kind in [0, 1, 3] as [UInt32] {
                let wanted = query ?? expected
                #expect(status(NtAlpcQueryInformationMessage(port, message, ALPC_MESSAGE_INFORMATION_CLASS(rawValue: kind), &buffer, 68, nil))
                    == (kind == 3 && wanted == .success ? .invalidHandle : wanted))
            }
            for thread in [false, true] {
                let result = thread ? NtAlpcOpenSenderThread(&handle, port, message, 0, 0x800, &object) : NtAlpcOpenSenderProcess(&handle, port, message, 0, 0x1000, &object)
                #expect(status(result) == expected)
                if result == 0 { #expect(NtClose(handle) == 0) } else { #expect(handle == unwrittenHandle) }
                handle = unwrittenHandle
            }
        }
        for address in [nil] + memory.all.map(Optional.some) { each(address, .accessViolation) }
        // The header and nothing behind it will do; one byte less will not.
        edge.last(40).copyMemory(from: held.request.base, byteCount: 40)
        each(edge.last(40), .success)
        edge.last(39).copyMemory(from: held.request.base, byteCount: 39)
        each(edge.last(39), .accessViolation)
        // The 32-bit form is shorter, where it is known.
        let narrow = edge.last(24)
        narrow.copyMemory(from: held.request.base, byteCount: 24)
        narrow.storeBytes(of: held.request.type | 0x1000, toByteOffset: 4, as: UInt16.self)
        narrow.storeBytes(of: held.request.id, toByteOffset: 16, as: UInt32.self)
        each(narrow, .accessViolation, query: .success)
        #expect(held.listener.datagram(Message(answering: held.request)) == .success)
        #expect(held.call.result == .success)
    }

    @Test func `Outputs that are not there`() throws {
        let scene = Scene()
        defer { scene.end() }
        let held = try held(scene), edge = EdgeMemory()
        edge.protect()
        var object = OBJECT_ATTRIBUTES(Length: 48, RootDirectory: nil, ObjectName: nil, Attributes: 0, SecurityDescriptor: nil, SecurityQualityOfService: nil)
        var handle = unwrittenHandle, length: ULONG = 0, buffer = [UInt8](repeating: 0, count: 68)
        let before = openDescriptors()
        for address in [nil] + (BadMemory().all + [edge.readOnly, edge.last(4)]).map(Optional.some) {
            let place = address?.assumingMemoryBound(to: HANDLE?.self)
            #expect(status(NtAlpcOpenSenderProcess(place, held.listener.handle, held.request.pointer, 0, 0x1000, &object)) == .accessViolation)
            #expect(status(NtAlpcOpenSenderThread(place, held.listener.handle, held.request.pointer, 0, 0x800, &object)) == .accessViolation)
            if let address, address != edge.last(4) {
                let attributes = address.assumingMemoryBound(to: OBJECT_ATTRIBUTES.self)
                let result = status(NtAlpcOpenSenderProcess(&handle, held.listener.handle, held.request.pointer, 0, 0x1000, attributes))
                #expect(result == .accessViolation || address == edge.readOnly && result == .invalidParameter)
            }
            for (kind, count) in [(0, 68), (1, 8), (3, 20)] as [(UInt32, Int)] {
                let query = ALPC_MESSAGE_INFORMATION_CLASS(rawValue: kind)
                #expect(status(NtAlpcQueryInformationMessage(held.listener.handle, held.request.pointer, query, address, ULONG(count), &length)) == .accessViolation)
                if let address, kind != 3 {
                    let wanted = address == edge.last(4) ? NTStatus.success : .accessViolation
                    #expect(status(NtAlpcQueryInformationMessage(held.listener.handle, held.request.pointer, query, &buffer, ULONG(count),
                                                                 address.assumingMemoryBound(to: ULONG.self))) == wanted)
                    #expect(status(NtAlpcQueryInformationMessage(held.listener.handle, held.request.pointer, query, &buffer, 0,
                                                                 address.assumingMemoryBound(to: ULONG.self))) == (wanted == .success ? .bufferTooSmall : wanted))
                }
            }
        }
        #expect(openDescriptors() == before)
        #expect(handle == unwrittenHandle)
        #expect(held.listener.datagram(Message(answering: held.request)) == .success)
        #expect(held.call.result == .success)
    }

    @Test func `An attribute that cannot be written back sends nothing and leaves no context`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let port: ALPCPort = try HandleTable.object(client.handle, kind: .port)
        let edge = EdgeMemory()
        let buffer = edge.readOnly.assumingMemoryBound(to: ALPC_MESSAGE_ATTRIBUTES.self)
        buffer.pointee = ALPC_MESSAGE_ATTRIBUTES(AllocatedAttributes: 0x8000_0000, ValidAttributes: 0x8000_0000)
        let record = (edge.readOnly + 8).assumingMemoryBound(to: ALPC_SECURITY_ATTR.self)
        record.pointee = ALPC_SECURITY_ATTR(Flags: 0x20000, QoS: nil, ContextHandle: ALPC_HANDLE(bitPattern: -2))
        edge.protect()
        let message = Message([1])
        defer { withExtendedLifetime(message) {} }
        #expect(status(NtAlpcSendWaitReceivePort(client.handle, 0, message.pointer, buffer, nil, nil, nil, nil)) == .accessViolation)
        #expect(listener.poll() == .timeout)
        #expect(port.resources.count(.securityContext) == 0)
        #expect(status(NtAlpcCreateSecurityContext(client.handle, 0, record)) == .accessViolation)
        #expect(port.resources.count(.securityContext) == 0)
    }

    private func openDescriptors() -> Int {
        var count = 0
        guard let directory = opendir("/proc/self/fd") else { return -1 }
        while readdir(directory) != nil { count += 1 }
        closedir(directory)
        return count
    }
}
