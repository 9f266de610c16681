"""Clients that mean harm: each attack leaves the member alive, others served meanwhile, and its memory bounded."""
import os
import socket
import threading
import time

import pytest

import h2_raw as h2
from abuse_lib import FLOODS, PUT, RANGE, WATCH, WIDE, flood, gzip_bombs, head_frames, hpack_bomb, resident, unending_calls
from auth_lib import Caller, turn_on
from conftest import has_sanitizer
from tls_lib import Authority, TlsServer

LOOK_SECONDS = 0.01
GROWTH_MAX = 64 << 20  # bytes of resident memory, for each attack
KEPT_MAX = 640 << 20  # what clients make a member keep: NET_SERVER_KEPT_BYTES_MAX, and what the allocator adds
SANITIZED = 8  # times as many where a sanitizer keeps memory that was freed, or notes who touched which
HELD_MAX = 512 << 20  # requests that came in parts: NET_SERVER_HELD_BYTES_MAX
LISTS_MAX = 400 << 20  # lists of leases on their way, of one I/O thread, and those that are made


class Others(threading.Thread):
    """An honest client that puts all the time, and how long each put took."""

    def __init__(self, put):
        super().__init__(daemon=True)
        self.put = put
        self.put(key=b'warm', value=b'up')
        self.over, self.seconds, self.failed = False, [], None

    def run(self):
        while not self.over:
            begun = time.monotonic()
            try:
                self.put(key=b'others', value=b'v')
            except Exception as e:  # told by the test
                self.failed = e
                return
            self.seconds.append(time.monotonic() - begun)
            time.sleep(0.002)


class Watched:
    """While this lasts others are served; afterwards the member is alive and not much larger: by `growth_max` bytes at the most.
    `put` puts in the name of the others."""

    def __init__(self, server, growth_max=GROWTH_MAX, put=None):
        self.server, self.growth_max = server, growth_max
        self.put = put or server.grpc('etcdserverpb.KV/Put', timeout=30)

    def __enter__(self):
        self.others = Others(self.put)
        self.before = resident(self.server.process.pid)
        self.peak = self.before
        self.others.start()
        self.over = threading.Event()
        self.looker = threading.Thread(target=self.look, daemon=True)
        self.looker.start()
        return self

    def look(self):
        self.away, looked = 0, time.monotonic()  # the longest that nothing ran here, which is nobody's fault
        while not self.over.wait(LOOK_SECONDS):
            self.peak = max(self.peak, resident(self.server.process.pid))
            self.away, looked = max(self.away, time.monotonic() - looked - LOOK_SECONDS), time.monotonic()

    def __exit__(self, kind, *rest):
        enough, end = len(self.others.seconds) + 5, time.monotonic() + 60
        while len(self.others.seconds) < enough and time.monotonic() < end and self.others.is_alive():
            time.sleep(0.01)
        self.others.over = True
        self.others.join()
        self.over.set()
        self.looker.join()
        if kind is not None:
            return
        assert self.server.process.poll() is None, self.server.log_text()[-3000:]
        assert self.others.failed is None and len(self.others.seconds) >= 5, self.others.failed
        allowed = self.growth_max * (SANITIZED if has_sanitizer(self.server.command[0]) else 1)
        assert self.peak - self.before < allowed, f'{self.before >> 20} MiB became {self.peak >> 20}'
        slow = sorted(self.others.seconds)[int(len(self.others.seconds) * 0.95)]
        assert slow - self.away < 1, f'others waited {slow:.3f} s; the machine was away for {self.away:.3f} s'


def take_answers(c, n):
    """Until n calls have ended."""
    answered = 0
    for kind, flags, _, _ in c.frames():
        answered += kind == h2.HEADERS and flags & h2.END_STREAM != 0
        if answered == n:
            break
    assert answered == n


@pytest.mark.parametrize('kind', FLOODS)
def test_floods_end_the_connection(server, kind):
    """Frames that cost us and bring nothing, or that break HTTP/2: the connection is told why and ended."""
    part, why = FLOODS[kind]
    with Watched(server):
        c = flood(server.client_port, part)
    assert c.ended
    if why is not None and c.goaway is not None:  # a reset can overtake our last word
        assert c.goaway == (h2.ENHANCE_YOUR_CALM, why)


def test_frames_of_unknown_kinds(server):
    """They are passed over, as HTTP/2 demands, and cost no more than the reading of their bytes."""
    with Watched(server), h2.Connection(server.client_port) as c:
        for _ in range(100):
            assert c.send(h2.frame(77) * 1000)
        assert c.send(h2.request(1, PUT, b'\x0a\x01k\x12\x01v'))
        assert any(kind == h2.HEADERS and flags & h2.END_STREAM for kind, flags, _, _ in c.frames())


