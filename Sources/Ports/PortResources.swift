// What a port owns besides messages: sections, views, security contexts, resource reserves. NT keeps them in a handle table of the
// port, whose values (ALPC_HANDLE) are no object handles ([D] PHNT; [B] WI6).
//
// A value names a place and its generation, so that a stale one finds nothing:
//   bit 31      set in a reserve's id and in no other value ([W] RLI-T)
//   bits 16-30  generation, from 1
//   bits 2-15   place, from 1
//   bits 0-1    0
//
// One lock, innermost: nothing else is locked, freed or called while it is held. Resources that leave the table are returned, and
// the caller lets go of them. Objects are found and used outside the lock; a resource that is removed meanwhile lives as long
// as its users.

import CLinuxShims
import LinuxSystem
import NTTypes

/// What a resource is.
public enum PortResourceKind: UInt8, Sendable, CaseIterable {
    case section
    case view
    case securityContext
    case reserve
}

/// One of a port's own things. Sections, views, contexts and reserves are subclasses.
open class PortResource: @unchecked Sendable {
    public let kind: PortResourceKind

    public init(kind: PortResourceKind) { self.kind = kind }

    /// The port's last handle is closed. Called once, without a lock, after the port's messages have ended.
    open func portClosed() {}
}

/// A port's table of resources.
public final class PortResources: @unchecked Sendable {
    /// Resources one port may have.
    public static let limit = 0x3FFF

    private struct Place {
        var resource: PortResource?
        var generation: UInt32
    }

    private struct State {
        var places: [Place] = []
        var free: [Int] = []
        var counts = [0, 0, 0, 0]
        var isClosed = false
    }

    private let state = FutexLock(State())

    /// Puts `resource` into the table.
    ///
    /// - Parameter limit: of resources of this kind.
    /// - Returns: its ALPC_HANDLE, not 0; with bit 31 for a reserve.
    /// - Throws: `insufficientResources` when the table or the kind is full; `portClosed` when the port is.
    public func insert(_ resource: PortResource, limit: Int = PortResources.limit) throws(NTStatus) -> UInt32 {
        try state.withLock { (state) throws(NTStatus) -> UInt32 in
            guard !state.isClosed else { throw .portClosed }
            guard state.counts[Int(resource.kind.rawValue)] < limit else { throw .insufficientResources }
            let index: Int
            if let free = state.free.popLast() {
                index = free
            } else {
                guard state.places.count < Self.limit else { throw .insufficientResources }
                index = state.places.count
                state.places.append(Place(resource: nil, generation: 1))
            }
            state.places[index].resource = resource
            state.counts[Int(resource.kind.rawValue)] += 1
            return Self.value(index, state.places[index].generation, resource.kind)
        }
    }

    /// The resource with that value, if it is of type `Resource` and `kind`.
    public func find<Resource: PortResource>(_ value: UInt32, _ kind: PortResourceKind, as type: Resource.Type = Resource.self) -> Resource? {
        let found = state.withLock { state -> PortResource? in
            guard let index = Self.index(value, kind, state) else { return nil }
            return state.places[index].resource
        }
        return found.flatMap { Self.cast($0) }
    }

    /// Takes the resource out of the table: its value is void from now on. `allows` is asked under the lock and may refuse by
    /// throwing; it must not do anything else.
    /// - Returns: nil when there is none of that value and kind. The caller releases it, outside every lock.
    public func remove<Resource: PortResource>(_ value: UInt32, _ kind: PortResourceKind, as type: Resource.Type = Resource.self,
                                               allows: (Resource) throws(NTStatus) -> Void = { (_) throws(NTStatus) in }) throws(NTStatus) -> Resource? {
        let removed = try state.withLock { (state) throws(NTStatus) -> PortResource? in
            guard let index = Self.index(value, kind, state), let resource = state.places[index].resource else { return nil }
            guard let cast: Resource = Self.cast(resource) else { return nil }
            try allows(cast)
            Self.vacate(index, &state)
            return resource
        }
        return removed.flatMap { Self.cast($0) }
    }

    /// Takes `resource` out, whatever its value is; false when it is not there (any more).
    @discardableResult
    public func remove(_ resource: PortResource) -> Bool {
        state.withLock { state in
            guard let index = state.places.firstIndex(where: { $0.resource === resource }) else { return false }
            Self.vacate(index, &state)
            return true
        }
    }

    /// All resources of a kind, in the order of their places.
    public func all(_ kind: PortResourceKind) -> [PortResource] {
        state.withLock { state in state.places.compactMap { $0.resource?.kind == kind ? $0.resource : nil } }
    }

    public func count(_ kind: PortResourceKind) -> Int { state.withLock { $0.counts[Int(kind.rawValue)] } }

    /// The end of the port: empties the table and tells each resource. A second call finds nothing.
    func close() {
        let left = state.withLock { state -> [PortResource] in
            let left = state.places.compactMap(\.resource)
            state = State()
            state.isClosed = true
            return left
        }
        for resource in left { resource.portClosed() }
    }

    // MARK: Values

    private static func value(_ index: Int, _ generation: UInt32, _ kind: PortResourceKind) -> UInt32 {
        (kind == .reserve ? 0x8000_0000 : 0) | generation << 16 | UInt32(index + 1) << 2
    }

    private static func index(_ value: UInt32, _ kind: PortResourceKind, _ state: borrowing State) -> Int? {
        let index = Int(value >> 2 & 0x3FFF) - 1
        guard value & 3 == 0, index >= 0, index < state.places.count, state.places[index].generation == value >> 16 & 0x7FFF,
              state.places[index].resource?.kind == kind, (value >> 31 != 0) == (kind == .reserve) else { return nil }
        return index
    }

    private static func vacate(_ index: Int, _ state: inout State) {
        guard let resource = state.places[index].resource else { return }
        state.counts[Int(resource.kind.rawValue)] -= 1
        state.places[index].resource = nil
        state.places[index].generation = state.places[index].generation % 0x7FFF + 1
        state.free.append(index)
    }

    private static func cast<Resource: PortResource>(_ resource: PortResource) -> Resource? { resource as? Resource }
}
