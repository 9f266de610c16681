"""A plain HTTP client of the JSON gateway, and texts made comparable between two clusters."""
import http.client
import json
import re


def with_ports(text, names):
    """The text with names instead of ports, where they are ports: the digits of an id may be those of one."""
    for port, name in names.items():
        text = re.sub(rf'(?<!\w){port}(?!\w)', name, text)
    return text


class Gateway:
    """Requests to one server; ids that differ from cluster to cluster become N1, N2, ... in what it returns."""

    def __init__(self, server):
        self.server, self.ids, self.kept = server, {}, {}

    def open(self, path, body='{}', method='POST', headers=None, timeout=60):
        c = http.client.HTTPConnection(self.server.endpoint, timeout=timeout)
        c.request(method, path, body, headers or {})
        return c.getresponse()

    def post(self, path, body='{}', **how):
        """(status, text) of a whole answer."""
        with self.open(path, body if isinstance(body, str) else json.dumps(body), **how) as r:
            return r.status, r.read().decode()

    def plain(self, text):
        """The text with ids and ports replaced, and without what Go's library varies from build to build: blanks."""
        text = re.sub(r'(?<=[\]}"\de]), (?=["{\[])', ',', text).replace('proto:\xa0', 'proto: ')
        text = with_ports(text, {self.server.client_port: 'CLIENT', self.server.peer_port: 'PEER'})
        return re.sub(r'\d{15,}', lambda m: self.ids.setdefault(m[0], f'N{len(self.ids) + 1}'), text)

    def step(self, path, body, keep=None):
        """One request; `{name}` in the body is a value that an earlier step kept."""
        for name, value in self.kept.items():
            body = body.replace('{' + name + '}', value)
        status, text = self.post(path, body)
        if keep is not None:
            name, pattern = keep
            self.kept[name] = re.search(pattern, text)[1]
        return status, self.plain(text)

    def lines(self, path, body, n):
        """The first n lines of a stream's answer."""
        r = self.open(path, body)
        try:
            return [self.plain(r.readline().decode()) for _ in range(n)]
        finally:
            r.close()
