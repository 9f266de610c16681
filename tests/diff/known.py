"""Where a real server and ours (3.7) answer differently on purpose, or where nothing can be compared.

Each rule has the reason; how often it was needed is counted and printed at the end.  A rule changes the real server's
message into what 3.7.1 would have answered (or equals what cannot be compared in both), after a look whether ours is
right.  Some rules are for a real server older than 3.7 only (OLD).
"""
import collections

RULES = {
    'keys_only lease': '3.7 answers keys_only from the index alone, where the lease is not known; 3.5 had it',
    'hash_revision': 'since 3.6 HashKV says up to which revision it hashed',
    'invalid sort': '3.7 refuses unknown sort orders and targets; 3.5 ignores them or crashes: sent to ours alone',
    'alarm action': 'an unknown action of Alarm makes a real etcd panic; ours does nothing: sent to ours alone',
    'sort ties': 'Go sorts more than 12 keys in an unstable way: which of equal ones comes first, or is cut, differs',
    'txn check order': '3.5 checks all puts of a transaction (keys before leases), then its ranges; 3.7 all in their '
                       'order (leases before keys): another error comes first',
    'compacted watch': 'a watch cancelled for a compacted revision stays in the books of a real etcd (no progress for '
                       'its stream, its id in use) until the client cancels it, too: sent to the real one alone',
    'txn panic': 'a put with ignore_value or ignore_lease after a delete of its key in one transaction (the overlap '
                 'check does not see deletes from a key on) stops every real member: not sent',
    'reborn key': 'a key deleted and put again in one transaction is lost by a real etcd when compacted at just that '
                  'revision: compacted one earlier',
    'range stream': 'RangeStream is new in 3.7: its pieces put together are compared with Range of the real one',
    'negative limit': 'RangeStream with a negative limit comes in one piece from a real etcd, however large; ours cuts '
                      'it as it does without a limit: put together and compared',
    'nested put quota': '3.7 counts puts of nested transactions against the quota; 3.5 executes them: ours alone',
    'alarm text': 'blanks in Status.errors depend on the version of the protobuf text format',
    'decoder text': 'the text about a message that cannot be decoded comes from the protobuf library: of 3.7 but for '
                    'the kind of blank in it, of 3.5 not at all the same',
    'status fields': 'version, file sizes, and the fields of 3.6 and later in Status',
    'raft index': 'Status: versions propose different entries of their own (cluster version, attributes)',
    'ttl seconds': 'seconds left of a lease: the two grants (or starts: up to a minute) were not in the same instant',
    'lease order': 'leases of one length come in any order after a start',
    'stream target': 'a real RangeStream with a sort target and no order sorts each piece and goes on behind its last '
                     'key: it skips and repeats keys; ours brings each once: compared with Range',
    'lease keys order': 'the keys of a lease come in no order',
    'chosen lease id': 'a lease id chosen by the server holds its clock',
    'client url': 'the two servers listen on different ports',
    'slow watch': 'a real etcd takes a watch whose stream is full off the live path; then a response may hold several '
                  'revisions',
    'wire': '3.7 passes over fields of another wire type and refuses bad UTF-8; 3.5 does the opposite: ours alone',
    'etcdctl': 'texts of etcdctl and addresses in them changed between versions: commands of the real one are compared '
               'with each other only',
    'hash of file': 'Hash covers the whole file, the cluster version included: only its status is compared',
}

OLD = {'keys_only lease', 'hash_revision', 'invalid sort', 'txn check order', 'range stream', 'nested put quota',
       'wire', 'etcdctl'}

PUT_ERRORS = {(3, 'etcdserver: key not found'), (5, 'etcdserver: requested lease not found')}
RANGE_ERRORS = {(11, 'etcdserver: mvcc: required revision has been compacted'),
                (11, 'etcdserver: mvcc: required revision is a future revision')}


