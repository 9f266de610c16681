"""The load generator, against our server and a real etcd: its report, and what is in the store afterwards."""
import json
import os
import re
import subprocess
import time

import pytest

from etcdctl_lib import patience

SUMMARY = ['Total', 'Slowest', 'Fastest', 'Average', 'Stddev', 'Requests/sec']
READ_ALL = {'key': b'\0', 'range_end': b'\0'}


class Benchmark:
    def __init__(self, program, server):
        self.program, self.server = program, server

    def run(self, *args, status=0, **env):
        p = subprocess.run([str(self.program), '--endpoints', self.server.endpoint, *args], capture_output=True,
                           text=True, timeout=300, env={**os.environ, **env})
        assert p.returncode == status, (args, p.returncode, p.stdout, p.stderr)
        return p

    def __call__(self, line, **env):
        return self.run(*line.split(), **env).stdout

    def store(self):
        """{key: KeyValue}, and the revision."""
        r = self.server.grpc('etcdserverpb.KV/Range')(**READ_ALL)
        return {kv.key: kv for kv in r.kvs}, r.header.revision


@pytest.fixture(params=['ours', 'real'])
def bench(request, ketch_bin, start_server, tmp_path):
    etcd = request.getfixturevalue('real_bin') / 'etcd' if request.param == 'real' else None
    with start_server(tmp_path / 'bench.data', etcd=etcd) as s:
        yield Benchmark(ketch_bin / 'benchmark', s)


@pytest.fixture
def ours(ketch_bin, server):
    return Benchmark(ketch_bin / 'benchmark', server)


def reports(text):
    """The reports in a text, each as {label: number} with the histogram's sum as 'results'."""
    found = []
    for part in text.split('\nSummary:\n')[1:]:
        figures = {k: float(v) for k, v in re.findall(r'^  ([A-Z][\w/]+):\t([\d.e+-]+)', part, re.M)}
        assert list(figures) == SUMMARY
        lines = re.findall(r'^  [\d.e+-]+ \[(\d+)\]\t\|(∎*)$', part, re.M)
        assert len(lines) == 11
        figures['results'] = sum(int(n) for n, _ in lines)
        at = [float(v) for v in re.findall(r'^  [\d.]+% in ([\d.e+-]+) secs\.$', part, re.M)]
        assert at == sorted(at)
        assert 'Response time histogram:' in part and 'Latency distribution:' in part
        found.append(figures)
    return found


def test_put(bench):
    """Every put makes a revision, the keys are those of the key space, the values have the size asked for."""
    before = bench.store()[1]
    out = bench('put --total 300 --clients 20 --conns 3 --key-size 12 --val-size 33 --key-space-size 10 --sequential-keys')
    (r,) = reports(out)
    kvs, revision = bench.store()
    assert r['results'] == 300 and out.endswith('secs.\n\n')
    assert revision == before + 300
    assert sorted(kvs) == [bytes([2 * i]).ljust(12, b'\0') for i in range(10)]
    assert {kv.version for kv in kvs.values()} == {30}
    assert {len(kv.value) for kv in kvs.values()} == {33}


def test_put_hash(bench):
    """The hash printed at the end is the server's."""
    out = bench('put --total 60 --key-space-size 20 --check-hashkv')
    hashed = bench.server.grpc('etcdserverpb.Maintenance/HashKV')()
    told = re.search(r'\n\nHashKV Summary:\n\tHashKV: (\d+)\n\tEndpoint: (\S+)\n\tTime taken to get hashkv: \S+s\n\tDB size: '
                     r'[\d.]+ .?B\n$', out)
    assert told and int(told[1]) == hashed.hash and told[2] == bench.server.endpoint


def test_put_with_compaction(bench):
    """Compactions meanwhile take away old revisions and leave the newest ones."""
    assert reports(bench('put --total 60 --rate 60 --compact-interval 100ms --compact-index-delta 5'))[0]['results'] == 60
    read = bench.server.grpc('etcdserverpb.KV/Range')
    with pytest.raises(Exception, match='required revision has been compacted'):
        read(key=b'x', revision=2)
    read(key=b'x', revision=57)


