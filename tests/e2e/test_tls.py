"""TLS of client, metrics and peer listeners, seen by openssl, curl, Python, etcdctl (ours and a real one) and real members."""
import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest

from conftest import START_SECONDS, free_ports, whoever_leads
from etcdctl_lib import patience
from tls_lib import Authority, Pair, TlsServer, alpn_of, openssl, tls_cluster


@pytest.fixture(scope='module')
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp('certificates'))


@pytest.fixture(scope='module')
def pairs(authority):
    """Of the server, and of a client named alice."""
    return authority.pair('etcd-server'), authority.pair('alice')


@pytest.fixture
def start(ketch_bin, messages, tmp_path, authority, pairs):
    """with start(*flags) as s: a member of ours with the server's certificate."""
    @contextlib.contextmanager
    def run(*flags, pair=None, wait=True):
        pair = pair or pairs[0]
        s = TlsServer(ketch_bin / 'etcd', tmp_path, authority, pair,
                      [*pair.flags(), *pair.flags('peer-'), *flags], ketch_bin / 'etcdctl', messages)
        s.start(wait)
        try:
            yield s
        finally:
            s.stop()
    return run


@pytest.fixture
def programs(request, ketch_bin):
    """The folder of 'ours' or 'real' programs; a test that asks for real ones is skipped where there are none."""
    return lambda kind: ketch_bin if kind == 'ours' else request.getfixturevalue('real_bin')


def curl(server, *args, pair=None):
    """Body, then a line with status and HTTP version; or the exit status of curl."""
    shown = [] if pair is None else ['--cert', str(pair.cert), '--key', str(pair.key)]
    p = subprocess.run(['curl', '-s', '-S', '--cacert', str(server.authority.cert), *shown, '-w', '\n%{http_code} %{http_version}',
                        *args], capture_output=True, text=True, timeout=60)
    return p.stdout if p.returncode == 0 else p.returncode


def outcome(text):
    """Whether an s_client got through, and with which version."""
    for version in ('TLSv1.3', 'TLSv1.2'):
        if f'New, {version}, Cipher is' in text and 'Cipher is (NONE)' not in text:
            return version
    return None


def test_clients_of_every_kind(start, authority, pairs):
    """A port that demands certificates: versions, ALPN, curl over both HTTPs, and who is refused with which line."""
    alice = pairs[1]
    shown = ['-cert', alice.cert, '-key', alice.key]
    other = Authority(authority.folder.parent, 'other-ca').pair('mallory')
    late = authority.pair('late', days=-1)
    with start('--trusted-ca-file', authority.cert, '--client-cert-auth') as s:
        for version, want in (('-tls1_2', 'TLSv1.2'), ('-tls1_3', 'TLSv1.3'), ('-tls1_1', None)):
            assert outcome(s.s_client(version, *shown, '-cipher', 'DEFAULT@SECLEVEL=0')) == want, version
        for offered, want in (('h2', 'h2'), ('h2,http/1.1', 'h2'), ('http/1.1', None)):
            text = s.s_client(*shown, '-alpn', offered)
            assert outcome(text) and alpn_of(text) == want, (offered, text)
        assert 'no application protocol' in s.s_client(*shown, '-alpn', 'foo')
        assert 'Acceptable client certificate CA names\nCN = test-ca' in s.s_client('-tls1_2', *shown)

        assert curl(s, '--http1.1', f'{s.client}/version', pair=alice).endswith('200 1.1')
        assert curl(s, '--http2', f'{s.client}/health', pair=alice) == '{"health":"true","reason":""}\n200 2'
        assert curl(s, f'https://localhost:{s.client_port}/version', pair=alice).endswith('200 2')
        assert curl(s, '--http2', f'{s.client}/nothing', pair=alice).endswith('404 2')
        assert curl(s, f'{s.client}/version') != 0
        assert curl(s, f'http://{s.endpoint}/version') == 52  # an empty answer

        for bad, why in ((other, 'tls: failed to verify certificate: x509: certificate signed by unknown authority'),
                         (late, f'x509: certificate has expired or is not yet valid: current time {time.strftime("%Y", time.gmtime())}'),
                         (False, "tls: client didn't provide a certificate")):
            with pytest.raises((OSError, AssertionError)):
                s.get('/health', s.context(bad))
            s.wait_for(lambda: any(why in x['error'] for x in s.lines('rejected connection on client endpoint')))
        with pytest.raises(ssl.SSLCertVerificationError):  # we are not who the client looks for
            s.get('/health', s.context(alice, ca=other.cert))
        with socket.create_connection(('127.0.0.1', s.client_port)) as bare:
            bare.sendall(b'GET / HTTP/1.1\r\n\r\n')
            assert bare.recv(100)[:1] in (b'', b'\x15')  # nothing, or an alert
        s.wait_for(lambda: any('first record does not look like a TLS handshake' in x['error']
                               for x in s.lines('rejected connection on client endpoint')))
        s.wait_for(lambda: s.lines('serving client traffic securely'))
        assert s.lines('serving client traffic securely')[0]['traffic'] == 'grpc+http'


