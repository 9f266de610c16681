"""Clusters at length: here in small; with KETCH_LONG=1 at the size that is written down in docs/reliability.md.

KETCH_REALS names folders with real etcds (default: the one of the 3.5 series that the other tests use).
"""
import os
import pathlib
import random
import signal
import statistics
import threading
import time

import grpc
import pytest

from cluster_lib import PROMPT, Cluster, Writer
from conftest import BIN
from test_cluster import get, put

LONG = os.environ.get('KETCH_LONG') == '1'
KILLS = 100
LEADERS = 50 if LONG else 1
STOPS = 30 if LONG else 2
MORE = 30  # of either, where the ones before do not say it: votes may be split, and a machine be away for a while
OPERATIONS = 100_000 if LONG else 1_500
REALS = os.environ.get('KETCH_REALS', 'default').split(':')


@pytest.fixture
def cluster_of(ketch_bin, messages, tmp_path):
    def make(etcds, *flags):
        return Cluster(etcds, tmp_path, ketch_bin / 'etcdctl', messages, flags)
    return make


@pytest.fixture(params=REALS)
def real(request):
    """The program, and the level at which ours can share a cluster with it and leave it again."""
    folder = request.getfixturevalue('real_bin') if request.param == 'default' else pathlib.Path(request.param)
    return folder / 'etcd', [] if '3.7' in str(folder) else ['--emulated-version', '3.5']


def end_writers(cluster, writers):
    """They stop, the members agree, and each has all that was acknowledged."""
    for w in writers:
        w.stop()
    cluster.agree()
    for w in writers:
        for m in cluster.members:
            w.check(m)


class Prober(threading.Thread):
    """Puts with little patience through one member after the other; remembers when something was acknowledged."""

    def __init__(self, cluster, key):
        super().__init__(daemon=True)
        self.cluster, self.key, self.times, self.over = cluster, key, [], False

    def run(self):
        n = 0
        while not self.over:
            for m in self.cluster.members:
                n += 1
                try:
                    put(m, self.key, b'%d' % n, timeout=0.1)
                    self.times.append(time.monotonic())
                except (grpc.RpcError, ValueError):
                    time.sleep(0.005)


def probers(cluster, k=3):
    ps = [Prober(cluster, b'p%d' % i) for i in range(k)]
    for p in ps:
        p.start()
    return ps


def longest_gap(ps, since):
    times = [since] + sorted(t for p in ps for t in list(p.times) if t >= since)
    return max(b - a for a, b in zip(times, times[1:])) if len(times) > 1 else float('inf')


def end(ps):
    for p in ps:
        p.over = True
    for p in ps:
        p.join()


def are_enough(gaps, n, seconds):
    """Whether these say that half of all gaps are shorter than that, or that they are not."""
    return len(gaps) >= n and statistics.median(gaps) < seconds or len(gaps) >= n + MORE


def start_again(member):
    member.channel and member.channel.close()
    member.channel = None
    member.start()


def report(what, seconds):
    ordered = sorted(seconds)
    print(f'\n{what}: n={len(ordered)} median={statistics.median(ordered):.3f} s '
          f'p99={ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]:.3f} s max={ordered[-1]:.3f} s')


@pytest.mark.skipif(not LONG, reason='skipped: in small this is test_cluster.py, test_acknowledged_writes_survive_kills')
def test_any_member_is_killed_under_load(cluster_of, ketch_bin):
    """SIGKILL of members at random under load: nothing acknowledged is lost, and all hold the same keys."""
    chance = random.Random(1)
    with cluster_of([ketch_bin / 'etcd'] * 3, *PROMPT) as c:
        writers = [Writer(c, f'w{i}-') for i in range(3)]
        for w in writers:
            w.start()
        for i in range(KILLS):
            time.sleep(chance.uniform(0.05, 0.5))
            victim = chance.choice(c.members)
            victim.kill()
            time.sleep(chance.uniform(0, 0.6))
            start_again(victim)
            if i % 10 == 9:
                for m in c.members:
                    m.wait_for(m.is_healthy)
        end_writers(c, writers)
        print(f'\n{KILLS} kills, {sum(w.total for w in writers)} acknowledged writes')


def test_a_killed_leader_is_followed_soon(cluster_of, ketch_bin):
    """From the leader's SIGKILL to the next acknowledged write, at default timers."""
    gaps = []
    with cluster_of([ketch_bin / 'etcd'] * 3, *PROMPT) as c:
        ps = probers(c)
        while not are_enough(gaps, LEADERS, 2.5):
            leader = c.leader()
            time.sleep(0.5)
            began = time.monotonic()
            leader.kill()
            c.followers_of(leader)[0].wait_for(lambda: any(p.times and p.times[-1] > began + 0.15 for p in ps))
            gaps.append(longest_gap(ps, began))
            start_again(leader)
        end(ps)
        c.agree()
    report('writes again after SIGKILL of the leader', gaps)
    assert statistics.median(gaps) < 2.5


