/* Fan-out and idling: everybody listens, some write at a set pace, every delivery is counted and timed.
 *
 * Each message carries a marker ~room sequence,due time~ of fixed width; whatever the protocol wraps around it, finding
 * the marker is receiving the message. The time is when the message was due, not when it was sent, so that a generator
 * that falls behind counts against the figures and not for them. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

#define MARKER 23 /* ~ 7 digits , 13 digits ~ */

static struct histogram latencies;
static uint64_t delivered, repeated;
static uint32_t rooms, per_room_max, warm_up_messages;
static int64_t first_us, last_us;

static void receive_marker(struct connection *connection, const char *marker) {
    if (marker[8] != ',' || marker[MARKER - 1] != '~') return;
    uint32_t sequence = 0;
    int64_t due_us = 0;
    for (int index = 1; index < 8; index++) sequence = sequence * 10 + (uint32_t)(marker[index] - '0');
    for (int index = 9; index < MARKER - 1; index++) due_us = due_us * 10 + (marker[index] - '0');
    if (sequence >= per_room_max) return;
    uint8_t bit = (uint8_t)(1u << (sequence & 7));
    if (connection->seen[sequence >> 3] & bit) {
        repeated++;
        return;
    }
    connection->seen[sequence >> 3] |= bit;
    connection->seen_count++;
    delivered++;
    last_us = now_us();
    if (sequence >= warm_up_messages) histogram_add(&latencies, last_us - due_us);
}

static void receive_message(struct connection *connection, char *data, size_t bytes) {
    if (bytes > 13 && (memcmp(data, "{\"type\":\"error", 13) == 0 || memcmp(data, "-ERR", 4) == 0)) note_refusal(data, bytes);
    if (connection->seen == NULL) return;
    char *at = data, *stop = data + bytes;
    if (connection->carry_bytes) {
        char whole[MARKER];
        size_t kept = connection->carry_bytes, missing = MARKER - kept;
        memcpy(whole, connection->carry, kept);
        if (bytes < missing) return;
        memcpy(whole + kept, data, missing);
        connection->carry_bytes = 0;
        receive_marker(connection, whole);
        at += missing;
    }
    while ((at = memchr(at, '~', (size_t)(stop - at))) != NULL) {
        if (stop - at < MARKER) {
            connection->carry_bytes = (size_t)(stop - at);
            memcpy(connection->carry, at, connection->carry_bytes);
            return;
        }
        receive_marker(connection, at);
        at += MARKER;
        if (at >= stop) return;
    }
}

/* A poster's answers: counted by nobody, but one that is no success is noted. */
static size_t receive_bytes(struct connection *connection, char *data, size_t bytes) {
    (void)connection;
    size_t used = 0;
    for (;;) {
        int status = 0;
        size_t answer = http_answer(data + used, bytes - used, &status);
        if (answer == 0) return used;
        if (status >= 300) note_refusal(data + used, answer > 200 ? 200 : answer);
        used += answer;
    }
}

static const struct mode mode = {receive_bytes, receive_message, NULL};

/* Who writes in each room, in turn. */
struct writers {
    struct connection **all;
    uint32_t count, next;
};
static struct writers *writers;

static void find_writers(void) {
    for (uint32_t index = 0; index < connections_count; index++)
        if (connections[index].room >= rooms) rooms = connections[index].room + 1;
    writers = calloc(rooms, sizeof *writers);
    for (uint32_t index = 0; index < connections_count; index++) {
        struct connection *one = &connections[index];
        if (one->message == NULL) continue;
        struct writers *here = &writers[one->room];
        here->all = realloc(here->all, (here->count + 1) * sizeof *here->all);
        here->all[here->count++] = one;
    }
    for (uint32_t room = 0; room < rooms; room++)
        if (options.rate > 0 && writers[room].count == 0) FAIL("nobody writes in room %u", room);
}

static void write_one(uint32_t room, uint32_t sequence, int64_t due_us) {
    struct writers *here = &writers[room];
    struct connection *one = here->all[here->next++ % here->count];
    char marker[MARKER + 1], id[37], message[4096];
    snprintf(marker, sizeof marker, "~%07u,%013lld~", sequence, (long long)due_us);
    uuid7(id, (uint64_t)room << 24 | sequence);
    connection_send_text(one, message, filled(message, sizeof message, one->message, marker, id));
}

