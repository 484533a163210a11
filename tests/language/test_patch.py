"""JSON Patch: what is read as a patch, what its operations do, and what they refuse."""

import json
from copy import deepcopy

import pytest

from windlass.server.errors import InvalidRequest
from windlass.server.language import patch
from windlass.server.language.patch import Op, Operation


def operations_of(*members):
    return patch.parse(json.dumps(members).encode())


def patched(document, *members):
    """What the operations make of the document, after a look that the document itself stayed as it was."""
    before = deepcopy(document)
    result = patch.applied(document, operations_of(*members))
    assert_same(document, before)
    return result


def refusal(document, *members):
    """The message with which the patch is refused: well-formed JSON, but nothing that can be applied."""
    before = deepcopy(document)
    with pytest.raises(InvalidRequest) as raised:
        patch.applied(document, operations_of(*members))
    assert not raised.value.is_syntax
    assert_same(document, before)
    return str(raised.value)


def assert_same(left, right):
    """Equal as JSON text, where 1, 1.0 and true differ."""
    assert json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


def add(path, value):
    return {"op": "add", "path": path, "value": value}


def replace(path, value):
    return {"op": "replace", "path": path, "value": value}


def expect(path, value):
    return {"op": "test", "path": path, "value": value}


def remove(path):
    return {"op": "remove", "path": path}


def move(source, path):
    return {"op": "move", "from": source, "path": path}


def copy(source, path):
    return {"op": "copy", "from": source, "path": path}


# What is read as a patch


def test_operations_are_read_with_their_place_and_the_tokens_of_their_pointers():
    assert operations_of(add("/a~1b/m~0n/~01/", [1]), move("", ""), expect("/x", None)) == [
        Operation(0, Op.ADD, ("a/b", "m~n", "~1", ""), value=[1]),
        Operation(1, Op.MOVE, (), from_=()),
        Operation(2, Op.TEST, ("x",)),
    ]


def test_the_text_of_a_path_is_as_it_was_sent():
    assert [operation.path_text for operation in operations_of(remove("/a~1b/~01/"), add("", 1))] == ["/a~1b/~01/", ""]


def test_a_lone_operation_is_a_patch_of_one():
    assert patch.parse(b'{"op": "remove", "path": "/a"}\n') == operations_of(remove("/a"))


def test_an_empty_list_is_a_patch_that_changes_nothing():
    assert patch.parse(b"[]") == []
    assert patched({"a": [1]}) == {"a": [1]}


@pytest.mark.parametrize("op", ["add", "replace", "test"])
def test_a_missing_value_reads_as_null(op):
    assert operations_of({"op": op, "path": "/a"}) == operations_of({"op": op, "path": "/a", "value": None})


def test_what_an_operation_does_not_know_is_ignored():
    known, unknown = remove("/a"), {"value": 1, "from": 7, "comment": {}}

    assert operations_of({**known, **unknown}) == operations_of(known)


@pytest.mark.parametrize("body", [b"", b"  \n", b"{", b"[NaN]", b'[{"op": "add", "op": "add"}]', b'"\\ud800"'])
def test_what_is_not_strict_json_is_refused_as_syntax(body):
    with pytest.raises(InvalidRequest) as raised:
        patch.parse(body)

    assert raised.value.is_syntax


