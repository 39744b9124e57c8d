// NT status codes as Swift values.
//
// A failing status is thrown (`throws(NTStatus)`); a success code that carries news (`timeout`, `pending`) is returned. The
// codes are those of compat/statuses.csv and their neighbours; each names when the port calls give it and, in brackets, the
// evidence: [T] tested against Windows, [F] asserted by a fork's test or a clean-room note, [P] stated in a header or tool,
// [I] inferred. Codes without a mark have their general NT meaning. Values: checked against the C header and the csv by tests.

/// One `NTSTATUS`.
public struct NTStatus: Error, RawRepresentable, Equatable, Hashable, Sendable {
    public var rawValue: Int32

    @inlinable public init(rawValue: Int32) { self.rawValue = rawValue }
    /// The code as documents write it: `NTStatus(0xC000_0037)`.
    @inlinable public init(_ bits: UInt32) { rawValue = Int32(bitPattern: bits) }

    @inlinable public var bits: UInt32 { UInt32(bitPattern: rawValue) }
    /// Success or informational: `NT_SUCCESS`.
    @inlinable public var isSuccess: Bool { rawValue >= 0 }
    /// The top two bits are 11: `NT_ERROR`.
    @inlinable public var isError: Bool { bits >> 30 == 3 }
}

// MARK: Success

extension NTStatus {
    /// `STATUS_SUCCESS`: normal completion [T].
    @inlinable public static var success: NTStatus { NTStatus(0x0000_0000) }
    /// `STATUS_WAIT_0`: a wait ended by the object at index 0.
    @inlinable public static var wait0: NTStatus { NTStatus(0x0000_0000) }
    /// `STATUS_WAIT_1`: a wait ended by the object at index 1.
    @inlinable public static var wait1: NTStatus { NTStatus(0x0000_0001) }
    /// `STATUS_WAIT_63`: a wait ended by the object at index 63, the last.
    @inlinable public static var wait63: NTStatus { NTStatus(0x0000_003F) }
    /// `STATUS_ABANDONED_WAIT_0`: a wait ended by an abandoned mutex at index 0.
    @inlinable public static var abandonedWait0: NTStatus { NTStatus(0x0000_0080) }
    /// `STATUS_ABANDONED_WAIT_63`: a wait ended by an abandoned mutex at index 63, the last.
    @inlinable public static var abandonedWait63: NTStatus { NTStatus(0x0000_00BF) }
    /// `STATUS_USER_APC`: wait ended by user APC when alertable [I].
    @inlinable public static var userApc: NTStatus { NTStatus(0x0000_00C0) }
    /// `STATUS_ALERTED`: alertable wait alerted [I].
    @inlinable public static var alerted: NTStatus { NTStatus(0x0000_0101) }
    /// `STATUS_TIMEOUT`: receive/connect/reply wait expired; zero timeout on empty queue; also returned by synchronous send [F].
    @inlinable public static var timeout: NTStatus { NTStatus(0x0000_0102) }
    /// `STATUS_PENDING`: NtAlpcQueryInformationMessage direct status not yet complete [F].
    @inlinable public static var pending: NTStatus { NTStatus(0x0000_0103) }
}

// MARK: Informational

extension NTStatus {
    /// `STATUS_OBJECT_NAME_EXISTS`: an object of that name existed and was opened.
    @inlinable public static var objectNameExists: NTStatus { NTStatus(0x4000_0000) }
    /// `STATUS_MESSAGE_RETRIEVED`: NtAlpcCancelMessage when receiver already took the message [F].
    @inlinable public static var messageRetrieved: NTStatus { NTStatus(0x4000_002E) }
    /// `STATUS_ALPC_CHECK_COMPLETION_LIST`: receive on port with completion list: look in the list [P].
    @inlinable public static var alpcCheckCompletionList: NTStatus { NTStatus(0x4000_0030) }
}

// MARK: Warnings

