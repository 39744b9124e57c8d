// Security contexts: an identity that a client has prepared, under a quality of service of its own, and names in the SECURITY attribute
// of its messages. There it takes the place of the connection's terms ([B] WI6; [W] PFW, NTOBJ).
//
// The context lives in the client port's table of resources. What the server must know of it travels with each message, so the server
// keeps nothing and a context ends with its port, or when the client says so. How far a client lets itself be impersonated is the
// client's own word, so any value that is one is good; whose identity it is remains the kernel's word.
//
// A message that is sent under a context goes through here twice: `attach` finds or makes the context before the message is visible to
// anybody, `finish` does what depends on whether it went out.

import CWireFormat
import NTObjects
import NTTypes
import Synchronization

/// A context in the table of a client port.
final class SecurityContext: PortResource, @unchecked Sendable {
    let quality: SecurityQualityOfService
    private let revoked = Atomic<Bool>(false)

    init(_ quality: SecurityQualityOfService) {
        self.quality = quality
        super.init(kind: .securityContext)
    }

    /// ORDER: release on store, acquire on load. Who learns of the revocation, by any way, sees it here.
    var isRevoked: Bool { revoked.load(ordering: .acquiring) }
    func revoke() { revoked.store(true, ordering: .releasing) }
}

/// ALPC_SECFLG_*, and the value of no context.
public enum SecurityFlags {
    /// The context ends when the message is out.
    public static let deleteExisting: UInt32 = 0x1_0000
    /// With `noHandle`: the context stays, and its value goes back into the sender's attribute.
    public static let createHandle: UInt32 = 0x2_0000
    /// Only named in one header; accepted without effect. [I]
    public static let noSectionHandle: UInt32 = 0x4_0000
    public static let all = deleteExisting | createHandle | noSectionHandle
    /// ContextHandle -2: capture the caller's identity now ([D] PHNT; NTOBJ).
    public static let noHandle = UInt64.max - 1
}

/// What a SECURITY attribute does to one message.
struct MessageSecurity {
    /// The context's value and terms, as they travel with the message.
    let context: UInt32
    let qos: UInt32
    /// Made for this message.
    let isNew: Bool
    /// Nobody but this message knows it, or the sender wants it to end with it.
    let endsWhenSent: Bool
    /// What goes back into the sender's attribute.
    var handleToWrite: UInt32? { isNew && !endsWhenSent ? context : nil }
}

/// The context that a received message came under.
struct SentContext: Equatable {
    let number: UInt32
    let quality: SecurityQualityOfService

    /// From what travelled; nil when no honest peer sends that.
    init?(context: UInt32, qos: UInt32) {
        guard context != 0, let quality = SecurityQualityOfService(packed: qos) else { return nil }
        number = context
        self.quality = quality
    }

    /// What a queued or received message brought; nil without a SECURITY attribute.
    init?(of record: MessageRecord) {
        guard let brought = record.attachments?._withUnsafeGuaranteedRef({ $0.context }) else { return nil }
        self = brought
    }
}

extension SecurityQualityOfService {
    /// As ntlpc_attached.qos holds it.
    var packed: UInt32 { level.rawValue | (dynamicTracking ? 1 << 4 : 0) | (effectiveOnly ? 1 << 5 : 0) }

    init?(packed: UInt32) {
        guard packed & ~0x33 == 0, let level = Level(rawValue: packed & 3) else { return nil }
        self.init(level: level, dynamicTracking: packed & 1 << 4 != 0, effectiveOnly: packed & 1 << 5 != 0)
    }

    /// What a client says when it connects; nil when no honest peer says that.
    init?(_ terms: ntlpc_connect) {
        guard let level = Level(rawValue: terms.impersonation_level), terms.context_tracking <= 1, terms.effective_only <= 1 else { return nil }
        self.init(level: level, dynamicTracking: terms.context_tracking == 1, effectiveOnly: terms.effective_only == 1)
    }
}

