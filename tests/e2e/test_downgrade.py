"""Downgrades: what is refused, what they change step by step, and that an older release then runs the directories."""
import json

import grpc
import pytest

from cluster_lib import Cluster, log_lines
from test_cluster import get, put
from test_peer_pages import ask

VALIDATE, ENABLE, CANCEL = 0, 1, 2
FAST = ('--downgrade-check-time', '300ms')


@pytest.fixture
def cluster_of(ketch_bin, messages, tmp_path):
    def make(etcds, *flags):
        return Cluster(etcds, tmp_path, ketch_bin / 'etcdctl', messages, flags)
    return make


def downgrade(member, action, version=''):
    return member.grpc('etcdserverpb.Maintenance/Downgrade')(action=action, version=version).version


def refusal(member, action, version=''):
    with pytest.raises(grpc.RpcError) as e:
        downgrade(member, action, version)
    return e.value.code().name, e.value.details()


def versions(member):
    """Cluster version and storage version, as the member's own page says."""
    page = json.loads(ask(member, 'GET', '/version')[2])
    return page['etcdcluster'], page['storage']


def wait_versions(cluster, version):
    for m in cluster.members:
        m.wait_for(lambda m=m: versions(m) == (version, version))


def said(member, text):
    return [x for x in log_lines(member) if x['msg'] == text]


def restart(member, *extra):
    member.stop()
    member.channel = None
    member.command = [member.command[0], *member.flags, *extra]
    member.start()


def test_refusals(cluster_of, ketch_bin):
    """Targets that cannot be, a second job, and a cancellation of none, as a real 3.7.1 answers them."""
    with cluster_of([ketch_bin / 'etcd']) as c:
        m = c.members[0]
        m.wait_for(lambda: versions(m) == ('3.7.0', '3.7.0'))
        for action in (VALIDATE, ENABLE):
            for version, code, text in (('abc', 'INVALID_ARGUMENT', 'etcdserver: wrong downgrade target version format'),
                                        ('', 'INVALID_ARGUMENT', 'etcdserver: wrong downgrade target version format'),
                                        ('3.7', 'INVALID_ARGUMENT', 'etcdserver: invalid downgrade target version'),
                                        ('3.5.0', 'INVALID_ARGUMENT', 'etcdserver: invalid downgrade target version'),
                                        ('2.6', 'INVALID_ARGUMENT', 'etcdserver: invalid downgrade target version')):
                assert refusal(m, action, version) == (code, text)
        assert downgrade(m, VALIDATE, '3.6.5') == '3.7' and downgrade(m, CANCEL) == '3.7'
        assert refusal(m, 7) == ('UNKNOWN', 'etcdserver: unknown method')
        assert downgrade(m, ENABLE, '3.6') in ('3.7', '3.6')
        wait_versions(c, '3.6.0')
        status = m.status()
        assert status.downgradeInfo.enabled and status.downgradeInfo.targetVersion == '3.6.0'
        assert refusal(m, ENABLE, '3.5') == ('FAILED_PRECONDITION', 'etcdserver: cluster has a downgrade job in progress')
        assert refusal(m, VALIDATE, '3.6') == ('INVALID_ARGUMENT', 'etcdserver: invalid downgrade target version')


def test_etcdctl_downgrade(cluster_of, ketch_bin):
    """The three commands, what they print in each format, and their refusals, as etcdctl 3.7.1 has them."""
    with cluster_of([ketch_bin / 'etcd']) as c:
        m = c.members[0]
        m.wait_for(lambda: versions(m) == ('3.7.0', '3.7.0'))
        assert m.ctl('downgrade', 'validate', '3.6.0') == 'Downgrade validate success, cluster version 3.7\n'
        answer = json.loads(m.ctl('downgrade', 'validate', '3.6.5', '-w', 'json'))
        assert answer['version'] == '3.7' and answer['header']['member_id'] == m.status().header.member_id
        assert m.ctl('downgrade', 'validate', '3.6', '-w', 'fields', status=4) == 'Error: fields not supported as output format\n'
        for args, text, status in ((['validate'], 'TARGET_VERSION not provided', 128), (['enable', '3.6', 'x'], 'too many arguments', 128),
                                   (['enable', ''], 'target version not provided', 128),
                                   (['validate', '3.4.0'], 'etcdserver: invalid downgrade target version', 1)):
            assert m.ctl('downgrade', *args, status=status).splitlines()[-1] == 'Error: ' + text
        # The version may be down, or up again, when it is told.
        either = [f'Downgrade %s success, cluster version {v}\n' for v in ('3.6', '3.7')]
        assert m.ctl('downgrade', 'enable', '3.6.0') in [text % 'enable' for text in either]
        wait_versions(c, '3.6.0')
        assert m.ctl('downgrade', 'cancel', 'ignored') in [text % 'cancel' for text in either]
        wait_versions(c, '3.7.0')


