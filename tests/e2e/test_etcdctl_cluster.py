"""etcdctl lease, member, endpoint, alarm, defrag, snapshot; global flags, environment, timeouts."""
import hashlib
import os
import re
import time

import pytest

from etcdctl_lib import Ctl, mask, undisturbed, wait_until
from conftest import free_ports


@pytest.fixture
def ctl(server):
    return Ctl(server.ctl_path, server.endpoint)


def dead_endpoint():
    return f'127.0.0.1:{free_ports(1)[0]}'


BAD_LEASE = 'Error: bad lease ID arg (strconv.ParseInt: parsing "zz": invalid syntax), expecting ID in Hex\n'


def test_lease_grant_revoke_list(ctl):
    """Texts, JSON and fields of grant, list and revoke."""
    assert ctl('lease', 'list') == 'found 0 leases\n'
    assert ctl.json('lease', 'list')['leases'] == []
    line = ctl('lease', 'grant', '100')
    assert re.fullmatch(r'lease [0-9a-f]{16} granted with TTL\(100s\)\n', line)
    lease = line.split()[1]
    number = int(lease, 16)
    granted = ctl.json('lease', 'grant', '200')
    assert list(granted) == ['cluster_id', 'member_id', 'revision', 'raft_term', 'ID', 'TTL', 'Error']
    assert (granted['TTL'], granted['Error']) == (200, '')
    assert ctl('lease', 'list') == f'found 2 leases\n{lease}\n{granted["ID"]:016x}\n'
    assert mask(ctl('lease', 'list', '-w', 'fields')).endswith(f'"ID" : {number}\n"ID" : {granted["ID"]}\n')
    ctl('put', 'k', 'v', '--lease=' + lease)
    assert ctl.json('get', 'k')['kvs'][0]['lease'] == number
    assert f'"Lease" : {lease}\n' in ctl('get', 'k', '--hex', '-w', 'fields')
    assert ctl('lease', 'revoke', lease) == f'lease {lease} revoked\n'
    assert ctl('get', 'k') == ''
    ctl.fails(1, 'Error: failed to revoke lease (etcdserver: requested lease not found)\n', 'lease', 'revoke', lease)
    assert list(ctl.json('lease', 'revoke', f'{granted["ID"]:x}')) == ['header']


def test_lease_time_to_live(ctl):
    """What is left of a lease, with and without keys, and of one that is gone."""
    began = time.monotonic()
    lease = ctl('lease', 'grant', '200').split()[1]
    ctl('put', 'k1', 'v', '--lease=' + lease)
    left = re.fullmatch(rf'lease {lease} granted with TTL\(200s\), remaining\((\d+)s\)\n', ctl('lease', 'timetolive', lease))
    assert int(left[1]) <= 200 <= int(left[1]) + 1 + time.monotonic() - began
    assert ctl('lease', 'timetolive', lease, '--keys').endswith('s), attached keys([k1])\n')
    ttl = ctl.json('lease', 'timetolive', lease)
    assert list(ttl)[4:] == ['id', 'ttl', 'granted-ttl', 'keys']
    assert (ttl['granted-ttl'], ttl['keys']) == (200, None)
    assert ctl.json('lease', 'timetolive', lease, '--keys')['keys'] == ['azE=']
    assert ctl('lease', 'timetolive', lease, '--keys', '-w', 'fields').endswith('"GrantedTTL" : 200\n"Key" : "k1"\n')
    assert ctl('lease', 'timetolive', '1234abcd') == 'lease 000000001234abcd already expired\n'
    assert ctl.json('lease', 'timetolive', '1234abcd')['ttl'] == -1


def test_lease_keep_alive(ctl):
    """One renewal; renewals until the lease is gone; a lease that never was."""
    def renewals():
        lease = ctl('lease', 'grant', '3').split()[1]
        assert ctl('lease', 'keep-alive', '--once', lease) == f'lease {lease} keepalived with TTL(3)\n'
        began = time.monotonic()
        p = ctl.start('lease', 'keep-alive', lease)
        lines = [p.stdout.readline().decode() for _ in range(3)]  # of three seconds: it would have ended without
        ctl('lease', 'revoke', lease)
        lines += p.communicate(timeout=60)[0].decode().splitlines(True)
        assert lines[-1] == f'lease {lease} expired or revoked.\n'
        assert lines[:-1] == [f'lease {lease} keepalived with TTL(3)\n'] * (len(lines) - 1)
        assert len(lines) <= 2 + time.monotonic() - began  # one a second
        assert p.returncode == 0

    undisturbed(renewals)
    assert ctl('lease', 'keep-alive', '1234abcd') == 'lease 000000001234abcd expired or revoked.\n'
    ctl.fails(2, 'Error: etcdserver: requested lease not found\n', 'lease', 'keep-alive', '--once', '1234abcd')


