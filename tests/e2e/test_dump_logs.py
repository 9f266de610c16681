"""etcd-dump-logs on logs that a server of ours and a real etcd wrote; outputs and errors as in the reference sheet."""
import random
import re
import shutil
import stat
import subprocess
import urllib.request

import pytest

HEAD = 'term\t     index\ttype\tdata'
COUNT = '\nEntry types ({}) count is : {}\n'


@pytest.fixture
def dump(ketch_bin, tmp_path):
    def run(*args, status=0):
        p = subprocess.run([str(ketch_bin / 'etcd-dump-logs'), *map(str, args)], cwd=tmp_path, capture_output=True, timeout=60)
        assert status is None and p.returncode in (0, 1) or p.returncode == status, (args, p)
        return p.stdout.decode(), re.sub(r'(?m)^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d ', 'TIME ', p.stderr.decode())
    return run


def written_by(ketch_bin, folder, etcd):
    from conftest import Messages, Server
    s = Server(etcd, folder / 'd', [], folder / 'log', ketch_bin / 'etcdctl', object.__new__(Messages))
    s.start()
    try:
        s.wait_for(lambda: b'not_decided' not in urllib.request.urlopen(f'http://{s.endpoint}/version', timeout=30).read())
        s.ctl('put', 'k1', 'v1')
        s.ctl('put', 'k2', 'a"b\x01é')
        s.ctl('del', 'k1')
        lease = int(s.ctl('lease', 'grant', '1000').split()[1], 16)
        s.ctl('put', 'k3', 'v3', f'--lease={lease:x}')
        s.ctl('lease', 'revoke', f'{lease:x}')
        s.ctl('txn', input='\nput t1 a\nput t2 b\n\n\n')
        s.ctl('compaction', '3')
    finally:
        s.stop()
    return folder / 'd', lease


@pytest.fixture(scope='module')
def ours(ketch_bin, tmp_path_factory):
    return written_by(ketch_bin, tmp_path_factory.mktemp('ours'), ketch_bin / 'etcd')


@pytest.fixture(scope='module')
def real(ketch_bin, real_bin, tmp_path_factory):
    return written_by(ketch_bin, tmp_path_factory.mktemp('real'), real_bin / 'etcd')


def requests(lease):
    """What the entries from 5 on say, without their headers."""
    return ['put:{key:"k1" value:"v1"}', r'put:{key:"k2" value:"a\"b\x01é"}', 'delete_range:{key:"k1"}',
            f'lease_grant:{{TTL:1000 ID:{lease}}}', f'put:{{key:"k3" value:"v3" lease:{lease}}}',
            f'lease_revoke:{{ID:{lease}}}',
            'txn:{success:{request_put:{key:"t1" value:"a"}} success:{request_put:{key:"t2" value:"b"}}}',
            'compaction:{revision:3}']


def rows(out):
    """(term, index, type, text) of each entry; blanks between fields are one or two, as in Go."""
    table = out.split(HEAD, 1)[1].split('\n\nEntry types')[0].splitlines()[1:]
    lines = [re.sub(r'header:\{ID:\d+\} +', '', row).replace('  ', ' ') if '\t' in row else row for row in table]
    for row in table:
        assert re.match(r' {0,3}\d+\t {0,9}\d+\t(conf|norm)\t', row), row
    return [tuple(f.strip() for f in line.split('\t')) for line in lines]


def check_whole(dump, d, lease):
    out, err = dump(d)
    assert err == ''
    r = rows(out)
    n, term = len(r), r[1][0]  # 2, but for a disk that let its election wait
    assert out.startswith(
        'Snapshot:\nempty\nStart dumping log entries from snapshot.\nWAL metadata:\nnodeID=8e9e05c52164694d '
        f'clusterID=cdf818194e3a8c32 term={term} commitIndex={n} vote=8e9e05c52164694d\nWAL entries: {n}\nlastIndex={n}\n{HEAD}\n')
    assert out.endswith(COUNT.format('Normal,ConfigChange', n))
    assert r[0] == ('1', '1', 'conf', 'method=ConfChangeAddNode id=8e9e05c52164694d')
    assert int(term) >= 2 and {row[0] for row in r[1:]} == {term}
    assert [row[1] for row in r] == [str(i + 1) for i in range(n)]
    assert [row[3] for row in r[-8:]] == requests(lease)
    return r


