from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from audience_pipeline.settings import (
    CONFIG_NAME,
    PROJECT_ROOT,
    Account,
    Calendar,
    Config,
    Platforms,
    Reading,
    Settings,
    SettingsError,
    Shop,
    read_config,
    write_config,
)


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    return tmp_path / CONFIG_NAME


def problem(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        read_config(path)
    return str(caught.value)


def test_without_any_setting_everything_lies_in_one_folder_of_the_project() -> None:
    settings = Settings.from_environment({})

    assert settings.home == PROJECT_ROOT / ".audience"
    places = (settings.lake, settings.inbox, settings.archive, settings.dagster_home, settings.models)
    assert all(place.is_relative_to(settings.home) for place in places)
    assert settings.ledger_url == f"sqlite:///{settings.home / 'ledger.db'}"
    assert settings.mlflow_uri.startswith(f"sqlite:///{settings.home}")
    assert settings.audiences == PROJECT_ROOT / "audiences"
    assert settings.config == Config(platforms=settings.config.platforms)


def test_the_environment_wins_over_the_file(tmp_path: Path, config_file: Path) -> None:
    config_file.write_text(
        "platforms:\n  meta: {account: '1', base_url: 'http://in.file'}\n  google: {account: '2'}\n"
    )

    settings = Settings.from_environment(
        {
            "AUDIENCE_HOME": str(tmp_path),
            "AUDIENCE_LAKE": str(tmp_path / "elsewhere"),
            "AUDIENCE_LEDGER_URL": "postgresql+psycopg2://db/ledger",
            "MLFLOW_TRACKING_URI": "http://tracking:5000",
            "AUDIENCE_THREADS": "3",
            "AUDIENCE_IN_PROCESS": "1",
            "META_AD_ACCOUNT_ID": "9",
            "META_BASE_URL": "http://in.environment",
        }
    )

    assert settings.lake == tmp_path / "elsewhere"
    assert settings.ledger_url == "postgresql+psycopg2://db/ledger"
    assert settings.mlflow_uri == "http://tracking:5000"
    assert (settings.threads, settings.in_process) == (3, True)
    platforms = settings.config.platforms
    assert platforms.meta == Account(account="9", base_url="http://in.environment")
    assert platforms.google == Account(account="2", base_url="https://datamanager.googleapis.com")
    assert platforms.tiktok.base_url == "https://business-api.tiktok.com"


def test_settings_hold_no_secret() -> None:
    secret = "s3cret-token"

    settings = Settings.from_environment(
        {"META_ACCESS_TOKEN": secret, "GOOGLE_REFRESH_TOKEN": secret, "TIKTOK_ACCESS_TOKEN": secret}
    )

    assert secret not in repr(settings)
    assert secret not in settings.model_dump_json()


def test_settings_cannot_be_changed() -> None:
    settings = Settings.from_environment({})

    with pytest.raises(ValueError, match="frozen"):
        settings.threads = 5


@pytest.mark.parametrize("threads", ["0", "-1", "many", "1.5"])
def test_a_wrong_number_of_threads_is_refused_with_its_variable(tmp_path: Path, threads: str) -> None:
    with pytest.raises(SettingsError, match=f"AUDIENCE_THREADS.*{threads}"):
        Settings.from_environment({"AUDIENCE_HOME": str(tmp_path), "AUDIENCE_THREADS": threads})


def test_a_config_file_that_is_named_but_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"missing\.yaml: there is no such file; AUDIENCE_CONFIG"):
        Settings.from_environment({"AUDIENCE_CONFIG": str(tmp_path / "missing.yaml")})


def test_a_workspace_without_a_config_file_has_the_defaults(tmp_path: Path) -> None:
    settings = Settings.from_environment({"AUDIENCE_HOME": str(tmp_path)})

    assert settings.config.shop == Shop()
    assert settings.config.calendar == Calendar()


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "shop: {}\n"])
def test_an_empty_config_file_has_the_defaults(config_file: Path, text: str) -> None:
    config_file.write_text(text)

    assert read_config(config_file) == Config()


def test_everything_that_is_wrong_in_a_config_file_is_named_at_once(config_file: Path) -> None:
    said = problem(
        config_file,
        "shop: {time_zone: Mars/Olympus, currency: euro, name_of_the_shop: x}\n"
        "calendar: {first_day: 31.12.2025}\n"
        "sources:\n  transactions: {decimal: ';'}\n  sales: {}\n"
        "inbox: {keep_days: -1}\n",
    )

    assert said.startswith(f"{config_file}: ")
    for part in (
        "shop.time_zone: Value error, unknown time zone: use a name such as Europe/Berlin",
        "shop.currency",
        "shop.name_of_the_shop: Extra inputs are not permitted",
        "calendar.first_day",
        "sources.transactions.decimal",
        "sources.sales",
        "inbox.keep_days",
    ):
        assert part in said


