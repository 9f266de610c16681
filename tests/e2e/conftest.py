"""What the end-to-end tests share: servers on free ports of the loopback, our programs, a real etcd.

KETCH_BIN is the folder with the programs under test (default: bin), KETCH_BUILD that of the build (for test tools),
KETCH_ETCD one other server to test; KETCH_TEST_DELAYS is explained at the fixture `delayed`.
"""
import contextlib
import http.client
import importlib
import itertools
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from etcdctl_lib import patience

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get('KETCH_BIN', ROOT / 'bin'))
BUILD = pathlib.Path(os.environ.get('KETCH_BUILD', ROOT / 'build/release'))
SHARED = pathlib.Path(os.environ.get('KETCH_SHARED', ROOT.parent / 'shared'))
START_SECONDS = 180  # a sanitizer's build, on a machine that does other things, too
STOP_SECONDS = WAIT_SECONDS = 60  # no test fails for a machine that is slow, or away for a while


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """What a test that passed leaves on the disk goes at once: a data directory is 130 MB, and there are hundreds."""
    report = (yield).get_result()
    failed = item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    folder = item.funcargs.get('tmp_path')
    if call.when == 'teardown' and not failed and folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


# Below the ports that the kernel gives to whoever asks for any; each test process has its own.
PORTS_FIRST, PORTS_EACH, PROCESSES_MAX = 12000, 2000, 10
PORTS = itertools.count(os.getpid() * 97)


def is_free(port):
    with socket.socket() as s:
        try:
            s.bind(('127.0.0.1', port))
        except OSError:
            return False
    return True


def free_ports(n):
    """Ports that nobody listens on, and no other test is about to."""
    process = int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0').removeprefix('gw')) % PROCESSES_MAX
    ports = (PORTS_FIRST + process * PORTS_EACH + i % PORTS_EACH for i in PORTS)
    return list(itertools.islice(filter(is_free, ports), n))


class Server:
    """One etcd process, ours or a real one."""

    def __init__(self, etcd, data_dir, flags, log_path, ctl, messages):
        self.client_port, self.peer_port = free_ports(2)
        self.endpoint = f'127.0.0.1:{self.client_port}'
        self.data_dir, self.log_path = pathlib.Path(data_dir), log_path
        self.ctl_path, self.messages = ctl, messages
        self.env = dict(os.environ)
        client, peer = f'http://{self.endpoint}', f'http://127.0.0.1:{self.peer_port}'
        self.command = [str(etcd), '--data-dir', str(data_dir), '--listen-client-urls', client,
                        '--advertise-client-urls', client, '--listen-peer-urls', peer, '--initial-advertise-peer-urls',
                        'http://localhost:2380', *flags]
        self.process = None
        self.channel = None

    def start(self, wait=True):
        with open(self.log_path, 'ab') as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        try:
            if wait:
                self.wait_for(self.is_healthy, START_SECONDS)
        except BaseException:
            self.kill()
            raise

    def is_healthy(self):
        if self.process.poll() is not None:
            pytest.fail(f'the server ended with {self.process.returncode}:\n{self.log_text()[-3000:]}')
        try:
            with urllib.request.urlopen(f'http://{self.endpoint}/health', timeout=2) as r:
                return b'true' in r.read()
        except (OSError, http.client.HTTPException):
            return False

    @staticmethod
    def wait_for(condition, seconds=WAIT_SECONDS):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                pytest.fail(f'not so after {seconds} seconds: {condition}')
            time.sleep(0.02)

    def log_text(self):
        """Its lines; the last one may be on its way to the file yet."""
        text = pathlib.Path(self.log_path).read_text(errors='replace')
        return text[:text.rfind('\n') + 1]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """SIGTERM; the status must say so."""
        if self.channel is not None:
            self.channel.close()
        if self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            status = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait()
            pytest.fail(f'SIGTERM did not end the server:\n{self.log_text()[-3000:]}')
        assert status == -signal.SIGTERM, f'status {status}:\n{self.log_text()[-3000:]}'

    def ctl_command(self, *args):
        return [str(self.ctl_path), '--endpoints', self.endpoint, *args]

    def ctl(self, *args, input=None, status=0):
        """Runs etcdctl and returns what it printed."""
        p = subprocess.run(self.ctl_command(*args), env={**patience(args), **self.env}, input=input, capture_output=True,
                           text=True, timeout=60)
        assert p.returncode == status, (args, p.returncode, p.stdout, p.stderr)
        return p.stdout if status == 0 else p.stdout + p.stderr

    def grpc(self, method, timeout=30):
        """A function that calls one unary method: keyword arguments are the request's fields."""
        call, request = self.grpc_call(method)
        return lambda **fields: call(request(**fields), timeout=timeout)

    def grpc_call(self, method, kind='unary_unary'):
        """The callable of grpcio and the class of the request."""
        import grpc
        if self.channel is None:
            self.channel = grpc.insecure_channel(self.endpoint)
        request, response = self.messages.of(method)
        return getattr(self.channel, kind)('/' + method, request_serializer=request.SerializeToString,
                                           response_deserializer=response.FromString), request


