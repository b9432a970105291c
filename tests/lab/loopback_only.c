/* adbd listens on every interface and on vsock. Loaded before libc, this keeps it on 127.0.0.1. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int bind(int socket, const struct sockaddr *address, socklen_t length) {
  struct sockaddr_storage loopback = {0};
  memcpy(&loopback, address, length < sizeof loopback ? length : sizeof loopback);
  if (address->sa_family == AF_INET) {
    ((struct sockaddr_in *)&loopback)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  } else if (address->sa_family == AF_INET6) {
    inet_pton(AF_INET6, "::ffff:127.0.0.1", &((struct sockaddr_in6 *)&loopback)->sin6_addr);
  } else if (address->sa_family != AF_UNIX) {
    errno = EACCES;
    return -1;
  }
  return syscall(SYS_bind, socket, &loopback, length);
}
