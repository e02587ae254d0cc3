// kbench: a tight epoll load generator and server over the kernel's sockets.
//
// Owns: the four workloads, their latency histogram, and what each side cost.
// Must not know: whose stack the other side is; --role client drives any server of the protocol:
//   bulk 5001 (server discards)   bulkrx 5002 (server sends)   rr 5003 (echo)   short 5004 (echo, close)
//
// Each side is a forked process of one thread, pinned and in its own namespace if asked. The parent
// opens the measured window by a word in shared memory; each side takes a snapshot of itself when it
// sees the word change. Prints one line of key=value. Exits with another code than 0, and one line on
// stderr, when a side died or an answer was wrong.
//
// gcc -O2 -Wall -o kbench kbench.c
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/perf_event.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum mode { BULK, BULKRX, RR, SHORT, MODES };
static const char *const mode_names[MODES] = {"bulk", "bulkrx", "rr", "short"};

enum phase { SETUP, WARM, MEASURE, STOP };
enum { BUCKETS = 2048, EVENTS = 1024, DIAL_BATCH = 128, HEAD = 16 };

// One side at one moment.
struct snapshot {
    double time, user, system;
    uint64_t ops, bytes, acked, calls, errors;
    long switches;
};

struct side {
    struct snapshot at[2];
    volatile int ready, done;
};

struct shared {
    volatile int phase;
    struct side server, client;
    uint64_t histogram[BUCKETS];
};

static struct shared *shared;
static enum mode mode = RR;
static int conns = 1, port = 5003, message = 64, buffer_octets = 131072;
static int server_cpu = -1, client_cpu = -1, with_server = 1, with_client = 1, peer_pid, count_calls;
static double seconds = 5, warm_seconds = 1, wait_seconds;
static const char *address = "127.0.0.1", *server_ns, *client_ns, *control;

static struct snapshot mine;  // this process's counts
static int shots;             // snapshots taken so far
static char *buffer;   // for bulk writes and all reads
static char *request;  // the message, its head rewritten for each

static void die(const char *what) { fprintf(stderr, "kbench: %s: %s\n", what, strerror(errno)); exit(1); }
static void die_plain(const char *what) { fprintf(stderr, "kbench: %s\n", what); exit(1); }

static uint64_t nanos(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static double timeval(struct timeval t) { return t.tv_sec + t.tv_usec * 1e-6; }

// --- Setting up a side ------------------------------------------------------------------------

static void pin(int cpu) {
    if (cpu < 0) return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set)) die("pinning");
}

static void enter(const char *ns) {
    if (!ns) return;
    char path[256];
    snprintf(path, sizeof path, "/var/run/netns/%s", ns);
    int fd = open(path, O_RDONLY);
    if (fd < 0) die(path);
    if (setns(fd, CLONE_NEWNET)) die("setns");
    close(fd);
}

// A listener's settings pass on to what it accepts.
static void set_up_stream(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    int room = 2 * message;  // a large message is written at once, as a small one is
    if (message > 4096) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    if (control && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, control, strlen(control))) die(control);
}

static void watch(int ep, int op, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    if (epoll_ctl(ep, op, fd, &event)) die("epoll_ctl");
}

static int socket_error(int fd) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    return error;
}

static uint64_t acknowledged(void);

static void take(struct snapshot *into) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    if (mode == BULK) mine.acked = acknowledged();
    *into = mine;
    into->time = nanos() * 1e-9;
    into->user = timeval(usage.ru_utime);
    into->system = timeval(usage.ru_stime);
    into->switches = usage.ru_nvcsw + usage.ru_nivcsw;
}

// Takes the snapshots at the window's two ends. Returns whether to go on.
static int go_on(struct side *side) {
    int phase = shared->phase;
    if (phase >= MEASURE && shots == 0) take(&side->at[shots++]);
    if (phase >= STOP && shots == 1) { take(&side->at[shots++]); side->done = 1; }
    return shots < 2;
}

// --- The server ---------------------------------------------------------------------------------

static void serve_one(int fd) {
    mine.calls++;
    if (mode == BULKRX) {
        ssize_t n = write(fd, buffer, buffer_octets);
        if (n > 0) mine.bytes += n;
        else if (errno != EAGAIN) close(fd);
        return;
    }
    ssize_t n = read(fd, buffer, buffer_octets);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) { mine.calls++; close(fd); return; }
    mine.bytes += n;
    if (mode == BULK) return;
    mine.calls++;
    if (write(fd, buffer, n) != n) mine.errors++;
    mine.ops++;
    if (mode == SHORT) { mine.calls++; close(fd); }
}

