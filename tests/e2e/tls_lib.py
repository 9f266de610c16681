"""Certificates made by the openssl program, and servers that use them."""
import json
import os
import pathlib
import re
import socket
import ssl
import subprocess

from conftest import Server, free_ports

BOTH_USES = 'serverAuth,clientAuth'
HERE = 'DNS:localhost,IP:127.0.0.1'


def openssl(*args, input=None):
    p = subprocess.run(['openssl', *map(str, args)], capture_output=True, text=True, input=input)
    assert p.returncode == 0, (args, p.stderr)
    return p.stdout


class Pair:
    """A certificate and its key."""

    def __init__(self, cert, key):
        self.cert, self.key = cert, key

    def flags(self, prefix=''):
        """Of etcd: --cert-file and --key-file, or those with a prefix."""
        return [f'--{prefix}cert-file', str(self.cert), f'--{prefix}key-file', str(self.key)]

    def ctl(self, ca):
        """Of etcdctl."""
        return ['--cacert', str(ca), '--cert', str(self.cert), '--key', str(self.key)]

    def serial(self):
        return openssl('x509', '-in', self.cert, '-noout', '-serial').strip().split('=')[1]

    def take_place_of(self, other):
        """As an operator's script would: one file after the other, each whole at once."""
        for new, old in ((self.cert, other.cert), (self.key, other.key)):
            copy = pathlib.Path(str(old) + '.new')
            copy.write_bytes(new.read_bytes())
            os.replace(copy, old)


class Authority:
    """A CA in a folder."""

    def __init__(self, folder, name='test-ca'):
        self.folder = pathlib.Path(folder) / name
        self.folder.mkdir()
        self.cert, self.key = self.folder / 'ca.pem', self.folder / 'ca.key'
        self.count = 0
        openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', self.key,
                '-out', self.cert, '-subj', f'/CN={name}', '-days', 30)

    def pair(self, cn, names=HERE, uses=BOTH_USES, days=30, key_type='ec'):
        self.count += 1
        base = self.folder / f'{self.count}'
        cert, key, request, ext = (base.with_suffix(s) for s in ('.pem', '.key', '.csr', '.ext'))
        kind = ('ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1') if key_type == 'ec' else (key_type,)
        openssl('req', '-newkey', *kind, '-nodes', '-keyout', key, '-out', request, '-subj', f'/CN={cn}' if cn else '/O=none')
        ext.write_text((f'subjectAltName={names}\n' if names else '') + f'extendedKeyUsage={uses}\n')
        openssl('x509', '-req', '-in', request, '-CA', self.cert, '-CAkey', self.key, '-set_serial', f'0x{4096 + self.count:x}',
                '-days', days, '-extfile', ext, '-out', cert)
        return Pair(cert, key)

    def crl(self, path, *revoked, form='DER'):
        """Writes a revocation list, whole at once."""
        index, config, new = (self.folder / n for n in ('index.txt', 'crl.conf', 'crl.pem'))
        index.write_text(''.join(f'R\t391231000000Z\t240101000000Z\t{p.serial()}\tunknown\t/CN=x\n' for p in revoked))
        config.write_text(f'[ca]\ndefault_ca=d\n[d]\ndatabase={index}\ndefault_md=sha256\ndefault_crl_days=30\n')
        openssl('ca', '-gencrl', '-config', config, '-cert', self.cert, '-keyfile', self.key, '-out', new)
        copy = pathlib.Path(str(path) + '.new')
        if form == 'DER':
            openssl('crl', '-in', new, '-outform', 'DER', '-out', copy)
        else:
            copy.write_bytes(new.read_bytes())
        os.replace(copy, path)


