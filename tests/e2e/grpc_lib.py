"""The gRPC API in tests: calls by name, streams that are read in the background, refusals as values."""
import queue
import threading

import grpc

OPTIONS = [('grpc.max_receive_message_length', -1), ('grpc.max_send_message_length', -1),
           ('grpc.use_local_subchannel_pool', 1), ('grpc.initial_reconnect_backoff_ms', 50),
           ('grpc.max_reconnect_backoff_ms', 200)]
SERVICES = {
    'KV': 'Range RangeStream Put DeleteRange Txn Compact',
    'Watch': 'Watch',
    'Lease': 'LeaseGrant LeaseRevoke LeaseKeepAlive LeaseTimeToLive LeaseLeases',
    'Maintenance': 'Alarm Status Defragment Hash HashKV Snapshot',
    'Cluster': 'MemberList',
}
PATHS = {m: f'/etcdserverpb.{s}/{m}' for s, methods in SERVICES.items() for m in methods.split()}
REQUESTS = {'Compact': 'CompactionRequest', 'RangeStream': 'RangeRequest'}
RESPONSES = {'Compact': 'CompactionResponse'}


class Api:
    """One connection; each method takes the fields of its request: api.Put(key=b'a', value=b'b').

    Range ends: end=b'z', prefix=True, from_key=True instead of range_end."""

    def __init__(self, server):
        self.server, self.rpc = server, server.messages.rpc
        self.channel = grpc.insecure_channel(server.endpoint, options=OPTIONS)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def request(self, method, fields):
        return getattr(self.rpc, REQUESTS.get(method, method + 'Request'))(**ranged(fields))

    def response(self, method):
        return getattr(self.rpc, RESPONSES.get(method, method + 'Response')).FromString

    def __getattr__(self, method):
        if method not in PATHS:
            raise AttributeError(method)
        call = self.channel.unary_unary(PATHS[method], response_deserializer=self.response(method))
        return lambda timeout=60, **fields: call(self.request(method, fields).SerializeToString(), timeout=timeout)

    def future(self, method, timeout=60, **fields):
        call = self.channel.unary_unary(PATHS[method], response_deserializer=self.response(method))
        return call.future(self.request(method, fields).SerializeToString(), timeout=timeout)

    def chunks(self, method, timeout=60, **fields):
        """The messages of a call that streams its answer."""
        call = self.channel.unary_stream(PATHS[method], response_deserializer=self.response(method))
        return call(self.request(method, fields).SerializeToString(), timeout=timeout)

    def merged(self, **fields):
        """A RangeStream's pieces as one RangeResponse."""
        whole = self.rpc.RangeResponse()
        for piece in self.chunks('RangeStream', **fields):
            whole.MergeFrom(piece.range_response)
        return whole

    def refused(self, method, **fields):
        """Code and text of a call that must fail."""
        try:
            getattr(self, method)(**fields)
        except grpc.RpcError as e:
            return e.code().name, e.details()
        raise AssertionError(f'{method} {fields} was not refused')

    def put(self, key, value=b'v', **fields):
        """The revision of the put."""
        return self.Put(key=key, value=value, **fields).header.revision

    def op(self, method, **fields):
        """An operation of a transaction: method is Range, Put, DeleteRange or Txn."""
        name = {'Range': 'range', 'Put': 'put', 'DeleteRange': 'delete_range', 'Txn': 'txn'}[method]
        return self.rpc.RequestOp(**{'request_' + name: self.request(method, fields)})

    def compare(self, key, target, result, value, **fields):
        """compare(b'k', 'version', '>', 0): value, version, create, mod or lease, against a number or bytes."""
        c = self.rpc.Compare
        field = {'create': 'create_revision', 'mod': 'mod_revision'}.get(target, target)
        results = {'=': c.EQUAL, '!=': c.NOT_EQUAL, '>': c.GREATER, '<': c.LESS}
        return c(key=key, target=getattr(c, target.upper()), result=results[result], **{field: value}, **ranged(
            dict(fields, key=key), 'key'))

    def watch(self):
        return Stream(self, 'Watch')

    def keep_alive(self):
        return Stream(self, 'LeaseKeepAlive')


def ranged(fields, *drop):
    fields = dict(fields)
    if 'end' in fields:
        fields['range_end'] = fields.pop('end')
    if fields.pop('prefix', False):
        fields['range_end'] = prefix_end(fields.get('key', b''))
        fields['key'] = fields.get('key') or b'\0'
    if fields.pop('from_key', False):
        fields['range_end'] = b'\0'
        fields['key'] = fields.get('key') or b'\0'
    for name in drop:
        fields.pop(name, None)
    return fields


def prefix_end(key):
    key = key.rstrip(b'\xff')
    return key[:-1] + bytes([key[-1] + 1]) if key else b'\0'


class Stream:
    """A call that streams both ways.  Responses are read in the background and taken in order."""

    def __init__(self, api, method):
        self.rpc, self.requests, self.arrived = api.rpc, queue.SimpleQueue(), queue.SimpleQueue()
        self.end = None
        stub = api.channel.stream_stream(PATHS[method], response_deserializer=api.response(method))
        self.call = stub(iter(self.requests.get, None))
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        try:
            for response in self.call:
                self.arrived.put(response)
        except grpc.RpcError as e:
            self.end = e.code().name, e.details()
        self.arrived.put(None)

    def send(self, request):
        self.requests.put(request.SerializeToString())

    def next(self, seconds=60):
        """The next response; None at the end of the stream."""
        return self.arrived.get(timeout=seconds)

    def silent(self, seconds=0.2):
        """Whether nothing comes for a while."""
        try:
            return self.arrived.get(timeout=seconds) is None
        except queue.Empty:
            return True

    def create(self, **fields):
        """Creates a watch and returns its created response, which must be the next."""
        self.ask(**fields)
        r = self.next()
        assert r is not None, self.end
        assert r.created, r
        return r

    def ask(self, **fields):
        self.send(self.rpc.WatchRequest(create_request=self.rpc.WatchCreateRequest(**ranged(fields))))

    def cancel_watch(self, watch_id):
        self.send(self.rpc.WatchRequest(cancel_request=self.rpc.WatchCancelRequest(watch_id=watch_id)))

    def progress(self):
        self.send(self.rpc.WatchRequest(progress_request=self.rpc.WatchProgressRequest()))

    def events(self, n, seconds=60):
        """The next n events, of however many responses; more than n is a failure."""
        out = []
        while len(out) < n:
            r = self.next(seconds)
            assert r is not None, self.end
            assert not r.canceled, r
            out += r.events
        assert len(out) == n, out
        return out

    def close(self):
        self.call.cancel()
        self.requests.put(None)
        self.reader.join(10)


def shown(events):
    """Events as tuples: PUT or DELETE, key, value, mod revision."""
    return [('DELETE' if e.type else 'PUT', e.kv.key, e.kv.value, e.kv.mod_revision) for e in events]
