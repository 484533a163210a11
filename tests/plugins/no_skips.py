"""Turns every skip into a failure where CI is set: what CI does not run, nobody runs.

A skip names a capability that a developer's machine may lack; the CI machine has to have it. Expected
failures (xfail) are left alone.
"""

import os

import pytest

MESSAGE = "A skip is a failure in CI: give the machine what the test needs, or mend the test.\n"


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    in_ci = os.environ.get("CI", "") not in ("", "0", "false")
    if in_ci and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{MESSAGE}{report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    _fail_if_skipped(report)
    return report
