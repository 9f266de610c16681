"""Compactions, defragmentations and snapshots at the same time, beside puts, and cut off by kill -9 at any moment."""
import hashlib
import random
import threading
import time

import grpc
import pytest

KEYS = 100
ROUNDS = 120  # revisions of each key, in transactions of all keys
VALUE_BYTES = 1000
SLOW = ['--compaction-batch-limit=200', '--compaction-sleep-interval=5ms']


def value(key, n):
    return b'%d:%d:' % (key, n) + b'x' * VALUE_BYTES


def fill(s, rounds=range(ROUNDS)):
    """Returns the revision of the last transaction."""
    txn, request = s.grpc_call('etcdserverpb.KV/Txn')
    op = s.messages.rpc.RequestOp
    put = s.messages.rpc.PutRequest
    for n in rounds:
        ops = [op(request_put=put(key=b'k%d' % k, value=value(k, n))) for k in range(KEYS)]
        revision = txn(request(success=ops), timeout=60).header.revision
    return revision


def check(s, last=ROUNDS - 1):
    get = s.grpc('etcdserverpb.KV/Range')
    for k in range(KEYS):
        assert get(key=b'k%d' % k).kvs[0].value == value(k, last)


def snapshot(s):
    """The bytes of a snapshot, after a check of their sum."""
    call, request = s.grpc_call('etcdserverpb.Maintenance/Snapshot', 'unary_stream')
    blobs = [m.blob for m in call(request(), timeout=60)]
    assert hashlib.sha256(b''.join(blobs[:-1])).digest() == blobs[-1]
    return b''.join(blobs[:-1])


class Job(threading.Thread):
    """One call, or many, on a thread; the server may be killed meanwhile if `mortal`."""

    def __init__(self, run, mortal=False):
        super().__init__(daemon=True)
        self.job, self.mortal, self.failure = run, mortal, None
        self.start()

    def run(self):
        try:
            self.job()
        except Exception as e:
            self.failure = e

    def end(self):
        self.join(180)
        assert not self.is_alive()
        if self.failure is not None and not (self.mortal and isinstance(self.failure, grpc.RpcError)):
            raise self.failure


def test_all_at_once(start_server, bolt_check, tmp_path):
    """Two defragmentations, a compaction, snapshots, hashes and puts at the same time: all of them succeed, every snapshot is
    a whole file, and what is in the store is right afterwards and after a restart."""
    files = []
    with start_server(tmp_path / 'd', *SLOW) as s:
        revision = fill(s)
        stop = threading.Event()

        def puts():
            put = s.grpc('etcdserverpb.KV/Put')
            while not stop.is_set():
                put(key=b'beside', value=b'y')

        def snapshots():
            for _ in range(4):
                files.append(snapshot(s))

        jobs = [Job(puts)]
        jobs += [Job(lambda: s.grpc('etcdserverpb.Maintenance/Defragment', timeout=60)()) for _ in range(2)]
        jobs += [Job(lambda: s.grpc('etcdserverpb.KV/Compact', timeout=60)(revision=revision - 1, physical=True))]
        jobs += [Job(snapshots), Job(lambda: s.grpc('etcdserverpb.Maintenance/Hash', timeout=60)())]
        for j in jobs[1:]:
            j.end()
        stop.set()
        jobs[0].end()
        check(s)
        s.grpc('etcdserverpb.Maintenance/Defragment', timeout=60)()
        small = s.grpc('etcdserverpb.Maintenance/Status')().dbSize
        assert small < KEYS * ROUNDS * VALUE_BYTES / 10
        check(s)
        with pytest.raises(grpc.RpcError, match='compacted'):
            s.grpc('etcdserverpb.KV/Range')(key=b'k1', revision=revision - 2)
        assert s.grpc('etcdserverpb.KV/Range')(key=b'k1', revision=revision - 1).kvs[0].value == value(1, ROUNDS - 2)
    for i, data in enumerate(files):
        path = tmp_path / f'snapshot-{i}'
        path.write_bytes(data)
        bolt_check(path)
    bolt_check(tmp_path / 'd/member/snap/db')
    with start_server(tmp_path / 'd') as s:
        check(s)


@pytest.mark.parametrize('what', ['compact', 'defragment', 'snapshot', 'all'])
def test_killed_in_the_middle(start_server, bolt_check, tmp_path, what):
    """Six times: the job begins, kill -9 at a random moment of it, a start: the file is whole, nothing is lost, nothing is
    left lying about, and the job can be done again; a compaction goes on by itself."""
    rng = random.Random(what)
    rounds = 0
    for _ in range(6):
        with start_server(tmp_path / 'd', *SLOW) as s:
            if rounds:
                check(s, rounds - 1)
            assert not list((tmp_path / 'd/member/snap').glob('db.tmp*'))
            revision = fill(s, range(rounds, rounds + 40))
            rounds += 40
            jobs = []
            if what in ('compact', 'all'):
                jobs.append(Job(lambda: s.grpc('etcdserverpb.KV/Compact', timeout=60)(revision=revision, physical=True), True))
            if what in ('defragment', 'all'):
                jobs.append(Job(lambda: s.grpc('etcdserverpb.Maintenance/Defragment', timeout=60)(), True))
            if what in ('snapshot', 'all'):
                jobs.append(Job(lambda: snapshot(s), True))
            time.sleep(rng.uniform(0.0, 0.25))
            s.kill()
            for j in jobs:
                j.end()
        bolt_check(tmp_path / 'd/member/snap/db')
    with start_server(tmp_path / 'd', *SLOW) as s:
        check(s, rounds - 1)
        s.grpc('etcdserverpb.KV/Compact', timeout=60)(revision=fill(s, [rounds - 1]), physical=True)
        s.grpc('etcdserverpb.Maintenance/Defragment', timeout=60)()
        check(s, rounds - 1)
        assert s.grpc('etcdserverpb.Maintenance/Status')().dbSize < KEYS * VALUE_BYTES * 4
        snapshot(s)
