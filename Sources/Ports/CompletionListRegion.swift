// The memory of a completion list: what the library writes there and programs take out, without locks.
//
//   0          ALPC_COMPLETION_LIST_HEADER
//   ListOffset    a queue of message numbers, one ULONG for each block; then for each block the length of the message there
//   BitmapOffset  one bit for each block: set by the library for a message, cleared by whoever frees it
//   DataOffset    blocks of 64 bytes; a message lies in neighbours, its attributes behind it at the next multiple of 8
//
// Head and Tail of the state word are places in the queue, both 0xFFFFFF while it is empty. Places run in a circle far longer than
// the queue, so that a thread that is stopped between reading Head and changing the word would have to miss millions of messages to
// be deceived; the word changes only by compare-and-exchange. The header's members and sizes are NT's, the contents of the list
// area are our own: the helper functions are its only readers.
//
// The region is the program's memory: it may be scribbled over, or gone. Every access goes through the fault-safe routines, nothing
// that is read is used unchecked as an address, and the library keeps its own copy of the layout.

import CLinuxShims
import NTTypes

/// A completion list's memory.
public struct CompletionListRegion: @unchecked Sendable {
    public static let blockSize = 64
    /// No message: Head and Tail of an empty list.
    public static let empty: UInt64 = 0xFF_FFFF
    static let startMagic: UInt64 = 0xDEAD_BEEF_BAAD_F00D
    static let endMagic: UInt64 = 0xBAAD_F00D_DEAD_BEEF
    // The members of ALPC_COMPLETION_LIST_HEADER, which Swift cannot import for its alignment: layout_checks.c asserts these numbers.
    static let headerSize = 0x180
    private static let stateOffset = 0x40
    private static let lastMessageOffset = 0x48
    private static let postCountOffset = 0x80
    private static let returnCountOffset = 0xC0
    private static let endMagicOffset = 0x148

    public let base: UnsafeMutableRawPointer
    let listOffset: Int
    let bitmapOffset: Int
    let dataOffset: Int
    let blocks: Int
    public let attributeFlags: UInt32

    /// The longest region that is used; what is behind it lies idle.
    static let largestSize = 1 << 29

    /// The layout of a new list in `size` bytes; nil when not even one block has room.
    init?(base: UnsafeMutableRawPointer, size: Int, attributeFlags: UInt32) {
        self.base = base
        self.attributeFlags = attributeFlags
        let usable = min(size, Self.largestSize) - Self.headerSize
        // A block costs its 64 bytes, two ULONGs and a bit. The areas are rounded up to 64 bytes.
        var count = max(0, usable / (Self.blockSize + 8) + 1)
        func end(_ count: Int) -> Int { Self.rounded(count * 8) + Self.rounded((count + 63) / 64 * 8) + count * Self.blockSize }
        while count > 0 && end(count) > usable { count -= 1 }
        guard count > 0 else { return nil }
        blocks = count
        listOffset = Self.headerSize
        bitmapOffset = listOffset + Self.rounded(count * 8)
        dataOffset = bitmapOffset + Self.rounded((count + 63) / 64 * 8)
    }

    /// The layout that the header of a registered list shows; nil when it shows none.
    public init?(at pointer: UnsafeMutableRawPointer?) {
        var header = Sizes()
        var start: UInt64 = 0, end: UInt64 = 0
        guard let pointer, UInt(bitPattern: pointer) & 7 == 0, ntlpc_copy_8(&start, pointer) == 0, start == Self.startMagic,
              ntlpc_copy_8(&end, pointer + Self.endMagicOffset) == 0, end == Self.endMagic,
              ntlpc_copy(&header, pointer + 8, MemoryLayout<Sizes>.size) == 0 else { return nil }
        base = pointer
        blocks = Int(header.dataSize) / Self.blockSize
        listOffset = Int(header.listOffset)
        bitmapOffset = Int(header.bitmapOffset)
        dataOffset = Int(header.dataOffset)
        attributeFlags = header.attributeFlags
        guard blocks > 0, Int(header.totalSize) <= Self.largestSize, Int(header.listSize) >= blocks * 8, Int(header.bitmapSize) * 8 >= blocks,
              listOffset & 7 == 0, bitmapOffset & 7 == 0, dataOffset & 7 == 0,
              listOffset + Int(header.listSize) <= Int(header.totalSize), bitmapOffset + Int(header.bitmapSize) <= Int(header.totalSize),
              dataOffset + blocks * Self.blockSize <= Int(header.totalSize) else { return nil }
    }