extension ALPCPort {
    // MARK: The three calls

    /// Captures the caller's identity under a quality of service; without one, under the port's own. [I]
    /// - Returns: the context's value.
    /// - Throws: `lpcInvalidConnectionUsage` on any port but a client communication port ([I]: an error is to be expected);
    ///   `insufficientResources`, `portClosed`.
    public func createSecurityContext(_ quality: SecurityQualityOfService?) throws(NTStatus) -> UInt32 {
        guard isClientPort else { throw .lpcInvalidConnectionUsage }
        return try resources.insert(SecurityContext(quality ?? traits.attributes.securityQos))
    }

    /// No new message may be sent under the context. Again: the same ([I]).
    /// - Throws: `invalidHandle`; `accessDenied` for a context of the other endpoint ([R] RLI-K, NW-S).
    public func revokeSecurityContext(_ handle: UInt64) throws(NTStatus) { try securityContext(handle).revoke() }

    /// Forgets the context. Messages that were sent under it keep its terms.
    /// - Throws: as `revokeSecurityContext`.
    public func deleteSecurityContext(_ handle: UInt64) throws(NTStatus) {
        let context = try securityContext(handle)
        // Another thread may have been faster.
        guard resources.remove(context) else { throw .invalidHandle }
    }

    private func securityContext(_ handle: UInt64) throws(NTStatus) -> SecurityContext {
        guard let value = UInt32(exactly: handle), value != 0 else { throw .invalidHandle }
        if let found = existingResources?.find(value, .securityContext, as: SecurityContext.self) { return found }
        throw isPeersContext(value) ? .accessDenied : .invalidHandle
    }

    /// A message that this side has received and owes an answer for came under a context of that value.
    private func isPeersContext(_ value: UInt32) -> Bool {
        queues.lock.withLock { state in
            let entries = connection.map { [$0.entry] } ?? state.entries.all
            return entries.contains { entry in
                entry.table.all.contains { SentContext(of: $0.pointee)?.number == value && (connection == nil || $0.pointee.connection === connection) }
            }
        }
    }

    // MARK: Messages

    /// What a SECURITY attribute does to a message that is about to be sent on this port.
    ///
    /// - Throws: `invalidParameter` (unknown flags; a context to be made and deleted at once ([D] PHNT), or made where one is named [I]),
    ///   `invalidHandle`, `accessDenied` (revoked; the other endpoint's), `lpcInvalidConnectionUsage` (a context is to be made and this is no
    ///   client communication port), `insufficientResources`.
    func attach(_ sent: SentSecurity) throws(NTStatus) -> MessageSecurity {
        guard sent.flags & ~SecurityFlags.all == 0 else { throw .invalidParameter }
        let deletes = sent.flags & SecurityFlags.deleteExisting != 0, creates = sent.flags & SecurityFlags.createHandle != 0
        if sent.makesContext {
            guard !deletes else { throw .invalidParameter }
            let quality = sent.qos ?? traits.attributes.securityQos
            // Without the flag the identity is captured for this message alone. [I]
            return MessageSecurity(context: try createSecurityContext(quality), qos: quality.packed, isNew: true, endsWhenSent: !creates)
        }
        guard !creates else { throw .invalidParameter }
        let context = try securityContext(sent.context)
        guard !context.isRevoked else { throw .accessDenied }
        return MessageSecurity(context: UInt32(truncatingIfNeeded: sent.context), qos: context.quality.packed, isNew: false, endsWhenSent: deletes)
    }

    /// Ends what `attach` began. A context that was made for a message that did not go out has never been.
    func finish(_ security: MessageSecurity, wasSent: Bool) {
        guard wasSent ? security.endsWhenSent : security.isNew else { return }
        guard let context = existingResources?.find(security.context, .securityContext, as: SecurityContext.self) else { return }
        existingResources?.remove(context)
    }
}
