// The seam to the world the library lives in: the installed NTLPC_HOST table (ntlpc_host.h) behind typed functions.
//
// There is one table for the life of the process. A host that wants to be it calls ntlpc_set_host before the first call of the
// library; else the native host (NativeHost.swift) is installed then. Everything above this file is the same in every world.

import CLinuxShims
import CNTTypes
import LinuxSystem
import NTTypes
import Synchronization

/// Ids of a thread as the programs of its world know them. NT: CLIENT_ID.
public struct ClientID: Equatable, Hashable, Sendable {
    public var process: UInt64
    public var thread: UInt64
    public init(process: UInt64, thread: UInt64) {
        self.process = process
        self.thread = thread
    }
}

/// The world around the library.
public enum Host {
    /// Which kind of world. NT has no name for it; C has NTLPC_WORLD_*.
    public enum World: UInt32, Sendable {
        case native = 1
        case wine = 2
        case other = 3
    }

    /// Address of the NTLPC_HOST in use; 0 until one is installed. Set once.
    private static let installed = Atomic<UInt>(0)
    /// True after the first call of the library has set everything up.
    @usableFromInline static let started = Atomic<Bool>(false)

    // MARK: Start

    /// Installs a host's table.
    /// - Throws: `invalidParameter` for a table that is too small, of an unknown world or with a hole; `alreadyInitialized` when
    ///   there is a host, be it the native one that the first call installed.
    public static func install(_ table: UnsafePointer<NTLPC_HOST>?) throws(NTStatus) {
        guard let table, Int(table.pointee.Size) >= MemoryLayout<NTLPC_HOST>.size, World(rawValue: table.pointee.World) != nil,
              table.pointee.CreateHandle != nil, table.pointee.CloseHandle != nil, table.pointee.SetSignaled != nil,
              table.pointee.CloseWaitable != nil, table.pointee.ClassifyHandle != nil, table.pointee.QueryDirectoryName != nil,
              table.pointee.QueryClientId != nil
        else { throw .invalidParameter }
        guard claim(table) else { throw .alreadyInitialized }
    }

    private static func claim(_ table: UnsafePointer<NTLPC_HOST>) -> Bool {
        // ORDER: release. Pairs with the acquire load in `table`; publishes the table's contents.
        installed.compareExchange(expected: 0, desired: UInt(bitPattern: table), ordering: .acquiringAndReleasing).exchanged
    }

    /// Sets the library up for its first call. Cheap when that is done.
    @inlinable
    @inline(__always)
    public static func start() {
        // ORDER: acquire. Pairs with the release store in `startOnce`.
        if !started.load(ordering: .acquiring) { startSlowly() }
    }

    @usableFromInline
    @inline(never)
    static func startSlowly() { _ = startOnce }

    private static let startOnce: Void = {
        _ = claim(NativeHost.table)
        ntlpc_fork_install()
        raiseDescriptorLimit()
        // Wine owns the fault signals, and its preload library asks ntlpc_handle_fault_signal first. If the handlers cannot be
        // installed, a bad pointer of a caller ends the process as it does in any C library.
        if table.pointee.World != World.wine.rawValue { _ = ntlpc_copy_install() }
        started.store(true, ordering: .releasing)
    }()

    private static var table: UnsafePointer<NTLPC_HOST> {
        if let found = UnsafePointer<NTLPC_HOST>(bitPattern: installed.load(ordering: .acquiring)) { return found }
        _ = claim(NativeHost.table)
        return UnsafePointer(bitPattern: installed.load(ordering: .acquiring))!
    }

    /// The entries that a host may lack; see HostObjects.swift.
    static var extended: NTLPC_HOST { table.pointee }

    public static var world: World { World(rawValue: table.pointee.World)! }
    public static var isNative: Bool { table.pointee.World == World.native.rawValue }

    // MARK: Handles

    /// Gives `object` a handle of this world, which no lookup finds before it is committed.
    ///
    /// - Parameter waitable: false makes a handle that is always signaled, true one that is not signaled until `setSignaled`.
    /// - Throws: what the host says; `insufficientResources`. Nothing is left behind then.
    public static func reserveHandle(
        for object: KernelObject, access: UInt32, attributes: UInt32 = 0, waitable: Bool
    ) throws(NTStatus) -> PendingHandle {
        start()
        var value: HANDLE?
        var signal: PVOID?
        try check(table.pointee.CreateHandle!(&value, &signal, access, attributes, waitable ? 0 : 1))
        do throws(NTStatus) {
            try HandleTable.prepare(value)
        } catch {
            if signal != nil { closeWaitable(signal) }
            abandon(value)
            throw error
        }
        if isNative, let signal, object.signal == nil { object.signal = NativeHost.state(of: signal) }
        if waitable { object.adopt(signal) } else if signal != nil { closeWaitable(signal) }
        return PendingHandle(value: value!, object: object, access: access, attributes: attributes)
    }

