// Sections of a port, and the views of them that this process has mapped: its own and those that came with messages.
//
// A section is a memory file. A view is a region of it; several views of one section do not overlap. A secure section has no file of its
// own: each of its views has one, which is sealed against writing when the view is sent. From then on nobody can change it, and the
// kernel says so to the receiver, who need not trust the sender.
//
// Views are known to the process by their base. The table below owns them; a message that carries a view owns its file as well, so a
// view may be deleted while its message is under way ([W] OVMM).

import CNTTypes
import LinuxSystem
import NTObjects
import NTTypes
import Synchronization

/// A section of a port ([D] PHNT: ALPC_HANDLE of the port's own table).
public final class PortSection: PortResource, @unchecked Sendable {
    /// NT rounds sizes to this ([W] RLI-T: 1 becomes 0x10000).
    static let granularity: UInt64 = 0x10000

    /// In bytes.
    public let size: UInt64
    public let isSecure: Bool
    /// Nil for a secure section.
    let file: Descriptor?
    let access: MemoryAccess
    /// Regions in use, in order of their offsets.
    private let regions = FutexLock(Regions())

    private struct Regions {
        var used: [(offset: UInt64, size: UInt64)] = []
    }

    /// A section of fresh memory.
    init(size: UInt64, isSecure: Bool) throws(NTStatus) {
        self.size = size
        self.isSecure = isSecure
        access = .readWrite
        do throws(Errno) {
            file = isSecure ? nil : try MemoryFile.make(name: "ntlpc-section", count: size)
        } catch {
            throw NTStatus(error)
        }
        super.init(kind: .section)
    }

    /// A section over a file: a section object of the caller's.
    init(file: Descriptor, size: UInt64, access: MemoryAccess) {
        self.file = file
        self.size = size
        self.access = access
        isSecure = false
        super.init(kind: .section)
    }

    /// Finds a free region of whole pages.
    func allocate(_ size: UInt64) -> UInt64? {
        regions.withLock { regions in
            var offset: UInt64 = 0
            var index = 0
            for region in regions.used {
                if region.offset - offset >= size { break }
                offset = region.offset + region.size
                index += 1
            }
            guard self.size >= offset, self.size - offset >= size else { return nil }
            regions.used.insert((offset, size), at: index)
            return offset
        }
    }

    func free(_ offset: UInt64) { regions.withLock { $0.used.removeAll { $0.offset == offset } } }
}

/// A view in this process.
public final class PortView: @unchecked Sendable {
    let memory: MemoryView
    let file: Descriptor
    /// In the section, and in the file: a secure view has a file of its own.
    let offset: UInt64
    var fileOffset: UInt64 { isSecure ? 0 : offset }
    let isSecure: Bool
    /// Of whom it is: the queues of the port, and for a received view the connection it came over.
    let queues: ObjectIdentifier
    let connection: ObjectIdentifier?
    /// The section it was made of; nil for a received view.
    let section: PortSection?
    /// The port that made it.
    let port: ObjectIdentifier?
    /// Its place among the views that NtUnmapViewOfSection knows: views of an LPC connection alone.
    private let mapped = FutexLock<MappedView?>(nil)
    /// A secure view that was sent: it has been made read-only.
    let isSealed = Atomic<Bool>(false)

    public var base: UInt { UInt(bitPattern: memory.base) }
    public var size: UInt { UInt(memory.count) }

    init(memory: MemoryView, file: Descriptor, offset: UInt64, isSecure: Bool, queues: PortQueues, connection: ObjectIdentifier?,
         section: PortSection?, port: ALPCPort?) {
        self.memory = memory
        self.file = file
        self.offset = offset
        self.isSecure = isSecure
        self.queues = ObjectIdentifier(queues)
        self.connection = connection
        self.section = section
        self.port = port.map { ObjectIdentifier($0) }
    }

    deinit { section?.free(offset) }

