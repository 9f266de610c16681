"""What a watch promises, while everything goes on at once: ordered, unique, atomic, no gap, resumable.

Writers put, delete and run transactions, and note every event that they cause; a compactor follows close behind; the
server is killed and started again in between.  Streams of several kinds watch: quick ones, slow ones that let responses
pile up, ones that come and go.  In the end every watch must have received exactly the events in its range from its
first revision on, as its filters say, or a prefix of them where it was cancelled.

KETCH_WATCH_SEED and KETCH_WATCH_SECONDS choose another run, or a longer one.
"""
import os
import random
import threading
import time

import pytest
from watch_lib import CALL_SECONDS, CAUGHT_UP_SECONDS, History, Stream, Writer, connect

SEED = int(os.environ.get('KETCH_WATCH_SEED', 1))
SECONDS = float(os.environ.get('KETCH_WATCH_SECONDS', 12))
FLAGS = ['--max-request-bytes', '65536', '--watch-progress-notify-interval', '100ms']   # so fragments are cut early
WRITERS = 3
KINDS = ['quick', 'quick', 'slow', 'slow', 'stalling', 'stalling', 'restless', 'restless', 'storm']


class World:
    """One server, those who write, those who watch, each in a thread."""

    def __init__(self, server, rpc):
        self.server, self.rpc, self.history, self.r = server, rpc, History(), random.Random(SEED)
        self.stop, self.books_closed = threading.Event(), threading.Event()
        self.gates = [threading.Lock() for _ in range(WRITERS + 1)]
        self.trouble, self.writers, self.readers = [], [], []

    def spawn(self, threads, fn, *args):
        def kept():
            try:
                fn(*args)
            except BaseException as e:
                self.trouble.append(e)
                self.stop.set()
                raise

        threads.append(threading.Thread(target=kept, daemon=True))
        threads[-1].start()

    def begin(self):
        endpoint = self.server.endpoint
        self.streams = [Stream(self.rpc, endpoint, self.history, kind, self.r.getrandbits(32)) for kind in KINDS]
        steps = [Writer(self.rpc, endpoint, self.history, self.r.getrandbits(32)).step for _ in range(WRITERS)]
        steps.append(self.compactor(self.r.getrandbits(32)))
        for gate, step in zip(self.gates, steps):
            self.spawn(self.writers, self.repeat, gate, step)
        for s in self.streams:
            self.spawn(self.readers, s.run, self.books_closed)

    def repeat(self, gate, step):
        while not self.stop.is_set():
            with gate:
                step()

    def compactor(self, seed):
        r = random.Random(seed)
        call = connect(self.server.endpoint).unary_unary('/etcdserverpb.KV/Compact')

        def step():
            revision = self.history.newest() - r.choice([0, 1, 5, 50, 300, 600])
            if revision > self.history.compacting:
                self.history.compacting = revision
                q = self.rpc.CompactionRequest(revision=revision, physical=r.random() < 0.5)
                call(q.SerializeToString(), timeout=CALL_SECONDS, wait_for_ready=True)
            time.sleep(r.uniform(0.1, 1))

        return step

    def restart(self):
        """Kills the server while nobody writes; the streams find out by themselves."""
        for gate in self.gates:
            gate.acquire()
        self.server.kill()
        self.server.start()
        for gate in self.gates:
            gate.release()

    def wait(self, seconds):
        self.stop.wait(seconds)
        self.check()

    def check(self):
        if self.trouble:
            raise self.trouble[0]

    def end(self):
        self.stop.set()
        for t in self.writers:
            t.join(CALL_SECONDS)
        self.check()
        self.history.close()
        self.books_closed.set()
        for t in self.readers:
            t.join(2 * CAUGHT_UP_SECONDS)
        self.check()
        assert not any(t.is_alive() for t in self.writers + self.readers)


@pytest.fixture
def world(start_server, tmp_path, messages):
    with start_server(tmp_path / 'watched.data', *FLAGS) as server:
        yield World(server, messages.rpc)


def test_every_event_is_accounted_for(world):
    """Two spells of everything at once with a kill between them; then the books are compared."""
    world.begin()
    world.wait(SECONDS / 2)
    world.restart()
    world.wait(SECONDS / 2)
    world.end()
    live = [w for s in world.streams for w in s.live.values()]
    ended = [w for s in world.streams for w in s.ended]
    for w in live:
        w.check(world.history, whole=True)
    for w in ended:
        w.check(world.history, whole=False)
    watches = live + ended
    counts = {
        'revisions': world.history.newest(), 'compacted': world.history.compacting, 'watches': len(watches),
        'events': sum(len(w.events) for w in watches), 'cancelled': sum(w.compact_revision > 0 for w in watches),
        'fragments': sum(w.fragments for w in watches), 'caught up': sum(w.late for w in watches),
        'progress': sum(len(w.progress) for w in watches), 'of streams': sum(s.stream_progress for s in world.streams),
    }
    print(f'seed {SEED}: {counts}')
    assert all(counts[k] > 0 for k in counts if k != 'fragments'), counts   # those are rare
