"""Cases in which several clients meet: readers beside writers, one put to many watchers."""
import statistics
import time

from case import Case, Figure, check, cpu, p50, p99
from cases_unary import KEY, ONE, VALUE, WARM_S, one_key
from load import Load, h2load
from server import Server
from wire import DATA, field, put

SIDE = {'connections': 32, 'streams': 1}
WATCHERS, WATCH_KEY = 1000, b'watched'
WARM_PUTS = 10


def readers_beside_writers(program, setting):
    with Server(program, setting.folder) as s:
        one_key(s)
        h2load(s, 'KV/Put', put(KEY, VALUE), seconds=WARM_S, **SIDE)
        writers = Load(s, 'KV/Put', put(b'bench-k2', VALUE), seconds=setting.seconds, **SIDE)
        readers = Load(s, 'KV/Range', ONE, seconds=setting.seconds, **SIDE)
        readers.wait()
        writers.wait()
        return {'p99': readers.p99_ms, 'reads': readers.rate, 'writes': writers.rate}


class Watchers:
    """A thousand watches of one key on one stream.  Events are counted by a word in each put's value: looking for it
    costs far less than decoding, and the driver shares the machine with the server."""

    def __init__(self, server):
        self.c, self.putter = server.connect(), server.connect()
        create = field(1, field(1, WATCH_KEY))
        self.stream = self.c.open('Watch/Watch', create)
        for _ in range(WATCHERS - 1):
            self.c.send(self.stream, create)
        self._wait_for_messages(WATCHERS)

    def _body(self):
        return b''.join(p for kind, _, stream, p in self.c.frames() if kind == DATA and stream == self.stream)

    def _wait_for_messages(self, n):
        body = b''
        while n > 0:
            body += self._body()
            while len(body) >= 5 and len(body) >= 5 + int.from_bytes(body[1:5], 'big'):
                body = body[5 + int.from_bytes(body[1:5], 'big'):]
                n -= 1

    def _receive(self, word):
        seen, tail = 0, b''
        while seen < WATCHERS:
            body = tail + self._body()
            seen += body.count(word)
            # A word cut in two by the end of this read is whole in front of the next; one that was counted is not in it.
            tail = body[body.rfind(word) + len(word):] if word in body else body
            tail = tail[-len(word) + 1:]
        check(seen == WATCHERS, f'{seen} events for {WATCHERS} watchers')

    def round(self, i):
        """One put; milliseconds until its last event was here."""
        word = b'<put %08d>' % i
        stream, out = self.putter.encode('KV/Put', put(WATCH_KEY, word.ljust(256, b'v')))
        began = time.perf_counter()
        self.putter.sock.sendall(out)
        self._receive(word)
        took = time.perf_counter() - began
        while not any(number == stream and flags & 1 for _, flags, number, _ in self.putter.frames()):
            pass
        return took * 1000

    def close(self):
        self.c.close()
        self.putter.close()


def fan_out(program, setting):
    with Server(program, setting.folder) as s:
        w = Watchers(s)
        for i in range(WARM_PUTS):
            w.round(i)
        cpu_s, i, until = s.settled_cpu_s(), WARM_PUTS, time.monotonic() + setting.seconds
        times = []
        while time.monotonic() < until:
            times.append(w.round(i))
            i += 1
        cpu_s = s.settled_cpu_s() - cpu_s
        w.close()
        times.sort()
        return {'cpu': cpu_s / (len(times) * WATCHERS) * 1e6, 'p50': statistics.median(times),
                'p99': times[len(times) * 99 // 100]}


CASES = [
    Case('readers-beside-writers', [p99(1 / 3, 1 / 8), Figure('reads', 'reads per second', '1/s', more_is_better=True),
                                    Figure('writes', 'writes per second', '1/s', 1.0, 1.0, more_is_better=True)],
         readers_beside_writers),
    Case('put-to-1000-watchers', [cpu('CPU per event', 1 / 4, 1 / 8), p50(0.5, 0.25)], fan_out),
]
