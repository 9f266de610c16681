"""What members tell one another of the membership, what they count on, and the limits of it."""
import json

import pytest

from cluster_lib import Cluster
from test_cluster import member_list
from test_downgrade import restart
from test_peer_pages import ask


@pytest.fixture
def cluster_of(ketch_bin, messages, tmp_path):
    def make(etcds, *flags):
        return Cluster(etcds, tmp_path, ketch_bin / 'etcdctl', messages, flags)
    return make


def listed(member):
    """The client URLs of each member, as the page of the peer port has them."""
    return {m['name']: m['clientURLs'] for m in json.loads(ask(member, 'GET', '/members')[2])}


def test_the_peer_page_shows_what_a_member_publishes(cluster_of, ketch_bin):
    """A member comes back with another client URL: the page that members ask shows it as soon as the list for clients does."""
    with cluster_of([ketch_bin / 'etcd'] * 3) as c:
        a, b = c.followers()
        url = f'http://localhost:{b.client_port}'
        b.flags[b.flags.index('--advertise-client-urls') + 1] = url
        restart(b)
        for m in c.members:
            m.wait_for(lambda m=m: member_list(m)[b.name].clientURLs == [url])
            m.wait_for(lambda m=m: listed(m) == {x.name: list(x.clientURLs) for x in member_list(m).values()})
        assert listed(a)[b.name] == [url]
