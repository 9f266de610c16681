"""etcdutl on files that servers of ours and real ones wrote: numbers, formats, errors, restored directories."""
import json
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess
import time

import pytest

from etcdutl_lib import Utl, files_of


@pytest.fixture
def utl(ketch_bin, tmp_path):
    return Utl(ketch_bin / 'etcdutl', tmp_path)


def fill(s):
    """Five keys, one put again, one deleted: revision 8, four keys alive."""
    for i in range(1, 6):
        s.ctl('put', f'k{i}', f'v{i}')
    s.ctl('put', 'k1', 'new')
    s.ctl('del', 'k2')


class Sample:
    """What a server was asked before it stopped, and a snapshot of it."""

    def __init__(self, s, folder):
        self.path = folder / 's.db'
        s.ctl('snapshot', 'save', str(self.path))
        self.hash_kv = json.loads(s.ctl('endpoint', 'hashkv', '-w', 'json'))[0]['HashKV']
        self.kvs = json.loads(s.ctl('get', '', '--from-key', '-w', 'json'))['kvs']
        self.data_dir = s.data_dir

    def copy(self, folder, name='s.db'):
        return pathlib.Path(shutil.copy(self.path, folder / name))


def sample_of(ketch_bin, folder, etcd, *flags):
    """Makes a server of its own, so that one serves all tests of this file."""
    from conftest import Messages, Server
    messages = object.__new__(Messages)
    s = Server(etcd, folder / 'data', flags, folder / 'log', ketch_bin / 'etcdctl', messages)
    s.start()
    try:
        fill(s)
        if etcd == ketch_bin / 'etcd':
            s.wait_for(lambda: '"storageVersion":"3.7.0"' in s.ctl('endpoint', 'status', '-w', 'json'))
        return Sample(s, folder)
    finally:
        s.stop()


@pytest.fixture(scope='module')
def ours(ketch_bin, tmp_path_factory):
    return sample_of(ketch_bin, tmp_path_factory.mktemp('ours'), ketch_bin / 'etcd')


@pytest.fixture(scope='module')
def real(ketch_bin, real_bin, tmp_path_factory):
    return sample_of(ketch_bin, tmp_path_factory.mktemp('real'), real_bin / 'etcd')


# ---- snapshot status, hashkv ----

def human(size):
    """The size of a small database: how many commits there were decides between 20 and 33 kB."""
    assert 20000 < size < 40000
    return f'{size / 1000:.0f} kB'


def test_status_in_all_formats(utl, ours):
    """The same numbers in every format; the hash in hexadecimal where people read it."""
    before = ours.path.read_bytes()
    s = json.loads(utl('snapshot', 'status', ours.path, '-w', 'json').out)
    assert list(s) == ['hash', 'revision', 'totalKey', 'totalSize', 'version']
    assert (s['revision'], s['totalKey'], s['version']) == (8, 4, '3.7.0')
    assert s['totalSize'] == len(before) - 32
    size = human(s['totalSize'])
    assert utl('snapshot', 'status', ours.path).out == f'{s["hash"]:x}, 8, 4, {size}, 3.7.0\n'
    assert utl('snap', 'stat', ours.path, '-w', 'fields').out == (
        f'"Hash" : {s["hash"]}\n"Revision" : 8\n"Keys" : 4\n"Size" : {s["totalSize"]}\n"Version" : 3.7.0\n')
    table = utl('snapshot', 'status', ours.path, '--write-out=table').out.splitlines()
    assert [c.strip() for c in table[1].split('│')[1:-1]] == [
        'HASH', 'REVISION', 'TOTAL KEYS', 'TOTAL SIZE', 'VERSION']
    assert [c.strip() for c in table[3].split('│')[1:-1]] == [f'{s["hash"]:x}', '8', '4', size, '3.7.0']
    assert (table[0][0], table[2][0], table[4][0]) == ('┌', '├', '└')
    utl.fails(4, 'protobuf not supported as output format', 'snapshot', 'status', ours.path, '-w', 'protobuf')
    utl.fails(4, 'unsupported output format', 'snapshot', 'status', ours.path, '-w', 'yaml')
    assert ours.path.read_bytes() == before


