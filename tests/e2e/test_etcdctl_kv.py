"""etcdctl put, get, del, txn and compaction: outputs and errors as etcdctl 3.7.1 was recorded."""
import pytest

from etcdctl_lib import Ctl, mask


@pytest.fixture
def ctl(server):
    return Ctl(server.ctl_path, server.endpoint)


HEAD = '{"header":{"cluster_id":N,"member_id":N,"revision":%d,"raft_term":N}'
FIELDS = '"ClusterID" : N\n"MemberID" : N\n"Revision" : %d\n"RaftTerm" : N\n'


def kv_fields(prefix, key, create, mod, version, value):
    return (f'"{prefix}Key" : "{key}"\n"{prefix}CreateRevision" : {create}\n"{prefix}ModRevision" : {mod}\n'
            f'"{prefix}Version" : {version}\n"{prefix}Value" : "{value}"\n"{prefix}Lease" : 0\n')


def test_put_in_every_format(ctl):
    """A put prints OK, its header, the previous pair, or its message; a table is refused after the write."""
    assert ctl('put', 'foo', 'bar') == 'OK\n'
    assert mask(ctl('put', 'foo', 'bar', '-w', 'json')) == HEAD % 3 + '}\n'
    assert mask(ctl('put', 'foo', 'bar', '-w', 'fields')) == FIELDS % 4
    ctl.fails(4, 'Error: table not supported as output format\n', 'put', 'foo', 'bar2', '-w', 'table')
    assert ctl('put', 'foo', 'bar3', '--prev-kv') == 'OK\nfoo\nbar2\n'
    assert mask(ctl('put', 'foo', 'bar4', '--prev-kv', '-w', 'json')) == (
        HEAD % 7 + ',"prev_kv":{"key":"Zm9v","create_revision":2,"mod_revision":6,"version":5,"value":"YmFyMw=="}}\n')
    assert mask(ctl('put', 'foo', 'bar5', '--prev-kv', '-w', 'fields')) == (
        FIELDS % 8 + kv_fields('Prev', 'foo', 2, 7, 6, 'bar4'))
    assert ctl('put', 'foo', 'x', '--prev-kv', '--hex') == 'OK\n\\x66\\x6f\\x6f\n\\x62\\x61\\x72\\x35\n'
    assert ctl.run('put', 'foo', 'x', '-w', 'protobuf').out.startswith('\n')
    assert ctl('put', 'foo', input='from stdin\n') == 'OK\n'
    assert ctl('get', 'foo') == 'foo\nfrom stdin\n\n'
    assert ctl('put', '--', 'foo', '-v') == 'OK\n'
    assert ctl('get', 'foo', '--print-value-only') == '-v\n'


def test_put_errors(ctl):
    """Wrong arguments and refused puts: text and status."""
    needs = 'Error: put command needs 1 argument and input from stdin or 2 arguments\n'
    ctl.fails(128, needs, 'put')
    ctl.fails(128, needs, 'put', 'foo')
    ctl.fails(128, "Error: put command needs only 1 argument when 'ignore-value' is set\n", 'put', 'foo', 'x',
              '--ignore-value')
    ctl.fails(1, 'Error: etcdserver: key not found\n', 'put', 'nokey', '--ignore-value')
    ctl.fails(1, 'Error: etcdserver: key not found\n', 'put', 'nokey', 'v', '--ignore-lease')
    ctl.fails(128, 'Error: bad lease ID (strconv.ParseInt: parsing "zz": invalid syntax), expecting ID in Hex\n',
              'put', 'foo', 'v', '--lease=zz')
    ctl.fails(1, 'Error: etcdserver: requested lease not found\n', 'put', 'foo', 'v', '--lease=1234')
    ctl.fails(1, 'Error: etcdserver: lease is provided\n', 'put', 'foo', 'v', '--ignore-lease', '--lease=1234')
    ctl.fails(1, 'Error: etcdserver: key is not provided\n', 'put', '', 'v')
    ctl.fails(1, 'Error: rpc error: code = ResourceExhausted desc = trying to send message larger than max '
              '(108 vs. 50)\n', 'put', 'foo!', 'x' * 100, '--max-request-bytes=50')


