"""Every setting, read once from the environment and the workspace's ``audience.yaml``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError

from audience_pipeline.sections import Account, Calendar, Config, Platforms, Reading, Section, Shop

__all__ = [
    "ACCOUNTS",
    "ADS_BASE_URL",
    "BASE_URLS",
    "CONFIG_NAME",
    "PROJECT_ROOT",
    "Account",
    "Calendar",
    "Config",
    "Platforms",
    "Reading",
    "Settings",
    "SettingsError",
    "Shop",
    "read_config",
    "write_config",
]

PROJECT_ROOT = Path(__file__).resolve().parent.parent
CONFIG_NAME = "audience.yaml"


class SettingsError(Exception):
    """A setting is missing or wrong. The message names file, field, reason and remedy."""


BASE_URLS: Mapping[str, tuple[str, str]] = {
    "meta": ("META_BASE_URL", "https://graph.facebook.com"),
    "google": ("GOOGLE_DATA_MANAGER_BASE_URL", "https://datamanager.googleapis.com"),
    "tiktok": ("TIKTOK_BASE_URL", "https://business-api.tiktok.com"),
}
ADS_BASE_URL = "GOOGLE_ADS_BASE_URL"
"""Variable of Google's second API, which tells of audiences what the first one does not."""
ACCOUNTS: Mapping[str, str] = {
    "meta": "META_AD_ACCOUNT_ID",
    "google": "GOOGLE_CUSTOMER_ID",
    "tiktok": "TIKTOK_ADVERTISER_ID",
}
"""Variables that hold one ad account, or several with commas between them."""
SECRETS_NAME = "secrets.yaml"


class Settings(Section):
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
    secrets: Path = Path(SECRETS_NAME)
    """The file of the platforms' credentials. It need not exist: they may stand in the environment."""
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
    def delivered(self) -> Path:
        """Who was delivered to which audience: the snapshots that the ledger points at."""
        return self.lake / "delivered"

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
                # A link is not followed here: whoever reads the file looks at whose it is.
                secrets=Path(env.get("AUDIENCE_SECRETS") or home / SECRETS_NAME).expanduser().absolute(),
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


_SAID = {"string_type": "must be text: put the value in quotes"}
"""What is wrong, by pydantic's name of it, where its own words do not say what to do."""


def _problems(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc'])}: {_SAID.get(problem['type'], problem['msg'])}"
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
        said: Account = getattr(platforms, name)
        update: dict[str, Any] = {"base_url": env.get(url_variable) or said.base_url or url}
        if name == "google":
            update["ads_base_url"] = env.get(ADS_BASE_URL) or said.ads_base_url
        accounts[name] = said.model_copy(update={**update, **_accounts(ACCOUNTS[name], env)})
    return platforms.model_copy(update=accounts)


def _accounts(variable: str, env: Mapping[str, str]) -> dict[str, Any]:
    """The ad accounts that a variable names; nothing where it is not set."""
    given = [one.strip() for one in env.get(variable, "").split(",") if one.strip()]
    if len(given) < 2:
        return {"account": given[0], "accounts": ()} if given else {}
    try:
        return {"account": "", "accounts": Account(accounts=tuple(given)).accounts}
    except ValidationError as error:
        raise SettingsError(f"{variable}: {error.errors()[0]['ctx']['error']}") from error
