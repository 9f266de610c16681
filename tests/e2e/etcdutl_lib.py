"""Running etcdutl in tests: exact output, standard error without its log lines, exit status."""
import re
import subprocess

STACK = re.compile(r'^\w+\n\t\S+\.c:\d+\n', re.M)  # below a line of level error
LOG_LINE = re.compile(r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S*\t(info|warn|error|panic)\t')


class Result:
    def __init__(self, p):
        self.status, self.out, raw = p.returncode, p.stdout.decode(), p.stderr.decode()
        lines = STACK.sub('', raw).splitlines(True)
        self.logs = [line for line in lines if LOG_LINE.match(line)]
        self.err = ''.join(line for line in lines if not LOG_LINE.match(line))

    def __repr__(self):
        return f'exit {self.status}\n{self.out}\n2> {"".join(self.logs)}{self.err}'


class Utl:
    def __init__(self, program, cwd):
        self.program, self.cwd = str(program), cwd

    def any(self, *args, timeout=60):
        """Whatever the status is."""
        return Result(subprocess.run([self.program, *map(str, args)], cwd=self.cwd, capture_output=True, timeout=timeout))

    def __call__(self, *args, status=0):
        r = self.any(*args)
        assert r.status == status, (args, r)
        return r

    def fails(self, status, words, *args):
        """The last line of standard error is the error, and nothing is printed on standard output."""
        r = self(*args, status=status)
        assert (r.out, r.err) == ('', f'Error: {words}\n'), (args, r)
        return r


def files_of(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob('*'))
