/* The NT port calls, LPC and ALPC: structures, constants, prototypes.
 *
 * Names and layouts are NT's. Where sources disagree on a name, the common one is defined and the other is in a comment or
 * beside it; where they disagree on a meaning, the comment says so. Layouts and values: checked against compat/layouts.csv
 * and compat/constants.csv. The 32-bit forms that WoW64 uses are in ntlpcapi32.h.
 *
 * Lengths in messages are unsigned here (some headers have a signed CSHORT): messages of up to 0xFFFF bytes exist. */
#ifndef NTLPC_NTLPCAPI_H
#define NTLPC_NTLPCAPI_H

#include <ntlpc/nttypes.h>
#include <ntlpc/ntsecurity.h>
#include <ntlpc/ntobject.h>
#include <ntlpc/ntstatus.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Access to a port ---- */

#define PORT_CONNECT                    0x00000001u
#define PORT_ALL_ACCESS                 0x001F0001u     /* STANDARD_RIGHTS_REQUIRED | SYNCHRONIZE | PORT_CONNECT */
#define ALPC_PORT_GRANTED_BY_CREATE     0x001F0001u
/* The generic mapping of the type "ALPC Port" */
#define ALPC_PORT_GENERIC_READ          0x00020001u
#define ALPC_PORT_GENERIC_WRITE         0x00010001u
#define ALPC_PORT_GENERIC_EXECUTE       0x00000000u
#define ALPC_PORT_GENERIC_ALL           0x001F0001u

/* ---- The message header ---- */

/* TotalLength = sizeof(PORT_MESSAGE) + DataLength; the data follows the header. */
typedef struct _PORT_MESSAGE {
    union {
        struct { USHORT DataLength, TotalLength; } s1;
        ULONG Length;
    } u1;
    union {
        struct {
            USHORT Type;            /* LPC_* in the low byte, flags in the high byte */
            USHORT DataInfoOffset;  /* of a PORT_DATA_INFORMATION inside the message, or 0 */
        } s2;
        ULONG ZeroInit;
    } u2;
    union {
        CLIENT_ID ClientId;         /* of the sender; filled in on receive */
        double DoNotUseThisField;   /* for alignment */
    };
    ULONG MessageId;                /* filled in on receive; a reply must carry it */
    union {
        SIZE_T ClientViewSize;      /* LPC_CONNECTION_REQUEST only */
        ULONG CallbackId;           /* LPC_REQUEST only */
    };
} PORT_MESSAGE, *PPORT_MESSAGE;

/* Low byte of u2.s2.Type */
#define LPC_NEW_MESSAGE                         0
#define LPC_REQUEST                             1
#define LPC_REPLY                               2
#define LPC_DATAGRAM                            3
#define LPC_LOST_REPLY                          4
#define LPC_PORT_CLOSED                         5
#define LPC_CLIENT_DIED                         6
#define LPC_EXCEPTION                           7
#define LPC_DEBUG_EVENT                         8
#define LPC_ERROR_EVENT                         9
#define LPC_CONNECTION_REQUEST                  10
#define LPC_INTERNAL_CONNECTION_REPLY           11
#define ALPC_MESSAGE_TYPE_CONNECTION_REPLY      11      /* another name of it */
#define LPC_CONNECTION_REFUSED                  11      /* before Vista */
#define LPC_CANCEL_MESSAGE                      12
#define ALPC_MESSAGE_TYPE_CANCELED              12      /* another name of it */
#define LPC_MAXIMUM                             12      /* before Vista: end of the list */
#define LPC_LEGACY_CONNECTION_REPLY             13
#define ALPC_MESSAGE_TYPE_UNREGISTER_PROCESS    13      /* another name of it; a third is PortDisconnected */

#define LPC_TYPE_MASK                   0x00FF
#define LPC_FLAG_MASK                   0xFF00
/* High byte */
#define LPC_RESERVED_MESSAGE            0x1000  /* set for 32-bit receivers: the header is a PORT_MESSAGE32 */
#define LPC_CONTINUATION_REQUIRED       0x2000  /* a reply or a cancel is owed */
#define LPC_NO_IMPERSONATE              0x4000
#define LPC_KERNELMODE_MESSAGE          0x8000

