"""The definitions of a workspace that have no mistake: one typing error must not stop the other audiences."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from audience_pipeline.audiences.definition import (
    DefinitionErrors,
    Definitions,
    definition_files,
    read_definitions,
)
from audience_pipeline.audiences.documents import MAX_BYTES, Problem
from audience_pipeline.audiences.fields import FIELDS, Field
from audience_pipeline.audiences.schema import FileReader

REFERS = "it refers to an audience that has a mistake, or that is not there any more"


@dataclass(frozen=True, slots=True)
class Sound:
    """What can be used of the definitions of a workspace, and what is wrong with the rest."""

    definitions: Definitions
    mistakes: Mapping[str, str] = field(default_factory=dict)
    """Audience to what is wrong with its definition: its first mistake, with file and line."""
    nameless: tuple[Problem, ...] = ()
    """Mistakes of files that do not say which audience they define: it may be any."""
    problems: tuple[Problem, ...] = ()
    """Every mistake."""
    apart: tuple[str, ...] = ()
    """The files that were set aside."""

    def reason(self, audience: str) -> str | None:
        """Why nobody knows what an audience is meant to be now; None where somebody does.

        Args:
            audience: the name of an audience, defined or not.
        """
        if audience in self.definitions.names:
            return None
        if audience in self.mistakes:
            return self.mistakes[audience]
        return (
            f"it may be defined in a file that cannot be read: {self.nameless[0]}" if self.nameless else None
        )


def load_sound(
    folder: Path,
    *,
    fields: Mapping[str, Field] = FIELDS,
    lists: Collection[str] = (),
    segments: Collection[str] | None = None,
) -> Sound:
    """Read the definitions of a folder, and set aside every file with a mistake and what refers to it.

    Of two files with the same name both are set aside: nobody knows which is meant. Arguments as for
    ``load_definitions``.

    Raises:
        DefinitionErrors: there is no such folder, it defines nothing, or its suppression rules have mistakes:
            whoever they leave out must not come back because of a typing error.
    """
    if not folder.is_dir():
        raise DefinitionErrors(
            [Problem(str(folder), 0, "there is no such folder: it should hold the audience files")]
        )
    contents, problems = _contents(folder)
    found = {file: FileReader(file, content, []).name for file, content in contents.items()}
    names = {problem.file: "" for problem in problems} | found
    if not any(not _suppresses(file) for file in names):
        raise DefinitionErrors(
            [Problem(str(folder), 0, "it defines no audience: check AUDIENCE_DEFINITIONS")]
        )
    first = {problem.file: str(problem) for problem in problems}
    definitions: Definitions | None = None
    again = False
    while definitions is None:
        try:
            definitions = read_definitions(contents, fields=fields, lists=lists, segments=segments)
        except DefinitionErrors as error:
            broken = {problem.file for problem in error.problems}
            if any(_suppresses(file) for file in broken):
                raise
            for problem in error.problems:
                first.setdefault(problem.file, f"{problem.file}: {REFERS}" if again else str(problem))
            problems += [] if again else error.problems
            twice = {names[file] for file in broken} - {""}
            contents = {
                file: content
                for file, content in contents.items()
                if file not in broken and names[file] not in twice
            }
            again = True
    unnamed = tuple(problem for problem in problems if not names[problem.file])
    mistakes = {names[file]: said for file, said in first.items() if names[file]}
    apart = tuple(sorted(names.keys() - contents.keys()))
    return Sound(definitions, mistakes, unnamed, tuple(sorted(set(problems))), apart)


def _contents(folder: Path) -> tuple[dict[str, bytes], list[Problem]]:
    contents: dict[str, bytes] = {}
    problems = []
    for path in definition_files(folder):
        try:
            with path.open("rb") as stream:
                contents[str(path)] = stream.read(MAX_BYTES + 1)
        except OSError as error:
            problems.append(Problem(str(path), 0, f"the file cannot be read: {error.strerror}"))
            if _suppresses(str(path)):
                raise DefinitionErrors(problems) from None
    return contents, problems


def _suppresses(file: str) -> bool:
    return Path(file).name.startswith("_")
