"""Prometheus and etcd's dashboards over our metrics page: the page is well-formed, and has what their expressions name."""
import re
import shutil
import subprocess
import urllib.request

import pytest

from cluster_lib import Cluster

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
    with urllib.request.urlopen(f'http://{server.endpoint}/metrics', timeout=10) as r:
        return r.read().decode()


def test_what_the_mixin_reads(ketch_bin, messages, tmp_path):
    """Each series of the 15 alerts and of the dashboard is on the page of a member of three, with its labels."""
    flags = ['--metrics=extensive']
    with Cluster([ketch_bin / 'etcd'] * 3, tmp_path, ketch_bin / 'etcdctl', messages, flags) as cluster:
        one, victim = cluster.members[0], cluster.members[2]
        one.ctl('put', 'k', 'v')
        victim.kill()
        failed = re.compile(r'^etcd_network_peer_sent_failures_total\{To="\w+"\} \d', re.M)
        one.wait_for(lambda: failed.search(page(one)), 30)
        one.wait_for(lambda: 'etcd_network_peer_round_trip_time_seconds_bucket{To=' in page(one), 40)
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
