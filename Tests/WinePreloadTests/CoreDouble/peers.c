/* Descriptors to and from a Linux program, which stands for the other world: Peer/peer.c, built beside this library. */
#define _GNU_SOURCE
#include "core_inside.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* The peer's standard input is its end of the socket. */
static pid_t start_peer(const char *command, int *own) {
    char path[PATH_MAX];
    Dl_info library;
    int ends[2];
    pid_t process = -1;
    posix_spawn_file_actions_t actions;
    if (!dladdr((void *)start_peer, &library) || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return -1;
    snprintf(path, sizeof path, "%.*s/peer", (int)(strrchr(library.dli_fname, '/') - library.dli_fname), library.dli_fname);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 0);
    char *arguments[] = { path, (char *)command, NULL };
    if (posix_spawn(&process, path, &actions, NULL, arguments, environ) != 0) process = -1;
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    *own = ends[0];
    return process;
}

static NTSTATUS end_peer(pid_t process, int own) {
    int status = -1;
    close(own);
    if (process > 0 && waitpid(process, &status, 0) == process && WIFEXITED(status)) return WEXITSTATUS(status);
    return STATUS_UNSUCCESSFUL;
}

NTSTATUS give_to_peer(core_request *request) {
    int own, descriptor = -1;
    NTSTATUS status = host->HandleToDescriptor(request->handle, request->access, &descriptor);
    if (status < 0) return status;
    if (!(fcntl(descriptor, F_GETFD) & FD_CLOEXEC)) return STATUS_INTERNAL_ERROR;
    pid_t peer = start_peer(request->text, &own);
    union { struct cmsghdr header; char room[CMSG_SPACE(sizeof(int))]; } control = { 0 };
    struct iovec data = { "", 1 };
    struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
    control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
    memcpy(CMSG_DATA(&control.header), &descriptor, sizeof descriptor);
    ssize_t sent = sendmsg(own, &message, 0);
    close(descriptor);
    return end_peer(peer, own) | (sent == 1 ? 0 : STATUS_UNSUCCESSFUL);
}

NTSTATUS take_from_peer(core_request *request) {
    int own, descriptor = -1;
    char byte;
    pid_t peer = start_peer(request->text, &own);
    union { struct cmsghdr header; char room[CMSG_SPACE(sizeof(int))]; } control = { 0 };
    struct iovec data = { &byte, 1 };
    struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
    if (recvmsg(own, &message, MSG_CMSG_CLOEXEC) == 1 && control.header.cmsg_type == SCM_RIGHTS)
        memcpy(&descriptor, CMSG_DATA(&control.header), sizeof descriptor);
    end_peer(peer, own);
    if (descriptor < 0) return STATUS_UNSUCCESSFUL;
    NTSTATUS status = host->DescriptorToHandle(descriptor, request->type, request->access, request->attributes, &request->result);
    close(descriptor);
    return status;
}
