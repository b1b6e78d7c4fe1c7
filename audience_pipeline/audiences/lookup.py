"""One audience and what it is made of, found without reading the rest of a large workspace."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from audience_pipeline.audiences.definition import (
    DefinitionErrors,
    Definitions,
    definition_files,
    load_definitions,
    load_files,
    read_definitions,
)
from audience_pipeline.audiences.documents import MAX_BYTES
from audience_pipeline.audiences.fields import FIELDS, Field

_NAMED = re.compile(rb"""^name[ \t]*:[ \t]*["']?([a-z][a-z0-9_]*)["']?[ \t]*(?:#.*)?\r?$""", re.MULTILINE)
_WORD = re.compile(rb"[a-z][a-z0-9_]*")


def load_audience(
    folder: Path,
    name: str,
    *,
    fields: Mapping[str, Field] = FIELDS,
    lists: Collection[str] = (),
    segments: Collection[str] | None = None,
    apart: Collection[str] = (),
) -> Definitions:
    """An audience of a workspace with all that it refers to and every suppression rule.

    A mistake in a file that it does not need is left to ``load_definitions``.

    Args:
        folder: the folder of the definition files.
        name: the audience.
        fields: the fields that conditions may use.
        lists: the names of the uploaded lists.
        segments: the names of the segments; None where they are not known yet.
        apart: files that are read as if they were not there (``sound.Sound.apart``).

    Raises:
        DefinitionErrors: with every problem of the files that are needed.
        KeyError: no audience has that name.
    """
    if not folder.is_dir():
        return load_definitions(folder, fields=fields, lists=lists, segments=segments)
    contents = {file: content for file, content in _contents(folder).items() if file not in apart}
    needed = _needed(contents, [name.encode()])
    try:
        found = read_definitions(needed, fields=fields, lists=lists, segments=segments)
        if name in found.names:
            return found
    except DefinitionErrors:
        names = [other for content in needed.values() for other in _names(content)]
        if len(names) > len(set(names)):
            raise
        # A file that only seemed to be needed may be the one with the mistake.
        here = [Path(file) for file, content in needed.items() if name.encode() in _names(content)]
        if here:
            return load_files(here, fields=fields, lists=lists, segments=segments)
        raise
    everything = load_definitions(folder, fields=fields, lists=lists, segments=segments)
    everything[name]
    return everything


def digest(folder: Path) -> str:
    """What tells whether a definition file of a folder has changed: SHA-256 over names and contents."""
    made = hashlib.sha256()
    for file, content in _contents(folder).items() if folder.is_dir() else ():
        for part in (Path(file).name.encode(), content):
            made.update(len(part).to_bytes(8))
            made.update(part)
    return made.hexdigest()


def load_file(
    path: Path,
    folder: Path,
    *,
    fields: Mapping[str, Field] = FIELDS,
    lists: Collection[str] = (),
    segments: Collection[str] | None = None,
) -> tuple[str, Definitions]:
    """The audience of a file, read as if it stood in a workspace: instead of the one that has its name there.

    Other arguments as for ``load_audience``.

    Returns:
        The name of the audience, and the definitions.

    Raises:
        DefinitionErrors: with every problem of the files that are needed.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError:
        return "", load_files([path], fields=fields, lists=lists, segments=segments)
    mine = _names(content)
    workspace = _contents(folder) if folder.is_dir() else {}
    others = {
        file: other
        for file, other in workspace.items()
        if not _names(other) & mine and Path(file).resolve() != path.resolve()
    }
    needed = _needed(others, _WORD.findall(content)) | {str(path): content}
    found = read_definitions(needed, fields=fields, lists=lists, segments=segments)
    return next(audience.name for audience in found if audience.file == str(path)), found


def _contents(folder: Path) -> Mapping[str, bytes]:
    contents = {}
    for path in definition_files(folder):
        try:
            with path.open("rb") as stream:
                contents[str(path)] = stream.read(MAX_BYTES + 1)
        except OSError:
            # Where it is needed, the name is found missing.
            continue
    return contents


def _names(content: bytes) -> frozenset[bytes]:
    return frozenset(_NAMED.findall(content))


def _needed(contents: Mapping[str, bytes], begun: Collection[bytes]) -> dict[str, bytes]:
    """The files whose names occur in what is needed already, and those that hold suppression rules.

    A file that does not plainly say its name is taken to be needed.
    """
    holding: dict[bytes, list[str]] = {}
    needed: dict[str, bytes] = {}
    for file, content in contents.items():
        names = _names(content)
        if Path(file).name.startswith("_") or not names:
            needed[file] = content
        for name in names:
            holding.setdefault(name, []).append(file)
    open_words = {*begun, *(word for content in needed.values() for word in _WORD.findall(content))}
    while open_words:
        for file in holding.get(open_words.pop(), ()):
            if file not in needed:
                needed[file] = contents[file]
                open_words.update(_WORD.findall(contents[file]))
    return needed
