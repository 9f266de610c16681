"""A small OpenTelemetry collector: takes OTLP over gRPC and keeps the spans as plain values.

The messages are decoded by hand, so that what is on the wire is what the tests see: nothing of the project encodes or decodes
here. Field numbers: opentelemetry.io, proto/trace/v1 and proto/common/v1."""
import collections
import concurrent.futures
import pathlib
import struct
import sys
import threading
import time

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'bench'))

from wire import read_varint  # noqa: E402

EXPORT = '/opentelemetry.proto.collector.trace.v1.TraceService/Export'
KINDS = {0: 'unspecified', 1: 'internal', 2: 'server', 3: 'client'}

Span = collections.namedtuple('Span', 'trace span parent state flags name kind start end attributes events status resource scope')
Event = collections.namedtuple('Event', 'name time attributes')


def fields(b):
    """All fields of a message as {number: [values]}."""
    out, i = collections.defaultdict(list), 0
    while i < len(b):
        tag, i = read_varint(b, i)
        kind = tag & 7
        if kind == 0:
            value, i = read_varint(b, i)
        elif kind == 1:
            value, i = struct.unpack_from('<Q', b, i)[0], i + 8
        elif kind == 5:
            value, i = struct.unpack_from('<I', b, i)[0], i + 4
        else:
            assert kind == 2, f'wire type {kind}'
            n, i = read_varint(b, i)
            assert i + n <= len(b), 'a field ends behind its message'
            value, i = b[i:i + n], i + n
        out[tag >> 3].append(value)
    return out


def one(f, number, default=b''):
    assert len(f[number]) <= 1, f'field {number} is there {len(f[number])} times'
    return f[number][0] if f[number] else default


def any_value(b):
    f = fields(b)
    assert sum(map(len, f.values())) == 1, 'an AnyValue has exactly one value'
    (number, (value,)), = ((n, v) for n, v in f.items() if v)
    if number == 1:
        return value.decode()
    if number == 2:
        return bool(value)
    assert number == 3, f'a value of kind {number}'
    return value - (1 << 64) if value >> 63 else value


def attributes(messages):
    """In order, as a dict: no key is there twice."""
    pairs = [(one(f, 1).decode(), any_value(one(f, 2))) for f in map(fields, messages)]
    assert len(dict(pairs)) == len(pairs), pairs
    return dict(pairs)


def span_of(b, resource, scope):
    f = fields(b)
    status = fields(one(f, 15))
    events = [Event(one(e, 2).decode(), one(e, 1), attributes(e[3])) for e in map(fields, f[11])]
    assert len(one(f, 1)) == 16 and len(one(f, 2)) == 8 and len(one(f, 4)) in (0, 8)
    return Span(one(f, 1).hex(), one(f, 2).hex(), one(f, 4).hex(), one(f, 3).decode(), one(f, 16, 0), one(f, 5).decode(),
                KINDS[one(f, 6, 0)], one(f, 7, 0), one(f, 8, 0), attributes(f[9]), events,
                (one(status, 3, 0), one(status, 2).decode()), resource, scope)


def spans_of(request):
    """The spans of an ExportTraceServiceRequest."""
    for r in map(fields, fields(request)[1]):
        resource = attributes(fields(one(r, 1))[1]), one(r, 3).decode()
        for s in map(fields, r[2]):
            named = fields(one(s, 1))
            scope = one(named, 1).decode(), one(named, 2).decode(), one(s, 3).decode()
            yield from (span_of(b, resource, scope) for b in s[2])


class Collector:
    """Listens on a port of 127.0.0.1; `answer` may be replaced: a function (request, context) that runs for each batch."""

    def __init__(self, port=0):
        self.port, self.server = port, None
        self.batches, self.metadata, self.changed = [], [], threading.Condition()
        self.answer = lambda request, context: b''
        self.start()

    def start(self):
        export = grpc.unary_unary_rpc_method_handler(self.export)
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(4), options=[('grpc.so_reuseport', 0)])
        service, method = EXPORT[1:].split('/')
        self.server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {method: export})])
        self.port = self.server.add_insecure_port(f'127.0.0.1:{self.port}')
        self.server.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.server.stop(0).wait()

    @property
    def address(self):
        return f'127.0.0.1:{self.port}'

    def export(self, request, context):
        answer = self.answer(request, context)
        with self.changed:
            self.batches.append(list(spans_of(request)))
            self.metadata.append(dict(context.invocation_metadata()))
            self.changed.notify_all()
        return answer

    @property
    def spans(self):
        with self.changed:
            return [s for b in self.batches for s in b]

    def wait(self, condition, seconds=60):
        """The spans, as soon as condition(spans) is true of them."""
        end = time.monotonic() + seconds
        with self.changed:
            while True:
                spans = [s for b in self.batches for s in b]
                if condition(spans):
                    return spans
                left = end - time.monotonic()
                assert left > 0, f'not so after {seconds} seconds; there are {[s.name for s in spans]}'
                self.changed.wait(left)

    def named(self, name, n=1, seconds=60):
        """The spans of a name, as soon as there are n of them."""
        return [s for s in self.wait(lambda spans: sum(s.name == name for s in spans) >= n, seconds) if s.name == name]
