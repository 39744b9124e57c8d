// From handle values to objects, wait-free for lookups.
//
// An entry is two words: the object's address, and a word with granted access, attributes, object type, a live bit and a
// generation that counts the entry's changes. Entries live in chunks that never move; chunks hang in a directory.
//
//   lookup                                           close, under the lock
//   (1) read word: live?                             (A) word := not live, next generation
//   (2) read object, write it to the thread's hazard (B) handle count falls to zero: put the object on the retired list
//       -- light fence --                                -- heavy fence --
//   (3) read word again: same as in (1)?             (C) read all hazards: release the objects that are in none
//   (4) use the object                               (D) the others are released by the lookup that ends last, or the next close
//   (5) hazard := 0, look at the retired list
//
// If (3) still saw the live word, the hazard was written before (A) as far as the fences are concerned, and (C) finds it. If (C)
// does not find the hazard, (3) saw the change and starts again. The generation makes (3) sure of the whole entry: a value that
// was closed and given to another object between (1) and (3), or even given back to the first one, is a different word.
// The pair (5) and (B) works the same way round: either the reader sees the retired list or the closer sees no hazard.
//
// Two hazards for each thread allow a lookup inside a lookup; a third one holds a reference, under the lock.
// Source: hazard pointers are Maged Michael's ("Hazard Pointers", 2004); the asymmetric fence is in AsymmetricFence.swift.

import CLinuxShims
import CNTTypes
import Glibc
import LinuxSystem
import NTTypes
import Synchronization

/// The handles of this process.
public enum HandleTable {
    /// Attributes of a handle. NT spells them OBJ_PROTECT_CLOSE and OBJ_INHERIT where NtDuplicateObject takes them.
    public static let protectFromClose: UInt32 = 1
    public static let inherit: UInt32 = 2

    /// Values above this are no handles: the pseudo-handles (-1 and so on) are among them.
    static let largestValue: UInt = 1 << 26
    static let chunkBits: UInt = 10
    static let chunkCount = 1 << Int(chunkBits)
    static let directoryCount = Int((largestValue >> 2) >> chunkBits) + 1

    /// Address of the directory, an array of chunk addresses. 0 until the first handle is made, and in the child of a fork.
    private static let directory = Atomic<UInt>(0)

    /// What writers share.
    struct State {
        /// One bit for each index that `reserve` has given out, 64 in a word. Index 0 is no handle.
        var reserved: [UInt64] = [1]
        /// No word before this one has a free bit.
        var firstFree = 0
    }

    // MARK: Entries

    /// The entry of a value, if its chunk exists.
    @inline(__always)
    private static func entry(_ value: UInt) -> UnsafeMutablePointer<HandleEntry>? {
        guard value <= largestValue else { return nil }
        let index = value >> 2 // the two low bits are the program's own. [D]
        // ORDER: acquire. Pairs with the release stores in `prepare`; publishes zeroed memory.
        let chunks = UnsafePointer<Atomic<UInt>>(bitPattern: directory.load(ordering: .acquiring))
        guard let chunks else { return nil }
        let chunk = UnsafeMutablePointer<HandleEntry>(bitPattern: chunks[Int(index >> chunkBits)].load(ordering: .acquiring))
        return chunk.map { $0 + Int(index & (UInt(chunkCount) - 1)) }
    }

    /// Makes the entry of a value. Memory that was given to a table is kept for the life of the process.
    private static func prepare(_ value: UInt, _ state: inout State) throws(NTStatus) -> UnsafeMutablePointer<HandleEntry> {
        guard value <= largestValue, value >> 2 != 0 else { throw .insufficientResources }
        if let found = entry(value) { return found }
        if directory.load(ordering: .relaxed) == 0 {
            _ = ObjectContext.forkHandler
            AsymmetricFence.register()
            directory.store(try zeroed(MemoryLayout<UInt>.stride * directoryCount), ordering: .releasing)
        }
        let chunks = UnsafePointer<Atomic<UInt>>(bitPattern: directory.load(ordering: .relaxed))!
        chunks[Int((value >> 2) >> chunkBits)].store(
            try zeroed(MemoryLayout<HandleEntry>.stride * chunkCount), ordering: .releasing)
        return entry(value)!
    }