def test_range(bench):
    """Each way of reading ends every read; what is wrong in the reading is counted, not lost."""
    bench('put --total 50 --key-space-size 50 --sequential-keys')
    for line in ('range k', 'range a z --count-only', 'range --prefix --keys-only', 'range k --consistency s --limit 3',
                 'range a z --paginate', 'range --prefix --limit 7'):
        out = bench(line + ' --total 40 --clients 5')
        word = 'serializable' if '-consistency s' in line else 'linearizable'
        assert out.startswith(f'bench with {word} range\n\nSummary:\n'), line
        assert reports(out)[0]['results'] == 40, line


def test_range_stream(ours, ketch_bin, start_server, real_bin, tmp_path):
    """RangeStream where there is one; an older server's refusal is in the error distribution, and no summary."""
    assert reports(ours('range a z --stream --total 20 --clients 3'))[0]['results'] == 20
    with start_server(tmp_path / 'real.data', etcd=real_bin / 'etcd') as s:
        out = Benchmark(ketch_bin / 'benchmark', s)('range a z --stream --total 7')
    assert 'Summary' not in out
    assert re.search(r'\nError distribution:\n  \[7\]\trpc error: code = Unimplemented ', out)


def test_range_in_pages(ours):
    """More keys than a page: each read is several requests, all at the revision of the first."""
    ours('put --total 20500 --clients 200 --key-space-size 20500 --sequential-keys')
    ranges = 'etcd_mvcc_range_total'

    def count():
        import urllib.request
        page = urllib.request.urlopen(f'http://{ours.server.endpoint}/metrics').read().decode()
        return int(float(re.search(rf'^{ranges} (\S+)$', page, re.M)[1]))

    before = count()
    assert reports(ours('range --prefix --paginate --total 4'))[0]['results'] == 4
    assert count() - before == 4 * 3


def test_txn_put(bench):
    """A transaction is one revision, whatever it puts; its keys follow one another."""
    before = bench.store()[1]
    out = bench('txn-put --total 20 --txn-ops 4 --key-space-size 8 --clients 3')
    kvs, revision = bench.store()
    assert reports(out)[0]['results'] == 20 and revision == before + 20
    assert len(kvs) == 8 and {kv.version for kv in kvs.values()} == {10}


def test_txn_mixed(bench):
    """Reads and writes are told apart and make up the total; only the writes make revisions."""
    before = bench.store()[1]
    out = bench('txn-mixed x --total 400 --rw-ratio 3 --key-space-size 20 --limit 5 --clients 8')
    reads, writes = reports(out)
    told = [int(n) for n in re.findall(r'^Total (?:Read|Write) Ops: (\d+)\nDetails:\n', out, re.M)]
    assert [reads['results'], writes['results']] == told and sum(told) == 400
    assert 220 < told[0] < 380
    assert bench.store()[1] == before + told[1]


WATCH = 'watch --streams 4 --watch-per-stream 5 --watched-key-total 3 --put-total 12 --conns 2 --key-space-size'


def watch_events(bench, line):
    """The events that a run of WATCH reports; its first report is checked."""
    out = bench(line)
    created, events = reports(out)
    assert out.startswith('Watch creation summary:\n\nSummary:\n') and '\nWatch events received summary:\n\nSummary:\n' in out
    assert created['results'] == 20
    return events['results']


def test_watch(bench):
    """Every watch is created and sees every put of its key."""
    assert watch_events(bench, f'{WATCH} 100 --sequential-keys') == 20 * 12 / 3


