/* The port calls as a program declares them that has no header for them: written down from public documentation, found at run
 * time by name. Nothing here comes from ntlpc's headers, so a difference between the two shows as a failure of the programs
 * that use it. 64-bit layouts. */
#ifndef OWN_DECLARATIONS_H
#define OWN_DECLARATIONS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <windows.h>
#define CALL __stdcall
#else
#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>
#define CALL
#endif

typedef int32_t Status;
typedef void *Handle;

typedef struct { uint16_t Length, MaximumLength; uint16_t *Buffer; } UnicodeString;
typedef struct { uint32_t Length; Handle Root; UnicodeString *Name; uint32_t Attributes; void *Descriptor, *Quality; } ObjectAttributes;
typedef struct { uint32_t Length, Level; uint8_t Tracking, EffectiveOnly; } QualityOfService;

typedef struct {
    uint16_t DataLength, TotalLength, Type, DataInfoOffset;
    uint64_t Process, Thread;
    uint32_t MessageId, Padding;
    uint64_t CallbackId;
} PortMessage;

typedef struct {
    uint32_t Flags;
    QualityOfService Quality;
    uint64_t MaxMessageLength, MemoryBandwidth, MaxPoolUsage, MaxSectionSize, MaxViewSize, MaxTotalSectionSize;
    uint32_t DupObjectTypes, Reserved;
} PortAttributes;

typedef struct { uint32_t Allocated, Valid; } MessageAttributes;
typedef struct { uint64_t PortContext, MessageContext; uint32_t Sequence, MessageId, CallbackId; } ContextAttribute;

_Static_assert(sizeof(PortMessage) == 40, "PORT_MESSAGE has 40 bytes");
_Static_assert(sizeof(PortAttributes) == 72, "ALPC_PORT_ATTRIBUTES has 72 bytes");
_Static_assert(sizeof(ContextAttribute) == 32, "ALPC_CONTEXT_ATTR has 32 bytes");

enum { Request = 1, Reply = 2, Datagram = 3, Closed = 5, Died = 6, ConnectionRequest = 10, ConnectionReply = 11 };
enum { ReleaseMessage = 0x10000, SyncRequest = 0x20000, AllowRequests = 0x20000, ContextBit = 0x20000000, CaseInsensitive = 0x40 };

typedef Status (CALL *CreatePort)(Handle *, ObjectAttributes *, uint32_t, uint32_t, uint32_t);
typedef Status (CALL *ConnectPort)(Handle *, UnicodeString *, QualityOfService *, void *, void *, uint32_t *, void *, uint32_t *);
typedef Status (CALL *SecureConnectPort)(Handle *, UnicodeString *, QualityOfService *, void *, void *, void *, uint32_t *, void *, uint32_t *);
typedef Status (CALL *ListenPort)(Handle, PortMessage *);
typedef Status (CALL *AcceptConnectPort)(Handle *, void *, PortMessage *, uint8_t, void *, void *);
typedef Status (CALL *CompleteConnectPort)(Handle);
typedef Status (CALL *RequestPort)(Handle, PortMessage *);
typedef Status (CALL *RequestWaitReplyPort)(Handle, PortMessage *, PortMessage *);
typedef Status (CALL *ReplyPort)(Handle, PortMessage *);
typedef Status (CALL *ReplyWaitReceivePort)(Handle, void **, PortMessage *, PortMessage *);
typedef Status (CALL *ReplyWaitReceivePortEx)(Handle, void **, PortMessage *, PortMessage *, int64_t *);
typedef Status (CALL *AlpcCreatePort)(Handle *, ObjectAttributes *, PortAttributes *);
typedef Status (CALL *AlpcConnectPort)(Handle *, UnicodeString *, ObjectAttributes *, PortAttributes *, uint32_t, void *, PortMessage *,
                                       size_t *, MessageAttributes *, MessageAttributes *, int64_t *);
typedef Status (CALL *AlpcConnectPortEx)(Handle *, ObjectAttributes *, ObjectAttributes *, PortAttributes *, uint32_t, void *,
                                         PortMessage *, size_t *, MessageAttributes *, MessageAttributes *, int64_t *);
typedef Status (CALL *AlpcAcceptConnectPort)(Handle *, Handle, uint32_t, ObjectAttributes *, PortAttributes *, void *, PortMessage *,
                                             MessageAttributes *, uint8_t);
typedef Status (CALL *AlpcSendWaitReceivePort)(Handle, uint32_t, PortMessage *, MessageAttributes *, PortMessage *, size_t *,
                                               MessageAttributes *, int64_t *);
typedef Status (CALL *AlpcDisconnectPort)(Handle, uint32_t);
typedef Status (CALL *AlpcQueryInformation)(Handle, uint32_t, void *, uint32_t, uint32_t *);
typedef Status (CALL *InitializeMessageAttribute)(uint32_t, MessageAttributes *, size_t, size_t *);
typedef void *(CALL *GetMessageAttribute)(MessageAttributes *, uint32_t);
typedef size_t (CALL *GetHeaderSize)(uint32_t);
typedef uint32_t (CALL *MaxAllowedMessageLength)(void);
typedef Status (CALL *CloseHandleCall)(Handle);

/* The call of that name; the program ends when there is none. */
void *find_call(const char *name);
/* NULL when there is none. "Zw" names are looked for too. */
void *look_for_call(const char *name);

typedef struct { UnicodeString String; ObjectAttributes Attributes; uint16_t Characters[256]; } Name;
void make_name(Name *name, const char *text);
/* Prints one line, with the role before it. */
void say(const char *format, ...);
/* Ends the program unless the status is the wanted one. */
void check(const char *what, Status status, Status wanted);
void fail(const char *what);
/* The port name of a command line "--port NAME"; anything else ends the program with 2. Starts a guard of 20 seconds. */
const char *begin(int argc, char **argv, const char *role);
void make_message(PortMessage *message, const void *bytes, size_t count);

#endif
