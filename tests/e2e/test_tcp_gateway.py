"""`etcd gateway`: what it refuses, word for word, and what it does with connections (TestGateway of etcd's own tests).

KETCH_ETCD is another program to hold against the same facts, a real 3.7.1.
"""
import contextlib
import json
import os
import socket
import subprocess
import threading

import pytest
from conftest import Server, free_ports
from test_join import dns, dns_environment  # noqa: F401 (fixtures)

SECONDS = 60
FLAGS = {'listen-addr': 'string', 'discovery-srv': 'string', 'discovery-srv-name': 'string', 'endpoints': 'strings',
         'insecure-discovery': '', 'retry-delay': 'duration', 'trusted-ca-file': 'string'}


@pytest.fixture(scope='module')
def program(ketch_bin):
    return os.environ.get('KETCH_ETCD', str(ketch_bin / 'etcd'))


@pytest.fixture
def run(program, tmp_path):
    """Status, standard output, and standard error without the lines of the log."""

    def call(*args):
        p = subprocess.run([program, *args], cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS)
        return p.returncode, p.stdout, ''.join(line for line in p.stderr.splitlines(True) if not line.startswith('{"'))

    return call


@pytest.mark.parametrize('args, out, err', [
    (['--endpoints', 'x'], 'error parsing endpoint "x"', ''),
    (['--endpoints', 'a:1:2'], 'error parsing endpoint "a:1:2"', ''),
    (['--endpoints', '[::1]:5,::1:5'], 'error parsing endpoint "::1:5"', ''),
    (['--endpoints', '[::1:5'], 'error parsing endpoint "[::1:5"', ''),
    (['--endpoints', '[::1]5'], 'error parsing endpoint "[::1]5"', ''),
    (['--endpoints', 'a]:5'], 'error parsing endpoint "a]:5"', ''),
    (['--endpoints', 'http://127.0.0.1'], 'error parsing endpoint "127.0.0.1"', ''),
    (['--endpoints', 'http://127.0.0.1:23x'], 'error parsing endpoint "http://127.0.0.1:23x"', ''),
    (['--endpoints', ''], 'no endpoints found\n', ''),
    (['--endpoints', ':2379'], 'failed to resolve endpoint host: \n', ''),
    (['--endpoints', 'unix://nobody.invalid:1'], 'failed to resolve endpoint host: nobody.invalid\n', ''),
    (['--listen-addr', 'foo'], 'failed to validate listen address: foo\n', ''),
    (['--listen-addr', ':23790'], 'failed to resolve listen host: \n', ''),
    (['--listen-addr', 'nobody.invalid:1'], 'failed to resolve listen host: nobody.invalid\n', ''),
    (['--listen-addr', '127.0.0.1:1x'], '', 'listen tcp: lookup tcp/1x: unknown port\n'),
    (['--listen-addr', '127.0.0.1:99999'], '', 'listen tcp: address 99999: invalid port\n'),
    (['--listen-addr', '127.0.0.1:-1'], '', 'listen tcp: address -1: invalid port\n'),
    (['--listen-addr', '127.0.0.1:2379'], 'SRV or endpoint (127.0.0.1:2379->127.0.0.1:2379) should not resolve to the '
     'gateway listen addr (127.0.0.1:2379)\n', ''),
    (['--endpoints', '127.0.0.1:1,http://u:p@127.0.0.1:23790/x'], 'SRV or endpoint (127.0.0.1:23790->127.0.0.1:23790) '
     'should not resolve to the gateway listen addr (127.0.0.1:23790)\n', ''),
    (['--listen-addr', '[::1]:23790', '--endpoints', '[::1]:23790'], 'SRV or endpoint (::1:23790->::1:23790) should not '
     'resolve to the gateway listen addr ([::1]:23790)\n', ''),
])
def test_refusals(run, args, out, err):
    """Addresses that cannot be: what is said on which stream, and status 1."""
    assert run('gateway', 'start', *args) == (1, out, err)


