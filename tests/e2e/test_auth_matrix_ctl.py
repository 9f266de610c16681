"""The permission matrix through etcdctl, against what a real 3.7.1 etcdctl and server said (auth_matrix_ctl.py)."""
import pathlib

from auth_matrix_ctl import matrix

EXPECTED = (pathlib.Path(__file__).parent / 'auth_matrix_ctl_of_3_7_1.txt').read_text().splitlines()


def test_every_command_in_the_name_of_everybody(start_server, ketch_bin, tmp_path):
    """Status and words of every command, line by line."""
    with start_server(tmp_path / 'data', '--bcrypt-cost', '4') as s:
        got = matrix(s.endpoint, ketch_bin / 'etcdctl')
    assert len(got) == len(EXPECTED) > 400
    assert [(g, e) for g, e in zip(got, EXPECTED) if g != e] == []
