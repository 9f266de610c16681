"""Cases of size: memory, starts, the snapshot stream."""
from case import Case, Figure, Wrong, check
from load import Load, h2load, numbered, put_all
from server import PeakMemory, Server
from wire import prefix

MILLION, SMALL = 1000000, 256
LISTED, LISTED_BYTES = 100000, 1024
ALL = prefix(b'')
MIB = 2**20


def memory(program, setting):
    """Empty, and with the keys of --keys: single puts of 8 bytes and 256."""
    with Server(program, setting.folder) as s:
        ready_ms, empty = s.ready_ms, s.anonymous_mb()
        put_all(s, numbered(b'', setting.keys, SMALL))
        s.settled_cpu_s()
        check(s.count() == setting.keys, f'{s.count()} of {setting.keys} keys are there')
        return {'ready': ready_ms, 'empty': empty, 'keys': s.anonymous_mb(), 'resident': s.resident_mb()}


def snapshot(s):
    """MB/s and CPU per MB of the stream as etcdctl would save it."""
    cpu_s = s.settled_cpu_s()
    h = h2load(s, 'Maintenance/Snapshot', b'', count=1)
    cpu_s = s.settled_cpu_s() - cpu_s
    megabytes = h.data_bytes / MIB
    return {'snapshot': megabytes / h.took_s, 'snapshot_cpu': cpu_s / megabytes * 1000}


def million(program, setting):
    with Server(program, setting.folder) as s:
        cpu_s, written = s.settled_cpu_s(), s.written_bytes()
        put_all(s, numbered(b'', MILLION, SMALL))
        cpu_s, written = s.settled_cpu_s() - cpu_s, s.written_bytes() - written
        got = {'load_cpu': cpu_s / MILLION * 1e6, 'load_disk': written / MILLION, 'anonymous': s.anonymous_mb()}
        got.update(snapshot(s))
        with PeakMemory(s) as peak:
            h = h2load(s, 'KV/Range', ALL, count=1)
        check(h.data_bytes > MILLION * SMALL, f'all keys are {h.data_bytes} bytes')
        got['range_added'] = peak.added_mb()
        s.stop()
        s.start()
        got['start'], got['start_cpu'] = s.ready_ms, s.ready_cpu_ms
        check(s.count() == MILLION, f'{s.count()} keys are there after the start')
        return got


def hundred_lists(program, setting):
    """Clients that all list 100,000 keys of 1 KB at once.  A server that would take the machine's last memory is killed;
    what it had taken by then stands in its place."""
    with Server(program, setting.folder) as s:
        put_all(s, numbered(b'', LISTED, LISTED_BYTES))
        s.settled_cpu_s()
        with PeakMemory(s) as peak:
            h = Load(s, 'KV/Range', ALL, connections=setting.clients, count=setting.clients).wait(may_fail=True)
        if not peak.killed:
            check(h.data_bytes > setting.clients * LISTED * LISTED_BYTES, f'all lists are {h.data_bytes} bytes')
        elif peak.added_mb() < 100:
            raise Wrong('too little memory on this machine to begin with')
        return {'added': peak.added_mb()}


CASES = [
    Case('memory', [Figure('ready', 'empty member ready', 'ms', 1 / 4, 1 / 20),
                    Figure('empty', 'anonymous, empty', 'MB', 1 / 4, 1 / 6),
                    Figure('keys', 'anonymous with --keys (100,000)', 'MB', 1 / 3, 1 / 5),
                    Figure('resident', 'resident with them', 'MB')], memory),
    Case('million', [Figure('anonymous', 'anonymous with 1M keys', 'MB', 1 / 3, 1 / 5),
                     Figure('load_cpu', 'CPU per put while loading', 'µs'),
                     Figure('load_disk', 'bytes to disk per put while loading', 'B', 1.2, 1.0),
                     Figure('range_added', 'memory added by a range of all', 'MB', 64, 16, absolute=True),
                     Figure('snapshot', 'snapshot stream', 'MB/s', 1.5, 3, more_is_better=True),
                     Figure('snapshot_cpu', 'snapshot CPU per MB', 'ms', 1 / 3, 1 / 6),
                     Figure('start', 'start with 1M keys', 'ms', 1 / 4, 1 / 7),
                     Figure('start_cpu', 'CPU of that start', 'ms', 1 / 4, 1 / 6)], million),
    Case('hundred-lists', [Figure('added', 'memory added by --clients (100) lists', 'MB')], hundred_lists),
]
