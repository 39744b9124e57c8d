import CNTTypes
import NTTypes
import Testing

@Suite struct PortMessageTests {
    @Test func theLayoutIsThatOfTheCStructure() {
        #expect(MemoryLayout<PortMessage>.size == MemoryLayout<PORT_MESSAGE>.size)
        #expect(MemoryLayout<PortMessage>.stride == 40)
        #expect(MemoryLayout<PortMessage>.alignment == MemoryLayout<PORT_MESSAGE>.alignment)

        var c = PORT_MESSAGE()
        c.u1.s1.DataLength = 0x1122
        c.u1.s1.TotalLength = 0x3344
        c.u2.s2.Type = 0x5566
        c.u2.s2.DataInfoOffset = 0x7788
        c.ClientId = CLIENT_ID(UniqueProcess: HANDLE(bitPattern: 0x0123_4567_89AB_CDEF), UniqueThread: HANDLE(bitPattern: 0x1357_9BDF))
        c.MessageId = 0x99AA_BBCC
        c.ClientViewSize = 0x1_0000_0007
        let message = PortMessage(c)
        #expect(message.dataLength == 0x1122)
        #expect(message.totalLength == 0x3344)
        #expect(message.typeAndFlags == 0x5566)
        #expect(message.dataInfoOffset == 0x7788)
        #expect(message.clientID == ClientID(process: 0x0123_4567_89AB_CDEF, thread: 0x1357_9BDF))
        #expect(message.messageID == 0x99AA_BBCC)
        #expect(message.clientViewSize == 0x1_0000_0007)
        #expect(message.callbackID == 7)

        let back = message.header
        #expect(back.u2.s2.Type == 0x5566)
        #expect(back.CallbackId == 7)
        #expect(back.ClientId.UniqueThread == HANDLE(bitPattern: 0x1357_9BDF))
    }

    @Test func aNewHeaderIsAllZero() {
        withUnsafeBytes(of: PortMessage()) { bytes in
            #expect(bytes.count == 40)
            #expect(bytes.allSatisfy { $0 == 0 })
        }
    }

    @Test func typeAndFlagsDoNotTouchEachOther() {
        var message = PortMessage(type: .request, flags: .continuationRequired, dataLength: 8)
        #expect(message.typeAndFlags == 0x2001)
        #expect(message.dataLength == 8)
        #expect(message.totalLength == 48)
        message.type = .connectionRequest
        #expect(message.typeAndFlags == 0x200A)
        message.flags = [.kernelMode, .noImpersonate]
        #expect(message.typeAndFlags == 0xC00A)
        message.flags = MessageFlags(rawValue: 0xFFFF)
        #expect(message.typeAndFlags == 0xFF0A)
        #expect(message.type == .connectionRequest)
    }

    @Test func typesHaveTheValuesOfTheReference() throws {
        let types: [String: MessageType] = [
            "LPC_REQUEST": .request, "LPC_REPLY": .reply, "LPC_DATAGRAM": .datagram, "LPC_LOST_REPLY": .lostReply,
            "LPC_PORT_CLOSED": .portClosed, "LPC_CLIENT_DIED": .clientDied, "LPC_EXCEPTION": .exception,
            "LPC_DEBUG_EVENT": .debugEvent, "LPC_ERROR_EVENT": .errorEvent, "LPC_CONNECTION_REQUEST": .connectionRequest,
            "LPC_INTERNAL_CONNECTION_REPLY": .connectionReply, "LPC_CANCEL_MESSAGE": .cancelled,
            "LPC_LEGACY_CONNECTION_REPLY": .legacyConnectionReply,
        ]
        var seen = 0
        for row in try Checkout.rows("constants") where row[0] == "lpc_message_type" {
            guard let type = types[row[1]] else { continue }
            #expect(UInt64(type.rawValue) == Checkout.number(row[2]), "\(row[1])")
            seen += 1
        }
        #expect(seen == types.count)
    }

    @Test func settingTheCallbackClearsTheUpperHalf() {
        var message = PortMessage()
        message.clientViewSize = .max
        message.callbackID = 3
        #expect(message.clientViewSize == 3)
    }

    @Test func theLongestMessageIsTheLongestThatItsLengthsCanSay() {
        var message = PortMessage()
        message.setLengths(data: UInt16(PortMessage.maximumDataLength))
        #expect(message.totalLength == 0xFFFF)
        #expect(PortMessage.maximumDataLength == 0xFFD7)
    }

    struct LengthRow: Sendable {
        var data: UInt16, total: UInt16, limit: Int
        var alpc: NTStatus?, lpc: NTStatus?
    }

    @Test(arguments: [
        LengthRow(data: 0, total: 40, limit: 0xFFFF, alpc: nil, lpc: nil),
        LengthRow(data: 8, total: 48, limit: 48, alpc: nil, lpc: nil),
        LengthRow(data: 8, total: 48, limit: 47, alpc: .portMessageTooLong, lpc: .portMessageTooLong),
        LengthRow(data: 0, total: 0, limit: 0xFFFF, alpc: .invalidParameter, lpc: .invalidParameter),
        LengthRow(data: 0, total: 39, limit: 0xFFFF, alpc: .invalidParameter, lpc: .invalidParameter),
        LengthRow(data: 8, total: 56, limit: 0xFFFF, alpc: .invalidParameter, lpc: nil),
        LengthRow(data: 9, total: 48, limit: 0xFFFF, alpc: .invalidParameter, lpc: .invalidParameter),
        LengthRow(data: 0xFFFF, total: 39, limit: 0xFFFF, alpc: .invalidParameter, lpc: .invalidParameter),
        LengthRow(data: 0xFFD7, total: 0xFFFF, limit: 0xFFFF, alpc: nil, lpc: nil),
    ])
    func lengthsThatLieAreRefused(row: LengthRow) {
        var message = PortMessage()
        message.dataLength = row.data
        message.totalLength = row.total
        func status(_ body: () throws(NTStatus) -> Void) -> NTStatus? {
            do throws(NTStatus) { try body() } catch { return error }
            return nil
        }
        #expect(status { () throws(NTStatus) in try message.validateALPC(limit: row.limit) } == row.alpc)
        #expect(status { () throws(NTStatus) in try message.validateLPC(limit: row.limit) } == row.lpc)
    }
}
