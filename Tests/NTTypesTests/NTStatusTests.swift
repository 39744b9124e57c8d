import NTTypes
import Testing

@Suite struct NTStatusTests {
    @Test func everyCodeOfTheReferenceHasItsValueAndName() throws {
        for row in try Checkout.rows("statuses") {
            let bits = try #require(Checkout.number(row[1]).map(UInt32.init))
            #expect(NTStatus(bits).name == row[0])
        }
    }

    @Test func everyCodeOfTheHeaderIsADocumentedMember() throws {
        let swift = try Checkout.text("Sources/NTTypes/NTStatus.swift")
        let header = try Checkout.text("CShims/CNTTypes/include/ntlpc/ntstatus.h")
        var count = 0
        for match in header.matches(of: /#define (STATUS_\w+) \(\(NTSTATUS\)0x([0-9A-F]{8})\)/) {
            let name = String(match.1), digits = String(match.2)
            let value = "0x\(digits.prefix(4))_\(digits.suffix(4))"
            let member = try #require(swift.range(of: "/// `\(name)`: "), "\(name)")
            let lines = swift[member.lowerBound...].split(separator: "\n", maxSplits: 2)
            #expect(lines[1].contains("NTStatus(\(value))"), "\(name)")
            let bits = try #require(UInt32(digits, radix: 16))
            #expect(NTStatus(bits).name == (name == "STATUS_WAIT_0" ? "STATUS_SUCCESS" : name))
            count += 1
        }
        #expect(count > 100)
    }

    @Test(arguments: [
        (NTStatus.success, true, false), (.timeout, true, false), (.messageRetrieved, true, false), (.bufferOverflow, false, false),
        (.accessDenied, false, true),
    ])
    func severityFollowsTheTopBits(status: NTStatus, success: Bool, error: Bool) {
        #expect(status.isSuccess == success)
        #expect(status.isError == error)
    }

    @Test func unknownCodesAreShownInHexadecimal() {
        #expect(NTStatus(0xC123_4567).name == "0xC1234567")
        #expect(NTStatus(0x0000_0777).description == "0x00000777")
    }
}
