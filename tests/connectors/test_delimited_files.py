"""Delimited files as a whole: where they lie, how far they are read, what makes them unreadable."""

import io
import os
import tempfile
import tracemalloc

import pytest

from windlass.server.connectors import connect
from windlass.server.connectors.lines import MAX_LINE_CHARS
from windlass.server.errors import SourceUnreadable
from windlass.server.model.source import Kind


def read(content, **more):
    """The rows of an uploaded file with these bytes (or this text, in UTF-8)."""
    data = content.encode() if isinstance(content, str) else content
    return list(connect("delimited", {"id_column": "id", **more}).accounts(io.BytesIO(data)).rows)


# What makes the whole file unreadable


@pytest.mark.parametrize(
    ("content", "more", "message"),
    [
        ("", {}, "the uploaded file: it is empty"),
        ("\n\n", {}, "it is empty"),
        ("ID,name\na,b\n", {}, "no column 'id'; it has 'ID', 'name'.*id_column"),
        ("id;name\na;b\n", {}, "no column 'id'; it has 'id;name'.*delimiter"),
        ("id,x\na,b\n", {"name_column": "name"}, "no column 'name'.*name_column"),
        ("id,x,id \na,b,c\n", {}, "more than one column 'id'"),
        ("id,x\n,b\na\n", {}, "cannot use any of the 2 rows.*line 2: no value in column 'id'.*encoding"),
        ('id,"x\na,b\n', {}, "header is damaged: a quote is opened here and never closed"),
        (b"\x7fELF\x02\x01\x01\0\0\0\xff\xfe", {}, "first line is not utf-8 text"),
        ("id,x\na,b\n".encode("utf-16"), {}, "first line is not utf-8 text"),
        ("id,x\na,b\n", {"encoding": "utf-16"}, "not utf-16 text"),
        ("id,x\na,b\n", {"encoding": "utf-16-le"}, "first line is not utf-16-le text"),
        ("id,x\na,b\n", {"encoding": "undefined"}, "not undefined text"),
        ("id\n" + "x" * (MAX_LINE_CHARS + 100_000), {}, "line 2 is over 8,388,608 characters"),
        ("id,x\n" + 'a","\n' * 20_000, {}, "too many rows up to line"),
    ],
)
def test_a_file_that_cannot_be_read_as_a_whole_says_what_is_wrong(content, more, message):
    with pytest.raises(SourceUnreadable, match=message):
        read(content, **more)


def test_a_binary_file_of_any_size_is_refused():
    with pytest.raises(SourceUnreadable):
        read(os.urandom(300_000))


def test_a_missing_file_is_named(tmp_path):
    connector = connect("delimited", {"id_column": "id", "path": f"{tmp_path}/none.csv"})

    with pytest.raises(SourceUnreadable, match=r"none\.csv: No such file or directory"):
        list(connector.accounts(None).rows)


def test_a_directory_is_no_file(tmp_path):
    connector = connect("delimited", {"id_column": "id", "path": str(tmp_path)})

    with pytest.raises(SourceUnreadable, match="it is not a regular file"):
        list(connector.accounts(None).rows)


@pytest.fixture
def ordinary_user():
    """Run as somebody whom permissions bind, as root is not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


def test_a_file_without_permission_is_refused(tmp_path, request):
    file = tmp_path / "secret.csv"
    file.write_text("id\na\n")
    file.chmod(0)
    connector = connect("delimited", {"id_column": "id", "path": str(file)})
    request.getfixturevalue("ordinary_user")

    with pytest.raises(SourceUnreadable, match="Permission denied"):
        list(connector.accounts(None).rows)


@pytest.mark.parametrize(("kind", "setting"), [("accounts", "path"), ("entitlements", "entitlement_path")])
def test_without_an_upload_and_a_path_it_says_what_to_do(kind, setting):
    connector = connect("delimited", {"id_column": "id"})

    with pytest.raises(SourceUnreadable, match=rf"launch with a file.* {setting} or"):
        getattr(connector, kind)(None)


# Places, progress, memory


def test_a_path_is_read_when_the_launch_brings_no_file(tmp_path):
    (tmp_path / "a.csv").write_text("id\nfrom path\n")
    connector = connect("delimited", {"id_column": "id", "path": str(tmp_path / "a.csv")})

    assert connector.takes_upload
    assert not connector.needs_upload(Kind.ACCOUNT)
    assert connector.needs_upload(Kind.ENTITLEMENT)
    assert [row.native_identity for row in connector.accounts(None).rows] == ["from path"]
    assert [row.native_identity for row in connector.accounts(io.BytesIO(b"id\nfrom upload\n")).rows] == ["from upload"]


def test_the_upload_is_left_open_for_whoever_brought_it():
    with tempfile.TemporaryFile() as upload:
        upload.write(b"id\na\n")
        upload.seek(0)
        rows = list(connect("delimited", {"id_column": "id"}).accounts(upload).rows)

        assert [row.native_identity for row in rows] == ["a"]
        assert not upload.closed


def test_testing_the_source_names_its_columns(tmp_path):
    (tmp_path / "a.csv").write_text("id,name\n")

    assert connect("delimited", {"id_column": "id", "path": f"{tmp_path}/a.csv"}).test() == (
        f"2 columns in {tmp_path}/a.csv: 'id', 'name'"
    )
    assert connect("delimited", {"id_column": "id"}).test() == "each launch brings its own file"


def test_the_fraction_read_grows_to_one():
    data = b"id\n" + b"".join(b"%09d\n" % number for number in range(40_000))
    reading = connect("delimited", {"id_column": "id"}).accounts(io.BytesIO(data))

    seen = [reading.fraction(), *(reading.fraction() for _ in reading.rows), reading.fraction()]

    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert len(set(seen)) > 5


def test_a_stream_of_unknown_size_has_no_fraction():
    class Pipe(io.BytesIO):
        def seekable(self):
            return False

    reading = connect("delimited", {"id_column": "id"}).accounts(Pipe(b"id\na\nb\n"))
    next(reading.rows)

    assert reading.fraction() is None


def test_memory_stays_flat_however_long_the_file():
    line = b"id-of-someone,%s\n" % (b"x" * 80)
    with tempfile.TemporaryFile() as upload:
        upload.write(b"id,v\n" + line * 300_000)
        upload.seek(0)
        tracemalloc.start()
        count = sum(1 for _ in connect("delimited", {"id_column": "id"}).accounts(upload).rows)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert count == 300_000
    assert peak_bytes < 3 * 1024 * 1024