    private static func zeroed(_ size: Int) throws(NTStatus) -> UInt {
        guard let memory = calloc(1, size) else { throw .insufficientResources }
        return UInt(bitPattern: memory)
    }

    /// The child of a fork has no handles. The memory stays with the parent's objects: nobody knows who was changing it.
    static func forgetAll() {
        directory.store(0, ordering: .relaxed)
        Retirement.forgetAll()
    }

    // MARK: Lookup

    /// An object kept alive by a hazard (or, two deep already, by a reference) until `release`.
    @usableFromInline
    struct Guarded {
        @usableFromInline let object: UnsafeRawPointer
        @usableFromInline let slot: UnsafePointer<Atomic<UInt>>?
        @usableFromInline let granted: UInt64
    }

    /// Looks a handle up and runs `body` with its object.
    ///
    /// The object stays valid while `body` runs, however long that is, also when the handle is closed meanwhile. `body` may look up
    /// other handles. `T` must be the class that `kind` stands for; there is no check beyond the kind.
    /// - Throws: `invalidHandle`, `objectTypeMismatch`, `accessDenied` if a bit of `access` was not granted; what `body` throws.
    @inlinable
    @inline(__always)
    public static func withObject<T: KernelObject, R>(
        _ handle: HANDLE?, kind: ObjectKind, access: UInt32 = 0, _ body: (T) throws(NTStatus) -> R
    ) throws(NTStatus) -> R {
        let guarded = try acquire(handle, kind: kind.rawValue, access: access)
        defer { release(guarded) }
        let outcome: Result<R, NTStatus> = Unmanaged<T>.fromOpaque(guarded.object)._withUnsafeGuaranteedRef { object in
            do throws(NTStatus) { return .success(try body(object)) } catch { return .failure(error) }
        }
        return try outcome.get()
    }

    /// The same for an object of any type, with what the handle grants.
    public static func withAnyObject<R>(
        _ handle: HANDLE?, access: UInt32 = 0, _ body: (KernelObject, HandleInformation) throws(NTStatus) -> R
    ) throws(NTStatus) -> R {
        let guarded = try acquire(handle, kind: 0, access: access)
        defer { release(guarded) }
        let word = HandleWord(bits: guarded.granted)
        let object = Unmanaged<KernelObject>.fromOpaque(guarded.object).takeUnretainedValue()
        return try body(object, HandleInformation(grantedAccess: word.access, attributes: word.attributes, handleCount: object.handleCount))
    }

    /// A reference to the object, for those who keep it. Costs more than `withObject`.
    public static func object<T: KernelObject>(_ handle: HANDLE?, kind: ObjectKind, access: UInt32 = 0) throws(NTStatus) -> T {
        try withObject(handle, kind: kind, access: access) { (object: T) in object }
    }

    /// The type of the object that a handle names, nil if it is none of ours.
    public static func kind(of handle: HANDLE?) -> ObjectKind? {
        guard let entry = entry(UInt(bitPattern: handle)) else { return nil }
        let word = HandleWord(bits: entry.pointee.word.load(ordering: .relaxed))
        return word.isLive ? ObjectKind(rawValue: word.kind) : nil
    }

