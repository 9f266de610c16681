"""How members find their cluster: refusals, a discovery service, DNS."""
import os
import pathlib
import re
import shutil
import socket
import struct
import threading

import pytest

from cluster_lib import Cluster, log_lines
from preload_lib import preload
from test_cluster import member_list, put


@pytest.fixture
def cluster_of(ketch_bin, messages, tmp_path):
    def make(etcds, *flags):
        return Cluster(etcds, tmp_path, ketch_bin / 'etcdctl', messages, flags)
    return make


def said(member, text):
    return [x for x in log_lines(member) if x['msg'] == text]


def end_of_start(member):
    """The status and the last words of a start that fails."""
    member.start(wait=False)
    status = member.process.wait(60)
    return status, log_lines(member)[-1].get('error', '')


def test_a_member_that_lost_its_directory_does_not_begin_anew(cluster_of, ketch_bin):
    """It has voted before: with --initial-cluster-state=new it is refused, as etcd refuses it."""
    with cluster_of([ketch_bin / 'etcd'] * 3) as c:
        victim = c.followers()[0]
        member_id = victim.status().header.member_id
        # Who it is asked of knows it by what it has published.
        for m in c.members:
            m.wait_for(lambda m=m: all(x.clientURLs for x in member_list(m).values()))
        victim.kill()
        victim.channel = None
        shutil.rmtree(victim.data_dir)
        status, error = end_of_start(victim)
        assert status == 1 and error.endswith(f'member {member_id:x} has already been bootstrapped')
        assert not (victim.data_dir / 'member').exists()
        put(c.leader(), b'on', b'1')


@pytest.mark.parametrize('program', ['ketch', 'real'])
def test_a_member_that_lost_its_directory_and_joins_stops(cluster_of, ketch_bin, request, program):
    """Called existing it is let in, and its leader tells it to commit what it no longer has: etcd's last words, status 2."""
    real = os.environ.get('KETCH_REFERENCE_BIN')
    folder = ketch_bin if program == 'ketch' else pathlib.Path(real or request.getfixturevalue('real_bin'))
    etcd = folder / 'etcd'
    with cluster_of([etcd] * 3) as c:
        victim = c.followers()[0]
        put(c.leader(), b'on', b'1')
        victim.kill()
        victim.channel = None
        shutil.rmtree(victim.data_dir)
        victim.command += ['--initial-cluster-state', 'existing']
        victim.start(wait=False)
        assert victim.process.wait(60) == 2
        last = next(x for x in log_lines(victim) if x['level'] == 'panic')
        assert re.fullmatch(r'tocommit\(\d+\) is out of range \[lastIndex\(0\)\]. '
                            r'Was the raft log corrupted, truncated, or lost\?', last['msg'])
        assert last['logger'] == 'raft' and last.keys() == {'level', 'ts', 'logger', 'caller', 'msg', 'stacktrace'}
        put(c.leader(), b'on', b'2')


@pytest.mark.parametrize('enabled', [False, True])
def test_a_release_that_the_cluster_has_left_behind_does_not_join(cluster_of, ketch_bin, enabled):
    """A 3.6 does not join a cluster at 3.7, unless that is on its way down to 3.6: then no 3.7 joins."""
    with cluster_of([ketch_bin / 'etcd']) as c:
        first = c.members[0]
        first.wait_for(lambda: first.status().storageVersion == '3.7.0')
        if enabled:
            first.grpc('etcdserverpb.Maintenance/Downgrade')(action=1, version='3.6')
        new = c.add(ketch_bin / 'etcd', first, learner=True)
        old, young = ['--emulated-version', '3.6'], []
        new.command += young if enabled else old
        status, error = end_of_start(new)
        assert status == 1 and error == 'incompatible with current running cluster'
        text = 'cluster version of remote member is not compatible; too ' + ('low' if enabled else 'high')
        assert said(new, text)
        if not enabled:
            new.use(ketch_bin / 'etcd')
            new.start()
            assert new.status().isLearner
            assert set(member_list(first)) == {'m1', 'm2'}


def as_new(cluster, *flags):
    """The members without --initial-cluster and its token, and with these flags instead."""
    for m in cluster.members:
        for flag in ('--initial-cluster', '--initial-cluster-token'):
            i = m.flags.index(flag)
            del m.flags[i:i + 2]
        m.flags += flags
        m.use(m.command[0])


def test_members_meet_in_another_etcd(cluster_of, ketch_bin, start_server, tmp_path):
    """Three members put themselves under a token, wait for one another and become a cluster; a fourth is too many."""
    with start_server(tmp_path / 'meeting') as meeting:
        flags = ('--discovery-token', 'tok', '--discovery-endpoints', f'http://{meeting.endpoint}')
        c = cluster_of([ketch_bin / 'etcd'] * 4)
        as_new(c, *flags)
        late = c.members.pop()
        status, error = end_of_start(late)
        assert status == 1 and error == 'discovery: size key not found'
        meeting.grpc('etcdserverpb.KV/Put')(key=b'/_etcd/registry/tok/_config/size', value=b'3')
        with c:
            assert set(member_list(c.members[0])) == {'m1', 'm2', 'm3'}
            put(c.members[1], b'a', b'1')
            status, error = end_of_start(late)
            assert status == 1 and error == 'discovery: cluster is full'
            c.members[2].stop()
            c.members[2].channel = None
            c.members[2].start()
            c.members[2].wait_for(lambda: said(
                c.members[2], 'discovery token is ignored since cluster already initialized; valid logs are found'))
            c.agree()
        keys = meeting.grpc('etcdserverpb.KV/Range')(key=b'/_etcd/registry/tok/members/', range_end=b'/_etcd/registry/tok/members0').kvs
        assert [kv.value for kv in sorted(keys, key=lambda kv: kv.value)] == [
            f'm{i + 1}=http://127.0.0.1:{m.peer_port}'.encode() for i, m in enumerate(c.members)]