@pytest.mark.parametrize('size', [1, 2, 100])
def test_watch_chance(bench, size):
    """Keys drawn by chance may be equal: their watches, of the 7, 7 and 6, see the puts of both."""
    events = watch_events(bench, f'{WATCH} {size}')
    versions = sorted(kv.version for kv in bench.store()[0].values())
    two_equal = (14 * 8 + 6 * 4, 13 * 8 + 7 * 4)
    may = {(4, 4, 4): (20 * 4,), (4, 8): two_equal, (12,): (20 * 12,)}
    assert len(versions) <= size and events in may[tuple(versions)]


def test_watch_get(bench):
    """Reads go on until the watches have caught up on what was put before."""
    out = bench('watch-get --watchers 200 --streams 3 --events 4')
    (r,) = reports(out)
    assert out.startswith('Get during watch summary:\n') and r['results'] >= 1
    assert bench.store()[0][b'watchkey'].version == 4


def test_watch_latency(bench):
    """Puts and events are reported apart: an event for each put and watch."""
    out = bench('watch-latency --put-total 20 --put-rate 200 --streams 2 --watchers-per-stream 3 --prevkv')
    puts, events = reports(out)
    assert out.startswith('\nPut summary:\n') and '\n\nWatch events summary:\n' in out
    assert (puts['results'], events['results']) == (20, 120)


def test_lease_keepalive(bench):
    """Each client has a lease, and all renewals are answered."""
    assert reports(bench('lease-keepalive --total 60 --clients 4 --conns 2'))[0]['results'] == 60
    assert len(bench.server.grpc('etcdserverpb.Lease/LeaseLeases')().leases) == 4


@pytest.mark.parametrize('way', ['--isolation c', '--isolation r', '--isolation s', '--isolation ss',
                                 '--stm-locker lock-client --conns 2', '--stm-locker lock-rpc'])
def test_stm(bench, way):
    """Transactions that all write one key: each has written it once in the end, and no lock is left."""
    out = bench(f'stm --total 40 --clients 6 --txn-wr-percent 100 {way}')
    kvs, _ = bench.store()
    assert reports(out)[0]['results'] == 40
    (only,) = kvs.values()
    assert len(only.key) == 16 and only.version == 40


@pytest.mark.parametrize('line,results', [('', 100), ('--total 30 --txn --txn-ops 4', 30),
                                          ('--total 3000 --batch-limit 100', 3000)])
def test_mvcc_put(ketch_bin, tmp_path, line, results):
    """The key space without a server: a report, and the scratch file is gone; one that is there already is left alone."""
    command = [str(ketch_bin / 'benchmark'), 'mvcc', 'put', *line.split()]
    p = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert p.returncode == 0, p.stderr
    assert p.stdout.startswith('{"level":"info","msg":"kvstore restored","current-rev":1}\n\nSummary:\n')
    assert reports(p.stdout)[0]['results'] == results and list(tmp_path.iterdir()) == []
    (tmp_path / 'mvcc-bench').write_text('mine')
    assert subprocess.run(command, capture_output=True, cwd=tmp_path, timeout=60).returncode == 1
    assert (tmp_path / 'mvcc-bench').read_text() == 'mine'


def test_seed(ours):
    """The same seed makes the same keys and values; another makes others."""
    stores = []
    for seed in '7', '7', '8':
        ours(f'put --total 30 --key-space-size 100000 --val-size 20 --seed {seed}')
        stores.append({k: kv.value for k, kv in ours.store()[0].items()})
        ours.server.grpc('etcdserverpb.KV/DeleteRange')(**READ_ALL)
    assert stores[0] == stores[1] != stores[2]
    assert len(stores[0]) > 25


def test_rate(ours):
    """With a rate, requests begin at that pace although the clients could do more."""
    began = time.monotonic()
    (r,) = reports(ours('put --total 100 --rate 200 --clients 50'))
    assert time.monotonic() - began > 0.45
    assert r['Total'] > 0.45


