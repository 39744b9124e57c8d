// The header by which a call names a message that its caller has received. Only the header counts, so only the header is read.

import CLinuxShims
import CNTTypes
import NTTypes
import Ports

extension MessageCapture {
    /// The 64-bit form, or the 32-bit form when bit 0x1000 of Type is set, whatever the caller's own width ([W] AA-W: the message query).
    /// - Throws: `accessViolation`, also for NULL.
    static func selfDescribingHeader(at pointer: UnsafeMutableRawPointer?) throws(NTStatus) -> MessageHeader {
        guard let pointer else { throw .accessViolation }
        var header = MessageHeader()
        // Each byte is read once: first what both forms have, then the rest of the long one.
        let short = MemoryLayout<PORT_MESSAGE32>.size
        guard ntlpc_copy(&header, pointer, short) == 0 else { throw .accessViolation }
        if header.type & narrowMark != 0 {
            let narrow = withUnsafeBytes(of: &header) { $0.loadUnaligned(as: PORT_MESSAGE32.self) }
            return widened(narrow)
        }
        let copied = withUnsafeMutableBytes(of: &header) { ntlpc_copy($0.baseAddress! + short, pointer + short, MessageHeader.size - short) }
        guard copied == 0 else { throw .accessViolation }
        return header
    }

    /// The 32-bit form.
    static func narrowHeader(at pointer: UnsafeMutableRawPointer?) throws(NTStatus) -> MessageHeader {
        guard let pointer else { throw .accessViolation }
        return widened(try CallerMemory.read(UnsafeRawPointer(pointer), as: PORT_MESSAGE32.self))
    }

    /// LPC_RESERVED_MESSAGE.
    private static let narrowMark: UInt16 = 0x1000

    private static func widened(_ narrow: PORT_MESSAGE32) -> MessageHeader {
        var header = MessageHeader()
        header.setLength(Int(narrow.u1.s1.DataLength))
        header.type = narrow.u2.s2.Type & ~narrowMark
        header.dataInfoOffset = narrow.u2.s2.DataInfoOffset
        header.clientProcess = UInt64(narrow.ClientId.UniqueProcess)
        header.clientThread = UInt64(narrow.ClientId.UniqueThread)
        header.messageID = narrow.MessageId
        header.callbackID = UInt64(narrow.CallbackId)
        return header
    }
}
