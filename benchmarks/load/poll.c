/* Players without a socket: each asks for the chat playlist when it has changed and for the open slice, waits as long as `reload_ms` says, and asks
 * again.
 *
 * Many pollers share the connections: one asks on whichever is free, as players behind a proxy do. A target's path is a room's
 * (`/v1/rooms/math-101`); pollers are spread over the rooms. Messages hold a marker, `~sequence.time~`, and are counted, timed and checked for
 * duplicates for each poller that was there when they were said. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

#define SLOTS 4096       /* of 10 ms: a wheel of 40 s */
#define SLOT_US 10000
#define MESSAGES 8192    /* markers of a room */
#define NOBODY UINT32_MAX
#define LIST_US 20000000 /* as PLAYLIST_WITH_OPEN_MS of the player */

struct poller {
    uint32_t room, next;
    bool has_list, has_after, asks_open, lists_next, was_there;
    long long version, from_ms, after, reload_ms;
    int64_t due_us, joined_us, listed_us;
    uint8_t *seen;
};

static struct poller *pollers;
static uint32_t wheel[SLOTS], waiting_first = NOBODY, waiting_last = NOBODY;
static uint32_t *free_connections, free_count, *asker;
static int64_t wheel_us, begin_us, end_us;
static struct histogram latencies, late;
static uint64_t polls, answers_bad, superseded, duplicates, seen, bytes_got;
static long long reload_ms_max;
static const char **rooms;
static uint32_t rooms_count;

static void plan(uint32_t number, int64_t due_us) {
    struct poller *poller = &pollers[number];
    poller->due_us = due_us;
    int64_t slot = due_us / SLOT_US, first = wheel_us / SLOT_US + 1;
    if (slot < first) slot = first;
    if (slot >= first + SLOTS - 2) slot = first + SLOTS - 2;
    poller->next = wheel[slot % SLOTS];
    wheel[slot % SLOTS] = number;
}

static void ask(uint32_t number, uint32_t on) {
    struct poller *poller = &pollers[number];
    const char *path = rooms[poller->room];
    char request[1024], tail[64] = "";
    int bytes;
    if (poller->asks_open) {
        if (poller->has_after) snprintf(tail, sizeof tail, "&after=%lld", poller->after);
        bytes = snprintf(request, sizeof request, "GET %s/slices/1/open.json?from_ms=%lld%s HTTP/1.1\r\nHost: load\r\n\r\n", path, poller->from_ms, tail);
    } else {
        if (poller->has_list) snprintf(tail, sizeof tail, "&since=%lld", poller->version);
        bytes = snprintf(request, sizeof request, "GET %s/chat.json?broadcast=1%s HTTP/1.1\r\nHost: load\r\n\r\n", path, tail);
    }
    asker[on] = number;
    polls++;
    connection_send(&connections[on], request, (size_t)bytes);
}

static void wait_for_connection(uint32_t number) {
    pollers[number].next = NOBODY;
    if (waiting_last == NOBODY) waiting_first = number;
    else pollers[waiting_last].next = number;
    waiting_last = number;
}

static void send_waiting(void) {
    while (waiting_first != NOBODY && free_count > 0) {
        uint32_t number = waiting_first;
        waiting_first = pollers[number].next;
        if (waiting_first == NOBODY) waiting_last = NOBODY;
        ask(number, free_connections[--free_count]);
    }
}

static long long number_after(const char *body, const char *name) {
    const char *at = strstr(body, name);
    return at == NULL ? -1 : atoll(at + strlen(name));
}

static void take_events(struct poller *poller, const char *body, int64_t now) {
    for (const char *at = body; (at = strstr(at, "\"text\":\"~")) != NULL; at++) {
        long long sequence = 0, said_us = 0;
        if (sscanf(at + 9, "%lld.%lld~", &sequence, &said_us) != 2 || sequence < 0 || sequence >= MESSAGES) continue;
        uint8_t bit = (uint8_t)(1u << (sequence % 8));
        bool known = poller->seen[sequence / 8] & bit;
        poller->seen[sequence / 8] |= bit;
        if (said_us < poller->joined_us || said_us < begin_us || said_us >= end_us) continue;
        if (known) {
            duplicates += poller->has_after;
            continue;
        }
        seen++;
        histogram_add(&latencies, now - said_us);
    }
}

static void take(uint32_t number, const char *body, int status, int64_t now) {
    struct poller *poller = &pollers[number];
    if (poller->asks_open) {
        poller->lists_next = true;
        if (status == 200) {
            take_events(poller, body, now);
            const char *as_of = strstr(body, "\"as_of\"");
            poller->after = as_of == NULL ? -1 : number_after(as_of, "\"offset\":");
            poller->has_after = poller->after >= 0;
            /* As the player does: the list again only when it has changed or is old, from where is sealed now. */
            if (number_after(body, "\"version\":") == poller->version && now < poller->listed_us + LIST_US) {
                poller->from_ms = number_after(body, "\"sealed_until_ms\":");
                poller->lists_next = false;
            }
        } else if (status == 410) {
            superseded++;
            poller->has_after = false;
        } else answers_bad++;
        poller->asks_open = !poller->lists_next;
        int64_t due_us = poller->due_us + poller->reload_ms * 1000;
        plan(number, due_us > now ? due_us : now);
        return;
    }
    long long version = status == 200 ? number_after(body, "\"version\":") : -1;
    if (version < 0) {
        answers_bad++;
        plan(number, now + 1000000);
        return;
    }
    poller->version = version;
    poller->from_ms = number_after(body, "\"sealed_until_ms\":");
    poller->reload_ms = number_after(body, "\"reload_ms\":");
    if (poller->reload_ms > reload_ms_max) reload_ms_max = poller->reload_ms;
    poller->has_list = poller->asks_open = true;
    poller->listed_us = now;
    if (!poller->was_there) {
        poller->was_there = true;
        poller->joined_us = now;
    }
    wait_for_connection(number);
}

