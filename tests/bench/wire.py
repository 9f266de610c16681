"""Just enough protobuf, gRPC and HTTP/2 to prepare data, look at single answers, and receive many events at little cost.

The load itself comes from h2load; what it cannot do (different keys, streams, looking at answers) is done here.
"""
import socket
import ssl
import struct

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM = ACK = 1
END_HEADERS = 4
WINDOW_MAX = 2**31 - 1
FRAME_BYTES_MAX = 16384
RECV_BYTES = 1 << 20


# ---- protobuf ----

def varint(n):
    out = b''
    while n >= 0x80:
        out += bytes([n & 0x7f | 0x80])
        n >>= 7
    return out + bytes([n])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def read_varint(b, i):
    value = shift = 0
    while True:
        value |= (b[i] & 0x7f) << shift
        shift += 7
        i += 1
        if b[i - 1] < 0x80:
            return value, i


def fields(b):
    """The fields of a message, in order, as (number, value); etcd's messages have varints and bytes only."""
    i = 0
    while i < len(b):
        tag, i = read_varint(b, i)
        value, i = read_varint(b, i)
        if tag & 7 == 2:
            value, i = bytes(b[i:i + value]), i + value
        yield tag >> 3, value


def pick(b, *path):
    """The last value at a path of field numbers; 0 where there is none."""
    for number in path:
        found = [v for n, v in fields(b) if n == number]
        if not found:
            return 0
        b = found[-1]
    return b


def grpc_message(message):
    return b'\0' + struct.pack('>I', len(message)) + message


# ---- requests that several cases use ----

def put(key, value):
    return field(1, key) + field(2, value)


def prefix(p, **more):
    """RangeRequest of all keys with this prefix; limit=, count_only=, keys_only=, serializable= as etcd names them."""
    end = p[:-1] + bytes([p[-1] + 1]) if p else b'\0'
    numbers = {'limit': 3, 'serializable': 7, 'keys_only': 8, 'count_only': 9}
    return field(1, p or b'\0') + field(2, end) + b''.join(field(numbers[k], int(v)) for k, v in more.items())


# ---- HTTP/2 ----

def frame(kind, flags, stream, payload=b''):
    return struct.pack('>HBBBI', len(payload) >> 8, len(payload) & 0xff, kind, flags, stream) + payload


def header_block(authority, path):
    """Literals without indexing: the server's header table stays empty, and so does ours."""
    pairs = [(':method', 'POST'), (':scheme', 'http'), (':path', path), (':authority', authority),
             ('content-type', 'application/grpc'), ('te', 'trailers')]
    return b''.join(b'\0' + b''.join(bytes([len(s)]) + s.encode() for s in pair) for pair in pairs)


class Connection:
    """One HTTP/2 connection.  Blocking; all that arrives passes through frames().  `ca`: over TLS, trusting this file."""

    def __init__(self, host, port, ca=None, timeout_s=600):
        self.sock = socket.create_connection((host, port), timeout=timeout_s)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if ca:
            context = ssl.create_default_context(cafile=ca)
            context.set_alpn_protocols(['h2'])
            self.sock = context.wrap_socket(self.sock, server_hostname=host)
        self.authority = f'{host}:{port}'
        self.window = self.first_stream_window = 65535
        self.next_stream = 1
        self.rest = b''
        self.unreported = 0
        self.blocks = {}
        self.sock.sendall(b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + frame(SETTINGS, 0, 0, struct.pack('>HI', 4, WINDOW_MAX))
                          + frame(WINDOW_UPDATE, 0, 0, struct.pack('>I', WINDOW_MAX - 65535)))

    def close(self):
        self.sock.close()

    def frames(self):
        """What one read brings, as (kind, flags, stream, payload), after the connection's own business is done."""
        got = self.sock.recv(RECV_BYTES)
        if not got:
            raise OSError('connection closed by the server')
        b, i, out = self.rest + got, 0, []
        while len(b) - i >= 9:
            high, low, kind, flags, stream = struct.unpack_from('>HBBBI', b, i)
            end = i + 9 + (high << 8 | low)
            if len(b) < end:
                break
            out.append((kind, flags, stream, b[i + 9:end]))
            i = end
        self.rest = b[i:]
        for kind, flags, stream, payload in out:
            self._housekeeping(kind, flags, stream, payload)
        return out

    def _housekeeping(self, kind, flags, stream, payload):
        if kind == DATA:
            self.unreported += len(payload)
            if self.unreported > WINDOW_MAX // 4:
                self.sock.sendall(frame(WINDOW_UPDATE, 0, 0, struct.pack('>I', self.unreported)))
                self.unreported = 0
        elif kind == WINDOW_UPDATE and stream == 0:
            self.window += struct.unpack('>I', payload)[0]
        elif kind == SETTINGS and not flags & ACK:
            self.sock.sendall(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self.sock.sendall(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            raise OSError('the server says goodbye: ' + repr(payload))

    def encode(self, method, message, end=True):
        """The frames of a new call, and its stream; the caller minds the window."""
        block = self.blocks.get(method)
        if block is None:
            block = self.blocks[method] = header_block(self.authority, '/etcdserverpb.' + method)
        body, stream = grpc_message(message), self.next_stream
        assert len(body) <= self.first_stream_window
        self.next_stream += 2
        self.window -= len(body)
        return stream, frame(HEADERS, END_HEADERS, stream, block) + self.data(stream, body, end)

    @staticmethod
    def data(stream, body, end):
        parts = [body[i:i + FRAME_BYTES_MAX] for i in range(0, len(body), FRAME_BYTES_MAX)]
        return b''.join(frame(DATA, int(end and i == len(parts) - 1), stream, p) for i, p in enumerate(parts))

    def send(self, stream, message):
        """One more message on an open stream."""
        body = grpc_message(message)
        while self.window < len(body):
            self.frames()
        self.window -= len(body)
        self.sock.sendall(self.data(stream, body, False))

    def open(self, method, message):
        stream, out = self.encode(method, message, end=False)
        self.sock.sendall(out)
        return stream

    def call(self, method, message):
        """The answer of a unary call, or None: the server refused it."""
        while self.window < len(message) + 5:
            self.frames()
        stream, out = self.encode(method, message)
        self.sock.sendall(out)
        body = b''
        while True:
            for kind, flags, number, payload in self.frames():
                if number != stream:
                    continue
                if kind == DATA:
                    body += payload
                if kind == RST_STREAM or flags & END_STREAM and kind in (DATA, HEADERS):
                    return body[5:] if body else None

    def call_many(self, method, messages, outstanding=200):
        """Unary calls, many at a time, answers dropped.  Returns how many there were."""
        waiting = n = 0
        for message in messages:
            out = []
            while waiting >= outstanding or self.window < len(message) + 5:
                waiting -= self._ended()
            out.append(self.encode(method, message)[1])
            self.sock.sendall(b''.join(out))
            waiting += 1
            n += 1
        while waiting > 0:
            waiting -= self._ended()
        return n

    def _ended(self):
        return sum(1 for kind, flags, _, _ in self.frames() if kind == RST_STREAM or kind == HEADERS and flags & END_STREAM)
