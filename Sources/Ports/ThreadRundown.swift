// What a thread leaves behind: a request it waited in, and the ports that asked to hear of its end (NtRegisterThreadTerminatePort).
// Runs on the dying thread, which may be anywhere in its last steps: natively by a pthread destructor, under Wine too.

import CLinuxShims
import CWireFormat
import LinuxSystem
import NTObjects
import NTTypes
import Transport

/// Terminate ports of threads, and the end of a thread's business.
public enum ThreadRundown {
    /// Ports that a thread has registered, and when it did so first.
    private final class Registrations {
        var ports: [ALPCPort] = []
        let since = Clock.systemTime
    }

    /// Adds `port` to the calling thread's list; several registrations give several messages ([R] ROS-LPC).
    public static func register(_ port: ALPCPort) {
        let thread = ntlpc_thread_current()
        if thread.pointee.registered == 0 { ntlpc_thread_register() }
        let registrations: Registrations
        if let known = thread.pointee.rundown {
            registrations = Unmanaged<Registrations>.fromOpaque(known).takeUnretainedValue()
        } else {
            registrations = Registrations()
            thread.pointee.rundown = Unmanaged.passRetained(registrations).toOpaque()
        }
        registrations.ports.append(port)
    }

    static func run(_ thread: UnsafeMutablePointer<ntlpc_thread>) {
        PortQueues.forgetWaiter(thread)
        PortReferences.forget(thread)
        if thread.pointee.is_worker != 0 { WorkerPool.workerEnded() }
        if let call = thread.pointee.call {
            thread.pointee.call = nil
            // The references that the call held are lost with its stack, so the connection is alive; the message is cancelled.
            let connection = Unmanaged<Connection>.fromOpaque(call).takeUnretainedValue()
            let slot = Int(thread.pointee.call_slot), id = thread.pointee.call_id
            // An alertable call waits in the queue and has no slot.
            let isInSlot = thread.pointee.call_slot != WireLayout.noSlot
            let lost = isInSlot && connection.link.slots.hasLegacyReply(slot, turn: thread.pointee.call_turn)
            connection.entry.calls.abandon(id)
            if isInSlot { connection.link.slots.abandon(slot) }
            ALPCPort.giveUp(connection.link, connection: thread.pointee.call_connection, id: id, reason: lost ? CancelReason.answerLost : 0)
        }
        if let known = thread.pointee.rundown {
            thread.pointee.rundown = nil
            let registrations = Unmanaged<Registrations>.fromOpaque(known).takeRetainedValue()
            for port in registrations.ports { tell(port, since: registrations.since) }
        }
    }

    /// LPC_CLIENT_DIED: header and the thread's create time ([W] WINE-PORT for the type; [D] PHNT for the layout).
    private static func tell(_ port: ALPCPort, since: UInt64) {
        let me = Host.clientID()
        var header = MessageHeader()
        header.type = HeaderType.clientDied
        header.setLength(8)
        header.clientProcess = me.process
        header.clientThread = me.thread
        var time = since
        guard case .client(let connection, let link) = port.role, connection.state == .open else {
            if case .unconnected = port.role { _ = port.queues.change { $0.enqueue(header, &time, connection: nil) } }
            return
        }
        var frame = ntlpc_frame()
        frame.kind = FrameKind.threadDied
        frame.length = 8
        frame.connection = connection.number
        frame.slot = WireLayout.noSlot
        header.messageID = MessageID.make(link: link.link.number, number: 0)
        frame.set(header)
        _ = link.link.send(&frame, payload: &time)
    }
}
