"""``platforms check``: what can be used, what is missing; nothing ends in a stack trace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from audience_pipeline.commands.sandboxes import ACCOUNTS, TOKENS
from audience_pipeline.sandbox.server import running
from audience_pipeline_tests.commands.conftest import Run

URLS = ("META_BASE_URL", "GOOGLE_DATA_MANAGER_BASE_URL", "GOOGLE_ADS_BASE_URL", "TIKTOK_BASE_URL")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("sandbox"), None) as url:
        yield url


@pytest.fixture
def configured(sandbox: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in {**TOKENS, **ACCOUNTS, **dict.fromkeys(URLS, sandbox)}.items():
        monkeypatch.setenv(name, value)
    return sandbox


def levels(findings: list[dict[str, str]], platform: str) -> set[str]:
    return {one["level"] for one in findings if one["platform"] == platform}


def test_platforms_that_are_set_up_can_be_used(run: Run, configured: str) -> None:
    said = run("platforms", "check", "--dir", "w", "--json")

    assert said.json["usable"], [one for one in said.json["findings"] if one["level"] == "problem"]
    assert said.code == 0
    assert {one["platform"] for one in said.json["findings"]} == {"meta", "google", "tiktok"}
    assert {"configuration", "credentials", "account"} <= {one["subject"] for one in said.json["findings"]}
    assert any(
        f"at {configured} (on this machine: a sandbox)" in one["sentence"] for one in said.json["findings"]
    )


def test_what_is_not_set_up_is_named_with_what_to_set(run: Run) -> None:
    said = run("platforms", "check", "--dir", "w", "--json")

    assert (said.code, said.json["usable"]) == (1, False)
    sentences = {one["platform"]: one["sentence"] for one in said.json["findings"]}
    assert "META_ACCESS_TOKEN" in sentences["meta"]
    assert "TIKTOK_ACCESS_TOKEN" in sentences["tiktok"]
    assert {one["level"] for one in said.json["findings"]} == {"problem"}


def test_only_the_platforms_that_are_asked_for_are_looked_at(
    run: Run, configured: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TIKTOK_ACCESS_TOKEN")

    assert run("platforms", "check", "--dir", "w").code == 1
    said = run("platforms", "check", "--platform", "meta", "--platform", "google", "--dir", "w")

    assert said.code == 0
    assert "Everything that was looked at can be used." in said.out
    assert "tiktok" not in said.out


def test_a_wrong_token_is_a_finding(run: Run, configured: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("META_ACCESS_TOKEN", "wrong-and-secret")

    said = run("platforms", "check", "--dir", "w", "--json")

    assert said.code == 1
    assert "problem" in levels(said.json["findings"], "meta")
    assert "problem" not in levels(said.json["findings"], "google")
    assert "wrong-and-secret" not in said.out + said.err


def test_a_platform_that_cannot_be_reached_is_a_finding(
    run: Run, configured: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audience_pipeline.platforms.http.time.sleep", lambda seconds: None, raising=False)
    monkeypatch.setenv("TIKTOK_BASE_URL", "http://127.0.0.1:9")

    said = run("platforms", "check", "--platform", "tiktok", "--dir", "w", "--json")

    assert said.code == 1
    assert "problem" in levels(said.json["findings"], "tiktok")


def test_an_address_without_tls_is_refused(
    run: Run, configured: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("META_BASE_URL", "http://graph.example.com")

    said = run("platforms", "check", "--platform", "meta", "--dir", "w", "--json")

    assert said.code == 1
    assert any("is not TLS" in one["sentence"] for one in said.json["findings"])


def test_nothing_is_changed(run: Run, configured: str, tmp_path: Path) -> None:
    run("platforms", "check", "--dir", "w")

    assert not (tmp_path / "w").exists()
