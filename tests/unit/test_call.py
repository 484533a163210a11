"""Which paths of a service may be called."""

import posixpath
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.server.model.call import is_below_base


@pytest.mark.parametrize("path", [
    "/", "/a", "/a/b", "/a/", "/a.b/..c/...", "/a-b_c~d", "/%20/%C3%A4", "/a;b=c/d", "/a:b@c", "/!$&'()*+,=", "/%25",
    "/taskFulfillment/tasks/run", "/100%25/x",
])  # fmt: skip
def test_a_plain_path_is_below_its_base(path: str):
    assert is_below_base(path)


@pytest.mark.parametrize("path", [
    "", "a", "//", "//a", "/a//b", "/a//", "///", "/.", "/..", "/a/..", "/../a", "/a/./b", "/./", "/../",
    "http://a/b", "https:/a", "mailto:a", "/a?b", "/a#b", "?", "#", "/a b", "/a\tb", "/a\nb", "/a\n", "/a\\b", "/ä",
    "/%2e", "/%2e%2E/a", "/.%2e", "/%2e./a", "/a/%2E%2E/%2e%2e/b", "/%252e%252e/a", "/%25252e%25252e", "/%2f%2fa",
    "/a%2f..%2fb", "/..%2f", "/..%5c", "/a%5c..%5cb", "/%5c%5ca", "/a%00b", "/a%0d%0ab", "/..;/a", "/..;x=1/a",
    "/%2e%2e;/a", "/a\0", "/.;a", "/;/a", "/%3f%00", "/%", "/%2", "/%zz", "/a\u2025/b", "/%E2%80%A8",
])  # fmt: skip
def test_what_may_lead_elsewhere_is_not(path: str):
    assert not is_below_base(path)


@given(st.text(st.sampled_from("/.%25efF\\;:?#@a~\n"), max_size=30))
def test_whatever_is_below_stays_there_however_often_it_is_decoded(tail: str):
    path = f"/{tail}"
    if not is_below_base(path):
        return
    parts = urlsplit(f"https://host/base{path}")
    assert (parts.netloc, parts.query, parts.fragment) == ("host", "", "")
    decoded = parts.path
    for _ in range(10):
        assert posixpath.normpath(decoded.replace("\\", "/")).startswith("/base")
        decoded = unquote(decoded)
