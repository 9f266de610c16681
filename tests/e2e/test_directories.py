"""One data directory, two programs: what either wrote, the other serves at the same revisions."""
import json
import re
import shutil
import subprocess

LEVEL = '--emulated-version=3.5'


def kvs(server, prefix=''):
    """Every key with its revisions, and the store's revision."""
    out = json.loads(server.ctl('get', prefix, '--prefix' if prefix else '--from-key', '-w', 'json'))
    return out['header']['revision'], out.get('kvs', [])


def hash_kv(server):
    return json.loads(server.ctl('endpoint', 'hashkv', '-w', 'json'))[0]['HashKV']['hash']


def write_some(server, tag, n=20):
    for i in range(n):
        server.ctl('put', f'k{i % 7}', f'{tag}-{i}')
    server.ctl('del', 'k3')
    server.ctl('txn', input=f'mod("k1") > "0"\n\nput both {tag}\nput k1 {tag}\n\nput not {tag}\n\n')
    lease = server.ctl('lease', 'grant', '3600').split()[1]
    server.ctl('put', f'leased-{tag}', 'x', f'--lease={lease}')


def same_on_both(a, b):
    assert kvs(a) == kvs(b)


def test_a_real_etcd_serves_our_directory(start_server, real_bin, tmp_path):
    """With --emulated-version=3.5 a real 3.5 opens what we wrote, and shows the same."""
    with start_server(tmp_path / 'd', LEVEL) as ours:
        write_some(ours, 'ours')
        ours.ctl('compaction', '9')
        write_some(ours, 'more')
        before = kvs(ours), hash_kv(ours)
    with start_server(tmp_path / 'd', etcd=real_bin / 'etcd') as real:
        assert (kvs(real), hash_kv(real)) == before


def test_our_server_serves_a_real_etcds_directory(start_server, real_bin, tmp_path):
    """We open what a real 3.5 wrote, its v2 requests in the log included, and show the same."""
    with start_server(tmp_path / 'd', etcd=real_bin / 'etcd') as real:
        write_some(real, 'real')
        real.ctl('compaction', '9')
        write_some(real, 'more')
        before = kvs(real), hash_kv(real)
    with start_server(tmp_path / 'd', LEVEL) as ours:
        assert (kvs(ours), hash_kv(ours)) == before


def test_ten_swaps(start_server, real_bin, tmp_path):
    """Ten changes of the program on one directory, writes in between: nothing is lost or changed."""
    before = None
    for i in range(10):
        etcd = {'etcd': real_bin / 'etcd'} if i % 2 == 0 else {}
        with start_server(tmp_path / 'd', *([] if etcd else [LEVEL]), **etcd) as s:
            if before is not None:
                assert (kvs(s), hash_kv(s)) == before, f'swap {i}'
            write_some(s, f'swap{i}')
            if i % 3 == 2:
                s.ctl('compaction', str(kvs(s)[0] - 5), '--physical')
            before = kvs(s), hash_kv(s)


def test_swaps_after_a_kill(start_server, real_bin, tmp_path):
    """Killed instead of stopped, either program goes on where the other was."""
    before = None
    for i in range(6):
        etcd = {'etcd': real_bin / 'etcd'} if i % 2 == 1 else {}
        with start_server(tmp_path / 'd', *([] if etcd else [LEVEL]), **etcd) as s:
            if before is not None:
                assert kvs(s) == before, f'swap {i}'
            write_some(s, f'kill{i}')
            before = kvs(s)
            s.kill()


def test_real_tools_read_our_file(start_server, real_bin, ketch_bin, tmp_path):
    """etcdutl's snapshot status, hashkv and defrag accept the data file; etcdutl and we agree on the hash."""
    with start_server(tmp_path / 'd', LEVEL) as ours:
        write_some(ours, 'x')
        revision = kvs(ours)[0]
        want = hash_kv(ours)
        ours.ctl('snapshot', 'save', str(tmp_path / 'backup.db'))
    db = tmp_path / 'd/member/snap/db'
    shutil.copy(db, tmp_path / 'copy.db')
    status = subprocess.run([real_bin / 'etcdutl', 'snapshot', 'status', tmp_path / 'copy.db', '-w', 'json'],
                            capture_output=True, text=True)
    assert status.returncode == 0, status.stderr
    assert json.loads(status.stdout)['revision'] == revision
    saved = subprocess.run([real_bin / 'etcdutl', 'snapshot', 'status', tmp_path / 'backup.db', '-w', 'json'],
                           capture_output=True, text=True)
    assert saved.returncode == 0, saved.stderr
    hashed = subprocess.run([real_bin / 'etcdutl', 'hashkv', tmp_path / 'copy.db', '-w', 'json'], capture_output=True,
                            text=True)
    if hashed.returncode == 0:
        assert json.loads(hashed.stdout)['hash'] == want
    else:
        assert re.search('unknown command', hashed.stderr)  # 3.5 has no such command
    subprocess.run([real_bin / 'etcdutl', 'defrag', '--data-dir', tmp_path / 'd'], check=True, capture_output=True)
    with start_server(tmp_path / 'd', LEVEL) as again:
        assert kvs(again)[0] == revision
        assert hash_kv(again) == want


def test_level_3_7_is_kept(start_server, tmp_path):
    """Without the flag the directory is at 3.7, and a lower level then refuses it in one line."""
    with start_server(tmp_path / 'd') as s:
        s.ctl('put', 'a', 'b')
        s.wait_for(lambda: json.loads(s.ctl('endpoint', 'status', '-w', 'json'))[0]['Status'].get('storageVersion')
                   == '3.7.0')
    with start_server(tmp_path / 'd', LEVEL, wait=False) as low:
        assert low.process.wait(60) == 1
        assert 'invalid downgrade; server version is lower than determined cluster version' in low.log_text()
