"""Clients that environment or a file name: what they may say, and how wrong ones are refused."""

import logging
from pathlib import Path

import pytest

from windlass.server.config import Settings
from windlass.server.errors import ConfigurationError
from windlass.server.model.principal import UserLevel
from windlass.server.service import fixed_clients

SECRET = "hunter2-hunter2-hunter2-hunter2-"


@pytest.fixture
def load(tmp_path: Path):
    """The clients of a file with this content, and of these variables."""

    def load(content: str | bytes | None = None, mode: int = 0o600, **variables: str):
        path = tmp_path / "clients.toml"
        if content is not None:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
            path.chmod(mode)
            variables["WINDLASS_CLIENTS_FILE"] = str(path)
        return fixed_clients.load(Settings.load(variables, data_dir=tmp_path))

    return load


def test_there_are_none_unless_some_are_named(load):
    assert load() == []
    assert load("") == []
    assert load(WINDLASS_CLIENT_ID="", WINDLASS_CLIENT_SECRET="") == []


def test_two_variables_make_a_client_that_may_do_everything(load):
    (client,) = load(WINDLASS_CLIENT_ID="ci", WINDLASS_CLIENT_SECRET=SECRET)

    assert (client.id, client.secret, client.name, client.user) == ("ci", SECRET, "ci", "ci")
    assert (client.user_level, client.scopes) == (None, ("sp:scopes:all",))


def test_a_file_names_any_number_of_clients(load):
    ci, desk, robot = load(f"""
        [[client]]
        id = "ci"
        secret = "{SECRET}"

        [[client]]
        id = "desk"
        secret = "{SECRET}"
        name = "The desk"
        user = "Grace"
        user_level = "HELPDESK"
        scopes = ["idn:task-management:read", "other:api", "idn:task-management:read"]

        [[client]]
        id = "robot"
        secret = "{SECRET}"
        application = true
    """)

    assert (ci.name, ci.user, ci.user_level, ci.scopes) == ("ci", "ci", None, ("sp:scopes:all",))
    assert (desk.name, desk.user, desk.user_level) == ("The desk", "Grace", UserLevel.HELPDESK)
    assert desk.scopes == ("idn:task-management:read", "other:api")
    assert (robot.name, robot.user, robot.user_level) == ("robot", None, None)


@pytest.mark.parametrize(
    ("there", "missing"),
    [("WINDLASS_CLIENT_ID", "WINDLASS_CLIENT_SECRET"), ("WINDLASS_CLIENT_SECRET", "WINDLASS_CLIENT_ID")],
)
def test_one_of_the_pair_alone_is_refused(load, there: str, missing: str):
    with pytest.raises(ConfigurationError, match=f"^{there} is set and {missing} is not; ") as caught:
        load(**{there: SECRET})

    assert "hunter2" not in str(caught.value)