#define ALPC_REQUEST                    (LPC_CONTINUATION_REQUIRED | LPC_REQUEST)
#define ALPC_REPLY                      (LPC_CONTINUATION_REQUIRED | LPC_REPLY)
#define ALPC_DATAGRAM                   (LPC_CONTINUATION_REQUIRED | LPC_DATAGRAM)
#define ALPC_LOST_REPLY                 (LPC_CONTINUATION_REQUIRED | LPC_LOST_REPLY)
#define ALPC_PORT_CLOSED                (LPC_CONTINUATION_REQUIRED | LPC_PORT_CLOSED)
#define ALPC_CLIENT_DIED                (LPC_CONTINUATION_REQUIRED | LPC_CLIENT_DIED)
#define ALPC_EXCEPTION                  (LPC_CONTINUATION_REQUIRED | LPC_EXCEPTION)
#define ALPC_DEBUG_EVENT                (LPC_CONTINUATION_REQUIRED | LPC_DEBUG_EVENT)
#define ALPC_ERROR_EVENT                (LPC_CONTINUATION_REQUIRED | LPC_ERROR_EVENT)
#define ALPC_CONNECTION_REQUEST         (LPC_CONTINUATION_REQUIRED | LPC_CONNECTION_REQUEST)

/* An LPC_CLIENT_DIED message */
typedef struct _LPC_CLIENT_DIED_MSG {
    PORT_MESSAGE PortMsg;
    LARGE_INTEGER CreateTime;       /* of the thread that ended */
} LPC_CLIENT_DIED_MSG, *PLPC_CLIENT_DIED_MSG;

/* ---- LPC views and data entries ---- */

typedef struct _PORT_VIEW {
    ULONG Length;
    HANDLE SectionHandle;
    ULONG SectionOffset;
    SIZE_T ViewSize;
    PVOID ViewBase;
    PVOID ViewRemoteBase;
} PORT_VIEW, *PPORT_VIEW;

typedef struct _REMOTE_PORT_VIEW {
    ULONG Length;
    SIZE_T ViewSize;
    PVOID ViewBase;
} REMOTE_PORT_VIEW, *PREMOTE_PORT_VIEW;

typedef struct _PORT_DATA_ENTRY { PVOID Base; ULONG Size; } PORT_DATA_ENTRY, *PPORT_DATA_ENTRY;

/* Really CountDataEntries entries */
typedef struct _PORT_DATA_INFORMATION {
    ULONG CountDataEntries;
    PORT_DATA_ENTRY DataEntries[1];
} PORT_DATA_INFORMATION, *PPORT_DATA_INFORMATION;

/* LPC limits; both grow with the pointer */
#define PORT_MAXIMUM_MESSAGE_LENGTH         (64u * (ULONG)sizeof(PVOID))
#define LPC_MAX_CONNECTION_INFO_SIZE        (16u * (ULONG)sizeof(PVOID))
#define PORT_TOTAL_MAXIMUM_MESSAGE_LENGTH \
    ((PORT_MAXIMUM_MESSAGE_LENGTH + (ULONG)sizeof(PORT_MESSAGE) + LPC_MAX_CONNECTION_INFO_SIZE + 0xFu) & ~0xFu)
#define PORT_VALID_OBJECT_ATTRIBUTES        OBJ_CASE_INSENSITIVE

typedef enum _PORT_INFORMATION_CLASS {
    PortBasicInformation,
    PortNoInformation = PortBasicInformation,
    PortDumpInformation
} PORT_INFORMATION_CLASS;

/* ---- ALPC ports ---- */

typedef HANDLE ALPC_HANDLE, *PALPC_HANDLE;

typedef struct _ALPC_PORT_ATTRIBUTES {
    ULONG Flags;                /* ALPC_PORFLG_* */
    SECURITY_QUALITY_OF_SERVICE SecurityQos;
    SIZE_T MaxMessageLength;    /* with the header */
    SIZE_T MemoryBandwidth;
    SIZE_T MaxPoolUsage;
    SIZE_T MaxSectionSize;
    SIZE_T MaxViewSize;
    SIZE_T MaxTotalSectionSize;
    ULONG DupObjectTypes;       /* ALPC_PORFLG_OBJECT_TYPE_* */
#if defined(_WIN64) || defined(__LP64__)
    ULONG Reserved;
#endif
} ALPC_PORT_ATTRIBUTES, *PALPC_PORT_ATTRIBUTES;