def test_hashkv_in_all_formats(utl, ours):
    """The hash is what the server answered; the file stays as it is."""
    before, h = ours.path.read_bytes(), ours.hash_kv['hash']
    assert utl('hashkv', ours.path).out == f'{h}, 8, -1\n'
    assert utl('hashkv', ours.path, '-w', 'json').out == f'{{"hash":{h},"hashRevision":8,"compactRevision":-1}}\n'
    assert utl('hashkv', ours.path, '-w', 'fields').out == (
        f'"Hash" : {h}\n"Hash revision" : 8\n"Compact revision" : -1\n')
    assert f'│ {h} │             8 │               -1 │' in utl('hashkv', ours.path, '-w', 'table').out
    assert utl('hashkv', ours.path, '--rev', '3').out.endswith(', 3, -1\n')
    utl.fails(4, 'protobuf not supported as output format', 'hashkv', ours.path, '-w', 'protobuf')
    utl.fails(4, 'unsupported output format', 'hashkv', ours.path, '-w', 'yaml')
    utl.fails(1, 'mvcc: required revision is a future revision', 'hashkv', ours.path, '--rev', '99')
    utl.fails(1, 'stat nofile: no such file or directory', 'hashkv', 'nofile')
    assert ours.path.read_bytes() == before
    assert utl('snapshot', 'restore', ours.path, '--data-dir', 'd').out == ''


def test_numbers_are_those_of_a_real_tool(utl, real, real_bin):
    """A real 3.5 counts entries where 3.7 counts keys; hash, revision and size are the same."""
    p = subprocess.run([real_bin / 'etcdutl', 'snapshot', 'status', real.path, '-w', 'json'], capture_output=True)
    theirs = json.loads(p.stdout)
    mine = json.loads(utl('snapshot', 'status', real.path, '-w', 'json').out)
    assert {k: mine[k] for k in ('hash', 'revision', 'totalSize')} == {
        k: theirs[k] for k in ('hash', 'revision', 'totalSize')}
    assert (mine['totalKey'], mine['version']) == (4, '')
    assert utl('snapshot', 'status', real.path).out == f'{mine["hash"]:x}, 8, 4, {human(mine["totalSize"])}, \n'
    assert utl('hashkv', real.path).out == f'{real.hash_kv["hash"]}, 8, -1\n'