extension NTStatus {
    /// `STATUS_DATATYPE_MISALIGNMENT`: a pointer is not aligned as its type demands.
    @inlinable public static var datatypeMisalignment: NTStatus { NTStatus(0x8000_0002) }
    /// `STATUS_BUFFER_OVERFLOW`: a resource reserve above 0xFFD7 bytes [T]; a text cut to the buffer.
    @inlinable public static var bufferOverflow: NTStatus { NTStatus(0x8000_0005) }
    /// `STATUS_PARTIAL_COPY`: the other process's memory ended before all was copied [I].
    @inlinable public static var partialCopy: NTStatus { NTStatus(0x8000_000D) }
}

// MARK: Errors

extension NTStatus {
    /// `STATUS_UNSUCCESSFUL`: receive on a client port whose listener vanished, after the cancel notice was drained [F].
    @inlinable public static var unsuccessful: NTStatus { NTStatus(0xC000_0001) }
    /// `STATUS_NOT_IMPLEMENTED`: the call is known and not implemented.
    @inlinable public static var notImplemented: NTStatus { NTStatus(0xC000_0002) }
    /// `STATUS_INVALID_INFO_CLASS`: unknown class in NtAlpcQuery/SetInformation or NtQueryInformationPort [F].
    @inlinable public static var invalidInfoClass: NTStatus { NTStatus(0xC000_0003) }
    /// `STATUS_INFO_LENGTH_MISMATCH`: the length of an information buffer is wrong [T].
    @inlinable public static var infoLengthMismatch: NTStatus { NTStatus(0xC000_0004) }
    /// `STATUS_ACCESS_VIOLATION`: bad user pointer, including NULL out handle [T].
    @inlinable public static var accessViolation: NTStatus { NTStatus(0xC000_0005) }
    /// `STATUS_INVALID_HANDLE`: bad handle; second delete of a reserve id [T].
    @inlinable public static var invalidHandle: NTStatus { NTStatus(0xC000_0008) }
    /// `STATUS_INVALID_CID`: sender process or thread gone (NtReplyPort, open sender) [I].
    @inlinable public static var invalidCid: NTStatus { NTStatus(0xC000_000B) }
    /// `STATUS_INVALID_PARAMETER`: bad flags; TotalLength below the header, or not header and data; SYSTEM_PROCESS from user mode [T].
    @inlinable public static var invalidParameter: NTStatus { NTStatus(0xC000_000D) }
    /// `STATUS_NO_MEMORY`: no memory.
    @inlinable public static var noMemory: NTStatus { NTStatus(0xC000_0017) }
    /// `STATUS_CONFLICTING_ADDRESSES`: view cannot be mapped where asked; WoW64 view above 4 GB [F].
    @inlinable public static var conflictingAddresses: NTStatus { NTStatus(0xC000_0018) }
    /// `STATUS_NOT_MAPPED_VIEW`: no view is mapped at the address.
    @inlinable public static var notMappedView: NTStatus { NTStatus(0xC000_0019) }
    /// `STATUS_ILLEGAL_INSTRUCTION`: what a program sees of a trap inside a call under Wine.
    @inlinable public static var illegalInstruction: NTStatus { NTStatus(0xC000_001D) }
    /// `STATUS_INVALID_VIEW_SIZE`: view larger than the section or MaxViewSize [I].
    @inlinable public static var invalidViewSize: NTStatus { NTStatus(0xC000_001F) }
    /// `STATUS_INVALID_FILE_FOR_SECTION`: the file cannot be mapped.
    @inlinable public static var invalidFileForSection: NTStatus { NTStatus(0xC000_0020) }
    /// `STATUS_ACCESS_DENIED`: no PORT_CONNECT on port; SD or SID check failed; impersonation refused [P].
    @inlinable public static var accessDenied: NTStatus { NTStatus(0xC000_0022) }
    /// `STATUS_BUFFER_TOO_SMALL`: receive buffer below the message (length updated, message stays queued); attribute buffer short [T].
    @inlinable public static var bufferTooSmall: NTStatus { NTStatus(0xC000_0023) }
    /// `STATUS_OBJECT_TYPE_MISMATCH`: handle is not a port; DupObjectTypes forbids the object type [T].
    @inlinable public static var objectTypeMismatch: NTStatus { NTStatus(0xC000_0024) }
    /// `STATUS_INVALID_PORT_ATTRIBUTES`: bad attributes at port creation (LPC) [P].
    @inlinable public static var invalidPortAttributes: NTStatus { NTStatus(0xC000_002E) }
    /// `STATUS_PORT_MESSAGE_TOO_LONG`: TotalLength above the port MaxMessageLength or header+data above 0xFFFF [F].
    @inlinable public static var portMessageTooLong: NTStatus { NTStatus(0xC000_002F) }
    /// `STATUS_INVALID_PARAMETER_MIX`: arguments that do not go together: a handle twice in one wait, a name without a handle [F].
    @inlinable public static var invalidParameterMix: NTStatus { NTStatus(0xC000_0030) }
    /// `STATUS_OBJECT_NAME_INVALID`: a name is malformed.
    @inlinable public static var objectNameInvalid: NTStatus { NTStatus(0xC000_0033) }
    /// `STATUS_OBJECT_NAME_NOT_FOUND`: port name does not exist [I].
    @inlinable public static var objectNameNotFound: NTStatus { NTStatus(0xC000_0034) }
    /// `STATUS_OBJECT_NAME_COLLISION`: port name already exists at creation [T].
    @inlinable public static var objectNameCollision: NTStatus { NTStatus(0xC000_0035) }
    /// `STATUS_PORT_DO_NOT_DISTURB`: obsolete LPC status [P].
    @inlinable public static var portDoNotDisturb: NTStatus { NTStatus(0xC000_0036) }
    /// `STATUS_PORT_DISCONNECTED`: peer disconnected or closed [P].
    @inlinable public static var portDisconnected: NTStatus { NTStatus(0xC000_0037) }
    /// `STATUS_OBJECT_PATH_INVALID`: a component of a path cannot hold names.
    @inlinable public static var objectPathInvalid: NTStatus { NTStatus(0xC000_0039) }
    /// `STATUS_OBJECT_PATH_NOT_FOUND`: directory of port name missing [I].
    @inlinable public static var objectPathNotFound: NTStatus { NTStatus(0xC000_003A) }
    /// `STATUS_OBJECT_PATH_SYNTAX_BAD`: a full path does not start with a backslash, or a relative one does.
    @inlinable public static var objectPathSyntaxBad: NTStatus { NTStatus(0xC000_003B) }
    /// `STATUS_SECTION_TOO_BIG`: section above MaxSectionSize / MaxTotalSectionSize [I].
    @inlinable public static var sectionTooBig: NTStatus { NTStatus(0xC000_0040) }
    /// `STATUS_PORT_CONNECTION_REFUSED`: server accepted with AcceptConnection FALSE [F].
    @inlinable public static var portConnectionRefused: NTStatus { NTStatus(0xC000_0041) }
    /// `STATUS_INVALID_PORT_HANDLE`: operation not allowed on this kind of port (LPC) [I].
    @inlinable public static var invalidPortHandle: NTStatus { NTStatus(0xC000_0042) }
    /// `STATUS_QUOTA_EXCEEDED`: pool quota or MaxPoolUsage exceeded [I].
    @inlinable public static var quotaExceeded: NTStatus { NTStatus(0xC000_0044) }
    /// `STATUS_INVALID_PAGE_PROTECTION`: no page protection, or not one alone.
    @inlinable public static var invalidPageProtection: NTStatus { NTStatus(0xC000_0045) }
    /// `STATUS_PORT_ALREADY_SET`: completion port associated twice; thread terminate port [P].
    @inlinable public static var portAlreadySet: NTStatus { NTStatus(0xC000_0048) }
    /// `STATUS_SECTION_NOT_IMAGE`: the section maps no program.
    @inlinable public static var sectionNotImage: NTStatus { NTStatus(0xC000_0049) }
    /// `STATUS_THREAD_IS_TERMINATING`: waiting thread is exiting [I].
    @inlinable public static var threadIsTerminating: NTStatus { NTStatus(0xC000_004B) }
    /// `STATUS_SECTION_PROTECTION`: section handle given lacks needed access [I].
    @inlinable public static var sectionProtection: NTStatus { NTStatus(0xC000_004E) }
    /// `STATUS_DELETE_PENDING`: the object is being deleted.
    @inlinable public static var deletePending: NTStatus { NTStatus(0xC000_0056) }
    /// `STATUS_UNKNOWN_REVISION`: a descriptor, SID or list has a revision that is not known.
    @inlinable public static var unknownRevision: NTStatus { NTStatus(0xC000_0058) }
    /// `STATUS_REVISION_MISMATCH`: two revisions do not go together.
    @inlinable public static var revisionMismatch: NTStatus { NTStatus(0xC000_0059) }
    /// `STATUS_INVALID_OWNER`: the SID may not be the owner.
    @inlinable public static var invalidOwner: NTStatus { NTStatus(0xC000_005A) }
    /// `STATUS_NO_IMPERSONATION_TOKEN`: no token available for the message [I].
    @inlinable public static var noImpersonationToken: NTStatus { NTStatus(0xC000_005C) }
    /// `STATUS_PRIVILEGE_NOT_HELD`: the right asked for needs a privilege.
    @inlinable public static var privilegeNotHeld: NTStatus { NTStatus(0xC000_0061) }
    /// `STATUS_INVALID_SUB_AUTHORITY`: a SID has too many sub-authorities.
    @inlinable public static var invalidSubAuthority: NTStatus { NTStatus(0xC000_0076) }
    /// `STATUS_INVALID_ACL`: an access control list is malformed.
    @inlinable public static var invalidAcl: NTStatus { NTStatus(0xC000_0077) }
    /// `STATUS_INVALID_SID`: RequiredServerSid malformed [F].
    @inlinable public static var invalidSid: NTStatus { NTStatus(0xC000_0078) }
    /// `STATUS_INVALID_SECURITY_DESCR`: a security descriptor is malformed.
    @inlinable public static var invalidSecurityDescr: NTStatus { NTStatus(0xC000_0079) }
    /// `STATUS_DISK_FULL`: no space for what the call must make on disk or in shared memory.
    @inlinable public static var diskFull: NTStatus { NTStatus(0xC000_007F) }
    /// `STATUS_INSUFFICIENT_RESOURCES`: pool allocation failed [I].
    @inlinable public static var insufficientResources: NTStatus { NTStatus(0xC000_009A) }
    /// `STATUS_MEDIA_WRITE_PROTECTED`: the namespace lies on a read-only file system.
    @inlinable public static var mediaWriteProtected: NTStatus { NTStatus(0xC000_00A2) }
    /// `STATUS_BAD_IMPERSONATION_LEVEL`: QoS level too low for the wanted impersonation [I].
    @inlinable public static var badImpersonationLevel: NTStatus { NTStatus(0xC000_00A5) }
    /// `STATUS_NOT_SUPPORTED`: what is asked for does not exist here.
    @inlinable public static var notSupported: NTStatus { NTStatus(0xC000_00BB) }
    /// `STATUS_INTERNAL_ERROR`: the library met something it cannot name.
    @inlinable public static var internalError: NTStatus { NTStatus(0xC000_00E5) }
    /// `STATUS_GENERIC_NOT_MAPPED`: a generic right is left where only specific ones may be.
    @inlinable public static var genericNotMapped: NTStatus { NTStatus(0xC000_00E6) }
    /// `STATUS_INVALID_PARAMETER_1`: the first argument is wrong.
    @inlinable public static var invalidParameter1: NTStatus { NTStatus(0xC000_00EF) }
    /// `STATUS_INVALID_PARAMETER_2`: the second argument is wrong: flags of NtAlpcSendWaitReceivePort.
    @inlinable public static var invalidParameter2: NTStatus { NTStatus(0xC000_00F0) }
    /// `STATUS_INVALID_PARAMETER_3`: the third argument is wrong: limits at LPC port creation.
    @inlinable public static var invalidParameter3: NTStatus { NTStatus(0xC000_00F1) }
    /// `STATUS_INVALID_PARAMETER_4`: the fourth argument is wrong: limits at LPC port creation.
    @inlinable public static var invalidParameter4: NTStatus { NTStatus(0xC000_00F2) }
    /// `STATUS_INVALID_PARAMETER_5`: the fifth argument is wrong.
    @inlinable public static var invalidParameter5: NTStatus { NTStatus(0xC000_00F3) }
    /// `STATUS_INVALID_PARAMETER_6`: the sixth argument is wrong.
    @inlinable public static var invalidParameter6: NTStatus { NTStatus(0xC000_00F4) }
    /// `STATUS_INVALID_PARAMETER_7`: the seventh argument is wrong.
    @inlinable public static var invalidParameter7: NTStatus { NTStatus(0xC000_00F5) }
    /// `STATUS_INVALID_PARAMETER_8`: the eighth argument is wrong.
    @inlinable public static var invalidParameter8: NTStatus { NTStatus(0xC000_00F6) }
    /// `STATUS_INVALID_PARAMETER_9`: the ninth argument is wrong.
    @inlinable public static var invalidParameter9: NTStatus { NTStatus(0xC000_00F7) }
    /// `STATUS_NAME_TOO_LONG`: a name is longer than the system can hold.
    @inlinable public static var nameTooLong: NTStatus { NTStatus(0xC000_0106) }
    /// `STATUS_MESSAGE_NOT_FOUND`: message id 0 or unknown in NtAlpcCancelMessage and lookups [F].
    @inlinable public static var messageNotFound: NTStatus { NTStatus(0xC000_0109) }
    /// `STATUS_PROCESS_IS_TERMINATING`: sender process exiting [I].
    @inlinable public static var processIsTerminating: NTStatus { NTStatus(0xC000_010A) }
    /// `STATUS_CANNOT_IMPERSONATE`: already impersonating or not allowed [I].
    @inlinable public static var cannotImpersonate: NTStatus { NTStatus(0xC000_010D) }
    /// `STATUS_MAPPED_FILE_SIZE_ZERO`: an empty file cannot be mapped.
    @inlinable public static var mappedFileSizeZero: NTStatus { NTStatus(0xC000_011E) }
    /// `STATUS_TOO_MANY_OPENED_FILES`: the process has no descriptor left.
    @inlinable public static var tooManyOpenedFiles: NTStatus { NTStatus(0xC000_011F) }
    /// `STATUS_CANCELLED`: wait abandoned [I].
    @inlinable public static var cancelled: NTStatus { NTStatus(0xC000_0120) }
    /// `STATUS_IO_DEVICE_ERROR`: the device failed.
    @inlinable public static var ioDeviceError: NTStatus { NTStatus(0xC000_0185) }
    /// `STATUS_REPLY_MESSAGE_MISMATCH`: reply does not match a waiting request (LPC NtReplyPort family) [P].
    @inlinable public static var replyMessageMismatch: NTStatus { NTStatus(0xC000_021F) }
    /// `STATUS_MAPPED_ALIGNMENT`: section offset not granularity aligned [I].
    @inlinable public static var mappedAlignment: NTStatus { NTStatus(0xC000_0220) }
    /// `STATUS_NOT_FOUND`: what was asked for is not there.
    @inlinable public static var notFound: NTStatus { NTStatus(0xC000_0225) }
    /// `STATUS_HANDLE_NOT_CLOSABLE`: the handle is protected from close.
    @inlinable public static var handleNotClosable: NTStatus { NTStatus(0xC000_0235) }
    /// `STATUS_PORT_UNREACHABLE`: listed with port statuses; network use, not LPC [I].
    @inlinable public static var portUnreachable: NTStatus { NTStatus(0xC000_023F) }
    /// `STATUS_LPC_REPLY_LOST`: server took the request and went away without reply [P].
    @inlinable public static var lpcReplyLost: NTStatus { NTStatus(0xC000_0253) }
    /// `STATUS_SERVER_SID_MISMATCH`: RequiredServerSid does not match server owner [P].
    @inlinable public static var serverSidMismatch: NTStatus { NTStatus(0xC000_02A0) }
    /// `STATUS_OBJECTID_NOT_FOUND`: an unknown reserve id was used as MessageId.
    @inlinable public static var objectidNotFound: NTStatus { NTStatus(0xC000_02F0) }
    /// `STATUS_PORT_NOT_SET`: debug/exception port absent [P].
    @inlinable public static var portNotSet: NTStatus { NTStatus(0xC000_0353) }
    /// `STATUS_IMPLEMENTATION_LIMIT`: a limit of this implementation was met.
    @inlinable public static var implementationLimit: NTStatus { NTStatus(0xC000_042B) }
    /// `STATUS_ALREADY_INITIALIZED`: a second initialization.
    @inlinable public static var alreadyInitialized: NTStatus { NTStatus(0xC000_0510) }
    /// `STATUS_PORT_CLOSED`: port closed [P].
    @inlinable public static var portClosed: NTStatus { NTStatus(0xC000_0700) }
    /// `STATUS_MESSAGE_LOST`: message no longer available [P].
    @inlinable public static var messageLost: NTStatus { NTStatus(0xC000_0701) }
    /// `STATUS_INVALID_MESSAGE`: message id stale: already replied or accepted, repeated accept [F].
    @inlinable public static var invalidMessage: NTStatus { NTStatus(0xC000_0702) }
    /// `STATUS_REQUEST_CANCELED`: request was cancelled; accept after client closed; repeat cancel [F].
    @inlinable public static var requestCanceled: NTStatus { NTStatus(0xC000_0703) }
    /// `STATUS_RECURSIVE_DISPATCH`: synchronous dispatch recursed [I].
    @inlinable public static var recursiveDispatch: NTStatus { NTStatus(0xC000_0704) }
    /// `STATUS_LPC_RECEIVE_BUFFER_EXPECTED`: SYNC_REQUEST without a receive buffer [F].
    @inlinable public static var lpcReceiveBufferExpected: NTStatus { NTStatus(0xC000_0705) }
    /// `STATUS_LPC_INVALID_CONNECTION_USAGE`: send on a connection port used as a communication port [P].
    @inlinable public static var lpcInvalidConnectionUsage: NTStatus { NTStatus(0xC000_0706) }
    /// `STATUS_LPC_REQUESTS_NOT_ALLOWED`: peer port lacks ALLOW_LPC_REQUESTS [P].
    @inlinable public static var lpcRequestsNotAllowed: NTStatus { NTStatus(0xC000_0707) }
    /// `STATUS_RESOURCE_IN_USE`: reserve or security context still in use [P].
    @inlinable public static var resourceInUse: NTStatus { NTStatus(0xC000_0708) }
    /// `STATUS_THREADPOOL_RELEASED_DURING_OPERATION`: TP_ALPC released during callback [I].
    @inlinable public static var threadpoolReleasedDuringOperation: NTStatus { NTStatus(0xC000_070F) }
    /// `STATUS_CALLBACK_RETURNED_WHILE_IMPERSONATING`: pool callback left impersonating [I].
    @inlinable public static var callbackReturnedWhileImpersonating: NTStatus { NTStatus(0xC000_0710) }
    /// `STATUS_CONTEXT_MISMATCH`: NtAlpcCancelMessage context does not match [F].
    @inlinable public static var contextMismatch: NTStatus { NTStatus(0xC000_0719) }
    /// `STATUS_PORT_ALREADY_HAS_COMPLETION_LIST`: second completion-list registration [P].
    @inlinable public static var portAlreadyHasCompletionList: NTStatus { NTStatus(0xC000_071A) }
    /// `STATUS_LPC_HANDLE_COUNT_EXCEEDED`: more handles in attribute than allowed (512) [P].
    @inlinable public static var lpcHandleCountExceeded: NTStatus { NTStatus(0xC000_0722) }
}
