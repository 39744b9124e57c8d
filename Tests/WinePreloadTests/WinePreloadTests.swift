// The preload library under the installed Wine, with a double in place of the core: see CoreDouble/.

import Foundation
import Testing

@Suite(.serialized, .enabled(if: WineStage.isPossible, "Wine, mingw or clang is missing"))
struct WinePreloadTests {
    let stage: WineStage

    init() throws { stage = try WineStage.made.get() }

    private func expectAllChecks(_ program: String) throws {
        let outcome = try stage.run(program)
        #expect(outcome.failures.isEmpty, "\(outcome.output)")
        #expect(outcome.status == 0 && !outcome.wasSignaled, "\(outcome.output)")
        #expect(outcome.output.contains("ok "), "\(outcome.output)")
    }

    @Test func callsAreFoundByImportAndByNameAndReceiveTheirArguments() throws { try expectAllChecks("calls") }
    @Test func portHandlesAreClosedDuplicatedAndQueriedAsPorts() throws { try expectAllChecks("handles") }
    @Test func waitsFollowWhatAnyThreadSignals() throws { try expectAllChecks("events") }
    @Test func badPointersFailTheCallAndWatchedPagesDoNot() throws { try expectAllChecks("faults") }
    @Test func threadsAreSuspendedAndEndedOnlyOutsideCriticalSections() throws { try expectAllChecks("threads") }

    @Test func filesAndSectionsGoToLinuxProgramsAndComeFromThem() throws { try expectAllChecks("objects") }
    @Test func handlesAreSentToOtherProcessesAndProcessesAreOpened() throws { try expectAllChecks("processes") }
    @Test func packetsOfAllThreadsArriveInOrderAndNoneIsLost() throws { try expectAllChecks("completion") }
    @Test func impersonationIsWhatTheProgramSees() throws { try expectAllChecks("identity") }
    @Test func alertableWaitsRunApcsAndReturn() throws { try expectAllChecks("waits") }
    @Test func callbacksRunOnWorkersAsOnWindows() throws { try expectAllChecks("workers") }

    @Test(arguments: [
        ("ExitProcess with blocked threads", 3),
        ("ExitThread of the only thread", 5),
        ("ExitThread before another's", 4),
        ("ExitThread of eight at once", 4),
        ("TerminateThread of the only thread", 6),
        ("ExitProcess with idle workers", 13),
        ("ExitProcess with workers in callbacks", 14),
        ("ExitThread beside idle workers", 15),
        ("ExitThread beside workers that just start", 16),
        ("ExitThread before a callback ends", 17),
        ("ExitThread in a callback, last of all", 12),
        ("ExitProcess in a callback", 11),
        ("TerminateThread beside idle workers", 8),
        ("an unhandled exception in a callback", 21),
    ])
    func theProcessEndsWithItsLastThread(way: String, code: Int32) throws {
        let outcome = try stage.run("endings", [way])
        #expect(outcome.status == code && !outcome.wasSignaled, "\(outcome.output)")
    }

    @Test(arguments: [("a trap in the core", SIGILL), ("a stray write in the core", SIGSEGV)])
    func aDefectOfTheCoreEndsTheProcess(defect: String, signal: Int32) throws {
        let outcome = try stage.run("endings", [defect])
        #expect(outcome.wasSignaled && outcome.status == signal, "\(outcome.output)")
        #expect(outcome.output.contains("a fault inside libntlpc.so"))
    }

    @Test func aLineIsPrintedForEachProcessWhenTraced() throws {
        let outcome = try stage.run("calls", ["child"], with: ["NTLPC_TRACE": "other,wine"])
        #expect(outcome.status == 0)
        #expect(outcome.output.contains(": installed: ") && outcome.output.contains("libntlpc.so is loaded"), "\(outcome.output)")
    }

    @Test func theLibraryIsInertWhenDisabled() throws {
        let outcome = try stage.run("calls", ["child"], with: ["NTLPC_DISABLE": "1", "NTLPC_TRACE": "wine"])
        #expect(outcome.status != 0)
        #expect(!outcome.output.contains("ntlpc:"), "\(outcome.output)")
    }

    @Test func aMissingCoreIsSaidAndLeavesWineAsItWas() throws {
        let lonely = stage.directory.appendingPathComponent("lonely")
        try FileManager.default.createDirectory(at: lonely, withIntermediateDirectories: true)
        let library = lonely.appendingPathComponent("libntlpc-wine.so")
        if !FileManager.default.fileExists(atPath: library.path) {
            try FileManager.default.copyItem(at: stage.directory.appendingPathComponent("libntlpc-wine.so"), to: library)
        }
        let outcome = try stage.run("calls", ["child"], with: ["LD_PRELOAD": library.path])
        #expect(outcome.status != 0)
        #expect(outcome.output.contains("libntlpc.so cannot be read; ports are off"), "\(outcome.output)")
    }

    @Test func otherProgramsKeepTheirSignalHandlersAndLoadNothing() throws {
        // The shell's mask of caught signals has SIGUSR1 (bit 9): its handler went where it belongs.
        let script = #"""
            trap : USR1
            while read -r name value; do [ "$name" = SigCgt: ] && echo "caught $(( (0x$value >> 9) & 1 ))"; done < /proc/$$/status
            grep -c 'libntlpc\.so' /proc/$$/maps
            grep -q 'libntlpc-wine' /proc/$$/maps && echo preloaded
            """#
        let outcome = try WineStage.run("/bin/bash", ["-c", script], environment: stage.environment(preload: true),
                                        log: stage.directory.appendingPathComponent("bash.log"))
        #expect(outcome.output == "caught 1\n0\npreloaded\n")
    }
}
