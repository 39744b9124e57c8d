/* Signal states that processes share, as eventfds; waiting for several descriptors; what a descriptor from outside is.
 *
 * An event is signaled while its counter is not 0. Whether a wait takes the signal is told by O_APPEND, which means nothing to an
 * eventfd but travels with it to every process. Whoever shares the event can change its flags and its counter, so no call here
 * trusts that it does not block: reads ask the kernel not to wait in the call itself. */
#define _GNU_SOURCE
#include "linux_shims.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FIRST_HIGH_DESCRIPTOR 1024

int ntlpc_event_create(bool taken_by_wait, bool signaled) {
    int fd = eventfd(signaled ? 1 : 0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) return -errno;
    if ((fd = ntlpc_move_high(fd)) < 0) return fd;
    if (taken_by_wait && fcntl(fd, F_SETFL, O_NONBLOCK | O_APPEND)) {
        int error = errno;
        ntlpc_descriptor_close(fd);
        return -error;
    }
    return fd;
}

bool ntlpc_event_is_taken_by_wait(int fd) {
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_APPEND);
}

bool ntlpc_readable(int fd) {
    struct pollfd one = { .fd = fd, .events = POLLIN };
    return poll(&one, 1, 0) > 0 && (one.revents & POLLIN);
}

bool ntlpc_event_take(int fd) {
    uint64_t count;
    struct iovec part = { &count, sizeof count };
    ssize_t result;
    do result = preadv2(fd, &part, 1, -1, RWF_NOWAIT); while (result < 0 && errno == EINTR);
    if (result < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL)) {
        /* Before Linux 5.8 eventfds knew no RWF_NOWAIT. */
        int flags = fcntl(fd, F_GETFL);
        if (flags < 0 || (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK))) return false;
        do result = syscall(SYS_read, fd, &count, sizeof count); while (result < 0 && errno == EINTR);
    }
    return result == sizeof count;
}

bool ntlpc_event_put(int fd) {
    const uint64_t one = 1;
    if (ntlpc_readable(fd)) return true;
    /* The counter was 0, so the write does not wait, unless somebody fills the counter and changes the flags in this moment: then
     * it waits for him. Not write(), which is a cancellation point. */
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && !(flags & O_NONBLOCK)) fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    long written;
    do written = syscall(SYS_write, fd, &one, sizeof one); while (written < 0 && errno == EINTR && !ntlpc_readable(fd));
    return false;
}

int ntlpc_poll(const int32_t *fds, uint8_t *ready, int count, uint64_t deadline) {
    struct pollfd some[80], *all = some;
    int result = 0;
    if (count > 80 && !(all = malloc((size_t)count * sizeof *all))) return -ENOMEM;
    for (int i = 0; i < count; i++) all[i] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
    for (;;) {
        uint64_t now = ntlpc_monotonic_ns(), left = deadline > now ? deadline - now : 0;
        struct timespec span = { (time_t)(left / 1000000000u), (long)(left % 1000000000u) };
        result = ppoll(all, (nfds_t)count, deadline ? &span : NULL, NULL);
        if (result < 0) result = -errno;
        if (result != -EINTR) break;
    }
    for (int i = 0; i < count; i++) ready[i] = result > 0 && all[i].revents != 0;
    if (all != some) free(all);
    return result;
}

int64_t ntlpc_regular_size(int fd) {
    /* Not fstat: a file system that a hostile process serves could take its time. What the kernel knows is enough. */
    struct statx status;
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_SIZE, &status)) return -errno;
    return S_ISREG(status.stx_mode) ? (int64_t)status.stx_size : -EINVAL;
}

int ntlpc_descriptor_kind(int fd) {
    char path[32], target[64];
    int64_t size = ntlpc_regular_size(fd);
    if (size >= 0) {
        /* A file of tmpfs knows seals too, but its maker did not allow them. */
        int seals = fcntl(fd, F_GET_SEALS);
        return seals >= 0 && seals != F_SEAL_SEAL ? NTLPC_DESCRIPTOR_MEMORY : NTLPC_DESCRIPTOR_REGULAR;
    }
    if (size != -EINVAL) return (int)size;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length < 0) return -errno;
    target[length] = 0;
    if (!strcmp(target, "anon_inode:[eventfd]")) return NTLPC_DESCRIPTOR_EVENT;
    if (!strcmp(target, "anon_inode:[pidfd]") || !strncmp(target, "pidfd:[", 7)) return NTLPC_DESCRIPTOR_TASK;
    return NTLPC_DESCRIPTOR_OTHER;
}

int ntlpc_duplicate(int fd, bool ours) {
    int new = fcntl(fd, F_DUPFD_CLOEXEC, ours ? FIRST_HIGH_DESCRIPTOR : 0);
    if (new < 0 && errno == EINVAL && ours) new = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (new < 0) return -errno;
    if (ours) ntlpc_descriptor_opened(new);
    return new;
}

int ntlpc_reopen(int fd, bool reads, bool writes) {
    char path[32];
    int flags = reads ? (writes ? O_RDWR : O_RDONLY) : (writes ? O_WRONLY : O_PATH);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int new = open(path, flags | O_CLOEXEC);
    return new < 0 ? -errno : ntlpc_move_high(new);
}

int ntlpc_open_mode(int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0) return -errno;
    if (flags & O_PATH) return 0;
    switch (flags & O_ACCMODE) {
    case O_RDONLY: return 1;
    case O_WRONLY: return 2;
    default: return 3;
    }
}

int ntlpc_memory_keep_size(int fd) {
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0) return -errno;
    if (seals & F_SEAL_SHRINK) return 0;
    return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) ? -errno : 0;
}
