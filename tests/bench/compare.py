"""Ours beside a real etcd, in one run on one machine: ratios of server CPU per operation, latency and memory.

For each case the two servers are started in turn (A B B A ...), loaded by h2load over cleartext gRPC, and the CPU that
the server used is read from /proc before and after. What is printed are medians over the rounds and the ratios of
neighbouring runs: machines differ, ratios less so.

    tests/bench/compare.py [--rounds 3] [--seconds 3] [--case put-64x1 ...] [--etcd PATH]
"""
import argparse
import os
import pathlib
import re
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get('KETCH_BIN', ROOT / 'bin'))
TICK = os.sysconf('SC_CLK_TCK')


def varint(n):
    out = b''
    while n >= 0x80:
        out += bytes([n & 0x7f | 0x80])
        n >>= 7
    return out + bytes([n])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def grpc_body(message):
    return b'\0' + struct.pack('>I', len(message)) + message


KEY, VALUE = b'bench-k1', b'v' * 256
PUT = field(1, KEY) + field(2, VALUE)
RANGE = field(1, KEY)
SERIALIZABLE = field(1, KEY) + field(7, 1)
LIST = field(1, b'list/') + field(2, b'list0')
PAGE = field(1, b'page/') + field(2, b'page0') + field(3, 500)
TXN = field(1, field(1, 0) + field(2, 3) + field(3, KEY) + field(7, VALUE)) + field(2, field(2, PUT))
GRANT = field(1, 3600)

# name: (connections, streams, method, message, what is loaded before)
CASES = {
    'put-1x1': (1, 1, 'KV/Put', PUT, None),
    'put-64x1': (64, 1, 'KV/Put', PUT, None),
    'put-10x100': (10, 100, 'KV/Put', PUT, None),
    'range-1x1': (1, 1, 'KV/Range', RANGE, 'one'),
    'range-64x1': (64, 1, 'KV/Range', RANGE, 'one'),
    'range-10x100': (10, 100, 'KV/Range', RANGE, 'one'),
    'range-serializable-64x1': (64, 1, 'KV/Range', SERIALIZABLE, 'one'),
    'list-1000-of-1k': (4, 1, 'KV/Range', LIST, 'list'),
    'page-500-of-20000': (4, 1, 'KV/Range', PAGE, 'page'),
    'count-20000': (4, 1, 'KV/Range', PAGE + field(9, 1), 'page'),
    'txn-64x1': (64, 1, 'KV/Txn', TXN, 'one'),
    'lease-grant-64x1': (64, 1, 'Lease/LeaseGrant', GRANT, None),
}


def free_ports():
    held = [socket.create_server(('127.0.0.1', 0)) for _ in range(2)]
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


class Server:
    def __init__(self, which, program, folder):
        port, peer_port = free_ports()
        self.url = f'http://127.0.0.1:{port}'
        self.data = tempfile.mkdtemp(prefix=which, dir=folder)
        peer = f'http://127.0.0.1:{peer_port}'
        self.log = open(self.data + '.log', 'wb')
        self.p = subprocess.Popen(
            [program, '--data-dir', self.data, '--listen-client-urls', self.url, '--advertise-client-urls', self.url,
             '--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', f'default={peer}',
             '--log-level', 'error'], stdout=self.log, stderr=self.log)
        began = time.monotonic()
        while True:
            try:
                if b'true' in urllib.request.urlopen(self.url + '/health', timeout=1).read():
                    break
            except OSError:
                pass
            if self.p.poll() is not None or time.monotonic() - began > 30:
                sys.exit(f'{which} did not start: see {self.log.name}')
            time.sleep(0.002)
        self.ready_s = time.monotonic() - began

    def cpu_s(self):
        parts = pathlib.Path(f'/proc/{self.p.pid}/stat').read_text().rsplit(')', 1)[1].split()
        return (int(parts[11]) + int(parts[12])) / TICK

    def settled_cpu_s(self):
        """CPU time once background work has died down."""
        last = self.cpu_s()
        for _ in range(20):
            time.sleep(0.25)
            now = self.cpu_s()
            if now - last <= 0.02:
                return now
            last = now
        return last

    def memory_mb(self):
        text = pathlib.Path(f'/proc/{self.p.pid}/status').read_text()
        rss, anon = (int(re.search(rf'{k}:\s+(\d+) kB', text)[1]) / 1024 for k in ('VmRSS', 'RssAnon'))
        return rss, anon

    def stop(self):
        self.p.terminate()
        self.p.wait(30)
        shutil.rmtree(self.data, ignore_errors=True)


def milliseconds(text):
    number, unit = re.match(r'([\d.]+)(us|ms|s)', text).groups()
    return float(number) * {'us': 1e-3, 'ms': 1, 's': 1e3}[unit]


