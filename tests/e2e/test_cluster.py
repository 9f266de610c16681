"""Three members that elect, replicate and recover."""
import queue
import signal
import time

import pytest

from conftest import WAIT_SECONDS
from cluster_lib import PROMPT, Cluster, Writer

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


@pytest.fixture
def mortal(new_cluster, ketch_bin):
    """Three that elect another leader soon."""
    with new_cluster([ketch_bin / 'etcd'] * 3, *PROMPT) as c:
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
    leader.wait_for(lambda: {m.status().storageVersion for m in three.members} == {'3.7.0'})


def test_one_member_down_is_no_matter_and_two_are(mortal):
    """Without a majority nothing is written or read but serializable; with it again, everything goes on."""
    import grpc
    put(mortal.members[0], b'a', b'1')
    a, b = mortal.followers()
    b.kill()
    put(a, b'a', b'2')
    for m in mortal.running():
        if m is not a:
            m.kill()
    with pytest.raises(grpc.RpcError):
        put(a, b'a', b'3', timeout=3)
    assert get(a, b'a', serializable=True) in (b'2', b'1')
    b.start()
    put(a, b'a', b'4')
    assert get(b, b'a') == b'4'


def test_a_removal_during_the_stop(three):
    """A leader that stops hands over first; when it learns meanwhile that it was removed it still ends by the signal that it was sent."""
    leader = three.leader()
    leader.process.terminate()
    leader.wait_for(lambda: 'received signal; shutting down' in leader.log_text())
    leader.process.send_signal(signal.SIGUSR2)  # which it sends itself then
    assert leader.process.wait(60) == -signal.SIGTERM


def test_acknowledged_writes_survive_kills(mortal):
    """Under load any member is killed with SIGKILL and started again: nothing acknowledged is lost, the members agree.

    What a follower had handed to a leader that is killed is lost, and its client hears nothing for as long as it has
    patience, as with a real etcd; all the patience of two such losses in a row would be most of the bound below."""
    writers = [Writer(mortal, f'w{i}-', patience=1) for i in range(3)]
    for w in writers:
        w.start()
    mortal.leader().wait_for(lambda: all(w.total > 0 for w in writers))
    for i in range(KILLS):
        victim = mortal.leader() if i % 2 == 0 else mortal.followers()[i % 2]
        time.sleep(0.3)
        victim.kill()
        time.sleep(0.5)
        victim.start()
    for w in writers:
        w.stop()
    mortal.agree()
    for w in writers:
        for m in mortal.members:
            w.check(m)
    assert max(g for w in writers for g in w.gaps) < 10
    for m in mortal.members:  # a line that etcd knows, but does not write for each batch
        assert 'missing from unstable log' not in m.log_text()


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
        m.wait_for(m.is_healthy)
    assert three.agree() == revision
    put(three.members[0], b'again', b'1')
    assert three.agree() == revision + 1


@pytest.mark.parametrize('ours', [2, 1])
def test_members_of_both_kinds_agree(new_cluster, ketch_bin, real_bin, ours):
    """Ours and real ones in one cluster, each of them leader in turn, hold bit-identical keys."""
    etcds = [ketch_bin / 'etcd'] * ours + [real_bin / 'etcd'] * (3 - ours)
    with new_cluster(etcds, *PROMPT) as c:
        led = set()
        writer = Writer(c, 'w-')
        writer.start()
        for i in range(40):  # who is elected is chance: one in a thousand runs needs more than twelve
            leader, before = c.leader(), writer.total
            led.add(leader.name)
            leader.wait_for(lambda: writer.total > before)  # one put may wait for all its patience for an answer
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


def member_list(member):
    return {m.name: m for m in member.grpc('etcdserverpb.Cluster/MemberList')().members}


@pytest.mark.parametrize('newcomer', ['ours', 'real'])
def test_a_member_joins_learns_and_votes(new_cluster, ketch_bin, request, newcomer):
    """One member becomes two: a learner that follows, is promoted once it has the log, and then serves like any other."""
    import grpc
    etcd = (ketch_bin if newcomer == 'ours' else request.getfixturevalue('real_bin')) / 'etcd'
    level = [] if newcomer == 'ours' else ['--emulated-version', '3.5']  # or a 3.5 would rightly refuse to join
    with new_cluster([ketch_bin / 'etcd'], *level) as c:
        first = c.members[0]
        for i in range(30):
            put(first, b'k%d' % i, b'v')
        new = c.add(etcd, first, learner=True)
        with pytest.raises(grpc.RpcError) as e:
            c.add(etcd, first, learner=True)
        assert e.value.details() == 'etcdserver: too many learner members in cluster'
        with pytest.raises(grpc.RpcError) as e:
            first.grpc('etcdserverpb.Cluster/MemberPromote')(ID=new.id)
        assert e.value.details() == 'etcdserver: can only promote a learner member which is in sync with leader'
        new.start()
        new.wait_for(lambda: new.status().isLearner)
        c.agree()
        answer = first.grpc('etcdserverpb.Cluster/MemberPromote')(ID=new.id)
        assert [m.isLearner for m in answer.members] == [False, False]
        new.wait_for(new.is_healthy)
        put(new, b'through', b'new')
        assert get(first, b'through') == b'new'
        assert set(member_list(new)) == {'m1', 'm2'}
        c.agree()


