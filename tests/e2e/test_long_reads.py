"""A range that sorts much takes its time in slices: others of the same thread are served between them, and whoever ends it, the client
or the server, leaves nothing of it behind."""
import json
import re
import signal
import urllib.request

import grpc
import pytest

import h2_raw as h2
from abuse_lib import PUT, RANGE, WIDE
from preload_lib import preload

KEYS, TXN_OPS = 40000, 100
SMALL = 100
MANY = 300  # more sorts than are done until a signal is heard
DESCEND, BY_VALUE = 2, 4
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


def fill(s):
    txn = s.grpc('etcdserverpb.KV/Txn')
    for first in range(0, KEYS, TXN_OPS):
        txn(success=[{'request_put': {'key': b'k%06d' % i, 'value': value_of(i)}} for i in range(first, first + TXN_OPS)])


def value_of(i):
    return b'%d' % (i * 7919 % KEYS) + b'v' * 100


def range_message(s, **fields):
    request, _ = s.messages.of('etcdserverpb.KV/Range')
    return request(**fields).SerializeToString()


def sorted_range(s, stream, **fields):
    return h2.request(stream, RANGE, range_message(s, key=b'k', range_end=b'l', sort_order=DESCEND, sort_target=BY_VALUE, **fields))


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


def test_a_server_that_stops_ends_with_sorts_under_way(filled):
    """SIGTERM in the middle of several: the process ends as it should."""
    with h2.Connection(filled.client_port, WIDE) as c:
        c.send(b''.join(sorted_range(filled, 1 + 2 * i, limit=10) for i in range(6)))
        filled.stop()


def test_the_grace_of_a_stop_is_over(start_server, ketch_bin, tmp_path, monkeypatch):
    """Sorts under way and waiting are ended when a server that stops has waited long enough; the lines about them tell of no answer."""
    later = tmp_path / 'later'
    for name, value in preload(ketch_bin / 'etcd', tmp_path, LATER, LATER=later).items():
        monkeypatch.setenv(name, value)
    with start_server(tmp_path / 'd', '--io-threads=1') as s, h2.Connection(s.client_port, WIDE) as c:
        fill(s)
        c.send(b''.join(sorted_range(s, 1 + 2 * i, limit=1) for i in range(MANY)))
        s.process.send_signal(signal.SIGTERM)
        s.wait_for(lambda: 'closing etcd server' in s.log_text())
        later.touch()
        s.stop()
        slow = [json.loads(line) for line in s.log_text().splitlines() if '"request stats"' in line]
        counts = [line['response count'] for line in slow if line['response type'] == RANGE]
        assert counts and set(counts) <= {0, 1}
