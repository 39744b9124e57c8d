// The limit of what a port keeps in private memory for messages that nobody has received yet: MaxPoolUsage.
//
// A message counts while it lies in the main queue; in the ring of a link, which has a fixed size, it does not. A queue above its limit
// says so in each link's region (NTLPC_GONE_FULL), in the word that every sender looks at anyway. The next send of a new message fails
// there with QUOTA_EXCEEDED, whether it would wait or not: nothing blocks and nothing is lost ([I]; MaxPoolUsage is [B]). What was
// on its way still arrives, as do answers, cancellations, connects and messages sent with a resource reserve, so that no
// conversation stops half way. A message is never too large by itself: an empty queue takes any.
//
// Limits: MaxPoolUsage of the connection port for all its clients together; for clients the sum of those of the process's ports on one
// link, which share a queue. 0 and all ones are no limit of their own: `standard`.
//
// A peer that goes on sending when its link says full breaks the rules, after as much as could have been on its way.

import CLinuxShims
import CWireFormat
import Transport

/// The limit of a queue.
struct PoolQuota {
    /// Bytes of messages, headers included, for ports that set no limit.
    static let standard = 64 << 20
    /// What may still come over one link after it was told: its ring twice, and the largest message of each of many threads. Messages
    /// sent with reserves may come beyond that, as many as `standard` holds.
    static let overrun = 4 << 20

    var limit = PoolQuota.standard
    /// The links have been told.
    var isFull = false

    /// MaxPoolUsage as a number of bytes.
    static func bytes(_ maxPoolUsage: UInt) -> Int {
        maxPoolUsage == 0 || maxPoolUsage > UInt(Int.max / 2) ? standard : Int(maxPoolUsage)
    }
}

extension QueueState {
    /// After the main queue has grown or shrunk.
    @inline(__always)
    mutating func checkQuota() {
        if (main.bytes > quota.limit) != quota.isFull { changeFullness() }
    }

    @inline(never)
    private mutating func changeFullness() {
        quota.isFull.toggle()
        for entry in entries.all where !entry.isOver {
            entry.core.pointee.setFull(quota.isFull)
            entry.overrun = 0
        }
    }

    /// A frame of `entry` has brought the queue from `before` bytes to what it holds now. False: the peer does not stop.
    mutating func noteGrowth(_ entry: LinkEntry, _ frame: ntlpc_frame, since before: Int) -> Bool {
        checkQuota()
        guard quota.isFull, main.bytes > before else { return true }
        switch frame.kind {
        case FrameKind.message, FrameKind.cancel, FrameKind.threadDied: break
        default: return true    // answers were asked for, connections are counted elsewhere
        }
        entry.overrun += main.bytes - before
        return entry.overrun <= (frame.flags & FrameFlags.reserved != 0 ? PoolQuota.standard : PoolQuota.overrun)
    }

    /// A port of these queues has come or gone: `bytes` more or less.
    mutating func addQuota(_ bytes: Int) {
        quota.limit = max(0, min(quota.limit + bytes, Int.max / 2))
        checkQuota()
    }
}