static size_t receive_bytes(struct connection *connection, char *data, size_t bytes) {
    int status = 0;
    size_t answer = http_answer(data, bytes, &status);
    if (answer == 0) return 0;
    bytes_got += answer;
    if (status != 200 && status != 410) note_refusal(data, answer > 200 ? 200 : answer);
    char after = answer < bytes ? data[answer] : 0; /* the buffer is larger than what is in it */
    data[answer] = 0;
    take(asker[connection->number], data, status, now_us());
    data[answer] = after;
    free_connections[free_count++] = connection->number;
    send_waiting();
    return answer;
}

static void turn_wheel(int64_t now) {
    while (wheel_us + SLOT_US <= now) {
        wheel_us += SLOT_US;
        uint32_t *slot = &wheel[(wheel_us / SLOT_US) % SLOTS], number = *slot;
        *slot = NOBODY;
        while (number != NOBODY) {
            uint32_t next = pollers[number].next;
            if (pollers[number].due_us > now + SLOT_US) plan(number, pollers[number].due_us);
            else {
                if (now >= begin_us) histogram_add(&late, now - pollers[number].due_us);
                wait_for_connection(number);
            }
            number = next;
        }
    }
    send_waiting();
}

int run_poll(void) {
    const struct mode mode = {receive_bytes, NULL, NULL};
    connections_start(&mode);
    connections_read_targets(options.targets);
    rooms = calloc(connections_count, sizeof *rooms);
    for (uint32_t index = 0; index < connections_count; index++) {
        rooms[connections[index].room] = connections[index].path;
        if (connections[index].room + 1 > rooms_count) rooms_count = connections[index].room + 1;
    }
    connections_open_all();
    pollers = calloc(options.pollers, sizeof *pollers);
    free_connections = calloc(connections_count, sizeof *free_connections);
    asker = calloc(connections_count, sizeof *asker);
    if (pollers == NULL || free_connections == NULL || asker == NULL) FAIL("no memory");
    for (uint32_t index = 0; index < SLOTS; index++) wheel[index] = NOBODY;
    for (uint32_t index = 0; index < connections_count; index++) free_connections[free_count++] = index;
    wheel_us = now_us();
    begin_us = wheel_us + (int64_t)(options.warm_up_s * 1e6);
    end_us = begin_us + (int64_t)(options.seconds * 1e6);
    for (uint32_t index = 0; index < options.pollers; index++) {
        pollers[index].room = index % rooms_count;
        pollers[index].seen = calloc(1, MESSAGES / 8);
        plan(index, wheel_us + (int64_t)(options.warm_up_s * 5e5 * index / options.pollers));
    }
    uint64_t polls_begun = 0;
    struct usage begun = {0, 0};
    bool is_begun = false;
    int64_t over_us = end_us + (int64_t)(options.drain_s * 1e6);
    for (int64_t now = now_us(); now < over_us; now = now_us()) {
        if (!is_begun && now >= begin_us) {
            is_begun = true;
            polls_begun = polls;
            begun = usage_now();
        }
        turn_wheel(now);
        connections_run(wheel_us + SLOT_US);
    }
    uint32_t there = 0;
    for (uint32_t index = 0; index < options.pollers; index++) there += pollers[index].has_after;
    double measured_s = options.seconds + options.drain_s, cpu_s = usage_now().cpu_s - begun.cpu_s;
    printf("{\"pollers\":%u,\"following\":%u,\"polls_per_s\":%.1f,\"seen\":%llu,\"duplicates\":%llu,\"superseded\":%llu,\"not_ok\":%llu,"
           "\"p50_ms\":%.1f,\"p99_ms\":%.1f,\"max_ms\":%.1f,\"late_p99_ms\":%.1f,\"reload_ms_max\":%lld,\"bytes_each\":%.0f,"
           "\"cpu_cores\":%.3f,\"closed\":%u,\"first_refusal\":\"%s\",\"begin_us\":%lld,\"end_us\":%lld}\n",
           options.pollers, there, (double)(polls - polls_begun) / measured_s, (unsigned long long)seen,
           (unsigned long long)duplicates, (unsigned long long)superseded, (unsigned long long)answers_bad,
           histogram_ms(&latencies, 0.5), histogram_ms(&latencies, 0.99), (double)latencies.greatest_us / 1000.0,
           histogram_ms(&late, 0.99), reload_ms_max, polls ? (double)bytes_got / (double)polls : 0, cpu_s / measured_s,
           connections_closed, first_refusal, (long long)begin_us, (long long)end_us);
    return 0;
}
