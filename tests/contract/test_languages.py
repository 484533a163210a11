"""Refusals in the reader's language. Contract §7; RFC 9110 §12.5.4."""

import pytest

CASES = [
    (None, "en-US", "DEFAULT"), ("", "en-US", "DEFAULT"), ("fr", "en-US", "DEFAULT"), ("de;q=0", "en-US", "DEFAULT"),
    ("x;q=abc", "en-US", "DEFAULT"), (";,;=,", "en-US", "DEFAULT"), ("en-US", "en-US", "REQUEST"),
    ("en", "en-US", "REQUEST"), ("en-GB", "en-US", "REQUEST"), ("*", "en-US", "REQUEST"),
    ("en-GB,en;q=0.9,de;q=0.8", "en-US", "REQUEST"), ("en,de;q=0.5", "en-US", "REQUEST"),
    ("de,en", "de", "REQUEST"),
    ("en-US,de;q=0.9", "en-US", "REQUEST"), ("de", "de", "REQUEST"), ("de-AT", "de", "REQUEST"),
    ("DE-ch, en;q=0.5", "de", "REQUEST"), ("fr, de;q=0.1", "de", "REQUEST"), ("en-US;q=0.1, de;q=0.2", "de", "REQUEST"),
]  # fmt: skip
SENTENCES = {
    "en-US": 'limit is "251"; it must be a whole number from 0 to 250.',
    "de": 'limit ist "251"; es muss eine ganze Zahl von 0 bis 250 sein.',
}


@pytest.mark.parametrize(("wanted", "locale", "origin"), CASES)
def test_a_refusal_is_told_in_the_best_language_there_is(admin, wanted, locale, origin):
    answer = admin.get("/task-status?limit=251", headers={} if wanted is None else {"Accept-Language": wanted})

    body = answer.json()
    texts = [*body["messages"], *body["causes"]]
    assert answer.status_code == 400
    assert body["causes"][0]["text"] == SENTENCES[locale]
    assert [(text["locale"], text["localeOrigin"]) for text in texts] == [(locale, origin)] * 2
    assert (answer.headers["Content-Language"], answer.headers["Vary"]) == (locale, "Accept-Language")


@pytest.mark.parametrize(("method", "path", "text"), [
    ("GET", "/nowhere", "Bei /beta/nowhere gibt es keine Ressource."),
    ("DELETE", "/task-status", "/beta/task-status unterstützt DELETE nicht."),
    ("GET", "/task-status/unknown", "Eine Aufgabe mit der ID \"unknown\" gibt es nicht."),
    ("PATCH", "/task-status/unknown", "Ein Patch kommt als application/json-patch+json."),
])  # fmt: skip
def test_every_kind_of_refusal_is_told_so(admin, method, path, text):
    answer = admin.request(method, path, headers={"Accept-Language": "de"})

    assert answer.json()["causes"][0]["text"] == text


def test_values_that_look_like_placeholders_are_told_as_they_are(admin):
    answer = admin.get("/task-status/{0}{most}%7Bx%7D", headers={"Accept-Language": "de"})

    assert '"{0}{most}{x}"' in answer.json()["causes"][0]["text"]
