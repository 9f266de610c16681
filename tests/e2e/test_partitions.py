"""Cut networks: no stale read, one stable leader while a majority is connected, recovery without hands."""
import random
import threading
import time

import grpc
import pytest

from cluster_lib import PROMPT
from conftest import has_sanitizer
from partition_lib import CuttableCluster
from test_cluster import get, put
from test_snapshot_cluster import lead

HASTY = ('--election-timeout', '500', '--heartbeat-interval', '50')
PATIENT = ('--election-timeout', '30000')  # longer than any machine is away, or a disk
FLAPPING_SECONDS = 4


@pytest.fixture
def members_of(ketch_bin, messages, tmp_path):
    def make(n, flags=PROMPT):
        return CuttableCluster([ketch_bin / 'etcd'] * n, tmp_path, ketch_bin / 'etcdctl', messages, flags)
    return make


@pytest.fixture
def one_without_patience(members_of):
    """Three members of which only the last one ever campaigns of its own accord: whoever else leads, no accident ends that."""
    c = members_of(3, PATIENT)
    impatient = c.members[2]
    impatient.flags += PROMPT
    impatient.use(impatient.command[0])
    with c:
        lead(c, c.members[0])
        yield c


def campaigns(member):
    """How often it has begun a term, the present one included: lines are written behind."""
    term = member.status().raftTerm
    member.wait_for(lambda: f'at term {term}' in member.log_text())
    return member.log_text().count('became candidate at term')


def refused(call):
    """Not answered in time, or answered that it cannot be."""
    with pytest.raises(grpc.RpcError) as e:
        call()
    assert e.value.code() in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE), e.value
    return True


def read(member, key, timeout):
    return member.grpc('etcdserverpb.KV/Range', timeout=timeout)(key=key)


def test_a_leader_alone_serves_nobody(members_of):
    """The leader is cut off: the others go on, it answers no linearizable read and no write, and follows after the cut."""
    with members_of(3) as c:
        old = c.leader()
        put(old, b'a', b'1')
        c.network.isolate(old.name)
        before = campaigns(old)
        rest = c.followers_of(old)
        new = c.leader_among(rest)
        put(new, b'a', b'2')
        assert get(rest[0], b'a') == b'2' and get(rest[1], b'a') == b'2'
        assert refused(lambda: read(old, b'a', 1)) and refused(lambda: put(old, b'perhaps', b'1', timeout=1))
        assert get(old, b'a', serializable=True) == b'1'
        c.network.heal()
        old.wait_for(lambda: old.status().leader not in (0, old.status().header.member_id))
        assert get(old, b'a') == b'2'
        put(old, b'a', b'3')
        c.agree()
        assert campaigns(old) == before  # if the others lost one another meanwhile, that was not its doing


def test_a_follower_alone_disturbs_nobody(one_without_patience):
    """A follower is cut off and comes back: the same leader in the same term, for it asks before it campaigns."""
    c = one_without_patience
    leader, _, alone = c.members
    term, before = leader.status().raftTerm, campaigns(alone)
    c.network.isolate(alone.name)
    for i in range(20):
        put(leader, b'k%d' % i, b'v')
    alone.wait_for(lambda: alone.status().leader == 0)
    assert refused(lambda: read(alone, b'k1', 1)) and refused(lambda: put(alone, b'a', b'1', timeout=1))
    c.network.heal()
    alone.wait_for(lambda: alone.status().leader == leader.status().header.member_id)
    assert get(alone, b'k19') == b'v'
    assert leader.status().raftTerm == term and c.leader() is leader
    c.agree()
    assert campaigns(alone) == before


def test_two_halves_wait(members_of):
    """Two against two: neither half writes or reads; together again, they do, and nothing has come apart."""
    with members_of(4) as c:
        put(c.members[0], b'a', b'1')
        half = [c.members[0], c.members[1]]
        c.network.isolate(*(m.name for m in half))
        for m in c.members:
            m.wait_for(lambda m=m: m.status().leader == 0)
        for m in (c.members[0], c.members[2]):
            assert refused(lambda: put(m, b'a', b'2', timeout=1)) and refused(lambda: read(m, b'a', 1))
        c.network.heal()
        leader = c.leader()
        put(c.followers_of(leader)[0], b'b', b'1')
        assert all(get(m, b'b') == b'1' for m in c.members)
        c.agree()


def test_a_follower_that_does_not_hear_its_leader(one_without_patience):
    """A leader that one follower does not hear stays the leader; the follower serves nobody, and follows again."""
    c = one_without_patience
    leader, other, deaf = c.members
    term = leader.status().raftTerm
    c.network.set_cuts({(leader.name, deaf.name)})
    deaf.wait_for(lambda: deaf.status().leader == 0)
    for i in range(10):
        put(leader, b'k%d' % i, b'v')
        time.sleep(0.1)
    assert leader.status().raftTerm == term and get(other, b'k9') == b'v' and refused(lambda: read(deaf, b'k9', 1))
    c.network.heal()
    deaf.wait_for(lambda: deaf.status().leader == leader.status().header.member_id)
    assert leader.status().raftTerm == term


def test_a_leader_that_hears_nobody(members_of):
    """It gives way to one who does, serves nobody, and follows."""
    with members_of(3) as c:
        leader, (a, b) = c.roles()
        c.network.set_cuts({(a.name, leader.name), (b.name, leader.name)})
        new = c.leader_among([a, b])
        put(new, b'now', b'1')
        assert refused(lambda: read(leader, b'now', 1))
        c.network.heal()
        leader.wait_for(lambda: leader.status().leader != 0)
        assert get(leader, b'now') == b'1'
        c.agree()


class Counter(threading.Thread):
    """Counts up a key of its own through one member after the other; knows what was acknowledged before now."""

    def __init__(self, cluster, key):
        super().__init__(daemon=True)
        self.cluster, self.key = cluster, key
        self.acknowledged = self.reads = 0
        self.over, self.stale = False, []

    def run(self):
        n = 0
        while not self.over:
            n += 1
            writer, reader = random.choices(self.cluster.members, k=2)
            try:
                put(writer, self.key, b'%d' % n, timeout=1)
                self.acknowledged = n
            except grpc.RpcError:
                pass  # it may have happened, or happen yet
            before = self.acknowledged
            try:
                kvs = read(reader, self.key, 1).kvs
            except grpc.RpcError:
                continue
            self.reads += 1
            if int(kvs[0].value if kvs else 0) < before:
                self.stale.append((reader.name, before, kvs))


def test_a_flapping_network(members_of, ketch_bin):
    """Directions are cut and healed at random under load: no read misses what was acknowledged before it began."""
    chance = random.Random(7)
    with members_of(3, PROMPT if has_sanitizer(ketch_bin / 'etcd') else HASTY) as c:
        counters = [Counter(c, b'c%d' % i) for i in range(3)]
        for x in counters:
            x.start()
        pairs = [(a.name, b.name) for a in c.members for b in c.members if a is not b]
        end = time.monotonic() + FLAPPING_SECONDS
        while time.monotonic() < end:
            c.network.set_cuts(chance.sample(pairs, chance.randint(0, 4)))
            time.sleep(chance.uniform(0.05, 0.8))
        c.network.heal()
        c.leader()
        healed = [x.reads for x in counters]
        c.members[0].wait_for(lambda: all(x.reads > n + 5 for x, n in zip(counters, healed)))
        for x in counters:
            x.over = True
        for x in counters:
            x.join()
        assert [x.stale for x in counters] == [[], [], []]
        for m in c.members:
            for x in counters:
                assert int(get(m, x.key)) >= x.acknowledged
        c.agree()