/* Some headers spell the prefix ALPC_PORTFLG_. */
#define ALPC_PORFLG_NONE                            0x00000000u
#define ALPC_PORFLG_LPC_MODE                        0x00001000u     /* kernel only */
#define ALPC_PORFLG_ALLOW_IMPERSONATION             0x00010000u
#define ALPC_PORFLG_ALLOW_LPC_REQUESTS              0x00020000u
#define ALPC_PORFLG_WAITABLE_PORT                   0x00040000u
#define ALPC_PORTFLG_NON_BLOCKING_RECEIVE           0x00040000u     /* another name of that bit */
#define ALPC_PORFLG_ALLOW_DUP_OBJECT                0x00080000u
#define ALPC_PORFLG_SYSTEM_PROCESS                  0x00100000u     /* kernel only: STATUS_INVALID_PARAMETER */
#define ALPC_PORFLG_WAKE_POLICY1                    0x00200000u
#define ALPC_PORFLG_WAKE_POLICY2                    0x00400000u
#define ALPC_PORFLG_WAKE_POLICY3                    0x00800000u
#define ALPC_PORFLG_DIRECT_MESSAGE                  0x01000000u
#define ALPC_PORFLG_ALLOW_MULTIHANDLE_ATTRIBUTE     0x02000000u

/* DupObjectTypes, and ObjectType of a handle attribute */
#define ALPC_PORFLG_OBJECT_TYPE_FILE                0x00000001u
#define ALPC_PORFLG_OBJECT_TYPE_INVALID             0x00000002u
#define ALPC_PORFLG_OBJECT_TYPE_THREAD              0x00000004u
#define ALPC_PORFLG_OBJECT_TYPE_SEMAPHORE           0x00000008u
#define ALPC_PORFLG_OBJECT_TYPE_EVENT               0x00000010u
#define ALPC_PORFLG_OBJECT_TYPE_PROCESS             0x00000020u
#define ALPC_PORFLG_OBJECT_TYPE_MUTEX               0x00000040u
#define ALPC_PORFLG_OBJECT_TYPE_SECTION             0x00000080u
#define ALPC_PORFLG_OBJECT_TYPE_REGKEY              0x00000100u
#define ALPC_PORFLG_OBJECT_TYPE_TOKEN               0x00000200u
#define ALPC_PORFLG_OBJECT_TYPE_COMPOSITION         0x00000400u
#define ALPC_PORFLG_OBJECT_TYPE_JOB                 0x00000800u
#define ALPC_PORFLG_OBJECT_TYPE_ALL                 0x00000FFDu

#define ALPC_DEFAULT_MAX_MESSAGE_LENGTH             0xFFFFu         /* without port attributes */
#define ALPC_RESERVE_MIN_SIZE                       0x28u
#define ALPC_RESERVE_MAX_SIZE                       0xFFD7u
#define ALPC_RESERVE_ID_TAG                         0x80000000u     /* set in every reserve id */
#define ALPC_INDIRECT_HANDLE_MAX                    0x200u
#define ALPC_COMPLETION_LIST_BUFFER_GRANULARITY_MASK 0x3Fu
#define ALPC_COMPLETION_LIST_EMPTY_INDEX            0x00FFFFFFu     /* Head and Tail of an empty list; one source only */

/* ---- Message attributes ---- */

/* Followed by one record for each bit of AllocatedAttributes, highest bit first, without gaps. */
typedef struct _ALPC_MESSAGE_ATTRIBUTES {
    ULONG AllocatedAttributes;
    ULONG ValidAttributes;
} ALPC_MESSAGE_ATTRIBUTES, *PALPC_MESSAGE_ATTRIBUTES;

#define ALPC_MESSAGE_SECURITY_ATTRIBUTE             0x80000000u
#define ALPC_MESSAGE_VIEW_ATTRIBUTE                 0x40000000u
#define ALPC_MESSAGE_CONTEXT_ATTRIBUTE              0x20000000u
#define ALPC_MESSAGE_HANDLE_ATTRIBUTE               0x10000000u
#define ALPC_MESSAGE_TOKEN_ATTRIBUTE                0x08000000u
#define ALPC_MESSAGE_RESERVED_ATTRIBUTE             0x08000000u     /* another name of that bit */
#define ALPC_MESSAGE_DIRECT_ATTRIBUTE               0x04000000u
#define ALPC_MESSAGE_WORK_ON_BEHALF_ATTRIBUTE       0x02000000u
#define ALPC_MESSAGE_ATTRIBUTE_ALL                  0xFE000000u     /* all seven */
#define ALPC_MESSAGE_ATTRIBUTES_ALL                 0xF0000000u     /* another header's mask: four only */

