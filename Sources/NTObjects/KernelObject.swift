// What every object that a handle can name has in common.
//
//      handle 4 --.                                   waitable: the host's name of the signal state
//      handle 8 ---+--> HandleTable --1 reference--> KernelObject ---> SignalState (native host)
//      handle 12 -'     (while any handle is open)        |            event of wineserver (Wine host)
//                                                        '---> lastHandleClosed(): end of its business
//
// Two ends come one after the other. When the last handle is closed the object does what it must do at once (a port hangs up),
// even while calls of other threads are still inside it. When the last reference goes, its memory does.

import CNTTypes
import NTTypes
import Synchronization

/// The object types of this library. The raw value is stored in the handle table; 0 means any type there.
public enum ObjectKind: UInt8, Sendable {
    case port = 1
    case event = 2
    case section = 3
    case file = 4
    case ioCompletion = 5
    case process = 6
    case thread = 7
    case waitCompletionPacket = 8

    /// As NtQueryObject tells it. Since Windows Vista LPC and ALPC share one type. [W] WINE-ALPC
    public var typeName: String {
        switch self {
        case .port: "ALPC Port"
        case .event: "Event"
        case .section: "Section"
        case .file: "File"
        case .ioCompletion: "IoCompletion"
        case .process: "Process"
        case .thread: "Thread"
        case .waitCompletionPacket: "WaitCompletionPacket"
        }
    }

    /// How generic rights turn into rights of the type: read, write, execute, all.
    /// Ports: [R] ROS-LPC, same numbers in WINE-ALPC [W]. Others: the rights that the types' documentation lists. [D]
    public var genericMapping: (read: UInt32, write: UInt32, execute: UInt32, all: UInt32) {
        switch self {
        case .port: (0x0002_0001, 0x0001_0001, 0, 0x001F_0001)
        case .event: (0x0002_0001, 0x0002_0002, 0x0012_0000, 0x001F_0003)
        case .section: (0x0002_0005, 0x0002_0002, 0x0002_0008, 0x000F_001F)
        case .file: (0x0012_0089, 0x0012_0116, 0x0012_00A0, 0x001F_01FF)
        case .ioCompletion: (0x0002_0001, 0x0002_0002, 0x0012_0000, 0x001F_0003)
        case .process: (0x0002_0410, 0x0002_0BEA, 0x0012_1001, 0x001F_FFFF)
        case .thread: (0x0002_0048, 0x0002_0437, 0x0012_1800, 0x001F_FFFF)
        case .waitCompletionPacket: (0x0002_0001, 0x0002_0001, 0x0002_0000, 0x000F_0001)
        }
    }

    /// The rights that a handle gets whose maker asked for `desired`: generic rights mapped, MAXIMUM_ALLOWED as all, bits that
    /// the type does not have dropped.
    public func grantedAccess(desired: UInt32) -> UInt32 {
        let mapping = genericMapping
        var granted = desired & 0x01FF_FFFF
        if desired & 0x8000_0000 != 0 { granted |= mapping.read }
        if desired & 0x4000_0000 != 0 { granted |= mapping.write }
        if desired & 0x2000_0000 != 0 { granted |= mapping.execute }
        if desired & 0x1200_0000 != 0 { granted |= mapping.all }
        // Who may query may query little. [D]
        if self == .process, granted & 0x400 != 0 { granted |= 0x1000 }
        if self == .thread, granted & 0x40 != 0 { granted |= 0x800 }
        return granted & mapping.all
    }

    /// The bit of ALPC_PORFLG_OBJECT_TYPE_* for messages that carry handles.
    public var messageType: ObjectType {
        switch self {
        case .file: .file
        case .thread: .thread
        case .event: .event
        case .process: .process
        case .section: .section
        case .port, .ioCompletion, .waitCompletionPacket: .none
        }
    }
}

/// An object that handles name. Subclasses are the ports and, in the native host, all others.
open class KernelObject: @unchecked Sendable {
    public let kind: ObjectKind

    /// Handles of this process that are open. Changed under the handle table's lock.
    let openHandles = Atomic<Int>(0)

    /// What the host sets and resets when the object's state changes; 0 before a handle was made. Closed with the object.
    private let waitable = Atomic<UInt>(0)

    /// The state that native waits look at. Nil in other hosts, where the host waits. Set before the first handle is visible.
    public internal(set) final var signal: SignalState?

    public init(kind: ObjectKind) { self.kind = kind }

    deinit {
        let waitable = waitable.load(ordering: .acquiring)
        if waitable != 0 { Host.closeWaitable(UnsafeMutableRawPointer(bitPattern: waitable)) }
    }

    /// The type's name, as NtQueryObject tells it.
    open var typeName: String { kind.typeName }

    /// The full NT path, nil for an unnamed object.
    open var objectName: String? { nil }

    /// Runs when the last handle in this process is gone: once for each time that the count falls to zero. No lock is held, and
    /// calls that came in before the close may still be inside the object.
    open func lastHandleClosed() {}

    /// One line for people who debug.
    open func describe() -> String { "\(typeName) handles=\(handleCount)" + (objectName.map { " name=\($0)" } ?? "") }

    /// Makes a handle of an object that the native host makes for itself. It names nothing until it is committed.
    public final func reserveHandle(access: UInt32, attributes: UInt32 = 0) throws(NTStatus) -> PendingHandle {
        try PendingHandle.native(for: self, access: access, attributes: attributes)
    }

    /// How many handles are open in this process.
    public final var handleCount: Int { openHandles.load(ordering: .relaxed) }

    /// Sets or resets what waits on the object's handles see. Any thread may call it; without a handle it does nothing.
    public final func setSignaled(_ signaled: Bool) {
        // ORDER: acquire. Pairs with the release store in `adopt`.
        let waitable = waitable.load(ordering: .acquiring)
        if waitable != 0 { Host.setSignaled(UnsafeMutableRawPointer(bitPattern: waitable), signaled) }
    }

    /// Takes over the waitable that the host made with the object's handle. An object that has one already (its second
    /// handle was made, not duplicated) keeps the first and the new one is given back to the host.
    final func adopt(_ new: UnsafeMutableRawPointer?) {
        guard let new else { return }
        // ORDER: acquire and release. Pairs with the loads in `setSignaled` and `deinit`.
        let (stored, _) = waitable.compareExchange(
            expected: 0, desired: UInt(bitPattern: new), successOrdering: .acquiringAndReleasing, failureOrdering: .acquiring)
        if !stored { Host.closeWaitable(new) }
    }
}
