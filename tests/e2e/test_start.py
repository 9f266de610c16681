"""Starting and stopping as an operator sees it: ports, signals, refusals in one line that change nothing."""
import json
import pathlib
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request

import pytest

from conftest import free_ports, has_sanitizer


def get(port, path, method='GET'):
    request = urllib.request.Request(f'http://127.0.0.1:{port}{path}', method=method)
    with urllib.request.urlopen(request, timeout=30) as r:
        return r.read()


def last_line(server):
    return json.loads(server.log_text().strip().split('\n')[-1])


def test_the_peer_port_answers(server):
    """The peer port tells the version and that it is there, and knows nothing else."""
    server.wait_for(lambda: b'"etcdcluster":"3.7.0"' in get(server.peer_port, '/version'))
    assert json.loads(get(server.peer_port, '/version'))['etcdserver'] == '3.7.1'
    assert json.loads(get(server.peer_port, '/raft/probing'))['OK'] is True
    for path, method, status in (('/raft', 'POST', 412), ('/nothing', 'GET', 404), ('/version', 'POST', 405)):
        try:
            get(server.peer_port, path, method)
            raise AssertionError(path)
        except urllib.error.HTTPError as e:
            assert e.code == status


def test_a_port_in_use_is_refused_before_the_disk(start_server, tmp_path):
    """One clear line, exit 1, and no data directory."""
    for flag in ('--listen-client-urls', '--listen-peer-urls'):
        with socket.socket() as held:
            held.bind(('127.0.0.1', 0))
            held.listen()
            url = f'http://127.0.0.1:{held.getsockname()[1]}'
            more = ('--advertise-client-urls', url) if 'client' in flag else ()
            with start_server(tmp_path / 'd', flag, url, *more, wait=False) as s:
                assert s.process.wait(60) == 1
                assert 'bind: address already in use' in last_line(s)['error']
            assert not (tmp_path / 'd').exists()


def test_interrupt_ends_it_in_order(start_server, tmp_path):
    """Ctrl-C: the last line says so, why nobody else leads is said once, the status is that of the signal, and the next
    start finds everything."""
    with start_server(tmp_path / 'd') as s:
        s.ctl('put', 'a', 'b')
        s.process.send_signal(signal.SIGINT)
        assert s.process.wait(60) == -signal.SIGINT
        assert last_line(s)['msg'] == 'closed etcd server'
        assert last_line(s)['advertise-client-urls'] == ['http://' + s.endpoint]
        assert s.log_text().count('skipped leadership transfer') == 1
    with start_server(tmp_path / 'd') as s:
        assert s.ctl('get', 'a') == 'a\nb\n'


def test_a_wrong_flag_is_named(ketch_bin):
    """A typo in a flag: its name, the usage, exit 2, nothing on disk."""
    p = subprocess.run([ketch_bin / 'etcd', '--data-dri', 'x'], capture_output=True, text=True, timeout=60)
    assert p.returncode == 2
    assert p.stderr.startswith('flag provided but not defined: -data-dri\n')


def test_joining_nobody_fails_in_words(start_server, tmp_path):
    """A member that joins a cluster of which nobody answers says so, and leaves no directory behind."""
    peers = free_ports(1)[0]
    cluster = f'default=http://localhost:2380,other=http://127.0.0.1:{peers}'
    with start_server(tmp_path / 'd', '--initial-cluster-state', 'existing', '--initial-cluster', cluster, wait=False) as s:
        assert s.process.wait(60) == 1
        assert last_line(s)['error'] == ('cannot fetch cluster info from peer urls: could not retrieve cluster information '
                                         'from the given URLs')
    assert not (tmp_path / 'd').exists()


def test_a_directory_in_use_is_refused(start_server, tmp_path):
    """A second member on one directory is refused with the file's name, and the first is not disturbed."""
    with start_server(tmp_path / 'd') as first:
        with start_server(tmp_path / 'd', wait=False) as second:
            assert second.process.wait(60) == 1
            assert 'another process has it' in last_line(second)['error']
        first.ctl('put', 'a', 'b')


