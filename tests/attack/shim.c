/* Makes calls of the C library go wrong on purpose, for a program that is started with this file in LD_PRELOAD.
 *
 * ATTACK_UNDER   calls count only if their path, or that of their descriptor, holds this text
 * ATTACK_RULES   rules with `;` between them, each OPERATION=ACTION@FIRST or OPERATION=ACTION@FIRST+EVERY
 * ATTACK_LOG     a file that gets a line for each call that counts: operation, number, action or `-`, path
 *
 * OPERATION is open, create, read, write, sync, link, rename, mkdir, unlink, lock, stat or list; calls of each are numbered from 0.
 * The action comes at call FIRST, and with EVERY at each EVERY-th call after it as well. ACTION is
 *   EINTR, EIO, ENOSPC, EACCES, EMLINK or ENOTSUP   nothing is done, and the call reports this
 *   short      a read or a write handles fewer bytes than it could, at least one
 *   lost       the call is done, but reports EIO: a reply that never came
 *   slowN      the call waits N milliseconds before it begins
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum operation { OPEN, CREATE, READ, WRITE, SYNC, LINK, RENAME, MKDIR, UNLINK, LOCK, STAT, LIST, OPERATIONS };
static const char *const NAMES[] = { "open", "create", "read", "write", "sync", "link", "rename", "mkdir", "unlink", "lock", "stat", "list" };

enum action { NOTHING, FAIL, SHORT, LOST, SLOW };
struct rule {
    enum operation operation;
    enum action action;
    int error;     /* of FAIL */
    long wait;     /* of SLOW, milliseconds */
    long first;
    long every;    /* 0: once */
    char text[16]; /* the action, as it was given */
};

enum { MOST_RULES = 16 };
static struct rule rules[MOST_RULES];
static int rule_count;
static atomic_long calls[OPERATIONS];
static const char *under;
static int log_file = -1;
static const struct rule NO_RULE = { .action = NOTHING, .text = "-" };

static void refuse(const char *text) {
    fprintf(stderr, "attack: not a rule: %s\n", text);
    _exit(120);
}

static const struct { const char *name; int number; } ERRORS[] = {
    { "EINTR", EINTR }, { "EIO", EIO }, { "ENOSPC", ENOSPC }, { "EACCES", EACCES }, { "EMLINK", EMLINK }, { "ENOTSUP", ENOTSUP },
};

static void add_rule(char *text) {
    char *action = strchr(text, '='), *first = strchr(text, '@');
    if (!action || !first || first < action || rule_count == MOST_RULES) refuse(text);
    *action++ = 0;
    *first++ = 0;
    struct rule *rule = &rules[rule_count++];
    int operation = 0;
    while (operation < OPERATIONS && strcmp(NAMES[operation], text)) operation++;
    if (operation == OPERATIONS || strlen(action) >= sizeof rule->text) refuse(text);
    rule->operation = operation;
    strcpy(rule->text, action);
    char *end;
    rule->first = strtol(first, &end, 10);
    rule->every = *end == '+' ? strtol(end + 1, &end, 10) : 0;
    if (*end || end == first) refuse(first);
    if (!strcmp(action, "short")) {
        rule->action = SHORT;
    } else if (!strcmp(action, "lost")) {
        rule->action = LOST;
    } else if (!strncmp(action, "slow", 4)) {
        rule->action = SLOW;
        rule->wait = atol(action + 4);
    } else {
        for (size_t i = 0; i < sizeof ERRORS / sizeof *ERRORS; i++)
            if (!strcmp(action, ERRORS[i].name)) {
                rule->action = FAIL;
                rule->error = ERRORS[i].number;
            }
        if (rule->action != FAIL) refuse(action);
    }
}

__attribute__((constructor)) static void begin(void) {
    under = getenv("ATTACK_UNDER");
    const char *given = getenv("ATTACK_RULES"), *log = getenv("ATTACK_LOG");
    if (given) {
        char *copy = strdup(given), *rest = copy;
        for (char *rule; (rule = strsep(&rest, ";"));)
            if (*rule) add_rule(rule);
        free(copy);
    }
    if (log) log_file = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
}

