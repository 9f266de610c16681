"""Twenty thousand random requests to a real etcd and to ours without a difference."""
import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
COUNT = int(os.environ.get('KETCH_DIFF_COUNT', 20000))


def test_twenty_thousand_requests():
    command = [sys.executable, str(HERE / 'diff.py'), '--seed', '1', '--count', str(COUNT)]
    p = subprocess.run(command, capture_output=True, text=True)
    if p.returncode and p.stderr.startswith('skipped: no reference etcd'):
        pytest.skip(p.stderr.strip())
    assert p.returncode == 0, p.stdout[-5000:] + p.stderr[-3000:]
    assert 'no difference' in p.stdout
