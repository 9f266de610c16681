"""A range that sorts much, a transaction whose guards look at many keys, and a look for who leads or holds a lock among many, take their time in
slices: others of the same thread are served between them, and whoever ends them, the client or the server, leaves nothing of them behind."""
import json
import re
import signal
import urllib.request

import grpc
import pytest

import h2_raw as h2
from abuse_lib import PUT, RANGE, RANGE_STREAM, WIDE
from preload_lib import preload

KEYS, TXN_OPS = 40000, 100
GUARDS, MANY_GUARDS = 8, 128  # of a transaction, each of which looks at all of the keys
SMALL = 100
MANY = 300  # more sorts than are done until a signal is heard
DESCEND, BY_VALUE = 2, 4
HOLDS = {'key': b'k', 'range_end': b'l', 'target': 'VALUE', 'result': 'NOT_EQUAL', 'value': b'none has it'}  # for each key
TXN = '/etcdserverpb.KV/Txn'
LEADER, OBSERVE = 'v3electionpb.Election/Leader', 'v3electionpb.Election/Observe'
LOCK, CAMPAIGN = 'v3lockpb.Lock/Lock', 'v3electionpb.Election/Campaign'
TXNS_STARTED = r'grpc_server_started_total\{grpc_method="Txn",grpc_service="etcdserverpb.KV",grpc_type="unary"\}'
RST_CANCEL = b'\0\0\0\x08'


LATER = r'''
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* As the system's; but once the file $LATER is there, a minute has gone. */
int clock_gettime(clockid_t id, struct timespec *t)
{
    static int (*real)(clockid_t, struct timespec *);
    static int later;
    int rc;

    if (real == NULL)
        real = (int (*)(clockid_t, struct timespec *)) dlsym(RTLD_NEXT, "clock_gettime");
    if (!later)
        later = access(getenv("LATER"), F_OK) == 0;
    rc = real(id, t);
    t->tv_sec += id == CLOCK_REALTIME || !later ? 0 : 60;
    return rc;
}
'''


@pytest.fixture
def filled(start_server, tmp_path):
    """A server with one I/O thread and many keys, in no order of their values."""
    with start_server(tmp_path / 'd', '--io-threads=1') as s:
        fill(s)
        yield s


def fill(s, prefix=b'k'):
    txn = s.grpc('etcdserverpb.KV/Txn')
    for first in range(0, KEYS, TXN_OPS):
        txn(success=[{'request_put': {'key': prefix + b'%06d' % i, 'value': value_of(i)}} for i in range(first, first + TXN_OPS)])


def value_of(i):
    return b'%d' % (i * 7919 % KEYS) + b'v' * 100


def range_message(s, **fields):
    request, _ = s.messages.of('etcdserverpb.KV/Range')
    return request(**fields).SerializeToString()


def sorted_range(s, stream, **fields):
    return h2.request(stream, RANGE, range_message(s, key=b'k', range_end=b'l', sort_order=DESCEND, sort_target=BY_VALUE, **fields))


def sorted_stream(s, stream, **fields):
    """Its chunks are sorted by value, each by itself."""
    return h2.request(stream, RANGE_STREAM, range_message(s, key=b'k', range_end=b'l', sort_target=BY_VALUE, **fields))


def guarded(s, stream, guards=GUARDS):
    """A transaction that only reads: each guard compares the value of each key, and holds."""
    request, _ = s.messages.of('etcdserverpb.KV/Txn')
    op = [{'request_range': {'key': b'k000001'}}]
    return h2.request(stream, TXN, request(compare=[HOLDS] * guards, success=op, failure=op).SerializeToString())


def contest(s, stream, method):
    """A call of Lock or Election, under the name of many keys."""
    request, _ = s.messages.of(method)
    entering = {'lease': lease(s)} if method in (LOCK, CAMPAIGN) else {}
    return h2.request(stream, '/' + method, request(name=b'e', **entering).SerializeToString())


def lease(s):
    return s.grpc('etcdserverpb.Lease/LeaseGrant')(TTL=60).ID


def keys(s):
    return s.grpc('etcdserverpb.KV/Range')(key=b'e/', range_end=b'e0', count_only=True).count