def test_a_token_in_the_config_file_is_refused_and_not_repeated(config_file: Path) -> None:
    said = problem(config_file, "platforms:\n  meta: {access_token: s3cret}\n")

    assert "platforms.meta.access_token" in said
    assert "s3cret" not in said


def test_a_calendar_that_ends_before_it_begins_is_refused(config_file: Path) -> None:
    said = problem(config_file, "calendar: {first_day: 2026-02-01, last_day: 2026-01-31}\n")

    assert "last_day lies before first_day" in said


def test_broken_yaml_is_named_with_its_line(config_file: Path) -> None:
    assert f"{config_file}, line 3: this is not valid YAML" in problem(
        config_file, "shop:\n  name: x\n currency: EUR\n"
    )


@pytest.mark.parametrize("text", ["- shop\n", "just words\n", "42\n"])
def test_a_config_file_without_sections_is_refused(config_file: Path, text: str) -> None:
    assert "expected sections such as shop: and calendar:" in problem(config_file, text)


def test_a_config_file_in_another_encoding_is_refused(config_file: Path) -> None:
    config_file.write_bytes("shop: {name: Café}\n".encode("latin-1"))

    with pytest.raises(SettingsError, match="cannot be read as UTF-8 YAML"):
        read_config(config_file)


def test_a_config_that_is_written_reads_the_same(config_file: Path) -> None:
    config = Config(
        shop=Shop(
            name="Läden", time_zone="Europe/Berlin", rates=Path("rates.csv"), competitor_domains=("a.b",)
        ),
        calendar=Calendar(first_day=date(2025, 1, 1), last_day=date(2026, 1, 31)),
        sources={"transactions": Reading(columns={"customer_id": "Kunde"}, decimal=",", thousands=".")},
        platforms=Platforms(google=Account(account="1", login_account="2")),
    )

    write_config(config_file, config)

    assert read_config(config_file) == config
    assert [path.name for path in config_file.parent.iterdir()] == [CONFIG_NAME]


def test_only_what_differs_from_the_defaults_is_written(config_file: Path) -> None:
    write_config(config_file, Config(shop=Shop(name="x")))

    assert config_file.read_text() == "shop:\n  name: x\n"


@pytest.mark.parametrize(("text", "days"), [("", 183), ("ltv: {champion_days: 90}", 90),
                                            ("ltv: {champion_days: null}", None)])  # fmt: skip
def test_how_long_a_champion_keeps_its_place_against_an_equal_is_a_setting(
    config_file: Path, text: str, days: int | None
) -> None:
    config_file.write_text(text)

    assert read_config(config_file).ltv.champion_days == days


def test_countries_of_consent_are_codes_and_norway_is_one(config_file: Path) -> None:
    config_file.write_text("consent:\n  needed_in: [DE, 'NO']\n  signals_count_in: [US, CA]\n")

    assert read_config(config_file).consent.needed_in == ("DE", "NO")
    assert "write the code of Norway in quotes" in problem(config_file, "consent: {needed_in: [DE, NO]}")
    assert "consent.signals_count_in" in problem(config_file, "consent: {signals_count_in: [usa]}")


def test_columns_to_keep_and_hashes_are_read_per_source(config_file: Path) -> None:
    config_file.write_text(
        "sources:\n  crm: {keep: [Tier, Shoe size], hashed: {email: [meta, google], phone: [google]}}\n"
    )

    reading = read_config(config_file).sources["crm"]

    assert reading.keep == ("Tier", "Shoe size")
    assert reading.hashed == {"email": ("meta", "google"), "phone": ("google",)}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("keep: [Email Address]", "who somebody is or how to reach them"),
        ("keep: [tier, Tier]", "several columns that are called tier"),
        ("hashed: {email: [facebook]}", "one or more of meta, google, tiktok"),
        ("hashed: {city: [meta]}", "hashed takes email and phone"),
    ],
)
def test_columns_that_cannot_be_kept_or_hold_hashes_are_named(config_file: Path, line: str, why: str) -> None:
    said = problem(config_file, f"sources: {{crm: {{{line}}}}}\n")

    assert "sources.crm" in said
    assert why in said


