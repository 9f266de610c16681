"""What clients that mean harm, or ask for much at once, do to the others: latency of their puts and ranges, our CPU and memory.

One client puts and another one reads a small key all the time, each waiting for its answer (h2load); beside them an attack of
several processes comes and goes, some seconds of rest and some of attack in turn.

What is measured is what the server does to the others, not what attackers and others need of the same processors: all of them
would be on machines of their own (elsewhere.py). So the attackers run on the last processor only and only when nobody else wants
it, and at rest as many processes spin there and leave the server alone. They send and take little at a time: within a system call
the kernel lets nobody else have the processor, and a megabyte is a millisecond. The others run as soon as there is something to do
for them. No processor goes to sleep, at rest and under attack. The server runs where the kernel likes; with `--apart` the last
processor is the attackers' alone, at rest, too, and the server and the others have all but that. (Else who wakes the server decides
where it runs: beside attackers that is another processor than its clients', which costs each call of theirs 0.02 to 0.04 ms and says
nothing of a server whose clients are elsewhere anyhow.) So `spinning`, which attacks nobody, has to come out at a ratio of about 1:
what it is away from that is the noise of the run.

Printed for each attack: p50 and p99 of the others at rest and under attack, medians over the rounds, of what began while the owner
of the machine took next to nothing of it (calm.py), and how many seconds that were; the server's CPU during the attack, in cores; and
how much its resident memory grew at the most. A goal that was missed is marked.

    tests/bench/abuse.py                                          # all attacks, three rounds, about nine minutes
    tests/bench/abuse.py --attack 'large ranges' --attack spinning --rounds 7
    tests/bench/abuse.py --attack logins                          # ten thousand logins
    tests/bench/abuse.py --apart
    tests/bench/abuse.py --turns                                  # on a busy machine

`--turns` measures what does not depend on what else the machine does: the CPU time of each turn of the server's I/O thread, which
is what a request that comes at the wrong moment waits for, at the least.
"""
import argparse
import os
import pathlib
import socket
import ssl
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

import elsewhere
import load
import server
import wire
from calm import Calm
from stall import percentile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get('KETCH_BIN', ROOT / 'bin'))
sys.path.insert(0, str(ROOT / 'tests/e2e'))

import abuse_lib as abuse  # noqa: E402
import h2_raw as h2  # noqa: E402

GROWTH_MB, RATIO, LOGINS_RATIO = 64, 2, 1.2
PROBE_VALUE = b'p' * 64
KEYS, VALUE_BYTES = 500, 2048
MANY = 100_000  # small ones, where an attack is about their number
LARGE = wire.prefix(b'big/')  # a megabyte
LOGINS = 10000
SEND_BYTES, RECV_BYTES = 16 << 10, 64 << 10  # by attackers, with one system call
WARM_S, CALM_SECONDS_MIN = 1, 0.5
DAY_S = 86400
PASSWORD = b'secret'


# ---- attacks: each is run by so many processes, again and again until they are killed ----

def connection(port, first=abuse.WIDE):
    return h2.Connection(port, first)


def drain(c):
    """Takes and throws away what comes, until nothing more does."""
    try:
        while c.s.recv(1 << 20):
            pass
    except OSError:
        pass


def calls_at_once(path, message, n, *more):
    """n calls on each of two connections at once, all answers taken."""
    out = b''.join(h2.request(1 + 2 * i, path, message, *more) for i in range(n))

    def attack(port):
        held = [connection(port) for _ in range(2)]
        readers = [threading.Thread(target=drain, args=(c,)) for c in held]
        for c, reader in zip(held, readers):
            c.s.settimeout(2)
            reader.start()
            c.send(out)
        for reader in readers:
            reader.join()
        for c in held:
            c.s.close()
    return attack


def floods(kind):
    def attack(port):
        abuse.flood(port, abuse.FLOODS[kind][0])
    return attack


def spinning(port):
    end = time.monotonic() + 1
    while time.monotonic() < end:
        pass


def bombs(port):
    with connection(port) as c:
        c.send(abuse.head_frames(abuse.hpack_bomb()))
        c.s.settimeout(0.5)
        drain(c)


def gzip_bombs(port):
    with connection(port) as c:
        c.s.settimeout(2)
        reader = threading.Thread(target=drain, args=(c,))
        reader.start()
        c.send(abuse.gzip_bombs(400))
        reader.join()


def calls_that_never_end(port):
    with connection(port) as c:
        for i in range(0, 20000, 500):
            if not c.send(abuse.unending_calls(500, i)):
                break


