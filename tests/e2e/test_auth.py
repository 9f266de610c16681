"""Users and roles on running servers: tokens of both kinds, restarts, clusters of both kinds, and the published advisories."""
import base64
import concurrent.futures
import hashlib
import hmac
import json
import os
import pathlib
import subprocess
import time
import urllib.error
import urllib.request

import grpc
import pytest

import h2_raw
from auth_lib import Caller, turn_on
from auth_matrix import KV, LEASE, MAINT
from cluster_lib import Cluster
from conftest import whoever_leads
from etcdctl_lib import undisturbed
from tls_lib import Authority, TlsServer

CHEAP = ('--bcrypt-cost', '4')
DENIED = ('PERMISSION_DENIED', 'etcdserver: permission denied')
BAD_TOKEN = ('UNAUTHENTICATED', 'etcdserver: invalid auth token')
NOBODY = ('INVALID_ARGUMENT', 'etcdserver: user name is empty')
OLD = ('INVALID_ARGUMENT', 'etcdserver: revision of auth store is old')
WRONG = ('INVALID_ARGUMENT', 'etcdserver: authentication failed, invalid user ID or password')
OK = ('OK', '')


@pytest.fixture
def auth_server(start_server, tmp_path):
    with start_server(tmp_path / 'data', *CHEAP) as s, Caller(s) as c:
        c.root = turn_on(c)
        yield c


def a_to_c(c, root, kind=2):
    c.user('u', token=root)
    c.role('r', dict(permType=kind, key=b'a', range_end=b'c'), token=root)
    c.auth('UserGrantRole', root, user='u', role='r')
    return c.login('u')


def test_names_that_no_file_can_hold_are_refused(start_server, tmp_path):
    """A name is a key of the data file: one byte too many stops a real etcd, for good.  The longest that fits is kept."""
    add = {'User': dict(options=dict(no_password=True)), 'Role': {}}
    for expected in [OK, OK], [('FAILED_PRECONDITION', f'etcdserver: {x} name already exists') for x in ('user', 'role')]:
        with start_server(tmp_path / 'data', *CHEAP) as s, Caller(s) as c:
            got = [c.outcome(f'etcdserverpb.Auth/{x}Add', name='n' * 32768, **fields) for x, fields in add.items()]
            assert got == expected
            for x, fields in add.items():
                assert c.outcome(f'etcdserverpb.Auth/{x}Add', name='n' * 32769, **fields) == (
                    'INVALID_ARGUMENT', 'etcdserver: names are no longer than 32768 bytes')


# ---- tokens ----

def token_that_outlives(c, *acts):
    """A token of u, good behind each of `acts`; another one where the machine was away for the second that it has."""
    acts_left = list(acts)
    used, u = time.monotonic(), c.login('u')
    while acts_left:
        acts_left.pop()()
        last, used = used, time.monotonic()
        got = c.outcome(KV + 'Put', u, key=b'a', value=b'1')
        if got == BAD_TOKEN and time.monotonic() - last > 1:
            acts_left, used, u = list(acts), time.monotonic(), c.login('u')
        else:
            assert got == OK
    return u


def as_root(c, rpc, **fields):
    """With a new token, and with another one where the machine was away for the second that it has."""
    while True:
        began, root = time.monotonic(), c.login('root')
        got = c.outcome('etcdserverpb.Auth/' + rpc, root, **fields)
        if got != BAD_TOKEN or time.monotonic() - began <= 1:
            assert got == OK
            return


def other_role(c):
    name = f'other-{time.monotonic_ns()}'
    as_root(c, 'RoleAdd', name=name)
    as_root(c, 'UserGrantRole', user='u', role=name)


