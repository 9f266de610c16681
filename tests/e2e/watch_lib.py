"""Writers that keep the book of the events they cause, and watch streams that are held against it."""
import bisect
import collections
import queue
import random
import threading
import time

import grpc

OPTIONS = [('grpc.max_receive_message_length', -1), ('grpc.use_local_subchannel_pool', 1),
           ('grpc.initial_reconnect_backoff_ms', 100), ('grpc.max_reconnect_backoff_ms', 300)]
KEYS = [b'%c/%02d' % (c, i) for c in b'abc' for i in range(12)]
RANGES = [(b'a/00', b''), (b'b/05', b''), (b'c/11', b''), (b'a', b'b'), (b'b', b'c'), (b'a/03', b'b/07'),
          (b'\0', b'\0'), (b'c/', b'\0'), (b'a', b'\xff')]
CALL_SECONDS = 60
CAUGHT_UP_SECONDS = 90
QUIET_SECONDS = 0.5

Event = collections.namedtuple('Event', 'revision delete key value')


def connect(endpoint):
    return grpc.insecure_channel(endpoint, options=OPTIONS)


class History:
    """What was written: for every revision its events in order, complete up to newest()."""

    def __init__(self):
        self.events, self.lock, self.known, self.compacting = {}, threading.Lock(), 1, 0
        self.by_key, self.by_range = collections.defaultdict(list), {}  # once it is closed

    def add(self, revision, events):
        with self.lock:
            assert revision not in self.events, f'revision {revision} was given out twice'
            self.events[revision] = events
            while self.known + 1 in self.events:
                self.known += 1

    def newest(self):
        return self.known

    def close(self):
        """No more is written: no revision may be missing."""
        assert self.known == max(self.events), f'nobody caused revision {self.known + 1}'
        for revision in range(2, self.known + 1):
            for e in self.events[revision]:
                self.by_key[e.key].append(e)

    def expected(self, watch):
        """All events that the watch has to see."""
        kind = watch.span, tuple(watch.filters)
        every = self.by_range.get(kind)
        if every is None:
            every = [e for revision in range(2, self.known + 1) for e in self.events[revision] if watch.wants(e)]
            self.by_range[kind] = every
        return every[bisect.bisect_left(every, watch.first, key=lambda e: e.revision):]

    def before(self, event):
        """The value of the event's key at the revision before; None if there was no such key."""
        changes = self.by_key[event.key]
        i = bisect.bisect_left(changes, event.revision, key=lambda e: e.revision)
        return None if i == 0 or changes[i - 1].delete else changes[i - 1].value


class Writer:
    def __init__(self, rpc, endpoint, history, seed):
        self.rpc, self.history, self.r, self.count = rpc, history, random.Random(seed), 0
        self.channel, self.name = connect(endpoint), b'%08x' % seed

    def call(self, method, request, response):
        stub = self.channel.unary_unary('/etcdserverpb.KV/' + method)
        return response.FromString(stub(request.SerializeToString(), timeout=CALL_SECONDS, wait_for_ready=True))

    def put(self, key):
        self.count += 1
        size = 30000 if self.r.random() < 0.1 else self.r.choice([0, 0, 0, 100, 3000])
        return self.rpc.PutRequest(key=key, value=b'%s-%d-' % (self.name, self.count) + b'x' * size)

    def delete(self, key, range_end=b''):
        return self.rpc.DeleteRangeRequest(key=key, range_end=range_end, prev_kv=True)

    @staticmethod
    def events_of(revision, request, response):
        """The events of one put or delete."""
        if hasattr(request, 'value'):
            return [Event(revision, False, request.key, request.value)]
        return [Event(revision, True, kv.key, b'') for kv in response.prev_kvs]

    def step(self):
        x = self.r.random()
        if x < 0.75:
            if x < 0.6:
                name, q = 'Put', self.put(self.r.choice(KEYS))
            else:
                key = self.r.choice(KEYS)
                name, q = 'DeleteRange', self.delete(key, self.r.choice([b'', key[:2] + b'99']))
            response = self.call(name, q, getattr(self.rpc, name + 'Response'))
            revision = response.header.revision
            events = self.events_of(revision, q, response)
        else:
            revision, events = self.transaction()
        if events:
            self.history.add(revision, events)

    def transaction(self):
        """Several keys in one revision."""
        q, events = self.rpc.TxnRequest(), []
        if self.r.random() < 0.3:
            q.success.add().request_delete_range.CopyFrom(self.delete(b'a/', b'a/06'))
        for key in self.r.sample(KEYS[6:], self.r.choice([1, 2, 5, 20])):
            put = self.put(key)
            put.value = put.value[:200]     # all of them fit into one request
            q.success.add().request_put.CopyFrom(put)
        response = self.call('Txn', q, self.rpc.TxnResponse)
        for op, done in zip(q.success, response.responses):
            if op.HasField('request_put'):
                events += self.events_of(response.header.revision, op.request_put, None)
            else:
                events += self.events_of(response.header.revision, op.request_delete_range, done.response_delete_range)
        return response.header.revision, events


