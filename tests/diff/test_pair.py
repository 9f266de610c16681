"""The tester itself: watch responses that come in while others are being compared are compared later."""
import pathlib
import threading

import pytest
from pair import WatchPair, WatchStream, conftest


class Sent(WatchStream):
    """A watch stream whose responses are put into its log by the test."""

    def __init__(self):
        self.log, self.changed = [], threading.Condition()


@pytest.fixture(scope='module')
def rpc(tmp_path_factory):
    return conftest.Messages(pathlib.Path(tmp_path_factory.mktemp('messages'))).rpc


def event(rpc, revision):
    r = rpc.WatchResponse(watch_id=3)
    r.header.revision = revision
    kv = r.events.add().kv
    kv.key, kv.mod_revision = b'a', revision
    return r


def pair_of_sent():
    w = WatchPair(())
    w.streams = [Sent(), Sent()]
    return w


@pytest.mark.parametrize('first', [0, 1])
def test_an_event_that_one_side_brings_during_the_comparison_is_not_lost(rpc, monkeypatch, first):
    w = pair_of_sent()
    grouped = WatchPair.badly_grouped

    def late(self, *logs):
        self.streams[first].log.append(event(rpc, 7))
        return grouped(self, *logs)

    for s in w.streams:
        s.log.append(event(rpc, 6))
    monkeypatch.setattr(WatchPair, 'badly_grouped', late)
    assert w.difference(0) is None
    monkeypatch.undo()
    w.streams[1 - first].log.append(event(rpc, 7))
    assert w.difference(0) is None
    assert [s.log for s in w.streams] == [[], []]


def test_an_event_that_never_comes_is_a_difference(rpc):
    w = pair_of_sent()
    w.streams[0].log.append(event(rpc, 7))
    assert 'item 0 of 1/0' in w.difference(0)
