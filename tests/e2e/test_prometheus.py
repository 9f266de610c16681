"""Prometheus and etcd's dashboards over our metrics page: the page is well-formed, and has what their expressions name."""
import contextlib
import json
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pytest

from cluster_lib import Cluster
from conftest import free_ports, has_sanitizer

# Of etcd's monitoring mixin: each of its 15 alerts, the series that its expression reads, and the labels it selects or sums by.
ALERTS = {
    'etcdMembersDown': {'etcd_network_peer_sent_failures_total': ['To']},
    'etcdInsufficientMembers': {},  # `up` alone, which is Prometheus' own
    'etcdNoLeader': {'etcd_server_has_leader': []},
    'etcdHighNumberOfLeaderChanges': {'etcd_server_leader_changes_seen_total': []},
    'etcdHighNumberOfFailedGRPCRequests (warning)': {'grpc_server_handled_total': ['grpc_type', 'grpc_code']},
    'etcdHighNumberOfFailedGRPCRequests (critical)': {'grpc_server_handled_total': ['grpc_type', 'grpc_code']},
    'etcdGRPCRequestsSlow': {'grpc_server_handling_seconds_bucket': ['grpc_type', 'grpc_method', 'le']},
    'etcdMemberCommunicationSlow': {'etcd_network_peer_round_trip_time_seconds_bucket': ['To', 'le']},
    'etcdHighNumberOfFailedProposals': {'etcd_server_proposals_failed_total': []},
    'etcdHighFsyncDurations (warning)': {'etcd_disk_wal_fsync_duration_seconds_bucket': ['le']},
    'etcdHighFsyncDurations (critical)': {'etcd_disk_wal_fsync_duration_seconds_bucket': ['le']},
    'etcdHighCommitDurations': {'etcd_disk_backend_commit_duration_seconds_bucket': ['le']},
    'etcdDatabaseQuotaLowSpace': {'etcd_mvcc_db_total_size_in_bytes': [], 'etcd_server_quota_backend_bytes': []},
    'etcdExcessiveDatabaseGrowth': {'etcd_mvcc_db_total_size_in_bytes': [], 'etcd_server_quota_backend_bytes': []},
    'etcdDatabaseHighFragmentationRatio': {'etcd_mvcc_db_total_size_in_use_in_bytes': [],
                                           'etcd_mvcc_db_total_size_in_bytes': []},
}

# What its dashboard shows beside that.
DASHBOARD = {
    'grpc_server_started_total': ['grpc_type', 'grpc_service', 'grpc_method'],
    'grpc_server_handled_total': ['grpc_type', 'grpc_service', 'grpc_method', 'grpc_code'],
    'process_resident_memory_bytes': [], 'etcd_server_proposals_pending': [],
    'etcd_server_proposals_committed_total': [], 'etcd_server_proposals_applied_total': [],
    'etcd_network_client_grpc_received_bytes_total': [], 'etcd_network_client_grpc_sent_bytes_total': [],
    'etcd_network_peer_received_bytes_total': ['From'], 'etcd_network_peer_sent_bytes_total': ['To'],
}


def page(server):
    with urllib.request.urlopen(f'http://{server.endpoint}/metrics', timeout=30) as r:
        return r.read().decode()


def test_what_the_mixin_reads(ketch_bin, messages, tmp_path):
    """Each series of the 15 alerts and of the dashboard is on the page of a member of three, with its labels."""
    flags = ['--metrics=extensive']
    with Cluster([ketch_bin / 'etcd'] * 3, tmp_path, ketch_bin / 'etcdctl', messages, flags) as cluster:
        one, victim = cluster.members[0], cluster.members[2]
        one.ctl('put', 'k', 'v')
        victim.kill()
        failed = re.compile(r'^etcd_network_peer_sent_failures_total\{To="\w+"\} \d', re.M)
        one.wait_for(lambda: failed.search(page(one)))
        one.wait_for(lambda: 'etcd_network_peer_round_trip_time_seconds_bucket{To=' in page(one))
        text = page(one)
    missing = []
    for alert, series in [*ALERTS.items(), ('dashboard', DASHBOARD)]:
        for name, labels in series.items():
            lines = re.findall(rf'^{name}(?:\{{(.*)\}})? \S+$', text, re.M)
            if not lines or any(not re.search(rf'(^|,){label}="', inside) for inside in lines for label in labels):
                missing.append((alert, name, labels))
    assert missing == []
    assert len(ALERTS) == 15


def test_promtool(server):
    """Prometheus' own checker reads the page; what it finds fault with is etcd's names, which are what they are."""
    promtool = shutil.which('promtool')
    if promtool is None:
        pytest.skip("skipped: no promtool (Debian's package prometheus)")
    server.ctl('put', 'k', 'v')
    text = page(server)
    p = subprocess.run([promtool, 'check', 'metrics'], input=text, capture_output=True, text=True, timeout=30)
    assert p.returncode != 1, p.stderr  # 1: cannot be read; 3: the linter would like other names
    faults = [line for line in p.stderr.splitlines() if line and not line.startswith('etcd_') and not line.startswith('go_')]
    assert faults == []
    ours = [line for line in p.stderr.splitlines() if line.startswith('ketch_')]
    assert ours == []