@pytest.mark.parametrize('kind', ['ours', 'real'])
def test_etcdctl(start, authority, pairs, programs, kind):
    """etcdctl, ours and a real one, with flags and from the environment; and what it says when the two ends do not trust one
    another."""
    ctl = programs(kind) / 'etcdctl'
    with start('--trusted-ca-file', authority.cert) as s:
        for endpoint in (s.client, s.endpoint, f'https://localhost:{s.client_port}'):
            run = subprocess.run([str(ctl), '--endpoints', endpoint, *pairs[1].ctl(authority.cert), 'put', 'k', 'v'],
                                 capture_output=True, text=True, env={**os.environ, **patience([])})
            assert run.stdout == 'OK\n', run.stderr
        by_environment = dict(os.environ, **patience([]), ETCDCTL_CACERT=str(authority.cert), ETCDCTL_CERT=str(pairs[1].cert),
                              ETCDCTL_KEY=str(pairs[1].key), ETCDCTL_ENDPOINTS=s.client)
        run = subprocess.run([str(ctl), 'get', 'k'], env=by_environment, capture_output=True, text=True)
        assert run.stdout == 'k\nv\n', run.stderr

        def says(expected, *args):
            for patience in ('500ms', '5s', '30s'):  # nearly always the first
                p = subprocess.run([str(ctl), '--command-timeout', patience, *map(str, args), 'get', 'k'], capture_output=True,
                                   text=True)
                assert p.returncode == 1 and p.stderr.endswith('Error: context deadline exceeded\n'), p
                if all(words in p.stderr for words in expected):
                    return
            pytest.fail(p.stderr)
        says(['x509: certificate signed by unknown authority', 'authentication handshake failed'], '--endpoints', s.client)
        says(['connection refused'], '--endpoints', f'https://127.0.0.2:{s.client_port}', *pairs[1].ctl(authority.cert))
        p = subprocess.run([str(ctl), '--cert', str(pairs[1].cert), 'get', 'k'], capture_output=True, text=True)
        assert p.stderr.startswith('Error: KeyFile and CertFile must both be present[key: , cert: ')


@pytest.mark.parametrize('kind', ['ours', 'real'])
def test_etcdctl_and_unusable_files(authority, pairs, programs, tmp_path, kind):
    """Files that are no pair, or not what they should be, are wrong arguments, and are named at once."""
    server, other = pairs
    rsa, locked = authority.pair('rsa', key_type='rsa:2048'), tmp_path / 'locked.key'
    locked.write_text(openssl('pkcs8', '-topk8', '-in', server.key, '-passout', 'pass:x'))
    for flags, want in (
            (['--cert', server.cert, '--key', rsa.key], 'tls: private key type does not match public key type'),
            (['--cert', server.cert, '--key', other.key], 'tls: private key does not match public key'),
            (['--cert', server.cert, '--key', locked], 'tls: failed to parse private key'),
            (['--cert', server.key, '--key', server.cert], 'tls: failed to find certificate PEM data in certificate input, but did '
             'find a private key; PEM inputs may have been switched'),
            (['--cacert', tmp_path], f'read {tmp_path}: is a directory')):
        p = subprocess.run([str(programs(kind) / 'etcdctl'), '--endpoints', 'https://127.0.0.1:1', *map(str, flags), 'get', 'a'],
                           capture_output=True, text=True)
        assert p.returncode == 128 and p.stderr.endswith(f'Error: {want}\n'), (flags, p)