@pytest.mark.parametrize('err, args', [
    ('Error: lease grant command needs TTL argument\n', ['grant']),
    ('Error: lease grant command needs TTL argument\n', ['grant', '10', '20']),
    ('Error: bad TTL (strconv.ParseInt: parsing "x": invalid syntax)\n', ['grant', 'x']),
    ('Error: lease revoke command needs 1 argument\n', ['revoke']),
    (BAD_LEASE, ['revoke', 'zz']),
    ('Error: lease timetolive command needs lease ID as argument\n', ['timetolive']),
    (BAD_LEASE, ['timetolive', 'zz']),
    ('Error: lease keep-alive command needs lease ID as argument\n', ['keep-alive']),
])
def test_lease_argument_errors(ctl, err, args):
    """Complaints about arguments; all end with status 128."""
    ctl.fails(128, err, 'lease', *args)


def test_lease_ttl_limit(ctl):
    """A TTL beyond the limit is refused by the server."""
    ctl.fails(1, 'Error: failed to grant lease (etcdserver: too large lease TTL)\n', 'lease', 'grant', '9000000001')


def test_member_list(ctl, server):
    """The one member, in each format; identifiers in hexadecimal."""
    members = ctl.json('member', 'list')
    assert list(members['header']) == ['cluster_id', 'member_id', 'raft_term']
    m = members['members'][0]
    url = 'http://' + server.endpoint
    assert m == {'ID': members['header']['member_id'], 'name': 'default', 'peerURLs': ['http://localhost:2380'],
                 'clientURLs': [url]}
    ident = f'{m["ID"]:x}'
    assert ctl('member', 'list') == f'{ident}, started, default, http://localhost:2380, {url}, false\n'
    hexed = ctl.json('member', 'list', '--hex')
    assert (hexed['members'][0]['ID'], hexed['header']['member_id']) == (ident, ident)
    assert ctl('member', 'list', '-w', 'fields').endswith(
        f'"ID" : {m["ID"]}\n"Name" : "default"\n"PeerURL" : "http://localhost:2380"\n"ClientURL" : "{url}"\n'
        '"IsLearner" : false\n\n')
    table = ctl('member', 'list', '-w', 'table').splitlines()
    assert len(table) == 5
    assert table[1].split() == '│ ID │ STATUS │ NAME │ PEER ADDRS │ CLIENT ADDRS │ IS LEARNER │'.split()
    assert table[3].split('│')[1].strip() == ident
    ctl.fails(4, 'Error: unknown consistency flag "l"\n', 'member', 'list', '--consistency=x')
    assert ctl('member', 'list', '--consistency=s') == ctl('mem', 'li')


def test_endpoint_status(ctl, server):
    """The columns of status, and its JSON in the order of the message."""
    ctl('put', 'a', 'b')
    status = ctl.json('endpoint', 'status')
    assert [list(status[0]), status[0]['Endpoint']] == [['Endpoint', 'Status'], server.endpoint]
    s = status[0]['Status']
    assert list(s)[:7] == ['header', 'version', 'dbSize', 'leader', 'raftIndex', 'raftTerm', 'raftAppliedIndex']
    assert s['leader'] == s['header']['member_id']
    columns = ctl('endpoint', 'status').rstrip('\n').split(', ')
    assert len(columns) == 16
    assert columns[:3] == [server.endpoint, f'{s["leader"]:x}', s['version']]
    assert columns[8:13] == ['true', 'false', str(s['raftTerm']), str(s['raftIndex']), str(s['raftAppliedIndex'])]
    fields = ctl('endpoint', 'status', '-w', 'fields')
    assert f'"Errors" : []\n"Endpoint" : "{server.endpoint}"\n"DowngradeTargetVersion" : ""\n' in fields
    assert fields.endswith('"DowngradeEnabled" : false\n\n')
    by_member = ctl.json('endpoint', 'status', '--cluster')
    assert by_member[0]['Endpoint'] == 'http://' + server.endpoint
    assert ctl.run('endpoint', 'status', '-w', 'protobuf').err == 'Error: protobuf not supported as output format\n'


def test_endpoint_health(ctl, server):
    """A healthy endpoint, and a dead one beside it."""
    assert mask(ctl('endpoint', 'health')) == (
        f'{server.endpoint} is healthy: successfully committed proposal: took = T\n')
    health = ctl.json('endpoint', 'health')
    assert [list(health[0]), health[0]['health']] == [['endpoint', 'health', 'took'], True]
    dead = dead_endpoint()
    both = f'--endpoints={server.endpoint},{dead}'
    r = ctl.run('endpoint', 'health', both, '--command-timeout=4s', endpoints=False)
    assert r.status == 1
    assert mask(r.out) == f'{server.endpoint} is healthy: successfully committed proposal: took = T\n'
    assert r.err == (f'{dead} is unhealthy: failed to commit proposal: context deadline exceeded\n'
                     'Error: unhealthy cluster\n')