int run_fanout(void) {
    struct usage empty = usage_now();
    connections_start(&mode);
    connections_read_targets(options.targets);
    find_writers();
    connections_open_all();
    int64_t hold_until_us = now_us() + (int64_t)(options.hold_s * 1e6);
    while (now_us() < hold_until_us) connections_run(hold_until_us);
    struct usage full = usage_now(), begun = full;

    uint32_t receivers = 0;
    uint64_t expected = 0;
    per_room_max = (uint32_t)((options.warm_up_s + options.seconds) * options.rate);
    warm_up_messages = (uint32_t)(options.warm_up_s * options.rate);
    for (uint32_t index = 0; index < connections_count; index++) {
        if (!connections[index].is_websocket) continue;
        receivers++;
        connections[index].seen = calloc(per_room_max / 8 + 1, 1);
        expected += per_room_max;
    }
    uint64_t messages = (uint64_t)per_room_max * rooms, sent = 0;
    double interval_us = options.rate > 0 ? 1e6 / (options.rate * rooms) : 0;
    bool is_measuring = false;
    uint64_t delivered_before = 0;
    double client_cpu_s = 0;
    first_us = now_us() + 50000;
    int64_t measured_from_us = first_us;
    while (sent < messages) {
        int64_t due_us = first_us + (int64_t)((double)sent * interval_us);
        if (now_us() < due_us) {
            connections_run(due_us);
            continue;
        }
        uint32_t sequence = (uint32_t)(sent / rooms);
        if (!is_measuring && sequence >= warm_up_messages) {
            is_measuring = true;
            begun = usage_now();
            client_cpu_s = own_cpu_s();
            delivered_before = delivered;
            measured_from_us = due_us;
        }
        write_one((uint32_t)(sent % rooms), sequence, due_us);
        if (++sent % 64 == 0) connections_run(0); /* a generator that is behind must go on reading */
    }
    int64_t until_us = now_us() + (int64_t)(options.drain_s * 1e6);
    while (delivered < expected && now_us() < until_us) connections_run(now_us() + 20000);
    struct usage ended = usage_now();
    client_cpu_s = own_cpu_s() - client_cpu_s;

    double span_s = messages ? (double)(last_us - measured_from_us) / 1e6 : 0, cpu_s = ended.cpu_s - begun.cpu_s;
    printf("{\"connections\":%u,\"receivers\":%u,\"rooms\":%u,\"messages\":%llu,\"expected\":%llu,\"delivered\":%llu,"
           "\"repeated\":%llu,\"refused\":%llu,\"closed\":%u,\"first_refusal\":\"%s\","
           "\"deliveries_per_s\":%.0f,\"p50_ms\":%.2f,\"p90_ms\":%.2f,\"p99_ms\":%.2f,\"p999_ms\":%.2f,\"max_ms\":%.2f,"
           "\"cpu_s\":%.2f,\"cpu_cores\":%.3f,\"client_cores\":%.3f,\"cpu_s_per_million\":%.3f,"
           "\"rss_empty_kib\":%.0f,\"rss_full_kib\":%.0f,\"rss_end_kib\":%.0f,\"rss_kib_per_connection\":%.2f}\n",
           connections_count, receivers, rooms, (unsigned long long)messages, (unsigned long long)expected,
           (unsigned long long)delivered, (unsigned long long)repeated, (unsigned long long)refusals, connections_closed,
           first_refusal, span_s > 0 ? (double)(delivered - delivered_before) / span_s : 0, histogram_ms(&latencies, 0.5),
           histogram_ms(&latencies, 0.9), histogram_ms(&latencies, 0.99), histogram_ms(&latencies, 0.999),
           (double)latencies.greatest_us / 1000.0, cpu_s, span_s > 0 ? cpu_s / span_s : 0,
           span_s > 0 ? client_cpu_s / span_s : 0,
           delivered > delivered_before ? cpu_s / (double)(delivered - delivered_before) * 1e6 : 0, empty.rss_kib, full.rss_kib, ended.rss_kib,
           (full.rss_kib - empty.rss_kib) / connections_count);
    return 0;
}