def test_a_downgrade_of_three_and_back(cluster_of, ketch_bin):
    """Versions go down by one, a snapshot is made, members are replaced one by one, the job ends by itself; then up again."""
    with cluster_of([ketch_bin / 'etcd'] * 3, *FAST) as c:
        wait_versions(c, '3.7.0')
        put(c.members[0], b'a', b'1')
        leader, (a, b) = c.roles()
        assert downgrade(a, ENABLE, '3.6.0') in ('3.7', '3.6')  # the leader may already have lowered it
        wait_versions(c, '3.6.0')
        for m in c.members:
            assert ask(m, 'GET', '/downgrade/enabled')[2] == 'true'
            m.wait_for(lambda m=m: said(m, 'The server is ready to downgrade'))  # lines are written behind
            assert said(m, 'The server is ready to downgrade')[0]['target-version'] == '3.6.0'
            m.wait_for(lambda m=m: said(m, 'Cluster version downgrade detected, forcing snapshot'))
            assert list((m.data_dir / 'member/snap').glob('*.snap'))
        put(b, b'a', b'2')
        for m in (a, b, leader):
            restart(m, '--emulated-version', '3.6')
        for m in c.members:
            m.wait_for(lambda m=m: ask(m, 'GET', '/downgrade/enabled')[2] == 'false')
        leader.wait_for(lambda: any(said(m, 'the cluster has been downgraded') for m in c.members))
        wait_versions(c, '3.6.0')
        put(a, b'a', b'3')
        for m in (a, b, leader):
            restart(m)
        wait_versions(c, '3.7.0')
        assert get(b, b'a') == b'3'
        c.agree()


def test_a_cancelled_downgrade(cluster_of, ketch_bin):
    """After a cancellation versions go up again, and what was written meanwhile is there."""
    with cluster_of([ketch_bin / 'etcd'] * 3) as c:
        wait_versions(c, '3.7.0')
        downgrade(c.followers()[0], ENABLE, '3.6')
        wait_versions(c, '3.6.0')
        put(c.members[1], b'a', b'1')
        assert downgrade(c.followers()[1], CANCEL) in ('3.6', '3.7')  # the leader may already have raised it
        wait_versions(c, '3.7.0')
        assert not any(m.status().downgradeInfo.enabled for m in c.members)
        assert get(c.members[2], b'a') == b'1'
        c.agree()


def test_down_to_a_real_3_5_and_back(cluster_of, ketch_bin, real_bin):
    """By two downgrades a directory of ours becomes one that a real 3.5 runs, and then ours again."""
    with cluster_of([ketch_bin / 'etcd'], *FAST) as c:
        m = c.members[0]
        wait_versions(c, '3.7.0')
        for i in range(20):
            put(m, b'k%d' % i, b'v')
        for target in ('3.6', '3.5'):
            downgrade(m, ENABLE, target)
            m.wait_for(lambda: versions(m)[1] == target + '.0')
            restart(m, '--emulated-version', target)
            m.wait_for(lambda: ask(m, 'GET', '/downgrade/enabled')[2] == 'false')
        m.stop()
        m.flags = [x for x in m.flags if x not in FAST]
        m.use(real_bin / 'etcd')
        m.channel = None
        m.start()
        assert get(m, b'k7') == b'v'
        put(m, b'of', b'3.5')
        m.stop()
        m.use(ketch_bin / 'etcd')
        m.channel = None
        m.start()
        wait_versions(c, '3.7.0')
        assert get(m, b'of') == b'3.5' and get(m, b'k19') == b'v'
