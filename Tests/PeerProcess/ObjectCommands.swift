// Commands about objects that came as descriptors. The descriptors are inherited, at the numbers that the test says.
//
//   adopt H FD TYPE ACCESS         a handle for the descriptor; TYPE is an ALPC_PORFLG_OBJECT_TYPE_* bit
//   set H    reset H               NtSetEvent, NtResetEvent; the state before
//   any MS H...    all MS H...     NtWaitForMultipleObjects
//   answer E A STOP N              N threads wait for E and set A each time, until STOP is set; how often
//   fill H OFFSET BYTE COUNT       writes to a view of a section; sum H OFFSET COUNT adds its bytes up
//   identity                       process and thread ids

import CLinuxShims
import CNTTypes
import Glibc
import LinuxSystem
import NTObjects
import NTTypes
import Synchronization

extension Session {
    /// Runs one command, nil when it is none of these.
    func runObjects(_ words: [Substring]) -> String? {
        func number(_ index: Int) -> UInt64 {
            guard words.indices.contains(index) else { return 0 }
            return words[index].hasPrefix("0x") ? UInt64(words[index].dropFirst(2), radix: 16) ?? 0 : UInt64(words[index]) ?? 0
        }
        let object = handle(words.count > 1 ? words[1] : nil)
        switch words.first {
        case "adopt":
            do throws(NTStatus) {
                let descriptor = Descriptor(owning: ntlpc_move_high(Int32(number(2))))
                handles[words[1]] = try Host.handle(
                    for: descriptor, type: ObjectType(rawValue: UInt32(number(3))), access: UInt32(number(4)), attributes: 0)
                return "SUCCESS"
            } catch {
                return error.name
            }
        case "set", "reset":
            var before: LONG = -1
            let result = words[0] == "set" ? NtSetEvent(object, &before) : NtResetEvent(object, &before)
            return result == 0 ? "SUCCESS \(before)" : PeerProcess.name(of: result)
        case "any", "all":
            var objects = words.dropFirst(2).map { handle($0) }
            let result = withTime(Int64(words[1]) ?? 0) {
                NtWaitForMultipleObjects(ULONG(objects.count), &objects, words[0] == "any" ? WaitAny : WaitAll, 0, $0)
            }
            return (0 ... 63).contains(result) ? "\(result)" : PeerProcess.name(of: result)
        case "answer":
            return "answered=\(answer(object, handle(words[2]), stop: handle(words[3]), threads: Int(number(4))))"
        case "fill", "sum":
            let count = Int(number(words[0] == "fill" ? 4 : 3))
            return onView(of: object, offset: number(2), count: count, writing: words[0] == "fill") { view in
                if words[0] == "fill" {
                    view.initializeMemory(as: UInt8.self, repeating: UInt8(number(3)), count: count)
                    return "SUCCESS"
                }
                var sum = 0
                for index in 0 ..< count { sum += Int(view.load(fromByteOffset: index, as: UInt8.self)) }
                return "\(sum)"
            }
        case "identity": return "\(getpid()) \(ntlpc_gettid())"
        default: return nil
        }
    }

    private func answer(_ event: HANDLE?, _ answer: HANDLE?, stop: HANDLE?, threads: Int) -> Int32 {
        let shared = Shared(Atomic(0)), stop = UInt(bitPattern: stop), event = UInt(bitPattern: event), answer = UInt(bitPattern: answer)
        let all = (0 ..< threads).map { _ in
            thread {
                var objects = [HANDLE(bitPattern: stop), HANDLE(bitPattern: event)]
                while NtWaitForMultipleObjects(2, &objects, WaitAny, 0, nil) == 1 {
                    shared.value.wrappingAdd(1, ordering: .relaxed)
                    NtSetEvent(HANDLE(bitPattern: answer), nil)
                }
            }
        }
        for one in all { pthread_join(one, nil) }
        return shared.value.load(ordering: .acquiring)
    }

    private func onView(of section: HANDLE?, offset: UInt64, count: Int, writing: Bool, _ body: (UnsafeMutableRawPointer) -> String) -> String {
        var base: PVOID?, place = LARGE_INTEGER(), size = SIZE_T(count)
        place.QuadPart = Int64(offset)
        let result = NtMapViewOfSection(section, HANDLE(bitPattern: -1), &base, 0, 0, &place, &size, ViewUnmap, 0, writing ? 4 : 2)
        guard result == 0, let base else { return PeerProcess.name(of: result) }
        defer { NtUnmapViewOfSection(HANDLE(bitPattern: -1), base) }
        return body(base)
    }
}
