"""A JSON client of somebody else's, etcd3gw, over our gateway: what its users call, as they call it."""
import threading

import pytest

etcd3gw = pytest.importorskip('etcd3gw', reason="skipped: Debian's python3-etcd3gw is not installed")


@pytest.fixture
def client(server):
    from etcd3gw.client import Etcd3Client
    return Etcd3Client(host='127.0.0.1', port=server.client_port, api_path='/v3/', timeout=10)


def test_keys(client):
    """Put, get with metadata and in order, prefixes, create only once, replace only what was read, delete."""
    assert client.put('foo1', 'bar') is True
    assert client.put('foo2', b'\xff\x00') is True
    assert client.get('foo1') == [b'bar']
    assert [(v, m['key']) for v, m in client.get_prefix('foo', sort_order='descend', sort_target='key')] == \
        [(b'\xff\x00', b'foo2'), (b'bar', b'foo1')]
    assert client.get('nothing') == []
    assert client.create('new', '1') is True
    assert client.create('new', '2') is False
    assert client.replace('new', '1', '2') is True
    assert client.replace('new', '1', '3') is False
    assert client.get('new') == [b'2']
    assert len(client.get_all()) == 3
    assert client.delete('foo1') is True
    assert client.delete('foo1') is False
    assert client.delete_prefix('foo') is True


def test_transaction(client):
    """A transaction in the client's own JSON, with names in lower camel case."""
    from etcd3gw.utils import _encode
    client.put('k', 'v')
    answer = client.transaction({
        'compare': [{'key': _encode(b'k'), 'result': 'EQUAL', 'target': 'VALUE', 'value': _encode(b'v')}],
        'success': [{'requestPut': {'key': _encode(b'k'), 'value': _encode(b'w')}}],
        'failure': [{'requestRange': {'key': _encode(b'k')}}]})
    assert answer['succeeded'] is True
    assert client.get('k') == [b'w']


def test_leases_and_locks(client):
    """Leases live, are renewed and take their keys with them; a lock keeps the next one out."""
    lease = client.lease(ttl=100)
    assert client.put('short', 'lived', lease=lease) is True
    assert 0 < lease.ttl() <= 100
    assert lease.refresh() == 100
    assert lease.keys() == [b'short']
    assert lease.revoke() is True
    assert client.get('short') == []
    with client.lock(id='l', ttl=60) as held:
        assert held.is_acquired()
        assert not client.lock(id='l', ttl=60).acquire()
    assert client.lock(id='l', ttl=60).acquire()


def test_watch(client):
    """A watch over the chunked answer sees what another connection does, and ends when it is told to."""
    events, cancel = client.watch('w')
    writer = threading.Thread(target=lambda: [client.put('w', str(i)) for i in range(20)] + [client.delete('w')])
    writer.start()
    seen = [next(events) for _ in range(21)]
    writer.join()
    cancel()
    assert [e['kv']['value'] for e in seen[:20]] == [str(i).encode() for i in range(20)]
    assert seen[20]['type'] == 'DELETE'
    with pytest.raises(etcd3gw.exceptions.WatchTimedOut):
        client.watch_once('w', timeout=0.3)


def test_cluster(client):
    """Status and members are what they are."""
    assert client.status()['version'] == '3.7.1'
    assert [m['name'] for m in client.members()] == ['default']
    with pytest.raises(etcd3gw.exceptions.Etcd3Exception) as e:
        client.post(client.get_url('/kv/range'), json={})
    assert 'key is not provided' in e.value.detail_text
