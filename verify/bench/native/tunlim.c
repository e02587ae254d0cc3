// tunlim: the least that can pass for TCP on a TUN device: what the device and its client allow.
//
// Owns: kbench's four services on 10.8.0.2, by packets that are right on a path that loses nothing.
// Must not know: congestion control, reordering, timers, addresses other than its own. It is no TCP.
//
//   tunlim DEVICE MTU vnet|plain     5001 reads, 5002 writes, 5003 echoes, 5004 echoes and closes
//
// `vnet`: headers for offload, so that packets are up to 64 KiB and checksums are the kernel's work.
// gcc -O2 -Wall -fno-strict-aliasing -o tunlim tunlim.c
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };
enum { SINK = 5001, SOURCE, ECHO, ECHO_CLOSE };
enum { IP_OCTETS = 20, TCP_OCTETS = 20, VNET_OCTETS = 10, BATCH = 64, WINDOW_SHIFT = 9 };
enum { MOST_IN_FLIGHT = 4 << 20, LARGEST = 65000 };

struct conn {
    uint32_t remote, receive_next, send_next, unacknowledged, window;
    uint16_t remote_port, local_port, mss;
    uint8_t shift, established, wants_ack, wants_to_send, duplicates;
};

static struct conn *by_port[65536];         // the client's
static struct conn *dirty[65536];           // have something to send at the end of a batch
static int dirty_count, tun, vnet, mtu;
static unsigned char *payload;              // what is sent

static uint16_t load16(const void *at) { uint16_t value; memcpy(&value, at, 2); return ntohs(value); }
static uint32_t load32(const void *at) { uint32_t value; memcpy(&value, at, 4); return ntohl(value); }
static void store16(void *at, uint16_t value) { value = htons(value); memcpy(at, &value, 2); }
static void store32(void *at, uint32_t value) { value = htonl(value); memcpy(at, &value, 4); }

// A ones' complement sum in the byte order of the machine, folded.
static uint32_t sum(const void *octets, int count, uint32_t start) {
    const uint16_t *words = octets;
    uint64_t total = start;
    for (int i = 0; i < count / 2; i++) total += words[i];
    if (count & 1) total += ((const uint8_t *)octets)[count - 1];
    while (total >> 16) total = (total & 0xffff) + (total >> 16);
    return total;
}

static void put_headers(unsigned char *packet, const struct conn *c, int flags, uint32_t seq, int octets,
                        int header) {
    memset(packet, 0, IP_OCTETS + TCP_OCTETS);
    packet[0] = 0x45;
    store16(packet + 2, IP_OCTETS + header + octets);
    packet[8] = 64;
    packet[9] = 6;
    memcpy(packet + 12, "\x0a\x08\x00\x02", 4);
    memcpy(packet + 16, &c->remote, 4);
    uint16_t checksum = ~sum(packet, IP_OCTETS, 0);
    memcpy(packet + 10, &checksum, 2);
    unsigned char *tcp = packet + IP_OCTETS;
    store16(tcp, c->local_port);
    store16(tcp + 2, c->remote_port);
    store32(tcp + 4, seq);
    store32(tcp + 8, c->receive_next);
    tcp[12] = header / 4 << 4;
    tcp[13] = flags;
    store16(tcp + 14, 0xffff);
}

static void transmit(struct conn *c, int flags, uint32_t seq, int octets, const void *options,
                     int option_octets) {
    unsigned char packet[IP_OCTETS + TCP_OCTETS + 40], *tcp = packet + IP_OCTETS;
    struct virtio_net_hdr offload = {0};
    int header = TCP_OCTETS + option_octets, parts = 0;
    put_headers(packet, c, flags, seq, octets, header);
    if (option_octets) memcpy(tcp + TCP_OCTETS, options, option_octets);
    uint16_t checksum = sum(packet + 12, 8, htons(6) + htons(header + octets));
    if (vnet && octets) {
        offload.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        offload.csum_start = IP_OCTETS;
        offload.csum_offset = 16;
        if (octets > c->mss) {
            offload.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
            offload.gso_size = c->mss;
            offload.hdr_len = IP_OCTETS + header;
        }
    } else {
        uint32_t all = sum(tcp, header, checksum);
        checksum = ~(octets ? sum(payload, octets, all) : all);
    }
    memcpy(tcp + 16, &checksum, 2);
    struct iovec part[3];
    if (vnet) part[parts++] = (struct iovec){&offload, VNET_OCTETS};
    part[parts++] = (struct iovec){packet, IP_OCTETS + header};
    if (octets) part[parts++] = (struct iovec){payload, octets};
    if (writev(tun, part, parts) < 0) { /* the device drops what it cannot take, as any does */ }
}

// Fills the window of a connection that is sent to without end.
static void fill(struct conn *c) {
    uint32_t most = vnet ? LARGEST / c->mss * c->mss : c->mss;
    uint32_t window = c->window > MOST_IN_FLIGHT ? MOST_IN_FLIGHT : c->window;
    while (c->established && c->local_port == SOURCE) {
        uint32_t flying = c->send_next - c->unacknowledged, octets = most;
        if (flying + octets > window) {
            if (flying || window < c->mss) break;
            octets = window;
        }
        transmit(c, ACK, c->send_next, octets, 0, 0);
        c->send_next += octets;
    }
}

