"""A real etcd and ours side by side: unary calls, and watch streams whose answers gather in the background."""
import collections
import pathlib
import queue
import re
import subprocess
import sys
import threading
import time
import urllib.request

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'e2e'))
import conftest  # noqa: E402

CALL_SECONDS = 30
WATCH_SECONDS = 60          # on a busy machine; only a difference takes as long
# A pool of its own for each channel: two connections, so that calls and watches do not wake each other's threads.
OPTIONS = [('grpc.max_receive_message_length', -1), ('grpc.max_send_message_length', -1),
           ('grpc.use_local_subchannel_pool', 1)]

Answer = collections.namedtuple('Answer', 'code text body')  # body: the encoded message, b'' after an error


def version_of(folder):
    """(3, 7) of a folder of programs."""
    text = subprocess.run([str(folder / 'etcd'), '--version'], capture_output=True, text=True, check=True).stdout
    return tuple(map(int, re.search(r'etcd Version: (\d+)\.(\d+)', text).groups()))


def connect(endpoint):
    return grpc.insecure_channel(endpoint, options=OPTIONS)


class Side:
    """One of the two servers and a connection to it."""

    def __init__(self, name, program, folder, messages, flags=()):
        self.name, self.rpc = name, messages.rpc
        self.server = conftest.Server(program, folder / f'{name}.data', ['--log-level', 'warn', *flags],
                                      folder / f'{name}.log', None, messages)
        self.command = list(self.server.command)
        self.channel = self.streams = None

    def start(self):
        self.server.start(wait=False)
        self.server.command = list(self.command)

    def wait_until_ready(self):
        self.server.wait_for(self.serves, conftest.START_SECONDS)
        self.channel, self.streams = connect(self.server.endpoint), connect(self.server.endpoint)
        self.stubs = {}

    def serves(self):
        """Not by /health: with an alarm on that says no."""
        assert self.server.process.poll() is None, self.server.log_text()[-3000:]
        try:
            with urllib.request.urlopen(f'http://{self.server.endpoint}/version', timeout=2) as r:
                return r.status == 200
        except OSError:
            return False

    def disconnect(self):
        for channel in (self.channel, self.streams):
            if channel is not None:
                channel.close()

    def stop(self):
        self.disconnect()
        self.server.stop()

    def kill(self):
        self.disconnect()
        if self.server.process is not None and self.server.process.poll() is None:
            self.server.kill()

    def data_file(self):
        return self.server.data_dir / 'member/snap/db'

    def stub(self, path):
        stub = self.stubs.get(path)
        if stub is None:
            stub = self.stubs[path] = self.channel.unary_unary(path)
        return stub

    def unary(self, path, body, compression=None):
        try:
            return Answer(0, '', self.stub(path)(body, timeout=CALL_SECONDS, compression=compression))
        except grpc.RpcError as e:
            return Answer(e.code().value[0], e.details(), b'')

    def exchange(self, path, bodies, response):
        """Sends some messages on a stream of its own, half-closes it, and returns all that came back."""
        stub = self.streams.stream_stream(path)
        messages = []
        try:
            for body in stub(iter(bodies), timeout=CALL_SECONDS):
                messages.append(response.FromString(body))
            return 0, '', messages
        except grpc.RpcError as e:
            return e.code().value[0], e.details(), messages


    def begin(self, path, body):
        """A call that is waited for elsewhere."""
        return self.stub(path).future(body, timeout=CALL_SECONDS)

    def first(self, path, body, response):
        """The first answer of a stream, which is then given up."""
        call = self.streams.unary_stream(path)(body, timeout=CALL_SECONDS)
        try:
            return response.FromString(next(call))
        finally:
            call.cancel()

    def restart_with(self, *flags):
        """The flags of the next start only."""
        self.server.command = [*self.command, *flags]