static void server(void) {
    enter(server_ns);
    pin(server_cpu);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    set_up_stream(listener);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (bind(listener, (void *)&at, sizeof at)) die("bind");
    if (listen(listener, 65535)) die("listen");
    int ep = epoll_create1(0);
    watch(ep, EPOLL_CTL_ADD, listener, EPOLLIN, listener);
    struct epoll_event events[EVENTS];
    shared->server.ready = 1;
    while (go_on(&shared->server)) {
        mine.calls++;
        int n = epoll_wait(ep, events, EVENTS, 50);
        for (int i = 0; i < n; i++) {
            int fd = (int)events[i].data.u64;
            if (fd != listener) { serve_one(fd); continue; }
            for (;;) {
                mine.calls++;
                int conn = accept4(listener, 0, 0, SOCK_NONBLOCK);
                if (conn < 0) break;
                mine.calls++;
                watch(ep, EPOLL_CTL_ADD, conn, mode == BULKRX ? EPOLLOUT : EPOLLIN, conn);
            }
        }
    }
    pause();
}

// --- The client ---------------------------------------------------------------------------------

struct conn { int fd, got; uint64_t since; };
static struct conn *table;
static int epoll;

// Octets of bulk that the other side has acknowledged: what a foreign server received.
static uint64_t acknowledged(void) {
    uint64_t sum = 0;
    for (int i = 0; table && i < conns; i++) {
        struct tcp_info info = {0};
        socklen_t size = sizeof info;
        if (!getsockopt(table[i].fd, IPPROTO_TCP, TCP_INFO, &info, &size)) sum += info.tcpi_bytes_acked;
    }
    return sum;
}

static int dial(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0) die("socket");
    mine.calls += 2;
    if (mode != SHORT) { set_up_stream(fd); mine.calls++; }
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = inet_addr(address);
    if (connect(fd, (void *)&to, sizeof to) && errno != EINPROGRESS) die("connect");
    return fd;
}

// Waits until somebody accepts at the address: the server may still be starting.
static void await_server(void) {
    for (uint64_t end = nanos() + (uint64_t)(wait_seconds * 1e9);;) {
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
        to.sin_addr.s_addr = inet_addr(address);
        struct timeval patience = {.tv_usec = 300000};
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        int refused = connect(fd, (void *)&to, sizeof to);
        close(fd);
        if (!refused) return;
        if (nanos() > end) die_plain("nobody accepts at the address");
        char path[64], link[8];
        snprintf(path, sizeof path, "/proc/%d/exe", peer_pid);  // a zombie has none
        if (peer_pid && readlink(path, link, sizeof link) < 0) die_plain("the server ended");
        usleep(10000);
    }
}

static void count_latency(uint64_t value) {  // log-linear, 32 buckets an octave
    int index = value;
    if (value >= 32) {
        int exponent = 63 - __builtin_clzll(value);
        index = (exponent - 4) * 32 + ((value >> (exponent - 5)) & 31);
    }
    shared->histogram[index >= BUCKETS ? BUCKETS - 1 : index]++;
}

static double percentile(double part) {  // microseconds
    uint64_t total = 0, sum = 0;
    for (int i = 0; i < BUCKETS; i++) total += shared->histogram[i];
    for (int i = 0; i < BUCKETS && total; i++) {
        sum += shared->histogram[i];
        if (sum < part * total) continue;
        if (i < 32) return i / 1e3;
        int exponent = i / 32 + 4;
        return ((1ull << exponent) + ((uint64_t)(i % 32) << (exponent - 5))) / 1e3;
    }
    return 0;
}

// A message says whose it is and when it was sent, so that a wrong answer is seen.
static void compose(int i) {
    uint64_t head[2] = {table[i].since, (uint64_t)i};
    memcpy(request, head, HEAD);
}

static int ask(int i) {
    compose(i);
    mine.calls++;
    table[i].got = 0;
    return write(table[i].fd, request, message) == message;
}

// Whether the octets just read at `buffer` continue the answer rightly.
static int right(int i, ssize_t n) {
    if (table[i].got + n > message) return 0;
    compose(i);
    return !memcmp(request + table[i].got, buffer, n);
}

