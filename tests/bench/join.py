"""What it costs that a member joins a cluster full of data: time, memory of both, and the puts meanwhile.

A cluster is filled; then puts go on at a steady pace, in turn with nothing else (at rest) and while a learner joins, whom the log
cannot serve, and is sent the data file. A rest takes as long as the join before it. Before it the learner is stopped, removed and
deleted, and the disk is given time. The puts are those of h2load that begin between the learner's start and its reaching the
leader's revision. What counts are the puts of all joins beside those of all rests, and of both only what began in seconds in which
the machine was left to itself (calm.py). Clients run as soon as there is something to do for them, and the new member when nobody
else wants the processor, as if they had machines of their own (elsewhere.py), and the memory for the new member's file is there.
Processors may sleep: kept awake, they serve three members at rest worse, not better.

With `--apart FOLDER` the new member has a processor and a disk of its own, as it would have: it, what looks and FOLDER (another disk,
or memory) on one side, the cluster and its clients with all other processors on the other, at rest as well as meanwhile.

Memory is what no file stands behind (RssAnon of /proc/PID/status), sampled every 20 ms. Pages of the mapped data file are the
kernel's to take back and are printed, not judged. The sender may grow by 64 MB above what it had with the puts alone; the
receiver's most may be 64 MB above what it has when it is there, which is the index of what it was sent.

    tests/bench/join.py                          # 200 MB
    tests/bench/join.py --megabytes 2000 --rps 2000 --folder /a/disk --where
    tests/bench/join.py --megabytes 2000 --rps 2000 --folder /a/disk --apart /dev/shm
    tests/bench/join.py --program DIR            # another etcd, for all
"""
import argparse
import os
import pathlib
import re
import shutil
import sys
import tempfile
import threading
import time
import types
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tests/e2e'))

from calm import STOLEN_MAX, Calm, Meanwhile  # noqa: E402
from cluster_lib import Cluster, log_lines  # noqa: E402
from conftest import Messages  # noqa: E402
from elsewhere import Memory, others_processors, place, processors, run_at_once, run_when_idle, stand_back  # noqa: E402
from load import Load, percentile  # noqa: E402
from where import Where, disk_of  # noqa: E402
from wire import put  # noqa: E402

BIN = pathlib.Path(os.environ.get('KETCH_BIN', ROOT / 'bin'))
FLAGS = ['--snapshot-count', '1000', '--snapshot-catchup-entries', '100', '--quota-backend-bytes', str(8 << 30)]
STEPS = ['starting an etcd server', 'receiving database snapshot', 'received and saved database snapshot', 'applying snapshot',
         'applySnapshot: opened snapshot backend', 'applied snapshot']
PER_TXN = 100
LEAD_SECONDS, SLICE_SECONDS = 1, 2
QUIET_BYTES, QUIET_SECONDS_MAX = 2_000_000, 60
LOOK_SECONDS, SAMPLE_SECONDS = 0.5, 0.02
REST_SECONDS_MIN, MB_A_SECOND, JOIN_SECONDS_MAX = 6, 50, 600
CONNECTIONS = 20
SPARE_TIMES = 1.2
P99_MUST, GROWTH_MB_MUST = 1.25, 64
CALM_SECONDS_MIN = 30  # of rests, and of joins, in all rounds together


def fill(member, megabytes, value):
    call, request = member.grpc_call('etcdserverpb.KV/Txn')
    txns = megabytes * 1000_000 // (value * PER_TXN)
    for n in range(txns):
        puts = [{'request_put': {'key': b'fill/%08d' % (n * PER_TXN + i), 'value': os.urandom(value)}} for i in range(PER_TXN)]
        call(request(success=puts), timeout=60)


class Puts(threading.Thread):
    """Slices of load one after another, from a second before `with` is entered to its end; of them those that begin inside."""

    def __init__(self, member, folder, rps, calm, where):
        super().__init__(daemon=True)
        self.where = where
        self.calm, self.server = calm, types.SimpleNamespace(url=f'http://{member.endpoint}', folder=folder)
        self.rps, self.over = rps // CONNECTIONS, threading.Event()
        self.calls, self.failed = [], 0

    def run(self):
        stand_back()
        while not self.over.is_set():
            load = Load(self.server, 'KV/Put', put(b'probe', b'p' * 256), connections=CONNECTIONS, seconds=SLICE_SECONDS,
                        rps=self.rps)
            run_at_once(load.p.pid)
            place(load.p.pid, self.where)
            load.wait(may_fail=True)
            self.calls += load.calls
            self.failed += load.failed

    def __enter__(self):
        self.start()
        time.sleep(LEAD_SECONDS)
        self.began = time.time()
        return self

    def __exit__(self, *_):
        ended = time.time()
        self.over.set()
        self.join()
        self.ms = sorted(ms for at, ms in self.calls if self.began <= at < ended)
        self.seconds = ended - self.began
        self.p99 = percentile(self.ms, 99)
        self.calm_ms, self.calm_seconds = self.calm.of(self.calls, self.began, ended), self.calm.seconds(self.began, ended)

    def text(self):
        return (f'{len(self.ms) / self.seconds:.0f}/s, p50 {percentile(self.ms, 50):.2f}, p99 {self.p99:.2f}, '
                f'worst {self.ms[-1]:.1f} ms, failed: {self.failed}; {self.calm_seconds:.0f} of {self.seconds:.0f} s calm')


