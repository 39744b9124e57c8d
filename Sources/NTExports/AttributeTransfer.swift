// Message attributes between the caller's buffers and the ports.
//
// In: the header and each valid record are copied once; what they say is checked against the port later (OutgoingAttachments).
// Out: the receiver's AllocatedAttributes says what it wants, the message says what there is. Handles and views are made before
// anything is written, and undone when the caller's memory is not there.

import CNTTypes
import LinuxSystem
import NTObjects
import NTTypes
import Ports

/// The caller's attribute buffers.
enum AttributeTransfer {
    // MARK: In

    /// Reads the attributes of a message to send.
    /// - Throws: `accessViolation`; `invalidParameter` for a valid attribute without room ([R] NW-S), unknown flags, and a list of handles that
    ///   is none ([W] NDK: one entry, an indirect entry); `lpcHandleCountExceeded` above 512 ([W] NDK).
    static func read(_ pointer: UnsafeMutablePointer<ALPC_MESSAGE_ATTRIBUTES>?) throws(NTStatus) -> SentAttributes {
        guard let pointer else { return SentAttributes() }
        let head = try CallerMemory.read(pointer)
        guard head.ValidAttributes & ~head.AllocatedAttributes == 0 else { throw .invalidParameter }
        let allocated = AttributeSet(rawValue: head.AllocatedAttributes)
        let valid = AttributeSet(rawValue: head.ValidAttributes)
        let base = UnsafeRawPointer(pointer)
        var sent = SentAttributes()
        func record<Record>(_ attribute: AttributeSet, as type: Record.Type) throws(NTStatus) -> Record? {
            guard valid.contains(attribute), let offset = MessageAttributes.offset(of: attribute, in: allocated) else { return nil }
            return try CallerMemory.read(base + offset, as: type)
        }
        if let context = try record(.context, as: ALPC_CONTEXT_ATTR.self) {
            sent.messageContext = UInt64(UInt(bitPattern: context.MessageContext))
        }
        if valid.contains(.security) { sent.security = try SecurityAttributeCapture.read(SecurityAttributeCapture.place(in: base), qualityAlways: false) }
        if let view = try record(.view, as: ALPC_DATA_VIEW_ATTR.self) {
            guard view.Flags & ~ViewFlags.all == 0 else { throw .invalidParameter }
            sent.view = .init(flags: view.Flags, section: number(view.SectionHandle), base: UInt(bitPattern: view.ViewBase), size: UInt(view.ViewSize))
        }
        if let handle = try record(.handle, as: ALPC_HANDLE_ATTR.self) { sent.handles = try read(handle) }
        if let direct = try record(.direct, as: ALPC_DIRECT_ATTR.self) { sent.directEvent = UInt64(UInt(bitPattern: direct.Event)) }
        if let work = try record(.workOnBehalf, as: ALPC_WORK_ON_BEHALF_ATTR.self) { sent.ticket = UInt64(work.Ticket) }
        return sent
    }

    private static func number(_ handle: ALPC_HANDLE?) -> UInt64 { UInt64(UInt(bitPattern: handle)) }

    private static func read(_ attribute: ALPC_HANDLE_ATTR) throws(NTStatus) -> [SentHandle] {
        guard attribute.Flags & HandleFlags.indirect != 0 else {
            guard attribute.Flags & ~HandleFlags.direct == 0 else { throw .invalidParameter }
            return [SentHandle(flags: attribute.Flags, handle: UInt64(UInt(bitPattern: attribute.Handle)), objectType: attribute.ObjectType,
                               desiredAccess: attribute.DesiredAccess)]
        }
        let count = Int(attribute.HandleCount)
        guard count <= HandleFlags.mostHandles else { throw .lpcHandleCountExceeded }
        guard attribute.Flags == HandleFlags.indirect, count > 1 else { throw .invalidParameter }
        let entries = try CallerMemory.array(at: UnsafeRawPointer(attribute.HandleAttrArray), count: count, of: ALPC_HANDLE_ATTR32.self)
        var handles: [SentHandle] = []
        for entry in entries {
            guard entry.Flags & ~HandleFlags.direct == 0 else { throw .invalidParameter }
            handles.append(SentHandle(flags: entry.Flags, handle: UInt64(entry.Handle), objectType: entry.ObjectType, desiredAccess: entry.DesiredAccess))
        }
        return handles
    }

    // MARK: Out

