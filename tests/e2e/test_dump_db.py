"""etcd-dump-db on files that a server of ours and a real etcd wrote; outputs and errors as in the reference sheet."""
import re
import subprocess

import pytest

BUCKETS = ['alarm', 'auth', 'authRoles', 'authUsers', 'cluster', 'key', 'lease', 'members', 'members_removed', 'meta']


@pytest.fixture
def dump(ketch_bin):
    def run(*args, status=0):
        p = subprocess.run([str(ketch_bin / 'etcd-dump-db'), *map(str, args)], capture_output=True, timeout=60)
        assert p.returncode == status, (args, p.stdout, p.stderr)
        return p.stdout.decode(), p.stderr.decode()
    return run


def fill(s):
    s.ctl('put', 'k1', 'v1')
    s.ctl('put', 'k2', 'a"b\x01é')
    s.ctl('del', 'k1')
    lease = s.ctl('lease', 'grant', '1000').split()[1]
    s.ctl('put', '--lease=' + lease, 'k3', 'v30')
    s.ctl('txn', input='\nput t1 a\nput t2 b\n\n\n')
    s.ctl('compaction', '3')
    for i in range(60):
        s.ctl('put', f'key{i}', 'value-' + 'x' * 80)
    return lease


def compare(dump, data_dir, lease):
    """Everything that follows from fill, whoever wrote the file."""
    out, _ = dump('list-bucket', data_dir)
    assert out.split() == BUCKETS
    out, _ = dump('iterate-bucket', data_dir, 'key', '--decode')
    lines = out.splitlines()
    assert len(lines) == 60 + 6  # k1's first value is what revision 3 still shows of it
    assert lines[-2] == r'rev={Revision:{Main:3 Sub:0} tombstone:false}, value=[key "k2" | val "a\"b\x01é" | ' \
                        'created 3 | mod 3 | ver 1]'
    assert lines[-3] == 'rev={Revision:{Main:4 Sub:0} tombstone:true}, value=[key "k1" | val "" | created 0 | mod 0 | ' \
                        'ver 0]'
    assert lines[-6].startswith('rev={Revision:{Main:6 Sub:1} tombstone:false}, value=[key "t2" | val "b"')
    out, _ = dump('iterate-bucket', data_dir, 'key', '--limit', '1')
    assert out == r'key="\x00\x00\x00\x00\x00\x00\x00B_\x00\x00\x00\x00\x00\x00\x00\x00", value="\n\x05key59\x10B\x18B ' \
                  r'\x01*Vvalue-' + 'x' * 80 + '"\n'
    out, _ = dump('iterate-bucket', data_dir, 'lease', '--decode')
    assert out == f'lease ID={lease}, TTL=1000s, remaining TTL=0s\n'
    out, _ = dump('iterate-bucket', data_dir, 'meta', '--decode')
    assert 'key="finishedCompactRev", value={3 0}\n' in out
    assert re.search(r'^key="consistent_index", value=\d+$', out, re.M)
    assert re.search(r'^key="confState", value="{\\"voters\\":\[\d+\],\\"auto_leave\\":false}"$', out, re.M)
    out, _ = dump('iterate-bucket', data_dir, 'alarm')
    assert out == ''
    out, _ = dump('hash', data_dir)
    path = data_dir / 'member/snap/db'
    assert re.fullmatch(rf'db path: {path}\nHash: \d+\n', out)
    out, _ = dump('scan-keys', path, '60')
    revisions = {int(m) for m in re.findall(r'^pageID=\d+, index=\d+/\d+, rev={Revision:{Main:(\d+) Sub:0}', out, re.M)}
    assert revisions == set(range(60, 67))


def test_file_of_ours(dump, start_server, tmp_path):
    with start_server(tmp_path / 'd') as s:
        lease = fill(s)
        _, err = dump('--timeout=1s', 'list-bucket', tmp_path / 'd', status=1)
        assert err.endswith(' failed to open bolt DB timeout\n')
    compare(dump, tmp_path / 'd', lease)


def test_file_of_real_etcd(dump, real_bin, start_server, tmp_path):
    with start_server(tmp_path / 'd', etcd=real_bin / 'etcd') as s:
        lease = fill(s)
    compare(dump, tmp_path / 'd', lease)
    out, _ = dump('iterate-bucket', tmp_path / 'd', 'cluster')
    assert out == 'key="clusterVersion", value="3.5.0"\n'


def test_auth_buckets_of_real_etcd(dump, real_bin, start_server, tmp_path):
    with start_server(tmp_path / 'd', etcd=real_bin / 'etcd') as s:
        s.ctl_path = real_bin / 'etcdctl'
        s.ctl('role', 'add', 'ra')
        s.ctl('role', 'grant-permission', 'ra', 'readwrite', 'foo')
        s.ctl('role', 'grant-permission', 'ra', 'read', 'p', 'q')
        s.ctl('user', 'add', 'u', '--no-password')
        s.ctl('user', 'grant-role', 'u', 'ra')
    out, _ = dump('iterate-bucket', tmp_path / 'd', 'authRoles', '--decode')
    assert out == 'role="ra", keyPermission=[permType:READWRITE  key:"foo" key:"p"  range_end:"q"]\n'
    out, _ = dump('iterate-bucket', tmp_path / 'd', 'authUsers', '--decode')
    assert out == 'user="u", roles=["ra"], option=no_password:true\n'
    out, _ = dump('iterate-bucket', tmp_path / 'd', 'auth', '--decode')
    assert out == 'key="authRevision", value=6\n'


@pytest.mark.parametrize('args, words', [
    (['list-bucket'], 'Must provide at least 1 argument (got [])'),
    (['iterate-bucket', 'db'], 'Must provide 2 arguments (got [db])'),
    (['scan-keys', 'db'], 'Must provide 2 arguments (got [db])'),
    (['list-bucket', 'nofile'], '"nofile/member/snap/db" does not exist'),
    (['list-bucket', '/nonexist/db'], '"/nonexist/db" does not exist'),
    (['list-bucket', 'JUNK'], 'failed to open bolt DB file size too small 5000'),
    (['scan-keys', 'JUNK', 'x'], 'strconv.ParseInt: parsing "x": invalid syntax'),
    (['scan-keys', 'JUNK', '0'], 'failed to read page and HWM size: the Meta Page has wrong (unexpected) magic'),
])
def test_errors(dump, tmp_path, args, words):
    junk = tmp_path / 'junkdb'
    junk.write_bytes(b'x' * 5000)
    out, err = dump(*[junk if a == 'JUNK' else a for a in args], status=1)
    assert out == ''
    assert re.fullmatch(r'\d{4}/\d\d/\d\d \d\d:\d\d:\d\d ' + re.escape(words) + '\n', err)


def test_junk_hash_and_wrong_words(dump, tmp_path):
    junk = tmp_path / 'junkdb'
    junk.write_bytes(b'x' * 5000)
    _, err = dump('hash', junk, status=2)
    assert 'failed to open database' in err
    out, err = dump('foo', status=1)
    assert out == 'unknown command "foo" for "etcd-dump-db"\n'
    assert err == 'Error: unknown command "foo" for "etcd-dump-db"\nRun \'etcd-dump-db --help\' for usage.\n'
    out, err = dump('iterate-bucket', 'db', 'key', '--limit', '-1', status=1)
    assert out == 'invalid argument "-1" for "--limit" flag: strconv.ParseUint: parsing "-1": invalid syntax\n'
    assert 'etcd-dump-db iterate-bucket [data dir or db file path] [bucket name] [flags]\n' in err