class Watch:
    """One watch from its creation to its end, and everything that came for it."""

    def __init__(self, span, filters, prev_kv, fragment, start):
        self.span, self.filters, self.prev_kv, self.fragment, self.start = span, filters, prev_kv, fragment, start
        self.first = start          # the first revision that it is to see; 0: not known before the created response
        self.created = self.canceled = self.partial = False
        self.compact_revision = 0
        self.events = []
        self.prev = []              # (position in events, previous value or None, it may be compacted)
        self.wholes = []            # how many events there were after each response that ended a revision
        self.progress = []          # (revision, how many events came before)
        self.late = self.fragments = 0

    @classmethod
    def random(cls, r, newest):
        start = r.choice([0, 0, newest + 1, newest + r.randrange(2, 50), max(1, newest - r.randrange(1, 600))])
        return cls(r.choice(RANGES), r.choice([[], [], [], [0], [1]]), r.random() < 0.4, r.random() < 0.5, start)

    def again(self):
        """A watch that goes on where this one ended."""
        return Watch(self.span, self.filters, self.prev_kv, self.fragment, max(self.next(), self.compact_revision))

    def next(self):
        """The first revision that was not seen whole."""
        seen = self.first - 1
        if self.progress:
            seen = max(seen, self.progress[-1][0])
        if self.events:
            seen = max(seen, self.events[-1].revision - (1 if self.partial else 0))
        return max(seen + 1, 0)

    def request(self, rpc, watch_id):
        key, end = self.span
        return rpc.WatchRequest(create_request=rpc.WatchCreateRequest(
            key=key, range_end=end, filters=self.filters, prev_kv=self.prev_kv, fragment=self.fragment,
            start_revision=self.start, watch_id=watch_id, progress_notify=len(key) % 2 == 0))

    def wants(self, e):
        key, end = self.span
        if (1 if e.delete else 0) in self.filters:
            return False
        return e.key == key if end == b'' else e.key >= key and (end == b'\0' or e.key < end)

    def take(self, m, compacting):
        """A response, looked at by itself and against those before; compacting: what may be compacted by now."""
        assert self.created != m.created, f'created comes first and once: {m}'
        assert not self.canceled, f'a response after the last one: {m}'
        if m.created:
            self.created = True
            assert not m.events and not m.canceled, m
            self.first = self.start or m.header.revision + 1
        elif m.canceled:
            self.canceled, self.compact_revision = True, m.compact_revision
        elif m.events:
            self.take_events(m, compacting)
        else:
            self.take_progress(m.header.revision)

    def take_events(self, m, compacting):
        assert self.fragment or not m.fragment, 'a fragment that was not asked for'
        seen = self.next() - 1
        for e in m.events:
            kv = e.kv
            assert kv.mod_revision > seen, f'revision {kv.mod_revision} after {seen}'
            assert not self.events or kv.mod_revision >= self.events[-1].revision, f'{kv} after {self.events[-1]}'
            assert kv.mod_revision <= m.header.revision
            self.events.append(Event(kv.mod_revision, e.type == 1, kv.key, kv.value))
            if self.prev_kv:
                value = e.prev_kv.value if e.HasField('prev_kv') else None
                self.prev.append((len(self.events) - 1, value, kv.mod_revision - 1 < compacting))
            else:
                assert not e.HasField('prev_kv')
        self.partial = m.fragment
        self.fragments += m.fragment
        self.late += m.header.revision > self.events[-1].revision
        if not m.fragment:
            self.wholes.append(len(self.events))

    def take_progress(self, revision):
        assert not self.partial, 'progress between fragments'
        assert not self.events or revision >= self.events[-1].revision
        self.progress.append((revision, len(self.events)))

    def check(self, history, whole):
        """Held against the book.  whole: everything up to the newest revision must have come."""
        if not self.created:
            return
        expected, got = history.expected(self), self.events
        n = next((i for i, (a, b) in enumerate(zip(expected, got)) if a != b), min(len(expected), len(got)))
        about = f'{self.span}, filters {self.filters}, from {self.first}, at event {n} of {len(got)}/{len(expected)}'
        assert n == len(got), f'{about}: expected {short(expected[n:n + 3])}, got {short(got[n:n + 3])}'
        assert n == len(expected) or not whole, f'{about}: lost {short(expected[n:n + 3])}'
        for i in self.wholes:
            assert i == len(expected) or expected[i].revision > got[i - 1].revision, f'{about}: revision cut at {i}'
        for revision, i in self.progress:
            assert i == len(expected) or expected[i].revision > revision, \
                f'{about}: progress {revision} came before {short(expected[i:i + 1])}'
        for i, value, compacted in self.prev:
            before = history.before(got[i])
            assert value == before or (value is None and compacted), f'{about}: previous value of {short(got[i:i + 1])}'