    /// The part of the header from TotalSize to AttributeSize.
    private struct Sizes {
        var totalSize: UInt32 = 0, listOffset: UInt32 = 0, listSize: UInt32 = 0, bitmapOffset: UInt32 = 0, bitmapSize: UInt32 = 0
        var dataOffset: UInt32 = 0, dataSize: UInt32 = 0, attributeFlags: UInt32 = 0, attributeSize: UInt32 = 0
    }

    private static func rounded(_ count: Int) -> Int { (count + 63) & ~63 }

    /// Writes an empty list. False when the memory is not there.
    func initialize() -> Bool {
        var sizes = Sizes()
        sizes.totalSize = UInt32(dataOffset + blocks * Self.blockSize)
        sizes.listOffset = UInt32(listOffset)
        sizes.listSize = UInt32(bitmapOffset - listOffset)
        sizes.bitmapOffset = UInt32(bitmapOffset)
        sizes.bitmapSize = UInt32(dataOffset - bitmapOffset)
        sizes.dataOffset = UInt32(dataOffset)
        sizes.dataSize = UInt32(blocks * Self.blockSize)
        sizes.attributeFlags = attributeFlags
        sizes.attributeSize = attributeFlags == 0 ? 0 : UInt32(MessageAttributes.headerSize(AttributeSet(rawValue: attributeFlags)))
        var header = [UInt8](repeating: 0, count: Self.headerSize)
        header.withUnsafeMutableBytes { header in
            header.storeBytes(of: Self.startMagic, as: UInt64.self)
            header.storeBytes(of: sizes, toByteOffset: 8, as: Sizes.self)
            header.storeBytes(of: Self.empty | Self.empty << 24, toByteOffset: Self.stateOffset, as: UInt64.self)
            header.storeBytes(of: Self.endMagic, toByteOffset: Self.endMagicOffset, as: UInt64.self)
        }
        // The data is touched too, though not changed: a region that is too short for its size is refused and not half used.
        let zeros = [UInt8](repeating: 0, count: 4096)
        var offset = listOffset
        while offset < dataOffset {
            let count = min(4096, dataOffset - offset)
            guard zeros.withUnsafeBytes({ ntlpc_copy(base + offset, $0.baseAddress!, count) }) == 0 else { return false }
            offset += count
        }
        offset = dataOffset
        while offset < dataOffset + blocks * Self.blockSize {
            var word: UInt64 = 0
            guard ntlpc_copy_8(&word, base + offset) == 0, ntlpc_copy_8(base + offset, &word) == 0 else { return false }
            offset += 4096
        }
        // The last word of the last page, which a step of a page may have passed over.
        var last: UInt64 = 0
        let end = base + dataOffset + blocks * Self.blockSize - 8
        guard ntlpc_copy_8(&last, end) == 0, ntlpc_copy_8(end, &last) == 0 else { return false }
        return header.withUnsafeBytes { ntlpc_copy(base, $0.baseAddress!, $0.count) } == 0
    }

    // MARK: Words

    private func load(_ offset: Int) -> UInt64? {
        var value: UInt64 = 0
        return ntlpc_copy_8(&value, base + offset) == 0 ? value : nil
    }

