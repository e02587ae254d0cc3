/* A stand-in for the packetdrill program: it opens the shared object, uses its table, threads and
 * the end of a run in the way the program does. Usage: host SHIM.so SCENARIO v4|v6 [--local_ip=…]
 * Owns: packets of the peer, what is checked. Must not know: the shim's insides. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/uio.h>
#include <unistd.h>
#include <linux/sockios.h>

struct table {
    void *user;
    void (*free)(void *);
    int (*socket)(void *, int, int, int);
    int (*bind)(void *, int, const struct sockaddr *, socklen_t);
    int (*listen)(void *, int, int);
    int (*accept)(void *, int, struct sockaddr *, socklen_t *);
    int (*connect)(void *, int, const struct sockaddr *, socklen_t);
    ssize_t (*read)(void *, int, void *, size_t);
    ssize_t (*readv)(void *, int, const struct iovec *, int);
    ssize_t (*recv)(void *, int, void *, size_t, int);
    ssize_t (*recvfrom)(void *, int, void *, size_t, int, struct sockaddr *, socklen_t *);
    ssize_t (*recvmsg)(void *, int, struct msghdr *, int);
    ssize_t (*write)(void *, int, const void *, size_t);
    ssize_t (*writev)(void *, int, const struct iovec *, int);
    ssize_t (*send)(void *, int, const void *, size_t, int);
    ssize_t (*sendto)(void *, int, const void *, size_t, int, const struct sockaddr *, socklen_t);
    ssize_t (*sendmsg)(void *, int, const struct msghdr *, int);
    int (*fcntl)(void *, int, int, ...);
    int (*ioctl)(void *, int, unsigned long, ...);
    int (*close)(void *, int);
    int (*shutdown)(void *, int, int);
    int (*getsockopt)(void *, int, int, int, void *, socklen_t *);
    int (*setsockopt)(void *, int, int, int, const void *, socklen_t);
    int (*poll)(void *, struct pollfd *, nfds_t, int);
    int (*netdev_send)(void *, const void *, size_t);
    int (*netdev_receive)(void *, void *, size_t *, long long *);
    int (*usleep)(void *, useconds_t);
    int (*gettimeofday)(void *, struct timeval *, struct timezone *);
    int (*epoll_create)(void *, int);
    int (*epoll_ctl)(void *, int, int, int, struct epoll_event *);
    int (*epoll_wait)(void *, int, struct epoll_event *, int, int);
    int (*pipe)(void *, int[2]);
    int (*splice)(void *, int, loff_t *, int, loff_t *, size_t, unsigned);
};
_Static_assert(sizeof(struct table) == 264, "33 pointers");

static struct table shim;
static bool v6;
static const char *local_text, *remote_text;
static uint32_t ours; /* the stack's next number as the peer knows it, after its SYN */
static uint32_t theirs = 1000;
static uint16_t local_port = 8080, remote_port = 50001;
/* Held by the thread that does something, as the program does. */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static long long began;

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "line %d: %s (errno %d)\n", __LINE__, #what, errno);                   \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)
#define EQ(got, wanted)                                                                            \
    do {                                                                                           \
        long long got_ = (got), wanted_ = (wanted);                                                \
        if (got_ != wanted_) {                                                                     \
            fprintf(stderr, "line %d: %s is %lld, not %lld (errno %d)\n", __LINE__, #got, got_,    \
                    wanted_, errno);                                                               \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)
#define FAILS(call, number)                                                                        \
    do {                                                                                           \
        errno = 0;                                                                                 \
        EQ(call, -1);                                                                              \
        EQ(errno, number);                                                                         \
    } while (0)

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };

struct segment {
    int flags;
    uint32_t seq, ack;
    unsigned window, octets, options;
    long long at; /* since the beginning, microseconds */
};

static long long now(void)
{
    struct timeval time;
    EQ(shim.gettimeofday(shim.user, &time, NULL), 0);
    return time.tv_sec * 1000000ll + time.tv_usec - began;
}

/* Time passes without the lock, so that the other thread may come in. */
static void rest(useconds_t micros)
{
    pthread_mutex_unlock(&turn);
    EQ(shim.usleep(shim.user, micros), 0);
    pthread_mutex_lock(&turn);
}

