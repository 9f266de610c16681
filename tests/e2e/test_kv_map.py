"""Key-value: what etcd's own tests of ranges, puts, deletes and transactions ask of one member."""
import re
import subprocess
import threading

import grpc
import pytest

from grpc_lib import Api

INVALID = 'INVALID_ARGUMENT'
KEYS = [(b'a', b'aa1'), (b'b', b'b'), (b'c', b'c1'), (b'c', b'c2'), (b'c', b'c3'), (b'foo', b'foo'),
        (b'foo/abc', b'0'), (b'fop', b'fop')]   # at revisions 2 to 9
ALL = [b'a', b'b', b'c', b'foo', b'foo/abc', b'fop']
BY_VALUE = [b'foo/abc', b'a', b'b', b'c', b'foo', b'fop']
NONE, ASCEND, DESCEND = range(3)
KEY, VERSION, CREATE, MOD, VALUE = range(5)
PREFIX = dict(key=b'', prefix=True)

# request, keys, count, more
RANGES = [
    (dict(key=b'a'), [b'a'], 1, False),
    (dict(key=b'a', serializable=True), [b'a'], 1, False),
    (dict(key=b'a', end=b'c'), [b'a', b'b'], 2, False),
    (dict(key=b'b', end=b'a'), [], 0, False),
    (dict(key=b'b', end=b'b'), [], 0, False),
    (dict(key=b'x'), [], 0, False),
    (PREFIX, ALL, 6, False),
    (dict(key=b'', from_key=True), ALL, 6, False),
    (dict(key=b'\0', end=b'\0'), ALL, 6, False),
    (dict(key=b'a', end=b'x'), ALL, 6, False),
    (dict(PREFIX, revision=4), [b'a', b'b', b'c'], 3, False),
    (dict(PREFIX, revision=1), [], 0, False),
    (dict(key=b'foo', prefix=True), [b'foo', b'foo/abc'], 2, False),
    (dict(key=b'foo', from_key=True), [b'foo', b'foo/abc', b'fop'], 3, False),
    (dict(PREFIX, limit=2), [b'a', b'b'], 6, True),
    (dict(PREFIX, limit=6), ALL, 6, False),
    (dict(PREFIX, count_only=True), [], 6, False),
    (dict(PREFIX, count_only=True, limit=2), [], 6, False),
    (dict(PREFIX, sort_order=ASCEND, sort_target=MOD), ALL, 6, False),
    (dict(PREFIX, sort_order=ASCEND, sort_target=VERSION), [b'a', b'b', b'foo', b'foo/abc', b'fop', b'c'], 6, False),
    (dict(PREFIX, sort_order=ASCEND, limit=2), [b'a', b'b'], 6, True),
    (dict(key=b'b', end=b'z', sort_order=DESCEND, limit=2), [b'fop', b'foo/abc'], 5, True),
    (dict(PREFIX, sort_order=NONE, sort_target=CREATE), ALL, 6, False),
    (dict(PREFIX, sort_order=DESCEND, sort_target=CREATE), ALL[::-1], 6, False),
    (dict(PREFIX, sort_order=DESCEND), ALL[::-1], 6, False),
    (dict(PREFIX, sort_order=NONE, sort_target=VALUE), BY_VALUE, 6, False),
    (dict(PREFIX, sort_order=ASCEND, sort_target=VALUE), BY_VALUE, 6, False),
    (dict(PREFIX, sort_order=DESCEND, sort_target=VALUE), BY_VALUE[::-1], 6, False),
    (dict(PREFIX, min_mod_revision=4, sort_target=MOD), ALL[2:], 6, False),
    (dict(PREFIX, max_mod_revision=5, sort_order=DESCEND), [b'b', b'a'], 6, False),
    (dict(PREFIX, min_create_revision=4, sort_order=DESCEND, sort_target=VERSION), ALL[2:], 6, False),
    (dict(PREFIX, max_create_revision=7, limit=2), ALL[:2], 6, True),
]


def fill(api):
    for key, value in KEYS:
        api.put(key, value)