    @usableFromInline
    static func acquire(_ handle: HANDLE?, kind: UInt8, access: UInt32) throws(NTStatus) -> Guarded {
        let entry = entry(UInt(bitPattern: handle))
        guard let entry else { throw missing(handle) }
        let thread = ntlpc_thread_current()
        if thread.pointee.registered == 0 { ntlpc_thread_register() }
        let slot: UnsafePointer<Atomic<UInt>>
        if thread.pointee.hazard == 0 {
            slot = atomic(ntlpc_thread_hazard(thread))
        } else if thread.pointee.hazard2 == 0 {
            slot = atomic(ntlpc_thread_hazard2(thread))
        } else {
            return try acquireReference(entry, handle, kind: kind, access: access)
        }
        while true {
            // Step (1). ORDER: acquire. Pairs with the release stores in `link` and `unlink`; makes the object's address readable.
            let word = HandleWord(bits: entry.pointee.word.load(ordering: .acquiring))
            try check(word, handle, kind: kind, access: access)
            // Step (2). ORDER: release. Pairs with the acquire load of hazards in `Retirement`.
            let object = entry.pointee.object.load(ordering: .acquiring)
            slot.pointee.store(object, ordering: .releasing)
            AsymmetricFence.light()
            // Step (3). ORDER: acquire, so that it stays behind the store above.
            if entry.pointee.word.load(ordering: .acquiring) == word.bits {
                return Guarded(object: UnsafeRawPointer(bitPattern: object).unsafelyUnwrapped, slot: slot, granted: word.bits)
            }
            slot.pointee.store(0, ordering: .releasing)
        }
    }

    /// Two hazards are in use: take a reference. Under the lock no entry changes, and each live one has its object alive.
    @inline(never)
    private static func acquireReference(
        _ entry: UnsafeMutablePointer<HandleEntry>, _ handle: HANDLE?, kind: UInt8, access: UInt32
    ) throws(NTStatus) -> Guarded {
        let found = ObjectContext.shared.handles.withLock { _ -> Guarded? in
            let word = HandleWord(bits: entry.pointee.word.load(ordering: .relaxed))
            guard word.isLive else { return nil }
            let object = UnsafeRawPointer(bitPattern: entry.pointee.object.load(ordering: .relaxed))!
            _ = Unmanaged<KernelObject>.fromOpaque(object).retain()
            return Guarded(object: object, slot: nil, granted: word.bits)
        }
        guard let found else { throw missing(handle) }
        do throws(NTStatus) {
            try check(HandleWord(bits: found.granted), handle, kind: kind, access: access)
        } catch {
            release(found)
            throw error
        }
        return found
    }

    @inline(__always)
    private static func check(_ word: HandleWord, _ handle: HANDLE?, kind: UInt8, access: UInt32) throws(NTStatus) {
        guard word.isLive else { throw missing(handle) }
        guard kind == 0 || word.kind == kind else { throw .objectTypeMismatch }
        guard word.access & access == access else { throw .accessDenied }
    }

    /// Why a value that is not in the table fails: the host may know it as an object of another type.
    @inline(never)
    private static func missing(_ handle: HANDLE?) -> NTStatus { Host.classify(handle) }

    @usableFromInline
    @inline(__always)
    static func release(_ guarded: Guarded) {
        guard let slot = guarded.slot else { return Unmanaged<KernelObject>.fromOpaque(guarded.object).release() }
        // Step (5). ORDER: release. Pairs with the acquire load of hazards in `Retirement`: our use comes before the release there.
        slot.pointee.store(0, ordering: .releasing)
        Retirement.readerLeft(UInt(bitPattern: guarded.object))
    }

    // MARK: Changes

    /// Takes the lowest free value out of circulation, for the host whose values the table makes itself. No lookup finds it
    /// until `insert`.
    static func reserve() throws(NTStatus) -> HANDLE {
        try ObjectContext.shared.handles.withLock { state throws(NTStatus) in
            while state.firstFree < state.reserved.count, state.reserved[state.firstFree] == .max { state.firstFree += 1 }
            if state.firstFree == state.reserved.count { state.reserved.append(0) }
            let bit = (~state.reserved[state.firstFree]).trailingZeroBitCount
            let value = UInt(state.firstFree * 64 + bit) << 2
            _ = try prepare(value, &state)
            state.reserved[state.firstFree] |= 1 << UInt64(bit)
            return HANDLE(bitPattern: value)!
        }
    }

    /// Gives back a reserved value that was never inserted.
    static func unreserve(_ handle: HANDLE?) {
        ObjectContext.shared.handles.withLock { unreserveLocked(UInt(bitPattern: handle), &$0) }
    }