def memory_mb(member):
    """Resident, and of it what is no file."""
    fields = {}
    for line in pathlib.Path(f'/proc/{member.process.pid}/status').read_text().splitlines():
        name, _, rest = line.partition(':')
        fields[name] = rest.split()
    return int(fields['VmRSS'][0]) / 1024, int(fields['RssAnon'][0]) / 1024


class Peaks(Meanwhile):
    def __init__(self, members):
        super().__init__()
        self.members = members
        self.peaks = {m: (0, 0) for m in members}

    def look(self):
        while not self.over.wait(SAMPLE_SECONDS):
            for m in self.members:
                try:
                    self.peaks[m] = tuple(map(max, self.peaks[m], memory_mb(m)))
                except (OSError, KeyError, AttributeError):  # not there yet
                    pass


def is_at(member, revision):
    """Before it has the data a question about its status may be answered late, or not."""
    if 'applied snapshot' not in member.log_text():
        return False
    status = member.status()
    return status is not None and status.header.revision >= revision


def quiet(folder):
    """Until what is written and what was removed no longer keeps the disk busy."""
    os.sync()
    end, last = time.monotonic() + QUIET_SECONDS_MAX, None
    while time.monotonic() < end:
        now = disk_of(folder)[0]
        if last is not None and now - last < QUIET_BYTES:
            return
        last = now
        time.sleep(1)


class Bench:
    def __init__(self, cluster, folder, calm, a):
        self.cluster, self.folder, self.calm, self.a = cluster, folder, calm, a
        self.first = cluster.leader()
        self.seconds = max(a.megabytes / MB_A_SECOND, REST_SECONDS_MIN)  # of a rest: the last join's
        self.more = {'sender': [], 'receiver': []}
        self.here = self.there = processors()
        if a.apart:
            self.here, self.there = others_processors(), processors()[-1:]
            for m in cluster.members:
                place(m.process.pid, self.here)
            place(os.getpid(), self.there)
            self.apart = tempfile.TemporaryDirectory(prefix='join-', dir=a.apart)
        self.spare = Memory(folder / 'spare', a.megabytes * SPARE_TIMES)

    def where(self):
        return Where([self.first, *self.cluster.followers_of(self.first)], self.folder) if self.a.where else None

    def puts(self):
        return Puts(self.first, self.folder, self.a.rps, self.calm, self.here)

    def rests(self):
        """Puts while nobody joins, and the sender's most memory."""
        quiet(self.folder)
        with self.puts() as puts, Peaks([self.first]) as memory:
            where = self.where()
            time.sleep(self.seconds)
            told = where and where.text()
        print(f'at rest:   {puts.text()}', *([told] if told else []), sep='\n', flush=True)
        return puts, memory.peaks[self.first][1]

    def joins(self):
        """Puts while a learner joins, and the sender's most memory."""
        self.spare.load()
        quiet(self.folder)
        new = self.cluster.add(self.a.program / 'etcd', self.first, learner=True)
        new.flags += FLAGS
        new.use(self.a.program / 'etcd')
        if self.a.apart:
            os.symlink(self.apart.name, new.data_dir)
        with self.puts() as puts, Peaks([self.first, new]) as memory, self.spare.ready(new.data_dir):
            where = self.where()
            began = time.monotonic()
            new.start(wait=False)
            run_when_idle(new.process.pid)
            goal = self.first.status().header.revision
            while not is_at(new, goal):
                assert time.monotonic() - began < JOIN_SECONDS_MAX, 'it is not there yet'
                time.sleep(LOOK_SECONDS)
            self.seconds = time.monotonic() - began
            told = where and where.text()
        print(f'meanwhile: {puts.text()}', *([told] if told else []), sep='\n', flush=True)
        after, most = memory_mb(new), memory.peaks
        print(f'  joined in {self.seconds:.2f} s; receiver: up to {most[new][1]:.0f} MB anonymous ({most[new][0]:.0f} resident), '
              f'{after[1]:.0f} ({after[0]:.0f}) afterwards; sender: up to {most[self.first][1]:.0f} ({most[self.first][0]:.0f})')
        self.more['receiver'].append(most[new][1] - after[1])
        print_steps(new)
        self.remove(new)
        return puts, most[self.first][1]

    def remove(self, new):
        new.channel.close()
        new.kill()
        self.first.grpc('etcdserverpb.Cluster/MemberRemove')(ID=new.id)
        self.cluster.members.remove(new)
        shutil.rmtree(new.data_dir / 'member')

    def rounds(self):
        """Puts at rest and while somebody joins."""
        rests, joins = [self.rests()], []
        for _ in range(self.a.rounds):
            joins.append(self.joins())
            rests.append(self.rests())
            assert self.cluster.leader() is self.first, 'another member leads now'
            p99_at_rest = percentile(sorted(rests[-2][0].ms + rests[-1][0].ms), 99)
            self.more['sender'].append(joins[-1][1] - max(rests[-2][1], rests[-1][1]))
            print(f'p99 of a put meanwhile / at rest before and after, calm or not: {joins[-1][0].p99 / p99_at_rest:.2f}', flush=True)
        return [p for p, _ in rests], [p for p, _ in joins]


