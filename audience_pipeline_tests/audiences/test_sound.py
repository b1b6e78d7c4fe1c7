"""What of a workspace can be used although some of its files have mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from audience_pipeline.audiences.definition import DefinitionErrors
from audience_pipeline.audiences.sound import REFERS, load_sound

REST = "description: Some.\nplatforms: [meta]\n"


def written(folder: Path, **files: str) -> Path:
    for file, text in files.items():
        (folder / f"{file}.yaml").write_text(text, encoding="utf-8")
    return folder


def audience(name: str, include: str = "{where: orders > 1}") -> str:
    return f"name: {name}\n{REST}include: {include}\n"


def test_without_a_mistake_everything_is_sound(tmp_path: Path) -> None:
    found = load_sound(written(tmp_path, a=audience("a"), b=audience("b", "{in: a}")))

    assert found.definitions.names == ("a", "b")
    assert (found.mistakes, found.nameless, found.problems) == ({}, (), ())
    assert found.reason("a") is None
    assert found.reason("removed") is None


def test_an_audience_with_a_mistake_takes_out_only_those_that_refer_to_it(tmp_path: Path) -> None:
    folder = written(
        tmp_path, a=audience("a", "{where: ordrs > 1}"), b=audience("b", "{in: a}"),
        c=audience("c", "{not_in: b}"), d=audience("d"),
    )  # fmt: skip

    found = load_sound(folder)

    assert found.definitions.names == ("d",)
    assert found.mistakes == {
        "a": f"{folder}/a.yaml:4: unknown field 'ordrs' (did you mean orders?)",
        "b": f"{folder}/b.yaml: {REFERS}",
        "c": f"{folder}/c.yaml: {REFERS}",
    }
    assert [problem.line for problem in found.problems] == [4]


def test_of_two_files_with_one_name_neither_is_used(tmp_path: Path) -> None:
    folder = written(tmp_path, copy=audience("a", "{where: orders > 9}"), original=audience("a"),
                     z=audience("z"))  # fmt: skip

    found = load_sound(folder)

    assert found.definitions.names == ("z",)
    assert found.mistakes == {
        "a": f"{folder}/original.yaml:1: the name a is already used in {folder}/copy.yaml"
    }


def test_a_file_that_cannot_be_read_may_define_any_audience(tmp_path: Path) -> None:
    found = load_sound(written(tmp_path, a=audience("a"), broken="name: [\n"))

    assert found.reason("a") is None
    assert "broken.yaml" in str(found.reason("removed"))
    assert [problem.file for problem in found.nameless] == [str(tmp_path / "broken.yaml")]


def test_mistakes_in_suppression_rules_concern_everybody(tmp_path: Path) -> None:
    folder = written(tmp_path, a=audience("a"), _suppression="rules: [{name: x}]\n")

    with pytest.raises(DefinitionErrors, match="_suppression"):
        load_sound(folder)


def test_a_folder_without_audiences_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(DefinitionErrors, match="no audience"):
        load_sound(written(tmp_path, _suppression="rules: []\n"))
    with pytest.raises(DefinitionErrors, match="no such folder"):
        load_sound(tmp_path / "nowhere")
