"""Sizes of files and functions: a ceiling for each, so that what is long does not grow longer unnoticed."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FILE_LINES_MAX = 900
FUNCTION_LINES_MAX = 150
LINE_COLUMNS_MAX = 100
LONG_SHARE_MAX = 0.07          # of functions over 70 lines


def functions(text):
    """(name, lines) of each function: a line that starts in column 0 and is followed by a lone brace."""
    lines = text.split('\n')
    start = None
    for i, line in enumerate(lines):
        if line == '{':
            start = i
        elif line == '}' and start is not None:
            head = start - 1
            while head > 0 and lines[head - 1].strip() and not lines[head - 1].rstrip().endswith((';', '}', '*/')):
                head -= 1
            m = re.search(r'(\w+)\s*\(', ' '.join(lines[head:start]))
            yield (m[1] if m else '?'), i - head + 1
            start = None


def main():
    names = subprocess.run(['git', 'ls-files', 'src/*.c', 'src/*.h', 'cmd/*.c', 'cmd/*.h'], cwd=ROOT, text=True,
                           capture_output=True, check=True).stdout.split()
    bad, sizes = [], []
    for name in names:
        text = (ROOT / name).read_text()
        count = text.count('\n')
        if count > FILE_LINES_MAX:
            bad.append(f'{name}: {count} lines; look for the seam')
        for n, line in enumerate(text.split('\n'), 1):
            if len(line) > LINE_COLUMNS_MAX and 'clang-format off' not in text:
                bad.append(f'{name}:{n}: {len(line)} columns')
        for fn, lines in functions(text):
            sizes.append(lines)
            if lines > FUNCTION_LINES_MAX:
                bad.append(f'{name}: {fn} has {lines} lines')
    sizes.sort()
    if sizes:
        share = sum(s > 70 for s in sizes) / len(sizes)
        print(f'{len(names)} files, {len(sizes)} functions: median {sizes[len(sizes) // 2]} lines, '
              f'95th percentile {sizes[len(sizes) * 95 // 100]}, {share:.1%} over 70')
        if share > LONG_SHARE_MAX:
            bad.append(f'{share:.1%} of functions are over 70 lines')
    print('\n'.join(bad)) if bad else None
    sys.exit(bool(bad))


main()
