// A client that speaks to a server's process below the port calls, and says what no honest one says.

import CWireFormat
import LinuxSystem
import NTObjects
import NTTypes
import Testing
import Transport

/// A link to a connection port, with one connection.
final class RawClient {
    let link: Link
    private static let connection: UInt32 = 0x1_0000
    /// Numbers of messages that nobody else uses.
    private var serial = 0

    /// - Parameter hello: what the process says of itself.
    init(_ name: String, _ hello: (inout ntlpc_control) -> Void = { _ in }) throws {
        let place = try ObjectNamespace.place(of: name)
        var greeting = ntlpc_control()
        greeting.world = Host.World.native.rawValue
        greeting.nt_process = Host.clientID().process
        hello(&greeting)
        link = try Rendezvous.open(in: place.directory, leaf: place.leaf, hello: greeting, deadline: 0) { _ in true }
    }

    deinit { link.close() }

    static var goodTerms: ntlpc_connect {
        var terms = ntlpc_connect()
        terms.port_flags = 0x10000
        terms.max_message_length = 0xFFFF
        terms.impersonation_level = 2
        terms.context_tracking = 1
        return terms
    }

    /// Sends a CONNECT frame.
    func connect(_ terms: ntlpc_connect = RawClient.goodTerms) {
        var terms = terms
        send(UInt16(NTLPC_FRAME_CONNECT), flags: 0, withUnsafeBytes(of: &terms) { Array($0) })
    }

    /// Sends an asynchronous request whose payload starts with `head`.
    func request(_ head: ntlpc_attached) {
        var head = head
        send(UInt16(NTLPC_FRAME_MESSAGE), flags: UInt16(NTLPC_FRAMEFLAG_ATTACHED), withUnsafeBytes(of: &head) { Array($0) } + [1, 2, 3])
    }

    private func send(_ kind: UInt16, flags: UInt16, _ payload: [UInt8]) {
        var frame = ntlpc_frame()
        frame.kind = kind
        frame.flags = flags
        frame.connection = Self.connection
        frame.slot = WireLayout.noSlot
        frame.length = UInt32(payload.count)
        frame.sender = 1
        serial += 1
        frame.id = UInt32(0x4000 + serial) << 15 | link.number << 2
        _ = payload.withUnsafeBytes { link.send(&frame, payload: $0.baseAddress) }
    }

    /// The server has ended the link.
    var isCutOff: Bool { link.peerHasGone || UnixSocket.hasHungUp(link.control) }
}
