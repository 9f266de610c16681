"""What the log says of users and roles, of logins and tokens: the lines of a real 3.7.1, which monitoring looks for."""
import hashlib

from auth_lib import Caller
from cluster_lib import log_lines

CHEAP = ('--bcrypt-cost', '4')
NOT_COMPARED = {'level', 'ts', 'caller', 'msg', 'remote-addr', 'logger', 'stacktrace'}
READ, WRITE, BOTH = 0, 1, 2


def lines(server, first):
    """Of the members of `first` on: (level, message, fields)."""
    found = [(x['level'], x['msg'], {k: v for k, v in x.items() if k not in NOT_COMPARED}) for x in log_lines(server)]
    at = [i for i, x in enumerate(found) if x[1] == first]
    return found[at[0]:] if at else []


def change_all(c):
    """Each kind of change, and each that changes nothing; the token of root."""
    c.auth('UserAdd', None, name='root', password='r')
    c.auth('RoleAdd', None, name='root')
    for name in 'x', 'w':
        c.auth('RoleAdd', None, name=name)
    c.auth('RoleGrantPermission', None, name='x', perm=dict(permType=BOTH, key=b'a', range_end=b'c'))
    c.auth('RoleGrantPermission', None, name='x', perm=dict(permType=READ, key=b'k'))
    c.auth('UserAdd', None, name='u', password='p')
    for role in 'x', 'w', 'x':
        c.auth('UserGrantRole', None, user='u', role=role)
    c.auth('UserGrantRole', None, user='root', role='root')
    c.auth('AuthEnable', None)
    token = c.auth('Authenticate', None, name='root', password='r').token
    c.auth('AuthEnable', token)
    for method, fields in (('UserDelete', dict(name='root')), ('RoleDelete', dict(role='root')),
                           ('UserRevokeRole', dict(name='root', role='root'))):
        assert c.outcome('etcdserverpb.Auth/' + method, token, **fields) == (
            'INVALID_ARGUMENT', 'etcdserver: invalid auth management')
    for name in 'u', 'nobody':
        assert c.outcome('etcdserverpb.Auth/Authenticate', name=name, password='wrong')[0] == 'INVALID_ARGUMENT'
    assert c.outcome('etcdserverpb.KV/Range', 'no.1', key=b'a')[0] == 'UNAUTHENTICATED'
    token = c.auth('Authenticate', None, name='root', password='r').token
    c.auth('UserChangePassword', token, name='u', password='q')
    c.auth('UserRevokeRole', token, name='u', role='w')
    c.auth('RoleRevokePermission', token, role='x', key=b'a', range_end=b'c')
    c.auth('RoleDelete', token, role='x')
    c.auth('UserDelete', token, name='u')
    c.auth('AuthDisable', token)


WRONG = 'auth: authentication failed, invalid user ID or password'
WANT = [
    ('info', 'added a user', {'user-name': 'root'}),
    ('info', 'created a role', {'role-name': 'root'}),
    ('info', 'created a role', {'role-name': 'x'}),
    ('info', 'created a role', {'role-name': 'w'}),
    ('info', 'granted/updated a permission to a user',
     {'user-name': 'x', 'permission-name': 'READWRITE', 'key': 'a', 'range-end': 'c'}),
    ('info', 'granted/updated a permission to a user', {'user-name': 'x', 'permission-name': 'READ', 'key': 'k', 'range-end': ''}),
    ('info', 'added a user', {'user-name': 'u'}),
    ('info', 'granted a role to a user', {'user-name': 'u', 'user-roles': ['x'], 'added-role-name': 'x'}),
    ('info', 'granted a role to a user', {'user-name': 'u', 'user-roles': ['w', 'x'], 'added-role-name': 'w'}),
    ('warn', 'ignored grant role request to a user', {'user-name': 'u', 'user-roles': ['w', 'x'], 'duplicate-role-name': 'x'}),
    ('info', 'granted a role to a user', {'user-name': 'root', 'user-roles': ['root'], 'added-role-name': 'root'}),
    ('info', 'enabled authentication', {}),
    ('info', 'authentication is already enabled; ignored auth enable request', {}),
    ('error', "cannot delete 'root' user", {'user-name': 'root'}),
    ('error', "cannot delete 'root' role", {'role-name': 'root'}),
    ('error', "'root' user cannot revoke 'root' role", {'user-name': 'root', 'role-name': 'root'}),
    ('info', 'invalid password', {'user-name': 'u'}),
    ('warn', 'invalid authentication was requested', {'user': 'u', 'error': WRONG}),
    ('warn', 'invalid authentication was requested', {'user': 'nobody', 'error': WRONG}),
    ('warn', 'invalid auth token', {'token-fingerprint': hashlib.sha256(b'no.1').hexdigest()[:12]}),
    ('info', 'changed a password of a user', {'user-name': 'u', 'user-roles': ['w', 'x']}),
    ('info', 'revoked a role from a user',
     {'user-name': 'u', 'old-user-roles': ['w', 'x'], 'new-user-roles': ['x'], 'revoked-role-name': 'w'}),
    ('info', 'revoked a permission on range', {'role-name': 'x', 'key': 'a', 'range-end': 'c'}),
    ('info', 'deleted a role', {'role-name': 'x'}),
    ('info', 'deleted a user', {'user-name': 'u', 'user-roles': []}),
    ('info', 'disabled authentication', {}),
]


def test_changes_of_users_and_roles_are_in_the_log(start_server, tmp_path):
    """Each with its fields, in order, at the level at which a real one writes it."""
    with start_server(tmp_path / 'data', *CHEAP) as s, Caller(s) as c:
        change_all(c)
        known = {message for _, message, _ in WANT}
        s.wait_for(lambda: any(m == 'disabled authentication' for _, m, _ in lines(s, 'added a user')))
        assert [x for x in lines(s, 'added a user') if x[1] in known] == WANT
