"""Address and credentials are found where SailPoint's tools keep them, in their order, each place whole."""

import json
import pickle
import subprocess
import sys

import pytest

from windlass.client.configuration import Configuration
from windlass.client.errors import ClientError, ConfigurationError

SECRET = "5ecre7-5ecre7"
VARIABLES = {
    "SAIL_BASE_URL": "https://variables.example",
    "SAIL_CLIENT_ID": "of-variables",
    "SAIL_CLIENT_SECRET": SECRET,
}
LOCAL = {"ClientId": "of-local", "ClientSecret": SECRET, "BaseURL": "https://local.example"}
SAIL = f"""\
activeenvironment: Devrel
authtype: pat
environments:
    devrel:
        baseurl: https://devrel.api.identitynow.com
        tenanturl: https://devrel.identitynow.com
        pat:
            clientid: of-devrel
            clientsecret: {SECRET}
            accesstoken: ""
    other:
        baseurl: https://other.example
        pat:
            clientid: "0123"
            clientsecret: {SECRET}
"""


class Places:
    """A working folder and a home of their own, and what is read from them."""

    def __init__(self, root):
        self.folder, self.home = root / "work", root / "home"
        self.local, self.sail = self.folder / "config.json", self.home / ".sailpoint" / "config.yaml"
        self.folder.mkdir()
        self.sail.parent.mkdir(parents=True)

    def load(self, environ=None, **arguments):
        return Configuration.load(**arguments, environ=environ or {}, folder=self.folder, home=self.home)

    def refusal(self, environ=None, **arguments):
        """The words of the error, which is raised and has no secret about it."""
        with pytest.raises(ConfigurationError) as caught:
            self.load(environ, **arguments)
        error = caught.value
        assert error.__cause__ is None or isinstance(error.__cause__, OSError)
        assert error.__suppress_context__ or error.__context__ is None
        assert SECRET not in f"{error!s}{error!r}"
        return str(error)


@pytest.fixture
def places(tmp_path):
    return Places(tmp_path)


def test_arguments_alone_are_enough(places):
    places.local.write_text("not even JSON")

    found = places.load(base_url="http://127.0.0.1:8080/", client_id=" me ", client_secret=SECRET)

    assert (found.base_url, found.client_id, found.client_secret) == ("http://127.0.0.1:8080", "me", SECRET)
    assert found.base_url_origin == "the argument base_url"


def test_variables_come_before_the_working_folder_and_that_before_home(places):
    places.local.write_text(json.dumps(LOCAL))
    places.sail.write_text(SAIL)

    first = places.load(VARIABLES)
    second = places.load({})
    places.local.unlink()
    third = places.load({})

    assert [each.client_id for each in (first, second, third)] == ["of-variables", "of-local", "of-devrel"]
    assert [each.client_id_origin for each in (first, second, third)] == [
        "SAIL_CLIENT_ID",
        f"ClientId in {places.local}",
        f"environments.devrel.pat.clientid in {places.sail}",
    ]
    assert third.base_url == "https://devrel.api.identitynow.com"


def test_an_argument_wins_over_a_single_value_of_a_place(places):
    found = places.load(VARIABLES, base_url="https://argument.example")

    assert (found.base_url, found.client_id) == ("https://argument.example", "of-variables")
    assert (found.base_url_origin, found.client_id_origin) == ("the argument base_url", "SAIL_CLIENT_ID")


def test_a_place_that_has_only_what_an_argument_says_is_passed_over(places):
    places.local.write_text(json.dumps(LOCAL))

    found = places.load({"SAIL_BASE_URL": "https://variables.example"}, base_url="https://argument.example")

    assert (found.base_url, found.client_id) == ("https://argument.example", "of-local")


