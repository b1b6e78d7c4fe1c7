"""Fixtures of the clients' tests: nobody really waits, and nothing leaves the machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import responses

from audience_pipeline.platforms.google import GoogleClient
from audience_pipeline.platforms.meta import MetaClient
from audience_pipeline.platforms.tiktok import TikTokClient
from audience_pipeline_tests.platforms.wire import TOKEN, Waiting


@pytest.fixture
def waiting() -> Waiting:
    return Waiting()


@pytest.fixture
def wire() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=True) as mock:
        yield mock


@pytest.fixture
def meta(waiting: Waiting) -> MetaClient:
    return MetaClient(
        access_token=TOKEN, account="act_77", sleep=waiting.sleep, clock=waiting.clock, chance=lambda: 1.0
    )


@pytest.fixture
def google(waiting: Waiting) -> GoogleClient:
    return GoogleClient(
        access_token=TOKEN,
        account="123-456-7890",
        login_account="111-222-3333",
        sleep=waiting.sleep,
        clock=waiting.clock,
        chance=lambda: 1.0,
    )


@pytest.fixture
def tiktok(waiting: Waiting) -> TikTokClient:
    return TikTokClient(
        access_token=TOKEN, account="7001", sleep=waiting.sleep, clock=waiting.clock, chance=lambda: 1.0
    )
