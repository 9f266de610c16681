"""Random changes of users and roles, and requests in their names, on ours and on a real etcd side by side."""
import os
import pathlib
import random

import grpc
import pytest

from auth_lib import Caller, turn_on
from auth_matrix import AUTH, KV, MAINT

USERS = ['u1', 'u2', 'u3', 'root']
ROLES = ['r1', 'r2', 'r3', 'root']
KEYS = [b'a', b'b', b'b\0', b'c', b'd', b'e']
ENDS = [b'', b'', b'\0', *KEYS]
STEPS = 400


def span(r):
    """A key and a range end.  None that ends before it begins: what etcd says then depends on the shape of a tree of its own."""
    key, end = r.choice(KEYS), r.choice(ENDS)
    return (key, end) if end == b'\0' or end > key else (key, b'')


def reference(request):
    if 'KETCH_REFERENCE_BIN' in os.environ:
        return pathlib.Path(os.environ['KETCH_REFERENCE_BIN']) / 'etcd'
    return request.getfixturevalue('real_bin') / 'etcd'


class Side:
    """One server, and the tokens that its users have."""

    def __init__(self, server):
        self.caller = Caller(server)
        self.tokens = {'root': turn_on(self.caller), 'nobody': None, 'stranger': 'x.1'}

    def ask(self, who, method, fields):
        """The answer without its header, or code and text; a login keeps the token."""
        try:
            answer = self.caller.call(method, self.tokens[who], **fields)
        except grpc.RpcError as e:
            return e.code().name, e.details()
        if method == AUTH + 'Authenticate':
            self.tokens[fields['name']] = answer.token
            return 'OK'
        answer.ClearField('header')
        return answer.SerializeToString(deterministic=True)


def change(r):
    """One request about users and roles."""
    user, role, (key, end) = r.choice(USERS), r.choice(ROLES), span(r)
    return r.choice([
        ('UserAdd', dict(name=user, password='pw')), ('UserAdd', dict(name=user, options=dict(no_password=True))),
        ('UserDelete', dict(name=user)), ('UserChangePassword', dict(name=user, password=r.choice(['pw', 'pw', 'new']))),
        ('UserGrantRole', dict(user=user, role=role)), ('UserGrantRole', dict(user=user, role=role)),
        ('UserRevokeRole', dict(name=user, role=role)), ('RoleAdd', dict(name=role)), ('RoleAdd', dict(name=role)),
        ('RoleDelete', dict(role=role)), ('RoleRevokePermission', dict(role=role, key=key, range_end=end)),
        *[('RoleGrantPermission', dict(name=role, perm=dict(permType=r.choice([0, 1, 2, 2, 5]), key=key, range_end=end)))] * 4,
        ('UserGet', dict(name=user)), ('UserList', {}), ('RoleList', {}), ('RoleGet', dict(role=r.choice(ROLES[:3]))),
    ])


def step(r, rpc, known):
    """Who, which method, which fields."""
    kind = r.random()
    if kind < 0.3:
        name, fields = change(r)
        return r.choice(['root'] * 8 + known), AUTH + name, fields
    if kind < 0.45:
        return 'nobody', AUTH + 'Authenticate', dict(name=r.choice(USERS), password=r.choice(['pw', 'pw', 'pw', 'new']))
    key, end = span(r)
    who = r.choice(known)
    if kind < 0.65:
        return who, KV + 'Range', dict(key=key, range_end=end, serializable=r.random() < 0.3)
    if kind < 0.8:
        return who, KV + 'Put', dict(key=key, value=b'v', prev_kv=r.random() < 0.3)
    if kind < 0.9:
        return who, KV + 'DeleteRange', dict(key=key, range_end=end, prev_kv=r.random() < 0.3)
    compare = rpc.Compare(key=key, range_end=end, target=rpc.Compare.VERSION, result=rpc.Compare.GREATER, version=0)
    ops = [rpc.RequestOp(request_put=rpc.PutRequest(key=r.choice(KEYS), value=b't')),
           rpc.RequestOp(request_range=rpc.RangeRequest(**dict(zip(('key', 'range_end'), span(r)))))]
    return who, KV + 'Txn', dict(compare=[compare], success=[r.choice(ops)], failure=[r.choice(ops)])


@pytest.mark.parametrize('seed', [1, 2])
def test_random_changes(start_server, request, tmp_path, seed):
    """Every answer is the same, byte for byte; so is the store in the end."""
    r = random.Random(seed)
    real = reference(request)
    with start_server(tmp_path / 'real', '--bcrypt-cost', '4', etcd=real) as a, \
            start_server(tmp_path / 'ours', '--bcrypt-cost', '4') as b:
        sides = [Side(a), Side(b)]
        for i in range(STEPS):
            known = sorted(sides[0].tokens)
            assert known == sorted(sides[1].tokens)
            who, method, fields = step(r, a.messages.rpc, known)
            answers = [s.ask(who, method, fields) for s in sides]
            assert answers[0] == answers[1], (i, who, method, fields)
        tokens = [s.caller.login('root', p) for s in sides for p in [root_password(s)]]
        hashes = [s.caller.call(MAINT + 'HashKV', t).hash for s, t in zip(sides, tokens)]
        revisions = [s.caller.auth('AuthStatus', t).authRevision for s, t in zip(sides, tokens)]
        assert hashes[0] == hashes[1]
        assert revisions[0] == revisions[1]
        for s in sides:
            s.caller.channel.close()


def root_password(side):
    return next(p for p in ('pw', 'new') if side.caller.outcome(AUTH + 'Authenticate', name='root', password=p)[0] == 'OK')