@pytest.fixture
def keys(ctl):
    """key_a to key_d at revisions 2 to 5."""
    for k in 'abcd':
        ctl('put', 'key_' + k, 'v' + k)
    return ctl


def test_get_ranges(keys):
    """One key, [key, end), prefix, from a key, the limit; values only, keys only."""
    assert keys('get', 'key_', '--prefix') == 'key_a\nva\nkey_b\nvb\nkey_c\nvc\nkey_d\nvd\n'
    assert keys('get', 'key_a', 'key_c') == 'key_a\nva\nkey_b\nvb\n'
    assert keys('get', 'key_b', '--from-key', '--limit', '2') == 'key_b\nvb\nkey_c\nvc\n'
    assert keys('get', '', '--prefix', '--limit=0x1') == 'key_a\nva\n'
    assert keys('get', 'key_', '--prefix', '--keys-only') == 'key_a\n\nkey_b\n\nkey_c\n\nkey_d\n\n'
    assert keys('get', 'key_', '--prefix', '--print-value-only') == 'va\nvb\nvc\nvd\n'
    assert keys('get', 'nothing') == ''
    assert keys('ge', 'key_a', 'key_b', 'ignored') == 'key_a\nva\n'
    assert keys('get', 'key_a', '--consistency=s') == 'key_a\nva\n'
    keys('put', '\xff\xff'.encode('latin-1'), 'last')
    assert keys('get', '\xff'.encode('latin-1'), '--prefix', '--hex').endswith('\\x6c\\x61\\x73\\x74\n')


def test_get_sorting_and_revisions(keys):
    """Sort orders, reads of the past, revision filters."""
    keys('put', 'key_b', 'vz')
    assert keys('get', 'key_', '--prefix', '--order=descend', '--limit=1') == 'key_d\nvd\n'
    assert keys('get', 'key_', '--prefix', '--sort-by=modify', '--order=DESCEND', '--limit=1') == 'key_b\nvz\n'
    # without --order the server takes limit + 1 pairs before it sorts
    assert keys('get', 'key_', '--prefix', '--sort-by=version', '--limit=2') == 'key_a\nva\nkey_c\nvc\n'
    assert keys('get', 'key_b', '--rev=5') == 'key_b\nvb\n'
    assert keys('get', 'key_b', '--rev=2') == ''
    assert keys('get', 'key_', '--prefix', '--min-mod-rev=5') == 'key_b\nvz\nkey_d\nvd\n'
    assert keys('get', 'key_', '--prefix', '--max-create-rev=3') == 'key_a\nva\nkey_b\nvz\n'


def test_get_formats(keys):
    """JSON, fields and hex of pairs, of binary and of empty values; more and count."""
    assert mask(keys('get', 'key_', '--prefix', '--limit', '1', '-w', 'json')) == (
        HEAD % 5 + ',"kvs":[{"key":"a2V5X2E=","create_revision":2,"mod_revision":2,"version":1,"value":"dmE="}],'
        '"more":true,"count":4}\n')
    assert mask(keys('get', 'key_a', '-w', 'fields')) == (
        FIELDS % 5 + kv_fields('', 'key_a', 2, 2, 1, 'va') + '"More" : false\n"Count" : 1\n')
    assert mask(keys('get', 'key_', '--prefix', '--count-only', '-w', 'fields')) == (
        FIELDS % 5 + '"More" : false\n"Count" : 4\n')
    keys('put', 'k', '')
    assert mask(keys('get', 'k', '-w', 'json')) == (
        HEAD % 6 + ',"kvs":[{"key":"aw==","create_revision":6,"mod_revision":6,"version":1}],"count":1}\n')
    keys('put', b'bin\x01\xff', input=b'\xfe\x80\t\nq"u')
    assert kv_fields('', r'bin\x01\xff', 7, 7, 1, r'\xfe\x80\t\nq\"u') in keys('get', 'bin', '--prefix', '-w', 'fields')
    assert keys('get', 'bin', '--prefix', '--hex') == '\\x62\\x69\\x6e\\x01\\xff\n\\xfe\\x80\\x09\\x0a\\x71\\x22\\x75\n'
    hexed = keys('get', 'k', '--hex', '-w', 'fields')
    assert '"Lease" : 0000000000000000\n' in hexed
    ids = keys.json('get', 'k')['header']
    assert f'"ClusterID" : {ids["cluster_id"]:x}\n"MemberID" : {ids["member_id"]:x}\n' in hexed


