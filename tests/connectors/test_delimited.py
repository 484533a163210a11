"""Delimited files, row by row: what becomes a record, what is skipped and why."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.server.connectors import connect
from windlass.server.connectors.lines import MAX_FIELD_CHARS, MAX_ROW_CHARS
from windlass.server.connectors.reading import Record, Skipped


def read(content, **more):
    """The rows of an uploaded file with these bytes (or this text, in UTF-8)."""
    data = content.encode() if isinstance(content, str) else content
    return list(connect("delimited", {"id_column": "id", **more}).accounts(io.BytesIO(data)).rows)


def skipped(rows):
    return [(row.line, row.reason, row.native_identity) for row in rows if isinstance(row, Skipped)]


def identities(rows):
    return [row.native_identity for row in rows if isinstance(row, Record)]


# What becomes a record


def test_a_row_becomes_a_record_with_every_column_as_an_attribute():
    rows = read("id,mail, dept \na1, x@y ,\n", name_column="mail")

    assert rows == [Record(2, "a1", "x@y", {"id": "a1", "mail": " x@y ", "dept": ""})]


def test_the_identity_is_stripped_and_stands_in_for_a_missing_name():
    rows = read("id,name\n a1 ,\n", name_column="name")

    assert rows == [Record(2, "a1", "a1", {"id": " a1 ", "name": ""})]


def test_a_column_without_a_name_is_called_after_its_place():
    assert read(",id,\nx,a,y\n")[0].attributes == {"column 1": "x", "id": "a", "column 3": "y"}


def test_a_header_alone_is_an_empty_source():
    assert read("id,name\n") == []


def test_blank_lines_are_no_rows_but_count_as_lines():
    rows = read("\nid,name\n\na,1\n  \n\nb\n\n")

    assert [row.line for row in rows] == [4, 7]


@pytest.mark.parametrize("spelling", ["\t", "\\t", "tab"])
def test_a_tab_can_be_spelled_in_three_ways(spelling):
    assert identities(read("id\tname\na\tb\n", delimiter=spelling)) == ["a"]


def test_an_empty_quote_setting_makes_quotes_plain_characters():
    (row,) = read("id,width,height\na,\"5 inch,'6 inch\n", quote="")

    assert row.attributes == {"id": "a", "width": '"5 inch', "height": "'6 inch"}


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("utf-8", b'\xef\xbb\xbf"id"\nj\xc3\xb6rg\n'),
        ("utf-16", '"id"\njörg\n'.encode("utf-16")),
        ("utf-16", b"\xfe\xff" + '"id"\njörg\n'.encode("utf-16-be")),
        ("utf-16-le", '\ufeff"id"\njörg\n'.encode("utf-16-le")),
        ("cp1252", '"id"\njörg\n'.encode("cp1252")),
    ],
)
def test_encodings_are_understood_with_or_without_a_byte_order_mark(encoding, data):
    assert identities(read(data, encoding=encoding)) == ["jörg"]


def test_entitlements_have_columns_of_their_own_where_set():
    connector = connect(
        "delimited",
        {"id_column": "id", "entitlement_id_column": "group", "entitlement_name_column": "title"},
    )

    rows = list(connector.entitlements(io.BytesIO(b"group,title\ng1,Staff\n")).rows)

    assert rows == [Record(2, "g1", "Staff", {"group": "g1", "title": "Staff"})]


def texts(encoding):
    def fits(text):
        try:
            return text.encode(encoding).decode(encoding) == text
        except UnicodeError:
            return False

    letters = st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff")
    return st.text(st.one_of(letters, st.sampled_from("\r\n ,;'\"é")), max_size=6).filter(fits)


@st.composite
def written_tables(draw):
    encoding = draw(
        st.sampled_from(["utf-8", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "shift_jis", "gb18030"])
    )
    delimiter, quote = draw(st.sampled_from([(",", '"'), (";", "'"), ("\t", '"'), ("|", "q"), (" ", "~")]))
    cells = texts(encoding)
    header = draw(
        st.lists(cells.map(str.strip).filter(bool), min_size=1, max_size=5, unique=True).filter(
            lambda names: not any(name.startswith("column ") for name in names)
        )
    )
    row = st.tuples(cells.filter(str.strip), *[cells] * (len(header) - 1))
    rows = draw(st.lists(row, max_size=8))
    text = io.StringIO(newline="")
    writer = csv.writer(
        text,
        delimiter=delimiter,
        quotechar=quote,
        quoting=csv.QUOTE_ALL,
        lineterminator=draw(st.sampled_from(["\n", "\r\n", "\r"])),
    )
    writer.writerow(header)
    writer.writerows(rows)
    mark = "\ufeff" if encoding in ("utf-8", "utf-16-le") and draw(st.booleans()) else ""
    data = (mark + text.getvalue()).encode(encoding)
    return header, rows, data, {"delimiter": delimiter, "quote": quote, "encoding": encoding}


@given(written_tables(), st.sampled_from([1, 2, 3, 7, 64 * 1024]))
def test_what_the_csv_module_writes_is_read_back_the_same(table, block_bytes):
    header, rows, data, dialect = table
    connector = connect("delimited", {"id_column": header[0], **dialect})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("windlass.server.connectors.lines.BLOCK_BYTES", block_bytes)
        found = list(connector.accounts(io.BytesIO(data)).rows)

    assert [tuple(row.attributes.values()) for row in found] == rows
    assert [row.native_identity for row in found] == [row[0].strip() for row in rows]
    assert all(list(row.attributes) == header for row in found)


@given(
    st.lists(
        st.one_of(
            st.just(("a,b\n", "good", 1)),
            st.just(('a,"x\ny\r\nz"\n', "good", 3)),
            st.just(('a,"it ""said""\n"\n', "good", 2)),
            st.just(("a,b,c\n", "3 columns where the header has 2", 1)),
            st.just((',"x\n"\n', "no value in column 'id'", 2)),
            st.just(('a,"x\n\0"\n', "a NUL character in column 'v'", 2)),
            st.just(('a,"x"y\n', "malformed: ',' expected after '\"'", 1)),
            st.just(("\n", "", 1)),
        ),
        max_size=30,
    ),
    st.sampled_from([1, 5, 64 * 1024]),
)
def test_every_row_is_reported_with_the_line_where_it_starts(parts, block_bytes):
    expected, line = [(2, "good")], 3
    for _, kind, height in parts:
        if kind:
            expected.append((line, kind))
        line += height
    content = "id,v\nok,ok\n" + "".join(text for text, _, _ in parts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("windlass.server.connectors.lines.BLOCK_BYTES", block_bytes)
        rows = read(content)

    assert [(row.line, getattr(row, "reason", "good")) for row in rows] == expected


# What is skipped


def test_a_row_with_the_wrong_number_of_columns_is_skipped_and_still_named():
    rows = read("name,id\nx,a\nx,b,more\nx\n")

    assert skipped(rows) == [
        (3, "3 columns where the header has 2", "b"),
        (4, "1 column where the header has 2", None),
    ]
    assert identities(rows) == ["a"]


def test_a_row_without_an_identity_is_skipped():
    assert skipped(read("id,name\na,x\n ,y\n")) == [(3, "no value in column 'id'", None)]


def test_bytes_that_mean_nothing_skip_their_row_alone():
    rows = read(b"id,name\na,x\nb,j\xf6rg\n\xff,y\nc,z\n")

    assert skipped(rows) == [
        (3, "not valid utf-8 in column 'name'", "b"),
        (4, "not valid utf-8 in column 'id'", None),
    ]
    assert identities(rows) == ["a", "c"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-32-le", "shift_jis", "gb18030", "euc_jp", "utf-7", "big5"])
def test_bytes_that_mean_nothing_in_a_multibyte_encoding_skip_rows_and_explode_nowhere(encoding):
    bad = {"utf-16-le": b"\0\xd8", "utf-32-le": b"\xff\xff\xff\xff", "utf-7": b"+2AA-"}.get(encoding, b"\xff")
    data = b"".join([*(part.encode(encoding) for part in ("id,v\na,b\nx,",)), bad, "\nc,d\n".encode(encoding)])

    rows = read(data, encoding=encoding)

    assert identities(rows) == ["a", "c"]
    assert skipped(rows) == [(3, f"not valid {encoding} in column 'v'", "x")]


def test_a_file_cut_in_the_middle_of_a_character_skips_its_last_row():
    assert skipped(read("id,v\na,b\nx,é".encode()[:-1])) == [(3, "not valid utf-8 in column 'v'", "x")]


@pytest.mark.parametrize("opened", ["", '"'])
def test_a_field_over_the_limit_is_skipped_and_its_row_still_named(opened):
    big = opened + "y" * (MAX_FIELD_CHARS + 1) + opened

    rows = read(f"big,id\n{big},a\nx,b\n{big[:-2]}{opened},c\n")

    assert skipped(rows) == [(2, "more than 1,048,576 characters in column 'big'", "a")]
    assert identities(rows) == ["b", "c"]


def test_a_misplaced_quote_skips_its_row_alone():
    rows = read('id,name\na,"x" y\nb,z\n')

    assert skipped(rows) == [(2, "malformed: ',' expected after '\"'", "a")]
    assert identities(rows) == ["b"]


@pytest.mark.parametrize("block_bytes", [1, 64, 64 * 1024])
def test_a_quote_never_closed_costs_its_own_row_and_no_other(block_bytes, monkeypatch):
    monkeypatch.setattr("windlass.server.connectors.lines.BLOCK_BYTES", block_bytes)

    rows = read('id,name\na,x\nb,"y\nc,z\nd,"w\nw"\ne,"never\nf,v\n')

    assert identities(rows) == ["a", "c", "d", "f"]
    assert skipped(rows) == [
        (3, "malformed: ',' expected after '\"'", "b"),
        (7, "a quote is opened here and never closed", "e"),
    ]


def test_a_quote_never_closed_in_a_long_file_costs_its_own_row_and_no_other():
    tail = [f"u{number},{'x' * 90}" for number in range(MAX_ROW_CHARS // 90)]

    rows = read('id,name\na,"y\n' + "\n".join(tail) + "\n")

    assert skipped(rows) == [(2, "malformed: row over 4,194,304 characters, as if a quote were never closed", "a")]
    assert len(identities(rows)) == len(tail)


def test_a_row_just_after_a_very_long_line_may_have_several_lines():
    rows = read("id,v\na," + "x" * (MAX_ROW_CHARS + 1) + '\nb,"' + "y\n" * 50_000 + '"\n')

    assert [row.native_identity for row in rows] == ["a", "b"]
    assert identities(rows) == ["b"]
