"""The "etcd deep dive" step by step: every command of the walkthrough sheet, every output compared.

The sheet is read as it is: commands behind "$ ", standard error behind "2> ", "[exit N]", and for the real 3.5 tool
the output under "3.5.30 differs". What varies (IDs, terms, sizes, versions, endpoints) is normalised on both sides.
"""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHEET = pathlib.Path(os.environ.get('KETCH_SHARED', ROOT.parent / 'shared')) / 'reference/walkthrough.md'
STREAM_SECONDS = 3
COMMIT_SECONDS = 2

MASKS = [
    (r'("(?:cluster_id|member_id|leader|raft_term|raftTerm|raftIndex|raftAppliedIndex|dbSize|dbSizeInUse|'
     r'dbSizeQuota)": ?)\d+', r'\1N'),
    (r'("(?:ClusterID|MemberID|RaftTerm)" : )\d+', r'\1N'),
    (r'("(?:version|storageVersion)": ?)"[0-9.]+"', r'\1"V"'),
    (r'("Endpoint": ?)"[^"]*"', r'\1"EP"'),
]


def mask(text):
    for pattern, to in MASKS:
        text = re.sub(pattern, to, text)
    return text


class Step:
    def __init__(self, title, block, block35):
        self.title = title
        self.command, self.want, self.stderr, self.status = self.parse(block)
        self.want35 = self.stderr35 = None
        if block35 is not None:
            _, self.want35, self.stderr35, _ = self.parse('$ \n' + block35)

    @staticmethod
    def parse(block):
        command, out, err, status = None, [], [], 0
        for line in block.split('\n'):
            if command is None:
                assert line.startswith('$ '), block
                command = line[2:].strip()
            elif line.startswith('2> '):
                err.append(line[3:])
            elif re.match(r'\[exit \d+\]$', line):
                status = int(line[6:-1])
            else:
                out.append(line)
        command = re.sub(r' +\(interrupted after one second\)$', '', command)
        return command, '\n'.join(out), '\n'.join(err), status

    def expected(self, real_tool):
        if real_tool and self.want35 is not None:
            return self.want35, self.stderr35
        return self.want, self.stderr


def steps():
    text = SHEET.read_text()
    text = text[text.index('## Steps'):text.index('## Where the seed and the programs differ')]
    found = []
    for part in re.split(r'^### Step ', text, flags=re.M)[1:]:
        title = part.split('\n', 1)[0]
        part = part.split('\n### ', 1)[0]
        blocks = re.findall(r'^```text\n(.*?)\n?```$', part, re.M | re.S)
        differs = re.search(r'^3\.5\.30 differs:', part, re.M)
        found.append(Step(title, blocks[0], blocks[1] if differs else None))
    assert len(found) == 40
    return found


class Runner:
    def __init__(self, server, ctl, dump, tmp):
        self.server, self.ctl, self.dump, self.tmp = server, ctl, dump, tmp
        self.env = dict(os.environ, ETCDCTL_ENDPOINTS=server.endpoint, LC_ALL='C.UTF-8')

    def script(self, command):
        """The command for bash, with `e` and `etcd-dump-db` standing for the programs under test."""
        command = command.replace('get …/vg-1', 'get /registry/vm.codeconnect.vmworld.com/vmgroups/default/vg-1')
        return (f'e() {{ "{self.ctl}" "$@"; }}\netcd-dump-db() {{ "{self.dump}" "$@"; }}\n'
                f'cd "{self.tmp}"\n{command}\n')

    def run(self, command):
        p = subprocess.run(['bash', '-c', self.script(command)], env=self.env, timeout=120, capture_output=True)
        return p.returncode, p.stdout, p.stderr

    def start(self, command):
        return subprocess.Popen(['bash', '-c', self.script(command)], env=self.env, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, start_new_session=True)

    @staticmethod
    def stop(p):
        """Interrupts what the shell started; the pipe behind it (jq) is left to finish."""
        for child in subprocess.run(['pgrep', '-g', str(p.pid), '-f', 'watch'], capture_output=True,
                                    text=True).stdout.split():
            if int(child) != p.pid:
                os.kill(int(child), signal.SIGINT)
        out, err = p.communicate(timeout=60)
        return p.returncode, out, err

    def wait_for_storage_version(self):
        """Which a member writes some time after its start."""
        self.server.wait_for(lambda: '"storageVersion"' in self.server.ctl('endpoint', 'status', '-w', 'json'))

    def wait_for_watchers(self, n):
        """Until the server has so many: a watch says nothing when it begins."""
        def are_there():
            with urllib.request.urlopen(f'http://{self.server.endpoint}/metrics', timeout=30) as r:
                return f'\netcd_debugging_mvcc_watcher_total {n}\n' in r.read().decode()
        self.server.wait_for(are_there)

    def copy_db(self):
        time.sleep(COMMIT_SECONDS)
        shutil.copy(pathlib.Path(self.server.data_dir) / 'member/snap/db', pathlib.Path(self.tmp) / 'db')


