"""Mixed traffic through kills: the whole history is linearizable, and watches keep all their guarantees.

Every answer tells the revision at which it holds, so the order that linearizability asks for is known: it must agree
with the clock, and each answer with the state that replaying the events up to its revision gives."""
import collections
import random
import threading
import time

import grpc

from grpc_lib import Api

KILLS = 6
OPS_PER_LIFE = 150
CLIENTS = 4
KEYS = [b'k%d' % i for i in range(5)]

Op = collections.namedtuple('Op', 'kind key begin end revision value result')


class Client(threading.Thread):
    """Random puts, deletes, compare-and-swaps and reads; `ops` are those that were answered."""

    def __init__(self, server, number, stop):
        super().__init__(daemon=True)
        self.server, self.number, self.stopped = server, number, stop
        self.rng, self.ops, self.tried = random.Random(number), [], set()
        self.known = {}     # key: a mod revision seen, for compares

    def run(self):
        while not self.stopped.is_set():
            with Api(self.server) as api:
                try:
                    while not self.stopped.is_set():
                        self.step(api)
                except grpc.RpcError:
                    time.sleep(0.05)    # killed: connected anew, which is faster than gRPC's own way

    def step(self, api):
        value = b'%d-%d' % (self.number, len(self.ops) + len(self.tried))
        kind, key = self.rng.choice(['put', 'put', 'delete', 'swap', 'swap', 'read', 'past']), self.rng.choice(KEYS)
        begin = time.monotonic()
        r, result = getattr(self, kind)(api, key, value)
        self.ops.append(Op(kind, key, begin, time.monotonic(), r.header.revision, value, result))

    def put(self, api, key, value):
        self.tried.add(value)
        r = api.Put(key=key, value=value)
        self.known[key] = r.header.revision
        return r, None

    def delete(self, api, key, _value):
        r = api.DeleteRange(key=key)
        return r, r.deleted

    def swap(self, api, key, value):
        """Puts if the key is still as it was known; reads if not."""
        self.tried.add(value)
        at = self.known.get(key, 0)
        r = api.Txn(compare=[api.compare(key, 'mod', '=', at)], success=[api.op('Put', key=key, value=value)],
                    failure=[api.op('Range', key=key)])
        kvs = [] if r.succeeded else r.responses[0].response_range.kvs
        self.known[key] = r.header.revision if r.succeeded else kvs[0].mod_revision if kvs else 0
        return r, (at, r.succeeded, [(kv.value, kv.mod_revision) for kv in kvs])

    def read(self, api, key, _value):
        r = api.Range(key=key)
        self.known[key] = r.kvs[0].mod_revision if r.kvs else 0
        return r, [(kv.value, kv.mod_revision) for kv in r.kvs]

    def past(self, api, key, _value):
        """A serializable read of some revision before."""
        revision = self.rng.randrange(1, max(2, max(self.known.values(), default=1)))
        r = api.Range(key=key, revision=revision, serializable=True)
        return r, (revision, [(kv.value, kv.mod_revision) for kv in r.kvs])


class Watcher(threading.Thread):
    """Watches from revision 1; goes on behind the last event when its stream ends.  `responses` are lists of events, or
    the revision of a progress response."""

    def __init__(self, server, fields):
        super().__init__(daemon=True)
        self.server, self.fields, self.responses, self.last, self.until = server, fields, [], 0, None

    def run(self):
        while not self.done():
            with Api(self.server) as api:
                s = api.watch()
                s.ask(key=b'k', prefix=True, start_revision=self.last + 1, progress_notify=True, prev_kv=True,
                      **self.fields)
                while not self.done() and self.take(s.next()):
                    pass
                s.close()

    def done(self):
        return self.until is not None and self.last >= self.until

    def take(self, r):
        if r is None:
            time.sleep(0.05)
            return False
        assert not r.canceled, r
        if r.events:
            self.responses.append(list(r.events))
            self.last = r.events[-1].kv.mod_revision
        elif not r.created:
            self.responses.append(r.header.revision)
            self.last = max(self.last, r.header.revision)
        return True