def test_simple_tokens_end_with_their_time_and_what_they_stand_for(start_server, tmp_path):
    """A token lives a second (--auth-token-ttl) behind its last use, not longer; a new password ends it, a new role does
    not; a restart ends all."""
    with start_server(tmp_path / 'data', *CHEAP, '--auth-token-ttl', '1') as s, Caller(s) as c:
        c.user('u')
        c.role('r', dict(permType=2, key=b'a', range_end=b'c'))
        c.auth('UserGrantRole', user='u', role='r')
        turn_on(c)
        u = token_that_outlives(c, *[lambda: time.sleep(0.5)] * 4)
        u = token_that_outlives(c, lambda: other_role(c))
        as_root(c, 'UserChangePassword', name='u', password='new')
        assert c.outcome(KV + 'Put', u, key=b'a', value=b'1') == BAD_TOKEN
        assert c.outcome('etcdserverpb.Auth/Authenticate', name='u', password='pw') == WRONG
        u = c.login('u', 'new')
        time.sleep(1.1)
        assert c.outcome(KV + 'Put', u, key=b'a', value=b'1') == BAD_TOKEN


def test_a_restart_keeps_users_and_forgets_tokens(start_server, tmp_path):
    """Users, roles and the switch are on disk; simple tokens are not."""
    with start_server(tmp_path / 'data', *CHEAP) as s, Caller(s) as c:
        root = turn_on(c)
        a_to_c(c, root)
    with start_server(tmp_path / 'data', *CHEAP) as s, Caller(s) as c:
        assert c.outcome(KV + 'Range', root, key=b'a') == BAD_TOKEN
        u = c.login('u')
        assert c.outcome(KV + 'Put', u, key=b'a', value=b'1') == OK
        assert c.outcome(KV + 'Put', u, key=b'c', value=b'1') == DENIED
        assert c.auth('AuthStatus').authRevision == 7


def signed(claims, key, head=b'{"alg":"HS256","typ":"JWT"}'):
    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b'=')
    text = part(head) + b'.' + part(json.dumps(claims).encode())
    return (text + b'.' + part(hmac.new(key, text, hashlib.sha256).digest())).decode()


def openssl(*args, cwd):
    subprocess.run(['openssl', *args], cwd=cwd, check=True, capture_output=True)


