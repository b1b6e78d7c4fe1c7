import logging
import re
from pathlib import Path

import dagster as dg
import pytest
import responses

from audience_pipeline.defs.resources import (
    TOKENS,
    LedgerResource,
    NotConfiguredError,
    PlatformResource,
    can_be_told,
)
from audience_pipeline.ledger import refreshes
from audience_pipeline.platforms.contract import Platform
from audience_pipeline.settings import Account, Config, Platforms, Settings

SECRET = "s3cret-token-of-ours"
EVERYWHERE = [*TOKENS.values(), "GOOGLE_REFRESH_TOKEN", "GOOGLE_CLIENT_SECRET", "META_APP_SECRET"]


@pytest.fixture
def with_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in EVERYWHERE:
        monkeypatch.setenv(variable, SECRET)


def resource(
    platform: Platform, *accounts: str, home: Path = Path("nowhere"), given: bool = True
) -> PlatformResource:
    ids = accounts or (("1234567890",) if given else ())
    section = {one.value: Account(accounts=ids, base_url="http://127.0.0.1:9") for one in Platform}
    return PlatformResource.of(platform, Settings.at(home, Config(platforms=Platforms(**section)), {}))


@pytest.mark.parametrize("platform", Platform)
def test_a_resource_and_its_client_show_no_token(platform: Platform, with_tokens: None) -> None:
    made = resource(platform)
    [client] = made.clients()

    assert client.capabilities.platform is platform
    for text in (repr(made), str(made), str(made.model_dump()), repr(client), str(client), str(vars(made))):
        assert SECRET not in text


@pytest.mark.parametrize("platform", Platform)
def test_what_is_missing_is_named_with_what_to_set(platform: Platform) -> None:
    with pytest.raises(NotConfiguredError) as caught:
        resource(platform).clients()

    assert f"{platform.value} is not configured" in str(caught.value)
    assert f"{TOKENS[platform]} in the environment or in secrets.yaml" in str(caught.value)
    assert f"platforms.{platform.value}.account" in str(caught.value)


@pytest.mark.parametrize("platform", Platform)
def test_a_token_without_an_account_is_not_enough(platform: Platform, with_tokens: None) -> None:
    with pytest.raises(NotConfiguredError) as caught:
        resource(platform, given=False).clients()

    assert SECRET not in str(caught.value)


def test_google_needs_no_access_token_where_it_has_a_refresh_token(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("GOOGLE_REFRESH_TOKEN", "GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET"):
        monkeypatch.setenv(variable, SECRET)

    [client] = resource(Platform.GOOGLE).clients()

    assert client.capabilities.platform is Platform.GOOGLE


@pytest.mark.parametrize("platform", Platform)
def test_each_ad_account_has_a_client_in_the_order_of_the_settings(
    platform: Platform, with_tokens: None
) -> None:
    clients = resource(platform, "222", "111", "333").clients()

    assert [client.account for client in clients] == ["222", "111", "333"]


@pytest.mark.parametrize(("platform", "shared"), [("meta", False), ("google", True), ("tiktok", True)])
def test_accounts_whose_requests_a_platform_counts_together_keep_one_pace(
    platform: str, shared: bool, with_tokens: None
) -> None:
    first, second = resource(Platform(platform), "1", "2").clients()

    assert (first._http.pace is second._http.pace) is shared  # type: ignore[attr-defined]


def test_how_fast_tiktok_is_asked_is_a_setting(with_tokens: None) -> None:
    tiktok = Account(account="1", base_url="http://127.0.0.1:9", requests_per_second=20)
    settings = Settings.at(Path("nowhere"), Config(platforms=Platforms(tiktok=tiktok)), {})

    [fast] = PlatformResource.of(Platform.TIKTOK, settings).clients()
    [usual] = resource(Platform.TIKTOK).clients()

    waits = [[client._http.pace.wait({"calls": 1}) for _ in range(3)] for client in (fast, usual)]  # type: ignore[attr-defined]
    assert waits[0][2] == pytest.approx(2 / 20, abs=0.05)
    assert waits[1][2] == pytest.approx(2 / 4, abs=0.05)


@pytest.mark.parametrize("platform", Platform)
def test_credentials_in_a_file_of_the_workspace_are_enough_and_are_shown_nowhere(
    platform: Platform, tmp_path: Path
) -> None:
    file = tmp_path / "secrets.yaml"
    file.write_text("".join(f"{name}: {SECRET}\n" for name in TOKENS.values()))
    file.chmod(0o600)
    made = resource(platform, home=tmp_path)

    [client] = made.clients()

    assert made.missing() is None
    for text in (repr(made), str(made.model_dump()), repr(client), str(vars(made))):
        assert SECRET not in text


def test_the_environment_wins_over_the_file_of_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secrets.yaml").write_text("META_ACCESS_TOKEN: old\n")
    (tmp_path / "secrets.yaml").chmod(0o600)
    monkeypatch.setenv("META_ACCESS_TOKEN", SECRET)
    seen: list[str] = []

    with responses.RequestsMock() as wire:
        wire.add_callback(
            responses.GET,
            re.compile(r"http://127\.0\.0\.1:9/.*"),
            lambda request: seen.append(f"{request.url} {request.headers}") or (200, {}, '{"data": []}'),
        )
        resource(Platform.META, home=tmp_path).clients()[0].audiences()

    assert SECRET in seen[0]
    assert "old" not in seen[0]


def test_a_file_of_credentials_that_others_can_read_is_refused_with_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "secrets.yaml"
    file.write_text(f"META_ACCESS_TOKEN: {SECRET}\n")
    file.chmod(0o644)

    with pytest.raises(NotConfiguredError, match="chmod 600") as caught:
        resource(Platform.META, home=tmp_path).clients()

    assert SECRET not in str(caught.value)
    assert not can_be_told(Platform.META, Settings.at(tmp_path, Config(), {}))


@responses.activate
def test_a_failing_run_does_not_show_a_token(
    with_tokens: None, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Platforms repeat a token that they refuse."""
    body = {"error": {"message": f"Malformed access token {SECRET}", "type": "OAuthException", "code": 190}}
    refusal = responses.add(responses.GET, re.compile(r"http://127\.0\.0\.1:9/.*"), json=body, status=401)

    @dg.asset(required_resource_keys={"meta"})
    def talks(context: dg.AssetExecutionContext) -> None:
        context.log.info("using %s", context.resources.meta)
        context.resources.meta.clients()[0].find("nobody")

    instance = dg.DagsterInstance.ephemeral()
    with caplog.at_level(logging.DEBUG):
        result = dg.materialize(
            [talks], resources={"meta": resource(Platform.META)}, instance=instance, raise_on_error=False
        )

    assert not result.success
    assert refusal.call_count == 1
    events = "".join(str(entry) for entry in instance.all_logs(result.run_id))
    said = capsys.readouterr()
    assert "STEP_FAILURE" in events
    for text in (events, caplog.text, said.out, said.err):
        assert SECRET not in text


def test_a_ledger_is_opened_migrated_and_closed_again(tmp_path: Path) -> None:
    resource = LedgerResource(url=f"sqlite:///{tmp_path / 'new' / 'ledger.db'}")

    with resource.open() as ledger:
        assert refreshes.completed(ledger) == []

    assert (tmp_path / "new" / "ledger.db").is_file()