def test_endpoint_hashkv(ctl, server):
    """The hash of the history, and a revision that is not there yet."""
    ctl('put', 'a', 'b')
    answer = ctl.json('endpoint', 'hashkv')[0]
    assert [answer['Endpoint'], answer['HashKV']['compact_revision']] == [server.endpoint, -1]
    assert ctl('endpoint', 'hashkv').startswith(f'{server.endpoint}, {answer["HashKV"]["hash"]}, ')
    future = 'etcdserver: mvcc: required revision is a future revision'
    r = ctl.run('endpoint', 'hashkv', '--rev', '99', '-w', 'table')
    assert r.status == 1
    assert r.out == ('┌──────────┬──────┬───────────────┐\n│ ENDPOINT │ HASH │ HASH REVISION │\n'
                     '└──────────┴──────┴───────────────┘\n')
    assert r.err == f'Failed to get the hash of endpoint {server.endpoint} ({future})\nError: {future}\n'
    assert ctl.run('endpoint', 'hashkv', '--rev', '99', '-w', 'json').out == 'null\n'


def test_alarms(start_server, tmp_path):
    """A full database raises an alarm: shown, in the way of writes, disarmed."""
    with start_server(tmp_path / 'd', '--quota-backend-bytes=65536') as server:
        ctl = Ctl(server.ctl_path, server.endpoint)
        assert ctl('alarm', 'list') == ''
        assert ctl('alarm', 'disarm') == ''
        assert ctl('alarm', 'disarm', '-w', 'json') == '{}\n'
        full = 'Error: etcdserver: mvcc: database space exceeded\n'
        said = []

        def is_full():
            r = ctl.run('put', 'a', 'x' * 30000)
            said.append((r.status, r.err))
            return r.status != 0

        wait_until(is_full)  # the size counts once the batch is on the disk
        assert said[-1] == (1, full)
        listed = ctl.json('alarm', 'list')
        member = listed['header']['member_id']
        assert listed['alarms'] == [{'memberID': member, 'alarm': 1}]
        assert ctl('alarm', 'list') == f'memberID:{member} alarm:NOSPACE\n'
        assert ctl('alarm', 'list', '-w', 'fields').endswith(f'"MemberID" : {member}\n"AlarmType" : NOSPACE\n\n')
        assert ctl('alarm', 'list', '--hex', '-w', 'fields').endswith(f'"MemberID" : {member:x}\n"AlarmType" : NOSPACE\n\n')
        ctl.fails(1, f'{server.endpoint} is unhealthy: failed to commit proposal: Active Alarm(s): NOSPACE \n'
                  'Error: unhealthy cluster\n', 'endpoint', 'health')
        assert ctl.json('alarm', 'disarm') == {'alarms': [{'memberID': member, 'alarm': 1}]}
        assert ctl('alarm', 'list') == ''
        ctl.fails(128, 'Error: alarm list command accepts no arguments\n', 'alarm', 'list', 'x')


def test_defrag(ctl, server):
    """Each endpoint by itself; one that fails makes the status 1."""
    assert re.fullmatch(rf'Finished defragmenting etcd member\[{server.endpoint}\]. took [0-9.]+m?s\n', ctl('defrag'))
    assert f'member[http://{server.endpoint}]' in ctl('defrag', '--cluster')
    dead = dead_endpoint()
    r = ctl.run('defrag', f'--endpoints={dead},{server.endpoint}', '--command-timeout=4s', endpoints=False)
    assert r.status == 1
    took = re.fullmatch(rf'Failed to defragment etcd member\[{dead}\]. took ([0-9.]+)s. \(context deadline exceeded\)\n', r.err)
    assert 4 <= float(took[1]) < 20
    assert r.out.startswith('Finished')


def test_snapshot_save(ctl, server, tmp_path):
    """The file is the database and its SHA-256; the .part file is gone; what cannot be saved."""
    ctl('put', 'a', 'b')
    path = tmp_path / 's.db'
    path.write_text('older')
    r = ctl.run('snapshot', 'save', str(path), logs=True)
    assert r.status == 0
    assert r.out.splitlines()[0] == f'Snapshot saved at {path}'
    messages = re.findall(r'"msg":"([^"]*)"', r.err)
    assert messages == ['created temporary db file', 'opened snapshot stream; downloading', 'fetching snapshot',
                        'completed snapshot read; closing', 'fetched snapshot', 'saved']
    data = path.read_bytes()
    assert len(data) % 512 == 32
    assert hashlib.sha256(data[:-32]).digest() == data[-32:]
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path).count('s.db.part') == 0
    needs = 'Error: snapshot save expects one argument <filename>\n'
    ctl.fails(128, needs, 'snapshot', 'save')
    ctl.fails(128, needs, 'snapshot', 'save', 'a', 'b')
    missing = '/nonexist/x.db.part'
    ctl.fails(5, f'Error: could not open {missing} (open {missing}: no such file or directory)\n', 'snapshot', 'save',
              '/nonexist/x.db')
    r = ctl.run('snapshot', 'save', str(path), f'--endpoints={server.endpoint},a:1', endpoints=False)
    assert (r.status, r.err) == (
        5, f'Error: snapshot must be requested to one selected node, not multiple [{server.endpoint} a:1]\n')


