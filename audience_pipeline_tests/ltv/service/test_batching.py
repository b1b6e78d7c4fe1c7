from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence

import pytest

from audience_pipeline.ltv.service.batching import Batcher, QueueFullError
from audience_pipeline.ltv.service.limits import Limits

Calls = list[list[int]]


def doubling(calls: Calls) -> Callable[[Sequence[int]], list[int]]:
    def score(works: Sequence[int]) -> list[int]:
        calls.append(list(works))
        if 13 in works:
            raise ValueError(works)
        return [2 * work for work in works]

    return score


def run(scenario: Callable[[Batcher[int, int]], Awaitable[None]], calls: Calls, **limits: int) -> None:
    async def whole() -> None:
        batcher: Batcher[int, int] = Batcher(doubling(calls), Limits(**limits))
        running = asyncio.create_task(batcher.run())
        try:
            await scenario(batcher)
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    asyncio.run(whole())


def test_everything_that_waits_is_scored_in_one_call() -> None:
    calls: Calls = []

    async def scenario(batcher: Batcher[int, int]) -> None:
        answers = [batcher.submit(number, 1) for number in (1, 2, 3)]
        assert await asyncio.gather(*answers) == [2, 4, 6]
        assert await batcher.submit(4, 1) == 8
        assert batcher.waiting == 0

    run(scenario, calls)

    assert calls == [[1, 2, 3], [4]]


def test_a_batch_ends_before_it_grows_too_large() -> None:
    calls: Calls = []

    async def scenario(batcher: Batcher[int, int]) -> None:
        sizes = {1: 6, 2: 4, 3: 1, 4: 50, 5: 1}
        await asyncio.gather(*(batcher.submit(number, size) for number, size in sizes.items()))
        await asyncio.gather(*(batcher.submit(number, 1) for number in (6, 7, 8, 9)))

    run(scenario, calls, batch_transactions=10, batch_requests=3)

    assert calls == [[1, 2], [3], [4], [5], [6, 7, 8], [9]]


def test_a_request_that_fails_fails_alone_and_its_values_are_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls: Calls = []

    async def scenario(batcher: Batcher[int, int]) -> None:
        answers = [batcher.submit(number, 1) for number in (1, 13, 3)]
        results = await asyncio.gather(*answers, return_exceptions=True)
        assert [results[0], results[2]] == [2, 6]
        assert isinstance(results[1], ValueError)

    with caplog.at_level(logging.ERROR):
        run(scenario, calls)

    assert calls == [[1, 13, 3], [1], [13], [3]]
    assert "ValueError" in caplog.text
    assert "[13]" not in caplog.text


def test_a_request_that_nobody_waits_for_is_not_scored() -> None:
    calls: Calls = []

    async def scenario(batcher: Batcher[int, int]) -> None:
        kept, gone = batcher.submit(1, 1), batcher.submit(2, 1)
        gone.cancel()
        await kept
        alone = batcher.submit(3, 1)
        alone.cancel()
        assert await batcher.submit(4, 1) == 8

    run(scenario, calls)

    assert calls == [[1], [4]]


def test_a_full_queue_takes_nothing_more_until_there_is_room() -> None:
    calls: Calls = []

    async def scenario(batcher: Batcher[int, int]) -> None:
        first = batcher.submit(1, 100)
        with pytest.raises(QueueFullError):
            batcher.submit(2, 1)
        await first
        assert await batcher.submit(3, 1) == 6

    run(scenario, calls, waiting_transactions=10)

    assert calls == [[1], [3]]
