// How far a server may act for a client: what the server asks for against what the client allowed. No token is touched here.
// Source: behaviour reference 8.12, 12.

import NTTypes

/// The flags of NtAlpcImpersonateClientOfPort.
public struct ImpersonationRequest: Equatable, Sendable {
    /// A client that allows nothing is impersonated as anonymous instead of being refused.
    public var fallsBackToAnonymous: Bool
    /// The least level that serves; nil takes the client's as it is.
    public var requiredLevel: SecurityQualityOfService.Level?

    public init(fallsBackToAnonymous: Bool = false, requiredLevel: SecurityQualityOfService.Level? = nil) {
        self.fallsBackToAnonymous = fallsBackToAnonymous
        self.requiredLevel = requiredLevel
    }

    /// - Parameter flags: the pointer-sized third argument: bit 0 anonymous fallback, bit 1 a level is required, bits 2 and 3 that level
    ///   ([D] PHNT, NTOBJ). Without bit 1 the level is not looked at. [I]
    /// - Throws: `invalidParameter` for any other bit ([R] NW-S).
    public init(flags: UInt) throws(NTStatus) {
        guard flags & ~0xF == 0 else { throw .invalidParameter }
        fallsBackToAnonymous = flags & 1 != 0
        requiredLevel = flags & 2 != 0 ? SecurityQualityOfService.Level(rawValue: UInt32(truncatingIfNeeded: flags >> 2)) : nil
    }

    /// The level at which the server's thread acts for the client.
    ///
    /// - Parameters:
    ///   - quality: of the client's connection, or of the security context that its message came under.
    ///   - consents: the client's port has flag 0x10000, or is LPC's, where the quality of service is all there is.
    /// - Throws: `accessDenied` when the client does not consent, or only to the anonymous level, and no fallback was asked for ([W] CSK;
    ///   [R] NW-S); and when the required level is above the client's ([R] NW-S), fallback or not. [I]
    public func grantedLevel(_ quality: SecurityQualityOfService, consents: Bool) throws(NTStatus) -> SecurityQualityOfService.Level {
        let level = consents ? quality.level : .anonymous
        if let requiredLevel, level < requiredLevel { throw .accessDenied }
        guard level > .anonymous || fallsBackToAnonymous else { throw .accessDenied }
        return level
    }
}
