from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from audience_pipeline.cli import app
from audience_pipeline.settings import PROJECT_ROOT
from audience_pipeline_tests.commands.conftest import Run


def commands(group: Any = None, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with its words; the tree is walked, so that a new one is tested too."""
    for name, command in (group or typer.main.get_command(app)).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *path, name)
        else:
            yield (*path, name), command


ALL = dict(commands())
NAMES = [" ".join(words) for words in ALL]


def test_the_commands_are_those_that_the_readme_promises() -> None:
    assert sorted(NAMES) == [
        "audiences list",
        "audiences preview",
        "audiences schema",
        "audiences status",
        "audiences sync",
        "audiences upload",
        "audiences validate",
        "customers explain",
        "customers merges",
        "delivery verify",
        "demo",
        "ingest",
        "ltv evaluate",
        "ltv explain",
        "ltv models",
        "ltv promote",
        "ltv rollback",
        "ltv score",
        "ltv serve",
        "ltv train",
        "platforms check",
        "privacy complete",
        "privacy erase",
        "privacy opt-out",
        "privacy receipts",
        "privacy verify",
        "profile fields",
        "refresh",
        "sandbox",
        "train",
        "ui",
    ]


@pytest.mark.parametrize("words", ALL, ids=NAMES)
def test_every_command_explains_itself_with_an_example(run: Run, words: tuple[str, ...]) -> None:
    said = run(*words, "--help")

    assert said.code == 0
    assert "Example:" in said.out
    assert f"audience-pipeline {' '.join(words)}" in " ".join(said.out.split())


@pytest.mark.parametrize("words", ALL, ids=NAMES)
def test_the_example_of_a_command_uses_options_that_it_has(words: tuple[str, ...]) -> None:
    command = ALL[words]
    example = re.search(r"Example: (audience-pipeline .*)", command.help)
    assert example is not None
    given = shlex.split(example.group(1))
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}

    assert tuple(given[1 : len(words) + 1]) == words
    assert [word for word in given if word.startswith("--") and word not in known] == []


def test_only_the_terminal_breaks_the_lines_of_a_help() -> None:
    paragraphs = [part for command in ALL.values() for part in command.help.split("\n\n")]

    assert len(paragraphs) > len(ALL), "each has an example"
    assert [part for part in paragraphs if "\n" in part] == []


@pytest.mark.parametrize("words", ALL, ids=NAMES)
def test_every_option_says_what_it_is_for(words: tuple[str, ...]) -> None:
    silent = [
        parameter.name
        for parameter in ALL[words].params
        if parameter.name != "help" and not getattr(parameter, "help", None)
    ]

    assert silent == []


@pytest.mark.parametrize("group", [(), ("audiences",), ("ltv",)], ids=["all", "audiences", "ltv"])
def test_without_a_command_the_help_is_shown(run: Run, group: tuple[str, ...]) -> None:
    said = run(*group)

    assert "Usage:" in said.out + said.err
    assert said.code in {0, 2}


def test_the_help_names_the_exit_codes(run: Run) -> None:
    assert "0 done, 1 failed, 2 wrong usage" in " ".join(run("--help").out.split())


def test_the_program_is_the_one_that_the_project_installs() -> None:
    project = (PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8")

    assert 'audience-pipeline = "audience_pipeline.cli:main"' in project
