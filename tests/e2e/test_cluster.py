"""Three members that elect, replicate and recover."""
import time

import pytest

from cluster_lib import Cluster, Writer

KILLS = 6


@pytest.fixture
def new_cluster(ketch_bin, messages, tmp_path):
    def make(etcds, *flags):
        return Cluster(etcds, tmp_path, ketch_bin / 'etcdctl', messages, flags)
    return make


@pytest.fixture
def three(new_cluster, ketch_bin):
    with new_cluster([ketch_bin / 'etcd'] * 3) as c:
        yield c


def put(member, key, value, timeout=10):
    return member.grpc('etcdserverpb.KV/Put', timeout=timeout)(key=key, value=value)


def get(member, key, **fields):
    return member.grpc('etcdserverpb.KV/Range')(key=key, **fields).kvs[0].value


def test_every_member_writes_and_reads(three):
    """A write through any member is read, linearizable, through any other; hashes are equal; one version is decided."""
    for i, m in enumerate(three.members):
        put(m, b'k%d' % i, b'v%d' % i)
        for other in three.members:
            assert get(other, b'k%d' % i) == b'v%d' % i
    assert three.agree() == 4
    leader = three.leader()
    assert [m.status().leader for m in three.members] == [leader.status().header.member_id] * 3
    leader.wait_for(lambda: {m.status().storageVersion for m in three.members} == {'3.7.0'}, 15)


def test_one_member_down_is_no_matter_and_two_are(three):
    """Without a majority nothing is written or read but serializable; with it again, everything goes on."""
    import grpc
    put(three.members[0], b'a', b'1')
    a, b = three.followers()
    b.kill()
    put(a, b'a', b'2')
    three.leader().kill()
    with pytest.raises(grpc.RpcError):
        put(a, b'a', b'3', timeout=3)
    assert get(a, b'a', serializable=True) in (b'2', b'1')
    b.start()
    put(a, b'a', b'4')
    assert get(b, b'a') == b'4'


def test_acknowledged_writes_survive_kills(three):
    """Under load any member is killed with SIGKILL and started again: nothing acknowledged is lost, the members agree."""
    writers = [Writer(three, f'w{i}-') for i in range(3)]
    for w in writers:
        w.start()
    for i in range(KILLS):
        victim = three.leader() if i % 2 == 0 else three.followers()[i % 2]
        time.sleep(0.3)
        victim.kill()
        time.sleep(0.5)
        victim.start()
    for w in writers:
        w.stop()
    three.agree()
    for w in writers:
        for m in three.members:
            w.check(m)
    assert max(g for w in writers for g in w.gaps) < 10


def test_a_cluster_starts_again(three):
    """All members stop and start: the data are there, and so is a leader."""
    for i in range(20):
        put(three.members[i % 3], b'k%d' % i, b'v')
    revision = three.agree()
    for m in three.members:
        m.stop()
    for m in three.members:
        m.channel = None
        m.start(wait=False)
    for m in three.members:
        m.wait_for(m.is_healthy, 30)
    assert three.agree() == revision
    put(three.members[0], b'again', b'1')
    assert three.agree() == revision + 1


@pytest.mark.parametrize('ours', [2, 1])
def test_members_of_both_kinds_agree(new_cluster, ketch_bin, real_bin, ours):
    """Ours and real ones in one cluster, each of them leader in turn, hold bit-identical keys."""
    etcds = [ketch_bin / 'etcd'] * ours + [real_bin / 'etcd'] * (3 - ours)
    with new_cluster(etcds) as c:
        led = set()
        writer = Writer(c, 'w-')
        writer.start()
        for i in range(12):
            leader = c.leader()
            led.add(leader.name)
            if len(led) == 3:
                break
            leader.kill()
            time.sleep(0.2)
            c.leader()
            leader.start()
        writer.stop()
        c.agree()
        for m in c.members:
            writer.check(m)
        assert led >= {m.name for m in c.members[:ours]}
