"""Answers larger than a message may be (2 GiB - 1): a store need not be large for that."""
import re

TXN_RANGES = 128
VALUES = 17


def test_an_answer_of_more_than_two_gibibytes(api):
    """A transaction that reads the same 17 MiB 128 times is refused in grpc-go's words, and the member goes on."""
    for i in range(VALUES):
        api.put(b'k%02d' % i, bytes(1 << 20))
    for method, fields in ('Txn', {}), ('Txn', {'compare': [api.compare(b'k00', 'version', '=', 1)]}):
        code, text = api.refused(method, success=[api.op('Range', key=b'k', prefix=True)] * TXN_RANGES, **fields)
        assert code == 'RESOURCE_EXHAUSTED'
        size = re.fullmatch(r'grpc: trying to send message larger than max \((\d+) vs\. 2147483647\)', text)
        assert size, text
        assert int(size[1]) > TXN_RANGES * VALUES << 20
    assert api.Range(key=b'k', prefix=True, count_only=True).count == VALUES
