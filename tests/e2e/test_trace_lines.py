"""Lines `trace`: where the time of a slow request went, by the names and fields of etcd 3.7.1.

Of two members one is stopped, so that the other can commit nothing, and agree on nothing, until it goes on."""
import json
import pathlib
import re
import signal
import subprocess
import time
import urllib.request

import pytest

from cluster_lib import Cluster

STOPPED_SECONDS = 0.3
PENDING = re.compile(r'^etcd_server_proposals_pending (\d+)$', re.M)
KEYS = ['level', 'ts', 'caller', 'msg', 'trace_id', 'operation', 'detail', 'duration', 'start', 'end', 'steps', 'step_count']
AGREEMENT = "'agreement among raft nodes before linearized reading'  (duration: N)"
RAFT = "'process raft request'  (duration: N)"
EXPECTED = {
    ('range', '{range_begin:here; range_end:; response_count:1; response_revision:N; }', AGREEMENT),
    ('transaction', '{read_only:true; number_of_response:N; response_revision:N; }', AGREEMENT),
    ('put', '{key:slow; req_size:N; response_revision:N; }', RAFT),
    ('transaction', '{read_only:false; response_revision:N; number_of_response:N; }', RAFT),
    ('transaction', '{read_only:false; number_of_response:N; response_revision:N; }', RAFT),
    ('compact', '{revision:N; response_revision:N; }', RAFT),
    ('linearizableReadLoop', '{readStateIndex:N; appliedIndex:N; }', "'read index received'  (duration: N)"),
}


def masked(text):
    """Revisions, indexes, sizes and durations."""
    text = re.sub(r'\(duration: [^)]*\)', '(duration: N)', text)
    return re.sub(r'(revision|size|Index|number_of_response):\d+', r'\1:N', text)


def traces(member):
    return [m for m in map(json.loads, filter(lambda line: line.startswith('{'), member.log_text().splitlines()))
            if m['msg'] == 'trace']


def told(line):
    return line['operation'], masked(line['detail']), masked(line['steps'][0] if line['steps'] else '')


def pending(member):
    with urllib.request.urlopen(f'http://{member.endpoint}/metrics', timeout=10) as r:
        return int(PENDING.search(r.read().decode())[1])


def is_stopped(process):
    """All of its threads are: a signal takes its time."""
    threads = pathlib.Path(f'/proc/{process.pid}/task').glob('*/stat')
    return all(t.read_text().rpartition(')')[2].split()[0] == 'T' for t in threads)


def send_all(leader):
    """One request of each kind, under way; reads first, so that they have arrived when the writes have."""
    def begin(method, **fields):
        call, request = leader.grpc_call('etcdserverpb.KV/' + method)
        return call.future(request(**fields), timeout=30)

    put = {'request_put': {'key': b'in-txn', 'value': b'x'}}
    delete = {'request_delete_range': {'key': b'gone'}}
    reads = [begin('Range', key=b'here'), begin('Txn', success=[{'request_range': {'key': b'here'}}])]
    return reads + [begin('Put', key=b'slow', value=b'value'), begin('Txn', success=[put]), begin('Txn', success=[delete]),
                    begin('Compact', revision=2), begin('DeleteRange', key=b'gone')]


def slow_requests(cluster):
    """What the leader writes about them."""
    with cluster:
        leader = cluster.leader()
        other, = cluster.followers_of(leader)
        leader.grpc('etcdserverpb.KV/Put')(key=b'here', value=b'x')
        other.process.send_signal(signal.SIGSTOP)
        try:
            leader.wait_for(lambda: is_stopped(other.process))
            calls = send_all(leader)
            leader.wait_for(lambda: pending(leader) >= 5)
            time.sleep(STOPPED_SECONDS)
        finally:
            other.process.send_signal(signal.SIGCONT)
        for c in calls:
            c.result()
        leader.wait_for(lambda: {told(m) for m in traces(leader)} >= EXPECTED)
        return traces(leader)


def check(lines):
    for m in lines:
        assert list(m) == KEYS and m['level'] == 'info', m
        assert m['operation'] in {operation for operation, *_ in EXPECTED}
        assert 0 <= m['trace_id'] < 2 ** 31
        assert m['step_count'] == len(m['steps'])
        assert m['start'] < m['end']


def test_slow_requests(ketch_bin, messages, tmp_path):
    """A range, a put, transactions, a compaction and the round of a read have a line each; a delete has none, as in etcd."""
    etcds = [ketch_bin / 'etcd'] * 2
    lines = slow_requests(Cluster(etcds, tmp_path, ketch_bin / 'etcdctl', messages, ['--election-timeout=3000']))
    check(lines)
    for m in lines:
        assert re.fullmatch(r'\d+(\.\d+)?s|\d{3}(\.\d+)?ms', m['duration']), m  # a fraction may be nothing


def test_slow_requests_of_a_real_etcd(ketch_bin, real_bin, messages, tmp_path):
    """The same of a real etcd: the expectations are not our own."""
    etcd = real_bin / 'etcd'
    if 'Version: 3.7' not in subprocess.run([etcd, '--version'], capture_output=True, text=True, check=True).stdout:
        pytest.skip('skipped: these lines look so since 3.7')
    check(slow_requests(Cluster([etcd] * 2, tmp_path, ketch_bin / 'etcdctl', messages, ['--election-timeout=3000'])))
