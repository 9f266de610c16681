"""Lines about slow requests: with a limit of one nanosecond every request is one; the texts are those that a real
3.7.1 wrote for the same requests."""
import json

from etcdctl_lib import Ctl, wait_until


def lines(server, msg):
    return [m for m in map(json.loads, server.log_text().splitlines()) if m['msg'] == msg]


def find(server, msg, **fields):
    """The line with these fields; waits for the log's thread."""
    def matches():
        return [m for m in lines(server, msg) if all(part in m.get(k, '') for k, part in fields.items())]
    wait_until(matches)
    return matches()[0]


def test_applied(start_server, tmp_path):
    """Entries of the log show the request, with sizes in place of values, and the size of the answer."""
    with start_server(tmp_path / 'data', '--warning-apply-duration=1ns') as s:
        ctl = Ctl(s.ctl_path, s.endpoint)
        ctl('put', 'foo', 'secret-value')
        ctl('put', 'foo', 'bar', '--prev-kv')
        lease = ctl('lease', 'grant', '50').split()[1]
        ctl('txn', input='ver("foo") > "0"\n\nput a 1\nget foo\n\nput b 22\n\n')
        ctl('del', 'a', 'b', '--range')
        ctl('compaction', '3')
        ctl.fails(1, 'Error: etcdserver: requested lease not found\n', 'put', 'x', 'y', '--lease=99')
        slow = 'apply request took too long'
        m = find(s, slow, request='put:<key:"foo" value_size:12 >', prefix='')
        assert (m['level'], m['expected-duration'], m['response']) == ('warn', '1ns', 'size:4')
        find(s, slow, request='put:<key:"foo" value_size:3 prev_kv:true >')
        find(s, slow, request=f'lease_grant:<ttl:50-second id:{lease}>', response='size:40')
        find(s, slow, request='txn:<compare:<result:GREATER  key:"foo"  version:0> success:<request_put:<key:"a" '
             'value_size:1 > request_range:{key:"foo"}> failure:<request_put:<key:"b" value_size:2 >>>')
        find(s, slow, request='delete_range:{key:"a"  range_end:"b"}')
        find(s, slow, request='compaction:{revision:3}', response='size:4')
        assert find(s, slow, request='lease:153')['error'] == 'lease not found'
        assert find(s, 'failed to apply request', request='lease:153')['error'] == 'lease not found'
        assert 'secret-value' not in s.log_text()


def test_read(start_server, tmp_path):
    """Reads have a line of their own, with the number of pairs; none is written below the limit."""
    with start_server(tmp_path / 'data', '--warning-apply-duration=1ns') as s:
        ctl = Ctl(s.ctl_path, s.endpoint)
        ctl('put', 'foo', 'bar')
        ctl('get', 'f', '--prefix', '--keys-only', '--consistency=s')
        ctl('txn', input='\nget foo\nget x\n\n\n')
        slow = 'apply request took too long'
        m = find(s, slow, prefix='read-only range ', request='key:"f"  range_end:"g"  serializable:true  keys_only:true')
        assert m['response'].startswith('range_response_count:1 size:')
        m = find(s, slow, prefix='read-only txn ')
        assert m['request'] == 'compare:<> success:<request_range:{key:"foo"} request_range:{key:"x"}> failure:<>'
        assert m['response'].startswith('responses:<range_response_count:1 range_response_count:0> size:')
    with start_server(tmp_path / 'quiet', '--warning-apply-duration=1h') as s:
        Ctl(s.ctl_path, s.endpoint)('put', 'foo', 'bar')
        assert lines(s, slow) == []


def test_calls(start_server, tmp_path):
    """Every unary call has a line at level debug, and a slow one a warning: what was asked, how much, how long."""
    with start_server(tmp_path / 'data', '--log-level=debug') as s:
        ctl = Ctl(s.ctl_path, s.endpoint)
        ctl('put', 'foo', 'bar')
        ctl('get', 'foo')
        ctl('txn', input='\nget foo\nget x\n\n\n')
        ctl('del', 'foo', 'fox', '--range')
        ctl('lease', 'grant', '50')
        wanted = [('KV/Put', 1, 10, 0, 28, 'key:"foo" value_size:3 '),
                  ('KV/Range', 0, 5, 1, 48, 'key:"foo"'),
                  ('KV/Txn', 2, 12, 0, 66, 'compare:<> success:<request_range:{key:"foo"} request_range:{key:"x"}> '
                   'failure:<>'),
                  ('KV/DeleteRange', 0, 10, 1, 30, 'key:"foo"  range_end:"fox"'),
                  ('Lease/LeaseGrant', -1, -1, -1, -1, '')]
        for method, *numbers, content in wanted:
            m = find(s, 'request stats', **{'response type': '/etcdserverpb.' + method})
            assert m['level'] == 'debug'
            assert [m[k] for k in ('request count', 'request size', 'response count', 'response size')] == numbers
            assert m['request content'] == content
    with start_server(tmp_path / 'slow', '--warning-unary-request-duration=1ns') as s:
        Ctl(s.ctl_path, s.endpoint)('put', 'foo', 'bar')
        assert find(s, 'request stats', **{'response type': '/etcdserverpb.KV/Put'})['level'] == 'warn'