_EXPECTED_MEMBERS = "it must have op and path, and a move or a copy from too."
_EXPECTED_POINTER = "a JSON Pointer is empty or starts with /, and in it each ~ is followed by 0 or 1."
_EXPECTED_OP = "it must be one of add, remove, replace, move, copy, test."


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "The patch is null; it must be a list of operations, or a single one."),
        ("x" * 500, f'The patch is "{"x" * 78}…; it must be a list of operations, or a single one.'),
        (7.5, "The patch is 7.5; it must be a list of operations, or a single one."),
        ([remove("/a")] * 101, "The patch has 101 operations; 100 is the most."),
        ([remove("/a"), 3], "Operation 1 is 3; it must be an object with op and path."),
        ([[remove("/a")]], 'Operation 0 is [{"op":"remove","path":"/a"}]; it must be an object with op and path.'),
        ({}, f"Operation 0 has no op; {_EXPECTED_MEMBERS}"),
        ({"op": "remove"}, f"Operation 0 has no path; {_EXPECTED_MEMBERS}"),
        ({"op": "copy", "path": "/a"}, f"Operation 0 has no from; {_EXPECTED_MEMBERS}"),
        ([remove("/a"), {"op": "Add", "path": "/a"}], f'Operation 1 has the op "Add"; {_EXPECTED_OP}'),
        ({"op": "", "path": "/a"}, f'Operation 0 has the op ""; {_EXPECTED_OP}'),
        ({"op": None, "path": "/a"}, "Operation 0 has the op null; it must be a string."),
        ({"op": ["add"], "path": "/a"}, 'Operation 0 has the op ["add"]; it must be a string.'),
        (add(1, 1), "Operation 0 has the path 1; it must be a string."),
        (add(None, 1), "Operation 0 has the path null; it must be a string."),
        (copy(0, "/a"), "Operation 0 has the from 0; it must be a string."),
        (remove("a/b"), f'Operation 0 has the path "a/b"; {_EXPECTED_POINTER}'),
        (remove("#/a"), f'Operation 0 has the path "#/a"; {_EXPECTED_POINTER}'),
        (remove("/~2"), f'Operation 0 has the path "/~2"; {_EXPECTED_POINTER}'),
        (remove("/a~"), f'Operation 0 has the path "/a~"; {_EXPECTED_POINTER}'),
        (remove("/a~/0"), f'Operation 0 has the path "/a~/0"; {_EXPECTED_POINTER}'),
        (move(" /a", "/b"), f'Operation 0 has the from " /a"; {_EXPECTED_POINTER}'),
        (remove(""), "Operation 0 removes the whole document; nothing would be left."),
        (move("/a", "/a/b/c"), 'Operation 0 moves "/a" into its own child "/a/b/c".'),
        (move("", "/a"), 'Operation 0 moves "" into its own child "/a".'),
    ],
)
def test_what_is_not_a_patch_is_refused_with_the_operation_and_what_was_expected(given, message):
    with pytest.raises(InvalidRequest) as raised:
        patch.parse(json.dumps(given).encode())

    assert str(raised.value) == message
    assert not raised.value.is_syntax


def test_a_patch_may_have_100_operations():
    assert patched({"a": 0}, *[replace("/a", n) for n in range(100)]) == {"a": 99}


def test_an_operation_says_what_it_writes():
    operations = operations_of(
        add("/a", 1), replace("/b", 1), remove("/c"), move("/d", "/e"), copy("/f", "/g"), expect("/h", 1)
    )

    assert [patch.written(operation) for operation in operations] == [
        (("a",),),
        (("b",),),
        (("c",),),
        (("d",), ("e",)),
        (("g",),),
        (),
    ]


# What the operations do


