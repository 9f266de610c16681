"""A server under test, ours or a real etcd, and what /proc says about it."""
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time

import wire
from case import Wrong

TICK = os.sysconf('SC_CLK_TCK')
START_S, STOP_S = 60, 60
IDLE_STEP_S, IDLE_STEPS_MAX, IDLE_CPU_S = 0.25, 240, 0.02
LEAST_FREE_MB = 2500  # of the machine; a case that needs more memory is broken off

HEADER_REVISION, RANGE_COUNT = (1, 3), (4,)


def free_ports(n):
    held = [socket.create_server(('127.0.0.1', 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def own_certificate(folder):
    """Paths of a self-signed certificate and its key: RSA of 2048 bits, as most clusters have."""
    cert, key = (pathlib.Path(folder) / name for name in ('bench.pem', 'bench.key'))
    if not cert.exists():
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', str(key), '-out', str(cert), '-subj',
                        '/CN=bench', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2'], check=True, capture_output=True)
    return str(cert), str(key)


def settled(cpu_s, idle_s):
    """What cpu_s() says once it grows by no more than idle_s in a step."""
    last = cpu_s()
    for _ in range(IDLE_STEPS_MAX):
        time.sleep(IDLE_STEP_S)
        now = cpu_s()
        if now - last <= idle_s:
            return now
        last = now
    return last


class Server:
    """One member on free ports with a data directory of its own, deleted at the end.  `tls`: its clients use TLS (and show no
    certificate)."""

    def __init__(self, program, folder, tls=False):
        self.program, self.folder = program, folder
        self.tls = own_certificate(folder) if tls else None
        self.data = tempfile.mkdtemp(prefix='data', dir=folder)
        self.log = self.data + '.log'
        self.p = None
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.data, ignore_errors=True)

    def start(self):
        """Until the first linearizable read is answered; how long that took is in ready_ms and ready_cpu_ms."""
        client_port, peer_port = free_ports(2)
        self.launch(client_port, peer_port, f'default=http://127.0.0.1:{peer_port}')
        self.wait_ready()

    def launch(self, client_port, peer_port, initial_cluster, *more):
        self.port = client_port
        self.url, peer = f'{"https" if self.tls else "http"}://127.0.0.1:{client_port}', f'http://127.0.0.1:{peer_port}'
        tls = ['--cert-file', self.tls[0], '--key-file', self.tls[1]] if self.tls else []
        self.began = time.monotonic()
        with open(self.log, 'ab') as log:
            self.p = subprocess.Popen(
                [self.program, '--data-dir', self.data, '--listen-client-urls', self.url, '--advertise-client-urls', self.url,
                 '--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', initial_cluster,
                 '--log-level', 'error', *tls, *more], stdout=log, stderr=log)

    def wait_ready(self):
        while not self._answers():
            if self.p.poll() is not None or time.monotonic() - self.began > START_S:
                self.kill()
                raise Wrong(f'{self.program} did not start: ' + pathlib.Path(self.log).read_text(errors='replace')[-300:])
            time.sleep(0.001)
        self.ready_ms = (time.monotonic() - self.began) * 1000
        self.ready_cpu_ms = self.cpu_s() * 1000

    def _answers(self):
        try:
            c = self.connect()
            try:
                return c.call('KV/Range', wire.field(1, b'x')) is not None
            finally:
                c.close()
        except OSError:
            return False

    def stop(self):
        if self.p.poll() is None:
            self.p.terminate()
            try:
                self.p.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self):
        self.p.kill()
        self.p.wait()

    def connect(self):
        return wire.Connection('127.0.0.1', self.port, self.tls and self.tls[0])

    def call(self, method, message):
        c = self.connect()
        try:
            return c.call(method, message)
        finally:
            c.close()

    # ---- what it holds ----

    def revision(self):
        return wire.pick(self.call('KV/Range', wire.field(1, b'x') + wire.field(9, 1)), *HEADER_REVISION)

    def count(self):
        return wire.pick(self.call('KV/Range', wire.prefix(b'', count_only=True)), *RANGE_COUNT)

    # ---- what it used ----

    def _proc(self, name):
        return pathlib.Path(f'/proc/{self.p.pid}/{name}').read_text()

    def cpu_s(self):
        parts = self._proc('stat').rsplit(')', 1)[1].split()
        return (int(parts[11]) + int(parts[12])) / TICK

    def settled_cpu_s(self):
        """CPU time once background work has died down."""
        return settled(self.cpu_s, IDLE_CPU_S)

    def written_bytes(self):
        """Pages on their way to the disk.  (In a file that was written ahead in large pieces through the page cache, the
        kernel counts a change of one byte as all of its folio, which may be a megabyte: compare with wchar where this is much.)"""
        text = self._proc('io')
        wrote, taken_back = (int(re.search(rf'^{k}: (\d+)', text, re.M)[1])
                             for k in ('write_bytes', 'cancelled_write_bytes'))
        return wrote - taken_back

    def anonymous_mb(self):
        return int(re.search(r'RssAnon:\s+(\d+) kB', self._proc('status'))[1]) / 1024

    def resident_mb(self):
        return int(re.search(r'VmRSS:\s+(\d+) kB', self._proc('status'))[1]) / 1024


def machine_free_mb():
    return int(re.search(r'MemAvailable:\s+(\d+) kB', pathlib.Path('/proc/meminfo').read_text())[1]) / 1024


class PeakMemory:
    """The most anonymous memory a server had while this was entered.  Kills the server when the machine runs short."""

    def __init__(self, server):
        self.server = server
        self.peak_mb = self.before_mb = server.anonymous_mb()
        self.killed = False
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch)

    def _watch(self):
        while not self.over.wait(0.01):
            try:
                self.peak_mb = max(self.peak_mb, self.server.anonymous_mb())
            except (OSError, TypeError):
                return
            if machine_free_mb() < LEAST_FREE_MB:
                self.killed = True
                self.server.kill()
                return

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def added_mb(self):
        return self.peak_mb - self.before_mb