    /// The same, committed at once.
    public static func makeHandle(
        for object: KernelObject, access: UInt32, attributes: UInt32 = 0, waitable: Bool
    ) throws(NTStatus) -> HANDLE {
        var pending = try reserveHandle(for: object, access: access, attributes: attributes, waitable: waitable)
        pending.commit()
        return pending.value
    }

    /// Undoes `makeHandle` for a call that failed later: the handle is gone as if it had been closed.
    public static func closeHandle(_ handle: HANDLE?) {
        HandleTable.removeKeepingValue(handle)
        abandon(handle)
    }

    /// Gives a value back that no lookup finds any more.
    static func abandon(_ handle: HANDLE?) {
        // A host that cannot close what it made has lost the handle already; there is nobody to tell.
        _ = table.pointee.CloseHandle!(handle)
    }

    /// Why a handle that is none of ours fails: `objectTypeMismatch` if the host knows it, else `invalidHandle`.
    public static func classify(_ handle: HANDLE?) -> NTStatus {
        guard handle != nil else { return .invalidHandle }
        let status = NTStatus(rawValue: table.pointee.ClassifyHandle!(handle))
        return status.isSuccess ? .objectTypeMismatch : status
    }

    /// The full name of a directory object, in UTF-16, for names relative to it.
    /// - Throws: `invalidHandle`, `objectTypeMismatch`, what else the host says; `objectNameInvalid` for a name above 0xFFFF bytes.
    public static func directoryName(_ directory: HANDLE?) throws(NTStatus) -> [UInt16] {
        var capacity = 512
        while true {
            var length = ULONG(capacity)
            var name = [UInt16](repeating: 0, count: capacity / 2)
            let result = name.withUnsafeMutableBufferPointer { buffer in
                buffer.withMemoryRebound(to: WCHAR.self) { table.pointee.QueryDirectoryName!(directory, $0.baseAddress, &length) }
            }
            if result >= 0 { return Array(name.prefix(min(Int(length) / 2, name.count))) }
            let status = NTStatus(rawValue: result)
            guard status == .bufferTooSmall || status == .bufferOverflow || status == .infoLengthMismatch else { throw status }
            guard capacity < 0x1_0000 else { throw .objectNameInvalid }
            capacity = min(max(capacity * 2, Int(length) & ~1), 0x1_0000)
        }
    }

    // MARK: Signals and identity

    static func setSignaled(_ waitable: PVOID?, _ signaled: Bool) { table.pointee.SetSignaled!(waitable, signaled ? 1 : 0) }
    static func closeWaitable(_ waitable: PVOID?) { table.pointee.CloseWaitable!(waitable) }

    /// The calling thread, as the world's programs know it. Asked for once in a thread's life.
    @inline(__always)
    public static func clientID() -> ClientID {
        let thread = ntlpc_thread_current()
        if thread.pointee.nt_thread == 0 { queryClientID() }
        return ClientID(process: thread.pointee.nt_process, thread: thread.pointee.nt_thread)
    }

    @inline(never)
    private static func queryClientID() {
        var found = CLIENT_ID()
        table.pointee.QueryClientId!(&found)
        let thread = ntlpc_thread_current()
        ntlpc_thread_set_ids(thread, UInt64(UInt(bitPattern: found.UniqueProcess)), UInt64(UInt(bitPattern: found.UniqueThread)))
        if thread.pointee.registered == 0 { ntlpc_thread_register() }
    }

    /// A status of the host, thrown if it is a failure.
    private static func check(_ status: NTSTATUS) throws(NTStatus) {
        if status < 0 { throw NTStatus(rawValue: status) }
    }
}

/// A handle that exists for its host and has its place in the table, but names nothing yet. If it is not committed it is undone, so
/// a call can write the value to its caller's memory first and fail without trace.
public struct PendingHandle: ~Copyable {
    public let value: HANDLE
    private let object: KernelObject
    private let access: UInt32
    private let attributes: UInt32
    private var committed = false

    init(value: HANDLE, object: KernelObject, access: UInt32, attributes: UInt32) {
        self.value = value
        self.object = object
        self.access = access
        self.attributes = attributes
    }

    /// Makes the handle name its object. Cannot fail.
    public mutating func commit() {
        guard !committed else { return }
        HandleTable.insertPrepared(object, at: value, access: access, attributes: attributes & HandleTable.inherit)
        committed = true
    }

    deinit { if !committed { Host.abandon(value) } }

    /// A handle of an object that the native host makes for itself.
    static func native(for object: KernelObject, access: UInt32, attributes: UInt32) throws(NTStatus) -> PendingHandle {
        PendingHandle(value: try HandleTable.reserve(), object: object, access: access, attributes: attributes)
    }
}