def answered(c, n):
    """The streams in the order of their first messages, until n of them have one."""
    order = []
    for kind, _, stream, _ in c.frames():
        if kind == h2.DATA and stream not in order:
            order.append(stream)
            if len(order) == n:
                break
    return order


def ended(c, n):
    """The streams that end, in this order, until n of them have."""
    order = []
    for kind, flags, stream, _ in c.frames():
        if kind == h2.HEADERS and flags & h2.END_STREAM:
            order.append(stream)
            if len(order) == n:
                break
    return order


def metric(s, name):
    with urllib.request.urlopen(f'http://{s.endpoint}/metrics', timeout=30) as r:
        return float(re.search(rf'^{name} (\S+)$', r.read().decode(), re.M)[1])


def views_are_gone(s):
    """All but the newest: what nobody looks at goes with the next write."""
    s.grpc('etcdserverpb.KV/Put')(key=b'then', value=b'v')
    return metric(s, 'ketch_mvcc_views') <= 2 and metric(s, 'ketch_server_sorted_range_bytes') == 0


def test_others_are_served_between_the_slices(filled):
    """Gets that are sent behind a sort of many keys are answered before it, and a short sort, too; then the sort is, rightly. A put is
    answered when the disk has it, which may take longer than all that."""
    small = range_message(filled, key=b'k000001')
    put_request, _ = filled.messages.of('etcdserverpb.KV/Put')
    put = put_request(key=b'p', value=b'v').SerializeToString()
    short = range_message(filled, key=b'k', range_end=b'k001000', sort_order=DESCEND, sort_target=BY_VALUE, limit=1)
    out = sorted_range(filled, 1, limit=3) + h2.request(3, RANGE, short) + h2.request(5, PUT, put)
    others = [7 + 2 * i for i in range(SMALL)]
    with h2.Connection(filled.client_port, WIDE) as c:
        c.send(out + b''.join(h2.request(i, RANGE, small) for i in others))
        order = ended(c, SMALL + 3)
    assert sorted(order) == [1, 3, 5, *others]
    assert [i for i in order if i != 5][-1] == 1
    answer = filled.grpc('etcdserverpb.KV/Range')(key=b'k', range_end=b'l', sort_order=DESCEND, sort_target=BY_VALUE, limit=3)
    values = sorted((value_of(i) for i in range(KEYS)), reverse=True)
    assert [kv.value for kv in answer.kvs] == values[:3] and answer.more and answer.count == KEYS
    filled.wait_for(lambda: views_are_gone(filled))


def test_others_are_served_while_guards_look_at_keys(filled):
    """Gets and a small transaction that are sent behind a transaction of many guards are answered before it; then it is, rightly."""
    small = range_message(filled, key=b'k000001')
    others = [5 + 2 * i for i in range(SMALL)]
    with h2.Connection(filled.client_port, WIDE) as c:
        c.send(guarded(filled, 1) + guarded(filled, 3, guards=0) + b''.join(h2.request(i, RANGE, small) for i in others))
        order = ended(c, SMALL + 2)
    assert sorted(order) == [1, 3, *others]
    assert order[-1] == 1
    filled.wait_for(lambda: views_are_gone(filled))


@pytest.mark.parametrize('method', [LEADER, OBSERVE])
def test_others_are_served_while_a_leader_is_looked_for(start_server, tmp_path, method):
    """An election under whose name very many keys lie: gets that are sent behind calls that ask for its leader are answered before the last of
    these."""
    with start_server(tmp_path / 'd', '--io-threads=1') as s:
        fill(s, b'e/')
        small = range_message(s, key=b'e/000001')
        leaders, others = [1 + 2 * i for i in range(8)], [17 + 2 * i for i in range(SMALL)]
        with h2.Connection(s.client_port, WIDE) as c:
            c.send(b''.join(contest(s, i, method) for i in leaders) + b''.join(h2.request(i, RANGE, small) for i in others))
            order = answered(c, SMALL + 8)
        assert sorted(order) == [*leaders, *others]
        assert order[-1] in leaders
        assert s.grpc(LEADER)(name=b'e').kv.key == b'e/000000'
        s.wait_for(lambda: views_are_gone(s))


