// churn: opens and closes many HTTP connections, some at a time.
//
// Owns: one request per connection and the check of its answer. Every other connection asks the
// server to close first, so both sides get their share of TIME-WAIT.
//
// Usage: churn HOST PORT PATH COUNT PARALLEL    gcc -O2 -Wall -o churn churn.c
#define _GNU_SOURCE
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_OCTETS = 8192 };

struct conn {
    int fd, server_closes, got;
    char answer[ANSWER_OCTETS + 1];
};

static struct addrinfo *to;
static const char *host, *path;
static int epoll, opened, right, wrong;
static char first_problem[200];

static void problem(const char *what) {
    if (!wrong++) snprintf(first_problem, sizeof first_problem, "%s: %s", what, strerror(errno));
}

static void dial(struct conn *c) {
    c->fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0) { perror("socket"); exit(2); }
    c->server_closes = opened++ & 1;
    c->got = 0;
    if (connect(c->fd, to->ai_addr, to->ai_addrlen) && errno != EINPROGRESS) { perror("connect"); exit(2); }
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = c};
    epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
}

static int ask(struct conn *c) {
    char text[1024];
    int length = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", path, host,
                          c->server_closes ? "Connection: close\r\n" : "");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event);
    return write(c->fd, text, length) == length;
}

// 1 when the whole answer is there and right, 0 when more must come, -1 when it is wrong.
static int judge(struct conn *c) {
    c->answer[c->got] = 0;
    char *body = strstr(c->answer, "\r\n\r\n"), *length = strcasestr(c->answer, "\r\ncontent-length:");
    if (!body) return 0;
    if (strncmp(c->answer, "HTTP/1.1 200", 12) || !length || length > body) return -1;
    long missing = atol(length + 17) - (c->got - (body + 4 - c->answer));
    return missing > 0 ? 0 : missing < 0 ? -1 : 1;
}

// Whether the connection is at its end.
static int handle(struct conn *c, unsigned events) {
    if (events & EPOLLOUT) {
        if ((events & EPOLLERR) || !ask(c)) { problem("connecting"); return 1; }
        return 0;
    }
    ssize_t n = read(c->fd, c->answer + c->got, ANSWER_OCTETS - c->got);
    if (n < 0) {
        if (errno == EAGAIN) return 0;
        problem("reading");
        return 1;
    }
    c->got += n;
    errno = 0;
    int verdict = judge(c);
    if (verdict < 0) { problem("a wrong answer"); return 1; }
    if (n == 0) {
        if (verdict && c->server_closes) right++;
        else problem("the server closed early");
        return 1;
    }
    if (verdict && !c->server_closes) { right++; return 1; }
    return 0;
}

int main(int count, char **words) {
    if (count != 6) { fprintf(stderr, "usage: churn HOST PORT PATH COUNT PARALLEL\n"); return 2; }
    host = words[1];
    path = words[3];
    int total = atoi(words[4]), parallel = atoi(words[5]), live = 0;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    if (getaddrinfo(host, words[2], &hints, &to)) { fprintf(stderr, "not an address: %s\n", host); return 2; }
    epoll = epoll_create1(0);
    struct conn *table = calloc(parallel, sizeof *table);
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (; live < parallel && opened < total; live++) dial(&table[live]);
    struct epoll_event events[256];
    while (live > 0) {
        int n = epoll_wait(epoll, events, 256, 10000);
        if (n <= 0) {
            printf("nothing happened for 10 s with %d connections open, %d right\n", live, right);
            return 1;
        }
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (!handle(c, events[i].events)) continue;
            close(c->fd);
            if (opened < total) dial(c);
            else live--;
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &b);
    double seconds = b.tv_sec - a.tv_sec + (b.tv_nsec - a.tv_nsec) * 1e-9;
    if (wrong) printf("first problem: %s\n", first_problem);
    printf("%d connections, %d right, %d wrong, %.0f per second\n", total, right, wrong, total / seconds);
    return wrong || right != total;
}
