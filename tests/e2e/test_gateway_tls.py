"""The gateway behind TLS, over HTTP/1.1 and HTTP/2, and on listeners of its own."""
import base64
import json
import socket
import struct
import subprocess
import threading
import time
import urllib.request

import pytest

from conftest import free_ports
from tls_lib import Authority, TlsServer


def b(text):
    return base64.b64encode(text.encode()).decode()


KEY = f'{{"key":"{b("k")}"}}'


@pytest.fixture(scope='module')
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp('certificates'))


@pytest.fixture
def secure(ketch_bin, messages, tmp_path, authority):
    pair = authority.pair('member')
    s = TlsServer(ketch_bin / 'etcd', tmp_path, authority, pair, [*pair.flags(), *pair.flags('peer-')], ketch_bin / 'etcdctl',
                  messages)
    s.start()
    yield s
    s.stop()


def curl(server, path, body, *args):
    """(body, status, HTTP version) of a POST; no status when curl gave up."""
    p = subprocess.run(['curl', '-s', '--cacert', str(server.authority.cert), '-w', '\n%{http_code} %{http_version}',
                        '--data-binary', '@-', *args, f'{server.client}{path}'], input=body, capture_output=True, text=True,
                       timeout=90)
    text, _, end = p.stdout.rpartition('\n')
    return text, *end.split()


def watch_for_a_while(server, body, *args):
    """The first line of a watch, and what comes in the half second behind it."""
    with subprocess.Popen(['curl', '-s', '-N', '--max-time', '60', '--cacert', str(server.authority.cert), '--data-binary', body, *args,
                           f'{server.client}/v3/watch'], stdout=subprocess.PIPE, text=True) as p:
        first = p.stdout.readline()
        time.sleep(0.5)
        p.terminate()
        return first + p.stdout.read()


@pytest.mark.parametrize('version', ['1.1', '2'])
def test_both_versions(secure, version):
    """Answers, refusals, streams and times are the same over HTTP/1.1 and HTTP/2 behind TLS."""
    how = f'--http{version}'
    text, status, got = curl(secure, '/v3/kv/put', f'{{"key":"{b("k")}","value":"{b("v" * 300000)}"}}', how)
    assert (status, got) == ('200', version) and '"revision":"2"' in text
    text, status, _ = curl(secure, '/v3/kv/range', KEY, how)
    assert base64.b64decode(json.loads(text)['kvs'][0]['value']) == b'v' * 300000
    assert curl(secure, '/v3/kv/range', '{]', how)[:2] == \
        ('{"code":3,"message":"invalid character \']\' looking for beginning of object key string"}', '400')
    assert curl(secure, '/v3/nothing', '{}', how)[1] == '404'
    assert watch_for_a_while(secure, f'{{"create_request":{KEY}}}', how).count('"created":true') == 1
    assert curl(secure, '/v3/lease/keepalive', '{"ID":1}{"ID":2}', how)[0].count('{"result":') == 2
    assert curl(secure, '/v3/lock/lock', '{"name":"bA=="}', how)[1] == '200'
    assert curl(secure, '/v3/lock/lock', '{"name":"bA=="}', how, '-H', 'Grpc-Timeout: 200m')[:2] == \
        ('{"code":4,"message":"context deadline exceeded"}', '504')
    assert curl(secure, '/v3/kv/range', KEY, how, '-H', 'Grpc-Timeout: 5x')[1] == '400'
    secure.wait_for(lambda: '\netcd_debugging_mvcc_watcher_total 0\n' in secure.get('/metrics')[1].decode())


@pytest.mark.parametrize('version', ['1.1', '2'])
def test_more_requests_than_a_stream_takes_at_once(secure, version):
    """A stream's requests that came while the one before was being answered are all answered, and its connection serves on."""
    text, status, got = curl(secure, '/v3/lease/keepalive', '{"ID":1}' * 9000, f'--http{version}', '--max-time', '60')
    assert (status, got) == ('200', version) and text.count('{"result":') == 9000
    text, *_ = curl(secure, '/v3/lease/keepalive', '{"ID":1}{"ID":2}', f'--http{version}', '--max-time', '60',
                    secure.client + '/v3/lease/keepalive')
    assert text.count('{"result":') == 4


DATA, HEADERS, SETTINGS = 0, 1, 4
END_STREAM, END_HEADERS = 1, 4


