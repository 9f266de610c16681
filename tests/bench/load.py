"""Load: h2load for equal unary calls, our own connection for data with many keys."""
import pathlib
import re
import subprocess
import tempfile

import wire
from case import Wrong

LATE_S = 60
UNITS = {'us': 1e-3, 'ms': 1, 's': 1e3}
SIZES = {'B': 1, 'KB': 2**10, 'MB': 2**20, 'GB': 2**30}


def percentile(ordered, q):
    return ordered[min(len(ordered) - 1, len(ordered) * q // 100)] if ordered else 0


class Load:
    """One h2load run, which has begun; wait() for its figures.  `rps`: so many requests of each connection in a second."""

    def __init__(self, server, method, message, connections=1, streams=1, seconds=None, count=None, rps=None):
        self.method = method
        self.slots = connections * streams
        self.seconds = seconds
        self.folder = tempfile.TemporaryDirectory(prefix='h2load', dir=server.folder)
        body = pathlib.Path(self.folder.name) / 'body'
        body.write_bytes(wire.grpc_message(message))
        self.log = pathlib.Path(self.folder.name) / 'log'
        amount = ['-D', str(seconds)] if seconds else ['-n', str(count)]
        pace = ['--rps', str(rps)] if rps else []
        self.p = subprocess.Popen(
            ['h2load', '-t1', f'-c{connections}', f'-m{streams}', *amount, *pace, '-H', 'content-type: application/grpc', '-H',
             'te: trailers', '-d', str(body), f'--log-file={self.log}', f'{server.url}/etcdserverpb.{method}'],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def wait(self, may_fail=False):
        try:
            out = self.p.communicate(timeout=LATE_S + 2 * self.seconds if self.seconds else None)[0]
        except subprocess.TimeoutExpired:  # its clock does not stop who connects after the time is over
            self.p.kill()
            raise Wrong(f'h2load of {self.method} did not end: the machine is too busy')
        try:
            self._read(out)
        except TypeError:
            raise Wrong(f'h2load of {self.method} said: {out[-300:]}')
        if not may_fail and (self.done == 0 or self.failed):
            raise Wrong(f'{self.method}: {self.done} calls done, {self.failed} failed')
        self.folder.cleanup()
        return self

    def _read(self, out):
        self.done = int(re.search(r'requests: .*?(\d+) done, (\d+) succeeded', out)[2])
        self.failed = int(re.search(r'(\d+) failed', out)[1])
        number, unit = re.search(r'finished in ([\d.]+)(us|ms|s)', out).groups()
        self.took_s = float(number) * UNITS[unit] / 1000
        self.data_bytes = int(re.search(r'traffic: .*\((\d+)\) data', out)[1])
        self.rate = self.done / (self.seconds or self.took_s)
        calls = [line.split('\t') for line in open(self.log)]  # start in microseconds since 1970, status, microseconds
        self.calls = [(int(c[0]) / 1e6, int(c[2]) / 1000) for c in calls]  # when it began, ms
        self.times_ms = sorted(ms for _, ms in self.calls)
        self.p50_ms, self.p99_ms = (percentile(self.times_ms, q) for q in (50, 99))


def h2load(server, method, message, **how):
    return Load(server, method, message, **how).wait()


def put_all(server, pairs):
    """A put for each of the pairs, many at a time on one connection."""
    c = server.connect()
    try:
        c.call_many('KV/Put', (wire.put(k, v) for k, v in pairs))
    finally:
        c.close()


def numbered(what, n, size):
    """n pairs: WHAT and eight digits, values of this size."""
    value = b'v' * size
    return ((b'%s%08d' % (what, i), value) for i in range(n))