def test_too_many_headers(server):
    """Much of one field, many fields, and few bytes that stand for many (an HPACK bomb) cost the client its stream or its connection,
    and us nothing."""
    heads = [h2.request_head(RANGE, h2.field('x', 'y' * 16000)) * 1,
             h2.request_head(RANGE, *[h2.field(f'a{i}', 'b') for i in range(1000)]),
             hpack_bomb()]
    with Watched(server):
        for head in heads:
            for _ in range(20):
                with h2.Connection(server.client_port) as c:
                    c.send(head_frames(head))
                    c.s.settimeout(5)
                    for f in c.frames():
                        if f[0] in (h2.RST_STREAM, h2.GOAWAY) or (f[0] == h2.HEADERS and f[1] & h2.END_STREAM):
                            break


def test_gzip_bombs(server):
    """Kilobytes that stand for megabytes, hundreds at once on each connection: all are answered, and others in between."""
    n = 200
    with Watched(server):
        held = [h2.Connection(server.client_port, WIDE) for _ in range(2)]
        for c in held:
            assert c.send(gzip_bombs(n))
        for c in held:
            take_answers(c, n)
            c.s.close()


@pytest.fixture
def large_answers(server):
    """500 keys of 2 KiB: a range over all of them is a megabyte.  The request for it."""
    put = server.grpc('etcdserverpb.KV/Put')
    for i in range(500):
        put(key=b'big/%03d' % i, value=b'v' * 2048)
    return b'\x0a\x04big/\x12\x04big0'


def test_much_at_once(server, large_answers):
    """A thousand ranges that sort 500 keys each, at once on each of four connections: all are answered, and others in between."""
    by_value = large_answers + b'\x18\x01\x28\x02\x30\x04'  # limit 1, descending, by value
    n = 1000
    calls = b''.join(h2.request(1 + 2 * i, RANGE, by_value) for i in range(n))
    with Watched(server):
        held = [h2.Connection(server.client_port, WIDE, timeout=60) for _ in range(4)]
        senders = [threading.Thread(target=c.send, args=(calls,)) for c in held]
        for t in senders:
            t.start()
        for c in held:
            take_answers(c, n)
        for t, c in zip(senders, held):
            t.join()
            c.s.close()


def test_windows_that_stay_closed(server, large_answers):
    """Hundreds of large answers that nobody lets out: by windows of no bytes, or by reading nothing from the socket."""
    calls = b''.join(h2.request(1 + 2 * i, RANGE, large_answers) for i in range(200))
    with Watched(server):
        closed = [h2.Connection(server.client_port, h2.settings(initial_window_size=0)) for _ in range(4)]
        deaf = [h2.Connection(server.client_port, WIDE) for _ in range(4)]
        for c in closed + deaf:
            c.s.settimeout(2)
            c.send(calls)
        time.sleep(1)
        for c in closed + deaf:
            c.s.close()


def test_answers_that_are_not_taken(server):
    """Small answers, each made at once and none let out by its client: a connection holds less than it may, and all of them together no
    more than there is for all.  Those that hold most are told so and ended."""
    server.grpc('etcdserverpb.KV/Put')(key=b'fifteen', value=b'v' * 15000)
    calls = b''.join(h2.request(1 + 2 * i, RANGE, b'\x0a\x07fifteen\x38\x01') for i in range(2000))  # 30 MB
    with Watched(server, KEPT_MAX + GROWTH_MAX):
        held = [h2.Connection(server.client_port, h2.settings(initial_window_size=0)) for _ in range(60)]
        for c in held:
            c.send(calls)
        for c in held:
            c.s.settimeout(1)
            c.read_to_the_end()
            c.s.close()
    assert [c.goaway for c in held].count((h2.ENHANCE_YOUR_CALM, 'too_many_bytes_kept')) >= 30


def test_requests_that_wait(server):
    """Whole requests that wait for what their token will perhaps mean some day, of who needs no name for that, and whose connections go
    meanwhile."""
    token = turn_on(Caller(server))
    later = h2.field('token', 'a.99999999999')
    value = h2.varint(15000) + b'v' * 15000
    flood = b''.join(h2.request(1 + 2 * i, PUT, b'\x0a\x01k\x12' + value, later) for i in range(6000))
    caller = Caller(server)
    with Watched(server, HELD_MAX + KEPT_MAX + GROWTH_MAX, lambda **fields: caller.call('etcdserverpb.KV/Put', token, **fields)):
        for _ in range(24):
            with h2.Connection(server.client_port) as c:
                c.send(flood)
                c.s.settimeout(0.5)
                c.read_to_the_end()


