/* The loops that ntlpc is compared with: futexes, spinning, a socket. */
#define _GNU_SOURCE
#include "bench_clock.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What the shared page holds. Each word has a line of its own. */
typedef struct cbench_page {
    _Alignas(128) uint32_t request;
    _Alignas(128) uint32_t reply;
    _Alignas(128) uint32_t stop;
} cbench_page;
_Static_assert(sizeof(cbench_page) <= CBENCH_PAGE_SIZE, "the words fit the page");

static void futex_wait(uint32_t *word, uint32_t value) { syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0); }
static void futex_wake(uint32_t *word) { syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0); }

static void cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static uint32_t load(const uint32_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
static void store(uint32_t *word, uint32_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }

void cbench_futex_serve(void *memory)
{
    cbench_page *page = memory;
    uint32_t served = 0, now;

    while (!load(&page->stop)) {
        while ((now = load(&page->request)) == served) {
            futex_wait(&page->request, served);
            if (load(&page->stop)) return;
        }
        served = now;
        store(&page->reply, served);
        futex_wake(&page->reply);
    }
}

void cbench_futex_run(void *memory, cbench_run *run)
{
    cbench_page *page = memory;
    uint32_t sent = 0, now;
    bench_clock clock;

    for (bench_start(&clock, run); bench_goes_on(&clock); bench_note(&clock)) {
        store(&page->request, ++sent);
        futex_wake(&page->request);
        while ((now = load(&page->reply)) != sent) futex_wait(&page->reply, now);
    }
    bench_finish(&clock);
    store(&page->stop, 1);
    store(&page->request, sent + 1);
    futex_wake(&page->request);
}

void cbench_spin_serve(void *memory)
{
    cbench_page *page = memory;
    uint32_t served = 0, now;

    for (;;) {
        while ((now = load(&page->request)) == served) cpu_relax();
        served = now;
        store(&page->reply, served);
        if (load(&page->stop)) return;
    }
}

void cbench_spin_run(void *memory, cbench_run *run)
{
    cbench_page *page = memory;
    uint32_t sent = 0;
    bench_clock clock;

    for (bench_start(&clock, run); bench_goes_on(&clock); bench_note(&clock)) {
        store(&page->request, ++sent);
        while (load(&page->reply) != sent) cpu_relax();
    }
    bench_finish(&clock);
    store(&page->stop, 1);
    store(&page->request, sent + 1);
}

static char socket_buffer[CBENCH_MAX_PAYLOAD + 64];

/* The header of a port message travels too: what is compared carries as many bytes. */
int cbench_socket_serve(int socket, size_t payload)
{
    size_t length = payload + sizeof(PORT_MESSAGE);

    for (;;) {
        ssize_t got = recv(socket, socket_buffer, sizeof socket_buffer, 0);
        if (got == 0) return 0;
        if (got < 0) return -errno;
        if (send(socket, socket_buffer, length, MSG_NOSIGNAL) < 0) return errno == EPIPE ? 0 : -errno;
    }
}

int cbench_socket_run(int socket, size_t payload, cbench_run *run)
{
    size_t length = payload + sizeof(PORT_MESSAGE);
    bench_clock clock;

    for (bench_start(&clock, run); bench_goes_on(&clock); bench_note(&clock)) {
        if (send(socket, socket_buffer, length, MSG_NOSIGNAL) < 0) return -errno;
        if (recv(socket, socket_buffer, sizeof socket_buffer, 0) <= 0) return -ECONNRESET;
    }
    bench_finish(&clock);
    return 0;
}

int cbench_usable_cpus(int *cpus, int capacity)
{
    cpu_set_t set;
    int count = 0;

    if (sched_getaffinity(0, sizeof set, &set)) return -errno;
    for (int i = 0; i < CPU_SETSIZE && count < capacity; i++) if (CPU_ISSET((unsigned)i, &set)) cpus[count++] = i;
    return count;
}

int cbench_bind_cpu(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    if (cpu >= 0) CPU_SET((unsigned)cpu, &set);
    else for (unsigned i = 0; i < CPU_SETSIZE; i++) CPU_SET(i, &set);
    return sched_setaffinity(0, sizeof set, &set) ? -errno : 0;
}

void cbench_die_with_parent(void) { prctl(PR_SET_PDEATHSIG, SIGKILL); }
