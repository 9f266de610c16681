"""etcdctl --discovery-srv: endpoints from a name server of the test's own."""
import pytest

from etcdctl_lib import Ctl
from test_join import dns, dns_environment  # noqa: F401 (fixtures)


@pytest.fixture
def ctl(server, dns):  # noqa: F811
    return Ctl(server.ctl_path, server.endpoint)


def test_endpoints_from_dns(ctl, dns):  # noqa: F811
    """Records for http lead to the server; where http is not welcome, --endpoints does."""
    port = int(ctl.endpoint.rpartition(':')[2])
    dns.records['_etcd-client._tcp.example.test'] = [port]
    dns.records['_etcd-client-x._tcp.example.test'] = [1, port]
    dns.records['_etcd-client-ssl._tcp.tls.test'] = [port]
    name = ['--discovery-srv', 'example.test']
    assert ctl('put', 'k', 'v', *name, endpoints=False) == 'OK\n'
    assert ctl('get', 'k', *name, '--discovery-srv-name', 'x', endpoints=False) == 'k\nv\n'
    assert ctl('endpoint', 'status', *name).startswith(f'http://localhost.:{port}, ')
    r = ctl.run('get', 'k', *name, '--insecure-discovery=false', '--insecure-transport=false', '--command-timeout=100ms')
    assert (r.status, r.err) == (1, f'ignoring discovered insecure endpoint "http://localhost.:{port}"\n'
                                    'Error: context deadline exceeded\n')
    # The server does not talk TLS.
    ctl.fails(1, 'Error: context deadline exceeded\n', 'get', 'k', '-d', 'tls.test', '--command-timeout=100ms')
    assert dns.asked[:2] == ['_etcd-client-ssl._tcp.example.test', '_etcd-client._tcp.example.test']


def test_nothing_found(ctl, dns):  # noqa: F811
    """Two names that do not exist are one error, with the server that was asked."""
    asked = f'on 127.0.0.1:{dns.port}: no such host'
    ctl.fails(1, f'Error: dns lookup errors: lookup _etcd-client-ssl-y._tcp.nowhere.test {asked} '
                 f'and lookup _etcd-client-y._tcp.nowhere.test {asked}\n',
              'get', 'k', '--discovery-srv', 'nowhere.test', '--discovery-srv-name', 'y')
