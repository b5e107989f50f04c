/* Many non-blocking sockets on one epoll: opening them a few at a time, sending, receiving, templates. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

#define BUFFER (8u << 20)
#define PER_ADDRESS 20000 /* connections of one loopback source address; the default port range holds 28,000 */
#define EVENTS 512

struct connection *connections;
uint32_t connections_count, connections_ready, connections_closed;
uint64_t refusals;
char first_refusal[512];

static int epoll;
static const struct mode *mode;
static char *buffer;
static uint32_t next_to_open, opened;

void note_refusal(const char *data, size_t bytes) {
    if (refusals++ == 0) {
        size_t kept = 0;
        for (size_t index = 0; index < bytes && kept < sizeof first_refusal - 1; index++) {
            unsigned char letter = (unsigned char)data[index];
            first_refusal[kept++] = letter < 32 || letter == '"' || letter == '\\' || letter > 126 ? ' ' : (char)letter;
        }
        first_refusal[kept] = 0;
    }
}

/* A line a connection: kind (w: WebSocket, s: byte stream), room, path, greeting, message template; tabs between. */
void connections_read_targets(const char *path) {
    FILE *file = fopen(path, "r");
    if (file == NULL) FAIL("cannot read %s", path);
    char *line = NULL;
    size_t room = 0;
    uint32_t allocated = 0;
    while (getline(&line, &room, file) > 0) {
        char *rest = strdup(line), *fields[5] = {NULL};
        rest[strcspn(rest, "\n")] = 0;
        for (int index = 0; index < 5 && rest != NULL; index++) fields[index] = strsep(&rest, "\t");
        if (fields[4] == NULL) FAIL("a target has five fields: %s", line);
        if (connections_count == allocated) {
            allocated = allocated ? allocated * 2 : 1024;
            connections = realloc(connections, allocated * sizeof *connections);
            if (connections == NULL) FAIL("no memory");
        }
        struct connection *one = &connections[connections_count];
        memset(one, 0, sizeof *one);
        one->number = connections_count++;
        one->fd = -1;
        one->is_websocket = *fields[0] == 'w';
        one->room = (uint32_t)atoi(fields[1]);
        one->path = fields[2];
        one->greeting = fields[3];
        one->message = *fields[4] ? fields[4] : NULL;
    }
    free(line);
    fclose(file);
}

void connections_start(const struct mode *chosen) {
    mode = chosen;
    epoll = epoll_create1(EPOLL_CLOEXEC);
    buffer = malloc(BUFFER);
    if (epoll < 0 || buffer == NULL) FAIL("cannot start: %s", strerror(errno));
}

static void watch(struct connection *connection, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.u32 = connection->number};
    if (epoll_ctl(epoll, operation, connection->fd, &event) < 0) FAIL("epoll: %s", strerror(errno));
}

static void open_one(struct connection *connection) {
    int on = 1;
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection->fd < 0) FAIL("socket %u: %s (ulimit -n?)", connection->number, strerror(errno));
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    inet_pton(AF_INET, options.host, &to.sin_addr);
    if (connection->number >= PER_ADDRESS) {
        setsockopt(connection->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        from.sin_addr.s_addr = htonl(0x7F000001u + connection->number / PER_ADDRESS);
        if (bind(connection->fd, (struct sockaddr *)&from, sizeof from) < 0) FAIL("bind: %s", strerror(errno));
    }
    connection->phase = CONNECTING;
    if (connect(connection->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)
        FAIL("connect: %s", strerror(errno));
    watch(connection, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
    opened++;
}

static void end(struct connection *connection, const char *why) {
    if (connection->phase == CLOSED) return;
    if (connection->phase != READY) FAIL("connection %u ended before it was ready: %s %s", connection->number, why, first_refusal);
    note_refusal(why, strlen(why));
    connection->phase = CLOSED;
    connections_closed++;
    epoll_ctl(epoll, EPOLL_CTL_DEL, connection->fd, NULL);
    close(connection->fd);
}

void connection_send(struct connection *connection, const char *data, size_t bytes) {
    if (connection->phase == CLOSED) return;
    ssize_t sent = 0;
    if (connection->unsent_bytes == 0) {
        sent = send(connection->fd, data, bytes, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) {
            end(connection, strerror(errno));
            return;
        }
        if (sent < 0) sent = 0;
        if ((size_t)sent == bytes) return;
        watch(connection, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    }
    size_t left = bytes - (size_t)sent;
    connection->unsent = realloc(connection->unsent, connection->unsent_bytes + left);
    memcpy(connection->unsent + connection->unsent_bytes, data + sent, left);
    connection->unsent_bytes += left;
}

void connection_send_text(struct connection *connection, const char *text, size_t bytes) {
    if (!connection->is_websocket) {
        connection_send(connection, text, bytes);
        return;
    }
    char frame[8192];
    connection_send(connection, frame, websocket_frame(frame, sizeof frame, 1, text, bytes));
}

static void writable(struct connection *connection) {
    if (connection->phase == CONNECTING) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error) FAIL("connect: %s", strerror(error));
        watch(connection, EPOLL_CTL_MOD, EPOLLIN);
        if (connection->is_websocket) {
            websocket_upgrade(connection);
            return;
        }
        connection->phase = READY;
        connections_ready++;
        if (*connection->greeting) {
            char text[4096];
            connection_send(connection, text, filled(text, sizeof text, connection->greeting, "", ""));
        }
        if (mode->receive_ready != NULL) mode->receive_ready(connection);
        return;
    }
    if (connection->unsent_bytes) {
        ssize_t sent = send(connection->fd, connection->unsent, connection->unsent_bytes, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN) end(connection, strerror(errno));
            return;
        }
        connection->unsent_bytes -= (size_t)sent;
        memmove(connection->unsent, connection->unsent + sent, connection->unsent_bytes);
    }
    if (connection->unsent_bytes == 0) watch(connection, EPOLL_CTL_MOD, EPOLLIN);
}

