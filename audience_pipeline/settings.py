"""Every setting, read once from the environment and the workspace's ``audience.yaml``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from audience_pipeline.sources import kept

PROJECT_ROOT = Path(__file__).resolve().parent.parent
CONFIG_NAME = "audience.yaml"


class SettingsError(Exception):
    """A setting is missing or wrong. The message names file, field, reason and remedy."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Shop(_Section):
    """Facts about the shop that no file says."""

    name: str = "shop"
    """Begins the name of every audience on the platforms."""
    time_zone: str = "UTC"
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = None
    """ISO code of the one currency of the workspace; without it, the currency of the first file."""
    rates: Path | None = None
    """CSV ``date,currency,rate`` (one unit in the workspace's currency), for files in other currencies."""
    default_region: Annotated[str, Field(pattern="^[A-Z]{2}$")] | None = None
    """ISO country for phone numbers without a country code; without it they are not sent."""
    competitor_domains: tuple[str, ...] = ()

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError("unknown time zone: use a name such as Europe/Berlin") from error
        return value


class Calendar(_Section):
    """The as-of dates that exist. ``last_day`` is for data that has ended; without it, yesterday."""

    first_day: date = date(2024, 1, 1)
    last_day: date | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Calendar:
        if self.last_day is not None and self.last_day < self.first_day:
            raise ValueError("last_day lies before first_day")
        return self


class Reading(_Section):
    """How the files of one kind are written, where it cannot be seen from the file."""

    columns: Mapping[str, str] = Field(default_factory=dict)
    """Our column name to the file's."""
    date_format: str | None = None
    decimal: Literal[".", ","] = "."
    thousands: Literal[",", ".", " ", "'"] | None = None
    encoding: str | None = None
    delimiter: str | None = None
    keep: tuple[str, ...] = ()
    """Columns of the contacts, by the file's names, that audiences may use (as ``crm_<name>``)."""
    hashed: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    """Columns that hold SHA-256 in hex already, and for which platforms; without it hashes are refused."""

    @model_validator(mode="after")
    def _can_be_meant(self) -> Reading:
        kept.refuse(self.keep)
        kept.refuse_hashes(self.hashed)
        return self


class Inbox(_Section):
    """What happens to files that have been landed from the inbox."""

    keep_days: Annotated[int, Field(ge=0, le=3650)] = 30
    """Days that a landed file stays in the sealed archive; 0 deletes it at once."""


Country = Annotated[str, Field(pattern="^[A-Z]{2}$")]


class Consent(_Section):
    """What silence and browser signals mean, by country."""

    needed_in: tuple[Country, ...] | None = None
    """ISO codes of countries where silence means no; without it the EEA, the United Kingdom, Switzerland."""
    unknown_country_needs_consent: bool = True
    signals_count_in: tuple[Country, ...] = ("US",)
    """ISO codes of countries where the Global Privacy Control of a browser is an opt-out."""
    unknown_country_signals_count: bool = True
    advertising_covers_personalisation: bool = False
    """Whether the shop's question about advertising asked for personalised ads in the same breath: then who
    agreed to it may go to platforms that want both, such as Google."""

    @field_validator("needed_in", "signals_count_in", mode="before")
    @classmethod
    def _norway(cls, value: Any) -> Any:
        if isinstance(value, list) and False in value:
            raise ValueError("YAML reads NO as false: write the code of Norway in quotes, 'NO'")
        return value


class Identities(_Section):
    """When an identifier is taken for that of more than one person: the most customers (source ids) that may
    share one; what more share joins nobody.
    """

    email: Annotated[int, Field(ge=1)] = 5
    loyalty: Annotated[int, Field(ge=1)] = 3
    phone: Annotated[int, Field(ge=1)] = 3
    device: Annotated[int, Field(ge=1)] = 3
    anonymous: Annotated[int, Field(ge=1)] = 3
    """Of one browser."""
    click: Annotated[int, Field(ge=1)] = 1
    """Of one click on an ad: links of ads are passed on to friends."""
    browsers_of_a_click: Annotated[int, Field(ge=1)] = 2
    component: Annotated[int, Field(ge=1)] = 20
    """Source ids of one customer, browsers not counted."""
    browsers: Annotated[int, Field(ge=1)] = 200
    """Browsers of one customer."""
    brake_percent: Annotated[float, Field(ge=0, le=100)] = 5
    """A check warns where more of the customers of the date before have become one with another."""


class Ltv(_Section):
    """When a newly trained value model takes over."""

    champion_days: Annotated[int, Field(ge=1)] | None = 183
    """A champion that has seen no data for so many days is replaced by a model that is not worse beyond
    noise; before that, and always with null, only by one that is better beyond noise, unless customers have
    moved away from those of its training (drift)."""


class Account(_Section):
    """Where a platform is reached and which ad account is ours. Tokens come from the environment alone."""

    account: str = ""
    base_url: str = ""
    login_account: str = ""
    """Google: the manager account through which access runs."""


class Platforms(_Section):
    """The three platforms."""

    sandbox_only: bool = False
    """A demo's workspace: its people are invented, and nothing of it may reach a real platform."""
    meta: Account = Account()
    google: Account = Account()
    tiktok: Account = Account()


class Config(_Section):
    """The contents of ``audience.yaml``."""

    shop: Shop = Shop()
    calendar: Calendar = Calendar()
    sources: Mapping[Literal["transactions", "crm", "web", "engagement", "consent"], Reading] = Field(
        default_factory=dict
    )
    inbox: Inbox = Inbox()
    consent: Consent = Consent()
    identities: Identities = Identities()
    ltv: Ltv = Ltv()
    platforms: Platforms = Platforms()

    @field_validator("sources")
    @classmethod
    def _contacts_alone_keep(cls, value: Mapping[str, Reading]) -> Mapping[str, Reading]:
        if keeping := [kind for kind, reading in value.items() if reading.keep and kind != "crm"]:
            raise ValueError(f"{keeping[0]} keeps no columns besides its own: keep is for crm alone")
        return value


