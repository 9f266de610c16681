"""Checks every include line of src/ against the table of layers in docs/architecture.md.

The table there is the law; this reads it, so that it cannot differ from what is checked.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Headers of other people's libraries, and the one folder (or few) that may see each.
FOREIGN = {
    r'uv\.h|uv/': ['engine/net'],
    r'nghttp2/': ['engine/net'],
    r'llhttp\.h|http_parser\.h': ['engine/net'],
    r'openssl/': ['engine/net', 'sys/posix'],
    r'zlib\.h': ['engine/net', 'obs'],
    r'protobuf-c/': ['wire'],
    r'json-c/': ['wire', 'state/cluster', 'edge/server', 'edge/proxy'],
    r'yaml\.h': ['edge/server'],
    r'pthread\.h': ['sys/posix', 'engine/net', 'engine/bolt', 'obs'],  # the last two: a mutex, off the hot path
    r'linux/|sys/mman\.h': ['sys/posix', 'engine/net'],
    # Systemd's sockets; open descriptors; old log files.
    r'sys/socket\.h|dirent\.h': ['sys/posix', 'engine/net', 'edge/server', 'obs'],
}


def table():
    """{folder: set of folders it may include}, from the lines `| folder | uses |` between two marks."""
    text = (ROOT / 'docs/architecture.md').read_text()
    part = text.split('<!-- layers:begin -->')[1].split('<!-- layers:end -->')[0]
    rules = {}
    for row in re.findall(r'^\| `([^|]+)` \|([^|]*)\|$', part, re.M):
        rules[row[0]] = set(re.findall(r'`([\w/]+)`', row[1])) | {'base', row[0]}
    return rules


def folder_of(path, rules):
    best = [f for f in rules if str(path).startswith(f + '/')]
    return max(best, key=len) if best else None


def main():
    rules = table()
    bad = []
    files = subprocess.run(['git', 'ls-files', 'src/*.c', 'src/*.h'], cwd=ROOT, text=True,
                           capture_output=True, check=True).stdout.split()
    for name in files:
        rel = pathlib.Path(name).relative_to('src')
        mine = folder_of(rel, rules)
        if mine is None:
            bad.append(f'{name}: folder is not in the table of docs/architecture.md')
            continue
        for n, line in enumerate((ROOT / name).read_text().split('\n'), 1):
            m = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if m and '/' in m[1]:
                theirs = folder_of(pathlib.Path(m[1]), rules)
                if theirs is None or theirs not in rules[mine]:
                    bad.append(f'{name}:{n}: {mine} may not include {m[1]}')
            m = re.match(r'\s*#\s*include\s+<([^>]+)>', line)
            for pattern, allowed in FOREIGN.items():
                if m and re.match(pattern, m[1]) and not any(str(rel).startswith(a + '/') for a in allowed):
                    bad.append(f'{name}:{n}: {mine} may not include <{m[1]}>')
    print('\n'.join(bad) if bad else f'{len(files)} files keep to {len(rules)} rules')
    sys.exit(bool(bad))


main()
