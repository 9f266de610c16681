"""etcdctl make-mirror: what is there, what changes, names, a destination that goes away, refusals."""
import contextlib

import pytest

from etcdctl_lib import Ctl, wait_until


@pytest.fixture
def two(start_server, tmp_path):
    with start_server(tmp_path / 'from.data') as a, start_server(tmp_path / 'to.data') as b:
        yield Ctl(a.ctl_path, a.endpoint), Ctl(b.ctl_path, b.endpoint), b


@contextlib.contextmanager
def mirror(ctl, *args, env=None):
    p = ctl.start('make-mirror', *args, env=env)
    try:
        yield p
    finally:
        p.kill()
        p.communicate()


def content(ctl, prefix=''):
    lines = ctl('get', '--prefix', prefix).splitlines()
    return dict(zip(lines[::2], lines[1::2]))


def test_copies_and_follows(two):
    """More keys than a page holds, then puts, overwrites, deletes and transactions, are the same on both sides."""
    source, dest, server = two
    for i in range(0, 1200, 100):
        ops = ''.join(f'put k{n} v{n}\n' for n in range(i, i + 100))
        source('txn', input=f'\n{ops}\n\n')
    with mirror(source, server.endpoint):
        wait_until(lambda: len(content(dest)) == 1200)
        source('put', 'k5', 'other')
        source('put', 'empty', '')
        source('del', 'k1', 'k2', '--range')
        source('put', 'new', input=b'\x00\xff bytes\n')
        source('txn', input='\nput t1 a\nput t2 b\ndel k7\n\n\n')
        want = content(source)
        wait_until(lambda: content(dest) == want)
        # One revision at the source is one at the destination.
        assert dest.json('get', 't1')['kvs'][0]['mod_revision'] == dest.json('get', 't2')['kvs'][0]['mod_revision']


@pytest.mark.parametrize('args, want', [
    (['--prefix', '/a/'], {'/a/1': 'x', '/a/2': 'y'}),
    (['--prefix', '/a/', '--dest-prefix', '/z'], {'/z1': 'x', '/z2': 'y'}),
    (['--prefix', '/a/', '--no-dest-prefix'], {'1': 'x', '2': 'y'}),
    (['--dest-prefix', 'p'], {'p/a/1': 'x', 'p/a/2': 'y', 'pother': 'z'}),
    (['--prefix', '/a/', '--rev', '3'], {'2': 'y'}),
    (['--rev', '4'], {'/a/2': 'y'}),
])
def test_names(two, args, want):
    """The prefix is kept, replaced or left away, for what is copied and for what comes later."""
    source, dest, server = two
    for key, value in [('/a/1', 'x'), ('other', 'z')]:
        source('put', key, value)
    with mirror(source, *args, server.endpoint):
        wait_until(lambda: content(dest) or '--rev' in args)
        source('put', '/a/2', 'y')
        wait_until(lambda: content(dest) == want)


def test_small_transactions(two):
    """A revision with more keys than --max-txn-ops is written in several transactions."""
    source, dest, server = two
    before = dest.revision()
    with mirror(source, server.endpoint, '--max-txn-ops', '2', '--rev', '2'):
        source('txn', input='\n' + ''.join(f'put k{i} v\n' for i in range(5)) + '\n\n')
        wait_until(lambda: len(content(dest)) == 5)
    assert dest.revision() == before + 3


def test_destination_goes_away(two):
    """Changes made while the destination is down are written when it is back."""
    source, dest, server = two
    with mirror(source, server.endpoint) as p:
        source('put', 'before', '1')
        wait_until(lambda: content(dest) == {'before': '1'})
        server.stop()
        source('put', 'while', '2')
        source('del', 'before')
        server.start()
        wait_until(lambda: content(dest) == {'while': '2'})
        assert p.poll() is None


def test_refusals(two):
    """What make-mirror does not accept, and its end when history is gone."""
    source, dest, server = two
    source.fails(128, 'Error: make-mirror takes one destination argument\n', 'make-mirror')
    source.fails(128, 'Error: make-mirror takes one destination argument\n', 'make-mirror', 'a', 'b')
    source.fails(128, 'Error: `--dest-prefix` and `--no-dest-prefix` cannot be set at the same time, choose one\n',
                 'make-mirror', server.endpoint, '--dest-prefix', 'x', '--no-dest-prefix')
    for value in '123':
        source('put', 'k', value)
    source('compaction', '3')
    source.fails(1, 'Error: etcdserver: mvcc: required revision has been compacted\n', 'make-mirror', server.endpoint,
                 '--rev', '2')


def test_users_at_both_ends(two):
    """--user and --dest-user, with passwords given and asked for."""
    source, dest, server = two
    for ctl, password in [(source, 'spw'), (dest, 'dpw')]:
        ctl('user', 'add', 'root:' + password)
        ctl('auth', 'enable')
    source.env['ETCDCTL_USER'] = 'root:spw'
    dest.env['ETCDCTL_USER'] = 'root:dpw'
    source('put', 'k', 'v')
    source.fails(1, 'Error: etcdserver: user name is empty\n', 'make-mirror', server.endpoint)
    wrong = 'Error: etcdserver: authentication failed, invalid user ID or password\n'
    source.fails(2, wrong, 'make-mirror', server.endpoint, '--dest-user', 'root', '--dest-password', 'bad')
    r = source.run('make-mirror', server.endpoint, '--dest-user', 'root', input='bad\n')
    assert (r.out, r.err, r.status) == ('Destination Password: \n', wrong, 2)
    with mirror(source, server.endpoint, '--dest-user', 'root:dpw'):
        wait_until(lambda: content(dest) == {'k': 'v'})