BASE_URLS: Mapping[str, tuple[str, str]] = {
    "meta": ("META_BASE_URL", "https://graph.facebook.com"),
    "google": ("GOOGLE_DATA_MANAGER_BASE_URL", "https://datamanager.googleapis.com"),
    "tiktok": ("TIKTOK_BASE_URL", "https://business-api.tiktok.com"),
}
ACCOUNTS: Mapping[str, str] = {
    "meta": "META_AD_ACCOUNT_ID",
    "google": "GOOGLE_CUSTOMER_ID",
    "tiktok": "TIKTOK_ADVERTISER_ID",
}


class Settings(_Section):
    """Where everything lives and how it is to be read. Holds no secret."""

    home: Path
    """The workspace: what the pipeline writes unless told otherwise."""
    lake: Path
    ledger_url: str
    mlflow_uri: str
    audiences: Path
    dbt_project: Path
    config: Config = Config()
    threads: Annotated[int, Field(ge=1)] = 2
    in_process: bool = False
    """Run all steps of a job in one process: what the command line and the tests do."""

    @property
    def inbox(self) -> Path:
        """Folder with one subfolder per kind of file."""
        return self.home / "inbox"

    @property
    def archive(self) -> Path:
        """Sealed folder of the files that were landed from the inbox."""
        return self.home / "archive"

    @property
    def dagster_home(self) -> Path:
        """Dagster's own storage."""
        return self.home / "dagster"

    @property
    def mlflow_artifacts(self) -> Path:
        """Where the model registry keeps its files when it is the embedded one."""
        return self.home / "mlflow" / "artifacts"

    @property
    def models(self) -> Path:
        """Local copies of registered models."""
        return self.home / "models"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read environment and config file once.

        Raises:
            SettingsError: the config file cannot be read or holds a wrong value.
        """
        env = os.environ if environment is None else environment
        home = Path(env.get("AUDIENCE_HOME") or PROJECT_ROOT / ".audience").expanduser().resolve()
        given = env.get("AUDIENCE_CONFIG")
        config_file = Path(given).expanduser() if given else home / CONFIG_NAME
        if given and not config_file.is_file():
            raise SettingsError(f"{config_file}: there is no such file; AUDIENCE_CONFIG names it")
        return cls.at(home, read_config(config_file) if config_file.is_file() else Config(), env)

    @classmethod
    def at(cls, home: Path, config: Config, env: Mapping[str, str]) -> Settings:
        """Settings of the workspace ``home``; variables in ``env`` win over its config file."""
        home = home.resolve()
        lake = env.get("AUDIENCE_LAKE") or str(home / "lake")
        if "://" in lake:
            raise SettingsError("AUDIENCE_LAKE must be a folder; object storage is not read or written yet")
        try:
            return cls(
                home=home,
                lake=Path(lake).expanduser().resolve(),
                ledger_url=env.get("AUDIENCE_LEDGER_URL") or f"sqlite:///{home / 'ledger.db'}",
                mlflow_uri=env.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home / 'mlflow' / 'mlflow.db'}",
                audiences=Path(env.get("AUDIENCE_DEFINITIONS") or PROJECT_ROOT / "audiences")
                .expanduser()
                .resolve(),
                dbt_project=PROJECT_ROOT / "dbt",
                config=config.model_copy(update={"platforms": _platforms(config.platforms, env)}),
                threads=_threads(env.get("AUDIENCE_THREADS")),
                in_process=env.get("AUDIENCE_IN_PROCESS") == "1",
            )
        except ValidationError as error:
            raise SettingsError(_problems(error)) from error


def read_config(path: Path) -> Config:
    """Read ``audience.yaml``.

    Raises:
        SettingsError: not YAML, not a mapping, an unknown key or a wrong value; all of them are named.
    """
    try:
        loaded: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SettingsError(f"{path}, line {line}: this is not valid YAML ({error.problem})") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{path}: cannot be read as UTF-8 YAML") from error
    except ValueError as error:
        raise SettingsError(f"{path}: a value is no valid date or number ({error})") from error
    if loaded is None:
        return Config()
    if not isinstance(loaded, dict):
        raise SettingsError(f"{path}: expected sections such as shop: and calendar:, found a list or a value")
    try:
        return Config.model_validate(loaded)
    except ValidationError as error:
        raise SettingsError(f"{path}: {_problems(error)}") from error


def _problems(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_input=False)
    )


def _threads(given: str | None) -> int:
    if not given:
        return min(os.cpu_count() or 1, 8)
    if not given.isdecimal() or int(given) < 1:
        raise SettingsError(f"AUDIENCE_THREADS must be a whole number of 1 or more, not {given!r}")
    return int(given)


def write_config(path: Path, config: Config) -> None:
    """Write ``audience.yaml`` whole, then rename; only what differs from the defaults is written."""
    text = yaml.safe_dump(config.model_dump(mode="json", exclude_defaults=True), sort_keys=False)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _platforms(platforms: Platforms, env: Mapping[str, str]) -> Platforms:
    accounts = {}
    for name, (url_variable, url) in BASE_URLS.items():
        account: Account = getattr(platforms, name)
        accounts[name] = account.model_copy(
            update={
                "account": env.get(ACCOUNTS[name]) or account.account,
                "base_url": env.get(url_variable) or account.base_url or url,
            }
        )
    return platforms.model_copy(update=accounts)
