"""etcdctl watch: every form and format, the command behind --, the interactive mode."""
import re
import signal
import subprocess
import threading
import time
import urllib.request

import pytest

from etcdctl_lib import Ctl, mask, wait_until, without_logs

SILENCE_SECONDS = 0.5  # in which nothing more may come


@pytest.fixture
def ctl(server):
    return Ctl(server.ctl_path, server.endpoint)


def wait_for_watchers(ctl, n):
    """Until the server has so many: a watch says nothing when it begins."""
    def are_there():
        with urllib.request.urlopen(f'http://{ctl.endpoint}/metrics', timeout=30) as r:
            return int(re.search(r'^etcd_debugging_mvcc_watcher_total (\d+)$', r.read().decode(), re.M)[1]) == n
    wait_until(are_there)


class Watch:
    """etcdctl watch in the background, the only one."""

    def __init__(self, ctl, *args, **kw):
        self.ctl, self.out = ctl, b''
        self.process = ctl.start('watch', *args, **kw)
        wait_for_watchers(ctl, 1)

    def read(self, lines):
        """Waits for so many lines of output."""
        giving_up = threading.Timer(60, self.process.kill)
        giving_up.start()
        for _ in range(lines):
            self.out += self.process.stdout.readline()
        giving_up.cancel()

    def stop(self, lines):
        """Waits for so many lines, for more that should not come, and ends it; all output, and what it complained about."""
        self.read(lines)
        time.sleep(SILENCE_SECONDS)
        self.process.send_signal(signal.SIGINT)
        self.out += self.process.stdout.read()
        err = self.process.stderr.read().decode()
        assert self.process.wait(60) == -signal.SIGINT
        wait_for_watchers(self.ctl, 0)
        return self.out.decode(errors='backslashreplace'), without_logs(err)


def history(ctl):
    """foo: put, put, delete at revisions 2, 3, 4."""
    ctl('put', 'foo', 'v1')
    ctl('put', 'foo', 'v2')
    ctl('del', 'foo')


def watched(ctl, lines, *args):
    w = Watch(ctl, *args)
    history(ctl)
    out, err = w.stop(lines)
    assert err == ''
    return out


def test_simple(ctl):
    """Type, key and value per event; a delete has an empty value line."""
    assert watched(ctl, 9, 'foo') == 'PUT\nfoo\nv1\nPUT\nfoo\nv2\nDELETE\nfoo\n\n'


def test_previous_pairs_and_hex(ctl):
    """--prev-kv puts the pair before the event first; --hex escapes every byte."""
    assert watched(ctl, 13, 'foo', '--prev-kv') == 'PUT\nfoo\nv1\nPUT\nfoo\nv1\nfoo\nv2\nDELETE\nfoo\nv2\nfoo\n\n'
    assert watched(ctl, 9, 'foo', '--hex') == (
        'PUT\n\\x66\\x6f\\x6f\n\\x76\\x31\nPUT\n\\x66\\x6f\\x6f\n\\x76\\x32\nDELETE\n\\x66\\x6f\\x6f\n\n')


def test_json_and_fields(ctl):
    """One object or block per answer, flushed as it comes; history arrives as one answer."""
    end = ',"CompactRevision":0,"Canceled":false,"Created":false,"CancelReason":""}\n'
    head = '{"Header":{"cluster_id":N,"member_id":N,"revision":%d,"raft_term":N},"Events":['
    put1 = '{"kv":{"key":"Zm9v","create_revision":2,"mod_revision":2,"version":1,"value":"djE="}}'
    put2 = '{"kv":{"key":"Zm9v","create_revision":2,"mod_revision":3,"version":2,"value":"djI="}}'
    gone = '{"type":1,"kv":{"key":"Zm9v","mod_revision":4}}'
    assert mask(watched(ctl, 3, 'foo', '-w', 'json')) == (
        head % 2 + put1 + ']' + end + head % 3 + put2 + ']' + end + head % 4 + gone + ']' + end)
    w = Watch(ctl, 'fo', '--prefix', '--rev', '2', '-w', 'json')
    assert mask(w.stop(1)[0]) == head % 4 + ','.join([put1, put2, gone]) + ']' + end
    w = Watch(ctl, 'foo', 'fop', '--rev=4', '--prev-kv', '-w', 'fields')
    assert mask(w.stop(17)[0]) == (
        '"ClusterID" : N\n"MemberID" : N\n"Revision" : 4\n"RaftTerm" : N\n"Type" : DELETE\n'
        '"PrevKey" : "foo"\n"PrevCreateRevision" : 2\n"PrevModRevision" : 3\n"PrevVersion" : 2\n"PrevValue" : "v2"\n'
        '"PrevLease" : 0\n"Key" : "foo"\n"CreateRevision" : 0\n"ModRevision" : 4\n"Version" : 0\n"Value" : ""\n'
        '"Lease" : 0\n')
    ctl.fails(4, 'Error: table not supported as output format\n', 'watch', 'foo', '--rev=2', '-w', 'table')


