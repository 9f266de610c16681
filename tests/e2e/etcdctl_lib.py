"""Running etcdctl in tests: exact output, standard error without log lines, exit status."""
import json
import os
import re
import subprocess
import threading
import time


class Result:
    def __init__(self, out, err, status):
        self.out, self.err, self.status = out, err, status

    def __repr__(self):
        return f'exit {self.status}\n{self.out}\n2> {self.err}'


def without_logs(err):
    """Standard error without JSON log lines (attempts that failed, the progress of a snapshot)."""
    return ''.join(line for line in err.splitlines(True) if not line.startswith('{"level"'))


# A slow machine, or a sanitizer's build, is no reason to fail: etcdctl's own limits are 5 and 2 seconds.
PATIENCE = {'command-timeout': '30s', 'dial-timeout': '30s'}


def patience(args):
    """Variables for etcdctl that wait longer; a variable beside the flag it stands for would be refused."""
    given = [os.fsdecode(a) for a in args]
    return {'ETCDCTL_' + k.upper().replace('-', '_'): v for k, v in PATIENCE.items()
            if not any(a.startswith('--' + k) for a in given)}


class Ctl:
    """etcdctl with the endpoint of a server in its environment."""

    def __init__(self, program, endpoint):
        self.program, self.endpoint = str(program), endpoint
        self.env = {k: v for k, v in os.environ.items() if not k.startswith('ETCDCTL_')}
        self.env['ETCDCTL_ENDPOINTS'] = endpoint

    def start(self, *args, env=None, stdin=subprocess.DEVNULL, endpoints=True):
        e = {**patience(args), **self.env, **(env or {})}
        if not endpoints:
            del e['ETCDCTL_ENDPOINTS']
        return subprocess.Popen([self.program, *args], env=e, stdin=stdin, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    def run(self, *args, input=None, env=None, endpoints=True, logs=False, timeout=180):
        p = self.start(*args, env=env, stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
                       endpoints=endpoints)
        out, err = p.communicate(input.encode() if isinstance(input, str) else input, timeout)
        err = err.decode(errors='replace')
        return Result(out.decode(errors='backslashreplace'), err if logs else without_logs(err), p.returncode)

    def __call__(self, *args, **kw):
        """The output of a command that must succeed and say nothing on standard error."""
        r = self.run(*args, **kw)
        assert (r.status, r.err) == (0, ''), (args, r)
        return r.out

    def json(self, *args, **kw):
        return json.loads(self(*args, '-w', 'json', **kw))

    def fails(self, status, err, *args, **kw):
        r = self.run(*args, **kw)
        assert (r.status, r.err) == (status, err), (args, r)

    def revision(self):
        return self.json('get', 'no-such-key')['header']['revision']


def mask(text):
    """What differs from server to server: identifiers, terms, times."""
    for pattern, to in [
            (r'("(?:cluster_id|member_id|raft_term|leader|raftTerm)":)\d+', r'\1N'),
            (r'("(?:ClusterID|MemberID|RaftTerm|Leader)" : )\d+', r'\1N'),
            (r'took = \S+', 'took = T'),
    ]:
        text = re.sub(pattern, to, text)
    return text


class Away(threading.Thread):
    """Looks all the time; the longest that it could not, which is nobody's fault."""

    def __init__(self):
        super().__init__(daemon=True)
        self.over, self.seconds = threading.Event(), 0.0
        self.start()

    def run(self):
        looked = time.monotonic()
        while not self.over.wait(0.05):
            self.seconds, looked = max(self.seconds, time.monotonic() - looked), time.monotonic()

    def stop(self):
        self.over.set()
        self.join()
        return self.seconds


def undisturbed(act, seconds=1, times=10):
    """What is about times that a machine may sleep through: what act() finds counts if nothing stood still for so many seconds."""
    for _ in range(times):
        away = Away()
        try:
            return act()
        except Exception:
            if away.stop() < seconds:
                raise
        finally:
            away.stop()
    raise AssertionError(f'the machine was away for {seconds} seconds in each of {times} runs')


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, condition
        time.sleep(0.02)
