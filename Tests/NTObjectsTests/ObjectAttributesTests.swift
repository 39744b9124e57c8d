import CNTTypes
import Glibc
import NTTypes
import Testing
@testable import NTExports
@testable import NTObjects

/// Builds an OBJECT_ATTRIBUTES around `units` and captures it.
private func capture(
    _ units: [UInt16]?, lengthInBytes: Int? = nil, change: (inout OBJECT_ATTRIBUTES) -> Void = { _ in }
) throws(NTStatus) -> CapturedObjectAttributes {
    var units = units ?? [], result: Result<CapturedObjectAttributes, NTStatus>?
    let given = !units.isEmpty || lengthInBytes != nil
    units.withUnsafeMutableBufferPointer { buffer in
        let length = USHORT(lengthInBytes ?? buffer.count * 2)
        var name = UNICODE_STRING(Length: length, MaximumLength: length, Buffer: buffer.isEmpty ? nil : buffer.baseAddress)
        withUnsafeMutablePointer(to: &name) { name in
            var attributes = OBJECT_ATTRIBUTES()
            attributes.Length = ULONG(MemoryLayout<OBJECT_ATTRIBUTES>.size)
            if given { attributes.ObjectName = name }
            change(&attributes)
            do throws(NTStatus) {
                result = .success(try CapturedObjectAttributes(&attributes))
            } catch {
                result = .failure(error)
            }
        }
    }
    return try result!.get()
}

private let systemSID: [UInt8] = [1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0]
private let worldSID: [UInt8] = [1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]
/// One entry: everyone, PORT_CONNECT.
private let connectACL: [UInt8] = [2, 0, 28, 0, 1, 0, 0, 0] + [0, 0, 20, 0, 1, 0, 0, 0] + worldSID

@Suite struct ObjectAttributesTests {
    init() {
        Watchdog.armed
        Host.start()
    }

    @Test func `No attributes are an unnamed object`() throws {
        let captured = try CapturedObjectAttributes(nil)
        #expect(captured.name == nil && captured.attributes == 0 && captured.securityDescriptor == nil && captured.qualityOfService == nil)
        #expect(try capture(nil).name == nil)
        #expect(try capture([], lengthInBytes: 0).name == nil)
    }

    @Test(arguments: ["\\RPC Control\\name", "\\x", "no backslash", "\\RPC Control\\\u{1F600} \u{E9}"])
    func `A name comes through as it is`(_ name: String) throws {
        #expect(try capture(Array(name.utf16)).name == name)
    }

    @Test func `The longest name there can be comes through`() throws {
        let units = [UInt16](repeating: 0x61, count: 0x7FFF)
        #expect(try capture(units).name?.utf16.count == 0x7FFF)
    }

    @Test func `Malformed names are refused`() {
        #expect(throws: NTStatus.objectNameInvalid) { try capture([0x5C, 0x61], lengthInBytes: 3) }
        #expect(throws: NTStatus.objectNameInvalid) { try capture([0x5C, 0xD800]) }
        #expect(throws: NTStatus.objectNameInvalid) { try capture([0x5C, 0xDC00, 0xD800]) }
        #expect(throws: NTStatus.accessViolation) { try capture([], lengthInBytes: 4) }
    }

    @Test func `Lengths and attributes that do not exist are refused`() throws {
        for length: ULONG in [0, 24, 47, 49, .max] {
            #expect(throws: NTStatus.invalidParameter) { try capture(nil) { $0.Length = length } }
        }
        for bit: UInt32 in [1, 4, 8, 0x2000, 0x8000_0000] {
            #expect(throws: NTStatus.invalidParameter) { try capture(nil) { $0.Attributes = bit } }
        }
        #expect(try capture(nil) { $0.Attributes = 0x42 }.attributes == 0x42)
    }

    @Test func `A root directory that is none is refused`() throws {
        let name = Array("relative".utf16)
        #expect(throws: NTStatus.invalidHandle) { try capture(name) { $0.RootDirectory = HANDLE(bitPattern: 0x3FF_FF00) } }
        #expect(throws: NTStatus.objectNameInvalid) { try capture(nil) { $0.RootDirectory = HANDLE(bitPattern: 4) } }
        #expect(throws: NTStatus.objectPathSyntaxBad) { try capture(Array("\\a".utf16)) { $0.RootDirectory = HANDLE(bitPattern: 4) } }
        let handle = try Host.makeHandle(for: Probe(), access: 1, waitable: false)
        #expect(throws: NTStatus.objectTypeMismatch) { try capture(name) { $0.RootDirectory = handle } }
        try HandleTable.close(handle)
    }

