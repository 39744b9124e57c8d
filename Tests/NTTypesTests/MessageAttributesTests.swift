import CNTTypes
import NTTypes
import Testing

@Suite struct MessageAttributesTests {
    static let bits: [String: AttributeSet] = [
        "MESSAGE_ATTRIBUTES_HEADER": [], "SECURITY": .security, "VIEW": .view, "CONTEXT": .context, "HANDLE": .handle,
        "TOKEN": .token, "DIRECT": .direct, "WORK_ON_BEHALF": .workOnBehalf, "ALL": .known,
    ]

    @Test func sizesAreThoseOfTheReference() throws {
        var seen = 0
        for row in try Checkout.rows("constants") where row[0] == "alpc_attr_size" {
            let name = String(row[1].prefix { $0 != "(" })
            let attributes = try #require(Self.bits[name], "\(name)")
            let expected = try #require(Checkout.number(row[2]).map(Int.init))
            let width: PointerWidth = row[1].hasSuffix("(64)") ? .bits64 : .bits32
            let size = attributes.isEmpty || attributes == .known
                ? MessageAttributes.headerSize(attributes, width) : MessageAttributes.recordsSize(attributes, width)
            #expect(size == expected, "\(row[1])")
            seen += 1
        }
        #expect(seen == 18)
    }

    @Test func bitsAreThoseOfTheCHeader() {
        #expect(AttributeSet.security.rawValue == ALPC_MESSAGE_SECURITY_ATTRIBUTE)
        #expect(AttributeSet.view.rawValue == ALPC_MESSAGE_VIEW_ATTRIBUTE)
        #expect(AttributeSet.context.rawValue == ALPC_MESSAGE_CONTEXT_ATTRIBUTE)
        #expect(AttributeSet.handle.rawValue == ALPC_MESSAGE_HANDLE_ATTRIBUTE)
        #expect(AttributeSet.token.rawValue == ALPC_MESSAGE_TOKEN_ATTRIBUTE)
        #expect(AttributeSet.direct.rawValue == ALPC_MESSAGE_DIRECT_ATTRIBUTE)
        #expect(AttributeSet.workOnBehalf.rawValue == ALPC_MESSAGE_WORK_ON_BEHALF_ATTRIBUTE)
        #expect(AttributeSet.known.rawValue == ALPC_MESSAGE_ATTRIBUTE_ALL)
    }

    @Test(arguments: [
        (AttributeSet.security, 8, 8), (.view, 32, 20), (.context, 64, 36), (.handle, 96, 56), (.token, 120, 72), (.direct, 144, 96),
        (.workOnBehalf, 152, 100),
    ])
    func recordsOfAllSevenLieWhereTheReferenceSays(attribute: AttributeSet, at64: Int, at32: Int) {
        #expect(MessageAttributes.offset(of: attribute, in: .known) == at64)
        #expect(MessageAttributes.offset(of: attribute, in: .known, .bits32) == at32)
    }

    @Test func aRecordFollowsThoseOfTheHigherBitsThatAreAllocated() {
        #expect(MessageAttributes.offset(of: .context, in: .context) == 8)
        #expect(MessageAttributes.offset(of: .context, in: [.context, .token]) == 8)
        #expect(MessageAttributes.offset(of: .token, in: [.context, .token]) == 40)
        #expect(MessageAttributes.offset(of: .handle, in: [.security, .handle]) == 32)
    }

    @Test func unknownBitsCountNothing() {
        #expect(MessageAttributes.headerSize(AttributeSet(rawValue: 0x01FF_FFFF)) == 8)
        #expect(MessageAttributes.offset(of: .workOnBehalf, in: AttributeSet(rawValue: 0xFFFF_FFFF)) == 152)
    }

    @Test(arguments: [UInt32(0), 0x1, 0x0100_0000, 0x6000_0000, 0xFFFF_FFFF])
    func onlyOneKnownAttributeCanBeFound(bits: UInt32) {
        #expect(MessageAttributes.offset(of: AttributeSet(rawValue: bits), in: AttributeSet(rawValue: .max)) == nil)
    }

    @Test func anAttributeWithoutRoomIsNotFound() {
        #expect(MessageAttributes.offset(of: .view, in: [.security, .context]) == nil)
    }

    @Test func theStateOfACompletionListHasItsBitsWhereTheReferenceSays() {
        var state = ALPC_COMPLETION_LIST_STATE()
        state.u1.Value = 0xABCD << 48 | 0x123456 << 24 | 0x789ABC
        #expect(state.u1.s1.Head == 0x789ABC)
        #expect(state.u1.s1.Tail == 0x123456)
        #expect(state.u1.s1.ActiveThreadCount == 0xABCD)
    }
}
