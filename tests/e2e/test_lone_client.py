"""One client that makes one call after the other: its I/O thread does the node's work itself, and holds up nobody by that."""
import contextlib
import pathlib
import threading
import urllib.request

import grpc
import pytest

from cluster_lib import Cluster
from preload_lib import hanging_disk, quick_disk
from test_leadership import get, put, start_with

PUTS = 50
TRIES = 40


@pytest.fixture
def lone(ketch_bin, messages, tmp_path):
    """A member that is alone, not started yet."""
    c = Cluster([ketch_bin / 'etcd'], tmp_path, ketch_bin / 'etcdctl', messages)
    yield c.members[0]
    c.__exit__()


def core_sleeps(member):
    """How often the threads that else run the node have gone to sleep."""
    n = 0
    for task in pathlib.Path(f'/proc/{member.process.pid}/task').iterdir():
        with contextlib.suppress(OSError):  # a thread that has ended meanwhile
            if (task / 'comm').read_text().startswith('core-'):
                n += int((task / 'status').read_text().split('\nvoluntary_ctxt_switches:')[1].split()[0])
    return n


def put_without_waking_the_core(member):
    """Puts, until a run of them woke the core for less than half; slow syncs give it back to its threads for a while."""
    for _ in range(TRIES):
        before = core_sleeps(member)
        for i in range(PUTS):
            put(member, b'a', b'%d' % i)
        if core_sleeps(member) - before < PUTS / 2:
            return
    pytest.fail('the core was woken for each put')


def test_puts_of_one_client_wake_nobody(lone, ketch_bin, tmp_path):
    """The thread that has read a put writes the log, applies and answers; a second client ends that, and loses nothing."""
    start_with(lone, quick_disk(ketch_bin / 'etcd', tmp_path))
    lone.wait_for(lone.is_healthy)
    put_without_waking_the_core(lone)
    revision = lone.status().header.revision
    other = grpc.insecure_channel(lone.endpoint, options=[('grpc.use_local_subchannel_pool', 1)])
    call, request = lone.grpc_call('etcdserverpb.KV/Put')
    second = other.unary_unary('/etcdserverpb.KV/Put', request_serializer=request.SerializeToString)
    pending = [second.future(request(key=b'b', value=b'1')) for _ in range(PUTS)]
    for i in range(PUTS):
        put(lone, b'a', b'x')
    for p in pending:
        p.result(timeout=60)
    assert lone.status().header.revision == revision + 2 * PUTS
    other.close()


def test_a_hung_disk_holds_up_only_who_writes(lone, ketch_bin, tmp_path):
    """While the lone client's put waits for a disk that hangs, others on the same thread read, look at leases and at pages."""
    hang = tmp_path / 'hang'
    start_with(lone, hanging_disk(ketch_bin / 'etcd', tmp_path, '/wal/', hang, QUICK=1))
    lone.wait_for(lone.is_healthy)
    put_without_waking_the_core(lone)
    hang.touch()
    stuck = threading.Thread(target=lambda: put(lone, b'stuck', b'1', timeout=60))
    stuck.start()
    first = lone.channel
    lone.channel = grpc.insecure_channel(lone.endpoint, options=[('grpc.use_local_subchannel_pool', 1)])
    for serializable in (False, True):
        assert get(lone, b'a', serializable=serializable)
    assert not lone.grpc('etcdserverpb.Lease/LeaseLeases')().leases
    with urllib.request.urlopen(f'http://{lone.endpoint}/metrics', timeout=30) as r:
        assert b'etcd_server_has_leader 1' in r.read()
    call, request = lone.grpc_call('etcdserverpb.KV/Put')
    later = call.future(request(key=b'later', value=b'1'), timeout=60)
    with pytest.raises(grpc.FutureTimeoutError):
        later.result(timeout=0.3)
    hang.unlink()
    stuck.join()
    later.result()
    assert get(lone, b'stuck') == b'1' and get(lone, b'later') == b'1'
    put_without_waking_the_core(lone)
    first.close()
