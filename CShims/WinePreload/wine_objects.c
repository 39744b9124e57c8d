/* Objects that messages carry: what a handle names, and the Linux descriptor that stands for it in other processes.
 *
 * Wine keeps a descriptor for each file and for each section's memory, and only for those; other objects live in wineserver alone
 * and can be handed only to processes of the same server (wine_processes.c).
 *
 * Rights must not grow on the way. Wine's descriptor has the rights of the object's first handle, not those of the handle at
 * hand, so a descriptor that can do more is opened again with less, through /proc. Such a file has a position of its own. In the
 * other direction a handle gets no right that the descriptor lacks; and a section over memory that is sealed against writing, or
 * whose handle is not to write, is a read-only one.
 *
 * A descriptor may come from a hostile process. Only kinds that Wine serves are taken, and nothing here trusts sizes or contents;
 * memory that shrinks under a view is an in-page error to the program that looks, as with any file on Windows. */
#define _GNU_SOURCE
#include "wine_preload.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__x86_64__)

#define FILE_READ_DATA      0x0001u     /* of directories: list */
#define FILE_WRITE_DATA     0x0002u
#define FILE_APPEND_DATA    0x0004u
#define FILE_EXECUTE        0x0020u     /* of directories: traverse */
#define FILE_ALL_RIGHTS     0x1f01ffu
#define SECTION_QUERY       0x0001u
#define SECTION_MAP_WRITE   0x0002u
#define SECTION_MAP_READ    0x0004u
#define SECTION_MAP_EXECUTE 0x0008u
#define SECTION_ALL_RIGHTS  0x0f001fu

#define PAGE_READONLY       0x02u
#define PAGE_READWRITE      0x04u
#define SEC_FILE            0x00800000u
#define SEC_IMAGE           0x01000000u
#define SEC_COMMIT          0x08000000u
#define SECTION_GRANULARITY 0x10000u    /* more than a page: how much longer than a section its file may be */

/* ---- What a handle names ---- */

static const struct { const char *name; ULONG type; } travelling[] = {
    { "File", ALPC_PORFLG_OBJECT_TYPE_FILE }, { "Thread", ALPC_PORFLG_OBJECT_TYPE_THREAD },
    { "Semaphore", ALPC_PORFLG_OBJECT_TYPE_SEMAPHORE }, { "Event", ALPC_PORFLG_OBJECT_TYPE_EVENT },
    { "Process", ALPC_PORFLG_OBJECT_TYPE_PROCESS }, { "Mutant", ALPC_PORFLG_OBJECT_TYPE_MUTEX },
    { "Section", ALPC_PORFLG_OBJECT_TYPE_SECTION }, { "Key", ALPC_PORFLG_OBJECT_TYPE_REGKEY },
    { "Token", ALPC_PORFLG_OBJECT_TYPE_TOKEN }, { "Job", ALPC_PORFLG_OBJECT_TYPE_JOB },
};

static bool is_called(const WCHAR *name, ULONG length, const char *text) {
    if (strlen(text) != length) return false;
    for (ULONG i = 0; i < length; i++) if (name[i] != (WCHAR)text[i]) return false;
    return true;
}

/* The event behind a port's handle is no event that travels. */
static NTSTATUS query_type(HANDLE handle, ULONG *type) {
    WCHAR name[32];
    ULONG length;
    *type = 0;
    if (port_handles_contain(handle)) return STATUS_SUCCESS;
    NTSTATUS status = query_type_name(handle, name, &length);
    if (status < 0) return status;
    for (size_t i = 0; i < sizeof travelling / sizeof *travelling; i++)
        if (is_called(name, length, travelling[i].name)) *type = travelling[i].type;
    return STATUS_SUCCESS;
}

NTSTATUS wine_query_handle(HANDLE handle, ULONG *type, ACCESS_MASK *access, ULONG *attributes) {
    OBJECT_BASIC_INFORMATION basic;
    OBJECT_DATA_INFORMATION flags;
    if (!wine_thread_current.entered) return STATUS_INVALID_HANDLE;
    helper_stand_in();
    NTSTATUS status = query_type(handle, type);
    if (status < 0) return status;
    status = wine_NtQueryObject(handle, ObjectBasicInformation, &basic, sizeof basic, NULL);
    if (status < 0) return status;
    *access = basic.GrantedAccess;
    *attributes = 0;
    /* Wine's basic information leaves attributes out. A handle such as that of the current process has none. */
    if (wine_NtQueryObject(handle, ObjectDataInformation, &flags, sizeof flags, NULL) >= 0)
        *attributes = (flags.InheritHandle ? OBJ_INHERIT : 0) | (flags.ProtectFromClose ? OBJ_PROTECT_CLOSE : 0);
    return STATUS_SUCCESS;
}

/* ---- Rights ---- */

