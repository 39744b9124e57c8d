/* Sections and their views.
 *
 * On Linux libntlpc.so implements them: a section without a file is a sealed memory file, one over a file handle maps that file. A
 * file handle is made of a descriptor (ntlpc_descriptor_to_handle in ntlpc_host.h). Under Wine and on Windows they are the
 * system's. Views can be mapped into the calling process only. */
#ifndef NTLPC_NTSECTION_H
#define NTLPC_NTSECTION_H

#include <ntlpc/nttypes.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef _WIN32

#define SECTION_QUERY                   0x0001u
#define SECTION_MAP_WRITE               0x0002u
#define SECTION_MAP_READ                0x0004u
#define SECTION_MAP_EXECUTE             0x0008u
#define SECTION_EXTEND_SIZE             0x0010u
#define SECTION_ALL_ACCESS              (STANDARD_RIGHTS_REQUIRED | 0x1Fu)

/* SectionPageProtection and Win32Protect: one of these */
#define PAGE_NOACCESS                   0x01u
#define PAGE_READONLY                   0x02u
#define PAGE_READWRITE                  0x04u
#define PAGE_WRITECOPY                  0x08u
#define PAGE_EXECUTE                    0x10u
#define PAGE_EXECUTE_READ               0x20u
#define PAGE_EXECUTE_READWRITE          0x40u
#define PAGE_EXECUTE_WRITECOPY          0x80u

/* AllocationAttributes */
#define SEC_FILE                        0x00800000u     /* only in SECTION_BASIC_INFORMATION: over a file */
#define SEC_IMAGE                       0x01000000u
#define SEC_RESERVE                     0x04000000u
#define SEC_COMMIT                      0x08000000u
#define SEC_NOCACHE                     0x10000000u
#define SEC_WRITECOMBINE                0x40000000u
#define SEC_LARGE_PAGES                 0x80000000u

/* AllocationType */
#ifndef MEM_RESERVE
#define MEM_RESERVE                     0x00002000u
#endif
#ifndef MEM_TOP_DOWN
#define MEM_TOP_DOWN                    0x00100000u
#endif

#endif /* !_WIN32 */

/* <ntdef.h> and <wdm.h> of the driver kit have these. */
#if !defined(_NTDEF_)
typedef enum _SECTION_INHERIT {
    ViewShare = 1,              /* children get the view: on Linux the child of a fork */
    ViewUnmap = 2
} SECTION_INHERIT;
#endif

typedef enum _SECTION_INFORMATION_CLASS {
    SectionBasicInformation,    /* SECTION_BASIC_INFORMATION */
    SectionImageInformation
} SECTION_INFORMATION_CLASS;

typedef struct _SECTION_BASIC_INFORMATION {
    PVOID BaseAddress;          /* NULL: no section is based */
    ULONG AllocationAttributes;
    LARGE_INTEGER MaximumSize;  /* in bytes; without a file, a multiple of the page size */
} SECTION_BASIC_INFORMATION, *PSECTION_BASIC_INFORMATION;

NTSTATUS NTAPI NtCreateSection(PHANDLE SectionHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes,
                               PLARGE_INTEGER MaximumSize, ULONG SectionPageProtection, ULONG AllocationAttributes, HANDLE FileHandle);
NTSTATUS NTAPI NtMapViewOfSection(HANDLE SectionHandle, HANDLE ProcessHandle, PVOID *BaseAddress, ULONG_PTR ZeroBits, SIZE_T CommitSize,
                                  PLARGE_INTEGER SectionOffset, PSIZE_T ViewSize, SECTION_INHERIT InheritDisposition, ULONG AllocationType,
                                  ULONG Win32Protect);
NTSTATUS NTAPI NtUnmapViewOfSection(HANDLE ProcessHandle, PVOID BaseAddress);
NTSTATUS NTAPI NtQuerySection(HANDLE SectionHandle, SECTION_INFORMATION_CLASS SectionInformationClass, PVOID SectionInformation,
                              SIZE_T SectionInformationLength, PSIZE_T ReturnLength);

#ifdef __cplusplus
}
#endif
#endif
