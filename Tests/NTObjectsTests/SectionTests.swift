// NtCreateSection, NtMapViewOfSection, NtUnmapViewOfSection, NtQuerySection.

import CLinuxShims
import CNTTypes
import Glibc
import LinuxSystem
import NTTypes
import Synchronization
import Testing
@testable import NTExports
@testable import NTObjects

private let commit: ULONG = 0x0800_0000, reserve: ULONG = 0x0400_0000, image: ULONG = 0x0100_0000
private let allAccess: UInt32 = 0xF001F

private func create(
    _ size: Int64?, access: UInt32 = allAccess, protection: ULONG = 4, attributes: ULONG = commit, file: HANDLE? = nil, _ handle: inout HANDLE?
) -> NTStatus {
    var maximum = LARGE_INTEGER()
    maximum.QuadPart = size ?? 0
    return nt(size == nil ? NtCreateSection(&handle, access, nil, nil, protection, attributes, file)
        : NtCreateSection(&handle, access, nil, &maximum, protection, attributes, file))
}

private func makeSection(_ size: Int64, access: UInt32 = allAccess, protection: ULONG = 4) throws -> HANDLE {
    var handle: HANDLE?
    #expect(create(size, access: access, protection: protection, &handle) == .success)
    return try #require(handle)
}

private struct View {
    var base: PVOID?
    var size: SIZE_T
    init(_ size: SIZE_T = 0, at base: UInt = 0) { (self.size, self.base) = (size, PVOID(bitPattern: base)) }
}

private func map(
    _ section: HANDLE?, _ view: inout View, process: HANDLE? = currentProcess, zeroBits: ULONG_PTR = 0, commit: SIZE_T = 0, offset: Int64? = nil,
    inherit: UInt32 = 2, type: ULONG = 0, protection: ULONG = 4
) -> NTStatus {
    var place = LARGE_INTEGER()
    place.QuadPart = offset ?? 0
    return withUnsafeMutablePointer(to: &place) { pointer in
        nt(NtMapViewOfSection(
            section, process, &view.base, zeroBits, commit, offset == nil ? nil : pointer, &view.size, SECTION_INHERIT(rawValue: inherit), type, protection))
    }
}

private func unmap(_ view: View) -> NTStatus { nt(NtUnmapViewOfSection(currentProcess, view.base)) }

