"""Where the time of a put goes while something else happens: what members, threads and the disk did between two looks.

    w = Where(members); ...; print(w.text())

A line for each member: its CPU, how often and how long its log was synced and its data file committed, and for each thread that
ran or waited the CPU it used and how long it was ready to run and no processor was free, both in milliseconds of each second.
Then the machine's processors, and the disk: megabytes written, how long it had something to do, and how long a write and a flush took there.
"""
import os
import pathlib
import re
import time
import urllib.request

SYNC, COMMIT = 'etcd_disk_wal_fsync_duration_seconds', 'etcd_disk_backend_commit_duration_seconds'
TRIP = 'etcd_network_peer_round_trip_time_seconds'
SECTOR_BYTES, MENTIONED_MS = 512, 5


class Histogram:
    """All series of a family together."""

    def __init__(self, page, name):
        self.sum = sum(float(x) for x in re.findall(rf'^{name}_sum\S* (\S+)$', page, re.M))
        self.buckets = {}
        for le, n in re.findall(rf'^{name}_bucket{{.*?le="([^"]+)"}} (\S+)$', page, re.M):
            self.buckets[float(le)] = self.buckets.get(float(le), 0) + float(n)

    def since(self, before):
        n = {le: count - before.buckets.get(le, 0) for le, count in self.buckets.items()}
        count = n.get(float('inf'), 0)
        mean = (self.sum - before.sum) / count * 1000 if count else 0
        return count, mean, next((le * 1000 for le, at_most in sorted(n.items()) if at_most >= 0.99 * count), 0)


def threads_ms(pid):
    """{name: (ran, waited)}, of threads of one name together."""
    all_of = {}
    for t in pathlib.Path(f'/proc/{pid}/task').iterdir():
        try:
            name = (t / 'comm').read_text().strip()
            ran, waited = map(int, (t / 'schedstat').read_text().split()[:2])
        except OSError:  # it has just ended
            continue
        was = all_of.get(name, (0, 0))
        all_of[name] = (was[0] + ran / 1e6, was[1] + waited / 1e6)
    return all_of


def disk_of(folder):
    """Bytes written, writes and their ms, ms with something to do, flushes and their ms."""
    device = os.stat(folder).st_dev
    numbers = f'{os.major(device)} {os.minor(device)}'.split()
    for line in pathlib.Path('/proc/diskstats').read_text().splitlines():
        f = line.split()
        if f[:2] == numbers:
            n = [int(x) for x in f[3:]]
            return n[6] * SECTOR_BYTES, n[4], n[7], n[9], n[15], n[16]
    return 0, 0, 0, 0, 0, 0


def processors():
    """Hundredths of a second: all, idle (waiting for the disk or not), stolen by whoever owns the machine."""
    n = [int(x) for x in pathlib.Path('/proc/stat').read_text().split('\n')[0].split()[1:]]
    return sum(n[:8]), n[3] + n[4], n[7]


class Where:
    def __init__(self, members, folder):
        self.members, self.folder = members, folder
        self.began, self.before = time.monotonic(), self._look()

    def _look(self):
        pages = {m: urllib.request.urlopen(f'http://{m.endpoint}/metrics').read().decode() for m in self.members}
        return ({m: [Histogram(page, name) for name in (SYNC, COMMIT, TRIP)] for m, page in pages.items()},
                {m: threads_ms(m.process.pid) for m in self.members}, disk_of(self.folder), processors())

    def text(self):
        seconds = time.monotonic() - self.began
        (was_h, was_t, was_d, was_p), (now_h, now_t, now_d, now_p) = self.before, self._look()
        lines = []
        for m in self.members:
            syncs, commits, trips = (now.since(was) for was, now in zip(was_h[m], now_h[m]))
            spent = {k: ((v[0] - was_t[m].get(k, (0, 0))[0]) / seconds, (v[1] - was_t[m].get(k, (0, 0))[1]) / seconds)
                     for k, v in now_t[m].items()}
            threads = ' '.join(f'{k} {v[0]:.0f}+{v[1]:.0f}' for k, v in sorted(spent.items()) if max(v) >= MENTIONED_MS)
            lines.append(f'    {m.name}: {sum(v[0] for v in spent.values()) / 1000:.2f} cores; {syncs[0] / seconds:.0f} syncs/s of {syncs[1]:.2f} '
                         f'(p99 <= {syncs[2]:.0f}) ms; {commits[0] / seconds:.0f} commits/s of {commits[1]:.1f} (<= {commits[2]:.0f}); '
                         f'round trips {trips[1]:.1f}; {threads}')
        written, writes, ms, busy, flushes, flush_ms = (now - was for was, now in zip(was_d, now_d))
        total, idle, stolen = (now - was for was, now in zip(was_p, now_p))
        lines.append(f'    processors: {100 * (total - idle) / total:.0f} % busy, {100 * stolen / total:.1f} % stolen; '
                     f'disk: {written / seconds / 1e6:.0f} MB/s, busy {busy / seconds / 10:.0f} %, {writes / seconds:.0f} writes/s of '
                     f'{ms / max(writes, 1):.2f} ms, {flushes / seconds:.0f} flushes/s of {flush_ms / max(flushes, 1):.2f} ms')
        return '\n'.join(lines)
