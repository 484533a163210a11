"""Every sentence that a caller may be refused with is a constant, and has its translation."""

import ast
import json
from pathlib import Path
from string import Formatter

import pytest

from windlass.server import api, errors
from windlass.server.api.errors import BAD_SYNTAX, KINDS

SERVER = Path(errors.__file__).parent
TRANSLATIONS = sorted(Path(api.__file__).parent.glob("translations/*.json"))
# What is raised for callers, and at which place its sentence stands.
REFUSALS = {
    "RequestRefused": 0,
    "InvalidRequest": 0,
    "NotFound": 0,
    "PermissionDenied": 0,
    "PreconditionFailed": 0,
    "Refusal": 1,
}


def calls():
    """Every call that makes a refusal: where it is, and its sentence, None where that is not a constant."""
    for path in SERVER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in REFUSALS:
                sentence = node.args[REFUSALS[node.func.id]]
                text = sentence.value if isinstance(sentence, ast.Constant) else None
                yield f"{path.relative_to(SERVER)}:{node.lineno}", text


def sentences():
    return {text for _, text in [*calls(), *(("", kind[1]) for kind in (*KINDS.values(), BAD_SYNTAX))]}


def fields(text):
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_every_refusal_has_a_constant_sentence():
    assert [place for place, text in calls() if text is None] == []
    assert len(sentences()) > 40


def test_no_value_holds_words_that_nobody_would_translate():
    for path in SERVER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in REFUSALS:
                values = [part for keyword in node.keywords for part in ast.walk(keyword.value)]
                words = [
                    each.value for each in values if isinstance(each, ast.Constant) and isinstance(each.value, str)
                ]
                assert [word for word in words if " " in word.strip(", ")] == [], f"{path}:{node.lineno}"


@pytest.mark.parametrize("path", TRANSLATIONS, ids=lambda path: path.stem)
def test_every_sentence_is_translated_and_no_other(path):
    translations = json.loads(path.read_text())

    assert sentences() - translations.keys() == set()
    assert translations.keys() - sentences() == set()


@pytest.mark.parametrize("path", TRANSLATIONS, ids=lambda path: path.stem)
def test_a_translation_says_as_much_as_the_sentence(path):
    for text, translated in json.loads(path.read_text()).items():
        assert fields(translated) == fields(text), translated
        assert translated.strip()
        assert translated != text