// One operation ended. `since` is still its start.
static void answered(int i) {
    uint64_t now = nanos();
    if (shared->phase == MEASURE) count_latency(now - table[i].since);
    mine.ops++;
    table[i].since = now;
}

static void dial_short(int i) {
    table[i].since = nanos();
    table[i].got = 0;
    table[i].fd = dial();
    watch(epoll, EPOLL_CTL_ADD, table[i].fd, EPOLLOUT, i);
    mine.calls++;
}

static void redial(int i, int failed) {
    if (failed) mine.errors++;
    else answered(i);
    close(table[i].fd);
    mine.calls++;
    dial_short(i);
}

static void on_short(int i, uint32_t events) {
    if (events & EPOLLERR) { redial(i, 1); return; }
    if (events & EPOLLOUT) {
        if (!ask(i)) { redial(i, 1); return; }
        watch(epoll, EPOLL_CTL_MOD, table[i].fd, EPOLLIN, i);
        mine.calls++;
        return;
    }
    mine.calls++;
    ssize_t n = read(table[i].fd, buffer, buffer_octets);
    if (n < 0 && errno == EAGAIN) return;
    if (n == 0) { redial(i, table[i].got != message); return; }
    if (n < 0 || !right(i, n)) { redial(i, 1); return; }
    table[i].got += n;
    mine.bytes += n;
}

static void on_stream(int i) {
    mine.calls++;
    int fd = table[i].fd;
    if (mode == BULK) {
        ssize_t n = write(fd, buffer, buffer_octets);
        if (n > 0) mine.bytes += n;
        else if (errno != EAGAIN) die("writing");
        return;
    }
    ssize_t n = read(fd, buffer, buffer_octets);
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) die("reading");
    if (n == 0) die_plain("the peer closed");
    mine.bytes += n;
    if (mode == BULKRX) return;
    if (!right(i, n)) die_plain("a wrong answer");
    table[i].got += n;
    if (table[i].got < message) return;
    answered(i);
    if (!ask(i)) die("writing a request");
}

// Dials all connections, some at a time, and waits until each is established.
static void establish(void) {
    struct epoll_event events[EVENTS];
    for (int first = 0; first < conns; first += DIAL_BATCH) {
        int end = first + DIAL_BATCH < conns ? first + DIAL_BATCH : conns;
        for (int i = first; i < end; i++) {
            table[i].fd = dial();
            watch(epoll, EPOLL_CTL_ADD, table[i].fd, EPOLLOUT, i);
        }
        for (int missing = end - first; missing > 0;) {
            int n = epoll_wait(epoll, events, EVENTS, 5000);
            if (n <= 0) die_plain("no answer to a SYN for 5 s");
            for (int k = 0; k < n; k++) {
                int i = events[k].data.u64;
                if ((errno = socket_error(table[i].fd))) die("connecting");
                watch(epoll, EPOLL_CTL_MOD, table[i].fd, 0, i);
                missing--;
            }
        }
    }
}

static void client(void) {
    enter(client_ns);
    pin(client_cpu);
    if (wait_seconds > 0) await_server();
    epoll = epoll_create1(0);
    table = calloc(conns, sizeof *table);
    if (mode == SHORT) {
        for (int i = 0; i < conns; i++) dial_short(i);
    } else {
        establish();
        for (int i = 0; i < conns; i++) {
            table[i].since = nanos();
            watch(epoll, EPOLL_CTL_MOD, table[i].fd, mode == BULK ? EPOLLOUT : EPOLLIN, i);
            if (mode == RR && !ask(i)) die("writing a request");
        }
    }
    struct epoll_event events[EVENTS];
    shared->client.ready = 1;
    while (go_on(&shared->client)) {
        mine.calls++;
        int n = epoll_wait(epoll, events, EVENTS, 50);
        for (int k = 0; k < n; k++) {
            int i = events[k].data.u64;
            if (mode == SHORT) on_short(i, events[k].events);
            else on_stream(i);
        }
    }
    pause();
}

// --- What the machine says ------------------------------------------------------------------------

