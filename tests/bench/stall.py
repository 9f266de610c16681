"""What maintenance does to puts: their latency while revisions are compacted, the file is defragmented, a snapshot read.

For each server in turn (ours, a real etcd): fill it with revisions, then probe it with puts while nothing else goes on,
while a snapshot is read, while half of the revisions and then the rest are compacted, and while what is left is
defragmented. The probe is h2load, whose clients wait for each answer (or put at --rps). Times are compared with those
of the same server at rest, in the same run: machines differ, ratios less so.

    tests/bench/stall.py                                       # a small run, about a minute
    tests/bench/stall.py --revisions 1000000 --value 1900      # a million revisions, 2 GB
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

import server
import wire
from wire import field

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get('KETCH_BIN', ROOT / 'bin'))
QUOTA_BYTES = 8 << 30
KEYS_PER_TXN = 100
PROBE_VALUE = b'p' * 256


def h2load(url, method, message, folder, *options, log=None, name='body'):
    body = pathlib.Path(folder) / name
    body.write_bytes(wire.grpc_message(message))
    command = ['h2load', '-t1', '-H', 'content-type: application/grpc', '-H', 'te: trailers', '-d', str(body), *options,
               *([f'--log-file={log}'] if log else []), f'{url}/etcdserverpb.{method}']
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def fill(server, revisions, value, folder):
    """Transactions of puts to the same few keys: each put is a revision that stays until it is compacted."""
    ops = b''.join(field(2, field(2, field(1, b'stall/%03d' % i) + field(2, os.urandom(value))))
                   for i in range(KEYS_PER_TXN))
    h2load(server.url, 'KV/Txn', ops, folder, '-c4', '-m1', f'-n{revisions // KEYS_PER_TXN}')


class Probe:
    """Puts without a pause, in slices of two seconds, until it is told to stop."""

    def __init__(self, server, clients, rps, folder):
        self.times = []
        self.stopping = False
        self.thread = threading.Thread(target=self.run, args=(server, clients, rps, folder))
        self.thread.start()

    def run(self, server, clients, rps, folder):
        put = field(1, b'probe') + field(2, PROBE_VALUE)
        log = pathlib.Path(folder) / f'probe-{clients}.log'
        paced = [f'--rps={rps}'] if rps else []
        while not self.stopping:
            log.unlink(missing_ok=True)
            h2load(server.url, 'KV/Put', put, folder, f'-c{clients}', '-m1', '-D2', *paced, log=log, name='probe')
            for line in open(log):
                began, status, took = line.split('\t')[:3]
                if status == '200':
                    self.times.append((int(began), int(took)))

    def stop(self):
        self.stopping = True
        self.thread.join()

    def between(self, first, last):
        """Sorted milliseconds of the puts that were under way at some time between the two."""
        return sorted(took / 1000 for began, took in self.times
                      if began + took >= first * 1e6 and began <= last * 1e6)


def percentile(times, q):
    return times[min(len(times) - 1, int(len(times) * q))] if times else float('nan')


def summary(times):
    return {'n': len(times), 'p50': percentile(times, 0.5), 'p99': percentile(times, 0.99),
            'p99.9': percentile(times, 0.999), 'worst': times[-1] if times else float('nan')}


def snapshot_read(server, folder):
    """The whole snapshot, thrown away as it comes: the server's part alone."""
    began, cpu = time.monotonic(), server.cpu_s()
    out = h2load(server.url, 'Maintenance/Snapshot', b'', folder, '-c1', '-m1', '-n1', name='snapshot')
    took = time.monotonic() - began
    size = int(out.split('traffic: ')[1].split('(')[1].split(')')[0])
    return {'MB': size / 1e6, 'seconds': took, 'MB/s': size / 1e6 / took, 'cpu_s': server.cpu_s() - cpu}


def timed(fn):
    began = time.monotonic()
    fn()
    return {'seconds': time.monotonic() - began}


def measure(which, name, server, clients, a, folder, operation, idle=None):
    """One operation with the probe beside it; what the operation says of itself and what the puts felt."""
    probe = Probe(server, clients, a.rps, folder)
    time.sleep(a.lead)
    first = time.time()
    facts = operation()
    last = time.time()
    time.sleep(0.5)
    probe.stop()
    s = summary(probe.between(first, last))
    ratio = f' p99 x{s["p99"] / idle["p99"]:.2f} of idle' if idle else ''
    told = ' '.join(f'{k} {v:.2f}' for k, v in (facts or {}).items())
    print(f'{which:5} {name:12} {clients:3} clients: n {s["n"]:7} p50 {s["p50"]:8.3f} p99 {s["p99"]:8.3f} '
          f'p99.9 {s["p99.9"]:8.3f} worst {s["worst"]:8.3f} ms{ratio}   {told}', flush=True)
    return s


def compact(s, revision):
    """Returns when the file is rid of what went."""
    s.call('KV/Compact', field(1, revision) + field(2, 1))


def run(which, program, clients, a, folder):
    with server.Server(program, folder) as s:
        fill(s, a.revisions, a.value, folder)
        filled = s.revision()
        alone = snapshot_read(s, folder)
        print(f'{which:5} {"snapshot":12} nothing else: ' + ' '.join(f'{k} {v:.2f}' for k, v in alone.items()), flush=True)
        time.sleep(1)
        idle = measure(which, 'idle', s, clients, a, folder, lambda: time.sleep(a.idle))
        measure(which, 'snapshot', s, clients, a, folder, lambda: snapshot_read(s, folder), idle)
        for name, to in (('compact 1/2', filled - a.revisions // KEYS_PER_TXN // 2), ('compact 2/2', filled)):
            measure(which, name, s, clients, a, folder, lambda: timed(lambda: compact(s, to)), idle)
        fill(s, a.revisions, a.value, folder)
        time.sleep(1)
        measure(which, 'defragment', s, clients, a, folder, lambda: timed(lambda: s.call('Maintenance/Defragment', b'')), idle)


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--revisions', type=int, default=100000)
    p.add_argument('--value', type=int, default=512, help='bytes of a value')
    p.add_argument('--clients', type=int, action='append', help='of the probe; 1 and 64 when not given')
    p.add_argument('--rps', type=int, default=0, help='puts a second for each client; 0: as fast as they are answered')
    p.add_argument('--idle', type=float, default=4, help='seconds of puts at rest')
    p.add_argument('--lead', type=float, default=1, help='seconds of puts before an operation')
    p.add_argument('--only', choices=['ours', 'etcd'])
    p.add_argument('--reference', metavar='DIR', help='with the etcd to compare with')
    p.add_argument('--folder', help='where the data goes: a disk, not memory')
    a = p.parse_args()
    tool = str(ROOT.parent / 'shared/bin/reference-etcd')
    reference = a.reference or subprocess.run([tool], capture_output=True, text=True, check=True).stdout.strip()
    programs = {'ours': str(BIN / 'etcd'), 'etcd': reference + '/etcd'}
    os.environ['ETCD_QUOTA_BACKEND_BYTES'] = str(QUOTA_BYTES)
    with tempfile.TemporaryDirectory(prefix='ketch-stall-', dir=a.folder) as folder:
        for clients in a.clients or [1, 64]:
            for which, program in programs.items():
                if a.only in (None, which):
                    run(which, program, clients, a, folder)


if __name__ == '__main__':
    sys.exit(main())
