"""Maintenance, health and logs: what etcd's own tests ask of one member."""
import hashlib
import itertools
import json
import random
import re
import shutil
import time
import urllib.error
import urllib.request

import grpc
import pytest

from conftest import WAIT_SECONDS
from grpc_lib import Api

NO_SPACE = ('RESOURCE_EXHAUSTED', 'etcdserver: mvcc: database space exceeded')
PAGES_13 = f'--quota-backend-bytes={13 * 4096}'
ALL = dict(key=b'', from_key=True)


def get(server, path):
    """Status and body of a page."""
    try:
        with urllib.request.urlopen(f'http://{server.endpoint}{path}', timeout=30) as r:
            return r.status, r.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def metric(server, name):
    return float(re.search(rf'^{name} (\S+)$', get(server, '/metrics')[1], re.M).group(1))


def hash_at(api, revision=0):
    r = api.HashKV(revision=revision)
    return r.hash, r.hash_revision


def test_hashes_hold(start_server, tmp_path):
    """The hash at a revision stays through compactions (on a delete, too), defragmentation and a restart."""
    rng = random.Random(7)
    with start_server(tmp_path / 'd') as s, Api(s) as api:
        s.wait_for(lambda: api.Status().storageVersion == '3.7.0')  # the last that is written of its own accord
        hashes = {}
        for i in range(300):
            key = b'k%d' % rng.randrange(20)
            if rng.random() < 0.3:
                api.DeleteRange(key=key)
            else:
                api.put(key, b'%d' % i)
            hashes[api.Range(key=b'x').header.revision] = None
            if i == 150:
                api.Defragment()
        last = max(hashes)
        for r in hashes:
            hashes[r] = api.HashKV(revision=r)
            assert hashes[r].hash_revision == r
        assert {api.HashKV().hash for _ in range(10)} == {hashes[last].hash}
        floor = 1
        for at in (last // 3, last // 3 + 1, last // 2):
            before = {r: api.HashKV(revision=r).hash for r in range(at, last + 1, 7)}
            api.Compact(revision=at, physical=True)
            floor = at
            after = {r: api.HashKV(revision=r).hash for r in before}
            api.Defragment()
            assert after == {r: api.HashKV(revision=r).hash for r in before}
            assert api.refused('HashKV', revision=2)[1] == 'etcdserver: mvcc: required revision has been compacted'
        kept = {r: hash_at(api, r) for r in range(floor + 1, last + 1)}
        assert api.Hash().hash == api.Hash().hash != 0
    with start_server(tmp_path / 'd') as s, Api(s) as api:
        assert kept == {r: hash_at(api, r) for r in kept}
        assert api.refused('HashKV', revision=last + 1)[1] == 'etcdserver: mvcc: required revision is a future revision'


def test_status(start_server, tmp_path):
    """Version, sizes, quota, leader, indices and storage version; 2 GiB of quota unless told otherwise."""
    for flags, quota in (((), 2 << 30), (('--quota-backend-bytes=1000000',), 1000000)):
        with start_server(tmp_path / f'd{quota}', *flags) as s, Api(s) as api:
            api.put(b'k')
            s.wait_for(lambda: api.Status().storageVersion == '3.7.0')
            r = api.Status()
            assert (r.version, r.dbSizeQuota, r.isLearner, r.leader) == ('3.7.1', quota, False, r.header.member_id)
            assert r.dbSize >= r.dbSizeInUse > 0
            assert r.raftIndex >= r.raftAppliedIndex > 0 and r.raftTerm == r.header.raft_term >= 2
            assert not r.errors


def test_sizes(server, api):
    """Sizes are there from the start; a compaction frees what is in use, a defragmentation shrinks the file."""
    assert metric(server, 'etcd_mvcc_db_total_size_in_bytes') > 0
    assert metric(server, 'etcd_server_quota_backend_bytes') == 2 << 30
    for i in range(50):
        api.put(b'k', bytes([i]) * 100000)
    server.wait_for(lambda: api.Status().dbSizeInUse > 50 * 100000)  # committed, not only acknowledged
    r = api.Status()
    api.Compact(revision=51, physical=True)
    server.wait_for(lambda: api.put(b'other') and api.Status().dbSizeInUse < r.dbSizeInUse / 2)
    assert api.Status().dbSize >= r.dbSizeInUse / 2
    api.Defragment()
    assert api.Status().dbSize < r.dbSize / 2
    assert metric(server, 'etcd_mvcc_db_total_size_in_bytes') == api.Status().dbSize


def test_defragmentation_in_the_middle_of_ranges(api):
    """Large ranges that are under way during a defragmentation bring everything."""
    for i in range(20):
        api.put(b'k%d' % i, bytes([i]) * 500000)
    calls = [api.future('Range', **ALL) for _ in range(8)]
    api.Defragment()
    for c in calls:
        assert sorted(kv.value for kv in c.result().kvs) == [bytes([i]) * 500000 for i in range(20)]
    assert api.Range(key=b'k3').kvs[0].value == b'\x03' * 500000


def test_snapshot(server, api):
    """A snapshot is the file and at its end the SHA-256 of all before; breaking one off harms nothing."""
    for i in range(30):
        api.put(b'k%d' % i, b'v' * 100000)
    server.wait_for(lambda: api.Status().storageVersion == '3.7.0')
    cut = api.chunks('Snapshot')
    next(cut)
    cut.cancel()
    with pytest.raises(grpc.RpcError) as e:
        list(cut)
    assert e.value.code() == grpc.StatusCode.CANCELLED
    for timeout in (0.0001, 60):
        try:
            pieces = list(api.chunks('Snapshot', timeout=timeout))
        except grpc.RpcError as e:
            assert e.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    blob = b''.join(p.blob for p in pieces)
    assert hashlib.sha256(blob[:-32]).digest() == blob[-32:] and len(blob) > 3000000
    assert pieces[0].remaining_bytes >= pieces[-1].remaining_bytes == 0
    assert {p.version for p in pieces} == {'3.7.0'}
    api.put(b'after')


def fill(api):
    end = time.monotonic() + WAIT_SECONDS
    for i in itertools.count():
        try:
            api.put(b'k%d' % (i % 100), b'v' * 3000)
        except grpc.RpcError as e:
            return e.code().name, e.details()
        assert time.monotonic() < end, 'never full'
        time.sleep(0.02)    # what counts is on the disk


def test_no_space(start_server, tmp_path):
    """Over the quota puts and transactions that put are refused, after a restart as well, until there is room and the
    alarm is disarmed; reads and deletes are not."""
    with start_server(tmp_path / 'd', PAGES_13) as s, Api(s) as api:
        api.put(b'small')
        assert fill(api) == NO_SPACE
        alarm = api.Alarm(action=0).alarms[0]
        assert (alarm.memberID, alarm.alarm) == (api.Status().header.member_id, 1)
        assert 'NOSPACE' in api.Status().errors[0]
        s.stop()
    s_args = (tmp_path / 'd', PAGES_13)
    with start_server(*s_args, wait=False) as s, Api(s) as api:
        s.wait_for(lambda: 'ready to serve client requests' in s.log_text())
        assert api.refused('Put', key=b'small') == NO_SPACE
        assert api.refused('Txn', success=[api.op('Put', key=b'small')]) == NO_SPACE
        assert api.refused('LeaseGrant', TTL=60) == NO_SPACE
        assert api.Range(key=b'small').count == 1
        assert api.Txn(success=[api.op('DeleteRange', key=b'small')]).succeeded
        revision = api.DeleteRange(**ALL).header.revision
        api.Compact(revision=revision, physical=True)
        api.Defragment()
        assert api.refused('Put', key=b'small') == NO_SPACE
        api.Alarm(action=2, memberID=alarm.memberID, alarm=1)
        assert not api.Alarm(action=0).alarms
        api.put(b'small')


def test_alarms_of_any_member(api):
    """An alarm can be set and cleared for a member that does not exist; setting none at all does nothing."""
    assert list(api.Alarm(action=1, memberID=123, alarm=1).alarms)[0].memberID == 123
    assert api.refused('Put', key=b'k') == NO_SPACE
    api.Alarm(action=2, memberID=123, alarm=1)
    api.put(b'k')
    api.Alarm(action=1)
    api.put(b'k')


def test_corruption(server, api):
    """With a CORRUPT alarm only what keeps the log going is served, and the pages say so."""
    api.put(b'k')
    assert get(server, '/readyz') == (200, 'ok\n')
    api.Alarm(action=1, memberID=123, alarm=2)
    corrupt = ('DATA_LOSS', 'etcdserver: corrupt cluster')
    assert api.refused('Put', key=b'k') == corrupt
    assert api.refused('DeleteRange', key=b'k') == corrupt
    assert api.refused('Txn', success=[api.op('Put', key=b'k')]) == corrupt
    assert get(server, '/livez') == (200, 'ok\n')
    status, body = get(server, '/readyz')
    assert status == 503 and '[-]data_corruption failed: alarm activated: CORRUPT' in body
    api.Alarm(action=2, memberID=123, alarm=2)
    api.put(b'k')
    assert get(server, '/readyz') == (200, 'ok\n')


def test_health_pages(start_server, tmp_path):
    """/health fails with an alarm unless that is excluded; /livez and /readyz do not mind a full store."""
    with start_server(tmp_path / 'd', PAGES_13) as s, Api(s) as api:
        healthy = (200, '{"health":"true","reason":""}')
        assert get(s, '/health') == get(s, '/health?serializable=true') == healthy
        fill(api)
        assert get(s, '/health') == (503, '{"health":"false","reason":"ALARM NOSPACE"}\n')
        assert get(s, '/health?exclude=NOSPACE') == healthy
        assert get(s, '/livez') == get(s, '/readyz') == (200, 'ok\n')
        assert get(s, '/livez?verbose')[1] == '[+]serializable_read ok\nok\n'
        assert sorted(get(s, '/readyz?verbose')[1].splitlines()) == [
            '[+]data_corruption ok', '[+]linearizable_read ok', '[+]non_learner ok', '[+]serializable_read ok', 'ok']


def test_reads_count_for_snapshots(start_server, tmp_path):
    """Entries that change nothing count, too: six alarm lists with a snapshot each five entries, then a restart."""
    with start_server(tmp_path / 'd', '--snapshot-count=5') as s, Api(s) as api:
        for _ in range(6):
            api.Alarm(action=0)
        s.wait_for(lambda: list((tmp_path / 'd/member/snap').glob('*.snap')))
    with start_server(tmp_path / 'd', '--snapshot-count=5') as s, Api(s) as api:
        api.put(b'k')


def test_an_older_data_file_is_refused(start_server, tmp_path):
    """A data file older than the newest snapshot does not start; etcd's words say which file is missing."""
    db = tmp_path / 'd/member/snap/db'
    with start_server(tmp_path / 'd', '--snapshot-count=50'):
        pass
    shutil.copy(db, tmp_path / 'old')
    with start_server(tmp_path / 'd', '--snapshot-count=50') as s, Api(s) as api:
        for i in range(150):
            api.put(b'k%d' % i)
        s.wait_for(lambda: 'saved snapshot' in s.log_text())
    shutil.copy(tmp_path / 'old', db)
    with start_server(tmp_path / 'd', '--snapshot-count=50', wait=False) as s:
        assert s.process.wait(60) in (1, 2)
        assert "failed to find database snapshot file (snap: snapshot file doesn't exist)" in s.log_text()


def test_logs(start_server, tmp_path):
    """Every line is a JSON object with level, time, caller and message, and none of a normal run is an error."""
    with start_server(tmp_path / 'd', '--snapshot-count=10') as s, Api(s) as api:
        for i in range(30):
            api.put(b'k')
        api.Compact(revision=20)
        api.Defragment()
    for line in s.log_text().splitlines():
        entry = json.loads(line)
        assert re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d{4})', entry['ts']), line
        assert entry['level'] in ('debug', 'info', 'warn') and entry['caller'] and entry['msg'], line


def test_flags_on_their_way_out(start_server, tmp_path):
    """Deprecated flags are taken with a warning; what was enforced is shown in the start log; not-yet is refused."""
    with start_server(tmp_path / 'd', '--max-snapshots=3', '--v2-deprecation=write-only-drop-data',
                      '--snapshot-catchup-entries=777') as s:
        s.wait_for(lambda: '"snapshot-catchup-entries":777' in s.log_text())
        log = s.log_text()
        assert '--max-snapshots is deprecated in 3.6 and will be decommissioned in 3.8' in log
        assert ('--v2-deprecation is deprecated and scheduled for removal in v3.8. The default value is enforced, '
                'ignoring user input') in log
        assert '"v2-deprecation":"write-only"' in log
        assert '"snapshot-catchup-entries":777' in log
    with start_server(tmp_path / 'd', '--v2-deprecation=not-yet', wait=False) as s:
        assert s.process.wait(60) != 0
