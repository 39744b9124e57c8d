// NtClose, NtDuplicateObject and NtQueryObject of the native host.
//
// Other hosts have these calls themselves and tell us through ntlpc_host.h; there ours answer STATUS_NOT_SUPPORTED, because
// they would change our table behind the host's back.

import CNTTypes
import NTObjects
import NTTypes

/// Throws `notSupported` in every world but the native one.
func requireNativeHost() throws(NTStatus) {
    guard Host.isNative else { throw .notSupported }
}

/// Closes a handle. The last handle of an object in this process ends the object's business.
///
/// Statuses: STATUS_INVALID_HANDLE for anything that is no open handle, NULL and the pseudo-handles among it;
/// STATUS_HANDLE_NOT_CLOSABLE for a handle that is protected from closing. [D]
@c @implementation
public func NtClose(_ handle: HANDLE?) -> NTSTATUS {
    statusBoundary("NtClose") { () throws(NTStatus) -> NTStatus in
        try requireNativeHost()
        try HandleTable.close(handle)
        return .success
    }
}

private enum Duplicate {
    static let closeSource: ULONG = 1
    static let sameAccess: ULONG = 2
    static let sameAttributes: ULONG = 4
}

/// Makes a second handle of an object, within the calling process. NtCurrentProcess() and NtCurrentThread() as source give a handle
/// that names them for everybody.
///
/// DUPLICATE_SAME_ACCESS copies the granted access, else it is made of `desiredAccess` (generic rights and MAXIMUM_ALLOWED
/// included): the process that owns the object may have any right to it; only a file's handle gives no more than it has itself. DUPLICATE_SAME_ATTRIBUTES copies the attributes, else
/// `handleAttributes` gives OBJ_INHERIT and OBJ_PROTECT_CLOSE. DUPLICATE_CLOSE_SOURCE closes the source whatever the result, if
/// it may be closed. [D] `targetHandle` may be NULL: the handle is made and its value is not told. [D]
///
/// Statuses: STATUS_NOT_SUPPORTED for a handle of another process, and for the pseudo-handles of tokens as source;
/// STATUS_INVALID_HANDLE; STATUS_OBJECT_TYPE_MISMATCH for what is no process; STATUS_ACCESS_DENIED for a process handle without
/// PROCESS_DUP_HANDLE, and for more rights to a file than the source grants; STATUS_INVALID_PARAMETER for unknown options, and without target process unless the source is only to be
/// closed; STATUS_ACCESS_VIOLATION for a bad `targetHandle`, before anything happens.
@c @implementation
public func NtDuplicateObject(
    _ sourceProcess: HANDLE?, _ source: HANDLE?, _ targetProcess: HANDLE?, _ targetHandle: UnsafeMutablePointer<HANDLE?>?,
    _ desiredAccess: ACCESS_MASK, _ handleAttributes: ULONG, _ options: ULONG
) -> NTSTATUS {
    statusBoundary("NtDuplicateObject") { () throws(NTStatus) -> NTStatus in
        try requireNativeHost()
        guard options & ~7 == 0 else { throw .invalidParameter }
        guard targetProcess != nil || options & Duplicate.closeSource != 0 else { throw .invalidParameter }
        if targetHandle != nil { try CallerMemory.probeWrite(targetHandle) }
        try requireCurrentProcess(sourceProcess, access: dupHandle)
        if targetProcess != nil { try requireCurrentProcess(targetProcess, access: dupHandle) }

        var failure: NTStatus?
        if targetProcess != nil {
            do throws(NTStatus) {
                try duplicate(source, targetHandle, desiredAccess, handleAttributes, options)
            } catch {
                failure = error
            }
        }
        if options & Duplicate.closeSource != 0 {
            do throws(NTStatus) {
                try HandleTable.close(source)
            } catch {
                // A duplicate that was made stays made; without one this is the call's own failure.
                if targetProcess == nil { failure = error }
            }
        }
        if let failure { throw failure }
        return .success
    }
}

private let dupHandle: UInt32 = 0x40 // PROCESS_DUP_HANDLE

