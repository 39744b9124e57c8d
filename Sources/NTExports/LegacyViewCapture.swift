// PORT_VIEW and REMOTE_PORT_VIEW between the caller's memory and the ports.

import CNTTypes
import NTTypes
import Ports

/// A caller's PORT_VIEW.
struct LegacyViewCapture {
    private let pointer: PPORT_VIEW
    private let given: PORT_VIEW

    /// Nil for a NULL pointer.
    /// - Throws: `accessViolation`; `invalidParameter` when Length is not the structure's size ([R] ROS-LPC).
    init?(_ pointer: PPORT_VIEW?) throws(NTStatus) {
        guard let pointer else { return nil }
        given = try CallerMemory.read(pointer)
        guard given.Length == ULONG(MemoryLayout<PORT_VIEW>.size) else { throw .invalidParameter }
        try CallerMemory.probeWrite(pointer)
        self.pointer = pointer
    }

    /// The part of the caller's section that it shows.
    func offer() throws(NTStatus) -> OfferedView {
        try OfferedView(section: given.SectionHandle, offset: given.SectionOffset, size: UInt64(given.ViewSize))
    }

    /// Where the view lies in this process, and in the other one.
    func give(_ view: PortView, remote: UInt64) throws(NTStatus) {
        var answer = given
        answer.ViewSize = SIZE_T(view.size)
        answer.ViewBase = UnsafeMutableRawPointer(bitPattern: view.base)
        answer.ViewRemoteBase = UnsafeMutableRawPointer(bitPattern: UInt(remote))
        try CallerMemory.write(answer, to: pointer)
    }

    /// The other side's view in this process; zeros when it has none.
    static func give(_ view: PortView?, to pointer: PREMOTE_PORT_VIEW?) throws(NTStatus) {
        guard let pointer else { return }
        var answer = REMOTE_PORT_VIEW()
        answer.Length = ULONG(MemoryLayout<REMOTE_PORT_VIEW>.size)
        answer.ViewSize = SIZE_T(view?.size ?? 0)
        answer.ViewBase = UnsafeMutableRawPointer(bitPattern: view?.base ?? 0)
        try CallerMemory.write(answer, to: pointer)
    }
}