static socklen_t endpoint(struct sockaddr_storage *out, const char *text, uint16_t port)
{
    memset(out, 0, sizeof *out);
    if (v6) {
        struct sockaddr_in6 *six = (void *)out;
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(port);
        CHECK(inet_pton(AF_INET6, text, &six->sin6_addr) == 1);
        return sizeof *six;
    }
    struct sockaddr_in *four = (void *)out;
    four->sin_family = AF_INET;
    four->sin_port = htons(port);
    CHECK(inet_pton(AF_INET, text, &four->sin_addr) == 1);
    return sizeof *four;
}

static uint32_t add(uint32_t sum, const uint8_t *octets, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sum += i % 2 ? octets[i] : octets[i] << 8;
    return sum;
}

static uint16_t folded(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xFFFF) + (sum >> 16);
    return ~sum;
}

static void put(uint8_t *at, uint32_t value, int octets)
{
    for (int i = octets - 1; i >= 0; i--, value >>= 8)
        at[i] = value;
}

static uint32_t get(const uint8_t *at, int octets)
{
    uint32_t value = 0;
    for (int i = 0; i < octets; i++)
        value = value << 8 | at[i];
    return value;
}

/* The peer sends; octets of the payload are zeros, as in every script. */
static void inject(int flags, uint32_t seq, uint32_t ack, unsigned window, unsigned octets)
{
    static uint8_t packet[65536];
    static const uint8_t options[8] = {2, 4, 1000 >> 8, 1000 & 255, 1, 3, 3, 7}; /* mss, wscale */
    unsigned head = v6 ? 40 : 20, extra = flags & SYN ? 8 : 0;
    unsigned tcp_octets = 20 + extra + octets;
    uint8_t *tcp = packet + head;
    memset(packet, 0, head + tcp_octets);
    if (v6) {
        packet[0] = 0x60;
        put(packet + 4, tcp_octets, 2);
        packet[6] = 6;
        packet[7] = 255;
        inet_pton(AF_INET6, remote_text, packet + 8);
        inet_pton(AF_INET6, local_text, packet + 24);
    } else {
        packet[0] = 0x45;
        put(packet + 2, head + tcp_octets, 2);
        packet[8] = 255;
        packet[9] = 6;
        inet_pton(AF_INET, remote_text, packet + 12);
        inet_pton(AF_INET, local_text, packet + 16);
        put(packet + 10, folded(add(0, packet, 20)), 2);
    }
    put(tcp, remote_port, 2);
    put(tcp + 2, local_port, 2);
    put(tcp + 4, seq, 4);
    put(tcp + 8, ack, 4);
    tcp[12] = (20 + extra) / 4 << 4;
    tcp[13] = flags;
    put(tcp + 14, window, 2);
    memcpy(tcp + 20, options, extra);
    uint32_t sum = add(6 + tcp_octets, packet + (v6 ? 8 : 12), v6 ? 32 : 8);
    put(tcp + 16, folded(add(sum, tcp, tcp_octets)), 2);
    EQ(shim.netdev_send(shim.user, packet, head + tcp_octets), 0);
}

/* The next packet of the stack; no octets: nothing will come. */
static struct segment sniff(void)
{
    uint8_t packet[65536];
    size_t octets = sizeof packet;
    long long at = 0;
    EQ(shim.netdev_receive(shim.user, packet, &octets, &at), 0);
    if (octets == 0)
        return (struct segment){.flags = -1};
    unsigned head = v6 ? 40 : 20;
    CHECK(packet[0] >> 4 == (v6 ? 6 : 4) && octets >= head + 20);
    uint8_t *tcp = packet + head;
    EQ(get(tcp, 2), local_port);
    EQ(get(tcp + 2, 2), remote_port);
    unsigned header = (tcp[12] >> 4) * 4;
    uint32_t sum = add(6 + (octets - head), packet + (v6 ? 8 : 12), v6 ? 32 : 8);
    EQ(folded(add(sum, tcp, octets - head)), 0);
    return (struct segment){
        .flags = tcp[13],
        .seq = get(tcp + 4, 4),
        .ack = get(tcp + 8, 4),
        .window = get(tcp + 14, 2),
        .octets = octets - head - header,
        .options = header - 20,
        .at = at - began,
    };
}

static struct segment expect(int flags, uint32_t seq, uint32_t ack, unsigned octets)
{
    struct segment got = sniff();
    EQ(got.flags, flags);
    EQ(got.seq, seq);
    if (flags & ACK)
        EQ(got.ack, ack);
    EQ(got.octets, octets);
    return got;
}