def test_port_in_use(run):
    """An address that somebody else has is named as etcd names it."""
    with socket.create_server(('127.0.0.1', 0)) as s:
        port = s.getsockname()[1]
        assert run('gateway', 'start', '--listen-addr', f'127.0.0.1:{port}') == \
            (1, '', f'listen tcp 127.0.0.1:{port}: bind: address already in use\n')


@pytest.mark.parametrize('args, error', [
    (['--bogus'], 'unknown flag: --bogus'),
    (['--endpoints'], 'flag needs an argument: --endpoints'),
    (['--retry-delay', 'x'], 'invalid argument "x" for "--retry-delay" flag: time: invalid duration "x"'),
    (['--insecure-discovery=maybe'], 'invalid argument "maybe" for "--insecure-discovery" flag: strconv.ParseBool: parsing '
     '"maybe": invalid syntax'),
])
def test_wrong_flags(run, args, error):
    """The error, the usage, and the error again, all on standard error."""
    status, out, err = run('gateway', 'start', *args)
    assert (status, out) == (1, '')
    assert err.startswith(f'Error: {error}\nUsage:\n  etcd gateway start [flags]\n\nFlags:\n')
    assert err.endswith('\n\n' + error)


def test_pages(run):
    """Without a known command the page of the gateway is shown; that of `start` has etcd's flags, types and defaults."""
    pages = {run('gateway', *args) for args in ([], ['-h'], ['bogus'], ['help'])}
    (status, page, err), = pages
    assert (status, err) == (0, '')
    assert '\nUsage:\n  etcd gateway [command]\n\nAvailable Commands:\n  start       ' in page
    status, page, err = run('gateway', 'start', '-h')
    shown = {w[0]: w[1] for w in (line.strip().removeprefix('--').split(' ', 1) for line in page.splitlines()
                                  if line.startswith('      --'))}
    assert shown.keys() == FLAGS.keys()
    for name, kind in FLAGS.items():
        assert shown[name].split('  ')[0].strip() == kind, name
    assert '(default "127.0.0.1:23790")' in shown['listen-addr']
    assert '(default [127.0.0.1:2379])' in shown['endpoints']
    assert '(default 1m0s)' in shown['retry-delay']


class Gateway:
    def __init__(self, program, *flags, log):
        self.port, = free_ports(1)
        self.log = log
        with open(log, 'wb') as f:
            self.process = subprocess.Popen([program, 'gateway', 'start', '--listen-addr', f'127.0.0.1:{self.port}', *flags],
                                            stdout=f, stderr=f)
        Server.wait_for(lambda: self.said('ready to proxy client requests') or self.process.poll() is not None)

    def lines(self):
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith('{') and line.endswith('}')]

    def said(self, msg):
        return [line for line in self.lines() if line['msg'] == msg]

    def connect(self):
        return socket.create_connection(('127.0.0.1', self.port), timeout=SECONDS)


@pytest.fixture
def gateway(program, tmp_path):
    """gateway(*flags): one that serves; ended by SIGTERM, and the status must say so."""
    started = []

    def start(*flags):
        g = Gateway(program, *flags, log=tmp_path / f'gateway-{len(started)}.log')
        started.append(g)
        return g

    yield start
    for g in started:
        g.process.terminate()
        assert g.process.wait(SECONDS) == -15, g.log.read_text()


@contextlib.contextmanager
def listening(port=0):
    s = socket.create_server(('127.0.0.1', port))
    s.settimeout(SECONDS)
    with s:
        yield s, f'127.0.0.1:{s.getsockname()[1]}'


def end_of(s):
    """All that comes until the other side has said its last."""
    got = b''
    while piece := s.recv(1 << 16):
        got += piece
    return got