    /// Lets programs unmap the view by NtUnmapViewOfSection.
    func showToPrograms() {
        let shown = MappedViews.add(base: memory.base, count: memory.count) { [weak self] in
            if let self { PortViews.remove(self) }
        }
        mapped.withLock { $0 = shown }
    }

    /// The view is given up.
    fileprivate func hideFromPrograms() {
        let shown = mapped.withLock { mapped in
            let shown = mapped
            mapped = nil
            return shown
        }
        if let shown { _ = MappedViews.remove(shown) }
    }

    /// Before a secure view is sent: its contents are final. A second time it is so already.
    func seal() throws(NTStatus) {
        guard isSecure, !isSealed.exchange(true, ordering: .acquiringAndReleasing) else { return }
        do throws(Errno) {
            try memory.makeReadOnly(file, offset: fileOffset)
            try MemoryFile.sealWrites(file)
        } catch {
            throw NTStatus(error)
        }
    }
}

/// The views of all ports of this process, by base.
enum PortViews {
    private struct Table {
        var views: [UInt: PortView] = [:]
    }

    nonisolated(unsafe) private static var table = FutexLock(Table())

    static func add(_ view: PortView) { table.withLock { $0.views[view.base] = view } }

    /// A view that belongs to `port`, or to a port of the same queues.
    static func find(_ base: UInt, for port: ALPCPort) -> PortView? {
        table.withLock { table in table.views[base].flatMap { belongs($0, to: port) ? $0 : nil } }
    }

    static func remove(_ base: UInt, for port: ALPCPort) -> PortView? {
        let removed = table.withLock { table -> PortView? in
            guard let view = table.views[base], belongs(view, to: port) else { return nil }
            table.views[base] = nil
            return view
        }
        removed?.hideFromPrograms()
        return removed
    }

    static func remove(_ view: PortView) {
        let removed = table.withLock { table -> PortView? in
            guard table.views[view.base] === view else { return nil }
            return table.views.removeValue(forKey: view.base)
        }
        removed?.hideFromPrograms()
    }

    /// The last handle of `port` is closed: its views go, and with a connection port those of all its clients.
    static func portClosed(_ port: ALPCPort) {
        let queues = ObjectIdentifier(port.queues), own = ObjectIdentifier(port)
        let connection = port.connection.map { ObjectIdentifier($0) }
        let removed = table.withLock { table -> [PortView] in
            let gone = table.views.values.filter { view in
                view.queues == queues && (port.isConnectionPort || view.port == own || (connection != nil && view.connection == connection))
            }
            for view in gone { table.views[view.base] = nil }
            return gone
        }
        for view in removed { view.hideFromPrograms() }
    }

    /// In the child of a fork, while it has one thread.
    static func forgetAll() {
        _ = Unmanaged.passRetained(table)
        table = FutexLock(Table())
    }

    private static func belongs(_ view: PortView, to port: ALPCPort) -> Bool { view.queues == ObjectIdentifier(port.queues) }
}

extension ALPCPort {
    /// NtAlpcCreatePortSection without a section of the caller's.
    /// - Returns: the ALPC_HANDLE and the size, a multiple of 64 KiB.
    /// - Throws: `invalidParameter` for size 0; `sectionTooBig` above the port's limits ([R] RLI-K); `insufficientResources`.
    public func createSection(size: UInt64, isSecure: Bool) throws(NTStatus) -> (handle: UInt32, size: UInt64) {
        guard size > 0 else { throw .invalidParameter }
        let (sum, overflows) = size.addingReportingOverflow(PortSection.granularity - 1)
        guard !overflows, sum <= UInt64(Int.max) else { throw .sectionTooBig }
        let rounded = sum & ~(PortSection.granularity - 1)
        try checkSectionLimits(rounded)
        return (try resources.insert(try PortSection(size: rounded, isSecure: isSecure)), rounded)
    }

