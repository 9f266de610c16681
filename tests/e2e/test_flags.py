"""Every flag of etcd by command line, variable and file, with values that are right and wrong: what is said, and how it ends.

flags_of_3_7_1.txt has them one a line: name, type, default, key in the file ("[]" behind it: a list there).  KETCH_ETCD is
another program to hold against the same facts.
"""
import json
import os
import pathlib
import subprocess

import pytest
from conftest import free_ports

TABLE = [line.rstrip('\n').split('\t')
         for line in (pathlib.Path(__file__).parent / 'flags_of_3_7_1.txt').read_text().splitlines()]
LEGAL = {'bool': 'true', 'duration': '7s', 'uint': '7', 'uint32': '7', 'uint64': '7', 'int': '7', 'int64': '7',
         'URL list': 'http://127.0.0.1:7', 'URL list or *': 'http://a.b:7', 'new|existing': 'new',
         'exit|proxy': 'exit', 'enum': 'gone', 'key=bool list': 'LeaseCheckpoint=true', 'periodic|revision': 'revision',
         'string': 'x', 'string list': 'x,y', 'path': 'x'}
# What a wrong value is answered with, by type; {} is the value.
ILLEGAL = {
    'bool': ('x', 'parse error'),
    'duration': ('7', 'parse error'),
    'uint': ('-1', 'parse error'),
    'uint32': ('4294967296', 'strconv.ParseUint: parsing "4294967296": value out of range'),
    'uint64': ('x', 'parse error'),
    'int': ('1.5', 'parse error'),
    'int64': ('9223372036854775808', 'value out of range'),
    'URL list': ('abc', 'URL scheme must be http, https, unix, or unixs: abc'),
    'URL list or *': ('ftp://a:1', 'URL scheme must be http, https, unix, or unixs: ftp://a:1'),
    'new|existing': ('x', 'invalid value'),
    'exit|proxy': ('x', 'invalid value'),
    'enum': ('not-yet', 'invalid value "not-yet"'),
    'key=bool list': ('Nothing=true', 'unrecognized feature gate: Nothing'),
}
# These end the program, or say where lines go, before the rest is looked at.
APART = ('version', 'config-file', 'log-outputs', 'logger', 'log-level', 'log-format')


@pytest.fixture(scope='module')
def program(ketch_bin):
    return os.environ.get('KETCH_ETCD', str(ketch_bin / 'etcd'))


@pytest.fixture
def run(program, tmp_path):
    """The status of the program, and all that it printed."""

    def call(*args, **variables):
        env = {k: v for k, v in os.environ.items() if not k.startswith('ETCD_')}
        p = subprocess.run([program, *args], env={**env, **variables}, cwd=tmp_path, capture_output=True, text=True,
                           timeout=60)
        return p.returncode, p.stdout + p.stderr

    return call


def variable(flag):
    return 'ETCD_' + flag.upper().replace('-', '_')


def said(out):
    """The error of the last line of the log."""
    lines = [json.loads(line) for line in out.splitlines() if line.startswith('{')]
    return [line.get('error', line['msg']) for line in lines if line['level'] in ('warn', 'error', 'fatal')][-1]


def each(*but):
    return [pytest.param(*row, id=row[0]) for row in TABLE if row[0] not in but]


LEFT_OVER = '"left-over" is not a valid flag'


@pytest.mark.parametrize('flag,kind,default,key', each(*APART))
def test_right_values(run, tmp_path, flag, kind, default, key):
    """A right value is taken: what is refused is the argument behind it, or a rule that comes after all variables."""
    value = LEGAL[kind]
    status, out = run(f'-{flag}={value}', 'left-over')
    assert (status, said(out)) == (1, LEFT_OVER)
    zero = 'election-timeout' if flag == 'heartbeat-interval' else 'heartbeat-interval'
    status, out = run(f'--{zero}=0', **{variable(flag): value})
    assert (status, out.count('invalid value')) == (1, 0)
    used = [json.loads(line) for line in out.splitlines() if 'recognized and used environment variable' in line]
    assert [(u['variable-name'], u['variable-value']) for u in used] == [(variable(flag), value)]


@pytest.mark.parametrize('flag,kind,default,key', [p for p in each(*APART) if p.values[1] in ILLEGAL])
def test_wrong_values(run, flag, kind, default, key):
    """A wrong value is answered with Go's words: status 2 on the command line, 1 from the environment."""
    value, reason = ILLEGAL[kind]
    status, out = run(f'--{flag}={value}')
    form = f'invalid boolean value "{value}" for -{flag}: {reason}' if kind == 'bool' else \
        f'invalid value "{value}" for flag -{flag}: {reason}'
    assert (status, out.splitlines()[0]) == (2, form)
    status, out = run(**{variable(flag): value})
    assert (status, said(out)) == (1, f'invalid value "{value}" for {variable(flag)}: {reason}')


@pytest.mark.parametrize('flag,kind,default,key', each('version', 'config-file'))
def test_flag_and_variable(run, flag, kind, default, key):
    """A flag that is given shadows a variable that is set: refused, even when they agree."""
    value = LEGAL[kind] if flag not in APART else default
    status, out = run(f'--{flag}={value}', **{variable(flag): value})
    assert status == 1
    assert 'conflicting environment variable is shadowed by corresponding command-line flag ' \
        '(either unset environment variable or disable flag))' in out
    assert variable(flag) in out


