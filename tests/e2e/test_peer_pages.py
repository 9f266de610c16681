"""Pages of the peer port that members ask one another for, and what a follower asks of its leader."""
import http.client
import json
import threading

import pytest

from cluster_lib import Cluster
from test_cluster import member_list, put


def ask(member, method, path, body=None, **fields):
    """Status, header fields and body of one answer of the peer port."""
    c = http.client.HTTPConnection('127.0.0.1', member.peer_port, timeout=60)
    c.request(method, path, body, {k.replace('_', '-'): v for k, v in fields.items()})
    r = c.getresponse()
    answer = r.status, dict((k.lower(), v) for k, v in r.getheaders()), r.read().decode()
    c.close()
    return answer


@pytest.fixture
def cluster_of(ketch_bin, messages, tmp_path):
    def make(etcds, *flags):
        return Cluster(etcds, tmp_path, ketch_bin / 'etcdctl', messages, flags)
    return make


def test_hashkv_answers_as_etcd_does(cluster_of, ketch_bin):
    """The hash at a revision, and the refusals, with the statuses, fields and bytes that a real 3.7.1 gave."""
    with cluster_of([ketch_bin / 'etcd']) as c:
        m = c.members[0]
        put(m, b'a', b'b')

        def hashkv(body, **fields):
            return ask(m, 'GET', '/members/hashkv', body, **fields)

        status, head, body = hashkv('{}')
        assert (status, body) == (200, '{"header":{"revision":2},"hash":3628877040,"compact_revision":-1,"hash_revision":2}')
        assert head['content-type'] == 'application/json'
        cluster_id = head['x-etcd-cluster-id']
        assert hashkv('{"revision":2,"x":[1]}', X_Etcd_Cluster_ID=cluster_id)[2] == body
        assert hashkv('{"Revision":1}')[2] == body.replace('3628877040', '1084519789').replace('hash_revision":2', 'hash_revision":1')
        for bad in (None, '[]', '{"revision":"2"}', '{"revision":2}x'):
            assert hashkv(bad)[::2] == (400, 'error unmarshalling request\n')
        assert hashkv('{"revision":200}')[::2] == (400, 'mvcc: required revision is a future revision\n')
        assert hashkv('{}', X_Etcd_Cluster_ID='1')[::2] == (412, 'cluster ID mismatch\n')
        m.grpc('etcdserverpb.KV/Compact')(revision=2)
        assert hashkv('{"revision":1}')[::2] == (400, 'mvcc: required revision has been compacted\n')
        assert hashkv('null')[2] == body.replace('compact_revision":-1', 'compact_revision":2')
        status, head, body = ask(m, 'POST', '/members/hashkv', '{}')
        assert (status, head['allow'], body) == (405, 'GET', 'Method Not Allowed\n')


def test_promote_and_downgrade_answer_as_etcd_does(cluster_of, ketch_bin):
    """Promotions that cannot be, and whether a downgrade is under way, as a real 3.7.1 answered."""
    with cluster_of([ketch_bin / 'etcd']) as c:
        m = c.members[0]
        own = member_list(m)['m1'].ID
        for text, status, body in (('', 404, 'member  not found in cluster\n'), ('zz', 404, 'member zz not found in cluster\n'),
                                   ('77', 404, 'membership: ID not found\n'),
                                   (own, 412, 'membership: can only promote a learner member\n')):
            got = ask(m, 'POST', f'/members/promote/{text}')
            assert (got[0], got[2]) == (status, body)
            assert got[1]['x-etcd-cluster-id'] == '%x' % m.status().header.cluster_id
        new = c.add(ketch_bin / 'etcd', m, learner=True)
        assert ask(m, 'POST', f'/members/promote/{new.id}')[::2] == (
            412, 'etcdserver: can only promote a learner member which is in sync with leader\n')
        assert ask(m, 'GET', f'/members/promote/{new.id}')[1]['allow'] == 'POST'
        assert ask(m, 'GET', '/downgrade/enabled')[::2] == (200, 'false')
        assert ask(m, 'POST', '/downgrade/enabled')[::2] == (405, 'Method Not Allowed\n')
        assert ask(m, 'GET', '/members/x')[::2] == (404, '404 page not found\n')


def test_promotion_asks_for_an_administrator(cluster_of, ketch_bin):
    """With users, who asks for a promotion must show root's token, as at a real 3.7.1; the refusal does not say why."""
    refused = 500, '{"message":"Internal Server Error"}'
    with cluster_of([ketch_bin / 'etcd']) as c:
        m = c.members[0]
        path = f'/members/promote/{member_list(m)["m1"].ID}'
        for command in ('user add root:r', 'user add alice:a', 'user grant-role root root', 'auth enable'):
            m.ctl(*command.split())

        def token(name, password):
            return m.grpc('etcdserverpb.Auth/Authenticate')(name=name, password=password).token

        assert ask(m, 'POST', path)[::2] == refused
        assert ask(m, 'POST', path, Authorization='nonsense')[::2] == refused
        assert ask(m, 'POST', path, Authorization=token('alice', 'a'))[::2] == refused
        got = ask(m, 'POST', path, Authorization=token('root', 'r'))
        assert got[::2] == (412, 'membership: can only promote a learner member\n')
        assert ask(m, 'POST', '/members/promote/zz')[::2] == (404, 'member zz not found in cluster\n')


