"""Three members on one machine, ours or real etcds, each with a data directory of its own."""
import shutil
import time

import wire
from case import check
from server import IDLE_CPU_S, START_S, Server, free_ports, settled

MEMBERS, AGREE_S = 3, 10
MEMBER_ID, STATUS_LEADER = (1, 2), (4,)


class Member(Server):
    """Started by its cluster, for no member answers before a majority is there."""

    def start(self):
        pass

    def status(self):
        return self.call('Maintenance/Status', b'')


class Cluster:
    def __init__(self, program, folder):
        self.members = [Member(program, folder) for _ in range(MEMBERS)]
        ports = free_ports(2 * MEMBERS)
        client, peer = ports[:MEMBERS], ports[MEMBERS:]
        initial = ','.join(f'm{i}=http://127.0.0.1:{port}' for i, port in enumerate(peer))
        try:
            for i, m in enumerate(self.members):
                m.launch(client[i], peer[i], initial, '--name', f'm{i}')
            for m in self.members:
                m.wait_ready()
            self._find_leader()
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for m in self.members:
            if m.p is not None:
                m.kill()
            shutil.rmtree(m.data, ignore_errors=True)

    def _find_leader(self):
        """The one that all of them name."""
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            status = [m.status() for m in self.members]
            named = {wire.pick(s, *STATUS_LEADER) for s in status}
            ids = [wire.pick(s, *MEMBER_ID) for s in status]
            if len(named) == 1 and named <= set(ids):
                i = ids.index(named.pop())
                self.leader, self.followers = self.members[i], self.members[:i] + self.members[i + 1:]
                return
            time.sleep(0.05)
        check(False, 'the members do not agree on a leader')

    def check_leader(self):
        """Figures of a run with an election in it say something else."""
        was = self.leader
        self._find_leader()
        check(self.leader is was, 'another member leads than at the beginning')

    def cpu_s(self):
        return sum(m.cpu_s() for m in self.members)

    def settled_cpu_s(self):
        """Of all members together; two processors count no more than hundredths of a second, each member's for itself."""
        return settled(self.cpu_s, MEMBERS * IDLE_CPU_S)

    def revision(self):
        """Of all members; they must come to agree, for what the load generator no longer waited for may still be under way."""
        until = time.monotonic() + AGREE_S
        revisions = {0, 1}
        while len(revisions) > 1 and time.monotonic() < until:
            revisions = {m.revision() for m in self.members}
        check(len(revisions) == 1, f'the members are at revisions {sorted(revisions)}')
        return revisions.pop()