@pytest.mark.parametrize('kind', ['ours', 'real'])
def test_certificates_for_any_use(programs, ketch_bin, messages, tmp_path, authority, kind):
    """Who shows a certificate whose extended key usage is "any" is let in, and so is the server that has one; one for other uses
    is not."""
    any_use = authority.pair('any', uses='anyExtendedKeyUsage')
    wrong = authority.pair('wrong', uses='codeSigning')
    s = TlsServer(programs(kind) / 'etcd', tmp_path, authority, any_use,
                  [*any_use.flags(), *any_use.flags('peer-'), '--trusted-ca-file', authority.cert], ketch_bin / 'etcdctl', messages)
    s.start(wait=False)
    try:
        def get(pair):
            return subprocess.run([str(ketch_bin / 'etcdctl'), '--endpoints', s.client, *pair.ctl(authority.cert), '--command-timeout',
                                   '2s', 'get', 'a'], capture_output=True, text=True).returncode
        s.wait_for(lambda: get(any_use) == 0)
        assert get(wrong) == 1
        s.wait_for(lambda: any('x509: certificate specifies an incompatible key usage' in x['error']
                               for x in s.lines('rejected connection on client endpoint')))
        p = subprocess.run([str(programs(kind) / 'etcdctl'), '--endpoints', s.client.replace('https', 'HTTPS'),
                            *any_use.ctl(authority.cert), 'get', 'a'], capture_output=True, text=True,
                           env={**os.environ, **patience([])})
        assert p.returncode == 0, p.stderr
    finally:
        s.stop()


def test_refused_starts(ketch_bin, tmp_path, authority, pairs):
    """Flags that cannot be honoured end the start, with etcd's words."""
    server, other = pairs
    rsa = authority.pair('rsa', key_type='rsa:2048')
    missing, broken = tmp_path / 'missing.pem', tmp_path / 'broken.pem'
    broken.write_text('nonsense')
    https = ['--listen-client-urls', 'https://127.0.0.1:0', '--advertise-client-urls', 'https://127.0.0.1:1']
    table = [
        (https, 'TLS key/cert (--cert-file, --key-file) must be provided for client url https://127.0.0.1:0 with HTTPS scheme'),
        (['--listen-metrics-urls', 'https://127.0.0.1:0'],
         'client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url'),
        ([*https, '--cert-file', server.cert], f'KeyFile and CertFile must both be present[key: , cert: {server.cert}]'),
        ([*https, '--cert-file', missing, '--key-file', server.key], f'open {missing}: no such file or directory'),
        ([*https, '--cert-file', broken, '--key-file', server.key], 'tls: failed to find any PEM data in certificate input'),
        ([*https, '--cert-file', server.cert, '--key-file', other.key], 'tls: private key does not match public key'),
        ([*https, '--cert-file', server.cert, '--key-file', rsa.key], 'tls: private key type does not match public key type'),
        ([*https, *server.flags(), '--trusted-ca-file', missing], f'open {missing}: no such file or directory'),
        (['--cipher-suites', 'FOO'], 'unexpected TLS cipher suite \\"FOO\\"'),
        (['--auto-tls', '--self-signed-cert-validity', '0', *https], 'selfSignedCertValidity is invalid,it should be greater than 0'),
        ([*server.flags('peer-'), '--peer-cert-allowed-cn', 'a', '--peer-cert-allowed-hostname', 'b'],
         'AllowedCNs and AllowedHostnames are mutually exclusive (cns=[\\"a\\"], hostnames=[\\"b\\"])'),
    ]
    plain = ['--listen-client-urls', 'http://127.0.0.1:0', '--advertise-client-urls', 'http://127.0.0.1:1']
    for i, (flags, want) in enumerate(table):
        more = [] if '--listen-client-urls' in flags else plain
        p = subprocess.run([str(ketch_bin / 'etcd'), '--data-dir', str(tmp_path / f'd{i}'), '--listen-peer-urls', 'http://127.0.0.1:0',
                            *more, *map(str, flags)], capture_output=True, text=True, timeout=60)
        assert p.returncode == 1 and want in p.stderr, (flags, p.stderr[-600:])


