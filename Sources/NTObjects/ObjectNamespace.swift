// The NT object namespace as a directory tree: \RPC Control\name is the socket "RPC CONTROL/NAME" under the root.
//
// Names are case-insensitive, so file names are upper case; what a file name cannot hold is written as %XX. Natively and under
// Wine the root is the same, so both worlds meet: NTLPC_ROOT, else /run/ntlpc if it may be used, else $XDG_RUNTIME_DIR/ntlpc, else
// /tmp/ntlpc-UID, which must belong to the user and admit nobody else.
//
// A socket left by a killed server is no name: whoever creates a port under it takes its place. Creators take turns by a lock on
// the root's ".lock", and a socket appears under its name only when it listens.

import CLinuxShims
import Glibc
import LinuxSystem
import NTTypes

/// Where a name is in the tree.
public struct NamespacePlace: Sendable {
    public let directory: Descriptor
    public let leaf: String
    /// The full path of the socket; two spellings of a name have one.
    public let path: String
    /// The name as its creator or user wrote it.
    public let name: String
    var device: UInt = 0
    var inode: UInt = 0
}

/// The tree of port names.
public enum ObjectNamespace {
    /// Directories that NT has from the start; they appear in the tree when first used.
    private static let known: Set<String> = [
        "", "RPC CONTROL", "BASENAMEDOBJECTS", "BASENAMEDOBJECTS/RESTRICTED", "WINDOWS", "WINDOWS/WINDOWSTATIONS", "KERNELOBJECTS",
        "SECURITY", "SESSIONS", "DEVICE", "DRIVER", "CALLBACK", "FILESYSTEM", "NLS", "OBJECTTYPES", "KNOWNDLLS",
    ]

    /// `\Sessions\N` and what NT keeps in it.
    private static func isSessionDirectory(_ parts: ArraySlice<String>) -> Bool {
        guard parts.first == "SESSIONS", parts.count >= 2, parts[parts.startIndex + 1].allSatisfy(\.isNumber) else { return false }
        if parts.count == 2 { return true }
        return parts.count == 3 && ["BASENAMEDOBJECTS", "WINDOWS", "DOSDEVICES", "APPCONTAINERNAMEDOBJECTS"].contains(parts[parts.startIndex + 2])
    }

    // MARK: The root