class TlsServer(Server):
    """One member with https for clients and for peers (unless `flags` say otherwise)."""

    def __init__(self, etcd, folder, authority, pair, flags, ctl, messages, name='m1', ports=None, cluster=None):
        super().__init__(etcd, pathlib.Path(folder) / name, [], pathlib.Path(folder) / f'{name}.log', ctl, messages)
        if ports is not None:
            self.client_port, self.peer_port = ports
            self.endpoint = f'127.0.0.1:{self.client_port}'
        self.authority, self.pair = authority, pair
        self.client, self.peer = f'https://{self.endpoint}', f'https://127.0.0.1:{self.peer_port}'
        self.command = [str(etcd), '--name', name, '--data-dir', str(self.data_dir), '--listen-client-urls', self.client,
                        '--advertise-client-urls', self.client, '--listen-peer-urls', self.peer,
                        '--initial-advertise-peer-urls', self.peer, '--initial-cluster', cluster or f'{name}={self.peer}',
                        '--initial-cluster-token', 'tls', *map(str, flags)]

    def context(self, pair=None, ca=None):
        """For Python's ssl: shows `pair`, trusts `ca` (default: the server's)."""
        c = ssl.create_default_context(cafile=str(ca or self.authority.cert))
        pair = self.pair if pair is None else pair
        if pair is not False:
            c.load_cert_chain(str(pair.cert), str(pair.key))
        return c

    def get(self, path, context=None, timeout=30):
        """Status and body over a connection of its own, HTTP/1.1."""
        with socket.create_connection(('127.0.0.1', self.client_port), timeout) as plain:
            with (context or self.context()).wrap_socket(plain, server_hostname='127.0.0.1') as s:
                s.sendall(f'GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'.encode())
                answer = b''
                while part := s.recv(65536):
                    answer += part
                self.seen_serial = s.getpeercert()['serialNumber'] if s.getpeercert() else ''
        head, _, body = answer.partition(b'\r\n\r\n')
        assert head, 'the connection ended without an answer'
        return int(head.split()[1]), body

    def is_healthy(self):
        if self.process.poll() is not None:
            raise AssertionError(f'the server ended with {self.process.returncode}:\n{self.log_text()[-3000:]}')
        try:
            return b'"true"' in self.get('/health', timeout=2)[1]
        except (OSError, AssertionError):
            return False

    def ctl_command(self, *args, pair=None, ctl=None):
        return [str(ctl or self.ctl_path), '--endpoints', self.client, *(pair or self.pair).ctl(self.authority.cert), *args]

    def grpc_call(self, method, kind='unary_unary'):
        import grpc
        if self.channel is None:
            files = [pathlib.Path(f).read_bytes() for f in (self.authority.cert, self.pair.key, self.pair.cert)]
            self.channel = grpc.secure_channel(self.endpoint, grpc.ssl_channel_credentials(*files))
        return super().grpc_call(method, kind)

    def lines(self, message):
        """The log lines with this message, as dicts."""
        return [json.loads(t) for t in self.log_text().splitlines() if f'"msg":"{message}"' in t]

    def s_client(self, *args, port=None, input=''):
        """openssl s_client; returns all that it printed."""
        p = subprocess.run(['openssl', 's_client', '-connect', f'127.0.0.1:{port or self.client_port}', '-CAfile',
                            str(self.authority.cert), *map(str, args)], input=input, capture_output=True, text=True, timeout=60)
        return p.stdout + p.stderr


def alpn_of(text):
    """What s_client printed of ALPN: the protocol, or None."""
    m = re.search(r'ALPN protocol: (\S+)', text)
    return m and m.group(1)


def tls_cluster(etcds, folder, authority, flags, ctl, messages):
    """Members m1, m2, ...: for each (program, pair)."""
    ports = free_ports(2 * len(etcds))
    pairs = [(ports[2 * i], ports[2 * i + 1]) for i in range(len(etcds))]
    text = ','.join(f'm{i + 1}=https://127.0.0.1:{p[1]}' for i, p in enumerate(pairs))
    return [TlsServer(etcd, folder, authority, pair, flags(pair), ctl, messages, f'm{i + 1}', pairs[i], text)
            for i, (etcd, pair) in enumerate(etcds)]