@pytest.mark.parametrize('status, words, args', [
    (128, 'snapshot status requires exactly one argument', ['snapshot', 'status']),
    (128, 'snapshot status requires exactly one argument', ['snapshot', 'status', 'a', 'b']),
    (1, 'stat nofile: no such file or directory', ['snapshot', 'status', 'nofile']),
    (1, 'invalid database', ['snapshot', 'status', 'junk']),
    (128, 'snapshot restore requires exactly one argument', ['snapshot', 'restore', 'a', 'b']),
    (1, 'open nofile: no such file or directory', ['snapshot', 'restore', 'nofile', '--data-dir', 'd']),
    (1, "couldn't find local name \"n1\" in the initial cluster configuration", ['snapshot', 'restore', 'S', '--name', 'n1']),
    (1, 'URL scheme must be http, https, unix, or unixs: ', ['snapshot', 'restore', 'S', '--initial-cluster', 'bogus']),
    (1, 'URL scheme must be http, https, unix, or unixs: bogus',
     ['snapshot', 'restore', 'S', '--initial-advertise-peer-urls', 'bogus']),
    (1, 'URL address does not have the form "host:port": http://a',
     ['snapshot', 'restore', 'S', '--initial-cluster', 'default=http://a']),
    (1, 'URL must not contain a path: http://a:1/p', ['snapshot', 'restore', 'S', '--initial-cluster', 'default=http://a:1/p']),
    (1, 'parse "127.0.0.1:1": first path segment in URL cannot contain colon',
     ['snapshot', 'restore', 'S', '--initial-advertise-peer-urls', '127.0.0.1:1']),
    (1, '--initial-cluster has n1=http://127.0.0.1:1 but missing from --initial-advertise-peer-urls=http://127.0.0.1:3 '
        '(resolved urls: "http://127.0.0.1:3" != "http://127.0.0.1:1")',
     ['snapshot', 'restore', 'S', '--name', 'n1', '--initial-cluster', 'n1=http://127.0.0.1:1',
      '--initial-advertise-peer-urls', 'http://127.0.0.1:3']),
    (1, '--initial-cluster has default=http://127.0.0.1:2 but missing from --initial-advertise-peer-urls=http://127.0.0.1:1 '
        '(len(["http://127.0.0.1:1"]) != len(["http://127.0.0.1:1" "http://127.0.0.1:2"]))',
     ['snapshot', 'restore', 'S', '--initial-cluster', 'default=http://127.0.0.1:2,default=http://127.0.0.1:1',
      '--initial-advertise-peer-urls', 'http://127.0.0.1:1']),
    (1, 'initial cluster a=http://127.0.0.1:1,default=http://127.0.0.1:1 has duplicate url',
     ['snapshot', 'restore', 'S', '--initial-cluster', 'default=http://127.0.0.1:1,a=http://127.0.0.1:1',
      '--initial-advertise-peer-urls', 'http://127.0.0.1:1']),
    (128, '--mark-compacted required if --revision-bump > 0', ['snapshot', 'restore', 'S', '--bump-revision', '10']),
    (128, '--mark-compacted required if --revision-bump > 0', ['snapshot', 'restore', 'S', '--mark-compacted']),
    (1, 'data-dir "full" not empty or could not be read', ['snapshot', 'restore', 'S', '--data-dir', 'full']),
    (1, 'data-dir "junk" not empty or could not be read', ['snapshot', 'restore', 'S', '--data-dir', 'junk']),
    (1, 'wal-dir "full" exists', ['snapshot', 'restore', 'S', '--wal-dir', 'full']),
    (1, 'seek short: invalid argument', ['snapshot', 'restore', 'short']),
    (1, 'snapshot missing hash but --skip-hash-check=false', ['snapshot', 'restore', 'plain']),
    (1, 'Failed to defragment etcd data[nodir] (stat nodir/member/snap/db: no such file or directory)',
     ['defrag', '--data-dir', 'nodir']),
    (128, 'target version "3.4" not supported. Minimal "3.5"', ['migrate', '--data-dir', 'd', '--target-version', '3.4']),
    (128, 'wrong target version format, expected "X.Y", got "3.6.0"',
     ['migrate', '--data-dir', 'd', '--target-version', '3.6.0']),
    (128, 'failed to parse target version: strconv.ParseInt: parsing "a": invalid syntax',
     ['migrate', '--data-dir', 'd', '--target-version', 'a.b']),
    (1, 'stat nodir/member/snap/db: no such file or directory', ['migrate', '--data-dir', 'nodir', '--target-version', '3.6']),
])
def test_errors(utl, ours, tmp_path, status, words, args):
    """One line on stderr, the status, and nothing new in the working directory."""
    (tmp_path / 'junk').write_bytes(random.Random(1).randbytes(20000))
    (tmp_path / 'short').write_bytes(b'x' * 31)
    (tmp_path / 'plain').write_bytes(ours.path.read_bytes()[:-32])
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full/file').write_bytes(b'')
    before = files_of(tmp_path)
    utl.fails(status, words, *[ours.path if a == 'S' else a for a in args])
    assert files_of(tmp_path) == before


@pytest.mark.parametrize('args, words', [
    (['foo'], 'unknown command "foo" for "etcdutl"'),
    (['hashkv'], 'accepts 1 arg(s), received 0'),
    (['d'], 'required flag(s) "data-dir" not set'),
    (['migrate'], 'required flag(s) "data-dir", "target-version" not set'),
    (['snapshot', 'restore', 's.db', '--bump-revision', '-1'],
     'invalid argument "-1" for "--bump-revision" flag: strconv.ParseUint: parsing "-1": invalid syntax'),
])
def test_errors_of_the_line(utl, args, words):
    """What cannot be understood is said before and after the usage."""
    r = utl(*args, status=1)
    lines = r.err.splitlines()
    assert r.out == '' and lines[0] == lines[-1] == f'Error: {words}'
    assert lines[1] == "Run 'etcdutl --help' for usage." if args == ['foo'] else lines[1] == 'Usage:'


def test_version(utl):
    assert utl('version').out == 'etcdutl version: 3.7.1\nAPI version: 3.7\n'


# ---- snapshot restore ----

