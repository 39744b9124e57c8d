/* One small function for each Linux call. Results are 0 or more, or -errno. */
#define _GNU_SOURCE
#include "linux_shims.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <linux/memfd.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#define FIRST_HIGH_DESCRIPTOR 1024  /* select() in the host can use no descriptor above 1023: ours stay out of its way */

int ntlpc_futex_wait(const void *word, uint32_t expected, bool shared, uint64_t deadline) {
    /* FUTEX_WAIT_BITSET takes an absolute time, so a wait that is interrupted and taken up again does not grow. */
    struct timespec until = { (time_t)(deadline / 1000000000u), (long)(deadline % 1000000000u) };
    int operation = FUTEX_WAIT_BITSET | (shared ? 0 : FUTEX_PRIVATE_FLAG);
    long result = syscall(SYS_futex, word, operation, expected, deadline ? &until : NULL, NULL, FUTEX_BITSET_MATCH_ANY);
    return result < 0 ? -errno : 0;
}

int ntlpc_futex_wake(const void *word, int count, bool shared) {
    long result = syscall(SYS_futex, word, FUTEX_WAKE | (shared ? 0 : FUTEX_PRIVATE_FLAG), count, NULL, NULL, 0);
    return result < 0 ? -errno : (int)result;
}

int ntlpc_membarrier_register(void) {
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) ? -errno : 0;
}

int ntlpc_membarrier(void) { return syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) ? -errno : 0; }

int ntlpc_move_high(int fd) {
    if (fd < 0 || fd >= FIRST_HIGH_DESCRIPTOR) {
        if (fd >= 0) ntlpc_descriptor_opened(fd);
        return fd;
    }
    int high = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_HIGH_DESCRIPTOR);
    if (high < 0) {
        /* A process that may open no descriptor above 1023 keeps the low one. */
        if (errno != EINVAL) { int error = errno; close(fd); return -error; }
        ntlpc_descriptor_opened(fd);
        return fd;
    }
    close(fd);
    ntlpc_descriptor_opened(high);
    return high;
}

int ntlpc_open_directory(int parent, const char *path, bool follow) {
    int fd = openat(parent, path, O_DIRECTORY | O_CLOEXEC | O_PATH | (follow ? 0 : O_NOFOLLOW));
    return fd < 0 ? -errno : ntlpc_move_high(fd);
}

int ntlpc_memfd_create(const char *name) {
    int fd = (int)syscall(SYS_memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) fd = (int)syscall(SYS_memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return fd < 0 ? -errno : ntlpc_move_high(fd);
}

int ntlpc_memfd_seal(int fd) {
    return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) ? -errno : 0;
}

int ntlpc_memfd_is_sealed(int fd) {
    const int needed = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    int seals = fcntl(fd, F_GET_SEALS);
    return seals < 0 ? -errno : (seals & needed) == needed;
}

int ntlpc_raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit)) return -errno;
    if (limit.rlim_cur >= limit.rlim_max) return 0;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) ? -errno : 0;
}

ssize_t ntlpc_send_with_descriptors(int socket, const void *bytes, size_t count, const int *fds, int fd_count, bool wait) {
    struct iovec part = { (void *)bytes, count };
    union { struct cmsghdr header; char space[CMSG_SPACE(NTLPC_DESCRIPTORS_MAX * sizeof(int))]; } control;
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
    ssize_t result;
    if (fd_count < 0 || fd_count > NTLPC_DESCRIPTORS_MAX) return -EINVAL;
    if (fd_count) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.space;
        message.msg_controllen = CMSG_SPACE((size_t)fd_count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN((size_t)fd_count * sizeof(int));
        memcpy(CMSG_DATA(header), fds, (size_t)fd_count * sizeof(int));
    }
    do result = sendmsg(socket, &message, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT)); while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : result;
}

