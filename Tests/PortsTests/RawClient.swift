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
    static let connection: UInt32 = 0x1_0000
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

    /// Sends any frame; `id` names another message than a new one.
    @discardableResult
    func send(_ kind: UInt16, flags: UInt16, _ payload: [UInt8], id: UInt32? = nil, connection: UInt32 = RawClient.connection, slot: UInt32 = WireLayout.noSlot) -> UInt32 {
        var frame = ntlpc_frame()
        frame.kind = kind
        frame.flags = flags
        frame.connection = connection
        frame.slot = slot
        frame.length = UInt32(payload.count)
        frame.sender = 1
        serial += 1
        frame.id = id ?? (UInt32(0x4000 + serial % 0x4000) << 15 | link.number << 2)
        _ = payload.withUnsafeBytes { link.send(&frame, payload: $0.baseAddress, closing: kind == UInt16(NTLPC_FRAME_CANCEL)) }
        return frame.id
    }

    /// Sends a packet of kind DATA over the control socket.
    func question(_ extra: [UInt8] = [], _ fill: (inout ntlpc_data_request) -> Void) {
        var packet = ntlpc_data_request()
        packet.magic = NTLPC_WIRE_MAGIC
        packet.version = NTLPC_WIRE_VERSION
        packet.kind = NTLPC_CONTROL_DATA
        fill(&packet)
        let bytes = withUnsafeBytes(of: &packet) { Array($0) } + extra
        bytes.withUnsafeBytes { bytes in
            do { try UnixSocket.send(bytes, over: link.control) } catch { Issue.record("not sent: \(error)") }
        }
    }

    /// The next packet of that kind; nil when the link ends.
    func answer() -> ntlpc_data_request? {
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            do {
                try UnixSocket.waitReadable(link.control, deadline: 0)
                let received = try buffer.withUnsafeMutableBytes { try UnixSocket.receive(into: $0, from: link.control) }
                guard received != nil else { return nil }
                let packet = buffer.withUnsafeBytes { $0.load(as: ntlpc_data_request.self) }
                if packet.kind == NTLPC_CONTROL_DATA { return packet }
            } catch {
                return nil
            }
        }
    }

    /// The server has ended the link.
    var isCutOff: Bool { link.peerHasGone || UnixSocket.hasHungUp(link.control) }
}
