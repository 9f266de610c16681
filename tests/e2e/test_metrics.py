"""The families on the metrics page against those of a real 3.7.1 (metrics_of_3_7_1.txt: name, type, labels, buckets)."""
import pathlib
import re
import threading
import urllib.request

import abuse_lib as abuse
import h2_raw as h2
from etcdctl_lib import Ctl

REAL = pathlib.Path(__file__).with_name('metrics_of_3_7_1.txt')


def page(server):
    """Families by name: type, labels, buckets, all as the file writes them; and the page."""
    with urllib.request.urlopen(f'http://{server.endpoint}/metrics', timeout=30) as r:
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


def whole(text):
    """Series by name and labels, each there once; every histogram adds up."""
    series = dict(re.findall(r'^([^#].*) (\S+)$', text, re.M))
    assert len(series) == sum(not line.startswith('#') for line in text.splitlines())
    for name, buckets in re.findall(r'^# TYPE (\S+) histogram\n((?:[^#].*\n)*)', text, re.M):
        last = 0
        for line in buckets.splitlines():
            beginning, n = line.rsplit(' ', 1)
            if beginning.startswith(f'{name}_bucket'):
                assert float(n) >= last, line
                last = 0 if 'le="+Inf"' in beginning else float(n)
                total = n
            elif beginning.startswith(f'{name}_count'):
                assert n == total, line
    return series


def test_while_values_move(server):
    """Pages made while clients put, each with a version of its own, so that the page is long and gets longer: every page is whole, and
    no number that counts goes back."""
    port, pages, versions = int(server.endpoint.rsplit(':', 1)[1]), [], 4000
    request = h2.message(b'\x0a\x01k\x12\x01v')

    def puts():
        with h2.Connection(port, abuse.WIDE) as c:
            for first in range(0, versions, 500):
                c.send(b''.join(h2.frame(h2.HEADERS, h2.END_HEADERS, 1 + 2 * i, h2.request_head(
                    abuse.PUT, h2.field('client-api-version', f'v{i:0>50}'))) + h2.frame(h2.DATA, h2.END_STREAM, 1 + 2 * i, request)
                    for i in range(first, first + 500)))
                answered = 0
                for kind, flags, _, _ in c.frames():
                    answered += kind == h2.HEADERS and flags & h2.END_STREAM
                    if answered == 500:
                        break

    client = threading.Thread(target=puts)
    client.start()
    while client.is_alive():
        pages.append(page(server)[1])
    client.join()
    pages.append(page(server)[1])
    before = {}
    for text in pages:
        now = whole(text)
        counts = {name: float(n) for name, n in now.items() if re.match(r'\w+_(total|count|bucket)[ {]', name + ' ')}
        gauges = set(re.findall(r'^# TYPE (\S+) gauge$', text, re.M))
        for name, n in counts.items():
            assert name.split('{')[0] in gauges or n >= before.get(name, 0), name
        before = counts
    assert len(pages[-1]) > 2 * (256 << 10)
    for i in range(versions):
        assert now[f'etcd_server_client_requests_total{{client_api_version="v{i:0>50}",type="unary"}}'] == '1'
    assert float(now['etcd_mvcc_put_total']) == versions