def test_ranges(api):
    """Every form of a range gives the right keys, count, more and revision: whole, without values, and in pieces."""
    fill(api)
    values = dict(KEYS)
    for fields, keys, count, more in RANGES:
        for keys_only in (False, True):
            r = api.Range(keys_only=keys_only, **fields)
            assert [kv.key for kv in r.kvs] == keys, fields
            assert (r.count, r.more, r.header.revision) == (count, more, 9), fields
            if 'revision' not in fields:
                assert [kv.value for kv in r.kvs] == [b'' if keys_only else values[k] for k in keys], fields
            order, target = fields.get('sort_order', NONE), fields.get('sort_target', KEY)
            if (order == NONE or (order, target) == (ASCEND, KEY)) and not any('_revision' in f for f in fields):
                assert api.merged(keys_only=keys_only, **fields).kvs == r.kvs, fields
    for revision, value in ((4, b'c1'), (5, b'c2'), (6, b'c3')):
        kv = api.Range(key=b'c', revision=revision).kvs[0]
        assert (kv.value, kv.version, kv.create_revision, kv.mod_revision) == (value, revision - 3, 4, revision)


def test_stream_counts(api):
    """RangeStream: count and more are those of the whole range, with every limit, in one piece or in several."""
    for i in range(25):
        api.put(b'k%02d' % i)
    for limit in (0, 1, 9, 10, 11, 24, 25, 26):
        pieces = [p.range_response for p in api.chunks('RangeStream', key=b'k', prefix=True, limit=limit)]
        n = min(limit or 25, 25)
        assert sum(len(p.kvs) for p in pieces) == n
        assert (pieces[-1].count, pieces[-1].more, pieces[-1].header.revision) == (25, n < 25, 26)
        assert all(not p.HasField('header') for p in pieces[:-1])
        assert (len(pieces) > 1) == (n > 10)
    assert api.merged(key=b'k', prefix=True, count_only=True).count == 25


def test_stream_of_large_values(start_server, tmp_path):
    """Twenty values of 4 MiB come in pieces though each is above the limit of a request; so does one range."""
    with start_server(tmp_path / 'd', '--max-request-bytes=9000000') as s, Api(s) as api:
        for i in range(20):
            api.put(b'k%02d' % i, bytes([i]) * (4 << 20))
    with start_server(tmp_path / 'd') as s, Api(s) as api:
        pieces = list(api.chunks('RangeStream', key=b'k', prefix=True))
        kvs = [kv for p in pieces for kv in p.range_response.kvs]
        assert len(pieces) > 1
        assert [(kv.value[0], len(kv.value)) for kv in kvs] == [(i, 4 << 20) for i in range(20)]


def test_stream_while_compacted(api):
    """What is written or compacted while a RangeStream is under way does not show: one revision, or an error."""
    for i in range(200):
        api.put(b'k%03d' % i, b'v' * 20000)
    pieces = iter(api.chunks('RangeStream', key=b'k', prefix=True))
    kvs = list(next(pieces).range_response.kvs)
    for i in range(200):
        api.put(b'k%03d' % i, b'new')
    last = api.put(b'k999', b'new')
    api.Compact(revision=last, physical=True)
    for p in pieces:
        kvs += p.range_response.kvs
    assert len(kvs) == 200
    assert all(kv.value == b'v' * 20000 for kv in kvs)
    code = ('OUT_OF_RANGE', 'etcdserver: mvcc: required revision has been compacted')
    with pytest.raises(grpc.RpcError) as e:
        api.merged(key=b'k', prefix=True, revision=5)
    assert (e.value.code().name, e.value.details()) == code


@pytest.mark.parametrize('fields, deleted', [
    (dict(PREFIX), ALL), (dict(key=b'', from_key=True), ALL), (dict(key=b'\0', end=b'\0'), ALL),
    (dict(key=b'a', end=b'c'), [b'a', b'b']), (dict(key=b'c'), [b'c']),
    (dict(key=b'foo', prefix=True), [b'foo', b'foo/abc']),
    (dict(key=b'c', from_key=True), ALL[2:]), (dict(key=b'x'), []), (dict(key=b'b', end=b'b'), []),
    (dict(key=b'x', end=b'z'), []),
])
def test_deletes(api, fields, deleted):
    """A delete tells how many keys, on request which, and leaves the others; only a real one makes a revision."""
    fill(api)
    r = api.DeleteRange(prev_kv=True, **fields)
    assert (r.deleted, [kv.key for kv in r.prev_kvs]) == (len(deleted), deleted)
    assert r.header.revision == (10 if deleted else 9)
    left = api.Range(**PREFIX)
    assert [kv.key for kv in left.kvs] == [k for k in ALL if k not in deleted]
    assert left.header.revision == r.header.revision