def entry(**values: str) -> str:
    """One client as TOML; a value is TOML, too, and an empty one is left out."""
    lines = ({"id": '"ci"', "secret": f'"{SECRET}"'} | values).items()
    return "[[client]]\n" + "\n".join(f"{key} = {value}" for key, value in lines if value) + "\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[[client]", r"is no TOML: .*line 1"),
        (entry(secret="hunter2"), r"is no TOML: .*line 3"),
        (entry() + 'secret = "hunter2"', r"is no TOML: .*"),
        (b'[[client]]\nid = "\xff"', "is not UTF-8"),
        ('client = "hunter2"', r"written as \[\[client\]\]"),
        ("client = [1, 2]", r"written as \[\[client\]\]"),
        (f'[client]\nid = "ci"\nsecret = "{SECRET}"', r"written as \[\[client\]\]"),
        (f'[[clients]]\nid = "ci"\nsecret = "{SECRET}"', r"no key 'clients'; it has \[\[client\]\]"),
        (entry(scope='"x"', level='"y"'), "client 1: there is no key 'level', 'scope'; the keys are id, secret, "),
        (entry(id=""), "client 1: the id must be"),
        (entry(id='""'), "client 1: the id must be"),
        (entry(id='"a b"'), "client 1: the id must be"),
        (entry(id='"a:b"'), "client 1: the id must be"),
        (entry(id="7"), "client 1: id must be a text"),
        (entry(id=f'"{"x" * 256}"'), "client 1: the id must be"),
        (entry(secret=""), r"client 1 \(ci\): the secret must be"),
        (entry(secret='""'), r"client 1 \(ci\): the secret must be"),
        (entry(secret='" hunter2"'), r"client 1 \(ci\): the secret must be"),
        (entry(secret='"hunter2\\n"'), r"client 1 \(ci\): the secret must be"),
        (entry(secret='"hun\\u0000ter2"'), r"client 1 \(ci\): the secret must be"),
        (entry(secret='"hunter2%41"'), r"client 1 \(ci\): the secret must be .* other than % and \+"),
        (entry(secret='"hunter2+"'), r"client 1 \(ci\): the secret must be .* other than % and \+"),
        (f"a = {'[' * 100_000}", "is no TOML that can be read"),
        (f"a = {'7' * 10_000}", "is no TOML that can be read"),
        (entry(secret="7"), r"\(ci\): secret must be a text"),
        (entry(name='""'), r"\(ci\): name is empty"),
        (entry(user='"a\\nb"'), r"\(ci\): user is .* printable"),
        (entry(user_level='"admin"'), r"\(ci\): user_level is 'admin'; it must be one of ORG_ADMIN, "),
        (entry(application='"yes"'), r"\(ci\): application must be true or false"),
        (entry(application="true", user='"ada"'), r"\(ci\): an application has no user"),
        (entry(application="true", user_level='"HELPDESK"'), r"\(ci\): an application has no user"),
        (entry(scopes="[]"), r"\(ci\): scopes must be a list"),
        (entry(scopes='"sp:scopes:all"'), r"\(ci\): scopes must be a list"),
        (entry(scopes="[1]"), r"\(ci\): scopes must be a list"),
        (entry(scopes='["two words"]'), r'\(ci\): "two words" is no scope'),
        (entry() + entry(), r"client 1 \(ci\) and .*client 2 \(ci\) have the same id ci"),
        (
            entry(user='"ada"', user_level='"HELPDESK"') + entry(id='"x"', user='"ada"', user_level='"ORG_ADMIN"'),
            r"client 1 \(ci\) and .*client 2 \(x\) give the user ada two levels",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_its_place_and_without_secrets(load, tmp_path: Path, content, words: str):
    with pytest.raises(ConfigurationError, match=f"WINDLASS_CLIENTS_FILE {tmp_path}/clients.toml.*{words}") as caught:
        load(content)

    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_may_begin_with_a_byte_order_mark(load):
    (client,) = load(b"\xef\xbb\xbf" + entry().encode())

    assert client.id == "ci"


def test_an_id_is_named_by_the_environment_or_the_file_and_not_by_both(load):
    with pytest.raises(ConfigurationError, match=r"WINDLASS_CLIENT_ID and .* have the same id ci"):
        load(entry(), WINDLASS_CLIENT_ID="ci", WINDLASS_CLIENT_SECRET=SECRET)


@pytest.mark.parametrize("value", ["a b", "ä", "a:b"])
def test_a_wrong_id_in_the_environment_is_refused(load, value: str):
    with pytest.raises(ConfigurationError, match="WINDLASS_CLIENT_ID and WINDLASS_CLIENT_SECRET: the id must be"):
        load(WINDLASS_CLIENT_ID=value, WINDLASS_CLIENT_SECRET=SECRET)


def test_a_file_that_cannot_be_read_is_named(load, tmp_path: Path):
    for place, reason in ((tmp_path / "none.toml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigurationError, match=f"WINDLASS_CLIENTS_FILE {place} cannot be read: {reason}"):
            load(WINDLASS_CLIENTS_FILE=str(place))


@pytest.mark.parametrize(("mode", "is_warned_of"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)])
def test_a_file_that_others_can_read_is_warned_of(load, caplog, mode: int, is_warned_of: bool):
    with caplog.at_level(logging.WARNING):
        load(entry(), mode)

    assert ("chmod 600" in caplog.text) is is_warned_of


def test_settings_show_no_secret_where_they_are_shown(load, tmp_path: Path):
    settings = Settings.load({"WINDLASS_CLIENT_ID": "ci", "WINDLASS_CLIENT_SECRET": SECRET}, data_dir=tmp_path)

    assert "hunter2" not in repr(settings)
    assert "hunter2" not in repr(fixed_clients.load(settings))
