"""`etcd grpc-proxy start`: calls and streams through it, its pages, its flags."""
import contextlib
import json
import pathlib
import queue
import signal
import socket
import subprocess
import urllib.error
import urllib.request

import grpc
import pytest
from conftest import START_SECONDS, free_ports
from etcdctl_lib import Ctl, wait_until
from grpc_lib import OPTIONS
from tls_lib import Authority

REAL = pathlib.Path.home() / '.cache/etcd-3.7.1/bin/etcd'


class Proxy:
    def __init__(self, program, endpoints, flags, folder):
        self.port, = free_ports(1)
        self.endpoint = f'127.0.0.1:{self.port}'
        self.log = folder / f'proxy-{self.port}.log'
        self.command = [str(program), 'grpc-proxy', 'start', '--listen-addr', self.endpoint, '--endpoints', endpoints,
                        '--advertise-client-url', self.endpoint, *flags]

    def start(self):
        with open(self.log, 'wb') as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, cwd=self.log.parent)
        wait_until(lambda: self.process.poll() is not None or 'started gRPC proxy' in self.log.read_text(), START_SECONDS)
        assert self.process.poll() is None, self.log.read_text()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        assert self.process.wait(60) == -signal.SIGTERM, self.log.read_text()

    def page(self, path, context=None, scheme='http'):
        """(status, body)"""
        try:
            with urllib.request.urlopen(f'{scheme}://{self.endpoint}{path}', timeout=30, context=context) as r:
                return r.status, r.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()


@pytest.fixture
def start_proxy(ketch_bin, tmp_path):
    @contextlib.contextmanager
    def start(endpoints, *flags):
        p = Proxy(ketch_bin / 'etcd', endpoints, flags, tmp_path)
        p.start()
        try:
            yield p
        finally:
            p.stop()

    return start


@pytest.fixture
def proxy(start_proxy, server):
    with start_proxy(server.endpoint) as p:
        yield p


@pytest.fixture
def ctl(ketch_bin, proxy):
    return Ctl(ketch_bin / 'etcdctl', proxy.endpoint)


def metric(page, name):
    return sum(float(line.split()[1]) for line in page.splitlines() if line.split(' ')[0] == name)


# ---- calls ----

def test_keys_and_txn(ctl, server):
    """Puts, ranges, transactions, deletions and a compaction come out as they went in."""
    assert ctl('put', 'a', '1') == 'OK\n'
    assert ctl('get', 'a') == 'a\n1\n'
    assert ctl('get', 'a', '--consistency=s') == 'a\n1\n'
    assert ctl('txn', input='value("a") = "1"\n\nput b 2\n\n\n') == 'SUCCESS\n\nOK\n'
    assert server.ctl('get', 'b') == 'b\n2\n'
    assert ctl('del', '', '--prefix') == '2\n'
    assert ctl('compaction', '3') == 'compacted revision 3\n'
    assert 'etcdserver: key is not provided' in ctl.run('put', '', 'x').err


def test_leases(ctl):
    """A lease is granted, looked at, kept alive and revoked."""
    lease = ctl('lease', 'grant', '60').split()[1]
    assert ctl('put', 'k', 'v', '--lease', lease) == 'OK\n'
    assert 'attached keys([k])' in ctl('lease', 'timetolive', lease, '--keys')
    assert ctl('lease', 'keep-alive', '--once', lease) == f'lease {lease} keepalived with TTL(60)\n'
    assert lease in ctl('lease', 'list')
    assert ctl('lease', 'revoke', lease) == f'lease {lease} revoked\n'
    assert ctl('get', 'k') == ''
    assert 'requested lease not found' in ctl.run('lease', 'keep-alive', '--once', lease).err


def test_locks_and_elections(ctl, server):
    """The lock is held for the time of a command; a leader is elected and observed."""
    assert ctl('lock', 'l', 'echo', 'held').endswith('held\n')
    watching = ctl.start('elect', '-l', 'e')
    elected = ctl.start('elect', 'e', 'me')
    assert watching.stdout.readline().startswith(b'e/')
    assert watching.stdout.readline() == b'me\n'
    for p in (watching, elected):
        p.send_signal(signal.SIGINT)
        p.communicate(timeout=20)


