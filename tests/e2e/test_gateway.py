"""The JSON gateway, route by route beside a real etcd: a 3.5 one, or what KETCH_REFERENCE_BIN names (3.7.1: errors too)."""
import base64
import json
import os
import pathlib
import re
import subprocess
import time

import pytest

from conftest import has_address_sanitizer

from gateway_lib import Gateway, with_ports
from ws_lib import CLOSE, PING, PONG, TEXT, WebSocket


def b(text):
    return base64.b64encode(text.encode()).decode()


A, B, C, Z = b('a'), b('b'), b('c'), b('z')

# (path, body) or (path, body, (name, pattern)): what is kept of the answer.
KV = [
    ('/v3/kv/put', f'{{"key":"{A}","value":"{b("1")}"}}'),
    ('/v3/kv/put', f'{{"key":"{A}","value":"{b("2")}","prev_kv":true}}'),
    ('/v3/kv/put', f'{{"key":"{A}","ignoreValue":true,"prevKv":true}}'),
    ('/v3/kv/put', f'{{"key":"{B}","value":"{b("<&>")}"}}'),
    ('/v3beta/kv/range', f'{{"key":"{A}"}}'),
    ('/v3/kv/range', f'{{"key":"{A}","range_end":"{Z}","limit":"1"}}'),
    ('/v3/kv/range', f'{{"key":"{A}","rangeEnd":"{Z}","sort_order":"DESCEND","sort_target":"KEY"}}'),
    ('/v3/kv/range', f'{{"key":"{A}","range_end":"{Z}","keys_only":true,"serializable":true}}'),
    ('/v3/kv/range', f'{{"key":"{A}","range_end":"{Z}","count_only":true,"unknown":[1,{{}}]}}'),
    ('/v3/kv/range', f'{{"key":"{A}","revision":2}}'),
    ('/v3/kv/range', '{"key":"bm90aGluZw"}'),
    ('/v3/kv/txn', f'{{"compare":[{{"result":"EQUAL","target":"VALUE","key":"{A}","value":"{b("2")}"}}],'
                   f'"success":[{{"request_range":{{"key":"{A}"}}}},{{"request_put":{{"key":"{C}","value":"{A}"}}}},'
                   f'{{"request_delete_range":{{"key":"{B}","prev_kv":true}}}},'
                   f'{{"request_txn":{{"failure":[{{"request_range":{{"key":"{A}"}}}}]}}}}]}}'),
    ('/v3/kv/txn', f'{{"compare":[{{"target":"VERSION","key":"{A}","version":0}}]}}'),
    ('/v3/kv/deleterange', f'{{"key":"{C}","prev_kv":true}}'),
    ('/v3/kv/deleterange', f'{{"key":"{C}"}}'),
    ('/v3/kv/compaction', '{"revision":"4","physical":true}'),
    ('/v3/maintenance/hashkv', '{}'),
    ('/v3/maintenance/status', '{}'),
    ('/v3/maintenance/defragment', '{}'),
]

LEASES = [
    ('/v3/lease/grant', '{"TTL":100,"ID":7}'),
    ('/v3/lease/grant', '{"TTL":"200","ID":"8"}'),
    ('/v3/lease/grant', '{"TTL":300,"ID":9}'),
    ('/v3/kv/put', f'{{"key":"{A}","lease":7}}'),
    ('/v3/lease/keepalive', '{"ID":7}{"ID":"8"} {"ID":77}'),
    ('/v3/lease/timetolive', '{"ID":77,"keys":true}'),
    ('/v3/lease/leases', '{}'),
    ('/v3/kv/lease/leases', ''),
    ('/v3/lease/revoke', '{"ID":7}'),
    ('/v3/kv/lease/revoke', '{"ID":8}'),
    ('/v3/kv/lease/timetolive', '{"ID":78}'),
    ('/v3/kv/range', f'{{"key":"{A}"}}'),
]