def test_puts_count(api):
    """An overwrite has a higher revision, one more version, and on request the old pair; empty keys are refused."""
    first = api.put(b'a', b'1')
    r = api.Put(key=b'a', value=b'2', prev_kv=True)
    assert (r.header.revision, r.prev_kv.value, r.prev_kv.mod_revision) == (first + 1, b'1', first)
    kv = api.Range(key=b'a').kvs[0]
    assert (kv.create_revision, kv.mod_revision, kv.version) == (first, first + 1, 2)
    for method in ('Put', 'Range', 'DeleteRange'):
        assert api.refused(method) == (INVALID, 'etcdserver: key is not provided')
    api.Compact(revision=first + 1)
    assert api.Range(key=b'a').kvs[0] == api.Range(key=b'a', serializable=True).kvs[0] == kv
    compacted = ('OUT_OF_RANGE', 'etcdserver: mvcc: required revision has been compacted')
    assert api.refused('Range', key=b'a', revision=first) == compacted
    assert api.refused('Compact', revision=first + 1) == compacted
    assert api.refused('Compact', revision=99) == (
        'OUT_OF_RANGE', 'etcdserver: mvcc: required revision is a future revision')


def both(api, *success, failure=(), compare=()):
    return api.Txn(compare=list(compare), success=list(success), failure=list(failure))


def test_ignored_value_and_lease(api):
    """ignore_value and ignore_lease keep the other half of a key, in a put and in a transaction, and need the key."""
    missing = (INVALID, 'etcdserver: key not found')
    for flag in ('ignore_value', 'ignore_lease'):
        assert api.refused('Put', key=b'k', **{flag: True}) == missing
        assert api.refused('Txn', success=[api.op('Put', key=b'k', **{flag: True})]) == missing
    assert api.refused('Put', key=b'k', value=b'x', ignore_value=True) == (INVALID, 'etcdserver: value is provided')
    assert api.refused('Put', key=b'k', lease=5, ignore_lease=True) == (INVALID, 'etcdserver: lease is provided')
    lease = api.LeaseGrant(TTL=60).ID
    api.put(b'k', b'1')

    def state():
        kv = api.Range(key=b'k').kvs[0]
        return kv.value, kv.lease
    r = api.Put(key=b'k', lease=lease, ignore_value=True)
    assert not r.HasField('prev_kv') and state() == (b'1', lease)
    both(api, api.op('Put', key=b'k', value=b'2', ignore_lease=True))
    assert state() == (b'2', lease)
    api.Put(key=b'k', ignore_value=True)
    assert state() == (b'2', 0)
    api.LeaseRevoke(ID=lease)
    assert state() == (b'2', 0)


def test_unknown_lease(api):
    """A put with a lease that is not there fails with its whole transaction; in the branch not taken it is harmless."""
    refused = ('NOT_FOUND', 'etcdserver: requested lease not found')
    bad, good = api.op('Put', key=b'k', lease=77), api.op('Put', key=b'g')
    yes, no = [api.compare(b'k', 'version', '=', 0)], [api.compare(b'k', 'version', '>', 0)]
    assert api.refused('Put', key=b'k', lease=77) == refused
    for fields in (dict(success=[good, bad]), dict(compare=no, failure=[good, bad]),
                   dict(success=[good, api.op('Txn', success=[bad])])):
        assert api.refused('Txn', **fields) == refused
        assert api.Range(**PREFIX).count == 0
    assert both(api, failure=[bad], compare=yes).succeeded
    assert not both(api, bad, compare=no).succeeded
    assert api.Range(**PREFIX).header.revision == 1


@pytest.mark.parametrize('where', ['compare', 'success', 'failure', 'nested'])
def test_too_many_operations(api, where):
    """128 of anything are taken, 129 are not, and what a nested transaction takes counts for it."""
    for n in (128, 129):
        puts = [api.op('Put', key=b'k%d' % i) for i in range(n)]
        fields = {'compare': dict(compare=[api.compare(b'k', 'version', '=', 0)] * n), 'success': dict(success=puts),
                  'failure': dict(failure=puts), 'nested': dict(success=[api.op('Txn', success=puts[1:])])}[where]
        if n == 128:
            api.Txn(**fields)
        else:
            assert api.refused('Txn', **fields) == (INVALID, 'etcdserver: too many operations in txn request')


def test_keys_written_twice(api):
    """What may stand together in one list: a key is put once, and not deleted as well; branches do not meet."""
    put, other = api.op('Put', key=b'abc'), api.op('Put', key=b'b')
    delete, elsewhere = api.op('DeleteRange', key=b'a', end=b'b'), api.op('DeleteRange', key=b'abb', end=b'abc')

    def txn(*ops, failure=()):
        return api.op('Txn', success=list(ops), failure=list(failure))
    duplicate = (INVALID, 'etcdserver: duplicate key given in txn request')
    for ops in ([put, put], [put, api.op('DeleteRange', key=b'abc')], [put, delete], [put, txn(delete)],
                [delete, txn(put)], [txn(put), txn(put)], [txn(other, failure=[put]), put]):
        assert api.refused('Txn', success=ops) == duplicate, ops
    for ops in ([put, elsewhere], [delete, delete], [txn(put, failure=[put]), other], [put, other]):
        assert api.Txn(success=ops).succeeded, ops