@pytest.mark.parametrize('status, text, args', [
    (128, 'get command needs one argument as key and an optional argument as range_end', []),
    (128, '`--prefix` and `--from-key` cannot be set at the same time, choose one', ['k', '--prefix', '--from-key']),
    (128, 'too many arguments, only accept one argument when `--prefix` or `--from-key` is set',
     ['k', 'x', '--prefix']),
    (128, '`--keys-only` and `--count-only` cannot be set at the same time, choose one',
     ['k', '--count-only', '--keys-only']),
    (128, '--count-only is only for `--write-out=fields`', ['k', '--count-only']),
    (128, 'print-value-only is only for `--write-out=simple`', ['k', '--print-value-only', '-w', 'json']),
    (4, 'bad sort order foo', ['k', '--order', 'foo']),
    (4, 'bad sort target foo', ['k', '--sort-by', 'foo']),
    (4, 'unknown consistency flag "x"', ['k', '--consistency', 'x']),
    (4, 'unsupported output format', ['k', '-w', 'yaml']),
    (4, 'getMinCreateRev(=5) > getMaxCreateRev(=2)', ['k', '--min-create-rev', '5', '--max-create-rev', '2']),
    (4, 'getMinModRev(=5) > getMaxModRev(=2)', ['k', '--min-mod-rev', '5', '--max-mod-rev', '2']),
    (1, 'etcdserver: key is not provided', ['']),
    (1, 'etcdserver: mvcc: required revision is a future revision', ['k', '--rev', '9999']),
])
def test_get_errors(ctl, status, text, args):
    """Each complaint of get, with its status."""
    ctl.fails(status, f'Error: {text}\n', 'get', *args)


def test_del(keys):
    """Counts, previous pairs, ranges, the warning before a range without --range."""
    warning = ('Warning: Keys between "key_c" and "key_d" will be deleted. Please interrupt the command within next 2 '
               'seconds to cancel. You can provide `--range` flag to avoid the delay.\n')
    assert keys('del', 'key_a', '--prev-kv') == '1\nkey_a\nva\n'
    assert mask(keys('del', 'key_a', '-w', 'json')) == HEAD % 6 + '}\n'
    assert mask(keys('del', 'key_b', '--prev-kv', '-w', 'fields')) == (
        FIELDS % 7 + '"Deleted" : 1\n' + kv_fields('Prev', 'key_b', 3, 3, 1, 'vb'))
    r = keys.run('del', 'key_c', 'key_d')
    assert (r.status, r.out, r.err) == (0, '1\n', warning)
    assert keys('del', 'key_d', 'key_e', '--range') == '1\n'
    keys('put', 'z', '1')
    assert keys('del', '', '--prefix') == '1\n'
    needs = 'Error: del command needs one argument as key and an optional argument as range_end\n'
    keys.fails(128, needs, 'del')
    keys.fails(128, needs, 'del', 'a', 'b', 'c')
    keys.fails(128, 'Error: `--prefix` and `--from-key` cannot be set at the same time, choose one\n', 'del', 'a',
               '--prefix', '--from-key')
    keys.fails(1, 'Error: etcdserver: key is not provided\n', 'del', '')


TXN = '''mod("key1") > "0"

put key1 "overwrote-key1"
get key1
del key2 --prev-kv

put key1 "created-key1"
put key2 "some extra key"

'''