    /// NtAlpcCreatePortSection over a section object of the caller's.
    /// - Parameter size: 0 takes the whole section.
    /// - Throws: `sectionTooBig` when the section is smaller, or above the port's limits; what the host says of the handle.
    public func createSection(over handle: HANDLE?, size: UInt64) throws(NTStatus) -> (handle: UInt32, size: UInt64) {
        let mapRead: UInt32 = 4, mapWrite: UInt32 = 2
        guard try Host.query(handle).type == .section else { throw .objectTypeMismatch }
        var access = MemoryAccess.readWrite
        let file: Descriptor
        do throws(NTStatus) {
            file = try Host.descriptor(of: handle, access: mapRead | mapWrite)
        } catch {
            guard error == .accessDenied else { throw error }
            access = .read
            file = try Host.descriptor(of: handle, access: mapRead)
        }
        guard let whole = MemoryFile.size(of: file).flatMap({ MemoryFile.pages($0) }), whole > 0 else { throw .notSupported }
        guard let wanted = size == 0 ? whole : MemoryFile.pages(size), wanted <= whole, wanted <= UInt64(Int.max) else { throw .sectionTooBig }
        try checkSectionLimits(wanted)
        return (try resources.insert(PortSection(file: file, size: wanted, access: access)), wanted)
    }

    /// Limits of 0 are those of a program that fills in only the message length: none ([W] RLI-T makes a section on such a port).
    private func checkSectionLimits(_ size: UInt64) throws(NTStatus) {
        let attributes = traits.attributes
        if attributes.maxSectionSize != 0, size > UInt64(attributes.maxSectionSize) { throw .sectionTooBig }
        let total = (existingResources?.all(.section) ?? []).reduce(size) { $0 &+ (($1 as? PortSection)?.size ?? 0) }
        if attributes.maxTotalSectionSize != 0, total > UInt64(attributes.maxTotalSectionSize) { throw .sectionTooBig }
    }

    /// NtAlpcDeletePortSection. Views of the section stay ([W] OVMM).
    /// - Throws: `invalidHandle` ([R]).
    public func deleteSection(_ handle: UInt64) throws(NTStatus) {
        guard let value = UInt32(exactly: handle), try existingResources?.remove(value, .section, as: PortSection.self) != nil else { throw .invalidHandle }
    }

    /// NtAlpcCreateSectionView.
    /// - Returns: base and size; the size is `size` in whole pages.
    /// - Throws: `invalidHandle` for an unknown section; `invalidParameter` for size 0; `invalidViewSize` when the section has no free
    ///   region of that size ([I]); `sectionTooBig` above the port's MaxViewSize ([I]); `noMemory`.
    public func createView(section handle: UInt64, size: UInt64) throws(NTStatus) -> PortView {
        guard let value = UInt32(exactly: handle), let section: PortSection = existingResources?.find(value, .section) else { throw .invalidHandle }
        guard size > 0, let rounded = MemoryFile.pages(size), rounded <= UInt64(Int.max) else { throw .invalidParameter }
        if traits.attributes.maxViewSize != 0, rounded > UInt64(traits.attributes.maxViewSize) { throw .sectionTooBig }
        guard let offset = section.allocate(rounded) else { throw .invalidViewSize }
        do throws(Errno) {
            let file: Descriptor
            if let shared = section.file { file = shared } else { file = try MemoryFile.makeSealable(name: "ntlpc-view", count: Int(rounded)) }
            let place = section.isSecure ? 0 : offset
            let memory = try MemoryView(file, offset: place, count: Int(rounded), access: section.access)
            let view = PortView(memory: memory, file: file, offset: offset, isSecure: section.isSecure, queues: queues, connection: nil,
                                section: section, port: self)
            PortViews.add(view)
            return view
        } catch {
            section.free(offset)
            throw error == .accessDenied ? .accessDenied : .noMemory
        }
    }

    /// NtAlpcDeleteSectionView: a view made on this port, or one that came with a message.
    /// - Throws: `invalidParameter` for a base that is none ([R] RLI-K).
    public func deleteView(_ base: UInt) throws(NTStatus) {
        guard PortViews.remove(base, for: self) != nil else { throw .invalidParameter }
    }
}
