"""Snapshots between members that a stop or a kill ends in their middle, and the pace of one beside writes."""
import os
import pathlib
import signal
import threading
import time

import pytest

from cluster_lib import log_lines
from preload_lib import preload
from test_snapshot_cluster import BATCH, lead, messages_of, metric, new_cluster, put_many, put_until_log_is_gone
from test_snapshot_orders import BODY, begin, chunk, left, slow_member

__all__ = ['new_cluster', 'slow_member']  # fixtures

PIECE_BYTES = 256 << 10
QUICK_SECONDS = 10  # far less than what waiting for a receiver, or for a sender's last byte, takes
PACE_INTERVAL_SECONDS = PIECE_BYTES / (48 << 20)
READ_SECONDS = 0.001

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
        self.member, self.over = member, False
        self.start()

    def run(self):
        put = self.member.grpc('etcdserverpb.KV/Put')
        while not self.over:
            put(key=b'beside', value=b'v')

    def stop(self):
        self.over = True
        self.join()


def test_a_snapshot_beside_writes_leaves_with_rests(new_cluster, ketch_bin, tmp_path, monkeypatch):
    """Each piece takes a millisecond to be read; beside writes the next one leaves when a 48th of a second per megabyte is over.

    A slow machine takes longer for either; half of the time is asked for, in case writes stand still for a moment."""
    for name, value in preload(ketch_bin / 'etcd', tmp_path, SLOW_READS, SLOW_US=int(READ_SECONDS * 1e6)).items():
        monkeypatch.setenv(name, value)
    with new_cluster([ketch_bin / 'etcd'] * 3) as c:
        leader, away = c.members[0], c.members[2]
        lead(c, leader)
        away.kill()
        away.channel = None
        put_until_log_is_gone(leader, b'x' * 200_000)
        puts = [Puts(leader) for _ in range(4)]
        away.start(wait=False)
        away.wait_for(lambda: metric(leader, 'etcd_network_snapshot_send_success') == 1)
        for p in puts:
            p.stop()
        away.wait_for(away.is_healthy)
        sent = next(x['bytes'] for x in log_lines(leader) if x.get('msg') == 'sent database snapshot')
        assert sent > BATCH * 200_000
        took = metric(leader, 'etcd_network_snapshot_send_total_duration_seconds_sum') - \
            metric(away, 'etcd_snap_db_fsync_duration_seconds_sum')
        assert took > 0.5 * PACE_INTERVAL_SECONDS * sent / PIECE_BYTES, (took, sent)
        c.agree()


def threads_and_files(member):
    """Of the process: names of its threads, and what it has open under its directory but its log."""
    proc = pathlib.Path(f'/proc/{member.process.pid}')
    files = []
    for fd in (proc / 'fd').iterdir():
        try:
            files.append(os.readlink(fd))
        except OSError:
            pass
    return (sorted((t / 'comm').read_text() for t in (proc / 'task').iterdir()),
            sorted(f for f in files if f.startswith(str(member.data_dir)) and '/wal' not in f))


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
        before = threads_and_files(leader)
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
            put_many(leader, 5, prefix=b'then')
            leader.wait_for(lambda: metric(leader, 'etcd_mvcc_db_open_read_transactions') <= reads)
            leader.wait_for(lambda: threads_and_files(leader) == before)
            assert metric(leader, 'etcd_network_snapshot_send_success') >= 1