def test_damage_is_named_and_nothing_changed(start_server, tmp_path):
    """A flipped byte in the middle of the log, or a broken data file: file and place in one line, no byte changed."""
    with start_server(tmp_path / 'd') as s:
        for i in range(5):
            s.ctl('put', 'a', str(i))
    log = next((tmp_path / 'd/member/wal').glob('0*.wal'))
    for path, offset, words in ((log, 150, 'damaged record at offset'),
                                (tmp_path / 'd/member/snap/db', 16, 'invalid database')):
        whole = path.read_bytes()
        broken = bytearray(whole)
        broken[offset] ^= 0xff
        if path.name == 'db':
            broken[4096 + offset] ^= 0xff  # both meta pages
        path.write_bytes(broken)
        with start_server(tmp_path / 'd', wait=False) as s:
            assert s.process.wait(60) == 1
            error = last_line(s)['error']
            assert words in error and path.name in error
        assert path.read_bytes() == broken
        path.write_bytes(whole)
    with start_server(tmp_path / 'd') as s:
        assert s.ctl('get', 'a') == 'a\n4\n'


def locked_kb(pid):
    """Memory that may not be paged out, in KB."""
    status = pathlib.Path(f'/proc/{pid}/status').read_text()
    return int(re.search(r'VmLck:\s+(\d+) kB', status)[1])


def test_the_data_file_stays_in_memory_on_request(start_server, tmp_path):
    """--memory-mlock locks the mapped file, also what it grows by; without it nothing is locked."""
    with start_server(tmp_path / 'd') as s:
        if has_sanitizer(s.command[0]):
            pytest.skip('skipped: a sanitizer makes nothing of mlock')
        assert locked_kb(s.process.pid) == 0
    with start_server(tmp_path / 'd', '--memory-mlock') as s:
        first = locked_kb(s.process.pid)
        assert first * 1024 >= (tmp_path / 'd/member/snap/db').stat().st_size // 2
        put = s.grpc('etcdserverpb.KV/Put')
        for i in range(30):
            put(key=b'k%d' % i, value=b'v' * 1000000)
        s.wait_for(lambda: locked_kb(s.process.pid) > first + 8000)


def test_two_may_listen_on_one_port_if_both_say_so(start_server, tmp_path):
    """--socket-reuse-port lets a second member take a port that is in use; without it the port is refused."""
    port = free_ports(1)[0]
    url = f'--listen-metrics-urls=http://127.0.0.1:{port}'
    with start_server(tmp_path / 'a', url, '--socket-reuse-port'):
        with start_server(tmp_path / 'b', url, '--socket-reuse-port') as second:
            second.wait_for(second.is_healthy)
        with start_server(tmp_path / 'c', url, wait=False) as third:
            assert third.process.wait(60) == 1
            assert f'listen tcp 127.0.0.1:{port}: bind: address already in use' in third.log_text()


def test_a_signal_while_names_are_looked_up(ketch_bin, tmp_path):
    """A peer URL whose host nobody knows is asked for again and again; a signal ends that at once."""
    port, = free_ports(1)
    p = subprocess.Popen([str(ketch_bin / 'etcd'), '--data-dir', str(tmp_path / 'd'), '--initial-advertise-peer-urls',
                          f'http://nobody.invalid:{port}', '--initial-cluster', f'default=http://127.0.0.1:{port}'],
                         stderr=subprocess.PIPE, text=True)
    line = next(line for line in p.stderr if 'failed to resolve URL Host' in line)
    assert json.loads(line)['host'] == f'nobody.invalid:{port}'
    p.terminate()
    assert p.wait(30) == -signal.SIGTERM
    assert not (tmp_path / 'd').exists()