KEYS = {'RS256': ['-algorithm', 'RSA'], 'PS384': ['-algorithm', 'RSA'],
        'ES256': ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
        'ES512': ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-521'], 'EdDSA': ['-algorithm', 'ed25519']}


@pytest.mark.parametrize('method', ['HS256', *KEYS])
def test_signed_tokens(start_server, tmp_path, method):
    """A JWT is the revision's: any change of users or roles makes it old; who is gone is denied; it outlives a restart."""
    key = tmp_path / 'key'
    if method == 'HS256':
        key.write_bytes(b'secret')
    else:
        openssl('genpkey', *KEYS[method], '-out', 'key', cwd=tmp_path)
    flags = [*CHEAP, '--auth-token', f'jwt,sign-method={method},priv-key={key},ttl=1h']
    with start_server(tmp_path / 'data', *flags) as s, Caller(s) as c:
        root = turn_on(c)
        assert json.loads(base64.urlsafe_b64decode(root.split('.')[0] + '==')) == {'alg': method, 'typ': 'JWT'}
        u = a_to_c(c, root)
        assert c.outcome(KV + 'Put', u, key=b'a', value=b'1') == OK
        assert c.outcome(KV + 'Range', root, key=b'a') == OLD
        assert c.outcome('etcdserverpb.Auth/UserList', root) == OK
        c.auth('UserAdd', root, name='x', password='pw')
        assert c.outcome(KV + 'Put', u, key=b'a', value=b'1') == OLD
        assert c.outcome(KV + 'Range', u, key=b'a', serializable=True) == OLD
        u = c.login('u')
        assert c.outcome(KV + 'Range', u[:-8] + 'AAAAAAAA', key=b'a') == BAD_TOKEN
    with start_server(tmp_path / 'data', *flags) as s, Caller(s) as c:
        assert c.outcome(KV + 'Put', u, key=b'a', value=b'1') == OK


def test_forged_tokens_are_none(start_server, tmp_path):
    """Claims that are missing or of another type, other algorithms, times that are over (crashes of old releases)."""
    (tmp_path / 'key').write_bytes(b'secret')
    with start_server(tmp_path / 'data', *CHEAP, '--auth-token', f'jwt,sign-method=HS256,priv-key={tmp_path}/key') as s, \
            Caller(s) as c:
        turn_on(c)

        def read(claims, **more):
            return c.outcome(KV + 'Range', signed(claims, b'secret', **more), key=b'a')
        assert read(dict(username='root', revision=3)) == OK
        assert read(dict(username='root', revision=3, exp=int(time.time()) + 60)) == OK
        assert read(dict(username='root', revision=4)) == OLD
        assert read(dict(username='root', revision=0)) == NOBODY
        assert read(dict(username='gone', revision=3)) == DENIED
        for claims in (dict(username='root'), dict(revision=3), dict(username=1, revision=3), dict(username='root', revision='3'),
                       dict(username='root', revision=3, exp=1), dict(username='root', revision=3, nbf=1 << 40), []):
            assert read(claims) == BAD_TOKEN, claims
        for head in b'{"alg":"none"}', b'{"alg":"HS512"}', b'{}', b'[]', b'x':
            assert read(dict(username='root', revision=3), head=head) == BAD_TOKEN, head
        assert c.outcome(KV + 'Range', 'a.' * 4000, key=b'a') == BAD_TOKEN
        log = s.log_text()
        assert signed(dict(username='root'), b'secret') not in log


@pytest.mark.parametrize('spec', ['other', 'simple,x', 'jwt', 'jwt,sign-method=none', 'jwt,sign-method=RS256', 'jwt,ttl=1s,ttl=2s'])
def test_bad_token_options_refuse_the_start(ketch_bin, tmp_path, spec):
    """One line, status 1, and nothing is made."""
    etcd = os.environ.get('KETCH_ETCD', ketch_bin / 'etcd')
    p = subprocess.run([str(etcd), '--data-dir', str(tmp_path / 'data'), '--listen-client-urls', 'http://127.0.0.1:0',
                        '--advertise-client-urls', 'http://127.0.0.1:1', '--listen-peer-urls', 'http://127.0.0.1:0',
                        '--auth-token', spec], capture_output=True, text=True, timeout=60)
    assert p.returncode == 1, p.stderr
    assert 'auth: ' in p.stderr + p.stdout
    assert not (tmp_path / 'data/member').exists()


def test_without_tokens_nobody_logs_in(start_server, tmp_path):
    """--auth-token "": passwords give nothing; every token is refused."""
    with start_server(tmp_path / 'data', *CHEAP, '--auth-token', '') as s, Caller(s) as c:
        c.user('root', 'root')
        c.auth('AuthEnable')
        assert c.outcome('etcdserverpb.Auth/Authenticate', name='root', password='pw') == WRONG
        assert c.outcome(KV + 'Range', 'a.1', key=b'a') == BAD_TOKEN


# ---- certificates, and the gateway ----

def credentials(authority, pair):
    return grpc.ssl_channel_credentials(authority.cert.read_bytes(), pair.key.read_bytes(), pair.cert.read_bytes())


def test_names_of_certificates(ketch_bin, messages, tmp_path):
    """With --client-cert-auth the common name is the user, unless a token says otherwise; not through the gateway
    (CVE-2018-16886)."""
    authority = Authority(tmp_path)
    server = authority.pair('root')
    s = TlsServer(os.environ.get('KETCH_ETCD', ketch_bin / 'etcd'), tmp_path, authority, server,
                  [*server.flags(), *server.flags('peer-'), '--client-cert-auth', '--trusted-ca-file', authority.cert, *CHEAP],
                  ketch_bin / 'etcdctl', messages)
    s.start()
    try:
        with Caller(s, credentials(authority, server)) as root, Caller(s, credentials(authority, authority.pair('u'))) as u:
            turn_on(root)
            assert root.outcome(KV + 'Put', key=b'z', value=b'1') == OK
            root.auth('UserAdd', name='u', options=dict(no_password=True))
            root.role('r', dict(permType=2, key=b'a', range_end=b'c'))
            root.auth('UserGrantRole', user='u', role='r')
            assert u.outcome(KV + 'Put', key=b'a', value=b'1') == OK
            assert u.outcome(KV + 'Put', key=b'z', value=b'1') == DENIED
            assert u.outcome(KV + 'Put', u.login('root'), key=b'z', value=b'1') == OK
            assert u.outcome(KV + 'Put', 'a.1', key=b'a', value=b'1') == BAD_TOKEN
            with Caller(s, credentials(authority, authority.pair('gone'))) as gone:
                assert gone.outcome(KV + 'Put', key=b'a', value=b'1') == DENIED
            with Caller(s, credentials(authority, authority.pair(''))) as nameless:
                # Whoever owns it is known, by an empty name that no user has.
                assert nameless.outcome(KV + 'Put', key=b'a', value=b'1') == DENIED
                assert nameless.outcome(KV + 'Range', key=b'a') == DENIED
                assert nameless.outcome(LEASE + 'LeaseGrant', TTL=1000) == OK
                assert nameless.outcome('etcdserverpb.Cluster/MemberList') == OK
                assert nameless.outcome(MAINT + 'Status') == OK
                assert nameless.outcome('etcdserverpb.Auth/UserList') == NOBODY
                assert nameless.outcome(KV + 'Put', nameless.login('root'), key=b'a', value=b'1') == OK
                status, _ = s.get('/v3/kv/range', s.context(authority.pair('')))
                assert status != 400
            status, body = s.get('/v3/kv/range')
            assert (status, body) == (400, b'CommonName of client sending a request against gateway will be ignored and not '
                                           b'used as expected\n')
            status, _ = s.get('/health')
            assert status == 200
    finally:
        s.stop()


def post(server, path, token=None, **fields):
    request = urllib.request.Request(f'http://{server.endpoint}/v3/{path}', json.dumps(fields).encode(),
                                     {'Authorization': token} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as r:
            return r.status, json.load(r)
    except urllib.error.HTTPError as e:
        return e.code, json.load(e)


def test_the_gateway_takes_tokens(auth_server):
    """The header Authorization, with and without Bearer; without it, nobody."""
    c, key = auth_server, base64.b64encode(b'a').decode()
    status, answer = post(c.server, 'auth/authenticate', name='root', password='pw')
    token = answer['token']
    assert post(c.server, 'kv/put', token, key=key)[0] == 200
    assert post(c.server, 'kv/put', 'Bearer ' + token, key=key)[0] == 200
    assert post(c.server, 'kv/put', key=key) == (400, dict(code=3, message=NOBODY[1]))
    assert post(c.server, 'kv/put', 'x.1', key=key)[0] == 401
    assert post(c.server, 'auth/user/list', token)[1]['users'] == ['root']


# ---- advisories ----

def test_passwords_are_nowhere(start_server, tmp_path):
    """GHSA-528j-9r78-wffx, CVE-2021-28235: neither log, data file nor debug pages hold a password in clear."""
    with start_server(tmp_path / 'data', *CHEAP, '--log-level', 'debug') as s, Caller(s) as c:
        c.user('root', 'root', password='pass-number-one')
        c.auth('UserAdd', name='cn', password='pass-number-two', options=dict(no_password=True))
        c.auth('UserChangePassword', name='root', password='pass-number-three')
        c.auth('AuthEnable')
        c.login('root', 'pass-number-three')
        assert c.outcome('etcdserverpb.Auth/Authenticate', name='root', password='pass-number-four') == WRONG
        assert c.outcome('etcdserverpb.Auth/Authenticate', name='cn', password='x') == (
            'UNKNOWN', 'auth: authentication failed, password was given for no password user')
        s.stop()
        for path in [*(tmp_path / 'data').rglob('*'), pathlib.Path(s.log_path)]:
            assert not path.is_file() or b'pass-number' not in path.read_bytes(), path
        s.start()


def test_watches_are_checked_with_their_range(auth_server):
    """CVE-2026-73499: a right on the first key is none on all behind it."""
    c = auth_server
    c.user('u', token=c.root)
    c.role('r', dict(permType=0, key=b'a'), token=c.root)
    c.auth('UserGrantRole', c.root, user='u', role='r')
    u = c.login('u')
    denied = ('canceled', 'rpc error: code = PermissionDenied desc = etcdserver: permission denied')
    assert c.watch(u, key=b'a') == OK
    assert c.watch(u, key=b'a', range_end=b'\0') == denied
    assert c.watch(u, key=b'a', range_end=b'b') == denied


def test_a_login_that_was_reset_costs_nothing(ketch_bin, messages, tmp_path):
    """A client that goes before it is known whether the member is up to date has its password compared by nobody, and nothing of it
    in the log."""
    programs = [os.environ.get('KETCH_ETCD', ketch_bin / 'etcd')] * 3
    with Cluster(programs, tmp_path, ketch_bin / 'etcdctl', messages, flags=CHEAP) as cluster:
        leader = cluster.leader()
        with Caller(leader) as c:
            root = turn_on(c)
            request = messages.rpc.AuthenticateRequest(name='root', password='pw').SerializeToString()
            before = c.call(MAINT + 'Status', root).raftIndex
            with h2_raw.Connection(leader.client_port) as raw:
                assert raw.send(b''.join(
                    h2_raw.request(i, '/etcdserverpb.Auth/Authenticate', request) +
                    h2_raw.frame(h2_raw.RST_STREAM, stream=i, payload=b'\0\0\0\x08') for i in range(1, 101, 2)))
                assert raw.send(h2_raw.request(101, '/etcdserverpb.Auth/Authenticate', request))
                assert any(kind == h2_raw.HEADERS and stream == 101 and flags & h2_raw.END_STREAM
                           for kind, flags, stream, _ in raw.frames())
            for _ in range(10):  # behind what the others may have left, on whichever thread
                c.login('root')
            assert c.call(MAINT + 'Status', root).raftIndex - before < 11 + 10


def test_nested_transactions_hide_nothing(auth_server):
    """CVE-2026-33343 and CVE-2026-44283: branches not taken, compares, prev_kv and leases at any depth."""
    c, rpc = auth_server, auth_server.server.messages.rpc
    u = a_to_c(c, c.root, kind=1)
    c.call(LEASE + 'LeaseGrant', c.root, ID=9, TTL=1000)
    c.call(KV + 'Put', c.root, key=b'z', value=b'1', lease=9)

    def deep(op, depth):
        txn = rpc.TxnRequest(failure=[op])
        for _ in range(depth):
            txn = rpc.TxnRequest(failure=[rpc.RequestOp(request_txn=txn)])
        return c.outcome(KV + 'Txn', u, failure=list(txn.failure))

    def put(**fields):
        return rpc.RequestOp(request_put=rpc.PutRequest(value=b'1', **fields))
    for depth in 0, 1, 5:
        assert deep(put(key=b'a'), depth) == OK
        assert deep(put(key=b'z'), depth) == DENIED
        assert deep(put(key=b'a', prev_kv=True), depth) == DENIED
        assert deep(put(key=b'a', lease=9), depth) == DENIED
        assert deep(rpc.RequestOp(request_range=rpc.RangeRequest(key=b'a')), depth) == DENIED


def test_keys_of_leases_are_shown_to_who_may_read_them(auth_server):
    """CVE-2023-32082."""
    c = auth_server
    u = a_to_c(c, c.root)
    c.call(LEASE + 'LeaseGrant', u, ID=9, TTL=1000)
    c.call(KV + 'Put', u, key=b'a', value=b'1', lease=9)
    assert c.call(LEASE + 'LeaseTimeToLive', u, ID=9, keys=True).keys == [b'a']
    c.call(KV + 'Put', c.root, key=b'z', value=b'1', lease=9)
    assert c.outcome(LEASE + 'LeaseTimeToLive', u, ID=9, keys=True) == DENIED
    assert c.outcome(LEASE + 'LeaseTimeToLive', u, ID=9) == OK
    assert c.outcome(LEASE + 'LeaseLeases', u) == DENIED


def test_long_passwords_are_refused(auth_server):
    """bcrypt looks at 72 bytes; more is refused rather than cut."""
    c = auth_server
    long = ('UNKNOWN', 'bcrypt: password length exceeds 72 bytes')
    assert c.outcome('etcdserverpb.Auth/UserAdd', c.root, name='l', password='x' * 73) == long
    c.auth('UserAdd', c.root, name='l', password='x' * 72)
    assert c.outcome('etcdserverpb.Auth/UserChangePassword', c.root, name='l', password='x' * 73) == long
    assert c.login('l', 'x' * 72)


def test_expired_leases_go_with_authentication_on(auth_server):
    """Issue 13205: what the member revokes itself it revokes as root."""
    c = auth_server

    def put_with_a_short_lease():
        c.outcome(LEASE + 'LeaseRevoke', c.root, ID=9)  # of a run that was disturbed
        c.call(LEASE + 'LeaseGrant', c.root, ID=9, TTL=1)
        c.call(KV + 'Put', c.root, key=b'z', value=b'1', lease=9)

    undisturbed(put_with_a_short_lease)
    c.server.wait_for(lambda: not c.call(KV + 'Range', c.login('root'), key=b'z').kvs)


# ---- other members, other programs ----

def all_members(cluster, work):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return list(pool.map(work, cluster.members))


def set_up_everywhere(cluster):
    """Changes through each member in turn; the token of each user from another one."""
    callers = [Caller(m) for m in cluster.members]
    root = turn_on(callers[0])
    for i, c in enumerate(callers):
        root = c.login('root')
        c.user(f'u{i}', token=root)
        c.role(f'r{i}', dict(permType=2, key=b'k%d' % i), dict(permType=0, key=b'a', range_end=b'c'),
               dict(permType=1, key=b'a'), token=root)
        c.auth('UserGrantRole', root, user=f'u{i}', role=f'r{i}')
        c.auth('UserAdd', root, name=f'cn{i}', options=dict(no_password=True))
    # A token from whoever is asked with it: a real one may not know the newest of another yet.
    callers[0].auth('RoleRevokePermission', callers[0].login('root'), role='r1', key=b'a')
    callers[1].auth('UserDelete', callers[1].login('root'), name='cn0')
    return callers, root


def check_everywhere(callers, at_once):
    """A token from one member is good on all, also in streams; each member refuses the same.  A real one may not know the
    newest token yet: it waits for the entry before the one that made it."""
    def fresh(c, d):
        token = whoever_leads(lambda: c.login('u1'))
        if not at_once:
            d.server.wait_for(lambda: d.outcome(KV + 'Range', token, key=b'a') != BAD_TOKEN)
        return token
    for c in callers:
        for d in callers:
            token = fresh(c, d)
            assert d.outcome(KV + 'Put', token, key=b'k1', value=b'1') == OK
            assert d.outcome(KV + 'Put', token, key=b'k0', value=b'1') == DENIED
            assert d.outcome(KV + 'Range', token, key=b'a', range_end=b'b', serializable=True) == OK
            assert d.watch(fresh(c, d), key=b'a') == OK
            lease = d.call(LEASE + 'LeaseGrant', fresh(c, d), TTL=1000).ID
            answer = d.stream('etcdserverpb.Lease/LeaseKeepAlive', fresh(c, d), dict(ID=lease))
            assert getattr(answer, 'TTL', answer) == 1000
            assert d.outcome(LEASE + 'LeaseTimeToLive', token, ID=lease, keys=True) == OK
            assert d.outcome(LEASE + 'LeaseTimeToLive', None, ID=lease) == NOBODY


def auth_buckets(bolt_dump, member):
    """Users, roles and settings on disk."""
    return [bolt_dump(member.data_dir, bucket) for bucket in ('auth', 'authUsers', 'authRoles')]


@pytest.fixture
def bolt_dump(ketch_bin):
    def dump(data_dir, bucket):
        p = subprocess.run([str(ketch_bin / 'etcd-dump-db'), 'iterate-bucket', str(data_dir), bucket],
                           capture_output=True, text=True, timeout=60)
        assert p.returncode == 0, p.stderr
        return p.stdout
    return dump


def run_cluster(programs, tmp_path, ketch_bin, messages, bolt_dump):
    cluster = Cluster(programs, tmp_path, ketch_bin / 'etcdctl', messages, flags=CHEAP)
    try:
        all_members(cluster, lambda m: m.start())
        callers, root = set_up_everywhere(cluster)
        check_everywhere(callers, len(set(programs)) == 1)
        revisions = {c.auth('AuthStatus', root).authRevision for c in callers}
        assert len(revisions) == 1
        rev = callers[0].call(KV + 'Put', root, key=b'last', value=b'1').header.revision
        for c in callers:
            c.server.wait_for(lambda: c.outcome(MAINT + 'HashKV', root, revision=rev) == OK)
        assert len({c.call(MAINT + 'HashKV', root, revision=rev).hash for c in callers}) == 1
        for c in callers:
            c.channel.close()
    finally:
        for m in cluster.members:
            if m.process is not None:
                m.process.terminate()
        for m in cluster.members:
            if m.process is not None:
                m.process.wait(60)
    first, *others = [auth_buckets(bolt_dump, m) for m in cluster.members]
    assert all(o == first for o in others)
    assert len(first[1]) > 0


def test_members_agree(ketch_bin, messages, tmp_path, bolt_dump):
    """Three of ours: one member's tokens are good on the others at once, and all have the same users on disk."""
    etcd = os.environ.get('KETCH_ETCD', ketch_bin / 'etcd')
    run_cluster([etcd] * 3, tmp_path, ketch_bin, messages, bolt_dump)


@pytest.mark.parametrize('emulated', ['3.5', '3.7'])
def test_members_of_both_kinds_agree(ketch_bin, real_bin, messages, tmp_path, bolt_dump, emulated):
    """Two real ones and ours: the same answers, and the same bytes of users and roles on every disk."""
    if emulated == '3.7' and 'KETCH_REFERENCE_BIN' not in os.environ:
        pytest.skip('skipped: KETCH_REFERENCE_BIN does not name a real etcd 3.7')
    if emulated == '3.7':
        real_bin = pathlib.Path(os.environ['KETCH_REFERENCE_BIN'])
    ours = tmp_path / 'etcd-old'
    ours.write_text(f'#!/bin/sh\nexec {os.environ.get("KETCH_ETCD", ketch_bin / "etcd")} --emulated-version={emulated} "$@"\n')
    ours.chmod(0o755)
    run_cluster([real_bin / 'etcd', ours, real_bin / 'etcd'], tmp_path, ketch_bin, messages, bolt_dump)


def test_a_real_directory_with_users_opens(start_server, real_bin, tmp_path):
    """A directory in which a real etcd has turned authentication on; and back."""
    with start_server(tmp_path / 'data', *CHEAP, etcd=real_bin / 'etcd') as s, Caller(s) as c:
        a_to_c(c, turn_on(c))
    with start_server(tmp_path / 'data', *CHEAP, '--emulated-version', '3.5') as s, Caller(s) as c:
        assert c.outcome(KV + 'Range', None, key=b'a') == NOBODY
        assert c.outcome(KV + 'Put', c.login('u'), key=b'a', value=b'1') == OK
        root = c.login('root')
        c.auth('UserChangePassword', root, name='u', password='new')
    with start_server(tmp_path / 'data', *CHEAP, etcd=real_bin / 'etcd') as s, Caller(s) as c:
        assert c.outcome(KV + 'Put', c.login('u', 'new'), key=b'a', value=b'1') == OK
        assert c.outcome(KV + 'Put', c.login('u', 'new'), key=b'c', value=b'1') == DENIED


# ---- many logins ----

def test_logins_leave_the_others_alone(start_server, tmp_path):
    """While more log in than can be served, puts go on; what waits is bounded, and the rest is refused at once."""
    with start_server(tmp_path / 'data', *CHEAP) as s, Caller(s) as c:
        many_logins(c, turn_on(c))


def many_logins(c, root):
    call, request = c.callable('etcdserverpb.Auth/Authenticate')
    logins = [call.future(request(name='root', password='pw'), timeout=60) for _ in range(3000)]
    took = []
    for i in range(100):
        begin = time.monotonic()
        c.call(KV + 'Put', root, key=b'k%d' % i, value=b'1')
        took.append(time.monotonic() - begin)
    codes = {}
    for f in logins:
        code = (f.exception() or OK) and (f.code().name if f.exception() else 'OK')
        codes[code] = codes.get(code, 0) + 1
    assert codes['OK'] >= 1000, codes
    assert set(codes) <= {'OK', 'UNKNOWN'}, codes
    assert sorted(took)[50] < 1, sorted(took)