/// What the small negative numbers name, nil for other values.
/// - Throws: `notSupported` for the tokens among them.
private func pseudoObject(_ handle: HANDLE?) throws(NTStatus) -> KernelObject? {
    if (-6 ... -3).contains(Int(bitPattern: handle)) { throw .notSupported }
    return try PseudoHandle.object(handle)
}

private func duplicate(
    _ source: HANDLE?, _ targetHandle: UnsafeMutablePointer<HANDLE?>?, _ desiredAccess: ACCESS_MASK, _ attributes: ULONG, _ options: ULONG
) throws(NTStatus) {
    let new: HANDLE
    if let object = try pseudoObject(source) {
        let access = options & Duplicate.sameAccess != 0 ? object.kind.genericMapping.all : object.kind.grantedAccess(desired: desiredAccess)
        var pending = try object.reserveHandle(access: access, attributes: options & Duplicate.sameAttributes != 0 ? 0 : attributes)
        new = pending.value
        pending.commit()
    } else {
        new = try HandleTable.duplicate(
            source,
            access: options & Duplicate.sameAccess != 0 ? nil : grantedAccess(source, desired: desiredAccess),
            attributes: options & Duplicate.sameAttributes != 0 ? nil : attributes & (HandleTable.inherit | HandleTable.protectFromClose))
    }
    guard targetHandle != nil else { return }
    do throws(NTStatus) {
        try CallerMemory.write(new, to: targetHandle)
    } catch {
        HandleTable.remove(new)
        throw error
    }
}

private func grantedAccess(_ source: HANDLE?, desired: ACCESS_MASK) throws(NTStatus) -> UInt32 {
    try HandleTable.withAnyObject(source) { object, handle throws(NTStatus) in
        guard object.kind == .file else { return object.kind.grantedAccess(desired: desired) }
        // What the open file can do, a handle that grants less must not give back.
        let maximumAllowed: UInt32 = 0x0200_0000
        let access = object.kind.grantedAccess(desired: desired & ~maximumAllowed)
        guard access & ~handle.grantedAccess == 0 else { throw .accessDenied }
        return desired & maximumAllowed == 0 ? access : handle.grantedAccess
    }
}

/// Tells about a handle and its object.
///
/// - ObjectBasicInformation: 56 bytes exactly, else STATUS_INFO_LENGTH_MISMATCH. `HandleCount` is this process's; pool use,
///   descriptor length and creation time are 0.
/// - ObjectNameInformation: a UNICODE_STRING and the text behind it. A length below 16 gives STATUS_INFO_LENGTH_MISMATCH, one that is too
///   short for the name STATUS_BUFFER_OVERFLOW; `returnLength` then tells what is needed. An unnamed object has a NULL buffer. [I]
/// - ObjectTypeInformation: 104 bytes and the type's name; STATUS_INFO_LENGTH_MISMATCH with the needed length when it does not fit.
///   System-wide counts are 0: no one process knows them.
/// - ObjectDataInformation: 2 bytes exactly, whether the handle is inherited and protected.
///
/// NtCurrentProcess() and NtCurrentThread() are told of too.
///
/// Other statuses: STATUS_INVALID_HANDLE; STATUS_INVALID_INFO_CLASS; STATUS_ACCESS_VIOLATION.
@c @implementation
public func NtQueryObject(
    _ handle: HANDLE?, _ informationClass: OBJECT_INFORMATION_CLASS, _ buffer: PVOID?, _ length: ULONG, _ returnLength: PULONG?
) -> NTSTATUS {
    statusBoundary("NtQueryObject") { () throws(NTStatus) -> NTStatus in
        try requireNativeHost()
        let answer: ObjectAnswer
        if let task = try PseudoHandle.object(handle) {
            let full = HandleInformation(grantedAccess: task.kind.genericMapping.all, attributes: 0, handleCount: 0)
            answer = try ObjectAnswer(informationClass, task, full, at: UInt(bitPattern: buffer))
        } else {
            answer = try HandleTable.withAnyObject(handle) { object, handle throws(NTStatus) in
                try ObjectAnswer(informationClass, object, handle, at: UInt(bitPattern: buffer))
            }
        }
        try CallerMemory.writeIfPresent(ULONG(answer.bytes.count), to: returnLength)
        guard answer.fits(Int(length)) else { return Int(length) < answer.fixedCount ? .infoLengthMismatch : answer.whenShort }
        try CallerMemory.copyOut(answer.bytes, to: buffer)
        return .success
    }
}

