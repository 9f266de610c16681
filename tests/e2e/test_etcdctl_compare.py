"""Our etcdctl beside a real 3.5 etcdctl on one server: the same words where 3.7.1 has not changed them."""
import pytest

from etcdctl_lib import Ctl

COMMANDS = '''
get k --prefix
get k1 k3
get k --prefix --limit 2
get k --prefix --keys-only
get k --prefix --order=descend
get k --prefix --sort-by=value --limit=1
get bin
get bin --hex
get empty
get leased
get nokey
get k --prefix --count-only
get k --prefix --print-value-only
get k1 --rev 4
get k1 --consistency x
lease list
lease timetolive LEASE
lease timetolive LEASE --keys
lease timetolive 1234abcd
lease revoke 1234abcd
alarm list
alarm disarm x
del nokey
move-leader zz
member update zz --peer-urls=http://x:1
member remove 1234
member add new
compaction 99999
watch b a
endpoint hashkv --rev 99999
get k1 --endpoints=
'''.strip().splitlines()

FORMATS = ['simple', 'json', 'fields', 'protobuf', 'table']

# "member list" and the like print other things in 3.7.1; see the sheet.
DIFFER = {('endpoint hashkv --rev 99999', 'json'), ('endpoint hashkv --rev 99999', 'table'),
          ('get bin --hex', 'fields'), ('watch b a', 'json'), ('watch b a', 'fields'), ('alarm list', 'simple')}


@pytest.fixture
def tools(server, real_bin):
    return Ctl(server.ctl_path, server.endpoint), Ctl(real_bin / 'etcdctl', server.endpoint)


def fill(ctl):
    for i in range(1, 6):
        ctl('put', f'k{i}', f'v{i}')
    ctl('put', 'bin', input=b'a\x01\xff\n"<&>\xe2\x80\xa8')
    ctl('put', 'empty', '')
    lease = ctl('lease', 'grant', '5000').split()[1]
    ctl('put', 'leased', 'x', '--lease=' + lease)
    return lease


def test_same_words(tools):
    """Standard output, standard error and status of many commands in every format are the same."""
    ours, real = tools
    lease = fill(real)
    wrong = []
    for command in COMMANDS:
        for form in FORMATS:
            if (command, form) in DIFFER:
                continue
            args = command.replace('LEASE', lease).split() + ['-w', form]
            kw = {'endpoints': '--endpoints=' not in command}
            a, b = ours.run(*args, **kw), real.run(*args, **kw)
            if form != 'json' and 'remaining' in a.out:
                a.out, b.out = a.out.split('remaining')[0], b.out.split('remaining')[0]
            if (a.out, a.err, a.status) != (b.out, b.err, b.status) and '"ttl":' not in a.out and '"TTL"' not in a.out:
                wrong.append((args, repr(a), repr(b)))
    assert wrong == []


@pytest.mark.parametrize('text', [
    '\n\n\n', 'mod("k1") > "0"\n\nget k1\nget k --prefix --limit 2\ndel nokey\n\nget k2\n\n',
    'val("k1") = "no"\n\nget k1\n\nget k2\nget "bin"\n\n', 'mod( "k1") = "1"\n\n\n\n', 'mod("k1" ) = "1"\n',
    'mod("k1")= "1"\n', 'mod("k1") ="1"\n', 'mod("k1") = "1" trailing\n\n\n\n', '\nget \'k1\'\n\n\n',
    '\nget "k1 k2\n\n\n', '\ng k1\n\n\n', '\n# c\n', "mod('k1') = \"1\"\n", 'mod("k1") = 1\n',
])
def test_same_transactions(tools, text):
    """Lines that txn reads are understood, or refused, in the same way."""
    ours, real = tools
    fill(real)
    for form in ['simple', 'json', 'fields']:
        a, b = ours.run('txn', '-w', form, input=text), real.run('txn', '-w', form, input=text)
        assert repr(a) == repr(b)