/* Meaning unverified */
#define ALPC_ATTRFLG_ALLOCATEDATTR                  0x20000000u
#define ALPC_ATTRFLG_VALIDATTR                      0x40000000u
#define ALPC_ATTRFLG_KEEPRUNNINGATTR                0x60000000u

typedef struct _ALPC_SECURITY_ATTR {
    ULONG Flags;                        /* ALPC_SECFLG_* */
    PSECURITY_QUALITY_OF_SERVICE QoS;
    ALPC_HANDLE ContextHandle;
} ALPC_SECURITY_ATTR, *PALPC_SECURITY_ATTR;

#define ALPC_SECFLG_DELETE_EXISTING                 0x00010000u     /* also known as ReleaseHandle */
#define ALPC_SECFLG_CREATE_HANDLE                   0x00020000u
#define ALPC_SECFLG_NOSECTIONHANDLE                 0x00040000u     /* meaning unverified */

typedef struct _ALPC_DATA_VIEW_ATTR {
    ULONG Flags;                        /* ALPC_VIEWFLG_* */
    ALPC_HANDLE SectionHandle;
    PVOID ViewBase;
    SIZE_T ViewSize;
} ALPC_DATA_VIEW_ATTR, *PALPC_DATA_VIEW_ATTR;

#define ALPC_VIEWFLG_UNMAP_EXISTING                 0x00010000u     /* also known as ReleaseView */
#define ALPC_VIEWFLG_AUTO_RELEASE                   0x00020000u
#define ALPC_VIEWFLG_NOT_SECURE                     0x00040000u     /* one source has the opposite sense, Secure */
#define ALPC_VIEWFLG_VALID_MASK                     0x00070000u

typedef struct _ALPC_CONTEXT_ATTR {
    PVOID PortContext;
    PVOID MessageContext;
    ULONG Sequence;
    ULONG MessageId;
    ULONG CallbackId;
} ALPC_CONTEXT_ATTR, *PALPC_CONTEXT_ATTR;

/* One of several handles; 16 bytes in 32-bit and 64-bit programs. It is also the 32-bit form of ALPC_HANDLE_ATTR. */
typedef struct _ALPC_HANDLE_ATTR32 {
    ULONG Flags;                        /* ALPC_HANDLEFLG_* */
    union { ULONG Handle; ULONG HandleAttrArray; };
    union { ULONG ObjectType; ULONG HandleCount; };
    union { ACCESS_MASK DesiredAccess; ACCESS_MASK GrantedAccess; };
} ALPC_HANDLE_ATTR32, *PALPC_HANDLE_ATTR32;

typedef struct _ALPC_HANDLE_ATTR {
    ULONG Flags;                        /* ALPC_HANDLEFLG_* */
    union {
        HANDLE Handle;
        PALPC_HANDLE_ATTR32 HandleAttrArray;    /* with ALPC_HANDLEFLG_INDIRECT */
    };
    union {
        ULONG ObjectType;               /* ALPC_PORFLG_OBJECT_TYPE_* */
        ULONG HandleCount;              /* with ALPC_HANDLEFLG_INDIRECT */
    };
    union { ACCESS_MASK DesiredAccess; ACCESS_MASK GrantedAccess; };
} ALPC_HANDLE_ATTR, *PALPC_HANDLE_ATTR;

#define ALPC_HANDLEFLG_DUPLICATE_SAME_ACCESS        0x00010000u
#define ALPC_HANDLEFLG_DUPLICATE_SAME_ATTRIBUTES    0x00020000u
#define ALPC_HANDLEFLG_INDIRECT                     0x00040000u
#define ALPC_HANDLEFLG_DUPLICATE_INHERIT            0x00080000u

typedef struct _ALPC_TOKEN_ATTR { LUID TokenId, AuthenticationId, ModifiedId; } ALPC_TOKEN_ATTR, *PALPC_TOKEN_ATTR;

typedef struct _ALPC_DIRECT_ATTR { HANDLE Event; } ALPC_DIRECT_ATTR, *PALPC_DIRECT_ATTR;

typedef struct _ALPC_WORK_ON_BEHALF_TICKET {
    ULONG ThreadId;
    ULONG ThreadCreationTimeLow;
} ALPC_WORK_ON_BEHALF_TICKET, *PALPC_WORK_ON_BEHALF_TICKET;

