"""An official client that comes back when it is told to gets its answers in spite of the limit."""

import pytest
from tests.clients.clients import PYTHON_1, PYTHON_2, Subject
from tests.contract.conftest import served

SUBJECTS = (Subject(PYTHON_1, "v2025", ("list",)), Subject(PYTHON_2, "v1", ("list",)))


@pytest.fixture(scope="module")
def limited_url(installation, checked):
    """A server that admits few requests."""
    settings = installation.application.settings
    with served(checked, settings, "--no-worker", WINDLASS_RATE_LIMIT="5/1s") as (url, _):
        yield url


@pytest.mark.parametrize("process", SUBJECTS, ids=str, indirect=True)
def test_a_client_that_honours_retry_after_is_slowed_down_and_gets_its_answers(process, limited_url, user):
    process.connect(limited_url, user)

    answers = [process.call("list", limit=1) for _ in range(12)]

    assert {answer.status for answer in answers} == {200}