def test_a_cluster_behind_it(server, gateway):
    """etcdctl, watches and curl's kind of requests reach a member through the gateway, whose first lines are etcd's."""
    g = gateway('--endpoints', f'http://{server.endpoint}')
    assert [line['msg'] for line in g.lines()] == ['Running: ', 'notifying init daemon', 'successfully notified init daemon',
                                                   'ready to proxy client requests']
    assert g.said('ready to proxy client requests')[0]['endpoints'] == [server.endpoint]
    assert g.lines()[0]['args'][1:3] == ['gateway', 'start']
    server.endpoint = f'127.0.0.1:{g.port}'
    assert server.ctl('put', 'k', 'x' * 100000) == 'OK\n'
    assert server.ctl('get', 'k', '--print-value-only') == 'x' * 100000 + '\n'
    watch = subprocess.Popen(server.ctl_command('watch', 'k', '--rev=2'), stdout=subprocess.PIPE)
    assert watch.stdout.readline() == b'PUT\n'
    watch.kill()
    watch.communicate()
    server.wait_for(server.is_healthy)


def test_two_hundred_connections(gateway):
    """They take turns between two endpoints, and each gets its own bytes back."""
    with listening() as (a, first), listening() as (b, second):
        g = gateway('--endpoints', f'{first},{second}')
        clients, servers = [], {a: [], b: []}
        for i in range(100):
            for s in (a, b):
                clients.append(g.connect())
                servers[s].append(s.accept()[0])
        for i, c in enumerate(clients):
            c.sendall(b'%d\n' % i)
        for i, s in enumerate(x for pair in zip(servers[a], servers[b]) for x in pair):
            assert s.recv(10) == b'%d\n' % i
            s.sendall(b'back %d' % i)
            s.close()
        for i, c in enumerate(clients):
            assert end_of(c) == b'back %d' % i
            c.close()


def test_a_dead_endpoint(gateway):
    """It is named, and passed over; when it is back it gets connections again.  Open ones stay where they are."""
    port, = free_ports(1)  # of those that nobody is given while it is free
    with listening(port) as (a, first), listening() as (b, second):
        g = gateway('--endpoints', f'{first},{second}', '--retry-delay', '100ms')
        stays = g.connect()
        to_a = a.accept()[0]
        a.close()
        for _ in range(3):
            with g.connect() as c, b.accept()[0] as s:
                s.sendall(b'b')
                assert c.recv(1) == b'b'
        Server.wait_for(lambda: g.said('deactivated endpoint'))  # lines are written beside the work
        line, = g.said('deactivated endpoint')
        assert {k: line[k] for k in ('level', 'address', 'interval', 'error')} == {
            'level': 'warn', 'address': first, 'interval': '100ms',
            'error': f'dial tcp {first}: connect: connection refused'}
        Server.wait_for(lambda: g.said('failed to activate endpoint (stay inactive for another interval)'))
        with listening(port) as (a, _):
            Server.wait_for(lambda: [line['address'] for line in g.said('activated')] == [first])
            a.accept()[0].close()  # the look whether it is there
            with g.connect(), g.connect():
                a.accept()[0].close()
        stays.sendall(b'still')
        assert to_a.recv(5) == b'still'
        to_a.close()
        stays.close()


def test_no_endpoint_left(gateway):
    """A client is not kept waiting: its connection is closed."""
    port, = free_ports(1)
    g = gateway('--endpoints', f'127.0.0.1:{port}')
    for _ in range(2):
        with g.connect() as c:
            assert c.recv(1) == b''
    Server.wait_for(lambda: g.said('deactivated endpoint'))
    assert len(g.said('deactivated endpoint')) == 1


@pytest.mark.skipif('KETCH_ETCD' in os.environ, reason='etcd closes both directions with the first')
def test_half_closed(gateway):
    """Who has said its last still gets the whole answer."""
    with listening() as (a, first):
        g = gateway('--endpoints', first)
        with g.connect() as c, a.accept()[0] as s:
            c.sendall(b'question')
            c.shutdown(socket.SHUT_WR)
            assert end_of(s) == b'question'
            answer = os.urandom(3 << 20)
            threading.Thread(target=lambda: (s.sendall(answer), s.shutdown(socket.SHUT_WR))).start()
            assert end_of(c) == answer