static void answer_syn(const unsigned char *ip, const unsigned char *tcp, int header) {
    uint16_t port = load16(tcp);
    struct conn *c = by_port[port];
    if (!c) c = by_port[port] = malloc(sizeof *c);
    *c = (struct conn){.remote_port = port, .local_port = load16(tcp + 2), .mss = mtu - 40};
    memcpy(&c->remote, ip + 12, 4);
    c->receive_next = load32(tcp + 4) + 1;
    for (const unsigned char *option = tcp + TCP_OCTETS; option < tcp + header && *option;) {
        if (*option == 1) { option++; continue; }
        if (*option == 2 && load16(option + 2) < c->mss) c->mss = load16(option + 2);
        if (*option == 3) c->shift = option[2];
        if (option[1] < 2) break;
        option += option[1];
    }
    unsigned char options[8] = {2, 4, 0, 0, 3, 3, WINDOW_SHIFT, 0};
    store16(options + 2, mtu - 40);
    transmit(c, SYN | ACK, 0, 0, options, sizeof options);
    c->send_next = c->unacknowledged = 1;
}

static void remember(struct conn *c) {
    if (!c->wants_ack && !c->wants_to_send) dirty[dirty_count++] = c;
}

static void arrive(const unsigned char *ip, int length) {
    const unsigned char *tcp = ip + (ip[0] & 15) * 4;
    int header = (tcp[12] >> 4) * 4, flags = tcp[13], octets = load16(ip + 2) - (tcp - ip) - header;
    if (ip[0] >> 4 != 4 || ip[9] != 6 || octets < 0 || load16(ip + 2) > length) return;
    struct conn *c = by_port[load16(tcp)];
    if (flags & SYN) { answer_syn(ip, tcp, header); return; }
    if (!c) return;
    if (flags & RST) { c->established = 0; return; }
    uint32_t seq = load32(tcp + 4), ack = load32(tcp + 8);
    c->established = 1;
    c->window = (uint32_t)load16(tcp + 14) << c->shift;
    if ((int32_t)(ack - c->unacknowledged) > 0) {
        c->unacknowledged = ack;
        c->duplicates = 0;
    } else if (!octets && c->send_next != c->unacknowledged && ++c->duplicates == 3) {
        c->send_next = c->unacknowledged;  // the device was full after all: again from there
    }
    if (octets && c->local_port >= ECHO && seq == c->receive_next) {
        int last = c->local_port == ECHO_CLOSE;
        c->receive_next += octets;
        memcpy(payload, tcp + header, octets);
        transmit(c, ACK | PSH | (last ? FIN : 0), c->send_next, octets, 0, 0);
        c->send_next += octets + last;
    } else if (octets) {
        if (seq == c->receive_next) c->receive_next += octets;
        remember(c);
        c->wants_ack = 1;
    } else if (c->local_port == SOURCE) {
        remember(c);
        c->wants_to_send = 1;
    }
    if (flags & FIN) {
        if (seq + octets == c->receive_next) c->receive_next++;
        transmit(c, c->local_port == ECHO_CLOSE ? ACK : ACK | FIN, c->send_next, 0, 0, 0);
        c->established = 0;
    }
}

static void open_device(const char *name) {
    tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    struct ifreq request = {0};
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    request.ifr_flags = IFF_TUN | IFF_NO_PI | (vnet ? IFF_VNET_HDR : 0);
    if (tun < 0 || ioctl(tun, TUNSETIFF, &request)) { perror("tunlim: the device"); exit(1); }
    if (vnet && ioctl(tun, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4)) { perror("tunlim: offload"); exit(1); }
}

int main(int count, char **words) {
    if (count < 4) { fprintf(stderr, "tunlim DEVICE MTU vnet|plain\n"); return 2; }
    mtu = atoi(words[2]);
    vnet = !strcmp(words[3], "vnet");
    payload = calloc(1, 70000);
    open_device(words[1]);
    static unsigned char packet[70000];
    int before = vnet ? VNET_OCTETS : 0;
    for (;;) {
        int packets = 0;
        for (; packets < BATCH; packets++) {
            int length = read(tun, packet, sizeof packet) - before;
            if (length < IP_OCTETS) break;
            if (length >= IP_OCTETS + TCP_OCTETS) arrive(packet + before, length);
        }
        int now = dirty_count;
        dirty_count = 0;
        for (int i = 0; i < now; i++) {
            struct conn *c = dirty[i];
            if (c->wants_ack) transmit(c, ACK, c->send_next, 0, 0, 0);
            c->wants_ack = c->wants_to_send = 0;
            fill(c);
        }
        if (!packets) poll(&(struct pollfd){tun, POLLIN, 0}, 1, 100);
    }
}
