// What travels over a link's control socket beside the messages: parcels of descriptors and handles, and requests between the two
// processes.
//
// A message that carries descriptors names a parcel by its serial number. The parcel is sent before the frame, so it lies in the socket
// or in the inbox when the frame is taken. Whoever takes the frame may therefore read the socket itself; so may the watcher, at any
// time. Both do it under the inbox's lock and keep what is not for them.
//
// A sender whose frame could not be sent takes its parcel back: an empty packet with the same serial.

import CLinuxShims
import CWireFormat
import LinuxSystem
import Synchronization
import Tracing

/// One thing in a parcel.
public struct ParcelItem: Sendable {
    public var item: ntlpc_parcel_item
    public var descriptor: Descriptor?

    public init(_ item: ntlpc_parcel_item, descriptor: Descriptor?) {
        self.item = item
        self.descriptor = descriptor
    }
}

/// What the control socket brings that is no parcel.
public enum ControlNews: Sendable {
    /// The ring towards this side is full.
    case drain
    /// A packet of kind DATA, whole: an `ntlpc_data_request` and the bytes behind it.
    case data([UInt8])
}

/// What has been read from a control socket and waits for somebody.
struct ControlInbox {
    struct Parcel {
        var items: [ParcelItem] = []
        var total: Int
        /// Its descriptors found no room in this process.
        var isLost = false
    }

    var parcels: [UInt32: Parcel] = [:]
    var news: [ControlNews] = []
    /// The peer hung up or broke the rules.
    var isOver = false

    /// More than a ring full of messages can name.
    static let parcelLimit = Int(NTLPC_RING_UNITS)
    /// As many as one message may carry, and a view and an event.
    static let itemLimit = 514
    /// News that nobody has taken: one drain, and a request for each thread of the peer.
    static let newsLimit = 1024
}

/// How a look for a parcel ended.
public enum ParcelOutcome: Sendable {
    case here([ParcelItem])
    /// It came, but this process had no descriptors left for it.
    case lost
    /// It was never sent: the peer breaks the rules.
    case missing
}

extension Link {
    /// Bytes of the largest packet.
    private static let packetBytes = max(MemoryLayout<ntlpc_parcel>.size + Int(NTLPC_PARCEL_ITEMS) * MemoryLayout<ntlpc_parcel_item>.size,
                                         MemoryLayout<ntlpc_data_request>.size + Int(NTLPC_DATA_BYTES))

    // MARK: Sending

    /// Sends a parcel. Call before the frame that names it.
    /// - Returns: its serial number, never 0.
    /// - Throws: what the socket says; `timedOut` when the peer's process does not take it for a second.
    public func sendParcel(_ items: [ParcelItem]) throws(Errno) -> UInt32 {
        let serial = nextSerial()
        var first = 0
        repeat {
            let part = items[first..<min(items.count, first + Int(NTLPC_PARCEL_ITEMS))]
            var head = parcelHead(serial)
            head.first = UInt32(first)
            head.total = UInt32(items.count)
            head.count = UInt32(part.count)
            var packet = withUnsafeBytes(of: &head) { Array($0) }
            for one in part { withUnsafeBytes(of: one.item) { packet.append(contentsOf: $0) } }
            do throws(Errno) {
                try sendControl(packet, descriptors: part.compactMap(\.descriptor))
            } catch {
                if first > 0 { takeBackParcel(serial) }
                throw error
            }
            first += part.count
        } while first < items.count
        return serial
    }

    /// The frame that was to name the parcel was not sent.
    public func takeBackParcel(_ serial: UInt32) {
        var head = parcelHead(serial)
        do throws(Errno) {
            try sendControl(withUnsafeBytes(of: &head) { Array($0) })
        } catch {
            Trace.note(.transport, "parcel \(serial) not taken back: errno \(error.rawValue)")
        }
    }

    private func parcelHead(_ serial: UInt32) -> ntlpc_parcel {
        var head = ntlpc_parcel()
        head.magic = NTLPC_WIRE_MAGIC
        head.version = NTLPC_WIRE_VERSION
        head.kind = NTLPC_CONTROL_PARCEL
        head.serial = serial
        return head
    }

    private func nextSerial() -> UInt32 {
        // ORDER: relaxed. Only uniqueness counts.
        let serial = serials.wrappingAdd(1, ordering: .relaxed).newValue
        return serial != 0 ? serial : nextSerial()
    }

    /// Sends one packet, and waits up to a second while the socket is full.
    private func sendControl(_ packet: [UInt8], descriptors: [Descriptor] = []) throws(Errno) {
        let end = Clock.monotonic &+ 1_000_000_000
        while true {
            var failure: Errno?
            packet.withUnsafeBytes { bytes in
                do throws(Errno) { try UnixSocket.send(bytes, descriptors: descriptors, over: control) } catch { failure = error }
            }
            guard let failure else { return }
            guard failure == .again else { throw failure }
            try UnixSocket.waitWritable(control, deadline: end)
        }
    }

    // MARK: Receiving

    /// Takes the parcel that a frame names.
    public func takeParcel(_ serial: UInt32) -> ParcelOutcome {
        inbox.withLock { inbox in
            if let found = Link.complete(&inbox, serial) { return found }
            readAll(&inbox)
            return Link.complete(&inbox, serial) ?? .missing
        }
    }

