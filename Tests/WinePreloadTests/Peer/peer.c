/* A Linux program that gives a descriptor to a Windows one, or takes one, over the socket at its standard input.
 *
 *     peer "give KIND ARGUMENT"       file, reading, path: of a file of that name; memory, sealed: with that text; empty
 *     peer "expect TEXT"              exit code 0 when the file or memory begins so
 *     peer "write TEXT"               exit code 0 when it could be written, 3 when the descriptor may not
 *     peer "map-write TEXT"           the same through a shared mapping */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

typedef union control { struct cmsghdr header; char room[CMSG_SPACE(sizeof(int))]; } control;

static int make_memory(const char *text, unsigned seals) {
    int memory = memfd_create("peer", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (memory < 0 || ftruncate(memory, 0x10000) != 0 || pwrite(memory, text, strlen(text), 0) < 0) return -1;
    return fcntl(memory, F_ADD_SEALS, seals) == 0 ? memory : -1;
}

static int make(const char *kind, const char *argument) {
    const unsigned common = F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
    if (!strcmp(kind, "file")) return open(argument, O_RDWR | O_CREAT, 0600);
    if (!strcmp(kind, "reading")) return open(argument, O_RDONLY);
    if (!strcmp(kind, "path")) return open(argument, O_PATH);
    if (!strcmp(kind, "memory")) return make_memory(argument, common);
    if (!strcmp(kind, "sealed")) return make_memory(argument, common | F_SEAL_WRITE);
    if (!strcmp(kind, "empty")) return memfd_create("peer", MFD_CLOEXEC);
    if (!strcmp(kind, "socket")) return socket(AF_UNIX, SOCK_STREAM, 0);
    return -1;
}

static int give(int descriptor) {
    control ancillary = { .header = { .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
    struct iovec data = { "", 1 };
    struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &ancillary, .msg_controllen = sizeof ancillary };
    memcpy(CMSG_DATA(&ancillary.header), &descriptor, sizeof descriptor);
    return descriptor >= 0 && sendmsg(0, &message, 0) == 1 ? 0 : 1;
}

static int take(void) {
    char byte;
    int descriptor = -1;
    control ancillary = { 0 };
    struct iovec data = { &byte, 1 };
    struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &ancillary, .msg_controllen = sizeof ancillary };
    if (recvmsg(0, &message, 0) == 1 && ancillary.header.cmsg_type == SCM_RIGHTS)
        memcpy(&descriptor, CMSG_DATA(&ancillary.header), sizeof descriptor);
    return descriptor;
}

static int map_write(int descriptor, const char *text) {
    char *view = mmap(NULL, 0x1000, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (view == MAP_FAILED) return 3;
    memcpy(view, text, strlen(text));
    return 0;
}

int main(int count, char **arguments) {
    char verb[16], kind[16], text[4096] = "", read[4096] = "";
    if (count != 2 || sscanf(arguments[1], "%15s", verb) != 1) return 2;
    const char *rest = arguments[1] + strlen(verb) + 1;
    if (!strcmp(verb, "give")) return sscanf(rest, "%15s %4095[^\n]", kind, text) >= 1 ? give(make(kind, text)) : 2;
    int descriptor = take();
    if (descriptor < 0) return 1;
    if (!strcmp(verb, "expect")) return pread(descriptor, read, strlen(rest), 0) == (ssize_t)strlen(rest) && !strcmp(read, rest) ? 0 : 4;
    if (!strcmp(verb, "write")) return pwrite(descriptor, rest, strlen(rest), 0) == (ssize_t)strlen(rest) ? 0 : errno == EBADF ? 3 : 4;
    if (!strcmp(verb, "map-write")) return map_write(descriptor, rest);
    return 2;
}
