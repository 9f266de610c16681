"""Members that the log no longer reaches are sent the data file, by ours and by real ones, to ours and to real ones."""
import queue
import re
import signal
import subprocess
import threading
import time
import urllib.request

import grpc
import pytest

from cluster_lib import Cluster, Writer, log_lines
from conftest import whoever_leads

SHORT_LOG = ['--snapshot-count', '100', '--snapshot-catchup-entries', '10']
BATCH = 300
SILENCE_SECONDS = 6  # connections to a member that is silent are given up before


@pytest.fixture
def new_cluster(ketch_bin, messages, tmp_path):
    def make(etcds, *flags):
        c = Cluster(etcds, tmp_path, ketch_bin / 'etcdctl', messages, [*SHORT_LOG, *flags])
        for m, etcd in zip(c.members, etcds):
            use_old_names(m, etcd)
        return c
    return make


def use_old_names(member, etcd):
    """A 3.5 has the flag among its experiments."""
    if '3.5.' in subprocess.run([etcd, '--version'], capture_output=True, text=True).stdout.split('\n')[0]:
        member.flags = [f.replace('--snapshot-catchup', '--experimental-snapshot-catchup') for f in member.flags]
        member.use(etcd)


def program(which, request, ketch_bin):
    return (ketch_bin if which == 'ours' else request.getfixturevalue('real_bin')) / 'etcd'


def put_many(member, n=BATCH, value=b'v' * 500, prefix=b'k'):
    call, request = member.grpc_call('etcdserverpb.KV/Put')
    for first in range(0, n, 100):
        requests = [request(key=prefix + b'%d' % i, value=value) for i in range(first, min(n, first + 100))]
        for r, f in [(r, call.future(r, timeout=60)) for r in requests]:
            if f.code() != grpc.StatusCode.OK:
                whoever_leads(lambda: call(r, timeout=60))


def lead(cluster, member):
    leader = cluster.leader()
    if leader is not member:
        leader.grpc('etcdserverpb.Maintenance/MoveLeader')(targetID=member.status().header.member_id)
    assert cluster.leader() is member


def metric(member, name):
    page = urllib.request.urlopen(f'http://{member.endpoint}/metrics', timeout=30).read().decode()
    return sum(float(x) for x in re.findall(r'^%s(?:\{[^}]*\})? (\S+)$' % name, page, re.M))


def messages_of(member):
    return [x['msg'] for x in log_lines(member) if 'msg' in x]


def snapshots_applied(member):
    return messages_of(member).count('applied snapshot')


def streams_to(member, peer):
    """How often `member` has had a stream to send the member with this ID messages by."""
    return sum(x.get('msg') == 'established TCP streaming connection with remote peer' and
               x.get('stream-writer-type') == 'stream Message' and int(x['remote-peer-id'], 16) == peer
               for x in log_lines(member))


def put_until_log_is_gone(leader, value=b'v' * 500):
    """Until a follower that is away now can only be sent the data file."""
    put_many(leader, prefix=b'away', value=value)


@pytest.mark.parametrize('sender,receiver', [('ours', 'ours'), ('ours', 'real'), ('real', 'ours')])
def test_a_follower_that_was_away_is_sent_the_data(new_cluster, ketch_bin, request, sender, receiver):
    """The log is gone when it comes back: it gets the data file, goes on with the log, restarts, and has the same hash."""
    a, b = program(sender, request, ketch_bin), program(receiver, request, ketch_bin)
    with new_cluster([a, a, b]) as c:
        away = c.members[2]
        lead(c, c.members[0])
        put_many(c.members[0])
        lease = c.members[0].grpc('etcdserverpb.Lease/LeaseGrant')(TTL=600)
        away.kill()
        c.members[0].grpc('etcdserverpb.KV/Put')(key=b'leased', value=b'v', lease=lease.ID)
        put_until_log_is_gone(c.members[0])
        away.start()
        c.agree()
        away.wait_for(lambda: snapshots_applied(away) == 1)  # lines are written behind
        for i in range(0, 150, 5):  # the log again, without another snapshot: half of what is kept for one that is behind
            put_many(c.members[0], 5, prefix=b'after%d-' % i)
            c.agree()
        assert snapshots_applied(away) == 1
        ttl = away.grpc('etcdserverpb.Lease/LeaseTimeToLive')(ID=lease.ID, keys=True)
        assert list(ttl.keys) == [b'leased']
        if sender == 'ours':
            assert metric(c.members[0], 'etcd_network_snapshot_send_success') == 1
            assert metric(c.members[0], 'etcd_network_snapshot_send_inflights_total') == 0
        if receiver == 'ours':
            assert metric(away, 'etcd_network_snapshot_receive_success') == 1
            assert metric(away, 'etcd_network_snapshot_receive_total_duration_seconds_count') == 1
            assert metric(away, 'etcd_snap_db_fsync_duration_seconds_count') == 1
            assert metric(away, 'etcd_snap_db_save_total_duration_seconds_count') == 1
            assert metric(away, 'etcd_server_snapshot_apply_in_progress_total') == 0
        away.kill()
        away.channel = None
        leader = c.members[0].status().header.member_id
        before = streams_to(away, leader)
        away.start()
        away.wait_for(lambda: streams_to(away, leader) > before)  # a real one drops what is more than 64 proposals without
        put_many(away, prefix=b'again')
        c.agree()


