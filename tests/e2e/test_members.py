"""What members tell one another of the membership, what they count on, and the limits of it."""
import json

import grpc
import pytest

from cluster_lib import PROMPT, Cluster, log_lines
from test_cluster import get, member_list, put
from test_downgrade import restart, versions
from test_join import end_of_start
from test_peer_pages import ask

TOO_MANY_LEARNERS = 'membership: too many learner members in cluster'


@pytest.fixture
def cluster_of(ketch_bin, messages, tmp_path):
    def make(etcds, *flags):
        return Cluster(etcds, tmp_path, ketch_bin / 'etcdctl', messages, flags)
    return make


def listed(member):
    """The client URLs of each member, as the page of the peer port has them."""
    return {m['name']: m['clientURLs'] for m in json.loads(ask(member, 'GET', '/members')[2])}


def test_the_peer_page_shows_what_a_member_publishes(cluster_of, ketch_bin):
    """A member comes back with another client URL: the page that members ask shows it as soon as the list for clients does."""
    with cluster_of([ketch_bin / 'etcd'] * 3) as c:
        a, b = c.followers()
        url = f'http://localhost:{b.client_port}'
        b.flags[b.flags.index('--advertise-client-urls') + 1] = url
        restart(b)
        for m in c.members:
            m.wait_for(lambda m=m: member_list(m)[b.name].clientURLs == [url])
            m.wait_for(lambda m=m: listed(m) == {x.name: list(x.clientURLs) for x in member_list(m).values()})
        assert listed(a)[b.name] == [url]


def test_a_list_of_members_that_asks_for_a_quorum(cluster_of, ketch_bin):
    """Without a majority a linearizable list is refused, and one of the member's own view is given."""
    with cluster_of([ketch_bin / 'etcd'] * 3, *PROMPT) as c:
        m = c.members[0]

        def names(**fields):
            return {x.name for x in m.grpc('etcdserverpb.Cluster/MemberList')(**fields).members}

        assert names(linearizable=True) == names() == {'m1', 'm2', 'm3'}
        for other in c.members[1:]:
            other.kill()
        with pytest.raises(grpc.RpcError) as e:
            names(linearizable=True)
        assert e.value.details() in ('etcdserver: request timed out', 'etcdserver: leader changed')
        assert names() == {'m1', 'm2', 'm3'}


def test_more_learners_than_a_member_may_start_with(cluster_of, ketch_bin):
    """Neither where it has been before, nor where it joins."""
    with cluster_of([ketch_bin / 'etcd'], '--max-learners', '2') as c:
        m = c.members[0]
        new = c.add(ketch_bin / 'etcd', m, learner=True)
        c.add(ketch_bin / 'etcd', m, learner=True)
        with pytest.raises(grpc.RpcError) as e:
            c.add(ketch_bin / 'etcd', m, learner=True)
        assert e.value.details() == 'etcdserver: too many learner members in cluster'
        at = new.flags.index('--initial-cluster') + 1
        new.flags[at] += f',m3=http://127.0.0.1:{c.members[2].peer_port}'
        new.use(ketch_bin / 'etcd')
        status, error = end_of_start(new)
        assert status == 1 and error.endswith(TOO_MANY_LEARNERS)
        assert not (new.data_dir / 'member').exists()
        new.command += ['--max-learners', '2']
        new.start(wait=False)
        new.wait_for(lambda: (s := new.status()) is not None and s.isLearner)
        m.stop()
        m.channel = None
        m.command[m.command.index('--max-learners') + 1] = '1'
        status, error = end_of_start(m)
        assert status == 1 and error.endswith(TOO_MANY_LEARNERS)


def test_strangers_take_no_members_place(cluster_of, ketch_bin):
    """Whoever reaches the peer port can say that it is a member: however many do, one that is added is reached."""
    with cluster_of([ketch_bin / 'etcd']) as c:
        m = c.members[0]
        cluster_id = ask(m, 'GET', '/members')[1]['x-etcd-cluster-id']
        for i in range(1, 301):
            status = ask(m, 'POST', '/raft', b'', X_Server_From=f'{i:x}', X_PeerURLs='http://127.0.0.1:1', X_Server_Version='3.7.1',
                         X_Min_Cluster_Version='3.0.0', X_Etcd_Cluster_ID=cluster_id)[0]
            assert status != 412
        put(m, b'a', b'1')
        new = c.add(ketch_bin / 'etcd', m)
        new.start()
        assert get(new, b'a') == b'1'
        put(new, b'b', b'2')
        c.agree()


def unanswered(member, other):
    """What the member has said of probes that the other one, which does not run, left unanswered."""
    return [x for x in log_lines(member)
            if x['msg'] == 'prober detected unhealthy status' and f':{other.peer_port}:' in x['error']]


def test_a_release_that_may_be_another_by_now(cluster_of, ketch_bin):
    """One of two 3.7 stops, and the only 3.6 becomes a 3.7: the version stays, for who is not there may come back as a 3.6."""
    c = cluster_of([ketch_bin / 'etcd'] * 3)
    old = c.members[1]
    old.command += ['--emulated-version', '3.6']
    with c:
        for m in c.members:
            m.wait_for(lambda m=m: versions(m) == ('3.6.0', '3.6.0'))
        leader = c.leader()
        if leader is old:
            leader = c.members[0]
            old.grpc('etcdserverpb.Maintenance/MoveLeader')(targetID=leader.status().header.member_id)
        gone, = (m for m in c.members if m not in (leader, old))
        gone.stop()
        gone.channel = None
        restart(old)
        # Until the leader has asked everybody again.
        seen = len(unanswered(leader, gone))
        leader.wait_for(lambda: len(unanswered(leader, gone)) >= seen + 2)
        gone.command = [gone.command[0], *gone.flags, '--emulated-version', '3.6']
        gone.start()
        assert {versions(m)[0] for m in c.members} == {'3.6.0'}
        restart(gone)
        for m in c.members:
            m.wait_for(lambda m=m: versions(m) == ('3.7.0', '3.7.0'))