CLUSTER = [
    ('/v3/cluster/member/list', '{"linearizable":true}'),
    ('/v3/cluster/member/add', '{"peerURLs":["http://127.0.0.1:1"],"isLearner":true}', ('id', r'"member":{"ID":"(\d+)"')),
    ('/v3/cluster/member/update', '{"ID":"{id}","peerURLs":["http://127.0.0.1:3"]}'),
    ('/v3/cluster/member/remove', '{"ID":"{id}"}'),
    ('/v3/maintenance/alarm', '{"action":"ACTIVATE","memberID":5,"alarm":"NOSPACE"}'),
    ('/v3/maintenance/alarm', '{"action":"GET"}'),
    ('/v3/maintenance/alarm', '{"action":2,"memberID":"5","alarm":1}'),
]

LOCKS = [
    ('/v3/lock/lock', f'{{"name":"{b("l")}","lease":9}}', ('key', r'"key":"([^"]+)"')),
    ('/v3/lock/unlock', '{"key":"{key}"}'),
    ('/v3/election/campaign', f'{{"name":"{b("e")}","lease":9,"value":"{A}"}}', ('leader', r'"leader":({.*?})')),
    ('/v3/election/proclaim', f'{{"leader":{{leader}},"value":"{B}"}}'),
    ('/v3/election/leader', f'{{"name":"{b("e")}"}}'),
    ('/v3/election/resign', '{"leader":{leader}}'),
]

ROOT, USER = '"name":"root"', '"name":"u"'

AUTH = [
    ('/v3/auth/status', '{}'),
    ('/v3/auth/enable', '{}'),
    ('/v3/auth/user/add', f'{{{ROOT},"password":"r"}}'),
    ('/v3/auth/user/add', f'{{{USER},"password":"p"}}'),
    ('/v3/auth/user/add', '{"name":"gone","options":{"no_password":true}}'),
    ('/v3/auth/role/add', f'{{{ROOT}}}'),
    ('/v3/auth/role/add', '{"name":"r"}'),
    ('/v3/auth/role/add', '{"name":"<gone>"}'),
    ('/v3/auth/role/grant', f'{{"name":"r","perm":{{"permType":"READWRITE","key":"{A}","range_end":"{C}"}}}}'),
    ('/v3/auth/role/grant', f'{{"name":"r","perm":{{"permType":"WRITE","key":"{Z}"}}}}'),
    ('/v3/auth/role/revoke', f'{{"role":"r","key":"{Z}"}}'),
    ('/v3/auth/role/get', '{"role":"r"}'),
    ('/v3/auth/role/list', ''),
    ('/v3/auth/role/delete', '{"role":"<gone>"}'),
    ('/v3/auth/user/grant', '{"user":"root","role":"root"}'),
    ('/v3/auth/user/grant', '{"user":"u","role":"r"}'),
    ('/v3/auth/user/grant', '{"user":"gone","role":"r"}'),
    ('/v3/auth/user/revoke', '{"name":"gone","role":"r"}'),
    ('/v3/auth/user/get', f'{{{USER}}}'),
    ('/v3/auth/user/list', '{}'),
    ('/v3/auth/user/changepw', f'{{{USER},"password":"q"}}'),
    ('/v3/auth/user/delete', '{"name":"gone"}'),
    ('/v3/auth/enable', '{}'),
]