@pytest.mark.parametrize(
    ("document", "operation", "result"),
    [
        ({"a": 1}, add("/b", {"c": []}), {"a": 1, "b": {"c": []}}),
        ({"a": 1}, add("/a", [2]), {"a": [2]}),
        ({"a": [1, 3]}, add("/a/1", 2), {"a": [1, 2, 3]}),
        ({"a": [1]}, add("/a/0", 0), {"a": [0, 1]}),
        ({"a": [1]}, add("/a/1", 2), {"a": [1, 2]}),
        ({"a": [1]}, add("/a/-", [2, 3]), {"a": [1, [2, 3]]}),
        ({"a": []}, add("/a/-", None), {"a": [None]}),
        ({"a": {}}, add("/a/-", 1), {"a": {"-": 1}}),
        ({"a": {}}, add("/a/01", 1), {"a": {"01": 1}}),
        ({}, add("/", 1), {"": 1}),
        ({"a": 1}, add("", [1]), [1]),
        ({"a": 1, "b": 2}, remove("/a"), {"b": 2}),
        ({"a": [1, 2, 3]}, remove("/a/1"), {"a": [1, 3]}),
        ({"a": None}, remove("/a"), {}),
        ({"a": 1, "b": 2}, replace("/a", None), {"a": None, "b": 2}),
        ({"a": [1, 2]}, replace("/a/1", {}), {"a": [1, {}]}),
        ({"a": 1}, replace("", None), None),
        ({"a": {"b": 1}, "c": {}}, move("/a/b", "/c/d"), {"a": {}, "c": {"d": 1}}),
        ({"a": 1, "b": 2}, move("/a", "/b"), {"b": 1}),
        ({"a": [1, 2, 3, 4]}, move("/a/1", "/a/3"), {"a": [1, 3, 4, 2]}),
        ({"a": [1, 2, 3]}, move("/a/0", "/a/-"), {"a": [2, 3, 1]}),
        ({"a": 1, "ab": {}}, move("/a", "/ab/c"), {"ab": {"c": 1}}),
        ({"a": {"b": 1}}, move("/a/b", "/a"), {"a": 1}),
        ({"a": [1]}, move("/a", ""), [1]),
        ({"a": 1}, move("/a", "/a"), {"a": 1}),
        ({"a": 1}, move("", ""), {"a": 1}),
        ({"a": {"b": [1]}}, copy("/a", "/c"), {"a": {"b": [1]}, "c": {"b": [1]}}),
        ({"a": [1, 2]}, copy("/a/0", "/a/-"), {"a": [1, 2, 1]}),
        ({"a": 1}, copy("", "/a"), {"a": {"a": 1}}),
        ({"a": {"b": {}}}, copy("/a", "/a/b/c"), {"a": {"b": {"c": {"b": {}}}}}),
        ({"/": 9, "~1": 10}, replace("/~01", 11), {"/": 9, "~1": 11}),
        ({"%41": 1, "\\u0041": 2}, remove("/%41"), {"\\u0041": 2}),
    ],
)
def test_an_operation_changes_the_document(document, operation, result):
    assert_same(patched(document, operation), result)


def test_operations_are_applied_in_their_order():
    result = patched(
        {"a": [1]}, add("/a/-", 2), move("/a/0", "/b"), add("/c", {"d": 0}), replace("/c/d", 3), copy("/b", "/c/e")
    )

    assert result == {"a": [2], "b": 1, "c": {"d": 3, "e": 1}}


def test_the_copy_and_the_original_are_changed_apart():
    result = patched({"a": {"b": [1]}}, copy("/a", "/c"), add("/a/b/-", 2), add("/c/b/-", 3))

    assert result == {"a": {"b": [1, 2]}, "c": {"b": [1, 3]}}


def test_the_result_shares_nothing_with_the_document_or_the_patch():
    document = {"a": {"b": [1]}}
    operations = operations_of(add("/c", {"d": []}), add("/c/d/-", 1))

    first = patch.applied(document, operations)
    first["a"]["b"].append(2)
    first["c"]["d"].append(2)

    assert document == {"a": {"b": [1]}}
    assert patch.applied(document, operations) == {"a": {"b": [1]}, "c": {"d": [1]}}


@pytest.mark.parametrize(
    ("found", "value"),
    [
        (None, None),
        (True, True),
        (1, 1.0),
        (1.0, 1),
        (0, -0.0),
        ("é", "é"),
        ([], []),
        ({}, {}),
        ({"x": [1, {"y": None}], "z": 2}, {"z": 2.0, "x": [1.0, {"y": None}]}),
    ],
)
def test_a_test_of_an_equal_value_passes(found, value):
    assert_same(patched({"a": found}, expect("/a", value), expect("", {"a": value})), {"a": found})


@pytest.mark.parametrize(
    ("found", "value"),
    [
        (1, True),
        (True, 1),
        (0, False),
        (False, 0.0),
        (None, False),
        (0, None),
        (1, "1"),
        ("", None),
        ([], {}),
        ([], None),
        ([1, 2], [2, 1]),
        ([1], [1, 1]),
        ({"x": 1}, {"x": 1, "y": None}),
        ({"x": None}, {"y": None}),
        (9007199254740993, 9007199254740992.0),
        ("é", "e\u0301"),
    ],
)
@pytest.mark.parametrize("inside", [lambda value: value, lambda value: [{"k": value}]])
def test_a_test_of_any_other_value_fails_and_says_what_was_found(found, value, inside):
    message = refusal({"a": inside(found)}, expect("/a", inside(found)), expect("/a", inside(value)))

    expected, there = (json.dumps(inside(v), ensure_ascii=False, separators=(",", ":")) for v in (value, found))
    assert message == f'Operation 1 (test "/a") failed: it expected {expected} and found {there}.'


