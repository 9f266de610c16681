"""Steps on watch streams, and the comparison of what they bring."""
import pair
from common import Difference, show

WATCHES_MAX = 6             # on one stream


class WatchSteps:
    """Part of a Run."""

    def check_watches(self):
        for n, w in enumerate(self.watches):
            text = w.difference()
            for _ in range(w.slow):
                self.known.used('slow watch')
            w.slow = 0
            if text:
                raise Difference(f'watch stream {n}\n{text}')

    def catch_up(self):
        """A real etcd looks after watches that start in the past every 100 ms, all of them at once: one that was
        created last, on a stream of its own, has got its events when all the others have."""
        q = self.rpc.WatchCreateRequest(key=b'\0', range_end=b'\0', start_revision=self.state.revision)
        w = self.sentinel
        if self.state.revision > 1:
            w.send(self.rpc.WatchRequest(create_request=q))
            self.answered(w, lambda: None, lambda m: m.events, 0)
        created = [m.watch_id for m in w.streams[0].log if m.created]
        for watch_id in created:
            w.send(self.rpc.WatchRequest(cancel_request=self.rpc.WatchCancelRequest(watch_id=watch_id)))
            self.answered(w, lambda: None, lambda m: m.canceled, 0)
        for s in w.streams:
            s.forget(len(s.log))

    def settle(self):
        """Nothing is under way: watches have caught up, events have arrived."""
        if any(w.past for w in self.watches):
            self.catch_up()
        self.check_watches()
        for w in self.watches:
            w.past.clear()

    def answered(self, w, send, counted, before=None):
        """Sends something on a pair of streams and waits until both have one more response that `counted` counts."""
        before = [sum(1 for m in list(s.log) if counted(m)) for s in w.streams] if before is None else [before] * 2
        send()
        for s, n in zip(w.streams, before):
            if not s.wait(lambda log: sum(1 for m in log if counted(m)) > n):
                raise Difference(f'{s.call} brings no answer; the last responses:\n{show(w.streams[0].log[-3:])}\n'
                                 f'--- ours\n{show(w.streams[1].log[-3:])}')

    def marker(self, w):
        """Makes sure that everything sent before was looked at: a watch on an empty range is refused at once."""
        q = self.rpc.WatchRequest(create_request=self.rpc.WatchCreateRequest(key=b'b', range_end=b'a'))
        self.answered(w, lambda: w.send(q), lambda r: r.created and r.watch_id == -1)
        # Ours hands such requests on to the thread that applies; this one is answered there, behind them.
        self.unary('Lease/LeaseTimeToLive', self.rpc.LeaseTimeToLiveRequest(ID=77))

    def do_watch(self, r, q):
        w = r.choice(self.watches)
        while len(w.ids) >= WATCHES_MAX:
            self.cancel(w, w.ids[0])
        self.answered(w, lambda: w.send(self.rpc.WatchRequest(create_request=q)), lambda m: m.created)
        created = [m for m in w.streams[1].log if m.created][-1]
        if created.canceled:
            return
        w.ids.append(created.watch_id)
        if 0 < q.start_revision <= self.state.revision:
            w.past.add(created.watch_id)
        if 0 < q.start_revision < self.state.compacted:
            for s in w.streams:
                if not s.wait(lambda log: any(m.compact_revision and m.watch_id == created.watch_id for m in log)):
                    raise Difference(f'a watch from a compacted revision is not cancelled:\n{q}')
            w.ids.remove(created.watch_id)
            self.cancel_compacted(w.streams[0], created.watch_id)

    def cancel_compacted(self, stream, watch_id):
        q = self.rpc.WatchRequest(cancel_request=self.rpc.WatchCancelRequest(watch_id=watch_id))

        def answers(log):
            return [m for m in log
                    if m.watch_id == watch_id and m.canceled and not m.created and not m.compact_revision]

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
