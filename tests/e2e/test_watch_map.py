"""Watch: what etcd's own tests of watchers ask of one member."""
import re
import threading
import time
import urllib.request

import grpc
import pytest

from conftest import Server
from grpc_lib import Api, shown

ALL = dict(key=b'', from_key=True)
NOPUT, NODELETE = 0, 1


@pytest.fixture
def watch(api):
    w = api.watch()
    yield w
    w.close()


def metric(server, name):
    with urllib.request.urlopen(f'http://{server.endpoint}/metrics', timeout=10) as r:
        return float(re.search(rf'^{name} (\S+)$', r.read().decode(), re.M).group(1))


def settle(api, w):
    """Waits until a stream that is in step has said everything: a progress response is the last."""
    w.progress()
    out = []
    while True:
        r = w.next()
        if r.watch_id == -1 and not r.events:
            return out
        out.append(r)


@pytest.mark.parametrize('fields, matching, other', [
    (dict(key=b'foo'), b'foo', b'fo'), (dict(key=b'foo', prefix=True), b'fooLong', b'helloworld'),
    (dict(key=b'key', end=b'key3'), b'key1', b'key3'), (ALL, b'x', None),
])
def test_from_now_on(api, watch, fields, matching, other):
    """A new watch is answered with the revision of now, then brings one response for each change in its range."""
    created = watch.create(**fields)
    assert (created.watch_id, created.canceled, created.header.revision) == (0, False, 1)
    for i in range(3):
        value = b'%d' % i
        revision = api.put(matching, value)
        r = watch.next()
        assert (r.watch_id, r.header.revision, shown(r.events)) == (
            0, revision, [('PUT', matching, value, revision)])
        assert (r.events[0].kv.create_revision, r.events[0].kv.version) == (2, i + 1)
    if other is not None:
        api.put(other)
        assert settle(api, watch) == []


def test_from_the_future(api, watch):
    """A watch from a revision that is yet to come is silent until then, and loses nothing from then on."""
    watch.create(start_revision=10, **ALL)
    for _ in range(2, 11):
        api.put(b'a')
    r = watch.next()
    assert (r.header.revision, shown(r.events)) == (10, [('PUT', b'a', b'v', 10)])


def test_what_happens_is_a_put_or_a_delete(api, watch):
    """Create, change, delete, create again and the end of a lease, as events; a put of nothing is a put."""
    watch.create(key=b'k')
    lease = api.LeaseGrant(TTL=60).ID
    api.put(b'k', b'1')
    api.put(b'k', b'')
    api.DeleteRange(key=b'k')
    api.put(b'k', b'2', lease=lease)
    api.LeaseRevoke(ID=lease)
    events = watch.events(5)
    assert shown(events) == [('PUT', b'k', b'1', 2), ('PUT', b'k', b'', 3), ('DELETE', b'k', b'', 4),
                             ('PUT', b'k', b'2', 5), ('DELETE', b'k', b'', 6)]
    assert [e.kv.create_revision for e in events] == [2, 2, 0, 5, 0]
    assert [e.kv.version for e in events] == [1, 2, 0, 1, 0]


def test_ranges_that_are_none(api, watch):
    """An end at or below the key is refused with watch id -1, and the stream goes on; from-key is a range."""
    for end in (b'a', b'b'):
        watch.ask(key=b'b', end=end)
        r = watch.next()
        assert (r.created, r.canceled, r.watch_id) == (True, True, -1)
    assert watch.create(key=b'b', from_key=True).watch_id == 0
    api.put(b'c')
    assert shown(watch.events(1)) == [('PUT', b'c', b'v', 2)]


@pytest.mark.parametrize('start', [0, 1])
def test_cancel(api, watch, start):
    """A cancel is answered, and nothing follows it, whether the watch was in step or reading the past."""
    for _ in range(50):
        api.put(b'k')
    watch.create(key=b'k', start_revision=start)
    watch.cancel_watch(0)
    r = watch.next()
    while not r.canceled:
        r = watch.next()
    assert (r.watch_id, r.compact_revision) == (0, 0)
    api.put(b'k')
    assert watch.silent()
    watch.create(key=b'k')
    api.put(b'k')
    assert len(watch.events(1)) == 1


