"""Killed at any moment: what was acknowledged is there, at its revision, and the file is whole."""
import json
import random
import subprocess
import threading
import time

ROUNDS = 50


class Writer(threading.Thread):
    """Puts through a gRPC channel as fast as one client can, and remembers what was acknowledged."""

    def __init__(self, server, tag):
        super().__init__(daemon=True)
        self.server, self.tag = server, tag
        self.acked = {}

    def run(self):
        put = self.server.grpc('etcdserverpb.KV/Put')
        i = 0
        while True:
            key, value = f'{self.tag}/{i % 50}', f'v{i}'
            try:
                header = put(key=key.encode(), value=value.encode()).header
            except Exception:  # the server is gone: that is the end of the round
                return
            self.acked[key] = (header.revision, value)
            i += 1


def check(server, acked):
    out = json.loads(server.ctl('get', '', '--from-key', '-w', 'json'))
    import base64
    found = {base64.b64decode(kv['key']).decode(): kv for kv in out.get('kvs', [])}
    for key, (revision, value) in acked.items():
        kv = found[key]
        assert kv['mod_revision'] >= revision, (key, revision, kv)
        if kv['mod_revision'] == revision:
            assert base64.b64decode(kv['value']).decode() == value


def test_kill_at_random_moments(start_server, ketch_bin, bolt_check, tmp_path):
    """Fifty times: writers, kill -9, the file checked, a restart, every acknowledged put at its revision."""
    rng = random.Random(20261125)
    acked = {}
    written = 0
    for i in range(ROUNDS):
        with start_server(tmp_path / 'd') as s:
            check(s, acked)
            writers = [Writer(s, f'r{i % 5}-{w}') for w in range(3)]
            for w in writers:
                w.start()
            time.sleep(rng.uniform(0.02, 0.5))
            s.kill()
            for w in writers:
                w.join(60)
                assert not w.is_alive()
                acked.update(w.acked)
                written += len(w.acked)
        bolt_check(tmp_path / 'd/member/snap/db')
    assert written > ROUNDS  # the writers did write
    with start_server(tmp_path / 'd') as s:
        check(s, acked)


def test_restart_keeps_leases_and_watch_history(start_server, tmp_path):
    """A lease and its keys, and events of the past, outlive a kill."""
    with start_server(tmp_path / 'd') as s:
        lease = s.ctl('lease', 'grant', '600').split()[1]
        s.ctl('put', 'a', '1', f'--lease={lease}')
        s.ctl('put', 'b', '2')
        s.kill()
    with start_server(tmp_path / 'd') as s:
        assert lease in s.ctl('lease', 'list')
        keys = s.ctl('lease', 'timetolive', lease, '--keys')
        assert '[a]' in keys
        p = subprocess.Popen(s.ctl_command('watch', '', '--prefix', '--rev', '2'), stdout=subprocess.PIPE, text=True,
                             env=s.env)
        lines = [p.stdout.readline().strip() for _ in range(6)]
        p.kill()
        assert lines == ['PUT', 'a', '1', 'PUT', 'b', '2']
        s.ctl('lease', 'revoke', lease)
        assert s.ctl('get', 'a') == ''
