"""Flags and file keys that say who may come in, with values that are odd: held to what a real 3.7.1 does.

KETCH_ETCD is another program to hold against the same facts.
"""
import contextlib
import http.client
import json
import os
import subprocess

import pytest
from conftest import free_ports
from tls_lib import Authority, TlsServer


@pytest.fixture(scope='module')
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp('certificates'))


@pytest.fixture(scope='module')
def pairs(authority):
    """Of the server, and of a client named alice."""
    return authority.pair('etcd-server'), authority.pair('alice')


@pytest.fixture(scope='module')
def program(ketch_bin):
    return os.environ.get('KETCH_ETCD', str(ketch_bin / 'etcd'))


@pytest.fixture
def start(program, ketch_bin, messages, tmp_path, authority, pairs):
    """with start(*flags) as s: a member with the server's certificate for clients and peers."""
    @contextlib.contextmanager
    def run(*flags, plain=None, wait=True, command=None, port=None):
        s = TlsServer(program, tmp_path, authority, pairs[0], [*pairs[0].flags(), *pairs[0].flags('peer-'), *flags],
                      ketch_bin / 'etcdctl', messages)
        if plain:
            s.command.append(f'--listen-client-urls={s.client},http://127.0.0.1:{plain}')
        if command:
            s.command, s.client_port = command, port
        s.start(wait)
        try:
            yield s
        finally:
            s.stop()
    return run


def curl_status(server, url, *args):
    p = subprocess.run(['curl', '-s', '-S', '--cacert', str(server.authority.cert), '-o', '/dev/null', '-w', '%{http_code}', *args,
                        url], capture_output=True, text=True, timeout=60)
    assert p.returncode == 0, p.stderr
    return int(p.stdout)


def cleartext_status(port, path):
    c = http.client.HTTPConnection('127.0.0.1', port, timeout=60)
    try:
        c.request('GET', path)
        return c.getresponse().status
    finally:
        c.close()


def test_host_whitelist_is_for_cleartext(start):
    """Any name will do over TLS, on HTTP/1.1 and HTTP/2; on a cleartext port of the same member the list holds."""
    plain, = free_ports(1)
    with start('--host-whitelist=a', plain=plain, wait=False) as s:
        s.wait_for(lambda: s.lines('serving client traffic securely'))
        for path in ('/health', '/version', '/metrics', '/v3/kv/range'):
            assert cleartext_status(plain, path) == 421, path
        for http_version in ('--http1.1', '--http2'):
            for path in ('/health', '/version', '/metrics'):
                assert curl_status(s, s.client + path, http_version) == 200, (http_version, path)
            assert curl_status(s, s.client + '/v3/kv/range', http_version, '-d', '{"key":"YQ=="}') == 200


def is_refused(server, path='/health'):
    try:
        server.get(path, timeout=10)
    except (OSError, AssertionError):
        return True
    return False


def test_an_empty_list_of_names_lets_nobody_in(start, authority):
    """--client-cert-allowed-hostname= names one host, and no certificate is for it."""
    with start('--client-cert-allowed-hostname=', '--trusted-ca-file', authority.cert, wait=False) as s:
        s.wait_for(lambda: s.lines('serving client traffic securely'))
        assert is_refused(s)
        s.wait_for(lambda: any('client certificate authentication failed' in x['error']
                               for x in s.lines('rejected connection on client endpoint')))


def ended(program, tmp_path, pairs, *flags):
    """What a member says that does not start, with https for clients."""
    port, peer = free_ports(2)
    p = subprocess.run([program, '--data-dir', str(tmp_path / 'd'), f'--listen-client-urls=https://127.0.0.1:{port}',
                        f'--advertise-client-urls=https://127.0.0.1:{port}', f'--listen-peer-urls=http://127.0.0.1:{peer}',
                        *pairs[0].flags(), *map(str, flags)], capture_output=True, text=True, timeout=60)
    assert p.returncode == 1, p.stderr[-600:]
    return p.stderr


def test_the_pair_for_clients_is_checked(program, tmp_path, pairs):
    """--client-cert-file and --client-key-file: both or none, there, and of one another."""
    server, alice = pairs
    missing = tmp_path / 'missing.pem'
    for cert, key, why in (
            (alice.cert, '', f'ClientKeyFile and ClientCertFile must both be present or both absent: key: , cert: {alice.cert}]'),
            ('', alice.key, f'ClientKeyFile and ClientCertFile must both be present or both absent: key: {alice.key}, cert: ]'),
            (missing, alice.key, f'open {missing}: no such file or directory'),
            (alice.cert, missing, f'open {missing}: no such file or directory'),
            (alice.cert, server.key, 'tls: private key does not match public key')):
        said = ended(program, tmp_path, pairs, f'--client-cert-file={cert}', f'--client-key-file={key}')
        assert why in said, said[-600:]


def in_file(program, tmp_path, authority, pairs, **client_section):
    """A member started by a file, with https for clients: the command, and its client port."""
    port, peer = free_ports(2)
    url = f'https://127.0.0.1:{port}'
    (tmp_path / 'c.json').write_text(json.dumps({
        'data-dir': str(tmp_path / 'd'), 'listen-client-urls': url, 'advertise-client-urls': url,
        'listen-peer-urls': f'http://127.0.0.1:{peer}', 'initial-advertise-peer-urls': f'http://127.0.0.1:{peer}',
        'initial-cluster': f'default=http://127.0.0.1:{peer}',
        'client-transport-security': {'cert-file': str(pairs[0].cert), 'key-file': str(pairs[0].key),
                                      'trusted-ca-file': str(authority.cert), **client_section}}))
    return [program, '--config-file', str(tmp_path / 'c.json')], port


def test_names_of_both_kinds_in_the_file(program, tmp_path, authority, pairs):
    """The client section has a key that no flag goes with, and takes one kind of names."""
    command, _ = in_file(program, tmp_path, authority, pairs, **{'allowed-cn': ['a'], 'allowed-hostname': ['b']})
    p = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert p.returncode == 1
    assert r'AllowedCNs and AllowedHostnames are mutually exclusive (cns=[\"a\"], hostnames=[\"b\"])' in p.stderr


def test_common_names_of_clients_in_the_file(start, program, tmp_path, authority, pairs):
    """allowed-cn of the client section: alice may come in, the server's own name may not."""
    command, port = in_file(program, tmp_path, authority, pairs, **{'allowed-cn': ['alice']})
    with start(command=command, port=port, wait=False) as s:
        s.wait_for(lambda: s.lines('serving client traffic securely'))
        assert s.get('/version', s.context(pairs[1]))[0] == 200
        assert is_refused(s, '/version')