def frame(kind, flags, stream, payload=b''):
    return struct.pack('>I', len(payload))[1:] + bytes([kind, flags]) + struct.pack('>I', stream) + payload


def literal(name, value):
    return b'\0' + bytes([len(name)]) + name + bytes([len(value)]) + value


def answer_body(f):
    """What comes in DATA up to the end of the stream."""
    body = b''
    while True:
        head = f.read(9)
        assert len(head) == 9, body
        payload = f.read(int.from_bytes(head[:3], 'big'))
        if head[3] == DATA:
            body += payload
            if head[4] & END_STREAM:
                return body


def test_requests_in_frames_of_their_own(secure):
    """Four requests of a stream, each in a frame, all there at once: the second waits in the gateway, the others in the
    connection, and the last has to wait once more when they are let in."""
    fields = {b':method': b'POST', b':scheme': b'https', b':path': b'/v3/lease/keepalive', b':authority': b'x'}
    said = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + frame(SETTINGS, 0, 0)
    said += frame(HEADERS, END_HEADERS, 1, b''.join(literal(*x) for x in fields.items()))
    said += frame(DATA, 0, 1, b'{"ID":1}') * 3 + frame(DATA, END_STREAM, 1, b'{"ID":1}')
    context = secure.context()
    context.set_alpn_protocols(['h2'])
    with socket.create_connection(('127.0.0.1', secure.client_port), timeout=60) as plain:
        with context.wrap_socket(plain, server_hostname='localhost') as s:
            s.sendall(said)
            assert answer_body(s.makefile('rb')).count(b'{"result":') == 4


def test_watch_both_ways_over_http2(secure):
    """A watch over HTTP/2 takes a second request while its answer is on the way."""
    p = subprocess.Popen(['curl', '-s', '-N', '--http2', '--cacert', str(secure.authority.cert), '-X', 'POST', '-T', '.',
                          f'{secure.client}/v3/watch'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    killer = threading.Timer(60, p.kill)
    killer.start()
    try:
        p.stdin.write(f'{{"create_request":{KEY}}}\n')
        p.stdin.flush()
        assert '"created":true' in p.stdout.readline()
        p.stdin.write('{"create_request":{"key":"YQ==","watch_id":"5"}}\n')
        p.stdin.flush()
        assert '"watch_id":"5","created":true' in p.stdout.readline()
        secure.ctl('put', 'a', '1')
        assert '"watch_id":"5","events":[{"kv":{"key":"YQ=="' in p.stdout.readline()
    finally:
        killer.cancel()
        p.kill()
        p.wait()


def test_listeners_of_its_own(start_server, tmp_path):
    """--listen-client-http-urls: HTTP is there and nowhere else, gRPC on the other port alone; the same URL twice is refused."""
    port, = free_ports(1)
    url = f'http://127.0.0.1:{port}'

    def get(at, path):
        with urllib.request.urlopen(f'http://127.0.0.1:{at}{path}', timeout=30) as r:
            return r.read()

    def healthy():
        try:
            return b'true' in get(port, '/health')
        except OSError:
            return False

    with start_server(tmp_path / 'd', f'--listen-client-http-urls={url}', wait=False) as s:
        s.wait_for(healthy)
        s.ctl('put', 'k', 'v')
        request = urllib.request.Request(f'{url}/v3/kv/range', KEY.encode())
        with urllib.request.urlopen(request, timeout=30) as r:
            assert b'"count":"1"' in r.read()
        with pytest.raises(OSError):
            get(s.client_port, '/health')
        with pytest.raises(AssertionError):
            s.endpoint = f'127.0.0.1:{port}'
            s.ctl('--dial-timeout=1s', '--command-timeout=1s', 'get', 'k')
        kinds = [line.split('"traffic":"')[1].split('"')[0] for line in s.log_text().splitlines() if '"traffic":' in line]
        assert sorted(kinds) == ['grpc', 'http']
    with start_server(tmp_path / 'd2', wait=False) as s:
        s.kill()
        same = f'http://127.0.0.1:{s.client_port}'
        p = subprocess.run([*s.command, f'--listen-client-http-urls={same}'], capture_output=True, text=True, timeout=60)
        assert p.returncode == 1
        assert f'cannot bind both --listen-client-urls and --listen-client-http-urls on the same url {same}' in p.stdout + p.stderr