def test_users(ctl, server):
    """Logins give tokens that go through to the member, and refusals come back."""
    for args in (['user', 'add', 'root:pw'], ['user', 'add', 'u:pw'], ['role', 'add', 'r'],
                 ['role', 'grant-permission', 'r', 'readwrite', 'a'], ['user', 'grant-role', 'u', 'r'],
                 ['user', 'grant-role', 'root', 'root'], ['auth', 'enable']):
        ctl(*args)
    assert ctl('--user', 'u:pw', 'put', 'a', '1') == 'OK\n'
    assert 'permission denied' in ctl.run('--user', 'u:pw', 'put', 'b', '1').err
    assert 'user name is empty' in ctl.run('get', 'a').err
    assert ctl('--user', 'root:pw', 'auth', 'disable') == 'Authentication Disabled\n'


def test_maintenance(ctl, tmp_path, ketch_bin):
    """Status, hash, defragmentation, alarms and a snapshot."""
    ctl('put', 'a', input='x' * 100000)
    assert ctl.json('endpoint', 'status')[0]['Status']['version'] == '3.7.1'
    assert ctl.json('endpoint', 'hashkv')[0]['HashKV']['hash'] > 0
    assert 'Finished defragmenting' in ctl('defrag')
    assert ctl('alarm', 'list') == ''
    ctl.run('snapshot', 'save', tmp_path / 's.db')
    p = subprocess.run([ketch_bin / 'etcdutl', 'snapshot', 'status', tmp_path / 's.db', '-w', 'json'],
                       capture_output=True, text=True)
    assert json.loads(p.stdout)['totalKey'] >= 1


def test_members(ctl, proxy, start_proxy, server, ketch_bin):
    """MemberList names the proxy; without an advertised URL it names the members."""
    members = ctl.json('member', 'list')['members']
    assert [m['clientURLs'] for m in members] == [[proxy.endpoint]]
    with start_proxy(server.endpoint, '--advertise-client-url', '') as other:
        members = Ctl(ketch_bin / 'etcdctl', other.endpoint).json('member', 'list')['members']
        assert [m['clientURLs'] for m in members] == [[f'http://{server.endpoint}']]
        assert other.page('/proxy/health') == (503, '{"health":"false","reason":"no connection to proxy"}\n')


def test_watch(ctl):
    """Events of a key arrive, those from an earlier revision on as well."""
    ctl('put', 'k', '1')
    watching = ctl.start('watch', 'k', '--rev', '2')
    ctl('put', 'k', '2')
    assert [watching.stdout.readline() for _ in range(6)] == [b'PUT\n', b'k\n', b'1\n', b'PUT\n', b'k\n', b'2\n']
    watching.kill()
    watching.communicate()


class Watching:
    """One client's Watch stream."""

    def __init__(self, endpoint, messages, metadata=None):
        self.channel = grpc.insecure_channel(endpoint, options=OPTIONS)
        self.rpc, self.requests = messages.rpc, queue.Queue()
        call = self.channel.stream_stream('/etcdserverpb.Watch/Watch', request_serializer=lambda r: r.SerializeToString(),
                                          response_deserializer=messages.rpc.WatchResponse.FromString)
        self.answers = call(iter(self.requests.get, None), metadata=metadata, timeout=300)

    def ask(self, **what):
        self.requests.put(self.rpc.WatchRequest(**what))

    def create(self, **fields):
        self.ask(create_request=self.rpc.WatchCreateRequest(**fields))

    def next(self):
        return next(self.answers)

    def close(self):
        self.answers.cancel()
        self.channel.close()


def own_watchers(server):
    with urllib.request.urlopen(f'http://{server.endpoint}/metrics') as r:
        return metric(r.read().decode(), 'etcd_debugging_mvcc_watcher_total')


