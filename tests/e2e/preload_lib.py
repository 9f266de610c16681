"""Libraries that are loaded before a program, to give it a disk (or a resolver) that no machine has."""
import os
import pathlib
import subprocess

from conftest import has_address_sanitizer

SLOW_DISK = r'''
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* As the system's; but a write to a file with $SLOW_PATH in its name takes $SLOW_US longer, and while the file $HANG_WHILE is there, a durable one
 * never ends; with $QUICK none of them waits for the disk. */
ssize_t pwritev2(int fd, const struct iovec *v, int n, off_t at, int flags)
{
    ssize_t (*real)(int, const struct iovec *, int, off_t, int) =
        (ssize_t(*)(int, const struct iovec *, int, off_t, int)) dlsym(RTLD_NEXT, "pwritev2");
    const char *us = getenv("SLOW_US"), *hang = getenv("HANG_WHILE");
    char link[64], path[4096] = "";

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (readlink(link, path, sizeof path - 1) > 0 && strstr(path, getenv("SLOW_PATH")) != NULL) {
        if (us != NULL)
            usleep((useconds_t) atoi(us));
        while (hang != NULL && flags != 0 && access(hang, F_OK) == 0)
            usleep(10000);
    }
    return real(fd, v, n, at, getenv("QUICK") != NULL ? 0 : flags);
}
'''


def preload(program, folder, source, **environment):
    """The environment in which a program has the library made of a text in C.

    AddressSanitizer wants to be the first library; these here look up the real functions behind them only when they are called,
    and so may come before it."""
    library = folder / 'preload.so'
    subprocess.run(['cc', '-shared', '-fPIC', '-x', 'c', '-o', library, '-', '-ldl'], input=source, text=True, check=True)
    options = {}
    if has_address_sanitizer(program):
        options = {'ASAN_OPTIONS': ':'.join(filter(None, (os.environ.get('ASAN_OPTIONS'), 'verify_asan_link_order=0')))}
    return {'LD_PRELOAD': str(library), **options, **{k: str(v) for k, v in environment.items()}}


def delays(program, folder, seed):
    """Every second server is slow: its threads wait here and there, and so do its durable writes (delays.c)."""
    return preload(program, folder, pathlib.Path(__file__).with_name('delays.c').read_text(), DELAYS_SEED=seed)


def slow_disk(program, folder, path, us):
    """A write to a file whose name has `path` in it takes so long at least."""
    return preload(program, folder, SLOW_DISK, SLOW_PATH=path, SLOW_US=us)


def hanging_disk(program, folder, path, hang, **how):
    """While the file `hang` is there, a durable write to a file whose name has `path` in it never ends."""
    return preload(program, folder, SLOW_DISK, SLOW_PATH=path, HANG_WHILE=hang, **how)


def quick_disk(program, folder):
    """No write waits for the disk, which may be another's at that moment."""
    return preload(program, folder, SLOW_DISK, SLOW_PATH='/wal/', QUICK=1)