    private static func unreserveLocked(_ value: UInt, _ state: inout State) {
        let word = Int(value >> 8)
        guard word < state.reserved.count else { return }
        state.reserved[word] &= ~(1 << UInt64(value >> 2 & 63))
        if word < state.firstFree { state.firstFree = word }
    }

    /// Makes room for a value, so that `insert` cannot fail.
    static func prepare(_ handle: HANDLE?) throws(NTStatus) {
        _ = try ObjectContext.shared.handles.withLock { state throws(NTStatus) in try prepare(UInt(bitPattern: handle), &state) }
    }

    /// Makes `handle` name `object`.
    ///
    /// A value that is still in the table was closed by the host without a word; it has reused it, so the old handle is closed now.
    /// - Throws: `insufficientResources` for a value above 2^26 and when there is no memory.
    public static func insert(_ object: KernelObject, at handle: HANDLE?, access: UInt32, attributes: UInt32 = 0) throws(NTStatus) {
        try prepare(handle)
        insertPrepared(object, at: handle, access: access, attributes: attributes)
    }

    /// `insert` at a value that `prepare` has made room for.
    static func insertPrepared(_ object: KernelObject, at handle: HANDLE?, access: UInt32, attributes: UInt32) {
        let entry = entry(UInt(bitPattern: handle))!
        let dropped = ObjectContext.shared.handles.withLock { _ in
            let dropped = unlink(entry)
            link(object, entry, access: access, attributes: attributes)
            return dropped
        }
        dropped.finish()
    }

    /// Closes a handle, as NtClose does.
    /// - Throws: `invalidHandle`; `handleNotClosable` for a handle that is protected.
    public static func close(_ handle: HANDLE?) throws(NTStatus) {
        let dropped = try ObjectContext.shared.handles.withLock { state throws(NTStatus) in
            let entry = try liveEntry(handle)
            guard HandleWord(bits: entry.pointee.word.load(ordering: .relaxed)).attributes & protectFromClose == 0 else { throw .handleNotClosable }
            unreserveLocked(UInt(bitPattern: handle), &state)
            return unlink(entry)
        }
        dropped.finish()
    }

    /// Forgets a handle that the host has closed, protected or not. Returns the type of its object, nil if it was none of ours.
    @discardableResult
    public static func remove(_ handle: HANDLE?) -> ObjectKind? {
        removeEntry(handle, unreserving: { unreserveLocked(UInt(bitPattern: handle), &$0) })
    }

    /// The same for a handle whose value stays reserved: the host gives it back itself.
    @discardableResult
    static func removeKeepingValue(_ handle: HANDLE?) -> ObjectKind? { removeEntry(handle, unreserving: { _ in }) }

    private static func removeEntry(_ handle: HANDLE?, unreserving: (inout State) -> Void) -> ObjectKind? {
        guard let entry = entry(UInt(bitPattern: handle)) else { return nil }
        let (kind, dropped) = ObjectContext.shared.handles.withLock { state -> (ObjectKind?, Dropped) in
            let word = HandleWord(bits: entry.pointee.word.load(ordering: .relaxed))
            guard word.isLive else { return (nil, Dropped(object: nil)) }
            unreserving(&state)
            return (ObjectKind(rawValue: word.kind), unlink(entry))
        }
        dropped.finish()
        return kind
    }

    /// Makes `target` a second handle of the object that `source` names. Nil for access or attributes copies the source's.
    /// - Throws: `invalidHandle` when `source` is none of ours; `insufficientResources`.
    public static func duplicate(
        _ source: HANDLE?, at target: HANDLE?, access: UInt32? = nil, attributes: UInt32? = nil
    ) throws(NTStatus) {
        let dropped = try ObjectContext.shared.handles.withLock { state throws(NTStatus) in
            let old = try liveEntry(source)
            let new = try prepare(UInt(bitPattern: target), &state)
            guard old != new else { return Dropped(object: nil) }
            let word = HandleWord(bits: old.pointee.word.load(ordering: .relaxed))
            let object = Unmanaged<KernelObject>.fromOpaque(UnsafeRawPointer(bitPattern: old.pointee.object.load(ordering: .relaxed))!)
            let dropped = unlink(new)
            link(object.takeUnretainedValue(), new, access: access ?? word.access, attributes: attributes ?? word.attributes)
            return dropped
        }
        dropped.finish()
    }