class Retrier(threading.Thread):
    """A client that tries again what was answered Unavailable, and takes nothing else for an answer."""

    def __init__(self, cluster):
        super().__init__(daemon=True)
        self.cluster, self.over, self.failed, self.times = cluster, False, [], []

    def run(self):
        n = 0
        while not self.over:
            n += 1
            last = time.monotonic() + 10
            for m in self.forever():
                if not m.is_running():
                    continue
                try:
                    put(m, b'r', b'%d' % n, timeout=5)
                    self.times.append(time.monotonic())
                    break
                except ValueError:  # the channel was closed with its member
                    continue
                except grpc.RpcError as e:
                    if e.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED) or time.monotonic() > last:
                        self.failed.append((m.name, e.code(), e.details()))
                        break

    def forever(self):
        while True:
            yield from self.cluster.members


def test_a_stopped_leader_is_hardly_noticed(cluster_of, ketch_bin):
    """From the leader's SIGTERM on: how long nothing was acknowledged, and no request of a client that retries fails."""
    gaps = []
    with cluster_of([ketch_bin / 'etcd'] * 3) as c:
        ps = probers(c)
        retrier = Retrier(c)
        retrier.start()
        while not are_enough(gaps, STOPS, 1):
            leader = c.leader()
            time.sleep(0.5)
            began = time.monotonic()
            leader.process.send_signal(signal.SIGTERM)
            assert leader.process.wait(60) == -signal.SIGTERM
            time.sleep(0.5)
            gaps.append(longest_gap(ps, began))
            start_again(leader)
        retrier.over = True
        retrier.join()
        end(ps)
        assert retrier.failed == []
        c.agree()
    report('without writes after SIGTERM of the leader', gaps)
    assert statistics.median(gaps) < 1  # a machine with nothing else to do shows some 20 ms


class Mixer(threading.Thread):
    """Operations of all kinds at random, through members at random."""

    def __init__(self, cluster, seed, count):
        super().__init__(daemon=True)
        self.cluster, self.chance, self.count = cluster, random.Random(seed), count
        self.done, self.leases, self.odd = 0, [], []

    def key(self):
        return b'm%d' % self.chance.randint(0, 200)

    def run(self):
        operations = [self.put] * 12 + [self.delete] * 3 + [self.txn] * 3 + [self.grant, self.revoke, self.compact, self.user]
        while self.done < self.count:
            m = self.chance.choice(self.cluster.members)
            self.done += 1
            try:
                self.chance.choice(operations)(lambda method, **f: m.grpc('etcdserverpb.' + method, timeout=10)(**f))
            except ValueError:
                time.sleep(0.05)
            except grpc.RpcError as e:
                known = ('etcdserver: mvcc: required revision', 'etcdserver: requested lease not found',
                         'etcdserver: duplicate key given in txn request', 'etcdserver: user name', 'etcdserver: role name',
                         'etcdserver: role is not granted to the user')
                if e.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED):
                    time.sleep(0.05)
                elif not e.details().startswith(known):
                    self.odd.append((e.code(), e.details()))

    def put(self, do):
        lease = self.chance.choice(self.leases) if self.leases and self.chance.random() < 0.1 else 0
        do('KV/Put', key=self.key(), value=b'%d' % self.done * self.chance.randint(1, 40), lease=lease)

    def delete(self, do):
        key = self.key()
        do('KV/DeleteRange', key=key, range_end=self.chance.choice([b'', key + b'9']))

    def txn(self, do):
        key = self.key()
        do('KV/Txn', compare=[dict(target=3, key=key, value=b'7')],
           success=[dict(request_put=dict(key=key, value=b'yes')), dict(request_delete_range=dict(key=self.key()))],
           failure=[dict(request_put=dict(key=key, value=b'7')), dict(request_range=dict(key=self.key()))])

    def grant(self, do):
        self.leases = self.leases[-5:] + [do('Lease/LeaseGrant', TTL=60).ID]

    def revoke(self, do):
        if len(self.leases) > 3:
            do('Lease/LeaseRevoke', ID=self.leases.pop(0))

    def compact(self, do):
        if self.chance.random() < 0.2:
            do('KV/Compact', revision=do('KV/Range', key=b'x').header.revision - self.chance.randint(0, 100))

    def user(self, do):
        """One step in the life of a user and of a role, from nothing; each may come at the wrong time, and is refused then."""
        user, role = (what + b'%d' % self.chance.randint(0, 3) for what in (b'u', b'r'))
        self.chance.choice([
            lambda: do('Auth/UserAdd', name=user, password=b'%d' % self.done),
            lambda: do('Auth/UserChangePassword', name=user, password=b'%d' % self.done),
            lambda: do('Auth/UserDelete', name=user),
            lambda: do('Auth/RoleAdd', name=role),
            lambda: do('Auth/RoleDelete', role=role),
            lambda: do('Auth/RoleGrantPermission', name=role, perm=dict(permType=2, key=self.key())),
            lambda: do('Auth/UserGrantRole', user=user, role=role),
            lambda: do('Auth/UserRevokeRole', name=user, role=role)])()