def test_members_come_and_go(three, ketch_bin):
    """A fourth member is added and another removed, which ends with status 0; its id is remembered."""
    import grpc
    leader = three.leader()
    leader.wait_for(lambda: try_add(three, ketch_bin, leader))  # refused while connections are young
    new = three.members[-1]
    new.start()
    put(new, b'a', b'1')
    gone = [m for m in three.followers() if m is not new][0]
    gone_id = member_list(leader)[gone.name].ID
    answer = leader.grpc('etcdserverpb.Cluster/MemberRemove')(ID=gone_id)
    assert gone_id not in [m.ID for m in answer.members] and len(answer.members) == 3
    assert gone.process.wait(60) == 0
    assert 'the member has been permanently removed from the cluster' in gone.log_text()
    with pytest.raises(grpc.RpcError) as e:
        leader.grpc('etcdserverpb.Cluster/MemberRemove')(ID=gone_id)
    assert e.value.details() == 'etcdserver: member not found'
    put(new, b'b', b'2')
    three.agree()


def try_add(cluster, ketch_bin, through):
    import grpc
    try:
        cluster.add(ketch_bin / 'etcd', through)
    except grpc.RpcError as e:
        assert e.details() == 'etcdserver: unhealthy cluster'
        return False
    return True


def test_a_removed_leader_hands_over(mortal):
    """The leader removes itself: the others elect another, and go on."""
    leader = mortal.leader()
    put(leader, b'a', b'1')
    leader.wait_for(lambda: removed_itself(leader))
    follower = mortal.followers_of(leader)[0]
    follower.wait_for(lambda: 'removed remote peer' in follower.log_text())  # before, it gives the put to a leader that is gone
    put(follower, b'now', b'1')  # neither lost with the old leader nor refused
    assert leader.process.wait(60) == 0
    put(mortal.running()[0], b'b', b'2')
    assert len(member_list(mortal.running()[0])) == 2
    mortal.agree()


def test_a_removed_leader_waits_for_no_watch(new_cluster, ketch_bin):
    """A member that was removed ends though a client watches there, who would wait in vain for what the others do from then on.

    With this election timeout a client that a stop is kind to would have 105 s."""
    with new_cluster([ketch_bin / 'etcd'] * 3, '--election-timeout', '50000') as c:
        leader = c.leader()
        call, request = leader.grpc_call('etcdserverpb.Watch/Watch', 'stream_stream')
        requests = queue.Queue()
        requests.put(request(create_request={'key': b'k'}))
        answers = call(iter(requests.get, None))  # it ends where nobody has it any more
        try:
            assert next(answers).created
            leader.wait_for(lambda: removed_itself(leader))
            assert leader.process.wait(WAIT_SECONDS) == 0
        finally:
            requests.put(None)


def removed_itself(leader):
    import grpc
    try:
        leader.grpc('etcdserverpb.Cluster/MemberRemove')(ID=member_list(leader)[leader.name].ID)
    except grpc.RpcError as e:
        return e.details() != 'etcdserver: unhealthy cluster'
    return True


def test_peer_urls_are_updated(three):
    """An update of peer URLs shows in the list; one that another member has is refused."""
    import grpc
    a, b = three.members[:2]
    ids = {m.name: m.ID for m in member_list(a).values()}
    both = [f'http://127.0.0.1:{a.peer_port}', f'http://localhost:{a.peer_port}']
    a.grpc('etcdserverpb.Cluster/MemberUpdate')(ID=ids['m1'], peerURLs=both)
    assert list(member_list(b)['m1'].peerURLs) == both
    with pytest.raises(grpc.RpcError) as e:
        a.grpc('etcdserverpb.Cluster/MemberUpdate')(ID=ids['m2'], peerURLs=[both[0]])
    assert e.value.details() == 'etcdserver: Peer URLs already exists'
    put(three.followers()[0], b'a', b'1')
    three.agree()


