"""What answers cost in memory: they are made as the client takes them, so their size and number hardly matter.

KETCH_MEMORY=full takes the sizes of the promise (a million keys; a hundred lists of 100,000 keys of 1 KB) instead of
some that fit into seconds.
"""
import os
import pathlib
import re
import struct
import sys
import threading
import time
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tests/bench'))

import wire  # noqa: E402
from conftest import has_address_sanitizer, has_sanitizer  # noqa: E402

FULL = os.environ.get('KETCH_MEMORY') == 'full'
KEYS, VALUE_BYTES = (1000000, 256) if FULL else (20000, 1024)
CLIENTS, LISTED, LISTED_BYTES = (100, 100000, 1024) if FULL else (30, 10000, 1024)
ONE_ANSWER_MB, ONE_ANSWER_RESIDENT_MB = 2, 64
CLIENT_MB = 0.45  # a connection with its 256 KB of output
SORTED_KEY_BYTES = 64
READ_BYTES = 1 << 18
ALL = wire.prefix(b'')
SORT_ORDER, SORT_TARGET, DESCEND, BY_VALUE = 5, 6, 2, 4


class Memory:
    """The most a server had above what it had when this was entered."""

    def __init__(self, server):
        self.status = pathlib.Path(f'/proc/{server.process.pid}/status')

    def now(self):
        text = self.status.read_text()
        return [int(re.search(rf'{k}:\s+(\d+) kB', text)[1]) / 1024 for k in ('RssAnon', 'VmRSS')]

    def watch(self):
        while not self.over.wait(0.005):
            self.anonymous, self.resident = (max(a, b) for a, b in zip(self.now(), (self.anonymous, self.resident)))

    def __enter__(self):
        self.before = self.anonymous, self.resident = self.now()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.anonymous_added, self.resident_added = self.anonymous - self.before[0], self.resident - self.before[1]


def skip_sums(server):
    """Answers are right under ThreadSanitizer, too, but most memory is its own."""
    program = server.command[0]
    if has_sanitizer(program) and not has_address_sanitizer(program):
        pytest.skip('skipped: ThreadSanitizer notes who touched which memory, in memory')


def connect(server):
    return wire.Connection('127.0.0.1', server.client_port)


def load(server, n, size):
    c = connect(server)
    value = b'v' * size
    c.call_many('KV/Put', (wire.put(b'%08d' % i, value) for i in range(n)))
    c.close()
    server.wait_for(lambda: in_the_file(server) > n * size)  # the last batch, too, whose memory goes back then
    time.sleep(0.5)


def in_the_file(server):
    with urllib.request.urlopen(f'http://{server.endpoint}/metrics', timeout=30) as r:
        return float(re.search(r'^etcd_mvcc_db_total_size_in_use_in_bytes (\S+)$', r.read().decode(), re.M)[1])


def ask(c, message):
    stream, out = c.encode('KV/Range', message)
    c.sock.sendall(out)
    return stream


def drain(c, pause_s=0.0):
    """Reads to the end of the only call, and returns how many bytes of messages came, and how long they said to be."""
    got, promised, rest, ended = 0, None, b'', False
    while not ended:
        rest += c.sock.recv(READ_BYTES)
        i = 0
        while len(rest) - i >= 9:
            high, low, kind, flags, _ = struct.unpack_from('>HBBBI', rest, i)
            end = i + 9 + (high << 8 | low)
            if len(rest) < end:
                break
            if kind == wire.DATA and end - i > 9:
                if promised is None:
                    promised = struct.unpack_from('>I', rest, i + 10)[0]
                got += end - i - 9
            ended |= kind in (wire.HEADERS, wire.DATA) and bool(flags & wire.END_STREAM)
            assert kind != wire.RST_STREAM
            i = end
        rest = rest[i:]
        time.sleep(pause_s)
    return got - 5, promised


def test_one_slow_reader(server):
    """A client that reads all keys slowly, after it read nothing for a while, costs a buffer."""
    load(server, KEYS, VALUE_BYTES)
    c = connect(server)
    with Memory(server) as m:
        ask(c, ALL)
        time.sleep(0.5)
        got, promised = drain(c, 0.001)
    c.close()
    assert got == promised > KEYS * VALUE_BYTES
    skip_sums(server)
    assert m.anonymous_added < ONE_ANSWER_MB
    assert m.resident_added < ONE_ANSWER_RESIDENT_MB


def test_a_sorted_answer_keeps_no_values(server):
    """Sorting by value holds a reference for each key, and gives them back."""
    n, size = (KEYS, VALUE_BYTES) if FULL else (LISTED, LISTED_BYTES)
    load(server, n, size)
    c = connect(server)
    before = Memory(server).now()[0]
    with Memory(server) as m:
        ask(c, ALL + wire.field(SORT_ORDER, DESCEND) + wire.field(SORT_TARGET, BY_VALUE))
        got, promised = drain(c)
    c.close()
    assert got == promised > n * size
    skip_sums(server)
    assert m.anonymous_added < ONE_ANSWER_MB + n * SORTED_KEY_BYTES / 2**20
    assert Memory(server).now()[0] - before < ONE_ANSWER_MB


@pytest.mark.parametrize('reads', ['at-once', 'late'])
def test_many_lists_at_once(server, reads):
    """Clients that all list everything cost a buffer each, whether they read or wait."""
    load(server, LISTED, LISTED_BYTES)
    clients = [connect(server) for _ in range(CLIENTS)]
    with Memory(server) as m:
        for c in clients:
            ask(c, ALL)
        if reads == 'late':
            time.sleep(1)
        for c in clients:
            got, promised = drain(c)
            assert got == promised > LISTED * LISTED_BYTES
    for c in clients:
        c.close()
    data_mb = LISTED * (LISTED_BYTES + 64) / 2**20
    skip_sums(server)
    assert m.anonymous_added < CLIENTS * CLIENT_MB + ONE_ANSWER_MB
    assert m.resident_added < CLIENTS * CLIENT_MB + ONE_ANSWER_MB + 1.2 * data_mb
