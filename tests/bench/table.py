"""Rows for docs/performance.md."""
import statistics

HEAD = ('| case | figure | ours | etcd | ratio (spread) | must | aim | |\n'
        '|---|---|---|---|---|---|---|---|')


def number(x):
    if x >= 1000:
        return f'{x:,.0f}'
    return f'{x:.0f}' if x >= 100 else f'{x:.1f}' if x >= 10 else f'{x:.2f}' if x >= 1 else f'{x:.3f}'


def goal(figure, value):
    if value is None:
        return ''
    if figure.absolute:
        return f'{value} {figure.unit}'
    return f'{value:.2g} x' if value >= 1 else f'{value:.3f}'


def mark(figure, ours, ratio):
    """aim, must or MISSED; nothing where there is no goal."""
    if figure.must is None:
        return ''
    got = ours if figure.absolute else ratio

    def reached(wanted):
        return got >= wanted if figure.more_is_better else got <= wanted
    return 'aim' if reached(figure.aim) else 'must' if reached(figure.must) else 'MISSED'


def row(case, figure, ours, theirs):
    """ours and theirs: the values of all rounds; those of one round are neighbours in time."""
    a, b = statistics.median(ours), statistics.median(theirs)
    ratios = [x / y if y else float('inf') for x, y in zip(ours, theirs)]
    ratio = statistics.median(ratios)
    spread = f'{ratio:.3f} ({min(ratios):.3f} to {max(ratios):.3f})' if len(ratios) > 1 else f'{ratio:.3f}'
    return (f'| {case} | {figure.what} | {number(a)} {figure.unit} | {number(b)} {figure.unit} | {spread} | '
            f'{goal(figure, figure.must)} | {goal(figure, figure.aim)} | {mark(figure, a, ratio)} |')
