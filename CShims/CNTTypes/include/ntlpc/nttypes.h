/* The basic NT types that the port calls need.
 *
 * Two worlds, one set of names. On Linux everything is defined here, with NT's sizes (LONG and ULONG have 32 bits, WCHAR has
 * 16). On Windows and under mingw this header includes <windows.h> and <winternl.h> and adds only what they lack, so the
 * order in which a program includes them and us does not matter. When we are the first to include <windows.h>, the STATUS_
 * codes come from <ntstatus.h> and have type NTSTATUS; when the program was first, its choice stands.
 *
 * Layouts: checked against compat/layouts.csv by layout_checks.c. */
#ifndef NTLPC_NTTYPES_H
#define NTLPC_NTTYPES_H

#ifdef _WIN32

#if !defined(_WINDOWS_) && !defined(WIN32_NO_STATUS)
#define WIN32_NO_STATUS
#include <windows.h>
#undef WIN32_NO_STATUS
#include <winternl.h>
#include <ntstatus.h>
#else
#include <windows.h>
#include <winternl.h>
#endif

#else /* !_WIN32 */

#include <stddef.h>
#include <stdint.h>

#endif

#if defined(_MSC_VER)
#define NTLPC_ALIGNED(bytes) __declspec(align(bytes))
#define NTLPC_NAMELESS
#else
#define NTLPC_ALIGNED(bytes) __attribute__((aligned(bytes)))
/* Before a nameless structure, which C++ has as an extension only */
#define NTLPC_NAMELESS __extension__
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* A string literal of WCHARs: L"..." on Windows, u"..." elsewhere. */
#ifdef _WIN32
#define NTLPC_TEXT(literal) L##literal
#else
#define NTLPC_TEXT(literal) u##literal
#endif

#ifndef _WIN32

/* The one calling convention of a Linux process. The Microsoft entry points are in ntlpc_msabi.h. */
#define NTAPI
#define CONST const

typedef void VOID, *PVOID, *LPVOID;
typedef const void *PCVOID;
typedef char CHAR, *PCHAR, *PSTR;
typedef const char *PCSTR;
typedef uint8_t UCHAR, *PUCHAR, BYTE, *PBYTE;
typedef uint8_t BOOLEAN, *PBOOLEAN;
typedef int16_t SHORT, *PSHORT, CSHORT;
typedef uint16_t USHORT, *PUSHORT, WORD;
typedef int32_t LONG, *PLONG, BOOL;
typedef uint32_t ULONG, *PULONG, DWORD;
/* A 32-bit compiler for Linux aligns 64-bit fields to 4 bytes, NT always to 8. */
#ifdef __i386__
typedef int64_t LONGLONG NTLPC_ALIGNED(8);
typedef uint64_t ULONGLONG NTLPC_ALIGNED(8);
#else
typedef int64_t LONGLONG;
typedef uint64_t ULONGLONG;
#endif
typedef LONGLONG *PLONGLONG;
typedef ULONGLONG *PULONGLONG;
typedef intptr_t LONG_PTR, SSIZE_T;
typedef uintptr_t ULONG_PTR, *PULONG_PTR;
/* Not size_t, which Swift would import as a signed number. The two are the same type in C. */
typedef uintptr_t SIZE_T, *PSIZE_T;
typedef int32_t NTSTATUS, *PNTSTATUS;
typedef uint32_t ACCESS_MASK, *PACCESS_MASK;
#ifdef __cplusplus
typedef char16_t WCHAR, *PWCHAR, *PWSTR;
typedef const char16_t *PCWSTR, *PCWCH;
#else
typedef uint16_t WCHAR, *PWCHAR, *PWSTR;
typedef const uint16_t *PCWSTR, *PCWCH;
#endif
typedef void *HANDLE, **PHANDLE;

#ifndef TRUE
#define TRUE 1
#endif
#ifndef FALSE
#define FALSE 0
#endif
#ifndef NULL
#define NULL ((void *)0)
#endif

typedef union _LARGE_INTEGER {
    NTLPC_NAMELESS struct { ULONG LowPart; LONG HighPart; };
    struct { ULONG LowPart; LONG HighPart; } u;
    LONGLONG QuadPart;
} LARGE_INTEGER, *PLARGE_INTEGER;

typedef union _ULARGE_INTEGER {
    NTLPC_NAMELESS struct { ULONG LowPart; ULONG HighPart; };
    struct { ULONG LowPart; ULONG HighPart; } u;
    ULONGLONG QuadPart;
} ULARGE_INTEGER, *PULARGE_INTEGER;

typedef struct _LUID { ULONG LowPart; LONG HighPart; } LUID, *PLUID;

typedef struct _GUID { ULONG Data1; USHORT Data2, Data3; UCHAR Data4[8]; } GUID;

/* Lengths count bytes, without a terminating zero. */
typedef struct _UNICODE_STRING { USHORT Length, MaximumLength; PWSTR Buffer; } UNICODE_STRING, *PUNICODE_STRING;
typedef const UNICODE_STRING *PCUNICODE_STRING;
typedef struct _STRING { USHORT Length, MaximumLength; PCHAR Buffer; } STRING, *PSTRING, ANSI_STRING, *PANSI_STRING;