def deaf(port):
    """Hundreds of large answers that nobody takes."""
    calls = b''.join(h2.request(1 + 2 * i, abuse.RANGE, LARGE) for i in range(200))
    held = [connection(port), connection(port, h2.settings(initial_window_size=0))]
    for c in held:
        c.s.settimeout(1)
        c.send(calls)
    time.sleep(1)
    for c in held:
        c.s.close()


def pipelined(path):
    def attack(port):
        c = connection(port)
        c.s.close()
        with socket.create_connection(('127.0.0.1', port), 2) as s:
            reader = threading.Thread(target=drain, args=(type('C', (), {'s': s}),))
            reader.start()
            try:
                s.sendall(b'GET %s HTTP/1.1\r\nHost: x\r\n\r\n' % path * 2000)
            except OSError:
                pass
            reader.join()
    return attack


def watches_at_once(port):
    """Thousands of watches on one stream."""
    create = b''.join(h2.message(wire.field(1, wire.field(1, b'w%d' % i))) for i in range(500))
    opened = h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.request_head(abuse.WATCH))
    with connection(port) as c:
        c.s.settimeout(1)
        reader = threading.Thread(target=drain, args=(c,))
        reader.start()
        c.send(opened)
        for _ in range(20):
            if not c.send(b''.join(h2.frame(h2.DATA, 0, 1, create[i:i + 16000]) for i in range(0, len(create), 16000))):
                break
        reader.join()