def test_our_log(dump, ours):
    d, lease = ours
    r = check_whole(dump, d, lease)
    texts = [row[3] for row in r[:-8]]
    assert '' in texts  # the entry with which a leader begins
    assert any(t.startswith('cluster_member_attr_set:{member_ID:10276657743932975437 member_attributes:{name:"default" '
                            'client_urls:"http://127.0.0.1:') for t in texts)
    assert 'cluster_version_set:{ver:"3.7.0"}' in texts


def test_a_real_log(dump, real):
    """3.5 writes two requests of its v2 store, which nobody reads any more."""
    d, lease = real
    r = check_whole(dump, d, lease)
    assert [row[3] for row in r[1:4]] == ['', '???', '???']
    out, _ = dump('-entry-type', 'Request', d)
    assert [row[1] for row in rows(out)] == ['3', '4']


def test_filters(dump, ours):
    """Each filter shows what it names; one that is none is said and passed over."""
    d, lease = ours
    want = requests(lease)
    for types, texts in (('IRRPut', [want[0], want[1], want[4]]), ('IRRDeleteRange', [want[2]]), ('IRRTxn', [want[6]]),
                         ('IRRCompaction', [want[7]]), ('IRRLeaseGrant', [want[3]]), ('IRRLeaseRevoke', [want[5]]),
                         ('IRRRange,IRRLeaseCheckpoint,Request', []), ('IRRTxn,IRRCompaction', want[6:])):
        out, err = dump('-entry-type', types, d)
        assert ([row[3] for row in rows(out)], err) == (texts, '')
        assert out.endswith(COUNT.format(types, len(texts)))
    out, err = dump('--entry-type=bogus', d)
    assert out.endswith(COUNT.format('bogus', 0))
    assert err == ('TIME [bogus] is not a valid entry-type, ignored.\nPlease set entry-type to one or more of the following:\n'
                   'ConfigChange, Normal, Request, InternalRaftRequest,\nIRRRange, IRRPut, IRRDeleteRange, IRRTxn,\n'
                   'IRRCompaction, IRRLeaseGrant, IRRLeaseRevoke, IRRLeaseCheckpoint\n')


def test_indexes(dump, ours):
    """From an index to another; behind the end there is nothing."""
    d, _ = ours
    out, _ = dump('-start-index', '5', '-end-index', '8', d)
    assert out.startswith('Start dumping log entries from index 5.\nWAL metadata:\n')
    assert '\nWAL entries: 3\nlastIndex=7\n' in out and [row[1] for row in rows(out)] == ['5', '6', '7']
    out, _ = dump('-start-index', '1000', d)
    assert f'\nWAL entries: 0\n{HEAD}\n' in out and out.endswith(COUNT.format('Normal,ConfigChange', 0))
    out, _ = dump('-start-index=0', '-end-index=0x2', d)
    assert [row[1] for row in rows(out)] == ['1']
    out, _ = dump('-end-index', '1', d)
    assert '\nWAL entries: 0\n' in out and rows(out) == []


def test_behind_a_snapshot(dump, ketch_bin, ours, tmp_path):
    """A restored directory begins with a snapshot; the log may lie elsewhere, the snapshot be chosen, and damage be passed over."""
    subprocess.run([ketch_bin / 'etcdutl', 'snapshot', 'restore', ours[0] / 'member/snap/db', '--skip-hash-check',
                    '--data-dir', 'r', '--wal-dir', 'w'], cwd=tmp_path, check=True, capture_output=True)
    head = ('Snapshot:\nterm=1 index=1 nodes=[8e9e05c52164694d] confstate={"voters":[10276657743932975437],'
            '"auto_leave":false}\nStart dumping log entries from snapshot.\n')
    for flags in ([], ['-start-snap', '0000000000000001-0000000000000001.snap']):
        out, err = dump('-wal-dir', 'w', *flags, 'r/')
        assert (out, err) == (
            head + 'WAL metadata:\nnodeID=8e9e05c52164694d clusterID=cdf818194e3a8c32 term=1 commitIndex=1 '
                   f'vote=8e9e05c52164694d\nWAL entries: 0\n{HEAD}\n' + COUNT.format('Normal,ConfigChange', 0), '')
    (tmp_path / 'r/member/snap/0000000000000009-0000000000000009.snap').write_bytes(b'no snapshot')
    out, err = dump('-wal-dir', 'w', 'r')
    assert out.startswith(head) and err.startswith('TIME Warning: passing over 0000000000000009-0000000000000009.snap: ')
    shutil.copytree(ours[0] / 'member/wal', tmp_path / 'other')
    out, err = dump('-wal-dir', 'other', 'r', status=1)
    assert err.endswith('TIME Failed reading WAL: wal: snapshot not found\n')


