// What a sender attaches to a message: checked against the port, then packed for the wire, then committed when the frame is out.
//
//   read       NTExports copies the caller's attributes: numbers, not yet believed
//   attach     views and handles are found and checked; nothing is changed yet, but a secure view is sealed
//   pack       descriptors and handles go to the peer's process in a parcel; the answer is the head that the frame carries
//   commit     the frame is out: an auto-release view leaves the sender
//   take back  the frame did not go out: the peer forgets the parcel

import CNTTypes
import CWireFormat
import Glibc
import LinuxSystem
import NTObjects
import NTTypes
import Transport

/// A handle that the caller wants to send, as in ALPC_HANDLE_ATTR.
public struct SentHandle: Sendable {
    public var flags: UInt32
    public var handle: UInt64
    public var objectType: UInt32
    public var desiredAccess: UInt32

    public init(flags: UInt32, handle: UInt64, objectType: UInt32, desiredAccess: UInt32) {
        self.flags = flags
        self.handle = handle
        self.objectType = objectType
        self.desiredAccess = desiredAccess
    }
}

/// The attributes of a message to send, as the caller gave them.
public struct SentAttributes: Sendable {
    public struct View: Sendable {
        public var flags: UInt32
        public var section: UInt64
        public var base: UInt
        public var size: UInt

        public init(flags: UInt32, section: UInt64, base: UInt, size: UInt) {
            self.flags = flags
            self.section = section
            self.base = base
            self.size = size
        }
    }

    public var messageContext: UInt64 = 0
    public var view: View?
    /// Nil without the attribute.
    public var handles: [SentHandle]?
    public var security: SentSecurity?
    public var ticket: UInt64?
    /// The event of a DIRECT attribute.
    public var directEvent: UInt64?

    public init() {}

    public var isEmpty: Bool { view == nil && handles == nil && security == nil && ticket == nil && directEvent == nil }
}

/// ALPC_SECURITY_ATTR as the caller gave it.
public struct SentSecurity: Sendable {
    public var flags: UInt32
    public var qos: SecurityQualityOfService?
    public var context: UInt64

    public init(flags: UInt32, qos: SecurityQualityOfService?, context: UInt64) {
        self.flags = flags
        self.qos = qos
        self.context = context
    }

    /// A context is made for this message.
    public var makesContext: Bool { context == SecurityFlags.noHandle }
}

/// ALPC_VIEWFLG_*.
public enum ViewFlags {
    /// Releases the view that came with the message which is answered.
    public static let unmapExisting: UInt32 = 0x1_0000
    public static let autoRelease: UInt32 = 0x2_0000
    /// Set by the receiver's side for a view that nobody can change any more (section 17, point 12).
    public static let secure: UInt32 = 0x4_0000
    public static let all: UInt32 = 0x7_0000
}

/// ALPC_HANDLEFLG_*.
public enum HandleFlags {
    public static let sameAccess: UInt32 = 0x1_0000
    public static let sameAttributes: UInt32 = 0x2_0000
    public static let indirect: UInt32 = 0x4_0000
    public static let inherit: UInt32 = 0x8_0000
    public static let direct: UInt32 = sameAccess | sameAttributes | inherit
    /// Handles in one message ([W] NDK).
    public static let mostHandles = 512
}

/// Attachments of one message on its way out.
public final class OutgoingAttachments: @unchecked Sendable {
    private struct Carried {
        var sent: SentHandle
        var type: ObjectType
        var access: UInt32
        var attributes: UInt32
    }

    private var view: PortView?
    private var viewFlags: UInt32 = 0
    private var carried: [Carried] = []
    /// Signaled when the message is over: by then nobody keeps it any more.
    private(set) var event: EventReference?
    private var head = ntlpc_attached()
    private var security: MessageSecurity?
    private var isOut = false

    /// Checks what the caller attached to a message for the other side of `connection`.
    /// - Throws: `invalidParameter` for a view whose base or size is none of the port's; `invalidHandle`, `objectTypeMismatch`
    ///   (the handle is of another type than it says, or of one that cannot travel), `accessDenied` (more access than the handle has, or
    ///   a type that the receiver does not take), as section 17, point 13 proposes; `invalidParameter` for a DIRECT attribute on a port
    ///   without the direct message flag ([I]); what `ALPCPort.attach` says of a security context.
    init(_ sent: SentAttributes, _ port: ALPCPort, peerFlags: UInt32, peerTypes: UInt32) throws(NTStatus) {
        if let given = sent.view, given.base != 0 || given.flags & ViewFlags.unmapExisting == 0 { try attach(given, port) }
        for handle in sent.handles ?? [] { try attach(handle, peerFlags, peerTypes) }
        if carried.count > 1 && peerFlags & PortFlags.allowMultihandleAttribute.rawValue == 0 { throw .invalidParameter }
        if !carried.isEmpty {
            head.attributes |= AttributeSet.handle.rawValue
            head.handle_count = UInt32(carried.count)
        }
        if let direct = sent.directEvent {
            guard port.traits.attributes.flags.contains(.directMessage) else { throw .invalidParameter }
            event = try Host.event(HANDLE(bitPattern: UInt(direct)))
            try port.keepPumping()
        }
        if let ticket = sent.ticket {
            head.attributes |= AttributeSet.workOnBehalf.rawValue
            head.ticket = ticket
        }
        // Last: it may make a context, and nothing after it fails.
        if let security = sent.security {
            let found = try port.attach(security)
            self.security = found
            head.attributes |= AttributeSet.security.rawValue
            head.context = found.context
            head.qos = found.qos
        }
    }

