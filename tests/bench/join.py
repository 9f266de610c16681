"""What it costs that a member joins a cluster full of data: time, memory of both, and the puts meanwhile.

A lone member is filled; then, while puts go on at a steady pace, a learner joins, whom the log cannot serve, and is
sent the data file. The puts are those of h2load: two seconds at a time at rest, and again until the new one is at the leader's
revision.

Memory is what no file stands behind (RssAnon of /proc/PID/status), sampled every 10 ms. Pages of the mapped data file are the
kernel's to take back and are printed, not judged. The sender may grow by 64 MB above what it had with the puts alone; the
receiver's most may be 64 MB above what it has when it is there, which is the index of what it was sent.

    tests/bench/join.py                          # 200 MB
    tests/bench/join.py --megabytes 2000 --rps 2000 --folder /a/disk
    tests/bench/join.py --program DIR            # another etcd, for both
"""
import argparse
import os
import pathlib
import re
import sys
import tempfile
import threading
import time
import types
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tests/e2e'))

from cluster_lib import Cluster, log_lines  # noqa: E402
from conftest import Messages  # noqa: E402
from load import Load, percentile  # noqa: E402
from wire import put  # noqa: E402

BIN = pathlib.Path(os.environ.get('KETCH_BIN', ROOT / 'bin'))
FLAGS = ['--snapshot-count', '1000', '--snapshot-catchup-entries', '100', '--quota-backend-bytes', str(8 << 30)]
STEPS = ['starting an etcd server', 'receiving database snapshot', 'received and saved database snapshot', 'applying snapshot',
         'applySnapshot: opened snapshot backend', 'applied snapshot']
PER_TXN = 100
REST_SECONDS = 3
SLICE_SECONDS, SLICES_AT_REST = 2, 5
JOIN_SECONDS_MAX = 600
CONNECTIONS = 20
P99_MUST, GROWTH_MB_MUST = 1.25, 64


def fill(member, megabytes, value):
    call, request = member.grpc_call('etcdserverpb.KV/Txn')
    txns = megabytes * 1000_000 // (value * PER_TXN)
    for n in range(txns):
        puts = [{'request_put': {'key': b'fill/%08d' % (n * PER_TXN + i), 'value': os.urandom(value)}} for i in range(PER_TXN)]
        call(request(success=puts), timeout=60)


class Puts(threading.Thread):
    """Slices of load one after another, until `over` or for so many slices; all their times together."""

    def __init__(self, member, folder, rps, slices=None):
        super().__init__(daemon=True)
        self.server = types.SimpleNamespace(url=f'http://{member.endpoint}', folder=folder)
        self.rps, self.slices, self.over = rps // CONNECTIONS, slices, threading.Event()
        self.ms, self.failed, self.seconds = [], 0, 0

    def run(self):
        while not self.over.is_set() and self.slices != 0:
            load = Load(self.server, 'KV/Put', put(b'probe', b'p' * 256), connections=CONNECTIONS, seconds=SLICE_SECONDS,
                        rps=self.rps).wait(may_fail=True)
            self.ms += load.times_ms
            self.failed += load.failed
            self.seconds += SLICE_SECONDS
            self.slices = self.slices and self.slices - 1
        self.ms.sort()

    def text(self):
        return (f'{len(self.ms) / self.seconds:.0f}/s, p50 {percentile(self.ms, 50):.2f}, p99 {percentile(self.ms, 99):.2f}, '
                f'worst {self.ms[-1]:.1f} ms')


def memory_mb(member):
    """Resident, and of it what is no file."""
    fields = {}
    for line in pathlib.Path(f'/proc/{member.process.pid}/status').read_text().splitlines():
        name, _, rest = line.partition(':')
        fields[name] = rest.split()
    return int(fields['VmRSS'][0]) / 1024, int(fields['RssAnon'][0]) / 1024


class Peaks(threading.Thread):
    def __init__(self, members):
        super().__init__(daemon=True)
        self.members, self.over = members, threading.Event()
        self.peaks = {m: (0, 0) for m in members}
        self.when = {}  # the anonymous peak

    def run(self):
        while not self.over.wait(0.01):
            for m in self.members:
                try:
                    now = memory_mb(m)
                    if now[1] > self.peaks[m][1]:
                        self.when[m] = time.strftime('%S') + f'{time.time() % 1:.3f}'[1:]
                    self.peaks[m] = tuple(map(max, self.peaks[m], now))
                except (OSError, KeyError, AttributeError):  # not there yet
                    pass

    def end(self):
        self.over.set()
        self.join()
        return self.peaks


