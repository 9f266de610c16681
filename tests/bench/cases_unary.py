"""Cases of one request sent over and over by h2load, C connections with S streams each (CxS)."""
from case import Case, Figure, check, cpu, p50, p99
from load import h2load, numbered, put_all
from server import Server
from wire import field, prefix, put

KEY, VALUE = b'bench-k1', b'v' * 256
LEASE = 77
RATE = Figure('rate', 'per second', '1/s', more_is_better=True)
WARM_S = 1

ONE = field(1, KEY)
TXN_PUT = field(1, field(1, 0) + field(2, 3) + field(3, KEY) + field(7, VALUE)) + field(2, field(2, put(KEY, VALUE)))
TXN_LIMIT_1 = field(2, field(1, prefix(b'', limit=1)))


# ---- what is there before ----

def nothing(_):
    pass


def one_key(server):
    server.call('KV/Put', put(KEY, VALUE))


def keys(what, n, size):
    def fill(server):
        put_all(server, numbered(what, n, size))
        check(server.count() == n, f'{n} keys were put, {server.count()} are there')
    return fill


def one_lease(server):
    server.call('Lease/LeaseGrant', field(1, 3600) + field(2, LEASE))


# ---- the case ----

def unary(name, connections, streams, method, message, figures, before=one_key, answer=None, writes=False, tls=False):
    """answer: from how many bytes to how many an answer must have.  writes: each answered call is one revision."""

    def run(program, setting):
        with Server(program, setting.folder, tls) as s:
            before(s)
            load = {'connections': connections, 'streams': streams}
            h2load(s, method, message, seconds=WARM_S, **load)
            s.settled_cpu_s()  # what the first load has left under way is applied by then
            revision, cpu_s = s.revision(), s.cpu_s()
            h = h2load(s, method, message, seconds=setting.seconds, **load)
            cpu_s = s.settled_cpu_s() - cpu_s
            if writes:
                made = s.revision() - revision
                check(h.done <= made <= h.done + h.slots, f'{h.done} writes were answered, {made} revisions made')
            if answer:
                one = len(s.call(method, message))
                check(answer[0] <= one <= answer[1], f'an answer has {one} bytes')
                check(h.data_bytes >= h.done * one * 0.99, f'{h.done} answers of {one} bytes were {h.data_bytes} bytes')
            return {'cpu': cpu_s / h.done * 1e6, 'rate': h.rate, 'p50': h.p50_ms, 'p99': h.p99_ms}

    return Case(name, figures, run)


def disk(program, setting):
    """Bytes written per put, by one client and by 64.  Counted puts, not seconds: files that are prepared ahead come in steps
    of many megabytes."""
    got = {}
    for name, connections, puts in ('one', 1, 20000), ('many', 64, 300000):
        with Server(program, setting.folder) as s:
            s.settled_cpu_s()
            written = s.written_bytes()
            h2load(s, 'KV/Put', put(KEY, VALUE), connections=connections, count=puts)
            s.settled_cpu_s()
            got[name] = (s.written_bytes() - written) / puts
    return got


CASES = [
    unary('put-1x1', 1, 1, 'KV/Put', put(KEY, VALUE), [p50(0.7, 0.5), cpu(must=1 / 3, aim=1 / 5)], writes=True),
    unary('put-64x1', 64, 1, 'KV/Put', put(KEY, VALUE), [cpu(must=1 / 4, aim=1 / 8), p99(1 / 2, 1 / 4), RATE], writes=True),
    unary('put-10x100', 10, 100, 'KV/Put', put(KEY, VALUE), [cpu(must=1 / 5, aim=1 / 8), p99(1 / 3, 1 / 6), RATE], writes=True),
    unary('range-1x1', 1, 1, 'KV/Range', ONE, [p50(0.8, 0.55), cpu(must=1 / 3, aim=1 / 5)], answer=(256, 350)),
    unary('range-64x1', 64, 1, 'KV/Range', ONE, [cpu(must=1 / 3, aim=1 / 5), p99(), RATE], answer=(256, 350)),
    unary('range-10x100', 10, 100, 'KV/Range', ONE, [cpu(must=1 / 5, aim=1 / 10), p99(), RATE], answer=(256, 350)),
    unary('range-serializable-64x1', 64, 1, 'KV/Range', ONE + field(7, 1), [cpu(must=1 / 3, aim=1 / 4.5), p99(), RATE],
          answer=(256, 350)),
    unary('list-1000-of-1k', 4, 1, 'KV/Range', prefix(b'list/'), [cpu(must=1 / 4, aim=1 / 8), p99()],
          keys(b'list/', 1000, 1024), answer=(1000 * 1024, 1000 * 1100)),
    unary('page-500-of-20000', 4, 1, 'KV/Range', prefix(b'page/', limit=500), [cpu(must=1 / 5, aim=1 / 12), p99()],
          keys(b'page/', 20000, 256), answer=(500 * 256, 500 * 320)),
    unary('count-20000', 4, 1, 'KV/Range', prefix(b'page/', count_only=True), [cpu(must=1 / 10, aim=1 / 30), p99()],
          keys(b'page/', 20000, 256), answer=(5, 50)),
    unary('txn-put-64x1', 64, 1, 'KV/Txn', TXN_PUT, [cpu(must=1 / 4, aim=1 / 8), p99(1 / 2, 1 / 4)], writes=True),
    unary('txn-limit-1-of-100000', 4, 1, 'KV/Txn', TXN_LIMIT_1, [cpu(must=1 / 100, aim=1 / 500), p99()],
          keys(b'', 100000, 256), answer=(256, 350)),
    unary('lease-grant-64x1', 64, 1, 'Lease/LeaseGrant', field(1, 3600), [cpu(must=1 / 4, aim=1 / 6), p99()], nothing,
          answer=(10, 60)),
    # Each keep-alive is a stream of its own with one message, as etcd's KeepAliveOnce sends it.
    unary('keep-alive-64x1', 64, 1, 'Lease/LeaseKeepAlive', field(1, LEASE), [cpu(must=1 / 3, aim=1 / 4), p99()], one_lease,
          answer=(10, 60)),
    unary('tls-range-64x1', 64, 1, 'KV/Range', ONE, [cpu(must=1 / 4, aim=1 / 6), p99(), RATE], answer=(256, 350), tls=True),
    unary('tls-range-10x100', 10, 100, 'KV/Range', ONE, [cpu(must=1 / 8, aim=1 / 20), p99(), RATE], answer=(256, 350), tls=True),
    unary('tls-put-10x100', 10, 100, 'KV/Put', put(KEY, VALUE), [cpu(must=1 / 6, aim=1 / 12), p99(), RATE], writes=True, tls=True),
    unary('tls-list-1000-of-1k', 4, 1, 'KV/Range', prefix(b'list/'), [cpu(must=1 / 4, aim=1 / 8), p99()],
          keys(b'list/', 1000, 1024), answer=(1000 * 1024, 1000 * 1100), tls=True),
    Case('disk-per-put', [Figure('one', 'bytes to disk per put, 1x1', 'B', 1.2, 1.0),
                          Figure('many', 'bytes to disk per put, 64x1', 'B', 1.2, 1.0)], disk),
]