# What 3.5 says in other words.
ERRORS = [
    ('/v3/kv/range', ''),
    ('/v3/kv/range', '{"key":'),
    ('/v3/kv/range', '{"key":}'),
    ('/v3/kv/range', '[]'),
    ('/v3/kv/range', 'null'),
    ('/v3/kv/range', '7'),
    ('/v3/kv/range', '{"key":5}'),
    ('/v3/kv/range', f'{{"key":"{A}","limit":"x"}}'),
    ('/v3/kv/range', f'{{"key":"{A}",\n"limit":1.5}}'),
    ('/v3/kv/range', f'{{"key":"{A}","limit":" 1"}}'),
    ('/v3/kv/range', f'{{"key":"{A}","serializable":"true"}}'),
    ('/v3/kv/range', f'{{"key":"{A}","key":"{A}"}}'),
    ('/v3/kv/range', f'{{"key":"{A}","sort_order":"NOPE"}}'),
    ('/v3/kv/range', f'{{"key":"{A}","sort_order":9}}'),
    ('/v3/kv/range', '{"key":"!"}'),
    ('/v3/kv/range', '{"key":"\\ud800abcdef"}'),
    ('/v3/kv/range', f'{{"key":"{A}"}} trailing'),
    ('/v3/kv/range', f'{{"key":"{A}","revision":1000}}'),
    ('/v3/kv/range', f'{{"key":"{A}","revision":1}}'),
    ('/v3/kv/txn', f'{{"success":[{{"Request":{{"RequestPut":{{"key":"{A}"}}}}}}]}}'),
    ('/v3/kv/txn', f'{{"success":[{{"request_put":{{"key":"{A}"}},"request_range":{{"key":"{A}"}}}}]}}'),
    ('/v3/kv/txn', '{"success":[null]}'),
    ('/v3/kv/txn', '{"success":{}}'),
    ('/v3/kv/put', f'{{"key":"{A}","lease":77}}'),
    ('/v3/kv/compaction', '{"revision":1}'),
    ('/v3/lease/grant', '{"TTL":9000000001}'),
    ('/v3/lease/grant', '{"TTL":1,"ID":9}'),
    ('/v3/lease/revoke', '{"ID":77}'),
    ('/v3/lease/nothing', '{}'),
    ('/v3/kv/rangestream', '{}'),
    ('/v3/kv', '{}'),
    ('/v3/maintenance/transfer-leadership', '{"targetID":5}'),
    ('/v3/cluster/member/remove', '{"ID":5}'),
    ('/v3/cluster/member/promote', '{"ID":5}'),
    ('/v3/cluster/member/add', '{"peerURLs":["x"]}'),
    ('/v3/cluster/member/add', '{"peerURLs":[]}'),
    ('/v3/election/leader', '{"name":"eA=="}'),
    ('/v3/election/resign', '{}'),
    ('/v3/lock/lock', '{"name":"eA==","lease":77}'),
]


@pytest.fixture(scope='module')
def reference(request):
    """The program beside which ours is held, and whether it is a 3.7 one."""
    if 'KETCH_REFERENCE_BIN' in os.environ:
        program = pathlib.Path(os.environ['KETCH_REFERENCE_BIN']) / 'etcd'
    else:
        program = request.getfixturevalue('real_bin') / 'etcd'
    text = subprocess.run([program, '--version'], capture_output=True, text=True, check=True).stdout
    return program, 'Version: 3.7' in text


@pytest.fixture
def pair(start_server, reference, tmp_path):
    """Ours, theirs, and whether theirs is of 3.7."""
    program, same = reference
    level = [] if same else ['--emulated-version=3.5']
    with start_server(tmp_path / 'ours', *level) as ours, start_server(tmp_path / 'theirs', etcd=program) as theirs:
        yield Gateway(ours), Gateway(theirs), same


def test_ports_have_names_and_ids_keep_their_digits():
    text = '{"cluster_id":"14842379068965178418","peerURLs":["http://127.0.0.1:23790","http://h:123790"]} port 23790'
    assert with_ports(text, {23790: 'PEER'}) == text.replace('1:23790', '1:PEER').replace('port 23790', 'port PEER')


def test_every_route(pair):
    """The same requests have the same answers, byte for byte but for ids; errors too beside a 3.7."""
    ours, theirs, same = pair
    for steps in [KV, LEASES, CLUSTER, LOCKS] + ([ERRORS] if same else []):
        for step in steps:
            if not same and 'update' in step[0]:
                continue  # a 3.5 forgets that a learner is one
            mine, real = ours.step(*step), theirs.step(*step)
            if 'raftIndex' in real[1] or '/hash' in step[0]:  # the log of a real one begins with other entries
                pattern = r'"(dbSize\w*|raft\w*Index|version|hash)":("[^"]*"|\d+)'
                mine, real = ((s, re.sub(pattern, '', t)) for s, t in (mine, real))
            assert mine == real, step