def in_file(key, value):
    """A document with one key, however deep."""
    for part in reversed(key.split('.')):
        value = {part: value}
    return json.dumps(value)


def in_files():
    return [pytest.param(*row, id=row[0]) for row in TABLE if row[3] != 'none' and row[0] not in APART]


@pytest.mark.parametrize('flag,kind,default,key', in_files())
def test_wrong_types_in_the_file(run, tmp_path, flag, kind, default, key):
    """A key whose value has another type than it should: refused before anything is opened."""
    listed = key.endswith('[]')
    wrong = 'x' if listed or kind in ('bool', 'duration', 'uint', 'uint32', 'uint64', 'int', 'int64') else ['x']
    (tmp_path / 'c.yaml').write_text(in_file(key.removesuffix('[]'), wrong))
    status, out = run('--config-file', 'c.yaml')
    assert status == 1
    assert 'error unmarshaling JSON: while decoding JSON: json: cannot unmarshal' in said(out)
    assert not list(tmp_path.glob('*.etcd'))


# Values that one member can have at once, and what the line "starting an etcd server" shows of them.
TOGETHER = {
    'name': 'n', 'snapshot-count': '77', 'snapshot-catchup-entries': '1000', 'max-wals': '7', 'heartbeat-interval': '70',
    'election-timeout': '700', 'initial-election-tick-advance': 'false', 'initial-cluster-token': 'tk',
    'quota-backend-bytes': '1073741824', 'max-request-bytes': '1000000', 'max-concurrent-streams': '777',
    'pre-vote': 'false', 'cors': 'http://a.b:7', 'host-whitelist': 'a,b', 'auto-compaction-mode': 'revision',
    'auto-compaction-retention': '1000', 'corrupt-check-time': '7m', 'compact-hash-check-time': '77s',
    'downgrade-check-time': '17s', 'max-learners': '3', 'feature-gates': 'LeaseCheckpoint=true',
    'discovery-dial-timeout': '3s', 'discovery-request-timeout': '4s',
}
SHOWN = {'corrupt-check-time': 'corrupt-check-time-interval', 'compact-hash-check-time': 'compact-check-time-interval',
         'downgrade-check-time': 'downgrade-check-interval'}
SECONDS = {'7m': 420, '77s': 77, '17s': 17, '3s': 3, '4s': 4}


def file_value(kind, value):
    if kind == 'bool':
        return value == 'true'
    if kind == 'duration':
        return SECONDS[value] * 10**9
    return int(value) if kind.startswith(('int', 'uint')) else value


def merge(into, key, value):
    *folders, last = key.split('.')
    for f in folders:
        into = into.setdefault(f, {})
    into[last] = value


def started_line(program, folder, args, variables):
    """Starts a member until it says that it serves, and stops it; the line with everything in it."""
    env = {k: v for k, v in os.environ.items() if not k.startswith('ETCD_')}
    p = subprocess.Popen([program, *args], env={**env, **variables}, cwd=folder, stderr=subprocess.PIPE, text=True)
    line = None
    for text in p.stderr:
        if '"starting an etcd server"' in text:
            line = json.loads(text)
        if 'ready to serve client requests' in text:
            break
    p.terminate()
    p.communicate(timeout=60)
    assert p.returncode == -15
    return line


@pytest.mark.parametrize('place', ['flags', 'variables', 'file'])
def test_a_member_with_many_settings(program, tmp_path, place):
    """The same settings by flags, by variables and from a file make the same member."""
    client, peer = free_ports(2)
    urls = {'listen-client-urls': f'http://127.0.0.1:{client}', 'advertise-client-urls': f'http://127.0.0.1:{client}',
            'listen-peer-urls': f'http://127.0.0.1:{peer}', 'initial-advertise-peer-urls': f'http://127.0.0.1:{peer}',
            'data-dir': 'd'}
    settings = {**TOGETHER, **urls}
    document = {}
    for flag, kind, _, key in TABLE:
        if flag in settings:
            merge(document, key, file_value(kind, settings[flag]))
    (tmp_path / 'c.json').write_text(json.dumps(document))
    args = [f'--{k}={v}' for k, v in settings.items()] if place == 'flags' else \
        ['--config-file=c.json'] if place == 'file' else []
    line = started_line(program, tmp_path, args,
                        {variable(k): v for k, v in settings.items()} if place == 'variables' else {})
    for flag, value in TOGETHER.items():
        got = line.get(SHOWN.get(flag, flag))
        if flag == 'auto-compaction-retention':
            assert got == '1µs'  # a number of revisions, shown as a duration
        elif flag in ('heartbeat-interval', 'election-timeout'):
            assert got == f'{value}ms'
        elif isinstance(got, list):
            assert sorted(got) == value.split(',')
        elif flag in ('corrupt-check-time', 'compact-hash-check-time'):
            assert got == {'7m': '7m0s', '77s': '1m17s'}[value]
        else:
            assert str(got).lower() == value.lower(), flag
