"""Every RPC in the name of everybody: what a server answers, one line for each.

    callers   none: no token; bad: a token that is none; plain: no role; reader, writer: READ, WRITE on [a, c);
              prefix: READWRITE on p*; from: READWRITE on >= m; root
"""
import grpc

from auth_lib import Caller, turn_on

KV, LEASE, CLUSTER, MAINT = 'etcdserverpb.KV/', 'etcdserverpb.Lease/', 'etcdserverpb.Cluster/', 'etcdserverpb.Maintenance/'
AUTH, LOCK, ELECTION = 'etcdserverpb.Auth/', 'v3lockpb.Lock/', 'v3electionpb.Election/'
ALL = b'\0'
USERS = {'plain': None, 'reader': (0, b'a', b'c'), 'writer': (1, b'a', b'c'), 'prefix': (2, b'p', b'q'),
         'from': (2, b'm', ALL)}
LEASED, FREE = 77, 78


def set_up(c):
    root = turn_on(c)
    for name, perm in USERS.items():
        c.user(name, token=root)
        if perm:
            c.role('of-' + name, dict(permType=perm[0], key=perm[1], range_end=perm[2]), token=root)
            c.auth('UserGrantRole', root, user=name, role='of-' + name)
    for key in b'a', b'b', b'm', b'p1', b'z':
        c.call(KV + 'Put', root, key=key, value=b'0')


def attach(c, root):
    """The lease that somebody may have revoked, with its keys; and one without keys."""
    for lease in LEASED, FREE:
        c.outcome(LEASE + 'LeaseGrant', root, ID=lease, TTL=1000)
    c.call(KV + 'Put', root, key=b'a1', value=b'0', lease=LEASED)


def kv_cases(rpc):
    def op(**kind):
        return rpc.RequestOp(**kind)

    def put(**fields):
        return op(request_put=rpc.PutRequest(**fields))

    def get(**fields):
        return op(request_range=rpc.RangeRequest(**fields))

    def cut(**fields):
        return op(request_delete_range=rpc.DeleteRangeRequest(**fields))

    def nested(**fields):
        return op(request_txn=rpc.TxnRequest(**fields))

    compare = rpc.Compare(key=b'z', target=rpc.Compare.VERSION, result=rpc.Compare.GREATER, version=1 << 40)
    ranges = {'a': (b'a', b''), 'a..c': (b'a', b'c'), 'a..d': (b'a', b'd'), 'p..q': (b'p', b'q'), 'm..': (b'm', ALL),
              'n..': (b'n', ALL), 'all': (ALL, ALL), 'a..a0': (b'a', b'a\0'), 'c..a': (b'c', b'a')}
    for name, (key, end) in ranges.items():
        yield 'Range ' + name, KV + 'Range', dict(key=key, range_end=end)
        yield 'Range serializable ' + name, KV + 'Range', dict(key=key, range_end=end, serializable=True)
        yield 'RangeStream ' + name, KV + 'RangeStream', dict(key=key, range_end=end)
    for key in b'a', b'p2', b'm', b'z', b'c':
        yield f'Put {key.decode()}', KV + 'Put', dict(key=key, value=b'1')
    yield 'Put a prev_kv', KV + 'Put', dict(key=b'a', value=b'1', prev_kv=True)
    yield 'Put a leased', KV + 'Put', dict(key=b'a2', value=b'1', lease=LEASED)
    yield 'Put p leased', KV + 'Put', dict(key=b'p2', value=b'1', lease=LEASED)
    yield 'Put p free lease', KV + 'Put', dict(key=b'p3', value=b'1', lease=FREE)
    yield 'Put no key', KV + 'Put', dict(value=b'1')
    yield 'DeleteRange a9', KV + 'DeleteRange', dict(key=b'a9')
    yield 'DeleteRange a8..a9', KV + 'DeleteRange', dict(key=b'a8', range_end=b'a9')
    yield 'DeleteRange a9 prev_kv', KV + 'DeleteRange', dict(key=b'a9', prev_kv=True)
    yield 'DeleteRange p9..', KV + 'DeleteRange', dict(key=b'zz9', range_end=ALL)
    yield 'Txn empty', KV + 'Txn', {}
    yield 'Txn read', KV + 'Txn', dict(success=[get(key=b'a')])
    yield 'Txn compare', KV + 'Txn', dict(compare=[compare])
    yield 'Txn write', KV + 'Txn', dict(success=[put(key=b'a', value=b'2')])
    yield 'Txn other branch', KV + 'Txn', dict(success=[put(key=b'a', value=b'2')], failure=[get(key=b'z')])
    yield 'Txn compare write', KV + 'Txn', dict(compare=[compare], success=[put(key=b'a', value=b'2')])
    yield 'Txn prev_kv', KV + 'Txn', dict(success=[put(key=b'a', value=b'2', prev_kv=True)])
    yield 'Txn leased', KV + 'Txn', dict(success=[put(key=b'p4', value=b'2', lease=LEASED)])
    yield 'Txn delete', KV + 'Txn', dict(success=[cut(key=b'a9', prev_kv=True)])
    yield 'Txn nested put', KV + 'Txn', dict(success=[nested(failure=[put(key=b'z', value=b'2')])])
    yield 'Txn nested compare', KV + 'Txn', dict(success=[nested(compare=[compare], success=[put(key=b'a', value=b'2')])])
    yield 'Txn nested read', KV + 'Txn', dict(success=[nested(success=[get(key=b'z')])])
    yield 'Compact', KV + 'Compact', dict(revision=1 << 40)


