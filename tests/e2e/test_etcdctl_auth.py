"""etcdctl user, role, auth, --user and --password: texts, formats, prompts."""
import os
import pty
import subprocess

import pytest

from etcdctl_lib import Ctl, mask, patience

NUL = '\0'


@pytest.fixture
def ctl(server):
    return Ctl(server.ctl_path, server.endpoint)


@pytest.fixture(params=['ketch', 'real'])
def either(request, start_server, tmp_path):
    """Our etcdctl with our server, and with a real one."""
    etcd = request.getfixturevalue('real_bin') / 'etcd' if request.param == 'real' else None
    with start_server(tmp_path / 'either.data', etcd=etcd) as s:
        yield Ctl(s.ctl_path, s.endpoint)


HEADER = '"ClusterID" : N\n"MemberID" : N\n"Revision" : 1\n"RaftTerm" : N\n'
HEADER_JSON = '{"header":{"cluster_id":N,"member_id":N,"revision":1,"raft_term":N}'

# Arguments, standard output; each in turn on one server.
SUCCEED = [
    ('user add root:rootpw', 'User root created\n'),
    ('user add u1:pw -w json', HEADER_JSON + '}\n'),
    ('user add u2:p:w -w fields', HEADER),
    ('user add nopw --no-password', 'User nopw created\n'),
    ('user add a:b --no-password', 'User a:b created\n'),
    ('user add f:g --new-user-password h:i', 'User f:g created\n'),
    ('user list', 'a:b\nf:g\nnopw\nroot\nu1\nu2\n'),
    ('user list -w json', HEADER_JSON + ',"users":["a:b","f:g","nopw","root","u1","u2"]}\n'),
    ('role add r0', 'Role r0 created\n'),
    ('role add r1 -w json', HEADER_JSON + '}\n'),
    ('role grant-permission r0 readwrite foo', 'Role r0 updated\n'),
    ('role grant-permission r0 READ a z', 'Role r0 updated\n'),
    ('role grant-permission r0 read x --prefix', 'Role r0 updated\n'),
    ('role grant-permission r0 write fk --from-key', 'Role r0 updated\n'),
    ('role grant-permission r0 Read EMPTY -w fields', HEADER),
    ('role grant-permission r1 write EMPTY --prefix', 'Role r1 updated\n'),
    ('role list', 'r0\nr1\n'),
    ('role list -w fields', HEADER + '"Roles" : "r0" "r1"\n'),
    ('role get r0', f'Role r0\nKV Read:\n\t{NUL}\n\t[a, z)\n\tfoo\n\t[x, y) (prefix x)\n'
                    'KV Write:\n\t[fk, <open ended>\n\tfoo\n'),
    ('role get r1', f'Role r1\nKV Read:\nKV Write:\n\t[{NUL}, <open ended>\n'),
    ('role get r1 -w json', HEADER_JSON + ',"perm":[{"permType":1,"key":"AA==","range_end":"AA=="}]}\n'),
    ('role get r1 -w fields', HEADER + '"PermType" :  WRITE\n"Key" : "\\x00"\n"RangeEnd" : "\\x00"\n'),
    ('user grant-role u1 r0', 'Role r0 is granted to user u1\n'),
    ('user grant-role u1 r1 -w json', HEADER_JSON + '}\n'),
    ('user get u1', 'User: u1\nRoles: r0 r1\n'),
    ('user get root', 'User: root\nRoles:\n'),
    ('user get u1 -w json', HEADER_JSON + ',"roles":["r0","r1"]}\n'),
    ('user get u1 --detail', f'User: u1\n\nRole r0\nKV Read:\n\t{NUL}\n\t[a, z)\n\tfoo\n\t[x, y) (prefix x)\n'
                             'KV Write:\n\t[fk, <open ended>\n\tfoo\n'
                             f'\nRole r1\nKV Read:\nKV Write:\n\t[{NUL}, <open ended>\n'),
    ('role revoke-permission r0 foo', 'Permission of key foo is revoked from role r0\n'),
    ('role revoke-permission r0 a z', 'Permission of range [a, z) is revoked from role r0\n'),
    ('role revoke-permission r0 x --prefix', 'Permission of range [x, y) is revoked from role r0\n'),
    ('role revoke-permission r0 fk --from-key', 'Permission of range [fk, <open ended> is revoked from role r0\n'),
    ('role revoke-permission r1 EMPTY --prefix', 'Permission of range [, <open ended> is revoked from role r1\n'),
    ('user revoke-role u1 r0', 'Role r0 is revoked from user u1\n'),
    ('user delete u2', 'User u2 deleted\n'),
    ('role delete r1', 'Role r1 deleted\n'),
    ('auth status', 'Authentication Status: false\nAuthRevision: 25\n'),
    ('auth status -w json', HEADER_JSON + ',"authRevision":25}\n'),
    ('auth disable', 'Authentication Disabled\n'),
]


