from __future__ import annotations

import pytest
import yaml

from audience_pipeline.audiences import documents
from audience_pipeline.audiences.documents import DocumentError, Entries, Items, Node, Scalar, read_document

TEXTS = [
    "b: [y, 'z', null, ~, '', 'null']\nc:\n  - d: >\n      folded\n      text\n  - e: |\n      kept\nf:\n",
    "a: 'it''s'\nb: \"\\u00e9\\n\"\n# remark\nc: yes\nd: 1:30\ne: 0x10\n",
    "- one\n- {two: 2, three: [3]}\n-\n",
    "\ufeffa: b\r\nc: d\r\n",
]
BROKEN = [
    "a: [b\n",
    "a:\n\t- b\n",
    "a: 'b\n",
    "a: b: c\n",
    "{a: b",
    "a: @b\n",
    "a: |\n b\n\tc: d\n",
]
HOSTILE = [
    "a: &x [1]\n",
    "a: *x\n",
    "a: !!python/object/apply:os.system ['id']\n",
    "a: !x b\n",
    "a: b\na: c\n",
    "a: b\n---\nc: d\n",
    "? [a]\n: b\n",
    "[" * 100_000,
    "- " * 50_000,
    "{a: " * 50_000,
    "x: &a [x]\n" + "".join(f"y{n}: &b{n} [*a, *a]\n" for n in range(20)),
    "a: \x00\n",
    "",
    " \n# nothing\n",
]
LOADERS = [yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)]


def shape(node: Node) -> object:
    match node:
        case Scalar(text, line, empty):
            return text, line, empty
        case Items(items, _):
            return [shape(item) for item in items]
        case Entries(entries, _, lines):
            return {key: (lines[key], shape(value)) for key, value in entries.items()}


def outcome(text: str) -> object:
    try:
        return shape(read_document("a.yaml", text.encode()))
    except DocumentError as error:
        return str(error)


@pytest.mark.parametrize("text", [*TEXTS, *BROKEN, *HOSTILE], ids=lambda text: text[:20])
def test_the_fast_loader_and_the_plain_one_say_the_same(text: str, monkeypatch: pytest.MonkeyPatch):
    said = []
    for loader in LOADERS:
        monkeypatch.setattr(documents, "_LOADER", loader)
        said.append(outcome(text))

    assert said[0] == said[1]


@pytest.mark.parametrize("text", [*BROKEN, *HOSTILE], ids=lambda text: text[:20])
def test_what_is_no_plain_yaml_is_refused_in_a_sentence(text: str):
    with pytest.raises(DocumentError) as caught:
        read_document("a.yaml", text.encode())

    assert str(caught.value).startswith("a.yaml")
    assert len(str(caught.value)) < 200


def test_values_stay_text_as_they_are_written():
    assert outcome("a: yes\nb: 0x10\nc: 1:30\nd: 2026-01-31\n") == {
        "a": (1, ("yes", 1, False)),
        "b": (2, ("0x10", 2, False)),
        "c": (3, ("1:30", 3, False)),
        "d": (4, ("2026-01-31", 4, False)),
    }


def test_nothing_is_told_from_a_text_that_says_null():
    assert outcome("[~, null, '', 'null', '~']") == [
        ("~", 1, True),
        ("null", 1, True),
        ("", 1, True),
        ("null", 1, False),
        ("~", 1, False),
    ]


def test_a_tab_is_told_by_its_name():
    assert outcome("a:\n\t- b\n") == (
        "a.yaml:2: the file cannot be read as YAML: a tab is used for indentation here or just before"
    )


def test_a_binary_file_is_not_utf_8():
    with pytest.raises(DocumentError, match="is not UTF-8 text"):
        read_document("a.yaml", bytes(range(256)))