def other_cases():
    yield 'LeaseGrant', LEASE + 'LeaseGrant', dict(TTL=1000)
    yield 'LeaseTimeToLive', LEASE + 'LeaseTimeToLive', dict(ID=LEASED)
    yield 'LeaseTimeToLive keys', LEASE + 'LeaseTimeToLive', dict(ID=LEASED, keys=True)
    yield 'LeaseTimeToLive keys unknown', LEASE + 'LeaseTimeToLive', dict(ID=5, keys=True)
    yield 'LeaseLeases', LEASE + 'LeaseLeases', {}
    yield 'LeaseRevoke unknown', LEASE + 'LeaseRevoke', dict(ID=5)
    yield 'LeaseRevoke', LEASE + 'LeaseRevoke', dict(ID=LEASED)
    yield 'MemberList', CLUSTER + 'MemberList', dict(linearizable=True)
    yield 'MemberAdd', CLUSTER + 'MemberAdd', dict(peerURLs=['nonsense'])
    yield 'MemberRemove', CLUSTER + 'MemberRemove', dict(ID=1)
    yield 'MemberUpdate', CLUSTER + 'MemberUpdate', dict(ID=1, peerURLs=['http://127.0.0.1:1'])
    yield 'MemberPromote', CLUSTER + 'MemberPromote', dict(ID=1)
    yield 'Alarm get', MAINT + 'Alarm', {}
    yield 'Alarm deactivate', MAINT + 'Alarm', dict(action=2, alarm=1)
    for name in 'Status', 'Defragment', 'Hash', 'HashKV', 'Snapshot':
        yield name, MAINT + name, {}
    yield 'MoveLeader', MAINT + 'MoveLeader', dict(targetID=1)
    yield 'Downgrade', MAINT + 'Downgrade', dict(action=0, version='nonsense')
    yield 'AuthStatus', AUTH + 'AuthStatus', {}
    yield 'AuthEnable', AUTH + 'AuthEnable', {}
    yield 'UserAdd', AUTH + 'UserAdd', dict(name='plain', password='x')
    yield 'UserAdd no name', AUTH + 'UserAdd', dict(password='x')
    yield 'UserAdd long', AUTH + 'UserAdd', dict(name='long', password='x' * 73)
    for name in 'plain', 'reader', 'root', 'nobody':
        yield 'UserGet ' + name, AUTH + 'UserGet', dict(name=name)
    yield 'UserList', AUTH + 'UserList', {}
    yield 'UserDelete', AUTH + 'UserDelete', dict(name='nobody')
    yield 'UserDelete root', AUTH + 'UserDelete', dict(name='root')
    yield 'UserChangePassword', AUTH + 'UserChangePassword', dict(name='nobody', password='x')
    yield 'UserGrantRole', AUTH + 'UserGrantRole', dict(user='plain', role='nobody')
    yield 'UserRevokeRole', AUTH + 'UserRevokeRole', dict(name='plain', role='nobody')
    yield 'UserRevokeRole root', AUTH + 'UserRevokeRole', dict(name='root', role='root')
    yield 'RoleAdd', AUTH + 'RoleAdd', dict(name='of-reader')
    yield 'RoleAdd no name', AUTH + 'RoleAdd', {}
    for name in 'of-reader', 'of-writer', 'nobody':
        yield 'RoleGet ' + name, AUTH + 'RoleGet', dict(role=name)
    yield 'RoleList', AUTH + 'RoleList', {}
    yield 'RoleDelete', AUTH + 'RoleDelete', dict(role='nobody')
    yield 'RoleDelete root', AUTH + 'RoleDelete', dict(role='root')
    yield 'RoleGrantPermission', AUTH + 'RoleGrantPermission', dict(name='nobody', perm=dict(key=b'a'))
    yield 'RoleGrantPermission none', AUTH + 'RoleGrantPermission', dict(name='of-reader')
    yield 'RoleGrantPermission bad', AUTH + 'RoleGrantPermission', dict(name='of-reader', perm=dict(key=b'b', range_end=b'a'))
    yield 'RoleRevokePermission', AUTH + 'RoleRevokePermission', dict(role='of-reader', key=b'nothing')
    yield 'Lock a', LOCK + 'Lock', dict(name=b'a', lease=FREE)
    yield 'Lock p', LOCK + 'Lock', dict(name=b'p', lease=FREE)
    yield 'Unlock a', LOCK + 'Unlock', dict(key=b'a/4e')
    yield 'Campaign p', ELECTION + 'Campaign', dict(name=b'p', value=b'v', lease=FREE)
    yield 'Leader a', ELECTION + 'Leader', dict(name=b'a')
    yield 'Resign', ELECTION + 'Resign', dict(leader=dict(name=b'a', key=b'a/1', rev=1, lease=FREE))
    yield 'Proclaim', ELECTION + 'Proclaim', dict(leader=dict(name=b'a', key=b'a/1', rev=1, lease=FREE), value=b'w')