def test_watches_are_shared(server, proxy, messages):
    """Fifty clients watch one range: the member has one watch in the end, and each client gets each event once,
    from the revision on at which its own watch began."""
    clients = []
    for i in range(50):
        w = Watching(proxy.endpoint, messages)
        w.create(key=b'k', range_end=b'l')
        w.first = w.next()
        assert (w.first.created, w.first.watch_id) == (True, 0)
        clients.append(w)
        if i % 10 == 0:
            server.grpc('etcdserverpb.KV/Put')(key=b'k', value=b'early')
    wait_until(lambda: own_watchers(server) == 1)
    for value in (b'1', b'2'):
        server.grpc('etcdserverpb.KV/Put')(key=b'k', value=value)
    last = server.grpc('etcdserverpb.KV/Range')(key=b'k').kvs[0].mod_revision
    for w in clients:
        revisions = []
        while not revisions or revisions[-1] < last:
            revisions += [e.kv.mod_revision for e in w.next().events]
        assert revisions == list(range(w.first.header.revision + 1, last + 1))
    assert metric(proxy.page('/proxy/metrics')[1], 'etcd_grpc_proxy_watchers_coalescing_total') == 49
    for w in clients:
        w.close()
    wait_until(lambda: own_watchers(server) == 0)
    wait_until(lambda: 'etcd_grpc_proxy_watchers_coalescing_total 0' in proxy.page('/proxy/metrics')[1])


def test_watch_options(server, proxy, messages):
    """History, previous values, filters, ids, cancellation, progress and a compacted start, on one stream."""
    put = server.grpc('etcdserverpb.KV/Put')
    for value in (b'1', b'2', b'3'):
        put(key=b'k', value=value)
    w = Watching(proxy.endpoint, messages)
    w.create(key=b'k', start_revision=3, prev_kv=True)
    assert w.next().created
    got = []
    while len(got) < 2:
        got += [(e.prev_kv.value, e.kv.value) for e in w.next().events]
    assert got == [(b'1', b'2'), (b'2', b'3')]
    w.create(key=b'k', watch_id=7, filters=[messages.rpc.WatchCreateRequest.NOPUT])
    assert w.next().watch_id == 7
    w.create(key=b'k', watch_id=7)
    refused = w.next()
    assert (refused.watch_id, refused.created, refused.canceled, refused.cancel_reason) == (
        -1, True, True, 'mvcc: duplicate watch ID provided on the WatchStream')
    w.ask(progress_request=messages.rpc.WatchProgressRequest())
    progress = w.next()
    assert (progress.watch_id, progress.header.revision) == (-1, 4)
    server.grpc('etcdserverpb.KV/DeleteRange')(key=b'k')
    assert sorted((r.watch_id, r.events[0].type) for r in (w.next(), w.next())) == [(0, 1), (7, 1)]
    w.ask(cancel_request=messages.rpc.WatchCancelRequest(watch_id=7))
    canceled = w.next()
    assert (canceled.watch_id, canceled.canceled, canceled.header.revision) == (7, True, 5)
    server.grpc('etcdserverpb.KV/Compact')(revision=4)
    w.create(key=b'k', start_revision=2)
    assert w.next().created
    compacted = w.next()
    assert (compacted.canceled, compacted.compact_revision) == (True, 4)
    w.close()


def test_a_watch_outlives_its_member(server, proxy, messages):
    """The member is killed and comes back: the watch goes on, without a gap and without anything twice."""
    put = server.grpc('etcdserverpb.KV/Put')
    w = Watching(proxy.endpoint, messages)
    w.create(key=b'k')
    assert w.next().created
    put(key=b'k', value=b'1')
    assert w.next().events[0].kv.value == b'1'
    server.channel.close()
    server.channel = None
    server.kill()
    server.start()
    server.grpc('etcdserverpb.KV/Put')(key=b'k', value=b'2')
    assert [e.kv.value for e in w.next().events] == [b'2']
    w.close()