def auth_state(member):
    """All that may be asked of users and roles."""
    def ask(method, **fields):
        return member.grpc('etcdserverpb.Auth/' + method)(**fields)
    users, roles = ask('UserList').users, ask('RoleList').roles
    return (ask('AuthStatus').authRevision, [(u, list(ask('UserGet', name=u).roles)) for u in users],
            [(r, [str(p) for p in ask('RoleGet', role=r).perm]) for r in roles])


def change_members(cluster, port):
    """A learner that never comes is added and removed again. An id is made of its URL and the second, and no id comes twice."""
    leader = cluster.leader()
    try:
        new = leader.grpc('etcdserverpb.Cluster/MemberAdd')(peerURLs=[f'http://127.0.0.1:{port}'], isLearner=True).member
    except grpc.RpcError as e:
        assert e.details() == 'etcdserver: unhealthy cluster', e.details()
        return None
    ours = leader.command[0] == str(BIN / 'etcd')
    for tries in range(3):
        try:
            return leader.grpc('etcdserverpb.Cluster/MemberRemove', timeout=30 if ours else 3)(ID=new.ID)
        except grpc.RpcError as e:
            if tries > 0 and e.details() == 'etcdserver: member not found':
                return None
            # A leader of 3.5 answers a change before its raft has it applied, drops the next one until then ("ignoring
            # conf change"), and never answers that.
            assert e.code() == grpc.StatusCode.DEADLINE_EXCEEDED and not ours, e.details()
    pytest.fail('the learner could not be removed')


@pytest.mark.parametrize('ours', [2, 1])
def test_all_kinds_of_operations_between_both_kinds_of_members(cluster_of, ketch_bin, real, ours):
    """Each member leads in turn while everything goes on; at each change the members' hashes are equal, and no alarm is on."""
    program, level = real
    with cluster_of([ketch_bin / 'etcd'] * ours + [program] * (3 - ours), '--bcrypt-cost', '4') as c:
        done = 0
        for turn in range(6):
            leader, wanted = c.leader(), c.members[turn % 3]
            if leader is not wanted:
                leader.grpc('etcdserverpb.Maintenance/MoveLeader')(targetID=wanted.status().header.member_id)
            mixers = [Mixer(c, turn * 10 + i, OPERATIONS // 6 // 8) for i in range(8)]
            for x in mixers:
                x.start()
            change_members(c, turn + 1)
            for x in mixers:
                x.join()
            assert [x.odd for x in mixers] == [[]] * 8
            done += sum(x.done for x in mixers)
            revision = c.agree()
            states = [auth_state(m) for m in c.members]
            assert states[0] == states[1] == states[2]
        assert states[0][0] > 1, 'no user was ever made'
        assert not any(m.grpc('etcdserverpb.Maintenance/Alarm')(action=0).alarms for m in c.members)
        print(f'\n{ours} of ours and {3 - ours} of {program}: {done} operations, revision {revision}')


def test_a_real_cluster_becomes_ours_and_real_again(cluster_of, ketch_bin, real):
    """Member by member, on the same directories and under load, first to ours and then back; nothing acknowledged is lost."""
    program, level = real
    with cluster_of([program] * 3) as c:
        writers = [Writer(c, f'w{i}-') for i in range(2)]
        for w in writers:
            w.start()
        for to in (ketch_bin / 'etcd', program, ketch_bin / 'etcd', program) if LONG else (ketch_bin / 'etcd', program):
            for m in list(c.members):
                time.sleep(3 if LONG else 0.3)
                m.stop()
                m.command = [str(to), *m.flags, *(level if to != program else [])]
                start_again(m)
                c.leader()
            for w in writers:
                assert w.total > 0
        end_writers(c, writers)
        assert get(c.members[0], b'w0-0')
