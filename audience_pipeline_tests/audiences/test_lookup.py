from __future__ import annotations

from pathlib import Path

import pytest

from audience_pipeline.audiences.definition import DefinitionErrors
from audience_pipeline.audiences.lookup import load_audience, load_file

AUDIENCE = "name: {name}\ndescription: Some.\ninclude: {rule}\nplatforms: [meta]\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "workspace"
    made.mkdir()
    rules = {
        "buyers": "{where: orders > 0}",
        "fans": "{all: [{in: buyers}, {where: orders > 5}]}",
        "idols": "{in: fans}",
        "others": "{where: orders = 0}",
    }
    for name, rule in rules.items():
        (made / f"{name}.yaml").write_text(AUDIENCE.format(name=name, rule=rule))
    (made / "_s.yaml").write_text("rules: [{name: gone, description: G., include: {where: orders < 0}}]\n")
    return made


def test_an_audience_comes_with_what_it_is_made_of_and_with_the_suppression_rules(folder: Path):
    found = load_audience(folder, "idols")

    assert found.names == ("buyers", "fans", "idols")
    assert [rule.name for rule in found.suppressions] == ["gone"]


def test_a_mistake_elsewhere_does_not_keep_an_audience_from_being_read(folder: Path):
    (folder / "others.yaml").write_text("name: others\n")

    assert "idols" in load_audience(folder, "idols").names


def test_a_file_that_is_set_aside_is_read_as_if_it_were_not_there(folder: Path):
    idols = AUDIENCE.format(name="idols", rule="{in: fans}")
    (folder / "idols.yaml").write_text(f"# Everybody, but for the others.\n{idols}")
    (folder / "again.yaml").write_text(AUDIENCE.format(name="others", rule="{where: orders = 1}"))
    with pytest.raises(DefinitionErrors, match="already used"):
        load_audience(folder, "idols")

    twice = [str(folder / name) for name in ("again.yaml", "others.yaml")]

    assert load_audience(folder, "idols", apart=twice).names == ("buyers", "fans", "idols")


def test_a_mistake_in_what_it_is_made_of_is_told(folder: Path):
    (folder / "fans.yaml").write_text(AUDIENCE.format(name="fans", rule="{where: ordres > 5}"))

    with pytest.raises(DefinitionErrors, match="ordres"):
        load_audience(folder, "idols")


def test_a_name_that_nobody_has_is_an_error(folder: Path):
    with pytest.raises(KeyError, match="no audience is called"):
        load_audience(folder, "nobody")


def test_two_files_with_one_name_are_an_error(folder: Path):
    (folder / "again.yaml").write_text(AUDIENCE.format(name="fans", rule="{where: orders > 5}"))

    with pytest.raises(DefinitionErrors, match="already used"):
        load_audience(folder, "idols")


def test_a_file_may_refer_to_the_audiences_of_the_workspace(folder: Path, tmp_path: Path):
    draft = tmp_path / "draft.yaml"
    draft.write_text(AUDIENCE.format(name="draft", rule="{all: [{in: fans}, {where: country = 'DE'}]}"))

    name, found = load_file(draft, folder)

    assert name == "draft"
    assert found.names == ("buyers", "draft", "fans")


def test_a_file_stands_for_the_audience_of_its_name(folder: Path, tmp_path: Path):
    draft = tmp_path / "draft.yaml"
    draft.write_text(AUDIENCE.format(name="fans", rule="{all: [{in: buyers}, {where: orders > 9}]}"))

    name, found = load_file(draft, folder)

    assert found[name].file == str(draft)


def test_every_mistake_of_a_file_is_told(folder: Path, tmp_path: Path):
    draft = tmp_path / "draft.yaml"
    draft.write_text(AUDIENCE.format(name="draft", rule="{all: [{in: fanns}, {where: ordres > 9}]}"))

    with pytest.raises(DefinitionErrors) as caught:
        load_file(draft, folder)

    assert {problem.file for problem in caught.value.problems} == {str(draft)}
    assert "fanns" in str(caught.value)
    assert "ordres" in str(caught.value)


def test_a_file_that_is_not_there_is_told(folder: Path, tmp_path: Path):
    with pytest.raises(DefinitionErrors, match="cannot be read"):
        load_file(tmp_path / "none.yaml", folder)
