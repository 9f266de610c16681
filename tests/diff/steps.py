"""The steps of a run: what each sends to both servers, and how the answers are compared."""
import random
import re
import subprocess
import time

import generate
import known
import pair
from pair import Answer, conftest

CATCH_UP_SECONDS = 0.2      # a real etcd looks after watches that start in the past every 100 ms
WATCHES_MAX = 6             # on one stream
WRITES = {'PutResponse', 'DeleteRangeResponse', 'TxnResponse', 'LeaseRevokeResponse'}


class Difference(Exception):
    pass


def show(message, limit=3000):
    text = re.sub(r'(.)\1{40,}', lambda m: f'{m[1] * 10}...({len(m[0])})', str(message).strip())
    return text if len(text) <= limit else f'{text[:limit]} ... ({len(text)} characters)'


def flat(ops):
    """The operations of a list and of all nested ones."""
    for op in ops:
        yield op
        if op.HasField('request_txn'):
            yield from flat([*op.request_txn.success, *op.request_txn.failure])


def deletes_from_key(ops):
    """Such deletes are not seen when a transaction is checked for keys written twice."""
    return any(op.request_delete_range.range_end == b'\0' for op in ops)


def may_panic(ops):
    deleted = [op.request_delete_range.key for op in ops if op.request_delete_range.range_end == b'\0']
    return any((op.request_put.ignore_value or op.request_put.ignore_lease) and op.request_put.key >= min(deleted)
               for op in ops if deleted)