def test_what_a_restore_makes(utl, ours, tmp_path):
    """Names and permissions; the numbers of the snapshot; only the members are others."""
    r = utl('snapshot', 'restore', ours.path, '--data-dir', 'd/deep/')
    assert r.out == '' and [line.split('\t')[3] for line in map(str.strip, r.logs)] == [
        'restoring snapshot', 'Trimming membership information from the backend...', 'added member', 'restored snapshot']
    assert files_of(tmp_path) == [
        'd', 'd/deep', 'd/deep/member', 'd/deep/member/snap',
        'd/deep/member/snap/0000000000000001-0000000000000001.snap', 'd/deep/member/snap/db', 'd/deep/member/wal',
        'd/deep/member/wal/0000000000000000-0000000000000000.wal']
    for p in (tmp_path / 'd').rglob('*'):
        mode = p.stat().st_mode & 0o777
        assert mode == (0o700 if p.is_dir() else 0o644 if p.suffix == '.snap' else 0o600), p
    s = json.loads(utl('snapshot', 'status', 'd/deep/member/snap/db', '-w', 'json').out)
    assert (s['revision'], s['totalKey'], s['version']) == (8, 4, '3.7.0')
    assert utl('hashkv', 'd/deep/member/snap/db').out == f'{ours.hash_kv["hash"]}, 8, -1\n'


def test_members_of_a_restored_cluster(utl, ours, tmp_path):
    """Ids follow from URLs and token, as recorded from etcd's tool; the log may lie elsewhere."""
    utl('snapshot', 'restore', ours.path, '--data-dir', 'd', '--name', 'n1', '--initial-cluster',
        'n2=http://127.0.0.1:2,n1=http://127.0.0.1:1', '--initial-advertise-peer-urls', 'http://127.0.0.1:1',
        '--initial-cluster-token', 'tok', '--wal-dir', 'logs/of/d', '--initial-memory-map-size', '0')
    assert files_of(tmp_path / 'logs/of/d') == ['0000000000000000-0000000000000000.wal']
    assert files_of(tmp_path / 'd/member') == ['snap', 'snap/0000000000000001-0000000000000002.snap', 'snap/db']
    db = (tmp_path / 'd/member/snap/db').read_bytes()
    for member in (b'b647f29678b82df{"id":%d,"peerURLs":["http://127.0.0.1:1"],"name":"n1"}' % 0xb647f29678b82df,
                   b'd1dd0451a6b74da3{"id":%d,"peerURLs":["http://127.0.0.1:2"],"name":"n2"}' % 0xd1dd0451a6b74da3,
                   b'{"voters":[%d,%d],"auto_leave":false}' % (0xb647f29678b82df, 0xd1dd0451a6b74da3)):
        assert member in db
    wal = (tmp_path / 'logs/of/d/0000000000000000-0000000000000000.wal').read_bytes()[:4096]
    node, cluster = varint(0xb647f29678b82df), varint(0xc30daca7ec1601f1)
    assert b'\x08' + node + b'\x10' + cluster in wal


def varint(n):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7f | 0x80)
        n >>= 7
    return bytes(out) + bytes([n])


def test_our_server_on_what_was_restored(utl, ours, start_server, tmp_path):
    """Keys, revisions and hash are there, and the member goes on."""
    utl('snapshot', 'restore', ours.path, '--data-dir', 'd')
    with start_server(tmp_path / 'd') as s:
        assert json.loads(s.ctl('get', '', '--from-key', '-w', 'json'))['kvs'] == ours.kvs
        assert json.loads(s.ctl('endpoint', 'hashkv', '-w', 'json'))[0]['HashKV']['hash'] == ours.hash_kv['hash']
        assert 'default, http://localhost:2380' in s.ctl('member', 'list')
        s.ctl('put', 'k9', 'v9')
    with start_server(tmp_path / 'd') as s:
        assert s.ctl('get', 'k9', '--print-value-only') == 'v9\n'


def test_a_real_server_on_what_was_restored(utl, real, real_bin, start_server, tmp_path):
    """A real 3.5 starts on the directory that we made of its snapshot, and restarts."""
    utl('snapshot', 'restore', real.path, '--data-dir', 'd')
    for _ in range(2):
        with start_server(tmp_path / 'd', etcd=real_bin / 'etcd') as s:
            assert json.loads(s.ctl('get', '', '--from-key', '-w', 'json'))['kvs'] == real.kvs
            assert json.loads(s.ctl('endpoint', 'hashkv', '-w', 'json'))[0]['HashKV']['hash'] == real.hash_kv['hash']
            assert 'default, http://localhost:2380' in s.ctl('member', 'list')