def test_a_refused_transaction_changes_nothing(api):
    """A range at a compacted or future revision refuses the whole transaction, whatever stands before it."""
    for _ in range(3):
        last = api.put(b'a', b'old')
    api.Compact(revision=last - 1)
    for revision, words in ((last - 2, 'has been compacted'), (last + 9, 'is a future revision')):
        got = api.refused('Txn', success=[api.op('Put', key=b'a', value=b'new'), api.op('Put', key=b'b'),
                                          api.op('Range', key=b'a', revision=revision)])
        assert got == ('OUT_OF_RANGE', 'etcdserver: mvcc: required revision ' + words)
        kv = api.Range(**PREFIX)
        assert [(k.value, k.mod_revision) for k in kv.kvs] == [(b'old', last)]
        assert kv.header.revision == last


def test_transaction_revisions(api):
    """Reads and deletes of nothing make no revision; everything a transaction writes has the same one."""
    assert both(api, api.op('Range', key=b'a'), api.op('DeleteRange', key=b'a')).header.revision == 1
    r = both(api, api.op('Put', key=b'a'), api.op('Put', key=b'b'), api.op('Txn', success=[api.op('Put', key=b'c')]))
    assert r.header.revision == 2
    assert [p.WhichOneof('response') for p in r.responses] == ['response_put', 'response_put', 'response_txn']
    assert {(kv.mod_revision, kv.version) for kv in api.Range(**PREFIX).kvs} == {(2, 1)}


COMPARES = [
    ((b'k', 'value', '=', b'1'), True), ((b'k', 'value', '!=', b'1'), False), ((b'k', 'value', '>', b'0'), True),
    ((b'k', 'value', '<', b'0'), False), ((b'no', 'value', '=', b''), False), ((b'no', 'value', '!=', b'x'), False),
    ((b'k', 'version', '=', 1), True), ((b'k', 'version', '<', 0), False), ((b'no', 'version', '=', 0), True),
    ((b'k', 'create', '=', 2), True), ((b'k', 'mod', '>', 2), False), ((b'k', 'lease', '=', 0), True),
    ((b'k', 'lease', '>', 0), False), ((b'no', 'mod', '=', 0), True),
]


def test_compares(api):
    """Each target and result against a key that is there and one that is not, whose numbers are 0 and value nothing."""
    api.put(b'k', b'1')
    for compare, true in COMPARES:
        r = both(api, api.op('Range', key=b'k'), compare=[api.compare(*compare)])
        assert (r.succeeded, len(r.responses)) == (true, int(true)), compare


def test_compares_of_ranges(api):
    """A compare over a range must hold for every key in it; over no key, numbers compare with 0 and values fail."""
    api.put(b'/a', b'x')
    api.put(b'/b', b'x')
    lease = api.LeaseGrant(TTL=60).ID

    def holds(*args, **fields):
        return both(api, compare=[api.compare(*args, **fields)]).succeeded
    assert holds(b'/', 'create', '>', 1, prefix=True)
    assert not holds(b'/', 'create', '=', 2, prefix=True)
    assert holds(b'/a', 'value', '=', b'x', from_key=True)
    assert not holds(b'/q', 'value', '!=', b'x', from_key=True)
    assert holds(b'/q', 'create', '=', 0, from_key=True)
    assert holds(b'/', 'lease', '=', 0, prefix=True)
    api.put(b'/b', b'x', lease=lease)
    assert not holds(b'/', 'lease', '=', 0, prefix=True)
    assert holds(b'/b', 'lease', '>', 0, prefix=True)


def test_nested_transactions(api):
    """Ten levels take the branches that their compares say, and the answer has their shape."""
    api.put(b'k', b'1')
    path = [bool(i % 3) for i in range(10)]
    op = None
    for yes in reversed(path):
        inner = [op] if op else [api.op('Put', key=b'end', value=b'reached')]
        op = api.op('Txn', compare=[api.compare(b'k', 'value', '=', b'1' if yes else b'2')],
                    **{'success' if yes else 'failure': inner})
    r = both(api, op)
    for yes in path:
        r = r.responses[0].response_txn
        assert r.succeeded == yes
    assert r.responses[0].WhichOneof('response') == 'response_put'
    assert api.Range(key=b'end').kvs[0].value == b'reached'


