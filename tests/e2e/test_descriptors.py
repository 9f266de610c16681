"""Whoever opens connections and leaves them open takes no file descriptor that the member needs for its files."""
import os
import socket
import urllib.request

import pytest

from conftest import Server, free_ports

LIMIT = 300


class Few(Server):
    """A server that may have LIMIT descriptors."""

    def start(self, wait=True):
        self.command = ['/bin/sh', '-c', f'ulimit -n {LIMIT}; exec "$0" "$@"', *self.command]
        super().start(wait)

    def descriptors(self):
        return len(os.listdir(f'/proc/{self.process.pid}/fd'))


@pytest.fixture
def few(ketch_bin, messages, tmp_path):
    extra = free_ports(1)[0]
    etcd = os.environ.get('KETCH_ETCD', ketch_bin / 'etcd')
    s = Few(etcd, tmp_path / 'few.data', ['--snapshot-count', '20'], tmp_path / 'few.log', ketch_bin / 'etcdctl', messages)
    at = s.command.index('--listen-client-urls') + 1
    s.command[at] += f',http://127.0.0.1:{extra}'
    s.extra_port = extra
    s.start()
    yield s
    s.stop()


def idle(ports, n):
    """n connections to each port, as far as they are taken."""
    out = []
    for port in ports:
        for _ in range(n):
            s = socket.socket()
            s.settimeout(5)
            try:
                s.connect(('127.0.0.1', port))
            except OSError:
                s.close()
                continue
            out.append(s)
    return out


def snapshots(s):
    return {x.name for x in (s.data_dir / 'member/snap').glob('*.snap')}


@pytest.mark.parametrize('which', ['peers', 'clients'])
def test_idle_connections(few, which):
    """While they are held open, on the peers' port or on two of the clients', segments of the log end and begin, and snapshots are
    written; and other members are answered."""
    put = few.grpc('etcdserverpb.KV/Put', timeout=60)
    put(key=b'warm', value=b'up')
    held = idle([few.peer_port] if which == 'peers' else [few.client_port, few.extra_port], LIMIT + 100)
    before = snapshots(few)
    try:
        for i in range(70):
            put(key=b'k%d' % (i % 3), value=b'v' * 1000000)
        few.wait_for(lambda: few.process.poll() is not None or snapshots(few) - before)
        assert few.process.poll() is None, few.log_text()[-2000:]
        assert len(list((few.data_dir / 'member/wal').glob('*.wal'))) > 1
        assert few.descriptors() < LIMIT - 50
        with urllib.request.urlopen(f'http://127.0.0.1:{few.peer_port}/version', timeout=30) as r:
            assert b'etcdserver' in r.read()
    finally:
        for s in held:
            s.close()
