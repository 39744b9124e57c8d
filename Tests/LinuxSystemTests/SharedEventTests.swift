// Shared events, polling, kinds of descriptors, tasks and mappings.

import CLinuxShims
import Glibc
import LinuxSystem
import Testing

private func error(_ body: () throws(Errno) -> Void) -> Errno? {
    do throws(Errno) {
        try body()
        return nil
    } catch {
        return error
    }
}

@Suite struct SharedEventTests {
    @Test func `An event is put, seen and taken once, however often it was put`() throws {
        for taken in [false, true] {
            let event = try SharedEvent.make(takenByWait: taken, signaled: true)
            let twin = try event.duplicated()
            #expect(SharedEvent.isTakenByWait(event) == taken && SharedEvent.isTakenByWait(twin) == taken)
            #expect(SharedEvent.isSignaled(event) && SharedEvent.put(event))
            EventFd.kick(event)
            #expect(SharedEvent.take(event) && !SharedEvent.take(event) && !SharedEvent.isSignaled(event))
            #expect(!SharedEvent.put(event) && SharedEvent.put(event))
        }
    }

    @Test func `Polling tells who is ready, passes over what is not there, and ends at its deadline`() throws {
        let first = try EventFd.make(), second = try EventFd.make()
        EventFd.kick(second)
        #expect(try Poll.wait([first, nil, second], deadline: 0) == [false, false, true])
        let begin = Clock.monotonic
        #expect(try Poll.wait([first, nil], deadline: begin + 10_000_000) == [false, false])
        #expect(Clock.monotonic >= begin + 10_000_000)
        let many: [Descriptor?] = Array(repeating: nil, count: 200) + [second]
        #expect(try Poll.wait(many, deadline: 0) == Array(repeating: false, count: 200) + [true])
    }

    @Test func `The kernel says what a descriptor is`() throws {
        func kind(_ number: Int32) throws -> DescriptorKind { try DescriptorKind(Descriptor(owning: ntlpc_move_high(number))) }
        #expect(try DescriptorKind(EventFd.make()) == .event)
        #expect(try DescriptorKind(Epoll.make()) == .other)
        #expect(try DescriptorKind(LinuxTask.openProcess(getpid())) == .task)
        #expect(try DescriptorKind(MemoryFile.make(name: "test", count: 4096)) == .memory)
        #expect(try kind(open("/proc/self/exe", O_RDONLY)) == .regular)
        #expect(try kind(open("/", O_RDONLY)) == .other)
        #expect(try kind(open("/dev/null", O_RDONLY)) == .other)
        // A file's name can lie, the kernel's word for it cannot.
        let path = "/tmp/anon_inode:[eventfd]"
        #expect(try kind(open(path, O_RDWR | O_CREAT, 0o600)) == .regular)
        unlink(path)
        #expect(error { () throws(Errno) in _ = try DescriptorKind(Descriptor(owning: -1)) } == .badDescriptor)
    }

    @Test func `A file opened anew can do less`() throws {
        let file = try MemoryFile.make(name: "test", count: 4096)
        for (reads, writes) in [(true, true), (true, false), (false, true), (false, false)] {
            let mode = try file.reopened(reads: reads, writes: writes).mode
            #expect(mode == (reads, writes))
        }
    }

    @Test func `A task is known by its id and the time it was started`() throws {
        let own = try LinuxTask.information(getpid())
        #expect(own.process == getpid() && own.parent == getppid() && own.uid == geteuid() && own.gid == getegid() && !own.hasEnded)
        let again = try LinuxTask.information(getpid())
        #expect(again == own && own.started > 0)
        #expect(error { () throws(Errno) in _ = try LinuxTask.information(0x7FFF_FFFE) } == .noSuchProcess)
        #expect(error { () throws(Errno) in _ = try LinuxTask.openProcess(0x7FFF_FFFE) } == .noSuchProcess)
        let descriptor = try LinuxTask.openProcess(getpid())
        let id = try LinuxTask.id(of: descriptor)
        #expect(id == getpid() && !LinuxTask.isThread(descriptor))
        #expect(LinuxTask.exitStatus(descriptor) == nil && LinuxTask.affinity(getpid()) != 0)
        #expect(error { () throws(Errno) in try LinuxTask.checkPermission(process: getpid(), thread: getpid(), descriptor) } == nil)
    }

    @Test func `A mapping lies where it was asked to lie and replaces nothing`() throws {
        let file = try MemoryFile.make(name: "test", count: 0x4000)
        func map(at address: UInt? = nil, limit: UInt = .max) throws(Errno) -> UnsafeMutableRawPointer {
            try Mapping.map(file, offset: 0, count: 0x4000, protection: PROT_READ | PROT_WRITE, flags: MAP_SHARED, at: address, alignment: 0x10000, limit: limit, forChildren: false)
        }
        let base = try map()
        #expect(UInt(bitPattern: base) % 0x10000 == 0)
        base.storeBytes(of: 7, as: UInt8.self)
        #expect(error { () throws(Errno) in _ = try map(at: UInt(bitPattern: base)) } == .exists)
        #expect(error { () throws(Errno) in _ = try map(at: UInt(bitPattern: base), limit: UInt(bitPattern: base)) } == .noMemory)
        #expect(base.load(as: UInt8.self) == 7)
        Mapping.unmap(base, count: 0x4000)
        let again = try map(at: UInt(bitPattern: base)), low = try map(limit: 1 << 31)
        #expect(again == base && again.load(as: UInt8.self) == 7 && UInt(bitPattern: low) < 1 << 31)
        #expect(error { () throws(Errno) in _ = try map(limit: 0x10000) } == .noMemory)
        Mapping.unmap(again, count: 0x4000)
        Mapping.unmap(low, count: 0x4000)
    }
}
