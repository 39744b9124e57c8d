// The views of this process, by address: what NtUnmapViewOfSection can unmap.
//
// Sections and ports add the views that they map. A view is unmapped by whoever takes it out of the table, so a port that gives
// up a view and a program that unmaps it can meet: one of them finds it gone. The memory is unmapped after that, by its owner's
// function, with no lock held. The child of a fork starts with an empty table.

import NTTypes

/// One view in the table.
public final class MappedView: Sendable {
    public let base: UInt
    public let count: Int
    fileprivate let unmap: @Sendable () -> Void

    fileprivate init(base: UInt, count: Int, unmap: @escaping @Sendable () -> Void) {
        self.base = base
        self.count = count
        self.unmap = unmap
    }
}

/// The views of this process.
public enum MappedViews {
    /// In order of their addresses.
    typealias State = [MappedView]

    /// Adds a view that has just been mapped. Views that overlap it were unmapped without a word, and are forgotten.
    /// - Parameter unmap: runs when a program unmaps the view by NtUnmapViewOfSection: unmaps it and does what else its end means.
    public static func add(base: UnsafeMutableRawPointer, count: Int, unmap: @escaping @Sendable () -> Void) -> MappedView {
        let view = MappedView(base: UInt(bitPattern: base), count: count, unmap: unmap)
        ObjectContext.shared.views.withLock { views in
            let first = index(after: view.base, in: views)
            let last = index(before: view.base + UInt(count), in: views, from: first)
            views.replaceSubrange(first ..< last, with: CollectionOfOne(view))
        }
        return view
    }

    /// Takes a view out of the table for its owner, who unmaps it then. False when it is gone already.
    public static func remove(_ view: MappedView) -> Bool {
        ObjectContext.shared.views.withLock { views in
            let found = index(after: view.base, in: views)
            guard found < views.count, views[found] === view else { return false }
            views.remove(at: found)
            return true
        }
    }

    /// Unmaps the view that an address lies in.
    /// - Throws: `notMappedView` when it lies in none.
    public static func unmap(containing address: UInt) throws(NTStatus) {
        let view = ObjectContext.shared.views.withLock { views -> MappedView? in
            let found = index(after: address, in: views)
            guard found < views.count, views[found].base <= address else { return nil }
            return views.remove(at: found)
        }
        guard let view else { throw .notMappedView }
        view.unmap()
    }

    /// The first view that ends behind `address`.
    private static func index(after address: UInt, in views: State) -> Int {
        var low = 0, high = views.count
        while low < high {
            let middle = (low + high) / 2
            if views[middle].base + UInt(views[middle].count) > address { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// The first view, from `start` on, that begins at or behind `end`.
    private static func index(before end: UInt, in views: State, from start: Int) -> Int {
        var found = start
        while found < views.count, views[found].base < end { found += 1 }
        return found
    }
}
