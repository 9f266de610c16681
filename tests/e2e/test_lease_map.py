"""Leases: what etcd's own tests of grants, renewals, expiry and attached keys ask of one member."""
import threading
import time

from etcdctl_lib import undisturbed
from grpc_lib import Api, shown

NOT_FOUND = ('NOT_FOUND', 'etcdserver: requested lease not found')
IDS = [1, -1, 2**63 - 1, -2**63]


def leases(api):
    return [x.ID for x in api.LeaseLeases().leases]


def keys_of(api, lease):
    return sorted(api.LeaseTimeToLive(ID=lease, keys=True).keys)


def renew(stream, lease):
    """The TTL that a renewal tells: 0 is a lease that is not there."""
    stream.send(stream.rpc.LeaseKeepAliveRequest(ID=lease))
    r = stream.next()
    assert r.ID == lease
    return r.TTL


def test_grant(api):
    """A lease gets the id and the time that were asked for, or an id of its own; what is left counts down."""
    assert leases(api) == []
    began = time.monotonic()
    r = api.LeaseGrant(ID=7, TTL=100)
    assert (r.ID, r.TTL, r.error, r.header.revision) == (7, 100, '', 1)
    assert api.refused('LeaseGrant', ID=7, TTL=5) == ('FAILED_PRECONDITION', 'etcdserver: lease already exists')
    assert api.refused('LeaseGrant', ID=8, TTL=9000000001) == ('OUT_OF_RANGE', 'etcdserver: too large lease TTL')
    assert api.LeaseGrant(TTL=0).TTL > 0    # as short as one can be
    left = api.LeaseTimeToLive(ID=7)
    assert left.grantedTTL == 100 and left.TTL <= 100 <= left.TTL + 1 + time.monotonic() - began and not left.keys
    api.put(b'b', lease=7)
    api.put(b'a', lease=7)
    assert keys_of(api, 7) == [b'a', b'b']
    assert not api.LeaseTimeToLive(ID=7).keys


def test_list_is_in_order_of_grant(api):
    """Leases with one TTL are listed in the order of their creation."""
    granted = [api.LeaseGrant(TTL=600).ID for _ in range(5)]
    assert leases(api) == granted


def test_revoke(api):
    """A revoke deletes the keys of the lease in one revision, those of another stay; after it there is no lease."""
    api.LeaseGrant(ID=7, TTL=100)
    api.put(b'a', lease=7)
    api.put(b'b', lease=7)
    before = api.put(b'c')
    w = api.watch()
    w.create(key=b'', from_key=True)
    assert api.LeaseRevoke(ID=7).header.revision == before + 1
    assert sorted(shown(w.events(2))) == [('DELETE', k, b'', before + 1) for k in (b'a', b'b')]
    assert api.Range(key=b'a', end=b'z').count == 1
    left = api.LeaseTimeToLive(ID=7, keys=True)
    assert (left.ID, left.TTL, left.grantedTTL, list(left.keys)) == (7, -1, 0, [])
    assert api.refused('LeaseRevoke', ID=7) == NOT_FOUND
    assert api.refused('Put', key=b'a', lease=7) == NOT_FOUND
    w.close()


def test_expiry(api):
    """A lease that nobody renews ends with its keys and an event; one that is renewed lives on; an end is not early."""
    undisturbed(lambda: expire(api))


def expire(api):
    for i in leases(api):  # of a run that was disturbed
        api.LeaseRevoke(ID=i)
    w, k = api.watch(), api.keep_alive()
    w.create(key=b'', from_key=True)
    began = time.monotonic()
    api.LeaseGrant(ID=1, TTL=4)
    api.LeaseGrant(ID=2, TTL=4)
    api.put(b'dies', lease=1)
    api.put(b'lives', lease=2)
    w.events(2)
    while w.arrived.empty():
        assert renew(k, 2) == 4
        time.sleep(0.2)
    assert [e[:2] for e in shown(w.events(1))] == [('DELETE', b'dies')]
    assert 4 <= time.monotonic() - began < 30
    assert leases(api) == [2]
    left = api.LeaseTimeToLive(ID=1)
    assert (left.TTL, left.grantedTTL) == (-1, 0)
    assert renew(k, 1) == 0
    assert [e[:2] for e in shown(w.events(1))] == [('DELETE', b'lives')]
    assert api.Range(key=b'', from_key=True).count == 0
    w.close()
    k.close()