def test_created_among_puts(api):
    """Watches that are created while puts go on see every revision after that of their creation, once, in order."""
    created, seen = [], []

    def follow():
        w = api.watch()
        at = w.create(**ALL).header.revision
        created.append(at)
        revisions = []
        while not revisions or revisions[-1] < 32:
            revisions += [e.kv.mod_revision for e in w.next().events]
        seen.append((at, revisions))
        w.close()
    threads = [threading.Thread(target=follow) for _ in range(8)]
    for t in threads[:4]:
        t.start()
    for i in range(30):
        api.put(b'k')
        if i == 10:
            for t in threads[4:]:
                t.start()
            time.sleep(0.1)
    Server.wait_for(lambda: len(created) == 8)
    api.put(b'k')
    for t in threads:
        t.join(60)
    assert len(seen) == 8
    for at, revisions in seen:
        assert revisions == list(range(at + 1, 33))


@pytest.mark.parametrize('past', [False, True])
def test_many_watches(api, past):
    """Watches on one stream and on several bring each event once, and those of a transaction in one response."""
    def write():
        api.put(b'k1')
        api.put(b'other')
        api.Txn(success=[api.op('Put', key=b'k%d' % i) for i in range(3)])
    streams = [api.watch() for _ in range(5)]
    start = 2 if past else 0
    if past:
        write()
    for s in streams:
        for i in range(4):
            s.ask(key=b'k%d' % i, start_revision=start)
        s.ask(key=b'k', prefix=True, start_revision=start)
    if not past:
        for s in streams:
            assert [(r.created, r.watch_id) for r in settle(api, s)] == [(True, i) for i in range(5)]
        write()
    for s in streams:
        got = {}
        while sum(map(len, got.values())) < 8:
            r = s.next()
            if r.created:
                continue
            got.setdefault(r.watch_id, []).extend(r.events)
            if r.watch_id == 4 and len(r.events) > 1:
                assert {b'k0', b'k1', b'k2'} <= {e.kv.key for e in r.events if e.kv.mod_revision == 4}
        assert {w: [e.kv.mod_revision for e in v] for w, v in got.items()} == {
            0: [4], 1: [2, 4], 2: [4], 4: [2, 4, 4, 4]}
        s.close()


def test_history_then_live(api, watch):
    """The past in order, then what happens, with nothing twice and nothing left out."""
    puts = [api.future('Put', key=b'k%d' % (i % 7)) for i in range(1001)]
    for p in puts:
        p.result()
    watch.create(start_revision=2, **ALL)
    for _ in range(20):
        api.put(b'k')
    assert [e.kv.mod_revision for e in watch.events(1021)] == list(range(2, 1023))


def test_filters_and_previous_pairs(api):
    """Filters leave out puts or deletes; the pair before comes to those that asked, and to them alone."""
    streams = []
    for i in range(10):
        streams.append(api.watch())
        streams[-1].create(key=b'k', prev_kv=i % 2 == 0, filters=[] if i < 6 else [NOPUT] if i < 8 else [NODELETE])
    api.put(b'k', b'1')
    api.put(b'k', b'2')
    api.DeleteRange(key=b'k')
    for i, s in enumerate(streams):
        want = [('PUT', b'1', None), ('PUT', b'2', b'1'), ('DELETE', b'', b'2')]
        want = want if i < 6 else want[2:] if i < 8 else want[:2]
        got = [('DELETE' if e.type else 'PUT', e.kv.value, e.prev_kv.value if e.HasField('prev_kv') else None)
               for e in s.events(len(want))]
        assert got == [(t, v, p if i % 2 == 0 else None) for t, v, p in want]
        s.close()


def test_progress_on_request(api, watch):
    """A progress request is answered for the stream, at the revision of now, even when nothing watched has changed."""
    for i in range(3):
        watch.create(key=b'k%d' % i)
        revision = api.put(b'other')
        watch.progress()
        r = watch.next()
        assert (r.watch_id, r.header.revision, len(r.events)) == (-1, revision, 0)


def test_progress_waits_for_the_past(api, watch):
    """Behind by a thousand events, a stream answers no progress request before it has brought them all."""
    puts = [api.future('Put', key=b'k', value=b'v' * 200) for i in range(1001)]
    for p in puts:
        p.result()
    watch.create(key=b'k', start_revision=2)
    n = 0
    while True:
        watch.progress()    # as clients do: one that comes too early is dropped
        r = watch.next()
        n += len(r.events)
        if r.watch_id == -1:
            break
        assert r.header.revision == 1002
    assert (n, r.header.revision) == (1001, 1002)
    idle = api.watch()
    idle.create(key=b'idle', start_revision=1002)
    while idle.arrived.empty():
        idle.progress()
        time.sleep(0.05)
    r = idle.next()
    assert (r.watch_id, r.header.revision) == (-1, 1002)
    idle.close()


