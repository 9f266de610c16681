"""How members find their cluster: refusals, a discovery service, DNS."""
import shutil

import pytest

from cluster_lib import Cluster, log_lines
from test_cluster import member_list, put


@pytest.fixture
def cluster_of(ketch_bin, messages, tmp_path):
    def make(etcds, *flags):
        return Cluster(etcds, tmp_path, ketch_bin / 'etcdctl', messages, flags)
    return make


def said(member, text):
    return [x for x in log_lines(member) if x['msg'] == text]


def end_of_start(member, seconds=20):
    """The status and the last words of a start that fails."""
    member.start(wait=False)
    status = member.process.wait(seconds)
    return status, log_lines(member)[-1].get('error', '')


def test_a_member_that_lost_its_directory_does_not_begin_anew(cluster_of, ketch_bin):
    """It has voted before: with --initial-cluster-state=new it is refused, as etcd refuses it."""
    with cluster_of([ketch_bin / 'etcd'] * 3) as c:
        victim = c.followers()[0]
        member_id = victim.status().header.member_id
        victim.kill()
        victim.channel = None
        shutil.rmtree(victim.data_dir)
        status, error = end_of_start(victim)
        assert status == 1 and error.endswith(f'member {member_id:x} has already been bootstrapped')
        assert not (victim.data_dir / 'member').exists()
        put(c.leader(), b'on', b'1')


@pytest.mark.parametrize('enabled', [False, True])
def test_a_release_that_the_cluster_has_left_behind_does_not_join(cluster_of, ketch_bin, enabled):
    """A 3.6 does not join a cluster at 3.7, unless that is on its way down to 3.6: then no 3.7 joins."""
    with cluster_of([ketch_bin / 'etcd']) as c:
        first = c.members[0]
        first.wait_for(lambda: first.status().storageVersion == '3.7.0')
        if enabled:
            first.grpc('etcdserverpb.Maintenance/Downgrade')(action=1, version='3.6')
        new = c.add(ketch_bin / 'etcd', first, learner=True)
        old, young = ['--emulated-version', '3.6'], []
        new.command += young if enabled else old
        status, error = end_of_start(new)
        assert status == 1 and error == 'incompatible with current running cluster'
        text = 'cluster version of remote member is not compatible; too ' + ('low' if enabled else 'high')
        assert said(new, text)
        if not enabled:
            new.use(ketch_bin / 'etcd')
            new.start(wait=False)
            new.wait_for(lambda: new.status() is not None and new.status().isLearner, 20)
            assert set(member_list(first)) == {'m1', 'm2'}
