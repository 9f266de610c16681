"""What a case of compare.py is: a name, the figures it yields, and a function that makes them with one server.

`must` and `aim` are the most that a figure may be, as a share of etcd's (of the least, where more is better); with
`absolute` they are in the figure's own unit and etcd's does not matter.
"""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Figure:
    key: str
    what: str
    unit: str
    must: float | None = None
    aim: float | None = None
    more_is_better: bool = False
    absolute: bool = False


@dataclasses.dataclass(frozen=True)
class Setting:
    """What the command line chose."""
    folder: str
    seconds: int
    keys: int
    clients: int


class Case:
    def __init__(self, name, figures, run):
        self.name, self.figures, self.run = name, figures, run  # run(program, setting) -> {figure key: value}


class Wrong(Exception):
    """A check failed: the server did not do what it was paid for."""


def check(condition, what):
    if not condition:
        raise Wrong(what)


def cpu(what='CPU per op', must=None, aim=None):
    return Figure('cpu', what, 'µs', must, aim)


def p50(must=None, aim=None):
    return Figure('p50', 'p50', 'ms', must, aim)


def p99(must=None, aim=None):
    return Figure('p99', 'p99', 'ms', must, aim)
