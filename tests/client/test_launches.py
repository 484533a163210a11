"""Launches whose answers fail to come: none is repeated that may have happened, and a file is always sent whole."""

import io

import pytest
from tests.client.live.faults import DOUBTFUL, UNTAKEN, too_many

from windlass.client.errors import BadAnswer, ServerError, Unreachable

ACCOUNTS = b"id,name\n1,Ada\n2,Grace\n"


@pytest.fixture
def server(live):
    return live


@pytest.fixture(params=["v2025"])
def version(request):
    return request.param


@pytest.mark.parametrize("fault", DOUBTFUL.values(), ids=DOUBTFUL)
@pytest.mark.parametrize("kind", ["accounts", "entitlements"])
def test_a_launch_that_may_have_happened_is_not_repeated(client, live, fault, kind):
    source_id = live.add_source()
    live.faults.add(fault, method="POST")

    with pytest.raises((Unreachable, BadAnswer, ServerError)):
        getattr(client, f"load_{kind}")(source_id, ACCOUNTS)

    assert len(live.received("POST", ".*/load-")) == 1
    assert len(live.launches) == fault.is_applied


@pytest.mark.parametrize("fault", UNTAKEN.values(), ids=UNTAKEN)
@pytest.mark.parametrize("form", [bytes, io.BytesIO, "path", "open"])
def test_a_launch_that_was_not_taken_up_is_repeated_with_the_whole_file(client, live, fault, form, tmp_path):
    path = tmp_path / "accounts.csv"
    path.write_bytes(ACCOUNTS)
    live.faults.add(fault, method="POST", times=2)

    with path.open("rb") as opened:
        given = {"path": path, "open": opened}[form] if isinstance(form, str) else form(ACCOUNTS)
        task = client.load_accounts(live.add_source(), given)

    (launch,) = live.launches
    assert (launch.task_id, launch.content) == (task.id, ACCOUNTS)
    assert len(live.received("POST", ".*/load-")) == 3


class Pipe(io.BytesIO):
    """A file that can be read once."""

    def seekable(self):
        return False

    def seek(self, *_):
        raise io.UnsupportedOperation("seek")

    tell = seek


def test_a_file_that_can_be_read_once_is_sent_whole(client, live):
    source_id = live.add_source()
    client.load_accounts(source_id, Pipe(ACCOUNTS))

    live.faults.add(too_many(1), method="POST")
    client.load_accounts(source_id, Pipe(ACCOUNTS))
    live.revoke_tokens()
    client.load_accounts(source_id, Pipe(ACCOUNTS))

    assert [launch.content for launch in live.launches] == [ACCOUNTS] * 3


def test_a_launch_whose_token_had_expired_sends_the_whole_file_again(client, live):
    source_id = live.add_source()
    client.load_accounts(source_id, io.BytesIO(ACCOUNTS))
    live.revoke_tokens()

    client.load_accounts(source_id, io.BytesIO(ACCOUNTS))

    assert [launch.content for launch in live.launches] == [ACCOUNTS] * 2
