#!/usr/bin/python3
"""One seeded stream of random requests, sent to a real etcd and to ours in lockstep; every answer must be the same.

    tests/diff/diff.py --seed 1 --count 20000
    tests/diff/diff.py --ops 123,456,...        repeats the steps of a report

KETCH_BIN is the folder with the programs under test, KETCH_BUILD that of the build (for bolt_check).
"""
import argparse
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from pair import conftest  # noqa: E402
from steps import Difference, Run  # noqa: E402

CHECK_STEPS = 250           # watch streams and HashKV are compared at least this often
SHRINK_SECONDS = 120


def seeds_of(seed, count):
    r = random.Random(seed)
    return [r.getrandbits(32) for _ in range(count)]


def run(programs, messages, seeds, say=None):
    """Plays the steps.  (None, run) or (number of the step that differed, text)."""
    base = '/dev/shm' if pathlib.Path('/dev/shm').is_dir() else None
    folder = pathlib.Path(tempfile.mkdtemp(prefix='ketch-diff-', dir=base))
    it, i = Run(programs, folder, messages), -1
    try:
        it.start()
        for i, seed in enumerate(seeds):
            it.step(seed)
            if i % CHECK_STEPS == CHECK_STEPS - 1:
                it.check_point()
            if say and i % 10000 == 9999:
                say(f'{i + 1} steps, revision {it.state.revision}, compacted {it.state.compacted}')
        i += 1
        it.finish()
        return None, it
    except Difference as d:
        return i, str(d)
    finally:
        it.abandon()
        shutil.rmtree(folder, ignore_errors=True)


def shrink(programs, messages, seeds, say):
    """Fewer steps that still differ: the last ones, then without pieces of them."""
    end = time.monotonic() + SHRINK_SECONDS

    def differs(some):
        if time.monotonic() > end:
            return None
        at, text = run(programs, messages, some)
        return None if at is None else (some[:at + 1], text)

    best = None
    size = 4
    while best is None and size < len(seeds) and time.monotonic() < end:
        best = differs(seeds[-size:])
        size *= 4
    if best is None:
        return None
    piece = len(best[0]) // 2
    while piece >= 1 and time.monotonic() < end:
        start = 0
        while start < len(best[0]) and time.monotonic() < end:
            fewer = best[0][:start] + best[0][start + piece:]
            found = differs(fewer) if fewer else None
            if found:
                best = found
            else:
                start += piece
        piece //= 2
    say(f'a shorter run of {len(best[0])} steps differs, too: --ops {",".join(map(str, best[0]))}\n{best[1]}')
    return best


def reference():
    """The folder of a real etcd: KETCH_REFERENCE_BIN, else what ../shared/bin/reference-etcd finds."""
    if 'KETCH_REFERENCE_BIN' in os.environ:
        return pathlib.Path(os.environ['KETCH_REFERENCE_BIN'])
    tool = conftest.SHARED / 'bin/reference-etcd'
    if not tool.exists():
        sys.exit('skipped: no reference etcd: ../shared is not there')
    p = subprocess.run([str(tool)], capture_output=True, text=True)
    if p.returncode:
        sys.exit('skipped: no reference etcd: ' + p.stderr.strip()[-200:])
    return pathlib.Path(p.stdout.strip())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--count', type=int, default=20000, help='steps')
    parser.add_argument('--ops', help='seeds of single steps, with commas between')
    parser.add_argument('--no-shrink', action='store_true')
    parser.add_argument('--reference', type=pathlib.Path, metavar='DIR',
                        help='the folder of a real etcd, of the 3.5 or the 3.7 series (default: KETCH_REFERENCE_BIN, '
                             'else what ../shared/bin/reference-etcd finds)')
    args = parser.parse_args()

    def say(text):
        print(text, flush=True)

    programs = {'real': args.reference or reference(), 'ours': conftest.BIN}
    with tempfile.TemporaryDirectory() as generated:
        messages = conftest.Messages(pathlib.Path(generated))
        seeds = [int(s) for s in args.ops.split(',')] if args.ops else seeds_of(args.seed, args.count)
        start = time.monotonic()
        at, result = run(programs, messages, seeds, say)
        seconds = time.monotonic() - start
        if at is None:
            say(f'what is known to differ, how often it came up:\n{result.known.table()}')
            say(f'seed {args.seed}: {len(seeds)} steps, {result.requests} requests, revision {result.state.revision}, '
                f'in {seconds:.0f} s: no difference')
            return 0
        say(f'seed {args.seed}, step {at} ({seeds[at] if at < len(seeds) else "the end"}): DIFFERENT\n{result}')
        if not args.no_shrink:
            shrink(programs, messages, seeds[:at + 1], say)
        return 1


if __name__ == '__main__':
    sys.exit(main())