static int bound_listener(void)
{
    struct sockaddr_storage at;
    socklen_t octets = endpoint(&at, local_text, local_port);
    int fd = shim.socket(shim.user, v6 ? AF_INET6 : AF_INET, SOCK_STREAM, IPPROTO_TCP), yes = 1;
    CHECK(fd >= 0);
    EQ(shim.setsockopt(shim.user, fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes), 0);
    EQ(shim.bind(shim.user, fd, (void *)&at, octets), 0);
    EQ(shim.listen(shim.user, fd, 1), 0);
    return fd;
}

/* A passive open, up to the accepted socket. */
static int established(int *listener)
{
    *listener = bound_listener();
    rest(100000);
    inject(SYN, theirs, 0, 32792, 0);
    struct segment answer = sniff();
    EQ(answer.flags, SYN | ACK);
    EQ(answer.ack, theirs + 1);
    CHECK(answer.options >= 4);
    ours = answer.seq + 1;
    theirs++;
    rest(100000);
    inject(ACK, theirs, ours, 257, 0);
    struct sockaddr_storage peer, wanted;
    socklen_t octets = sizeof peer;
    int fd = shim.accept(shim.user, *listener, (void *)&peer, &octets);
    CHECK(fd >= 0 && fd != *listener);
    EQ(octets, endpoint(&wanted, remote_text, remote_port));
    EQ(memcmp(&peer, &wanted, octets), 0);
    return fd;
}

static int accepted(void)
{
    int listener;
    return established(&listener);
}

/* What the program's code snippets read, by the C library's name. */
static struct tcp_info info(int fd)
{
    union {
        struct tcp_info info;
        uint8_t room[280];
    } all;
    socklen_t octets = sizeof all.room;
    EQ(getsockopt(fd, IPPROTO_TCP, TCP_INFO, all.room, &octets), 0);
    EQ(octets, 280);
    return all.info;
}

/* ---- the second thread: calls that wait ---- */

struct waiting {
    long long (*call)(int);
    int fd;
    pid_t thread;
    long long result, ended;
    int error;
    bool done;
};

static void *second(void *given)
{
    struct waiting *one = given;
    pthread_mutex_lock(&turn);
    one->thread = syscall(SYS_gettid);
    pthread_mutex_unlock(&turn);
    errno = 0;
    one->result = one->call(one->fd);
    one->error = errno;
    one->ended = now(); /* before the lock, as the program does */
    pthread_mutex_lock(&turn);
    one->done = true;
    pthread_mutex_unlock(&turn);
    return NULL;
}

/* Starts a call, and returns when the system says that its thread sleeps. */
static pthread_t begin(struct waiting *one)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, second, one) == 0);
    for (int seen = 0; seen < 3;) {
        pthread_mutex_unlock(&turn);
        usleep(1000);
        pthread_mutex_lock(&turn);
        CHECK(!one->done);
        if (!one->thread)
            continue;
        char path[64], text[256] = "";
        snprintf(path, sizeof path, "/proc/self/task/%d/stat", one->thread);
        FILE *file = fopen(path, "r");
        CHECK(file && fgets(text, sizeof text, file));
        fclose(file);
        char *end = strrchr(text, ')');
        seen += end && end[2] == 'S';
    }
    return thread;
}

static void end(pthread_t thread)
{
    pthread_mutex_unlock(&turn);
    CHECK(pthread_join(thread, NULL) == 0);
    pthread_mutex_lock(&turn);
}

static long long do_read(int fd)
{
    char room[2000];
    return shim.read(shim.user, fd, room, sizeof room);
}

static long long do_connect(int fd)
{
    struct sockaddr_storage to;
    socklen_t octets = endpoint(&to, remote_text, remote_port);
    return shim.connect(shim.user, fd, (void *)&to, octets);
}

static long long do_accept(int fd)
{
    return shim.accept(shim.user, fd, NULL, NULL);
}

static long long do_poll(int fd)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    return shim.poll(shim.user, &one, 1, 500);
}

/* ---- scenarios ---- */