def test_more_words_than_two(ctl):
    """Words behind the range end are not complained about; the first alone is watched then."""
    w = Watch(ctl, 'a', 'z', 'more')
    ctl('put', 'b', '1')
    ctl('put', 'a', '2')
    assert w.stop(3) == ('PUT\na\n2\n', '')


def test_canceled(ctl):
    """A watch from a compacted revision, or of an empty range, ends with status 5."""
    history(ctl)
    ctl('compaction', '4')
    two_lines = ('watch was canceled (etcdserver: mvcc: required revision has been compacted)\n'
                 'Error: watch is canceled by the server\n')
    ctl.fails(5, two_lines, 'watch', 'foo', '--rev', '2')
    ctl.fails(5, two_lines, 'watch', 'foo', '--rev', '-1')
    r = ctl.run('watch', 'foo', '--rev', '2', '-w', 'json')
    assert mask(r.out) == ('{"Header":{"cluster_id":N,"member_id":N,"raft_term":N},"Events":null,"CompactRevision":4,'
                           '"Canceled":true,"Created":false,"CancelReason":""}\n')
    r = ctl.run('watch', 'foo', 'bar', '-w', 'json')
    assert r.out == '{"Header":{},"Events":null,"CompactRevision":0,"Canceled":true,"Created":false,"CancelReason":""}\n'
    assert r.err == 'watch was canceled (mvcc: watcher range is empty)\nError: watch is canceled by the server\n'


def test_command(ctl):
    """The command behind -- runs once per event and finds the event in its environment."""
    w = Watch(ctl, 'foo', '--', 'sh', '-c', 'env | grep ETCD_WATCH_ | sort')
    ctl('put', 'foo', 'a "q" b')
    ctl('del', 'foo')
    out, err = w.stop(13)
    assert err == ''
    assert out == ('PUT\nfoo\na "q" b\nETCD_WATCH_EVENT_TYPE="PUT"\nETCD_WATCH_KEY="foo"\nETCD_WATCH_REVISION=2\n'
                   'ETCD_WATCH_VALUE="a \\"q\\" b"\nDELETE\nfoo\n\nETCD_WATCH_EVENT_TYPE="DELETE"\n'
                   'ETCD_WATCH_KEY="foo"\nETCD_WATCH_REVISION=3\nETCD_WATCH_VALUE=""\n')


@pytest.mark.parametrize('command, err', [
    (['false'], 'command ["false"] error (exit status 1)\n'),
    (['nosuchcmd', 'a', 'b'],
     'command ["nosuchcmd" "a" "b"] error (exec: "nosuchcmd": executable file not found in $PATH)\n'),
])
def test_command_fails(ctl, command, err):
    """A command that fails ends the watch."""
    ctl('put', 'foo', 'x')
    r = ctl.run('watch', 'foo', '--rev', '2', '--', *command)
    assert (r.status, r.out, r.err) == (1, 'PUT\nfoo\nx\n', err)


