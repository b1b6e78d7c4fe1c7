"""The file of credentials: read by its owner alone, and never quoted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from audience_pipeline.platforms.secrets import LARGEST, NAMES, SecretsError, read_secrets

SECRET = "token-that-nobody-may-see"


def written(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "secrets.yaml"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_credentials_are_read_by_name(tmp_path: Path) -> None:
    path = written(tmp_path, f"META_ACCESS_TOKEN: {SECRET}\nTIKTOK_ACCESS_TOKEN: 'other'\n")

    assert read_secrets(path) == {"META_ACCESS_TOKEN": SECRET, "TIKTOK_ACCESS_TOKEN": "other"}


def test_every_name_of_the_environment_may_stand_in_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "".join(f"{name}: of {name}\n" for name in NAMES))

    assert read_secrets(path) == {name: f"of {name}" for name in NAMES}


def test_the_environment_wins_and_nothing_else_is_taken_from_it(tmp_path: Path) -> None:
    path = written(tmp_path, "META_ACCESS_TOKEN: of the file\nMETA_APP_SECRET: of the file\n")
    env = {"META_ACCESS_TOKEN": SECRET, "META_APP_SECRET": "", "PATH": "/bin"}

    assert read_secrets(path, env) == {"META_ACCESS_TOKEN": SECRET, "META_APP_SECRET": "of the file"}


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "META_ACCESS_TOKEN: ''\n"])
def test_an_empty_file_and_no_file_hold_nothing(tmp_path: Path, text: str) -> None:
    assert read_secrets(written(tmp_path, text)) == {}
    assert read_secrets(tmp_path / "missing.yaml") == {}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o620])
def test_a_file_that_others_can_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    path = written(tmp_path, f"META_ACCESS_TOKEN: {SECRET}\n", mode)

    with pytest.raises(SecretsError, match="chmod 600") as error:
        read_secrets(path)

    assert str(path) in str(error.value)
    assert SECRET not in str(error.value)


def test_a_link_of_our_own_is_followed(tmp_path: Path) -> None:
    written(tmp_path, "META_APP_SECRET: kept elsewhere\n")
    link = tmp_path / "link.yaml"
    link.symlink_to("secrets.yaml")

    assert read_secrets(link) == {"META_APP_SECRET": "kept elsewhere"}


def test_a_link_that_another_user_has_made_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, "META_APP_SECRET: kept elsewhere\n")
    link = tmp_path / "link.yaml"
    link.symlink_to(path)
    if os.getuid() == 0:
        os.chown(link, 12_345, 12_345, follow_symlinks=False)
    else:
        monkeypatch.setattr(os, "getuid", lambda: 12_345)

    with pytest.raises(SecretsError, match=r"link that another user has made|belongs to another user"):
        read_secrets(link)


def test_a_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "META_APP_SECRET: kept elsewhere\n")
    if os.getuid() == 0:
        os.chown(path, 12_345, 12_345)
    else:
        monkeypatch.setattr(os, "getuid", lambda: 12_345)

    with pytest.raises(SecretsError, match="belongs to another user"):
        read_secrets(path)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SecretsError, match="not a file"):
        read_secrets(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"META_TOKEN: {SECRET}\n", "META_TOKEN is not known here; known are META_ACCESS_TOKEN"),
        (f"{SECRET}: x\n", "a name is not known here"),
        ("META_ACCESS_TOKEN: 12345678901234567\n", "META_ACCESS_TOKEN must be text: put the value in quotes"),
        (f"META_ACCESS_TOKEN: [{SECRET}]\n", "META_ACCESS_TOKEN must be text"),
        ("META_ACCESS_TOKEN:\n", "META_ACCESS_TOKEN must be text"),
        (f"- {SECRET}\n", "expected lines such as META_ACCESS_TOKEN"),
        (f"{SECRET}\n", "expected lines such as META_ACCESS_TOKEN"),
        (f"A: 1\nMETA_ACCESS_TOKEN: '{SECRET}\n", "line 3: this is not valid YAML"),
        (f"META_ACCESS_TOKEN: !!python/object:os.system {SECRET}\n", "not valid YAML"),
        ("META_ACCESS_TOKEN: " + "x" * LARGEST, "larger than"),
    ],
)
def test_what_is_wrong_is_named_without_the_value(tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path, text)

    with pytest.raises(SecretsError) as error:
        read_secrets(path)

    assert words in str(error.value)
    assert str(path) in str(error.value)
    assert SECRET not in str(error.value)
    assert error.value.__cause__ is None


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secrets.yaml"
    path.write_bytes(b"META_ACCESS_TOKEN: \xff\xfe")
    path.chmod(0o600)

    with pytest.raises(SecretsError, match="UTF-8"):
        read_secrets(path)


def test_a_file_that_the_environment_names_must_be_there(tmp_path: Path) -> None:
    missing = tmp_path / "missing.yaml"
    env = {"AUDIENCE_SECRETS": str(missing), "META_ACCESS_TOKEN": SECRET}

    with pytest.raises(SecretsError, match=r"missing\.yaml: there is no such file; .* or unset the variable"):
        read_secrets(missing, env)
    assert read_secrets(written(tmp_path, ""), env) == {"META_ACCESS_TOKEN": SECRET}
