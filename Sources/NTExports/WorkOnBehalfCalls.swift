// Tickets: on whose behalf a thread works. A client's WORK_ON_BEHALF attribute brings its ticket to the server, whose worker takes it on for
// as long as it serves the message ([D] PHNT; [W] a server that clears it after each message). Ours are the thread's Linux id and the low
// part of its start time; a ticket says who began the work and gives no rights. Natively only: another host has its own.

import CLinuxShims
import CNTTypes
import LinuxSystem
import NTObjects
import NTTypes

/// The ticket of the thread that the calling thread works for. Flags bit 0 of the answer: it works for itself.
///
/// Statuses: `INVALID_PARAMETER` (Flags not 0 [I]), `ACCESS_VIOLATION`, `NOT_SUPPORTED` under another host. Source: behaviour reference 9.7 ([D]).
@c @implementation
public func RtlGetThreadWorkOnBehalfTicket(_ Ticket: PRTL_WORK_ON_BEHALF_TICKET_EX?, _ Flags: ULONG) -> NTSTATUS {
    statusBoundary("RtlGetThreadWorkOnBehalfTicket") { () throws(NTStatus) -> NTStatus in
        try requireNativeHost()
        guard Flags == 0 else { throw .invalidParameter }
        let worksFor = ntlpc_thread_current().pointee.work_ticket
        var answer = RTL_WORK_ON_BEHALF_TICKET_EX()
        answer.Ticket = try worksFor != 0 ? ALPC_WORK_ON_BEHALF_TICKET(worksFor) : ownTicket()
        answer.Flags = worksFor == 0 ? 1 : 0
        try CallerMemory.write(answer, to: Ticket)
        return .success
    }
}

/// Makes the calling thread work for the ticket's thread. The ticket is not looked into: its thread may be of another process.
///
/// Statuses: `ACCESS_VIOLATION`, `INVALID_PARAMETER` (an empty ticket [I]), `NOT_SUPPORTED` under another host.
@c @implementation
public func RtlSetThreadWorkOnBehalfTicket(_ Ticket: PALPC_WORK_ON_BEHALF_TICKET?) -> NTSTATUS {
    statusBoundary("RtlSetThreadWorkOnBehalfTicket") { () throws(NTStatus) -> NTStatus in
        try requireNativeHost()
        let ticket = try CallerMemory.read(Ticket)
        guard ticket.number != 0 else { throw .invalidParameter }
        ntlpc_thread_current().pointee.work_ticket = ticket.number
        return .success
    }
}

/// Makes the calling thread work for itself again; no error if it did.
@c @implementation
public func RtlClearThreadWorkOnBehalfTicket() -> NTSTATUS {
    statusBoundary("RtlClearThreadWorkOnBehalfTicket") { () throws(NTStatus) -> NTStatus in
        try requireNativeHost()
        ntlpc_thread_current().pointee.work_ticket = 0
        return .success
    }
}

private func ownTicket() throws(NTStatus) -> ALPC_WORK_ON_BEHALF_TICKET {
    let id = ntlpc_gettid()
    do throws(Errno) {
        let started = try LinuxTask.information(id).started
        return ALPC_WORK_ON_BEHALF_TICKET(ThreadId: ULONG(bitPattern: id), ThreadCreationTimeLow: ULONG(truncatingIfNeeded: started))
    } catch {
        throw .insufficientResources    // no descriptor to look at /proc with
    }
}

extension ALPC_WORK_ON_BEHALF_TICKET {
    fileprivate init(_ number: UInt64) {
        self.init(ThreadId: ULONG(truncatingIfNeeded: number), ThreadCreationTimeLow: ULONG(truncatingIfNeeded: number >> 32))
    }

    fileprivate var number: UInt64 { UInt64(ThreadCreationTimeLow) << 32 | UInt64(ThreadId) }
}
