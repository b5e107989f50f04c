/* HTTP GETs on connections that stay open: each asks again when it is answered, going round the given requests. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

static struct histogram latencies;
static int64_t begin_us, end_us;
static uint64_t answered, other, bytes_got;
static uint32_t turn;

static void ask(struct connection *connection) {
    /* Every connection has a request of its own in its target line; with fewer requests than connections they repeat. */
    char request[4096];
    connection->sent_us[0] = now_us();
    size_t bytes = filled(request, sizeof request, connections[turn++ % connections_count].message, "", "");
    connection_send(connection, request, bytes);
}

static size_t receive_bytes(struct connection *connection, char *data, size_t bytes) {
    int status = 0;
    size_t answer = http_answer(data, bytes, &status);
    if (answer == 0) return 0;
    int64_t now = now_us();
    if (now >= begin_us && now < end_us) {
        answered++;
        bytes_got += answer;
        histogram_add(&latencies, now - connection->sent_us[0]);
        if (status != 200 && status != 304) {
            other++;
            note_refusal(data, answer > 200 ? 200 : answer);
        }
    }
    if (now < end_us) ask(connection);
    return answer;
}

int run_fetch(void) {
    const struct mode mode = {receive_bytes, NULL, NULL};
    connections_start(&mode);
    connections_read_targets(options.targets);
    connections_open_all();
    begin_us = now_us() + (int64_t)(options.warm_up_s * 1e6);
    end_us = begin_us + (int64_t)(options.seconds * 1e6);
    for (uint32_t index = 0; index < connections_count; index++) ask(&connections[index]);
    while (now_us() < begin_us) connections_run(begin_us);
    struct usage begun = usage_now();
    while (now_us() < end_us) connections_run(end_us);
    double cpu_s = usage_now().cpu_s - begun.cpu_s;
    printf("{\"connections\":%u,\"requests_per_s\":%.1f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,\"not_ok\":%llu,"
           "\"closed\":%u,\"first_refusal\":\"%s\",\"bytes_each\":%.0f,\"cpu_s\":%.2f,\"cpu_cores\":%.3f,\"cpu_us_each\":%.2f}\n",
           connections_count, (double)answered / options.seconds, histogram_ms(&latencies, 0.5),
           histogram_ms(&latencies, 0.99), (double)latencies.greatest_us / 1000.0, (unsigned long long)other,
           connections_closed, first_refusal, answered ? (double)bytes_got / (double)answered : 0, cpu_s,
           cpu_s / options.seconds, answered ? cpu_s * 1e6 / (double)answered : 0);
    return 0;
}