/// A file with a handle, gone with the test.
private func withFile(_ count: Int, access: UInt32 = 0x0200_0000, flags: Int32 = O_RDWR, _ body: (HANDLE) throws -> Void) throws {
    var path = Array("/tmp/ntlpc-section-XXXXXX".utf8CString)
    let made = mkstemp(&path)
    try #require(made >= 0)
    defer { unlink(path) }
    ftruncate(made, off_t(count))
    let descriptor = open(path, flags)
    close(made)
    var handle: HANDLE?
    #expect(nt(ntlpc_descriptor_to_handle(descriptor, access, 0, &handle)) == .success)
    close(descriptor)
    try body(try #require(handle))
    #expect(nt(NtClose(handle)) == .success)
}

@Suite struct SectionTests {
    init() { Watchdog.armed }

    // MARK: Making

    @Test func `A section of memory has whole pages and tells them`() throws {
        for (size, whole) in [(1, 4096), (4096, 4096), (4097, 8192), (1 << 20, 1 << 20)] as [(Int64, Int64)] {
            for attributes in [commit, reserve, commit | 0x1000_0000] {
                var handle: HANDLE?
                #expect(create(size, attributes: attributes, &handle) == .success)
                var information = SECTION_BASIC_INFORMATION(), length: SIZE_T = 0
                #expect(nt(NtQuerySection(handle, SectionBasicInformation, &information, 24, &length)) == .success)
                #expect(length == 24 && information.BaseAddress == nil && information.MaximumSize.QuadPart == whole)
                #expect(information.AllocationAttributes == attributes)
                #expect(nt(NtClose(handle)) == .success)
            }
        }
    }

    @Test func `Sections that cannot be are refused`() throws {
        var handle: HANDLE?
        #expect(create(nil, &handle) == .invalidParameter4)
        #expect(create(0, &handle) == .invalidParameter4)
        #expect(create(-1, &handle) == .sectionTooBig)
        #expect(create((1 << 46) + 1, &handle) == .sectionTooBig)
        for attributes in [0, commit | reserve, commit | 0x1, commit | image, 0x0020_0000] as [ULONG] {
            #expect(create(4096, attributes: attributes, &handle) == .invalidParameter6)
        }
        for protection in [0, 1, 3, 6, 0x100, 0x104, 0x204, 0x1000] as [ULONG] {
            #expect(create(4096, protection: protection, &handle) == .invalidPageProtection)
        }
        #expect(create(4096, attributes: image, &handle) == .invalidFileForSection)
        #expect(create(4096, attributes: commit | 0x8000_0000, &handle) == .notSupported)
        #expect(create(4096, attributes: commit | 0x0020_0000, &handle) == .notSupported)
        #expect(create(4096, file: HANDLE(bitPattern: 0x3FF_FF00), &handle) == .invalidHandle)
        let event = makeEvent()
        #expect(create(4096, file: event, &handle) == .objectTypeMismatch)
        #expect(nt(NtClose(event)) == .success)
        var attributes = OBJECT_ATTRIBUTES(), size = LARGE_INTEGER()
        size.QuadPart = 4096
        #expect(nt(NtCreateSection(&handle, allAccess, &attributes, &size, 4, commit, nil)) == .invalidParameter)
        var text: [UInt16] = Array("\\x".utf16)
        text.withUnsafeMutableBufferPointer { text in
            var name = UNICODE_STRING(Length: 4, MaximumLength: 4, Buffer: text.baseAddress)
            attributes.Length = ULONG(MemoryLayout<OBJECT_ATTRIBUTES>.size)
            withUnsafeMutablePointer(to: &name) { attributes.ObjectName = $0 }
            #expect(nt(NtCreateSection(&handle, allAccess, &attributes, &size, 4, commit, nil)) == .notSupported)
        }
        #expect(handle == nil)
    }

    @Test func `A section over a file is the file`() throws {
        try withFile(10_000) { file in
            var section: HANDLE?
            #expect(create(nil, file: file, &section) == .success)
            var information = SECTION_BASIC_INFORMATION()
            #expect(nt(NtQuerySection(section, SectionBasicInformation, &information, 24, nil)) == .success)
            #expect(information.MaximumSize.QuadPart == 10_000 && information.AllocationAttributes == commit | 0x0080_0000)
            var view = View()
            #expect(map(section, &view) == .success)
            #expect(view.size == 12_288)
            view.base!.storeBytes(of: 0x5A, toByteOffset: 9_999, as: UInt8.self)
            var descriptor: Int32 = -1
            #expect(nt(ntlpc_handle_to_descriptor(file, 0, &descriptor)) == .success)
            var byte: UInt8 = 0
            #expect(pread(descriptor, &byte, 1, 9_999) == 1 && byte == 0x5A)
            // A copy is the view's own.
            var copy = View()
            #expect(map(section, &copy, protection: 8) == .success)
            copy.base!.storeBytes(of: 0x11, toByteOffset: 9_999, as: UInt8.self)
            #expect(pread(descriptor, &byte, 1, 9_999) == 1 && byte == 0x5A)
            close(descriptor)
            // A longer section makes the file longer.
            var longer: HANDLE?
            #expect(create(70_000, file: file, &longer) == .success)
            #expect(create(70_001, protection: 2, file: file, &longer) == .sectionTooBig)
            for one in [view, copy] { #expect(unmap(one) == .success) }
            for one in [section, longer] { #expect(nt(NtClose(one)) == .success) }
        }
    }

    @Test func `A file gives a section no more than its handle grants`() throws {
        var section: HANDLE?
        try withFile(4096, access: 0x8000_0000, flags: O_RDONLY) { file in
            #expect(create(nil, protection: 4, file: file, &section) == .accessDenied)
            #expect(create(nil, protection: 0x20, file: file, &section) == .accessDenied)
            #expect(create(nil, protection: 2, file: file, &section) == .success)
            var view = View()
            #expect(map(section, &view) == .sectionProtection)
            #expect(map(section, &view, protection: 2) == .success)
            #expect(unmap(view) == .success && nt(NtClose(section)) == .success)
        }
        try withFile(0) { file in
            #expect(create(nil, file: file, &section) == .mappedFileSizeZero)
            #expect(create(nil, attributes: image, file: file, &section) == .notSupported)
        }
        let null = open("/dev/null", O_RDWR)
        var handle: HANDLE?
        #expect(nt(ntlpc_descriptor_to_handle(null, 0x0200_0000, 0, &handle)) == .success)
        close(null)
        #expect(create(4096, file: handle, &section) == .invalidFileForSection)
        #expect(nt(NtClose(handle)) == .success)
    }

    // MARK: Mapping

    @Test func `Views show the same memory, at multiples of 64 KiB`() throws {
        let section = try makeSection(0x30000)
        var whole = View(), part = View(100), end = View()
        #expect(map(section, &whole) == .success && whole.size == 0x30000)
        #expect(map(section, &part, offset: 0x10000) == .success && part.size == 4096)
        #expect(map(section, &end, offset: 0x20000, protection: 2) == .success && end.size == 0x10000)
        for view in [whole, part, end] { #expect(UInt(bitPattern: view.base) % 0x10000 == 0) }
        whole.base!.storeBytes(of: 0x1234_5678, toByteOffset: 0x10000, as: UInt32.self)
        whole.base!.storeBytes(of: 0x9ABC, toByteOffset: 0x2FFFE, as: UInt16.self)
        #expect(part.base!.load(as: UInt32.self) == 0x1234_5678)
        #expect(end.base!.load(fromByteOffset: 0xFFFE, as: UInt16.self) == 0x9ABC)
        #expect(nt(NtClose(section)) == .success) // views outlive the handle
        #expect(part.base!.load(as: UInt32.self) == 0x1234_5678)
        for view in [whole, part, end] { #expect(unmap(view) == .success) }
    }

    @Test func `A view goes where it is asked to, if nothing is there`() throws {
        let section = try makeSection(0x10000)
        var first = View()
        #expect(map(section, &first) == .success)
        var second = View(at: UInt(bitPattern: first.base))
        #expect(map(section, &second) == .conflictingAddresses)
        #expect(unmap(first) == .success)
        second = View(at: UInt(bitPattern: first.base))
        #expect(map(section, &second) == .success && second.base == first.base)
        #expect(unmap(second) == .success)
        var low = View()
        #expect(map(section, &low, zeroBits: 1) == .success && UInt(bitPattern: low.base) < 1 << 31)
        #expect(unmap(low) == .success)
        low = View()
        #expect(map(section, &low, zeroBits: 0x7FFF_FFFF) == .success && UInt(bitPattern: low.base) < 1 << 31)
        #expect(unmap(low) == .success)
        low = View()
        #expect(map(section, &low, zeroBits: 21) == .noMemory) // 2 KiB
        #expect(nt(NtClose(section)) == .success)
    }

    @Test func `Views that cannot be are refused`() throws {
        let section = try makeSection(0x20000)
        var view = View()
        #expect(map(section, &view, inherit: 0) == .invalidParameter8)
        #expect(map(section, &view, inherit: 3) == .invalidParameter8)
        #expect(map(section, &view, type: 0x1000) == .invalidParameter9)
        #expect(map(section, &view, zeroBits: 22) == .invalidParameter4)
        #expect(map(section, &view, protection: 0) == .invalidPageProtection)
        #expect(map(section, &view, protection: 6) == .invalidPageProtection)
        view = View(at: 0x7FFF_FFFF_0000 + 0x10000)
        #expect(map(section, &view) == .invalidParameter3)
        view = View(.max)
        #expect(map(section, &view) == .invalidParameter3)
        view = View(0x1000)
        #expect(map(section, &view, commit: 0x1001) == .invalidParameter5)
        view = View(at: 0x5000_1000)
        #expect(map(section, &view) == .mappedAlignment)
        view = View()
        #expect(map(section, &view, offset: 0x1000) == .mappedAlignment)
        #expect(map(section, &view, offset: 0x20000) == .invalidViewSize)
        #expect(map(section, &view, offset: -0x10000) == .invalidViewSize)
        view = View(0x20001)
        #expect(map(section, &view) == .invalidViewSize)
        view = View(0x10001)
        #expect(map(section, &view, offset: 0x10000) == .invalidViewSize)
        view = View()
        #expect(map(section, &view, protection: 0x20) == .sectionProtection)
        #expect(map(section, &view, process: nil) == .invalidHandle)
        #expect(map(section, &view, process: section) == .objectTypeMismatch)
        #expect(map(nil, &view) == .invalidHandle)
        let event = makeEvent()
        #expect(map(event, &view) == .objectTypeMismatch)
        #expect(view.base == nil && view.size == 0)
        for handle in [section, event] { #expect(nt(NtClose(handle)) == .success) }
    }

    @Test func `A view needs the right that its protection stands for`() throws {
        for (access, allowed) in [(0x4, [1, 2, 8]), (0x2, [1]), (0x6, [1, 2, 4, 8]), (0x1, [1])] as [(UInt32, [ULONG])] {
            let section = try makeSection(4096, access: access)
            for protection in [1, 2, 4, 8] as [ULONG] {
                var view = View()
                #expect(map(section, &view, protection: protection) == (allowed.contains(protection) ? .success : .accessDenied))
                if view.base != nil { #expect(unmap(view) == .success) }
            }
            #expect(nt(NtClose(section)) == .success)
        }
        let section = try makeSection(4096, protection: 0x40)
        var view = View()
        #expect(map(section, &view, protection: 0x20) == .success)
        #expect(unmap(view) == .success)
        #expect(nt(NtClose(section)) == .success)
    }

    // MARK: Unmapping

    @Test func `Any address in a view unmaps it, once`() throws {
        let section = try makeSection(0x20000)
        var view = View()
        #expect(map(section, &view) == .success)
        let base = view.base!
        #expect(nt(NtUnmapViewOfSection(currentProcess, base + 0x20000)) == .notMappedView)
        #expect(nt(NtUnmapViewOfSection(currentProcess, base - 1)) == .notMappedView)
        #expect(nt(NtUnmapViewOfSection(nil, base)) == .invalidHandle)
        #expect(nt(NtUnmapViewOfSection(section, base)) == .objectTypeMismatch)
        #expect(nt(NtUnmapViewOfSection(currentProcess, base + 0x12345)) == .success)
        #expect(nt(NtUnmapViewOfSection(currentProcess, base)) == .notMappedView)
        #expect(nt(NtUnmapViewOfSection(currentProcess, nil)) == .notMappedView)
        #expect(ntlpc_copy_8(withUnsafeTemporaryAllocation(byteCount: 8, alignment: 8) { $0.baseAddress! }, base) != 0)
        #expect(nt(NtClose(section)) == .success)
    }

    @Test func `A port's view is unmapped through its port, or by it, but not by both`() throws {
        let ended = Counts()
        let place = mmap(nil, 0x10000, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
        let first = MappedViews.add(base: place, count: 0x10000) { ended.lastCloses.wrappingAdd(1, ordering: .relaxed) }
        #expect(nt(NtUnmapViewOfSection(currentProcess, place + 5)) == .success)
        #expect(ended.closed == 1 && !MappedViews.remove(first))
        let second = MappedViews.add(base: place, count: 0x10000) { ended.lastCloses.wrappingAdd(1, ordering: .relaxed) }
        // One that overlaps shows that the older one was unmapped without a word.
        let third = MappedViews.add(base: place + 0x8000, count: 0x1000) {}
        #expect(!MappedViews.remove(second) && ended.closed == 1)
        #expect(MappedViews.remove(third) && !MappedViews.remove(third))
        #expect(nt(NtUnmapViewOfSection(currentProcess, place + 0x8000)) == .notMappedView)
        munmap(place, 0x10000)
    }

    @Test func `Threads that map and unmap do not meet`() throws {
        let section = UInt(bitPattern: try makeSection(0x100000))
        onThreads(4) { index in
            for round in 0 ..< 300 {
                var view = View(SIZE_T(0x1000 * (1 + (round + index) % 8)))
                #expect(map(HANDLE(bitPattern: section), &view, offset: Int64(0x10000 * (round % 8))) == .success)
                view.base!.storeBytes(of: UInt8(index), as: UInt8.self)
                #expect(unmap(view) == .success)
            }
        }
        #expect(nt(NtClose(HANDLE(bitPattern: section))) == .success)
    }

    // MARK: Queries and bad pointers

    @Test func `Queries that cannot be answered say why`() throws {
        let section = try makeSection(4096)
        var information = SECTION_BASIC_INFORMATION()
        #expect(nt(NtQuerySection(section, SectionBasicInformation, &information, 23, nil)) == .infoLengthMismatch)
        #expect(nt(NtQuerySection(section, SectionImageInformation, &information, 24, nil)) == .sectionNotImage)
        #expect(nt(NtQuerySection(section, SECTION_INFORMATION_CLASS(rawValue: 9), &information, 24, nil)) == .invalidInfoClass)
        #expect(nt(NtQuerySection(nil, SectionBasicInformation, &information, 24, nil)) == .invalidHandle)
        let blind = try makeSection(4096, access: 0x4), event = makeEvent()
        #expect(nt(NtQuerySection(blind, SectionBasicInformation, &information, 24, nil)) == .accessDenied)
        #expect(nt(NtQuerySection(event, SectionBasicInformation, &information, 24, nil)) == .objectTypeMismatch)
        for handle in [section, blind, event] { #expect(nt(NtClose(handle)) == .success) }
    }

    @Test func `A bad pointer is an access violation and leaves nothing`() throws {
        let memory = BadMemory(), section = try makeSection(0x10000)
        var size = LARGE_INTEGER(), length: SIZE_T = 0, base: PVOID?, handle: HANDLE?
        size.QuadPart = 4096
        for address in BadMemory.wild + [memory.none] {
            let large = address.assumingMemoryBound(to: LARGE_INTEGER.self), pointer = address.assumingMemoryBound(to: PVOID?.self)
            let count = address.assumingMemoryBound(to: SIZE_T.self)
            #expect(nt(NtCreateSection(pointer, allAccess, nil, &size, 4, commit, nil)) == .accessViolation)
            #expect(nt(NtCreateSection(&handle, allAccess, nil, large, 4, commit, nil)) == .accessViolation)
            #expect(nt(NtCreateSection(&handle, allAccess, address.assumingMemoryBound(to: OBJECT_ATTRIBUTES.self), &size, 4, commit, nil)) == .accessViolation)
            #expect(nt(NtMapViewOfSection(section, currentProcess, pointer, 0, 0, nil, &length, ViewUnmap, 0, 4)) == .accessViolation)
            #expect(nt(NtMapViewOfSection(section, currentProcess, &base, 0, 0, nil, count, ViewUnmap, 0, 4)) == .accessViolation)
            #expect(nt(NtMapViewOfSection(section, currentProcess, &base, 0, 0, large, &length, ViewUnmap, 0, 4)) == .accessViolation)
            #expect(nt(NtQuerySection(section, SectionBasicInformation, address, 24, nil)) == .accessViolation)
            var information = SECTION_BASIC_INFORMATION()
            #expect(nt(NtQuerySection(section, SectionBasicInformation, &information, 24, count)) == .accessViolation)
        }
        #expect(nt(NtCreateSection(nil, allAccess, nil, &size, 4, commit, nil)) == .accessViolation)
        #expect(nt(NtMapViewOfSection(section, currentProcess, nil, 0, 0, nil, &length, ViewUnmap, 0, 4)) == .accessViolation)
        #expect(nt(NtMapViewOfSection(section, currentProcess, &base, 0, 0, nil, nil, ViewUnmap, 0, 4)) == .accessViolation)
        memory.base.storeBytes(of: 0, as: UInt.self)
        memory.makeReadOnly()
        #expect(nt(NtMapViewOfSection(section, currentProcess, memory.base.assumingMemoryBound(to: PVOID?.self), 0, 0, nil, &length, ViewUnmap, 0, 4)) == .accessViolation)
        #expect(base == nil && handle == nil && length == 0)
        #expect(nt(NtClose(section)) == .success)
    }

    // MARK: Other processes

    @Test func `A section crosses to another process, with the rights that were asked for`() throws {
        let section = try makeSection(0x20000)
        let both = try descriptor(of: section), readOnly = try descriptor(of: section, access: 0x4)
        let peer = try ObjectPeer([both, readOnly])
        #expect(peer.call("adopt A 10 0x80 0xF001F") == "SUCCESS")
        #expect(peer.call("adopt B 11 0x80 0x6") == "STATUS_ACCESS_DENIED")
        #expect(peer.call("adopt B 11 0x80 0x4") == "STATUS_INVALID_HANDLE") // the peer has closed it
        #expect(peer.call("fill A 0x10000 7 100") == "SUCCESS")
        var view = View()
        #expect(map(section, &view, offset: 0x10000) == .success)
        #expect(view.base!.load(fromByteOffset: 99, as: UInt8.self) == 7 && view.base!.load(fromByteOffset: 100, as: UInt8.self) == 0)
        view.base!.storeBytes(of: 9, as: UInt8.self)
        #expect(peer.call("sum A 0x10000 101") == "702")
        #expect(try readOnly.mode == (reads: true, writes: false))
        #expect(unmap(view) == .success && nt(NtClose(section)) == .success)
    }

    @Test func `What is no section is not taken for one`() throws {
        let memory = try MemoryFile.make(name: "test", count: 4096)
        func adopt(_ descriptor: Descriptor, _ access: UInt32 = 0x6) -> NTStatus? {
            thrown { () throws(NTStatus) in Host.closeObject(try Host.handle(for: descriptor, type: .section, access: access, attributes: 0)) }
        }
        #expect(adopt(memory) == nil)
        #expect(adopt(try EventFd.make()) == .objectTypeMismatch)
        #expect(adopt(Descriptor(owning: ntlpc_move_high(open("/", O_RDONLY))), 0x4) == .objectTypeMismatch)
        #expect(adopt(Descriptor(owning: ntlpc_move_high(open("/dev/zero", O_RDWR)))) == .objectTypeMismatch)
        // An unsealed memory file is made to keep its size; one that cannot be is refused.
        let loose = Descriptor(owning: ntlpc_memfd_create("loose"))
        #expect(adopt(loose) == .objectTypeMismatch) // empty
        ftruncate(loose.rawValue, 8192)
        #expect(adopt(loose) == nil)
        #expect(ftruncate(loose.rawValue, 4096) != 0 && ftruncate(loose.rawValue, 16384) == 0)
        let other = Descriptor(owning: ntlpc_memfd_create("other"))
        ftruncate(other.rawValue, 4096)
        let readOnly = try other.reopened(reads: true, writes: false)
        #expect(adopt(readOnly, 0x4) == .objectTypeMismatch)
        #expect(adopt(try memory.reopened(reads: true, writes: false), 0x4) == nil)
        #expect(adopt(try memory.reopened(reads: true, writes: false), 0x6) == .accessDenied)
        #expect(adopt(try memory.reopened(reads: false, writes: false), 0x4) == .objectTypeMismatch)
    }

    @Test func `Sections and views leave no descriptor and no memory`() async {
        await #expect(processExitsWith: .success) {
            func maps() -> Int {
                var count = 0, line = [CChar](repeating: 0, count: 1024)
                let file = fopen("/proc/self/maps", "r")!
                while fgets(&line, 1024, file) != nil { if strstr(line, "ntlpc-section") != nil { count += 1 } }
                fclose(file)
                return count
            }
            var first = 0
            for round in 0 ..< 50 {
                let section = try makeSection(0x30000)
                var view = View(), cut = View(4096)
                precondition(map(section, &view) == .success && map(section, &cut, offset: 0x10000) == .success)
                _ = try descriptor(of: section)
                _ = try descriptor(of: section, access: 4)
                precondition(unmap(view) == .success && unmap(cut) == .success && nt(NtClose(section)) == .success)
                if round == 0 { first = descriptorCount() }
            }
            precondition(descriptorCount() == first && maps() == 0)
        }
    }
}
