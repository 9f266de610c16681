"""Programs of a bench that would be on machines of their own, on the one that there is.

What a server does to its clients is to be measured, not that clients, attackers and the server need the same processors, nor that a
virtual machine's processor which sleeps is woken up when the host likes.

    run_at_once(pid)     clients whose waiting is measured: they run as soon as there is something to do for them
    run_last()           those who merely make work: on the last processor, when nobody else wants it
    with Awake(): ...    no processor sleeps; `but_last` where somebody runs last, and would get half of what is left
"""
import multiprocessing
import os
import sys


def processors():
    return sorted(os.sched_getaffinity(0))


def run_at_once(pid):
    """All threads of a program, before anything else that is ready.  That takes a privilege; without it their waiting counts."""
    try:
        for thread in os.listdir(f'/proc/{pid}/task'):
            os.sched_setscheduler(int(thread), os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        print('no privilege to set priorities: that clients wait for a processor is counted', file=sys.stderr)
    except (FileNotFoundError, ProcessLookupError):  # a thread has just ended
        pass


def run_last():
    os.sched_setaffinity(0, {processors()[-1]})
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def spin_on(processor):
    os.sched_setaffinity(0, {processor})
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    while True:
        pass


class Awake:
    """`but_last`: the last processor is left to who runs last."""

    def __init__(self, but_last=False):
        which = processors()[:-1] if but_last else processors()
        self.processes = [multiprocessing.Process(target=spin_on, args=(p,), daemon=True) for p in which]

    def __enter__(self):
        for p in self.processes:
            p.start()

    def __exit__(self, *_):
        for p in self.processes:
            p.kill()
        for p in self.processes:
            p.join()
