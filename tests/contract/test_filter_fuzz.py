"""Filters that nobody thought of, sent to a running server: each is answered or refused, and none is a fault."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.language import filter_strategies as strategies

from windlass.server.language.filters import Operator

IS_FUZZING = "WINDLASS_FUZZ_EXAMPLES" in os.environ
EXAMPLES = (25 if IS_FUZZING else 2) * settings().max_examples  # Two thousand of `make fuzz` are fifty thousand, twice.
WORDS = ("SUCCESS", "error", "QPOC", "IDENTITY_REFRESH", "0193c1a2a1b070018000000000000001", "ada", "x", '"', "\\")

comparisons = st.one_of(
    strategies.comparisons(
        fields=st.sampled_from(("id", "sourceId", "launcher")),
        operators=(Operator.EQ, Operator.IN),
        values=st.sampled_from(WORDS) | strategies.strings,
    ),
    strategies.comparisons(
        fields=st.just("completionStatus"),
        operators=(Operator.EQ, Operator.IN, Operator.ISNULL),
        values=st.sampled_from(WORDS[:2]),
    ),
    strategies.comparisons(
        fields=st.just("type"), operators=(Operator.EQ, Operator.IN), values=st.sampled_from(WORDS[2:4])
    ),
)
good = strategies.trees(comparisons).flatmap(strategies.spellings)
texts = st.one_of(strategies.texts, strategies.long_texts()).map(lambda text: text.encode(errors="replace").decode())


@pytest.fixture(scope="module")
def ask(installation, anyone):
    headers = {"Authorization": f"Bearer {installation.token()}"}
    return lambda text: anyone.get(
        "/v2026/task-status", params={"filters": text, "limit": 5, "count": "true"}, headers=headers
    )


@settings(max_examples=EXAMPLES)
@given(good)
def test_a_good_filter_is_answered(ask, text):
    answer = ask(text)

    assert answer.status_code == 200, answer.text


@settings(max_examples=EXAMPLES)
@given(texts)
def test_any_other_text_is_answered_or_refused(ask, text):
    answer = ask(text)

    assert answer.status_code in (200, 400), answer.text
    assert answer.status_code == 200 or answer.json()["detailCode"] == "400.1 Bad Request Content"
