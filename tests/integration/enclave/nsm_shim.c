/*
 * Replaces /dev/nsm in a process that preloads this library: opening it connects to the
 * SOCK_SEQPACKET socket named by NSM_SHIM, and the NSM's ioctl sends the request there as one packet
 * and receives the answer as one. It rejects what the driver rejects and, like the driver, silently
 * truncates an answer that does not fit into the response buffer (N-1).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define NSM_IOCTL 0xC0200A00u
#define NSM_REQUEST_MAX 0x1000u

struct nsm_raw {
    uint64_t request, request_len, response, response_len;
};

static int device = -1;

static int open_device(void)
{
    struct sockaddr_un peer = {.sun_family = AF_UNIX};
    const char *path = getenv("NSM_SHIM");
    if (path == NULL || strlen(path) >= sizeof peer.sun_path) {
        errno = ENOENT;
        return -1;
    }
    strcpy(peer.sun_path, path);
    device = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (device >= 0 && connect(device, (struct sockaddr *)&peer, sizeof peer) != 0) {
        close(device);
        device = -1;
        errno = ENOENT;
    }
    return device;
}

#define DEFINE_OPEN(name)                                                        \
    int name(const char *path, int flags, ...)                                   \
    {                                                                            \
        int (*next)(const char *, int, mode_t);                                  \
        mode_t mode = 0;                                                         \
        va_list rest;                                                            \
        if (strcmp(path, "/dev/nsm") == 0)                                       \
            return open_device();                                                \
        va_start(rest, flags);                                                   \
        if (flags & (O_CREAT | O_TMPFILE))                                       \
            mode = (mode_t)va_arg(rest, int);                                    \
        va_end(rest);                                                            \
        *(void **)&next = dlsym(RTLD_NEXT, #name);                               \
        return next(path, flags, mode);                                          \
    }

DEFINE_OPEN(open)
DEFINE_OPEN(open64)

int ioctl(int fd, unsigned long command, ...)
{
    int (*next)(int, unsigned long, void *);
    struct nsm_raw *raw;
    ssize_t length;
    va_list rest;
    va_start(rest, command);
    raw = va_arg(rest, void *);
    va_end(rest);
    if (fd != device || device < 0) {
        *(void **)&next = dlsym(RTLD_NEXT, "ioctl");
        return next(fd, command, raw);
    }
    if ((uint32_t)command != NSM_IOCTL) {
        errno = EINVAL;
        return -1;
    }
    if (raw->request_len > NSM_REQUEST_MAX) {
        errno = EMSGSIZE;
        return -1;
    }
    if (send(fd, (void *)(uintptr_t)raw->request, raw->request_len, MSG_NOSIGNAL) < 0
        || (length = recv(fd, (void *)(uintptr_t)raw->response, raw->response_len, 0)) <= 0) {
        errno = ETIMEDOUT;
        return -1;
    }
    raw->response_len = (uint64_t)length;
    return 0;
}
