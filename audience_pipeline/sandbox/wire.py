"""A request and an answer, free of any web framework, and how bodies are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request. Header names are lower-case; a repeated query parameter keeps its last value."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    base_url: str

    @property
    def media_type(self) -> str:
        """The content type without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP response."""

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = "application/json"


class Refused(Exception):  # noqa: N818 (the platform refuses; nothing is wrong with the sandbox)
    """The platform says no: nothing of the request takes effect and ``answer`` is sent."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"refused with HTTP {answer.status}")
        self.answer = answer


def json_answer(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer whose body is ``content`` as JSON."""
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return Answer(status, body, headers or {})


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a multipart body."""

    name: str
    file_name: str | None
    content: bytes = field(repr=False)


def multipart(call: Call) -> dict[str, Part]:
    """The parts of a ``multipart/form-data`` body by name.

    Raises:
        ValueError: the body is not multipart or has no boundary.
    """
    header = Message()
    header["content-type"] = call.headers.get("content-type", "")
    boundary = header.get_boundary()
    if header.get_content_type() != "multipart/form-data" or not boundary:
        raise ValueError("the body must be multipart/form-data with a boundary")
    parts: dict[str, Part] = {}
    for chunk in call.body.split(b"--" + boundary.encode())[1:]:
        head, separator, content = chunk.partition(b"\r\n\r\n")
        if not separator:
            continue
        disposition = Message()
        for line in head.decode("utf-8", "replace").split("\r\n"):
            name, colon, value = line.partition(":")
            if colon:
                disposition[name.strip()] = value.strip()
        field_name = disposition.get_param("name", header="content-disposition")
        file_name = disposition.get_filename()
        if isinstance(field_name, str):
            parts[field_name] = Part(field_name, file_name, content.removesuffix(b"\r\n"))
    return parts


def words(text: str) -> frozenset[str]:
    """The words of a text, for long sets of names."""
    return frozenset(text.split())


def parse_json(text: str | bytes) -> Any:
    """The JSON value of ``text``.

    Raises:
        ValueError: not JSON.
    """
    return json.loads(text)