static int handshake(void)
{
    int listener, fd = established(&listener);
    EQ(info(fd).tcpi_state, TCP_ESTABLISHED);
    EQ(info(listener).tcpi_state, TCP_LISTEN);
    FAILS(shim.bind(shim.user, 9999, NULL, 0), EFAULT);
    FAILS(shim.listen(shim.user, 9999, 1), EBADF);
    EQ(shim.close(shim.user, listener), 0);
    FAILS(shim.close(shim.user, listener), EBADF);
    return fd;
}

static int read_write(void)
{
    int fd = accepted();
    char room[4000];
    memset(room, 0, sizeof room);
    EQ(shim.write(shim.user, fd, room, 1000), 1000);
    expect(PSH | ACK, ours, theirs, 1000);
    rest(100000);
    inject(ACK, theirs, ours + 1000, 257, 0);
    inject(PSH | ACK, theirs, ours + 1000, 257, 500);
    memset(room, 1, sizeof room);
    EQ(shim.read(shim.user, fd, room, sizeof room), 500);
    EQ(room[0] | room[499], 0);
    EQ(room[500], 1);
    expect(ACK, ours + 1000, theirs + 500, 0);
    EQ(shim.send(shim.user, fd, room, 10, MSG_NOSIGNAL), 10);
    struct segment got = sniff();
    EQ(got.octets, 10);
    FAILS(shim.recv(shim.user, fd, room, 10, MSG_DONTWAIT), EAGAIN);
    FAILS(shim.write(shim.user, fd, NULL, 10), EFAULT);
    theirs += 500;
    ours += 1010;
    return fd;
}

static int blocking_read(void)
{
    struct waiting one = {.call = do_read, .fd = accepted()};
    pthread_t thread = begin(&one);
    rest(100000);
    long long at = now();
    inject(PSH | ACK, theirs, ours, 257, 700);
    /* The clock runs on before the other thread can look at it. */
    rest(3000000);
    end(thread);
    EQ(one.result, 700);
    EQ(one.ended, at);
    theirs += 700;
    return one.fd;
}

static int blocking_accept(void)
{
    int listener = bound_listener();
    struct waiting one = {.call = do_accept, .fd = listener};
    pthread_t thread = begin(&one);
    inject(SYN, theirs++, 0, 32792, 0);
    ours = sniff().seq + 1;
    rest(50000);
    inject(ACK, theirs, ours, 257, 0);
    end(thread);
    CHECK(one.result >= 0);
    EQ(info(one.result).tcpi_state, TCP_ESTABLISHED);
    return one.result;
}

static int blocking_connect(void)
{
    remote_port = 8080;
    local_port = 40001;
    int fd = shim.socket(shim.user, v6 ? AF_INET6 : AF_INET, SOCK_STREAM, IPPROTO_TCP);
    struct waiting one = {.call = do_connect, .fd = fd};
    pthread_t thread = begin(&one);
    struct segment first = sniff();
    EQ(first.flags, SYN);
    ours = first.seq + 1;
    rest(50000);
    inject(SYN | ACK, theirs++, ours, 32792, 0);
    end(thread);
    EQ(one.result, 0);
    expect(ACK, ours, theirs, 0);
    FAILS(do_connect(fd), EISCONN);
    return fd;
}

static int connect_refused(void)
{
    remote_port = 8080;
    local_port = 40001;
    int fd = shim.socket(shim.user, v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK,
                         IPPROTO_TCP);
    FAILS(do_connect(fd), EINPROGRESS);
    ours = sniff().seq + 1;
    FAILS(do_connect(fd), EALREADY);
    inject(RST | ACK, 0, ours, 0, 0);
    int error = 0;
    socklen_t octets = sizeof error;
    EQ(shim.getsockopt(shim.user, fd, SOL_SOCKET, SO_ERROR, &error, &octets), 0);
    EQ(error, ECONNREFUSED);
    EQ(octets, sizeof error);
    return fd;
}

static int close_local_first(void)
{
    int fd = accepted();
    EQ(shim.shutdown(shim.user, fd, SHUT_WR), 0);
    expect(FIN | ACK, ours, theirs, 0);
    EQ(info(fd).tcpi_state, TCP_FIN_WAIT1);
    inject(ACK, theirs, ours + 1, 257, 0);
    EQ(info(fd).tcpi_state, TCP_FIN_WAIT2);
    inject(FIN | ACK, theirs, ours + 1, 257, 0);
    expect(ACK, ours + 1, theirs + 1, 0);
    EQ(shim.close(shim.user, fd), 0);
    FAILS(do_read(fd), EBADF);
    return -1;
}

