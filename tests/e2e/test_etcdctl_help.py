"""The help pages of etcdctl list the commands, flags, types and defaults that 3.7.1 has; completion offers them.

etcdctl_pages_of_3_7_1.txt holds them: for each page its usage, the commands below, and the flags.
"""
import pathlib
import re
import subprocess

import pytest

from etcdctl_lib import Ctl

PAGES = pathlib.Path(__file__).with_name('etcdctl_pages_of_3_7_1.txt').read_text()
HEADINGS = ['Key-value commands', 'Cluster maintenance commands', 'Concurrency commands', 'Authentication commands',
            'Utility commands']
HINT = 'Use "etcdctl options" for a list of global command-line options (applies to all commands).'
FLAG = re.compile(r'^  (-\w, |    )(--[\w-]+)((?: \w+)?)   +\S.*?(?: \(default (.+)\))?$')


@pytest.fixture(scope='module')
def ctl(ketch_bin):
    return Ctl(ketch_bin / 'etcdctl', '127.0.0.1:1')


def page_facts(words, out):
    """What the file says of a page."""
    facts, part = ['etcdctl ' + words if words else 'etcdctl'], None
    for line in out.splitlines():
        if line in HEADINGS or re.fullmatch('[A-Z][A-Za-z ]+:', line):
            part = line
            if part in HEADINGS:
                facts.append('  ' + part)
        elif part == 'Usage:' and line.startswith('  '):
            facts.append('  usage: ' + line.strip())
        elif part in HEADINGS + ['Available Commands:'] and line.startswith('  '):
            facts.append('  ' + line.split()[0])
        elif part in ['Flags:', 'Global Flags:'] and line.startswith('  '):
            m = FLAG.match(line)
            assert m, line
            facts.append('  ' + m[1].strip() + ' ' * bool(m[1].strip()) + m[2] + m[3]
                         + (f' default {m[4]}' if m[4] else ''))
    return '\n'.join(facts) + '\n'


def wanted():
    return {p.split('\n')[0].partition(' ')[2]: p + '\n' for p in PAGES.strip().split('\n\n')}


def test_pages(ctl):
    """Every page, asked for in three ways, lists what it should, in order, with the hint at the end."""
    for words, want in wanted().items():
        if words == 'options':
            continue
        page = ctl(*words.split(), '--help')
        assert page == ctl(*words.split(), '-h') == ctl('help', *words.split()), words
        assert page_facts(words, page) == want
        assert page.endswith('\n' + HINT + '\n')


def test_options(ctl):
    """The list of the flags that all commands have."""
    out = ctl('options')
    assert page_facts('options', 'Flags:\n' + '\n'.join(out.splitlines()[2:])) == wanted()['options']
    assert out.startswith('The following options can be passed to any command:\n\n')


def candidates(ctl, *words):
    r = ctl.run('__completeNoDesc', *words)
    *names, directive = r.out.splitlines()
    return names, directive, r.err.split('ShellCompDirective')[1].strip()


def test_completion(ctl):
    """Commands, flags and values of flags are offered, in order."""
    top = sorted(line.strip() for line in wanted()[''].splitlines()[2:] if line.strip() not in HEADINGS)
    assert candidates(ctl, '') == (top, ':4', 'NoFileComp')
    assert candidates(ctl, 'lease', '') == (['grant', 'keep-alive', 'list', 'revoke', 'timetolive'], ':4', 'NoFileComp')
    assert candidates(ctl, 'user', 'add', '--n') == (['--new-user-password', '--no-password'], ':4', 'NoFileComp')
    for flag, values in [('--consistency', ['l', 's']), ('--order', ['ASCEND', 'DESCEND']),
                         ('--sort-by', ['CREATE', 'KEY', 'MODIFY', 'VALUE', 'VERSION']),
                         ('-w', ['fields', 'json', 'protobuf', 'simple', 'table'])]:
        assert candidates(ctl, 'get', flag, '') == (values, ':0', 'Default')
    assert candidates(ctl, 'check', 'perf', '--load', '')[0] == ['small', 'medium', 'large', 'xLarge']
    assert candidates(ctl, 'get', 'k', '') == ([], ':0', 'Default')


def test_completion_scripts(ctl, tmp_path):
    """The script of each shell begins as etcdctl's does, and bash takes it and completes with it."""
    heads = {shell: ctl('completion', shell).splitlines()[0] for shell in ['bash', 'zsh', 'fish', 'powershell']}
    assert heads.pop('zsh') == '#compdef etcdctl'
    for shell, head in heads.items():
        assert head == f'# {shell} completion for etcdctl                              -*- shell-script -*-'
    usage = 'Usage:\n  etcdctl completion [bash|zsh|fish|powershell]\n'
    for args, error in [([], 'accepts 1 arg(s), received 0'), (['a', 'b'], 'accepts 1 arg(s), received 2'),
                        (['foo'], 'invalid argument "foo" for "etcdctl completion"')]:
        r = ctl.run('completion', *args)
        assert (r.status, r.out) == (1, '') and r.err.startswith(f'Error: {error}\n{usage}')
    script = '''source <(etcdctl completion bash)
        COMP_WORDS=(etcdctl lease gr) COMP_CWORD=2 COMP_LINE='etcdctl lease gr' COMP_POINT=16
        $(complete -p etcdctl | sed 's/.*-F \\([^ ]*\\).*/\\1/') etcdctl gr lease; echo "${COMPREPLY[@]}"'''
    path = {'PATH': f'{pathlib.Path(ctl.program).parent}:/usr/bin:/bin'}
    done = subprocess.run(['bash', '-c', script], env=path, capture_output=True, text=True, timeout=20)
    assert (done.stdout.split(), done.stderr) == (['grant'], '')
