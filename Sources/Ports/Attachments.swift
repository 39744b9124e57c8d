// What came with a message: descriptors, handles and numbers of a peer that may be hostile. They live as long as the message, and what
// nobody fetched is closed with it ([I]).

import CNTTypes
import CWireFormat
import LinuxSystem
import NTObjects
import NTTypes
import Transport

/// A handle that came with a message. Each fetch makes a new one ([W] OVMM asks twice and gets two).
public struct CarriedHandle: Sendable {
    public var type: ObjectType
    public var access: UInt32
    var attributes: UInt32
    fileprivate var descriptor: Descriptor?
    fileprivate var value: UInt64

    /// A new handle in this process.
    /// - Throws: what the host says of the descriptor or handle that the peer sent.
    public func fetch() throws(NTStatus) -> HANDLE {
        if let descriptor { return try Host.handle(for: descriptor, type: type, access: access, attributes: attributes) }
        let sameAccess: UInt32 = 2
        let copy = try Host.send(HANDLE(bitPattern: UInt(value)), to: Host.clientID().process, access: access, attributes: attributes, options: sameAccess)
        guard let handle = HANDLE(bitPattern: UInt(copy)) else { throw .invalidHandle }
        return handle
    }
}

/// The attachments of a received message.
public final class Attachments: @unchecked Sendable {
    /// Which attributes were sent: bits of `AttributeSet`.
    public let attributes: AttributeSet
    public let handles: [CarriedHandle]
    public let viewSize: UInt64
    public let isSecureView: Bool
    /// The security context that the message came under.
    let context: SentContext?
    public let ticket: UInt64
    private let viewFile: Descriptor?
    private let viewOffset: UInt64
    /// The connection that the message came over.
    private let connection: ObjectIdentifier

    private struct State {
        var view: PortView?
    }
    private let state = FutexLock(State())

    /// Unpacks what a frame names. Nil when no honest peer sends it.
    init?(_ head: ntlpc_attached, _ entry: LinkEntry, connection: ObjectIdentifier) {
        var attributes = AttributeSet(rawValue: head.attributes)
        guard attributes.isSubset(of: [.view, .handle, .security, .workOnBehalf]) else { return nil }
        var items: [ParcelItem] = []
        if head.parcel != 0 {
            switch entry.link.takeParcel(head.parcel) {
            case .here(let found): items = found
            // No room for the descriptors in this process: the message comes without them.
            case .lost: attributes.subtract([.view, .handle])
            case .missing: return nil
            }
        }
        var handles: [CarriedHandle] = []
        var viewFile: Descriptor?
        var viewOffset: UInt64 = 0
        for one in items {
            switch UInt32(one.item.kind) {
            case NTLPC_ITEM_VIEW where viewFile == nil:
                guard let file = one.descriptor else { return nil }
                viewFile = file
                viewOffset = one.item.value
            case NTLPC_ITEM_HANDLE:
                // A value means something only among processes that share handles.
                guard one.descriptor != nil || entry.sharesHandles else { return nil }
                handles.append(CarriedHandle(type: ObjectType(rawValue: one.item.object_type), access: one.item.access,
                                             attributes: one.item.attributes & 2, descriptor: one.descriptor, value: one.item.value))
            default: return nil
            }
        }
        guard handles.count <= HandleFlags.mostHandles, attributes.contains(.handle) == !handles.isEmpty,
              attributes.contains(.view) == (viewFile != nil) else { return nil }
        let context = SentContext(context: head.context, qos: head.qos)
        guard attributes.contains(.security) == (context != nil) else { return nil }
        let isSecure = head.view_flags & ViewFlags.secure != 0
        if let viewFile {
            guard OfferedView.isSound(viewFile, viewOffset, head.view_size, peer: entry.link.peer),
                  !isSecure || MemoryFile.isSealedAgainstWrites(viewFile) && MemoryFile.cannotShrink(viewFile) else { return nil }
        }
        self.attributes = attributes
        self.handles = handles
        self.viewFile = viewFile
        self.viewOffset = viewOffset
        self.connection = connection
        viewSize = head.view_size
        isSecureView = isSecure
        self.context = context
        ticket = head.ticket
    }

    deinit {
        for one in handles where one.descriptor == nil { Host.closeObject(HANDLE(bitPattern: UInt(one.value))) }
    }

    /// Its value at the sender; 0 without one.
    public var securityContext: UInt32 { context?.number ?? 0 }

    /// The receiver owes an answer, so that these can be let go of ([W] OVMM).
    var needsContinuation: Bool { !attributes.isDisjoint(with: [.view, .handle]) }

    // MARK: The view

    /// Maps the view into this process, once. It stays until it is deleted, answered with the unmap flag, or the port closes.
    public func mapView(for port: ALPCPort) throws(NTStatus) -> PortView? {
        guard let viewFile else { return nil }
        if let known = state.withLock({ $0.view }) { return known }
        let memory: MemoryView
        do throws(Errno) {
            let count = Int(MemoryFile.pages(viewSize) ?? viewSize)
            do throws(Errno) {
                memory = try MemoryView(viewFile, offset: viewOffset, count: count, access: isSecureView ? .readFinal : .readWrite)
            } catch {
                guard error == .accessDenied || error == .notPermitted, !isSecureView else { throw error }
                memory = try MemoryView(viewFile, offset: viewOffset, count: count, access: .read)
            }
        } catch {
            throw .noMemory
        }
        let made = PortView(memory: memory, file: viewFile, offset: viewOffset, isSecure: isSecureView, queues: port.queues, connection: connection,
                            section: nil, port: nil)
        let winner = state.withLock { state -> PortView in
            if state.view == nil { state.view = made }
            return state.view!
        }
        if winner === made { PortViews.add(made) }
        return winner
    }

    /// The receiver lets go of the view.
    public func unmapView() {
        let view = state.withLock { state -> PortView? in
            let view = state.view
            state.view = nil
            return view
        }
        if let view { PortViews.remove(view) }
    }
}

extension Delivery {
    /// What came with the message, if anything did.
    public var carried: Attachments? { attachments?.takeUnretainedValue() }
}

extension QueueState {
    /// Takes the head of an attached frame's payload off and unpacks what it names; false when no honest peer sends it.
    mutating func unpack(_ frame: inout ntlpc_frame, _ payload: inout UnsafeRawPointer, _ entry: LinkEntry) -> Bool {
        let size = MemoryLayout<ntlpc_attached>.size
        guard Int(frame.length) >= size, frame.kind == FrameKind.message || frame.kind == FrameKind.answer else { return false }
        let head = payload.loadUnaligned(as: ntlpc_attached.self)
        frame.length -= UInt32(size)
        payload += size
        // For a connection that is gone here the parcel is taken all the same, and let go of.
        let owner = entry.connection(frame.connection).map { ObjectIdentifier($0) } ?? ObjectIdentifier(entry)
        defer { if entry.link.hasNews { noteNews(entry) } }
        guard let attachments = Attachments(head, entry, connection: owner) else { return false }
        carried = attachments
        return true
    }
}
