"""Health, version and debug pages beside a real etcd's (3.5, or what KETCH_REFERENCE_BIN names), and the CPU profile."""
import os
import pathlib
import re
import struct
import subprocess
import threading

import pytest

from gateway_lib import Gateway

BOTH = ['/health', '/health?serializable=true', '/health?serializable=yes', '/health?exclude=NOSPACE&exclude=', '/health/',
        '/livez', '/livez?verbose', '/livez/', '/livez/serializable_read?verbose', '/livez?exclude=serializable_read&verbose',
        '/livez/nope', '/readyz', '/readyz?verbose', '/readyz?exclude=data_corruption&verbose', '/readyz/data_corruption?verbose',
        '/readyz/linearizable_read', '/', '/v2/keys', '/stats', '/config/local/log', '/metrics/', '/debug', '/debug/vars/',
        '/v3alpha/kv/range']
ONLY_3_7 = ['/version', '/readyz/non_learner?verbose', '//version', '/a/./../version?x=y', '/v3//kv/range', '/debug/pprof',
            '/debug/pprof/nope']
METHODS = ['GET', 'POST', 'DELETE', 'OPTIONS']


@pytest.fixture
def pair(start_server, request, tmp_path):
    """Ours, theirs, and whether theirs is of 3.7."""
    if 'KETCH_REFERENCE_BIN' in os.environ:
        program = pathlib.Path(os.environ['KETCH_REFERENCE_BIN']) / 'etcd'
    else:
        program = request.getfixturevalue('real_bin') / 'etcd'
    same = 'Version: 3.7' in subprocess.run([program, '--version'], capture_output=True, text=True, check=True).stdout
    with start_server(tmp_path / 'ours', '--enable-pprof') as ours, \
            start_server(tmp_path / 'theirs', '--enable-pprof', etcd=program) as theirs:
        yield Gateway(ours), Gateway(theirs), same


def answer(g, method, path):
    """Status, fields and the lines of the body in an order of ours: etcd's is by chance."""
    with g.open(path, None, method) as r:
        fields = {k.lower(): v for k, v in r.getheaders() if k.lower() != 'date'}
        return r.status, fields, sorted(r.read().decode().split('\n'))


def test_beside_a_real_one(pair):
    """Paths and methods have the same status, fields and body: what is there, what is not, and what is only moved."""
    ours, theirs, same = pair
    for path in BOTH + (ONLY_3_7 if same else []):
        for method in METHODS:
            assert answer(ours, method, path) == answer(theirs, method, path), (method, path)


def test_alarms(pair):
    """With an alarm on, health says so on both, the status by the kind of question."""
    ours, theirs, _ = pair
    for g in ours, theirs:
        g.step('/v3/maintenance/alarm', '{"action":"ACTIVATE","memberID":5,"alarm":"CORRUPT"}')
    for path in '/health', '/health?exclude=CORRUPT', '/readyz?verbose', '/readyz?exclude=data_corruption', '/livez':
        assert answer(ours, 'GET', path) == answer(theirs, 'GET', path), path


def test_cpu_profile(start_server, tmp_path):
    """/debug/pprof: a profile that has samples of the time in which the member worked; one at a time; off unless asked for."""
    with start_server(tmp_path / 'd', '--enable-pprof') as s:
        g, done, refused = Gateway(s), threading.Event(), threading.Event()

        def work():
            other = Gateway(s)
            while not done.is_set():
                other.post('/v3/kv/put', '{"key":"Zm9v","value":"YmFy"}')

        worker = threading.Thread(target=work)
        worker.start()
        answers = []

        def profile():
            while not answers or not refused.is_set():  # the other may have been first, or too late
                with Gateway(s).open('/debug/pprof/profile?seconds=2', None, 'GET') as r:
                    got = r.read()
                    if r.status == 200 and got[40:48] != bytes(8):  # a machine that is stolen from may have counted no tick
                        answers.append(got)

        r = threading.Thread(target=profile)
        r.start()

        def busy():
            with g.open('/debug/pprof/profile?seconds=1', None, 'GET') as got:
                if got.read() == b'Could not enable CPU profiling: cpu profiling already in use\n':
                    refused.set()
                return refused.is_set()

        s.wait_for(busy)
        r.join()
        done.set()
        worker.join()
        words = [w for w, in struct.iter_unpack('=Q', answers[0][:len(answers[0]) // 8 * 8])]
        assert words[:5] == [0, 3, 0, 10000, 0] and words[5] == 1 and 1 <= words[6] <= 64
        assert str(s.command[0]).encode() in answers[0]
        assert b'--enable-pprof' in g.open('/debug/pprof/cmdline', None, 'GET').read().split(b'\0')
        assert g.post('/debug/pprof/symbol', '', method='GET') == (200, 'num_symbols: 0\n')
        assert re.search('href=.profile', g.post('/debug/pprof/', '', method='GET')[1])
        assert g.post('/debug/pprof/heap', '', method='GET') == (404, 'Unknown profile\n')
    with start_server(tmp_path / 'd2') as s:
        assert Gateway(s).post('/debug/pprof/profile', '', method='GET') == (404, '404 page not found\n')