typedef struct _ALPC_WORK_ON_BEHALF_ATTR {
    union { ULONGLONG Ticket; ALPC_WORK_ON_BEHALF_TICKET TicketParts; };
} ALPC_WORK_ON_BEHALF_ATTR, *PALPC_WORK_ON_BEHALF_ATTR;

typedef struct _RTL_WORK_ON_BEHALF_TICKET_EX {
    ALPC_WORK_ON_BEHALF_TICKET Ticket;
    ULONG Flags;
    ULONG Reserved2;
} RTL_WORK_ON_BEHALF_TICKET_EX, *PRTL_WORK_ON_BEHALF_TICKET_EX;

/* ---- Flags of the ALPC calls ---- */

/* NtAlpcSendWaitReceivePort */
#define ALPC_MSGFLG_NONE                            0x00000000u
/* Replies are sent with RELEASE_MESSAGE; the low 16 bits do not count. Some sources call bit 0x10000 REPLY_MESSAGE. */
#define ALPC_MSGFLG_REPLY_MESSAGE                   0x00000001u
#define ALPC_MSGFLG_LPC_MODE                        0x00000002u
#define ALPC_MSGFLG_RELEASE_MESSAGE                 0x00010000u
#define ALPC_MSGFLG_SYNC_REQUEST                    0x00020000u
#define ALPC_MSGFLG_TRACK_PORT_REFERENCES           0x00040000u
#define ALPC_MSGFLG_WAIT_USER_MODE                  0x00100000u
#define ALPC_MSGFLG_WAIT_ALERTABLE                  0x00200000u
#define ALPC_MSGFLG_SIGNAL_ALERTABLE                0x00400000u     /* one source: WaitChargePolicy */
#define ALPC_MSGFLG_INTERNAL_REJECT                 0x01000000u     /* always STATUS_INVALID_PARAMETER */
#define ALPC_MSGFLG_WOW64_CALL                      0x80000000u     /* one source: 0x40000000 */

/* NtAlpcConnectPort, NtAlpcConnectPortEx: wait until the server accepts or refuses */
#define ALPC_SYNC_CONNECTION                        0x00020000u

/* NtAlpcAcceptConnectPort, NtAlpcOpenSender* */
#define ALPC_PORTFLG_NONE                           0x00000000u
#define ALPC_PORTFLG_WOW64_STYLE_HEADER             0x80000000u
#define ALPC_PORTFLG_TOP_MASK                       0xC0000000u     /* the bits that count */

/* NtAlpcCancelMessage */
#define ALPC_CANCELFLG_NONE                         0x00000000u
#define ALPC_CANCELFLG_TRY_CANCEL                   0x00000001u
#define ALPC_CANCELFLG_RESERVED_CAPTURE32           0x00000004u
#define ALPC_CANCELFLG_NO_CONTEXT_CHECK             0x00000008u
#define ALPC_CANCELFLG_FLUSH                        0x00010000u     /* internal */
#define ALPC_CANCELFLG_USER_VALID_MASK              0x0000000Fu

/* NtAlpcDisconnectPort */
#define ALPC_DISCONNECT_PORT_FLG_DEFAULT            0x00000000u
#define ALPC_DISCONNECT_PORT_FLG_SKIP_PENDING_FLUSH 0x00000001u     /* also known as NoFlushOnClose */

/* NtAlpcImpersonateClientOfPort */
#define ALPC_IMPERSONATEFLG_ANONYMOUS               0x00000001u
#define ALPC_IMPERSONATEFLG_REQUIRE_IMPERSONATE     0x00000002u
#define ALPC_IMPERSONATEFLG_LEVEL_ANONYMOUS         0x00000000u
#define ALPC_IMPERSONATEFLG_LEVEL_IDENTIFICATION    0x00000004u
#define ALPC_IMPERSONATEFLG_LEVEL_IMPERSONATION     0x00000008u
#define ALPC_IMPERSONATEFLG_LEVEL_DELEGATION        0x0000000Cu

/* NtAlpcCreatePortSection */
#define ALPC_CREATEPORTSECTIONFLG_SECURE            0x00040000u

/* ---- Information classes ---- */

