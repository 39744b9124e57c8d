// A file descriptor with an NT handle. Files are not opened, read or written here: a program that ports code brings a descriptor
// and takes one back.
//
// What the open file can do bounds what its handles grant. A handle that grants less than the open file can do is handed to
// another process as a descriptor of the same file opened anew with less, because a descriptor knows no other rights than its
// open file's.

import Glibc
import LinuxSystem
import NTTypes

/// An NT file object.
public final class FileObject: KernelObject, @unchecked Sendable {
    /// FILE_READ_DATA, FILE_WRITE_DATA and FILE_APPEND_DATA.
    static let reads: UInt32 = 0x1, writes: UInt32 = 0x2 | 0x4

    public let descriptor: Descriptor

    /// - Parameter descriptor: belongs to the object from here on.
    public init(_ descriptor: Descriptor) {
        self.descriptor = descriptor
        super.init(kind: .file)
        // No operation is ever under way, so a wait has nothing to wait for. [I]
        signal = SignalState(.notification, signaled: true)
    }

    /// - Parameter descriptor: stays the caller's.
    /// - Throws: `invalidHandle` when it is not open; `insufficientResources`.
    public convenience init(duplicating descriptor: Int32) throws(NTStatus) {
        do throws(Errno) {
            self.init(try Descriptor.duplicate(of: descriptor))
        } catch {
            throw error == .badDescriptor ? .invalidHandle : NTStatus(error)
        }
    }

    /// The rights of a handle whose maker asked for `desired`.
    /// - Throws: `accessDenied` when the open file cannot do what was asked for; MAXIMUM_ALLOWED asks for what it can.
    public func grantedAccess(desired: UInt32) throws(NTStatus) -> UInt32 {
        let mode = try mode()
        let possible = ~((mode.reads ? 0 : Self.reads) | (mode.writes ? 0 : Self.writes))
        let maximumAllowed: UInt32 = 0x0200_0000
        let granted = kind.grantedAccess(desired: desired & ~maximumAllowed)
        guard granted & ~possible == 0 else { throw .accessDenied }
        return desired & maximumAllowed == 0 ? granted : kind.genericMapping.all & possible
    }

    /// A descriptor that can do what `access` grants and no more.
    /// - Throws: `notSupported` for something other than a file of a file system that would have to be opened anew.
    func descriptor(for access: UInt32) throws(NTStatus) -> Descriptor {
        let mode = try mode()
        return try FileObject.limit(descriptor, to: (access & Self.reads != 0, access & Self.writes != 0), has: mode)
    }

    private func mode() throws(NTStatus) -> (reads: Bool, writes: Bool) {
        do throws(Errno) { return try descriptor.mode } catch { throw NTStatus(error) }
    }

    static func limit(_ descriptor: Descriptor, to need: (reads: Bool, writes: Bool), has mode: (reads: Bool, writes: Bool)) throws(NTStatus) -> Descriptor {
        do throws(Errno) {
            if need == mode || need.reads && need.writes { return try descriptor.duplicated() }
            switch try DescriptorKind(descriptor) {
            case .regular, .memory: break
            default:
                if !mode.reads && !mode.writes { return try descriptor.duplicated() }
                throw .operationNotSupported
            }
            return try descriptor.reopened(reads: need.reads && mode.reads, writes: need.writes && mode.writes)
        } catch {
            throw error == .operationNotSupported ? .notSupported : NTStatus(error)
        }
    }

    public override func describe() -> String { "\(super.describe()) descriptor=\(descriptor.rawValue)" }
}
