// Messages, attributes and timeouts between the caller's memory and the ports.
//
// In: header and payload are copied once into the thread's outgoing buffer and checked there. Out: a message is written to the
// caller's buffer, and if that is not there the message goes back to the head of its queue.

import CLinuxShims
import CNTTypes
import LinuxSystem
import NTObjects
import NTTypes
import Ports

/// Which length rules hold.
enum MessageRules {
    /// TotalLength must be header and DataLength (section 17, point 7: 64-bit callers).
    case alpc
    /// DataLength and header must fit into TotalLength ([R] ROS-LPC).
    case lpc
}

enum MessageCapture {
    /// Captures a message that the caller sends.
    /// - Throws: `accessViolation`; `invalidParameter` for lengths that clash.
    @inline(__always)
    static func message(at pointer: UnsafeMutableRawPointer?, _ rules: MessageRules) throws(NTStatus) -> OutgoingMessage {
        guard let pointer else { throw .accessViolation }
        var header = MessageHeader()
        guard ntlpc_copy_40(&header, pointer) == 0 else { throw .accessViolation }
        let total = Int(header.totalLength)
        let count = Int(header.dataLength)
        switch rules {
        case .alpc: guard total == count + MessageHeader.size else { throw .invalidParameter }
        case .lpc:
            guard count + MessageHeader.size <= total else { throw .invalidParameter }
        }
        var payload: UnsafeRawPointer?
        if count > 0 {
            let staging = StagingMemory.outgoing()
            guard ntlpc_copy(staging, pointer + MessageHeader.size, count) == 0 else { throw .accessViolation }
            payload = UnsafeRawPointer(staging)
        }
        header.padding = 0
        var message = OutgoingMessage(header: header, payload: payload)
        message.isLegacy = rules == .lpc
        return message
    }

    /// Just the header of a message that names another: an accept, a reply by id.
    static func header(at pointer: UnsafeMutableRawPointer?) throws(NTStatus) -> MessageHeader {
        var header = MessageHeader()
        guard let pointer, ntlpc_copy_40(&header, pointer) == 0 else { throw .accessViolation }
        return header
    }

    /// Writes a delivered message to the caller. `legacy` receivers see plain types ([W] WINE-PORT, ROS-TEST).
    @inline(__always)
    static func write(_ delivery: borrowing Delivery, to pointer: UnsafeMutableRawPointer?, legacy: Bool = false) throws(NTStatus) {
        guard let pointer else { throw .accessViolation }
        var header = delivery.header
        if legacy { header.type &= HeaderFlags.legacyMask }
        if delivery.count > 0, let payload = delivery.payload {
            guard ntlpc_copy(pointer + MessageHeader.size, payload, delivery.count) == 0 else { throw .accessViolation }
        }
        guard ntlpc_copy_40(pointer, &header) == 0 else { throw .accessViolation }
    }

    /// The deadline behind a LARGE_INTEGER: NULL is never, 0 is now, negative is relative, positive absolute ([W] RLI-T, OVMM).
    @inline(__always)
    static func deadline(_ pointer: UnsafeMutablePointer<LARGE_INTEGER>?) throws(NTStatus) -> Deadline {
        guard let pointer else { return .never }
        var ticks: Int64 = 0
        guard ntlpc_copy_8(&ticks, pointer) == 0 else { throw .accessViolation }
        return Deadline(timeout: ticks, monotonicNow: Clock.monotonic, now: NTTime(ticks: Int64(Clock.systemTime)))
    }
}