    /// The directory that the namespace lives in.
    /// - Throws: `accessDenied` when the last resort under /tmp belongs to somebody else or is open to others.
    public static func root() throws(NTStatus) -> String {
        if let given = getenv("NTLPC_ROOT"), given.pointee != 0 { return String(cString: given) }
        if access("/run/ntlpc", R_OK | W_OK | X_OK) == 0 { return "/run/ntlpc" }
        if let runtime = getenv("XDG_RUNTIME_DIR"), runtime.pointee != 0, access(runtime, W_OK | X_OK) == 0 {
            return String(cString: runtime) + "/ntlpc"
        }
        let own = "/tmp/ntlpc-\(geteuid())"
        mkdir(own, 0o700)
        var status = stat()
        guard lstat(own, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, status.st_uid == geteuid(), status.st_mode & 0o077 == 0 else {
            throw .accessDenied
        }
        return own
    }

    private static func openRoot() throws(NTStatus) -> (descriptor: Descriptor, path: String) {
        let path = try root()
        mkdir(path, 0o700)
        let fd = ntlpc_open_directory(AT_FDCWD, path, true)
        guard fd >= 0 else { throw fd == -ENOENT || fd == -ENOTDIR ? .objectPathNotFound : NTStatus(Errno(rawValue: -fd)) }
        return (Descriptor(owning: fd), path)
    }

    // MARK: Names

    /// Splits an NT path into file names.
    /// - Throws: `objectNameInvalid` for a name that does not start with a backslash, has an empty part or one that is too long.
    static func parts(of name: String) throws(NTStatus) -> [String] {
        guard name.utf8.first == UInt8(ascii: "\\"), name.utf8.count > 1 else { throw .objectNameInvalid }
        var result: [String] = []
        for part in name.dropFirst().split(separator: "\\", omittingEmptySubsequences: false) {
            guard !part.isEmpty else { throw .objectNameInvalid }
            let file = fileName(part)
            guard file.utf8.count <= 240 else { throw .objectNameInvalid }
            result.append(file)
        }
        return result
    }

    private static func fileName(_ part: Substring) -> String {
        var bytes: [UInt8] = []
        let hexadecimal = Array("0123456789ABCDEF".utf8)
        for scalar in part.unicodeScalars {
            // NT compares by simple upper case: a letter whose upper case is several stays as it is.
            let upper = scalar.properties.uppercaseMapping.unicodeScalars
            let folded = upper.count == 1 ? upper.first! : scalar
            for byte in String(Character(folded)).utf8 {
                let first = bytes.isEmpty && byte == UInt8(ascii: ".")
                if byte < 0x20 || byte == 0x7F || byte == UInt8(ascii: "/") || byte == UInt8(ascii: "%") || first {
                    bytes += [UInt8(ascii: "%"), hexadecimal[Int(byte >> 4)], hexadecimal[Int(byte & 15)]]
                } else {
                    bytes.append(byte)
                }
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Makes a directory that exists in the host, and those above it. What cannot be made here is missed by `place(of:)`, which says so.
    /// - Throws: `objectNameInvalid`; what opening the root does.
    public static func makeDirectory(_ name: String) throws(NTStatus) {
        let parts = try parts(of: name), root = try openRoot()
        var directory = root.descriptor
        var mode = stat()
        let modeKnown = fstat(root.descriptor.rawValue, &mode) == 0
        for part in parts {
            if mkdirat(directory.rawValue, part, 0o700) == 0 && modeKnown { fchmodat(directory.rawValue, part, mode.st_mode & 0o1777, 0) }
            let fd = ntlpc_open_directory(directory.rawValue, part, false)
            guard fd >= 0 else { return }
            directory = Descriptor(owning: fd)
        }
    }

    /// Finds the directory of `name`.
    /// - Throws: `objectNameInvalid`; `objectPathNotFound` when the directory does not exist ([R] ROS-LPC); `accessDenied`.
    public static func place(of name: String) throws(NTStatus) -> NamespacePlace {
        let parts = try parts(of: name)
        let root = try openRoot()
        var directory = root.descriptor
        var path = root.path
        var mode = stat()
        let modeKnown = fstat(root.descriptor.rawValue, &mode) == 0
        for (index, part) in parts.dropLast().enumerated() {
            let soFar = parts[0...index]
            if known.contains(soFar.joined(separator: "/")) || isSessionDirectory(soFar) {
                // As open as the root: a private tree stays private, a shared one stays shared.
                if mkdirat(directory.rawValue, part, 0o700) == 0 && modeKnown { fchmodat(directory.rawValue, part, mode.st_mode & 0o1777, 0) }
            }
            let fd = ntlpc_open_directory(directory.rawValue, part, false)
            guard fd >= 0 else { throw fd == -ENOENT || fd == -ENOTDIR ? .objectPathNotFound : NTStatus(Errno(rawValue: -fd)) }
            directory = Descriptor(owning: fd)
            path += "/" + part
        }
        return NamespacePlace(directory: directory, leaf: parts.last!, path: path + "/" + parts.last!, name: name)
    }

    /// True when something that is no port has the name.
    public static func isOtherObject(_ place: NamespacePlace) -> Bool {
        var status = stat()
        guard fstatat(place.directory.rawValue, place.leaf, &status, AT_SYMLINK_NOFOLLOW) == 0 else { return false }
        return status.st_mode & S_IFMT != S_IFSOCK
    }

    // MARK: Publishing

    /// Makes a listening socket under the name.
    /// - Parameter isOpen: lets other users reach the socket; the port's security descriptor then decides.
    /// - Throws: `objectNameCollision` when a live port or another object has the name.
    public static func publish(_ name: String, isOpen: Bool) throws(NTStatus) -> (socket: Descriptor, place: NamespacePlace) {
        var place = try place(of: name)
        let lock = try lockTree()
        defer { withExtendedLifetime(lock) {} }
        var status = stat()
        if fstatat(place.directory.rawValue, place.leaf, &status, AT_SYMLINK_NOFOLLOW) == 0 {
            guard status.st_mode & S_IFMT == S_IFSOCK, isStale(place) else { throw .objectNameCollision }
        }
        let temporary = ".\(getpid()).\(ntlpc_gettid()).new"
        unlinkat(place.directory.rawValue, temporary, 0)
        do throws(Errno) {
            let socket = try UnixSocket.listen(in: place.directory, leaf: temporary, backlog: 4096)
            fchmodat(place.directory.rawValue, temporary, isOpen ? 0o666 : 0o600, 0)
            guard fstatat(place.directory.rawValue, temporary, &status, AT_SYMLINK_NOFOLLOW) == 0,
                  renameat(place.directory.rawValue, temporary, place.directory.rawValue, place.leaf) == 0 else {
                let error = Errno.current
                unlinkat(place.directory.rawValue, temporary, 0)
                throw error
            }
            place.device = UInt(status.st_dev)
            place.inode = UInt(status.st_ino)
            return (socket, place)
        } catch {
            throw NTStatus(error)
        }
    }

    /// Takes the name away, unless another port has it by now.
    public static func withdraw(_ place: NamespacePlace) {
        do throws(NTStatus) {
            let lock = try lockTree()
            defer { withExtendedLifetime(lock) {} }
            removeIfOurs(place)
        } catch {
            removeIfOurs(place)     // without the lock a creator may meet the name once more, and finds it stale
        }
    }

    private static func removeIfOurs(_ place: NamespacePlace) {
        var status = stat()
        if fstatat(place.directory.rawValue, place.leaf, &status, AT_SYMLINK_NOFOLLOW) == 0,
           UInt(status.st_dev) == place.device, UInt(status.st_ino) == place.inode {
            unlinkat(place.directory.rawValue, place.leaf, 0)
        }
    }

    /// Nobody listens behind the socket any more.
    private static func isStale(_ place: NamespacePlace) -> Bool {
        do throws(Errno) {
            _ = try UnixSocket.connect(in: place.directory, leaf: place.leaf)
            return false
        } catch {
            return error == .connectionRefused
        }
    }

    private static func lockTree() throws(NTStatus) -> Descriptor {
        let root = try openRoot()
        let fd = openat(root.descriptor.rawValue, ".lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o666)
        guard fd >= 0 else { throw NTStatus(.current) }
        let file = Descriptor(owning: ntlpc_move_high(fd))
        while flock(file.rawValue, LOCK_EX) != 0 {
            guard errno == EINTR else { throw NTStatus(.current) }
        }
        return file
    }
}