def test_a_lock_among_many_keys(start_server, tmp_path):
    """Who came before all of them holds it, as often as he asks; who comes after them has it when they are gone."""
    with start_server(tmp_path / 'd', '--io-threads=1') as s:
        first, second = lease(s), lease(s)
        assert s.grpc(LOCK)(name=b'e', lease=first).key == b'e/%x' % first
        fill(s, b'e/')
        assert s.grpc(LOCK)(name=b'e', lease=first).key == b'e/%x' % first
        call, request = s.grpc_call(LOCK)
        waiting = call.future(request(name=b'e', lease=second))
        s.wait_for(lambda: keys(s) == KEYS + 2)
        s.grpc('etcdserverpb.KV/DeleteRange')(key=b'e/0', range_end=b'e/04')
        s.grpc('v3lockpb.Lock/Unlock')(key=b'e/%x' % first)
        assert waiting.result(30).key == b'e/%x' % second
        s.wait_for(lambda: views_are_gone(s))


@pytest.mark.parametrize('method', [LOCK, CAMPAIGN, OBSERVE])
def test_a_client_that_goes_ends_its_look(start_server, tmp_path, method):
    """Canceled, past its deadline, or with its connection: views are given back, and the keys of who wanted a lock or to lead go."""
    entered = 0 if method == OBSERVE else 6
    with start_server(tmp_path / 'd', '--io-threads=1') as s:
        fill(s, b'e/')
        streams = [1 + 2 * i for i in range(6)]
        with h2.Connection(s.client_port, WIDE) as c:
            c.send(b''.join(contest(s, i, method) for i in streams))
            s.wait_for(lambda: keys(s) == KEYS + entered)
            c.send(b''.join(h2.frame(h2.RST_STREAM, 0, i, RST_CANCEL) for i in streams))
            s.wait_for(lambda: keys(s) == KEYS and views_are_gone(s))
        if method != OBSERVE:
            with pytest.raises(grpc.RpcError) as e:
                s.grpc(method, timeout=0.03)(name=b'e', lease=lease(s))
            assert e.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
            s.wait_for(lambda: keys(s) == KEYS and views_are_gone(s))
        with h2.Connection(s.client_port, WIDE) as c:
            c.send(b''.join(contest(s, i, method) for i in streams))
            s.wait_for(lambda: keys(s) == KEYS + entered)
        s.wait_for(lambda: keys(s) == KEYS and views_are_gone(s))