def test_streams(pair):
    """Watch and Observe give the lines that a real etcd gives; Snapshot gives the whole file."""
    ours, theirs, _ = pair
    seen = []
    for g in ours, theirs:
        r = g.open('/v3/watch', f'{{"create_request":{{"key":"{A}"}}}} {{"create_request":{{"key":"{B}","watch_id":7}}}}')
        lines = [g.plain(r.readline().decode()) for _ in range(2)]
        g.step('/v3/kv/put', f'{{"key":"{A}","value":"{b("v")}"}}')
        lines.append(g.plain(r.readline().decode()))
        g.step('/v3/kv/deleterange', f'{{"key":"{A}"}}')
        lines.append(g.plain(r.readline().decode()))
        r.close()
        g.step('/v3/lease/grant', '{"TTL":100,"ID":9}')
        g.step('/v3/election/campaign', f'{{"name":"{b("e")}","lease":9,"value":"{A}"}}')
        lines += g.lines('/v3/election/observe', f'{{"name":"{b("e")}"}}', 1)
        seen.append(lines)
        _, text = g.post('/v3/maintenance/snapshot')
        parts = [json.loads(line)['result'] for line in text.splitlines()]
        data = b''.join(base64.b64decode(p.get('blob', '')) for p in parts)
        assert data[16:20] == b'\xed\xda\x0c\xed' and len(data) % 4096 == 32
    assert seen[0] == seen[1]


def test_heads(pair):
    """Status and header fields of answers that are no answers of a method."""
    ours, theirs, same = pair
    asks = [('GET', '/v3/kv/range'), ('PUT', '/v3/watch'), ('HEAD', '/v3/kv/range'), ('POST', '/v3/x'), ('OPTIONS', '/v3/x'),
            ('POST', '/v3'), ('GET', '/v3')]
    for method, path in asks:
        heads = []
        for g in ours, theirs:
            r = g.open(path, None, method=method)
            fields = {k.lower(): v for k, v in r.getheaders() if k.lower() not in ('date', 'content-length')}
            heads.append((r.status, fields, g.plain(r.read().decode())))
            r.close()
        if same:
            assert heads[0] == heads[1], (method, path)
        else:  # 3.5 has other bodies for its errors, and another code for a method that is not allowed
            assert heads[0][1] == heads[1][1], (method, path)


def test_fields_of_requests(pair):
    """A time that is over ends the call, a malformed one is refused; hasleader and tokens come through."""
    ours, theirs, same = pair
    body = f'{{"key":"{A}"}}'
    for headers in [{'Grpc-Timeout': '5x'}, {'Grpc-Timeout': '10S'}, {'Grpc-Metadata-hasleader': 'true'}]:
        mine, real = ours.post('/v3/kv/range', body, headers=headers), theirs.post('/v3/kv/range', body, headers=headers)
        assert mine[0] == real[0]
        if mine[0] == 200 or same:
            assert ours.plain(mine[1]) == theirs.plain(real[1])
    lock = f'{{"name":"{b("l")}"}}'
    status, _ = ours.post('/v3/lock/lock', lock)
    assert status == 200
    assert ours.post('/v3/lock/lock', lock, headers={'Grpc-Timeout': '200m'}) == \
        (504, '{"code":4,"message":"context deadline exceeded"}')


def test_gateway_off(start_server, tmp_path):
    """--enable-grpc-gateway=false: the paths do not exist."""
    with start_server(tmp_path / 'd', '--enable-grpc-gateway=false') as s:
        assert Gateway(s).post('/v3/kv/range') == (404, '404 page not found\n')
        assert Gateway(s).post('/v3') == (404, '404 page not found\n')


def test_cors_and_hosts(start_server, tmp_path):
    """--cors and --host-whitelist hold for the gateway as for the pages."""
    with start_server(tmp_path / 'd', '--cors=http://a:80', '--host-whitelist=127.0.0.1') as s:
        g = Gateway(s)
        r = g.open('/v3/kv/range', headers={'Origin': 'http://a:80'})
        assert r.getheader('Access-Control-Allow-Origin') == 'http://a:80'
        assert g.open('/v3/kv/range', headers={'Origin': 'http://b'}).getheader('Access-Control-Allow-Origin') is None
        assert g.post('/v3/kv/range', headers={'Host': 'evil'})[0] == 421