def test_limits_of_a_request(start_server, tmp_path):
    """--max-request-bytes: below it goes, above it is refused in words, far above it gRPC itself refuses."""
    too_large = (INVALID, 'etcdserver: request is too large')
    with start_server(tmp_path / 'small', '--max-request-bytes=256') as s, Api(s) as api:
        api.put(b'k', b'v' * 100)
        assert api.refused('Put', key=b'k', value=b'v' * 1024) == too_large
    with start_server(tmp_path / 'large', f'--max-request-bytes={10 << 20}') as s, Api(s) as api:
        api.put(b'k', b'v' * (9 << 20))
        assert len(api.Range(key=b'k').kvs[0].value) == 9 << 20
        assert api.refused('Put', key=b'k', value=b'v' * ((10 << 20) + 100)) == too_large
        code, text = api.refused('Put', key=b'k', value=b'v' * (12 << 20))
        assert code == 'RESOURCE_EXHAUSTED' and text.startswith('grpc: received message larger than max')
        assert api.Range(key=b'k').kvs[0].version == 1
    with start_server(tmp_path / 'huge', f'--max-request-bytes={200 << 20}') as s, Api(s) as api:
        api.put(b'k', bytes(80 << 20))
        assert len(api.Range(key=b'k').kvs[0].value) == 80 << 20
    with start_server(tmp_path / 'small', '--max-request-bytes=0', '--max-concurrent-streams=0') as s, Api(s) as api:
        assert api.refused('Put', key=b'k', value=b'v') == too_large
        assert [kv.key for kv in api.merged(prefix=True).kvs] == [b'k']


def test_many_large_requests_at_once(server, ketch_bin):
    """150 puts of a megabyte at once on one connection, whose pieces come by turns: none is refused."""
    p = subprocess.run([ketch_bin / 'benchmark', '--endpoints', server.endpoint, '--conns=1', '--clients=150', 'put',
                        '--total=150', '--val-size=1000000'], capture_output=True, text=True, timeout=100)
    errors = set(re.findall(r'^  \[\d+\]\t(.*)', p.stdout, re.M)) - {'etcdserver: request timed out'}  # a slow machine is no refusal
    assert p.returncode == 0 and 'Summary:' in p.stdout and not errors, p.stdout + p.stderr
    server.wait_for(lambda: server.grpc('etcdserverpb.KV/Range')(key=b'k').header.revision == 151, 60)


def test_headers_are_honest(api):
    """A transaction that reads tells the revision at which its compare was true, though puts go on meanwhile."""
    stop = threading.Event()
    writer = threading.Thread(target=lambda: [api.put(b'k') for _ in iter(stop.is_set, True)])
    writer.start()
    for _ in range(100):
        seen = api.Range(key=b'k').header.revision
        r = both(api, api.op('Range', key=b'k'), failure=[api.op('Range', key=b'k')],
                 compare=[api.compare(b'k', 'mod', '<', seen + 1)])
        kv = r.responses[0].response_range.kvs
        at = kv[0].mod_revision if kv else 0
        assert r.succeeded == (at <= seen) and r.header.revision >= max(at, seen)
    stop.set()
    writer.join()


def test_optimistic_transactions(api):
    """Counters raised by compare-and-swap from several clients lose nothing; a conflict changes nothing."""
    def raise_it():
        done = 0
        while done < 25:
            kv = api.Range(key=b'n').kvs[0]
            done += both(api, api.op('Put', key=b'n', value=b'%d' % (int(kv.value) + 1)),
                         compare=[api.compare(b'n', 'mod', '=', kv.mod_revision)]).succeeded
    api.put(b'n', b'0')
    clients = [threading.Thread(target=raise_it) for _ in range(4)]
    for t in clients:
        t.start()
    for t in clients:
        t.join()
    kv = api.Range(key=b'n').kvs[0]
    assert (kv.value, kv.version) == (b'100', 101)


def test_ranges_in_flight_at_a_stop(start_server, tmp_path):
    """Large ranges under way when the member is told to stop are answered, or end Unavailable; nothing crashes."""
    with start_server(tmp_path / 'd') as s, Api(s) as api:
        for i in range(20):
            api.put(b'k%d' % i, b'v' * 1000000)
        calls = [api.future('Range', **PREFIX) for _ in range(10)]
        s.process.terminate()
        for call in calls:
            if call.exception() is None:
                assert len(call.result().kvs) == 20
            else:
                assert call.code() == grpc.StatusCode.UNAVAILABLE, call.details()
        s.stop()