def test_versions_and_cipher_suites(start):
    """--tls-min-version, --tls-max-version and --cipher-suites decide what a client may use."""
    chosen = 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305'
    with start('--tls-max-version', 'TLS1.2', '--cipher-suites', chosen) as s:
        assert outcome(s.s_client('-tls1_3')) is None
        for suite, ok in (('ECDHE-ECDSA-AES256-GCM-SHA384', True), ('ECDHE-ECDSA-CHACHA20-POLY1305', True),
                          ('ECDHE-ECDSA-AES128-GCM-SHA256', False)):
            assert (outcome(s.s_client('-cipher', suite)) == 'TLSv1.2') == ok, suite
    with start('--tls-min-version', 'TLS1.3') as s:
        assert outcome(s.s_client('-tls1_2')) is None
        assert outcome(s.s_client('-tls1_3')) == 'TLSv1.3'


@pytest.mark.parametrize('kind', ['ours', 'real'])
def test_which_cipher_suite_of_several(programs, messages, tmp_path, authority, pairs, kind):
    """The server's order, but ChaCha20 for a client that puts it first: as a real 3.5 and 3.7.1 choose."""
    chacha, aes_128, aes_256 = 'TLS_CHACHA20_POLY1305_SHA256', 'TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384'
    old_chacha, old_128, old_256 = (f'ECDHE-ECDSA-{x}' for x in ('CHACHA20-POLY1305', 'AES128-GCM-SHA256', 'AES256-GCM-SHA384'))
    s = TlsServer(programs(kind) / 'etcd', tmp_path, authority, pairs[0],
                  [*pairs[0].flags(), *pairs[0].flags('peer-')], programs(kind) / 'etcdctl', messages)
    s.start()
    try:
        for option, offered, chosen in (('-ciphersuites', (chacha, aes_256, aes_128), chacha),
                                        ('-ciphersuites', (aes_256, chacha, aes_128), aes_128),
                                        ('-ciphersuites', (aes_256, chacha), aes_256),
                                        ('-cipher', (old_chacha, old_256, old_128), old_chacha),
                                        ('-cipher', (old_256, old_chacha, old_128), old_128)):
            version = '-tls1_3' if option == '-ciphersuites' else '-tls1_2'
            assert f'Cipher is {chosen}\n' in s.s_client(version, option, ':'.join(offered)), offered
    finally:
        s.stop()


def test_a_session_is_resumed(start, authority, pairs, tmp_path):
    """A ticket saves the second handshake its certificates, until a file of the server changes."""
    shown = ['-cert', pairs[1].cert, '-key', pairs[1].key]
    mine = Pair(tmp_path / 'own.pem', tmp_path / 'own.key')
    for f, to in ((pairs[0].cert, mine.cert), (pairs[0].key, mine.key)):
        to.write_bytes(f.read_bytes())
    with start('--trusted-ca-file', authority.cert, pair=mine) as s:
        ticket = tmp_path / 'ticket'
        assert 'New, TLSv1.2' in s.s_client(*shown, '-tls1_2', '-sess_out', ticket)
        assert 'Reused, TLSv1.2' in s.s_client(*shown, '-tls1_2', '-sess_in', ticket)
        authority.pair('etcd-server').take_place_of(mine)
        assert 'New, TLSv1.2' in s.s_client(*shown, '-tls1_2', '-sess_in', ticket)


def test_names_and_revoked_certificates(start, authority, pairs, tmp_path):
    """--client-cert-allowed-hostname lets in whose certificate is valid for a name; --client-crl-file shuts out, in both forms, and
    everybody with a certificate when it cannot be read."""
    crl = tmp_path / 'list.crl'
    authority.crl(crl)
    stranger = authority.pair('bob', names='DNS:elsewhere')
    revoked = authority.pair('carol')
    with start('--trusted-ca-file', authority.cert, '--client-crl-file', crl, '--client-cert-allowed-hostname', 'localhost,x') as s:
        def refused(pair, why):
            with pytest.raises((OSError, AssertionError)):
                s.get('/health', s.context(pair))
            s.wait_for(lambda: any(why in x['error'] for x in s.lines('rejected connection on client endpoint')))
        refused(stranger, 'client certificate authentication failed')
        assert s.lines('rejected connection on client endpoint')[-1]['dns-names'] == ['elsewhere']
        for form in ('DER', 'PEM'):
            authority.crl(crl)
            assert s.get('/health', s.context(revoked))[0] == 200
            authority.crl(crl, revoked, form=form)
            refused(revoked, f'transport: certificate serial {revoked.serial().lower()} revoked')
            assert s.get('/health')[0] == 200
        crl.unlink()
        refused(pairs[0], f'open {crl}: no such file or directory')
        authority.crl(crl)
        assert s.get('/health')[0] == 200


