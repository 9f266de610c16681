"""Programs of a bench that would be on machines of their own, on the one that there is.

What a server does to its clients is to be measured, not that clients, attackers and the server need the same processors, nor that a
virtual machine's processor which sleeps is woken up when the host likes.

    run_at_once(pid)     clients whose waiting is measured: they run as soon as there is something to do for them
    run_last()           those who merely make work: on the last processor, when nobody else wants it
    with awake(): ...    no processor sleeps but the last one, for who spins there would take half of what is left to who runs last
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


class Processes:
    """While it is entered these run."""

    def __init__(self, target, args_of_each):
        self.all = [multiprocessing.Process(target=target, args=args, daemon=True) for args in args_of_each]

    def __enter__(self):
        for p in self.all:
            p.start()

    def __exit__(self, *_):
        for p in self.all:
            p.kill()
        for p in self.all:
            p.join()


def awake():
    return Processes(spin_on, [(p,) for p in processors()[:-1]])