def test_what_guards_and_ranges_of_a_long_transaction_say(filled):
    """All guards hold, or one does not: each branch has its ranges, one of which is a list that is counted until its answer has left."""
    txn = filled.grpc('etcdserverpb.KV/Txn')
    fails = {**HOLDS, 'value': value_of(KEYS - 1)}
    largest = {'key': b'k', 'range_end': b'l', 'sort_order': DESCEND, 'sort_target': BY_VALUE}
    branches = {'success': [{'request_range': {'key': b'k', 'range_end': b'l', 'count_only': True}},
                            {'request_range': {**largest, 'limit': KEYS // 2}}],
                'failure': [{'request_range': {**largest, 'limit': 2}}]}
    values = sorted((value_of(i) for i in range(KEYS)), reverse=True)
    answer = txn(compare=[HOLDS], **branches)
    assert answer.succeeded and answer.responses[0].response_range.count == KEYS
    assert [kv.value for kv in answer.responses[1].response_range.kvs] == values[:KEYS // 2]
    answer = txn(compare=[HOLDS, fails], **branches)
    assert not answer.succeeded and [kv.value for kv in answer.responses[0].response_range.kvs] == values[:2]
    filled.wait_for(lambda: views_are_gone(filled))
    with pytest.raises(grpc.RpcError) as e:
        txn(compare=[HOLDS], success=[{'request_range': {'key': b'k', 'revision': 1 << 40}}])
    assert e.value.code() == grpc.StatusCode.OUT_OF_RANGE


def test_a_client_that_goes_ends_its_transaction(filled):
    """Canceled, past its deadline, or with its connection; the line about one that ended so tells of no answer."""
    with h2.Connection(filled.client_port, WIDE) as c:
        c.send(b''.join(guarded(filled, 1 + 2 * i, MANY_GUARDS) for i in range(6)))
        c.send(b''.join(h2.frame(h2.RST_STREAM, 0, 1 + 2 * i, RST_CANCEL) for i in range(6)))
        filled.wait_for(lambda: views_are_gone(filled))
    with pytest.raises(grpc.RpcError) as e:
        filled.grpc('etcdserverpb.KV/Txn', timeout=0.05)(compare=[HOLDS] * MANY_GUARDS)
    assert e.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    filled.wait_for(lambda: views_are_gone(filled))
    with h2.Connection(filled.client_port, WIDE) as c:
        c.send(b''.join(guarded(filled, 1 + 2 * i, MANY_GUARDS) for i in range(6)))
    filled.wait_for(lambda: views_are_gone(filled))


def test_a_client_that_goes_ends_its_sort(filled):
    """Canceled, past its deadline, or with its connection: views and memory are given back, of those that wait as well."""
    with h2.Connection(filled.client_port, WIDE) as c:
        c.send(b''.join(sorted_range(filled, 1 + 2 * i) for i in range(6)))
        c.send(b''.join(h2.frame(h2.RST_STREAM, 0, 1 + 2 * i, RST_CANCEL) for i in range(6)))
        filled.wait_for(lambda: views_are_gone(filled))
    with pytest.raises(grpc.RpcError) as e:
        filled.grpc('etcdserverpb.KV/Range', timeout=0.01)(key=b'k', range_end=b'l', sort_order=DESCEND, sort_target=BY_VALUE)
    assert e.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    filled.wait_for(lambda: views_are_gone(filled))
    with h2.Connection(filled.client_port, WIDE) as c:
        c.send(b''.join(sorted_range(filled, 1 + 2 * i) for i in range(6)))
    filled.wait_for(lambda: views_are_gone(filled))


@pytest.fixture
def small_values(start_server, tmp_path):
    """As many keys as a chunk of a stream may have, in no order of their values."""
    with start_server(tmp_path / 'd', '--io-threads=1') as s:
        txn = s.grpc('etcdserverpb.KV/Txn')
        for first in range(0, KEYS, TXN_OPS):
            txn(success=[{'request_put': {'key': b'k%06d' % i, 'value': b'%d' % (i * 7919 % KEYS)}} for i in range(first, first + TXN_OPS)])
        yield s


def chunks(s, **fields):
    call, request = s.grpc_call('etcdserverpb.KV/RangeStream', 'unary_stream')
    return [r.range_response for r in call(request(key=b'k', range_end=b'l', **fields), timeout=60)]


def test_chunks_that_are_sorted_in_slices(small_values):
    """Each by itself, all keys once; the last one has the count.  What they held is given back."""
    got = chunks(small_values, sort_target=BY_VALUE)
    assert max(len(c.kvs) for c in got) > KEYS // 4
    for c in got:
        assert [kv.value for kv in c.kvs] == sorted(kv.value for kv in c.kvs)
    assert sorted(kv.key for c in got for kv in c.kvs) == [b'k%06d' % i for i in range(KEYS)]
    assert [c.count for c in got] == [0] * (len(got) - 1) + [KEYS]
    small_values.wait_for(lambda: views_are_gone(small_values))


def test_chunks_of_an_older_revision(small_values):
    """What was put later is not in them; a limit is kept, and what it leaves out is counted."""
    revision = small_values.grpc('etcdserverpb.KV/Range')(key=b'k').header.revision
    small_values.grpc('etcdserverpb.KV/Put')(key=b'k000001x', value=b'later')
    got = chunks(small_values, revision=revision)
    assert [kv.key for c in got for kv in c.kvs] == [b'k%06d' % i for i in range(KEYS)]
    assert got[-1].count == KEYS and not got[-1].more and got[-1].header.revision == revision + 1
    got = chunks(small_values, revision=revision, limit=1000)
    assert [kv.key for c in got for kv in c.kvs] == [b'k%06d' % i for i in range(1000)]
    assert got[-1].count == KEYS and got[-1].more


def test_a_client_that_goes_ends_its_stream(small_values):
    """Canceled, past its deadline, or with its connection, while its chunks are sorted or wait for that."""
    many = [1 + 2 * i for i in range(20)]
    with h2.Connection(small_values.client_port, WIDE) as c:
        c.send(b''.join(sorted_stream(small_values, i) for i in many))
        c.send(b''.join(h2.frame(h2.RST_STREAM, 0, i, RST_CANCEL) for i in many))
        small_values.wait_for(lambda: views_are_gone(small_values))
    call, request = small_values.grpc_call('etcdserverpb.KV/RangeStream', 'unary_stream')
    with pytest.raises(grpc.RpcError) as e:
        for _ in range(100):
            list(call(request(key=b'k', range_end=b'l', sort_target=BY_VALUE), timeout=0.01))
    assert e.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    small_values.wait_for(lambda: views_are_gone(small_values))
    with h2.Connection(small_values.client_port, WIDE) as c:
        c.send(b''.join(sorted_stream(small_values, i) for i in many))
    small_values.wait_for(lambda: views_are_gone(small_values))


def test_a_server_that_stops_ends_with_streams_under_way(small_values):
    """SIGTERM while chunks are sorted, and wait for that: the process ends as it should."""
    with h2.Connection(small_values.client_port, WIDE) as c:
        c.send(b''.join(sorted_stream(small_values, 1 + 2 * i) for i in range(20)))
        small_values.stop()


def test_a_server_that_stops_ends_with_sorts_under_way(filled):
    """SIGTERM in the middle of several: the process ends as it should."""
    with h2.Connection(filled.client_port, WIDE) as c:
        c.send(b''.join(sorted_range(filled, 1 + 2 * i, limit=10) for i in range(6)))
        filled.stop()


def end_of_grace(s, later, kind):
    """Stops the server, which has waited long enough at once; its lines about slow calls of this kind."""
    s.process.send_signal(signal.SIGTERM)
    s.wait_for(lambda: 'closing etcd server' in s.log_text())
    later.touch()
    s.stop()
    slow = [json.loads(line) for line in s.log_text().splitlines() if '"request stats"' in line]
    return [line for line in slow if line['response type'] == kind]


@pytest.fixture
def later(ketch_bin, tmp_path, monkeypatch):
    """For servers started from now on a minute has gone once this file is there."""
    path = tmp_path / 'later'
    for name, value in preload(ketch_bin / 'etcd', tmp_path, LATER, LATER=path).items():
        monkeypatch.setenv(name, value)
    return path


def test_the_grace_of_a_stop_is_over(later, start_server, tmp_path):
    """Sorts under way and waiting are ended when a server that stops has waited long enough; the lines about them tell of no answer."""
    with start_server(tmp_path / 'd', '--io-threads=1') as s, h2.Connection(s.client_port, WIDE) as c:
        fill(s)
        c.send(b''.join(sorted_range(s, 1 + 2 * i, limit=1) for i in range(MANY)))
        counts = [line['response count'] for line in end_of_grace(s, later, RANGE)]
        assert counts and set(counts) <= {0, 1}


@pytest.mark.parametrize('method', [LOCK, CAMPAIGN, OBSERVE])
def test_the_grace_is_over_for_looks(later, start_server, tmp_path, method):
    """Likewise: calls of Lock and Election, some of which look."""
    with start_server(tmp_path / 'd', '--io-threads=1') as s, h2.Connection(s.client_port, WIDE) as c:
        fill(s, b'e/')
        c.send(b''.join(contest(s, 1 + 2 * i, method) for i in range(20)))
        s.wait_for(lambda: keys(s) == KEYS + (0 if method == OBSERVE else 20))
        end_of_grace(s, later, method)


def test_the_grace_is_over_for_transactions(later, start_server, tmp_path):
    """Likewise: no branch was taken, of which the lines would count the operations."""
    with start_server(tmp_path / 'd', '--io-threads=1') as s, h2.Connection(s.client_port, WIDE) as c:
        fill(s)
        before = metric(s, TXNS_STARTED)
        c.send(b''.join(guarded(s, 1 + 2 * i, MANY_GUARDS) for i in range(6)))
        s.wait_for(lambda: metric(s, TXNS_STARTED) == before + 6)
        assert [line['request count'] for line in end_of_grace(s, later, TXN)[-6:]] == [0] * 6