    @Test func `Wild pointers inside the structure are access violations`() {
        for address in BadMemory.wild {
            #expect(throws: NTStatus.accessViolation) { try capture(nil) { $0.ObjectName = address.assumingMemoryBound(to: UNICODE_STRING.self) } }
            #expect(throws: NTStatus.accessViolation) { try capture(nil) { $0.SecurityDescriptor = address } }
            #expect(throws: NTStatus.accessViolation) { try capture(nil) { $0.SecurityQualityOfService = address } }
            #expect(throws: NTStatus.accessViolation) { try SecurityDescriptorCapture.sid(at: address) }
            var name = UNICODE_STRING(Length: 8, MaximumLength: 8, Buffer: address.assumingMemoryBound(to: UInt16.self))
            #expect(throws: NTStatus.accessViolation) { try CallerString.capture(&name) }
        }
        #expect(throws: Never.self) { try CallerString.capture(nil) }
    }

    @Test func `A quality of service is checked`() throws {
        func captured(_ length: UInt32, _ level: UInt32, _ tracking: UInt8 = 0, _ effective: UInt8 = 0) throws -> CapturedQualityOfService {
            var bytes = (length, level, tracking, effective, UInt16(0))
            return try withUnsafeBytes(of: &bytes) { try CapturedQualityOfService($0.baseAddress) }
        }
        let good = try captured(12, 2, 1, 0)
        #expect(good.impersonationLevel == 2 && good.dynamicTracking && !good.effectiveOnly)
        #expect(throws: NTStatus.invalidParameter) { try captured(11, 2) }
        #expect(throws: NTStatus.badImpersonationLevel) { try captured(12, 4) }
        #expect(throws: NTStatus.badImpersonationLevel) { try captured(12, .max) }
        #expect(throws: NTStatus.accessViolation) { try CapturedQualityOfService(nil) }
    }

    @Test func `Absolute and self-relative descriptors give the same bytes`() throws {
        let relative: [UInt8] = [1, 0, 0x04, 0x80] + [20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0, 0] + systemSID + connectACL
        let memory = BadMemory()
        let place = memory.last(relative.count) // not a byte behind it can be read
        relative.withUnsafeBytes { place.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
        #expect(try SecurityDescriptorCapture.selfRelative(at: place) == relative)

        let owner = UnsafeMutablePointer<UInt8>.allocate(capacity: systemSID.count)
        let dacl = UnsafeMutableRawPointer.allocate(byteCount: connectACL.count, alignment: 4)
        defer {
            owner.deallocate()
            dacl.deallocate()
        }
        owner.initialize(from: systemSID, count: systemSID.count)
        dacl.copyMemory(from: connectACL, byteCount: connectACL.count)
        var absolute = SECURITY_DESCRIPTOR()
        absolute.Revision = 1
        absolute.Control = 4
        absolute.Owner = UnsafeMutableRawPointer(owner)
        absolute.Dacl = dacl.assumingMemoryBound(to: ACL.self)
        #expect(try SecurityDescriptorCapture.selfRelative(at: &absolute) == relative)
        absolute.Control = 0 // a list that is not said to be there does not count
        #expect(try SecurityDescriptorCapture.selfRelative(at: &absolute).count == 32)
    }

    @Test func `A NULL list that is said to be there stays so`() throws {
        var bytes: [UInt8] = [1, 0, 0x04, 0x80] + [UInt8](repeating: 0, count: 16)
        #expect(try bytes.withUnsafeMutableBytes { try SecurityDescriptorCapture.selfRelative(at: $0.baseAddress!) } == bytes)
    }

    @Test func `Malformed descriptors are refused`() {
        func refused(_ bytes: [UInt8]) -> NTStatus {
            let memory = BadMemory()
            let place = memory.last(bytes.count)
            bytes.withUnsafeBytes { place.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
            do throws(NTStatus) {
                _ = try SecurityDescriptorCapture.selfRelative(at: place)
                return .success
            } catch {
                return error
            }
        }
        let zeros = [UInt8](repeating: 0, count: 12)
        #expect(refused([2, 0, 4, 0x80] + [UInt8](repeating: 0, count: 16)) == .unknownRevision)
        #expect(refused([1, 0, 4, 0x80]) == .accessViolation) // the header is cut off
        #expect(refused([1, 0, 4, 0x80, 19, 0, 0, 0] + zeros) == .invalidSecurityDescr)
        #expect(refused([1, 0, 4, 0x80, 0xFF, 0xFF, 0xFF, 0xFF] + zeros) == .accessViolation)
        #expect(refused([1, 0, 4, 0x80, 20, 0, 0, 0] + zeros + [2, 1] + zeros) == .invalidSid)
        #expect(refused([1, 0, 4, 0x80, 20, 0, 0, 0] + zeros + [1, 16] + zeros) == .invalidSid)
        #expect(refused([1, 0, 4, 0x80, 20, 0, 0, 0] + zeros + [1, 15] + zeros) == .accessViolation) // shorter than it says
        #expect(refused([1, 0, 4, 0x80] + zeros + [20, 0, 0, 0] + [2, 0, 7, 0, 0, 0, 0, 0]) == .invalidAcl)
        #expect(refused([1, 0, 4, 0x80] + zeros + [20, 0, 0, 0] + [2, 0, 0xFF, 0xFF, 0, 0, 0, 0]) == .accessViolation)
    }
}
