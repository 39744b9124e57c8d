/* Processes and threads: descriptors that name them, and what /proc tells. */
#define _GNU_SOURCE
#include "linux_shims.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL                     /* Linux 6.9 */
#endif

/* Of <linux/pidfd.h>, newer than many of its copies: how a process ended, Linux 6.15. */
struct pidfd_information {
    uint64_t mask, cgroup;
    uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
    int32_t exit_code;
};
_Static_assert(sizeof(struct pidfd_information) == 64, "the first version of pidfd_info");
#define GET_INFORMATION     _IOWR(0xFF, 11, struct pidfd_information)
#define INFORMATION_EXIT    (1ull << 3)

int ntlpc_task_open(int32_t id, bool thread) {
    int fd = (int)syscall(SYS_pidfd_open, id, thread ? PIDFD_THREAD : 0);
    return fd < 0 ? -errno : ntlpc_move_high(fd);
}

int ntlpc_task_permitted(int32_t process, int32_t thread, int fd) {
    long result = fd >= 0 ? syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) : syscall(SYS_tgkill, process, thread, 0);
    return result < 0 ? -errno : 0;
}

bool ntlpc_task_is_thread(int fd) {
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & PIDFD_THREAD);
}

/* The file's text, cut to the buffer; -errno. */
static int read_text(const char *path, char *buffer, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -errno;
    size_t length = 0;
    ssize_t got;
    while (length < size - 1 && ((got = read(fd, buffer + length, size - 1 - length)) > 0 || (got < 0 && errno == EINTR)))
        if (got > 0) length += (size_t)got;
    close(fd);
    buffer[length] = 0;
    return length ? 0 : -ESRCH;
}

static const char *line_of(const char *text, const char *name) {
    const char *found = strstr(text, name);
    return found ? found + strlen(name) : NULL;
}

int32_t ntlpc_task_id(int fd) {
    char path[40], text[1024];
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    int error = read_text(path, text, sizeof text);
    if (error) return error;
    const char *pid = line_of(text, "\nPid:");
    int id = pid ? atoi(pid) : 0;
    return id > 0 ? id : -ESRCH;                /* -1: it has ended and been forgotten; 0: of another pid namespace */
}

int ntlpc_task_read(int32_t id, ntlpc_task *task) {
    char path[40], text[4096];
    memset(task, 0, sizeof *task);
    snprintf(path, sizeof path, "/proc/%d/status", id);
    int error = read_text(path, text, sizeof text);
    if (error) return error == -ENOENT ? -ESRCH : error;
    const char *process = line_of(text, "\nTgid:"), *parent = line_of(text, "\nPPid:"), *user = line_of(text, "\nUid:"),
               *group = line_of(text, "\nGid:");
    if (!process || !parent || !user || !group) return -ESRCH;
    task->process = atoi(process);
    task->parent = atoi(parent);
    /* Real, effective, saved and file system id. */
    if (sscanf(user, "%*u %u", &task->uid) != 1 || sscanf(group, "%*u %u", &task->gid) != 1) return -ESRCH;
    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", task->process, id);
    error = read_text(path, text, sizeof text);
    if (error) return error == -ENOENT ? -ESRCH : error;
    /* The name in parentheses may hold anything; the fields after it are numbers. Start time is the 20th of them, the state the first. */
    const char *field = strrchr(text, ')');
    if (!field) return -ESRCH;
    task->ended = field[1] == ' ' && (field[2] == 'Z' || field[2] == 'X');
    field++;
    for (int i = 0; i < 19 && field; i++) field = strchr(field + 1, ' ');
    if (!field) return -ESRCH;
    task->started = strtoull(field, NULL, 10);
    return 0;
}

uint64_t ntlpc_task_affinity(int32_t id) {
    cpu_set_t set;
    uint64_t mask = 0;
    if (sched_getaffinity(id, sizeof set, &set)) return 0;
    for (int i = 0; i < 64; i++)
        if (CPU_ISSET(i, &set)) mask |= 1ull << i;
    return mask;
}

bool ntlpc_task_exit_status(int fd, int *status) {
    siginfo_t information;
    memset(&information, 0, sizeof information);
    /* A child that nobody has waited for tells its parent; the child stays for the program's own wait. */
    if (!waitid(P_PIDFD, (id_t)fd, &information, WEXITED | WNOHANG | WNOWAIT) && information.si_pid) {
        *status = information.si_code == CLD_EXITED ? information.si_status : 128 + information.si_status;
        return true;
    }
    struct pidfd_information known = { .mask = INFORMATION_EXIT };
    if (!ioctl(fd, GET_INFORMATION, &known) && (known.mask & INFORMATION_EXIT)) {
        *status = WIFEXITED(known.exit_code) ? WEXITSTATUS(known.exit_code) : 128 + WTERMSIG(known.exit_code);
        return true;
    }
    return false;
}
