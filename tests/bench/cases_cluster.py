"""Three members against three: the clients at the leader, at a follower, or spread over all."""
import dataclasses

from case import Case, check, cpu, p50, p99
from cases_unary import KEY, ONE, RATE, VALUE, WARM_S
from cluster import Cluster
from load import Load
from wire import put

CPU = 'CPU of all members per op'


def at_leader(cluster):
    return [cluster.leader]


def at_follower(cluster):
    return cluster.followers[:1]


def at_all(cluster):
    return cluster.members


@dataclasses.dataclass(frozen=True)
class Request:
    method: str
    message: bytes
    writes: bool  # each answered one is a revision


PUT = Request('KV/Put', put(KEY, VALUE), True)
RANGE = Request('KV/Range', ONE, False)


class Spread:
    """Load of C connections with S streams each, dealt out to some members; its answers counted together."""

    def __init__(self, members, request, connections, streams, seconds):
        shares = [connections // len(members) + (i < connections % len(members)) for i in range(len(members))]
        self.loads = [Load(m, request.method, request.message, connections=c, streams=streams, seconds=seconds)
                      for m, c in zip(members, shares)]
        for load in self.loads:
            load.wait()
        self.done, self.slots, self.rate = (sum(getattr(x, k) for x in self.loads) for k in ('done', 'slots', 'rate'))

    def slowest(self, figure):
        return max(getattr(x, figure) for x in self.loads)


def cluster_case(name, where, request, connections, streams, figures):
    def run(program, setting):
        with Cluster(program, setting.folder) as c:
            c.leader.call(PUT.method, PUT.message)
            Spread(where(c), request, connections, streams, WARM_S)
            c.settled_cpu_s()
            revision, cpu_s = c.revision(), c.cpu_s()
            load = Spread(where(c), request, connections, streams, setting.seconds)
            cpu_s = c.settled_cpu_s() - cpu_s
            c.check_leader()
            made = c.revision() - revision  # each member's: all have applied all
            if request.writes:
                check(load.done <= made <= load.done + load.slots, f'{load.done} writes were answered, {made} revisions made')
            return {'cpu': cpu_s / load.done * 1e6, 'rate': load.rate, 'p50': load.slowest('p50_ms'),
                    'p99': load.slowest('p99_ms')}

    return Case(name, figures, run)


def both(name, request, connections, streams, figures):
    return [cluster_case(name, at_leader, request, connections, streams, figures),
            cluster_case(name + '-follower', at_follower, request, connections, streams, figures)]


CASES = [
    *both('cluster-put-1x1', PUT, 1, 1, [p50(0.8, 0.5), cpu(CPU)]),
    *both('cluster-put-64x1', PUT, 64, 1, [cpu(CPU, 1 / 3, 1 / 6), p99(), RATE]),
    *both('cluster-put-10x100', PUT, 10, 100, [cpu(CPU, 1 / 4, 1 / 8), p99(), RATE]),
    *both('cluster-range-64x1', RANGE, 64, 1, [cpu(CPU, 1 / 3, 1 / 5), p99(), RATE]),
    cluster_case('cluster-range-64x1-spread', at_all, RANGE, 64, 1, [cpu(CPU, 1 / 3, 1 / 5), p99(), RATE]),
]