def test_environment(ctl, server):
    """Flags from the environment, conflicts, variables that are none, values that do not parse."""
    ctl('put', 'a', 'b')
    assert ctl('get', 'a', env={'ETCDCTL_HEX': 'true'}) == '\\x61\n\\x62\n'
    assert ctl('get', 'a', env={'ETCDCTL_HEX': 'bogus'}) == 'a\nb\n'
    r = ctl.run('get', 'a', '--endpoints=x:1', logs=True)
    assert r.status == 1
    assert '"level":"fatal"' in r.err and '"environment-variable":"ETCDCTL_ENDPOINTS"' in r.err
    r = ctl.run('get', 'a', logs=True, env={'ETCDCTL_API': '3', 'ETCDCTL_USER': ''})
    assert r.out == 'a\nb\n'
    assert r.err.count('"msg":"unrecognized environment variable"') == 2
    assert '"environment-variable":"ETCDCTL_API=3"' in r.err
    assert ctl('version', env={'ETCDCTL_HEX': ''}) == 'etcdctl version: 3.7.1\nAPI version: 3.7\n'


def test_unreachable(ctl):
    """A dead endpoint is waited for until --command-timeout; the reason is logged once."""
    dead = '--endpoints=' + dead_endpoint()
    began = time.monotonic()
    r = ctl.run('get', 'a', dead, '--command-timeout=3s', endpoints=False, logs=True)
    assert 3 <= time.monotonic() - began < 20  # not for as long as may be dialled
    assert r.status == 1
    log, error = r.err.splitlines()
    assert error == 'Error: context deadline exceeded'
    assert '"msg":"retrying of unary invoker failed"' in log and 'connection refused' in log
    ctl.fails(1, 'Error: failed to grant lease (context deadline exceeded)\n', 'lease', 'grant', '1', dead,
              '--command-timeout=100ms', endpoints=False)
    ctl.fails(1, 'Error: context deadline exceeded\n', 'put', 'a', 'b', '--command-timeout=0')
    ctl.fails(2, 'Error: etcdclient: no available endpoints\n', 'get', 'a', '--endpoints=', endpoints=False)
    assert ctl('get', 'nothing', f'{dead},{ctl.endpoint}', endpoints=False) == ''


def test_one_of_several_endpoints(ctl, server):
    """With several endpoints a command uses one that can be reached, in any written form."""
    ctl('put', 'a', 'b')
    for form in [f' {server.endpoint} ', 'http://' + server.endpoint, f'{dead_endpoint()},http://{server.endpoint}/path']:
        assert ctl('get', 'a', '--endpoints=' + form, endpoints=False) == 'a\nb\n'


@pytest.mark.parametrize('err, args', [
    ('Error: empty string is passed to --cert option\n', ['--cert=']),
    ('Error: open /nonexist: no such file or directory\n', ['--cert=/nonexist', '--key=/nonexist']),
    ('Error: open /nonexist: no such file or directory\n', ['--cacert=/nonexist']),
    ('Error: KeyFile and CertFile must both be present[key: , cert: /etc/passwd]\n', ['--cert=/etc/passwd']),
    ('Error: KeyFile and CertFile must both be present[key: /etc/passwd, cert: ]\n', ['--key=/etc/passwd']),
])
def test_certificate_errors(ctl, err, args):
    """Certificate files that are missing or incomplete: status 128."""
    ctl.fails(128, err, 'get', 'a', *args)


def test_help_and_options(ctl):
    """Help goes to standard output; parents print theirs; options lists the 21 global flags."""
    for args in [[], ['--help'], ['help'], ['--', 'get']]:
        assert ctl(*args).endswith('applies to all commands).\n')
    assert ctl('lease', 'foo') == ctl('lease') == ctl('help', 'lease')
    assert ctl('endpoint', 'status', '-h').count('--cluster') == 1
    options = ctl('options').splitlines()
    assert options[0] == 'The following options can be passed to any command:'
    assert len(options) == 2 + 21
    assert options[-1] == ('  -w, --write-out string             set the output format (fields, json, protobuf, simple, '
                           'table) (default "simple")')
    assert ctl('snapshot', 'status', 'x') == ctl('snapshot')