def calm_p99(puts):
    """Of all together, and of how many seconds."""
    ms = sorted(ms for p in puts for ms in p.calm_ms)
    return percentile(ms, 99) if ms else 0, sum(p.calm_seconds for p in puts)


def verdict(what, got, most):
    print(f'  {what}: {got:.2f}, at most {most}: {"reached" if got <= most else "MISSED"}')


def print_steps(new):
    page = urllib.request.urlopen(f'http://{new.endpoint}/metrics').read().decode()
    took = {k: float(v) for k, v in re.findall(r'^etcd_snap_db_(save_total|fsync)_duration_seconds_sum (\S+)$', page, re.M)}
    print(f'  receiver: file written in {took["save_total"]:.2f} s, of which its last sync took {took["fsync"]:.2f}')
    steps = [x for x in log_lines(new) if x.get('msg') in STEPS]
    print('  receiver: ' + ', '.join(f'{x["ts"][17:23]} {x["msg"]}' for x in steps))
    assert sum(x['msg'] == 'applied snapshot' for x in steps) == 1, steps


def judge(b, rests, joins):
    (p99_at_rest, rest_seconds), (p99, join_seconds) = calm_p99(rests), calm_p99(joins)
    print(f'in seconds of which at most {STOLEN_MAX:.0%} was stolen: p99 {p99:.2f} meanwhile ({join_seconds:.0f} s), {p99_at_rest:.2f} at rest '
          f'({rest_seconds:.0f} s)')
    if min(rest_seconds, join_seconds) < CALM_SECONDS_MIN:
        print(f'  p99 of a put: NOT MEASURED, less than {CALM_SECONDS_MIN} calm seconds')
    else:
        verdict('p99 of a put meanwhile / at rest', p99 / p99_at_rest, P99_MUST)
    verdict('sender, MB more', max(b.more['sender']), GROWTH_MB_MUST)
    verdict('receiver, MB more than afterwards', max(b.more['receiver']), GROWTH_MB_MUST)


def run(a, folder):
    with Calm() as calm, Cluster([a.program / 'etcd'] * a.members, folder, a.program / 'etcdctl', Messages(folder), FLAGS) as c:
        b = Bench(c, folder, calm, a)
        began = time.monotonic()
        fill(b.first, a.megabytes, a.value)
        print(f'data file {b.first.status().dbSize / 1e6:.0f} MB, filled in {time.monotonic() - began:.0f} s', flush=True)
        judge(b, *b.rounds())


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--megabytes', type=int, default=200)
    p.add_argument('--value', type=int, default=4000)
    p.add_argument('--members', type=int, default=3)
    p.add_argument('--rps', type=int, default=200)
    p.add_argument('--rounds', type=int, default=3)
    p.add_argument('--where', action='store_true', help='also what members, threads and the disk did')
    p.add_argument('--program', type=pathlib.Path, default=BIN)
    p.add_argument('--folder', help='where the data directories are made (twice the megabytes and the logs for each)')
    p.add_argument('--apart', metavar='FOLDER', help='the new member has the last processor, and its data directory there, for itself')
    a = p.parse_args()
    stand_back()
    with tempfile.TemporaryDirectory(prefix='join-', dir=a.folder) as folder:
        run(a, pathlib.Path(folder))


if __name__ == '__main__':
    main()