def script(folder, text):
    path = folder / 'decoder.sh'
    path.write_text('#!/bin/sh\n' + text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def decoded(dump, d, program, types='IRRTxn'):
    out, err = dump('-stream-decoder', program, '-entry-type', types, d)
    assert HEAD + '\tdecoder_status\tdecoded_data\n' in out
    return [row.split('\t')[4:] for row in out.split(HEAD)[1].split('\n\n')[0].splitlines()[1:]], err


def test_decoder(dump, ours, tmp_path):
    """Each entry shown is one line in hexadecimal to the decoder, and its answer two columns."""
    d, _ = ours
    answers, err = decoded(dump, d, script(tmp_path, 'while read l; do echo "OK|$l"; done\n'), 'IRRPut')
    assert err == '' and [a[0] for a in answers] == ['OK'] * 3
    assert answers[0][1].startswith('22080a026b3112027631')  # put: k1, v1
    answers, err = decoded(dump, d, script(tmp_path, 'echo oops >&2\nwhile read l; do echo "A|b|c"; done\n'))
    assert answers == [['A(*WARNING: data might contain deliminator used by etcd-dump-logs)', 'bc']]
    assert err == 'decoder stderr: oops\n'
    answers, _ = decoded(dump, d, script(tmp_path, 'while read l; do echo "$1-$2"; done\n').__str__() + ' x y')
    assert answers == [['decoder output format is not right, print output anyway', 'x-y']]


def test_decoders_that_fail(dump, ours, tmp_path):
    d, _ = ours
    for program, words in (('./nosuch', 'fork/exec ./nosuch: no such file or directory'),
                           ('nosuch', 'exec: "nosuch": executable file not found in $PATH'),
                           (str(script(tmp_path, 'while read l; do echo "a|b"; done; exit 3\n')), 'exit status 3')):
        _, err = dump('-stream-decoder', program, d, status=2)
        assert err == f'TIME {words}\npanic: {words}\n'
    out, err = dump('-stream-decoder', 'true', d)
    assert out.endswith('EOF\n') and 'count is' not in out and err == ''


def test_raw(dump, ours):
    """Every record in one line; the flags that filter do not go with it."""
    d, _ = ours
    out, _ = dump('-raw', d)
    lines = out.splitlines()
    assert lines[:3] == ['CRC: 0', 'Metadata: NodeID:10276657743932975437 ClusterID:14841639068965178418',
                         'Snapshot: index:0 term:0']
    assert re.fullmatch(r'Entry: Term:1 Index:1 Type:EntryConfChange Data:".*\\"name\\":\\"default\\"}" ', lines[3])
    term, = {m[1] for m in (re.fullmatch(r'Entry: Term:(\d+) Index:2', line) for line in lines) if m}
    assert 'HardState: term:1 vote:0 commit:1' in lines
    assert any(re.fullmatch(rf'Entry: Term:{term} Index:\d+ Data:"\\"\\016\\n\\002k2\\022\\.*a\\"b\\001\\303\\251.*" ', line)
               or r'\022\006a\"b\001\303\251' in line for line in lines)
    assert lines[-1] == 'EOF: All entries were processed.'
    later = dump('-raw', '-start-index', '9', d)[0].splitlines()
    assert later[:2] == lines[:2] and not any(' Index:8' in line or 'commit:8' in line for line in later)
    assert [line for line in later if line.startswith('Entry')] == [
        line for line in lines if line.startswith('Entry') and int(re.search(r'Index:(\d+)', line)[1]) >= 9]
    words = 'TIME Flags --entry-type, --stream-decoder, --entrytype not supported in the RAW mode.\n'
    for flags in (['-entry-type', 'Normal'], ['-stream-decoder', 'x'], ['-start-snap', 'x']):
        assert dump('-raw', *flags, d, status=1) == ('', words)


def test_raw_of_a_damaged_log(dump, ours, tmp_path):
    """A wrong checksum is said once, and what lies behind it is shown."""
    shutil.copytree(ours[0], tmp_path / 'd')
    wal = next((tmp_path / 'd/member/wal').glob('*.wal'))
    data = bytearray(wal.read_bytes())
    at = data.index(b'k3\x12\x02v3')
    data[at] ^= 1
    wal.write_bytes(data)
    (tmp_path / 'd/member/wal/note.txt').write_text('')
    out, err = dump('-raw', 'd')
    assert 'EOF: All entries were processed.' in out and 'compaction' not in out and ' Index:12' in out
    assert re.fullmatch(r'(TIME Warning: Ignoring not \.wal file: \S+\n)+TIME Error: Reading entry failed with CRC error: '
                        r'segment \S+, offset \d+\n', err)
    out, err = dump('d', status=1)
    assert err.startswith('TIME Failed reading WAL: segment ')


@pytest.mark.parametrize('args, words', [
    ([], 'Must provide data-dir argument (got [])'),
    (['a', 'b'], 'Must provide data-dir argument (got [a b])'),
    (['-start-snap', 'x', '-start-index', '5', 'd'], 'start-snap and start-index flags cannot be used together.'),
    (['nodir'], 'Failed loading snapshot: open nodir/member/snap: no such file or directory'),
    (['-raw', 'nodir'], "Error: Failed to read directory 'nodir/member/wal' error:open nodir/member/wal: no such file or "
                        'directory'),
    (['-start-snap', 'nosuch', 'd'], 'Failed loading snapshot: open d/member/snap/nosuch: no such file or directory'),
    (['-start-index', '5', 'e'], 'Failed opening WAL: [openAtIndex] selectWALFiles failed: readWALNames failed: wal: file not '
                                 'found'),
    (['d'], 'Failed opening WAL: [openAtIndex] selectWALFiles failed: readWALNames failed: [readWALNames] fileutil.ReadDir '
            'failed: open d/member/wal: no such file or directory'),
])
def test_errors(dump, tmp_path, args, words):
    (tmp_path / 'd/member/snap').mkdir(parents=True)
    (tmp_path / 'e/member/wal').mkdir(parents=True)
    assert dump(*args, status=1)[1] == f'TIME {words}\n'


def test_usage(dump, ketch_bin):
    """-h lists etcd's flags, types and defaults; an unknown flag does so after a word, with status 2."""
    out, usage = dump('-h')
    name = ketch_bin / 'etcd-dump-logs'
    assert out == '' and usage.startswith(f'Usage of {name}:\n')
    flags = re.findall(r'^  -([\w-]+)(?: (\w+))?\n((?:    \t.*\n)+)', usage, re.M)
    defaults = [re.search(r'\(default (\S+)\)\n$', text) for _, _, text in flags]
    assert [(n, t, d and d[1]) for (n, t, _), d in zip(flags, defaults)] == [
        ('end-index', 'uint', '18446744073709551615'), ('entry-type', 'string', '"Normal,ConfigChange"'), ('raw', '', None),
        ('start-index', 'uint', None), ('start-snap', 'string', None), ('stream-decoder', 'string', None),
        ('wal-dir', 'string', None)]
    assert dump('-bogus', status=2) == ('', 'flag provided but not defined: -bogus\n' + usage)


def test_cut_and_changed_logs(dump, ours, tmp_path):
    """Whatever bits are wrong, both ways of showing end with words and status 0 or 1."""
    shutil.copytree(ours[0], tmp_path / 'd')
    wal = next((tmp_path / 'd/member/wal').glob('*.wal'))
    whole, chance = wal.read_bytes(), random.Random(5)
    used = len(whole.rstrip(b'\0'))
    for i in range(40):
        bad = bytearray(whole[:used + 512])
        if i % 4 == 0:
            del bad[chance.randrange(used):]
        for _ in range(i % 4):
            bad[chance.randrange(used)] ^= 1 << chance.randrange(8)
        wal.write_bytes(bad)
        out, err = dump('d', status=None)
        assert 'count is' in out or err, i
        out, err = dump('-raw', 'd', status=None)
        assert 'EOF' in out or 'Reading failed' in err, i
