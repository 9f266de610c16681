"""POST /raft/snapshot by somebody who is no member, or does not know the protocol: answered as a real one does, and without harm."""
import http.client
import re
import struct
import urllib.request

import pytest

from cluster_lib import Cluster, log_lines
from preload_lib import slow_disk

HEARTBEAT, SNAPSHOT = 8, 7


def varint(n):
    out = b''
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, value):
    return varint(number << 3) + varint(value) if isinstance(value, int) else varint(number << 3 | 2) + varint(len(value)) + value


def message(kind, to, index=0, term=1):
    meta = field(1, field(1, to)) + field(2, index) + field(3, 1)
    return field(1, kind) + field(2, to) + field(3, 0x1234) + field(4, term) + (field(9, field(2, meta)) if index else b'')


def head(m):
    return struct.pack('>Q', len(m)) + m


@pytest.fixture(params=['ours', 'real'])
def member(request, ketch_bin, messages, tmp_path):
    folder = ketch_bin if request.param == 'ours' else request.getfixturevalue('real_bin')
    with Cluster([folder / 'etcd'], tmp_path, ketch_bin / 'etcdctl', messages) as c:
        m = c.members[0]
        with urllib.request.urlopen(f'http://127.0.0.1:{m.peer_port}/members') as r:
            m.cluster = r.headers['X-Etcd-Cluster-ID']
        m.id = m.status().header.member_id
        yield m


def post(member, body, method='POST', path='/raft/snapshot', chunked=True, **changed):
    """Status and text of the answer."""
    fields = {'X-Server-From': '1234', 'X-Server-Version': '3.5.0', 'X-Min-Cluster-Version': '3.0.0',
              'X-Etcd-Cluster-ID': member.cluster, 'X-PeerURLs': 'http://127.0.0.1:1'}
    fields.update({k.replace('_', '-'): v for k, v in changed.items()})
    c = http.client.HTTPConnection('127.0.0.1', member.peer_port, timeout=60)
    c.request(method, path, body=iter([body]) if chunked else body, headers={k: v for k, v in fields.items() if v is not None},
              encode_chunked=chunked)
    r = c.getresponse()
    try:
        text = r.read()
    except http.client.IncompleteRead as e:  # a real one drops the connection behind some answers
        text = e.partial
    c.close()
    return r.status, text.decode().strip()


def test_who_may_not_post(member):
    """Method, versions, cluster, sender and receiver are checked in etcd's order and words."""
    good = head(message(SNAPSHOT, member.id, 1000))
    assert post(member, b'', 'GET', chunked=False) == (405, 'Method Not Allowed')
    assert post(member, good, X_Server_Version=None, X_Min_Cluster_Version=None) == (412, 'incompatible version')
    assert post(member, good, X_Min_Cluster_Version='99.0.0') == (412, 'incompatible version')
    assert post(member, good, X_Etcd_Cluster_ID='1') == (412, 'cluster ID mismatch')
    answer = post(member, head(message(SNAPSHOT, 0x99, 1000)) + b'x' * 100)
    assert answer == (500, 'failed to process raft message (cannot process message to mismatch member)')


def test_a_message_to_somebody_else(member):
    """The member that lived here before is not told that it was removed: a 403 would make the sender stop."""
    assert post(member, message(HEARTBEAT, 0x99), path='/raft', chunked=False) == (500, 'error processing raft message')


def test_what_is_no_snapshot(member):
    """A head that is cut short or no message, and a message of another kind."""
    whole = head(message(SNAPSHOT, member.id, 1000))
    assert post(member, b'', chunked=False) == (400, 'failed to decode raft message (EOF)')
    assert post(member, b'\0\0\0') == (400, 'failed to decode raft message (unexpected EOF)')
    assert post(member, whole[:20]) == (400, 'failed to decode raft message (unexpected EOF)')
    assert post(member, whole[:8]) == (400, 'failed to decode raft message (EOF)')
    status, text = post(member, head(b'\xff\xff\xff'))
    assert status == 400 and text.startswith('failed to decode raft message (')
    assert post(member, head(message(HEARTBEAT, member.id))) == (400, 'wrong raft message type')


def begin(member, part):
    """A connection on which a snapshot has begun to come."""
    c = http.client.HTTPConnection('127.0.0.1', member.peer_port, timeout=60)
    c.putrequest('POST', '/raft/snapshot')
    for k, v in (('X-Server-From', '1234'), ('X-Server-Version', '3.7.0'), ('X-Min-Cluster-Version', '3.0.0'),
                 ('X-Etcd-Cluster-ID', member.cluster), ('Transfer-Encoding', 'chunked')):
        c.putheader(k, v)
    c.endheaders()
    c.send(b'%x\r\n%s\r\n' % (len(part), part))
    return c


