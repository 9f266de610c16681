"""Lock and Election over gRPC: contenders of several connections, cancellation, the death of a holder."""
import threading

import grpc
import pytest

from etcdctl_lib import wait_until

LOCK, UNLOCK = 'v3lockpb.Lock/Lock', 'v3lockpb.Lock/Unlock'
CAMPAIGN, OBSERVE = 'v3electionpb.Election/Campaign', 'v3electionpb.Election/Observe'


def begin(server, method, **fields):
    call, request = server.grpc_call(method)
    return call.future(request(**fields))


def lease(server, ttl=60):
    return server.grpc('etcdserverpb.Lease/LeaseGrant')(TTL=ttl).ID


def keys(server, prefix):
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    found = server.grpc('etcdserverpb.KV/Range')(key=prefix.encode(), range_end=end.encode())
    return [kv.key.decode() for kv in found.kvs]


def test_two_contenders(server):
    """The second has the lock when the first lets go, not before, with a key of its lease."""
    first, second = lease(server), lease(server)
    held = begin(server, LOCK, name=b'a', lease=first).result(30)
    waiting = begin(server, LOCK, name=b'a', lease=second)
    wait_until(lambda: len(keys(server, 'a/')) == 2)
    with pytest.raises(grpc.FutureTimeoutError):
        waiting.result(0.3)
    released = server.grpc(UNLOCK)(key=held.key)
    got = waiting.result(30)
    assert got.key.decode() == f'a/{second:x}'
    assert got.header.revision >= released.header.revision


def test_canceled_contender(server):
    """One that cancels leaves no key behind."""
    begin(server, LOCK, name=b'c', lease=lease(server)).result(30)
    waiting = begin(server, LOCK, name=b'c', lease=lease(server))
    wait_until(lambda: len(keys(server, 'c/')) == 2)
    waiting.cancel()
    wait_until(lambda: len(keys(server, 'c/')) == 1)


def test_holder_expires(server):
    """A holder whose lease is not renewed is followed by who waits; the call itself renews nothing."""
    begin(server, LOCK, name=b'e', lease=lease(server, ttl=2)).result(30)
    got = begin(server, LOCK, name=b'e', lease=lease(server)).result(30)
    assert keys(server, 'e/') == [got.key.decode()]


def test_contenders_survive_a_restart(start_server, tmp_path):
    """Locks are keys: a member that was killed still knows who holds one, and who is next may wait anew."""
    with start_server(tmp_path / 'data') as s:
        holder, other = lease(s), lease(s)
        held = begin(s, LOCK, name=b'r', lease=holder).result(30)
        s.channel.close()
        s.channel = None
        s.kill()
        s.start()
        waiting = begin(s, LOCK, name=b'r', lease=other)
        wait_until(lambda: len(keys(s, 'r/')) == 2)
        assert not waiting.done()
        s.grpc(UNLOCK)(key=held.key)
        assert waiting.result(30).key.decode() == f'r/{other:x}'


def test_election(server):
    """Observers hear of every leader and every value in order."""
    call, request = server.grpc_call(OBSERVE, 'unary_stream')
    stream = call(request(name=b'v'))
    seen = []
    reader = threading.Thread(target=lambda: collect(stream, seen))
    reader.start()
    first, second = lease(server), lease(server)
    leader = begin(server, CAMPAIGN, name=b'v', lease=first, value=b'one').result(30).leader
    wait_until(lambda: len(seen) == 1)  # or it may come too late for the first
    waiting = begin(server, CAMPAIGN, name=b'v', lease=second, value=b'two')
    wait_until(lambda: len(keys(server, 'v/')) == 2)
    server.grpc('v3electionpb.Election/Proclaim')(leader=leader, value=b'uno')
    assert server.grpc('v3electionpb.Election/Leader')(name=b'v').kv.value == b'uno'
    server.grpc('v3electionpb.Election/Resign')(leader=leader)
    assert waiting.result(30).leader.lease == second
    wait_until(lambda: len(seen) == 3)
    stream.cancel()
    reader.join()
    assert [m.kv.value for m in seen] == [b'one', b'uno', b'two']


def collect(stream, seen):
    try:
        for m in stream:
            seen.append(m)
    except grpc.RpcError:
        pass