def test_our_server_on_what_a_real_tool_restored(ours, real_bin, start_server, tmp_path):
    """A real etcdutl takes our snapshot, and our server its directory."""
    subprocess.run([real_bin / 'etcdutl', 'snapshot', 'restore', ours.path, '--data-dir', tmp_path / 'd'], check=True,
                   capture_output=True)
    with start_server(tmp_path / 'd') as s:
        assert json.loads(s.ctl('get', '', '--from-key', '-w', 'json'))['kvs'] == ours.kvs
        s.ctl('put', 'k9', 'v9')


def test_three_members_restored(utl, ours, start_server, ketch_bin, messages, tmp_path):
    """Each member is restored by itself from one snapshot; together they are a cluster with its keys."""
    from cluster_lib import Cluster
    c = Cluster([ketch_bin / 'etcd'] * 3, tmp_path, ketch_bin / 'etcdctl', messages)
    flags = dict(zip(c.members[0].flags[::2], c.members[0].flags[1::2]))
    for m in c.members:
        utl('snapshot', 'restore', ours.path, '--data-dir', m.data_dir, '--name', m.name, '--initial-cluster',
            flags['--initial-cluster'], '--initial-cluster-token', 'e2e', '--initial-advertise-peer-urls',
            f'http://127.0.0.1:{m.peer_port}')
    with c:
        assert json.loads(c.members[2].ctl('get', '', '--from-key', '-w', 'json'))['kvs'] == ours.kvs
        c.members[1].ctl('put', 'k9', 'v9')
        assert c.agree() == 9
        assert len(c.members[0].ctl('member', 'list').splitlines()) == 3


def test_raised_revision(utl, ours, start_server, tmp_path):
    """Revisions go on far ahead, and who watches from before is told that it is compacted."""
    utl('snapshot', 'restore', ours.path, '--data-dir', 'd', '--bump-revision', '1000', '--mark-compacted')
    s = json.loads(utl('snapshot', 'status', 'd/member/snap/db', '-w', 'json').out)
    assert (s['revision'], s['totalKey']) == (1008, 5)
    assert utl('hashkv', 'd/member/snap/db').out.endswith(', 1008, 1008\n')
    with start_server(tmp_path / 'd') as s:
        assert json.loads(s.ctl('put', 'k9', 'v9', '-w', 'json'))['header']['revision'] == 1009
        assert s.ctl('get', 'k1', '--print-value-only') == 'new\n'
        assert 'required revision has been compacted' in s.ctl('watch', 'k1', '--rev', '3', status=5)


def test_raised_revision_has_an_end(utl, ours, tmp_path):
    """A revision that no longer fits is refused, and leaves nothing."""
    utl.fails(1, f'revision 8 cannot be raised by {2**63 - 8}: the largest revision is {2**63 - 1}', 'snapshot', 'restore',
              ours.path, '--data-dir', 'd', '--bump-revision', str(2**63 - 8), '--mark-compacted')
    assert files_of(tmp_path) == []


# ---- what is damaged, and what is left behind ----

def test_changed_bytes_are_refused(utl, ours, tmp_path):
    """One bit anywhere: the hash says so in etcd's words, and nothing is left."""
    whole = ours.path.read_bytes()
    for at in (0, 70, 4096, 9000, len(whole) - 33, len(whole) - 1):
        bad = bytearray(whole)
        bad[at] ^= 4
        (tmp_path / 'bad.db').write_bytes(bad)
        r = utl('snapshot', 'restore', 'bad.db', '--data-dir', 'd', '--wal-dir', 'w', status=1)
        m = re.fullmatch(r'Error: expected sha256 \[([\d ]+)\], got \[([\d ]+)\]\n', r.err)
        assert m and [len(g.split()) for g in m.groups()] == [32, 32]
        assert bytes(map(int, m[1].split())) == bytes(bad[-32:])
        assert files_of(tmp_path) == ['bad.db']


