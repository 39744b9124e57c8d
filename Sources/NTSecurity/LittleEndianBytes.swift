// Numbers in byte arrays, as the binary forms of this module have them. Positions count from the start of the slice; callers
// check lengths first, and a position outside is our own mistake, so it traps.

extension ArraySlice<UInt8> {
    func byte(_ position: Int) -> UInt8 { self[startIndex + position] }

    func uint16(_ position: Int) -> UInt16 { UInt16(byte(position)) | UInt16(byte(position + 1)) << 8 }

    func uint32(_ position: Int) -> UInt32 { UInt32(uint16(position)) | UInt32(uint16(position + 2)) << 16 }

    /// The rest of the slice from a position that need not exist: nil when it lies outside.
    func rest(from position: Int) -> ArraySlice<UInt8>? {
        guard position >= 0, position <= count else { return nil }
        return self[(startIndex + position)...]
    }
}

extension [UInt8] {
    mutating func append(littleEndian value: UInt16) {
        append(UInt8(truncatingIfNeeded: value))
        append(UInt8(truncatingIfNeeded: value >> 8))
    }

    mutating func append(littleEndian value: UInt32) {
        append(littleEndian: UInt16(truncatingIfNeeded: value))
        append(littleEndian: UInt16(truncatingIfNeeded: value >> 16))
    }
}
