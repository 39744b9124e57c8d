import CNTTypes
import Glibc
import NTTypes
import Testing
@testable import NTExports
@testable import NTObjects

@Suite struct CallerMemoryTests {
    init() {
        Watchdog.armed
        Host.start()
    }

    @Test func `Values come in and go out, aligned or not`() throws {
        let memory = BadMemory()
        for offset in [0, 1, 3, 7] {
            let place = memory.base + offset
            try CallerMemory.write(UInt64(0x1122_3344_5566_7788), to: place)
            #expect(try CallerMemory.read(UnsafeRawPointer(place), as: UInt64.self) == 0x1122_3344_5566_7788)
        }
        let edge = memory.last(4)
        try CallerMemory.write(UInt32(7), to: edge)
        #expect(try CallerMemory.read(UnsafeRawPointer(edge), as: UInt32.self) == 7)
    }

    @Test func `NULL, wild and forbidden addresses fail and the process lives`() {
        let memory = BadMemory()
        for address in BadMemory.wild + [memory.none, memory.last(4)] {
            #expect(throws: NTStatus.accessViolation) { try CallerMemory.read(UnsafeRawPointer(address), as: UInt64.self) }
            #expect(throws: NTStatus.accessViolation) { try CallerMemory.write(UInt64(1), to: address) }
            #expect(throws: NTStatus.accessViolation) { try CallerMemory.bytes(at: address, count: 64) }
            #expect(throws: NTStatus.accessViolation) { try CallerMemory.copyOut([UInt8](repeating: 1, count: 4097), to: address) }
            #expect(throws: NTStatus.accessViolation) { try CallerMemory.probeWrite(address, count: 8) }
        }
        #expect(throws: NTStatus.accessViolation) { try CallerMemory.read(UnsafeRawPointer(nil as UnsafeRawPointer?), as: UInt8.self) }
        #expect(throws: NTStatus.accessViolation) { try CallerMemory.write(UInt8(1), to: nil as UnsafeMutableRawPointer?) }
        #expect(throws: NTStatus.accessViolation) { try CallerMemory.array(at: nil, count: 1, of: UInt8.self) }
        #expect(throws: NTStatus.accessViolation) { try CallerMemory.probeWrite(nil, count: 1) }
    }

    @Test func `Nothing at all may come from anywhere`() throws {
        #expect(try CallerMemory.bytes(at: nil, count: 0).isEmpty)
        #expect(try CallerMemory.bytes(at: BadMemory.wild[0], count: 0).isEmpty)
        try CallerMemory.copyOut([], to: nil)
        try CallerMemory.probeWrite(nil, count: 0)
        #expect(try CallerMemory.readIfPresent(nil as UnsafeMutablePointer<UInt32>?) == nil)
        try CallerMemory.writeIfPresent(UInt32(1), to: nil)
    }

    @Test func `Read-only memory can be read and not written`() throws {
        let memory = BadMemory()
        memory.base.storeBytes(of: 42, as: UInt32.self)
        memory.makeReadOnly()
        #expect(try CallerMemory.read(UnsafeRawPointer(memory.base), as: UInt32.self) == 42)
        #expect(throws: NTStatus.accessViolation) { try CallerMemory.write(UInt32(1), to: memory.base) }
        #expect(throws: NTStatus.accessViolation) { try CallerMemory.probeWrite(memory.base, count: 4) }
        #expect(memory.base.load(as: UInt32.self) == 42)
    }

    @Test func `A probe changes nothing and finds the bad page behind a good one`() throws {
        let memory = BadMemory()
        memset(memory.base, 0x5A, BadMemory.page)
        try CallerMemory.probeWrite(memory.base, count: BadMemory.page)
        #expect(throws: NTStatus.accessViolation) { try CallerMemory.probeWrite(memory.base, count: BadMemory.page + 1) }
        #expect(throws: NTStatus.accessViolation) { try CallerMemory.probeWrite(memory.last(4), count: 8) }
        #expect(throws: NTStatus.accessViolation) { try CallerMemory.probeWrite(UnsafeMutableRawPointer(bitPattern: UInt.max - 3), count: 8) }
        #expect(UnsafeRawBufferPointer(start: memory.base, count: BadMemory.page).allSatisfy { $0 == 0x5A })
    }

    @Test(arguments: [1, 7, 8, 15, 16, 63, 64, 100, 511, 512, 4000])
    func `Copies of every size stop at the end of what is there`(_ count: Int) throws {
        let memory = BadMemory()
        let pattern = (0 ..< count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ 1) }
        try CallerMemory.copyOut(pattern, to: memory.last(count))
        #expect(try CallerMemory.bytes(at: memory.last(count), count: count) == pattern)
        #expect(throws: NTStatus.accessViolation) { try CallerMemory.bytes(at: memory.last(count) + 1, count: count) }
        #expect(throws: NTStatus.accessViolation) { try CallerMemory.copyOut(pattern, to: memory.last(count) + 1) }
    }
}