@pytest.mark.parametrize('leader_is', ['ours', 'real'])
def test_promotion_through_a_follower(cluster_of, ketch_bin, request, leader_is):
    """A follower of ours hands a promotion on to the leader, ours or a real one, and gives its answer or its refusal."""
    import grpc
    ours = ketch_bin / 'etcd'
    kinds = [ours, ours] if leader_is == 'ours' else [request.getfixturevalue('real_bin') / 'etcd', ours]
    with cluster_of(kinds, '--strict-reconfig-check=false') as c:
        follower = c.members[1]
        if c.leader() is follower:
            follower.grpc('etcdserverpb.Maintenance/MoveLeader')(targetID=member_list(follower)['m1'].ID)
        assert c.leader() is c.members[0]

        def promote(member_id):
            return follower.grpc('etcdserverpb.Cluster/MemberPromote')(ID=member_id)

        new = c.add(ours, follower, learner=True)
        for member_id, text in ((new.id, 'etcdserver: can only promote a learner member which is in sync with leader'),
                                (1, 'etcdserver: member not found'),
                                (member_list(follower)['m1'].ID, 'etcdserver: can only promote a learner member')):
            with pytest.raises(grpc.RpcError) as e:
                promote(member_id)
            assert e.value.details() == text
        new.start()
        new.wait_for(lambda: promoted(promote, new.id))
        new.wait_for(new.is_healthy)
        assert not any(m.isLearner for m in member_list(follower).values())
        follower.grpc('etcdserverpb.Cluster/MemberRemove')(ID=new.id)
        new.process.wait(60)


def promoted(promote, member_id):
    import grpc
    try:
        answer = promote(member_id)
    except grpc.RpcError as e:
        assert 'in sync with leader' in e.details()
        return False
    assert [m.isLearner for m in answer.members] == [False] * 3
    return True


def test_members_that_do_not_lead_answer_promotions(cluster_of, ketch_bin):
    """A POST to a follower's peer port is handed on to the leader, too, and what comes back is the list of members."""
    with cluster_of([ketch_bin / 'etcd'] * 2, '--strict-reconfig-check=false') as c:
        follower = c.followers()[0]
        assert ask(follower, 'POST', '/members/promote/77')[::2] == (404, 'membership: ID not found\n')
        new = c.add(ketch_bin / 'etcd', follower, learner=True)
        new.start()

        def done():
            status, _, body = ask(follower, 'POST', f'/members/promote/{new.id}')
            return status == 200 and json.loads(body)

        new.wait_for(done)
        # The new one says its name when it is ready, which the others hear of as it comes.
        follower.wait_for(lambda: body_members(ask(follower, 'GET', '/members')) == {'m1', 'm2', 'm3'})
        new.wait_for(new.is_healthy)  # by a linearizable read: after that it knows, too, that it votes
        put(new, b'a', b'b')
        c.agree()


def body_members(answer):
    return {m.get('name') for m in json.loads(answer[2])}


@pytest.mark.parametrize('leader_is', ['ours', 'real'])
def test_a_promotion_brings_its_token_along(cluster_of, ketch_bin, request, leader_is):
    """With users, a follower of ours shows the leader what its caller has shown; who shows nothing is refused at once."""
    import grpc
    ours = ketch_bin / 'etcd'
    kinds = [ours, ours] if leader_is == 'ours' else [request.getfixturevalue('real_bin') / 'etcd', ours]
    with cluster_of(kinds) as c:
        follower = c.members[1]
        if c.leader() is follower:
            follower.grpc('etcdserverpb.Maintenance/MoveLeader')(targetID=member_list(follower)['m1'].ID)
        for args in (('user', 'add', 'root:r'), ('role', 'add', 'root'), ('user', 'grant-role', 'root', 'root'), ('auth', 'enable')):
            follower.ctl(*args)
        token = follower.grpc('etcdserverpb.Auth/Authenticate')(name='root', password='r').token
        call, message = follower.grpc_call('etcdserverpb.Cluster/MemberPromote')
        for metadata, text in (([('token', token)], 'etcdserver: member not found'), ([], 'etcdserver: user name is empty')):
            with pytest.raises(grpc.RpcError) as e:
                call(message(ID=1), timeout=10, metadata=metadata)
            assert e.value.details() == text


def ask_on(member, answered):
    """One question after the other on a connection, as long as they are answered."""
    c = http.client.HTTPConnection('127.0.0.1', member.peer_port, timeout=60)
    try:
        while True:
            c.request('GET', '/downgrade/enabled')
            c.getresponse().read()
            answered.set()
    except (http.client.HTTPException, OSError):
        c.close()


def test_questions_do_not_hold_up_a_stop(cluster_of, ketch_bin):
    """A member that is asked without a pause while it stops answers or refuses each question, and ends."""
    with cluster_of([ketch_bin / 'etcd']) as c:
        m = c.members[0]
        for again in range(3):
            if again:
                m.start()
            answered = threading.Event()
            askers = [threading.Thread(target=ask_on, args=(m, answered), daemon=True) for _ in range(6)]
            for a in askers:
                a.start()
            assert answered.wait(60)
            m.stop()
            for a in askers:
                a.join()