def words(line):
    return ['' if w == 'EMPTY' else w for w in line.split()]


def test_succeed(either):
    """The answer to each command, in each format that it knows."""
    for line, out in SUCCEED:
        assert mask(either(*words(line))) == out, line


# Status, what stands behind "Error: ", arguments.
FAIL = [
    (128, 'user add command requires user name as its argument', 'user add'),
    (128, 'empty user name is not allowed', 'user add :pw'),
    (1, 'etcdserver: user name already exists', 'user add root:x'),
    (128, 'user passwd command requires user name as its argument', 'user passwd'),
    (1, 'etcdserver: user name not found', 'user passwd nosuch --interactive=false'),
    (128, 'user get command requires user name as its argument', 'user get'),
    (1, 'etcdserver: user name not found', 'user get nosuch'),
    (128, 'user list command requires no arguments', 'user list x'),
    (128, 'user delete command requires user name as its argument', 'user delete'),
    (1, 'etcdserver: user name not found', 'user delete nosuch'),
    (128, 'user grant command requires user name and role name as its argument', 'user grant-role root'),
    (1, 'etcdserver: role name not found', 'user grant-role root nosuch'),
    (1, 'etcdserver: user name not found', 'user grant-role nosuch r0'),
    (128, 'user revoke-role requires user name and role name as its argument', 'user revoke-role root'),
    (1, 'etcdserver: role is not granted to the user', 'user revoke-role root nosuch'),
    (128, 'role add command requires role name as its argument', 'role add'),
    (1, 'etcdserver: role name already exists', 'role add r0'),
    (1, 'etcdserver: role name is empty', 'role add EMPTY'),
    (128, 'role get command requires role name as its argument', 'role get'),
    (1, 'etcdserver: role name not found', 'role get nosuch'),
    (128, 'role list command requires no arguments', 'role list x'),
    (128, 'role grant command requires role name, permission type, and key [endkey] as its argument',
     'role grant-permission r0 read'),
    (128, 'invalid permission type: bogus', 'role grant-permission r0 bogus k'),
    (1, 'etcdserver: role name not found', 'role grant-permission nosuch read k'),
    (128, 'unexpected endkey argument with --prefix flag', 'role grant-permission r0 read a b --prefix'),
    (128, 'unexpected endkey argument with --from-key flag', 'role grant-permission r0 read a b --from-key'),
    (128, '--from-key and --prefix flags are mutually exclusive', 'role grant-permission r0 read a --prefix --from-key'),
    (128, '--from-key and --prefix flags are mutually exclusive',
     'role grant-permission r0 read EMPTY --prefix --from-key'),
    (1, 'etcdserver: invalid auth management', 'role grant-permission r0 read z a'),
    (128, 'role revoke-permission command requires role name and key [endkey] as its argument',
     'role revoke-permission r0'),
    (1, 'etcdserver: permission is not granted to the role', 'role revoke-permission r0 nosuchkey'),
    (128, 'role delete command requires role name as its argument', 'role delete'),
    (1, 'etcdserver: role name not found', 'role delete nosuch'),
    (128, 'auth enable command does not accept any arguments', 'auth enable x'),
    (128, 'auth disable command does not accept any arguments', 'auth disable x'),
    (128, 'auth status command does not accept any arguments', 'auth status x'),
    (4, 'fields not supported as output format', 'auth status -w fields'),
    (4, 'table not supported as output format', 'role list -w table'),
    (4, 'fields not supported as output format', 'user list -w fields'),
    (4, 'fields not supported as output format', 'user get root -w fields'),
    (4, 'table not supported as output format', 'user grant-role root root -w table'),
]