class WatchStream:
    """One Watch call.  `log` holds every response that was not forgotten yet, in order."""

    def __init__(self, side):
        self.rpc, self.log, self.changed = side.rpc, [], threading.Condition()
        self.requests = queue.SimpleQueue()
        self.call = side.streams.stream_stream('/etcdserverpb.Watch/Watch')(iter(self.requests.get, None))
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        try:
            for body in self.call:
                response = self.rpc.WatchResponse.FromString(body)
                with self.changed:
                    self.log.append(response)
                    self.changed.notify_all()
        except grpc.RpcError as e:
            self.end = e.code(), e.details()

    def send(self, body):
        self.requests.put(body)

    def wait(self, condition, seconds=WATCH_SECONDS):
        """Waits until condition(log) holds; whether it came to hold."""
        with self.changed:
            return self.changed.wait_for(lambda: condition(self.log), seconds)

    def forget(self, n):
        """The first n responses of the log have been dealt with."""
        with self.changed:
            del self.log[:n]

    def close(self):
        self.call.cancel()
        self.requests.put(None)
        self.reader.join()


def flows(log):
    """What happened to each watch of a stream, without regard to how events were grouped into responses."""
    out = {}
    for r in log:
        # -1 is a watch of that id, and whatever concerns no watch: three things in no order among themselves.
        kind = 'watch' if r.watch_id != -1 else 'refused' if r.created else 'stream'
        flow = out.setdefault((r.watch_id, kind), [])
        if r.created or r.canceled:
            flow.append(('control', r.created, r.canceled, r.cancel_reason, r.compact_revision, r.header.revision))
        elif not r.events:
            flow.append(('progress', r.header.revision))
        for e in r.events:
            flow.append(('event', e.SerializeToString()))
    return out


def groups(log):
    """How events were grouped: for each watch the header revision and the number of events of every response."""
    out = {}
    for r in log:
        if r.events:
            out.setdefault(r.watch_id, []).append((r.header.revision, len(r.events), r.fragment))
    return out


class WatchPair:
    """The same Watch call on both servers."""

    def __init__(self, sides):
        self.streams = [WatchStream(s) for s in sides]
        self.ids = []           # watches believed to be there, oldest first
        self.past = set()       # of these, the ones that may still be catching up with the past
        self.slow = 0           # how often the real one delivered late

    def send(self, request):
        body = request.SerializeToString()
        for s in self.streams:
            s.send(body)

    def wait(self, condition):
        return all([s.wait(condition) for s in self.streams])

    def difference(self, seconds=WATCH_SECONDS):
        """Waits until both streams brought the same; None, or a text about what did not come to agree.

        What was compared and is equal is then forgotten, and no more than that: a response may come in on one side
        while the other side's is still under way.
        """
        end = time.monotonic() + seconds
        while True:
            seen = [list(s.log) for s in self.streams]
            a, b = map(flows, seen)
            if a == b:
                break
            if time.monotonic() > end:
                return self.describe(a, b)
            time.sleep(0.001)
        text = self.badly_grouped(*seen)
        if text is None:
            for s, log in zip(self.streams, seen):
                s.forget(len(log))
        return text

    @staticmethod
    def describe(a, b):
        lines = []
        for wid in sorted(set(a) | set(b)):
            x, y = a.get(wid, []), b.get(wid, [])
            if x != y:
                n = next((i for i, (p, q) in enumerate(zip(x, y)) if p != q), min(len(x), len(y)))
                lines.append(f'watch {wid}, item {n} of {len(x)}/{len(y)}:\n  real {x[n:n + 3]}\n  ours {y[n:n + 3]}')
        return '\n'.join(lines)

    def badly_grouped(self, real_log, our_log):
        """Watches that are not catching up get one response per revision, with that revision in its header."""
        real, ours = groups(real_log), groups(our_log)
        for wid, g in ours.items():
            if wid not in self.past and g != real.get(wid):
                if any(r.watch_id == wid and r.events and r.events[0].kv.mod_revision < r.header.revision
                       for r in real_log) and self.live(our_log, wid):
                    self.slow += 1
                    continue
                return f'watch {wid}, (header revision, events, fragment):\n  real {real.get(wid)}\n  ours {g}'
        for r in our_log:
            if r.events and r.header.revision < r.events[-1].kv.mod_revision:
                return f'watch {r.watch_id}: header older than its events: {r}'
        return None

    @staticmethod
    def live(log, wid):
        """Whether each response holds one revision, that of its header."""
        return all(e.kv.mod_revision == r.header.revision for r in log if r.watch_id == wid for e in r.events)

    def close(self):
        for s in self.streams:
            s.close()
