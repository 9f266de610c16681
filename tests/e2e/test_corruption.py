"""Members whose keys differ are found: at the start, now and then, and after compactions; and what follows from it."""
import grpc
import pytest

from cluster_lib import Cluster, log_lines
from test_cluster import get, member_list, put

CORRUPT = 2
PERIODIC = ('--corrupt-check-time', '200ms')
COMPACTIONS = ('--feature-gates', 'CompactHashCheck=true', '--compact-hash-check-time', '200ms')
INITIAL = ('--feature-gates', 'InitialCorruptCheck=true')
OF_3_5 = {PERIODIC: ('--experimental-corrupt-check-time', '200ms'),
          COMPACTIONS: ('--experimental-compact-hash-check-enabled', '--experimental-compact-hash-check-time', '200ms')}


@pytest.fixture
def cluster_of(ketch_bin, messages, tmp_path):
    def make(etcds, *flags):
        return Cluster(etcds, tmp_path, ketch_bin / 'etcdctl', messages, flags)
    return make


def spoil(member):
    """Changes a value in the data file of a member that does not run."""
    path = member.data_dir / 'member/snap/db'
    whole = path.read_bytes()
    assert b'an honest value' in whole
    path.write_bytes(whole.replace(b'an honest value', b'another   value'))


def fill(cluster):
    m = cluster.members[0]
    for i in range(5):
        put(m, b'k%d' % i, b'an honest value')
    cluster.agree()


def spoil_a_follower(cluster):
    victim = cluster.followers()[0]
    victim.stop()
    victim.channel = None
    spoil(victim)
    return victim


def alarms(member):
    answer = member.grpc('etcdserverpb.Maintenance/Alarm')(action=0)
    return {(a.memberID, a.alarm) for a in answer.alarms}


def said(member, text):
    return [x for x in log_lines(member) if x['msg'] == text]


def behind_a_check(leader):
    """Waits for the end of a check of compactions: the next one is an interval away, time for all members to have compacted.  One
    that came earlier would find no majority, with one honest member's hash and the spoiled one's."""
    def ended():
        return len(said(leader, 'finished compaction hash check'))
    before = ended()
    leader.wait_for(lambda: ended() > before)


def check_refusals(cluster):
    """What a cluster with a CORRUPT alarm still does, and what it refuses."""
    m = cluster.leader()
    refused = (('KV/Put', dict(key=b'a', value=b'b')), ('KV/DeleteRange', dict(key=b'a')), ('KV/Compact', dict(revision=2)),
               ('Lease/LeaseGrant', dict(TTL=60)), ('Lease/LeaseRevoke', dict(ID=1)))
    for method, fields in refused:
        with pytest.raises(grpc.RpcError) as e:
            m.grpc('etcdserverpb.' + method)(**fields)
        assert (e.value.code(), e.value.details()) == (grpc.StatusCode.DATA_LOSS, 'etcdserver: corrupt cluster'), method
    assert get(m, b'k0') == b'an honest value'
    assert len(member_list(m)) == len(cluster.members)
    assert 'CORRUPT' in ' '.join(m.status().errors)


def test_the_periodic_check_finds_a_spoiled_member(cluster_of, ketch_bin):
    """The leader's comparison alarms about the member whose file was changed; then only reads are served, until disarmed."""
    with cluster_of([ketch_bin / 'etcd'] * 3, *PERIODIC) as c:
        fill(c)
        leader = c.leader()
        leader.wait_for(lambda: any(x['number-of-peers-checked'] == 2 for x in said(leader, 'finished peer corruption check')))
        assert alarms(leader) == set()
        leader.wait_for(lambda: said(leader, 'enabled corruption checking'))
        victim = spoil_a_follower(c)
        victim.start(wait=False)  # the alarm may be there before anybody sees it healthy
        victim.wait_for(lambda: said(victim, 'ready to serve client requests')[1:])
        victim_id = victim.status().header.member_id
        leader.wait_for(lambda: alarms(leader) == {(victim_id, CORRUPT)})
        leader.wait_for(lambda: said(leader, 'same compact revision then hashes must match'))  # lines are written behind
        warning = said(leader, 'same compact revision then hashes must match')[0]
        assert warning['leader-hash'] != warning['follower-hash'] and warning['follower-peer-id'] == '%x' % victim_id
        check_refusals(c)
        c.followers()[0].grpc('etcdserverpb.Maintenance/Alarm')(action=1, memberID=victim_id, alarm=CORRUPT)
        leader.wait_for(lambda: said(leader, 'alarm raised'))
        leader.wait_for(lambda: alarms(leader) == {(victim_id, CORRUPT)})  # nothing has become better


