"""Every command of docs/getting-started.md, run in its order as a new user would, and what it says it prints.

Blocks marked `sh` are run by one bash, `text` is what the block before it prints ("..." stands for anything), `sh NAME` needs the
program NAME, and `console` is what CI has done already.  Ports are replaced by free ones.
"""
import os
import pathlib
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import time

import pytest

PAGE = pathlib.Path(__file__).resolve().parents[2] / 'docs/getting-started.md'
BLOCK = re.compile(r'^```(\w+)(?: (\w+))?\n(.*?)^```$', re.M | re.S)
BLOCK_SECONDS = 120
SECTION = re.compile(r'^## ', re.M)


# etcd, with free ports where the line says nothing of them.
WITH_PORTS = """#!/bin/sh
case "$*" in *--listen-client-urls*) ;; *)
  set -- --listen-client-urls http://127.0.0.1:{client} --advertise-client-urls http://127.0.0.1:{client} "$@" ;;
esac
case "$*" in *--listen-peer-urls*) ;; *) set -- --listen-peer-urls http://127.0.0.1:{peer} "$@" ;; esac
exec {etcd} "$@"
"""

# etcdctl, with time for a slow machine where the line says nothing of it.
WITH_PATIENCE = """#!/bin/sh
case "$*" in *-timeout*) ;; *) set -- --command-timeout=30s --dial-timeout=30s "$@" ;; esac
exec {etcdctl} "$@"
"""


def is_free(port):
    with socket.socket() as s:
        try:
            s.bind(('127.0.0.1', port))
            return True
        except OSError:
            return False


def free_ports_for(ports):
    """For each of the page's ports four digits that make a free port alone and behind 1, 2 and 3: none that the kernel gives to whoever
    asks for any, nor one of those of the first processes of pytest (conftest.py), nor a number that the page has."""
    there = set(re.findall(r'\d+', PAGE.read_text()))
    candidates = (n for n in random.sample(range(1100, 2000), 900)
                  if not there & {str(n + k * 10000) for k in range(4)} and all(is_free(n + k * 10000) for k in range(4)))
    return dict(zip(ports, candidates))


def with_port(text, old, new):
    """Where it is a port, alone or behind 1, 2 or 3: the digits of an id are not."""
    return re.sub(rf'(?<![0-9a-f])([123]?){old}(?![0-9a-f])', rf'\g<1>{new}', text)


def sections():
    """[(title, [(kind, needs, text)])]"""
    ret = []
    for part in SECTION.split(PAGE.read_text()):
        title = part.split('\n', 1)[0]
        ret.append((title, BLOCK.findall(part)))
    return [s for s in ret if any(kind == 'sh' for kind, _, _ in s[1])]


def pattern_of(text):
    """Lines without blanks at their ends; '...' for anything."""
    lines = text.rstrip('\n').split('\n')
    return '\n'.join('.*'.join(re.escape(p) for p in line.split('...')) for line in lines)


class Shell:
    """One bash for a section, so that its variables, functions and jobs last."""

    def __init__(self, folder, bin_dir, ports):
        env = {k: v for k, v in os.environ.items() if not k.startswith(('ETCDCTL_', 'ETCD_'))}
        env['PATH'] = f'{folder}/bin:{bin_dir}:{env["PATH"]}'
        env['ETCDCTL_ENDPOINTS'] = f'127.0.0.1:{ports["2379"]}'
        (folder / 'bin').mkdir()
        (folder / 'bin/etcd').write_text(WITH_PORTS.format(client=ports['2379'], peer=ports['2380'], etcd=bin_dir / 'etcd'))
        (folder / 'bin/etcdctl').write_text(WITH_PATIENCE.format(etcdctl=bin_dir / 'etcdctl'))
        for name in 'etcd', 'etcdctl':
            (folder / 'bin' / name).chmod(0o755)
        self.ports, self.output = ports, folder / 'output'
        self.process = subprocess.Popen(['bash', '-m'], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, cwd=folder, env=env, text=True, start_new_session=True)

    def run(self, block):
        """Runs it with -e; what it prints on both streams."""
        for port, free in self.ports.items():
            block = with_port(block, port, free)
        self.output.unlink(missing_ok=True)
        os.mkfifo(str(self.output) + '.done')
        try:
            self.process.stdin.write(f'set -e\nexec >{self.output} 2>&1\n{block}\nexec >/dev/null 2>&1\nset +e\n'
                                     f'echo ok >{self.output}.done\n')
            self.process.stdin.flush()
            fd = os.open(str(self.output) + '.done', os.O_RDONLY | os.O_NONBLOCK)
            done = self.wait(fd)
        finally:
            os.unlink(str(self.output) + '.done')
        text = self.output.read_text() if self.output.exists() else ''
        assert done, f'the commands failed:\n{block}\n--- they printed:\n{text}'
        for port, free in self.ports.items():
            text = with_port(text, free, port)
        return text

    def wait(self, fd):
        """For the word at the block's end; False: bash has ended before, or takes too long."""
        end = time.monotonic() + BLOCK_SECONDS
        try:
            while time.monotonic() < end and self.process.poll() is None:
                if select.select([fd], [], [], 0.1)[0] and os.read(fd, 16):
                    return True
                time.sleep(0.01)  # nobody has opened the other end yet
        finally:
            os.close(fd)
        return False

    def close(self):
        """All that it has started, too, in whatever group of processes."""
        self.process.stdin.close()
        for pid in self.session():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()

    def session(self):
        out = subprocess.run(['ps', '-o', 'pid=', '--sid', str(self.process.pid)], capture_output=True, text=True).stdout
        return [int(pid) for pid in out.split()]


@pytest.mark.parametrize('title, blocks', sections(), ids=[title for title, _ in sections()])
def test_section(ketch_bin, tmp_path, title, blocks):
    """Each section stands for itself: it starts its servers and stops them."""
    missing = [needs for _, needs, _ in blocks if needs and not shutil.which(needs)]
    if missing:
        pytest.skip(f'skipped: {", ".join(missing)} is not installed')
    shell = Shell(tmp_path, ketch_bin, free_ports_for(['2379', '2380', '9090']))
    try:
        printed = ''
        for kind, _, text in blocks:
            if kind == 'sh':
                printed = shell.run(text)
            elif kind == 'text':
                got = '\n'.join(line.rstrip() for line in printed.rstrip('\n').split('\n'))
                assert re.fullmatch(pattern_of(text), got), f'{title}: the page says\n{text}\nbut it printed\n{printed}'
    finally:
        shell.close()


def test_ports_of_a_section_are_different():
    """They were drawn one by one, and two of them were the same in one run of nine hundred."""
    for _ in range(20):
        ports = free_ports_for(range(500))
        assert len(set(ports.values())) == 500


def test_every_block_is_of_a_known_kind():
    kinds = [kind for kind, _, _ in BLOCK.findall(PAGE.read_text())]
    assert set(kinds) == {'sh', 'text', 'console'} and kinds.count('console') == 1
    assert PAGE.read_text().count('```') == 2 * len(kinds)
