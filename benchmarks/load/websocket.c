/* The client's side of RFC 6455 and as much of HTTP/1.1 as an answer with Content-Length needs. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "load.h"

enum { CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };

void websocket_upgrade(struct connection *connection) {
    char request[1024];
    bool chatsync = strcmp(options.protocol, "chatsync") == 0;
    int bytes = snprintf(request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: bG9hZC1jbGllbnQtMDAwMQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
        connection->path, options.host, options.port, chatsync ? "Sec-WebSocket-Protocol: chatsync.v1\r\n" : "");
    connection->phase = UPGRADING;
    connection_send(connection, request, (size_t)bytes);
}

size_t websocket_frame(char *out, size_t out_bytes, int opcode, const char *data, size_t bytes) {
    static uint32_t state = 2463534242u;
    if (bytes + 14 > out_bytes || bytes > 65535) FAIL("a frame of %zu bytes does not fit", bytes);
    size_t head = 2;
    out[0] = (char)(0x80 | opcode);
    if (bytes < 126) {
        out[1] = (char)(0x80 | bytes);
    } else {
        out[1] = (char)(0x80 | 126);
        out[2] = (char)(bytes >> 8);
        out[3] = (char)bytes;
        head = 4;
    }
    state ^= state << 13, state ^= state >> 17, state ^= state << 5;
    memcpy(out + head, &state, 4);
    const char *mask = out + head;
    for (size_t index = 0; index < bytes; index++) out[head + 4 + index] = data[index] ^ mask[index & 3];
    return head + 4 + bytes;
}

static size_t receive_upgrade(struct connection *connection, char *data, size_t bytes, const struct mode *mode) {
    char *end = memmem(data, bytes, "\r\n\r\n", 4);
    if (end == NULL) return 0;
    if (bytes < 12 || memcmp(data + 9, "101", 3) != 0) {
        note_refusal(data, bytes > 200 ? 200 : bytes);
        connection->phase = CLOSED;
        connections_closed++;
        return bytes;
    }
    connection->phase = GREETING;
    if (connection->greeting != NULL && *connection->greeting) {
        char text[4096];
        connection_send_text(connection, text, filled(text, sizeof text, connection->greeting, "", ""));
    }
    if (options.ready == NULL) {
        connection->phase = READY;
        connections_ready++;
        if (mode->receive_ready != NULL) mode->receive_ready(connection);
    }
    return (size_t)(end + 4 - data);
}

static void receive_frame(struct connection *connection, int opcode, char *data, size_t bytes, const struct mode *mode) {
    if (opcode == PING) {
        char frame[160];
        connection_send(connection, frame, websocket_frame(frame, sizeof frame, PONG, data, bytes > 125 ? 125 : bytes));
        return;
    }
    if (opcode == CLOSE) {
        char reason[160];
        int code = bytes >= 2 ? ((uint8_t)data[0] << 8 | (uint8_t)data[1]) : 1005;
        int length = snprintf(reason, sizeof reason, "closed %d %.*s", code, bytes > 2 ? (int)bytes - 2 : 0, data + 2);
        note_refusal(reason, (size_t)length);
        return;
    }
    if (opcode == PONG) return;
    if (connection->phase == GREETING && memmem(data, bytes, options.ready, strlen(options.ready)) != NULL) {
        connection->phase = READY;
        connections_ready++;
        if (mode->receive_ready != NULL) mode->receive_ready(connection);
        return;
    }
    mode->receive_message(connection, data, bytes);
}

size_t websocket_receive(struct connection *connection, char *data, size_t bytes, const struct mode *mode) {
    size_t used = 0;
    if (connection->phase == UPGRADING) {
        used = receive_upgrade(connection, data, bytes, mode);
        if (used == 0 || connection->phase == CLOSED) return used;
    }
    while (bytes - used >= 2) {
        const uint8_t *head = (const uint8_t *)data + used;
        uint64_t length = head[1] & 127;
        size_t head_bytes = length == 126 ? 4 : length == 127 ? 10 : 2;
        if (bytes - used < head_bytes) break;
        if (length == 126) length = (uint64_t)head[2] << 8 | head[3];
        else if (length == 127) {
            length = 0;
            for (int index = 2; index < 10; index++) length = length << 8 | head[index];
        }
        if (bytes - used - head_bytes < length) break;
        receive_frame(connection, head[0] & 15, data + used + head_bytes, length, mode);
        used += head_bytes + length;
    }
    return used;
}

size_t http_answer(const char *data, size_t bytes, int *status) {
    const char *end = memmem(data, bytes, "\r\n\r\n", 4);
    if (end == NULL) return 0;
    *status = atoi(data + 9);
    size_t head = (size_t)(end + 4 - data), length = 0;
    for (const char *line = data; line < end; line++) {
        line = memchr(line, '\n', (size_t)(end - line));
        if (line == NULL) break;
        if ((line[1] | 32) == 'c' && strncasecmp(line + 1, "content-length:", 15) == 0) {
            length = (size_t)atoll(line + 16);
            break;
        }
    }
    return bytes - head >= length ? head + length : 0;
}