@pytest.mark.parametrize('members', [3, 2])
def test_the_check_of_compactions_finds_a_spoiled_member(cluster_of, ketch_bin, members):
    """Hashes of a compaction are equal on all members, which is said once; with a spoiled member they are not.  Of two
    members nobody knows which is right: the alarm is about all of them."""
    with cluster_of([ketch_bin / 'etcd'] * members, *COMPACTIONS[:-1], '3s') as c:
        fill(c)
        leader = c.leader()
        leader.grpc('etcdserverpb.KV/Compact')(revision=3, physical=True)
        equal = 'successfully checked hash on whole cluster'
        leader.wait_for(lambda: said(leader, equal))
        assert said(leader, equal)[0]['revision'] == 3 and alarms(leader) == set()
        victim = spoil_a_follower(c)
        victim.start()
        victim_id = victim.status().header.member_id
        assert alarms(c.leader()) == set()
        leader = c.leader()
        behind_a_check(leader)
        leader.grpc('etcdserverpb.KV/Compact')(revision=5, physical=True)
        leader.wait_for(lambda: alarms(leader) == {(victim_id if members == 3 else 0, CORRUPT)})
        leader.wait_for(lambda: said(leader, 'Detected compaction hash mismatch'))
        errors = said(leader, 'Detected compaction hash mismatch')
        assert '%x' % victim_id in [e['peer-ids'] for e in errors]
        assert errors[0]['quorum-exist'] is (members == 3)
        check_refusals(c)


def test_a_compaction_cut_short_is_finished_and_checked(cluster_of, ketch_bin):
    """A member is stopped between two steps of a compaction, however long it rests there; after the start it ends like the others'."""
    with cluster_of([ketch_bin / 'etcd'] * 3, *COMPACTIONS) as c:
        slow = c.followers()[0]
        slow.stop()
        slow.channel = None
        quick = slow.command
        slow.command = [*quick, '--compaction-batch-limit', '1', '--compaction-sleep-interval', '1h']
        slow.start()
        fill(c)
        c.leader().grpc('etcdserverpb.KV/Compact')(revision=4)
        slow.wait_for(lambda: get(slow, b'k0') and slow.grpc('etcdserverpb.KV/Put')(key=b'x', value=b'y'))
        slow.stop()
        assert not said(slow, 'finished scheduled compaction')
        slow.channel, slow.command = None, quick
        slow.start()
        for m in c.members:  # of one that is behind another there is no hash, as in etcd
            m.wait_for(lambda m=m: said(m, 'finished scheduled compaction'))
        leader = c.leader()
        leader.grpc('etcdserverpb.KV/Compact')(revision=6, physical=True)  # of the one cut short there is none, either
        leader.wait_for(lambda: any(x['revision'] == 6 for x in said(leader, 'successfully checked hash on whole cluster')))
        assert alarms(leader) == set()


def test_a_spoiled_member_does_not_start(cluster_of, ketch_bin):
    """With the initial check a member whose keys differ refuses to start; one whose keys do not starts."""
    with cluster_of([ketch_bin / 'etcd'] * 3, *INITIAL) as c:
        fill(c)
        honest = c.followers()[1]
        honest.stop()
        honest.channel = None
        honest.start()
        honest.wait_for(lambda: said(honest, 'initial corruption checking passed; no corruption'))
        victim = spoil_a_follower(c)
        victim.start(wait=False)
        assert victim.process.wait(60) == 1
        assert said(victim, 'found different hash values from remote peer')
        assert said(victim, 'checkInitialHashKV failed')[0]['error'].endswith('found data inconsistency with peers')
        put(c.leader(), b'on', b'1')


@pytest.mark.parametrize('leader_is', ['ours', 'real'])
def test_checks_between_members_of_both_kinds(cluster_of, ketch_bin, real_bin, leader_is):
    """Ours and real ones ask one another and find nothing, whichever leads."""
    with cluster_of([ketch_bin / 'etcd', ketch_bin / 'etcd', real_bin / 'etcd']) as c:
        for m in c.members:
            m.kill()
            extra = [x for f in (PERIODIC, COMPACTIONS) for x in (OF_3_5[f] if m is c.members[2] else f)]
            m.flags += extra
            m.use(m.command[0])
        for m in c.members:
            m.start(wait=False)
        for m in c.members:
            m.wait_for(m.is_healthy)
        wanted = c.members[0 if leader_is == 'ours' else 2]
        if c.leader() is not wanted:
            c.leader().grpc('etcdserverpb.Maintenance/MoveLeader')(targetID=wanted.status().header.member_id)
        fill(c)
        wanted.grpc('etcdserverpb.KV/Compact')(revision=4, physical=True)

        def both_done():
            return (any(x['number-of-peers-checked'] == 2 for x in said(wanted, 'finished peer corruption check')) and
                    any(x['revision'] == 4 for x in said(wanted, 'successfully checked hash on whole cluster')))

        wanted.wait_for(both_done)
        assert alarms(wanted) == set()
        put(wanted, b'on', b'1')
        c.agree()
