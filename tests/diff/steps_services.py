"""Steps on leases, locks, elections, and with encodings that no client makes."""
import contextlib
import time
import warnings

from google.protobuf.message import DecodeError

import generate
import odd
from common import Away, Difference

WAIT_SECONDS = 60
SHORT_SECONDS = 2           # as short as the time of a lease can be


class ServiceSteps:
    """Part of a Run."""

    def do_keep_alive(self, _r, q):
        bodies = [m.SerializeToString() for m in q]
        with self.timed():
            real, ours = [s.exchange('/etcdserverpb.Lease/LeaseKeepAlive', bodies, self.rpc.LeaseKeepAliveResponse)
                          for s in self.sides]
        if real != ours:
            self.fail('LeaseKeepAlive', q, real, ours)

    def do_chosen_lease(self, _r, _q):
        """A lease whose id each server picks lives in this step only, since it is not the same on both."""
        grant = self.rpc.LeaseGrantRequest(TTL=5000).SerializeToString()
        answers = [s.unary('/etcdserverpb.Lease/LeaseGrant', grant) for s in self.sides]
        self.known.used('chosen lease id')
        messages = [self.rpc.LeaseGrantResponse.FromString(a.body) for a in answers]
        ids = [m.ID for m in messages]
        for m in messages:
            m.ID = min(m.ID, 1)
        if answers[0][:2] != answers[1][:2] or messages[0] != messages[1]:
            self.fail('LeaseGrant', 'ID: 0', answers[0], answers[1])
        if answers[0].code:
            return
        real, ours = (s.unary('/etcdserverpb.Lease/LeaseRevoke', self.rpc.LeaseRevokeRequest(ID=i).SerializeToString())
                      for s, i in zip(self.sides, ids))
        if real != ours:
            self.fail('LeaseRevoke', ids, real, ours)

    def do_short_lease(self, r, _q):
        ttl = r.choice([0, 1, 2, -1, generate.INT_MIN])
        try:
            with self.while_a_lease_lives():
                self.unary('Lease/LeaseGrant', self.rpc.LeaseGrantRequest(ID=50, TTL=ttl))
                self.unary('Lease/LeaseTimeToLive', self.rpc.LeaseTimeToLiveRequest(ID=50))
                self.unary('Lease/LeaseRevoke', self.rpc.LeaseRevokeRequest(ID=50))
        except Away:
            self.until('expiry', lambda: self.gone(50))     # it had no keys: nothing else is different

    @staticmethod
    @contextlib.contextmanager
    def while_a_lease_lives():
        """Differences behind half of the time of a short lease may be of its end."""
        began = time.monotonic()
        try:
            yield
        except Difference as d:
            if time.monotonic() - began < SHORT_SECONDS / 2:
                raise
            raise Away from d

    def do_expiry(self, r, _q):
        """Leases that end by themselves, one of them renewed once, take their keys with them in one revision each."""
        if self.state.alarms:
            return
        ids = [60, 61]
        try:
            with self.while_a_lease_lives():
                self.grant_with_keys(r, ids[0])
            self.until('expiry', lambda: self.gone(ids[0]))
            with self.while_a_lease_lives():
                self.grant_with_keys(r, ids[1])
                self.unary('KV/Range', self.rpc.RangeRequest(key=b'\0', range_end=b'\0'))
                self.unary('Lease/LeaseLeases', self.rpc.LeaseLeasesRequest())
                self.do_keep_alive(r, [self.rpc.LeaseKeepAliveRequest(ID=ids[1])])
        except Away:
            self.begin_anew()   # one has keys that the other has not
            return
        self.until('expiry', lambda: self.gone(ids[1]))
        for lease in ids:
            self.unary('Lease/LeaseTimeToLive', self.rpc.LeaseTimeToLiveRequest(ID=lease, keys=True))
        self.learn_revision()

    def grant_with_keys(self, r, lease):
        self.unary('Lease/LeaseGrant', self.rpc.LeaseGrantRequest(ID=lease, TTL=SHORT_SECONDS))
        for key in r.sample(generate.KEYS, 3):
            self.unary('KV/Put', self.rpc.PutRequest(key=key + b'/%d' % lease, lease=lease))

    def gone(self, lease):
        q = self.rpc.LeaseTimeToLiveRequest(ID=lease).SerializeToString()
        return all(self.rpc.LeaseTimeToLiveResponse.FromString(
            s.unary('/etcdserverpb.Lease/LeaseTimeToLive', q).body).TTL == -1 for s in self.sides)

    @staticmethod
    def until(what, condition):
        end = time.monotonic() + WAIT_SECONDS
        while not condition():
            if time.monotonic() > end:
                raise Difference(f'{what}: not on both servers after {WAIT_SECONDS} seconds')
            time.sleep(0.02)

    def learn_revision(self):
        """After something that the servers did by themselves."""
        q = self.rpc.RangeRequest(key=b'\0', count_only=True)
        answer = self.unary('KV/Range', q)
        self.state.revision = self.rpc.RangeResponse.FromString(answer.body).header.revision

    # -- locks and elections

    def present(self, key):
        q = self.rpc.RangeRequest(key=key, count_only=True).SerializeToString()
        return [self.rpc.RangeResponse.FromString(s.unary('/etcdserverpb.KV/Range', q).body).count == 1
                for s in self.sides]

    def first_of(self, name):
        """The owner of a lock or an election: its pair, or None."""
        answer = self.unary('KV/Range', self.rpc.RangeRequest(
            key=name + b'/', range_end=name + b'0', limit=1, sort_order=1, sort_target=2))
        kvs = self.rpc.RangeResponse.FromString(answer.body).kvs if answer.code == 0 else []
        return kvs[0] if kvs else None

    def waits_or_not(self, method, q, lease):
        """A call that waits for others is given up once it stands in the queue, and then takes its key back."""
        owner, key = self.first_of(q.name), q.name + b'/' + odd.hex_of(lease)
        if owner is None or owner.key == key or lease not in self.leases():
            self.unary(method, q)
            self.learn_revision()
            return
        if self.state.alarms or self.present(key)[0]:
            return      # a key that is there already would stay; with an alarm nothing gets into the queue
        calls = [s.begin('/' + method, q.SerializeToString()) for s in self.sides]
        self.until(method, lambda: all(self.present(key)) or any(c.done() for c in calls))
        if any(c.done() for c in calls):
            raise Difference(f'{method} did not wait:\n{q}\n' + '\n'.join(str(c) for c in calls))
        for c in calls:
            c.cancel()
        self.until(method, lambda: not any(self.present(key)))
        self.learn_revision()

    def leases(self):
        answer = self.ours.unary('/etcdserverpb.Lease/LeaseLeases', b'')
        return {x.ID for x in self.rpc.LeaseLeasesResponse.FromString(answer.body).leases}

    def do_lock(self, _r, q):
        self.waits_or_not('v3lockpb.Lock/Lock', q, q.lease)

    def do_campaign(self, _r, q):
        self.waits_or_not('v3electionpb.Election/Campaign', q, q.lease)

    def do_unlock(self, r, q):
        owner = self.first_of(q.key)
        q.key = owner.key if owner is not None and r.random() < 0.8 else q.key + b'/1'
        self.unary('v3lockpb.Lock/Unlock', q)
        self.learn_revision()

    def do_leader(self, r, q):
        """Proclaim, Resign, Leader, Observe: with the leader there is, or another."""
        method, q = q
        name = q.name if method in ('Leader', 'Observe') else q.leader.name
        owner = self.first_of(name)
        if method == 'Observe':
            if owner is None:
                return      # it waits for one
            cls = self.messages.of('v3electionpb.Election/Observe')[1]
            answers = [s.first('/v3electionpb.Election/Observe', q.SerializeToString(), cls) for s in self.sides]
            if answers[0] != answers[1]:
                self.fail(method, q, *answers)
            return
        if method != 'Leader' and owner is not None and r.random() < 0.8:
            q.leader.key, q.leader.rev, q.leader.lease = owner.key, owner.create_revision, owner.lease
        self.unary('v3electionpb.Election/' + method, q)
        self.learn_revision()

    # -- encodings

    def do_odd(self, r, _q):
        """A message that was encoded in an unusual way, or damaged."""
        name, q = self.generator.plain(r, self.state)
        body, same = odd.encode(r, q)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')     # about groups
                meant = type(q).FromString(body)
        except DecodeError:
            meant = None
        if meant is not None and not self.harmless(meant):
            return
        if self.old and not same:
            answer = self.ours.unary('/etcdserverpb.' + name, b'\x0a')
            if answer.code != 13:
                self.fail(name, 'half a tag', 'Internal', answer)
            self.known.used('wire')
            return
        self.unary(name, q if meant is None else meant, body)

    def harmless(self, q):
        if type(q).__name__ != 'TxnRequest':
            return True
        return self.txn_is_safe(q)
