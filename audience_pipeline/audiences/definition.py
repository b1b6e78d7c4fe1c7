"""Audience definitions: YAML files in, checked definitions out, every mistake told at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from audience_pipeline.audiences.documents import MAX_BYTES, Problem
from audience_pipeline.audiences.fields import FIELDS, Field
from audience_pipeline.audiences.rule_reader import Known
from audience_pipeline.audiences.rules import (
    Did,
    In,
    InList,
    InSegment,
    Rule,
    Where,
    fields_of,
    leaves,
    references,
)
from audience_pipeline.audiences.schema import FileReader
from audience_pipeline.audiences.words import nearest
from audience_pipeline.platforms.contract import Platform

SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Definition:
    """One audience as its owner wrote it."""

    name: str
    description: str
    include: Rule
    exclude: Rule | None
    suppress: tuple[str, ...] | None
    """Names of suppression rules; None stands for every rule that applies everywhere."""
    platforms: tuple[Platform, ...]
    refresh: str
    holdout_percent: float
    file: str
    lines: Mapping[str, int] = field(repr=False, default_factory=dict)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """``include``, and ``exclude`` where there is one."""
        return (self.include, self.exclude) if self.exclude else (self.include,)

    @property
    def references(self) -> frozenset[str]:
        """The audiences that this one is composed of."""
        return frozenset().union(*(references(rule) for rule in self.rules))

    @property
    def fields(self) -> frozenset[str]:
        """The fields of the profile that its conditions read."""
        return frozenset().union(*(fields_of(rule) for rule in self.rules))

    @property
    def lists(self) -> frozenset[str]:
        """The uploaded lists that it names."""
        return frozenset(leaf.list_name for leaf in self._leaves() if isinstance(leaf, InList))

    @property
    def segments(self) -> frozenset[str]:
        """The segments that it names."""
        return frozenset(leaf.segment for leaf in self._leaves() if isinstance(leaf, InSegment))

    def _leaves(self) -> Iterator[Where | In | InSegment | InList | Did]:
        for rule in self.rules:
            yield from leaves(rule)


@dataclass(frozen=True, slots=True)
class Suppression:
    """A rule of the workspace: who must not be in an audience, unless the audience names other rules."""

    name: str
    description: str
    include: Rule
    everywhere: bool = True
    """False where the rule applies only to audiences that name it."""
    waits_for: frozenset[str] = frozenset()
    """Lists that it names and nobody has uploaded yet: they hold nobody."""


@dataclass(frozen=True, slots=True)
class Definitions:
    """All audiences of a workspace, each after those that it refers to, and the suppression rules."""

    audiences: tuple[Definition, ...]
    suppressions: tuple[Suppression, ...] = ()

    def __iter__(self) -> Iterator[Definition]:
        return iter(self.audiences)

    def __len__(self) -> int:
        return len(self.audiences)

    def __getitem__(self, name: str) -> Definition:
        for audience in self.audiences:
            if audience.name == name:
                return audience
        raise KeyError(f"no audience is called {name!r}{nearest(name, self.names)}")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the audiences, in alphabetical order."""
        return tuple(sorted(audience.name for audience in self.audiences))

    @property
    def lists(self) -> frozenset[str]:
        """The uploaded lists that audiences and suppression rules name."""
        suppressed = (leaf for rule in self.suppressions for leaf in leaves(rule.include))
        return frozenset(leaf.list_name for leaf in suppressed if isinstance(leaf, InList)).union(
            *(audience.lists for audience in self.audiences)
        )

    def suppressions_of(self, audience: Definition) -> tuple[Suppression, ...]:
        """The suppression rules that apply to an audience."""
        if audience.suppress is None:
            return tuple(rule for rule in self.suppressions if rule.everywhere)
        return tuple(rule for rule in self.suppressions if rule.name in audience.suppress)


