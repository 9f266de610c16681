"""Steps that stop the servers, fill them up, or ask them by etcdctl."""
import os
import shutil
import subprocess

import generate
import pair

patience = pair.conftest.patience
CTL_SECONDS = 60


class ServerSteps:
    """Part of a Run."""

    def do_restart(self, r, _q):
        self.restart(pair.Side.kill if r.random() < 0.5 else pair.Side.stop)

    def restart(self, end, meanwhile=lambda: None, flags=()):
        self.settle()
        for w in [*self.watches, self.sentinel]:
            w.close()
        for s in self.sides:
            end(s)
        meanwhile()
        for s in self.sides:
            s.restart_with(*flags)
        self.start()
        self.known.restarted = True

    def begin_anew(self):
        """Both with an empty directory: what they had differs by chance, and what comes is compared as ever."""
        for w in [*self.watches, self.sentinel]:
            w.close()
        for s in self.sides:
            s.kill()
            shutil.rmtree(s.server.data_dir)
            s.restart_with()
        self.state, self.compacting = generate.State(), False
        self.start()

    # -- no room

    def do_quota(self, r, _q):
        """With next to no room, whatever puts something is refused, and the alarm goes off; the rest goes on."""
        self.restart(pair.Side.stop, flags=('--quota-backend-bytes', '1000'))
        self.state.quota = True
        for _ in range(30):
            name, q = self.generator.any_write(r, self.state)
            if name == 'KV/Txn':
                self.do_Txn(r, q)
            else:
                self.unary(name, q)
            self.learn_alarms()
        self.state.quota = False
        self.restart(pair.Side.stop)

    def learn_alarms(self):
        answer = self.unary('Maintenance/Alarm', self.rpc.AlarmRequest())
        self.state.alarms = {(a.memberID, a.alarm) for a in self.rpc.AlarmResponse.FromString(answer.body).alarms}

    # -- etcdctl

    def do_etcdctl(self, _r, q):
        """A command that only reads is run by both etcdctl on both servers, one that writes by one of the two."""
        args, writes, by_ours = q
        if self.old and ('--keys-only' in args or 'hashkv' in args):
            self.known.used('keys_only lease' if '--keys-only' in args else 'hash_revision')
            return
        self.barrier()
        programs = {'real': self.programs['real'] / 'etcdctl', 'ours': self.programs['ours'] / 'etcdctl'}
        if writes:
            programs = {'ours' if by_ours else 'real': programs['ours' if by_ours else 'real']}
        answers = {(name, s.name): self.etcdctl(program, s, args)
                   for name, program in programs.items() for s in self.sides}
        for name in programs:
            if answers[name, 'real'] != answers[name, 'ours']:
                self.fail(f"etcdctl ({name}) {' '.join(args)}", '', answers[name, 'real'], answers[name, 'ours'])
        if self.old and not writes:
            self.known.used('etcdctl')
        elif not writes and answers['real', 'real'] != answers['ours', 'real']:
            self.fail(f"etcdctl {' '.join(args)} on the real server", '', answers['real', 'real'],
                      answers['ours', 'real'])
        if writes:
            self.learn_revision()

    def etcdctl(self, program, side, args):
        """Status, output and errors, the log lines and the address left out."""
        endpoint = side.server.endpoint
        p = subprocess.run([str(program), '--endpoints', endpoint, *args], capture_output=True, timeout=CTL_SECONDS,
                           env={**os.environ, **patience(args)})
        out, err = (x.decode(errors='replace').replace(endpoint, 'ENDPOINT') for x in (p.stdout, p.stderr))
        if args[:2] == ['lease', 'list'] and self.known.restarted:
            out = ''.join(sorted(out))      # leases of one length come in any order
        return p.returncode, out, [line for line in err.splitlines() if not line.startswith('{')]
