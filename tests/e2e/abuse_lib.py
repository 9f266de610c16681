"""What clients that mean harm send: for the tests of test_abuse.py, and for tests/bench/abuse.py, which measures what others feel of it."""
import gzip
import os
import struct

import h2_raw as h2

RANGE, RANGE_STREAM, PUT = '/etcdserverpb.KV/Range', '/etcdserverpb.KV/RangeStream', '/etcdserverpb.KV/Put'
WATCH = '/etcdserverpb.Watch/Watch'
WIDE = h2.settings(initial_window_size=(1 << 31) - 1) + h2.frame(h2.WINDOW_UPDATE, 0, 0, b'\x7f\x00\x00\x00')


def resident(pid):
    with open(f'/proc/{pid}/statm') as f:
        return int(f.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')


def resets(i):
    """500 calls, each taken back at once."""
    ids = range(1 + 1000 * i, 1001 + 1000 * i, 2)
    return b''.join(h2.frame(h2.HEADERS, h2.END_HEADERS, s, h2.request_head(RANGE)) + h2.frame(h2.RST_STREAM, 0, s, b'\0\0\0\x08')
                    for s in ids)


# What is sent again and again (bytes, or a function of how often before), and the reason that the connection is told, where there is one.
FLOODS = {
    'rapid reset': (resets, 'too_many_resets'),
    'settings': (h2.frame(h2.SETTINGS) * 1000, None),
    'pings': (h2.frame(h2.PING, payload=b'12345678') * 1000, 'too_many_pings'),
    'empty data': (lambda i: (h2.frame(h2.HEADERS, h2.END_HEADERS, 1, h2.request_head(PUT)) if i == 0 else b'') +
                   h2.frame(h2.DATA, 0, 1) * 1000, 'too_many_frames'),
    'priority': (h2.frame(h2.PRIORITY, 0, 1, b'\0\0\0\0\x10') * 1000, 'too_many_frames'),
    'continuation': (lambda i: (h2.frame(h2.HEADERS, 0, 1, h2.request_head(RANGE)) if i == 0 else b'') +
                     h2.frame(h2.CONTINUATION, 0, 1, h2.field('x', 'y' * 8000)) * 20, None),
    'push': (h2.frame(h2.PUSH_PROMISE, h2.END_HEADERS, 1, b'\0\0\0\x02'), None),
    'streams of no client': (lambda i: h2.frame(h2.HEADERS, h2.END_HEADERS, 2 + 2 * i, h2.request_head(RANGE)), None),
    'large frames': (h2.frame(h2.DATA, 0, 1, b'x' * 100000), None),
    'large windows': (h2.frame(h2.WINDOW_UPDATE, 0, 0, b'\x7f\xff\xff\xff'), None),
}


def flood(port, part, first=h2.frame(h2.SETTINGS), times=400, reads=True):
    """Sends `part` again and again until the connection ends; the connection."""
    c = h2.Connection(port, first)
    for i in range(times):
        if not c.send(part(i) if callable(part) else part):
            break
    if reads:
        c.s.settimeout(30)
        c.read_to_the_end()
    c.s.close()
    return c


def unending_calls(n, first=0):
    """Heads of calls, and nothing behind them."""
    return b''.join(h2.frame(h2.HEADERS, h2.END_HEADERS, 1 + 2 * i, h2.request_head(PUT)) for i in range(first, first + n))


def hpack_bomb():
    """Few bytes that stand for many: one long field, remembered, and named 16,000 times."""
    return h2.request_head(RANGE) + h2.field('x', b'y' * 4000, indexed=True) + h2.known(62) * 16000


def gzip_bombs(n):
    """n calls with a kilobyte that stands for a megabyte, which no key takes."""
    value = bytes(1 << 20)
    packed = gzip.compress(b'\x12' + h2.varint(len(value)) + value)
    body, head = b'\1' + struct.pack('>I', len(packed)) + packed, h2.request_head(PUT, h2.field('grpc-encoding', 'gzip'))
    return b''.join(h2.frame(h2.HEADERS, h2.END_HEADERS, i, head) + h2.frame(h2.DATA, h2.END_STREAM, i, body) for i in range(1, 2 * n, 2))


def head_frames(head):
    """A head of any length, on stream 1."""
    parts = [head[i:i + 16000] for i in range(0, len(head), 16000)]
    out = h2.frame(h2.HEADERS, h2.END_STREAM | (h2.END_HEADERS if len(parts) == 1 else 0), 1, parts[0])
    for i, p in enumerate(parts[1:]):
        out += h2.frame(h2.CONTINUATION, h2.END_HEADERS if i + 2 == len(parts) else 0, 1, p)
    return out