def memory_of(process):
    with open(f'/proc/{process.pid}/status') as f:
        return next(int(line.split()[1]) for line in f if line.startswith('VmRSS'))


def test_a_slow_reader(gateway):
    """A reader that stops slows its sender, not the gateway's memory nor the others; then it gets all that was sent."""
    with listening() as (a, first):
        g = gateway('--endpoints', first)
        slow, s = g.connect(), a.accept()[0]
        fast, t = g.connect(), a.accept()[0]
        piece, sent = os.urandom(1 << 20), 0
        before = memory_of(g.process)
        s.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            while sent < 200 << 20:
                sent += s.send(piece[sent % len(piece):])
        assert 0 < sent < 100 << 20
        t.sendall(b'others')
        assert fast.recv(10) == b'others'
        assert memory_of(g.process) - before < 10240
        s.shutdown(socket.SHUT_WR)
        got = end_of(slow)
        assert len(got) == sent
        assert got == (piece * (sent // len(piece) + 1))[:sent]
        for x in (slow, fast, s, t):
            x.close()


@pytest.mark.skipif('KETCH_ETCD' in os.environ, reason='a Go program asks DNS by itself')
def test_endpoints_from_dns(gateway, run, dns):  # noqa: F811
    """Records name the endpoints, secure ones only unless told otherwise; where none is left --endpoints count."""
    with listening() as (a, first), listening() as (b, second):
        ports = [int(x.rpartition(':')[2]) for x in (first, second)]
        dead, = free_ports(1)
        dns.records['_etcd-client._tcp.example.test'] = [ports[0]]
        dns.records['_etcd-client-ssl-x._tcp.example.test'] = [dead, ports[1]]
        g = gateway('--discovery-srv', 'example.test', '--insecure-discovery')
        assert g.said('discovered cluster from SRV')[0]['endpoints'] == [f'http://localhost.:{ports[0]}']
        assert g.said('ready to proxy client requests')[0]['endpoints'] == [f'localhost.:{ports[0]}']
        with g.connect():
            a.accept()[0].close()
        # Plain ones are not taken.
        g = gateway('--discovery-srv', 'example.test', '--endpoints', second)
        line, = g.said('failed to validate discovered endpoints')
        assert (line['endpoints'], line['error']) == ([], f'"http://localhost.:{ports[0]}" is insecure')
        assert g.said('ready to proxy client requests')[0]['endpoints'] == [second]
        # Nor are those that do not answer.
        g = gateway('--discovery-srv', 'example.test', '--discovery-srv-name', 'x')
        line, = g.said('failed to validate discovered endpoints')
        assert line['endpoints'] == [f'https://localhost.:{ports[1]}']
        assert line['error'].startswith(f'"https://localhost.:{dead}" failed to dial (dial tcp ')
        b.accept()[0].close()
        with g.connect():
            b.accept()[0].close()
        # Without the authorities none is.
        g = gateway('--discovery-srv', 'example.test', '--discovery-srv-name', 'x', '--trusted-ca-file', '/nowhere/ca',
                    '--endpoints', first)
        line, = g.said('failed to validate discovered endpoints')
        assert (line['endpoints'], line['error']) == ([], 'open /nowhere/ca: no such file or directory')
    asked = f'on 127.0.0.1:{dns.port}: no such host'
    assert run('gateway', 'start', '--discovery-srv', 'nowhere.test') == (
        1, '', f'dns lookup errors: lookup _etcd-client-ssl._tcp.nowhere.test {asked} and lookup '
               f'_etcd-client._tcp.nowhere.test {asked}\n')
