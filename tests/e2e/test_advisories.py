"""etcd's published advisories, one test each where it is about the server alone; docs/advisories.md says where the others are shown."""
import json
import os
import socket
import subprocess
import urllib.error
import urllib.request

import grpc
import pytest

from auth_lib import Caller, turn_on
from conftest import free_ports
from tls_lib import Authority, TlsServer

KV = 'etcdserverpb.KV/'


def credentials(authority, pair):
    return grpc.ssl_channel_credentials(authority.cert.read_bytes(), pair.key.read_bytes(), pair.cert.read_bytes())


def refused(ketch_bin, data_dir, *flags):
    """What a server says that does not start."""
    etcd = os.environ.get('KETCH_ETCD', ketch_bin / 'etcd')
    p = subprocess.run([str(etcd), '--data-dir', str(data_dir), '--listen-client-urls', 'http://127.0.0.1:0',
                        '--advertise-client-urls', 'http://127.0.0.1:1', '--listen-peer-urls', 'http://127.0.0.1:0', *flags],
                       capture_output=True, text=True, timeout=60)
    assert p.returncode == 1, p.stderr
    return p.stdout + p.stderr


def get(server, path, **headers):
    request = urllib.request.Request(f'http://{server.endpoint}{path}', headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as r:
            return r.status, r.read()
    except urllib.error.HTTPError as e:
        return e.code, e.read()


def post(server, path, body):
    request = urllib.request.Request(f'http://{server.endpoint}{path}', body)
    try:
        with urllib.request.urlopen(request, timeout=30) as r:
            return r.status
    except urllib.error.HTTPError as e:
        return e.code


def test_other_hosts_are_refused(start_server, tmp_path):
    """CVE-2018-1098, CVE-2018-1099: with a host list, a page on another name reaches nothing by HTTP; gRPC is not asked."""
    with start_server(tmp_path / 'data', '--host-whitelist', '127.0.0.1') as s, Caller(s) as c:
        status, body = get(s, '/health', Host='evil.example:2379')
        assert status == 421 and b'CVE-2018-5702' in body
        assert get(s, '/health')[0] == 200
        assert c.outcome(KV + 'Put', key=b'a', value=b'1') == ('OK', '')


def test_wide_permissions_are_told(start_server, tmp_path):
    """CVE-2020-15113: a directory that others may read is used, and a line names both modes; what is made is for the owner."""
    folder = tmp_path / 'data'
    folder.mkdir(mode=0o755)
    with start_server(folder) as s:
        s.wait_for(lambda: 'check file permission' in s.log_text())
        line = next(json.loads(x) for x in s.log_text().splitlines() if 'check file permission' in x)
    assert line['level'] == 'warn'
    assert '"drwxr-xr-x"' in line['error'] and '"-rwx------"' in line['error']
    assert (folder / 'member').stat().st_mode & 0o777 == 0o700
    assert (folder / 'member/snap/db').stat().st_mode & 0o777 == 0o600
    with start_server(tmp_path / 'new') as s:
        assert 'check file permission' not in s.log_text()
    assert (tmp_path / 'new').stat().st_mode & 0o777 == 0o700


def test_the_empty_password_is_one(start_server, tmp_path):
    """CVE-2020-15115: no length is asked of passwords; the empty one works, and only it."""
    with start_server(tmp_path / 'data', '--bcrypt-cost', '4') as s, Caller(s) as c:
        c.user('root', 'root', password='')
        c.auth('AuthEnable')
        assert c.login('root', '')
        assert c.outcome('etcdserverpb.Auth/Authenticate', name='root', password='x')[0] == 'INVALID_ARGUMENT'


@pytest.mark.parametrize('retention', ['-1h', '-1'])
def test_negative_retention_is_refused(ketch_bin, tmp_path, retention):
    """GHSA-pm3m-32r3-7mfh: compaction would never end, or take all at once."""
    assert 'error parsing CompactionRetention' in refused(ketch_bin, tmp_path / 'data', f'--auto-compaction-retention={retention}')
    assert not (tmp_path / 'data/member').exists()


def test_failed_logins_are_told_as_they_were(start_server, tmp_path):
    """GHSA-vjg6-93fv-qv64: a line says who tried, and why he was refused, without a password."""
    with start_server(tmp_path / 'data', '--bcrypt-cost', '4') as s, Caller(s) as c:
        turn_on(c)
        c.auth('UserAdd', c.login('root'), name='cn', options=dict(no_password=True))
        for name in 'root', 'cn', 'nobody':
            c.outcome('etcdserverpb.Auth/Authenticate', name=name, password='not-this-one')
        s.wait_for(lambda: s.log_text().count('invalid authentication was requested') == 3)
        lines = [json.loads(x) for x in s.log_text().splitlines() if 'invalid authentication was requested' in x]
        assert [(x['user'], 'no password' in x['error']) for x in lines] == [('root', False), ('cn', True), ('nobody', False)]
        assert 'not-this-one' not in s.log_text()


def test_paths_without_a_slash_are_nobodys(server):
    """CVE-2026-33186 (gRPC): such a path must not reach a method past the checks made by its name."""
    channel = grpc.insecure_channel(server.endpoint)
    for path in 'etcdserverpb.KV/Range', '//etcdserverpb.KV/Range', '/etcdserverpb.KV/Range/', '/etcdserverpb.kv/range':
        with pytest.raises(grpc.RpcError) as e:
            channel.unary_unary(path)(b'', timeout=30)
        assert e.value.code().name in ('UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE'), path
    channel.close()
    server.wait_for(server.is_healthy)


def test_malformed_json_ends(server):
    """CVE-2024-24786 (protojson): every malformed body is refused at once, and depth is bounded."""
    for body in b'{"key":', b'{"a":[[[[', b'[' * 100000, b'{"success":[' * 5000, b'{"key":"\\u', b'{} {}', b'nul', b'\xff':
        assert post(server, '/v3/kv/range', body) in (400, 413, 429), body[:20]
    server.wait_for(server.is_healthy)


def test_odd_metadata_hurts_nobody(start_server, tmp_path):
    """CVE-2025-30204 (JWT) and others: long tokens, tokens of points, and bytes that are no text."""
    with start_server(tmp_path / 'data', '--bcrypt-cost', '4') as s, Caller(s) as c:
        turn_on(c)
        for token in '.' * 7000, 'a.' + '9' * 6000, 'x' * 7000, 'a.18446744073709551616':
            assert c.outcome(KV + 'Range', token, key=b'a')[0] in ('UNAUTHENTICATED', 'INTERNAL'), token[:10]
        s.wait_for(s.is_healthy)


def test_revoked_certificates_are_shut_out_of_grpc_too(ketch_bin, messages, tmp_path):
    """GHSA-3wh4-j44w-pg92: with HTTP on a listener of its own, the list of revoked certificates still holds for gRPC."""
    authority = Authority(tmp_path)
    good, revoked, crl = authority.pair('good'), authority.pair('revoked'), tmp_path / 'list.crl'
    authority.crl(crl, revoked)
    s = TlsServer(os.environ.get('KETCH_ETCD', ketch_bin / 'etcd'), tmp_path, authority, good,
                  [*good.flags(), *good.flags('peer-'), '--trusted-ca-file', authority.cert, '--client-crl-file', crl,
                   '--listen-client-http-urls', f'https://127.0.0.1:{free_ports(1)[0]}'], ketch_bin / 'etcdctl', messages)
    s.start(wait=False)
    try:
        with Caller(s, credentials(authority, good)) as c:  # connects with its first call
            s.wait_for(lambda: 'ready to serve client requests' in s.log_text())
            assert c.outcome(KV + 'Put', key=b'a', value=b'1') == ('OK', '')
        with Caller(s, credentials(authority, revoked)) as c:
            assert c.outcome(KV + 'Range', key=b'a')[0] == 'UNAVAILABLE'
    finally:
        s.stop()


def test_elections_without_a_leader_message(server):
    """Proclaim and Resign without the message that names the leader (a crash of old releases)."""
    with Caller(server) as c:
        for method in 'Proclaim', 'Resign':
            assert c.outcome('v3electionpb.Election/' + method)[0] == 'UNKNOWN'
    server.wait_for(server.is_healthy)


def test_random_bytes_hurt_nobody(server):
    """Half requests, random bytes and TLS on a cleartext port."""
    import random
    r = random.Random(5)
    for i in range(50):
        with socket.create_connection(('127.0.0.1', server.client_port), timeout=30) as s:
            s.sendall(r.choice([b'', b'GET / HTTP/1.1\r\nHo', b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', b'\x16\x03\x01\x02\x00\x01']) +
                      r.randbytes(r.randrange(300)))
    server.wait_for(server.is_healthy)
