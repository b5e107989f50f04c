/* Time, percentiles, and what the measured processes use. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

#define SUB_BITS 6

int64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void histogram_add(struct histogram *figures, int64_t took_us) {
    uint64_t value = took_us < 0 ? 0 : (uint64_t)took_us;
    unsigned bucket = (unsigned)value;
    if (value >= (1u << SUB_BITS)) {
        unsigned shift = 63u - (unsigned)__builtin_clzll(value) - SUB_BITS;
        bucket = ((shift + 1) << SUB_BITS) + (unsigned)((value >> shift) - (1u << SUB_BITS));
    }
    figures->counts[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
    figures->total++;
    if (took_us > figures->greatest_us) figures->greatest_us = took_us;
}

/* The upper end of the bucket in which the quantile lies. */
double histogram_ms(const struct histogram *figures, double quantile) {
    uint64_t rank = (uint64_t)(quantile * (double)figures->total), passed = 0;
    for (unsigned bucket = 0; bucket < BUCKETS; bucket++) {
        passed += figures->counts[bucket];
        if (passed <= rank) continue;
        if (bucket < (1u << SUB_BITS)) return (double)bucket / 1000.0;
        unsigned shift = (bucket >> SUB_BITS) - 1;
        double end_us = (double)((uint64_t)((bucket & ((1u << SUB_BITS) - 1)) + (1u << SUB_BITS) + 1) << shift);
        return (end_us > (double)figures->greatest_us ? (double)figures->greatest_us : end_us) / 1000.0;
    }
    return (double)figures->greatest_us / 1000.0;
}

static pid_t watched[64];
static unsigned watched_count;

void usage_watch(pid_t pid) {
    if (watched_count < sizeof watched / sizeof *watched) watched[watched_count++] = pid;
}

struct usage usage_now(void) {
    struct usage sum = {0, 0};
    for (unsigned index = 0; index < watched_count; index++) {
        char path[64], line[2048];
        snprintf(path, sizeof path, "/proc/%d/stat", (int)watched[index]);
        FILE *file = fopen(path, "r");
        if (file == NULL) FAIL("process %d is gone", (int)watched[index]);
        size_t bytes = fread(line, 1, sizeof line - 1, file);
        fclose(file);
        line[bytes] = 0;
        unsigned long user = 0, system = 0;
        long pages = 0;
        char *after_name = strrchr(line, ')');
        if (after_name == NULL || sscanf(after_name + 2,
                   "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d %*d %*u %*u %ld",
                   &user, &system, &pages) != 3) FAIL("cannot read %s", path);
        sum.cpu_s += (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
        sum.rss_kib += (double)pages * (double)sysconf(_SC_PAGESIZE) / 1024.0;
    }
    return sum;
}

/* What this client itself has used: near one second a second, and it was the client that could not keep up. */
double own_cpu_s(void) {
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}