def test_only_contacts_keep_columns(config_file: Path) -> None:
    assert "keep is for crm alone" in problem(config_file, "sources: {web: {keep: [tier]}}\n")


def test_several_ad_accounts_are_listed_in_the_file_or_with_commas_in_the_environment(
    tmp_path: Path, config_file: Path
) -> None:
    config_file.write_text("platforms:\n  meta: {accounts: ['1', '2']}\n  google: {account: '3'}\n")

    at_home = Settings.from_environment({"AUDIENCE_HOME": str(tmp_path)}).config.platforms
    listed = Settings.from_environment(
        {"AUDIENCE_HOME": str(tmp_path), "META_AD_ACCOUNT_ID": "9", "GOOGLE_CUSTOMER_ID": "7, 8 ,"}
    ).config.platforms

    assert (at_home.meta.ids, at_home.google.ids, at_home.tiktok.ids) == (("1", "2"), ("3",), ())
    assert (listed.meta.ids, listed.google.ids) == (("9",), ("7", "8"))


@pytest.mark.parametrize(
    ("section", "why"),
    [
        ("{accounts: ['1', act_1]}", "the account 1 stands there twice"),
        ("{accounts: [123-456-7890, '1234567890']}", "the account 123-456-7890 stands there twice"),
        ("{account: '1', accounts: ['2']}", "account and accounts are both given"),
        ("{accounts: ['1', '']}", "one of the accounts is empty"),
    ],
)
def test_an_ad_account_is_named_once(config_file: Path, section: str, why: str) -> None:
    assert why in problem(config_file, f"platforms: {{meta: {section}}}\n")


def test_an_account_that_the_environment_names_twice_is_refused_with_its_variable(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="META_AD_ACCOUNT_ID: the account 1 stands there twice"):
        Settings.from_environment({"AUDIENCE_HOME": str(tmp_path), "META_AD_ACCOUNT_ID": "1,act_1"})


def test_where_the_second_api_of_google_is_reached_can_be_set(tmp_path: Path, config_file: Path) -> None:
    config_file.write_text("platforms: {google: {ads_base_url: 'http://in.file'}}\n")
    home = {"AUDIENCE_HOME": str(tmp_path)}

    in_file = Settings.from_environment(home)
    outside = Settings.from_environment({**home, "GOOGLE_ADS_BASE_URL": "http://in.environment"})

    assert in_file.config.platforms.google.ads_base_url == "http://in.file"
    assert outside.config.platforms.google.ads_base_url == "http://in.environment"
    assert in_file.config.platforms.meta.ads_base_url == ""


def test_the_brake_and_the_patience_of_a_delivery_are_settings(config_file: Path) -> None:
    config_file.write_text("delivery: {brake_percent: 12.5, brake_people: 0, patience_seconds: 5}\n")

    delivery = read_config(config_file).delivery

    assert (delivery.brake_percent, delivery.brake_people, delivery.patience_seconds) == (12.5, 0, 5)
    assert (Config().delivery.brake_percent, Config().delivery.brake_people) == (30, 1_000)
    assert "delivery.refresh_after" in problem(config_file, "delivery: {refresh_after: 1}\n")
    assert "delivery.brake_percent" in problem(config_file, "delivery: {brake_percent: 0}\n")


def test_the_file_of_the_credentials_lies_in_the_workspace_or_where_a_variable_says(tmp_path: Path) -> None:
    home = {"AUDIENCE_HOME": str(tmp_path)}

    assert Settings.from_environment(home).secrets == tmp_path / "secrets.yaml"
    assert Settings.from_environment({**home, "AUDIENCE_SECRETS": "/run/secrets/ads"}).secrets == Path(
        "/run/secrets/ads"
    )
    linked = tmp_path / "link.yaml"
    linked.symlink_to(tmp_path / "elsewhere.yaml")
    assert Settings.from_environment({**home, "AUDIENCE_SECRETS": str(linked)}).secrets == linked, "as it is"
    assert Settings.from_environment(home).delivered == tmp_path / "lake" / "delivered"


def test_an_account_that_yaml_takes_for_a_number_is_to_be_put_in_quotes(tmp_path: Path) -> None:
    (tmp_path / "audience.yaml").write_text("platforms: {tiktok: {accounts: [7000000000000000009]}}\n")

    with pytest.raises(SettingsError, match=r"tiktok\.accounts\.0: must be text: put the value in quotes"):
        read_config(tmp_path / "audience.yaml")