typedef enum _ALPC_PORT_INFORMATION_CLASS {
    AlpcBasicInformation,                               /* q: ALPC_BASIC_INFORMATION */
    AlpcPortInformation,                                /* s: ALPC_PORT_ATTRIBUTES */
    AlpcAssociateCompletionPortInformation,             /* s: ALPC_PORT_ASSOCIATE_COMPLETION_PORT */
    AlpcConnectedSIDInformation,                        /* q: SID in, compared */
    AlpcServerInformation,                              /* q: ALPC_SERVER_INFORMATION */
    AlpcMessageZoneInformation,                         /* s: ALPC_PORT_MESSAGE_ZONE_INFORMATION */
    AlpcRegisterCompletionListInformation,              /* s: ALPC_PORT_COMPLETION_LIST_INFORMATION */
    AlpcUnregisterCompletionListInformation,            /* s: nothing */
    AlpcAdjustCompletionListConcurrencyCountInformation,/* s: ULONG */
    AlpcRegisterCallbackInformation,                    /* s: ALPC_REGISTER_CALLBACK, kernel only */
    AlpcCompletionListRundownInformation,               /* s: nothing */
    AlpcWaitForPortReferences,                          /* q: ULONG */
    AlpcServerSessionInformation                        /* q: ALPC_SERVER_SESSION_INFORMATION */
} ALPC_PORT_INFORMATION_CLASS;

typedef struct _ALPC_BASIC_INFORMATION {
    ULONG Flags;
    ULONG SequenceNo;
    PVOID PortContext;
} ALPC_BASIC_INFORMATION, *PALPC_BASIC_INFORMATION;

typedef struct _ALPC_PORT_ASSOCIATE_COMPLETION_PORT {
    PVOID CompletionKey;
    HANDLE CompletionPort;
} ALPC_PORT_ASSOCIATE_COMPLETION_PORT, *PALPC_PORT_ASSOCIATE_COMPLETION_PORT;

typedef struct _ALPC_SERVER_INFORMATION {
    NTLPC_NAMELESS union {
        struct { HANDLE ThreadHandle; } In;
        struct {
            BOOLEAN ThreadBlocked;
            HANDLE ConnectedProcessId;
            UNICODE_STRING ConnectionPortName;  /* the text follows the structure */
        } Out;
    };
} ALPC_SERVER_INFORMATION, *PALPC_SERVER_INFORMATION;

typedef struct _ALPC_PORT_MESSAGE_ZONE_INFORMATION {
    PVOID Buffer;
    ULONG Size;
} ALPC_PORT_MESSAGE_ZONE_INFORMATION, *PALPC_PORT_MESSAGE_ZONE_INFORMATION;

typedef struct _ALPC_PORT_COMPLETION_LIST_INFORMATION {
    struct _ALPC_COMPLETION_LIST_HEADER *Buffer;
    ULONG Size;
    ULONG ConcurrencyCount;
    ULONG AttributeFlags;
} ALPC_PORT_COMPLETION_LIST_INFORMATION, *PALPC_PORT_COMPLETION_LIST_INFORMATION;

typedef struct _ALPC_REGISTER_CALLBACK {
    PVOID CallbackObject;
    PVOID CallbackContext;
} ALPC_REGISTER_CALLBACK, *PALPC_REGISTER_CALLBACK;

typedef struct _ALPC_SERVER_SESSION_INFORMATION {
    ULONG SessionId;
    ULONG ProcessId;
} ALPC_SERVER_SESSION_INFORMATION, *PALPC_SERVER_SESSION_INFORMATION;

typedef enum _ALPC_MESSAGE_INFORMATION_CLASS {
    AlpcMessageSidInformation,              /* q: SID */
    AlpcMessageTokenModifiedIdInformation,  /* q: LUID */
    AlpcMessageDirectStatusInformation,     /* q: nothing, the status is the answer */
    AlpcMessageHandleInformation,           /* q: ALPC_MESSAGE_HANDLE_INFORMATION, Index in */
    MaxAlpcMessageInfoClass
} ALPC_MESSAGE_INFORMATION_CLASS;

typedef struct _ALPC_MESSAGE_HANDLE_INFORMATION {
    ULONG Index;
    ULONG Flags;
    ULONG Handle;
    ULONG ObjectType;
    ACCESS_MASK GrantedAccess;
} ALPC_MESSAGE_HANDLE_INFORMATION, *PALPC_MESSAGE_HANDLE_INFORMATION;

/* ---- Completion lists ---- */