def trusting():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def hellos(port):
    """Connections that begin a TLS handshake and leave."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting().wrap_bio(incoming, outgoing, server_hostname='localhost')
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    hello = outgoing.read()
    held = []
    for _ in range(200):
        try:
            c = socket.create_connection(('127.0.0.1', port), 2)
            c.sendall(hello)
            held.append(c)
        except OSError:
            pass
    for c in held:
        c.close()


def handshakes(port):
    """Connections that do no more than a whole TLS handshake."""
    context = trusting()
    for _ in range(50):
        with socket.create_connection(('127.0.0.1', port), 2) as s, context.wrap_socket(s, server_hostname='localhost'):
            pass


def logins(port):
    """As many logins at a time as a process can have under way."""
    c = wire.Connection('127.0.0.1', port)
    c.call_many('Auth/Authenticate', (wire.field(1, b'root') + wire.field(2, PASSWORD) for _ in range(LOGINS // 2)),
                outstanding=200)
    c.close()


GZIP = h2.field('grpc-encoding', 'gzip')
COUNT = wire.prefix(b'big/', count_only=True)
SORTED = LARGE + wire.field(5, 2) + wire.field(6, 4)  # descending, by value
OLD = wire.prefix(b'many/') + wire.field(4, MANY)  # not the newest revision
BY_VALUE = wire.prefix(b'many/') + wire.field(6, 4)  # chunk by chunk
PUT = wire.put(b'flood', b'f' * 100)
SMALL = wire.field(1, b'probe')

# name: (what a process does again and again, processes)
ATTACKS = {
    'spinning': (spinning, 2),
    'large ranges': (calls_at_once(abuse.RANGE, LARGE, 250), 4),
    'large ranges, gzip': (calls_at_once(abuse.RANGE, LARGE, 100, GZIP), 2),
    'sorted ranges': (calls_at_once(abuse.RANGE, SORTED, 250), 2),
    'old streams': (calls_at_once(abuse.RANGE_STREAM, OLD, 20), 2),
    'sorted streams': (calls_at_once(abuse.RANGE_STREAM, BY_VALUE, 20), 2),
    'counts': (calls_at_once(abuse.RANGE, COUNT, 4000), 2),
    'small ranges': (calls_at_once(abuse.RANGE, SMALL, 4000), 2),
    'puts': (calls_at_once(abuse.PUT, PUT, 2000), 2),
    'pages': (pipelined(b'/version'), 2),
    'metrics': (pipelined(b'/metrics'), 2),
    'watches': (watches_at_once, 2),
    'deaf clients': (deaf, 2),
    'calls that never end': (calls_that_never_end, 2),
    'HPACK bombs': (bombs, 2),
    'gzip bombs': (gzip_bombs, 2),
    **{kind: (floods(kind), 2) for kind in abuse.FLOODS},
    'hellos': (hellos, 2),
    'handshakes': (handshakes, 2),
    'logins': (logins, 2),
}
OVER_TLS, WITH_USERS, OF_MANY_KEYS = {'hellos', 'handshakes'}, {'logins'}, {'old streams', 'sorted streams'}


class Bitwise(socket.socket):
    """A socket that does little with one system call."""

    def sendall(self, data, *flags):
        data = memoryview(data)
        for i in range(0, len(data), SEND_BYTES):
            super().sendall(data[i:i + SEND_BYTES], *flags)

    def recv(self, n, *flags):
        return super().recv(min(n, RECV_BYTES), *flags)


def connect_bitwise(address, timeout=None):
    s = Bitwise(socket.AF_INET, socket.SOCK_STREAM)
    s.settimeout(timeout)
    s.connect(address)
    return s


def forever(attack, port):
    socket.create_connection = connect_bitwise
    elsewhere.run_last()
    while True:
        try:
            attack(port)
        except OSError:
            time.sleep(0.01)


def attacking(fn, processes, port):
    return elsewhere.Processes(forever, [(fn, port)] * processes)


# ---- the others ----

class Others:
    """While it is entered a client puts and one reads, without a pause."""

    def __init__(self, s, folder, token):
        self.s, self.folder, self.token = s, pathlib.Path(folder), token

    def __enter__(self):
        self.running = [self.client('KV/Put', wire.put(b'probe', PROBE_VALUE), 'put'), self.client('KV/Range', SMALL, 'range')]
        time.sleep(WARM_S)
        for p in self.running:
            elsewhere.run_at_once(p.pid)
        return self

    def __exit__(self, *_):
        for p in self.running:
            p.kill()
        for p in self.running:
            p.wait()

    def client(self, method, message, name):
        body, log = self.folder / f'{name}.body', self.folder / f'{name}.log'
        body.write_bytes(wire.grpc_message(message))
        log.unlink(missing_ok=True)
        token = ['-H', f'token: {self.token}'] if self.token else []
        return subprocess.Popen(['h2load', '-t1', '-c1', '-m1', f'-D{DAY_S}', '-H', 'content-type: application/grpc', '-H', 'te: trailers',
                                 *token, '-d', str(body), f'--log-file={log}', f'{self.s.url}/etcdserverpb.{method}'],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def times(self, name, spans, calm):
        """For each span of time with enough that was calm the milliseconds of the calls that began then, sorted."""
        rows = [line.split('\t') for line in open(self.folder / f'{name}.log') if line.endswith('\n')]
        calls = [(int(row[0]) / 1e6, int(row[2]) / 1000) for row in rows if row[1] == '200']
        return [calm.of(calls, *span) for span in spans if calm.seconds(*span) >= CALM_SECONDS_MIN]


class Phase:
    """What the server used, and when it was."""

    def __init__(self, s, seconds):
        before, cpu, since = s.resident_mb(), s.cpu_s(), time.time()
        self.peak = before
        while time.time() < since + seconds:
            time.sleep(0.02)
            self.peak = max(self.peak, s.resident_mb())
        until = time.time()
        self.span = since, until
        self.growth, self.cores = self.peak - before, (s.cpu_s() - cpu) / (until - since)


def enable_users(s):
    """root and its password; a token."""
    s.call('Auth/UserAdd', wire.field(1, b'root') + wire.field(2, PASSWORD))
    s.call('Auth/UserGrantRole', wire.field(1, b'root') + wire.field(2, b'root'))
    s.call('Auth/AuthEnable', b'')
    return wire.pick(s.call('Auth/Authenticate', wire.field(1, b'root') + wire.field(2, PASSWORD)), 2).decode()


def fill(s, name):
    if name in OF_MANY_KEYS:  # first: they are what there is at revision MANY
        load.put_all(s, load.numbered(b'many/', MANY, 20))
    load.put_all(s, load.numbered(b'big/', KEYS, VALUE_BYTES))


def measure(name, program, a, folder):
    """Rounds of rest and of attack, A B B A ...; a row of the table."""
    phases = {False: [], True: []}
    fn, processes = ATTACKS[name]
    with server.Server(program, folder, tls=name in OVER_TLS) as s:
        fill(s, name)
        with Calm() as calm, Others(s, folder, enable_users(s) if name in WITH_USERS else None) as others:
            if a.apart:
                for pid in (s.p.pid, *(p.pid for p in others.running)):
                    elsewhere.place(pid, elsewhere.others_processors())
            for i in range(a.rounds):
                for under in ([False, True] if i % 2 == 0 else [True, False]):
                    with attacking(fn if under else spinning, processes, s.port):
                        phases[under].append(Phase(s, a.seconds))
                    time.sleep(a.calm if under else 0)
        alive = s.p.poll() is None
        rest, attacked = ({which: others.times(which, [p.span for p in phases[under]], calm) for which in ('put', 'range')}
                          for under in (False, True))
        seconds = [sum(calm.seconds(*p.span) for p in phases[under]) for under in (False, True)]
    cores, growth = statistics.median(p.cores for p in phases[True]), max(p.growth for p in phases[True])
    return row(name, rest, attacked, seconds, cores, growth, alive)


class Preloaded:
    """A program with turn_preload.c in it, and what that has counted."""

    def __init__(self, program, folder):
        folder = pathlib.Path(folder)
        library, self.file, self.program = folder / 'turns.so', folder / 'turns', folder / 'etcd'
        subprocess.run(['cc', '-O2', '-shared', '-fPIC', '-o', str(library), str(pathlib.Path(__file__).with_name('turn_preload.c')), '-ldl'],
                       check=True)
        self.program.write_text(f'#!/bin/sh\nLD_PRELOAD={library} TURNS_FILE={self.file} exec {program} "$@"\n')
        self.program.chmod(0o755)

    def microseconds(self):
        raw = self.file.read_bytes()
        n, *turns = struct.unpack(f'<{len(raw) // 4}I', raw)
        return turns[:n]


def measure_turns(name, a, folder):
    """A row of the other table."""
    preloaded = Preloaded(a.program, folder)
    preloaded.file.unlink(missing_ok=True)
    with server.Server(str(preloaded.program), folder, tls=name in OVER_TLS) as s:
        fill(s, name)
        with Others(s, folder, enable_users(s) if name in WITH_USERS else None), attacking(*ATTACKS[name], s.port):
            time.sleep(WARM_S)
            before = len(preloaded.microseconds())
            time.sleep(a.rounds * a.seconds)
            turns = sorted(preloaded.microseconds()[before:])
    cells = ' | '.join(f'{percentile(turns, q) / 1000:.2f}' for q in (0.5, 0.99, 0.999, 1))
    return f'| {name} | {len(turns)} | {cells} |'


def row(name, rest, attacked, seconds, cores, growth, alive):
    cells, missed = [], [] if alive else ['ENDED']
    if not (rest['put'] and attacked['put']):
        return f'| {name} | NOT MEASURED: the machine was not left alone |'
    for which in ('put', 'range'):
        calm, under = ({q: statistics.median(percentile(t, q) for t in runs[which]) for q in (0.5, 0.99)} for runs in (rest, attacked))
        ratio = under[0.99] / calm[0.99]
        cells.append(f'{calm[0.5]:.2f} / {calm[0.99]:.2f} | {under[0.5]:.2f} / {under[0.99]:.2f} | {ratio:.2f}')
        limit = LOGINS_RATIO if name == 'logins' else RATIO
        if not ratio <= limit and (name != 'logins' or which == 'put') and name != 'spinning':
            missed.append(f'MISSED: {which} p99')
    if growth > GROWTH_MB:
        missed.append('MISSED: memory')
    calm = f'{seconds[False]:.0f}, {seconds[True]:.0f}'
    return f'| {name} | {" | ".join(cells)} | {calm} | {cores:.2f} | {growth:.0f} | {", ".join(missed)} |'


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--attack', action='append', choices=ATTACKS, help='all when not given')
    p.add_argument('--rounds', type=int, default=3)
    p.add_argument('--seconds', type=float, default=2, help='of rest, and of attack, in each round')
    p.add_argument('--calm', type=float, default=1, help='seconds after an attack')
    p.add_argument('--program', default=str(BIN / 'etcd'), help='the etcd to attack')
    p.add_argument('--folder', help='where the data goes')
    p.add_argument('--apart', action='store_true', help='attackers have the last processor, the server and the others have the rest')
    p.add_argument('--turns', action='store_true', help='CPU time of turns instead of latencies')
    a = p.parse_args()
    if a.turns:
        print('| attack | turns | CPU of a turn, ms: p50 | p99 | p99.9 | most |\n|---|---|---|---|---|---|')
    else:
        print('| attack | put at rest, ms: p50 / p99 | attacked | ratio of p99 | range at rest | attacked | ratio of p99 | calm s | '
          'server cores | memory added, MB | |\n|---|---|---|---|---|---|---|---|---|---|---|')
    with tempfile.TemporaryDirectory(prefix='ketch-abuse-', dir=a.folder) as folder, elsewhere.awake():
        for name in a.attack or ATTACKS:
            print(measure_turns(name, a, folder) if a.turns else measure(name, a.program, a, folder), flush=True)


if __name__ == '__main__':
    sys.exit(main())