    /// Changes a word by `change` until nobody else did so meanwhile; what it was before. Nil when the memory is gone, or when `change`
    /// does not want to. ORDER: the exchange is a full fence on x86-64, which all of this relies on.
    @discardableResult
    private func update(_ offset: Int, _ change: (UInt64) -> UInt64?) -> UInt64? {
        guard var value = load(offset) else { return nil }
        while true {
            guard let changed = change(value) else { return nil }
            let before = value
            switch ntlpc_compare_exchange_8(base + offset, &value, changed) {
            case 0: return before
            case 1: continue
            default: return nil
            }
        }
    }

    private static func head(_ state: UInt64) -> UInt64 { state & 0xFF_FFFF }
    private static func tail(_ state: UInt64) -> UInt64 { state >> 24 & 0xFF_FFFF }
    private static func threads(_ state: UInt64) -> UInt64 { state >> 48 }
    private static func word(head: UInt64, tail: UInt64, threads: UInt64) -> UInt64 { head | tail << 24 | threads << 48 }

    /// How many places the circle has: a multiple of the queue's length.
    private var circle: UInt64 { Self.empty / UInt64(blocks) * UInt64(blocks) }
    private func queueOffset(_ place: UInt64) -> Int { listOffset + Int(place % UInt64(blocks)) * 4 }
    private func spanOffset(_ block: Int) -> Int { listOffset + (blocks + block) * 4 }

    /// Something is in the list. False also when the memory is gone.
    public var hasMessages: Bool { load(Self.stateOffset).map { Self.head($0) != Self.empty } ?? false }

    /// Messages posted and not yet freed.
    public var outstanding: UInt32 {
        guard let posted = load(Self.postCountOffset), let returned = load(Self.returnCountOffset) else { return 0 }
        return UInt32(truncatingIfNeeded: posted) &- UInt32(truncatingIfNeeded: returned)
    }

    public var activeThreads: Int { load(Self.stateOffset).map { Int(Self.threads($0)) } ?? 0 }

    // MARK: The library's side. One thread at a time.

    enum Reservation {
        case block(Int)
        case full
        /// The memory is not there any more.
        case gone
    }

    /// Takes `count` neighbouring free blocks. `hint` is where to look first.
    func reserve(_ count: Int, hint: inout Int) -> Reservation {
        for start in hint == 0 ? [0] : [hint, 0] {
            switch findFree(count, from: start) {
            case .block(let found):
                guard mark(found, count) else { return .gone }
                hint = found + count < blocks ? found + count : 0
                return .block(found)
            case .full: continue
            case .gone: return .gone
            }
        }
        return .full
    }

    private func findFree(_ count: Int, from start: Int) -> Reservation {
        var run = 0
        var block = start
        var word: UInt64 = 0
        while block < blocks {
            if block & 63 == 0 || block == start {
                guard let found = load(bitmapOffset + block / 64 * 8) else { return .gone }
                word = found
                if word == .max && block & 63 == 0 {
                    run = 0
                    block += 64
                    continue
                }
            }
            run = word >> UInt64(block & 63) & 1 == 0 ? run + 1 : 0
            block += 1
            if run == count { return .block(block - count) }
        }
        return .full
    }

    private func mark(_ first: Int, _ count: Int) -> Bool {
        each(first, count) { offset, mask in update(offset) { $0 | mask } != nil }
    }

    /// Gives blocks back that were reserved for nothing.
    func release(_ first: Int, _ count: Int) { _ = each(first, count) { offset, mask in update(offset) { $0 & ~mask } != nil } }

    private func each(_ first: Int, _ count: Int, _ body: (Int, UInt64) -> Bool) -> Bool {
        var block = first
        while block < first + count {
            let inWord = min(64 - block & 63, first + count - block)
            let mask = (inWord == 64 ? UInt64.max : (1 << UInt64(inWord)) - 1) << UInt64(block & 63)
            guard body(bitmapOffset + block / 64 * 8, mask) else { return false }
            block += inWord
        }
        return true
    }

    /// Where a message in `block` lies.
    func address(of block: Int) -> UnsafeMutableRawPointer { base + dataOffset + block * Self.blockSize }

