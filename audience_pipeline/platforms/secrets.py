"""The file of credentials: names as those of the environment, and nobody else may read it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

import yaml

NAMES = (
    "META_ACCESS_TOKEN",
    "META_APP_SECRET",
    "GOOGLE_ACCESS_TOKEN",
    "GOOGLE_REFRESH_TOKEN",
    "GOOGLE_CLIENT_ID",
    "GOOGLE_CLIENT_SECRET",
    "TIKTOK_ACCESS_TOKEN",
)
LARGEST = 64 * 1024
_NAME = re.compile(r"[A-Z][A-Z_]{2,39}")
_ROOT = 0


class SecretsError(Exception):
    """The file cannot be used. The message names file, field and remedy, and never a value."""


NAMED_BY = "AUDIENCE_SECRETS"
"""The variable that may name the file."""


def read_secrets(path: Path, env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Every credential that is set, by name; what ``env`` holds wins over the file.

    A file that is not there holds nothing, unless ``env`` names it. Its YAML maps names of :data:`NAMES` to
    texts.

    Raises:
        SecretsError: the file that ``env`` names is not there, others can read the file, it belongs to
            somebody else, or it holds something else.
    """
    env = env or {}
    own = {name: value for name in NAMES if (value := env.get(name))}
    text = _text(path)
    if text is None and env.get(NAMED_BY):
        raise SecretsError(
            f"{path}: there is no such file; {NAMED_BY} names it: put the file there, or unset the variable"
        )
    return {**_entries(path, text or ""), **own}


def _entries(path: Path, text: str) -> dict[str, str]:
    try:
        loaded = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        # What the parser says may quote the line.
        raise SecretsError(f"{path}{line}: this is not valid YAML") from None
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise SecretsError(f"{path}: expected lines such as META_ACCESS_TOKEN: followed by the token")
    for name, value in loaded.items():
        if name not in NAMES:
            shown = name if isinstance(name, str) and _NAME.fullmatch(name) else "a name"
            raise SecretsError(f"{path}: {shown} is not known here; known are {', '.join(NAMES)}")
        if not isinstance(value, str):
            raise SecretsError(f"{path}: {name} must be text: put the value in quotes")
    return {name: value for name, value in loaded.items() if value}


def _text(path: Path) -> str | None:
    """What the file holds, once it is known to be ours alone; None when there is none."""
    try:
        link = path.lstat()
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SecretsError(f"{path}: cannot be opened ({error.strerror})") from None
    try:
        _refuse_others(path, link, os.fstat(descriptor))
        content = os.read(descriptor, LARGEST + 1)
    finally:
        os.close(descriptor)
    if len(content) > LARGEST:
        raise SecretsError(f"{path}: larger than {LARGEST:,} bytes, so it is no file of credentials")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise SecretsError(f"{path}: cannot be read as UTF-8") from None


def _refuse_others(path: Path, link: os.stat_result, file: os.stat_result) -> None:
    ours = {os.getuid(), _ROOT}
    if stat.S_ISLNK(link.st_mode) and link.st_uid not in ours:
        raise SecretsError(f"{path}: is a link that another user has made: put the file itself there")
    if not stat.S_ISREG(file.st_mode):
        raise SecretsError(f"{path}: is not a file")
    if file.st_uid not in ours:
        raise SecretsError(f"{path}: belongs to another user: make it your own with chown")
    if file.st_mode & 0o077:
        raise SecretsError(f"{path}: others can read or change it: run chmod 600 {path}")
