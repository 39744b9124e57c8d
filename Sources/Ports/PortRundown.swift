// Endings: a peer that dies, a port whose last handle is closed, a disconnect.

import CLinuxShims
import CWireFormat
import LinuxSystem
import NTObjects
import NTTypes
import Tracing
import Transport

/// What happens to messages and waiters when an end comes.
enum PortRundown {
    /// The peer of a link died, or broke the rules. Comes from the watcher, or from whoever met the broken frame; once for each link.
    static func linkBroke(_ entry: LinkEntry, of queues: PortQueues) {
        let link = entry.link
        let first = queues.change { state -> Bool in
            guard !entry.isOver else { return false }
            entry.isOver = true
            // What the peer sent before it died still counts, as queued messages whose sender is gone.
            if !link.isDead { state.absorb(entry) }
            state.cool(entry)
            if let bells = state.bells, entry.isListening { Epoll.remove(link.bell, from: bells.epoll) }
            for connection in entry.connections {
                if queues.isServer { state.runDown(connection, forget: true) } else { state.serverLeft(connection) }
            }
            if queues.isServer { state.forgetDeadLinks() }
            return true
        }
        guard first else { return }
        entry.questions.end()
        Trace.note(.ports, "link to process \(link.peer.pid) ended")
        link.markDead()
        link.close()
        do throws(NTStatus) {
            try PortProcess.current().watcher.remove(link.control, key: entry.watchKey)
        } catch {
            // Without a watcher nothing watches the link.
        }
    }

    /// The last handle of a server communication port is closed: the client's calls end ([W] OVMM; section 17, points 5 and 17).
    static func closeServerPort(_ connection: Connection, _ queues: PortQueues) {
        let tell = queues.change { state -> Bool in
            let tell = connection.state != .closed && !connection.entry.isOver
            // What is still in the ring ends with the rest: nobody may receive from this port again.
            if tell {
                state.heat(connection.entry)
                state.absorb(connection.entry)
            }
            connection.state = .closed
            state.dropMessages(of: connection)
            if queues.isServer { state.forgetDeadLinks() }
            return tell
        }
        guard tell else { return }
        sendClose(connection)
        // A client whose threads all wait for replies looks into no ring: its watcher does.
        connection.link.askToDrain()
    }

    /// NtAlpcDisconnectPort on a server communication port: its own side ends, the client is not told ([W] RLI-T; point 5).
    static func disconnectServerPort(_ connection: Connection, _ queues: PortQueues) throws(NTStatus) {
        try queues.change { (state) throws(NTStatus) in
            guard connection.state == .open || connection.state == .accepted else { throw .portDisconnected }
            connection.state = .disconnected
            state.dropMessages(of: connection)
        }
    }

    /// The last handle of a client communication port is closed.
    static func closeClientPort(_ connection: Connection, _ link: ClientLink) {
        let (tell, lost) = link.queues.change { state -> (Bool, [UInt32]) in
            let tell = connection.hasBeenSent && !connection.hasSentClose && !connection.entry.isOver
            let lost = tell ? state.unreadReplies(of: connection) : []
            connection.hasSentClose = true
            connection.state = .closed
            state.dropMessages(of: connection)
            return (tell, lost)
        }
        link.link.slots.interrupt(connection: connection.number, .portClosed)
        for id in lost { ALPCPort.giveUp(link.link, connection: connection.number, id: id, reason: CancelReason.answerLost) }
        if tell { sendClose(connection) }
        // Only now may another connection have the number: its connect must come behind this close in the ring.
        link.queues.change { state in
            connection.entry.remove(connection)
            state.addQuota(-connection.poolBytes)
            connection.poolBytes = 0
        }
        link.release()
    }

    /// NtAlpcDisconnectPort on a client communication port. The server gets the notice of a closed port ([I]; [W] IPCB).
    static func disconnectClientPort(_ connection: Connection, _ link: ClientLink) throws(NTStatus) {
        try link.queues.change { (state) throws(NTStatus) in
            guard connection.state == .open || connection.state == .requested else { throw .portDisconnected }
            connection.state = .disconnected
            connection.hasSentClose = true
            state.dropMessages(of: connection)
        }
        link.link.slots.interrupt(connection: connection.number, .disconnected)
        sendClose(connection)
    }

    static func sendClose(_ connection: Connection) {
        var frame = ntlpc_frame()
        frame.kind = FrameKind.close
        frame.connection = connection.number
        frame.slot = WireLayout.noSlot
        // A peer whose ring stays full does not listen: it will see the hang-up.
        if case .full = connection.link.send(&frame, payload: nil, closing: true) { connection.link.close() }
    }

    /// The last handle of a connection port is closed: the name vanishes, pending connects end, conversations end.
    static func closeConnectionPort(_ port: ConnectionPort) {
        port.listener?.close()
        if let place = port.place { ObjectNamespace.withdraw(place) }
        let entries = port.queues.change { state -> [LinkEntry] in
            state.isClosed = true
            state.absorbEverything()
            let entries = state.entries.all
            for entry in entries {
                for connection in entry.connections {
                    if connection.state == .requested || connection.state == .accepted {
                        state.answerSlot(entry.link, connection.requestSlot, connection.requestTurn, .portConnectionRefused)
                    }
                    state.dropMessages(of: connection)
                    connection.state = .disconnected
                    entry.remove(connection)    // the two refer to each other
                }
                entry.isOver = true
            }
            state.dropEverything()
            state.hot = []
            state.entries.removeAll()
            return entries
        }
        for entry in entries {
            do throws(NTStatus) {
                try PortProcess.current().watcher.remove(entry.link.control, key: entry.watchKey)
            } catch {
                // Without a watcher nothing watches the link.
            }
            entry.questions.end()
            entry.link.close()
            LinkNumbers.giveBack(entry.link.number)
        }
    }
}

extension QueueState {
    /// Takes every message of a connection out. Its waiting senders learn why: a request that was never received is
    /// disconnected, one that was is lost (section 17, point 17).
    mutating func dropMessages(of connection: Connection) {
        var record = main.first
        while let current = record {
            record = current.pointee.next
            guard current.pointee.connection === connection else { continue }
            if !current.pointee.isConnectionRequest { answerSlot(of: current, current.pointee.isLegacy ? .lpcReplyLost : .portDisconnected) }
            discard(current)
        }
        for held in connection.entry.table.all where held.pointee.connection === connection {
            if !held.pointee.isConnectionRequest { answerSlot(of: held, held.pointee.isLegacy ? .lpcReplyLost : .messageLost) }
            if !isServer { connection.link.slots.freeNumber(MessageID.number(of: held.pointee.header.messageID)) }
            discard(held)
        }
        for id in expected.filter({ $0.value.connection === connection }).keys { expected.removeValue(forKey: id) }
    }

    /// The end of the queues: what nobody will receive or answer any more is forgotten, notices of clients that are gone among it.
    mutating func dropEverything() {
        while let record = main.first { discard(record) }
        for entry in entries.all {
            for record in entry.table.all { discard(record) }
        }
    }

    /// Links of dead clients stay until the server has let go of their messages, so that a late answer gets the right status;
    /// but no more than a few of them.
    mutating func forgetDeadLinks() {
        let limit = 64
        var dead = 0
        for index in 0..<entries.count {
            guard let entry = entries[index], entry.isOver else { continue }
            let records = entry.table.all
            if records.isEmpty || dead >= limit {
                for record in records { discard(record) }
                entries[index] = nil
                LinkNumbers.giveBack(entry.link.number)
            } else {
                dead += 1
            }
        }
    }
}
