// floor: the least that can stand between a client and a server. It marks the floor below
// which no proxy can go: one thread, edge-triggered epoll, bytes from one socket to the
// other, not a look at them, one upstream connection for each client's.
//
//   floor LISTEN_PORT DEST_PORT copy|splice WORKERS
//
// copy moves bytes through one buffer, splice through a kernel pipe. With more than one
// worker each has a listener of its own (SO_REUSEPORT). Loopback only.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 256 << 10, PIPE = 1 << 20, BATCH = 256 };

// One direction: from one end's socket to the other's.
struct way {
  char *held;            // copy: bytes the destination did not take yet
  size_t n, off;         // splice: n bytes are in the pipe
  int pipe[2], eof, end; // end: the FIN was passed on
};
struct end {
  int fd;
  struct end *other;
  struct way out; // what was read here and goes to other
  struct pair *pair;
};
struct pair {
  struct end a, b;
  struct pair *next_dead;
  int dead;
};

static char buffer[BUFFER];
static int ep, splicing;
static struct pair *dead;

static void way_free(struct way *w) {
  free(w->held);
  if (w->pipe[1]) close(w->pipe[0]), close(w->pipe[1]);
}

// The memory stays until the batch is through: a later event may still point at it.
static void pair_end(struct pair *p) {
  if (p->dead) return;
  p->dead = 1;
  close(p->a.fd), close(p->b.fd);
  way_free(&p->a.out), way_free(&p->b.out);
  p->next_dead = dead, dead = p;
}

// Passes the FIN on once nothing is held. -1: both ways have ended.
static int finish(struct end *e) {
  struct way *w = &e->out;
  if (!w->eof || w->n || w->end) return 0;
  w->end = 1;
  shutdown(e->other->fd, SHUT_WR);
  return e->other->out.end ? -1 : 0;
}

static int move_splice(struct end *e) {
  struct way *w = &e->out;
  if (!w->pipe[1]) {
    if (pipe2(w->pipe, O_NONBLOCK | O_CLOEXEC)) return -1;
    fcntl(w->pipe[1], F_SETPIPE_SZ, PIPE);
  }
  for (;;) {
    if (!w->n) {
      if (w->eof) return finish(e);
      ssize_t r = splice(e->fd, 0, w->pipe[1], 0, PIPE, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
      if (r < 0) return errno == EAGAIN ? 0 : -1;
      if (r == 0) w->eof = 1;
      w->n = r;
      continue;
    }
    ssize_t s = splice(w->pipe[0], 0, e->other->fd, 0, w->n, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    if (s < 0) return errno == EAGAIN ? 0 : -1;
    w->n -= s;
  }
}

static int move_copy(struct end *e, int hup) {
  struct way *w = &e->out;
  for (;;) {
    if (w->n) {
      ssize_t s = write(e->other->fd, w->held + w->off, w->n);
      if (s < 0) return errno == EAGAIN ? 0 : -1;
      w->off += s, w->n -= s;
      if (w->n) return 0;
    }
    if (w->eof) return finish(e);
    ssize_t r = read(e->fd, buffer, BUFFER);
    if (r < 0) return errno == EAGAIN ? 0 : -1;
    if (r == 0) {
      w->eof = 1;
      continue;
    }
    ssize_t s = write(e->other->fd, buffer, r);
    if (s < 0 && errno != EAGAIN) return -1;
    if (s < 0) s = 0;
    if (s < r) {
      if (!w->held && !(w->held = malloc(BUFFER))) return -1;
      memcpy(w->held, buffer + s, r - s);
      w->off = 0, w->n = r - s;
      return 0;
    }
    if (r < BUFFER && !hup) return 0; // a short read has drained it
  }
}

static int move(struct end *e, int hup) { return splicing ? move_splice(e) : move_copy(e, hup); }

static int stream_socket(void) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
  if (fd >= 0) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

static struct sockaddr_in loopback(int port) {
  return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void watch(struct end *e) {
  struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = e};
  epoll_ctl(ep, EPOLL_CTL_ADD, e->fd, &ev);
}

static void accept_some(int listener, struct sockaddr_in to) {
  for (int i = 0; i < 64; i++) {
    int fd = accept4(listener, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
    if (fd < 0) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    int up = stream_socket();
    struct pair *p = up < 0 ? 0 : calloc(1, sizeof *p);
    if (!p || (connect(up, (void *)&to, sizeof to) && errno != EINPROGRESS)) {
      free(p), close(fd), up >= 0 && close(up);
      continue;
    }
    p->a = (struct end){.fd = fd, .other = &p->b, .pair = p};
    p->b = (struct end){.fd = up, .other = &p->a, .pair = p};
    watch(&p->a), watch(&p->b);
  }
}

static void handle(struct end *e, unsigned events) {
  if (e->pair->dead) return;
  int hup = events & (EPOLLRDHUP | EPOLLHUP), bad = events & EPOLLERR;
  if (!bad && (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP))) bad = move(e, hup) < 0;
  if (!bad && (events & EPOLLOUT) && (e->other->out.n || e->other->out.eof)) bad = move(e->other, 1) < 0;
  if (bad) pair_end(e->pair);
}

static int serve(int port, int to) {
  int listener = stream_socket(), on = 1;
  struct sockaddr_in here = loopback(port);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  if (bind(listener, (void *)&here, sizeof here) || listen(listener, 16384)) {
    perror("floor: listen");
    return 1;
  }
  ep = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event ev = {.events = EPOLLIN}, batch[BATCH];
  epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev);
  for (;;) {
    int n = epoll_wait(ep, batch, BATCH, -1);
    for (int i = 0; i < n; i++) {
      if (batch[i].data.ptr) handle(batch[i].data.ptr, batch[i].events);
      else accept_some(listener, loopback(to));
    }
    for (struct pair *p; (p = dead);) dead = p->next_dead, free(p);
  }
}

int main(int argc, char **argv) {
  if (argc != 5) {
    fputs("usage: floor LISTEN_PORT DEST_PORT copy|splice WORKERS\n", stderr);
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  splicing = !strcmp(argv[3], "splice");
  for (int i = 1; i < atoi(argv[4]) && i < 64; i++) {
    if (fork() == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      break;
    }
  }
  return serve(atoi(argv[1]), atoi(argv[2]));
}