def whoever_leads(call, seconds=60):
    """The answer of `call`, which may be made twice; again while members lose and find a leader: a busy machine makes them."""
    import grpc
    end = time.monotonic() + seconds
    while True:
        try:
            return call()
        except grpc.RpcError as e:
            # The latter is the answer to a proposal that found no leader.
            if e.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED) or time.monotonic() > end:
                raise
        time.sleep(0.1)


class Messages:
    """Python classes made from proto/ by protoc."""

    def __init__(self, folder):
        protos = sorted((ROOT / 'proto').glob('*.proto'))
        subprocess.run(['protoc', f'-I{ROOT / "proto"}', f'--python_out={folder}', *map(str, protos)], check=True)
        sys.path.insert(0, str(folder))
        self.rpc = importlib.import_module('rpc_pb2')
        self.modules = {'v3lockpb.Lock': importlib.import_module('v3lock_pb2'),
                        'v3electionpb.Election': importlib.import_module('v3election_pb2')}

    def of(self, method):
        service, name = method.split('/')
        module = self.modules.get(service, self.rpc)
        if name == 'RangeStream':
            return self.rpc.RangeRequest, self.rpc.RangeStreamResponse
        prefix = {'Compact': 'Compaction', 'Observe': 'Leader'}.get(name, name)
        if service == 'etcdserverpb.Auth' and not hasattr(module, prefix + 'Request'):
            prefix = 'Auth' + prefix
        return getattr(module, prefix + 'Request'), getattr(module, prefix + 'Response')


@pytest.fixture(scope='session')
def ketch_bin():
    assert (BIN / 'etcd').exists(), f'{BIN}/etcd is missing: run make'
    return BIN


def has_address_sanitizer(program):
    """Such a program keeps what was freed for a while, and wants a word about preloaded libraries (preload_lib.py)."""
    return b'__asan_init' in pathlib.Path(program).read_bytes()


def has_sanitizer(program):
    """Of addresses or of threads: such a program needs several times the memory, and its mlock does nothing."""
    return has_address_sanitizer(program) or b'__tsan_init' in pathlib.Path(program).read_bytes()


@pytest.fixture(scope='session', autouse=True)
def delayed(tmp_path_factory):
    """KETCH_TEST_DELAYS=seed: servers of ours are held up here and there, which shows tests that take for granted who is first."""
    if 'KETCH_TEST_DELAYS' in os.environ:
        import preload_lib
        os.environ.update(preload_lib.delays(BIN / 'etcd', tmp_path_factory.mktemp('delays'), os.environ['KETCH_TEST_DELAYS']))


@pytest.fixture(scope='session')
def real_bin():
    """The folder of a real etcd, etcdctl and etcdutl of the 3.5 series."""
    tool = SHARED / 'bin/reference-etcd'
    if not tool.exists():
        pytest.skip('skipped: no reference etcd: ../shared is not there')
    p = subprocess.run([str(tool)], capture_output=True, text=True)
    if p.returncode != 0:
        pytest.skip('skipped: no reference etcd: ' + p.stderr.strip()[-200:])
    return pathlib.Path(p.stdout.strip())


@pytest.fixture(scope='session')
def messages(tmp_path_factory):
    return Messages(tmp_path_factory.mktemp('messages'))


@pytest.fixture
def start_server(ketch_bin, messages, tmp_path):
    """with start_server(data_dir, *flags, etcd=program, wait=True) as s: stopped by SIGTERM at the end."""
    count = [0]

    @contextlib.contextmanager
    def start(data_dir, *flags, etcd=None, wait=True):
        count[0] += 1
        server = Server(etcd or os.environ.get('KETCH_ETCD', ketch_bin / 'etcd'), data_dir, flags,
                        tmp_path / f'server-{count[0]}.log', ketch_bin / 'etcdctl', messages)
        server.start(wait)
        try:
            yield server
        finally:
            server.stop()

    return start


@pytest.fixture
def server(start_server, tmp_path):
    with start_server(tmp_path / 'server.data') as s:
        yield s


@pytest.fixture
def api(server):
    from grpc_lib import Api
    with Api(server) as a:
        yield a


@pytest.fixture
def bolt_check():
    tool = BUILD / 'tests/bolt_check'
    assert tool.exists(), f'{tool} is missing: run make'

    def check(path):
        copy = pathlib.Path(str(path) + '.checked')
        shutil.copy(path, copy)
        p = subprocess.run([str(tool), str(copy)], capture_output=True, text=True)
        assert p.returncode == 0, p.stdout + p.stderr
        copy.unlink()

    return check