    private static func complete(_ inbox: inout ControlInbox, _ serial: UInt32) -> ParcelOutcome? {
        guard let parcel = inbox.parcels[serial], parcel.isLost || parcel.items.count == parcel.total else { return nil }
        inbox.parcels[serial] = nil
        return parcel.isLost ? .lost : .here(parcel.items)
    }

    /// Reads what waits on the control socket. Nil: the peer hung up or broke the rules.
    public func readControl() -> [ControlNews]? {
        inbox.withLock { inbox in
            readAll(&inbox)
            let news = inbox.news
            inbox.news = []
            return inbox.isOver ? nil : news
        }
    }

    /// Something for `readControl` was read by somebody who looked for a parcel.
    public var hasNews: Bool { inbox.withLock { !$0.news.isEmpty || $0.isOver } }

    private func readAll(_ inbox: inout ControlInbox) {
        guard !inbox.isOver else { return }
        withUnsafeTemporaryAllocation(byteCount: Link.packetBytes, alignment: 8) { packet in
            while !inbox.isOver {
                do throws(Errno) {
                    guard let received = try UnixSocket.receive(into: packet, from: control, most: Int(NTLPC_PARCEL_ITEMS)) else {
                        inbox.isOver = true
                        return
                    }
                    if !Link.accept(UnsafeRawBufferPointer(rebasing: packet[..<received.count]), received.descriptors, &inbox) { inbox.isOver = true }
                } catch {
                    switch error {
                    case .again: return
                    case .tooManyFiles, .tooManyFilesInSystem:
                        // The packet is gone with its descriptors; its bytes are still here.
                        if !Link.lose(UnsafeRawBufferPointer(packet), &inbox) { inbox.isOver = true }
                    default: inbox.isOver = true
                    }
                }
            }
        }
    }

    /// Takes one packet in; false when no honest peer sends it.
    private static func accept(_ packet: UnsafeRawBufferPointer, _ descriptors: [Descriptor], _ inbox: inout ControlInbox) -> Bool {
        guard packet.count >= 12, packet.loadUnaligned(as: UInt32.self) == NTLPC_WIRE_MAGIC else { return false }
        switch packet.loadUnaligned(fromByteOffset: 8, as: UInt32.self) {
        case NTLPC_CONTROL_DRAIN:
            guard packet.count == MemoryLayout<ntlpc_control>.size else { return false }
            if !inbox.news.contains(where: { if case .drain = $0 { true } else { false } }) { inbox.news.append(.drain) }
            return true
        case NTLPC_CONTROL_DATA:
            guard packet.count >= MemoryLayout<ntlpc_data_request>.size, inbox.news.count < ControlInbox.newsLimit else { return false }
            inbox.news.append(.data([UInt8](packet)))
            return true
        case NTLPC_CONTROL_PARCEL:
            return acceptParcel(packet, descriptors, &inbox)
        default:
            return false
        }
    }

    private static func acceptParcel(_ packet: UnsafeRawBufferPointer, _ descriptors: [Descriptor], _ inbox: inout ControlInbox) -> Bool {
        let headSize = MemoryLayout<ntlpc_parcel>.size, itemSize = MemoryLayout<ntlpc_parcel_item>.size
        guard packet.count >= headSize else { return false }
        let head = packet.loadUnaligned(as: ntlpc_parcel.self)
        if head.total == 0 {
            inbox.parcels[head.serial] = nil
            return true
        }
        guard head.count <= NTLPC_PARCEL_ITEMS, packet.count == headSize + Int(head.count) * itemSize,
              Int(head.total) <= ControlInbox.itemLimit, inbox.parcels.count < ControlInbox.parcelLimit else { return false }
        var parcel = inbox.parcels[head.serial] ?? ControlInbox.Parcel(total: Int(head.total))
        guard parcel.total == Int(head.total), parcel.isLost || parcel.items.count == Int(head.first),
              Int(head.first) + Int(head.count) <= parcel.total else { return false }
        var left = descriptors[...]
        for index in 0..<Int(head.count) {
            let item = packet.loadUnaligned(fromByteOffset: headSize + index * itemSize, as: ntlpc_parcel_item.self)
            let hasDescriptor = item.flags & UInt16(NTLPC_ITEM_HAS_DESCRIPTOR) != 0
            guard !hasDescriptor || !left.isEmpty else { return false }
            parcel.items.append(ParcelItem(item, descriptor: hasDescriptor ? left.removeFirst() : nil))
        }
        inbox.parcels[head.serial] = parcel
        return true
    }

    private static func lose(_ packet: UnsafeRawBufferPointer, _ inbox: inout ControlInbox) -> Bool {
        let head = packet.loadUnaligned(as: ntlpc_parcel.self)
        guard head.magic == NTLPC_WIRE_MAGIC, head.kind == NTLPC_CONTROL_PARCEL, inbox.parcels.count < ControlInbox.parcelLimit else { return false }
        var parcel = inbox.parcels[head.serial] ?? ControlInbox.Parcel(total: Int(head.total))
        parcel.items = []
        parcel.isLost = true
        inbox.parcels[head.serial] = parcel
        return true
    }
}