def same_text(got):
    """Bytes as text; without the client library's own warning about a failed call."""
    text = got.decode(errors='replace')
    lines = [x for x in text.split('\n') if '"msg":"retrying of unary invoker failed"' not in x]
    return mask('\n'.join(lines))


def compare(step, real_tool, got, check_status=True):
    status, out, err = got
    want, want_err = step.expected(real_tool)
    assert same_text(out).rstrip('\n') == mask(want).rstrip('\n'), step.title
    assert same_text(err).rstrip('\n') == mask(want_err or '').rstrip('\n'), step.title
    if check_status:
        assert status == step.status, step.title


def walk(runner, real_tool):
    todo = steps()
    runner.wait_for_storage_version()
    for s in todo[:21]:
        if 'etcd-dump-db' in s.command:
            runner.copy_db()
        compare(s, real_tool, runner.run(s.command))

    live = todo[21:25]
    watches = [runner.start(s.command) for s in live]
    runner.wait_for_watchers(len(live))
    for command, want in (('e put /keys/1 value-1c', b'OK\n'), ('e put /keys/1 value-1d', b'OK\n'),
                          ('e del /keys/1', b'1\n')):
        assert runner.run(command)[:2] == (0, want)
    time.sleep(STREAM_SECONDS)
    for s, p in zip(live, watches):
        compare(s, real_tool, runner.stop(p), check_status=False)

    for s in todo[25:27]:
        p = runner.start(s.command)
        runner.wait_for_watchers(1)
        time.sleep(STREAM_SECONDS)
        compare(s, real_tool, runner.stop(p), check_status=False)
    for s in todo[27:37]:
        compare(s, real_tool, runner.run(s.command))

    p = runner.start(todo[37].command)
    runner.wait_for_watchers(1)
    changed = r'e put /registry/vm.codeconnect.vmworld.com/vmgroups/default/vg-1 "{\"kind\":\"VmGroup\",\"label\":1}"'
    assert runner.run(changed)[0] == 0
    time.sleep(STREAM_SECONDS)
    compare(todo[37], real_tool, runner.stop(p), check_status=False)
    runner.copy_db()
    compare(todo[38], real_tool, runner.run(todo[38].command))
    compare(todo[39], real_tool, runner.run(todo[39].command))


needs_sheet = pytest.mark.skipif(not SHEET.exists(), reason='skipped: the walkthrough sheet is not beside the checkout')
needs_jq = pytest.mark.skipif('jq-1.6' not in subprocess.run(
    ['jq', '--version'], capture_output=True, text=True).stdout, reason='skipped: the sheet was recorded with jq 1.6')


@needs_sheet
@needs_jq
def test_with_our_tool(server, ketch_bin, tmp_path):
    """Our etcdctl against our server shows what the sheet shows."""
    walk(Runner(server, ketch_bin / 'etcdctl', ketch_bin / 'etcd-dump-db', tmp_path), real_tool=False)


@needs_sheet
@needs_jq
def test_with_the_real_tool(server, ketch_bin, real_bin, tmp_path):
    """A real etcdctl 3.5 against our server shows what the sheet shows for 3.5's tool."""
    walk(Runner(server, real_bin / 'etcdctl', ketch_bin / 'etcd-dump-db', tmp_path), real_tool=True)