def test_damage_without_a_hash(utl, ours, tmp_path):
    """--skip-hash-check: what is no database is refused and leaves nothing; status, hashkv and defrag survive it, too."""
    whole, chance = ours.path.read_bytes()[:-32], random.Random(7)
    made = 0
    for i in range(24):
        bad = bytearray(whole)
        if i % 4 == 0:
            del bad[chance.randrange(len(bad)):]
        for _ in range(i % 4):
            bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
        (tmp_path / 'bad.db').write_bytes(bad)
        assert utl.any('snapshot', 'status', 'bad.db').status in (0, 1)
        assert utl.any('hashkv', 'bad.db').status in (0, 1, 2)
        r = utl.any('snapshot', 'restore', 'bad.db', '--data-dir', 'd', '--skip-hash-check')
        assert r.status in (0, 1), r
        if r.status == 1:
            assert files_of(tmp_path) == ['bad.db'], r
            continue
        made += 1
        r = utl.any('defrag', '--data-dir', 'd')  # opens it as a member does, which looks at more
        assert r.status == 0 or (r.status, r.err) == (2, 'panic: failed to open database\n'), r
        shutil.rmtree(tmp_path / 'd')
    assert 0 < made < 24


def test_status_proves_the_structure(utl, ours, tmp_path):
    """A page of another type than it must be is found, counted and named; what is said is one error, on lines of their own."""
    db = bytearray(ours.path.read_bytes())
    metas = [struct.unpack_from('<QQQQQ', db, page * 4096 + 32) for page in (0, 1)]  # root, sequence, free list, end, txid
    root = max(metas, key=lambda m: m[4])[0]
    struct.pack_into('<H', db, root * 4096 + 8, 0x10)
    (tmp_path / 'bad.db').write_bytes(db)
    r = utl('snapshot', 'status', 'bad.db', status=1)
    assert re.fullmatch(rf'Error: snapshot file integrity check failed\. 1 errors found\.\npage {root}: invalid type: .*\n', r.err)


def test_a_killed_restore_is_no_member(utl, ours, tmp_path):
    """What a killed restore left is passed over by the next one; anything else in the directory is not."""
    (tmp_path / 'd/member.tmp/snap').mkdir(parents=True)
    (tmp_path / 'd/member.tmp/snap/db').write_bytes(b'half')
    (tmp_path / 'w.part').mkdir()
    (tmp_path / 'w.part/0.tmp').write_bytes(b'half')
    utl('snapshot', 'restore', ours.path, '--data-dir', 'd', '--wal-dir', 'w')
    assert files_of(tmp_path)[:2] == ['d', 'd/member'] and not (tmp_path / 'w.part').exists()


@pytest.mark.skipif(os.geteuid() != 0, reason='skipped: mounting a small file system needs root')
def test_a_full_disk_leaves_nothing(utl, ours, tmp_path):
    """The log's 64 MB do not fit: the restore says so and takes back what it made."""
    small = tmp_path / 'small'
    small.mkdir()
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', small], capture_output=True).returncode != 0:
        pytest.skip('skipped: mounting is not allowed here')
    try:
        r = utl('snapshot', 'restore', ours.path, '--data-dir', 'small/d', status=1)
        assert 'o space left on device' in r.err
        assert files_of(small) == []
    finally:
        subprocess.run(['umount', small], check=True)


# ---- defrag, migrate, locks ----

def test_defrag_makes_it_small(utl, start_server, tmp_path):
    """Holes go, the key space stays; the sizes are said on stderr."""
    with start_server(tmp_path / 'd') as s:
        for i in range(20):
            s.ctl('put', f'k{i}', 'x' * 100000)
        s.ctl('compaction', '21', '--physical')
        s.ctl('del', 'k', '--prefix')
        s.ctl('compaction', '22', '--physical')
    db = tmp_path / 'd/member/snap/db'
    before, hash_kv = json.loads(utl('snapshot', 'status', db, '-w', 'json').out), utl('hashkv', db).out
    r = utl('defrag', '--data-dir', 'd/', 'ignored')
    assert (r.out, r.err) == ('', '')
    first, last = [json.loads(line.split('\t')[4]) for line in r.logs]
    after = json.loads(utl('snapshot', 'status', db, '-w', 'json').out)
    assert before['totalSize'] > 2000000 > 50000 > after['totalSize']
    assert {k: before[k] for k in ('hash', 'revision', 'totalKey')} == {
        k: after[k] for k in ('hash', 'revision', 'totalKey')}
    assert utl('hashkv', db).out == hash_kv
    assert first['current-db-size-bytes'] == before['totalSize'] and last['current-db-size-bytes'] == after['totalSize']
    assert last['current-db-size-bytes-diff'] == after['totalSize'] - before['totalSize']
    with start_server(tmp_path / 'd') as s:
        s.ctl('put', 'k9', 'v9')