def test_who_has_a_token_needs_the_address_alone(places):
    found = places.load({"SAIL_BASE_URL": "https://variables.example"}, with_credentials=False)

    assert (found.base_url, found.client_id, found.client_secret) == ("https://variables.example", "", "")


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        (
            {"SAIL_BASE_URL": "https://a.example", "SAIL_CLIENT_ID": "me"},
            "The environment has SAIL_BASE_URL and SAIL_CLIENT_ID, but no SAIL_CLIENT_SECRET. Set all three; or none, ",
        ),
        (
            {"SAIL_CLIENT_SECRET": SECRET, "SAIL_BASE_URL": " "},
            "The environment has SAIL_CLIENT_SECRET, but no SAIL_BASE_URL and no SAIL_CLIENT_ID. ",
        ),
    ],
)
def test_half_a_place_is_refused_rather_than_completed_by_the_next(places, environ, words):
    places.local.write_text(json.dumps(LOCAL))

    assert places.refusal(environ).startswith(words)


def test_where_nothing_is_found_everything_that_was_looked_at_is_named_and_what_to_do(places):
    assert places.refusal({"SAIL_CLIENT_ID": ""}) == (
        "No base URL, client id or client secret is configured: the environment has no SAIL_BASE_URL, SAIL_CLIENT_ID "
        f"or SAIL_CLIENT_SECRET, there is no {places.local}, there is no {places.sail}. `windlass client create NAME` "
        "makes a client id and secret, and prints what to set; `windlass demo` keeps its own, with the address, in the "
        "file demo.env of its data folder."
    )
    assert places.refusal(base_url="https://a.example").startswith(
        "No client id or client secret is configured: the environment has no SAIL_CLIENT_ID or SAIL_CLIENT_SECRET, "
    )


# The file config.json in the working folder.


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("names", [("BaseURL", "ClientId"), ("BaseUrl", "clientId"), ("base_url", "client_id")])
def test_config_json_may_be_spelled_and_encoded_as_the_tools_do(places, names, encoding):
    content = dict(zip((*names, "ClientSecret"), ("https://local.example", "Zoë", SECRET), strict=True))
    places.local.write_text(json.dumps(content, ensure_ascii=False), encoding=encoding)

    found = places.load()

    assert (found.base_url, found.client_id, found.client_secret) == ("https://local.example", "Zoë", SECRET)


@pytest.mark.parametrize("content", [{}, {"baseUrl": "./src", "paths": ["*"]}, {"ClientId": None, "ClientSecret": ""}])
def test_the_config_json_of_another_program_is_passed_over(places, content):
    places.local.write_text(json.dumps(content))
    nothing = places.refusal()
    places.sail.write_text(SAIL)

    assert places.load().client_id == "of-devrel"
    assert f"{places.local} has no BaseURL, ClientId or ClientSecret, " in nothing


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (f'{{\n  "ClientSecret": "{SECRET}",,\n}}'.encode(), "{local} is no JSON at line 2, column 35."),
        (b"", "{local} is no JSON at line 1, column 1."),
        (b'{"ClientId": "\xe9"}', "{local} is no JSON."),
        (b"[" * 100_000, "{local} is no JSON."),
        (json.dumps([LOCAL]).encode(), "{local} is a list; expected names with values."),
        (json.dumps(LOCAL | {"ClientId": 5}).encode(), "ClientId in {local} is a number; expected text."),
        (json.dumps(LOCAL | {"BaseURL": [SECRET]}).encode(), "BaseURL in {local} is a list; expected text."),
        (
            json.dumps({"BaseURL": "https://a.example"}).encode(),
            "{local} has BaseURL, but no ClientId and no ClientSecret. Put it there, or pass it as an argument.",
        ),
    ],
)
def test_what_is_wrong_with_config_json_is_said_with_its_place(places, content, words):
    places.local.write_bytes(content)
    places.sail.write_text(SAIL)

    assert places.refusal() == words.format(local=places.local)


def test_a_file_that_cannot_be_read_is_named(places):
    places.local.mkdir()

    assert places.refusal() == f"{places.local} cannot be read: Is a directory."


# The file config.yaml of the command `sail`.