typedef struct _ALPC_COMPLETION_LIST_STATE {
    union {
        struct {
            ULONGLONG Head : 24;
            ULONGLONG Tail : 24;
            ULONGLONG ActiveThreadCount : 16;
        } s1;
        ULONGLONG Value;
    } u1;
} ALPC_COMPLETION_LIST_STATE, *PALPC_COMPLETION_LIST_STATE;

/* Windows 8 and later on x86 and x64; the members that change have a cache line each. */
typedef struct _ALPC_COMPLETION_LIST_HEADER {
    ULONGLONG StartMagic;
    ULONG TotalSize;
    ULONG ListOffset;
    ULONG ListSize;
    ULONG BitmapOffset;
    ULONG BitmapSize;
    ULONG DataOffset;
    ULONG DataSize;
    ULONG AttributeFlags;
    ULONG AttributeSize;
    NTLPC_ALIGNED(64) ALPC_COMPLETION_LIST_STATE State;
    ULONG LastMessageId;
    ULONG LastCallbackId;
    NTLPC_ALIGNED(64) ULONG PostCount;
    NTLPC_ALIGNED(64) ULONG ReturnCount;
    NTLPC_ALIGNED(64) ULONG LogSequenceNumber;
    NTLPC_ALIGNED(64) RTL_SRWLOCK UserLock;
    NTLPC_ALIGNED(8) ULONGLONG EndMagic;
} ALPC_COMPLETION_LIST_HEADER, *PALPC_COMPLETION_LIST_HEADER;

/* Vista and 7, and what some headers still have */
typedef struct _ALPC_COMPLETION_LIST_HEADER_ALIGN128 {
    ULONGLONG StartMagic;
    ULONG TotalSize;
    ULONG ListOffset;
    ULONG ListSize;
    ULONG BitmapOffset;
    ULONG BitmapSize;
    ULONG DataOffset;
    ULONG DataSize;
    ULONG AttributeFlags;
    ULONG AttributeSize;
    NTLPC_ALIGNED(128) ALPC_COMPLETION_LIST_STATE State;
    ULONG LastMessageId;
    ULONG LastCallbackId;
    NTLPC_ALIGNED(128) ULONG PostCount;
    NTLPC_ALIGNED(128) ULONG ReturnCount;
    NTLPC_ALIGNED(128) ULONG LogSequenceNumber;
    NTLPC_ALIGNED(128) RTL_SRWLOCK UserLock;
    NTLPC_ALIGNED(8) ULONGLONG EndMagic;
} ALPC_COMPLETION_LIST_HEADER_ALIGN128, *PALPC_COMPLETION_LIST_HEADER_ALIGN128;

/* ---- Thread pool ---- */

typedef struct _TP_ALPC TP_ALPC, *PTP_ALPC;

#ifndef _WIN32
typedef struct _TP_CALLBACK_INSTANCE TP_CALLBACK_INSTANCE, *PTP_CALLBACK_INSTANCE;
typedef struct _TP_POOL *PTP_POOL;
typedef struct _TP_CLEANUP_GROUP *PTP_CLEANUP_GROUP;
struct _ACTIVATION_CONTEXT;

typedef struct _TP_CALLBACK_ENVIRON_V3 {
    ULONG Version;          /* 3 */
    PTP_POOL Pool;
    PTP_CLEANUP_GROUP CleanupGroup;
    VOID (NTAPI *CleanupGroupCancelCallback)(PVOID ObjectContext, PVOID CleanupContext);
    PVOID RaceDll;
    struct _ACTIVATION_CONTEXT *ActivationContext;
    VOID (NTAPI *FinalizationCallback)(PTP_CALLBACK_INSTANCE Instance, PVOID Context);
    union {
        ULONG Flags;
        struct { ULONG LongFunction : 1; ULONG Persistent : 1; ULONG Private : 30; } s;
    } u;
    ULONG CallbackPriority;
    ULONG Size;
} TP_CALLBACK_ENVIRON_V3, TP_CALLBACK_ENVIRON, *PTP_CALLBACK_ENVIRON;
#endif

typedef VOID (NTAPI *PTP_ALPC_CALLBACK)(PTP_CALLBACK_INSTANCE Instance, PVOID Context, PTP_ALPC Alpc);
typedef VOID (NTAPI *PTP_ALPC_CALLBACK_EX)(PTP_CALLBACK_INSTANCE Instance, PVOID Context, PTP_ALPC Alpc, PVOID ApcContext);

#ifdef __cplusplus
}
#endif

#include <ntlpc/ntlpcfuncs.h>

#endif