def test_txn(ctl):
    """The transaction of etcd's manual, both ways, in each format."""
    assert ctl('txn', '-i', input=TXN) == ('compares:\nsuccess requests (get, put, del):\n'
                                           'failure requests (get, put, del):\nFAILURE\n\nOK\n\nOK\n')
    assert ctl('txn', input=TXN) == 'SUCCESS\n\nOK\n\nkey1\noverwrote-key1\n\n1\nkey2\nsome extra key\n'
    assert mask(ctl('txn', '-w', 'json', input=TXN)) == (
        HEAD % 4 + ',"succeeded":true,"responses":[{"Response":{"response_put":{"header":{"revision":4}}}},'
        '{"Response":{"response_range":{"header":{"revision":4},"kvs":[{"key":"a2V5MQ==","create_revision":2,'
        '"mod_revision":4,"version":3,"value":"b3Zlcndyb3RlLWtleTE="}],"count":1}}},'
        '{"Response":{"response_delete_range":{"header":{"revision":4}}}}]}\n')
    fields = ctl('txn', '-w', 'fields', input=TXN)
    assert '"Succeeded" : true\n"ClusterID" : 0\n"MemberID" : 0\n"Revision" : 5\n"RaftTerm" : 0\n' in fields
    assert fields.endswith('"Deleted" : 0\n')
    ctl.fails(4, 'Error: table not supported as output format\n', 'txn', '-w', 'table', input=TXN)
    assert mask(ctl('txn', '-w', 'json', input='\n\n\n')) == HEAD % 6 + ',"succeeded":true}\n'
    assert ctl('txn', input='ver("key1") = "5"\r\n\r\np a \'single quoted\'\ng "\\x61"\n \t\n\n') == (
        'SUCCESS\n\nOK\n\na\nsingle quoted\n')
    assert ctl('txn', input='value("a") != "x"\nlease("a") = "0"\n\nget a --keys-only\n\n\n') == 'SUCCESS\n\na\n\n'


@pytest.mark.parametrize('status, text, input', [
    (3, 'EOF', ''),
    (3, 'EOF', '\n\n'),
    (3, 'malformed comparison: mod "key1" = "1"', 'mod "key1" = "1"\n'),
    (3, 'malformed comparison: # comment', '# comment\n'),
    (3, 'malformed comparison: mod(key1) = "1"; got mod("")  ""', 'mod(key1) = "1"\n'),
    (3, 'malformed comparison: Mod("key1") = "1" (unknown target Mod)', 'Mod("key1") = "1"\n'),
    (3, 'invalid txn compare request: mod("key1") = "x"', 'mod("key1") = "x"\n'),
    (3, 'malformed comparison: mod("key1") >= "1" (unknown result op >=)', 'mod("key1") >= "1"\n'),
    (3, 'invalid txn compare request: put', '\nput \n'),
    (128, 'put command needs 1 argument and input from stdin or 2 arguments', '\nput a\n'),
    (3, 'invalid txn request: delete a', '\ndelete a\n'),
    (1, 'etcdserver: duplicate key given in txn request', '\nput dup 1\nput dup 2\n\n\n'),
])
def test_txn_errors(ctl, status, text, input):
    """Lines that are no comparison or no request, and what is missing."""
    ctl.fails(status, f'Error: {text}\n', 'txn', input=input)


def test_txn_flag_error_shows_usage(ctl):
    """A bad flag in a request line prints the usage of that command before the error."""
    r = ctl.run('txn', input='\nget a --bogus\n')
    assert r.status == 3
    assert r.err.startswith('Usage:\n')
    assert r.err.endswith('Error: invalid txn request: get a --bogus\n')
    ctl.fails(128, 'Error: txn command does not accept argument\n', 'txn', 'x', input='\n\n\n')


def test_compaction(keys):
    """The fixed answer in every format, and what cannot be compacted."""
    assert keys('compaction', '3') == 'compacted revision 3\n'
    assert keys('compact', '4', '--physical', '-w', 'json') == 'compacted revision 4\n'
    compacted = 'Error: etcdserver: mvcc: required revision has been compacted\n'
    keys.fails(1, compacted, 'compaction', '4')
    keys.fails(1, compacted, 'compaction', '--', '-5')
    keys.fails(1, compacted, 'get', 'key_a', '--rev', '2')
    keys.fails(1, 'Error: etcdserver: mvcc: required revision is a future revision\n', 'compaction', '999')
    keys.fails(128, 'Error: compaction command needs 1 argument\n', 'compaction')
    keys.fails(1, 'Error: strconv.ParseInt: parsing "a": invalid syntax\n', 'compaction', 'a')
