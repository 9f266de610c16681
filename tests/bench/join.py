"""What it costs that a member joins a cluster full of data: time, memory of both, and puts meanwhile.

A lone member is filled; then, while puts go on at a steady pace, a learner joins, whom the log cannot serve, and is
sent the data file. Memory is sampled from both until the new one is at the leader's revision.

    tests/bench/join.py                          # 200 MB
    tests/bench/join.py --megabytes 2000 --rps 2000
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
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tests/e2e'))

from cluster_lib import Cluster, log_lines  # noqa: E402
from conftest import Messages  # noqa: E402

BIN = pathlib.Path(os.environ.get('KETCH_BIN', ROOT / 'bin'))
FLAGS = ['--snapshot-count', '1000', '--snapshot-catchup-entries', '100', '--quota-backend-bytes', str(8 << 30)]
STEPS = ['starting an etcd server', 'receiving database snapshot', 'received and saved database snapshot', 'applying snapshot',
         'applySnapshot: opened snapshot backend', 'applied snapshot']
PER_TXN = 100
REST_SECONDS = 3


def fill(member, megabytes, value):
    call, request = member.grpc_call('etcdserverpb.KV/Txn')
    txns = megabytes * 1000_000 // (value * PER_TXN)
    for n in range(txns):
        puts = [{'request_put': {'key': b'fill/%08d' % (n * PER_TXN + i), 'value': os.urandom(value)}} for i in range(PER_TXN)]
        call(request(success=puts), timeout=60)


class Probe(threading.Thread):
    """Puts at a steady pace, each with the time it was sent and how long it took."""

    def __init__(self, member, rps):
        super().__init__(daemon=True)
        self.call, self.request = member.grpc_call('etcdserverpb.KV/Put')
        self.rps, self.over, self.times = rps, False, []

    def run(self):
        at = time.monotonic()
        while not self.over:
            sent = time.monotonic()
            future = self.call.future(self.request(key=b'probe', value=b'p' * 256), timeout=60)
            future.add_done_callback(lambda f, sent=sent: self.times.append((sent, time.monotonic() - sent, f.code())))
            at += 1 / self.rps
            time.sleep(max(0, at - time.monotonic()))

    def percentile(self, q, first, last):
        took = sorted(t for sent, t, code in self.times if first <= sent <= last)
        return took[min(len(took) - 1, int(len(took) * q))] * 1000 if took else float('nan')


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
        self.members, self.over = members, False
        self.peaks = {m: (0, 0) for m in members}

    def run(self):
        while not self.over:
            for m in self.members:
                try:
                    self.peaks[m] = tuple(map(max, self.peaks[m], memory_mb(m)))
                except (OSError, KeyError):  # not there yet
                    pass
            time.sleep(0.01)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--megabytes', type=int, default=200)
    p.add_argument('--value', type=int, default=4000)
    p.add_argument('--rps', type=int, default=200)
    p.add_argument('--program', type=pathlib.Path, default=BIN)
    a = p.parse_args()
    with tempfile.TemporaryDirectory(prefix='join-') as folder:
        folder = pathlib.Path(folder)
        with Cluster([a.program / 'etcd'], folder, a.program / 'etcdctl', Messages(folder), FLAGS) as c:
            first = c.members[0]
            fill(first, a.megabytes, a.value)
            time.sleep(REST_SECONDS)
            probe = Probe(first, a.rps)
            probe.start()
            time.sleep(REST_SECONDS)
            before = memory_mb(first)
            new = c.add(a.program / 'etcd', first, learner=True)
            new.flags += FLAGS
            new.use(a.program / 'etcd')
            begin = time.monotonic()
            new.start(wait=False)
            peaks = Peaks([first, new])
            peaks.start()
            goal = first.status().header.revision
            while (new.status() is None or new.status().header.revision < goal) and time.monotonic() - begin < 300:
                time.sleep(0.01)
            end = time.monotonic()
            peaks.over = probe.over = True
            peaks.join()
            probe.join()
            time.sleep(1)
            failed = sum(code.value[0] != 0 for _, _, code in probe.times)
            print(f'data file {first.status().dbSize / 1e6:.0f} MB; joined in {end - begin:.2f} s; failed puts: {failed}')
            print(f'put p50/p99 ms: at rest {probe.percentile(.5, 0, begin):.1f}/{probe.percentile(.99, 0, begin):.1f}, '
                  f'meanwhile {probe.percentile(.5, begin, end):.1f}/{probe.percentile(.99, begin, end):.1f}')
            sender, receiver = peaks.peaks[first], peaks.peaks[new]
            print(f'sender: {before[0]:.0f} MB resident, {before[1]:.0f} anonymous; meanwhile up to +{sender[0] - before[0]:.0f}, '
                  f'+{sender[1] - before[1]:.0f}')
            after = memory_mb(new)
            print(f'receiver: up to {receiver[0]:.0f} MB resident, {receiver[1]:.0f} anonymous; afterwards {after[0]:.0f}, {after[1]:.0f}')
            page = urllib.request.urlopen(f'http://{new.endpoint}/metrics').read().decode()
            took = {k: float(v) for k, v in re.findall(r'^etcd_snap_db_(save_total|fsync)_duration_seconds_sum (\S+)$', page, re.M)}
            print(f'receiver: file written in {took["save_total"]:.2f} s, of which its last sync took {took["fsync"]:.2f}')
            steps = [x for x in log_lines(new) if x.get('msg') in STEPS]
            print('receiver: ' + ', '.join(f'{x["ts"][17:23]} {x["msg"]}' for x in steps))
            assert sum(x['msg'] == 'applied snapshot' for x in steps) == 1, steps


main()
