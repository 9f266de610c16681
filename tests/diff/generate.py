"""Random requests over a small key space, valid and not.

Everything is drawn from the generator that is handed in, and from the state that the requests before have left, so a
list of seeds, one for each step, repeats a run; a part of the list is a run too.
"""

KEYS = [b'a', b'b', b'c', b'aa', b'ab', b'abc', b'b\0', b'b/1', b'b/2', b'b/3', b'c/1', b'c/1/x', b'z', b'\0', b'\0\0',
        b'\xff', b'\xff\xff', b'k' * 300]
ENDS = [b'\0', b'b', b'c', b'd', b'b0', b'ab\0', b'a', b'\xff', b'\xff\xff\0']
LEASES = [1, 2, 3, 4, 5, -7, 1 << 40, (1 << 63) - 1]
NAMES = [b'lock', b'election']       # of locks and elections: few, so that they meet
INT_MAX, INT_MIN = (1 << 63) - 1, -(1 << 63)
TTL_MAX = 9_000_000_000


class State:
    """What the next request may refer to."""

    def __init__(self):
        self.revision, self.compacted = 1, -1
        self.alarms = set()     # of (member, kind)
        self.reborn = set()     # revisions in which a key may have been deleted and put again
        self.quota = False      # there is no room at all

    def has_alarm(self, kind):
        return any(k == kind for _, k in self.alarms)


