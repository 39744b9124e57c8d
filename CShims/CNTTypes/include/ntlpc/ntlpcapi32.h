/* The forms that cross the border between 32-bit and 64-bit code.
 *
 * Names ending in 32: what a 32-bit program hands to the ALPC calls, seen from 64-bit code. Pointers and handles are ULONGs;
 * handles widen by sign extension. Names ending in 64: what 32-bit code must build for the LPC calls, which take the 64-bit
 * forms even from a WoW64 process. ALPC_HANDLE_ATTR32 is in ntlpcapi.h because 64-bit programs use it too.
 * A 32-bit header has 24 bytes, a 64-bit one 40: TotalLength, MaxMessageLength and BufferLength differ by 16. */
#ifndef NTLPC_NTLPCAPI32_H
#define NTLPC_NTLPCAPI32_H

#include <ntlpc/ntlpcapi.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct _PORT_MESSAGE32 {
    union {
        struct { USHORT DataLength, TotalLength; } s1;
        ULONG Length;
    } u1;
    union {
        struct { USHORT Type, DataInfoOffset; } s2;
        ULONG ZeroInit;
    } u2;
    union {
        CLIENT_ID32 ClientId;
        double DoNotUseThisField;
    };
    ULONG MessageId;
    union {
        ULONG ClientViewSize;
        ULONG CallbackId;
    };
} PORT_MESSAGE32, *PPORT_MESSAGE32;

typedef struct _PORT_MESSAGE64 {
    union {
        struct { USHORT DataLength, TotalLength; } s1;
        ULONG Length;
    } u1;
    union {
        struct { USHORT Type, DataInfoOffset; } s2;
        ULONG ZeroInit;
    } u2;
    union {
        CLIENT_ID64 ClientId;
        double DoNotUseThisField;
    };
    ULONG MessageId;
    union {
        ULONGLONG ClientViewSize;
        ULONG CallbackId;
    };
} PORT_MESSAGE64, *PPORT_MESSAGE64;

typedef struct _LPC_CLIENT_DIED_MSG64 {
    PORT_MESSAGE64 PortMsg;
    LARGE_INTEGER CreateTime;
} LPC_CLIENT_DIED_MSG64, *PLPC_CLIENT_DIED_MSG64;

typedef struct _PORT_VIEW64 {
    ULONG Length;
    ULONGLONG SectionHandle;
    ULONG SectionOffset;
    ULONGLONG ViewSize;
    ULONGLONG ViewBase;
    ULONGLONG ViewRemoteBase;
} PORT_VIEW64, *PPORT_VIEW64;

typedef struct _REMOTE_PORT_VIEW64 {
    ULONG Length;
    ULONGLONG ViewSize;
    ULONGLONG ViewBase;
} REMOTE_PORT_VIEW64, *PREMOTE_PORT_VIEW64;

#if !defined(_WIN32)
typedef struct _UNICODE_STRING32 { USHORT Length, MaximumLength; ULONG Buffer; } UNICODE_STRING32, *PUNICODE_STRING32;

typedef struct _OBJECT_ATTRIBUTES32 {
    ULONG Length;
    ULONG RootDirectory;
    ULONG ObjectName;
    ULONG Attributes;
    ULONG SecurityDescriptor;
    ULONG SecurityQualityOfService;
} OBJECT_ATTRIBUTES32, *POBJECT_ATTRIBUTES32;

typedef struct _SECURITY_DESCRIPTOR32 {
    UCHAR Revision;
    UCHAR Sbz1;
    SECURITY_DESCRIPTOR_CONTROL Control;
    ULONG Owner;
    ULONG Group;
    ULONG Sacl;
    ULONG Dacl;
} SECURITY_DESCRIPTOR32, *PSECURITY_DESCRIPTOR32;

typedef struct _IO_STATUS_BLOCK32 {
    union { NTSTATUS Status; ULONG Pointer; };
    ULONG Information;
} IO_STATUS_BLOCK32, *PIO_STATUS_BLOCK32;
#endif

typedef struct _ALPC_PORT_ATTRIBUTES32 {
    ULONG Flags;
    SECURITY_QUALITY_OF_SERVICE SecurityQos;
    ULONG MaxMessageLength;
    ULONG MemoryBandwidth;
    ULONG MaxPoolUsage;
    ULONG MaxSectionSize;
    ULONG MaxViewSize;
    ULONG MaxTotalSectionSize;
    ULONG DupObjectTypes;
} ALPC_PORT_ATTRIBUTES32, *PALPC_PORT_ATTRIBUTES32;

typedef struct _ALPC_SECURITY_ATTR32 {
    ULONG Flags;
    ULONG QoS;
    ULONG ContextHandle;
} ALPC_SECURITY_ATTR32, *PALPC_SECURITY_ATTR32;

typedef struct _ALPC_DATA_VIEW_ATTR32 {
    ULONG Flags;
    ULONG SectionHandle;
    ULONG ViewBase;
    ULONG ViewSize;
} ALPC_DATA_VIEW_ATTR32, *PALPC_DATA_VIEW_ATTR32;

typedef struct _ALPC_CONTEXT_ATTR32 {
    ULONG PortContext;
    ULONG MessageContext;
    ULONG Sequence;
    ULONG MessageId;
    ULONG CallbackId;
} ALPC_CONTEXT_ATTR32, *PALPC_CONTEXT_ATTR32;

typedef struct _ALPC_DIRECT_ATTR32 { ULONG Event; } ALPC_DIRECT_ATTR32, *PALPC_DIRECT_ATTR32;

typedef struct _ALPC_BASIC_INFORMATION32 {
    ULONG Flags;
    ULONG SequenceNo;
    ULONG PortContext;
} ALPC_BASIC_INFORMATION32, *PALPC_BASIC_INFORMATION32;

typedef struct _ALPC_PORT_ASSOCIATE_COMPLETION_PORT32 {
    ULONG CompletionKey;
    ULONG CompletionPort;
} ALPC_PORT_ASSOCIATE_COMPLETION_PORT32, *PALPC_PORT_ASSOCIATE_COMPLETION_PORT32;

#if !defined(_WIN32)
typedef struct _ALPC_SERVER_INFORMATION32 {
    NTLPC_NAMELESS union {
        struct { ULONG ThreadHandle; } In;
        struct {
            BOOLEAN ThreadBlocked;
            ULONG ConnectedProcessId;
            UNICODE_STRING32 ConnectionPortName;
        } Out;
    };
} ALPC_SERVER_INFORMATION32, *PALPC_SERVER_INFORMATION32;
#endif

typedef struct _ALPC_PORT_MESSAGE_ZONE_INFORMATION32 {
    ULONG Buffer;
    ULONG Size;
} ALPC_PORT_MESSAGE_ZONE_INFORMATION32, *PALPC_PORT_MESSAGE_ZONE_INFORMATION32;

typedef struct _ALPC_PORT_COMPLETION_LIST_INFORMATION32 {
    ULONG Buffer;
    ULONG Size;
    ULONG ConcurrencyCount;
    ULONG AttributeFlags;
} ALPC_PORT_COMPLETION_LIST_INFORMATION32, *PALPC_PORT_COMPLETION_LIST_INFORMATION32;

typedef struct _ALPC_REGISTER_CALLBACK32 {
    ULONG CallbackObject;
    ULONG CallbackContext;
} ALPC_REGISTER_CALLBACK32, *PALPC_REGISTER_CALLBACK32;

#ifdef __cplusplus
}
#endif
#endif
