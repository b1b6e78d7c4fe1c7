"""The door to MLflow: its database, its client, the names of our models."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

from filelock import FileLock

MODEL_NAME = "ltv"
CHAMPION, CHALLENGER = "champion", "challenger"


def exists(tracking_uri: str) -> bool:
    """Whether there is anything to ask; opening an embedded registry would make one."""
    return (
        not tracking_uri.startswith("sqlite:///") or Path(tracking_uri.removeprefix("sqlite:///")).is_file()
    )


def prepare(tracking_uri: str) -> None:
    """Make the embedded registry's database, whole or not at all.

    MLflow migrates an empty database step by step, and cannot go on from where a killed process stopped.
    """
    if exists(tracking_uri):
        return
    path = Path(tracking_uri.removeprefix("sqlite:///"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(path.name + ".lock")):
        if path.is_file():
            return
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            fresh, copy = Path(folder) / "fresh.db", Path(folder) / "copy.db"
            client_of(f"sqlite:///{fresh}").search_experiments(max_results=1)
            # MLflow keeps its connection open, so the file itself is not moved.
            with (
                contextlib.closing(sqlite3.connect(fresh)) as source,
                contextlib.closing(sqlite3.connect(copy)) as target,
            ):
                source.backup(target)
            copy.replace(path)


def client_of(tracking_uri: str) -> Any:
    """A client of the tracking server and the model registry."""
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


def registered_model(client: Any) -> Any | None:
    """Our model with its tags and aliases, or None before the first version."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_registered_model(MODEL_NAME)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def aliases(client: Any) -> dict[str, str]:
    """Version by alias."""
    model = registered_model(client)
    return {} if model is None else {alias: str(version) for alias, version in model.aliases.items()}