    /// Puts the message in `block` into the list: `place` is the next of the circle. False when the memory is gone.
    func post(_ block: Int, span: Int, place: inout UInt64, message: UInt32, callback: UInt32) -> Bool {
        var number = UInt32(block), length = UInt32(span)
        var last = UInt64(message) | UInt64(callback) << 32
        guard ntlpc_copy(base + spanOffset(block), &length, 4) == 0, ntlpc_copy(base + queueOffset(place), &number, 4) == 0,
              ntlpc_copy_8(base + Self.lastMessageOffset, &last) == 0,
              update(Self.postCountOffset, { $0 & ~0xFFFF_FFFF | UInt64(UInt32(truncatingIfNeeded: $0) &+ 1) }) != nil,
              update(Self.stateOffset, { state in
                  Self.word(head: Self.head(state) == Self.empty ? place : Self.head(state), tail: place, threads: Self.threads(state))
              }) != nil else { return false }
        place = (place + 1) % circle
        return true
    }

    // MARK: The program's side. Any thread.

    /// Takes the next message out of the queue; it stays in its blocks until it is freed.
    public func take() -> UnsafeMutableRawPointer? {
        var block: UInt32 = 0
        let before = update(Self.stateOffset) { state in
            let head = Self.head(state)
            guard head != Self.empty, ntlpc_copy(&block, base + queueOffset(head), 4) == 0 else { return nil }
            if head == Self.tail(state) { return Self.word(head: Self.empty, tail: Self.empty, threads: Self.threads(state)) }
            return Self.word(head: (head + 1) % circle, tail: Self.tail(state), threads: Self.threads(state))
        }
        guard before != nil, Int(block) < blocks else { return nil }
        return address(of: Int(block))
    }

    /// Frees a message that `take` returned; false for any other address, and the second time.
    public func free(_ message: UnsafeMutableRawPointer?) -> Bool {
        guard let message else { return false }
        let (distance, under) = UInt(bitPattern: message).subtractingReportingOverflow(UInt(bitPattern: base) + UInt(dataOffset))
        guard !under, distance % UInt(Self.blockSize) == 0, distance / UInt(Self.blockSize) < UInt(blocks) else { return false }
        let block = Int(distance) / Self.blockSize
        // The length goes to zero in one exchange, so that of two who free a message one does.
        let offset = spanOffset(block)
        let isHigh = offset & 4 != 0
        var span: UInt64 = 0
        guard update(offset & ~7, { word in
            span = isHigh ? word >> 32 : word & 0xFFFF_FFFF
            if span == 0 { return nil }
            return isHigh ? word & 0xFFFF_FFFF : word & ~0xFFFF_FFFF
        }) != nil, block + Int(span) <= blocks else { return false }
        release(block, Int(span))
        return update(Self.returnCountOffset, { $0 & ~0xFFFF_FFFF | UInt64(UInt32(truncatingIfNeeded: $0) &+ 1) }) != nil
    }

    /// Where the attributes of a message lie: behind it. Nil for a list without attributes.
    public func attributes(of message: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
        var lengths: UInt64 = 0
        guard attributeFlags != 0, let message, ntlpc_copy_8(&lengths, message) == 0 else { return nil }
        return message + (Int(lengths >> 16 & 0xFFFF) + 7) & ~7
    }

    public var lastMessage: (message: UInt32, callback: UInt32)? {
        load(Self.lastMessageOffset).map { (UInt32(truncatingIfNeeded: $0), UInt32($0 >> 32)) }
    }

    /// One worker more; false when 65,535 are counted.
    public func enterThread() -> Bool {
        update(Self.stateOffset) { Self.threads($0) == 0xFFFF ? nil : $0 + 1 << 48 } != nil
    }

    /// One worker less; false when none is counted, or when messages wait and nobody else would take them.
    public func leaveThread() -> Bool {
        update(Self.stateOffset) { state in
            let threads = Self.threads(state)
            if threads == 0 || threads == 1 && Self.head(state) != Self.empty { return nil }
            return state - 1 << 48
        } != nil
    }
}