static ACCESS_MASK without_generic(ACCESS_MASK access, ULONG type) {
    static const GENERIC_MAPPING of_file = { 0x120089, 0x120116, 0x1200a0, FILE_ALL_RIGHTS };
    static const GENERIC_MAPPING of_section = { 0x20005, 0x20002, 0x20008, SECTION_ALL_RIGHTS };
    const GENERIC_MAPPING *map = type == ALPC_PORFLG_OBJECT_TYPE_FILE ? &of_file : &of_section;
    ACCESS_MASK result = access & map->GenericAll;
    if (access & GENERIC_READ) result |= map->GenericRead;
    if (access & GENERIC_WRITE) result |= map->GenericWrite;
    if (access & GENERIC_EXECUTE) result |= map->GenericExecute;
    if (access & GENERIC_ALL) result |= map->GenericAll;
    return result;
}

static bool lets_read(ACCESS_MASK access, ULONG type) {
    return type == ALPC_PORFLG_OBJECT_TYPE_FILE ? access & (FILE_READ_DATA | FILE_EXECUTE)
                                                : access & (SECTION_MAP_READ | SECTION_MAP_WRITE | SECTION_MAP_EXECUTE);
}

static bool lets_write(ACCESS_MASK access, ULONG type) {
    return type == ALPC_PORFLG_OBJECT_TYPE_FILE ? access & (FILE_WRITE_DATA | FILE_APPEND_DATA) : access & SECTION_MAP_WRITE;
}

