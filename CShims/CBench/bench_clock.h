/* When a run stops, and what each round of it took. */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include "cbench.h"

#include <stdbool.h>
#include <time.h>

static inline uint64_t bench_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline uint64_t bench_ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return bench_ns();
#endif
}

typedef struct bench_clock {
    cbench_run *run;
    uint64_t warm_until, stop_at;       /* nanoseconds; the second is known when recording starts */
    uint64_t recording_ns, recording_ticks;
    uint64_t before;                    /* ticks at the end of the last round */
    uint32_t rounds;
    bool recording, over;
} bench_clock;

static inline void bench_start(bench_clock *clock, cbench_run *run)
{
    uint64_t now = bench_ns();
    *clock = (bench_clock){ .run = run, .warm_until = now + run->duration_ns / 10 };
    run->count = 0;
    clock->before = bench_ticks();
}

static inline bool bench_goes_on(const bench_clock *clock) { return !clock->over; }

/* Ends a round. The clock of the system is read every 64 rounds only; that round's successor starts after the reading. */
static inline void bench_note(bench_clock *clock)
{
    uint64_t now = bench_ticks();
    cbench_run *run = clock->run;

    if (clock->recording) {
        run->samples[run->count++] = now - clock->before;
        if (run->count == run->capacity) clock->over = true;
    }
    clock->before = now;
    if (++clock->rounds % 64) return;
    uint64_t time = bench_ns();
    if (clock->recording && time >= clock->stop_at) clock->over = true;
    if (!clock->recording && time >= clock->warm_until) {
        clock->recording = true;
        clock->stop_at = time + run->duration_ns;
        clock->recording_ns = time;
        clock->recording_ticks = bench_ticks();
    }
    clock->before = bench_ticks();
}

static inline void bench_finish(bench_clock *clock)
{
    clock->run->elapsed_ns = bench_ns() - clock->recording_ns;
    clock->run->elapsed_ticks = bench_ticks() - clock->recording_ticks;
}

#endif