static int close_remote_first(void)
{
    int fd = accepted();
    inject(FIN | ACK, theirs, ours, 257, 0);
    theirs++;
    EQ(do_read(fd), 0);
    EQ(info(fd).tcpi_state, TCP_CLOSE_WAIT);
    EQ(shim.close(shim.user, fd), 0);
    struct segment got = sniff();
    if (got.flags == ACK)
        got = sniff();
    EQ(got.flags, FIN | ACK);
    EQ(got.ack, theirs);
    inject(ACK, theirs, ours + 1, 257, 0);
    EQ(sniff().flags, -1); /* nothing will come */
    return -1;
}

static int reset(void)
{
    int fd = accepted();
    char room[10] = {0};
    inject(RST | ACK, theirs, ours, 0, 0);
    FAILS(do_read(fd), ECONNRESET);
    EQ(do_read(fd), 0);
    FAILS(shim.write(shim.user, fd, room, sizeof room), EPIPE);
    return fd;
}

static int polling(void)
{
    int listener, fd = established(&listener);
    struct pollfd two[] = {{.fd = listener, .events = POLLIN},
                           {.fd = fd, .events = POLLIN | POLLOUT},
                           {.fd = -1, .events = POLLIN}};
    EQ(shim.poll(shim.user, two, 3, 0), 1);
    EQ(two[0].revents, 0);
    EQ(two[1].revents, POLLOUT);
    inject(PSH | ACK, theirs, ours, 257, 100);
    EQ(shim.poll(shim.user, two, 3, 0), 1);
    EQ(two[1].revents, POLLIN | POLLOUT);
    EQ(do_read(fd), 100);
    theirs += 100;
    struct waiting one = {.call = do_poll, .fd = fd};
    pthread_t thread = begin(&one);
    long long at = now();
    rest(2000000);
    end(thread);
    EQ(one.result, 0);
    /* The waiting began a few readings of the clock before. */
    CHECK(one.ended <= at + 500000 && one.ended > at + 499000);
    struct pollfd none = {.fd = 9999, .events = POLLIN};
    EQ(shim.poll(shim.user, &none, 1, 0), 1);
    EQ(none.revents, POLLNVAL);
    return fd;
}

static int epolling(void)
{
    int fd = accepted(), set = shim.epoll_create(shim.user, 1);
    CHECK(set >= 0);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0x123456789abcull}, got[3];
    EQ(shim.epoll_ctl(shim.user, set, EPOLL_CTL_ADD, fd, &event), 0);
    FAILS(shim.epoll_ctl(shim.user, set, EPOLL_CTL_ADD, fd, &event), EEXIST);
    EQ(shim.epoll_wait(shim.user, set, got, 3, 0), 0);
    inject(PSH | ACK, theirs, ours, 257, 100);
    EQ(shim.epoll_wait(shim.user, set, got, 3, 0), 1);
    EQ(got[0].events, EPOLLIN);
    EQ(got[0].data.u64, 0x123456789abcull);
    EQ(shim.epoll_ctl(shim.user, set, EPOLL_CTL_DEL, fd, NULL), 0);
    EQ(shim.epoll_wait(shim.user, set, got, 3, 0), 0);
    EQ(shim.close(shim.user, set), 0);
    theirs += 100;
    return fd;
}

static int preloaded_getsockopt(void)
{
    int fd = accepted();
    struct tcp_info all = info(fd);
    EQ(all.tcpi_snd_cwnd, 10);
    EQ(all.tcpi_snd_mss, 1000);
    EQ(all.tcpi_snd_wscale, 7);
    EQ(all.tcpi_snd_ssthresh, INT32_MAX);
    CHECK(all.tcpi_rtt > 99000 && all.tcpi_rtt < 101000);
    /* Less room is filled only so far. */
    uint8_t room[8] = {0, 0, 0, 0, 0, 0, 0, 77};
    socklen_t octets = 7;
    EQ(getsockopt(fd, IPPROTO_TCP, TCP_INFO, room, &octets), 0);
    EQ(octets, 7);
    EQ(room[0], TCP_ESTABLISHED);
    EQ(room[7], 77);
    octets = sizeof room;
    EQ(getsockopt(fd, IPPROTO_TCP, TCP_CC_INFO, room, &octets), 0);
    EQ(octets, 0);
    /* A socket of the system's own still is. */
    int pair[2], kind = 0;
    EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    octets = sizeof kind;
    EQ(getsockopt(pair[0], SOL_SOCKET, SO_TYPE, &kind, &octets), 0);
    EQ(kind, SOCK_SEQPACKET);
    close(pair[0]);
    close(pair[1]);
    return fd;
}