class Known:
    def __init__(self, rpc, old):
        """old: the real server is older than 3.7."""
        self.rpc, self.old, self.counts, self.restarted = rpc, old, collections.Counter(), False
        self.apart = 0      # seconds that the two calls of one step took at most: as long, one grant is younger
        self.fixes = {
            'RangeResponse': self.range, 'TxnResponse': self.txn, 'HashKVResponse': self.hash_kv,
            'StatusResponse': self.status, 'LeaseTimeToLiveResponse': self.time_to_live,
            'MemberListResponse': self.member_list, 'HashResponse': self.hash, 'LeaseLeasesResponse': self.leases,
        }

    def used(self, rule):
        assert rule in RULES
        assert self.old or rule not in OLD, rule
        self.counts[rule] += 1

    def agree(self, request, response_class, real, ours):
        """Whether two answers say the same, rules applied."""
        if real == ours:
            return True
        if real.code != ours.code or real.text != ours.text:
            return self.errors(request, real, ours)
        a, b = response_class.FromString(real.body), response_class.FromString(ours.body)
        fix = self.fixes.get(response_class.DESCRIPTOR.name)
        if fix:
            fix(request, a, b)
        return a == b

    def errors(self, request, real, ours):
        if self.old and type(request).__name__ == 'TxnRequest' and (real.code, real.text) in PUT_ERRORS and \
                (ours.code, ours.text) in PUT_ERRORS | RANGE_ERRORS:
            self.used('txn check order')
            return True
        if real.code == ours.code == 13 and all('unmarshal' in x.text for x in (real, ours)):
            # The protobuf library writes one of two kinds of blank, chosen when it is built.
            if self.old or real.text.replace('\xa0', ' ') == ours.text:
                self.used('decoder text')
                return True
        return False

    def range(self, request, a, b):
        if self.old and request.keys_only and request.sort_target != self.rpc.RangeRequest.VALUE:
            if all(kv.lease == 0 for kv in b.kvs) and any(kv.lease for kv in a.kvs):
                self.used('keys_only lease')
                for kv in a.kvs:
                    kv.lease = 0

        if request.sort_target and a.count == b.count > 12 and a.kvs != b.kvs:
            self.ties(request, a, b)

    def ties(self, request, a, b):
        """Keys that are equal in what they are sorted by may come in another order."""
        field = self.rpc.RangeRequest.SortTarget.Name(request.sort_target).lower()
        field = {'create': 'create_revision', 'mod': 'mod_revision'}.get(field, field)
        if field == 'value' and request.keys_only:
            keys = [{kv.key for kv in m.kvs} for m in (a, b)]
            same = len(keys[0]) == len(keys[1]) and (request.limit > 0 or keys[0] == keys[1])
        else:
            by = [[getattr(kv, field) for kv in m.kvs] for m in (a, b)]
            # With a limit, of those equal to the last one others may be left.
            last = by[1][-1] if b.more and b.kvs else None
            whole = [sorted(kv.SerializeToString() for kv in m.kvs if getattr(kv, field) != last) for m in (a, b)]
            same = by[0] == by[1] and whole[0] == whole[1]
        if same:
            self.used('sort ties')
            del a.kvs[:]
            a.kvs.extend(b.kvs)

    def txn(self, request, a, b):
        ops = request.success if b.succeeded else request.failure
        for op, x, y in zip(ops, a.responses, b.responses):
            if op.HasField('request_range'):
                self.range(op.request_range, x.response_range, y.response_range)
            elif op.HasField('request_txn'):
                self.txn(op.request_txn, x.response_txn, y.response_txn)

    def hash_kv(self, request, a, b):
        if self.old and b.hash_revision == (request.revision or b.header.revision):
            self.used('hash_revision')
            a.hash_revision = b.hash_revision

    def status(self, _request, a, b):
        self.used('status fields')
        if b.version.startswith('3.7.') and b.dbSize >= b.dbSizeInUse > 0 and b.dbSizeQuota == 2 << 30 \
                and b.storageVersion.startswith('3.') and not b.downgradeInfo.enabled:
            a.version, a.dbSize, a.dbSizeInUse, a.dbSizeQuota = b.version, b.dbSize, b.dbSizeInUse, b.dbSizeQuota
            a.storageVersion = b.storageVersion
            a.downgradeInfo.CopyFrom(b.downgradeInfo)
        if b.raftIndex >= b.raftAppliedIndex > 0:
            self.used('raft index')
            a.raftIndex, a.raftAppliedIndex = b.raftIndex, b.raftAppliedIndex
        real, ours = (sorted(' '.join(e.split()) for e in m.errors) for m in (a, b))
        if real == ours and real:
            self.used('alarm text')
            del a.errors[:]
            a.errors.extend(b.errors)

    def time_to_live(self, _request, a, b):
        if 1 <= abs(a.TTL - b.TTL) <= (60 if self.restarted else 1 + int(self.apart)) and a.grantedTTL > 0:
            self.used('ttl seconds')
            a.TTL = b.TTL
        if list(a.keys) != list(b.keys) and sorted(a.keys) == sorted(b.keys):
            self.used('lease keys order')
            del a.keys[:]
            a.keys.extend(b.keys)

    def leases(self, _request, a, b):
        ids = [[x.ID for x in m.leases] for m in (a, b)]
        if self.restarted and ids[0] != ids[1] and sorted(ids[0]) == sorted(ids[1]):
            self.used('lease order')
            del a.leases[:]
            a.leases.extend(b.leases)

    def member_list(self, _request, a, b):
        if len(a.members) == len(b.members):
            self.used('client url')
            for x, y in zip(a.members, b.members):
                if len(x.clientURLs) == len(y.clientURLs):
                    del x.clientURLs[:]
                    x.clientURLs.extend(y.clientURLs)

    def hash(self, _request, a, b):
        self.used('hash of file')
        a.hash = b.hash

    def table(self):
        width = max(map(len, RULES))
        return '\n'.join(f'{self.counts[r]:8d}  {r:{width}}  {why}' for r, why in RULES.items()
                         if self.old or r not in OLD)
