"""Lists what the core libraries ask of the outside and fails on anything that is not on the short list.

The core (engine/raft, state, node) must be deterministic: no clock, no chance, no file, no socket, no thread.
"""
import pathlib
import re
import subprocess
import sys

CORE = ['raft', 'store', 'mvcc', 'lease', 'auth', 'cluster', 'node']
ALLOWED = re.compile(
    r'^(mem(cpy|move|set|cmp|chr|rchr)|str(len|cmp|ncmp|chr|rchr|nlen|cspn|spn|str|to(u?ll?|ull|d))|'
    r'v?snprintf|qsort|bsearch|abs|__isoc\d+_strto\w+|__ctype_\w+|isalnum|isdigit|isxdigit|tolower|toupper|'
    r'__stack_chk_fail|__errno_location|__popcountdi2|_GLOBAL_OFFSET_TABLE_|__tls_get_addr|'
    r'__(mem|str|v?snprintf|stp)\w*_chk|log2|ceil|floor)$')
# Our own libraries, and protobuf-c and json-c, which work on memory only.
OURS = re.compile(r'^(etcdserverpb__|mvccpb__|authpb__|membershippb__|raftpb__|walpb__|snappb__|leasepb__|'
                  r'versionpb__|protobuf_c_|json_|array_list_|printbuf_|lh_)')


def symbols(lib, what):
    out = subprocess.run(['nm', '-g', *what, str(lib)], text=True, capture_output=True, check=True).stdout
    return {line.split()[-1] for line in out.split('\n') if line and not line.endswith(':')}


def main():
    build = pathlib.Path(sys.argv[1])
    ours = set()
    for lib in build.glob('libketch_*.a'):
        ours |= symbols(lib, ['--defined-only'])
    # What touches the real world may not be reached from the core, though it is ours.
    posix = {s for s in ours if re.match(r'^(disk_posix|clock_posix|random_posix|thread_\w+|loop_\w+)$', s)}
    bad = []
    seen = 0
    for name in CORE:
        lib = build / f'libketch_{name}.a'
        if not lib.exists():
            continue
        seen += 1
        for s in sorted(symbols(lib, ['--undefined-only'])):
            if s in posix or not (s in ours or ALLOWED.match(s) or OURS.match(s)):
                bad.append(f'libketch_{name}.a asks for {s}')
    if seen == 0:
        bad.append('no core library was found: build first')
    print('\n'.join(bad) if bad else f'{seen} core libraries ask for nothing but memory and text')
    sys.exit(bool(bad))


main()