WATCHES = {'a': (b'a', b''), 'a..c': (b'a', b'c'), 'a..': (b'a', ALL), 'm..': (b'm', ALL), 'no key': (b'', b''),
           'no key..': (b'', ALL)}


def of_caller(c, token):
    """Pairs of a case and what came of it."""
    for name, method, fields in kv_cases(c.server.messages.rpc):
        yield name, c.outcome(method, token, **fields)
    for name, (key, end) in WATCHES.items():
        yield 'Watch ' + name, c.watch(token, key=key, range_end=end)
    yield 'Watch negative', c.watch(token, key=b'a', start_revision=-1)
    got = c.stream('etcdserverpb.Lease/LeaseKeepAlive', token, dict(ID=LEASED))
    yield 'LeaseKeepAlive', got if isinstance(got, tuple) else ('OK', '')
    for name, method, fields in other_cases():
        yield name, c.outcome(method, token, **fields)


def matrix(server):
    with Caller(server) as c:
        lines = [f'off | {name} | {code} {text}' for name, (code, text) in before(c)]
        set_up(c)
        root = c.login('root')
        for name, password in ('root', 'wrong'), ('nobody', 'pw'), ('', ''):
            lines.append('login %r %r | %s %s' % (name, password, *c.outcome(AUTH + 'Authenticate', name=name,
                                                                          password=password)))
        for caller in ['none', 'bad', *USERS, 'root']:
            attach(c, root)
            token = {'none': None, 'bad': 'nonsense.1', 'root': root}.get(caller) if caller not in USERS else \
                c.login(caller)
            lines += [f'{caller} | {name} | {code} {text}'.rstrip() for name, (code, text) in of_caller(c, token)]
            release(c, root)
        for token in '', '.', 'a.b', 'a.1.2', 'a.-1', 'a.+1', 'a.1x', 'Bearer', 'Bearer a.1':
            lines.append('token %r | %s %s' % (token, *c.outcome(KV + 'Range', token, key=b'a')))
        lines.append('bearer | %s %s' % c.outcome(KV + 'Range', 'Bearer ' + root, key=b'a'))
        lines.append('authorization | %s %s' % c.outcome(KV + 'Range', root, header='authorization', key=b'a'))
        lines.append('disable | %s %s' % c.outcome(AUTH + 'AuthDisable', root))
        lines.append('after | %s %s' % c.outcome(KV + 'Range', 'nonsense.1', key=b'a'))
        lines.append('status | %d' % c.auth('AuthStatus').authRevision)
    return [line.rstrip() for line in lines]


def before(c):
    """Authentication off."""
    yield 'AuthEnable', c.outcome(AUTH + 'AuthEnable')
    yield 'AuthDisable', c.outcome(AUTH + 'AuthDisable')
    yield 'Authenticate', c.outcome(AUTH + 'Authenticate', name='root', password='pw')
    yield 'UserGet', c.outcome(AUTH + 'UserGet', name='root')
    yield 'UserList', c.outcome(AUTH + 'UserList')
    yield 'RoleGet', c.outcome(AUTH + 'RoleGet', role='root')
    yield 'Range', c.outcome(KV + 'Range', 'nonsense', key=b'a')
    c.user('root')
    yield 'AuthEnable', c.outcome(AUTH + 'AuthEnable')
    c.auth('UserDelete', name='root')


def release(c, root):
    """What locks and elections have left."""
    try:
        c.call(LEASE + 'LeaseRevoke', root, ID=FREE)
    except grpc.RpcError:
        pass


if __name__ == '__main__':
    import pathlib
    import sys
    import tempfile

    from conftest import Messages, Server
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        server = Server(sys.argv[1], folder / 'data', ['--bcrypt-cost', '4'], folder / 'log', '/bin/true', Messages(folder))
        server.start()
        try:
            print('\n'.join(matrix(server)))
        finally:
            server.stop()
