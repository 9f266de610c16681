"""etcdctl's commands in the name of everybody: status and words, one line for each.

    callers   none: no --user; bad: a wrong password; plain: no role; reader, writer: read, write on [a, c);
              prefix: readwrite on p*; from: readwrite on >= m; root

Run as a program it prints the lines: auth_matrix_ctl.py ENDPOINT ETCDCTL, with an empty server.
"""
import os
import re
import subprocess
import sys

PASSWORD = 'pw'
ROLES = {'reader': ('read', 'a', 'c'), 'writer': ('write', 'a', 'c'), 'prefix': ('readwrite', 'p', '--prefix=true'),
         'from': ('readwrite', 'm', '--from-key=true')}
CALLERS = {'none': [], 'bad': ['--user', 'root:wrong'],
           **{u: ['--user', f'{u}:{PASSWORD}'] for u in ('plain', *ROLES, 'root')}}
COMMANDS = [
    'get a', 'get a c', 'get a d', 'get p --prefix', 'get m --from-key', 'get a --consistency=s', 'get a --count-only c',
    'get z --keys-only', 'get "" --prefix',
    'put a 1', 'put p2 1', 'put m 1', 'put z 1', 'put a 1 --prev-kv', 'put a2 1 --lease=LEASE', 'put p3 1 --lease=LEASE',
    'del a9', 'del a8 a9', 'del a9 --prev-kv', 'del p9 --prefix', 'del zz9 --from-key', 'del b --range',
    'compaction 99999999', 'lease timetolive LEASE', 'lease timetolive LEASE --keys', 'lease list',
    'lease keep-alive --once LEASE', 'lease revoke 5',
    'member remove 1', 'member promote 1', 'member update 1 --peer-urls=http://127.0.0.1:1', 'member add x --peer-urls=nonsense',
    'alarm list', 'alarm disarm', 'move-leader 1', 'defrag', 'snapshot save /dev/null/x',
    'auth enable', 'user list', 'user get plain', 'user get nobody', 'user get root', 'user add plain --new-user-password=x',
    'user delete nobody', 'user passwd nobody --interactive=false', 'user grant-role plain nobody',
    'user revoke-role plain nobody', 'role list', 'role get of-reader', 'role get nobody', 'role add of-reader',
    'role delete nobody', 'role grant-permission nobody read a', 'role revoke-permission of-reader nothing',
    'downgrade validate nonsense',
]
TXNS = {
    'txn read': '\n\nget a\n\n\n', 'txn write': '\n\nput a 1\n\n\n', 'txn other branch': '\n\nput a 1\n\nget z\n\n',
    'txn compare': 'ver("z") > "99"\n\nget p1\n\n\n',
}


class Caller:
    def __init__(self, endpoint, etcdctl):
        self.endpoint, self.etcdctl = endpoint, str(etcdctl)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(('ETCDCTL_', 'ETCD_'))}

    def run(self, who, args, text=None):
        """The status, and what was said but log lines and what differs from run to run."""
        p = subprocess.run([self.etcdctl, '--endpoints', self.endpoint, '--command-timeout=20s', '--dial-timeout=20s', *args, *CALLERS[who]],
                           input=text, env=self.env, capture_output=True, text=True, timeout=60)
        said = [line for line in (p.stdout + p.stderr).replace(self.endpoint, 'ENDPOINT').splitlines()
                if not line.startswith('{"level"')]
        return p.returncode, ' / '.join(said)

    def must(self, *args, who='none'):
        status, said = self.run(who, args)
        assert status == 0, (args, said)
        return said


def set_up(c):
    for user in ('root', 'plain', *ROLES):
        c.must('user', 'add', f'{user}:{PASSWORD}')
    c.must('user', 'grant-role', 'root', 'root')
    for user, permission in ROLES.items():
        c.must('role', 'add', 'of-' + user)
        c.must('role', 'grant-permission', 'of-' + user, *permission)
        c.must('user', 'grant-role', user, 'of-' + user)
    for key in 'a', 'b', 'm', 'p1', 'z':
        c.must('put', key, '0')
    lease = c.must('lease', 'grant', '1000').split()[1]
    c.must('put', 'a1', '0', f'--lease={lease}')
    c.must('auth', 'enable')
    return lease


def forget_times(said):
    """The time that a lease has left, and that something took."""
    return re.sub(r'took [0-9.]+[mµn]?s', 'took N', re.sub(r'remaining\(\d+s\)', 'remaining(N)', said))


def matrix(endpoint, etcdctl):
    c = Caller(endpoint, etcdctl)
    lease = set_up(c)
    lines = []
    for who in CALLERS:
        for command in [*COMMANDS, *TXNS]:
            args = ['txn'] if command in TXNS else [w.strip('"').replace('LEASE', lease) for w in command.split()]
            status, said = c.run(who, args, TXNS.get(command))
            lines.append(f'{who} | {command} | {status} {forget_times(said)}'.replace(lease, 'LEASE').rstrip())
    return lines


if __name__ == '__main__':
    print('\n'.join(matrix(sys.argv[1], sys.argv[2])))
