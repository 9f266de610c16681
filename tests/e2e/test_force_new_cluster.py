"""--force-new-cluster: what a lost cluster's last member does with its directory."""
import pytest

from cluster_lib import PROMPT, Cluster


@pytest.fixture
def lost_cluster(ketch_bin, messages, tmp_path):
    """Three members and a learner that does not run; all are killed, and one directory is left."""
    def make(etcd):
        with Cluster([etcd] * 3, tmp_path, ketch_bin / 'etcdctl', messages) as c:
            left = c.members[0]
            for i in range(20):
                left.grpc('etcdserverpb.KV/Put')(key=b'k%d' % i, value=b'v')
            left.wait_for(lambda: added(c, etcd, left))
            revision = c.agree()
            for m in c.running():
                m.kill()
            left.channel = None
            left.flags += PROMPT  # alone it waits for all of the time
            return c, left, revision
    return make


def added(cluster, etcd, through):
    import grpc
    try:
        cluster.add(etcd, through, learner=True)
    except grpc.RpcError as e:
        assert e.details() == 'etcdserver: unhealthy cluster'
        return False
    return True


def members(member):
    return [m.name for m in member.grpc('etcdserverpb.Cluster/MemberList')().members]


@pytest.mark.parametrize('before', ['ours', 'real'])
def test_one_member_goes_on_alone(lost_cluster, ketch_bin, request, before):
    """It has all data, is the only member, writes, and starts again without the flag; a directory of a real member likewise."""
    etcd = ketch_bin / 'etcd'
    old = etcd if before == 'ours' else request.getfixturevalue('real_bin') / 'etcd'
    c, left, revision = lost_cluster(old)
    try:
        level = [] if before == 'ours' else ['--emulated-version', '3.5']
        left.flags += level
        left.command = [str(etcd), *left.flags, '--force-new-cluster']
        left.start()
        assert members(left) == ['m1']
        put = left.grpc('etcdserverpb.KV/Put')(key=b'alone', value=b'v')
        assert put.header.revision == revision + 1
        left.wait_for(lambda: 'forcing restart member' in left.log_text())
        left.kill()
        left.channel = None
        left.use(etcd)
        left.start()
        assert members(left) == ['m1']
        assert left.grpc('etcdserverpb.KV/Range')(key=b'k', range_end=b'l', count_only=True).count == 20
        left.stop()
        if before == 'real':  # and back
            left.channel = None
            left.flags = left.flags[:-2]
            left.use(old)
            left.start()
            assert members(left) == ['m1']
            assert left.grpc('etcdserverpb.KV/Range')(key=b'alone').count == 1
    finally:
        if left.is_running():
            left.kill()
