// Parcels over the control socket: what was sent comes whole, whoever reads it; what no honest peer sends ends the link.

import CWireFormat
import Glibc
import LinuxSystem
import Testing
@testable import Transport

@Suite(.guarded) struct ParcelTests {
    func item(_ number: Int, hasDescriptor: Bool = false) -> ntlpc_parcel_item {
        var item = ntlpc_parcel_item()
        item.kind = UInt16(NTLPC_ITEM_HANDLE)
        item.flags = hasDescriptor ? UInt16(NTLPC_ITEM_HAS_DESCRIPTOR) : 0
        item.value = UInt64(number)
        return item
    }

    func file(_ text: String) throws -> Descriptor {
        let file = try MemoryFile.makeSealable(name: "ntlpc-test", count: 64)
        #expect(pwrite(file.rawValue, text, text.utf8.count, 0) == text.utf8.count)
        return file
    }

    func text(_ file: Descriptor?) -> String {
        var bytes = [UInt8](repeating: 0, count: 64)
        guard let file, pread(file.rawValue, &bytes, 64, 0) == 64 else { return "" }
        return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }

    func values(_ outcome: ParcelOutcome) -> [Int]? {
        if case .here(let items) = outcome { items.map { Int($0.item.value) } } else { nil }
    }

    /// Sends raw bytes as the peer of `link`.
    func send(_ bytes: [UInt8], over link: Link) throws {
        let sent = bytes.withUnsafeBytes { Glibc.send(link.control.rawValue, $0.baseAddress, $0.count, 0) }
        try #require(sent == bytes.count)
    }

    @Test func `A parcel comes with its descriptors, whoever reads the socket`() throws {
        let pair = try LinkPair()
        let first = try pair.client.sendParcel([ParcelItem(item(1, hasDescriptor: true), descriptor: try file("one")), ParcelItem(item(2), descriptor: nil)])
        let second = try pair.client.sendParcel([ParcelItem(item(3, hasDescriptor: true), descriptor: try file("three"))])
        #expect(first != 0 && second != first)
        guard case .here(let items) = pair.server.takeParcel(second) else { Issue.record("missing"); return }
        #expect(text(items[0].descriptor) == "three")
        #expect(pair.server.readControl()?.isEmpty == true)
        guard case .here(let earlier) = pair.server.takeParcel(first) else { Issue.record("missing"); return }
        #expect(earlier.map { Int($0.item.value) } == [1, 2] && text(earlier[0].descriptor) == "one" && earlier[1].descriptor == nil)
        guard case .missing = pair.server.takeParcel(first) else { Issue.record("twice"); return }
    }

    @Test func `The largest parcel takes several packets`() throws {
        let pair = try LinkPair()
        let one = try file("same")
        let serial = try pair.server.sendParcel((0 ..< 514).map { ParcelItem(item($0, hasDescriptor: $0 < 512), descriptor: $0 < 512 ? one : nil) })
        guard case .here(let items) = pair.client.takeParcel(serial) else { Issue.record("missing"); return }
        #expect(items.map { Int($0.item.value) } == Array(0 ..< 514))
        #expect(text(items[511].descriptor) == "same" && items[512].descriptor == nil)
    }

    @Test func `A parcel taken back is forgotten`() throws {
        let pair = try LinkPair()
        let serial = try pair.client.sendParcel([ParcelItem(item(1), descriptor: nil)])
        pair.client.takeBackParcel(serial)
        guard case .missing = pair.server.takeParcel(serial) else { Issue.record("still there"); return }
        #expect(pair.server.readControl() != nil)
    }

    @Test func `News that a taker meets stay for the watcher`() throws {
        let pair = try LinkPair()
        pair.client.askToDrain()
        var request = ntlpc_data_request()
        request.serial = 9
        request.magic = NTLPC_WIRE_MAGIC
        request.version = NTLPC_WIRE_VERSION
        request.kind = NTLPC_CONTROL_DATA
        try send(withUnsafeBytes(of: &request) { Array($0) } + [1, 2, 3], over: pair.client)
        let serial = try pair.client.sendParcel([ParcelItem(item(7), descriptor: nil)])
        #expect(values(pair.server.takeParcel(serial)) == [7])
        #expect(pair.server.hasNews)
        let news = try #require(pair.server.readControl())
        #expect(news.count == 2)
        guard case .drain = news[0], case .data(let bytes) = news[1] else { Issue.record("other news"); return }
        #expect(bytes.count == MemoryLayout<ntlpc_data_request>.size + 3 && bytes.suffix(3) == [1, 2, 3])
        #expect(!pair.server.hasNews)
    }

    @Test(arguments: 0 ..< 7) func `What no honest peer sends ends the link`(_ kind: Int) throws {
        let pair = try LinkPair()
        var head = ntlpc_parcel()
        head.magic = NTLPC_WIRE_MAGIC
        head.version = NTLPC_WIRE_VERSION
        head.kind = NTLPC_CONTROL_PARCEL
        head.serial = 1
        head.total = 1
        head.count = 1
        var one = item(1)
        switch kind {
        case 0: head.magic = 1
        case 1: head.kind = 99
        case 2: head.count = 2
        case 3: head.total = 5000
        case 4: head.first = 1
        case 5: one.flags = UInt16(NTLPC_ITEM_HAS_DESCRIPTOR)
        default: head.count = .max
        }
        try send(withUnsafeBytes(of: &head) { Array($0) } + withUnsafeBytes(of: &one) { Array($0) }, over: pair.client)
        #expect(pair.server.readControl() == nil)
        guard case .missing = pair.server.takeParcel(1) else { Issue.record("taken"); return }
    }

    @Test func `A parcel that this process has no descriptors for is lost, and the link lives`() async {
        // In a process of its own: no other test may find the descriptors gone.
        await #expect(processExitsWith: .success) {
            let tests = ParcelTests()
            let pair = try LinkPair()
            let serial = try pair.client.sendParcel([ParcelItem(tests.item(1, hasDescriptor: true), descriptor: try tests.file("x"))])
            let next = try pair.client.sendParcel([ParcelItem(tests.item(2), descriptor: nil)])
            var limit = rlimit(rlim_cur: 1500, rlim_max: 1500)
            setrlimit(__rlimit_resource_t(7), &limit)   // RLIMIT_NOFILE
            var fillers: [Int32] = []
            while case let filler = dup(0), filler >= 0 { fillers.append(filler) }
            let outcome = pair.server.takeParcel(serial)
            for filler in fillers { close(filler) }
            guard case .lost = outcome else { exit(1) }
            guard tests.values(pair.server.takeParcel(next)) == [2] else { exit(2) }
        }
    }

    @Test func `Two readers share the socket and no parcel is lost`() throws {
        let pair = try LinkPair()
        let rounds = 2000
        let stop = Counter()
        let watcher = onThread { while stop.count == 0 { if pair.server.readControl() == nil { return } } }
        for round in 0 ..< rounds {
            let serial = try pair.client.sendParcel([ParcelItem(item(round), descriptor: nil)])
            #expect(values(pair.server.takeParcel(serial)) == [round])
        }
        stop.add()
        watcher()
    }
}