def test_namespace(server, start_proxy, ketch_bin):
    """Behind a namespace a client sees its own keys alone, in every kind of request."""
    server.ctl('put', 'other', 'x')
    server.ctl('put', 'ns0', 'x')
    with start_proxy(server.endpoint, '--namespace', 'ns/') as p:
        ctl = Ctl(ketch_bin / 'etcdctl', p.endpoint)
        watching = ctl.start('watch', '', '--prefix', '--prev-kv', '--rev', '1')
        ctl('put', 'a', '1')
        assert server.ctl('get', 'ns/', '--prefix') == 'ns/a\n1\n'
        assert ctl('get', '', '--prefix') == 'a\n1\n'
        assert ctl('get', '', '--from-key') == 'a\n1\n'
        assert ctl('txn', input='value("a") = "1"\n\nput b 2\nget a\n\nget b\n\n').endswith('a\n1\n')
        lease = ctl('lease', 'grant', '60').split()[1]
        ctl('put', 'c', '3', '--lease', lease)
        server.ctl('put', 'other', 'y', '--lease', lease)
        assert 'attached keys([c])' in ctl('lease', 'timetolive', lease, '--keys')
        assert ctl('put', 'a', '2', '--prev-kv') == 'OK\na\n1\n'
        assert ctl('del', 'a', '--prev-kv') == '1\na\n2\n'
        assert ctl('del', '', '--from-key') == '2\n'
        assert server.ctl('get', '', '--prefix', '--keys-only').split() == ['ns0', 'other']
        assert 'key is not provided' in ctl.run('put', '', 'x').err
        seen = [watching.stdout.readline().strip().decode() for _ in range(17)]
        assert seen[:9] == ['PUT', 'a', '1', 'PUT', 'b', '2', 'PUT', 'c', '3'], seen
        assert seen[9:17] == ['PUT', 'a', '1', 'a', '2', 'DELETE', 'a', '2'], seen
        watching.kill()
        watching.communicate()


def test_a_large_answer(ctl, proxy):
    """What is larger than any buffer on the way arrives whole; too large a request is refused in gRPC's words."""
    for i in range(8):
        ctl('put', f'k{i}', input='x' * 1000000)
    assert len(ctl('get', 'k', '--prefix')) == 8 * (1000000 + 4)
    r = ctl.run('put', 'big', input='y' * 1600000)
    assert 'trying to send message larger than max (1600009 vs. 1572864)' in r.err, r


# ---- pages ----

def test_pages(proxy):
    """Health of a member and of the proxy, metrics of a member and of the proxy."""
    healthy = '{"health":"true","reason":""}'
    assert proxy.page('/health') == (200, healthy)
    assert proxy.page('/proxy/health') == (200, healthy)
    assert 'etcd_server_has_leader 1' in proxy.page('/metrics')[1]
    own = proxy.page('/proxy/metrics')[1]
    assert 'etcd_grpc_proxy_watchers_coalescing_total 0' in own
    assert 'grpc_server_handled_total{grpc_code="OK",grpc_method="Range",grpc_service="etcdserverpb.KV",' \
           'grpc_type="unary"} 1' in own
    assert proxy.page('/nope') == (404, '404 page not found\n')


def test_pages_without_members(start_proxy, ketch_bin):
    """Nobody can be reached: the pages say so, and so do calls, at their time."""
    port, metrics = free_ports(2)
    with start_proxy(f'127.0.0.1:{port}', '--metrics-addr', f'http://127.0.0.1:{metrics}') as p:
        unhealthy = (503, '{"health":"false","reason":"GET ERROR:context deadline exceeded"}\n')
        assert p.page('/health') == unhealthy
        assert p.page('/proxy/health') == unhealthy
        assert p.page('/metrics') == (500, 'Internal server error\n')
        r = Ctl(ketch_bin / 'etcdctl', p.endpoint).run('put', 'a', 'b', '--command-timeout=1s')
        assert (r.status, 'context deadline exceeded' in r.err) == (1, True), r
        p.endpoint = f'127.0.0.1:{metrics}'
        assert 'grpc_server_handled_total' in p.page('/proxy/metrics')[1]


# ---- members that come and go ----

def test_an_endpoint_dies(start_server, start_proxy, ketch_bin, tmp_path):
    """One of two endpoints is killed: calls go on over the other, a watch too."""
    with start_server(tmp_path / 'a.data') as a, start_server(tmp_path / 'b.data') as b:
        with start_proxy(f'{a.endpoint},{b.endpoint}') as p:
            ctl = Ctl(ketch_bin / 'etcdctl', p.endpoint)
            wait_until(lambda: all(ctl.run('get', 'x', '--command-timeout=5s').status == 0 for _ in range(2)))
            a.kill()
            for _ in range(6):
                assert ctl('get', 'x') == ''
            b.ctl('put', 'x', 'of b')
            assert ctl('get', 'x') == 'x\nof b\n'
        a.process.returncode = -signal.SIGTERM  # its end is no surprise