@pytest.mark.parametrize('newcomer', ['ours', 'real'])
def test_a_new_member_is_sent_the_data(new_cluster, ketch_bin, request, newcomer):
    """A learner joins a cluster whose log does not reach back to the beginning, is promoted, and leads."""
    etcd = program(newcomer, request, ketch_bin)
    level = [] if newcomer == 'ours' else ['--emulated-version', '3.5']
    with new_cluster([ketch_bin / 'etcd'], *level) as c:
        first = c.members[0]
        put_until_log_is_gone(first)
        new = c.add(etcd, first, learner=True)
        new.start()
        c.agree()
        assert new.status().isLearner
        new.wait_for(lambda: snapshots_applied(new) == 1)
        first.grpc('etcdserverpb.Cluster/MemberPromote')(ID=new.id)
        new.wait_for(new.is_healthy)
        lead(c, new)
        put_many(first, 20, prefix=b'through')
        c.agree()


class Watch(threading.Thread):
    """All events of all keys, in order, as (revision, key)."""

    def __init__(self, member):
        import grpc
        super().__init__(daemon=True)
        member.channel = grpc.insecure_channel(member.endpoint, options=[('grpc.max_receive_message_length', -1)])
        call, request = member.grpc_call('etcdserverpb.Watch/Watch', 'stream_stream')
        self.requests, self.seen = queue.Queue(), []
        create = request(create_request={'key': b'\0', 'range_end': b'\0', 'start_revision': 1})
        self.requests.put(create)
        self.stream = call(iter(self.requests.get, None))
        self.created = next(self.stream)
        self.start()

    def run(self):
        import grpc
        try:
            for r in self.stream:
                self.seen += [(e.kv.mod_revision, e.kv.key) for e in r.events]
        except grpc.RpcError:
            pass


def test_a_watcher_misses_nothing(new_cluster, ketch_bin, tmp_path):
    """A follower stands still until the log is gone: its watcher sees every revision once, from before the snapshot to after it."""
    with new_cluster([ketch_bin / 'etcd'] * 3) as c:
        lead(c, c.members[0])
        put_many(c.members[0], 100)
        away = c.members[2]
        watch = Watch(away)
        away.wait_for(lambda: len(watch.seen) == 100)
        away.process.send_signal(signal.SIGSTOP)
        begin = time.monotonic()
        put_until_log_is_gone(c.members[0], b'x' * 250_000)  # 75 MB, far more than sockets (32 MB on some machines) and queues hold
        time.sleep(max(0, SILENCE_SECONDS - (time.monotonic() - begin)))
        away.process.send_signal(signal.SIGCONT)
        revision = c.agree()
        away.wait_for(lambda: snapshots_applied(away) == 1)
        away.wait_for(lambda: watch.seen and watch.seen[-1][0] == revision)
        assert [r for r, _ in watch.seen] == list(range(2, revision + 1))
        put_many(c.members[0], 10, prefix=b'live')
        away.wait_for(lambda: len(watch.seen) == revision - 1 + 10)
        assert [r for r, _ in watch.seen] == list(range(2, revision + 11))


def test_a_receiver_is_killed(new_cluster, ketch_bin):
    """kill -9 at moments all over the reception, and a start again: it gets there, and leaves no half files."""
    with new_cluster([ketch_bin / 'etcd'] * 3) as c:
        leader, away = c.members[0], c.members[2]
        lead(c, leader)
        away.kill()
        writer = Writer(c, 'w-')
        writer.start()
        put_until_log_is_gone(leader, b'x' * 50_000)
        leader.wait_for(lambda: writer.total > 0)
        for i in range(6):
            away.start(wait=False)
            away.wait_for(lambda: 'receiving database snapshot' in messages_of(away) or 'applied snapshot' in messages_of(away))
            time.sleep(0.01 * i * i)
            away.kill()
        away.start()
        writer.stop()
        c.agree()
        for m in c.members:
            writer.check(m)
        snap = away.data_dir / 'member' / 'snap'
        assert not list(snap.glob('tmp*'))


def test_two_at_once_and_stops_meanwhile(new_cluster, ketch_bin):
    """Two of five are away; both are sent the data at the same time. A receiver and then the sender are stopped in the middle:
    each ends as on any other day, and who is left gets there."""
    with new_cluster([ketch_bin / 'etcd'] * 5) as c:
        leader, away = c.members[0], c.members[3:]
        lead(c, leader)
        for m in away:
            m.kill()
        put_until_log_is_gone(leader, b'x' * 20_000)
        for m in away:
            m.start(wait=False)
        for m in away:
            m.wait_for(lambda m=m: 'applied snapshot' in messages_of(m))
        c.agree()
        for m in away:
            m.kill()
        put_until_log_is_gone(leader, b'y' * 20_000)
        for m in away:
            m.start(wait=False)
        away[0].wait_for(lambda: 'receiving database snapshot' in messages_of(away[0]))
        away[0].stop()
        leader.stop()
        away[1].wait_for(away[1].is_healthy)
        away[0].start()
        leader.channel = away[0].channel = None
        leader.start()
        c.agree()
