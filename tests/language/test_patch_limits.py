"""JSON Patch against a reference, and against patches that are meant to cost time and memory."""

import json
import time
import tracemalloc
from contextlib import suppress

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.server.errors import InvalidRequest
from windlass.server.language import patch

MIB = 1024 * 1024


def applied(document, operations):
    return patch.applied(document, patch.parse(json.dumps(operations).encode()))


def refusal(document, operations):
    with pytest.raises(InvalidRequest) as raised:
        applied(document, operations)
    return str(raised.value)


def add(path, value):
    return {"op": "add", "path": path, "value": value}


def copy(source, path):
    return {"op": "copy", "from": source, "path": path}


def move(source, path):
    return {"op": "move", "from": source, "path": path}


def nested(levels):
    return json.loads("[" * levels + "]" * levels)


# The reference: an applier by others, without limits


def by_reference(document, operations):
    """What the reference makes of the document, as text; None where it refuses."""
    try:
        return json.dumps(jsonpatch.JsonPatch(operations).apply(document), sort_keys=True)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException):
        return None


def by_us(document, operations):
    try:
        return json.dumps(applied(document, operations), sort_keys=True)
    except InvalidRequest as error:
        return "syntax" if error.is_syntax else None


def places_in(value, pointer=""):
    """Every value in the value, itself included, with the pointer to it."""
    yield pointer, value
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for token, member in members:
        yield from places_in(member, f"{pointer}/{str(token).replace('~', '~0').replace('/', '~1')}")


_tokens = st.sampled_from(["", "a", "b", "a~1b", "m~0n", "~01", "0", "1", "2", "-", "01", "-1"])
_keys = st.sampled_from(["", "a", "b", "a/b", "m~n", "~1", "0", "1", "-"])
_values = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 1.0, 0.5, "", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=3),
    max_leaves=8,
)
_documents = st.dictionaries(_keys, _values, max_size=4)


@st.composite
def _patches(draw):
    """A document and operations that mostly fit it: only the last may be one that the reference refuses."""
    document = now = draw(_documents)
    operations = []
    for _ in range(draw(st.integers(1, 8))):
        places = st.sampled_from(list(places_in(now)))
        pointers = places.map(lambda place: place[0])
        pointers |= st.builds("{}/{}".format, pointers, _tokens)
        free = {"op": st.sampled_from([op.value for op in patch.Op]), "path": pointers, "from": pointers}
        operation = draw(
            st.fixed_dictionaries(free | {"value": _values})
            | places.map(lambda place: {"op": "test", "path": place[0], "value": place[1]})
        )
        operations.append(operation)
        result = by_reference(now, [operation])
        if result is None:
            break
        now = json.loads(result)
    return document, operations


@given(_patches())
def test_a_patch_does_what_the_reference_does(case):
    document, operations = case
    before = json.dumps(document)

    assert by_us(document, operations) == by_reference(document, operations)
    assert json.dumps(document) == before


_members = st.fixed_dictionaries(
    {},
    optional={
        "op": st.sampled_from([*(op.value for op in patch.Op), "ADD", 1, None]),
        "path": st.sampled_from(["", "/a", "/a/b", "/-", "/0", "a", "/~", "/~1", 0, None]),
        "from": st.sampled_from(["", "/a", "/a/0", "x", {}]),
        "value": _values,
    },
)


@given(_documents, st.binary() | (_values | _members | st.lists(_members | _values)).map(json.dumps).map(str.encode))
def test_any_body_is_applied_or_refused(document, body):
    before = json.dumps(document)

    try:
        patch.applied(document, patch.parse(body))
    except InvalidRequest as error:
        assert str(error)  # noqa: PT017

    assert json.dumps(document) == before


# The size and the depth of the result


def test_the_result_may_have_4_mib_and_no_byte_more():
    head = {"text": "x" * (4 * MIB - len('{"text":"","a":"é"}'.encode()))}

    assert applied(head, [add("/a", "é")]) == {**head, "a": "é"}
    assert refusal(head, [add("/a", "é.")]) == "The patched document has 4194305 bytes; 4194304 is the most."


