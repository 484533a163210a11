"""Changing a task with JSON Patch: which bodies are taken, and which refused whatever they are about. Contract §3."""

import json

import pytest
from tests.contract.answers import BAD_SYNTAX, MIB, PATCH_TYPE, assert_refused, replace


def test_nesting_without_end_is_refused(pending, patch):
    for depth in (50, 500, 900, 1_000, 5_000, 100_000):
        nested = b"[" * depth + b"]" * depth
        answer = patch(pending.id, b'[{"op":"replace","path":"/description","value":%s}]' % nested)
        assert answer.status_code == 400


def test_a_lone_operation_is_a_patch_of_one(pending, patch):
    answer = patch(pending.id, replace("/completionStatus", "Success"))

    assert (answer.status_code, answer.json()["completionStatus"]) == (200, "SUCCESS")


@pytest.mark.parametrize("around", [b"%s\n", b"\r\n\t %s \n\n"])
def test_white_space_around_the_patch_is_passed_over(pending, patch, around):
    answer = patch(pending.id, around % json.dumps([replace("/completionStatus", "Success")]).encode())

    assert answer.status_code == 200


@pytest.mark.parametrize("body", [
    b"", b" \n", b"{", b"[", b"nonsense", b"[]x", b"\xff\xfe", b"\xef\xbb\xbf[]",
    b"[{}", b'["\xff"]',
])  # fmt: skip
def test_a_body_that_is_no_json_is_bad_syntax(pending, patch, body):
    assert_refused(patch(pending.id, body), code=BAD_SYNTAX)


@pytest.mark.parametrize("body", [
    None, 1, "text", True, {}, [None], [[]], ["x"], [{}], [{"op": "replace"}], [{"path": "/description"}],
    [{"op": 1, "path": "/description", "value": ""}], [{"op": "replace", "path": None, "value": ""}],
    [{"op": None, "path": "/description", "value": ""}],
])  # fmt: skip
def test_json_that_is_no_patch_is_bad_content(pending, patch, body):
    assert_refused(patch(pending.id, body))


@pytest.mark.parametrize("op", ["REPLACE", "", "nonsense", " add"])
def test_an_unknown_operation_is_refused_by_name(pending, patch, op):
    operation = {"op": op, "path": "/description", "from": "/launcher", "value": "x"}

    assert_refused(
        patch(pending.id, [replace("/description", "x"), operation]), json.dumps(op), "Operation 1", "add, remove"
    )


@pytest.mark.parametrize(("body", "word"), [
    (b'[{"op":"replace","path":"/progress","value":"x","value":"y"}]', "value"),
    (b'[{"op":"replace","path":"/attributes/x","value":NaN}]', "NaN"),
    (b'[{"op":"replace","path":"/attributes/x","value":1e999}]', "1e999"),
    (b'[{"op":"replace","path":"/attributes/x","value":9223372036854775808}]', "64 bits"),
    (b'[{"op":"replace","path":"/attributes/x","value":"\\u0000"}]', "U+0000"),
    (b'[{"op":"replace","path":"/attributes/x","value":"\\ud800"}]', "surrogate"),
    (b'[{"op":"replace","path":"/attributes/x","value":%s}]' % (b"[" * 63 + b"]" * 63), "64 levels"),
])  # fmt: skip
def test_json_that_readers_disagree_on_is_bad_syntax(pending, patch, body, word):
    assert_refused(patch(pending.id, body), word, code=BAD_SYNTAX)


def test_a_patch_that_grows_without_end_is_refused(installation, patch, read):
    task = installation.add_task(attributes={"a": "x" * 100_000})
    before = read(task.id)
    copies = [{"op": "copy", "from": "/attributes", "path": "/attributes/b"} for _ in range(100)]

    assert_refused(patch(task.id, copies), "4194304")
    assert read(task.id) == before


@pytest.mark.parametrize("content_type", [
    PATCH_TYPE, "application/json", "application/json; charset=utf-8", "Application/JSON-Patch+JSON;charset=UTF-8",
])  # fmt: skip
def test_a_patch_comes_as_json(pending, patch, content_type):
    assert patch(pending.id, [], content_type).status_code == 200


@pytest.mark.parametrize("content_type", [
    None, "text/plain", "application/merge-patch+json", "application/x-www-form-urlencoded", "application/jsonx", ";",
])  # fmt: skip
def test_another_media_type_is_not_supported(pending, patch, content_type):
    answer = patch(pending.id, [], content_type)

    assert (answer.status_code, answer.json()["detailCode"][:3]) == (415, "415")
    assert PATCH_TYPE in answer.json()["causes"][0]["text"]


@pytest.mark.parametrize(("size", "expected"), [(MIB, 200), (MIB + 1, 413), (8 * MIB, 413)])
def test_a_patch_of_more_than_a_mebibyte_is_too_large(pending, patch, size, expected):
    answer = patch(pending.id, b"[]".ljust(size))

    assert answer.status_code == expected
    assert expected == 200 or answer.json()["detailCode"].startswith("413")


def test_a_patch_without_a_length_is_too_large_all_the_same(pending, admin):
    answer = admin.patch(
        f"/task-status/{pending.id}", content=iter([b" " * MIB, b"[]"]), headers={"Content-Type": PATCH_TYPE}
    )

    assert answer.status_code == 413


def test_a_hundred_operations_are_the_most(pending, patch):
    hundred = [replace("/description", str(number)) for number in range(100)]

    assert patch(pending.id, hundred).json()["description"] == "99"
    assert_refused(patch(pending.id, [*hundred, replace("/description", "one more")]), "101", "100")
