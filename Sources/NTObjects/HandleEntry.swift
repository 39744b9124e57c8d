// What the handle table stores for one handle, and tells of it. How the two words are read and changed: HandleTable.swift.

import Synchronization

/// One handle's place.
struct HandleEntry: ~Copyable {
    let object: Atomic<UInt>
    let word: Atomic<UInt64>
}

/// The second word of an entry. A word that was once live never comes again before 2^25 changes of the entry.
struct HandleWord: Equatable {
    var bits: UInt64

    private static let attributeShift: UInt64 = 32, kindShift: UInt64 = 34, generationShift: UInt64 = 39
    private static let liveBit: UInt64 = 1 << 38

    var access: UInt32 { UInt32(truncatingIfNeeded: bits) }
    /// OBJ_PROTECT_CLOSE (1) and OBJ_INHERIT (2).
    var attributes: UInt32 { UInt32(truncatingIfNeeded: bits >> Self.attributeShift) & 3 }
    var kind: UInt8 { UInt8(truncatingIfNeeded: bits >> Self.kindShift) & 15 }
    var isLive: Bool { bits & Self.liveBit != 0 }

    func next(access: UInt32, attributes: UInt32, kind: ObjectKind) -> HandleWord {
        HandleWord(bits: nextGeneration | Self.liveBit | UInt64(access) | UInt64(attributes & 3) << Self.attributeShift
            | UInt64(kind.rawValue) << Self.kindShift)
    }

    var closed: HandleWord { HandleWord(bits: nextGeneration) }
    private var nextGeneration: UInt64 { ((bits >> Self.generationShift) &+ 1) << Self.generationShift }
}

/// What NtQueryObject tells of a handle.
public struct HandleInformation: Equatable, Sendable {
    public var grantedAccess: UInt32
    /// OBJ_PROTECT_CLOSE (1) and OBJ_INHERIT (2).
    public var attributes: UInt32
    public var handleCount: Int

    public init(grantedAccess: UInt32, attributes: UInt32, handleCount: Int) {
        self.grantedAccess = grantedAccess
        self.attributes = attributes
        self.handleCount = handleCount
    }
}

/// The thread record's hazards are plain words of C; every access from here is atomic.
@inline(__always)
func atomic(_ word: UnsafeMutablePointer<UInt>) -> UnsafePointer<Atomic<UInt>> {
    UnsafeRawPointer(word).assumingMemoryBound(to: Atomic<UInt>.self)
}