def test_the_result_may_have_64_levels_and_no_more():
    deepest = {"a": nested(62)}

    assert applied(deepest, [add("/a" + "/0" * 61 + "/-", [])]) == {"a": nested(63)}
    message = "The patched document is nested deeper than 64 levels."
    assert refusal(deepest, [add("/a" + "/0" * 61 + "/-", [[]])]) == message
    assert refusal({"a": nested(40), "b": nested(30)}, [move("/b", "/a" + "/0" * 39 + "/-")]) == message
    assert refusal({"a": nested(40)}, [copy("/a", "/a" + "/0" * 39 + "/-")]) == message
    assert refusal({}, [add("/a" * depth, {}) for depth in range(1, 65)]) == message


def test_too_deep_or_too_large_on_the_way_does_not_matter():
    document = {"a": "x" * (3 * MIB), "b": nested(40)}

    result = applied(
        document,
        [
            copy("/a", "/c"),
            move("/c", "/a"),
            copy("/b", "/b" + "/0" * 39 + "/-"),
            {"op": "remove", "path": "/b" + "/0" * 40},
        ],
    )

    assert result == document


def test_what_is_copied_is_limited_although_it_is_thrown_away():
    document = {"a": "x" * (MIB - 2)}
    once = [copy("/a", "/b"), {"op": "remove", "path": "/b"}]

    assert applied(document, once * 4) == document
    assert refusal(document, once * 5) == 'Operation 8 (copy "/b"): the patch copies more than 4194304 bytes.'


# What is meant to cost time and memory


def doubling_lists(leaf):
    return [add("/a", [leaf]), *[copy("/a", "/a/-")] * 99]


def doubling_members():
    return [add("/a0", "x" * 100)] + [copy("", f"/a{n}") for n in range(1, 100)]


def doubling_depth():
    paths = ["/a" * 2**n for n in range(15)]
    return [copy("", path) for path in paths]


def many_lists(*, count=MIB // 4):
    return [add("/a", [[]] * count)]


ATTACKS = {
    "a list copied into itself": ({}, doubling_lists("x" * 30)),
    "a list of empty lists copied into itself": ({}, doubling_lists([])),
    "a list of floats copied into itself": ({}, doubling_lists(1e300)),
    "the document copied into itself": ({}, doubling_members()),
    "the document copied into its deepest member": ({}, doubling_depth()),
    "a member in a member in a member": ({}, [add("/a" * depth, {}) for depth in range(1, 101)]),
    "many lists copied": ({}, many_lists() + [copy("/a", f"/{n}") for n in range(99)]),
    "many lists copied over and over": ({}, many_lists() + [copy("/a", "/b")] * 99),
    "many lists moved": ({}, many_lists() + [move("/a", "/b"), move("/b", "/a")] * 49),
    "many lists moved down": (
        {"b": {}},
        many_lists() + [move("/a", "/b/c"), move("/b/c", "/a")] * 49,
    ),
    "items put before many others": ({}, [add("/a", [0] * 500_000), *[add("/a/0", 0)] * 99]),
    "a large member tested over and over": (
        {"a": list(range(500_000))},
        [{"op": "test", "path": "/a", "value": list(range(n, 1500))} for n in range(100)],
    ),
    "a path of many tokens": ({}, [add("/a" * 500_000, 0)]),
    "a path of many escapes": ({}, [add("/" + "~1" * 500_000, 0), add("/" + "~" * 500_000, 0)]),
    "an index of many digits": ({"a": []}, [add("/a/" + "9" * MIB, 0)]),
}


@pytest.mark.parametrize(("document", "operations"), ATTACKS.values(), ids=ATTACKS.keys())
def test_an_attack_costs_a_moment(document, operations):
    body = json.dumps(operations, separators=(",", ":")).encode()

    started = time.process_time()
    with suppress(InvalidRequest):
        patch.applied(document, patch.parse(body))
    took = time.process_time() - started

    # Up to some 0.2 s; without limits it would never end.
    assert took < 5


def test_doubling_costs_no_more_memory_than_the_result_may_have():
    operations = patch.parse(json.dumps(doubling_lists("x" * 30)).encode())

    tracemalloc.start()
    with pytest.raises(InvalidRequest, match="copies more than"):
        patch.applied({}, operations)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 32 * MIB