/// What one class of NtQueryObject has to say: a structure, and text behind it.
private struct ObjectAnswer {
    var bytes: [UInt8] = []
    /// Size of the structure without text.
    var fixedCount = 0
    /// The length must be that of the structure exactly.
    var exact = false
    /// The status when the structure fits and the text does not.
    var whenShort = NTStatus.infoLengthMismatch

    func fits(_ length: Int) -> Bool { exact ? length == bytes.count : length >= bytes.count }

    /// - Parameter address: where the bytes will lie; pointers to the text point there.
    init(_ informationClass: OBJECT_INFORMATION_CLASS, _ object: KernelObject, _ handle: HandleInformation, at address: UInt) throws(NTStatus) {
        switch informationClass {
        case ObjectBasicInformation:
            exact = true
            var basic = OBJECT_BASIC_INFORMATION()
            basic.Attributes = handle.attributes
            basic.GrantedAccess = handle.grantedAccess
            basic.HandleCount = ULONG(clamping: handle.handleCount)
            basic.PointerCount = ULONG(clamping: handle.handleCount + 1) // the handles' references and this call's
            basic.NameInformationLength = object.objectName.map { ULONG(MemoryLayout<UNICODE_STRING>.size + 2 * ($0.utf16.count + 1)) } ?? 0
            basic.TypeInformationLength = ULONG(MemoryLayout<OBJECT_TYPE_INFORMATION>.size + Self.roomForText(object.typeName))
            append(basic)
        case ObjectNameInformation:
            whenShort = .bufferOverflow
            var name = UNICODE_STRING()
            let text = Array((object.objectName ?? "").utf16)
            if !text.isEmpty { name = Self.string(text, at: address &+ UInt(MemoryLayout<UNICODE_STRING>.size)) }
            append(name)
            if !text.isEmpty { append(text) }
        case ObjectTypeInformation:
            var type = OBJECT_TYPE_INFORMATION()
            let text = Array(object.typeName.utf16)
            let mapping = object.kind.genericMapping
            type.TypeName = Self.string(text, at: address &+ UInt(MemoryLayout<OBJECT_TYPE_INFORMATION>.size))
            type.GenericMapping = GENERIC_MAPPING(
                GenericRead: mapping.read, GenericWrite: mapping.write, GenericExecute: mapping.execute, GenericAll: mapping.all)
            type.ValidAccessMask = mapping.all
            type.MaintainHandleCount = 1
            append(type)
            append(text)
            while bytes.count % 4 != 0 { bytes.append(0) }
        case ObjectDataInformation:
            exact = true
            append(OBJECT_DATA_INFORMATION(
                InheritHandle: handle.attributes & HandleTable.inherit != 0 ? 1 : 0,
                ProtectFromClose: handle.attributes & HandleTable.protectFromClose != 0 ? 1 : 0))
        default:
            throw .invalidInfoClass
        }
    }

    /// Bytes of a text with its terminator, rounded up to a multiple of 4.
    private static func roomForText(_ text: String) -> Int { (2 * (text.utf16.count + 1) + 3) & ~3 }

    private static func string(_ text: [UInt16], at address: UInt) -> UNICODE_STRING {
        UNICODE_STRING(
            Length: USHORT(clamping: 2 * text.count), MaximumLength: USHORT(clamping: 2 * (text.count + 1)), Buffer: PWSTR(bitPattern: address))
    }

    private mutating func append<Structure>(_ structure: Structure) {
        withUnsafeBytes(of: structure) { bytes.append(contentsOf: $0) }
        fixedCount = bytes.count
    }

    private mutating func append(_ text: [UInt16]) {
        (text + [0]).withUnsafeBytes { bytes.append(contentsOf: $0) }
    }
}
