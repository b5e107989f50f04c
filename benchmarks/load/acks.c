/* Acks: so many messages are under way on each connection; each answer sends the next.
 *
 * chatsync answers through the WebSocket with the message's id, NATS JetStream with a message to an inbox, Redis with the
 * id of the entry. All three answer one connection in the order it asked; chatsync's id is checked all the same. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

#define RING 1024

static struct histogram latencies;
static int64_t begin_us, end_us;
static uint64_t acked, events;
static uint32_t under_way;

static void ask(struct connection *connection) {
    char id[37], message[4096];
    uuid7(id, (uint64_t)connection->number << 32 | connection->tail);
    connection->sent_us[connection->tail++ % RING] = now_us();
    under_way++;
    connection_send_text(connection, message, filled(message, sizeof message, connection->message, "", id));
}

static void receive_ack(struct connection *connection, uint32_t sequence) {
    if (sequence != connection->head) FAIL("acks of connection %u out of order", connection->number);
    int64_t now = now_us(), took_us = now - connection->sent_us[connection->head++ % RING];
    under_way--;
    if (now >= begin_us && now < end_us) {
        acked++;
        histogram_add(&latencies, took_us);
    }
    if (now < end_us) ask(connection);
}

static void receive_message(struct connection *connection, char *data, size_t bytes) {
    if (bytes > 12 && memcmp(data, "{\"type\":\"ack", 12) == 0) {
        char *id = memmem(data, bytes, "\"id\":\"", 6);
        if (id == NULL || id + 42 > data + bytes) FAIL("an ack without an id: %.*s", (int)bytes, data);
        receive_ack(connection, (uint32_t)strtoull(id + 6 + 28, NULL, 16));
    } else if (bytes > 14 && memcmp(data, "{\"type\":\"error", 14) == 0) {
        FAIL("refused: %.*s", (int)bytes, data);
    } else if (bytes > 15 && memcmp(data, "{\"type\":\"events", 15) == 0) {
        events++;
    }
}

static size_t receive_nats(struct connection *connection, char *data, size_t bytes) {
    size_t used = 0;
    for (;;) {
        char *line = data + used, *stop = memmem(line, bytes - used, "\r\n", 2);
        if (stop == NULL) return used;
        size_t length = (size_t)(stop + 2 - line);
        if (memcmp(line, "MSG ", 4) == 0) {
            char *last = stop;
            while (last[-1] != ' ') last--;
            size_t payload = (size_t)atoll(last);
            if (bytes - used < length + payload + 2) return used;
            if (memmem(stop, payload + 2, "\"error\"", 7) != NULL) FAIL("refused: %.*s", (int)payload, stop + 2);
            receive_ack(connection, connection->head);
            length += payload + 2;
        } else if (memcmp(line, "PING", 4) == 0) {
            connection_send(connection, "PONG\r\n", 6);
        } else if (memcmp(line, "-ERR", 4) == 0) {
            FAIL("refused: %.*s", (int)(stop - line), line);
        }
        used += length;
    }
}

static size_t receive_redis(struct connection *connection, char *data, size_t bytes) {
    size_t used = 0;
    for (;;) {
        char *line = data + used, *stop = memmem(line, bytes - used, "\r\n", 2);
        if (stop == NULL) return used;
        size_t length = (size_t)(stop + 2 - line);
        if (*line == '-') FAIL("refused: %.*s", (int)(stop - line), line);
        if (*line == '$') {
            length += (size_t)atoll(line + 1) + 2;
            if (bytes - used < length) return used;
        }
        used += length;
        receive_ack(connection, connection->head);
    }
}

int run_acks(void) {
    bool is_redis = strcmp(options.protocol, "redis") == 0;
    const struct mode mode = {is_redis ? receive_redis : receive_nats, receive_message, NULL};
    connections_start(&mode);
    connections_read_targets(options.targets);
    if (options.in_flight >= RING) FAIL("at most %d under way on a connection", RING - 1);
    connections_open_all();
    begin_us = now_us() + (int64_t)(options.warm_up_s * 1e6);
    end_us = begin_us + (int64_t)(options.seconds * 1e6);
    for (uint32_t index = 0; index < connections_count; index++)
        for (uint32_t count = 0; count < options.in_flight; count++) ask(&connections[index]);
    while (now_us() < begin_us) connections_run(begin_us);
    struct usage begun = usage_now();
    while (now_us() < end_us) connections_run(end_us);
    struct usage ended = usage_now();
    int64_t until_us = now_us() + (int64_t)(options.drain_s * 1e6);
    while (under_way && now_us() < until_us && connections_closed == 0) connections_run(now_us() + 20000);
    double cpu_s = ended.cpu_s - begun.cpu_s;
    printf("{\"connections\":%u,\"in_flight\":%u,\"acks_per_s\":%.1f,\"p50_ms\":%.3f,\"p90_ms\":%.3f,\"p99_ms\":%.3f,"
           "\"max_ms\":%.3f,\"unanswered\":%u,\"closed\":%u,\"first_refusal\":\"%s\",\"event_frames\":%llu,"
           "\"cpu_s\":%.2f,\"cpu_cores\":%.3f,\"cpu_us_per_ack\":%.2f}\n",
           connections_count, options.in_flight * connections_count, (double)acked / options.seconds,
           histogram_ms(&latencies, 0.5), histogram_ms(&latencies, 0.9), histogram_ms(&latencies, 0.99),
           (double)latencies.greatest_us / 1000.0, under_way, connections_closed, first_refusal,
           (unsigned long long)events, cpu_s, cpu_s / options.seconds, acked ? cpu_s * 1e6 / (double)acked : 0);
    return 0;
}
