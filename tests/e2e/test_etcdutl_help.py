"""The help pages of etcdutl list the commands, flags, types and defaults that etcd's tool has (reference: etcdutl sheet, 8)."""
import re
import shutil
import subprocess

import pytest

from etcdutl_lib import Utl

GLOBAL = {'--timeout': ('duration', '10s'), '--write-out': ('string', '"simple"')}
# {words: (usage line behind the program's name, commands below, {flag: (type, default)})}
PAGES = {
    '': ('[command]', ['completion', 'defrag', 'hashkv', 'help', 'migrate', 'snapshot', 'version'], GLOBAL),
    'snapshot': ('snapshot [command]', ['restore', 'status'], {}),
    'snapshot status': ('snapshot status <filename> [flags]', [], {}),
    'snapshot restore': ('snapshot restore <filename> --data-dir {output dir} [options] [flags]', [], {
        '--bump-revision': ('uint', None), '--data-dir': ('string', None),
        '--initial-advertise-peer-urls': ('string', '"http://localhost:2380"'),
        '--initial-cluster': ('string', '"default=http://localhost:2380"'),
        '--initial-cluster-token': ('string', '"etcd-cluster"'), '--initial-memory-map-size': ('uint', '10737418240'),
        '--mark-compacted': (None, None), '--name': ('string', '"default"'), '--skip-hash-check': (None, None),
        '--wal-dir': ('string', None)}),
    'defrag': ('defrag [flags]', [], {'--data-dir': ('string', None)}),
    'hashkv': ('hashkv <filename> [flags]', [], {'--rev': ('int', None)}),
    'migrate': ('migrate [flags]', [], {'--data-dir': ('string', None), '--force': (None, None),
                                        '--target-version': ('string', None)}),
    'version': ('version [flags]', [], {}),
    'completion': ('completion [bash|zsh|fish|powershell]', [], {}),
}
FLAG = re.compile(r'^  (?:-\w, |    )(--[\w-]+)(?: (string|uint|int|duration))?   +\S.*?(?: \(default (\S+)\))?$')


def page_of(out):
    """Usage line, commands, own flags, global flags."""
    usage, commands, flags, part = None, [], {'Flags:': {}, 'Global Flags:': {}}, None
    for line in out.splitlines():
        if line.endswith(':') and not line.startswith(' '):
            part = line
        elif part == 'Usage:' and line:
            usage = line.strip()
        elif part == 'Available Commands:' and line.startswith('  '):
            commands.append(line.split()[0])
        elif part in flags and line.startswith('  '):
            m = FLAG.match(line)
            assert m, line
            flags[part][m[1]] = (m[2], m[3])
    return usage, commands, flags['Flags:'], flags['Global Flags:']


@pytest.mark.parametrize('words', PAGES)
def test_help(ketch_bin, tmp_path, words):
    """Asked for in three ways, the page is the same and on standard output; -h is in the list of flags, too."""
    utl = Utl(ketch_bin / 'etcdutl', tmp_path)
    want_usage, want_commands, want_flags = PAGES[words]
    page = utl(*words.split(), '--help').out
    assert page == utl(*words.split(), '-h').out == utl('help', *words.split()).out
    assert page.startswith('Usage:\n')  # nothing but the usage block
    usage, commands, flags, inherited = page_of(page)
    assert usage == f'etcdutl {want_usage}'
    assert commands == want_commands
    assert flags.pop('--help') == (None, None)
    assert flags == want_flags
    assert inherited == ({} if words == '' else GLOBAL)


@pytest.mark.parametrize('words', ['', 'snapshot'])
def test_parents_show_their_help(ketch_bin, tmp_path, words):
    utl = Utl(ketch_bin / 'etcdutl', tmp_path)
    assert utl(*words.split()).out == utl(*words.split(), '--help').out


# ---- completion ----

def complete_in_bash(utl, *words):
    """What bash would offer for the last of these words."""
    quoted = ' '.join(f"'{w}'" for w in words)
    p = subprocess.run(['bash', '-c', f'eval "$({utl.program} completion bash)"; COMP_WORDS=({utl.program} {quoted}); '
                        'COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); __etcdutl_complete; printf "%s\n" "${COMPREPLY[@]}"'],
                       capture_output=True, text=True, timeout=60)
    assert p.returncode == 0, p
    return p.stdout.split()


@pytest.mark.parametrize('words, want', [
    (['sn'], ['snapshot']), (['snapshot', ''], ['restore', 'status']), (['hashkv', '-w', 'j'], ['json']),
    (['hashkv', '--write-out', '='], ['fields', 'json', 'protobuf', 'simple', 'table']),
    (['snapshot', 'restore', '--mark'], ['--mark-compacted']), (['completion', 'z'], ['zsh']), (['hashkv', 'x'], []),
])
def test_bash_completes(ketch_bin, tmp_path, words, want):
    assert complete_in_bash(Utl(ketch_bin / 'etcdutl', tmp_path), *words) == want


@pytest.mark.parametrize('shell, first', [
    ('bash', '# bash completion for etcdutl                              -*- shell-script -*-'), ('zsh', '#compdef etcdutl'),
    ('fish', '# fish completion for etcdutl                              -*- shell-script -*-'),
    ('powershell', '# powershell completion for etcdutl                              -*- shell-script -*-'),
])
def test_scripts(ketch_bin, tmp_path, shell, first):
    """The first line is etcd's; where the shell is installed, it finds nothing wrong with the script."""
    out = Utl(ketch_bin / 'etcdutl', tmp_path)('completion', shell).out
    assert out.splitlines()[0] == first and 'PROGRAM' not in out
    if shell != 'powershell' and shutil.which(shell):
        (tmp_path / 's').write_text(out)
        assert subprocess.run([shell, '-n', tmp_path / 's'], capture_output=True).returncode == 0


def test_candidates(ketch_bin, tmp_path):
    """The hidden command that the scripts call answers as cobra's does."""
    utl = Utl(ketch_bin / 'etcdutl', tmp_path)
    r = utl('__complete', 'snapshot', 'st')
    assert r.out.startswith('status\t') and r.out.endswith('\n:4\n')
    assert r.err == 'Completion ended with directive: ShellCompDirectiveNoFileComp\n'
    r = utl('__completeNoDesc', 'hashkv', '')
    assert (r.out, r.err) == (':0\n', 'Completion ended with directive: ShellCompDirectiveDefault\n')


@pytest.mark.parametrize('args, words', [
    ([], 'accepts 1 arg(s), received 0'), (['foo'], 'invalid argument "foo" for "etcdutl completion"'),
    (['bash', 'zsh'], 'accepts 1 arg(s), received 2'),
])
def test_errors_of_completion(ketch_bin, tmp_path, args, words):
    r = Utl(ketch_bin / 'etcdutl', tmp_path)('completion', *args, status=1)
    assert r.err.splitlines()[0] == r.err.splitlines()[-1] == f'Error: {words}'