class DefinitionErrors(Exception):  # noqa: N818 -- it holds all of them
    """Everything that is wrong with a set of definition files; ``str()`` is one line per problem."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def load_definitions(
    folder: Path,
    *,
    fields: Mapping[str, Field] = FIELDS,
    lists: Collection[str] = (),
    segments: Collection[str] | None = None,
) -> Definitions:
    """Read every ``*.yaml`` and ``*.yml`` of a folder; those that begin with ``_`` hold suppression rules.

    Args:
        folder: the folder.
        fields: the fields that conditions may use.
        lists: the names of the uploaded lists.
        segments: the names of the segments; None where they are not known yet, and any may be named.

    Raises:
        DefinitionErrors: with every problem of every file.
    """
    if not folder.is_dir():
        raise DefinitionErrors(
            [Problem(str(folder), 0, "there is no such folder: it should hold the audience files")]
        )
    problems: list[Problem] = []
    contents = _contents(definition_files(folder), problems)
    return _sound(contents, problems, _known(fields, lists, segments))


def load_files(
    files: Sequence[Path],
    *,
    folder: Path | None = None,
    fields: Mapping[str, Field] = FIELDS,
    lists: Collection[str] = (),
    segments: Collection[str] | None = None,
) -> Definitions:
    """Read definition files, with those beside them, which they may refer to and which may suppress.

    Args:
        files: the definition files.
        folder: that of the workspace: a file that lies elsewhere may refer to its audiences, and stands in
            for the one of its name.
        fields: as for ``load_definitions``.
        lists: as for ``load_definitions``.
        segments: as for ``load_definitions``.

    Returns:
        The definitions of the files and of those beside them; without those beside them that have mistakes.

    Raises:
        DefinitionErrors: with every problem of the files, of the suppression rules beside them, and of files
            beside them where an audience refers to one that has mistakes.
    """
    unread: list[Problem] = []
    beside = _contents(_beside(files), unread)
    wanted = {str(path) for path in files} | {file for file in beside if _holds_suppressions(file)}
    contents = beside | _contents(files, unread)
    if files and folder is not None and folder.is_dir():
        contents = _within(folder, contents) | contents
    known = _known(fields, lists, segments)
    problems = list(unread)
    definitions = _read(contents, problems, known)
    if told := [problem for problem in problems if problem.file in wanted]:
        raise DefinitionErrors(told)
    first = tuple(problems)
    while problems:
        broken = {problem.file for problem in problems}
        if broken & wanted:
            raise DefinitionErrors(first)
        contents = {file: content for file, content in contents.items() if file not in broken}
        problems = []
        definitions = _read(contents, problems, known)
    return definitions


def read_definitions(
    contents: Mapping[str, bytes],
    *,
    fields: Mapping[str, Field] = FIELDS,
    lists: Collection[str] = (),
    segments: Collection[str] | None = None,
) -> Definitions:
    """The definitions in files given as name to content; other arguments as for ``load_definitions``.

    Raises:
        DefinitionErrors: with every problem of every file.
    """
    return _sound(contents, [], _known(fields, lists, segments))


def definition_files(folder: Path) -> list[Path]:
    """The definition files of a folder, in alphabetical order."""
    return sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and path.is_file())


def audience_names(folder: Path) -> frozenset[str]:
    """The names that the audience files of a folder give themselves, valid or not."""
    if not folder.is_dir():
        return frozenset()
    contents = _contents(definition_files(folder), [])
    return frozenset(FileReader(file, content, []).name for file, content in contents.items()) - {""}


def _beside(files: Sequence[Path]) -> list[Path]:
    named = {path.resolve() for path in files}
    folders = dict.fromkeys(path.parent for path in files if path.parent.is_dir())
    return [path for folder in folders for path in definition_files(folder) if path.resolve() not in named]


def _within(folder: Path, contents: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of a folder, others standing in for those of their names and for the suppression rules."""
    known = {Path(file).resolve() for file in contents}
    names = {FileReader(file, content, []).name for file, content in contents.items()}
    rules = any(_holds_suppressions(file) for file in contents)
    there = _contents([path for path in definition_files(folder) if path.resolve() not in known], [])
    return {
        file: content
        for file, content in there.items()
        if not (rules if _holds_suppressions(file) else FileReader(file, content, []).name in names)
    }


def _contents(files: Sequence[Path], problems: list[Problem]) -> dict[str, bytes]:
    contents = {}
    for path in files:
        try:
            with path.open("rb") as stream:
                contents[str(path)] = stream.read(MAX_BYTES + 1)
        except OSError as error:
            problems.append(Problem(str(path), 0, f"the file cannot be read: {error.strerror}"))
    return contents


def _known(fields: Mapping[str, Field], lists: Collection[str], segments: Collection[str] | None) -> Known:
    return Known(fields, lists=frozenset(lists), segments=None if segments is None else frozenset(segments))


def _holds_suppressions(file: str) -> bool:
    return Path(file).name.startswith("_")


def _sound(contents: Mapping[str, bytes], problems: list[Problem], known: Known) -> Definitions:
    definitions = _read(contents, problems, known)
    if problems:
        raise DefinitionErrors(problems)
    return definitions


def _read(contents: Mapping[str, bytes], problems: list[Problem], known: Known) -> Definitions:
    """Read what can be read, and add what is wrong to ``problems``."""
    readers = {file: FileReader(file, content, problems) for file, content in contents.items()}
    suppressing = [reader for file, reader in readers.items() if _holds_suppressions(file)]
    others = {file: reader for file, reader in readers.items() if not _holds_suppressions(file)}
    known = replace(known, audiences=frozenset(reader.name for reader in others.values()) - {""})
    suppressions: dict[str, Suppression] = {}
    names: set[str] = set()
    for reader in suppressing:
        for found in reader.suppressions(known):
            if found.name in names:
                reader.nodes.problem(found.line, f"the suppression rule {found.name} occurs twice")
            elif found.rule:
                suppressions[found.name] = Suppression(
                    found.name, found.description, found.rule, found.everywhere, found.waits_for
                )
            names.add(found.name)
    audiences: list[Definition] = []
    used: dict[str, str] = {}
    for file, reader in others.items():
        read = reader.audience(known, names)
        if read.name in used:
            reader.nodes.problem(
                read.lines.get("name", 0), f"the name {read.name} is already used in {used[read.name]}"
            )
        elif read.complete:
            audiences.append(Definition(**read.values, file=file, lines=read.lines))
        if read.name:
            used.setdefault(read.name, file)
    ordered = _ordered(audiences, problems)
    return Definitions(ordered, tuple(suppressions[name] for name in sorted(suppressions)))


def _ordered(audiences: Sequence[Definition], problems: list[Problem]) -> tuple[Definition, ...]:
    by_name = {audience.name: audience for audience in audiences}
    needs = {name: set(audience.references) & set(by_name) for name, audience in sorted(by_name.items())}
    while True:
        try:
            return tuple(by_name[name] for name in TopologicalSorter(needs).static_order())
        except CycleError as error:
            circle = error.args[1][::-1]
            first = by_name[circle[0]]
            line = first.lines.get(f"in {circle[1]}", 0)
            problems.append(Problem(first.file, line, f"a circle: {' is made of '.join(circle)}"))
            needs[circle[0]].discard(circle[1])
