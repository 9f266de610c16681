"""etcdctl lock and elect: words, statuses, commands, signals, two contenders."""
import os
import signal
import time

import pytest

from etcdctl_lib import Ctl, undisturbed, wait_until


@pytest.fixture
def ctl(server):
    return Ctl(server.ctl_path, server.endpoint)


def keys(ctl, name):
    return ctl('get', name + '/', '--prefix', '--keys-only').split()


def line(p):
    return p.stdout.readline().decode().rstrip('\n')


def end(p, which=signal.SIGINT):
    """Sends a signal; the status and what was written since."""
    p.send_signal(which)
    out, err = p.communicate(timeout=60)
    return p.returncode, out.decode(), err.decode()


@pytest.mark.parametrize('which', [signal.SIGINT, signal.SIGTERM])
def test_lock_until_signal(ctl, which):
    """The key and an empty value are printed; a signal gives the lock back, with status 0."""
    p = ctl.start('lock', 'l1')
    key = line(p)
    assert line(p) == ''
    assert keys(ctl, 'l1') == [key]
    assert end(p, which) == (0, '', '')
    assert keys(ctl, 'l1') == []


def test_lock_formats(ctl):
    """JSON and fields are those of a get of the key; table is refused."""
    p = ctl.start('lock', 'f', '-w', 'json')
    assert '"kvs":[{"key":' in line(p)
    assert end(p)[0] == 0
    p = ctl.start('lock', 'f', '-w', 'fields')
    assert line(p).startswith('"ClusterID" : ')
    assert end(p)[0] == 0
    ctl.fails(4, 'Error: table not supported as output format\n', 'lock', 'f', '-w', 'table')
    assert keys(ctl, 'f') == []


def test_two_contenders(ctl):
    """The second has the lock when the first is interrupted; one that is interrupted while it waits leaves no key."""
    first = ctl.start('lock', 'two')
    line(first)
    second = ctl.start('lock', 'two')
    wait_until(lambda: len(keys(ctl, 'two')) == 2)
    third = ctl.start('lock', 'two')
    wait_until(lambda: len(keys(ctl, 'two')) == 3)
    assert end(third) == (1, '', 'Error: context canceled\n')
    os.set_blocking(second.stdout.fileno(), False)
    assert second.stdout.read() is None
    os.set_blocking(second.stdout.fileno(), True)
    assert end(first)[0] == 0
    assert keys(ctl, 'two') == [line(second)]
    assert end(second)[0] == 0


def test_dead_holder(ctl):
    """A holder that is killed keeps the lock until its lease has run out, then the next has it."""
    first = ctl.start('lock', 'dead', '--ttl', '4')
    line(first)
    second = ctl.start('lock', 'dead')
    wait_until(lambda: len(keys(ctl, 'dead')) == 2)
    first.kill()
    first.wait()
    assert keys(ctl, 'dead')[-1] == line(second) or keys(ctl, 'dead') == [line(second)]
    assert end(second)[0] == 0


def test_lease_kept_alive(ctl):
    """A lock is held for longer than its lease's time; when the lease is revoked, it says so."""
    def hold():
        p = ctl.start('lock', 'alive', '--ttl', '5')
        key = line(p)
        time.sleep(6.5)
        assert keys(ctl, 'alive') == [key]
        ctl('lease', 'revoke', key.split('/')[1])
        out, err = p.communicate(timeout=60)
        assert (p.returncode, err.decode()) == (1, 'Error: session expired\n')

    undisturbed(hold)


