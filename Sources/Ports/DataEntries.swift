// NtReadRequestData and NtWriteRequestData: what the two processes say to each other.

import CWireFormat

enum DataEntries {
    /// A request or an answer came over the control socket.
    static func take(_ request: ntlpc_data_request, _ bytes: [UInt8], _ entry: LinkEntry, _ queues: PortQueues) {
        // Nobody asks yet: a peer that does breaks the rules.
        PortRundown.linkBroke(entry, of: queues)
    }
}
