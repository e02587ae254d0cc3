// lwbench: lwIP doing what usertcp is measured with (raw API, no operating system, one thread).
//
// Owns: both applications in memory, the four services of kbench's protocol on a TUN device.
// Must not know: what it is compared with.
//
//   lwbench memory bulk|echo|short CONNECTIONS SECONDS
//   lwbench tun DEVICE MTU     5001 reads, 5002 writes, 5003 echoes, 5004 echoes and closes
//
// Built by build.sh. Prints one line of name=value.
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include "lwip/init.h"
#include "lwip/ip.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"
#include "lwip/timeouts.h"

enum load { BULK, ECHO, SHORT };
enum { SINK = 5001, SOURCE, ECHOING, ONCE };
enum { MESSAGE = 64, BUFFER = 65536, WIRE = 65536, BATCH = 64, TUN_BATCH = 256 };

static enum load load;
static char data[BUFFER], taken[BUFFER];
static uint64_t octets, messages, packets, opened;

static uint64_t nanos(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

u32_t sys_now(void) { return nanos() / 1000000; }

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

static void fail(const char *what) { fprintf(stderr, "lwbench: %s\n", what); exit(1); }

// --- What both applications do ---------------------------------------------------------------------

static void fill(struct tcp_pcb *pcb) {
    for (;;) {
        u32_t room = tcp_sndbuf(pcb);
        if (room > 32768) room = 32768;
        if (room == 0 || tcp_sndqueuelen(pcb) > TCP_SND_QUEUELEN - 64) break;
        if (tcp_write(pcb, data, room, TCP_WRITE_FLAG_COPY) != ERR_OK) break;
    }
    tcp_output(pcb);
}

static err_t on_room(void *arg, struct tcp_pcb *pcb, u16_t length) { fill(pcb); return ERR_OK; }

// A read: what arrived is done with.
static int done(struct tcp_pcb *pcb, struct pbuf *buffer) {
    int length = buffer->tot_len;
    tcp_recved(pcb, length);
    pbuf_free(buffer);
    octets += length;
    return length;
}

// A read where every octet is copied out.
static int take(struct tcp_pcb *pcb, struct pbuf *buffer) {
    pbuf_copy_partial(buffer, taken, buffer->tot_len, 0);
    return done(pcb, buffer);
}

// --- The server -------------------------------------------------------------------------------------

static err_t on_sink(void *arg, struct tcp_pcb *pcb, struct pbuf *buffer, err_t error) {
    if (buffer) take(pcb, buffer);
    else tcp_close(pcb);
    return ERR_OK;
}

static err_t on_source(void *arg, struct tcp_pcb *pcb, struct pbuf *buffer, err_t error) {
    if (buffer) { take(pcb, buffer); return ERR_OK; }
    tcp_sent(pcb, NULL);
    tcp_abort(pcb);
    return ERR_ABRT;
}

static err_t on_echo(void *arg, struct tcp_pcb *pcb, struct pbuf *buffer, err_t error) {
    if (!buffer) { tcp_close(pcb); return ERR_OK; }
    int closing = (intptr_t)arg == ONCE;
    // From where it lies.
    for (struct pbuf *piece = buffer; piece; piece = piece->next)
        tcp_write(pcb, piece->payload, piece->len, TCP_WRITE_FLAG_COPY);
    done(pcb, buffer);
    if (closing) tcp_close(pcb);
    else tcp_output(pcb);
    return ERR_OK;
}

static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t error) {
    if (error != ERR_OK || !pcb) return ERR_VAL;
    tcp_nagle_disable(pcb);
    tcp_arg(pcb, arg);
    switch ((intptr_t)arg) {
        case SINK: tcp_recv(pcb, on_sink); break;
        case SOURCE: tcp_recv(pcb, on_source); tcp_sent(pcb, on_room); fill(pcb); break;
        default: tcp_recv(pcb, on_echo);
    }
    return ERR_OK;
}

static void serve(int port) {
    struct tcp_pcb *pcb = tcp_new();
    if (!pcb || tcp_bind(pcb, IP_ADDR_ANY, port) != ERR_OK) fail("a port cannot be bound");
    pcb = tcp_listen(pcb);
    tcp_arg(pcb, (void *)(intptr_t)port);
    tcp_accept(pcb, on_accept);
}

// --- The client, in memory --------------------------------------------------------------------------

static void dial(void);

static void ask(struct tcp_pcb *pcb) {
    tcp_write(pcb, data, MESSAGE, TCP_WRITE_FLAG_COPY);
    tcp_output(pcb);
}

static err_t on_answer(void *arg, struct tcp_pcb *pcb, struct pbuf *buffer, err_t error) {
    if (buffer) {
        octets -= done(pcb, buffer);  // it is the server's octets that are counted
        if (load == ECHO) { messages++; ask(pcb); }
        return ERR_OK;
    }
    tcp_recv(pcb, NULL);
    tcp_err(pcb, NULL);
    tcp_close(pcb);
    if (load == SHORT) { messages++; dial(); }
    return ERR_OK;
}

static void on_error(void *arg, err_t error) {
    if (load != SHORT) fail("a connection ended");
    dial();
}

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t error) {
    opened++;
    if (load == BULK) fill(pcb);
    else ask(pcb);
    return ERR_OK;
}