def test_lock_with_command(ctl):
    """The command runs with an empty input and two variables more; its status is that of lock."""
    out = ctl('lock', 'c', '--', 'sh', '-c', 'env | grep ^ETCD_LOCK | sort; cat', input='not passed on')
    key, rev = out.split()
    assert key.startswith('ETCD_LOCK_KEY=c/')
    assert rev == f'ETCD_LOCK_REV={ctl.revision() - 1}'
    ctl.fails(7, 'Error: exit status 7\n', 'lock', 'c', '--', 'sh', '-c', 'exit 7')
    ctl.fails(255, 'Error: signal: killed\n', 'lock', 'c', '--', 'sh', '-c', 'kill -9 $$')
    ctl.fails(1, 'Error: exec: "nosuchcmd": executable file not found in $PATH\n', 'lock', 'c', 'nosuchcmd')
    ctl.fails(1, 'Error: fork/exec /nosuch: no such file or directory\n', 'lock', 'c', '/nosuch')
    assert keys(ctl, 'c') == []


def test_command_keeps_running(ctl, tmp_path):
    """A signal to lock alone does not end its command, and the lease is kept alive meanwhile."""
    over = tmp_path / 'over'

    def hold():
        over.unlink(missing_ok=True)
        p = ctl.start('lock', 'run', '--ttl', '5', '--', 'sh', '-c', f'echo begin; until [ -e {over} ]; do sleep 0.1; done; echo end')
        assert line(p) == 'begin'
        p.send_signal(signal.SIGTERM)
        time.sleep(6)
        held = keys(ctl, 'run')
        over.touch()
        out, err = p.communicate(timeout=60)
        assert (len(held), p.returncode, out, err) == (1, 0, b'end\n', b'')
        assert keys(ctl, 'run') == []

    undisturbed(hold)


def test_commands_take_turns(ctl):
    """Of many that increment a number with get and put under one lock, none is lost."""
    ctl('put', 'n', '0')
    add = f'n=$({ctl.program} get n --print-value-only); {ctl.program} put n $((n + 1)) >/dev/null'
    many = [ctl.start('lock', 'turn', '--', 'sh', '-c', add) for _ in range(8)]
    for p in many:
        assert (p.communicate(timeout=180), p.returncode) == ((b'', b''), 0)
    assert ctl('get', 'n', '--print-value-only') == '8\n'


def test_words(ctl):
    """Missing arguments are told as etcdctl tells them; a time to live that is none becomes 60 s."""
    ctl.fails(128, 'Error: lock takes a lock name argument and an optional command to execute\n', 'lock')
    few = 'Error: elect takes one election name argument and an optional proposal argument\n'
    ctl.fails(128, few, 'elect')
    ctl.fails(128, few, 'elect', 'a', 'b', 'c')
    ctl.fails(128, 'Error: no proposal argument but -l not set\n', 'elect', 'e1')
    ctl.fails(128, 'Error: proposal given but -l is set\n', 'elect', '-l', 'e1', 'p')
    r = ctl.run('lock', 'w', '--ttl=0', 'true', logs=True)
    assert r.status == 0
    assert 'WithTTL(): TTL should be > 0, preserving current TTL' in r.err


def test_elect(ctl):
    """Candidates lead one after the other; a listener prints each with its proposal."""
    listener = ctl.start('elect', '-l', 'E')
    first = ctl.start('elect', 'E', 'p1')
    led = line(first), line(first)
    assert led[1] == 'p1'
    assert (line(listener), line(listener)) == led
    second = ctl.start('elect', 'E', 'p2')
    wait_until(lambda: len(keys(ctl, 'E')) == 2)
    late = ctl.start('elect', '--listen', 'E', '-w', 'json')
    assert '"count"' not in line(late)
    waiting = ctl.start('elect', 'E', 'p3')
    wait_until(lambda: len(keys(ctl, 'E')) == 3)
    assert end(waiting) == (1, '', 'Error: context canceled\n')
    ctl('put', led[0], 'proclaimed')
    assert (line(listener), line(listener)) == (led[0], 'proclaimed')
    assert end(first)[0] == 0
    led = line(second), line(second)
    assert led[1] == 'p2'
    assert (line(listener), line(listener)) == led
    ctl('lease', 'revoke', led[0].split('/')[1])
    out, err = second.communicate(timeout=60)
    assert (second.returncode, err.decode()) == (1, 'Error: elect: session expired\n')
    for p in (listener, late):
        assert end(p)[0] == 0