// CPU seconds and context switches of all threads of a process that is not ours.
static void peer_usage(int pid, double *cpu, long *switches) {
    char path[300], line[256];
    *cpu = 0;
    *switches = 0;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    if (!tasks) die_plain("the server is gone");
    for (struct dirent *task; (task = readdir(tasks));) {
        if (task->d_name[0] == '.') continue;
        unsigned long long run = 0;
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", pid, task->d_name);
        FILE *file = fopen(path, "r");
        if (file && fscanf(file, "%llu", &run) == 1) *cpu += run * 1e-9;
        if (file) fclose(file);
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/status", pid, task->d_name);
        if (!(file = fopen(path, "r"))) continue;
        for (long n; fgets(line, sizeof line, file);) {
            if (sscanf(line, "voluntary_ctxt_switches: %ld", &n) == 1) *switches += n;
            if (sscanf(line, "nonvoluntary_ctxt_switches: %ld", &n) == 1) *switches += n;
        }
        fclose(file);
    }
    closedir(tasks);
}

// Counters of the system calls of each thread of a process; without tracefs there are none.
static int counters[64], counted;

static void start_counting(int pid) {
    int id = -1;
    FILE *file = fopen("/sys/kernel/tracing/events/raw_syscalls/sys_enter/id", "r");
    if (!file) file = fopen("/sys/kernel/debug/tracing/events/raw_syscalls/sys_enter/id", "r");
    if (!file || fscanf(file, "%d", &id) != 1) id = -1;
    if (file) fclose(file);
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = id < 0 ? 0 : opendir(path);
    struct perf_event_attr event = {.type = PERF_TYPE_TRACEPOINT, .size = sizeof event, .config = id};
    for (struct dirent *task; tasks && (task = readdir(tasks)) && counted < 64;) {
        if (task->d_name[0] == '.') continue;
        int fd = syscall(SYS_perf_event_open, &event, atoi(task->d_name), -1, -1, 0);
        if (fd >= 0) counters[counted++] = fd;
    }
    if (tasks) closedir(tasks);
}

static double calls_so_far(void) {
    double sum = 0;
    for (int i = 0; i < counted; i++) {
        uint64_t calls;
        if (read(counters[i], &calls, sizeof calls) == sizeof calls) sum += calls;
    }
    return sum;
}

static double machine_busy(void) {  // CPU seconds of all CPUs since boot
    double user, nice, system, idle, wait, irq, soft;
    FILE *file = fopen("/proc/stat", "r");
    if (!file) return 0;
    int n = fscanf(file, "cpu %lf %lf %lf %lf %lf %lf %lf", &user, &nice, &system, &idle, &wait, &irq, &soft);
    fclose(file);
    return n == 7 ? (user + nice + system + irq + soft) / sysconf(_SC_CLK_TCK) : 0;
}

// --- The parent -------------------------------------------------------------------------------------

static pid_t children[2];

static void end_children(void) {
    for (int i = 0; i < 2; i++)
        if (children[i] > 0) kill(children[i], SIGKILL);
    while (wait(0) > 0) {}
}

static void check_children(void) {
    for (int i = 0; i < 2; i++)
        if (children[i] > 0 && waitpid(children[i], 0, WNOHANG) == children[i]) {
            children[i] = 0;
            end_children();
            exit(1);  // the child said why
        }
}

static void start(int which, void (*side)(void), volatile int *ready) {
    if (!(children[which] = fork())) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        side();
        _exit(0);
    }
    while (!*ready) { usleep(1000); check_children(); }
}

static void pass(double time) {
    for (uint64_t end = nanos() + (uint64_t)(time * 1e9), now; (now = nanos()) < end;) {
        uint64_t left = (end - now) / 1000;
        usleep(left < 20000 ? left : 20000);
        check_children();
    }
}

static double cpu_between(const struct snapshot *at) {
    return at[1].user + at[1].system - at[0].user - at[0].system;
}

static void report(double busy, double peer_cpu, long peer_switches, double peer_calls) {
    const struct snapshot *s = shared->server.at, *c = shared->client.at, *far = with_client ? c : s;
    double time = far[1].time - far[0].time, bytes = c[1].bytes - c[0].bytes;
    if (mode == BULK) bytes = with_server ? s[1].bytes - s[0].bytes : c[1].acked - c[0].acked;
    double ops = far[1].ops - far[0].ops;
    double server_cpu_s = with_server ? cpu_between(s) : peer_cpu, client_cpu_s = cpu_between(c);
    long switches = with_server ? s[1].switches - s[0].switches : peer_switches;
    printf("mode=%s conns=%d seconds=%.4f bytes=%.0f ops=%.0f errors=%.0f ", mode_names[mode], conns, time,
           bytes, ops, (double)(c[1].errors - c[0].errors + s[1].errors - s[0].errors));
    printf("server_cpu=%.4f client_cpu=%.4f busy=%.3f server_switches=%ld client_calls=%.0f ", server_cpu_s,
           client_cpu_s, busy, switches, (double)(c[1].calls - c[0].calls));
    if (counted) printf("server_calls=%.0f ", peer_calls);
    else if (with_server) printf("server_calls=%.0f ", (double)(s[1].calls - s[0].calls));
    printf("p50=%.1f p99=%.1f p999=%.1f\n", percentile(.5), percentile(.99), percentile(.999));
}