/* What the C library has under this name. */
#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name);

static void path_of(int descriptor, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = 0;
}

/* The rule for this call. Slow ones have waited when it returns. */
static const struct rule *rule_for(enum operation operation, int folder, const char *name) {
    if (!under) return &NO_RULE;
    int before = errno;
    char path[2 * PATH_MAX] = "";
    if (!name || (name[0] != '/' && folder != AT_FDCWD)) path_of(folder, path);
    if (name && *name) {
        size_t length = strlen(path);
        snprintf(path + length, sizeof path - length, "%s%s", length ? "/" : "", name);
    }
    const struct rule *found = &NO_RULE;
    if (strstr(path, under)) {
        long number = atomic_fetch_add(&calls[operation], 1);
        for (int i = 0; i < rule_count && found == &NO_RULE; i++) {
            const struct rule *rule = &rules[i];
            long after = number - rule->first;
            if (rule->operation == operation && (after == 0 || (after > 0 && rule->every && after % rule->every == 0))) found = rule;
        }
        if (log_file >= 0) {
            char line[3 * PATH_MAX];
            int length = snprintf(line, sizeof line, "%s %ld %s %s\n", NAMES[operation], number, found->text, path);
            syscall(SYS_write, log_file, line, length);
        }
        if (found->action == SLOW) {
            struct timespec pause = { found->wait / 1000, found->wait % 1000 * 1000000 };
            while (nanosleep(&pause, &pause)) {}
        }
    }
    errno = before;
    return found;
}

/* Does CALL as the rule says; `result` is -1 or NULL where it fails. */
#define DO(RULE, TYPE, FAILURE, CALL) \
    do { \
        const struct rule *rule_ = (RULE); \
        if (rule_->action == FAIL) { errno = rule_->error; return FAILURE; } \
        TYPE result_ = (CALL); \
        if (rule_->action == LOST && result_ != FAILURE) { errno = EIO; return FAILURE; } \
        return result_; \
    } while (0)

/* At least one byte, and in most cases fewer than there are: a different share at each call. */
static size_t shortened(const struct rule *rule, enum operation operation, size_t count) {
    if (rule->action != SHORT || count < 2) return count;
    unsigned long mixed = (unsigned long)calls[operation] * 0x9E3779B97F4A7C15UL;
    return 1 + (mixed >> 33) % (count - 1);
}

/* --- descriptors --- */

ssize_t read(int file, void *to, size_t count) {
    REAL(read)
    const struct rule *rule = rule_for(READ, file, NULL);
    DO(rule, ssize_t, -1, real(file, to, shortened(rule, READ, count)));
}

ssize_t pread64(int file, void *to, size_t count, off64_t from) {
    REAL(pread64)
    const struct rule *rule = rule_for(READ, file, NULL);
    DO(rule, ssize_t, -1, real(file, to, shortened(rule, READ, count), from));
}

ssize_t readv(int file, const struct iovec *parts, int count) {
    REAL(readv)
    const struct rule *rule = rule_for(READ, file, NULL);
    if (rule->action == SHORT && count > 0) DO(rule, ssize_t, -1, read(file, parts[0].iov_base, shortened(rule, READ, parts[0].iov_len)));
    DO(rule, ssize_t, -1, real(file, parts, count));
}

ssize_t write(int file, const void *from, size_t count) {
    REAL(write)
    const struct rule *rule = rule_for(WRITE, file, NULL);
    DO(rule, ssize_t, -1, real(file, from, shortened(rule, WRITE, count)));
}

ssize_t pwrite64(int file, const void *from, size_t count, off64_t to) {
    REAL(pwrite64)
    const struct rule *rule = rule_for(WRITE, file, NULL);
    DO(rule, ssize_t, -1, real(file, from, shortened(rule, WRITE, count), to));
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    REAL(writev)
    const struct rule *rule = rule_for(WRITE, file, NULL);
    if (rule->action == SHORT && count > 0) DO(rule, ssize_t, -1, write(file, parts[0].iov_base, shortened(rule, WRITE, parts[0].iov_len)));
    DO(rule, ssize_t, -1, real(file, parts, count));
}