# What each alert computes before it compares: on a cluster that was scraped a few times there must be a number.
QUANTILE = 'histogram_quantile(0.99, rate({}_bucket{{job="etcd"}}[5m]))'
VALUES = {
    'members down': 'max without (endpoint) (sum without (instance) (up{job="etcd"} == bool 0) or count without (To) '
                    '(sum without (instance) (rate(etcd_network_peer_sent_failures_total{job="etcd"}[120s])) > 0.01))',
    'insufficient members': 'sum(up{job="etcd"} == bool 1) without (instance) / '
                            '((count(up{job="etcd"}) without (instance) + 1) / 2)',
    'no leader': 'etcd_server_has_leader{job="etcd"}',
    'leader changes': 'increase((max without (instance) (etcd_server_leader_changes_seen_total{job="etcd"}) or '
                      '0*absent(etcd_server_leader_changes_seen_total{job="etcd"}))[15m:1s])',
    'failed calls': '100 * sum(rate(grpc_server_handled_total{job="etcd", grpc_code=~"Unknown|FailedPrecondition|'
                    'ResourceExhausted|Internal|Unavailable|DataLoss|DeadlineExceeded|OK"}[5m])) without (grpc_type, '
                    'grpc_code) / sum(rate(grpc_server_handled_total{job="etcd"}[5m])) without (grpc_type, grpc_code)',
    'slow calls': 'histogram_quantile(0.99, sum(rate(grpc_server_handling_seconds_bucket{job="etcd", '
                  'grpc_method!="Defragment", grpc_type="unary"}[5m])) without (grpc_type))',
    'slow members': QUANTILE.format('etcd_network_peer_round_trip_time_seconds'),
    'failed proposals': 'rate(etcd_server_proposals_failed_total{job="etcd"}[15m])',
    'slow log': QUANTILE.format('etcd_disk_wal_fsync_duration_seconds'),
    'slow data file': QUANTILE.format('etcd_disk_backend_commit_duration_seconds'),
    'low space': '100 * last_over_time(etcd_mvcc_db_total_size_in_bytes{job="etcd"}[5m]) / '
                 'last_over_time(etcd_server_quota_backend_bytes{job="etcd"}[5m])',
    'growth': 'predict_linear(etcd_mvcc_db_total_size_in_bytes{job="etcd"}[4h], 14400) - '
              'etcd_server_quota_backend_bytes{job="etcd"}',
    'fragmentation': 'last_over_time(etcd_mvcc_db_total_size_in_use_in_bytes{job="etcd"}[5m]) / '
                     'last_over_time(etcd_mvcc_db_total_size_in_bytes{job="etcd"}[5m])',
}


@contextlib.contextmanager
def prometheus(program, folder, targets, every):
    """A Prometheus that scrapes these so often, and waits for a page as long; a function that asks it, and gives the values
    of the answer."""
    port = free_ports(1)[0]
    (folder / 'prometheus.yml').write_text(json.dumps({
        'global': {'scrape_interval': every, 'scrape_timeout': every},
        'scrape_configs': [{'job_name': 'etcd', 'static_configs': [{'targets': targets}]}]}))
    p = subprocess.Popen([program, f'--config.file={folder}/prometheus.yml', f'--storage.tsdb.path={folder}/tsdb',
                          f'--web.listen-address=127.0.0.1:{port}'], stderr=subprocess.DEVNULL)

    def ask(expression):
        url = f'http://127.0.0.1:{port}/api/v1/query?' + urllib.parse.urlencode({'query': expression})
        try:
            with urllib.request.urlopen(url, timeout=30) as r:
                answer = json.load(r)
        except urllib.error.HTTPError as e:
            if e.code == 503:  # it is still starting
                return []
            pytest.fail(f'{expression}: {e.read().decode()}')
        except OSError:
            return []
        return [float(series['value'][1]) for series in answer['data']['result']]

    try:
        yield ask
    finally:
        p.terminate()
        p.wait(60)


def test_what_the_alerts_compute(ketch_bin, messages, tmp_path):
    """Prometheus, scraping a cluster of three, has a number for what each alert of the mixin compares."""
    program = shutil.which('prometheus')
    if program is None:
        pytest.skip("skipped: no prometheus (Debian's package of that name)")
    flags = ['--metrics=extensive']
    every = '3s' if has_sanitizer(ketch_bin / 'etcd') else '500ms'
    with Cluster([ketch_bin / 'etcd'] * 3, tmp_path, ketch_bin / 'etcdctl', messages, flags) as cluster:
        one = cluster.members[0]
        with prometheus(program, tmp_path, [m.endpoint for m in cluster.members], every) as ask:
            one.wait_for(lambda: sum(ask('up{job="etcd"}')) == 3, 60)
            missing = dict(VALUES)

            def all_there():
                one.ctl('put', 'k', 'v')
                for name, expression in list(missing.items()):
                    if any(v == v for v in ask(expression)):
                        del missing[name]
                return not missing

            one.wait_for(all_there, 60)
            one.wait_for(lambda: ask('etcd_server_has_leader{job="etcd"}') == [1, 1, 1])  # a page may have come too late
            one.wait_for(lambda: ask(VALUES['insufficient members']) == [1.5])