@pytest.mark.parametrize("key", ["activeenvironment", "ActiveEnvironment"])
@pytest.mark.parametrize(("name", "written"), [("other", "Other"), ("OTHER", "other")])
def test_the_active_environment_is_taken_in_whatever_case(places, key, name, written):
    places.sail.write_text(SAIL.replace("activeenvironment: Devrel", f"{key}: {name}").replace("other:", f"{written}:"))

    assert (places.load().base_url, places.load().client_id) == ("https://other.example", "0123")


def test_a_variable_chooses_another_environment(places):
    places.sail.write_text(SAIL)

    assert places.load({"SAIL_ACTIVEENVIRONMENT": "Other"}).base_url == "https://other.example"


@pytest.mark.parametrize("value", ["0123", "1e5", "yes", "2026-01-02", "0x1f", "12_3"])
def test_what_looks_like_another_type_stays_the_text_it_is(places, value):
    places.sail.write_text(SAIL.replace("of-devrel", value))

    assert places.load().client_id == value


def test_the_only_environment_needs_no_name_and_among_several_default_is_meant(places):
    one, two = SAIL.replace("activeenvironment: Devrel", "").split("    other:")
    places.sail.write_text(one)
    only = places.load().client_id
    places.sail.write_text(f"{one}    default:{two}")

    assert (only, places.load().client_id) == ("of-devrel", "0123")


def test_a_tenants_own_address_leads_to_that_of_its_api(places):
    places.sail.write_text(SAIL.replace("baseurl: https://devrel.api.identitynow.com", 'baseurl: ""'))

    assert places.load().base_url == "https://devrel.api.identitynow.com"


@pytest.mark.parametrize("kept", ["pat: {}", "pat: null", 'pat: {clientid: "", clientsecret: ""}', "oauth: {}"])
def test_a_secret_in_the_keyring_is_explained(places, kept):
    places.sail.write_text(f"environments: {{acme: {{baseurl: https://acme.example, {kept}}}}}")

    assert places.refusal() == (
        f"{places.sail} has environments.acme.baseurl, but no environments.acme.pat.clientid and no "
        "environments.acme.pat.clientsecret. Newer versions of `sail` keep id and secret in the system's keyring, "
        "which is not read here: set SAIL_BASE_URL, SAIL_CLIENT_ID and SAIL_CLIENT_SECRET, or pass the arguments "
        "client_id and client_secret."
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (SAIL.replace("Devrel", "gone"), "no environment 'gone' (activeenvironment) in {sail}, but devrel and other."),
        (f"pat: {SECRET}: [", "{sail} is no YAML at line 1, column 19."),
        (f"clientsecret: *{SECRET}", "{sail} is no YAML at line 1, column 15."),
        ("[" * 100_000, "{sail} is no YAML."),
        ("\x00", "{sail} is no YAML."),
        ("- a", "{sail} is a list; expected names with values."),
        ("environments: [a]", "environments in {sail} is a list; expected names with values."),
        (f"environments: {{a: {SECRET}}}", "environments.a in {sail} is text; expected names with values."),
        ("environments: {a: {pat: x}}", "environments.a.pat in {sail} is text; expected names with values."),
        ("environments: {a: {baseurl: [x]}}", "environments.a.baseurl in {sail} is a list; expected text."),
        ("environments: {a: {}}", "{sail} has no environments.a.baseurl, environments.a.pat.clientid or environments."),
        ("debug: false", "{sail} has no environments.NAME.baseurl, environments.NAME.pat.clientid or environments."),
        ("", "{sail} has no environments.NAME.baseurl, environments.NAME.pat.clientid or environments."),
    ],
)
def test_what_is_wrong_with_config_yaml_is_said_with_its_place(places, content, words):
    places.sail.write_text(content)

    assert words.format(sail=places.sail) in places.refusal()


def test_an_unknown_environment_of_the_variable_is_refused_by_the_variables_name(places):
    places.sail.write_text(SAIL)

    words = places.refusal({"SAIL_ACTIVEENVIRONMENT": "gone"})

    assert words == f"There is no environment 'gone' (SAIL_ACTIVEENVIRONMENT) in {places.sail}, but devrel and other."


# A file that the caller names.


