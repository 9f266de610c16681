"""Messages encoded as no client does it, and damaged ones."""


def hex_of(number):
    """As Go's %x writes a signed number."""
    return (b'-%x' if number < 0 else b'%x') % abs(number)


def varint(n):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7f | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def long_varint(n, length):
    """In more bytes than it needs."""
    out = bytearray(varint(n))
    while len(out) < length:
        out[-1] |= 0x80
        out.append(0)
    return bytes(out)


def fields(body):
    """The pieces of an encoded message, one for each field of its own."""
    at, out = 0, []

    def number():
        nonlocal at
        n = shift = 0
        while True:
            n |= (body[at] & 0x7f) << shift
            shift += 7
            at += 1
            if body[at - 1] < 0x80:
                return n

    while at < len(body):
        start, tag = at, number()
        if tag & 7 == 0:
            number()
        else:
            length = number()
            at += length
        out.append(body[start:at])
    return out


def value(r, wire_type, depth=0):
    if wire_type == 0:
        return varint(r.choice([0, 1, 7, 300, (1 << 63), (1 << 64) - 1]))
    if wire_type == 1:
        return bytes(r.randrange(256) for _ in range(8))
    if wire_type == 2:
        return r.choice([b'\0', b'\2ab', b'\1\xff'])
    if wire_type == 5:
        return b'\1\2\3\4'
    return b''.join(some_field(r, r.choice([0, 1, 2, 5] + [3] * (depth < 3)), r.randrange(1, 40), depth + 1)
                    for _ in range(r.randrange(3)))


def some_field(r, wire_type, number, depth=0):
    end = varint(number << 3 | 4) if wire_type == 3 else b''
    return varint(number << 3 | wire_type) + value(r, wire_type, depth) + end


def encode(r, message):
    """Bytes, and whether every version of protobuf reads them as it reads the message's own (or refuses them)."""
    pieces = fields(message.SerializeToString())
    kind = r.randrange(9)
    at = r.randrange(len(pieces) + 1)
    if kind == 0:       # fields that nobody knows
        pieces.insert(at, some_field(r, r.choice([0, 1, 2, 5, 3]), r.choice([100, 1000, 20000, (1 << 29) - 1])))
    elif kind == 1:     # fields that come twice: the last one counts, messages are merged
        pieces += r.sample(pieces, r.randrange(len(pieces) + 1))
    elif kind == 2:     # another order
        r.shuffle(pieces)
    elif kind == 3:     # known numbers, any wire type
        pieces.insert(at, some_field(r, r.choice([0, 1, 2, 5, 3]), r.randrange(1, 14)))
        return b''.join(pieces), False
    elif kind == 4:     # long tags
        pieces = [long_varint(p[0], r.randrange(2, 10)) + p[1:] if p[0] < 0x80 and r.random() < 0.5 else p
                  for p in pieces]
        return b''.join(pieces), False
    elif kind == 5:     # cut off
        body = b''.join(pieces)
        return body[:r.randrange(len(body) + 1)], False
    elif kind == 6:     # a bit is wrong
        body = bytearray(b''.join(pieces))
        if body:
            body[r.randrange(min(len(body), 40))] ^= 1 << r.randrange(8)
        return bytes(body), False
    elif kind == 7:     # what cannot be
        pieces.insert(at, r.choice([b'\x07', b'\x06', b'\x00\x01', b'\x0c', b'\xfc\x01', b'\x0b',
                                    b'\x80\x80\x80\x80\x10\x01', b'\xff' * 10 + b'\x01',
                                    b'\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f']))
        return b''.join(pieces), False
    return b''.join(pieces), True