def test_metrics_listener(start, authority, pairs):
    """--listen-metrics-urls with https demands certificates as the client port does, and that they fit the address they come from."""
    port = free_ports(1)[0]
    far = authority.pair('far', names='IP:10.1.2.3')
    named = authority.pair('named', names='DNS:no-such-name.invalid')
    url = f'https://127.0.0.1:{port}/metrics'
    with start('--trusted-ca-file', authority.cert, '--listen-metrics-urls', f'https://127.0.0.1:{port}') as s:
        assert 'etcd_server_has_leader 1' in curl(s, url, pair=pairs[1])
        assert curl(s, url.replace('metrics', 'version'), pair=pairs[1]).endswith('404 2')
        for pair, why in ((far, 'x509: certificate is valid for 10.1.2.3, not 127.0.0.1'),
                          (named, 'tls: "127.0.0.1" does not match any of DNSNames ["no-such-name.invalid"]')):
            assert isinstance(curl(s, url, pair=pair), int)
            s.wait_for(lambda: any(x['error'].startswith(why) for x in s.lines('rejected connection on client endpoint')))
            assert s.get('/health', s.context(pair))[0] == 200  # the client port does not look at it
        assert curl(s, url, pair=authority.pair('nobody', names=None)).endswith('200 2')


def test_one_port_for_both(ketch_bin, messages, tmp_path, authority, pairs):
    """The same address given with http and https takes both kinds of clients."""
    s = TlsServer(ketch_bin / 'etcd', tmp_path, authority, pairs[0], pairs[0].flags(), ketch_bin / 'etcdctl', messages)
    both = f'{s.client},http://{s.endpoint}'
    s.command[s.command.index('--listen-client-urls') + 1] = both
    s.command[s.command.index('--listen-peer-urls') + 1] = 'http://127.0.0.1:0'
    s.start()
    try:
        for url in (s.client, f'http://{s.endpoint}'):
            assert curl(s, f'{url}/version').endswith('200 2' if url == s.client else '200 1.1')
            p = subprocess.run([str(s.ctl_path), '--endpoints', url, '--cacert', str(authority.cert), 'put', 'k', 'v'],
                               capture_output=True, text=True, env={**os.environ, **patience([])})
            assert p.stdout == 'OK\n', p.stderr
        s.wait_for(lambda: s.lines('scheme is http or unix while key and cert files are present; ignoring key and cert files'))
    finally:
        s.stop()


@pytest.mark.parametrize('kind', ['ours', 'real'])
def test_unix_sockets(ketch_bin, messages, tmp_path, authority, pairs, programs, kind):
    """unix:// and unixs:// listeners, and endpoints of etcdctl, ours and a real one."""
    ctl = programs(kind) / 'etcdctl'
    s = TlsServer(ketch_bin / 'etcd', tmp_path, authority, pairs[0], pairs[0].flags(), ketch_bin / 'etcdctl', messages)
    sockets = [f'localhost:{i}' for i in free_ports(2)]  # etcd's form: host and port are the file's name
    urls = [f'unix://{sockets[0]}', f'unixs://{sockets[1]}']
    s.command[s.command.index('--listen-client-urls') + 1] = ','.join([*urls, s.client])
    s.command[s.command.index('--listen-peer-urls') + 1] = 'http://127.0.0.1:0'
    with open(s.log_path, 'ab') as log:
        s.process = subprocess.Popen(s.command, stdout=log, stderr=log, cwd=tmp_path)
    s.wait_for(s.is_healthy, START_SECONDS)
    try:
        for url in urls:
            trust = ['--cacert', str(authority.cert)] if url.startswith('unixs') else []
            p = subprocess.run([str(ctl), '--endpoints', url, *trust, 'put', 'k', 'v'], cwd=tmp_path, capture_output=True, text=True,
                               env={**os.environ, **patience([])})
            assert p.stdout == 'OK\n', (url, p.stderr)
    finally:
        s.stop()
    assert not any((tmp_path / name).exists() for name in sockets)


