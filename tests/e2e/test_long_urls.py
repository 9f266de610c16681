"""Members with URLs that are absurdly long, or absurdly many: etcd takes them, so they have to fit into everything that is written of
the membership, and read of it."""
import pytest

ADD, LIST, PUT = 'etcdserverpb.Cluster/MemberAdd', 'etcdserverpb.Cluster/MemberList', 'etcdserverpb.KV/Put'
URLS = {
    'long': ['http://' + 'a' * 1100000 + ':1'],
    'escaped': ['http://' + '&' * 180000 + ':1'],  # six bytes each in JSON, seven in JSON inside JSON
    'as long as a request': ['http://' + '&' * 1500000 + ':1'],
    'many': [f'http://127.0.0.1:{i}' for i in range(1, 20001)],
}
OFTEN = ('--snapshot-count', '20')


def add_learner(s, urls):
    answer = s.grpc(ADD, timeout=60)(peerURLs=urls, isLearner=True)
    assert list(answer.member.peerURLs) == sorted(urls)
    return answer.member.ID


def write_until_snapshot(s, urls):
    """So many entries that the membership is in a file of its own."""
    put = s.grpc(PUT, timeout=60)
    for i in range(60):
        put(key=b'k%d' % i, value=b'v')
    size = sum(map(len, urls))
    s.wait_for(lambda: s.process.poll() is not None or any(
        x.stat().st_size > size for x in (s.data_dir / 'member/snap').glob('*.snap')))
    assert s.process.poll() is None, s.log_text()[-2000:]


def is_there(s, member, urls):
    members = {m.ID: list(m.peerURLs) for m in s.grpc(LIST, timeout=60)().members}
    assert members[member] == sorted(urls)


@pytest.mark.parametrize('kind', URLS)
def test_a_member_with_long_urls(start_server, tmp_path, kind):
    """It is added, is part of the member's next snapshots, and is there after a restart; and it can be removed."""
    data, urls = tmp_path / 'data', URLS[kind]
    with start_server(data, *OFTEN) as s:
        member = add_learner(s, urls)
        write_until_snapshot(s, urls)
    with start_server(data, *OFTEN) as s:
        is_there(s, member, urls)
        s.grpc('etcdserverpb.Cluster/MemberRemove', timeout=60)(ID=member)
        assert len(s.grpc(LIST)().members) == 1


@pytest.mark.parametrize('kind', URLS)
def test_what_a_real_etcd_let_in(start_server, real_bin, tmp_path, kind):
    """Such a member in the log and the data file of a real etcd is one here, and what we write of it is read by the real one."""
    data, urls = tmp_path / 'data', URLS[kind]
    with start_server(data, etcd=real_bin / 'etcd') as real:
        member = add_learner(real, urls)
    with start_server(data, '--emulated-version', '3.5', *OFTEN) as s:
        is_there(s, member, urls)
        write_until_snapshot(s, urls)
    with start_server(data, etcd=real_bin / 'etcd') as real:
        is_there(real, member, urls)