def test_a_running_server_keeps_its_lock(utl, start_server, tmp_path):
    """Whoever would change or hash the database of a running member gives up after --timeout, with status 2."""
    with start_server(tmp_path / 'd') as s:
        fill(s)
        began = time.monotonic()
        for args in (['defrag', '--data-dir', 'd'], ['hashkv', 'd/member/snap/db'],
                     ['migrate', '--data-dir', 'd', '--target-version', '3.6']):
            r = utl(*args, '--timeout', '200ms', status=2)
            assert r.err.endswith('panic: failed to open database\n'), r
            assert json.loads(r.logs[-1].split('\t')[4]) == {'path': 'd/member/snap/db', 'error': 'timeout'}
        assert time.monotonic() - began < 25  # without the flag each takes 10
        s.ctl('put', 'k9', 'v9')


def messages_of(r):
    return [(line.split('\t')[1], line.rstrip('\n').split('\t')[3:]) for line in r.logs]


def test_migrate_down_and_up(utl, ours, tmp_path):
    """One step at a time, each said; back at 3.7 all is as before."""
    shutil.copytree(ours.data_dir, tmp_path / 'd')
    db = 'd/member/snap/db'
    before = utl('snapshot', 'status', db).out

    def migrate(version, *flags):
        return messages_of(utl('migrate', '--data-dir', 'd', '--target-version', version, *flags))

    assert migrate('3.7') == [('info', ['storage version up-to-date', '{"storage-version":"3.7"}'])]
    assert migrate('3.6') == [('info', ['updated storage version', '{"new-storage-version":"3.6.0"}'])]
    assert utl('snapshot', 'status', db).out.endswith(', 3.6.0\n')
    assert migrate('3.5') == [('info', ['updated storage version', '{"new-storage-version":"3.5.0"}'])]
    assert utl('snapshot', 'status', db).out.endswith(' kB, \n')
    assert migrate('3.7') == [('info', ['updated storage version', '{"new-storage-version":"3.6.0"}']),
                              ('info', ['updated storage version', '{"new-storage-version":"3.7.0"}'])]
    assert utl('snapshot', 'status', db).out == before
    utl.fails(1, 'cannot create migration plan: version "3.8.0" is not supported', 'migrate', '--data-dir', 'd',
              '--target-version', '3.8')
    assert migrate('3.8', '--force') == [
        ('info', ['normal migrate failed, trying with force',
                  '{"error":"cannot create migration plan: version \\"3.8.0\\" is not supported"}']),
        ('warn', ['forcefully set storage version', '{"storage-version":"3.8"}'])]
    r = utl.fails(1, 'cannot create migration plan: changing major storage version is not supported', 'migrate',
                  '--data-dir', 'd', '--target-version', '4.0')
    assert messages_of(r)[0] == ('error', ['Changing major storage version is not supported',
                                           '{"storage-version":"3.8.0","target-storage-version":"4.0.0"}'])
    assert migrate('3.5', '--force')[1] == ('warn', ['forcefully cleared storage version'])
    shutil.rmtree(tmp_path / 'd/member/wal')
    utl.fails(1, 'failed to get the lastest snapshot: [readWALNames] fileutil.ReadDir failed: open d/member/wal: no such '
                 'file or directory', 'migrate', '--data-dir', 'd', '--target-version', '3.6', '--force')


def test_migrated_for_an_older_server(utl, real, real_bin, start_server, tmp_path):
    """A directory of 3.5 goes up to 3.7 and down again; a real 3.5 then serves it."""
    shutil.copytree(real.data_dir, tmp_path / 'd')
    utl('migrate', '--data-dir', 'd', '--target-version', '3.7')
    utl('migrate', '--data-dir', 'd', '--target-version', '3.5')
    with start_server(tmp_path / 'd', etcd=real_bin / 'etcd') as s:
        assert json.loads(s.ctl('get', '', '--from-key', '-w', 'json'))['kvs'] == real.kvs