static void dial(void) {
    struct tcp_pcb *pcb = tcp_new();
    if (!pcb) fail("no record for a connection");
    tcp_nagle_disable(pcb);
    tcp_recv(pcb, on_answer);
    tcp_err(pcb, on_error);
    if (load == BULK) tcp_sent(pcb, on_room);
    ip_addr_t address;
    IP_ADDR4(&address, 10, 8, 0, 2);
    int port = load == BULK ? SINK : load == ECHO ? ECHOING : ONCE;
    if (tcp_connect(pcb, &address, port, on_connected) != ERR_OK) fail("cannot connect");
}

// --- The link in memory: as lwIP's loopback, one copy of a packet, some packets at a time -------------

static struct pbuf *wire[WIRE];
static unsigned head, tail;

static err_t to_wire(struct netif *netif, struct pbuf *packet, const ip4_addr_t *destination) {
    if (tail - head >= WIRE - 1) return ERR_BUF;
    struct pbuf *copy = pbuf_alloc(PBUF_RAW, packet->tot_len, PBUF_RAM);
    if (!copy) return ERR_MEM;
    pbuf_copy(copy, packet);
    wire[tail++ % WIRE] = copy;
    packets++;
    return ERR_OK;
}

static void from_wire(struct netif *netif) {
    for (int i = 0; i < BATCH && head != tail; i++) {
        struct pbuf *packet = wire[head++ % WIRE];
        if (netif->input(packet, netif)) pbuf_free(packet);
    }
}

// --- The TUN device -----------------------------------------------------------------------------------

static int tun, tun_mtu;

static err_t to_tun(struct netif *netif, struct pbuf *packet, const ip4_addr_t *destination) {
    struct iovec part[64];
    int parts = 0;
    for (struct pbuf *at = packet; at && parts < 64; at = at->next)
        part[parts++] = (struct iovec){at->payload, at->len};
    return writev(tun, part, parts) < 0 ? ERR_BUF : ERR_OK;
}

static int from_tun(struct netif *netif) {
    int count = 0;
    for (; count < TUN_BATCH; count++) {
        struct pbuf *packet = pbuf_alloc(PBUF_RAW, tun_mtu, PBUF_POOL);
        if (!packet) break;
        ssize_t length = read(tun, packet->payload, tun_mtu);
        if (length <= 0) { pbuf_free(packet); break; }
        packet->len = packet->tot_len = length;
        if (netif->input(packet, netif)) pbuf_free(packet);
    }
    return count;
}

static void open_tun(const char *name) {
    struct ifreq request = {0};
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    if (tun < 0 || ioctl(tun, TUNSETIFF, &request)) fail("no TUN device");
}

// --- Running ------------------------------------------------------------------------------------------

static int mtu;
static err_t on_init(struct netif *netif) {
    netif->output = tun ? to_tun : to_wire;
    netif->mtu = mtu;
    netif->flags = NETIF_FLAG_UP | NETIF_FLAG_LINK_UP;
    return ERR_OK;
}

static void add_interface(struct netif *netif) {
    ip4_addr_t address, mask, gateway;
    IP4_ADDR(&address, 10, 8, 0, 2);
    IP4_ADDR(&mask, 255, 255, 255, 0);
    IP4_ADDR(&gateway, 10, 8, 0, 1);
    netif_add(netif, &address, &mask, &gateway, 0, on_init, ip_input);
    netif_set_default(netif);
    netif_set_up(netif);
}

static void run_for(struct netif *netif, double seconds) {
    uint64_t end = nanos() + (uint64_t)(seconds * 1e9);
    for (unsigned turn = 0;; turn++) {
        from_wire(netif);
        if (turn % 16 == 0) {
            sys_check_timeouts();
            if (nanos() >= end) break;
        }
    }
}

static void in_memory(struct netif *netif, unsigned connections, double seconds) {
    for (unsigned i = 0; i < connections; i++) {
        dial();
        if (i % 16 == 0) for (int k = 0; k < 4; k++) from_wire(netif);
    }
    for (int i = 0; i < 2000 && opened < connections; i++) from_wire(netif);
    if (opened < connections) fail("not all connections were opened");
    run_for(netif, seconds / 4);
    uint64_t octets_before = octets, messages_before = messages, packets_before = packets, began = nanos();
    double cpu = cpu_seconds();
    run_for(netif, seconds);
    cpu = cpu_seconds() - cpu;
    uint64_t done = octets - octets_before;
    printf("seconds=%.6f bytes=%lu ops=%lu server_cpu=%.6f packets=%lu\n", (nanos() - began) * 1e-9, done,
           load == BULK ? done / 1448 : messages - messages_before, cpu, packets - packets_before);
}

int main(int count, char **words) {
    srand(time(0));
    memset(data, 'x', sizeof data);
    lwip_init();
    for (int port = SINK; port <= ONCE; port++) serve(port);
    static struct netif netif = {.name = "be"};
    if (count == 4 && !strcmp(words[1], "tun")) {
        mtu = tun_mtu = atoi(words[3]);
        open_tun(words[2]);
        add_interface(&netif);
        for (;;) {
            int received = from_tun(&netif);
            sys_check_timeouts();
            if (!received) poll(&(struct pollfd){tun, POLLIN, 0}, 1, 50);
        }
    }
    if (count != 5 || strcmp(words[1], "memory")) fail("memory LOAD CONNECTIONS SECONDS, or tun DEVICE MTU");
    load = !strcmp(words[2], "bulk") ? BULK : !strcmp(words[2], "echo") ? ECHO : SHORT;
    mtu = TCP_MSS + 40;
    add_interface(&netif);
    in_memory(&netif, atoi(words[3]), atof(words[4]));
    return 0;
}