def test_the_member_comes_back(server, proxy, ctl):
    """A member that was away serves again, without a restart of the proxy."""
    ctl('put', 'a', '1')
    server.kill()
    assert ctl.run('get', 'a', '--command-timeout=300ms').status == 1
    server.start()
    wait_until(lambda: ctl.run('get', 'a', '--command-timeout=5s').out == 'a\n1\n')


def test_endpoints_are_synced(start_server, start_proxy, ketch_bin, tmp_path):
    """The list of endpoints is replaced by what the members say."""
    with start_server(tmp_path / 's.data') as s:
        with start_proxy(s.endpoint, '--endpoints-auto-sync-interval', '100ms') as p:
            ctl = Ctl(ketch_bin / 'etcdctl', p.endpoint)
            before = ctl('put', 'a', '1')
            wait_until(lambda: s.grpc('etcdserverpb.Cluster/MemberList')() and
                       metric_of(s, 'MemberList') >= 4)
            assert (before, ctl('get', 'a')) == ('OK\n', 'a\n1\n')


def metric_of(server, method):
    with urllib.request.urlopen(f'http://{server.endpoint}/metrics') as r:
        return sum(float(line.split()[1]) for line in r.read().decode().splitlines()
                   if line.startswith('grpc_server_handled_total') and f'"{method}"' in line)


def test_registration(server, start_proxy, ketch_bin):
    """Two proxies register, and MemberList names both; one that is gone is forgotten when its lease ends."""
    flags = ['--resolver-prefix', 'svc', '--resolver-ttl', '1']
    with start_proxy(server.endpoint, *flags) as one, start_proxy(server.endpoint, *flags) as two:
        ctl = Ctl(ketch_bin / 'etcdctl', one.endpoint)

        def listed():
            return sorted(u for m in ctl.json('member', 'list')['members'] for u in m['clientURLs'])

        wait_until(lambda: listed() == sorted([one.endpoint, two.endpoint]))
        found = []
        wait_until(lambda: found.append(server.ctl('get', f'svc/{one.endpoint}').splitlines()) or found[-1])  # of a second's life
        key, value = found[-1]
        assert json.loads(value).keys() == {'Op', 'Addr', 'Metadata'}
        assert json.loads(json.loads(value)['Metadata']) == {'name': socket.gethostname()}
        two.stop()
        wait_until(lambda: listed() == [one.endpoint])
        two.start()


# ---- TLS ----

def test_tls(start_server, start_proxy, ketch_bin, tmp_path):
    """TLS on both sides; a certificate with a common name may not be shown to members; pages over TLS."""
    ca = Authority(tmp_path)
    pair, nameless = ca.pair('server'), ca.pair('')
    server_flags = [*pair.flags(), '--trusted-ca-file', str(ca.cert)]
    with start_server(tmp_path / 's.data', *server_flags, wait=False) as s:
        s.command = [c.replace(f'http://{s.endpoint}', f'https://{s.endpoint}') for c in s.command]
        s.kill()
        s.start(wait=False)
        dial = ['--cert', str(nameless.cert), '--key', str(nameless.key), '--cacert', str(ca.cert)]
        with start_proxy(s.endpoint, *dial, *server_flags) as p:
            ctl = Ctl(ketch_bin / 'etcdctl', f'https://{p.endpoint}')
            wait_until(lambda: ctl.run(*pair.ctl(ca.cert), 'put', 'a', '1', '--command-timeout=5s').out == 'OK\n')
            assert ctl.run('--insecure-skip-tls-verify', 'get', 'a', '--command-timeout=1s').status == 1
            assert 'gRPC proxy server TLS' in p.log.read_text()
    named = subprocess.run([ketch_bin / 'etcd', 'grpc-proxy', 'start', '--listen-addr', '127.0.0.1:0', '--cert',
                            str(pair.cert), '--key', str(pair.key), '--cacert', str(ca.cert)], capture_output=True,
                           text=True, timeout=60)
    assert named.returncode == 1
    assert f'cert has non empty Common Name (server): {pair.cert}' in named.stderr


