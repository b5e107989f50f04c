/* The load client: what its parts share. One thread, one epoll, no dependencies.
 *
 * It speaks as little of each protocol as measuring needs: the WebSocket handshake and frames, HTTP/1.1 with
 * Content-Length, the acks of NATS and Redis. What it sends comes from files and templates, so that services and their
 * peers are driven by the same code. Times are microseconds of CLOCK_MONOTONIC. */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FAIL(...) (fprintf(stderr, "load: " __VA_ARGS__), fputc('\n', stderr), exit(1))

int64_t now_us(void);

/* --- figures ------------------------------------------------------------------------------------------------------ */

#define BUCKETS 4096 /* 64 to every doubling: a percentile is at most 1.6 % too high */
struct histogram {
    uint64_t counts[BUCKETS];
    uint64_t total;
    int64_t greatest_us;
};
void histogram_add(struct histogram *figures, int64_t took_us);
double histogram_ms(const struct histogram *figures, double quantile);

/* What the processes named by --pid have used. */
struct usage {
    double cpu_s;
    double rss_kib;
};
struct usage usage_now(void);
void usage_watch(pid_t pid);
double own_cpu_s(void);

/* --- connections -------------------------------------------------------------------------------------------------- */

enum phase { WAITING, CONNECTING, UPGRADING, GREETING, READY, CLOSED };

struct connection {
    int fd;
    enum phase phase;
    bool is_websocket;
    uint32_t number, room;
    char *held; /* received, not yet whole */
    size_t held_bytes;
    char *unsent; /* the kernel did not take it yet */
    size_t unsent_bytes;
    const char *path, *greeting, *message; /* message: a template, NULL for who only listens */
    char carry[32];                        /* a marker that began at the end of what came last */
    size_t carry_bytes;
    uint8_t *seen; /* one bit a message of the room */
    uint32_t seen_count;
    int64_t sent_us[1024]; /* acks and fetch: when what is under way was sent */
    uint32_t head, tail;
};

/* What a mode does with what comes. */
struct mode {
    /* Of a byte stream: how many bytes were used up; the rest comes again with more. NULL for WebSocket. */
    size_t (*receive_bytes)(struct connection *connection, char *data, size_t bytes);
    /* One text or binary message of a WebSocket. */
    void (*receive_message)(struct connection *connection, char *data, size_t bytes);
    /* The connection may be used. */
    void (*receive_ready)(struct connection *connection);
};

extern struct connection *connections;
extern uint32_t connections_count, connections_ready, connections_closed;
extern char first_refusal[512];
extern uint64_t refusals;

struct options {
    int port;
    const char *host, *targets, *protocol, *ready;
    uint32_t in_flight, connecting_max, pollers;
    double rate, seconds, warm_up_s, drain_s, hold_s;
};
extern struct options options;

void connections_read_targets(const char *path);
void connections_start(const struct mode *mode);
/* Waits for something to happen, at most until `until_us`, and lets the mode handle it. */
void connections_run(int64_t until_us);
/* Runs until all are ready; ends the program if one cannot be. */
void connections_open_all(void);
void connection_send(struct connection *connection, const char *data, size_t bytes);
void connection_send_text(struct connection *connection, const char *text, size_t bytes);
void note_refusal(const char *data, size_t bytes);

/* The template with %M, %I and \r\n filled in; returns its length. Room is the caller's: at least 4 KiB. */
size_t filled(char *out, size_t out_bytes, const char *template, const char *marker, const char *id);
void uuid7(char out[37], uint64_t slot);

/* websocket.c */
size_t websocket_receive(struct connection *connection, char *data, size_t bytes, const struct mode *mode);
size_t websocket_frame(char *out, size_t out_bytes, int opcode, const char *data, size_t bytes);
void websocket_upgrade(struct connection *connection);

/* Ends of messages in HTTP: the bytes of the whole answer, 0 if it is not whole yet; its status. */
size_t http_answer(const char *data, size_t bytes, int *status);

int run_fanout(void);
int run_acks(void);
int run_fetch(void);
int run_poll(void);

#endif