    /// Writes what a received message has of what the caller allocated; stale bits are overwritten ([W] SOG, PFW).
    /// - Throws: `accessViolation`, and what the host says when a handle cannot be made; nothing is left behind then.
    @inline(never)
    static func write(_ delivery: borrowing Delivery, from port: ALPCPort, to pointer: UnsafeMutablePointer<ALPC_MESSAGE_ATTRIBUTES>?) throws(NTStatus) {
        guard let pointer else { return }
        var head = try CallerMemory.read(pointer)
        let allocated = AttributeSet(rawValue: head.AllocatedAttributes)
        head.ValidAttributes = 0
        // A connection request carries no context ([W?] NW-T: only a token).
        let isConnectionRequest = delivery.header.type & 0xFF == HeaderType.connectionRequest
        if !isConnectionRequest, let offset = MessageAttributes.offset(of: .context, in: allocated) {
            try CallerMemory.write(context(of: delivery), to: UnsafeMutableRawPointer(pointer) + offset)
            head.ValidAttributes = AttributeSet.context.rawValue
        }
        if let offset = MessageAttributes.offset(of: .token, in: allocated), let ids = port.tokenAttribute(of: delivery)?.luids {
            let token = ALPC_TOKEN_ATTR(TokenId: ids.token, AuthenticationId: ids.authentication, ModifiedId: ids.modified)
            try CallerMemory.write(token, to: UnsafeMutableRawPointer(pointer) + offset)
            head.ValidAttributes |= AttributeSet.token.rawValue
        }
        if let carried = delivery.carried {
            var incoming = Incoming(carried, port)
            do throws(NTStatus) {
                head.ValidAttributes |= try incoming.write(allocated, to: UnsafeMutableRawPointer(pointer))
                try CallerMemory.write(head, to: pointer)
            } catch {
                incoming.undo()
                throw error
            }
            return
        }
        try CallerMemory.write(head, to: pointer)
    }

    private static func context(of delivery: borrowing Delivery) -> ALPC_CONTEXT_ATTR {
        var context = ALPC_CONTEXT_ATTR()
        context.PortContext = UnsafeMutableRawPointer(bitPattern: UInt(delivery.portContext))
        context.MessageContext = UnsafeMutableRawPointer(bitPattern: UInt(delivery.messageContext))
        context.Sequence = delivery.sequence
        context.MessageId = delivery.header.messageID
        context.CallbackId = UInt32(truncatingIfNeeded: delivery.header.callbackID)
        return context
    }

    /// No message came with attributes: the valid bits say so.
    static func clear(_ pointer: UnsafeMutablePointer<ALPC_MESSAGE_ATTRIBUTES>?) throws(NTStatus) {
        guard let pointer else { return }
        var head = try CallerMemory.read(pointer)
        head.ValidAttributes = 0
        try CallerMemory.write(head, to: pointer)
    }
}

/// What a message carries on its way into the caller's attribute buffer.
private struct Incoming {
    private let carried: Attachments
    private let port: ALPCPort
    private var madeHandle: HANDLE?
    private var madeView = false

    init(_ carried: Attachments, _ port: ALPCPort) {
        self.carried = carried
        self.port = port
    }

    /// Returns the bits that are valid now.
    mutating func write(_ allocated: AttributeSet, to base: UnsafeMutableRawPointer) throws(NTStatus) -> UInt32 {
        var valid: AttributeSet = []
        if carried.attributes.contains(.security), let offset = MessageAttributes.offset(of: .security, in: allocated) {
            var security = ALPC_SECURITY_ATTR()
            security.ContextHandle = ALPC_HANDLE(bitPattern: UInt(carried.securityContext))
            try CallerMemory.write(security, to: base + offset)
            valid.insert(.security)
        }
        if carried.attributes.contains(.view), let offset = MessageAttributes.offset(of: .view, in: allocated), let view = try carried.mapView(for: port) {
            madeView = true
            var attribute = ALPC_DATA_VIEW_ATTR()
            attribute.Flags = carried.isSecureView ? ViewFlags.secure : 0
            attribute.ViewBase = UnsafeMutableRawPointer(bitPattern: view.base)
            attribute.ViewSize = SIZE_T(carried.viewSize)
            try CallerMemory.write(attribute, to: base + offset)
            valid.insert(.view)
        }
        if carried.attributes.contains(.handle), let offset = MessageAttributes.offset(of: .handle, in: allocated) {
            try CallerMemory.write(try handleAttribute(), to: base + offset)
            valid.insert(.handle)
        }
        if carried.attributes.contains(.workOnBehalf), let offset = MessageAttributes.offset(of: .workOnBehalf, in: allocated) {
            var work = ALPC_WORK_ON_BEHALF_ATTR()
            work.Ticket = carried.ticket
            try CallerMemory.write(work, to: base + offset)
            valid.insert(.workOnBehalf)
        }
        return valid.rawValue
    }

    /// A port that takes several handles gets their count and asks for each ([W] OVMM, SOG); another gets the handle itself ([W] PFW).
    private mutating func handleAttribute() throws(NTStatus) -> ALPC_HANDLE_ATTR {
        var attribute = ALPC_HANDLE_ATTR()
        if port.traits.attributes.flags.contains(.allowMultihandleAttribute) || carried.handles.count > 1 {
            attribute.HandleCount = ULONG(carried.handles.count)
            return attribute
        }
        let first = carried.handles[0]
        let handle = try first.fetch()
        madeHandle = handle
        attribute.Handle = handle
        attribute.ObjectType = first.type.rawValue
        attribute.GrantedAccess = first.access
        return attribute
    }

    func undo() {
        if let madeHandle { Host.closeObject(madeHandle) }
        if madeView { carried.unmapView() }
    }
}