/* The same file, opened with less. */
static int open_again(int descriptor, int mode) {
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    return open(path, mode | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

/* ---- From a handle ---- */

/* A section's memory can stand for the section when it is neither a program's image nor the beginning of a longer file. */
static NTSTATUS check_section(HANDLE section, int descriptor) {
    struct { PVOID base; ULONG attributes; LARGE_INTEGER size; } basic;
    struct stat file;
    NTSTATUS status = wine_NtQuerySection(section, 0, &basic, sizeof basic, NULL);
    if (status < 0) return status == STATUS_ACCESS_DENIED ? status : STATUS_NOT_SUPPORTED;
    if (basic.attributes & SEC_IMAGE) return STATUS_NOT_SUPPORTED;
    if (fstat(descriptor, &file) != 0 || !S_ISREG(file.st_mode)) return STATUS_NOT_SUPPORTED;
    if ((basic.attributes & SEC_FILE) && file.st_size - basic.size.QuadPart >= SECTION_GRANULARITY) return STATUS_NOT_SUPPORTED;
    return STATUS_SUCCESS;
}

/* Takes `found`, Wine's descriptor, and gives one that can do what `access` says and no more. */
static NTSTATUS narrow(int found, ULONG type, ACCESS_MASK access, int *descriptor) {
    struct stat file;
    int mode = fcntl(found, F_GETFL) & O_ACCMODE, wanted;
    bool reads = lets_read(access, type), writes = lets_write(access, type);
    /* A section handle may have the right to write to a section that is read-only: the section decides. */
    if (type == ALPC_PORFLG_OBJECT_TYPE_SECTION && mode == O_RDONLY) writes = false;
    wanted = reads && writes ? O_RDWR : writes ? O_WRONLY : O_RDONLY;
    if ((reads || writes) && mode == wanted) {
        *descriptor = found;
        return STATUS_SUCCESS;
    }
    NTSTATUS status = STATUS_NOT_SUPPORTED;     /* nothing stands for a handle that neither reads nor writes */
    if (mode != O_RDWR && (reads || writes)) status = STATUS_ACCESS_DENIED;
    else if ((reads || writes) && fstat(found, &file) == 0 && S_ISREG(file.st_mode)) {
        if ((access & (FILE_WRITE_DATA | FILE_APPEND_DATA)) == FILE_APPEND_DATA && wanted == O_WRONLY) wanted |= O_APPEND;
        int again = open_again(found, wanted);
        if (again >= 0) {
            *descriptor = again;
            status = STATUS_SUCCESS;
        }
    }
    close(found);
    return status;
}

NTSTATUS wine_handle_to_descriptor(HANDLE handle, ACCESS_MASK access, int *descriptor) {
    ULONG type, attributes;
    ACCESS_MASK granted;
    int found = -1;
    NTSTATUS status = wine_query_handle(handle, &type, &granted, &attributes);
    if (status < 0) return status;
    if (type != ALPC_PORFLG_OBJECT_TYPE_FILE && type != ALPC_PORFLG_OBJECT_TYPE_SECTION) return STATUS_NOT_SUPPORTED;
    access = !access || (access & MAXIMUM_ALLOWED) ? granted : without_generic(access, type);
    if (access & ~granted) return STATUS_ACCESS_DENIED;
    status = wine_server_handle_to_fd(handle, 0, &found, NULL);
    if (status < 0) {
        bool is_telling = status == STATUS_INVALID_HANDLE || status == STATUS_ACCESS_DENIED || status == STATUS_TOO_MANY_OPENED_FILES;
        return is_telling ? status : STATUS_NOT_SUPPORTED;      /* a pipe, a console, a device without a descriptor */
    }
    fcntl(found, F_SETFD, FD_CLOEXEC);
    status = type == ALPC_PORFLG_OBJECT_TYPE_SECTION ? check_section(handle, found) : STATUS_SUCCESS;
    if (status < 0) {
        close(found);
        return status;
    }
    return narrow(found, type, access, descriptor);
}

/* ---- From a descriptor ---- */

static NTSTATUS file_from(int descriptor, int mode, ACCESS_MASK access, ULONG attributes, HANDLE *handle) {
    const ULONG type = ALPC_PORFLG_OBJECT_TYPE_FILE;
    if (lets_write(access, type) && mode == O_RDONLY) return STATUS_ACCESS_DENIED;
    if (lets_read(access, type) && mode == O_WRONLY) return STATUS_ACCESS_DENIED;
    return wine_server_fd_to_handle(descriptor, access, attributes, handle);
}

static NTSTATUS section_from(int descriptor, int mode, ACCESS_MASK access, ULONG attributes, HANDLE *handle) {
    OBJECT_ATTRIBUTES object = { .Length = sizeof object, .Attributes = attributes };
    HANDLE file;
    int seals = fcntl(descriptor, F_GET_SEALS), again = -1;     /* -1 when it cannot be sealed */
    bool is_sealed = seals >= 0 && (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE));
    bool writes = mode == O_RDWR && !is_sealed && (access & SECTION_MAP_WRITE);
    if (mode == O_WRONLY) return STATUS_ACCESS_DENIED;
    if (!writes && mode == O_RDWR) {
        /* Linux maps memory that is sealed against writing only from a descriptor that could not write anyway. */
        again = open_again(descriptor, O_RDONLY);
        if (again < 0) return STATUS_NOT_SUPPORTED;
        descriptor = again;
    }
    NTSTATUS status = wine_server_fd_to_handle(descriptor, writes ? GENERIC_READ | GENERIC_WRITE : GENERIC_READ, 0, &file);
    if (again >= 0) close(again);
    if (status < 0) return status;
    status = wine_NtCreateSection(handle, access, &object, NULL, writes ? PAGE_READWRITE : PAGE_READONLY, SEC_COMMIT, file);
    wine_NtClose(file);
    return status;
}

NTSTATUS wine_descriptor_to_handle(int descriptor, ULONG type, ACCESS_MASK access, ULONG attributes, HANDLE *handle) {
    struct stat file;
    HANDLE made = NULL;
    if (!wine_thread_current.entered) return STATUS_UNSUCCESSFUL;
    helper_stand_in();
    if (type != ALPC_PORFLG_OBJECT_TYPE_FILE && type != ALPC_PORFLG_OBJECT_TYPE_SECTION) return STATUS_NOT_SUPPORTED;
    int flags = fcntl(descriptor, F_GETFL);
    if (flags < 0 || fstat(descriptor, &file) != 0) return STATUS_INVALID_HANDLE;
    if (flags & O_PATH) return STATUS_OBJECT_TYPE_MISMATCH;
    access = without_generic(access, type);
    attributes &= OBJ_INHERIT;
    wine_critical_enter();                      /* between a handle and its close nobody dies */
    NTSTATUS status = STATUS_OBJECT_TYPE_MISMATCH;
    if (type == ALPC_PORFLG_OBJECT_TYPE_SECTION) {
        if (S_ISREG(file.st_mode)) status = section_from(descriptor, flags & O_ACCMODE, access, attributes, &made);
    } else if (S_ISREG(file.st_mode) || S_ISDIR(file.st_mode) || S_ISFIFO(file.st_mode) || S_ISCHR(file.st_mode) ||
               S_ISSOCK(file.st_mode)) {
        status = file_from(descriptor, flags & O_ACCMODE, access, attributes, &made);
    }
    wine_critical_leave();
    if (status >= 0) *handle = made;
    return status;
}

/* ---- Closing ---- */

typedef struct close_job { helper_job job; HANDLE handle; } close_job;

static void close_and_free(helper_job *job) {
    wine_NtClose(((close_job *)job)->handle);
    free(job);
}

void wine_close_object(HANDLE handle) {
    if (port_handles_contain(handle)) return;   /* never came with a message: its close is the program's */
    if (wine_thread_current.entered) {
        wine_NtClose(handle);
        return;
    }
    close_job *job = malloc(sizeof *job);
    if (!job) return;                           /* the handle stays open until the process ends */
    *job = (close_job){ .job.run = close_and_free, .handle = handle };
    helper_queue(&job->job);
}

#endif