    /// What goes into the sender's SECURITY attribute; nil leaves it alone.
    public var contextToWrite: UInt32? { security?.handleToWrite }

    /// The call is over, and with it what was only for its message.
    /// - Returns: false when the message did not go out.
    @discardableResult
    public func end(_ port: ALPCPort) -> Bool {
        if let security { port.finish(security, wasSent: isOut) }
        security = nil
        return isOut
    }

    private func attach(_ given: SentAttributes.View, _ port: ALPCPort) throws(NTStatus) {
        guard let view = PortViews.find(given.base, for: port), given.size == 0 || given.size <= view.size else { throw .invalidParameter }
        if given.section != 0, let section = view.section {
            guard let value = UInt32(exactly: given.section) else { throw .invalidHandle }
            // A section that was deleted meanwhile has no handle any more, and its views live on.
            if let named: PortSection = port.existingResources?.find(value, .section), named !== section { throw .invalidParameter }
        }
        try view.seal()
        self.view = view
        viewFlags = given.flags
        head.attributes |= AttributeSet.view.rawValue
        head.view_flags = view.isSecure ? ViewFlags.secure : 0
        head.view_size = UInt64(given.size == 0 ? view.size : given.size)
    }

    private func attach(_ sent: SentHandle, _ peerFlags: UInt32, _ peerTypes: UInt32) throws(NTStatus) {
        let handle = HANDLE(bitPattern: UInt(sent.handle))
        let found = try Host.query(handle)
        guard found.type != .none, sent.objectType == 0 || sent.objectType == found.type.rawValue else { throw .objectTypeMismatch }
        if peerFlags & PortFlags.allowDupObject.rawValue != 0, peerTypes & found.type.rawValue == 0 { throw .accessDenied }
        let access = sent.flags & HandleFlags.sameAccess != 0 ? found.access : sent.desiredAccess
        var attributes: UInt32 = sent.flags & HandleFlags.inherit != 0 ? 2 : 0
        if sent.flags & HandleFlags.sameAttributes != 0 { attributes |= found.attributes }
        carried.append(Carried(sent: sent, type: found.type, access: access, attributes: attributes))
    }

    public var isEmpty: Bool { head.attributes == 0 && event == nil }

    /// Sends what must travel ahead of the frame.
    /// - Returns: the head to put before the payload.
    /// - Throws: `notSupported` for an object that cannot reach the peer's world; `insufficientResources`; `portDisconnected`.
    func pack(_ entry: LinkEntry) throws(NTStatus) -> ntlpc_attached {
        guard head.parcel == 0 else { return head }
        var items: [ParcelItem] = []
        if let view {
            var item = ntlpc_parcel_item()
            item.kind = UInt16(NTLPC_ITEM_VIEW)
            item.flags = UInt16(NTLPC_ITEM_HAS_DESCRIPTOR)
            item.value = view.fileOffset
            items.append(ParcelItem(item, descriptor: view.file))
        }
        for one in carried { items.append(try pack(one, entry)) }
        guard !items.isEmpty else { return head }
        do throws(Errno) {
            head.parcel = try entry.link.sendParcel(items)
        } catch {
            switch error {
            case .brokenPipe, .connectionReset: throw .portDisconnected
            default: throw .insufficientResources
            }
        }
        return head
    }

    private func pack(_ one: Carried, _ entry: LinkEntry) throws(NTStatus) -> ParcelItem {
        let handle = HANDLE(bitPattern: UInt(one.sent.handle))
        var item = ntlpc_parcel_item()
        item.kind = UInt16(NTLPC_ITEM_HANDLE)
        item.object_type = one.type.rawValue
        item.access = one.access
        item.attributes = one.attributes
        if entry.sharesHandles {
            let same: UInt32 = one.sent.flags & HandleFlags.sameAccess != 0 ? 2 : 0
            item.value = try Host.send(handle, to: entry.ntProcess, access: one.access, attributes: one.attributes, options: same)
            return ParcelItem(item, descriptor: nil)
        }
        // Between the worlds only what is Linux's own is the same object on both sides; of other descriptors a host makes nothing.
        guard entry.link.greeting.world == Host.world.rawValue || one.type == .file || one.type == .section else { throw .notSupported }
        item.flags = UInt16(NTLPC_ITEM_HAS_DESCRIPTOR)
        return ParcelItem(item, descriptor: try Host.descriptor(of: handle, access: one.access))
    }

    /// The frame is out.
    func commit() {
        isOut = true
        if let view, viewFlags & ViewFlags.autoRelease != 0 { PortViews.remove(view) }
    }

    /// The frame did not go out.
    func takeBack(_ entry: LinkEntry) {
        if head.parcel != 0 { entry.link.takeBackParcel(head.parcel) }
        head.parcel = 0
    }
}

extension LinkEntry {
    /// The peer's process can be given handles of this world: same session, and the kernel says that it is the same user.
    var sharesHandles: Bool {
        let session = Host.session
        return session != 0 && link.greeting.session == session && link.peer.uid == geteuid()
    }
}
