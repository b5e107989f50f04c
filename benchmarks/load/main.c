/* load fanout|acks|fetch|poll --port N --targets FILE …: drives a server and prints one line of JSON. See README.md. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "load.h"

struct options options = {
    .host = "127.0.0.1", .protocol = "plain", .in_flight = 1, .connecting_max = 128,
    .seconds = 5, .warm_up_s = 1, .drain_s = 10,
};

int main(int count, char **words) {
    if (count < 2) FAIL("load fanout|acks|fetch|poll --port N --targets FILE [--option value]…");
    for (int index = 2; index + 1 < count; index += 2) {
        const char *name = words[index], *value = words[index + 1];
        if (strcmp(name, "--port") == 0) options.port = atoi(value);
        else if (strcmp(name, "--host") == 0) options.host = value;
        else if (strcmp(name, "--targets") == 0) options.targets = value;
        else if (strcmp(name, "--protocol") == 0) options.protocol = value;
        else if (strcmp(name, "--ready") == 0) options.ready = value;
        else if (strcmp(name, "--in-flight") == 0) options.in_flight = (uint32_t)atoi(value);
        else if (strcmp(name, "--connecting") == 0) options.connecting_max = (uint32_t)atoi(value);
        else if (strcmp(name, "--pollers") == 0) options.pollers = (uint32_t)atoi(value);
        else if (strcmp(name, "--rate") == 0) options.rate = atof(value);
        else if (strcmp(name, "--seconds") == 0) options.seconds = atof(value);
        else if (strcmp(name, "--warm-up") == 0) options.warm_up_s = atof(value);
        else if (strcmp(name, "--drain") == 0) options.drain_s = atof(value);
        else if (strcmp(name, "--hold") == 0) options.hold_s = atof(value);
        else if (strcmp(name, "--pid") == 0) usage_watch((pid_t)atoi(value));
        else FAIL("unknown option %s", name);
    }
    if (options.port == 0 || options.targets == NULL) FAIL("--port and --targets are needed");
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (strcmp(words[1], "fanout") == 0) return run_fanout();
    if (strcmp(words[1], "acks") == 0) return run_acks();
    if (strcmp(words[1], "fetch") == 0) return run_fetch();
    if (strcmp(words[1], "poll") == 0) return run_poll();
    FAIL("unknown mode %s", words[1]);
}