ssize_t copy_file_range(int from, off64_t *from_place, int to, off64_t *to_place, size_t count, unsigned flags) {
    REAL(copy_file_range)
    const struct rule *rule = rule_for(WRITE, to, NULL);
    DO(rule, ssize_t, -1, real(from, from_place, to, to_place, shortened(rule, WRITE, count), flags));
}

int fsync(int file) {
    REAL(fsync)
    DO(rule_for(SYNC, file, NULL), int, -1, real(file));
}

int fdatasync(int file) {
    REAL(fdatasync)
    DO(rule_for(SYNC, file, NULL), int, -1, real(file));
}

int flock(int file, int what) {
    REAL(flock)
    DO(rule_for(LOCK, file, NULL), int, -1, real(file, what));
}

/* --- names --- */

#define WITH_MODE(LAST, FLAGS) \
    mode_t mode = 0; \
    if ((FLAGS) & O_CREAT || ((FLAGS) & O_TMPFILE) == O_TMPFILE) { \
        va_list rest; \
        va_start(rest, LAST); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

#define OF_OPEN(FLAGS) ((FLAGS) & O_CREAT ? CREATE : OPEN)

int open64(const char *name, int flags, ...) {
    REAL(open64)
    WITH_MODE(flags, flags)
    DO(rule_for(OF_OPEN(flags), AT_FDCWD, name), int, -1, real(name, flags, mode));
}

int openat64(int folder, const char *name, int flags, ...) {
    REAL(openat64)
    WITH_MODE(flags, flags)
    DO(rule_for(OF_OPEN(flags), folder, name), int, -1, real(folder, name, flags, mode));
}

int openat(int folder, const char *name, int flags, ...) {
    REAL(openat)
    WITH_MODE(flags, flags)
    DO(rule_for(OF_OPEN(flags), folder, name), int, -1, real(folder, name, flags, mode));
}

int link(const char *from, const char *to) {
    REAL(link)
    DO(rule_for(LINK, AT_FDCWD, to), int, -1, real(from, to));
}

int linkat(int from_folder, const char *from, int folder, const char *to, int flags) {
    REAL(linkat)
    DO(rule_for(LINK, folder, to), int, -1, real(from_folder, from, folder, to, flags));
}

int rename(const char *from, const char *to) {
    REAL(rename)
    DO(rule_for(RENAME, AT_FDCWD, to), int, -1, real(from, to));
}

int renameat(int from_folder, const char *from, int folder, const char *to) {
    REAL(renameat)
    DO(rule_for(RENAME, folder, to), int, -1, real(from_folder, from, folder, to));
}

int renameat2(int from_folder, const char *from, int folder, const char *to, unsigned flags) {
    REAL(renameat2)
    DO(rule_for(RENAME, folder, to), int, -1, real(from_folder, from, folder, to, flags));
}

int mkdir(const char *name, mode_t mode) {
    REAL(mkdir)
    DO(rule_for(MKDIR, AT_FDCWD, name), int, -1, real(name, mode));
}

int mkdirat(int folder, const char *name, mode_t mode) {
    REAL(mkdirat)
    DO(rule_for(MKDIR, folder, name), int, -1, real(folder, name, mode));
}

int unlink(const char *name) {
    REAL(unlink)
    DO(rule_for(UNLINK, AT_FDCWD, name), int, -1, real(name));
}

int unlinkat(int folder, const char *name, int flags) {
    REAL(unlinkat)
    DO(rule_for(UNLINK, folder, name), int, -1, real(folder, name, flags));
}

int statx(int folder, const char *restrict name, int flags, unsigned mask, struct statx *restrict to) {
    REAL(statx)
    DO(rule_for(STAT, folder, name), int, -1, real(folder, name, flags, mask, to));
}

DIR *opendir(const char *name) {
    REAL(opendir)
    DO(rule_for(LIST, AT_FDCWD, name), DIR *, NULL, real(name));
}

DIR *fdopendir(int folder) {
    REAL(fdopendir)
    DO(rule_for(LIST, folder, NULL), DIR *, NULL, real(folder));
}
