"""Audience definitions: YAML files in, checked definitions out, every mistake told at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from audience_pipeline.audiences.documents import Problem
from audience_pipeline.audiences.rules import Rule, references
from audience_pipeline.audiences.schema import FileReader
from audience_pipeline.audiences.words import nearest
from audience_pipeline.platforms.contract import Platform

SUPPRESSION_FILE = "_suppression.yaml"


@dataclass(frozen=True, slots=True)
class Definition:
    """One audience as its owner wrote it."""

    name: str
    description: str
    include: Rule
    exclude: Rule | None
    suppress: tuple[str, ...] | None
    """Names of suppression rules; None stands for every rule of the workspace."""
    platforms: tuple[Platform, ...]
    refresh: str
    holdout_percent: float
    file: str
    lines: Mapping[str, int] = field(repr=False, default_factory=dict)

    @property
    def references(self) -> frozenset[str]:
        """The audiences that this one is composed of."""
        return references(self.include) | (references(self.exclude) if self.exclude else frozenset())


@dataclass(frozen=True, slots=True)
class Suppression:
    """A rule of the workspace: who must not be in an audience, unless the audience names other rules."""

    name: str
    description: str
    include: Rule


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

    def suppressions_of(self, audience: Definition) -> tuple[Suppression, ...]:
        """The suppression rules that apply to an audience."""
        if audience.suppress is None:
            return self.suppressions
        return tuple(rule for rule in self.suppressions if rule.name in audience.suppress)


class DefinitionErrors(Exception):  # noqa: N818 -- it holds all of them
    """Everything that is wrong with a set of definition files; ``str()`` is one line per problem."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def load_definitions(folder: Path) -> Definitions:
    """Read every ``*.yaml`` and ``*.yml`` of a folder, ``_suppression.yaml`` as the suppression rules.

    Raises:
        DefinitionErrors: with every problem of every file.
    """
    if not folder.is_dir():
        raise DefinitionErrors(
            [Problem(str(folder), 0, "there is no such folder: it should hold the audience files")]
        )
    files = sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml") and path.is_file())
    return load_files(files)


def load_files(files: Sequence[Path]) -> Definitions:
    """Read definition files; those whose names begin with ``_`` hold suppression rules.

    Raises:
        DefinitionErrors: with every problem of every file.
    """
    contents = {}
    problems = []
    for path in files:
        try:
            contents[str(path)] = path.read_bytes()
        except OSError as error:
            problems.append(Problem(str(path), 0, f"the file cannot be read: {error.strerror}"))
    return _definitions(contents, problems)


def read_definitions(contents: Mapping[str, bytes]) -> Definitions:
    """The definitions in files given as name to content.

    Raises:
        DefinitionErrors: with every problem of every file.
    """
    return _definitions(contents, [])


def _definitions(contents: Mapping[str, bytes], problems: list[Problem]) -> Definitions:
    audiences: list[Definition] = []
    suppressions: dict[str, Suppression | None] = {}
    named: dict[str, str] = {}
    for file, content in contents.items():
        reader = FileReader(file, problems)
        if Path(file).name.startswith("_"):
            rules = reader.suppressions(content)
            suppressions |= {name: Suppression(name, *rule) if rule else None for name, rule in rules.items()}
            continue
        read = reader.audience(content)
        if read.name and read.name in named:
            reader.problem(
                read.lines.get("name", 0), f"the name {read.name} is already used in {named[read.name]}"
            )
        elif read.name:
            named[read.name] = file
        if read.complete:
            audiences.append(Definition(**read.values, file=file, lines=read.lines))
    _check_names(audiences, suppressions.keys(), named, problems)
    ordered = _ordered(audiences, problems)
    if problems:
        raise DefinitionErrors(problems)
    return Definitions(ordered, tuple(rule for _, rule in sorted(suppressions.items()) if rule))


def _check_names(
    audiences: Sequence[Definition], rules: Collection[str], named: Mapping[str, str], problems: list[Problem]
) -> None:
    for audience in audiences:
        for key, rule in (("include", audience.include), ("exclude", audience.exclude)):
            for name in sorted(references(rule) - set(named)) if rule else ():
                message = f"{key} refers to the audience {name}, which does not exist{nearest(name, named)}"
                problems.append(Problem(audience.file, audience.lines.get(f"in {name}", 0), message))
        for name in audience.suppress or ():
            if name not in rules:
                known = ", ".join(sorted(rules)) or f"none: write them in {SUPPRESSION_FILE}"
                message = f"there is no suppression rule {name}{nearest(name, rules)}; the rules are {known}"
                problems.append(Problem(audience.file, audience.lines.get("suppress", 0), message))


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