static void options(int count, char **words) {
    enum { SNS = 256, CNS, SCPU, CCPU, ROLE, PEER, WARM_S, WAIT_S, MESSAGE, CONTROL, CALLS };
    static const struct option names[] = {
        {"mode", 1, 0, 'm'}, {"conns", 1, 0, 'n'}, {"secs", 1, 0, 't'}, {"port", 1, 0, 'p'},
        {"addr", 1, 0, 'a'}, {"buf", 1, 0, 'b'}, {"sns", 1, 0, SNS}, {"cns", 1, 0, CNS},
        {"scpu", 1, 0, SCPU}, {"ccpu", 1, 0, CCPU}, {"role", 1, 0, ROLE}, {"peer-pid", 1, 0, PEER},
        {"warm", 1, 0, WARM_S}, {"wait", 1, 0, WAIT_S}, {"msg", 1, 0, MESSAGE},
        {"cc", 1, 0, CONTROL}, {"count-calls", 0, 0, CALLS}, {0}};
    for (int o; (o = getopt_long(count, words, "m:n:t:p:a:b:", names, 0)) != -1;) switch (o) {
        case 'm':
            for (mode = 0; mode < MODES && strcmp(optarg, mode_names[mode]);) mode++;
            if (mode == MODES) die_plain("--mode is bulk, bulkrx, rr or short");
            break;
        case 'n': conns = atoi(optarg); break;
        case 't': seconds = atof(optarg); break;
        case 'p': port = atoi(optarg); break;
        case 'a': address = optarg; break;
        case 'b': buffer_octets = atoi(optarg); break;
        case SNS: server_ns = optarg; break;
        case CNS: client_ns = optarg; break;
        case SCPU: server_cpu = atoi(optarg); break;
        case CCPU: client_cpu = atoi(optarg); break;
        case ROLE: with_server = !!strcmp(optarg, "client"); with_client = !!strcmp(optarg, "server"); break;
        case PEER: peer_pid = atoi(optarg); break;
        case WARM_S: warm_seconds = atof(optarg); break;
        case WAIT_S: wait_seconds = atof(optarg); break;
        case CONTROL: control = optarg; break;
        case CALLS: count_calls = 1; break;
        case MESSAGE: message = atoi(optarg); break;
        default: exit(2);
    }
    if (message < HEAD || message > buffer_octets) die_plain("--msg is from 16 to --buf");
    if (conns < 1) die_plain("--conns is from 1");
}

int main(int count, char **words) {
    options(count, words);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    buffer = aligned_alloc(4096, (buffer_octets + 4095) & ~4095);
    shared = mmap(0, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    request = malloc(message);
    if (!buffer || !request || shared == MAP_FAILED) die("memory");
    memset(buffer, 'x', buffer_octets);
    for (int i = 0; i < message; i++) request[i] = (i * 0x9E3779B1u) >> 24;  // so that a moved octet is seen

    if (with_server) start(0, server, &shared->server.ready);
    if (with_client) start(1, client, &shared->client.ready);
    shared->phase = WARM;
    pass(warm_seconds);
    if (peer_pid && count_calls) start_counting(peer_pid);
    double cpu[2] = {0}, calls = 0;
    long switches[2] = {0};
    if (peer_pid) peer_usage(peer_pid, &cpu[0], &switches[0]);
    calls = calls_so_far();
    double busy = machine_busy();
    shared->phase = MEASURE;
    pass(seconds);
    if (peer_pid) peer_usage(peer_pid, &cpu[1], &switches[1]);
    busy = machine_busy() - busy;
    calls = calls_so_far() - calls;
    shared->phase = STOP;
    for (int i = 0; i < 3000; i++) {
        if ((!with_server || shared->server.done) && (!with_client || shared->client.done)) {
            report(busy, cpu[1] - cpu[0], switches[1] - switches[0], calls);
            end_children();
            return 0;
        }
        usleep(1000);
        check_children();
    }
    end_children();
    die_plain("a side did not stop");
}
