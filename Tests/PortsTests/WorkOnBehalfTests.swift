// Tickets of work: the three Rtl calls and the WORK_ON_BEHALF attribute.

import CNTTypes
import Glibc
import NTTypes
import Testing

@Suite(.guarded) struct WorkOnBehalfTests {
    private static let attribute: UInt32 = 0x0200_0000

    private func mine() -> RTL_WORK_ON_BEHALF_TICKET_EX {
        var ticket = RTL_WORK_ON_BEHALF_TICKET_EX()
        #expect(status(RtlGetThreadWorkOnBehalfTicket(&ticket, 0)) == .success)
        return ticket
    }

    @Test func `A thread works for itself until it takes a ticket`() {
        let own = mine()
        #expect(own.Ticket.ThreadId == ULONG(gettid()) && own.Ticket.ThreadCreationTimeLow != 0 && own.Flags == 1)
        let other = Background { mine() }.result
        #expect(other.Ticket.ThreadId != own.Ticket.ThreadId && other.Flags == 1)
        var taken = other.Ticket
        #expect(status(RtlSetThreadWorkOnBehalfTicket(&taken)) == .success)
        #expect(mine().Ticket.ThreadId == other.Ticket.ThreadId && mine().Flags == 0)
        // Other threads do not.
        #expect(Background { mine() }.result.Flags == 1)
        for _ in 0 ..< 2 { #expect(status(RtlClearThreadWorkOnBehalfTicket()) == .success) }
        #expect(mine().Ticket.ThreadId == own.Ticket.ThreadId && mine().Flags == 1)
    }

    @Test func `Bad arguments change nothing`() {
        var ticket = RTL_WORK_ON_BEHALF_TICKET_EX(), none = ALPC_WORK_ON_BEHALF_TICKET()
        for bit in 0 ..< 32 { #expect(status(RtlGetThreadWorkOnBehalfTicket(&ticket, 1 << ULONG(bit))) == .invalidParameter) }
        #expect(status(RtlGetThreadWorkOnBehalfTicket(nil, 0)) == .accessViolation)
        #expect(status(RtlSetThreadWorkOnBehalfTicket(nil)) == .accessViolation)
        #expect(status(RtlSetThreadWorkOnBehalfTicket(&none)) == .invalidParameter)
        let memory = BadMemory()
        for address in memory.all {
            #expect(status(RtlGetThreadWorkOnBehalfTicket(address.assumingMemoryBound(to: RTL_WORK_ON_BEHALF_TICKET_EX.self), 0)) == .accessViolation)
        }
        #expect(mine().Flags == 1)
    }

    @Test func `A server's worker takes on the client's ticket`() throws {
        let scene = Scene()
        defer { scene.end() }
        let (listener, _, client) = try scene.connected()
        let sent = Attributes(Attributes.all, valid: Self.attribute), got = Attributes()
        let own = mine().Ticket
        AlpcGetMessageAttribute(sent.pointer, Self.attribute)!.storeBytes(of: own, as: ALPC_WORK_ON_BEHALF_TICKET.self)
        #expect(client.send("question", 0, sent) == .success)
        let worker = Background { () -> UInt32 in
            guard listener.receive(Message(room: 256), got) == .success, got.valid & Self.attribute != 0 else { return 0 }
            let record = AlpcGetMessageAttribute(got.pointer, Self.attribute)!.assumingMemoryBound(to: ALPC_WORK_ON_BEHALF_TICKET.self)
            guard RtlSetThreadWorkOnBehalfTicket(record) == 0 else { return 0 }
            return mine().Ticket.ThreadId
        }
        #expect(worker.result == own.ThreadId)
        #expect(client.send("plain") == .success)
        _ = try listener.take(got)
        #expect(got.valid & Self.attribute == 0)
    }
}
