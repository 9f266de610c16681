"""Who leads, and when: a disk that hangs, and the first election."""
import os
import threading
import urllib.error
import urllib.request

import grpc
import pytest

from cluster_lib import PROMPT, Cluster, log_lines
from preload_lib import hanging_disk
from test_cluster import get, put


@pytest.fixture
def cluster_of(ketch_bin, messages, tmp_path):
    def make(etcds, *flags):
        return Cluster(etcds, tmp_path, ketch_bin / 'etcdctl', messages, flags)
    return make


@pytest.fixture
def hanging_log(ketch_bin, tmp_path):
    """The environment that makes a program's log hang, and the file that does it."""
    hang = tmp_path / 'hang'
    return hanging_disk(ketch_bin / 'etcd', tmp_path, '/wal/', hang), hang


def start_with(member, env):
    old = {k: os.environ.get(k) for k in env}
    os.environ.update(env)
    try:
        member.start(wait=False)
    finally:
        for k, v in old.items():
            os.environ.pop(k) if v is None else os.environ.update({k: v})


def said(member, text):
    return [x for x in log_lines(member) if x['msg'] == text]


def readyz(member):
    try:
        with urllib.request.urlopen(f'http://{member.endpoint}/readyz?verbose', timeout=30) as r:
            return r.status, r.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def test_a_leader_whose_disk_hangs_hands_over(cluster_of, ketch_bin, hanging_log):
    """While one disk hangs another member leads and serves; the hanging one is not ready and loses nothing; then it follows."""
    env, hang = hanging_log
    with cluster_of([ketch_bin / 'etcd'] * 3, *PROMPT) as c:
        victim = c.leader()
        victim.kill()
        victim.channel = None
        start_with(victim, env)
        victim.wait_for(victim.is_healthy)
        if c.leader() is not victim:
            c.leader().grpc('etcdserverpb.Maintenance/MoveLeader')(targetID=victim.status().header.member_id)
        assert c.leader() is victim
        others = c.followers()
        put(victim, b'a', b'1')
        hang.touch()
        stuck = threading.Thread(target=lambda: try_put(victim), daemon=True)
        stuck.start()
        others[0].wait_for(lambda: others[0].status().leader in [m.status().header.member_id for m in others])
        victim.wait_for(lambda: said(victim, "the leader's disk hangs: handing over"))  # lines are written behind
        victim.wait_for(lambda: any('received MsgTimeoutNow from' in m.log_text() for m in others))  # nobody had to find out
        put(others[0], b'a', b'2')
        assert get(others[1], b'a') == b'2'
        status, text = readyz(victim)
        assert status == 503 and '[-]linearizable_read failed: no write to the log has finished' in text
        hang.unlink()
        victim.wait_for(lambda: readyz(victim)[0] == 200)
        assert get(victim, b'a') == b'2'
        victim.wait_for(lambda: said(victim, 'writes to the log finish again'))
        put(victim, b'a', b'3')
        stuck.join()
        c.agree()


def try_put(member):
    try:
        put(member, b'stuck', b'1', timeout=60)
    except grpc.RpcError:
        pass


@pytest.mark.parametrize('advance', [True, False])
def test_members_that_are_connected_wait_less_for_their_first_election(cluster_of, ketch_bin, advance):
    """Once connected, members that start take all but two ticks of the election timeout at once, unless told not to."""
    with cluster_of([ketch_bin / 'etcd'] * 3, '--initial-election-tick-advance=' + str(advance).lower(),
                    '--election-timeout', '2000', '--heartbeat-interval', '200') as c:
        def forwarded():
            return [x for m in c.members for x in said(m, 'initialized peer connections; fast-forwarding election ticks')]

        if advance:
            c.members[0].wait_for(forwarded)  # lines are written behind
        assert bool(forwarded()) == advance
        assert all(x['forward-ticks'] == 8 and x['active-remote-members'] == 2 for x in forwarded())
