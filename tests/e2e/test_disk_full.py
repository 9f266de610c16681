"""A disk without room, for real: a small file system, made full, and given room again while the server runs."""
import os
import pathlib
import shutil
import subprocess
import time

import grpc
import pytest

MB = 1 << 20
FS_MB = 320
FREE_MB = 40  # left to the server behind what it takes at start: less than a segment of the log
VALUE = os.urandom(512 * 1024)
NO_SPACE = 'etcdserver: mvcc: database space exceeded'


def mount(kind, folder, tmp_path):
    """The command that mounts a small file system of this kind on the folder."""
    if kind == 'tmpfs':
        return ['mount', '-t', 'tmpfs', '-o', f'size={FS_MB}m', 'tmpfs', str(folder)]
    image = tmp_path / 'image'
    with open(image, 'wb') as f:
        f.truncate(FS_MB * MB)
    mkfs = shutil.which('mkfs.ext4', path=os.environ['PATH'] + ':/sbin:/usr/sbin')
    if mkfs is None:
        pytest.skip('skipped: no mkfs.ext4')
    subprocess.run([mkfs, '-q', '-F', '-m', '0', str(image)], check=True)
    return ['mount', '-o', 'loop', str(image), str(folder)]


@pytest.fixture(params=['tmpfs', 'ext4'])
def small_disk(request, tmp_path):
    folder = tmp_path / 'disk'
    folder.mkdir()
    command = mount(request.param, folder, tmp_path)
    if os.geteuid() != 0:
        pytest.skip('skipped: mounting needs root')
    p = subprocess.run(command, capture_output=True, text=True)
    if p.returncode != 0:
        pytest.skip(f'skipped: {request.param} cannot be mounted here: {p.stderr.strip()}')
    yield folder
    subprocess.run(['umount', '-l', str(folder)], check=True)


def free_bytes(folder):
    st = os.statvfs(folder)
    return st.f_bavail * st.f_frsize


def take_room(folder, leave):
    """A file that takes all room of the disk but `leave` bytes."""
    path = folder / 'ballast'
    with open(path, 'wb') as f:
        os.posix_fallocate(f.fileno(), 0, free_bytes(folder) - leave)
    return path


def has_next_segment(data):
    """The log's next segment is made ahead, and has all its room."""
    path = data / 'member/wal/0.tmp'
    return path.exists() and path.stat().st_blocks * 512 >= 60 * MB


def put_until_refused(put, prefix, most):
    """What was acknowledged: key to revision."""
    acked = {}
    for i in range(most):
        try:
            acked[f'{prefix}{i}'] = put(key=f'{prefix}{i}'.encode(), value=VALUE).header.revision
        except grpc.RpcError as e:
            assert e.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, e
            assert e.details() == NO_SPACE
            return acked
    pytest.fail(f'{most} puts of {len(VALUE)} bytes went through')


def wait_for_put(put, seconds=60):
    end = time.monotonic() + seconds
    while True:
        try:
            return put(key=b'after', value=VALUE).header.revision
        except grpc.RpcError as e:
            assert e.details() == NO_SPACE, e
            if time.monotonic() > end:
                pytest.fail('no room after all')
            time.sleep(0.1)


def check_values(s, acked):
    get = s.grpc('etcdserverpb.KV/Range')
    for key, revision in acked.items():
        kv = get(key=key.encode()).kvs[0]
        assert kv.value == VALUE
        assert kv.mod_revision == revision


def test_disk_full(start_server, small_disk, bolt_check):
    """Puts are refused as over quota, without an alarm; reads, deletes, compaction and defragmentation are not; a kill and
    a start on the full disk lose nothing; with room again, puts are taken by the same process."""
    data = small_disk / 'd'
    with start_server(data) as s:
        s.wait_for(lambda: has_next_segment(data))
        ballast = take_room(small_disk, FREE_MB * MB)
        put = s.grpc('etcdserverpb.KV/Put')
        acked = put_until_refused(put, 'a', FS_MB * 2)
        assert len(acked) > 50
        s.wait_for(lambda: 'no space left on device' in s.log_text())
        check_values(s, acked)
        assert s.ctl('alarm', 'list') == ''
        deleted = list(acked)[:10]
        for key in deleted:
            assert s.grpc('etcdserverpb.KV/DeleteRange')(key=key.encode()).deleted == 1
            del acked[key]
        with pytest.raises(grpc.RpcError, match=NO_SPACE):
            put(key=b'x', value=b'small')
        s.kill()
    with start_server(data) as s:
        check_values(s, acked)
        put = s.grpc('etcdserverpb.KV/Put')
        acked.update(put_until_refused(put, 'b', FS_MB * 2))
        revision = s.grpc('etcdserverpb.KV/Range')(key=b'x').header.revision
        s.grpc('etcdserverpb.KV/Compact', timeout=60)(revision=revision, physical=True)
        assert all(s.grpc('etcdserverpb.KV/Range')(key=key.encode()).count == 0 for key in deleted)
        ballast.unlink()
        assert wait_for_put(put) > revision
        s.wait_for(lambda: 'there is room on the device again' in s.log_text())
        s.grpc('etcdserverpb.Maintenance/Defragment', timeout=60)()
        check_values(s, acked)
    bolt_check(pathlib.Path(data) / 'member/snap/db')


def test_defragment_without_room(start_server, small_disk, bolt_check):
    """A defragmentation that has no room for the copy says so and changes nothing."""
    data = small_disk / 'd'
    with start_server(data) as s:
        put = s.grpc('etcdserverpb.KV/Put')
        for i in range(80):
            put(key=b'k%d' % i, value=VALUE)
        s.wait_for(lambda: has_next_segment(data))
        ballast = take_room(small_disk, 20 * MB)
        with pytest.raises(grpc.RpcError, match='No space left on device'):
            s.grpc('etcdserverpb.Maintenance/Defragment', timeout=60)()
        assert not list((data / 'member/snap').glob('db.tmp*'))
        assert s.grpc('etcdserverpb.KV/Range')(key=b'k79').kvs[0].value == VALUE
        ballast.unlink()
        wait_for_put(put)
        s.grpc('etcdserverpb.Maintenance/Defragment', timeout=60)()
    bolt_check(data / 'member/snap/db')
