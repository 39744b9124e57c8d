import CNTTypes
import NTTypes
import Testing
@testable import NTObjects

/// Values that no other test uses and that the native host, which gives out the lowest, never comes to: the table is one for all.
private func value(_ number: UInt) -> HANDLE { HANDLE(bitPattern: 0x100_0000 + number * 4)! }

@Suite struct HandleTableTests {
    init() { Watchdog.armed }

    @Test func `A handle finds its object and nothing else`() throws {
        let probe = Probe(7)
        try HandleTable.insert(probe, at: value(1), access: 0x1F0001)
        #expect(try HandleTable.withObject(value(1), kind: .port) { (found: Probe) in found.number } == 7)
        #expect(throws: NTStatus.objectTypeMismatch) { try HandleTable.withObject(value(1), kind: .event) { (_: Event) in } }
        #expect(throws: NTStatus.invalidHandle) { try HandleTable.withObject(value(2), kind: .port) { (_: Probe) in } }
        try HandleTable.close(value(1))
        #expect(throws: NTStatus.invalidHandle) { try HandleTable.withObject(value(1), kind: .port) { (_: Probe) in } }
        #expect(throws: NTStatus.invalidHandle) { try HandleTable.close(value(1)) }
    }

    @Test(arguments: [0, 1, 2, 3, UInt.max, UInt.max - 1, UInt.max - 3, 0x400_0004, 1 << 40, 0x8000_0000_0000_0000])
    func `Values that are no handles are refused`(_ bits: UInt) {
        let handle = HANDLE(bitPattern: bits)
        #expect(throws: NTStatus.invalidHandle) { try HandleTable.withObject(handle, kind: .port) { (_: Probe) in } }
        #expect(throws: NTStatus.invalidHandle) { try HandleTable.close(handle) }
        #expect(throws: NTStatus.invalidHandle) { try HandleTable.setAttributes(1, of: handle) }
        #expect(throws: NTStatus.insufficientResources) { try HandleTable.insert(Probe(), at: handle, access: 1) }
        #expect(HandleTable.kind(of: handle) == nil)
        #expect(HandleTable.remove(handle) == nil)
    }

    @Test func `Values up to two to the power of 26 work`() throws {
        let counts = Counts()
        for bits: UInt in [1 << 26, (1 << 26) - 4, 0x300_0000, 0x2FF_FFFC] {
            let handle = HANDLE(bitPattern: bits)!
            try HandleTable.insert(Probe(Int(bits), counts), at: handle, access: 1)
            #expect(try HandleTable.withObject(handle, kind: .port) { (found: Probe) in found.number } == Int(bits))
            try HandleTable.close(handle)
        }
        #expect(counts.closed == 4)
        #expect(counts.freed == 4)
    }

    @Test func `The two low bits of a handle are the program's own`() throws {
        try HandleTable.insert(Probe(3), at: value(3), access: 1)
        let tagged = HANDLE(bitPattern: UInt(bitPattern: value(3)) | 3)
        #expect(try HandleTable.withObject(tagged, kind: .port) { (found: Probe) in found.number } == 3)
        try HandleTable.close(tagged)
        #expect(HandleTable.kind(of: value(3)) == nil)
    }

    @Test func `Access that was not granted is denied`() throws {
        try HandleTable.insert(Probe(), at: value(4), access: 0x0002_0001)
        #expect(throws: Never.self) { try HandleTable.withObject(value(4), kind: .port, access: 1) { (_: Probe) in } }
        #expect(throws: NTStatus.accessDenied) { try HandleTable.withObject(value(4), kind: .port, access: 0x0010_0001) { (_: Probe) in } }
        try HandleTable.close(value(4))
    }

    @Test func `The last close ends the object's business once, and its memory`() throws {
        let counts = Counts()
        try HandleTable.insert(Probe(0, counts), at: value(5), access: 1)
        try HandleTable.duplicate(value(5), at: value(6))
        try HandleTable.duplicate(value(6), at: value(7), access: 0x10000, attributes: HandleTable.inherit)
        #expect(try HandleTable.information(value(7)) == HandleInformation(grantedAccess: 0x10000, attributes: 2, handleCount: 3))
        #expect(try HandleTable.information(value(6)) == HandleInformation(grantedAccess: 1, attributes: 0, handleCount: 3))
        try HandleTable.close(value(5))
        try HandleTable.close(value(7))
        #expect(counts.closed == 0)
        try HandleTable.close(value(6))
        #expect(counts.closed == 1)
        #expect(counts.freed == 1)
    }

    @Test func `An object that is in use outlives its handle and is told of the close at once`() throws {
        let counts = Counts()
        try HandleTable.insert(Probe(9, counts), at: value(8), access: 1)
        try HandleTable.withObject(value(8), kind: .port) { (probe: Probe) throws(NTStatus) in
            try HandleTable.close(value(8))
            #expect(counts.closed == 1)
            #expect(counts.freed == 0)
            #expect(probe.magic == Probe.alive)
        }
        #expect(counts.freed == 1)
    }

    @Test func `A blocked user keeps the object until it leaves, and then nothing else is needed to free it`() throws {
        let counts = Counts()
        try HandleTable.insert(Probe(0, counts), at: value(9), access: 1)
        let gate = SignalState(.notification, signaled: false), inside = SignalState(.notification, signaled: false)
        onThreads(2) { index in
            do {
                if index == 0 {
                    try HandleTable.withObject(value(9), kind: .port) { (probe: Probe) in
                        inside.set()
                        _ = Wait.wait(for: [gate], all: false, deadline: 0)
                        #expect(probe.magic == Probe.alive)
                    }
                } else {
                    _ = Wait.wait(for: [inside], all: false, deadline: 0)
                    try HandleTable.close(value(9))
                    #expect(counts.closed == 1)
                    #expect(counts.freed == 0)
                    gate.set()
                }
            } catch {
                Issue.record(error)
            }
        }
        #expect(counts.freed == 1)
    }