def test_auto_tls(server, start_proxy, ketch_bin, tmp_path):
    """A certificate is made in the data directory."""
    with start_proxy(server.endpoint, '--auto-tls', '--data-dir', str(tmp_path / 'px'), '--tls-min-version',
                     'TLS1.3') as p:
        ctl = Ctl(ketch_bin / 'etcdctl', f'https://{p.endpoint}')
        assert ctl('--insecure-skip-tls-verify', '--insecure-transport=false', 'put', 'a', '1') == 'OK\n'
        assert (tmp_path / 'px/fixtures/proxy/cert.pem').exists()


# ---- flags ----

WRONG = [
    [],
    ['bogus'],
    ['start', '--resolver-ttl', '3'],
    ['start', '--resolver-prefix', 'p'],
    ['start', '--resolver-prefix', 'p', '--resolver-ttl', '1', '--advertise-client-url='],
    ['start', '--auto-tls', '--self-signed-cert-validity', '0'],
    ['start', '--tls-min-version', 'TLS1.9'],
    ['start', '--tls-max-version', 'TLS1.9'],
    ['start', '--tls-min-version', 'TLS1.3', '--tls-max-version', 'TLS1.2'],
    ['start', '--tls-min-version', 'TLS1.3', '--listen-cipher-suites', 'X'],
    ['start', '--listen-addr', '1.2.3'],
    ['start', '--listen-addr', '[::1'],
    ['start', '--listen-addr', '[::1]x:1'],
    ['start', '--listen-addr', '[a]:b:1'],
    ['start', '--listen-addr', '::1:1'],
    ['start', '--listen-addr', 'a[b:1'],
    ['start', '--listen-addr', 'a]b:1'],
    ['start', '--listen-addr', '[a]:1]'],
    ['start', '--listen-addr', '127.0.0.1:99999'],
    ['start', '--listen-addr', '127.0.0.1:http-or-so'],
    ['start', '--bogus'],
    ['start', '--max-send-bytes', 'abc'],
    ['start', '--dial-keepalive-time', '3'],
    ['start', '--listen-addr', '127.0.0.1:{port}', '--endpoints='],
    ['start', '--listen-addr', '127.0.0.1:{port}', '--cert', 'x'],
    ['start', '--listen-addr', '127.0.0.1:{port}', '--max-send-bytes', '100', '--max-recv-bytes', '10'],
]


def outcome(program, args, port, folder):
    p = subprocess.run([str(program), 'grpc-proxy', *(a.format(port=port) for a in args)], capture_output=True,
                       text=True, timeout=60, cwd=folder)
    err = [line for line in p.stderr.splitlines() if not line.startswith('{"level"')]
    return p.returncode, err[:1], 'Usage:' in p.stdout + p.stderr


@pytest.mark.parametrize('args', WRONG, ids=' '.join)
def test_wrong_flags_as_3_7_1(args, ketch_bin, tmp_path):
    """The same status and the same words as etcd 3.7.1."""
    if not REAL.exists():
        pytest.skip(f'skipped: no etcd 3.7.1 at {REAL}')
    port, = free_ports(1)
    assert outcome(ketch_bin / 'etcd', args, port, tmp_path) == outcome(REAL, args, port, tmp_path)


def test_wrong_flags(ketch_bin, tmp_path, server):
    """Statuses and words without another program to compare with; a port that is in use."""
    def err(*args):
        status, lines, _ = outcome(ketch_bin / 'etcd', ['start', *args], 0, tmp_path)
        return status, lines[0]

    assert err('--resolver-prefix', 'p') == (1, 'invalid resolver-ttl 0')
    assert err('--tls-min-version', 'x') == (
        1, 'tls-min-version is invalid: unexpected TLS version "x" (must be one of: TLS1.2, TLS1.3)')
    assert err('--listen-addr', server.endpoint) == (
        1, f'listen tcp {server.endpoint}: bind: address already in use')
    assert err('--listen-addr', '127.0.0.1:0', '--endpoints', 'nonsense') == (
        1, 'endpoint "nonsense" does not have the form host:port')