def test_a_data_file_that_is_none(ketch_bin, messages, tmp_path):
    """Ours looks before raft hears of it: bytes that are no data file, or none, or come too late, are refused, leave nothing, and are counted."""
    with Cluster([ketch_bin / 'etcd'], tmp_path, ketch_bin / 'etcdctl', messages) as c:
        m = c.members[0]
        m.cluster, m.id = '%x' % m.status().header.cluster_id, m.status().header.member_id
        whole = head(message(SNAPSHOT, m.id, 1000, term=100))
        for data in (b'', b'\0' * 8192, b'junk' * 100_000):
            status, text = post(m, whole + data)
            assert status == 500 and text.startswith('failed to save KV snapshot ('), text
            assert 'later term' not in text
        assert post(m, head(message(SNAPSHOT, m.id, 1000, term=1)) + b'junk') == (
            500, 'failed to save KV snapshot (a leader of a later term has followed its sender)')
        assert post(m, struct.pack('>Q', (64 << 20) + 1) + b'x') == (400, 'failed to decode raft message (rafthttp: error limit exceeded)')
        c1 = begin(m, whole)
        c1.send(b'186a0\r\n' + b'x' * 50_000)  # and goes away
        c1.close()
        snap = m.data_dir / 'member' / 'snap'
        m.wait_for(lambda: 'unexpected EOF' in m.log_text() and [p.name for p in snap.iterdir()] == ['db'])

        def counted():
            page = urllib.request.urlopen(f'http://{m.endpoint}/metrics').read().decode()
            return ('etcd_network_snapshot_receive_failures{From="1234"} 5' in page and
                    'etcd_network_snapshot_receive_inflights_total{From="1234"} 0' in page)

        m.wait_for(counted)
        m.grpc('etcdserverpb.KV/Put')(key=b'a', value=b'b')


def test_a_leader_of_a_later_term_sends_another(ketch_bin, messages, tmp_path):
    """What an earlier leader still sends would not be taken any more: it ends, and leaves nothing, when the next one's begins to come."""
    with Cluster([ketch_bin / 'etcd'], tmp_path, ketch_bin / 'etcdctl', messages) as c:
        m = c.members[0]
        m.cluster, m.id = '%x' % m.status().header.cluster_id, m.status().header.member_id
        snap = m.data_dir / 'member' / 'snap'

        def coming():
            return {p.name for p in snap.iterdir()} - {'db'}

        def part(term):
            return head(message(SNAPSHOT, m.id, 1000, term)) + b'x' * PIECE

        first = begin(m, part(7))
        m.wait_for(coming)
        files = coming()
        second = begin(m, part(8))
        m.wait_for(lambda: coming() and not coming() & files)
        answer = first.sock.makefile('rb').read()
        assert answer.startswith(b'HTTP/1.1 500 ')
        assert answer.endswith(b'failed to save KV snapshot (a leader of a later term sends another)\n')
        files = coming()
        again = begin(m, part(8))  # of the same term: both go on
        m.wait_for(lambda: len(coming()) == 2)
        assert files < coming()
        for x in (first, second, again):
            x.close()
        m.wait_for(lambda: not coming())


PIECE = 256 << 10  # what a receiver hands on at once
QUEUE = 8          # and how many of them may wait for the disk


def commits(m):
    """How many batches are in the data file."""
    page = urllib.request.urlopen(f'http://{m.endpoint}/metrics').read().decode()
    return int(re.search(r'^etcd_disk_backend_commit_duration_seconds_count (\d+)$', page, re.M)[1])


def test_an_end_that_comes_before_all_is_written(ketch_bin, messages, tmp_path, monkeypatch):
    """A snapshot is there, whole, while all its pieces wait for the disk: nobody waits for more of it, and the member goes on."""
    environment = slow_disk(ketch_bin / 'etcd', tmp_path, '/snap/tmp', us=10000)
    flags = ['--snapshot-count', '100', '--snapshot-catchup-entries', '10', '--backend-batch-limit', '10']
    with Cluster([ketch_bin / 'etcd'], tmp_path, ketch_bin / 'etcdctl', messages, flags) as c:
        first = c.members[0]
        n = 0
        while first.status().dbSize <= (QUEUE - 0.7) * PIECE:
            before = commits(first)
            for n in range(n, n + 10):
                first.grpc('etcdserverpb.KV/Put')(key=b'%d' % n, value=bytes(4000))
            first.wait_for(lambda: commits(first) > before)  # or the file would grow by more than is looked for here
        new = c.add(ketch_bin / 'etcd', first, learner=True)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        new.start()
        c.agree()
        saved = [x for x in log_lines(new) if x['msg'] == 'received and saved database snapshot']
        assert [-(-x['incoming-snapshot-size-bytes'] // PIECE) for x in saved] == [QUEUE]
