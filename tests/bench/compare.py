"""Ours beside a real etcd, in one run on one machine: server CPU per operation, latency, memory, starts, bytes on disk.

For each case the servers are started in turn (A B B A ...) on fresh data, loaded, and looked at from outside: by the load
generator's clock, and by /proc, until background work has died down.  Printed are medians over the rounds and the ratios of
neighbouring runs: machines differ, ratios less so.  README.md says how to read it and how to add a case.

    make bench                                  all cases, three rounds
    make bench CASE="put-64x1 memory" ROUNDS=5
    tests/bench/compare.py --case put-64x1 --reference ~/etcd-3.7.1/bin --reference ~/.cache/reference-etcd/bin
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import cases_cluster
import cases_memory
import cases_together
import cases_unary
import table
from case import Setting, Wrong

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get('KETCH_BIN', ROOT / 'bin'))
CASES = {c.name: c for c in cases_unary.CASES + cases_together.CASES + cases_memory.CASES + cases_cluster.CASES}


def default_reference():
    """The folder of a real etcd of the 3.5 series, fetched where there is none."""
    tool = ROOT.parent / 'shared/bin/reference-etcd'
    return subprocess.run([str(tool)], capture_output=True, text=True, check=True).stdout.strip()


def version(program):
    out = subprocess.run([program, '--version'], capture_output=True, text=True, check=True).stdout
    return out.split('\n')[0].split(':')[-1].strip()


def rounds_of(case, programs, setting, n):
    """A B B A ...: neighbours are compared, so that a drifting machine hurts little."""
    got = {name: [] for name in programs}
    for i in range(n):
        for name in list(programs) if i % 2 == 0 else list(programs)[::-1]:
            got[name].append(case.run(programs[name], setting))
            print('.', end='', file=sys.stderr, flush=True)
    return got


def run_case(case, programs, setting, n):
    """Prints the rows; returns all values, or None where a check failed."""
    try:
        got = rounds_of(case, programs, setting, n)
    except (Wrong, OSError) as e:
        print(f'| {case.name} | WRONG: {" ".join(str(e).split())} | | | | | | |', flush=True)
        return None
    finally:
        print(f' {case.name}', file=sys.stderr)
    ours, *others = programs
    for other in others:
        name = case.name if len(others) == 1 else f'{case.name}, {other}'
        for f in case.figures:
            print(table.row(name, f, *([x[f.key] for x in got[which]] for which in (ours, other))), flush=True)
    return got


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--case', action='append', choices=list(CASES), help='may be given several times; default: all')
    p.add_argument('--rounds', type=int, default=3)
    p.add_argument('--seconds', type=int, default=3, help='of load in each run')
    p.add_argument('--keys', type=int, default=100000, help='of the case memory')
    p.add_argument('--clients', type=int, default=100, help='of the case hundred-lists')
    p.add_argument('--reference', action='append', metavar='DIR', help='with the etcd to compare with; may be given twice')
    p.add_argument('--json', metavar='FILE', help='write the values of all rounds there')
    a = p.parse_args()
    programs = {'ours': str(BIN / 'etcd')}
    for folder in a.reference or [default_reference()]:
        program = str(pathlib.Path(folder).expanduser() / 'etcd')
        programs['etcd ' + version(program)] = program
    print(f'Compared with {", ".join(list(programs)[1:])}; {a.rounds} rounds of {a.seconds} s.\n\n{table.HEAD}', flush=True)
    values = {}
    with tempfile.TemporaryDirectory(prefix='ketch-bench-') as folder:
        setting = Setting(folder, a.seconds, a.keys, a.clients)
        for name in a.case or CASES:
            values[name] = run_case(CASES[name], programs, setting, a.rounds)
    if a.json:
        pathlib.Path(a.json).write_text(json.dumps(values, indent=1) + '\n')


main()
