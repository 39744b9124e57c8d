// The views of an LPC connection: each side may bring a section, which both sides map when the connection is made ([B] NTDBG; [R] ROS-LPC).
//
//   client  maps its section, sends the file with its connect        PORT_VIEW: ViewBase, later ViewRemoteBase
//   server  accepts: maps the client's section                       REMOTE_PORT_VIEW: ViewBase
//           maps its own section, has the client's process map it    PORT_VIEW: ViewBase and ViewRemoteBase
//   client  is answered                                              REMOTE_PORT_VIEW: ViewBase in the client
//
// The views belong to the ports of the connection and end with them.

import CNTTypes
import CWireFormat
import Glibc
import LinuxSystem
import NTObjects
import NTTypes
import Transport

/// A part of a section that one side shows the other.
public struct OfferedView: Sendable {
    let file: Descriptor
    let offset: UInt64
    public let size: UInt64

    /// What the caller of an LPC connect or accept gives in PORT_VIEW.
    /// - Parameter size: 0 takes the rest of the section.
    /// - Throws: what the host says of the handle, `accessDenied` without SECTION_MAP_READ and SECTION_MAP_WRITE ([R]); `mappedAlignment` for an
    ///   offset that is not whole 64 KiB; `invalidViewSize` for a part that is not in the section.
    public init(section handle: HANDLE?, offset: UInt32, size: UInt64) throws(NTStatus) {
        let mapReadWrite: UInt32 = 6
        guard try Host.query(handle).type == .section else { throw .objectTypeMismatch }
        file = try Host.descriptor(of: handle, access: mapReadWrite)
        guard let whole = MemoryFile.size(of: file).flatMap({ MemoryFile.pages($0) }) else { throw .notSupported }
        guard UInt64(offset) % PortSection.granularity == 0 else { throw .mappedAlignment }
        guard UInt64(offset) < whole, let wanted = size == 0 ? whole - UInt64(offset) : MemoryFile.pages(size),
              wanted <= whole - UInt64(offset) else { throw .invalidViewSize }
        self.offset = UInt64(offset)
        self.size = wanted
    }

    /// What a parcel of the peer holds; nil when no honest peer sends it.
    init?(parcel serial: UInt32, _ entry: LinkEntry) {
        guard case .here(let items) = entry.link.takeParcel(serial), items.count == 1, let file = items[0].descriptor,
              UInt32(items[0].item.kind) == NTLPC_ITEM_VIEW else { return nil }
        let item = items[0].item
        self.file = file
        offset = item.value
        size = UInt64(item.object_type) | UInt64(item.access) << 32
        guard OfferedView.isSound(file, offset, size, peer: entry.link.peer) else { return nil }
    }

    /// A file whose pages nobody can take away under a reader's eyes. One without seals (a section of another world) is taken from a process
    /// of the own user only, who could do worse.
    static func isSound(_ file: Descriptor, _ offset: UInt64, _ size: UInt64, peer: PeerCredentials) -> Bool {
        let (end, overflows) = offset.addingReportingOverflow(size)
        guard size > 0, !overflows, offset % UInt64(Mapping.page) == 0, size <= UInt64(Int.max),
              let whole = MemoryFile.size(of: file).flatMap({ MemoryFile.pages($0) }), end <= whole else { return false }
        return MemoryFile.cannotShrink(file) || peer.uid == geteuid()
    }

    /// Sends the view to the peer's process.
    /// - Returns: the parcel's serial number.
    func send(_ link: Link) throws(NTStatus) -> UInt32 {
        var item = ntlpc_parcel_item()
        item.kind = UInt16(NTLPC_ITEM_VIEW)
        item.flags = UInt16(NTLPC_ITEM_HAS_DESCRIPTOR)
        item.value = offset
        item.object_type = UInt32(truncatingIfNeeded: size)
        item.access = UInt32(truncatingIfNeeded: size >> 32)
        do throws(Errno) {
            return try link.sendParcel([ParcelItem(item, descriptor: file)])
        } catch {
            throw error == .brokenPipe || error == .connectionReset ? .portDisconnected : .insufficientResources
        }
    }

    /// Maps the view for a port of `connection`.
    func map(_ queues: PortQueues, _ connection: Connection) throws(NTStatus) -> PortView {
        do throws(Errno) {
            let memory = try MemoryView(file, offset: offset, count: Int(size), access: .readWrite)
            let view = PortView(memory: memory, file: file, offset: offset, isSecure: false, queues: queues, connection: ObjectIdentifier(connection),
                                section: nil, port: nil)
            PortViews.add(view)
            view.showToPrograms()
            return view
        } catch {
            throw error == .accessDenied || error == .notPermitted ? .accessDenied : .noMemory
        }
    }
}

extension OfferedView {
    /// The client's watcher maps the server's view. Nil when the server breaks the rules.
    static func serveMap(_ question: ntlpc_data_request, _ entry: LinkEntry, _ queues: PortQueues) -> PeerQuestions.Answer? {
        guard question.length == 8, let serial = UInt32(exactly: question.offset), let offered = OfferedView(parcel: serial, entry) else { return nil }
        let waiting = queues.lock.withLock { _ in
            entry.connection(question.entry).flatMap { $0.state == .requested && $0.serverView == nil && $0.isLegacy ? $0 : nil }
        }
        guard let waiting else { return PeerQuestions.Answer(status: .requestCanceled) }
        do throws(NTStatus) {
            let view = try offered.map(queues, waiting)
            let isKept = queues.lock.withLock { _ -> Bool in
                guard waiting.state == .requested else { return false }
                waiting.serverView = view
                return true
            }
            guard isKept else {
                PortViews.remove(view)
                return PeerQuestions.Answer(status: .requestCanceled)
            }
            return PeerQuestions.Answer(status: .success, count: 8, bytes: withUnsafeBytes(of: UInt64(view.base)) { Array($0) })
        } catch {
            return PeerQuestions.Answer(status: error)
        }
    }
}

extension ALPCPort {
    /// LPC: maps the server's own view here and in the client's process, whose watcher does it.
    /// - Throws: `noMemory` when either cannot; `requestCanceled` when the client is gone.
    public func show(_ offered: OfferedView, _ pending: PendingAccept) throws(NTStatus) -> (own: PortView, remote: UInt64) {
        let connection = pending.connection
        let own = try offered.map(queues, connection)
        var question = ntlpc_data_request()
        question.operation = NTLPC_DATA_MAP
        question.message = pending.id
        question.entry = connection.number
        question.length = 8
        question.offset = UInt64(try offered.send(connection.link))
        let answer: PeerQuestions.Answer?
        do throws(NTStatus) {
            answer = try connection.entry.questions.ask(question, over: connection.link, deadline: 0)
        } catch {
            throw .requestCanceled
        }
        guard let answer, answer.status.isSuccess, answer.bytes.count == 8 else { throw answer?.status ?? .requestCanceled }
        return (own, answer.bytes.withUnsafeBytes { $0.load(as: UInt64.self) })
    }
}