def test_fail(ctl):
    """The words and the status of each refusal."""
    ctl.fails(1, 'Error: etcdserver: root user does not exist\n', 'auth', 'enable')
    ctl('user', 'add', 'root:rootpw')
    ctl('role', 'add', 'r0')
    for status, text, line in FAIL:
        ctl.fails(status, f'Error: {text}\n', *words(line))


def test_passwords_from_stdin(ctl):
    """--interactive=false takes the first word of the first line; prompts take one line each, twice."""
    ctl('user', 'add', 'root:rootpw')
    for name, text in [('w1', 'secret more\n'), ('w2', '  abc'), ('w3', ''), ('w4', '\nabc')]:
        assert ctl('user', 'add', name, '--interactive=false', input=text) == f'User {name} created\n'
    prompts = 'Password of t1: \nType password of t1 again for confirmation: \n'
    assert ctl('user', 'add', 't1', input='p w\np w\n') == prompts + 'User t1 created\n'
    assert ctl('user', 'passwd', 't1', input='px\r\npx') == prompts + 'Password updated\n'
    ctl.fails(128, 'Error: given passwords are different\n', 'user', 'add', 't2', input='a\nb\n')
    ctl.fails(128, 'Error: empty password\n', 'user', 'add', 't2', input='\n')
    assert ctl('auth', 'enable') == 'Authentication Enabled\n'
    for user in ['w1:secret', 'w2:abc', 't1:px']:
        ctl.fails(1, 'Error: etcdserver: permission denied\n', '--user', user, 'get', 'k')
    ctl.fails(2, 'Error: etcdserver: authentication failed, invalid user ID or password\n',
              '--user', 'w1:secret more', 'get', 'k')


def test_login(ctl):
    """--user and --password in all their forms, their variables, wrong ones, none."""
    ctl('user', 'add', 'root:rootpw')
    assert ctl('auth', 'enable') == 'Authentication Enabled\n'
    root = {'ETCDCTL_USER': 'root:rootpw'}
    assert ctl('put', 'k', 'v', env=root) == 'OK\n'
    assert ctl('--user', 'root:rootpw', 'get', 'k') == 'k\nv\n'
    assert ctl('--user', 'root', '--password', 'rootpw', 'get', 'k') == 'k\nv\n'
    assert ctl('--user', 'root', 'get', 'k', input='rootpw\n') == 'Password: \nk\nv\n'
    assert ctl('--user', 'root:rootpw', 'auth', 'enable') == 'Authentication Enabled\n'
    nobody = 'Error: etcdserver: user name is empty\n'
    ctl.fails(1, nobody, 'get', 'k')
    ctl.fails(1, nobody, '--password', 'rootpw', 'get', 'k')
    ctl.fails(1, nobody, '--user', 'root:', 'get', 'k')
    wrong = 'Error: etcdserver: authentication failed, invalid user ID or password\n'
    ctl.fails(2, wrong, '--user', 'root:bad', 'get', 'k')
    ctl.fails(2, wrong, '--user', 'nosuch:bad', 'get', 'k')
    ctl.fails(1, 'Error: etcdserver: invalid auth token\n', '--auth-jwt-token', 'abc', 'get', 'k')
    assert ctl('auth', 'disable', env=root) == 'Authentication Disabled\n'
    # Without users the login is refused, and nothing comes of it.
    assert ctl('--user', 'root:bad', 'get', 'k') == 'k\nv\n'


