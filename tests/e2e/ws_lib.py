"""A WebSocket client (RFC 6455) of a few lines, which can also break the rules."""
import base64
import hashlib
import os
import socket
import struct

GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class WebSocket:
    def __init__(self, port, path, headers=(), method='GET', timeout=60):
        self.socket = socket.create_connection(('127.0.0.1', port), timeout)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f'{method} {path} HTTP/1.1', 'Host: x', 'Connection: keep-alive, Upgrade', 'Upgrade: WebSocket',
                 'Sec-WebSocket-Version: 13', f'Sec-WebSocket-Key: {key}', *headers]
        self.socket.sendall('\r\n'.join(lines + ['', '']).encode())
        self.file = self.socket.makefile('rb')
        self.status = int(self.file.readline().split()[1])
        self.fields = {}
        while (line := self.file.readline().decode().strip()):
            name, value = line.split(': ', 1)
            self.fields[name.lower()] = value
        if self.status == 101:
            want = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
            assert self.fields['sec-websocket-accept'] == want

    def send_frame(self, op, data=b'', last=True, mask=True, reserved=0):
        head = bytes([(0x80 if last else 0) | reserved << 4 | op])
        n, bit = len(data), 0x80 if mask else 0
        head += bytes([bit | n]) if n < 126 else bytes([bit | 126]) + struct.pack('>H', n) if n < 1 << 16 \
            else bytes([bit | 127]) + struct.pack('>Q', n)
        if mask:
            key = os.urandom(4)
            head += key
            data = bytes(b ^ key[i % 4] for i, b in enumerate(data))
        self.socket.sendall(head + data)

    def send(self, text):
        self.send_frame(TEXT, text.encode())

    def frame(self):
        """(opcode, last, payload); None at the end of the connection."""
        head = self.file.read(2)
        if len(head) < 2:
            return None
        assert head[1] & 0x80 == 0, 'a server does not mask'
        n = head[1] & 0x7f
        if n >= 126:
            n = int.from_bytes(self.file.read(2 if n == 126 else 8), 'big')
        return head[0] & 0x0f, head[0] & 0x80 != 0, self.file.read(n)

    def recv(self):
        """The text of a whole message; None when the server closes."""
        text, op = b'', None
        while True:
            f = self.frame()
            if f is None or f[0] == CLOSE:
                return None
            if f[0] in (PING, PONG):
                continue
            assert (op is None) == (f[0] != 0)
            op, text = f[0] or op, text + f[2]
            if f[1]:
                assert op == TEXT
                return text.decode()

    def close(self):
        self.file.close()
        self.socket.close()