def test_what_a_failed_test_found_is_shortened():
    message = refusal({"a": "f" * 5000}, expect("/a", "e" * 5000))

    assert message == f'Operation 0 (test "/a") failed: it expected "{"e" * 78}… and found "{"f" * 78}….'


# What cannot be applied


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (replace("/x", 1), 'Operation 1 (replace "/x"): there is nothing at "/x".'),
        (remove("/x"), 'Operation 1 (remove "/x"): there is nothing at "/x".'),
        (expect("/x", None), 'Operation 1 (test "/x"): there is nothing at "/x".'),
        (add("/x/y/z", 1), 'Operation 1 (add "/x/y/z"): there is nothing at "/x".'),
        (add("/object/y/z", 1), 'Operation 1 (add "/object/y/z"): there is nothing at "/object/y".'),
        (copy("/a~1b", "/c"), 'Operation 1 (copy "/c"): there is nothing at "/a~1b".'),
        (move("/x", "/list"), 'Operation 1 (move "/list"): there is nothing at "/x".'),
        (move("/x", "/x"), 'Operation 1 (move "/x"): there is nothing at "/x".'),
        (replace("/list/2", 1), 'Operation 1 (replace "/list/2"): there is nothing at "/list/2".'),
        (remove("/list/-"), 'Operation 1 (remove "/list/-"): there is nothing at "/list/-".'),
        (expect("/list/-", 2), 'Operation 1 (test "/list/-"): there is nothing at "/list/-".'),
        (copy("/list/-", "/c"), 'Operation 1 (copy "/c"): there is nothing at "/list/-".'),
        (add("/list/-/a", 2), 'Operation 1 (add "/list/-/a"): there is nothing at "/list/-".'),
        (add("/text/0", 1), 'Operation 1 (add "/text/0"): at "/text" is "abc", which has no members.'),
        (expect("/text/0", "a"), 'Operation 1 (test "/text/0"): at "/text" is "abc", which has no members.'),
        (add("/none/a", 1), 'Operation 1 (add "/none/a"): at "/none" is null, which has no members.'),
        (
            add("/list/3", 1),
            'Operation 1 (add "/list/3"): that is beyond the end of the list; 2 is the last index to add at.',
        ),
        (
            move("/list/0", "/list/2"),
            'Operation 1 (move "/list/2"): that is beyond the end of the list; 1 is the last index to add at.',
        ),
    ],
)
def test_what_is_not_there_is_named_with_the_operation(operation, message):
    document = {"list": [1, 2], "object": {}, "text": "abc", "none": None}

    assert refusal(document, add("/ok", 1), operation) == message


@pytest.mark.parametrize(
    "token", ["01", "00", "+1", "-1", "-0", "1.0", "1e0", " 1", "1 ", "1\n", "0x1", "1_0", "", "a"]
)
@pytest.mark.parametrize("under", ["", "/x"])
@pytest.mark.parametrize("make", [lambda path: add(path, 1), remove, lambda path: copy(path, "/b")])
def test_an_index_is_a_whole_number_without_sign_or_leading_zeros(make, under, token):
    message = refusal({"a": [{}] * 12}, make(f"/a/{token}{under}"))

    assert message.endswith(
        f'{json.dumps(token)} is not an index of the list at "/a"; '
        "an index is a whole number without sign or leading zeros."
    )


@pytest.mark.parametrize("digits", [19, 25, 5_000, 500_000])
def test_an_index_of_any_length_is_beyond_the_end(digits):
    path = "/a/" + "9" * digits

    assert "there is nothing at" in refusal({"a": [1]}, remove(path))
    assert "1 is the last index to add at" in refusal({"a": [1]}, add(path, 1))
    assert len(refusal({"a": [1]}, remove(path))) < 300