def h2load(url, connections, streams, method, message, folder, seconds=None, count=None):
    body = pathlib.Path(folder) / 'body'
    body.write_bytes(grpc_body(message))
    log = pathlib.Path(folder) / 'h2load.log'
    log.unlink(missing_ok=True)
    amount = ['-D', str(seconds)] if seconds else ['-n', str(count)]
    out = subprocess.run(['h2load', '-t1', f'-c{connections}', f'-m{streams}', *amount, '-H', 'content-type: application/grpc',
                          '-H', 'te: trailers', '-d', str(body), f'--log-file={log}',
                          f'{url}/etcdserverpb.{method}'], capture_output=True, text=True).stdout
    done = int(re.search(r'requests: .*?(\d+) done, (\d+) succeeded', out)[2])
    failed = int(re.search(r'(\d+) failed', out)[1])
    if done == 0 or failed:
        sys.exit(f'{method}: {failed} failed\n{out}')
    # start time in us, status, response time in us
    times = sorted(int(line.split('\t')[2]) for line in open(log))
    p50, p99 = (times[min(len(times) - 1, len(times) * q // 100)] / 1000 for q in (50, 99))
    return done, p50, p99


def load(server, what, folder):
    if what == 'one':
        h2load(server.url, 1, 1, 'KV/Put', PUT, folder, count=1)
    elif what in ('list', 'page'):
        n, size = (1000, 1024) if what == 'list' else (20000, 256)
        bulk(server, [(b'%s/%05d' % (what.encode(), i), b'x' * size) for i in range(n)], folder)


def bulk(server, pairs, folder):
    """Transactions of 100 puts each."""
    for i in range(0, len(pairs), 100):
        ops = b''.join(field(2, field(2, field(1, k) + field(2, v))) for k, v in pairs[i:i + 100])
        h2load(server.url, 1, 1, 'KV/Txn', ops, folder, count=1)


def run_case(name, which, program, folder, seconds):
    connections, streams, method, message, before = CASES[name]
    s = Server(which, program, folder)
    try:
        load(s, before, folder)
        h2load(s.url, connections, streams, method, message, folder, seconds=1)
        cpu = s.settled_cpu_s()
        done, p50, p99 = h2load(s.url, connections, streams, method, message, folder, seconds=seconds)
        cpu = s.settled_cpu_s() - cpu
        return {'cpu': cpu / done * 1e6, 'rate': done / seconds, 'p50': p50, 'p99': p99}
    finally:
        s.stop()


def memory(which, program, folder, keys):
    s = Server(which, program, folder)
    try:
        empty = s.memory_mb()
        bulk(s, [(b'%08d' % i, b'v' * 256) for i in range(keys)], folder)
        time.sleep(2)
        return {'ready': s.ready_s * 1000, 'rss_empty': empty[0], 'anon_empty': empty[1], 'rss': s.memory_mb()[0],
                'anon': s.memory_mb()[1]}
    finally:
        s.stop()


def rounds_of(run, n):
    """A B B A ...: neighbours are compared, so that a drifting machine hurts little."""
    got = {'ours': [], 'etcd': []}
    for i in range(n):
        for which in ('ours', 'etcd') if i % 2 == 0 else ('etcd', 'ours'):
            got[which].append(run(which))
    return got


def report(name, got, keys):
    for k in keys:
        a, b = [x[k] for x in got['ours']], [x[k] for x in got['etcd']]
        ratio = statistics.median(x / y for x, y in zip(a, b))
        print(f'{name:26} {k:10} ours {statistics.median(a):10.2f}   etcd {statistics.median(b):10.2f}   '
              f'ratio {ratio:6.3f}   (ours {min(a):.2f}..{max(a):.2f}, etcd {min(b):.2f}..{max(b):.2f})', flush=True)


def reference():
    tool = ROOT.parent / 'shared/bin/reference-etcd'
    return subprocess.run([str(tool)], capture_output=True, text=True, check=True).stdout.strip() + '/etcd'


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--rounds', type=int, default=3)
    p.add_argument('--seconds', type=int, default=3)
    p.add_argument('--keys', type=int, default=100000)
    p.add_argument('--case', action='append', choices=[*CASES, 'memory'])
    p.add_argument('--etcd', help='the real etcd to compare with')
    a = p.parse_args()
    programs = {'ours': str(BIN / 'etcd'), 'etcd': a.etcd or reference()}
    with tempfile.TemporaryDirectory(prefix='ketch-bench-') as folder:
        for name in a.case or [*CASES, 'memory']:
            if name == 'memory':
                got = rounds_of(lambda w: memory(w, programs[w], folder, a.keys), a.rounds)
                report(f'memory-{a.keys}-keys', got, ['ready', 'rss_empty', 'anon_empty', 'rss', 'anon'])
            else:
                got = rounds_of(lambda w: run_case(name, w, programs[w], folder, a.seconds), a.rounds)
                report(name, got, ['cpu', 'rate', 'p50', 'p99'])


main()