static int variadics(void)
{
    int fd = accepted(), waiting = -1;
    EQ(shim.fcntl(shim.user, fd, F_GETFL), O_RDWR);
    EQ(shim.fcntl(shim.user, fd, F_SETFL, O_RDWR | O_NONBLOCK), 0);
    EQ(shim.fcntl(shim.user, fd, F_GETFL), O_RDWR | O_NONBLOCK);
    FAILS(do_read(fd), EAGAIN);
    inject(PSH | ACK, theirs, ours, 257, 100);
    EQ(shim.ioctl(shim.user, fd, SIOCINQ, &waiting), 0);
    EQ(waiting, 100);
    EQ(do_read(fd), 100);
    theirs += 100;
    return fd;
}

static int pipes(void)
{
    int fd = accepted(), ends[2] = {-1, -1};
    loff_t from = 0, to = 0;
    EQ(shim.pipe(shim.user, ends), 0);
    inject(PSH | ACK, theirs, ours, 257, 100);
    theirs += 100;
    expect(ACK, ours, theirs, 0);
    EQ(shim.splice(shim.user, fd, &from, ends[1], &to, 1000, 0), 100);
    EQ(shim.splice(shim.user, ends[0], &from, fd, &to, 60, 0), 60);
    expect(PSH | ACK, ours, theirs, 60);
    to = 5;
    FAILS(shim.splice(shim.user, ends[0], &from, fd, &to, 60, 0), ESPIPE);
    EQ(shim.close(shim.user, ends[0]), 0);
    EQ(shim.close(shim.user, ends[1]), 0);
    ours += 60;
    return fd;
}

static int virtual_clock(void)
{
    long long start = now();
    CHECK(now() > start);
    rest(110000000);
    CHECK(now() >= start + 110000000);
    int fd = accepted();
    char room[500] = {0};
    EQ(shim.write(shim.user, fd, room, sizeof room), (int)sizeof room);
    long long first = expect(PSH | ACK, ours, theirs, 500).at;
    /* Not acknowledged: it comes again, each time later; the wait for it is the clock's. */
    long long second = expect(PSH | ACK, ours, theirs, 500).at - first;
    long long third = expect(PSH | ACK, ours, theirs, 500).at - first - second;
    CHECK(second >= 200000 && second <= 500000 && third > second);
    CHECK(now() >= first + second + third);
    inject(ACK, theirs, ours + 500, 257, 0);
    EQ(sniff().flags, -1);
    ours += 500;
    return fd;
}

static int vectors(void)
{
    int fd = accepted();
    char one[300] = {0}, two[300] = {0};
    struct iovec both[] = {{one, 300}, {two, 200}};
    EQ(shim.writev(shim.user, fd, both, 2), 500);
    expect(PSH | ACK, ours, theirs, 500);
    inject(ACK, theirs, ours + 500, 257, 0);
    struct msghdr message = {.msg_iov = both, .msg_iovlen = 2};
    EQ(shim.sendmsg(shim.user, fd, &message, 0), 500);
    expect(PSH | ACK, ours + 500, theirs, 500);
    inject(PSH | ACK, theirs, ours + 1000, 257, 450);
    EQ(shim.readv(shim.user, fd, both, 1), 300);
    char control[64];
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    message.msg_flags = -1;
    EQ(shim.recvmsg(shim.user, fd, &message, 0), 150);
    EQ(message.msg_flags, 0);
    EQ(message.msg_controllen, 0);
    struct sockaddr_storage from;
    socklen_t octets = sizeof from;
    inject(PSH | ACK, theirs + 450, ours + 1000, 257, 50);
    EQ(shim.recvfrom(shim.user, fd, one, 300, 0, (void *)&from, &octets), 50);
    EQ(shim.sendto(shim.user, fd, one, 10, 0, NULL, 0), 10);
    theirs += 500;
    ours += 1010;
    return fd;
}