def test_leadership_moves_on_request(three):
    """MoveLeader makes the wanted member leader; one that does not lead, or a target that is none, is refused."""
    import grpc
    leader, (a, b) = three.roles()
    ids = {m.name: m.ID for m in member_list(leader).values()}
    for asked, target, text in ((a, ids[a.name], 'etcdserver: not leader'),
                                (leader, 1, 'etcdserver: bad leader transferee')):
        with pytest.raises(grpc.RpcError) as e:
            asked.grpc('etcdserverpb.Maintenance/MoveLeader')(targetID=target)
        assert e.value.details() == text
    term = leader.status().raftTerm
    leader.grpc('etcdserverpb.Maintenance/MoveLeader')(targetID=ids[b.name])
    assert three.leader() is b and b.status().raftTerm == term + 1
    put(leader, b'a', b'1')


def test_a_leader_that_stops_hands_over(three):
    """SIGTERM of the leader: another one leads at once, without an election timeout, and a waiting client hardly notices."""
    leader = three.leader()
    writer = Writer(three, 'w-')
    writer.start()
    leader.wait_for(lambda: writer.total > 100)
    leader.stop()
    left = three.leader()
    time.sleep(0.5)
    writer.stop()
    writer.check(left)
    assert 'leadership transfer finished' in leader.log_text()
    left.wait_for(lambda: any('received MsgTimeoutNow from' in m.log_text() for m in three.running()))


def keep_alive(member, lease):
    call, request = member.grpc_call('etcdserverpb.Lease/LeaseKeepAlive', 'stream_stream')
    return next(call(iter([request(ID=lease)]), timeout=30))


def test_leases_are_known_through_every_member(three):
    """A lease is granted, renewed, asked for and revoked through any member; its keys go on all of them."""
    for i, m in enumerate(three.members):
        grant = m.grpc('etcdserverpb.Lease/LeaseGrant')(TTL=60)
        m.grpc('etcdserverpb.KV/Put')(key=b'l%d' % i, value=b'v', lease=grant.ID)
        for other in three.members:
            begin = time.monotonic()
            assert keep_alive(other, grant.ID).TTL == 60
            ttl = other.grpc('etcdserverpb.Lease/LeaseTimeToLive')(ID=grant.ID, keys=True)
            assert 58 <= ttl.TTL + (time.monotonic() - begin) and ttl.TTL <= 60
            assert ttl.grantedTTL == 60 and list(ttl.keys) == [b'l%d' % i]
        three.members[(i + 1) % 3].grpc('etcdserverpb.Lease/LeaseRevoke')(ID=grant.ID)
        for other in three.members:
            assert keep_alive(other, grant.ID).TTL == 0
            assert other.grpc('etcdserverpb.Lease/LeaseTimeToLive')(ID=grant.ID).TTL == -1
            assert not other.grpc('etcdserverpb.KV/Range')(key=b'l%d' % i).kvs


def test_leases_outlive_their_leader_and_end(mortal):
    """When the leader dies the next one times the leases anew: none ends early, and all end."""
    leader = mortal.leader()
    grant = mortal.followers()[0].grpc('etcdserverpb.Lease/LeaseGrant')(TTL=4)
    begin = time.monotonic()
    leader.grpc('etcdserverpb.KV/Put')(key=b'k', value=b'v', lease=grant.ID)
    time.sleep(1)
    leader.kill()
    left = mortal.leader()
    while left.grpc('etcdserverpb.KV/Range')(key=b'k').kvs:
        assert time.monotonic() - begin < 60
        time.sleep(0.1)
    assert time.monotonic() - begin >= 4
    mortal.agree()


@pytest.mark.parametrize('ours_leads', [True, False])
def test_leases_between_members_of_both_kinds(new_cluster, ketch_bin, real_bin, ours_leads):
    """Keep-alives go to the leader, whichever kind it is, from followers of the other kind."""
    with new_cluster([ketch_bin / 'etcd', real_bin / 'etcd', real_bin / 'etcd']) as c:
        ours = c.members[0]
        leader = c.leader()
        if (leader is ours) != ours_leads:
            target = ours if ours_leads else c.members[1]
            leader.grpc('etcdserverpb.Maintenance/MoveLeader')(targetID=target.status().header.member_id)
        grant = c.members[2].grpc('etcdserverpb.Lease/LeaseGrant')(TTL=60)
        for m in c.members:
            begin = time.monotonic()
            assert keep_alive(m, grant.ID).TTL == 60
            left = m.grpc('etcdserverpb.Lease/LeaseTimeToLive')(ID=grant.ID).TTL
            assert 58 <= left + (time.monotonic() - begin) and left <= 60
        assert (c.leader() is ours) == ours_leads