    /// A second handle at the lowest free value, in the host whose values the table makes.
    public static func duplicate(_ source: HANDLE?, access: UInt32?, attributes: UInt32?) throws(NTStatus) -> HANDLE {
        let target = try reserve()
        do throws(NTStatus) {
            try duplicate(source, at: target, access: access, attributes: attributes)
        } catch {
            unreserve(target)
            throw error
        }
        return target
    }

    /// What a handle grants. Throws `invalidHandle`.
    public static func information(_ handle: HANDLE?) throws(NTStatus) -> HandleInformation {
        try withAnyObject(handle) { _, information in information }
    }

    /// Changes whether a handle is protected from closing and whether children inherit it. Throws `invalidHandle`.
    public static func setAttributes(_ attributes: UInt32, of handle: HANDLE?) throws(NTStatus) {
        try ObjectContext.shared.handles.withLock { _ throws(NTStatus) in
            let entry = try liveEntry(handle)
            let word = HandleWord(bits: entry.pointee.word.load(ordering: .relaxed))
            let kind = ObjectKind(rawValue: word.kind)!
            entry.pointee.word.store(word.next(access: word.access, attributes: attributes, kind: kind).bits, ordering: .releasing)
        }
    }

    private static func liveEntry(_ handle: HANDLE?) throws(NTStatus) -> UnsafeMutablePointer<HandleEntry> {
        guard let entry = entry(UInt(bitPattern: handle)), HandleWord(bits: entry.pointee.word.load(ordering: .relaxed)).isLive else {
            throw .invalidHandle
        }
        return entry
    }

    /// Needs the lock. The first handle of an object takes the table's one reference to it.
    private static func link(
        _ object: KernelObject, _ entry: UnsafeMutablePointer<HandleEntry>, access: UInt32, attributes: UInt32
    ) {
        let reference = Unmanaged.passUnretained(object)
        if object.openHandles.wrappingAdd(1, ordering: .relaxed).oldValue == 0 { _ = reference.retain() }
        let word = HandleWord(bits: entry.pointee.word.load(ordering: .relaxed))
        // ORDER: release, both. Pair with the acquire loads in `acquire`: an address is never seen with an older word's live bit.
        entry.pointee.object.store(UInt(bitPattern: reference.toOpaque()), ordering: .releasing)
        entry.pointee.word.store(word.next(access: access, attributes: attributes, kind: object.kind).bits, ordering: .releasing)
    }

    /// Needs the lock. Step (A). The object keeps the table's reference until `Dropped.finish`.
    private static func unlink(_ entry: UnsafeMutablePointer<HandleEntry>) -> Dropped {
        let word = HandleWord(bits: entry.pointee.word.load(ordering: .relaxed))
        guard word.isLive else { return Dropped(object: nil) }
        let object = Unmanaged<KernelObject>.fromOpaque(UnsafeRawPointer(bitPattern: entry.pointee.object.load(ordering: .relaxed))!)
        entry.pointee.word.store(word.closed.bits, ordering: .releasing)
        let left = object._withUnsafeGuaranteedRef { $0.openHandles.wrappingSubtract(1, ordering: .relaxed).newValue }
        return Dropped(object: left == 0 ? object : nil)
    }

    /// What a change leaves to be done after the lock: the end of an object that has lost its last handle.
    private struct Dropped {
        let object: Unmanaged<KernelObject>?

        func finish() {
            guard let object else { return }
            object._withUnsafeGuaranteedRef { $0.lastHandleClosed() }
            Retirement.retire(object)
        }
    }
}