static int preloaded_rest(void)
{
    int fd = accepted();
    EQ(mlockall(MCL_CURRENT | MCL_FUTURE), 0);
    struct tms spent;
    clock_t before = times(&spent);
    EQ(times(&spent), before + 1);
    EQ(system("sysctl -q net.ipv4.tcp_timestamps=0"), 0);
    CHECK(system("reformat /dev/everything") != 0);
    EQ(system("true"), 0);
    CHECK(system(NULL) != 0);
    char name[] = "/tmp/usertcp-host-XXXXXX";
    int file = mkstemp(name);
    CHECK(file >= 0 && unlink(name) == 0 && ftruncate(file, 800) == 0);
    off_t at = 100;
    EQ(sendfile(fd, file, &at, 600), 600);
    EQ(at, 700);
    expect(PSH | ACK, ours, theirs, 600);
    inject(ACK, theirs, ours + 600, 257, 0);
    EQ(sendfile(fd, file, NULL, 1000), 800);
    expect(PSH | ACK, ours + 600, theirs, 800);
    EQ(lseek(file, 0, SEEK_CUR), 800);
    close(file);
    ours += 1400;
    return fd;
}

/* A number that the C library closed behind the stack's back is not ours any more. */
static int closed_behind(void)
{
    int listener, fd = established(&listener);
    EQ(close(fd), 0);
    FAILS(do_read(fd), EBADF);
    int file = open("/dev/zero", O_RDONLY);
    EQ(file, fd);
    FAILS(do_read(fd), EBADF);
    EQ(close(file), 0);
    int again = shim.socket(shim.user, v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
    EQ(again, fd);
    FAILS(do_read(again), ENOTCONN);
    return again;
}

static const struct scenario {
    const char *name;
    int (*run)(void);
} scenarios[] = {
    {"handshake", handshake},
    {"read_write", read_write},
    {"blocking_read", blocking_read},
    {"blocking_accept", blocking_accept},
    {"blocking_connect", blocking_connect},
    {"connect_refused", connect_refused},
    {"close_local_first", close_local_first},
    {"close_remote_first", close_remote_first},
    {"reset", reset},
    {"polling", polling},
    {"epolling", epolling},
    {"preloaded_getsockopt", preloaded_getsockopt},
    {"variadics", variadics},
    {"pipes", pipes},
    {"virtual_clock", virtual_clock},
    {"vectors", vectors},
    {"preloaded_rest", preloaded_rest},
    {"closed_behind", closed_behind},
};

static void run(const struct scenario *one, const char *object, const char *flags)
{
    void *handle = dlopen(object, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE | RTLD_DEEPBIND);
    if (!handle) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    void (*init)(const char *, struct table *) = dlsym(handle, "packetdrill_interface_init");
    CHECK(init != NULL);
    memset(&shim, 0, sizeof shim);
    init(flags, &shim);
    for (size_t i = 1; i < sizeof shim / sizeof(void *); i++)
        CHECK(((void **)&shim)[i] != NULL);
    pthread_mutex_lock(&turn);
    began = now();
    theirs = 1000;
    local_port = 8080;
    remote_port = 50001;
    int fd = one->run();
    /* The end of a run: what is open is closed by the C library, and each connection is reset. */
    if (fd >= 0)
        EQ(close(fd), 0);
    inject(RST | ACK, theirs, ours, 0, 0);
    shim.free(shim.user);
    pthread_mutex_unlock(&turn);
    EQ(dlclose(handle), 0);
}

int main(int count, char **words)
{
    CHECK(count >= 4);
    v6 = strcmp(words[3], "v6") == 0;
    local_text = v6 ? "fd3d:fa7b:d17d:77::5" : "192.168.77.5";
    remote_text = v6 ? "fd3d:fa7b:d17d:8888::1" : "192.0.2.1";
    if (strcmp(words[2], "init") == 0) {
        run(&scenarios[0], words[1], words[3]);
        return 0;
    }
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        if (strcmp(words[2], scenarios[i].name))
            continue;
        /* A setting that comes before the stack is there, then two scripts in a row. */
        EQ(system("./defaults.sh"), 0);
        run(&scenarios[i], words[1], v6 ? "v6" : NULL);
        run(&scenarios[i], words[1], "seed=5");
        return 0;
    }
    return 2;
}