def test_client_goes(server):
    """The call of a client that hangs up ends: its watch and its place in a lock's queue are gone."""
    g = Gateway(server)
    watchers = r'^etcd_debugging_mvcc_watcher_total (\d+)'

    def page():
        return g.post('/metrics', method='GET')[1]

    r = g.open('/v3/watch', f'{{"create_request":{{"key":"{A}"}}}}')
    r.readline()
    assert re.search(watchers, page(), re.M)[1] == '1'
    r.close()
    server.wait_for(lambda: re.search(watchers, page(), re.M)[1] == '0')
    lock = f'{{"name":"{b("l")}","lease":{{lease}}}}'
    g.step('/v3/lease/grant', '{"TTL":100,"ID":5}', ('lease', r'"ID":"(\d+)"'))
    g.step('/v3/lock/lock', lock)
    assert g.post('/v3/lease/grant', '{"TTL":100,"ID":6}')[0] == 200
    with pytest.raises(TimeoutError):
        g.post('/v3/lock/lock', lock.replace('{lease}', '6'), timeout=0.3)
    server.wait_for(lambda: '"count":"1"' in g.post('/v3/kv/range', f'{{"key":"{b("l/")}","range_end":"{b("l0")}"}}')[1])


def test_large_and_slow(server, ketch_bin):
    """A range of 16 MB comes whole and right; a client that does not read holds back what is made, not the server."""
    g = Gateway(server)
    value = 'v' * (1 << 20)
    for i in range(16):
        assert g.post('/v3/kv/put', {'key': b(f'k{i:02}'), 'value': b(value)})[0] == 200
    slow = [g.open('/v3/kv/range', f'{{"key":"{b("k")}","range_end":"{b("l")}"}}') for _ in range(4)]

    def rss():
        text = pathlib.Path(f'/proc/{server.process.pid}/status').read_text()
        return int(re.search(r'RssAnon:\s+(\d+)', text)[1]) >> 10

    before = rss()
    time.sleep(0.2)
    if not has_address_sanitizer(ketch_bin / 'etcd'):  # which keeps what was freed for a while
        assert rss() - before < 10
    got = json.loads(slow[0].read())
    assert [base64.b64decode(kv['value']).decode() for kv in got['kvs']] == [value] * 16
    for r in slow:
        r.close()
    assert g.post('/v3/kv/range', f'{{"key":"{A}"}}')[0] == 200


def test_users(pair):
    """Users and roles by the gateway: every route, tokens in Authorization and over a WebSocket, refusals and their heads."""
    ours, theirs, same = pair
    for step in AUTH:
        mine, real = ours.step(*step), theirs.step(*step)
        assert mine == real if same or real[0] == 200 else mine[0] == real[0], step
    seen = []
    for g in ours, theirs:
        tokens = {}
        for who, password in ('root', 'r'), ('u', 'q'):
            status, text = g.post('/v3/auth/authenticate', {'name': who, 'password': password})
            tokens[who] = json.loads(text)['token']
            assert status == 200 and tokens[who]
        range_a, range_z = f'{{"key":"{A}"}}', f'{{"key":"{Z}"}}'
        answers = []
        for headers, body in [({}, range_a), ({'Authorization': tokens['u']}, range_a),
                              ({'Authorization': 'Bearer ' + tokens['u']}, range_a),
                              ({'Grpc-Metadata-Token': tokens['u']}, range_a),
                              ({'Authorization': tokens['u']}, range_z), ({'Authorization': tokens['root']}, range_z),
                              ({'Authorization': 'nobody'}, range_a)]:
            r = g.open('/v3/kv/range', body, headers=headers)
            answers.append((r.status, r.getheader('WWW-Authenticate'), g.plain(r.read().decode()) if same else ''))
        answers.append(g.post('/v3/auth/authenticate', {'name': 'u', 'password': 'wrong'})[0])
        for fields in [f'Sec-WebSocket-Protocol: Bearer, {tokens["u"]}'], [f'Cookie: a=b; token={tokens["u"]}'], []:
            w = WebSocket(g.server.client_port, '/v3/watch', fields)
            w.send(f'{{"create_request":{{"key":"{A}"}}}}')
            answers.append(g.plain(w.recv()))
            w.close()
        answers.append(g.post('/v3/auth/disable', headers={'Authorization': tokens['root']})[0])
        seen.append(answers if same else answers[:2] + answers[3:8])  # a 3.5 knows no "Bearer"
    assert seen[0] == seen[1]


