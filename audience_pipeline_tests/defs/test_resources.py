import logging
import re
from pathlib import Path

import dagster as dg
import pytest
import responses

from audience_pipeline.defs.resources import TOKENS, LedgerResource, NotConfiguredError, PlatformResource
from audience_pipeline.ledger import refreshes
from audience_pipeline.platforms.contract import Platform
from audience_pipeline.settings import Account, Config, Platforms, Settings

SECRET = "s3cret-token-of-ours"
EVERYWHERE = [*TOKENS.values(), "GOOGLE_REFRESH_TOKEN", "GOOGLE_CLIENT_SECRET", "META_APP_SECRET"]


@pytest.fixture
def with_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in EVERYWHERE:
        monkeypatch.setenv(variable, SECRET)


def resource(platform: Platform, account: str = "1234567890") -> PlatformResource:
    accounts = {one.value: Account(account=account, base_url="http://127.0.0.1:9") for one in Platform}
    config = Config(platforms=Platforms(**accounts))
    return PlatformResource.of(platform, Settings.at(Path("nowhere"), config, {}))


@pytest.mark.parametrize("platform", Platform)
def test_a_resource_and_its_client_show_no_token(platform: Platform, with_tokens: None) -> None:
    made = resource(platform)
    client = made.client()

    assert client.capabilities.platform is platform
    for text in (repr(made), str(made), str(made.model_dump()), repr(client), str(client), str(vars(made))):
        assert SECRET not in text


@pytest.mark.parametrize("platform", Platform)
def test_what_is_missing_is_named_with_what_to_set(platform: Platform) -> None:
    with pytest.raises(NotConfiguredError) as caught:
        resource(platform).client()

    assert f"{platform.value} is not configured" in str(caught.value)
    assert TOKENS[platform] in str(caught.value)
    assert f"platforms.{platform.value}.account" in str(caught.value)


@pytest.mark.parametrize("platform", Platform)
def test_a_token_without_an_account_is_not_enough(platform: Platform, with_tokens: None) -> None:
    with pytest.raises(NotConfiguredError) as caught:
        resource(platform, account="").client()

    assert SECRET not in str(caught.value)


def test_google_needs_no_access_token_where_it_has_a_refresh_token(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("GOOGLE_REFRESH_TOKEN", "GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET"):
        monkeypatch.setenv(variable, SECRET)

    assert resource(Platform.GOOGLE).client().capabilities.platform is Platform.GOOGLE


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
        context.resources.meta.client().find("nobody")

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