def short(events):
    return [e._replace(value=e.value[:24]) for e in events]


class Stream:
    """A client: a Watch call after the other, each goes on where the one before ended."""

    WATCHES = {'quick': 4, 'slow': 3, 'stalling': 3, 'restless': 4, 'storm': 2}

    def __init__(self, rpc, endpoint, history, kind, seed):
        self.rpc, self.endpoint, self.history, self.kind, self.r = rpc, endpoint, history, kind, random.Random(seed)
        self.channel, self.ended, self.live, self.last_id = connect(endpoint), [], {}, 0
        self.call = None
        self.stream_progress = 0

    # -- the call

    def open(self):
        self.requests, self.responses = queue.SimpleQueue(), queue.Queue(1)  # 1: who does not take, does not read
        self.call = self.channel.stream_stream('/etcdserverpb.Watch/Watch')(iter(self.requests.get, None),
                                                                           wait_for_ready=True)
        threading.Thread(target=self.read, args=(self.call, self.responses), daemon=True).start()
        before, self.live = self.live, {}
        for w in before.values():
            self.ended.append(w)
            self.create(w.again())

    @staticmethod
    def read(call, responses):
        try:
            for body in call:
                responses.put(body)
        except grpc.RpcError:
            pass
        responses.put(None)

    def close(self):
        if self.call is None:
            return
        self.call.cancel()
        self.requests.put(None)
        while self.responses.get() is not None:     # what was under way is lost, as with a connection
            pass
        self.call = None

    # -- what is asked

    def send(self, q):
        self.requests.put(q.SerializeToString())

    def create(self, watch):
        self.last_id += 1
        self.live[self.last_id] = watch
        self.send(watch.request(self.rpc, self.last_id))

    def cancel(self, watch_id):
        self.send(self.rpc.WatchRequest(cancel_request=self.rpc.WatchCancelRequest(watch_id=watch_id)))

    def fill(self):
        while len(self.live) < self.WATCHES[self.kind]:
            self.create(Watch.random(self.r, self.history.newest()))

    def act(self):
        """Now and then something else than reading."""
        x = self.r.random()
        if x < 0.02:
            self.send(self.rpc.WatchRequest(progress_request=self.rpc.WatchProgressRequest()))
        elif x < 0.03 and self.live:
            self.cancel(self.r.choice(list(self.live)))
        elif self.kind == 'storm' and len(self.live) < 8:
            for _ in range(self.r.choice([10, 40])):
                self.create(Watch.random(self.r, self.history.newest()))
            self.send(self.rpc.WatchRequest(progress_request=self.rpc.WatchProgressRequest()))
            for watch_id in list(self.live)[:-4]:
                self.cancel(watch_id)
        elif self.kind == 'restless' and x < 0.06:
            self.close()
        elif self.kind == 'slow':
            time.sleep(self.r.uniform(0, 0.03))
        elif self.kind == 'stalling' and x < 0.05:
            time.sleep(self.r.uniform(0.5, 2))

    # -- what comes

    def take(self, seconds):
        """One response; whether there was any."""
        try:
            body = self.responses.get(timeout=seconds)
        except queue.Empty:
            return False
        if body is None:
            self.call = None    # the server has gone
            return False
        m = self.rpc.WatchResponse.FromString(body)
        if m.watch_id == -1:
            self.progress_of_all(m)
            return True
        watch = self.live[m.watch_id]
        watch.take(m, self.history.compacting)
        if m.canceled:
            self.ended.append(self.live.pop(m.watch_id))
            if m.compact_revision:
                self.create(watch.again())
        return True

    def progress_of_all(self, m):
        assert not m.events and not m.canceled and not m.created, m
        self.stream_progress += 1
        for w in self.live.values():
            if w.created:
                w.take_progress(m.header.revision)

    def run(self, stop):
        while not stop.is_set():
            if self.call is None:
                self.open()
            self.fill()
            self.take(0.05)
            self.act()
        self.finish()

    def finish(self):
        """Nothing is written any more: reads until every watch has all there is."""
        end = time.monotonic() + CAUGHT_UP_SECONDS
        counts = {}
        while any(not w.created or len(w.events) < counts.setdefault(w, len(self.history.expected(w)))
                  for w in self.live.values()) and time.monotonic() < end:
            if self.call is None:
                self.open()
            self.take(0.05)
        end = time.monotonic() + QUIET_SECONDS
        while time.monotonic() < end:   # nothing else may come but progress
            self.take(0.05)
        self.close()
