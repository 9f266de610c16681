"""etcdctl check perf and check datascale."""
import re
import signal

import pytest

from etcdctl_lib import Ctl, wait_until

PERF = '/etcdctl-check-perf/'


@pytest.fixture
def ctl(server):
    return Ctl(server.ctl_path, server.endpoint)


def test_perf(ctl):
    """A load of 150 puts a second, ended early by SIGINT: its verdict, and nothing left behind."""
    p = ctl.start('check', 'perf', '--auto-compact', '--auto-defrag')
    wait_until(lambda: ctl.json('get', PERF, '--prefix', '--keys-only').get('count', 0) > 60)
    pair = ctl.json('get', PERF, '--prefix', '--limit=1')['kvs'][0]
    assert (len(pair['key']), len(pair['value'])) == ((276 + 2) // 3 * 4, (1024 + 2) // 3 * 4)
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=60)
    assert err == b''
    assert re.fullmatch(
        rf'Compacting with revision (\d+)\nCompacted with revision \1\nDefragmenting "{ctl.endpoint}"\n'
        rf'Defragmented "{ctl.endpoint}"\n(PASS: Throughput is|FAIL: Throughput too low:) \d+ writes/s\n'
        r'(PASS: Slowest request took|Slowest request took too long:) \d+\.\d{6}s\n'
        r'(PASS: Stddev is|Stddev too high:) \d+\.\d{6}s\n(PASS|FAIL)\n', out.decode()), out
    assert (p.returncode == 0) == out.endswith(b'\nPASS\n')
    assert ctl('get', PERF, '--prefix') == ''


def test_datascale(ctl):
    """Ten thousand keys are written, what they cost is told, and they are gone again."""
    out = ctl('check', 'datascale')
    assert re.fullmatch(r'Start data scale check for work load \[10000 key-value pairs, 1024 bytes per key-value, '
                        r'50 concurrent clients\]\.\nPASS: Approximate system memory used : -?\d+\.\d\d MB\.\n', out)
    assert ctl('get', '/etcdctl-check-datascale/', '--prefix') == ''
    assert ctl.revision() == 10002


def test_refusals(ctl):
    """Loads that are none, and keys that are there already."""
    for command in ['perf', 'datascale']:
        ctl.fails(4, 'Error: unknown load option foo\n', 'check', command, '--load', 'foo')
    ctl('put', PERF + 'x', 'y')
    ctl('put', 'data', 'y')
    ctl.fails(3, f'Error: prefix "{PERF}" has keys. Delete with \'etcdctl del --prefix {PERF}\' first\n', 'check', 'perf')
    ctl.fails(3, 'Error: prefix "da" has keys. Delete with etcdctl del --prefix da first\n',
              'check', 'datascale', '--prefix', 'da')
    assert ctl('get', PERF + 'x') == PERF + 'x\ny\n'
