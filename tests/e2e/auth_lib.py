"""Calls in somebody's name: any RPC by its name, with a token, and what came of it as a value."""
import grpc

ROOT_PERM = dict(permType=2, key=b'\0', range_end=b'\0')


class Caller:
    """One connection.  Each call says who calls: a token, or None."""

    def __init__(self, server, credentials=None):
        self.server = server
        options = [('grpc.use_local_subchannel_pool', 1), ('grpc.initial_reconnect_backoff_ms', 50),
                   ('grpc.max_reconnect_backoff_ms', 200)]
        self.channel = grpc.insecure_channel(server.endpoint, options=options) if credentials is None else \
            grpc.secure_channel(server.endpoint, credentials, options=options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def callable(self, method, kind='unary_unary'):
        service, name = method.split('/')
        if service == 'etcdserverpb.Auth':
            stem = name if name.startswith('Auth') else 'Auth' + name
            request = getattr(self.server.messages.rpc, stem + 'Request')
            response = getattr(self.server.messages.rpc, stem + 'Response')
        elif name == 'RangeStream':
            request, response = self.server.messages.rpc.RangeRequest, self.server.messages.rpc.RangeStreamResponse
        else:
            request, response = self.server.messages.of(method)
        call = getattr(self.channel, kind)('/' + method, request_serializer=request.SerializeToString,
                                           response_deserializer=response.FromString)
        return call, request

    def call(self, method, token=None, timeout=30, header='token', **fields):
        """The answer of a unary call, or of the first message of one that streams its answers."""
        kind = 'unary_stream' if method.split('/')[1] in ('Snapshot', 'RangeStream', 'Observe') else 'unary_unary'
        call, request = self.callable(method, kind)
        answer = call(request(**fields), timeout=timeout, metadata=metadata(token, header))
        if kind == 'unary_unary':
            return answer
        first = next(iter(answer))
        answer.cancel()
        return first

    def outcome(self, method, token=None, header='token', **fields):
        """('OK', '') or code and text."""
        try:
            self.call(method, token, header=header, **fields)
        except grpc.RpcError as e:
            return e.code().name, e.details()
        return 'OK', ''

    def stream(self, method, token, message, timeout=30):
        """The first answer of a stream to one message, or code and text."""
        call, request = self.callable(method, 'stream_stream')
        answers = call(iter([request(**message)]), timeout=timeout, metadata=metadata(token, 'token'))
        try:
            return next(iter(answers))
        except grpc.RpcError as e:
            return e.code().name, e.details()
        finally:
            answers.cancel()

    def watch(self, token, **create):
        """('OK', '') or ('canceled', reason) of a creation; anything else is the stream's own end."""
        create_request = self.server.messages.rpc.WatchCreateRequest(**create)
        got = self.stream_open('etcdserverpb.Watch/Watch', token, dict(create_request=create_request))
        if isinstance(got, tuple):
            return got
        return ('canceled', got.cancel_reason) if got.canceled else ('OK', '')

    def stream_open(self, method, token, message, timeout=30):
        """As stream, but the client says nothing more without hanging up."""
        import queue
        call, request = self.callable(method, 'stream_stream')
        said = queue.Queue()
        said.put(request(**message))
        answers = call(iter(said.get, None), timeout=timeout, metadata=metadata(token, 'token'))
        try:
            return next(iter(answers))
        except grpc.RpcError as e:
            return e.code().name, e.details()
        finally:
            said.put(None)
            answers.cancel()

    def login(self, name, password='pw'):
        return self.call('etcdserverpb.Auth/Authenticate', name=name, password=password).token

    def auth(self, rpc, token=None, **fields):
        return self.call('etcdserverpb.Auth/' + rpc, token, **fields)

    def user(self, name, *roles, token=None, password='pw', **fields):
        self.auth('UserAdd', token, name=name, password=password, **fields)
        for role in roles:
            self.auth('UserGrantRole', token, user=name, role=role)

    def role(self, name, *perms, token=None):
        self.auth('RoleAdd', token, name=name)
        for perm in perms:
            self.auth('RoleGrantPermission', token, name=name, perm=perm)


def metadata(token, header):
    return None if token is None else [(header, token)]


def turn_on(caller):
    """Root with the password `pw`, and authentication on; root's token."""
    caller.user('root', 'root')
    caller.auth('AuthEnable')
    return caller.login('root')
