"""Snapshots between members that a stop or a kill ends in their middle, and the pace of one beside writes."""
import collections
import contextlib
import os
import pathlib
import signal
import threading
import time

import pytest

from cluster_lib import log_lines
from conftest import has_sanitizer
from preload_lib import preload
from test_snapshot_cluster import BATCH, lead, messages_of, metric, new_cluster, put_many, put_until_log_is_gone
from test_snapshot_orders import BODY, begin, chunk, left, slow_member

__all__ = ['new_cluster', 'slow_member']  # fixtures

PIECE_BYTES = 256 << 10
QUICK_SECONDS = 10  # far less than what waiting for a receiver, or for a sender's last byte, takes
PACE_INTERVAL_SECONDS = PIECE_BYTES / (48 << 20)
READ_SECONDS = 0.001
BESIDE_SECONDS = 0.2  # without a write for so long, nobody writes
PACED = 10  # transfers, until writes stand still in none of them: a disk that others use keeps them waiting now and then
LOG_KEPT_SECONDS = 31  # after a snapshot was sent, so that who has it can go on by the log

SLOW_READS = r'''
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static ssize_t slow(const char *name, int fd, void *p, size_t n, off_t at)
{
    ssize_t (*real)(int, void *, size_t, off_t) = (ssize_t(*)(int, void *, size_t, off_t)) dlsym(RTLD_NEXT, name);
    char link[64], path[4096] = "";

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (readlink(link, path, sizeof path - 1) > 0 && strstr(path, "/snap/db") != NULL)
        usleep((useconds_t) atoi(getenv("SLOW_US")));
    return real(fd, p, n, at);
}

ssize_t pread(int fd, void *p, size_t n, off_t at)
{
    return slow("pread", fd, p, n, at);
}

ssize_t pread64(int fd, void *p, size_t n, off_t at)
{
    return slow("pread64", fd, p, n, at);
}
'''


def stop_quickly(member):
    began = time.monotonic()
    member.stop()
    assert time.monotonic() - began < QUICK_SECONDS


def test_a_receiver_stops_while_its_leader_goes_on(slow_member):
    """The leader sends faster than the disk takes, without an end: the member does not wait for it, and leaves no file."""
    s = begin(slow_member)

    def go_on():
        try:
            while True:
                s.sendall(chunk(BODY))
        except OSError:
            pass

    sender = threading.Thread(target=go_on, daemon=True)
    sender.start()
    stop_quickly(slow_member)
    sender.join(60)
    assert not sender.is_alive()
    assert not left(slow_member)
    s.close()


def test_a_leader_stops_while_its_receiver_hangs(new_cluster, ketch_bin):
    """Nothing is taken any more in the middle of a snapshot: the leader ends in order, nothing leaks, and another one sends."""
    with new_cluster([ketch_bin / 'etcd'] * 3) as c:
        leader, away = c.members[0], c.members[2]
        lead(c, leader)
        away.kill()
        away.channel = None
        put_until_log_is_gone(leader, b'x' * 100_000)
        away.start(wait=False)
        away.wait_for(lambda: 'receiving database snapshot' in messages_of(away))
        away.process.send_signal(signal.SIGSTOP)
        stop_quickly(leader)
        away.process.send_signal(signal.SIGCONT)
        leader.channel = None
        leader.start()
        c.agree()


class Puts(threading.Thread):
    """Small puts, one after the other, until they are stopped."""

    def __init__(self, member):
        super().__init__(daemon=True)
        self.member, self.over, self.times = member, False, []
        self.start()

    def run(self):
        put = self.member.grpc('etcdserverpb.KV/Put')
        while not self.over:
            put(key=b'beside', value=b'v')
            self.times.append(time.monotonic())

    def stop(self):
        self.over = True
        self.join()


def stood_still(puts, begin):
    """For how long nobody wrote, in spells that a sender takes for the end of writing."""
    times = [begin, *sorted(t for p in puts for t in p.times if t > begin)]
    return sum(b - a for a, b in zip(times, times[1:]) if b - a > BESIDE_SECONDS / 2)


def send_beside_puts(leader, away, n):
    """The n-th snapshot of the leader is sent to who was away; for how long the puts beside it stood still."""
    put_until_log_is_gone(leader, b'x' * 200_000)
    puts = [Puts(leader) for _ in range(4)]
    leader.wait_for(lambda: all(p.times for p in puts))
    begin = time.monotonic()
    away.start(wait=False)
    away.wait_for(lambda: metric(leader, 'etcd_network_snapshot_send_success') == n)
    for p in puts:
        p.stop()
    away.wait_for(away.is_healthy)
    return stood_still(puts, begin)


