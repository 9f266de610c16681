"""The permission matrix: every RPC in the name of everybody, against what a real etcd 3.7.1 answers (auth_matrix.py)."""
import os
import pathlib

import pytest

from auth_matrix import matrix

EXPECTED = (pathlib.Path(__file__).parent / 'auth_matrix_of_3_7_1.txt').read_text().splitlines()


def differences(server):
    got = matrix(server)
    assert len(got) == len(EXPECTED)
    return [(g, e) for g, e in zip(got, EXPECTED) if g != e]


def test_every_rpc_in_the_name_of_everybody(start_server, tmp_path):
    """Ours gives the recorded answers, code and text, line by line."""
    with start_server(tmp_path / 'data', '--bcrypt-cost', '4') as s:
        assert differences(s) == []


def test_the_recorded_answers_are_a_real_etcds(start_server, tmp_path):
    """What is compared with is what KETCH_REFERENCE_BIN answers today, when that is a 3.7."""
    if 'KETCH_REFERENCE_BIN' not in os.environ:
        pytest.skip('skipped: KETCH_REFERENCE_BIN does not name a real etcd 3.7')
    program = pathlib.Path(os.environ['KETCH_REFERENCE_BIN']) / 'etcd'
    with start_server(tmp_path / 'data', '--bcrypt-cost', '4', etcd=program) as s:
        if not s.grpc('etcdserverpb.Maintenance/Status')().version.startswith('3.7'):
            pytest.skip('skipped: KETCH_REFERENCE_BIN is not of the 3.7 series')
        assert differences(s) == []
