"""The steps of a run: what each sends to both servers, and how the answers are compared."""
import contextlib
import random
import subprocess
import time

import grpc

import generate
import known
import pair
from common import Difference, show
from pair import Answer, conftest
from steps_server import ServerSteps
from steps_services import ServiceSteps
from steps_watch import WatchSteps

GZIP = 0.05                 # of steps
WRITES = {'PutResponse', 'DeleteRangeResponse', 'TxnResponse', 'LeaseRevokeResponse'}


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


def whole_range(rpc, pieces):
    """What a RangeStream has brought, put together: it comes by key, a target orders each piece in itself only."""
    whole = rpc.RangeResponse()
    for p in pieces:
        whole.MergeFrom(p.range_response)
    whole.kvs.sort(key=lambda kv: kv.key)
    return whole


def full(name):
    """etcdserverpb is the package of most services."""
    return name if '.' in name else 'etcdserverpb.' + name


class Run(WatchSteps, ServerSteps, ServiceSteps):
    def __init__(self, programs, folder, messages):
        """programs: of the real one and of ours, in a folder each."""
        self.messages, self.rpc, self.programs, self.folder = messages, messages.rpc, programs, folder
        self.old = pair.version_of(programs['real']) < (3, 7)
        self.generator, self.known = generate.Generator(messages, self.old), known.Known(self.rpc, self.old)
        self.real, self.ours = self.sides = [pair.Side(n, p / 'etcd', folder, messages) for n, p in programs.items()]
        self.compression = None
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
        self.sentinel = pair.WatchPair(self.sides)

    # -- comparing

    def response_class(self, name):
        if name not in self.classes:
            self.classes[name] = self.messages.of(full(name))[1]
        return self.classes[name]

    def fail(self, what, request, real, ours):
        raise Difference(f'{what}\n{show(request)}\n--- real\n{show(real)}\n--- ours\n{show(ours)}')

    def shown(self, answer, cls):
        return f'code {answer.code}: {answer.text}' if answer.code else cls.FromString(answer.body)

    def unary(self, name, request, sent=None):
        """Calls both, compares, remembers what the state has become; our answer."""
        path = '/' + full(name)
        body = request.SerializeToString() if sent is None else sent
        with self.timed():
            real, ours = [s.unary(path, body, self.compression) for s in self.sides]
        self.requests += 1
        cls = self.response_class(name)
        if real != ours and not self.known.agree(request, cls, real, ours):
            sent = request if sent is None else f'{request}\nsent as {body.hex()[:2000]}'
            self.fail(name, sent, self.shown(real, cls), self.shown(ours, cls))
        if ours.code == 0 and cls.DESCRIPTOR.name in WRITES:
            self.state.revision = max(self.state.revision, cls.FromString(ours.body).header.revision)
        return ours

    @contextlib.contextmanager
    def timed(self):
        """The same is asked of both servers: what they know of times differs by as long as that takes."""
        began = time.monotonic()
        yield
        self.known.apart = max(self.known.apart, time.monotonic() - began)

    def ours_alone(self, rule, name, request, expected):
        """What only 3.7 can be asked: the answer must be one of `expected`, pairs of code and text."""
        body = request if isinstance(request, bytes) else request.SerializeToString()
        answer = self.ours.unary('/' + full(name), body)
        self.known.used(rule)
        if (answer.code, answer.text) not in expected:
            self.fail(f'{name}, ours alone: {rule}', request, expected, self.shown(answer, self.response_class(name)))

    def barrier(self):
        """Compactions in the background have ended: a refused physical one waits for those before it."""
        if self.compacting:
            self.compacting = False
            self.unary('KV/Compact', self.rpc.CompactionRequest(revision=self.state.compacted, physical=True))

    # -- steps

    def step(self, seed):
        r = random.Random(seed)
        self.compression = grpc.Compression.Gzip if r.random() < GZIP else None
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
        elif self.old and (self.state.has_alarm(1) or self.state.quota) and \
                any(op.HasField('request_put') for op in every) and \
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

    def txn_is_safe(self, q):
        """Nothing in it that do_Txn would treat apart."""
        every = list(flat([*q.success, *q.failure]))
        return not may_panic(every) and not deletes_from_key(every) and not (self.old and self.state.alarms)

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

    def check_point(self):
        self.check_watches()
        self.do_hash_kv(None, self.rpc.HashKVRequest())

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
        self.unary(name, body.hex(), body)

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

    def do_invalid_sort(self, r, q):
        name = 'KV/Range'
        if r.random() < 0.3:
            name, q = 'KV/Txn', self.rpc.TxnRequest(success=[self.rpc.RequestOp(request_range=q)])
        if self.old:
            self.ours_alone('invalid sort', name, q, {(3, 'etcdserver: invalid sort option')})
        else:
            self.unary(name, q)

    def do_range_stream(self, _r, q):
        if self.old:
            self.merged_range_stream(q)
            return
        real, ours = (s.exchange('/etcdserverpb.KV/RangeStream', [q.SerializeToString()], self.rpc.RangeStreamResponse)
                      for s in self.sides)
        if q.sort_target and real[0] == ours[0] == 0:
            self.known.used('stream target')
            self.merged_range_stream(q)
            return
        if q.limit < 0 and real[0] == ours[0] == 0:
            real, ours = ((0, '', [self.rpc.RangeStreamResponse(range_response=whole_range(self.rpc, x[2]))])
                          for x in (real, ours))
            self.known.used('negative limit')
        if real != ours:
            self.fail('RangeStream', q, real, ours)
        if ours[0] == 0:
            self.merged_range_stream(q)

    def merged_range_stream(self, q):
        """All pieces together are what Range answers."""
        code, text, pieces = self.ours.exchange('/etcdserverpb.KV/RangeStream', [q.SerializeToString()],
                                                self.rpc.RangeStreamResponse)
        if self.old:
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
        whole = whole_range(self.rpc, pieces)
        if q.keys_only:
            for kv in whole.kvs:    # known with the target VALUE, for which Range was not asked
                kv.lease = 0
        ours = Answer(code, text, whole.SerializeToString() if code == 0 else b'')
        if not self.known.agree(q, self.rpc.RangeResponse, real, ours):
            self.fail('RangeStream', q, *(self.shown(x, self.rpc.RangeResponse) for x in (real, ours)))

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
        real_dump = self.programs['real'] / 'etcd-dump-db'
        if real_dump.exists():
            for s in self.sides:
                self.compare_dumps(dump, real_dump, str(s.data_file()))
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

    def compare_dumps(self, ours, real, file):
        """Both tools print all of a file alike."""
        def run(program, *args):
            return subprocess.run([str(program), *args], capture_output=True, check=True).stdout

        buckets = run(real, 'list-bucket', file)
        if buckets != run(ours, 'list-bucket', file):
            raise Difference(f'list-bucket {file}:\n{buckets}\n--- ours\n{run(ours, "list-bucket", file)}')
        for bucket in buckets.decode().split():
            for decode in ([], ['--decode']):
                a, b = (run(p, 'iterate-bucket', file, bucket, *decode) for p in (real, ours))
                if a != b:
                    raise Difference(f'iterate-bucket {file} {bucket} {decode}:\n{a[:500]}\n--- ours\n{b[:500]}')

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