class Asker(threading.Thread):
    """Asks over a new connection each time; whatever fails is kept."""

    def __init__(self, server, pair):
        super().__init__(daemon=True)
        self.server, self.pair = server, pair
        self.answers, self.failures, self.over = 0, [], False

    def run(self):
        while not self.over:
            try:
                assert self.server.get('/health', self.server.context(self.pair))[0] == 200
                self.answers += 1
            except (OSError, AssertionError) as e:
                self.failures.append(e)


def test_files_are_replaced_under_load(start, authority, pairs, tmp_path):
    """Certificate, key, CA bundle and revocation list change while clients come and go: none of their requests fails, and the new
    files count from the next connection on."""
    mine = Pair(tmp_path / 'own.pem', tmp_path / 'own.key')
    bundle, crl = tmp_path / 'bundle.pem', tmp_path / 'list.crl'
    for f, to in ((pairs[0].cert, mine.cert), (pairs[0].key, mine.key), (authority.cert, bundle)):
        to.write_bytes(f.read_bytes())
    authority.crl(crl)
    second = Authority(tmp_path, 'second-ca')
    newcomer, leaver = second.pair('newcomer'), authority.pair('leaver')
    with start('--trusted-ca-file', bundle, '--client-crl-file', crl, pair=mine) as s:
        put = s.grpc('etcdserverpb.KV/Put')  # one connection that stays
        askers = [Asker(s, pairs[1]) for _ in range(3)]
        for a in askers:
            a.start()

        def meanwhile():
            before = [a.answers for a in askers]
            put(key=b'k', value=b'v')
            s.wait_for(lambda: all(a.answers > b + 3 for a, b in zip(askers, before)))

        meanwhile()
        for _ in range(5):
            new = authority.pair('etcd-server')
            new.take_place_of(mine)
            s.get('/health', s.context(pairs[1]))
            assert int(s.seen_serial, 16) == int(new.serial(), 16)
            meanwhile()
        with pytest.raises((OSError, AssertionError)):
            s.get('/health', s.context(newcomer))
        copy = tmp_path / 'bundle.new'
        copy.write_bytes(authority.cert.read_bytes() + second.cert.read_bytes())
        os.replace(copy, bundle)
        assert s.get('/health', s.context(newcomer))[0] == 200
        meanwhile()
        assert s.get('/health', s.context(leaver))[0] == 200
        authority.crl(crl, leaver)
        with pytest.raises((OSError, AssertionError)):
            s.get('/health', s.context(leaver))
        meanwhile()
        mine.cert.write_text('half a certificate')  # the last good one stays in use, and a line says so
        meanwhile()
        s.wait_for(lambda: s.lines('failed to create peer certificate'))
        for a in askers:
            a.over = True
        for a in askers:
            a.join()
        assert [a.failures for a in askers] == [[], [], []]
        assert len(s.lines('failed to create peer certificate')) < 20