class Generator:
    def __init__(self, messages, old):
        self.rpc = rpc = messages.rpc
        self.lock = messages.modules['v3lockpb.Lock']
        self.election = messages.modules['v3electionpb.Election']
        self.old = old
        ops = [
            (24, 'KV/Range', self.range), (22, 'KV/Put', self.put), (7, 'KV/DeleteRange', self.delete),
            (20, 'KV/Txn', self.txn), (3, 'Lease/LeaseGrant', self.grant), (1.5, 'Lease/LeaseRevoke', self.revoke),
            (2, 'Lease/LeaseTimeToLive', self.time_to_live), (1, 'Lease/LeaseLeases', self.leases),
            (0.5, 'Maintenance/Status', lambda r, s: rpc.StatusRequest()),
            (0.3, 'Maintenance/Alarm', self.alarm),
            (0.05, 'Maintenance/Defragment', lambda r, s: rpc.DefragmentRequest()),
            (0.1, 'Maintenance/Hash', lambda r, s: rpc.HashRequest()),
            (0.3, 'Cluster/MemberList', self.member_list),
            (0.05, 'oversized', self.oversized), (0.1, 'garbage', self.garbage), (0.05, 'unknown', None),
            (0.8, 'hash_kv', self.hash_kv), (0.5, 'compact', self.compact), (1, 'keep_alive', self.keep_alive),
            (0.3, 'chosen_lease', None), (0.3, 'short_lease', None), (0.5, 'invalid_sort', self.invalid_sort),
            (1, 'range_stream', self.range),
            (1.5, 'watch', self.watch), (0.5, 'watch_cancel', None), (0.1, 'watch_progress', None),
            (0.1, 'members', self.members), (0.05, 'Maintenance/MoveLeader', self.move_leader),
            (0.1, 'Maintenance/Downgrade', self.downgrade), (0.01, 'restart', None), (0.05, 'health', None),
            (0.02, 'watch_reopen', None), (0.1, 'watch_empty', None), (2, 'odd', None), (0.01, 'expiry', None),
            (0.3, 'lock', self.lock_request), (0.2, 'unlock', self.unlock), (0.3, 'campaign', self.campaign),
            (0.4, 'leader', self.leader), (0.01, 'quota', None), (0.05, 'etcdctl', self.etcdctl),
        ]
        self.weights, self.names, self.makers = zip(*ops)
        self.total = []
        for w in self.weights:
            self.total.append(w + (self.total[-1] if self.total else 0))
        self.indexes = range(len(ops))

    def step(self, r, state):
        """The name of a step and its request."""
        if state.alarms and r.random() < 0.1:
            return 'Maintenance/Alarm', self.disarm(state)
        i = r.choices(self.indexes, cum_weights=self.total)[0]
        return self.names[i], self.makers[i](r, state) if self.makers[i] else None

    def any_write(self, r, state):
        name, maker = r.choice([('KV/Put', self.put), ('KV/DeleteRange', self.delete), ('KV/Txn', self.txn),
                                ('Lease/LeaseGrant', self.grant)])
        return name, maker(r, state)

    def plain(self, r, state):
        """A request whose meaning may be changed by chance without harm to what follows."""
        names = [('KV/Range', self.range), ('KV/Put', self.put), ('KV/DeleteRange', self.delete), ('KV/Txn', self.txn),
                 ('Lease/LeaseTimeToLive', self.time_to_live), ('Lease/LeaseRevoke', self.revoke),
                 ('Maintenance/Downgrade', self.downgrade), ('Cluster/MemberList', self.member_list)]
        name, maker = r.choice(names)
        return name, maker(r, state)

    # -- pieces

    @staticmethod
    def key(r):
        x = r.random()
        return b'' if x < 0.01 else b'w%03d' % r.randrange(300) if x < 0.05 else r.choice(KEYS)

    @staticmethod
    def end(r):
        x = r.random()
        return b'' if x < 0.4 else r.choice(ENDS) if x < 0.8 else b'\0' if x < 0.9 else r.choice(KEYS)

    @staticmethod
    def revision(r, state):
        x = r.random()
        if x < 0.5:
            return 0
        if x < 0.85:
            return max(state.revision - r.randrange(30), 1)
        return r.choice([state.compacted - 1, state.compacted, state.compacted + 1, state.revision, state.revision + 1,
                         state.revision + 7, 1, -1, -2, INT_MAX, INT_MIN])

    @staticmethod
    def lease(r):
        return 99 if r.random() < 0.05 else r.choice(LEASES)

    @staticmethod
    def value(r):
        x = r.random()
        return b'' if x < 0.1 else bytes([r.randrange(48, 56)]) if x < 0.8 else b'v' * r.randrange(2, 3000)

    # -- requests

    def range(self, r, state):
        q = self.rpc.RangeRequest(key=self.key(r), range_end=self.end(r), revision=self.revision(r, state))
        x = r.random()
        if x < 0.4:
            q.limit = r.choice([1, 1, 2, 3, 5, 10, 100, -1, INT_MAX, INT_MAX - 1, INT_MIN])
        if x < 0.3:
            q.sort_order, q.sort_target = r.randrange(3), r.randrange(5)
        q.serializable = r.random() < 0.2
        q.keys_only = r.random() < 0.15
        q.count_only = r.random() < 0.1
        if r.random() < 0.15:
            for name in ('min_mod_revision', 'max_mod_revision', 'min_create_revision', 'max_create_revision'):
                if r.random() < 0.4:
                    setattr(q, name, self.revision(r, state))
        return q

    def put(self, r, _state):
        q = self.rpc.PutRequest(key=self.key(r), value=self.value(r), prev_kv=r.random() < 0.3)
        x = r.random()
        if x < 0.2:
            q.lease = self.lease(r)
        if r.random() < 0.06:
            q.ignore_value = True
            if r.random() < 0.8:
                q.value = b''
        if r.random() < 0.06:
            q.ignore_lease = True
            if r.random() < 0.8:
                q.lease = 0
        return q

    def delete(self, r, _state):
        return self.rpc.DeleteRangeRequest(key=self.key(r), range_end=self.end(r), prev_kv=r.random() < 0.4)

    def compare(self, r, state):
        c = self.rpc.Compare(key=self.key(r), result=r.randrange(4), target=r.randrange(5))
        if r.random() < 0.2:
            c.range_end = self.end(r)
        field = ('version', 'create_revision', 'mod_revision', 'value', 'lease')[c.target]
        x = r.random()
        if x < 0.05:
            field = r.choice(['version', 'create_revision', 'mod_revision', 'value', 'lease', None])
        if field == 'value':
            c.value = self.value(r)
        elif field == 'lease':
            c.lease = r.choice([0, self.lease(r)])
        elif field == 'version':
            c.version = r.choice([0, 0, 1, 1, 2, 5, -1])
        elif field:
            setattr(c, field, self.revision(r, state))
        if x > 0.98:
            c.result = r.choice([4, 77])
        elif x > 0.96:
            c.target = r.choice([5, 77])
        return c

    def op(self, r, state, depth):
        op, x = self.rpc.RequestOp(), r.random()
        if x < 0.3:
            op.request_range.CopyFrom(self.range(r, state))
            if r.random() < 0.7:
                op.request_range.revision = 0
        elif x < 0.75:
            op.request_put.CopyFrom(self.put(r, state))
            if r.random() < 0.4:  # more names, so that not every transaction has one twice
                op.request_put.key += bytes([r.randrange(97, 101)])
        elif x < 0.88:
            op.request_delete_range.CopyFrom(self.delete(r, state))
        elif x < 0.995:
            if depth < 3:
                op.request_txn.CopyFrom(self.txn(r, state, depth + 1))
            else:
                op.request_range.key = b'a'
        return op

    def txn(self, r, state, depth=0):
        q = self.rpc.TxnRequest()
        x = r.random()
        only_ranges = x < 0.15
        for _ in range(r.choice([0, 1, 1, 1, 2])):
            q.compare.append(self.compare(r, state))
        for side in (q.success, q.failure):
            for _ in range(r.choice([0, 1, 1, 2, 3] if depth == 0 else [0, 1, 1, 2])):
                if only_ranges:
                    side.add().request_range.CopyFrom(self.range(r, state))
                else:
                    side.append(self.op(r, state, depth))
        if depth == 0 and x > 0.98:
            self.many_ops(r, q)
        return q

    def many_ops(self, r, q):
        """Around the limit of 128 operations, nested ones included."""
        if r.random() < 0.3:
            for _ in range(r.choice([10, 30, 128, 150])):  # Python cannot read the answers of more than about 40
                inner = self.rpc.TxnRequest()
                inner.CopyFrom(q)
                q.Clear()
                q.success.add().request_txn.CopyFrom(inner)
            return
        outer = r.choice([63, 64, 127, 128, 129])
        del q.success[:]
        for i in range(outer):
            q.success.add().request_put.key = b'm%d' % (i % r.choice([outer, outer, 100]))
        if outer < 100:
            inner = q.success.add().request_txn
            for i in range(r.choice([63, 64, 65])):
                inner.failure.add().request_put.key = b'n%d' % i

    def grant(self, r, _state):
        x = r.random()
        ttl = TTL_MAX + r.choice([0, 1]) if x < 0.1 else INT_MAX if x < 0.12 else r.randrange(1000, 1 << 30)
        return self.rpc.LeaseGrantRequest(ID=r.choice(LEASES), TTL=ttl)

    def revoke(self, r, _state):
        return self.rpc.LeaseRevokeRequest(ID=r.choice([0, self.lease(r), self.lease(r)]))

    def time_to_live(self, r, _state):
        return self.rpc.LeaseTimeToLiveRequest(ID=r.choice([0] + LEASES + LEASES), keys=r.random() < 0.7)

    def leases(self, _r, _state):
        return self.rpc.LeaseLeasesRequest()

    def keep_alive(self, r, _state):
        return [self.rpc.LeaseKeepAliveRequest(ID=r.choice([0, self.lease(r), self.lease(r)]))
                for _ in range(r.choice([0, 1, 1, 2, 5]))]

    def alarm(self, r, _state):
        action = r.choice([0, 0, 1, 2, 2, 9])
        kind = r.choice([0, 1, 1, 2]) if action == 1 else r.choice([0, 1, 2])
        member = 0 if action == 2 and r.random() < 0.3 else 77 if r.random() < 0.5 else 0
        return self.rpc.AlarmRequest(action=action, alarm=kind, memberID=member)

    def disarm(self, state):
        member, kind = min(state.alarms)
        return self.rpc.AlarmRequest(action=2, alarm=kind, memberID=member)

    def members(self, r, _state):
        """Changes that must be refused."""
        rpc = self.rpc
        return r.choice([
            ('Cluster/MemberAdd', rpc.MemberAddRequest(peerURLs=r.choice([[], ['x'], ['http://a/b'], ['ftp://a:1']]))),
            ('Cluster/MemberRemove', rpc.MemberRemoveRequest(ID=r.choice([0, 1]))),
            ('Cluster/MemberUpdate', rpc.MemberUpdateRequest(ID=1, peerURLs=['http://a:1'])),
            ('Cluster/MemberPromote', rpc.MemberPromoteRequest(ID=r.choice([0, 1]))),
        ])

    def member_list(self, r, _state):
        return self.rpc.MemberListRequest(linearizable=r.random() < 0.5)

    def lock_request(self, r, _state):
        return self.lock.LockRequest(name=r.choice(NAMES), lease=self.lease(r))

    def unlock(self, r, _state):
        return self.lock.UnlockRequest(key=r.choice(NAMES))

    def campaign(self, r, _state):
        return self.election.CampaignRequest(name=r.choice(NAMES), lease=self.lease(r), value=self.value(r))

    def leader(self, r, _state):
        method, name = r.choice(['Leader', 'Observe', 'Proclaim', 'Resign']), r.choice(NAMES)
        if method in ('Leader', 'Observe'):
            return method, self.election.LeaderRequest(name=name)
        q = self.election.ResignRequest()
        if method == 'Proclaim':
            q = self.election.ProclaimRequest(value=self.value(r))
        if r.random() < 0.9:
            leader = q.leader    # without a lease a new one would be granted
            leader.name, leader.key, leader.rev, leader.lease = name, name + b'/1', r.randrange(5), self.lease(r)
        return method, q

    def etcdctl(self, r, state):
        """A command, whether it changes anything, and which of the two etcdctl runs it then."""
        key = r.choice(['a', 'b', 'c/1', 'ab', 'nothing'])
        form = r.choice([[], ['-w', 'json'], ['-w', 'fields'], ['-w', 'protobuf'], ['-w', 'simple']])
        if r.random() < 0.5:
            command = r.choice([
                ['put', key, 'by etcdctl'], ['put', '--prev-kv', key, 'again'], ['put', '--lease', '63', key, 'x'],
                ['put', '--ignore-value', key], ['del', key], ['del', '--prefix', '--prev-kv', 'c'],
                ['del', '--from-key', 'zz'],
            ])
            return command + form, True, r.random() < 0.5
        revision = str(max(state.revision - r.randrange(20), 1))
        every = ['get', '', '--prefix']
        return r.choice([
            ['get', key], every, ['get', 'a', 'c'], ['get', key, '--rev', revision], ['get', 'a', '--from-key'],
            every + ['--keys-only'], every + ['--count-only'], every + ['--limit', '2'], every + ['--print-value-only'],
            every + ['--sort-by', 'MODIFY', '--order', 'DESCEND'], ['get', key, '--rev', '999999999'],
            ['lease', 'list'], ['lease', 'timetolive', '63'], ['lease', 'revoke', '77'], ['alarm', 'list'],
            ['endpoint', 'hashkv'], ['get'], ['put'], ['no-such-command'], ['get', key, '--order', 'x'],
        ]) + form, False, False

    def move_leader(self, r, _state):
        return self.rpc.MoveLeaderRequest(targetID=r.choice([0, 1]))

    def downgrade(self, r, _state):
        version = r.choice(['', 'x', '3', '3.9', '9.9.9', 'v3.4', '3.4.x', '-1.2', '3.3'])
        return self.rpc.DowngradeRequest(action=r.choice([0, 0, 1, 9]), version=version)

    def hash_kv(self, r, state):
        return self.rpc.HashKVRequest(revision=self.revision(r, state))

    def compact(self, r, state):
        x = r.random()
        revision = self.revision(r, state) if x < 0.4 else max(state.revision - r.randrange(400), 0)
        return self.rpc.CompactionRequest(revision=revision, physical=r.random() < 0.5)

    def invalid_sort(self, r, state):
        q = self.range(r, state)
        q.key = q.key or b'a'
        if r.random() < 0.5:
            q.sort_order = r.choice([3, 77, -1])
        else:
            q.sort_target = r.choice([5, 77, -1])
        return q

    def oversized(self, r, state):
        """Around the limits: 1.5 MiB for an entry, 512 KiB more for a message."""
        x = r.random()
        if x < 0.1:
            size = 1572864 - r.randrange(200)
        elif x < 0.5:
            size = 1572864 + r.randrange(524288)
        else:
            size = 2097152 + r.randrange(-60, 1000)
        q = self.rpc.PutRequest(key=b'big', value=b'x' * size)
        if r.random() < 0.3:
            return 'KV/Txn', self.rpc.TxnRequest(success=[self.rpc.RequestOp(request_put=q)])
        return 'KV/Put', q

    @staticmethod
    def garbage(r, _state):
        """A method, and bytes that are hardly a message of it."""
        method = r.choice(['KV/Range', 'KV/Put', 'KV/Txn', 'Lease/LeaseGrant', 'KV/Compact', 'Maintenance/Alarm',
                           'Maintenance/Status', 'Cluster/MemberAdd', 'v3lockpb.Lock/Lock'])
        return method, r.choice([b'\x0a\x05ab', b'\xff' * 12, b'\x0a', b'\x08' + b'\x80' * 11, b'\x07',
                                 b'\x0a\xff\xff\xff\xff\x0f'])

    def watch(self, r, state):
        q = self.rpc.WatchCreateRequest(key=self.key(r), range_end=self.end(r), prev_kv=r.random() < 0.4,
                                        fragment=r.random() < 0.3, progress_notify=r.random() < 0.2)
        x = r.random()
        if x < 0.2:
            q.start_revision = max(state.revision - r.randrange(100), 1)
        elif x < 0.35:
            q.start_revision = r.choice([state.revision + 1, state.revision + 2, state.revision + 20, INT_MAX])
        elif x < 0.5:
            q.start_revision = r.choice([state.compacted - 1, state.compacted, state.compacted + 1, 1, -1, INT_MIN])
        if r.random() < 0.4:
            q.filters.extend(r.choice([[0], [1], [0, 1], [1, 1], [7]]))
        if r.random() < 0.3:
            q.watch_id = r.choice([1, 2, 3, 7, 100, -1, -5, INT_MAX])
        return q
