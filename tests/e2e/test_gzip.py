"""Requests compressed with gzip, by grpcio: answers come compressed, and what inflates too far is refused."""
import grpc
import pytest

MIB = 1 << 20


@pytest.fixture
def call(server):
    """A function that calls one method with compressed messages."""
    options = [('grpc.max_receive_message_length', -1)]
    channel = grpc.insecure_channel(server.endpoint, compression=grpc.Compression.Gzip, options=options)

    def of(method, kind='unary_unary'):
        request, response = server.messages.of(method)
        made = getattr(channel, kind)('/' + method, request_serializer=lambda m: m.SerializeToString(),
                                      response_deserializer=response.FromString)
        return made, request

    yield of
    channel.close()


def test_put_and_range(call):
    """Values come back, small ones, and answers so long that they leave in pieces or uncompressed."""
    put, put_request = call('etcdserverpb.KV/Put')
    get, range_request = call('etcdserverpb.KV/Range')
    for n in (0, 1, 100, 20000, MIB):
        value = b'0123456789abcdef' * (n // 16) + b'x' * (n % 16)
        put(put_request(key=b'k%d' % n, value=value))
        assert get(range_request(key=b'k%d' % n)).kvs[0].value == value
    everything = get(range_request(key=b'k', range_end=b'l')).kvs
    assert sum(len(kv.value) for kv in everything) == 20101 + MIB


def test_bomb(call):
    """A message below the limit that inflates above it is refused in grpc-go's words; the member goes on."""
    put, request = call('etcdserverpb.KV/Put')
    with pytest.raises(grpc.RpcError) as e:
        put(request(key=b'bomb', value=bytes(200 * MIB)))
    assert e.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert e.value.details() == 'grpc: received message after decompression larger than max 2097152'
    put(request(key=b'a', value=b'b'))


def test_watch(call):
    """A stream is compressed message by message, both ways."""
    put, put_request = call('etcdserverpb.KV/Put')
    for i in range(50):
        put(put_request(key=b'w', value=b'v' * 3000))
    watch, request = call('etcdserverpb.Watch/Watch', 'stream_stream')
    stream = watch(iter([request(create_request={'key': b'w', 'start_revision': 2})]))
    seen = []
    for m in stream:
        seen += m.events
        if len(seen) == 50:
            break
    stream.cancel()
    assert [e.kv.version for e in seen] == list(range(1, 51))
