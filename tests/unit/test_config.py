"""Settings: the environment, the flags that win over it, and the defaults."""

from pathlib import Path

import pytest

from windlass.server.config import Rate, Settings
from windlass.server.errors import ConfigurationError


def test_flags_win_over_the_environment():
    environ = {"WINDLASS_DATA_DIR": "/from/environment", "WINDLASS_DATABASE_URL": "postgresql://environment"}

    settings = Settings.load(environ, data_dir=Path("/from/flag"), database_url="postgresql://flag")

    assert (settings.data_dir, settings.database_url) == (Path("/from/flag"), "postgresql://flag")


def test_empty_variables_count_as_unset():
    settings = Settings.load({"WINDLASS_DATABASE_URL": "", "WINDLASS_RETENTION_DAYS": ""}, data_dir=Path("/d"))

    assert (settings.database_url, settings.retention_days) == (None, 90)


def test_the_key_stands_in_the_data_folder_unless_named():
    assert Settings.load({}, data_dir=Path("/d")).key_file == Path("/d/key")
    assert Settings.load({"WINDLASS_KEY_FILE": "/k"}, data_dir=Path("/d")).key_file == Path("/k")


def test_root_keeps_its_data_in_var_lib_and_others_in_their_data_home(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.geteuid", lambda: 0)
    root = Settings.load({"XDG_DATA_HOME": "/home/ada/data"}).data_dir
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    ada = Settings.load({"XDG_DATA_HOME": "/home/ada/data"}).data_dir
    plain = Settings.load({}).data_dir

    assert (root, ada) == (Path("/var/lib/windlass"), Path("/home/ada/data/windlass"))
    assert plain == Path.home() / ".local/share/windlass"


@pytest.mark.parametrize("value", ["0", "-1", "ten", "1.5", "٣", "100000", "9" * 30])
def test_a_number_of_days_that_is_none_is_refused_by_name(value: str):
    with pytest.raises(ConfigurationError, match="WINDLASS_RETENTION_DAYS is"):
        Settings.load({"WINDLASS_RETENTION_DAYS": value})


def test_how_long_a_worker_waits_when_it_is_stopped_comes_from_the_environment_and_the_option_wins():
    known = {"WINDLASS_SHUTDOWN_GRACE_S": "0"}

    assert Settings.load({}).shutdown_grace_s == 10
    assert Settings.load(known).shutdown_grace_s == 0
    assert Settings.load(known, shutdown_grace_s=60).shutdown_grace_s == 60
    with pytest.raises(ConfigurationError, match=r"WINDLASS_SHUTDOWN_GRACE_S is '-1'; .* from 0 to 99999\."):
        Settings.load({"WINDLASS_SHUTDOWN_GRACE_S": "-1"})


@pytest.mark.parametrize(("value", "waits"), [("", False), ("reject", False), ("wait", True)])
def test_what_becomes_of_an_aggregation_of_a_busy_source_is_chosen(value: str, waits: bool):
    assert Settings.load({"WINDLASS_SOURCE_BUSY": value}).waits_for_source is waits


def test_another_choice_is_refused_by_name():
    with pytest.raises(ConfigurationError, match="WINDLASS_SOURCE_BUSY is 'queue'; it must be reject or wait"):
        Settings.load({"WINDLASS_SOURCE_BUSY": "queue"})


@pytest.mark.parametrize(("value", "services"), [
    ("", {}), (" , ,", {}), ("SWEEP=https://sweep.example", {"SWEEP": "https://sweep.example"}),
    ("A=http://a.example/x/ , b-2.c_d = https://[::1]:8443/y,", {
        "A": "http://a.example/x", "b-2.c_d": "https://[::1]:8443/y"
    }),
])  # fmt: skip
def test_services_are_named_and_have_a_base_url(value: str, services: dict[str, str]):
    assert Settings.load({"WINDLASS_EXECUTION_SERVICES": value}).execution_services == services


@pytest.mark.parametrize("value", [
    "https://sweep.example", "SWEEP", "=https://sweep.example", "SW EEP=https://sweep.example", "-A=http://a.example",
    "A=", "A=sweep.example", "A=ftp://a.example", "A=https://", "A=https:///x", "A=https://a.example:port",
    "A=https://a.example:70000", "A=https://ada:hunter2@a.example", "A=https://a.example/?q=1", "A=https://a.example#x",
    "A=https://a.example/?", "A=https://a .example", "A=https://\xe4.example", "A=http://[::1", "A=http://a,A=http://b",
    "A=http://a.example;B=http://b.example?", "A=http://a\\b",
])  # fmt: skip
def test_services_that_cannot_be_called_are_refused_by_name_without_what_may_be_secret(value: str):
    with pytest.raises(ConfigurationError, match="WINDLASS_EXECUTION_SERVICES") as caught:
        Settings.load({"WINDLASS_EXECUTION_SERVICES": value})

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(("value", "rate"), [
    ("", Rate(100, 10)), ("100/10s", Rate(100, 10)), ("5/1s", Rate(5, 1)), ("99999/99999s", Rate(99999, 99999)),
    ("off", None),
])  # fmt: skip
def test_the_rate_limit_is_so_many_requests_in_so_many_seconds_or_off(value: str, rate: Rate | None):
    assert Settings.load({"WINDLASS_RATE_LIMIT": value}).rate_limit == rate


@pytest.mark.parametrize("value", [
    "100", "100/10", "100/s", "0/10s", "10/0s", "-1/10s", "100/10m", "1.5/10s", "100/10s ", "100 / 10s", "100000/10s",
    "100/100000s", "٣/10s", "on", "OFF", "100/10s,5/1s", "010/10s", "100/10s\n",
])  # fmt: skip
def test_a_rate_limit_that_is_none_is_refused_with_what_is_allowed(value: str):
    with pytest.raises(ConfigurationError, match=r"WINDLASS_RATE_LIMIT is .* N/Ms.* off;"):
        Settings.load({"WINDLASS_RATE_LIMIT": value})


@pytest.mark.parametrize(("value", "proxies"), [
    ("", ()), ("*", ("*",)), (" 127.0.0.1 , 10.0.0.0/8,::1,", ("127.0.0.1", "10.0.0.0/8", "::1")),
])  # fmt: skip
def test_proxies_are_addresses_and_networks(value: str, proxies: tuple[str, ...]):
    environ = {"WINDLASS_FORWARDED_ALLOW_IPS": value}

    assert Settings.load(environ).forwarded_allow_ips == proxies
    assert Settings.load({}, forwarded_allow_ips=value).forwarded_allow_ips == proxies


@pytest.mark.parametrize("value", ["localhost", "10.0.0.0/33", "10.0.0.1/8", "127.0.0.1,*", "1.2.3", "10.0.0.1:80"])
def test_what_is_no_proxy_is_refused_for_a_typing_error_would_trust_nobody(value: str):
    with pytest.raises(ConfigurationError, match="WINDLASS_FORWARDED_ALLOW_IPS has"):
        Settings.load({"WINDLASS_FORWARDED_ALLOW_IPS": value})


def test_credentials_in_query_strings_are_off_unless_asked_for():
    assert not Settings.load({}).takes_query_credentials
    assert Settings.load({"WINDLASS_QUERY_CREDENTIALS": "on"}).takes_query_credentials
    with pytest.raises(ConfigurationError, match="WINDLASS_QUERY_CREDENTIALS is 'yes'"):
        Settings.load({"WINDLASS_QUERY_CREDENTIALS": "yes"})
