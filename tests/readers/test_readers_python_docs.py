"""The documentation of the running interpreter, and the questions that go with it."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from kukla.document import Document
from kukla.readers import python_documents


@pytest.fixture(scope="module")
def found() -> dict[object, Document]:
    documents = list(python_documents())
    by_id = {document.id: document for document in documents}
    assert len(by_id) == len(documents), "ids repeat"
    return by_id


def test_there_are_thousands(found: dict[object, Document]) -> None:
    assert len(found) >= 5000
    kinds = {document.metadata["kind"] for document in found.values()}
    assert kinds == {"module", "class", "function", "topic"}


@pytest.mark.parametrize(
    "name",
    # From source, from C, passed on by a package, by a module of another name, and inherited privately.
    [
        "csv",
        "csv.reader",
        "str.split",
        "itertools.chain",
        "len",
        "open",
        "json.loads",
        "asyncio.run",
        "datetime.datetime.strptime",
        "decimal.Decimal",
        "unittest.TestCase",
        "collections.abc.Mapping",
        "concurrent.futures.ThreadPoolExecutor",
        "os.path.join",
        "random.shuffle",
        "pathlib.Path.exists",
    ],
)
def test_names_are_those_that_users_write(found: dict[object, Document], name: str) -> None:
    document = found[name]
    assert document.text is not None
    assert document.text.startswith(name)
    assert document.metadata["name"] == name


def test_only_public_names_with_something_to_say(found: dict[object, Document]) -> None:
    for document in found.values():
        name = document.metadata["name"]
        assert not any(part.startswith("_") for part in name.split(".")), name
        assert document.metadata["module"].partition(".")[0] not in {"test", "idlelib", "this", "antigravity"}
        assert document.text is not None
        assert len(document.text.partition("\n")[2].split()) >= 4 or document.metadata["kind"] == "topic", (
            name
        )
        json.dumps(dict(document.metadata))
        document.text.encode()


def test_text_has_the_signature_and_metadata_the_line(found: dict[object, Document]) -> None:
    document = found["textwrap.shorten"]
    assert document.text is not None
    assert document.text.startswith("textwrap.shorten(text, width, **kwargs)\n\nCollapse and truncate")
    assert document.metadata["kind"] == "function"
    assert document.metadata["module"] == "textwrap"
    assert document.metadata["line"] > 1
    topic = found["topic:for#1"]
    assert topic.text is not None
    assert topic.text.startswith('The "for" statement\n\n')
    assert topic.metadata == {"kind": "topic", "module": "", "name": "for"}


def test_two_runs_agree(found: dict[object, Document]) -> None:
    assert [document.id for document in python_documents()] == list(found)


def test_every_question_has_an_answer_here(found: dict[object, Document]) -> None:
    lines = files("kukla.readers").joinpath("python_questions.jsonl").read_text(encoding="utf-8").splitlines()
    questions = [json.loads(line) for line in lines]
    assert len({question["question"] for question in questions}) == 60
    for question in questions:
        assert any(name in found for name in question["expect"]), question
