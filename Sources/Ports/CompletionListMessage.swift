// What is written into a completion list: the message, and behind it the attributes that the list was registered for.
//
// The thread that feeds may be the watcher, which the host does not know. So handles are told by their count and fetched later by a
// thread of the program's, and a token is told where no host must be asked for it.

import CLinuxShims
import CNTTypes
import NTObjects
import NTTypes
import Tracing

extension CompletionList {
    func write(_ delivery: borrowing Delivery, to address: UnsafeMutableRawPointer) -> Bool {
        var header = delivery.header
        guard ntlpc_copy_40(address, &header) == 0 else { return false }
        if delivery.count > 0, let payload = delivery.payload {
            guard ntlpc_copy(address + MessageHeader.size, payload, delivery.count) == 0 else { return false }
        }
        guard region.attributeFlags != 0 else { return true }
        let image = attributes(of: delivery)
        let place = address + (MessageHeader.size + delivery.count + 7) & ~7
        return image.withUnsafeBytes { ntlpc_copy(place, $0.baseAddress!, $0.count) } == 0
    }

    /// The attribute buffer of a listed message, with what the message has of what the list was registered for. Handles are always
    /// told by their count, and fetched one by one (AlpcMessageHandleInformation, [I]): the thread that feeds may be none that the
    /// host knows, and could make none.
    private func attributes(of delivery: borrowing Delivery) -> [UInt8] {
        let allocated = AttributeSet(rawValue: region.attributeFlags)
        var image = [UInt8](repeating: 0, count: MessageAttributes.headerSize(allocated))
        var valid: AttributeSet = []
        func put<Record>(_ attribute: AttributeSet, _ record: Record) {
            guard let offset = MessageAttributes.offset(of: attribute, in: allocated) else { return }
            image.withUnsafeMutableBytes { $0.storeBytes(of: record, toByteOffset: offset, as: Record.self) }
            valid.insert(attribute)
        }
        if delivery.header.type & 0xFF != HeaderType.connectionRequest {
            var context = ALPC_CONTEXT_ATTR()
            context.PortContext = UnsafeMutableRawPointer(bitPattern: UInt(delivery.portContext))
            context.MessageContext = UnsafeMutableRawPointer(bitPattern: UInt(delivery.messageContext))
            context.Sequence = delivery.sequence
            context.MessageId = delivery.header.messageID
            context.CallbackId = UInt32(truncatingIfNeeded: delivery.header.callbackID)
            put(.context, context)
        }
        if allocated.contains(.token), let ids = port?.tokenAttribute(of: delivery, mayAsk: false)?.luids {
            put(.token, ALPC_TOKEN_ATTR(TokenId: ids.token, AuthenticationId: ids.authentication, ModifiedId: ids.modified))
        }
        if let carried = delivery.carried {
            if carried.attributes.contains(.security) {
                var security = ALPC_SECURITY_ATTR()
                security.ContextHandle = ALPC_HANDLE(bitPattern: UInt(carried.securityContext))
                put(.security, security)
            }
            if carried.attributes.contains(.view), allocated.contains(.view), let view = map(carried) { put(.view, view) }
            if carried.attributes.contains(.handle) {
                var handles = ALPC_HANDLE_ATTR()
                handles.HandleCount = ULONG(carried.handles.count)
                put(.handle, handles)
            }
            if carried.attributes.contains(.workOnBehalf) {
                var work = ALPC_WORK_ON_BEHALF_ATTR()
                work.Ticket = carried.ticket
                put(.workOnBehalf, work)
            }
        }
        image.withUnsafeMutableBytes { bytes in
            bytes.storeBytes(of: region.attributeFlags, as: UInt32.self)
            bytes.storeBytes(of: valid.rawValue, toByteOffset: 4, as: UInt32.self)
        }
        return image
    }

    /// A view that cannot be mapped stays with the message, as if there had been no room for its attribute.
    private func map(_ carried: Attachments) -> ALPC_DATA_VIEW_ATTR? {
        guard let port else { return nil }
        do throws(NTStatus) {
            guard let view = try carried.mapView(for: port) else { return nil }
            var attribute = ALPC_DATA_VIEW_ATTR()
            attribute.Flags = carried.isSecureView ? ViewFlags.secure : 0
            attribute.ViewBase = UnsafeMutableRawPointer(bitPattern: view.base)
            attribute.ViewSize = SIZE_T(carried.viewSize)
            return attribute
        } catch {
            Trace.note(.ports, "view of a listed message not mapped: \(error.name)")
            return nil
        }
    }
}
