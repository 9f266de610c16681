"""A snapshot that comes to a member whose disk is slow, and ends in the moments that a fast disk leaves no time for."""
import socket
import struct
import urllib.request

import pytest

from cluster_lib import Cluster
from preload_lib import slow_disk
from test_snapshot_post import PIECE, QUEUE, SNAPSHOT, head, message

BODY = bytes(PIECE)


@pytest.fixture
def slow_member(ketch_bin, messages, tmp_path, monkeypatch):
    """Each piece of a file that is received takes 50 ms to be written."""
    for name, value in slow_disk(ketch_bin / 'etcd', tmp_path, '/snap/tmp', us=50000).items():
        monkeypatch.setenv(name, value)
    with Cluster([ketch_bin / 'etcd'], tmp_path, ketch_bin / 'etcdctl', messages) as c:
        m = c.members[0]
        m.cluster, m.id = '%x' % m.status().header.cluster_id, m.status().header.member_id
        yield m


def chunk(part):
    return b'%x\r\n%s\r\n' % (len(part), part)


def begin(m):
    """A connection on which more pieces have been sent than may wait for the disk, one of which has been written."""
    s = socket.create_connection(('127.0.0.1', m.peer_port), timeout=60)
    s.sendall(b'POST /raft/snapshot HTTP/1.1\r\nHost: x\r\nX-Server-From: 1234\r\nX-Server-Version: 3.7.0\r\n'
              b'X-Min-Cluster-Version: 3.0.0\r\nX-Etcd-Cluster-ID: ' + m.cluster.encode() +
              b'\r\nTransfer-Encoding: chunked\r\n\r\n' + chunk(head(message(SNAPSHOT, m.id, 1000, term=100))))
    for _ in range(QUEUE + 2):
        s.sendall(chunk(BODY))
    m.wait_for(lambda: left(m))
    return s


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    s.close()


def left(m):
    return sorted(p.name for p in (m.data_dir / 'member' / 'snap').iterdir() if p.name != 'db')


def number(m, name):
    page = urllib.request.urlopen(f'http://{m.endpoint}/metrics').read().decode()
    return [line.split()[-1] for line in page.splitlines() if line.startswith(f'etcd_network_snapshot_receive_{name}{{From="1234"}}')]


def is_over(m, failures):
    return not left(m) and number(m, 'inflights_total') == ['0'] and number(m, 'failures') == [str(failures)]


def test_lost_while_pieces_wait(slow_member):
    """The sender is gone in the middle of the file, or behind its end and before the answer, or says nothing more behind
    its end: each time nothing is left, all is counted once, and the next one is taken."""
    m = slow_member
    reset(begin(m))
    m.wait_for(lambda: is_over(m, 1))
    s = begin(m)
    s.sendall(b'0\r\n\r\n')
    reset(s)
    m.wait_for(lambda: is_over(m, 2))
    s = begin(m)
    s.sendall(b'0\r\n\r\n')
    assert s.makefile('rb').readline().startswith(b'HTTP/1.1 500 ')
    s.close()
    m.wait_for(lambda: is_over(m, 3))
    m.grpc('etcdserverpb.KV/Put')(key=b'a', value=b'b')


@pytest.mark.parametrize('whole', [False, True])
def test_a_stop_while_pieces_wait(slow_member, whole):
    """A member that stops while a snapshot comes, in its middle or behind its end, says so to the sender and ends in order."""
    s = begin(slow_member)
    if whole:
        s.sendall(b'0\r\n\r\n')
    slow_member.stop()
    assert s.makefile('rb').readline() in (b'', b'HTTP/1.1 503 Service Unavailable\r\n', b'HTTP/1.1 500 Internal Server Error\r\n')
    s.close()
    slow_member.start()
    slow_member.wait_for(lambda: not left(slow_member))