def test_progress_by_the_clock(start_server, tmp_path):
    """--watch-progress-notify-interval: watches that asked for it, and no others, are told the revision when idle."""
    with start_server(tmp_path / 'd', '--watch-progress-notify-interval=200ms') as s, Api(s) as api:
        with_progress, without = api.watch(), api.watch()
        with_progress.create(key=b'k', progress_notify=True)
        without.create(key=b'k')
        revision = api.put(b'other')
        r = with_progress.next(30)
        while r.header.revision < revision:
            r = with_progress.next(30)
        assert (r.watch_id, r.header.revision, len(r.events)) == (0, revision, 0)
        assert without.silent(0.5)
        revision = api.put(b'k')
        r = with_progress.next(30)
        while not r.events:
            assert r.header.revision < revision
            r = with_progress.next(30)
        assert shown(r.events) == shown(without.events(1)) == [('PUT', b'k', b'v', revision)]
        assert not with_progress.next(30).events
        with_progress.close()
        without.close()


@pytest.mark.parametrize('fragment', [False, True])
def test_fragments(api, watch, fragment):
    """A transaction of 3 MB comes in one response, or, when asked, in pieces that are marked so but the last."""
    api.Txn(success=[api.op('Put', key=b'k%d' % i, value=b'v' * 300000) for i in range(4)])
    for i in range(4, 14):
        api.put(b'k%d' % i, b'v' * 700000)
    watch.create(key=b'k', prefix=True, start_revision=2, fragment=fragment)
    seen = []
    while len(seen) < 14:
        r = watch.next()
        revisions = [e.kv.mod_revision for e in r.events]
        if fragment:
            assert r.ByteSize() < 2 << 20
        else:
            assert not r.fragment and revisions.count(2) in (0, 4)
        seen += revisions
    assert (seen, r.fragment) == ([2] * 4 + list(range(3, 13)), False)


def test_a_client_that_takes_no_large_messages(server, api):
    """A response above what the client takes ends its call there; with fragments it gets all."""
    for i in range(10):
        api.put(b'k%d' % i, b'v' * (1 << 20))
    with Api(server) as small:
        small.channel.close()
        small.channel = grpc.insecure_channel(server.endpoint, [('grpc.max_receive_message_length', 2 << 20)])
        w = small.watch()
        w.create(key=b'k', prefix=True, start_revision=2)
        assert w.next() is None and w.end[0] == 'RESOURCE_EXHAUSTED'
        w = small.watch()
        w.create(key=b'k', prefix=True, start_revision=2, fragment=True)
        assert len(w.events(10)) == 10
        w.close()


def test_the_compacted_past(api, watch):
    """A start below the compacted revision is cancelled with it, a negative one refused; the stream goes on."""
    for _ in range(9):
        last = api.put(b'k')
    api.Compact(revision=last - 3)
    watch.ask(key=b'k', start_revision=-1)
    r = watch.next()
    assert (r.created, r.canceled, r.watch_id, r.cancel_reason) == (
        True, True, -1, 'etcdserver: mvcc: required revision has been compacted')
    for start in (1, last - 4):
        watch.ask(key=b'k', start_revision=start)
        created, canceled = watch.next(), watch.next()
        assert created.created and canceled.canceled
        assert (canceled.compact_revision, canceled.watch_id) == (last - 3, created.watch_id)
    watch.create(key=b'k', start_revision=last - 3)
    assert [e.kv.mod_revision for e in watch.events(4)] == list(range(last - 3, last + 1))


def test_the_event_at_the_compacted_revision(api):
    """Compacted at a delete, a watch from that revision still brings the delete, then what follows (issue 18089)."""
    api.put(b'k')
    deleted = api.DeleteRange(key=b'k').header.revision
    api.put(b'k')
    api.Compact(revision=deleted, physical=True)
    w = api.watch()
    w.create(key=b'k', start_revision=deleted)
    assert shown(w.events(2)) == [('DELETE', b'k', b'', deleted), ('PUT', b'k', b'v', deleted + 1)]
    w.close()