class History:
    """The events of a watch from the beginning, replayed."""

    def __init__(self, events):
        self.by_revision = collections.defaultdict(list)
        self.of_key = collections.defaultdict(lambda: [(0, None, 0)])     # revision, value or None, version
        for e in events:
            key, revision = e.kv.key, e.kv.mod_revision
            _, before, version = self.of_key[key][-1]
            assert revision >= max(self.by_revision, default=0), 'out of order'
            assert (e.prev_kv.value if e.HasField('prev_kv') else None) == before, e
            version = 0 if e.type else version + 1
            assert (e.kv.version, e.kv.create_revision == revision) == (version, version == 1), e
            self.by_revision[revision].append(e)
            self.of_key[key].append((revision, None if e.type else e.kv.value, version))

    def at(self, key, revision):
        """What a range of the key at the revision gives."""
        at, value, _ = [x for x in self.of_key[key] if x[0] <= revision][-1]
        return [] if value is None else [(value, at)]


def check_clock(ops):
    """What began after an answer came is not before it, and a write is after it."""
    ended, latest, waiting = 0, 0, sorted(ops, key=lambda o: o.end)
    for op in sorted(ops, key=lambda o: o.begin):
        while ended < len(waiting) and waiting[ended].end < op.begin:
            latest = max(latest, waiting[ended].revision)
            ended += 1
        writes = op.kind == 'put' or op.kind == 'delete' and op.result or op.kind == 'swap' and op.result[1]
        assert op.revision > latest if writes else op.revision >= latest, (op, latest)


def check_answers(history, ops):
    for op in ops:
        wrote = [(e.kv.key, e.kv.value if not e.type else None) for e in history.by_revision.get(op.revision, [])]
        if op.kind == 'put':
            assert wrote == [(op.key, op.value)], op
        elif op.kind == 'delete':
            assert (wrote == [(op.key, None)]) if op.result else history.at(op.key, op.revision) == [], op
        elif op.kind == 'read':
            assert op.result == history.at(op.key, op.revision), op
        elif op.kind == 'past':
            assert op.result[1] == history.at(op.key, op.result[0]), op
        else:
            known, succeeded, kvs = op.result
            before = history.at(op.key, op.revision - succeeded)
            assert succeeded == ((before[0][1] if before else 0) == known), op
            assert wrote == [(op.key, op.value)] if succeeded else kvs == before, op


def check_watcher(watcher, truth):
    """All events, once, in order; a revision is not split; after a progress response nothing of before it."""
    got, bookmark = [], 0
    for r in watcher.responses:
        if isinstance(r, int):
            bookmark = max(bookmark, r)
            continue
        assert r[0].kv.mod_revision > bookmark
        bookmark = r[-1].kv.mod_revision
        got += r
    assert got == truth


def test_history(start_server, tmp_path):
    """Six kills under four clients and three watchers: no answer, event or missing one contradicts one history."""
    rng, stop = random.Random(4), threading.Event()
    with start_server(tmp_path / 'd', '--snapshot-count=100', '--watch-progress-notify-interval=100ms') as s:
        clients = [Client(s, n, stop) for n in range(CLIENTS)]
        watchers = [Watcher(s, f) for f in ({}, {}, {'filters': [0]})]
        for t in clients + watchers:
            t.start()
        for i in range(1, KILLS + 1):
            s.wait_for(lambda: sum(len(c.ops) for c in clients) >= i * OPS_PER_LIFE, 60)
            time.sleep(rng.uniform(0, 0.1))
            s.kill()
            s.start()
        stop.set()
        for t in clients:
            t.join(60)
        with Api(s) as api:
            api.put(KEYS[0], b'last but one')
            last = api.DeleteRange(key=KEYS[0]).header.revision
            for w in watchers:
                w.until = last
                w.join(60)
                assert not w.is_alive()
            s2 = api.watch()
            s2.create(key=b'k', prefix=True, start_revision=1, prev_kv=True)
            truth = []
            while not truth or truth[-1].kv.mod_revision < last:
                truth += s2.next().events
            s2.close()
    history = History(truth)
    ops = [op for c in clients for op in c.ops]
    check_clock(ops)
    check_answers(history, ops)
    values = [e.kv.value for e in truth if not e.type]
    assert len(values) == len(set(values))      # a write that was not answered happened once, or not at all
    assert set(values) <= set().union({b'last but one'}, *(c.tried for c in clients))
    for w in watchers[:2]:
        check_watcher(w, truth)
    check_watcher(watchers[2], [e for e in truth if e.type])