ssize_t ntlpc_receive_with_descriptors(int socket, void *bytes, size_t count, int *fds, int *fd_count, bool wait) {
    int capacity = *fd_count;
    struct iovec part = { bytes, count };
    union { struct cmsghdr header; char space[CMSG_SPACE((NTLPC_DESCRIPTORS_MAX + 1) * sizeof(int))]; } control;
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control };
    ssize_t result;
    int taken = 0;
    *fd_count = 0;
    do result = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT)); while (result < 0 && errno == EINTR);
    if (result < 0) return -errno;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        size_t found = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < found; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
            if (taken < capacity && !(message.msg_flags & (MSG_CTRUNC | MSG_TRUNC))) {
                fd = ntlpc_move_high(fd);
                if (fd >= 0) fds[taken++] = fd;
                else message.msg_flags |= MSG_CTRUNC;
            } else {
                close(fd);
            }
        }
    }
    *fd_count = taken;
    if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
        while (taken) ntlpc_descriptor_close(fds[--taken]);
        *fd_count = 0;
        /* Descriptors are cut off when the process has no room for them, or when more came than anybody sends. */
        return message.msg_flags & MSG_TRUNC ? -EMSGSIZE : -EMFILE;
    }
    return result;
}

int ntlpc_peer_credentials(int socket, ntlpc_peer *peer) {
    struct ucred found;
    socklen_t size = sizeof found;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &found, &size)) return -errno;
    peer->pid = found.pid;
    peer->uid = found.uid;
    peer->gid = found.gid;
    return 0;
}

static int address_in(int directory, const char *leaf, struct sockaddr_un *address) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    int length = snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s", directory, leaf);
    return length < 0 || (size_t)length >= sizeof address->sun_path ? -ENAMETOOLONG : 0;
}

int ntlpc_unix_listen(int directory, const char *leaf, int backlog) {
    struct sockaddr_un address;
    int error = address_in(directory, leaf, &address);
    if (error) return error;
    int fd = ntlpc_move_high(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (fd < 0) return -errno;
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, backlog)) {
        error = -errno;
        ntlpc_descriptor_close(fd);
        return error;
    }
    return fd;
}

int ntlpc_unix_connect(int directory, const char *leaf) {
    struct sockaddr_un address;
    int error = address_in(directory, leaf, &address);
    if (error) return error;
    int fd = ntlpc_move_high(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (fd < 0) return -errno;
    /* A listener that accepts nobody (its process is stopped, its queue full) may not hold the caller for ever. */
    struct timeval patience = { .tv_sec = 5 };
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    int result;
    do result = connect(fd, (struct sockaddr *)&address, sizeof address); while (result && errno == EINTR);
    if (result) {
        error = -errno;
        ntlpc_descriptor_close(fd);
        return error;
    }
    return fd;
}

int ntlpc_unix_accept(int listener) {
    int fd;
    do fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK); while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
    return fd < 0 ? -errno : ntlpc_move_high(fd);
}

static int wait_for(int socket, short events, uint64_t deadline) {
    struct pollfd one = { .fd = socket, .events = events };
    for (;;) {
        uint64_t now = ntlpc_monotonic_ns();
        uint64_t left = deadline > now ? deadline - now : 0;
        struct timespec span = { (time_t)(left / 1000000000u), (long)(left % 1000000000u) };
        int found = ppoll(&one, 1, deadline ? &span : NULL, NULL);
        if (found > 0) return 0;
        if (found == 0) return -ETIMEDOUT;
        if (errno != EINTR) return -errno;
    }
}

int ntlpc_wait_readable(int socket, uint64_t deadline) { return wait_for(socket, POLLIN, deadline); }
int ntlpc_wait_writable(int socket, uint64_t deadline) { return wait_for(socket, POLLOUT, deadline); }

void ntlpc_shutdown(int socket) { shutdown(socket, SHUT_RDWR); }

uint64_t ntlpc_monotonic_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void ntlpc_sleep_ns(uint64_t nanoseconds) {
    struct timespec span = { (time_t)(nanoseconds / 1000000000u), (long)(nanoseconds % 1000000000u) };
    nanosleep(&span, NULL);
}

uint64_t ntlpc_realtime_100ns(void) {
    const uint64_t seconds_from_1601_to_1970 = 11644473600u;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return ((uint64_t)now.tv_sec + seconds_from_1601_to_1970) * 10000000u + (uint64_t)now.tv_nsec / 100;
}

uint32_t ntlpc_current_cpu_slow(void) {
    int cpu = sched_getcpu();
    return cpu < 0 ? 0 : (uint32_t)cpu;
}
