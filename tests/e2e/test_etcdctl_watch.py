"""etcdctl watch: every form and format, the command behind --, the interactive mode."""
import signal
import subprocess
import time

import pytest

from etcdctl_lib import Ctl, mask, without_logs

SETTLE_SECONDS = 0.5  # until a watch has certainly begun: it says nothing of its own


@pytest.fixture
def ctl(server):
    return Ctl(server.ctl_path, server.endpoint)


class Watch:
    """etcdctl watch in the background."""

    def __init__(self, ctl, *args, **kw):
        self.process = ctl.start('watch', *args, **kw)
        time.sleep(SETTLE_SECONDS)

    def stop(self):
        time.sleep(SETTLE_SECONDS)
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=10)
        assert self.process.returncode == -signal.SIGINT
        return out.decode(errors='backslashreplace'), without_logs(err.decode())


def history(ctl):
    """foo: put, put, delete at revisions 2, 3, 4."""
    ctl('put', 'foo', 'v1')
    ctl('put', 'foo', 'v2')
    ctl('del', 'foo')


def watched(ctl, *args):
    w = Watch(ctl, *args)
    history(ctl)
    out, err = w.stop()
    assert err == ''
    return out


def test_simple(ctl):
    """Type, key and value per event; a delete has an empty value line."""
    assert watched(ctl, 'foo') == 'PUT\nfoo\nv1\nPUT\nfoo\nv2\nDELETE\nfoo\n\n'


def test_previous_pairs_and_hex(ctl):
    """--prev-kv puts the pair before the event first; --hex escapes every byte."""
    assert watched(ctl, 'foo', '--prev-kv') == 'PUT\nfoo\nv1\nPUT\nfoo\nv1\nfoo\nv2\nDELETE\nfoo\nv2\nfoo\n\n'
    assert watched(ctl, 'foo', '--hex') == (
        'PUT\n\\x66\\x6f\\x6f\n\\x76\\x31\nPUT\n\\x66\\x6f\\x6f\n\\x76\\x32\nDELETE\n\\x66\\x6f\\x6f\n\n')


def test_json_and_fields(ctl):
    """One object or block per answer, flushed as it comes; history arrives as one answer."""
    end = ',"CompactRevision":0,"Canceled":false,"Created":false,"CancelReason":""}\n'
    head = '{"Header":{"cluster_id":N,"member_id":N,"revision":%d,"raft_term":N},"Events":['
    put1 = '{"kv":{"key":"Zm9v","create_revision":2,"mod_revision":2,"version":1,"value":"djE="}}'
    put2 = '{"kv":{"key":"Zm9v","create_revision":2,"mod_revision":3,"version":2,"value":"djI="}}'
    gone = '{"type":1,"kv":{"key":"Zm9v","mod_revision":4}}'
    assert mask(watched(ctl, 'foo', '-w', 'json')) == (
        head % 2 + put1 + ']' + end + head % 3 + put2 + ']' + end + head % 4 + gone + ']' + end)
    w = Watch(ctl, 'fo', '--prefix', '--rev', '2', '-w', 'json')
    assert mask(w.stop()[0]) == head % 4 + ','.join([put1, put2, gone]) + ']' + end
    w = Watch(ctl, 'foo', 'fop', '--rev=4', '--prev-kv', '-w', 'fields')
    assert mask(w.stop()[0]) == (
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
    assert w.stop() == ('PUT\na\n2\n', '')


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
    out, err = w.stop()
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
    assert w.stop() == ('PUT\nfoo\n1\n', '')
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

    def say(line):
        w.stdin.write(line.encode() + b'\n')
        w.stdin.flush()
        time.sleep(SETTLE_SECONDS)

    say('watch foo')
    say('watch --prefix "b" --prev-kv')
    ctl('put', 'foo', '1')
    ctl('put', 'bar', '2')
    time.sleep(SETTLE_SECONDS)
    say('progress')
    for line in ['', 'cancel 1', 'watch', 'watch foo bar --prefix']:
        say(line)
    ctl('compaction', '3')
    say('watch foo --rev 1')
    ctl('put', 'foo', '3')
    time.sleep(SETTLE_SECONDS)
    out, err = w.communicate(timeout=10)
    assert out.decode() == ('PUT\nfoo\n1\nPUT\nbar\n2\nprogress notify: 3\nprogress notify: 3\nPUT\nfoo\n3\n')
    assert without_logs(err.decode()) == (
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
        time.sleep(SETTLE_SECONDS)
        server.kill()
        server.start()
        time.sleep(3 * SETTLE_SECONDS)
        ctl('put', 'foo', '2')
        out, err = w.stop()
        assert out == 'PUT\nfoo\n1\nPUT\nfoo\n2\n'
