"""What the plugins of this folder change in a test run."""

from textwrap import dedent

import pytest

pytest_plugins = ["pytester"]

SKIPPING = {
    "a skip inside a test": """
        def test_it(): pytest.skip('no LDAP here')
    """,
    "a skip mark": """
        @pytest.mark.skip(reason='no LDAP here')
        def test_it(): pass
    """,
    "a skip in a fixture": """
        @pytest.fixture
        def ldap(): pytest.skip('no LDAP here')
        def test_it(ldap): pass
    """,
    "a skipped module": """
        pytest.skip('no LDAP here', allow_module_level=True)
    """,
    "a missing module": """
        pytest.importorskip('no_such_module', reason='no LDAP here')
    """,
}


@pytest.fixture
def run(pytester, monkeypatch):
    """Run a test file with the skips plugin, with CI set or not, and return the result."""

    def run_file(text, ci=""):
        monkeypatch.setenv("CI", ci)
        pytester.makepyfile("import pytest\n" + dedent(text))
        return pytester.runpytest_inprocess("-p", "no_skips", "-p", "no:asyncio", "-p", "no:cacheprovider")

    return run_file


@pytest.mark.parametrize("text", SKIPPING.values(), ids=SKIPPING)
def test_a_skip_fails_in_ci_and_still_says_why(run, text):
    result = run(text, ci="true")

    assert result.ret != pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*A skip is a failure in CI*", "*no LDAP here*"])


@pytest.mark.parametrize("text", SKIPPING.values(), ids=SKIPPING)
def test_a_skip_stays_a_skip_on_a_developers_machine(run, text):
    result = run(text)

    result.assert_outcomes(skipped=1)


def test_an_expected_failure_is_no_skip(run):
    result = run("@pytest.mark.xfail\ndef test_it(): assert False", ci="true")

    result.assert_outcomes(xfailed=1)
    assert result.ret == pytest.ExitCode.OK


def test_the_number_of_examples_comes_from_the_environment(pytester, monkeypatch, request):
    monkeypatch.setenv("WINDLASS_FUZZ_EXAMPLES", "230")
    monkeypatch.setenv("PYTHONPATH", str(request.path.parent))
    pytester.makepyfile("""
        from hypothesis import given, strategies as st
        tried = []
        @given(st.integers())
        def test_property(n): tried.append(n)
        def test_count(): assert len(tried) == 230
    """)

    result = pytester.runpytest_subprocess("-p", "fuzz_examples", "-p", "no:cacheprovider")

    result.assert_outcomes(passed=2)