    @Test func `Lookups inside lookups work to any depth`() throws {
        let counts = Counts()
        for number: UInt in 10 ..< 14 { try HandleTable.insert(Probe(Int(number), counts), at: value(number), access: 1) }
        func sum(from number: UInt) throws(NTStatus) -> Int {
            guard number < 14 else { return 0 }
            return try HandleTable.withObject(value(number), kind: .port, access: 1) { (probe: Probe) throws(NTStatus) in
                try HandleTable.close(value(number))
                let rest = try sum(from: number + 1)
                #expect(probe.magic == Probe.alive)
                return probe.number + rest
            }
        }
        #expect(try sum(from: 10) == 10 + 11 + 12 + 13)
        #expect(counts.closed == 4)
        #expect(counts.freed == 4)
        try HandleTable.insert(Probe(1), at: value(10), access: 1)
        try HandleTable.withObject(value(10), kind: .port) { (_: Probe) throws(NTStatus) in
            try HandleTable.withObject(value(10), kind: .port) { (_: Probe) throws(NTStatus) in
                #expect(throws: NTStatus.objectTypeMismatch) { try HandleTable.withObject(value(10), kind: .event) { (_: Event) in } }
                #expect(throws: NTStatus.accessDenied) { try HandleTable.withObject(value(10), kind: .port, access: 2) { (_: Probe) in } }
                #expect(throws: NTStatus.invalidHandle) { try HandleTable.withObject(value(11), kind: .port) { (_: Probe) in } }
            }
        }
        try HandleTable.close(value(10))
    }

    @Test func `An error of the body comes out and leaves no use behind`() throws {
        let counts = Counts()
        try HandleTable.insert(Probe(0, counts), at: value(15), access: 1)
        #expect(throws: NTStatus.portDisconnected) {
            try HandleTable.withObject(value(15), kind: .port) { (_: Probe) throws(NTStatus) in throw NTStatus.portDisconnected }
        }
        try HandleTable.close(value(15))
        #expect(counts.freed == 1)
    }

    @Test func `A reference that was taken outlives handle and lookup`() throws {
        let counts = Counts()
        try HandleTable.insert(Probe(5, counts), at: value(16), access: 1)
        var kept: Probe? = try HandleTable.object(value(16), kind: .port)
        try HandleTable.close(value(16))
        #expect(counts.closed == 1)
        #expect(kept?.magic == Probe.alive)
        #expect(counts.freed == 0)
        kept = nil
        #expect(counts.freed == 1)
    }

    @Test func `A protected handle cannot be closed until it is unprotected, but the host's word counts`() throws {
        let counts = Counts()
        try HandleTable.insert(Probe(0, counts), at: value(17), access: 1, attributes: HandleTable.protectFromClose)
        #expect(throws: NTStatus.handleNotClosable) { try HandleTable.close(value(17)) }
        try HandleTable.setAttributes(0, of: value(17))
        try HandleTable.close(value(17))
        #expect(counts.freed == 1)
        try HandleTable.insert(Probe(0, counts), at: value(17), access: 1, attributes: HandleTable.protectFromClose)
        #expect(HandleTable.remove(value(17)) == .port)
        #expect(HandleTable.remove(value(17)) == nil)
        #expect(counts.freed == 2)
    }

    @Test func `A value that the host has reused ends the old handle`() throws {
        let old = Counts(), new = Counts()
        try HandleTable.insert(Probe(1, old), at: value(18), access: 1)
        try HandleTable.insert(Probe(2, new), at: value(18), access: 1)
        #expect(old.closed == 1)
        #expect(old.freed == 1)
        #expect(try HandleTable.withObject(value(18), kind: .port) { (found: Probe) in found.number } == 2)
        try HandleTable.insert(Probe(3, old), at: value(19), access: 1)
        try HandleTable.duplicate(value(19), at: value(18))
        #expect(new.freed == 1)
        try HandleTable.duplicate(value(19), at: value(19)) // a handle is its own duplicate
        #expect(try HandleTable.information(value(19)).handleCount == 2)
        try HandleTable.close(value(18))
        try HandleTable.close(value(19))
        #expect(old.freed == 2)
    }

    @Test func `An object may get a handle again after its last one`() throws {
        let counts = Counts()
        let probe = Probe(0, counts)
        for round in 1 ... 3 {
            try HandleTable.insert(probe, at: value(20), access: 1)
            #expect(probe.handleCount == 1)
            try HandleTable.close(value(20))
            #expect(probe.handleCount == 0)
            #expect(counts.closed == round)
        }
        #expect(counts.freed == 0)
    }

    @Test func `Reserved values are distinct, invisible, and given back`() throws {
        var values: [HANDLE] = []
        for _ in 0 ..< 5000 { values.append(try HandleTable.reserve()) }
        #expect(Set(values).count == 5000)
        for value in values {
            #expect(UInt(bitPattern: value) % 4 == 0)
            #expect(HandleTable.kind(of: value) == nil)
            #expect(throws: NTStatus.invalidHandle) { try HandleTable.close(value) }
        }
        values.forEach(HandleTable.unreserve)
    }
}
