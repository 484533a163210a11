"""Behind a proxy: where requests came from, and by which scheme, is believed of those that may say so."""

import re

import httpx2
import pytest
from tests.contract.conftest import served

FORWARDED = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "https", "Host": "tasks.example"}


def ask(checked, settings, tmp_path, *flags, headers=None, **variables):
    """What `/oauth/info` calls the server, and where its log says that a refused request came from."""
    log = tmp_path / "log"
    with (
        log.open("wb") as stderr,
        served(checked, settings, "--no-worker", *flags, stderr=stderr, **variables) as (url, _),
    ):
        info = httpx2.get(f"{url}/oauth/info", headers=headers or FORWARDED).json()
        httpx2.get(f"{url}/nowhere", headers=headers or FORWARDED)
    (source,) = re.findall(r"from (\S+) was refused: 404", log.read_text())
    return info["tokenEndpoint"], source


@pytest.mark.parametrize("flags", [(), ("--forwarded-allow-ips", "10.0.0.0/8,192.0.2.1")])
def test_a_stranger_is_not_believed(checked, settings, tmp_path, flags):
    place = ask(checked, settings, tmp_path, *flags, FORWARDED_ALLOW_IPS="*")

    assert place == ("http://tasks.example/oauth/token", "127.0.0.1")


@pytest.mark.parametrize("proxies", ["127.0.0.1", "127.0.0.0/8, ::1", "*"])
def test_a_proxy_is_believed(checked, settings, tmp_path, proxies):
    place = ask(checked, settings, tmp_path, "--forwarded-allow-ips", proxies)

    assert place == ("https://tasks.example/oauth/token", "198.51.100.7")


def test_the_setting_says_the_same_as_the_option(checked, settings, tmp_path):
    place = ask(checked, settings, tmp_path, WINDLASS_FORWARDED_ALLOW_IPS="127.0.0.1")

    assert place == ("https://tasks.example/oauth/token", "198.51.100.7")


def test_of_a_chain_the_last_that_is_no_proxy_is_the_client(checked, settings, tmp_path):
    headers = FORWARDED | {"X-Forwarded-For": "203.0.113.9, 198.51.100.7, 127.0.0.1"}

    place = ask(checked, settings, tmp_path, "--forwarded-allow-ips", "127.0.0.1", headers=headers)

    assert place[1] == "198.51.100.7"


def test_what_a_client_says_of_itself_cannot_bend_the_log(checked, settings, tmp_path):
    headers = FORWARDED | {"X-Forwarded-For": "evil was refused: 404 \x1b[31m".replace("\x1b", "%1b")}

    place = ask(checked, settings, tmp_path, "--forwarded-allow-ips", "127.0.0.1", headers=headers)

    assert place[1].startswith("evil%20was%20refused")
