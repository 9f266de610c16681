"""The help pages of etcdutl list the commands, flags, types and defaults that etcd's tool has (reference: etcdutl sheet, 8)."""
import re

import pytest

from etcdutl_lib import Utl

GLOBAL = {'--timeout': ('duration', '10s'), '--write-out': ('string', '"simple"')}
# {words: (usage line behind the program's name, commands below, {flag: (type, default)})}
PAGES = {
    '': ('[command]', ['defrag', 'hashkv', 'help', 'migrate', 'snapshot', 'version'], GLOBAL),
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