def test_lists_that_are_not_taken(server):
    """Thousands of questions for all of 50,000 leases, whose answers nobody lets out."""
    grant, leases = '/etcdserverpb.Lease/LeaseGrant', '/etcdserverpb.Lease/LeaseLeases'
    for n in range(5):
        with h2.Connection(server.client_port, WIDE) as c:
            c.send(b''.join(h2.request(1 + 2 * i, grant, b'\x08' + h2.varint(100000)) for i in range(10000)))
            ended = 0
            for kind, flags, _, _ in c.frames():
                ended += kind == h2.HEADERS and flags & h2.END_STREAM != 0
                if ended == 10000:
                    break
    with Watched(server, LISTS_MAX + GROWTH_MAX):
        held = [h2.Connection(server.client_port, h2.settings(initial_window_size=0)) for _ in range(2)]
        for c in held:
            c.send(b''.join(h2.request(1 + 2 * i, leases, b'') for i in range(200)))
        refused = 0
        for c in held:
            c.s.settimeout(5)
            refused += sum(kind == h2.HEADERS and flags & h2.END_STREAM != 0 for kind, flags, _, _ in c.frames())
            c.s.close()
    assert refused > 200


def test_watchers_that_do_not_read(server):
    """Events for a thousand watches of clients that take none of them."""
    create = h2.message(b'\x0a\x09\x0a\x01k\x12\x01l')  # of ["k", "l")
    opened = h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.request_head(WATCH)) + h2.frame(h2.DATA, 0, 1, create * 250)
    put = server.grpc('etcdserverpb.KV/Put')
    with Watched(server):
        deaf = [h2.Connection(server.client_port, h2.settings(initial_window_size=0) + opened) for _ in range(4)]
        for i in range(60):
            put(key=b'k', value=b'%d' % i * 10000)
        for c in deaf:
            c.s.close()


def test_calls_that_never_end(server):
    """Calls begun and left, more than a connection may have, and messages announced and not sent."""
    with Watched(server):
        conns = []
        for n in range(2):
            c = h2.Connection(server.client_port)
            conns.append(c)
            for i in range(0, 20000, 500):
                if not c.send(unending_calls(250, i)):
                    break
            c.s.close()
        for n in range(20):
            c = h2.Connection(server.client_port)
            conns.append(c)
            c.send(b''.join(h2.frame(h2.HEADERS, h2.END_HEADERS, 1 + 2 * k, h2.request_head(PUT)) +
                            h2.frame(h2.DATA, 0, 1 + 2 * k, b'\0\0\x1f\xff\xff' + b'x' * 10) for k in range(100)))
        time.sleep(0.2)
        for c in conns:
            c.s.close()


def test_bytes_that_mean_nothing(server):
    """Random bytes, halves of requests, and connections that say nothing at all."""
    noise = [os.urandom(4096) for _ in range(50)]
    begun = [b'GET /health HTTP/1.1\r\nHost: ', b'POST /v3/kv/put HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n{', h2.PREFACE[:10],
             h2.PREFACE + b'\0\0', b'', b'\x16\x03\x01\x02\x00']
    with Watched(server):
        held = []
        for n in range(300):
            s = socket.create_connection(('127.0.0.1', server.client_port), 30)
            s.sendall(begun[n % len(begun)])
            held.append(s)
        for text in noise:
            for lead in (b'', h2.PREFACE, h2.PREFACE + h2.frame(h2.SETTINGS)):
                with socket.create_connection(('127.0.0.1', server.client_port), 30) as s:
                    s.sendall(lead + text)
        for s in held:
            s.close()


def test_handshakes_that_never_end(ketch_bin, messages, tmp_path):
    """A TLS port: silence, half a hello, noise, and thousands of hellos without more."""
    authority = Authority(tmp_path)
    pair = authority.pair('etcd-server')
    s = TlsServer(ketch_bin / 'etcd', tmp_path, authority, pair, pair.flags() + pair.flags('peer-'), ketch_bin / 'etcdctl', messages)
    s.start()
    try:
        hello = hello_of(s)
        with Watched(s):
            held = []
            for n in range(1500):
                c = socket.create_connection(('127.0.0.1', s.client_port), 30)
                c.sendall([hello, hello[:40], b'', hello][n % 4])
                held.append(c)
            for _ in range(50):
                with socket.create_connection(('127.0.0.1', s.client_port), 30) as c:
                    c.sendall(os.urandom(2000))
                with socket.create_connection(('127.0.0.1', s.client_port), 30) as c:
                    c.sendall(hello + os.urandom(2000))
            assert s.get('/health', timeout=30)[0] == 200  # new connections are let in meanwhile
            for c in held:
                c.close()
    finally:
        s.stop()


def hello_of(server):
    """What a client says first."""
    import ssl
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = server.context().wrap_bio(incoming, outgoing, server_hostname='localhost')
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()
