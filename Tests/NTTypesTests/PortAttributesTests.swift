import CNTTypes
import NTTypes
import Testing

@Suite struct PortAttributesTests {
    private func parse(
        _ purpose: PortAttributes.Purpose, _ change: (inout ALPC_PORT_ATTRIBUTES) -> Void = { _ in }
    ) -> Result<PortAttributes, NTStatus> {
        var attributes = ALPC_PORT_ATTRIBUTES()
        attributes.MaxMessageLength = 0x1000
        change(&attributes)
        do throws(NTStatus) { return .success(try PortAttributes(attributes, for: purpose)) } catch { return .failure(error) }
    }

    @Test func aServerMayFillInTheMessageLimitOnly() throws {
        let attributes = try parse(.create).get()
        #expect(attributes.maxMessageLength == 0x1000)
        #expect(attributes.flags == [])
        #expect(attributes.securityQos == SecurityQualityOfService(level: .anonymous, dynamicTracking: false, effectiveOnly: false))
    }

    @Test func everySingleFlagIsAcceptedExceptSystemProcess() throws {
        for bit in 0..<32 {
            let flag = UInt32(1) << UInt32(bit)
            let result = parse(.create) { $0.Flags = flag }
            if flag == ALPC_PORFLG_SYSTEM_PROCESS {
                #expect(result == .failure(.invalidParameter))
            } else {
                let attributes = try result.get()
                #expect(attributes.givenFlags == flag)
                #expect(attributes.flags.rawValue == flag & 0x03FF_0000)
            }
        }
    }

    @Test(arguments: [
        (UInt(0), NTStatus?.some(.invalidParameter), 0xFFFF), (39, .invalidParameter, 0xFFFF), (40, nil, 40), (0xFFFF, nil, 0xFFFF),
        (0x1_0000, .invalidParameter, 0xFFFF), (0x2_0000, .invalidParameter, 0xFFFF), (.max, .invalidParameter, 0xFFFF),
    ])
    func createChecksTheMessageLimitAndConnectCutsIt(given: UInt, atCreate: NTStatus?, atConnect: Int) throws {
        let created = parse(.create) { $0.MaxMessageLength = given }
        if let atCreate { #expect(created == .failure(atCreate)) } else { #expect(try created.get().maxMessageLength == Int(given)) }
        #expect(try parse(.communication) { $0.MaxMessageLength = given }.get().maxMessageLength == atConnect)
    }

    @Test func theQualityOfServiceIsChecked() throws {
        #expect(parse(.communication) { $0.SecurityQos.ContextTrackingMode = 2 } == .failure(.invalidParameter))
        #expect(parse(.communication) { $0.SecurityQos.ImpersonationLevel = .init(rawValue: 4) } == .failure(.badImpersonationLevel))
        let attributes = try parse(.communication) {
            $0.SecurityQos.ImpersonationLevel = SecurityImpersonation
            $0.SecurityQos.ContextTrackingMode = 1
            $0.SecurityQos.EffectiveOnly = 7
        }.get()
        #expect(attributes.securityQos == SecurityQualityOfService(level: .impersonation, dynamicTracking: true, effectiveOnly: true))
    }

    @Test func limitsAreKept() throws {
        let attributes = try parse(.create) {
            $0.MemoryBandwidth = 1
            $0.MaxPoolUsage = 2
            $0.MaxSectionSize = 3
            $0.MaxViewSize = 4
            $0.MaxTotalSectionSize = .max
            $0.DupObjectTypes = 0xFFD
        }.get()
        #expect(attributes.memoryBandwidth == 1)
        #expect(attributes.maxPoolUsage == 2)
        #expect(attributes.maxSectionSize == 3)
        #expect(attributes.maxViewSize == 4)
        #expect(attributes.maxTotalSectionSize == .max)
        #expect(attributes.dupObjectTypes == 0xFFD)
    }
}
