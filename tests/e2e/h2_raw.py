"""HTTP/2 by hand: frames as bytes, for tests that send what no library would."""
import socket
import struct

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
ENHANCE_YOUR_CALM = 11
FRAME_BYTES = 16384
PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'


def frame(kind, flags=0, stream=0, payload=b''):
    return struct.pack('>I', len(payload))[1:] + struct.pack('>BBI', kind, flags, stream) + payload


def settings(**values):
    """header_table_size=1, initial_window_size=4, ..."""
    ids = {'header_table_size': 1, 'max_concurrent_streams': 3, 'initial_window_size': 4, 'max_frame_size': 5}
    return frame(SETTINGS, payload=b''.join(struct.pack('>HI', ids[k], v) for k, v in values.items()))


def integer(n, bits, first=0):
    """HPACK's integers (RFC 7541 5.1)."""
    full = (1 << bits) - 1
    if n < full:
        return bytes([first | n])
    out, n = [first | full], n - full
    while n >= 128:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes([*out, n])


def field(name, value, indexed=False):
    """A literal field; `indexed`: to be remembered by the other side."""
    name, value = name.encode(), value.encode() if isinstance(value, str) else value
    return bytes([0x40 if indexed else 0]) + integer(len(name), 7) + name + integer(len(value), 7) + value


def known(index):
    """A field of the tables: 62 is the one remembered last."""
    return integer(index, 7, 0x80)


def request_head(path, *more):
    return b''.join([field(':method', 'POST'), field(':scheme', 'http'), field(':path', path), field(':authority', 'x'),
                     field('content-type', 'application/grpc'), field('te', 'trailers'), *more])


def message(payload):
    return b'\0' + struct.pack('>I', len(payload)) + payload


def varint(n):
    """Protocol Buffers' integers."""
    out = []
    while n >= 128:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes([*out, n])


def request(stream, path, payload, *more):
    """A whole unary call."""
    body = message(payload)
    parts = [body[i:i + FRAME_BYTES] for i in range(0, len(body), FRAME_BYTES)]
    return frame(HEADERS, END_HEADERS, stream, request_head(path, *more)) + \
        b''.join(frame(DATA, 0, stream, p) for p in parts[:-1]) + frame(DATA, END_STREAM, stream, parts[-1])


class Connection:
    """A socket that has said its preface."""

    def __init__(self, port, first=frame(SETTINGS), timeout=30):
        self.s = socket.create_connection(('127.0.0.1', port), timeout)
        self.s.sendall(PREFACE + first)
        self.rest = b''
        self.goaway = None  # (error, text), once it came
        self.ended = False

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.s.close()

    def send(self, data):
        """False: the other side takes no more."""
        try:
            self.s.sendall(data)
            return True
        except OSError:
            self.ended = True
            return False

    def frames(self):
        """All that come until the connection ends or nothing more comes for the time-out: (kind, flags, stream, payload)."""
        while True:
            while len(self.rest) >= 9:
                n = int.from_bytes(self.rest[:3], 'big')
                if len(self.rest) < 9 + n:
                    break
                kind, flags, stream = struct.unpack('>BBI', self.rest[3:9])
                payload, self.rest = self.rest[9:9 + n], self.rest[9 + n:]
                if kind == GOAWAY:
                    self.goaway = (int.from_bytes(payload[4:8], 'big'), payload[8:].decode())
                yield kind, flags, stream, payload
            try:
                part = self.s.recv(1 << 20)
            except TimeoutError:
                return
            except OSError:
                part = b''
            if not part:
                self.ended = True
                return
            self.rest += part

    def read_to_the_end(self):
        for _ in self.frames():
            pass
        return self.goaway
