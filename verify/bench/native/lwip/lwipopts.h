// lwIP for throughput on a host: no operating system below, the C library's memory for what varies in size,
// pools for what does not, window scaling, its fastest checksum in C, TIME-WAIT of a moment.
#ifndef LWIPOPTS_H
#define LWIPOPTS_H
#ifndef MSS
#define MSS 1460
#endif
#ifndef NPCB
#define NPCB 20100
#endif
#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_IPV6 0
#define LWIP_UDP 0
#define LWIP_ARP 0
#define LWIP_ETHERNET 0
#define LWIP_DHCP 0
#define LWIP_STATS 0
#define LWIP_NETIF_API 0
#define LWIP_HAVE_LOOPIF 0
#define LWIP_NETIF_LOOPBACK 0
#define LWIP_CHECKSUM_CTRL_PER_NETIF 1
#define LWIP_CHKSUM_ALGORITHM 3
#define LWIP_CHECKSUM_ON_COPY 1
#define MEM_ALIGNMENT 8
#define MEM_LIBC_MALLOC 1
#define MEMP_MEM_MALLOC 0
#define MEMP_NUM_TCP_PCB NPCB
#define MEMP_NUM_TCP_PCB_LISTEN 8
#define MEMP_NUM_TCP_SEG 65535
#define MEMP_NUM_PBUF 65535
#define PBUF_POOL_SIZE 2048
#define PBUF_POOL_BUFSIZE LWIP_MEM_ALIGN_SIZE(MSS + 120)
#define TCP_MSS MSS
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 4
#ifndef WND
#define WND (960 * 1024)
#endif
#define TCP_WND WND
#define TCP_SND_BUF WND
#define TCP_SND_QUEUELEN 8192
#define TCP_OVERSIZE TCP_MSS
#define TCP_QUEUE_OOSEQ 1
#define TCP_LISTEN_BACKLOG 0
#define TCP_MSL 1
#define TCP_TMR_INTERVAL 250
#define LWIP_TIMERS 1
#define TCP_SNDLOWAT 32768
#define LWIP_DISABLE_TCP_SANITY_CHECKS 1
#define TCP_SNDQUEUELOWAT 4096
#endif