def test_precise_sample_and_file(ours, tmp_path):
    """More digits, a line per second, and the percentiles as a file whose name is printed first."""
    out = ours('put --total 40 --precise --sample --report-perfdash', ARTIFACTS=str(tmp_path / 'artifacts'))
    path = re.match(r'Successfully created a JSON perf report at (\S+/EtcdAPI_benchmark_put_\S+Z\.json)\n', out)[1]
    assert re.search(r'^  Average:\t0\.\d{6,} secs\.$', out, re.M)
    rows = re.search(r'AVG-THROUGHPUT\n((?:\d+,\S+s,\S+s,\S+s,\d+\n)+)\n\n$', out)[1].split()
    assert sum(int(row.split(',')[-1]) for row in rows) == 40
    item = json.load(open(path))['dataItems'][0]
    assert item['labels'] == {'Operation': 'PUT'} and item['unit'] == 'ms'
    assert 0 < item['data']['Perc50'] <= item['data']['Perc90'] <= item['data']['Perc99'] or item['data']['Perc99'] == 0


def test_login(ketch_bin, start_server, real_bin, tmp_path):
    """With --user every request has a token; without it a server with authentication refuses all of them."""
    with start_server(tmp_path / 'real.data', etcd=real_bin / 'etcd') as s:
        bench = Benchmark(ketch_bin / 'benchmark', s)
        for line in 'user add root:pw', 'role add root', 'user grant-role root root', 'auth enable':
            subprocess.run([real_bin / 'etcdctl', '--endpoints', s.endpoint, *line.split()], check=True, env={**os.environ, **patience([])})
        assert reports(bench('put --total 10 --conns 2 --user root:pw'))[0]['results'] == 10
        assert '\nError distribution:\n  [3]\tetcdserver: user name is empty\n' in bench('put --total 3')
        assert 'authentication failed' in bench.run('put', '--user', 'root:wrong', status=1).stderr


WRONG = [
    ('put --key-space-size 0', 1, 'expected positive --key-space-size, got (0)'),
    ('put --key-size 1 --key-space-size 1000', 1, 'expected --key-size between 2 '),
    ('txn-put --txn-ops 4', 1, 'expected --txn-ops no larger than --key-space-size, got txn-ops(4) key-space-size(1)'),
    ('stm --keys 0', 1, 'expected positive --keys, got (0)'),
    ('stm --txn-wr-percent 101', 1, 'expected [0, 100] --txn-wr-percent, got (101)'),
    ('stm --keys-per-txn 3', 1, 'expected --keys-per-txn between 0 and 1, got (3)'),
    ('stm --stm-locker x', 1, 'unexpected stm locker "x"'),
    ('stm --isolation x', 1, '<nil>'),
    ('range k --paginate --limit 5', 1, '--paginate and --limit are mutually exclusive'),
    ('range k --keys-only --count-only', 1, '`--keys-only` and `--count-only` cannot be set at the same time'),
    ('range', 1, '<nil>'),
    ('range k --consistency x', 1, '<nil>'),
    ('put --cacert /nonexist', 1, 'bad tls config: open /nonexist: no such file or directory'),
    ('put --endpoints=', 1, 'dial error: etcdclient: no available endpoints'),
    ('put --clients 0', 1, 'expected --clients between 1 and '),
    ('txn-mixed --rw-ratio x', 255,
     'invalid argument "x" for "--rw-ratio" flag: strconv.ParseFloat: parsing "x": invalid syntax'),
    ('foo', 255, 'Error: unknown command "foo" for "benchmark"\nRun \'benchmark --help\' for usage.'),
]


@pytest.mark.parametrize('line,status,words', WRONG, ids=[w[0] for w in WRONG])
def test_mistakes(ketch_bin, line, status, words):
    """What is wrong on the command line is said in etcd's words where it has any, with its exit status."""
    p = subprocess.run([str(ketch_bin / 'benchmark'), *line.split()], capture_output=True, text=True, timeout=20)
    assert p.returncode == status and words in p.stderr, (p.returncode, p.stdout, p.stderr)