def test_a_snapshot_beside_writes_leaves_with_rests(new_cluster, ketch_bin, tmp_path, monkeypatch):
    """Each piece takes a millisecond to be read; beside writes the next one leaves when a 48th of a second per megabyte is over.

    A slow machine takes longer for either; half of the time is asked for."""
    if has_sanitizer(ketch_bin / 'etcd'):
        pytest.skip("skipped: in a sanitizer's build writes stand still by themselves")
    for name, value in preload(ketch_bin / 'etcd', tmp_path, SLOW_READS, SLOW_US=int(READ_SECONDS * 1e6)).items():
        monkeypatch.setenv(name, value)
    with new_cluster([ketch_bin / 'etcd'] * 3) as c:
        leader, away = c.members[0], c.members[2]
        lead(c, leader)
        for n in range(1, PACED + 1):
            sum_before = metric(leader, 'etcd_network_snapshot_send_total_duration_seconds_sum')
            away.kill()
            away.channel = None
            still = send_beside_puts(leader, away, n)
            if still == 0:
                break
            time.sleep(LOG_KEPT_SECONDS)
        assert still == 0, 'the disk kept writes waiting each time'
        leader.wait_for(lambda: sum(m == 'sent database snapshot' for m in messages_of(leader)) == n)
        sent = [x['bytes'] for x in log_lines(leader) if x.get('msg') == 'sent database snapshot'][-1]
        assert sent > BATCH * 200_000
        took = metric(leader, 'etcd_network_snapshot_send_total_duration_seconds_sum') - sum_before - \
            metric(away, 'etcd_snap_db_fsync_duration_seconds_sum')
        assert took > 0.5 * PACE_INTERVAL_SECONDS * sent / PIECE_BYTES, (took, sent)
        c.agree()


def threads_and_files(member):
    """Of the process: how many threads it has of each name, and how often it has open what is under its directory but its log."""
    proc, found = pathlib.Path(f'/proc/{member.process.pid}'), []
    for thread in (proc / 'task').iterdir():
        with contextlib.suppress(OSError):  # it has ended meanwhile
            found.append((thread / 'comm').read_text())
    for fd in (proc / 'fd').iterdir():
        with contextlib.suppress(OSError):
            file = os.readlink(fd)
            found += [file] * (file.startswith(str(member.data_dir)) and '/wal' not in file)
    return collections.Counter(found)


@pytest.mark.parametrize('sender,receiver', [('ours', 'real'), ('real', 'ours')])
def test_a_receiver_of_the_other_kind_is_killed(new_cluster, ketch_bin, request, sender, receiver):
    """kill -9 in the middle of what a member of the other kind sends, and a start again: it gets there, keeps no half file, and
    the sender keeps no thread, no file and no count of it."""
    real = os.environ.get('KETCH_REFERENCE_BIN')
    programs = {'ours': ketch_bin / 'etcd', 'real': pathlib.Path(real or request.getfixturevalue('real_bin')) / 'etcd'}
    with new_cluster([programs[sender]] * 2 + [programs[receiver]]) as c:
        leader, away = c.members[0], c.members[2]
        lead(c, leader)
        away.kill()
        away.channel = None
        put_until_log_is_gone(leader, b'x' * 200_000)
        before = threads_and_files(leader)  # and perhaps a snapshot of its own that is being written
        reads = metric(leader, 'etcd_mvcc_db_open_read_transactions') + 1  # a view goes with the next write
        snap = away.data_dir / 'member' / 'snap'
        for i in range(int(os.environ.get('KETCH_KILLS', 3))):
            half = set(snap.glob('tmp*'))
            away.start(wait=False)
            away.wait_for(lambda: set(snap.glob('tmp*')) - half or 'applied snapshot' in messages_of(away))
            time.sleep(0.02 * i)
            away.kill()
        away.start()
        c.agree()
        away.wait_for(lambda: not any(snap.glob('tmp*')))
        if sender == 'ours':
            leader.wait_for(lambda: metric(leader, 'etcd_network_snapshot_send_inflights_total') == 0)

            def views_are_gone():
                put_many(leader, 5, prefix=b'then')
                return metric(leader, 'etcd_mvcc_db_open_read_transactions') <= reads

            leader.wait_for(views_are_gone)
            leader.wait_for(lambda: not threads_and_files(leader) - before)
            leader.wait_for(lambda: metric(leader, 'etcd_network_snapshot_send_success') >= 1)