@pytest.mark.parametrize(
    ("name", "content", "client_id"), [("a.json", json.dumps(LOCAL), "of-local"), ("a.yml", SAIL, "of-devrel")]
)
def test_a_named_file_is_read_instead_of_all_other_places(places, name, content, client_id):
    path = places.folder / name
    path.write_text(content)

    assert places.load(VARIABLES, config_file=str(path)).client_id == client_id


def test_a_named_file_has_to_be_there_and_of_a_known_kind(places):
    missing, other = places.folder / "a.json", places.folder / "demo.env"

    assert places.refusal(VARIABLES, config_file=missing).startswith(f"There is no {missing}, which was named")
    assert places.refusal(VARIABLES, config_file=other).startswith(f"The configuration file {other} is of no kind")


# The address.


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("https://acme.api.identitynow.com///", "https://acme.api.identitynow.com"),
        ("HTTP://[::1]:8080", "http://[::1]:8080"),
        (" https://proxy.example/v3/windlass/ \r\n", "https://proxy.example/v3/windlass"),
    ],
)
def test_an_address_is_taken_without_its_last_slash(places, given, taken):
    assert places.load(VARIABLES, base_url=given).base_url == taken


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (SECRET, "does not begin with http:// or https://."),
        ("ftp://a.example", "does not begin with http:// or https://."),
        ("https://", "is no address; expected one such as https://tenant.api.identitynow.com."),
        (f"https://me:{SECRET}", "is no address"),
        ("https://a.example:99999", "is no address"),
        ("https://[::1", "is no address"),
        (f"https://me:{SECRET}@a.example", "has a user or a password in it"),
        (f"https://a.example/oauth/token?client_secret={SECRET}", "has a query or a fragment"),
        ("https://a.example#top", "has a query or a fragment"),
        ("https://a. example", "has a space or a control character in it."),
        ("https://a.example/\x7f", "has a space or a control character in it."),
        ("https://a.example/beta/", "ends in /beta, which the client adds itself; expected https://a.example."),
        ("https://a.example/x/V2025", "ends in /V2025, which the client adds itself; expected https://a.example/x."),
        ("https://acme.identitynow.com", "where people sign in; programs use https://acme.api.identitynow.com."),
    ],
)
def test_what_is_no_address_is_refused_with_where_it_was_found(places, given, words):
    message = places.refusal(VARIABLES | {"SAIL_BASE_URL": given})

    assert message.startswith("The base URL (SAIL_BASE_URL) ")
    assert words in message


@pytest.mark.parametrize(("given", "words"), [("", "The argument client_id is empty."), (5, "is a number; expected")])
def test_an_argument_has_to_say_something(places, given, words):
    assert words in places.refusal(VARIABLES, client_id=given)


def test_a_configuration_is_fixed_and_shows_no_secret(places):
    found = places.load(VARIABLES)

    assert SECRET not in f"{found!r}{found}"
    assert "of-variables" in repr(found)
    assert pickle.loads(pickle.dumps(found)) == found
    with pytest.raises(AttributeError):
        found.client_secret = "other"


def test_a_wrong_configuration_is_an_error_of_the_client():
    assert issubclass(ConfigurationError, ClientError)


def test_the_process_is_read_where_nothing_is_given(places):
    places.local.write_text(json.dumps(LOCAL))
    places.sail.write_text(SAIL)
    program = (
        "import sys; from windlass.client.configuration import Configuration as C; "
        "print(C.load().client_id, 'yaml' in sys.modules)"
    )

    def run(**environ):
        environ = {"HOME": str(places.home), "PYTHONPATH": ":".join(sys.path)} | environ
        command = [sys.executable, "-c", program]
        return subprocess.run(
            command, cwd=places.folder, env=environ, check=True, capture_output=True, text=True
        ).stdout

    of_variables, of_local = run(**VARIABLES), run()
    places.local.unlink()

    # The YAML library is imported only for the file that needs it.
    assert [of_variables, of_local, run()] == ["of-variables False\n", "of-local False\n", "of-devrel True\n"]