def test_ours_and_real_ones_meet(cluster_of, ketch_bin, real_bin, start_server, tmp_path):
    """A real member and ours find one another by the same keys, in a real etcd."""
    with start_server(tmp_path / 'meeting', etcd=real_bin / 'etcd') as meeting:
        meeting.grpc('etcdserverpb.KV/Put')(key=b'/_etcd/registry/t/_config/size', value=b'1')
        c = cluster_of([ketch_bin / 'etcd'])
        as_new(c, '--discovery-token', 't', '--discovery-endpoints', meeting.endpoint)
        with c:
            put(c.members[0], b'a', b'1')


SHIM = r'''
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdlib.h>

/* As the system's, but the name server is at 127.0.0.1:$DNS_PORT. */
int __res_ninit(res_state s)
{
    int (*real)(res_state) = (int (*)(res_state)) dlsym(RTLD_NEXT, "__res_ninit");
    int rc = real(s);

    s->nscount = 1;
    s->nsaddr_list[0].sin_family = AF_INET;
    s->nsaddr_list[0].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->nsaddr_list[0].sin_port = htons((unsigned short) atoi(getenv("DNS_PORT")));
    return rc;
}
'''


class Dns(threading.Thread):
    """Answers SRV questions over UDP: name -> list of ports, all of them at localhost."""

    def __init__(self, records):
        super().__init__(daemon=True)
        self.records, self.asked = records, []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(('127.0.0.1', 0))
        self.port = self.socket.getsockname()[1]

    def run(self):
        while True:
            q, who = self.socket.recvfrom(512)
            at, labels = 12, []
            while q[at]:
                labels.append(q[at + 1:at + 1 + q[at]].decode())
                at += 1 + q[at]
            name = '.'.join(labels)
            self.asked.append(name)
            ports = self.records.get(name, [])
            answers = b''.join(b'\xc0\x0c' + struct.pack('!HHIHHHH', 33, 1, 60, 17, 0, 0, p) + b'\x09localhost\x00' for p in ports)
            head = struct.pack('!HHHHHH', struct.unpack('!H', q[:2])[0], 0x8180 if ports else 0x8183, 1, len(ports), 0, 0)
            self.socket.sendto(head + q[12:at + 5] + answers, who)


@pytest.fixture
def dns_environment(ketch_bin, tmp_path, monkeypatch):
    """Programs started from now on ask the name server at this port."""
    environment = preload(ketch_bin / 'etcd', tmp_path, SHIM)

    def use(port):
        for name, value in {**environment, 'DNS_PORT': str(port)}.items():
            monkeypatch.setenv(name, value)
    return use


@pytest.fixture
def dns(dns_environment):
    """Records of that name server; empty at first."""
    d = Dns({})
    d.start()
    dns_environment(d.port)
    return d


def test_members_find_one_another_by_dns(cluster_of, ketch_bin, dns_environment):
    """SRV records of a domain, with a service name of one's own, are the initial cluster; who is not in them is refused."""
    c = cluster_of([ketch_bin / 'etcd'] * 4)
    for m in c.members:
        m.flags[m.flags.index('--initial-advertise-peer-urls') + 1] = f'http://localhost:{m.peer_port}'
    as_new(c, '--discovery-srv', 'example.test', '--discovery-srv-name', 'x')
    late = c.members.pop()
    dns = Dns({'_etcd-server-x._tcp.example.test': [m.peer_port for m in c.members]})
    dns.start()
    dns_environment(dns.port)
    with c:
        assert {m.name for m in c.members} == set(member_list(c.members[0]))
        assert set(dns.asked) == {'_etcd-server-x._tcp.example.test', '_etcd-server-ssl-x._tcp.example.test'}
        put(c.members[1], b'a', b'1')
        c.agree()
        status, error = end_of_start(late)
        assert status == 1 and error == 'error setting up initial cluster: cannot find local etcd member "m4" in SRV records'
    late.flags[late.flags.index('example.test')] = 'nowhere.test'
    late.use(ketch_bin / 'etcd')
    status, error = end_of_start(late)
    assert status == 1 and error == '\n'.join(
        ['error setting up initial cluster: error querying DNS SRV records for _etcd-server-ssl-x lookup '
         f'_etcd-server-ssl-x._tcp.nowhere.test on 127.0.0.1:{dns.port}: no such host',
         'error querying DNS SRV records for _etcd-server-x lookup '
         f'_etcd-server-x._tcp.nowhere.test on 127.0.0.1:{dns.port}: no such host'])