static void readable(struct connection *connection) {
    size_t held = connection->held_bytes;
    if (held) memcpy(buffer, connection->held, held);
    ssize_t got = recv(connection->fd, buffer + held, BUFFER - held, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        end(connection, got == 0 ? "the server closed" : strerror(errno));
        return;
    }
    size_t bytes = held + (size_t)got;
    size_t used = connection->is_websocket ? websocket_receive(connection, buffer, bytes, mode)
                                           : mode->receive_bytes(connection, buffer, bytes);
    size_t left = bytes - used;
    if (left == BUFFER) FAIL("more than %u bytes belong together", BUFFER);
    if (left == 0) {
        if (held) {
            free(connection->held);
            connection->held = NULL;
        }
    } else {
        connection->held = realloc(connection->held, left);
        memcpy(connection->held, buffer + used, left);
    }
    connection->held_bytes = left;
}

void connections_run(int64_t until_us) {
    while (next_to_open < connections_count && opened - connections_ready - connections_closed < options.connecting_max)
        open_one(&connections[next_to_open++]);
    struct epoll_event events[EVENTS];
    int64_t left_us = until_us - now_us();
    int wait_ms = left_us <= 0 ? 0 : left_us > 100000 ? 100 : (int)((left_us + 999) / 1000);
    int count = epoll_wait(epoll, events, EVENTS, wait_ms);
    for (int index = 0; index < count; index++) {
        struct connection *connection = &connections[events[index].data.u32];
        if (connection->phase == CLOSED) continue;
        if (events[index].events & (EPOLLOUT | EPOLLERR)) writable(connection);
        if (connection->phase != CLOSED && events[index].events & (EPOLLIN | EPOLLHUP)) readable(connection);
    }
}

void connections_open_all(void) {
    int64_t progress_us = now_us(), begun_us = progress_us;
    uint32_t before = 0;
    while (connections_ready < connections_count) {
        connections_run(now_us() + 50000);
        if (connections_ready + connections_closed != before) {
            before = connections_ready + connections_closed;
            progress_us = now_us();
        }
        if (connections_closed) FAIL("%u of %u connections were refused: %s", connections_closed, connections_count, first_refusal);
        if (now_us() - progress_us > 30000000) FAIL("only %u of %u connections were made in time: %s", connections_ready, connections_count, first_refusal);
    }
    fprintf(stderr, "load: %u connections in %.1f s\n", connections_count, (double)(now_us() - begun_us) / 1e6);
}

size_t filled(char *out, size_t out_bytes, const char *template, const char *marker, const char *id) {
    size_t used = 0;
    for (const char *at = template; *at; at++) {
        const char *put = NULL;
        char escape[2] = {0, 0};
        if (at[0] == '%' && at[1] == 'M') put = marker, at++;
        else if (at[0] == '%' && at[1] == 'I') put = id, at++;
        else if (at[0] == '\\' && (at[1] == 'r' || at[1] == 'n')) escape[0] = at[1] == 'r' ? '\r' : '\n', put = escape, at++;
        else escape[0] = *at, put = escape;
        size_t bytes = strlen(put);
        if (used + bytes >= out_bytes) FAIL("a message is longer than %zu bytes", out_bytes);
        memcpy(out + used, put, bytes);
        used += bytes;
    }
    out[used] = 0;
    return used;
}

void uuid7(char out[37], uint64_t slot) {
    struct timespec now;
    static uint32_t counter;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    counter++;
    snprintf(out, 37, "%08x-%04x-7%03x-8%03x-%012llx", (unsigned)(ms >> 16), (unsigned)(ms & 0xFFFF), counter & 0xFFF,
             (counter >> 12) & 0xFFF, (unsigned long long)(slot & 0xFFFFFFFFFFFF));
}
