// Messages and replies with attachments on their way through the ring and out of a slot: the slow turnings of PortSend.

import CLinuxShims
import CWireFormat
import LinuxSystem
import NTTypes
import Transport

extension ALPCPort {
    /// Sends a frame with attachments: the parcel, then the frame with its head before the payload.
    @inline(never)
    static func send(_ attached: OutgoingAttachments, _ frame: inout ntlpc_frame, _ payload: UnsafeRawPointer?, _ entry: LinkEntry,
                     deadline: UInt64 = 0) throws(NTStatus) -> SendOutcome {
        var head = try attached.pack(entry)
        guard head.attributes != 0 else { return entry.link.send(&frame, payload: payload, deadline: deadline) }
        frame.flags |= FrameFlags.attached
        frame.length += UInt32(MemoryLayout<ntlpc_attached>.size)
        let outcome = withUnsafeBytes(of: &head) { entry.link.send(&frame, prefix: $0, payload: payload, deadline: deadline) }
        if case .sent = outcome { attached.commit() } else { attached.takeBack(entry) }
        return outcome
    }

    /// The same for any message that goes through the ring.
    func send(_ message: borrowing OutgoingMessage, _ frame: inout ntlpc_frame, _ connection: Connection) throws(NTStatus) -> SendOutcome {
        if let attached = message.attached { return try Self.send(attached.takeUnretainedValue(), &frame, message.payload, connection.entry) }
        return connection.link.send(&frame, payload: message.payload)
    }

    /// A reply that came with attachments. The message lives on until its receiver ends it, so that the attachments do (0x2002).
    @inline(never)
    func takeAttachedReply(_ shared: ntlpc_reply, _ head: UnsafeMutableRawPointer, _ slot: Int, _ id: UInt32,
                           _ message: borrowing OutgoingMessage, capacity: Int, into delivery: inout Delivery) throws(NTStatus) -> ReceiveOutcome {
        guard let connection else { throw .portClosed }
        let size = MemoryLayout<ntlpc_attached>.size
        let body = head + MemoryLayout<ntlpc_reply>.size
        let count = Int(shared.length) - size
        // Whoever looks for a parcel may read what was meant for the watcher.
        defer { if connection.link.hasNews { LinkWatch(connection.entry, queues).readControl() } }
        guard count >= 0, count <= MessageHeader.largestPayload,
              let attachments = Attachments(body.load(as: ntlpc_attached.self), connection.entry, connection: ObjectIdentifier(connection)) else {
            connection.link.slots.giveBack(slot)
            PortRundown.linkBroke(connection.entry, of: queues)
            throw .portDisconnected
        }
        delivery.header = MessageHeader(shared)
        delivery.header.setLength(count)
        delivery.header.messageID = id
        delivery.header.clientProcess = connection.entry.ntProcess
        delivery.payload = UnsafeRawPointer(body + size)
        delivery.count = count
        delivery.slot = slot
        delivery.core = core
        delivery.messageContext = message.messageContext
        delivery.attachments = Unmanaged.passRetained(attachments)
        return keepReply(shared.flags, message.reserve, capacity: capacity, into: &delivery)
    }
}