def test_renewals(api):
    """Many leases on one stream are each answered with their time, an unknown one with 0, in order."""
    for i in range(1, 51):
        api.LeaseGrant(ID=i, TTL=60 + i)
    k = api.keep_alive()
    for i in list(range(1, 51)) + [99, 1]:
        k.send(api.rpc.LeaseKeepAliveRequest(ID=i))
    got = [k.next() for _ in range(52)]
    assert [(r.ID, r.TTL) for r in got] == [(i, 60 + i) for i in range(1, 51)] + [(99, 0), (1, 61)]
    k.close()


def test_renewed_right_after_the_grant(server):
    """Thirty clients that grant and at once renew or ask never hear of a lease that is not there."""
    wrong = []

    def client():
        with Api(server) as api:
            k = api.keep_alive()
            for _ in range(10):
                lease = api.LeaseGrant(TTL=60).ID
                if renew(k, lease) != 60 or api.LeaseTimeToLive(ID=lease).TTL <= 0:
                    wrong.append(lease)
            k.close()
    threads = [threading.Thread(target=client) for _ in range(30)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []


def test_any_id(start_server, tmp_path):
    """Ids are any number but 0, and survive a restart with their keys; a revoke after it finds them (issue 12535)."""
    with start_server(tmp_path / 'd') as s, Api(s) as api:
        for i in IDS:
            api.LeaseGrant(ID=i, TTL=600)
            api.put(b'k%d' % i, lease=i)
    with start_server(tmp_path / 'd') as s, Api(s) as api:
        assert sorted(leases(api)) == sorted(IDS)
        for n, i in enumerate(IDS):
            assert keys_of(api, i) == [b'k%d' % i]
            assert api.LeaseRevoke(ID=i).header.revision == 6 + n
        assert api.Range(key=b'', from_key=True).count == 0


def test_keys_belong_to_their_last_lease(start_server, tmp_path):
    """A key put with another lease, or with none, leaves its first; so it is after a restart and a kill."""
    with start_server(tmp_path / 'd') as s, Api(s) as api:
        for i in (1, 2, 3):
            api.LeaseGrant(ID=i, TTL=600)
        for key, lease in ((b'moved', 1), (b'moved', 2), (b'detached', 1), (b'detached', 0), (b'back', 1), (b'back', 2),
                           (b'back', 1), (b'three', 3)):
            api.put(key, lease=lease)
        s.kill()
    for stop in ('stop', 'kill', 'end'):
        with start_server(tmp_path / 'd') as s, Api(s) as api:
            assert [keys_of(api, i) for i in (1, 2)] == [[b'back'], [b'moved']]
            if stop == 'kill':
                api.LeaseRevoke(ID=1)
                assert [kv.key for kv in api.Range(key=b'', from_key=True).kvs] == [b'detached', b'moved', b'three']
                api.LeaseGrant(ID=1, TTL=600)
                api.put(b'back', lease=1)
                s.kill()
            if stop == 'end':
                api.LeaseRevoke(ID=2)
                assert [kv.key for kv in api.Range(key=b'', from_key=True).kvs] == [b'back', b'detached', b'three']


def test_time_starts_again_with_the_leader(start_server, tmp_path):
    """After a restart a lease has its whole time again: its end may be late, never early; then it does end."""
    with start_server(tmp_path / 'd') as s, Api(s) as api:
        api.LeaseGrant(ID=1, TTL=5)
        api.LeaseGrant(ID=2, TTL=1000)
        api.put(b'k', lease=1)
        time.sleep(1.5)
        s.kill()
    began = time.monotonic()
    with start_server(tmp_path / 'd') as s, Api(s) as api:
        assert 1000 <= api.LeaseTimeToLive(ID=2).TTL + 1 + time.monotonic() - began
        s.wait_for(lambda: api.Range(key=b'k').count == 0)
        assert time.monotonic() - began > 5
        assert leases(api) == [2]


def test_a_lease_with_many_keys(api):
    """The keys of a lease are listed whole, also when they are more than an answer's usual 16 MB."""
    lease, keys = api.LeaseGrant(TTL=1000).ID, [b'%04d' % i + b'k' * 10000 for i in range(2000)]
    for i in range(0, len(keys), 100):
        api.Txn(success=[api.op('Put', key=key, lease=lease) for key in keys[i:i + 100]])
    assert list(api.LeaseTimeToLive(ID=lease, keys=True).keys) == keys
