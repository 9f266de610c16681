"""Programs of a bench that would be on machines of their own, on the one that there is.

What a server does to its clients is to be measured, not that clients, attackers and the server need the same processors, nor that a
virtual machine's processor which sleeps is woken up when the host likes.

    run_at_once(pid)     clients whose waiting is measured: they run as soon as there is something to do for them
    run_last()           those who merely make work: on the last processor, when nobody else wants it
    stand_back()         a thread of the bench itself, that looks and waits
    run_when_idle(pid)   a member whose work is to cost others nothing but what they do for it
    place(pid, some)     a program on some of the processors(), as on others_processors(), which are all but the last
    with awake(): ...    no processor sleeps but the last one, for who spins there would take half of what is left to who runs last
    Memory(...)          what a program writes to new pages has pages: a virtual machine may have to ask its owner for each, which takes
                         longer than all that is done with it (up to 7 ms for a megabyte)
"""
import contextlib
import multiprocessing
import os
import sys
import threading

MB, READY_MB, LOOK_SECONDS = 1_000_000, 64, 0.05


def processors():
    return sorted(os.sched_getaffinity(0))


def others_processors():
    return processors()[:-1]


def place(pid, some):
    """All threads of a program, and those that these start from now on."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread has just ended
        for thread in os.listdir(f'/proc/{pid}/task'):
            os.sched_setaffinity(int(thread), some)


def schedule(pid, policy, priority):
    """All threads of a program."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread has just ended
        for thread in os.listdir(f'/proc/{pid}/task'):
            os.sched_setscheduler(int(thread), policy, os.sched_param(priority))


def run_at_once(pid):
    """Before anything else that is ready.  That takes a privilege; without it their waiting counts."""
    try:
        schedule(pid, os.SCHED_FIFO, 1)
    except PermissionError:
        print('no privilege to set priorities: that clients wait for a processor is counted', file=sys.stderr)


def run_when_idle(pid):
    """When nobody else wants the processor; so do the threads that these start from now on."""
    schedule(pid, os.SCHED_IDLE, 0)


def stand_back():
    """The calling thread, not those or the programs that it starts."""
    os.sched_setscheduler(0, os.SCHED_IDLE | os.SCHED_RESET_ON_FORK, os.sched_param(0))


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


def folder_mb(folder):
    """On the disk, or nearly: files come and go."""
    sizes = []
    for f in folder.rglob('*'):
        with contextlib.suppress(FileNotFoundError):
            sizes.append(f.stat().st_blocks * 512)
    return sum(sizes) / MB


class Memory:
    """A file in the page cache, whose pages are let go as a folder grows: there are always some more than it needs next."""

    def __init__(self, path, megabytes):
        self.path, self.megabytes = path, int(megabytes)
        with open(path, 'wb') as f:
            for _ in range(self.megabytes):
                f.write(os.urandom(1000) * 1000)

    def load(self):
        """All of it; takes a while."""
        with open(self.path, 'rb', buffering=0) as f:
            while f.read(MB):
                pass

    @contextlib.contextmanager
    def ready(self, folder):
        over = threading.Event()
        t = threading.Thread(target=self._let_go, args=(folder, over), daemon=True)
        t.start()
        yield
        over.set()
        t.join()

    def _let_go(self, folder, over):
        stand_back()
        gone = 0
        with open(self.path, 'rb') as f:
            while not over.wait(LOOK_SECONDS):
                to = min(int(folder_mb(folder)) + READY_MB, self.megabytes)
                if to > gone:
                    os.posix_fadvise(f.fileno(), gone * MB, (to - gone) * MB, os.POSIX_FADV_DONTNEED)
                    gone = to