class Run:
    def __init__(self, programs, folder, messages):
        self.messages, self.rpc = messages, messages.rpc
        self.generator, self.known = generate.Generator(self.rpc), known.Known(self.rpc)
        self.real, self.ours = self.sides = [pair.Side(n, p, folder, messages) for n, p in programs.items()]
        self.state = generate.State()
        self.compacting = False         # a compaction may still be at work in the background
        self.watches = []
        self.classes, self.requests = {}, 0

    def start(self):
        for s in self.sides:
            s.start()
        for s in self.sides:
            s.wait_until_ready()
        self.watches = [pair.WatchPair(self.sides) for _ in range(2)]

    # -- comparing

    def response_class(self, name):
        if name not in self.classes:
            self.classes[name] = self.messages.of('etcdserverpb.' + name)[1]
        return self.classes[name]

    def fail(self, what, request, real, ours):
        raise Difference(f'{what}\n{show(request)}\n--- real\n{show(real)}\n--- ours\n{show(ours)}')

    def shown(self, answer, cls):
        return f'code {answer.code}: {answer.text}' if answer.code else cls.FromString(answer.body)

    def unary(self, name, request, body=None, sides=None):
        """Calls both, compares, remembers what the state has become; our answer."""
        path = '/etcdserverpb.' + name
        body = request.SerializeToString() if body is None else body
        real, ours = [s.unary(path, body) for s in self.sides]
        self.requests += 1
        cls = self.response_class(name)
        if real != ours and not self.known.agree(request, cls, real, ours):
            self.fail(name, request, self.shown(real, cls), self.shown(ours, cls))
        if ours.code == 0 and cls.DESCRIPTOR.name in WRITES:
            self.state.revision = max(self.state.revision, cls.FromString(ours.body).header.revision)
        return ours

    def ours_alone(self, rule, name, request, expected):
        """What only 3.7 can be asked: the answer must be one of `expected`, pairs of code and text."""
        answer = self.ours.unary('/etcdserverpb.' + name, request.SerializeToString())
        self.known.used(rule)
        if (answer.code, answer.text) not in expected:
            self.fail(f'{name}, ours alone: {rule}', request, expected, self.shown(answer, self.response_class(name)))

    def check_watches(self):
        for n, w in enumerate(self.watches):
            text = w.difference()
            if text:
                raise Difference(f'watch stream {n}\n{text}')

    def settle(self):
        """Nothing is under way: watches have caught up, events have arrived."""
        behind = [w.past_since for w in self.watches if w.past]
        if behind:
            time.sleep(max(0, max(behind) + CATCH_UP_SECONDS - time.monotonic()))
        self.check_watches()
        for w in self.watches:
            w.past.clear()

    def barrier(self):
        """Compactions in the background have ended: a refused physical one waits for those before it."""
        if self.compacting:
            self.compacting = False
            self.unary('KV/Compact', self.rpc.CompactionRequest(revision=self.state.compacted, physical=True))

    # -- steps

    def step(self, seed):
        r = random.Random(seed)
        name, request = self.generator.step(r, self.state)
        special = getattr(self, 'do_' + name.split('/')[1] if '/' in name else 'do_' + name, None)
        if special:
            special(r, request)
        else:
            self.unary(name, request)

    def do_Txn(self, _r, q):
        ops = [*q.success, *q.failure]
        every = list(flat(ops))
        if may_panic(every):
            self.known.used('txn panic')
        elif self.state.has_alarm(1) and any(op.HasField('request_put') for op in every) and \
                not any(op.HasField('request_put') for op in ops):
            refusals = {(8, 'etcdserver: mvcc: database space exceeded'), (15, 'etcdserver: corrupt cluster')}
            real = self.real.unary('/etcdserverpb.KV/Txn', self.rpc.TxnRequest(
                success=[*q.success, self.no_space_op()], compare=q.compare, failure=q.failure).SerializeToString())
            refusals.add((real.code, real.text))
            self.ours_alone('nested put quota', 'KV/Txn', q, refusals)
        else:
            self.unary('KV/Txn', q)
            if deletes_from_key(every):
                self.state.reborn.add(self.state.revision)

    def no_space_op(self):
        """Makes even a 3.5 server see that a transaction puts something."""
        return self.rpc.RequestOp(request_put=self.rpc.PutRequest(key=b'no space'))

    def do_Alarm(self, _r, q):
        if q.action > self.rpc.AlarmRequest.DEACTIVATE:
            self.ours_alone('alarm action', 'Maintenance/Alarm', q, {(0, '')})
            return
        answer = self.unary('Maintenance/Alarm', q)
        if answer.code == 0:
            for a in self.rpc.AlarmResponse.FromString(answer.body).alarms:
                if q.action == self.rpc.AlarmRequest.DEACTIVATE:
                    self.state.alarms.discard((a.memberID, a.alarm))
                else:
                    self.state.alarms.add((a.memberID, a.alarm))

    def do_hash_kv(self, _r, q):
        self.barrier()
        self.unary('Maintenance/HashKV', q)

    def do_compact(self, _r, q):
        while q.revision in self.state.reborn:
            self.known.used('reborn key')
            q.revision -= 1
        self.settle()
        self.barrier()
        if self.unary('KV/Compact', q).code == 0:
            self.state.compacted, self.compacting = q.revision, not q.physical

    def do_oversized(self, _r, q):
        name, q = q
        if self.unary(name, q).code == 0:
            self.unary('KV/DeleteRange', self.rpc.DeleteRangeRequest(key=b'big'))

    def do_garbage(self, _r, q):
        name, body = q
        self.unary(name, body.hex(), body=body)

    def do_unknown(self, r, _q):
        path = r.choice(['/etcdserverpb.KV/Nope', '/etcdserverpb.Nope/Range', '/x.Y/Z'])
        real, ours = (s.unary(path, b'') for s in self.sides)
        if real != ours:
            self.fail(path, '', real, ours)

    def do_members(self, _r, q):
        self.unary(*q)

    def do_health(self, r, _q):
        body = r.choice([b'', b'\x0a\x01x'])
        real, ours = (s.unary('/grpc.health.v1.Health/Check', body) for s in self.sides)
        if real != ours:
            self.fail('Health/Check', body, real, ours)

    def do_restart(self, r, _q):
        self.restart(pair.Side.kill if r.random() < 0.5 else pair.Side.stop)

    def restart(self, end, meanwhile=lambda: None):
        self.settle()
        for w in self.watches:
            w.close()
        for s in self.sides:
            end(s)
        meanwhile()
        self.start()
        self.known.restarted = True

    def do_invalid_sort(self, r, q):
        refused = {(3, 'etcdserver: invalid sort option')}
        if r.random() < 0.3:
            q = self.rpc.TxnRequest(success=[self.rpc.RequestOp(request_range=q)])
            self.ours_alone('invalid sort', 'KV/Txn', q, refused)
        else:
            self.ours_alone('invalid sort', 'KV/Range', q, refused)

    def do_range_stream(self, _r, q):
        code, text, pieces = self.ours.exchange('/etcdserverpb.KV/RangeStream', [q.SerializeToString()],
                                                self.rpc.RangeStreamResponse)
        self.known.used('range stream')
        filters = q.min_mod_revision or q.max_mod_revision or q.min_create_revision or q.max_create_revision
        if q.key and q.sort_order and (q.sort_order, q.sort_target) != (1, 0):
            real = Answer(12, 'RangeStream does not support custom sort orders', b'')
        elif q.key and filters:
            real = Answer(12, 'RangeStream does not support revision filters', b'')
        else:
            if q.sort_order == 0:
                q.sort_target = 0       # a target without an order sorts each piece by itself
            real = self.real.unary('/etcdserverpb.KV/Range', q.SerializeToString())
        whole = self.rpc.RangeResponse()
        for p in pieces:
            whole.MergeFrom(p.range_response)
        whole.kvs.sort(key=lambda kv: kv.key)
        ours = Answer(code, text, whole.SerializeToString() if code == 0 else b'')
        if not self.known.agree(q, self.rpc.RangeResponse, real, ours):
            self.fail('RangeStream', q, *(self.shown(x, self.rpc.RangeResponse) for x in (real, ours)))

    def do_keep_alive(self, _r, q):
        bodies = [m.SerializeToString() for m in q]
        real, ours = (s.exchange('/etcdserverpb.Lease/LeaseKeepAlive', bodies, self.rpc.LeaseKeepAliveResponse)
                      for s in self.sides)
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
        self.unary('Lease/LeaseGrant', self.rpc.LeaseGrantRequest(ID=50, TTL=ttl))
        self.unary('Lease/LeaseTimeToLive', self.rpc.LeaseTimeToLiveRequest(ID=50))
        self.unary('Lease/LeaseRevoke', self.rpc.LeaseRevokeRequest(ID=50))

    # -- watches

    def answered(self, w, send, counted):
        """Sends something on a pair of streams and waits until both have one more response that `counted` counts."""
        before = [sum(map(counted, s.log)) for s in w.streams]
        send()
        for s, n in zip(w.streams, before):
            if not s.wait(lambda log: sum(map(counted, log)) > n):
                raise Difference(f'{s.call} brings no answer; the last responses:\n{show(w.streams[0].log[-3:])}\n'
                                 f'--- ours\n{show(w.streams[1].log[-3:])}')

    def marker(self, w):
        """Makes sure that everything sent before was looked at: a watch on an empty range is refused at once."""
        q = self.rpc.WatchRequest(create_request=self.rpc.WatchCreateRequest(key=b'b', range_end=b'a'))
        self.answered(w, lambda: w.send(q), lambda r: r.created and r.watch_id == -1)

    def do_watch(self, r, q):
        w = r.choice(self.watches)
        while len(w.ids) >= WATCHES_MAX:
            self.cancel(w, w.ids[0])
        if 0 < q.start_revision <= self.state.revision:
            w.past_since = time.monotonic()
        self.answered(w, lambda: w.send(self.rpc.WatchRequest(create_request=q)), lambda m: m.created)
        created = [m for m in w.streams[1].log if m.created][-1]
        if created.canceled:
            return
        w.ids.append(created.watch_id)
        if 0 < q.start_revision <= self.state.revision:
            w.past.add(created.watch_id)
        if 0 < q.start_revision < self.state.compacted:
            for s in w.streams:
                if not s.wait(lambda log: any(m.canceled and m.watch_id == created.watch_id for m in log)):
                    raise Difference(f'a watch from a compacted revision is not cancelled:\n{q}')
            w.ids.remove(created.watch_id)
            self.cancel_compacted(w.streams[0], created.watch_id)

    def cancel_compacted(self, stream, watch_id):
        q = self.rpc.WatchRequest(cancel_request=self.rpc.WatchCancelRequest(watch_id=watch_id))

        def answers(log):
            return [m for m in log if m.watch_id == watch_id and m.canceled and m.compact_revision == 0]

        before = len(answers(stream.log))
        stream.send(q.SerializeToString())
        if not stream.wait(lambda log: len(answers(log)) > before):
            raise Difference(f'the real etcd does not answer the cancellation of watch {watch_id}')
        with stream.changed:
            stream.log.remove(answers(stream.log)[-1])
        self.known.used('compacted watch')

    def cancel(self, w, watch_id):
        self.settle()
        w.send(self.rpc.WatchRequest(cancel_request=self.rpc.WatchCancelRequest(watch_id=watch_id)))
        self.marker(w)
        if watch_id in w.ids:
            w.ids.remove(watch_id)
        self.check_watches()

    def do_watch_cancel(self, r, _q):
        w = r.choice(self.watches)
        self.cancel(w, r.choice(w.ids + [0, 1, 77, -1]))

    def do_watch_progress(self, r, _q):
        w = r.choice(self.watches)
        self.settle()
        w.send(self.rpc.WatchRequest(progress_request=self.rpc.WatchProgressRequest()))
        self.marker(w)
        time.sleep(0.02)
        self.check_watches()

    def do_watch_empty(self, r, _q):
        w = r.choice(self.watches)
        w.send(self.rpc.WatchRequest())
        self.marker(w)

    def do_watch_reopen(self, r, _q):
        self.settle()
        i = r.randrange(len(self.watches))
        self.watches[i].close()
        self.watches[i] = pair.WatchPair(self.sides)

    # -- the end

    def everything(self):
        """HashKV and all keys at many revisions, all leases."""
        rpc, state = self.rpc, self.state
        self.barrier()
        revisions = {0, state.compacted, state.compacted + 1, state.revision, state.revision - 1}
        span = max(state.revision - state.compacted, 1)
        revisions |= {state.compacted + span * i // 10 for i in range(1, 10)}
        for revision in sorted(revisions):
            self.unary('Maintenance/HashKV', rpc.HashKVRequest(revision=revision))
            self.unary('KV/Range', rpc.RangeRequest(key=b'\0', range_end=b'\0', revision=revision))
        self.unary('Lease/LeaseLeases', rpc.LeaseLeasesRequest())
        for lease in generate.LEASES:
            self.unary('Lease/LeaseTimeToLive', rpc.LeaseTimeToLiveRequest(ID=lease, keys=True))
        self.unary('Maintenance/Alarm', rpc.AlarmRequest())
        self.unary('Maintenance/Status', rpc.StatusRequest())

    def files(self):
        """Of servers that have stopped: the records of the key space, and the soundness of the files."""
        dump = conftest.BIN / 'etcd-dump-db'
        for bucket in ('key', 'lease', 'alarm'):
            real, ours = (subprocess.run([str(dump), 'iterate-bucket', str(s.data_file()), bucket], check=True,
                                         capture_output=True).stdout for s in self.sides)
            if real != ours:
                a, b = real.splitlines(), ours.splitlines()
                n = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
                raise Difference(f'bucket {bucket}, line {n} of {len(a)}/{len(b)}:\n{a[n:n + 1]}\n--- ours\n'
                                 f'{b[n:n + 1]}')
        for s in self.sides:
            p = subprocess.run([str(conftest.BUILD / 'tests/bolt_check'), str(s.data_file())], capture_output=True,
                               text=True)
            if p.returncode:
                raise Difference(f'bolt_check, file of {s.name}:\n{p.stdout[:2000]}')

    def finish(self):
        self.settle()
        self.everything()
        self.restart(pair.Side.stop, self.files)
        self.everything()
        for s in self.sides:
            s.stop()

    def abandon(self):
        for s in self.sides:
            s.kill()