def test_a_stream_that_is_refused(start_server, tmp_path):
    """Before its first message: the status of the error, and a line of the stream, in which a real 3.7.1 says it, too."""
    with start_server(tmp_path / 'data', '--bcrypt-cost', '4') as s:
        g = Gateway(s)
        for step in AUTH:
            g.step(*step)
        for path, token, status, code, text in (('/v3/lease/keepalive', None, 400, 3, 'user name is empty'),
                                                ('/v3/maintenance/snapshot', 'x.1', 401, 16, 'invalid auth token')):
            r = g.open(path, '{}', headers={'Authorization': token} if token else {})
            assert (r.status, r.getheader('Content-Type'), r.getheader('Grpc-Metadata-Content-Type')) == (
                status, 'application/json', None)
            body = r.read()
            assert body.endswith(b'\n') and json.loads(body) == {'error': {'code': code, 'message': 'etcdserver: ' + text}}
        r = g.open('/v3/cluster/member/update', '{"ID":4}', headers={})  # who asks comes before what for
        assert json.loads(r.read())['message'] == 'etcdserver: user name is empty'


def test_websocket(pair):
    """Watch over a WebSocket: requests as messages, cut anywhere, each line of the answer a message; as a real etcd does."""
    ours, theirs, _ = pair
    seen = []
    for g in ours, theirs:
        w = WebSocket(g.server.client_port, '/v3/watch', ['Sec-WebSocket-Protocol: Bearer, token', 'Origin: http://x'])
        assert w.status == 101
        texts = [w.fields.get('sec-websocket-protocol')]
        w.send(f'{{"create_request":{{"key":"{A}"}}}}')
        texts.append(g.plain(w.recv()))
        w.send_frame(TEXT, b'{"create_request":', last=False)
        w.send_frame(PING, b'are you there')
        w.send_frame(0, f'{{"key":"{B}","watch_id":7}}}}'.encode())
        pong = w.frame()
        assert pong == (PONG, True, b'are you there')
        texts.append(g.plain(w.recv()))
        g.step('/v3/kv/put', f'{{"key":"{A}","value":"{b("x" * 70000)}"}}')
        texts.append(g.plain(w.recv()))
        w.send('{"cancel_request":{"watch_id":7}}')
        texts.append(g.plain(w.recv()))
        w.send_frame(CLOSE, b'\x03\xe8')
        assert w.frame()[0] == CLOSE
        w.close()
        w = WebSocket(g.server.client_port, '/v3/nothing')
        texts.append(g.plain(w.recv()))
        assert w.recv() is None
        w.close()
        w = WebSocket(g.server.client_port, '/v3/lease/keepalive', method='POST')
        texts.append(w.status)
        w.close()
        seen.append(texts)
    if not pair[2]:
        for texts in seen:
            texts[-2] = None  # a 3.5 has another body for its errors
    assert seen[0] == seen[1]


def test_websocket_rules(server):
    """What breaks the rules of frames ends the socket and the watch behind it; one message has its answer."""
    g = Gateway(server)
    body = f'{{"create_request":{{"key":"{A}"}}}}'.encode()
    breaks = [lambda w: w.send_frame(TEXT, body, mask=False), lambda w: w.send_frame(3, body),
              lambda w: w.send_frame(TEXT, body, reserved=4), lambda w: w.send_frame(0, body),
              lambda w: w.send_frame(PING, b'x' * 126), lambda w: w.send_frame(PING, b'', last=False),
              lambda w: w.socket.sendall(b'\x81\xff' + b'\xff' * 12)]
    for broken in breaks:
        w = WebSocket(server.client_port, '/v3/watch')
        w.send(body.decode())
        assert '"created":true' in w.recv()
        broken(w)
        assert w.frame() == (CLOSE, True, b'\x03\xea')
        assert w.frame() is None
        w.close()
    server.wait_for(lambda: '\netcd_debugging_mvcc_watcher_total 0\n' in g.post('/metrics', method='GET')[1])
    w = WebSocket(server.client_port, '/v3/kv/range')
    w.send(f'{{"key":"{A}"}}')
    assert '"header"' in w.recv()
    assert w.recv() is None
    w = WebSocket(server.client_port, '/v3/kv/range')
    w.send('{]')
    assert json.loads(w.recv())['code'] == 3
    assert w.recv() is None
    assert WebSocket(server.client_port, '/v3/watch', ['Sec-WebSocket-Version: 12']).status == 101
    r = g.open('/v3/watch', None, 'GET', {'Connection': 'Upgrade', 'Upgrade': 'websocket', 'Sec-WebSocket-Version': '12'})
    assert (r.status, r.read()) == (400, b'Bad Request\n')
