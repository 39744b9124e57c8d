// Port attributes and security quality of service as values.
//
// What a program says about a port when it makes, connects or accepts one. Size limits of all ones mean no limit; without
// attributes the defaults here hold.
// Source: behaviour reference 7.1, 7.2, 8.1, 8.2; each member gives the evidence mark.

import CNTTypes

/// `ALPC_PORT_ATTRIBUTES.Flags`. Unknown bits are accepted and dropped ([W] for acceptance).
public struct PortFlags: OptionSet, Hashable, Sendable {
    public var rawValue: UInt32
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// `ALPC_PORFLG_LPC_MODE`: the port was made by an LPC call. A program cannot set it.
    @inlinable public static var lpcMode: PortFlags { PortFlags(rawValue: 0x1000) }
    /// `ALPC_PORFLG_ALLOW_IMPERSONATION`: the client lets the server impersonate it.
    @inlinable public static var allowImpersonation: PortFlags { PortFlags(rawValue: 0x1_0000) }
    /// `ALPC_PORFLG_ALLOW_LPC_REQUESTS`: the owner accepts requests that are sent to this port.
    @inlinable public static var allowLPCRequests: PortFlags { PortFlags(rawValue: 0x2_0000) }
    /// `ALPC_PORFLG_WAITABLE_PORT`: the handle can be waited on, receive never blocks.
    @inlinable public static var waitable: PortFlags { PortFlags(rawValue: 0x4_0000) }
    /// `ALPC_PORFLG_ALLOW_DUP_OBJECT`: handle attributes are accepted.
    @inlinable public static var allowDupObject: PortFlags { PortFlags(rawValue: 0x8_0000) }
    /// `ALPC_PORFLG_SYSTEM_PROCESS`: refused from user mode.
    @inlinable public static var systemProcess: PortFlags { PortFlags(rawValue: 0x10_0000) }
    /// `ALPC_PORFLG_WAKE_POLICY1`, `2` and `3`: accepted, without effect.
    @inlinable public static var wakePolicies: PortFlags { PortFlags(rawValue: 0xE0_0000) }
    /// `ALPC_PORFLG_DIRECT_MESSAGE`
    @inlinable public static var directMessage: PortFlags { PortFlags(rawValue: 0x100_0000) }
    /// `ALPC_PORFLG_ALLOW_MULTIHANDLE_ATTRIBUTE`
    @inlinable public static var allowMultihandleAttribute: PortFlags { PortFlags(rawValue: 0x200_0000) }
    /// What a program may ask for ([R]).
    @inlinable public static var userMask: PortFlags { PortFlags(rawValue: 0x03FF_0000) }
}

/// How much of a client's identity a server gets.
public struct SecurityQualityOfService: Equatable, Sendable {
    /// `SECURITY_IMPERSONATION_LEVEL`, in rising order.
    public enum Level: UInt32, Comparable, Sendable {
        case anonymous, identification, impersonation, delegation
        @inlinable public static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }
    }

    public var level: Level
    /// The client's identity at each use, instead of that at connect.
    public var dynamicTracking: Bool
    /// The server cannot enable disabled privileges and groups.
    public var effectiveOnly: Bool

    public init(level: Level, dynamicTracking: Bool, effectiveOnly: Bool) {
        self.level = level
        self.dynamicTracking = dynamicTracking
        self.effectiveOnly = effectiveOnly
    }

    /// Without attributes: anonymous, dynamic, effective only ([R]).
    public static let standard = SecurityQualityOfService(level: .anonymous, dynamicTracking: true, effectiveOnly: true)

    /// - Throws: `invalidParameter` for a tracking mode that is not 0 or 1; `badImpersonationLevel` above delegation ([R]).
    ///   The structure's own length is not looked at: programs leave it 0 inside port attributes.
    public init(_ qos: SECURITY_QUALITY_OF_SERVICE) throws(NTStatus) {
        guard qos.ContextTrackingMode <= 1 else { throw .invalidParameter }
        guard let level = Level(rawValue: UInt32(qos.ImpersonationLevel.rawValue)) else { throw .badImpersonationLevel }
        self.init(level: level, dynamicTracking: qos.ContextTrackingMode == 1, effectiveOnly: qos.EffectiveOnly != 0)
    }
}

