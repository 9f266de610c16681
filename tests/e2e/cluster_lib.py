"""Clusters of several members on the loopback, ours or real ones or both."""
import json
import threading
import time

from conftest import START_SECONDS, WAIT_SECONDS, Server, free_ports

# Who leads goes on leading though its disk, which others use, too, keeps it waiting for a second or two.  Members that are connected
# do not wait so long for their first election, but two of them would (first_ticks.c).
STEADY = ('--election-timeout', '5000')
PROMPT = ('--election-timeout', '1000')  # etcd's own: for tests in which leaders are lost


class Member(Server):
    """One member: its name and its peer URL are in everybody's --initial-cluster."""

    def __init__(self, etcd, name, folder, ports, cluster, flags, ctl, messages):
        super().__init__(etcd, folder / name, [], folder / f'{name}.log', ctl, messages)
        self.name = name
        self.client_port, self.peer_port = ports
        self.endpoint = f'127.0.0.1:{self.client_port}'
        client, peer = f'http://{self.endpoint}', f'http://127.0.0.1:{self.peer_port}'
        self.flags = ['--name', name, '--data-dir', str(folder / name), '--listen-client-urls', client,
                      '--advertise-client-urls', client, '--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer,
                      '--initial-cluster', cluster, '--initial-cluster-token', 'e2e', *flags]
        self.use(etcd)

    def use(self, etcd):
        """The program that is started next on this member's directory."""
        self.command = [str(etcd), *self.flags]

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def status(self):
        """The fields of Maintenance.Status, or None."""
        import grpc
        try:
            return self.grpc('etcdserverpb.Maintenance/Status', timeout=10)()
        except grpc.RpcError:
            return None

    def hash_kv(self, revision):
        return self.grpc('etcdserverpb.Maintenance/HashKV', timeout=60)(revision=revision)


def knows(member, member_id):
    """By its own list; who does not answer such questions, a learner, is not asked."""
    import grpc
    try:
        return member_id in [m.ID for m in member.grpc('etcdserverpb.Cluster/MemberList')().members]
    except grpc.RpcError:
        return True


class Cluster:
    """Members named m1, m2, ...; `etcds` says which program each is.  STEADY, if they are three and `flags` say nothing else."""

    def __init__(self, etcds, folder, ctl, messages, flags=()):
        if len(etcds) > 2 and '--election-timeout' not in flags:
            flags = [*flags, *STEADY]
        ports = free_ports(2 * len(etcds))
        pairs = [(ports[2 * i], ports[2 * i + 1]) for i in range(len(etcds))]
        text = ','.join(f'm{i + 1}=http://127.0.0.1:{p[1]}' for i, p in enumerate(pairs))
        self.common = (folder, ctl, messages)
        self.count = len(etcds)
        self.members = [Member(etcd, f'm{i + 1}', folder, pairs[i], text, list(flags), ctl, messages)
                        for i, etcd in enumerate(etcds)]

    def add(self, etcd, through, learner=False):
        """MemberAdd, and the new member, not started yet and without the others' own flags."""
        folder, ctl, messages = self.common
        ports = free_ports(2)
        self.count += 1
        name, peer = f'm{self.count}', f'http://127.0.0.1:{ports[1]}'
        answer = through.grpc('etcdserverpb.Cluster/MemberAdd')(peerURLs=[peer], isLearner=learner)
        assert answer.member.peerURLs == [peer] and answer.member.isLearner == learner
        text = ','.join(f'{m.name or name}={m.peerURLs[0]}' for m in answer.members)
        new = Member(etcd, name, folder, tuple(ports), text, ['--initial-cluster-state', 'existing'], ctl, messages)
        new.id = answer.member.ID
        for m in self.running():  # whom the new one asks first must know it, or it ends, as a real one
            m.wait_for(lambda m=m: knows(m, new.id))
        self.members.append(new)
        return new

    def __enter__(self):
        try:
            for m in self.members:
                m.start(wait=False)
            for m in self.members:
                m.wait_for(m.is_healthy, START_SECONDS)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc):
        for m in self.members:
            if m.channel is not None:
                m.channel.close()
            if m.is_running():
                m.kill()

    def running(self):
        return [m for m in self.members if m.is_running()]

    def leader(self, seconds=WAIT_SECONDS):
        """The running member that all running ones call the leader."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            status = {m: m.status() for m in self.running()}
            leaders = {s.leader for s in status.values() if s is not None}
            if None not in status.values() and len(leaders) == 1:
                for m, s in status.items():
                    if s.header.member_id == s.leader:
                        return m
            time.sleep(0.05)
        raise AssertionError(f'no leader after {seconds} seconds')

    def roles(self):
        """The leader and the others, from one look: between two the leader may change."""
        leader = self.leader()
        return leader, self.followers_of(leader)

    def followers_of(self, leader):
        return [m for m in self.running() if m is not leader]

    def followers(self):
        return self.roles()[1]

    def agree(self, seconds=WAIT_SECONDS):
        """Waits until all running members hold the same revision, and compares their hashes there."""
        end = time.monotonic() + seconds
        while True:
            status = [m.status() for m in self.running()]
            if None not in status and len({s.header.revision for s in status}) == 1:
                revision = status[0].header.revision
                hashes = {m.name: (m.hash_kv(revision).hash, m.hash_kv(revision).compact_revision)
                          for m, s in zip(self.running(), status) if not s.isLearner}  # a learner is not asked
                if len(set(hashes.values())) == 1:
                    return revision
                assert time.monotonic() < end, f'other hashes at revision {revision}: {hashes}'
            assert time.monotonic() < end, [s.header.revision if s else None for s in status]
            time.sleep(0.05)


class Writer(threading.Thread):
    """Puts numbered values to keys of its own, at whichever member answers, and remembers what was acknowledged."""

    def __init__(self, cluster, name, patience=5):
        super().__init__(daemon=True)
        self.cluster, self.prefix, self.patience = cluster, name.encode(), patience
        self.acknowledged = {}
        self.over = False
        self.gaps = [0.0]
        self.total = 0

    def run(self):
        import grpc
        n, last = 0, time.monotonic()
        while not self.over:
            m = self.cluster.members[n % len(self.cluster.members)]
            key, value = self.prefix + b'%d' % (n % 50), b'%d' % n
            n += 1
            if not m.is_running():
                continue
            try:
                m.grpc('etcdserverpb.KV/Put', timeout=self.patience)(key=key, value=value)
            except (grpc.RpcError, ValueError):  # ValueError: the channel was closed with its member
                self.acknowledged.pop(key, None)  # it may have happened, or may happen yet
                time.sleep(0.02)
                continue
            self.acknowledged[key] = value
            self.total += 1
            self.gaps.append(time.monotonic() - last)
            last = time.monotonic()

    def stop(self):
        self.over = True
        self.join()

    def check(self, member):
        """What was acknowledged last is there."""
        got = member.grpc('etcdserverpb.KV/Range')(key=self.prefix, range_end=self.prefix + b'\xff')
        there = {kv.key: kv.value for kv in got.kvs}
        lost = {k: (v, there.get(k)) for k, v in self.acknowledged.items() if there.get(k) != v}
        assert not lost, lost
        assert self.total > 0, 'nothing was acknowledged'


def log_lines(member):
    return [json.loads(x) for x in member.log_text().splitlines() if x.startswith('{')]