def test_refused_logins_of_endpoint_commands(ctl):
    """One line and the status of a bad connection; of a check of health it is the endpoint's error; --cluster fails by its list."""
    ctl('user', 'add', 'root:rootpw')
    ctl('user', 'grant-role', 'root', 'root')
    ctl('auth', 'enable')
    line = 'Error: etcdserver: authentication failed, invalid user ID or password\n'
    bad = '--user', 'root:bad'
    for command in 'status', 'hashkv':
        ctl.fails(2, line, *bad, 'endpoint', command)
    r = ctl.run(*bad, 'endpoint', 'health')
    assert r.status == 1 and r.err.count('Error: ') == 1 and 'is unhealthy' in r.out + r.err, r
    for command in (('endpoint', 'status'), ('endpoint', 'health'), ('defrag',)):
        ctl.fails(1, line, *bad, *command, '--cluster')


def test_errors_without_a_name_keep_their_code(ctl):
    """What etcd's client does not have by name is shown as grpc has it."""
    unknown = 'Error: rpc error: code = Unknown desc = '
    ctl.fails(1, unknown + 'bcrypt: password length exceeds 72 bytes\n', 'user', 'add', 'q:' + 'x' * 73)
    ctl('user', 'add', 'root:rootpw')
    ctl('user', 'grant-role', 'root', 'root')
    ctl('user', 'add', 'n', '--no-password')
    ctl('auth', 'enable')
    ctl.fails(2, unknown + 'auth: authentication failed, password was given for no password user\n', '--user', 'n:x', 'get', 'a')


def test_long_running_commands_log_in(ctl, tmp_path):
    """watch, lock, elect, keep-alive and snapshot carry the token on their streams."""
    ctl('user', 'add', 'root:rootpw')
    ctl('auth', 'enable')
    root = {'ETCDCTL_USER': 'root:rootpw'}
    ctl('put', 'k', 'v', env=root)
    watch = ctl.start('watch', 'k', '--rev=1', env=root)
    assert watch.stdout.readline() == b'PUT\n'
    watch.kill()
    watch.wait()
    watch.stdout.close()
    watch.stderr.close()
    lease = ctl('lease', 'grant', '60', env=root).split()[1]
    assert ctl('lease', 'keep-alive', '--once', lease, env=root) == f'lease {lease} keepalived with TTL(60)\n'
    assert ctl('lock', 'l', 'echo', 'locked', env=root) == 'locked\n'
    assert ctl('snapshot', 'save', str(tmp_path / 's.db'), env=root).startswith('Snapshot saved at ')
    ctl.fails(5, 'watch was canceled (rpc error: code = InvalidArgument desc = etcdserver: user name is empty)\n'
              'Error: watch is canceled by the server\n',
              'watch', 'k')


def test_terminal_shows_no_password(ctl):
    """On a terminal the prompt is shown and what is typed is not, and the terminal is as it was afterwards."""
    master, slave = pty.openpty()
    p = subprocess.Popen([ctl.program, 'user', 'add', 'u1'], env={**patience([]), **ctl.env}, stdin=slave, stdout=slave, stderr=slave)
    seen = b''
    for prompt in [b'Password of u1: ', b'again for confirmation: ']:
        while not seen.endswith(prompt):
            seen += os.read(master, 1024)
        os.write(master, b'hush\n')
    assert p.wait(60) == 0
    while not seen.endswith(b'User u1 created\r\n'):
        seen += os.read(master, 1024)
    assert b'hush' not in seen
    os.write(master, b'x')
    assert os.read(master, 1024) == b'x', 'the terminal echoes again'
    os.close(master)
    os.close(slave)


SAME = '''
user list
user get root
user get u1
user get u1 --detail
role list
role get r0
role get nosuch
user get nosuch
user delete nosuch
role grant-permission r0 read z a
role revoke-permission r0 nosuchkey
'''.strip().splitlines()


def test_same_as_real_etcdctl(server, ctl, real_bin):
    """A real 3.5 etcdctl prints the same in every format."""
    real = Ctl(real_bin / 'etcdctl', server.endpoint)
    for line, _ in SUCCEED[:25]:
        ctl(*words(line))
    for line in SAME:
        for form in ['simple', 'json', 'fields', 'protobuf', 'table']:
            a, b = ctl.run(*line.split(), '-w', form), real.run(*line.split(), '-w', form)
            assert repr(a) == repr(b), (line, form)