typedef struct _OBJECT_ATTRIBUTES {
    ULONG Length;
    HANDLE RootDirectory;
    PUNICODE_STRING ObjectName;
    ULONG Attributes;
    PVOID SecurityDescriptor;
    PVOID SecurityQualityOfService;
} OBJECT_ATTRIBUTES, *POBJECT_ATTRIBUTES;

typedef struct _CLIENT_ID { HANDLE UniqueProcess, UniqueThread; } CLIENT_ID, *PCLIENT_ID;

typedef struct _IO_STATUS_BLOCK {
    union { NTSTATUS Status; PVOID Pointer; };
    ULONG_PTR Information;
} IO_STATUS_BLOCK, *PIO_STATUS_BLOCK;

typedef struct _GENERIC_MAPPING {
    ACCESS_MASK GenericRead, GenericWrite, GenericExecute, GenericAll;
} GENERIC_MAPPING, *PGENERIC_MAPPING;

typedef struct _RTL_SRWLOCK { PVOID Ptr; } RTL_SRWLOCK, *PRTL_SRWLOCK;

/* OBJECT_ATTRIBUTES.Attributes */
#define OBJ_INHERIT                         0x00000002u
#define OBJ_PERMANENT                       0x00000010u
#define OBJ_EXCLUSIVE                       0x00000020u
#define OBJ_CASE_INSENSITIVE                0x00000040u
#define OBJ_OPENIF                          0x00000080u
#define OBJ_OPENLINK                        0x00000100u
#define OBJ_KERNEL_HANDLE                   0x00000200u
#define OBJ_FORCE_ACCESS_CHECK              0x00000400u

/* Standard and generic access rights */
#define DELETE                              0x00010000u
#define READ_CONTROL                        0x00020000u
#define WRITE_DAC                           0x00040000u
#define WRITE_OWNER                         0x00080000u
#define SYNCHRONIZE                         0x00100000u
#define STANDARD_RIGHTS_REQUIRED            0x000F0000u
#define STANDARD_RIGHTS_READ                READ_CONTROL
#define STANDARD_RIGHTS_WRITE               READ_CONTROL
#define STANDARD_RIGHTS_EXECUTE             READ_CONTROL
#define STANDARD_RIGHTS_ALL                 0x001F0000u
#define SPECIFIC_RIGHTS_ALL                 0x0000FFFFu
#define ACCESS_SYSTEM_SECURITY              0x01000000u
#define MAXIMUM_ALLOWED                     0x02000000u
#define GENERIC_ALL                         0x10000000u
#define GENERIC_EXECUTE                     0x20000000u
#define GENERIC_WRITE                       0x40000000u
#define GENERIC_READ                        0x80000000u

#define NT_SUCCESS(status)     ((NTSTATUS)(status) >= 0)
#define NT_INFORMATION(status) (((ULONG)(status) >> 30) == 1)
#define NT_WARNING(status)     (((ULONG)(status) >> 30) == 2)
#define NT_ERROR(status)       (((ULONG)(status) >> 30) == 3)

/* Fills in an OBJECT_ATTRIBUTES. Name, root and descriptor are referred to, not copied. */
#define InitializeObjectAttributes(p, n, a, r, s) do { \
        (p)->Length = sizeof(OBJECT_ATTRIBUTES); \
        (p)->RootDirectory = (r); \
        (p)->Attributes = (a); \
        (p)->ObjectName = (n); \
        (p)->SecurityDescriptor = (s); \
        (p)->SecurityQualityOfService = NULL; \
    } while (0)

/* Makes Target refer to a zero-terminated string, which must outlive it; NULL gives the empty string. Like the function of
 * ntdll, which a Linux process lacks, it cuts at 0xFFFC bytes. */
static inline VOID NTAPI RtlInitUnicodeString(PUNICODE_STRING Target, PCWSTR Source) {
    SIZE_T count = 0;
    Target->Buffer = (PWSTR)Source;
    Target->Length = Target->MaximumLength = 0;
    if (!Source) return;
    while (count < 0xFFFC / sizeof(WCHAR) && Source[count]) count++;
    Target->Length = (USHORT)(count * sizeof(WCHAR));
    Target->MaximumLength = (USHORT)(Target->Length + sizeof(WCHAR));
}

#endif /* !_WIN32 */

/* What the Windows headers lack */
#ifndef OBJ_IGNORE_IMPERSONATED_DEVICEMAP
#define OBJ_IGNORE_IMPERSONATED_DEVICEMAP   0x00000800u
#endif
#ifndef OBJ_DONT_REPARSE
#define OBJ_DONT_REPARSE                    0x00001000u
#endif

typedef struct _CLIENT_ID32 { ULONG UniqueProcess, UniqueThread; } CLIENT_ID32, *PCLIENT_ID32;
typedef struct _CLIENT_ID64 { ULONGLONG UniqueProcess, UniqueThread; } CLIENT_ID64, *PCLIENT_ID64;

/* What a completion port hands out for one finished operation, or for one message on an associated port. */
typedef struct _FILE_IO_COMPLETION_INFORMATION {
    PVOID KeyContext;
    PVOID ApcContext;
    IO_STATUS_BLOCK IoStatusBlock;
} FILE_IO_COMPLETION_INFORMATION, *PFILE_IO_COMPLETION_INFORMATION;

#ifdef __cplusplus
}
#endif
#endif
