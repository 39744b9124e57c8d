/* Readiness: epoll, eventfd, hang-up. */
#define _GNU_SOURCE
#include "linux_shims.h"
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int ntlpc_epoll_create(void) {
    int fd = epoll_create1(EPOLL_CLOEXEC);
    return fd < 0 ? -errno : ntlpc_move_high(fd);
}

int ntlpc_epoll_add(int epoll, int fd, uint64_t key, bool edge) {
    struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP | (edge ? EPOLLET : 0), .data.u64 = key };
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

int ntlpc_epoll_remove(int epoll, int fd) {
    struct epoll_event unused = { 0 };
    return epoll_ctl(epoll, EPOLL_CTL_DEL, fd, &unused) ? -errno : 0;
}

int ntlpc_epoll_wait(int epoll, ntlpc_ready *ready, int count, uint64_t deadline) {
    struct epoll_event events[NTLPC_EPOLL_BATCH];
    int found;
    if (count > NTLPC_EPOLL_BATCH) count = NTLPC_EPOLL_BATCH;
    if (!deadline) {
        found = epoll_wait(epoll, events, count, -1);
    } else {
        uint64_t now = ntlpc_monotonic_ns();
        uint64_t left = deadline > now ? deadline - now : 0;
        struct timespec span = { (time_t)(left / 1000000000u), (long)(left % 1000000000u) };
        found = epoll_pwait2(epoll, events, count, &span, NULL);
        if (found < 0 && errno == ENOSYS)
            found = epoll_wait(epoll, events, count, (int)((left + 999999) / 1000000 > 1u << 30 ? 1u << 30 : (left + 999999) / 1000000));
    }
    if (found < 0) return -errno;
    for (int i = 0; i < found; i++) {
        ready[i].key = events[i].data.u64;
        ready[i].hung_up = (events[i].events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR)) != 0;
        ready[i].readable = (events[i].events & EPOLLIN) != 0;
    }
    return found;
}

int ntlpc_eventfd(void) {
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return fd < 0 ? -errno : ntlpc_move_high(fd);
}

void ntlpc_eventfd_kick(int fd) {
    const uint64_t one = 1;
    ssize_t written;
    /* Not write(): that is a cancellation point, and a thread cancelled there would take the wake-up with it. */
    do written = syscall(SYS_write, fd, &one, sizeof one); while (written < 0 && errno == EINTR);
    if (written < 0 && errno == EAGAIN) {
        /* The counter is full after 2^64 - 2 kicks, or a peer filled it: start again, then the edge comes. */
        uint64_t all;
        (void)!read(fd, &all, sizeof all);
        (void)!write(fd, &one, sizeof one);
    }
}

bool ntlpc_hung_up(int socket) {
    struct pollfd one = { .fd = socket, .events = POLLRDHUP };
    return poll(&one, 1, 0) > 0 && (one.revents & (POLLHUP | POLLRDHUP | POLLERR)) != 0;
}
