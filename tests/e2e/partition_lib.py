"""A network between the members that can be cut, one direction at a time: a proxy before each member's peer port.

Bytes from one member to another are held while that direction is cut, and go on when it is not any more, as on a network
that loses packets.  Who a connection is from its requests say (X-Server-From): one that began with a question for the
version, which does not, may go on as a stream.
"""
import asyncio
import itertools
import re
import threading

from cluster_lib import Cluster
from conftest import free_ports

FROM = re.compile(rb'\r\nX-Server-From: ([0-9a-f]+)\r\n', re.IGNORECASE)
CHUNK = 1 << 16


class Network(threading.Thread):
    def __init__(self, ports):
        """ports: name of a member -> (port that the others dial, its own peer port)"""
        super().__init__(daemon=True)
        self.ports, self.names = ports, {}
        self.cuts = set()  # of (from, to), names
        self.loop = asyncio.new_event_loop()
        self.change = None  # set anew whenever the cuts have changed
        self.ready = threading.Event()

    def run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self.listen())
        self.ready.set()
        self.loop.run_forever()

    async def listen(self):
        self.change = asyncio.Event()
        for name, (front, back) in self.ports.items():
            await asyncio.start_server(lambda r, w, n=name, b=back: self.serve(n, b, r, w), '127.0.0.1', front)

    def is_cut(self, source, target):
        """A member that has not said who it is may be any of the others."""
        pairs = [(source, target)] if None not in (source, target) else \
            [(s, t) for s in self.ports for t in self.ports if source in (s, None) and target in (t, None)]
        return any(p in self.cuts for p in pairs)

    def set_cuts(self, cuts):
        def change():
            self.cuts = set(cuts)
            self.change.set()
            self.change = asyncio.Event()
        self.loop.call_soon_threadsafe(change)

    def isolate(self, *names):
        """Cut both ways between these members and all others."""
        others = [n for n in self.ports if n not in names]
        self.set_cuts({p for a, b in itertools.product(names, others) for p in ((a, b), (b, a))})

    def heal(self):
        self.set_cuts(())

    async def serve(self, name, back, reader, writer):
        try:
            head = await reader.readuntil(b'\r\n\r\n')
            mine, theirs = await asyncio.open_connection('127.0.0.1', back)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.close()
            return
        sender = None

        def look(data):
            nonlocal sender
            found = sender is None and FROM.search(data)
            if found:
                sender = found.group(1).decode()

        def source():
            return self.names.get(sender)

        await asyncio.gather(self.pump(reader, theirs, lambda: (source(), name), head, look),
                             self.pump(mine, writer, lambda: (name, source()), b''))

    async def pump(self, reader, writer, way, data, look=lambda data: None):
        try:
            while True:
                look(data)
                while self.is_cut(*way()):
                    await self.change.wait()
                writer.write(data)
                await writer.drain()
                data = await reader.read(CHUNK)
                if not data:
                    break
        except OSError:
            pass
        writer.close()


class CuttableCluster(Cluster):
    """Members that reach one another by way of `network` only."""

    def __init__(self, etcds, folder, ctl, messages, flags=()):
        super().__init__(etcds, folder, ctl, messages, flags)
        fronts = dict(zip([m.name for m in self.members], free_ports(len(etcds))))
        self.network = Network({m.name: (fronts[m.name], m.peer_port) for m in self.members})
        text = ','.join(f'{n}=http://127.0.0.1:{p}' for n, p in fronts.items())
        for m in self.members:
            m.flags[m.flags.index('--initial-advertise-peer-urls') + 1] = f'http://127.0.0.1:{fronts[m.name]}'
            m.flags[m.flags.index('--initial-cluster') + 1] = text
            m.use(m.command[0])

    def __enter__(self):
        self.network.start()
        self.network.ready.wait()
        super().__enter__()
        self.network.names = {'%x' % m.status().header.member_id: m.name for m in self.members}
        return self

    def leader_among(self, members):
        """The leader on which all of these agree and that is one of them."""
        def found():
            status = {m: m.status() for m in members}
            for m, s in status.items():
                if s is not None and all(o is not None and o.leader == s.header.member_id for o in status.values()):
                    return m
            return None
        members[0].wait_for(found)
        return found() or self.leader_among(members)
