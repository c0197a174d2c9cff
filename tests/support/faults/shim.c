/* A library to be preloaded, by which one call of a process into the system fails.

   arm(call, at, number, path, how): of the calls of the kind `call` (a letter, or `*` for
   any of those that change files) whose path holds `path`, the one number `at`, counted from 1,
   fails with errno `number`; or as `how` says: 1: and all behind it; 2: though its work is done
   (of renames, syncs, folders, unlinks); 3: the process is killed before it. counted() tells
   how many there were. Nothing is armed at first. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char kind, place[PATH_MAX];
enum { ONCE, LASTING, LATE, KILLED };
static int when, fault, how;
static _Atomic int seen;

void arm(char call, int at, int number, const char *path, int as) {
    kind = call, when = at, fault = number, how = as, seen = 0;
    strncpy(place, path, sizeof place - 1);
}

int counted(void) { return seen; }

static int fails(char call, const char *path) {
    if (!*place || !(kind == call || (kind == '*' && call != 'r')) || !strstr(path, place))
        return 0;
    int now = ++seen;
    if (!when || (how == LASTING ? now < when : now != when))
        return 0;
    if (how == KILLED)
        kill(getpid(), SIGKILL);
    errno = fault;
    return 1;
}

static int fails_at(char call, int handle) {
    char link[32], path[PATH_MAX];
    int before = errno;
    if (!*place)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    ssize_t size = readlink(link, path, sizeof path - 1);
    errno = before;
    if (size < 0)
        return 0;
    path[size] = 0;
    return fails(call, path);
}

/* The function of the system behind one of ours. */
#define BEHIND(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* call: w write, s sync, m move, o open to write, f folder made, u unlink, c close, r read */
#define BY_HANDLE(call, type, name, parameters, ...)                                             \
    type name parameters {                                                                       \
        int failed = fails_at(call, handle);                                                     \
        type done = failed && !(how == LATE && call == 's') ? -1 : BEHIND(name)(__VA_ARGS__);    \
        return failed ? errno = fault, -1 : done;                                                \
    }

BY_HANDLE('w', ssize_t, write, (int handle, const void *data, size_t size), handle, data, size)
BY_HANDLE('w', ssize_t, pwrite, (int handle, const void *data, size_t size, off_t at), handle,
          data, size, at)
BY_HANDLE('w', ssize_t, pwrite64, (int handle, const void *data, size_t size, off64_t at), handle,
          data, size, at)
BY_HANDLE('w', ssize_t, writev, (int handle, const struct iovec *data, int count), handle, data,
          count)
BY_HANDLE('w', int, ftruncate, (int handle, off_t size), handle, size)
BY_HANDLE('w', int, ftruncate64, (int handle, off64_t size), handle, size)
BY_HANDLE('s', int, fsync, (int handle), handle)
BY_HANDLE('s', int, fdatasync, (int handle), handle)
BY_HANDLE('r', ssize_t, read, (int handle, void *data, size_t size), handle, data, size)
BY_HANDLE('r', ssize_t, pread, (int handle, void *data, size_t size, off_t at), handle, data,
          size, at)
BY_HANDLE('r', ssize_t, pread64, (int handle, void *data, size_t size, off64_t at), handle, data,
          size, at)

#define BY_PATH(call, name, parameters, path, ...)                                               \
    int name parameters {                                                                        \
        int failed = fails(call, path);                                                          \
        int done = failed && how != LATE ? -1 : BEHIND(name)(__VA_ARGS__);                       \
        return failed ? errno = fault, -1 : done;                                                \
    }

BY_PATH('m', rename, (const char *from, const char *to), to, from, to)
BY_PATH('f', mkdir, (const char *path, mode_t mode), path, path, mode)
BY_PATH('u', unlink, (const char *path), path, path)
BY_PATH('u', rmdir, (const char *path), path, path)

int close(int handle) {
    int failed = fails_at('c', handle);
    int result = BEHIND(close)(handle); /* it is closed all the same, as Linux has it */
    if (failed)
        errno = fault;
    return failed ? -1 : result;
}

#define MODE(flags)                                                                              \
    mode_t mode = 0;                                                                             \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                       \
        va_list rest;                                                                            \
        va_start(rest, flags);                                                                   \
        mode = va_arg(rest, mode_t);                                                             \
        va_end(rest);                                                                            \
    }                                                                                            \
    if (fails((flags) & O_ACCMODE ? 'o' : 'r', path))                                            \
        return -1;

#define OPEN(name)                                                                               \
    int name(const char *path, int flags, ...) {                                                 \
        MODE(flags)                                                                              \
        return ((int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name))(path, flags, mode);    \
    }
#define OPEN_AT(name)                                                                            \
    int name(int folder, const char *path, int flags, ...) {                                     \
        MODE(flags)                                                                              \
        return ((int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, #name))(folder, path,     \
                                                                               flags, mode);     \
    }
OPEN(open)
OPEN(open64)
OPEN_AT(openat)
OPEN_AT(openat64)