public struct PortAttributes: Equatable, Sendable {
    /// The flags as the program gave them: what `AlpcBasicInformation` shows.
    public var givenFlags: UInt32
    public var securityQos: SecurityQualityOfService
    /// The longest message, in bytes with the header; at most 0xFFFF.
    public var maxMessageLength: Int
    /// These are limits in bytes; `UInt.max` for none. Not enforced as far as is known: `memoryBandwidth` ([I]).
    public var memoryBandwidth: UInt
    public var maxPoolUsage: UInt
    public var maxSectionSize: UInt
    public var maxViewSize: UInt
    public var maxTotalSectionSize: UInt
    /// Object types accepted in handle attributes: `ALPC_PORFLG_OBJECT_TYPE_*`.
    public var dupObjectTypes: UInt32

    public var flags: PortFlags { PortFlags(rawValue: givenFlags).intersection(.userMask) }

    /// Without attributes. The sources do not agree on the limits; these are the wide ones.
    public static let standard = PortAttributes(
        givenFlags: 0, securityQos: .standard, maxMessageLength: PortMessage.maximumTotalLength, memoryBandwidth: .max,
        maxPoolUsage: .max, maxSectionSize: .max, maxViewSize: .max, maxTotalSectionSize: .max, dupObjectTypes: 0)

    public init(
        givenFlags: UInt32, securityQos: SecurityQualityOfService, maxMessageLength: Int, memoryBandwidth: UInt, maxPoolUsage: UInt,
        maxSectionSize: UInt, maxViewSize: UInt, maxTotalSectionSize: UInt, dupObjectTypes: UInt32
    ) {
        self.givenFlags = givenFlags
        self.securityQos = securityQos
        self.maxMessageLength = maxMessageLength
        self.memoryBandwidth = memoryBandwidth
        self.maxPoolUsage = maxPoolUsage
        self.maxSectionSize = maxSectionSize
        self.maxViewSize = maxViewSize
        self.maxTotalSectionSize = maxTotalSectionSize
        self.dupObjectTypes = dupObjectTypes
    }

    /// What the attributes are for: the checks differ.
    public enum Purpose: Sendable {
        /// `NtAlpcCreatePort`
        case create
        /// `NtAlpcConnectPort`, `NtAlpcConnectPortEx`, `NtAlpcAcceptConnectPort`
        case communication
    }

    /// - Throws: `invalidParameter` for the system process flag ([W]), and at create for a message limit below the header ([R])
    ///   or above 0xFFFF ([W?]); the errors of the quality of service ([R]).
    ///   A communication port's limit is cut to 0xFFFF instead ([W]: a limit of 0x20000 connects), and one below the header is
    ///   taken as no limit of its own: many programs fill in only some members.
    public init(_ attributes: ALPC_PORT_ATTRIBUTES, for purpose: Purpose) throws(NTStatus) {
        guard !PortFlags(rawValue: attributes.Flags).contains(.systemProcess) else { throw .invalidParameter }
        let qos = try SecurityQualityOfService(attributes.SecurityQos)
        let limit = attributes.MaxMessageLength
        let maximum = UInt(PortMessage.maximumTotalLength), minimum = UInt(PortMessage.headerSize)
        let length: UInt
        switch purpose {
        case .create:
            guard limit >= minimum, limit <= maximum else { throw .invalidParameter }
            length = limit
        case .communication:
            length = limit < minimum ? maximum : min(limit, maximum)
        }
        self.init(
            givenFlags: attributes.Flags, securityQos: qos, maxMessageLength: Int(length), memoryBandwidth: attributes.MemoryBandwidth,
            maxPoolUsage: attributes.MaxPoolUsage, maxSectionSize: attributes.MaxSectionSize, maxViewSize: attributes.MaxViewSize,
            maxTotalSectionSize: attributes.MaxTotalSectionSize, dupObjectTypes: attributes.DupObjectTypes)
    }
}