def at_rest(first, folder, rps):
    """Puts before anybody joins, and the most memory meanwhile."""
    peaks, puts = Peaks([first]), Puts(first, folder, rps, SLICES_AT_REST)
    peaks.start()
    puts.start()
    puts.join()
    return puts, peaks.end()[first]


def joins(cluster, first, program, folder, rps):
    """Puts while a learner joins, the most memory of both meanwhile, and how long it took."""
    puts = Puts(first, folder, rps)
    puts.start()
    new = cluster.add(program / 'etcd', first, learner=True)
    new.flags += FLAGS
    new.use(program / 'etcd')
    begin = time.monotonic()
    new.start(wait=False)
    peaks = Peaks([first, new])
    peaks.start()
    goal = first.status().header.revision
    while (new.status() is None or new.status().header.revision < goal) and time.monotonic() - begin < JOIN_SECONDS_MAX:
        time.sleep(0.05)
    took = time.monotonic() - begin
    puts.over.set()
    most = peaks.end()
    puts.join()
    assert new.status() is not None and new.status().header.revision >= goal, 'it is not there yet'
    return new, puts, most, peaks.when, took


def verdict(what, got, most):
    print(f'  {what}: {got:.2f}, at most {most}: {"reached" if got <= most else "MISSED"}')


def print_steps(new):
    page = urllib.request.urlopen(f'http://{new.endpoint}/metrics').read().decode()
    took = {k: float(v) for k, v in re.findall(r'^etcd_snap_db_(save_total|fsync)_duration_seconds_sum (\S+)$', page, re.M)}
    print(f'receiver: file written in {took["save_total"]:.2f} s, of which its last sync took {took["fsync"]:.2f}')
    steps = [x for x in log_lines(new) if x.get('msg') in STEPS]
    print('receiver: ' + ', '.join(f'{x["ts"][17:23]} {x["msg"]}' for x in steps))
    assert sum(x['msg'] == 'applied snapshot' for x in steps) == 1, steps


def run(a, folder):
    with Cluster([a.program / 'etcd'] * a.members, folder, a.program / 'etcdctl', Messages(folder), FLAGS) as c:
        first = c.leader()
        began = time.monotonic()
        fill(first, a.megabytes, a.value)
        print(f'data file {first.status().dbSize / 1e6:.0f} MB, filled in {time.monotonic() - began:.0f} s', flush=True)
        time.sleep(REST_SECONDS)
        rest, before = at_rest(first, folder, a.rps)
        print(f'puts at rest: {rest.text()}', flush=True)
        new, puts, most, when, took = joins(c, first, a.program, folder, a.rps)
        print(f'puts meanwhile: {puts.text()}, failed: {puts.failed}\njoined in {took:.2f} s')
        time.sleep(REST_SECONDS)
        after = memory_mb(new)
        print(f'sender: up to {before[1]:.0f} MB anonymous ({before[0]:.0f} resident) before, '
              f'{most[first][1]:.0f} ({most[first][0]:.0f}) meanwhile')
        print(f'receiver: up to {most[new][1]:.0f} MB anonymous ({most[new][0]:.0f} resident), at {when[new]}; '
              f'{after[1]:.0f} ({after[0]:.0f}) afterwards')
        print_steps(new)
        verdict('p99 of a put meanwhile / at rest', percentile(puts.ms, 99) / percentile(rest.ms, 99), P99_MUST)
        verdict('sender, MB more', most[first][1] - before[1], GROWTH_MB_MUST)
        verdict('receiver, MB more than afterwards', most[new][1] - after[1], GROWTH_MB_MUST)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--megabytes', type=int, default=200)
    p.add_argument('--value', type=int, default=4000)
    p.add_argument('--members', type=int, default=3)
    p.add_argument('--rps', type=int, default=200)
    p.add_argument('--program', type=pathlib.Path, default=BIN)
    p.add_argument('--folder', help='where the data directories are made (twice the megabytes and the logs)')
    a = p.parse_args()
    with tempfile.TemporaryDirectory(prefix='join-', dir=a.folder) as folder:
        run(a, pathlib.Path(folder))


main()