def test_environment(ctl):
    """Key and range end from ETCDCTL_WATCH_KEY and ETCDCTL_WATCH_RANGE_END."""
    w = Watch(ctl, env={'ETCDCTL_WATCH_KEY': 'fo', 'ETCDCTL_WATCH_RANGE_END': 'fp'})
    ctl('put', 'foo', '1')
    assert w.stop(3) == ('PUT\nfoo\n1\n', '')
    ctl.fails(128, 'Error: bad number of arguments (found conflicting environment key)\n', 'watch', 'x',
              env={'ETCDCTL_WATCH_KEY': 'foo'})
    ctl.fails(128, 'Error: ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END="envk"\n', 'watch', 'x',
              env={'ETCDCTL_WATCH_RANGE_END': 'envk'})


def test_argument_errors(ctl):
    """What is no watch at all."""
    ctl.fails(128, 'Error: bad number of arguments\n', 'watch')
    ctl.fails(128, 'Error: bad number of arguments\n', 'watch', '--', 'true')
    ctl.fails(128, 'Error: bad number of arguments (found separator --, but no commands)\n', 'watch', 'foo', '--')
    ctl.fails(128, 'Error: `range_end` and `--prefix` are mutually exclusive\n', 'watch', 'a', 'b', '--prefix')


def test_interactive(ctl):
    """Several watches at a time, progress on request, complaints that do not end the loop."""
    w = ctl.start('watch', '-i', stdin=subprocess.PIPE)
    giving_up = threading.Timer(120, w.kill)
    giving_up.start()
    out, err = [], []

    def say(line):
        w.stdin.write(line.encode() + b'\n')
        w.stdin.flush()

    def hear(lines):
        out.extend(w.stdout.readline().decode() for _ in range(lines))

    def complaint():
        while not without_logs(line := w.stderr.readline().decode()):
            assert line
        err.append(line)

    say('watch foo')
    wait_for_watchers(ctl, 1)
    say('watch --prefix "b" --prev-kv')
    wait_for_watchers(ctl, 2)
    ctl('put', 'foo', '1')
    ctl('put', 'bar', '2')
    hear(6)
    say('progress')
    hear(2)
    for line in ['', 'cancel 1', 'watch', 'watch foo bar --prefix']:
        say(line)
        complaint()
    ctl('compaction', '3')
    say('watch foo --rev 1')
    complaint()
    ctl('put', 'foo', '3')
    hear(3)
    time.sleep(SILENCE_SECONDS)
    w.stdin.close()
    out.append(w.stdout.read().decode())
    err.append(w.stderr.read().decode())
    w.wait()
    giving_up.cancel()
    assert ''.join(out) == ('PUT\nfoo\n1\nPUT\nbar\n2\nprogress notify: 3\nprogress notify: 3\nPUT\nfoo\n3\n')
    assert without_logs(''.join(err)) == (
        'Invalid command:  (watch and progress supported)\n'
        'Invalid command cancel 1 (only support watch)\n'
        'Invalid command watch (command type or key is not provided)\n'
        'Invalid command watch foo bar --prefix (`range_end` and `--prefix` are mutually exclusive)\n'
        'watch was canceled (etcdserver: mvcc: required revision has been compacted)\n'
        'Error: error reading watch request line: EOF\n')
    assert w.returncode == 3


@pytest.mark.parametrize('line, text', [
    ('watch foo --', 'bad number of arguments (found separator --, but no commands)'),
    ('watch foo --bogus', 'unknown flag: --bogus'),
])
def test_interactive_ends(ctl, line, text):
    """Lines that end the interactive mode."""
    ctl.fails(128, f'Error: {text}\n', 'watch', '-i', input=line + '\n')


def test_goes_on_after_a_restart(start_server, tmp_path):
    """A watch outlives its server: what happens after the restart is delivered, once."""
    with start_server(tmp_path / 'd') as server:
        ctl = Ctl(server.ctl_path, server.endpoint)
        w = Watch(ctl, 'foo')
        ctl('put', 'foo', '1')
        w.read(3)
        server.kill()
        server.start()
        wait_for_watchers(ctl, 1)
        ctl('put', 'foo', '2')
        out, err = w.stop(3)
        assert out == 'PUT\nfoo\n1\nPUT\nfoo\n2\n'