@pytest.mark.parametrize('then', ['ours', 'real'])
def test_auto_tls(ketch_bin, messages, tmp_path, authority, programs, then):
    """--auto-tls makes its certificate under the data directory, as etcd's, and takes it again; so does a real etcd."""
    second = programs(then) / 'etcd'
    s = TlsServer(ketch_bin / 'etcd', tmp_path, authority, Pair(None, None),
                  ['--auto-tls', '--peer-auto-tls', '--self-signed-cert-validity', '3'], ketch_bin / 'etcdctl', messages)
    own = Pair(s.data_dir / 'fixtures/client/cert.pem', s.data_dir / 'fixtures/client/key.pem')
    trust = ['--cacert', str(own.cert)]

    def healthy():
        p = subprocess.run([str(s.ctl_path), '--endpoints', s.client, *trust, 'endpoint', 'health'], capture_output=True, text=True)
        return p.returncode == 0

    s.start(wait=False)
    s.wait_for(healthy)
    s.stop()
    text = openssl('x509', '-in', own.cert, '-noout', '-text', '-ext', 'subjectAltName,keyUsage,extendedKeyUsage,basicConstraints')
    assert 'O = etcd' in text and 'IP Address:127.0.0.1' in text and 'CA:TRUE' in text and 'secp521r1' in text
    assert 'Digital Signature, Key Encipherment, CRL Sign' in text and 'TLS Web Server Authentication' in text
    assert openssl('x509', '-in', own.cert, '-noout', '-checkend', 3 * 365 * 86400 - 3600)
    assert own.key.read_text().startswith('-----BEGIN EC PRIVATE KEY-----') and (own.key.stat().st_mode & 0o777) == 0o600
    assert (s.data_dir / 'fixtures/peer/key.pem').exists()
    before = own.cert.read_bytes()
    again = TlsServer(second, tmp_path / 'again', authority, Pair(None, None), ['--auto-tls', '--peer-auto-tls'],
                      ketch_bin / 'etcdctl', messages)
    shutil.copytree(s.data_dir / 'fixtures', again.data_dir / 'fixtures')
    s.client = again.client
    again.start(wait=False)
    try:
        again.wait_for(healthy)
    finally:
        again.kill()
    assert (again.data_dir / 'fixtures/client/cert.pem').read_bytes() == before


@contextlib.contextmanager
def running(members):
    for m in members:
        m.start(wait=False)
    try:
        for m in members:
            m.wait_for(m.is_healthy, START_SECONDS)
        yield members
    finally:
        for m in members:
            if m.channel is not None:
                m.channel.close()
            m.kill()


def same_everywhere(members, key):
    """Written at each, read at each."""
    for i, m in enumerate(members):
        whoever_leads(lambda: m.grpc('etcdserverpb.KV/Put')(key=key, value=b'%d' % i))
        for other in members:
            kvs = whoever_leads(lambda: other.grpc('etcdserverpb.KV/Range')(key=key).kvs)
            assert [kv.value for kv in kvs] == [b'%d' % i], (m.log_path, other.log_path)


@pytest.mark.parametrize('ours', [2, 3])
def test_members_over_mutual_tls(ketch_bin, messages, tmp_path, authority, programs, ours):
    """A cluster whose members show one another certificates, ours alone or beside a real one; a member that restarts with a new
    certificate is one of them again, strangers are not let in."""
    etcds = [programs('ours' if i < ours else 'real') / 'etcd' for i in range(3)]
    own = [authority.pair('member') for _ in etcds]
    members = tls_cluster(list(zip(etcds, own)), tmp_path, authority, lambda p: [
        *p.flags(), *p.flags('peer-'), '--trusted-ca-file', authority.cert, '--peer-trusted-ca-file', authority.cert,
        '--peer-client-cert-auth', '--peer-cert-allowed-cn', 'member'], ketch_bin / 'etcdctl', messages)
    with running(members):
        same_everywhere(members, b'k')
        first = members[0]
        stranger = authority.pair('stranger')
        first.s_client('-cert', stranger.cert, '-key', stranger.key, port=first.peer_port, input='GET /version HTTP/1.1\r\n\r\n')
        first.wait_for(lambda: any(x['error'] == 'client certificate authentication failed'
                                   for x in first.lines('rejected connection on peer endpoint')))
        assert 'certificate required' in first.s_client('-tls1_3', port=first.peer_port) or \
            first.lines('rejected connection on peer endpoint')
        assert 'etcdserver' in first.s_client('-cert', own[1].cert, '-key', own[1].key, '-ign_eof', port=first.peer_port,
                                              input='GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
        members[1].stop()
        authority.pair('member').take_place_of(own[1])
        members[1].channel = None
        members[1].start()
        same_everywhere(members, b'later')


@pytest.mark.parametrize('third', ['ours', 'real'])
def test_members_with_auto_tls(ketch_bin, messages, tmp_path, authority, pairs, programs, third):
    """--peer-auto-tls: members encrypt without knowing one another, a real one among them."""
    etcds = [programs(kind) / 'etcd' for kind in ('ours', 'ours', third)]
    members = tls_cluster([(p, pairs[0]) for p in etcds], tmp_path, authority,
                          lambda p: [*p.flags(), '--peer-auto-tls'], ketch_bin / 'etcdctl', messages)
    with running(members):
        same_everywhere(members, b'k')
