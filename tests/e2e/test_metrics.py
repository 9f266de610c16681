"""The families on the metrics page against those of a real 3.7.1 (metrics_of_3_7_1.txt: name, type, labels, buckets)."""
import pathlib
import re
import urllib.request

from etcdctl_lib import Ctl

REAL = pathlib.Path(__file__).with_name('metrics_of_3_7_1.txt')


def page(server):
    """Families by name: type, labels, buckets, all as the file writes them; and the page."""
    with urllib.request.urlopen(f'http://{server.endpoint}/metrics', timeout=10) as r:
        text = r.read().decode()
    types = dict(re.findall(r'^# TYPE (\S+) (\S+)$', text, re.M))
    labels, buckets = {}, {}
    for name, inside in re.findall(r'^(\w+)(?:\{(.*)\})? \S+$', text, re.M):
        base = re.sub(r'_(bucket|sum|count)$', '', name)
        base = base if types.get(base) == 'histogram' else name
        pairs = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', inside)
        labels.setdefault(base, [k for k, _ in pairs if k != 'le'])
        for k, v in pairs:
            if k == 'le' and v not in buckets.setdefault(base, []):
                buckets[base].append(v)
    rows = {n: (t, ','.join(labels.get(n, [])) or '-', ','.join(buckets.get(n, [])) or '-') for n, t in types.items()}
    return rows, text


def test_families(server):
    """Every family of a real member is there with its type, labels and buckets; ours beside them say so."""
    ctl = Ctl(server.ctl_path, server.endpoint)
    for i in range(3):
        ctl('put', 'k', str(i))
    ctl('get', 'k')
    real = {n: (t, labels, buckets) for n, t, labels, buckets in (row.split() for row in REAL.read_text().splitlines())}
    ours, _ = page(server)
    wrong = {n: (want, ours.get(n)) for n, want in real.items() if ours.get(n) != want}
    assert wrong == {}
    assert [n for n in ours if n not in real and not n.startswith(('ketch_', 'go_', 'promhttp_'))] == []


def test_counts(server):
    """What is counted goes up by what was done."""
    ctl = Ctl(server.ctl_path, server.endpoint)
    ctl('put', 'a', '1')
    ctl('put', 'b', '2')
    ctl('del', 'a', 'c', '--range')
    lease = ctl('lease', 'grant', '100').split()[1]
    ctl('lease', 'revoke', lease)
    ctl('compaction', '3', '--physical')
    _, text = page(server)
    for line in ['etcd_mvcc_put_total 2', 'etcd_mvcc_delete_total 2', 'etcd_debugging_lease_granted_total 1',
                 'etcd_debugging_lease_revoked_total 1', 'etcd_debugging_lease_ttl_total_bucket{le="64"} 0',
                 'etcd_debugging_lease_ttl_total_bucket{le="128"} 1',
                 'etcd_debugging_mvcc_db_compaction_total_duration_milliseconds_count 1',
                 'etcd_server_apply_duration_seconds_count{op="Put",success="true",version="v3"} 2',
                 'etcd_server_apply_duration_seconds_count{op="DeleteRange",success="true",version="v3"} 1',
                 'etcd_server_apply_duration_seconds_count{op="LeaseGrant",success="true",version="v3"} 1']:
        assert f'\n{line}\n' in text, line
    written = int(re.search(r'^etcd_disk_wal_write_bytes_total (\d+)', text, re.M)[1])
    assert written > 100


def test_age_of_the_oldest_view(server):
    """The age of the oldest view is in seconds: small in a member that has just started."""
    for i in range(50):
        server.ctl('put', 'k', str(i))
    _, text = page(server)
    assert 0 <= float(re.search(r'^ketch_mvcc_db_oldest_view_seconds (\S+)', text, re.M)[1]) < 60
