"""Flags and file keys that say who may come in, with values that are odd: held to what a real 3.7.1 does.

KETCH_ETCD is another program to hold against the same facts.
"""
import contextlib
import http.client
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
    def run(*flags, plain=None):
        s = TlsServer(program, tmp_path, authority, pairs[0], [*pairs[0].flags(), *pairs[0].flags('peer-'), *flags],
                      ketch_bin / 'etcdctl', messages)
        if plain:
            s.command.append(f'--listen-client-urls={s.client},http://127.0.0.1:{plain}')
        s.start()
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
    with start('--host-whitelist=a', plain=plain) as s:
        for path in ('/health', '/version', '/metrics', '/v3/kv/range'):
            assert cleartext_status(plain, path) == 421, path
        for http_version in ('--http1.1', '--http2'):
            for path in ('/health', '/version', '/metrics'):
                assert curl_status(s, s.client + path, http_version) == 200, (http_version, path)
            assert curl_status(s, s.client + '/v3/kv/range', http_version, '-d', '{"key":"YQ=="}') == 200