@pytest.mark.parametrize('last_is_delete', [True, False])
def test_from_each_compacted_revision(api, last_is_delete):
    """Seven changes, compacted at the last, watched from it, again and again: every change is seen."""
    seen = {}
    revision = 1
    for i in range(14):
        w = api.watch()
        w.create(key=b'k', start_revision=max(revision, 2))
        for j in range(7):
            if j == 6 and last_is_delete:
                revision = api.DeleteRange(key=b'k').header.revision
            else:
                revision = api.put(b'k', b'%d/%d' % (i, j))
        while revision not in seen:
            for e in w.next().events:
                got = ('DELETE' if e.type else 'PUT', e.kv.value)
                assert seen.setdefault(e.kv.mod_revision, got) == got
        w.close()
        api.Compact(revision=revision, physical=True)
    assert sorted(seen) == list(range(2, 2 + 98))


def test_watches_are_given_back(server, api):
    """Created and cancelled, cut off with their connection, ended by the client: the metrics come back to nothing."""
    def watchers():
        return (metric(server, 'etcd_debugging_mvcc_watcher_total'),
                metric(server, 'etcd_debugging_mvcc_watch_stream_total'))
    w = api.watch()
    for i in range(300):
        w.create(key=b'k%d' % i)
    assert watchers()[0] == 300
    for i in range(300):
        w.cancel_watch(i)
    for i in range(300):
        assert w.next().canceled
    server.wait_for(lambda: watchers() == (0, 1))
    w.close()
    with Api(server) as other:
        for _ in range(50):
            other.watch().create(key=b'k')
        server.wait_for(lambda: watchers() == (50, 50))  # the stream before may not have gone yet
    server.wait_for(lambda: watchers() == (0, 0))
    for _ in range(50):         # cancelled and closed at once, in whatever order that arrives
        w = api.watch()
        w.create(key=b'k')
        w.cancel_watch(0)
        w.close()
    server.wait_for(lambda: watchers() == (0, 0))
    assert metric(server, 'etcd_debugging_mvcc_slow_watcher_total') == 0


def test_large_reads_do_not_hold_up_events(start_server, tmp_path):
    """While clients read 5 MB in a loop, events and progress responses still come several times a second."""
    with start_server(tmp_path / 'd', '--watch-progress-notify-interval=100ms') as s, Api(s) as api:
        for i in range(50):
            api.put(b'big%d' % i, b'v' * 100000)
        stop = threading.Event()

        def read():
            with Api(s) as other:
                while not stop.is_set():
                    other.Range(key=b'big', prefix=True)
        readers = [threading.Thread(target=read) for _ in range(4)]
        for t in readers:
            t.start()
        w = api.watch()
        w.create(key=b'k', progress_notify=True)
        for i in range(10):
            api.put(b'k')
            r = w.next(30)
            while not r.events:
                r = w.next(30)
            assert not w.next(30).events     # a progress response between two events
        stop.set()
        for t in readers:
            t.join()
        w.close()


@pytest.mark.parametrize('n', [3, 50])
def test_max_concurrent_streams(start_server, tmp_path, n):
    """--max-concurrent-streams: one fewer watches leave room for a range; with all taken it waits until one ends."""
    with start_server(tmp_path / 'd', f'--max-concurrent-streams={n}') as s, Api(s) as api:
        api.Range(key=b'k')     # the setting has arrived
        watches = [api.watch() for _ in range(n - 1)]
        for w in watches:
            w.create(key=b'k')
        assert api.Range(key=b'k').count == 0
        watches.append(api.watch())
        watches[-1].create(key=b'k')
        assert api.refused('Range', key=b'k', timeout=0.5)[0] == 'DEADLINE_EXCEEDED'
        waiting = api.future('Range', key=b'k')
        watches.pop().close()
        assert waiting.result().count == 0
        for w in watches:
            w.close()


def test_streams_at_a_stop(start_server, tmp_path):
    """When the member stops, open streams end Unavailable, so that clients go on elsewhere or after the restart."""
    with start_server(tmp_path / 'd', '--heartbeat-interval=10', '--election-timeout=50') as s, Api(s) as api:
        lease = api.LeaseGrant(TTL=60).ID
        w, k = api.watch(), api.keep_alive()
        w.create(key=b'k')
        k.send(api.rpc.LeaseKeepAliveRequest(ID=lease))
        assert k.next().TTL == 60
        revision = api.put(b'k')
        w.events(1)
        s.process.terminate()
        assert w.next(30) is None and k.next(30) is None
        assert w.end[0] == k.end[0] == 'UNAVAILABLE'
        s.process.wait(60)
    with start_server(tmp_path / 'd') as s, Api(s) as api:
        w = api.watch()
        w.create(key=b'k', start_revision=revision + 1)
        api.put(b'k')
        assert [e.kv.mod_revision for e in w.events(1)] == [revision + 1]
        w.close()
