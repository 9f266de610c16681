"""A revision that is larger than what a connection may hold for a client that has not read it yet (64 MB)."""
COUNT = 80
VALUE = bytes(range(256)) * 4096
WATCH = dict(key=b'k', prefix=True, prev_kv=True, fragment=True)


def receive(stream):
    """The next response; its fragments are put together, and nothing may come between them."""
    first = r = stream.next(60)
    assert r is not None, stream.end
    events = len(r.events)
    while r.fragment:
        assert r.ByteSize() < 3 * len(VALUE)
        r = stream.next(60)
        assert r is not None, stream.end
        assert (r.watch_id, r.created, r.canceled) == (first.watch_id, False, False)
        assert all(e.prev_kv.value == VALUE for e in r.events)
        events += len(r.events)
    return 'canceled' if first.canceled else 'created' if first.created else (first.watch_id, events)


def test_fragments_of_a_large_revision(api):
    """A deletion of 80 MiB reaches watches that take fragments: one that is in step, and two of one stream that read it
    from history.  What their client asks for meanwhile waits until no fragment is owed."""
    for i in range(COUNT):
        api.put(b'k%02d' % i, VALUE)
    live, past = api.watch(), api.watch()
    live.create(**WATCH)
    revision = api.DeleteRange(key=b'k', end=b'l').header.revision
    assert receive(live) == (0, COUNT)
    live.close()
    for _ in range(2):
        past.ask(start_revision=revision, **WATCH)
    past.ask(key=b'other', watch_id=7)
    past.ask(key=b'other', start_revision=-1)
    got = [receive(past) for _ in range(6)]
    assert sorted(map(str, got)) == ["(0, 80)", "(1, 80)", 'canceled', 'created', 'created', 'created']
    past.close()
