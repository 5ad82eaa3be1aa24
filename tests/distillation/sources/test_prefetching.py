import threading

from distillation.sources.prefetching import Prefetcher


def test_shards_are_fetched_in_the_order_of_the_requests_and_one_that_waits_is_not_asked_for_twice():
    fetched, gate, done = [], threading.Event(), threading.Event()

    def fetch(shard: int) -> None:
        gate.wait(10)
        fetched.append(shard)
        if shard == 9:
            done.set()

    prefetcher = Prefetcher(fetch, threads=1)
    prefetcher.request([3, 1])
    prefetcher.request([1, 9])
    gate.set()
    assert done.wait(10)
    assert fetched == [3, 1, 9]


def test_a_shard_that_fails_does_not_stop_those_after_it_and_may_be_asked_for_again():
    fetched, done = [], threading.Event()

    def fetch(shard: int) -> None:
        fetched.append(shard)
        if shard == 0:
            raise OSError("the network is gone")
        if shard == 2:
            done.set()

    prefetcher = Prefetcher(fetch, threads=1)
    prefetcher.request([0, 1])
    while 1 in prefetcher.waiting:
        threading.Event().wait(0.01)
    prefetcher.request([0, 2])
    assert done.wait(10)
    assert fetched == [0, 1, 0, 2]
