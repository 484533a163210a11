"""The files of deploy/ are run by nobody here; at least they are well-formed, and name what exists."""

import configparser
import re
import shlex

import pytest
import yaml
from tests.docs.pages import ROOT
from tests.docs.test_docs import COMMANDS, SETTING, SETTINGS, is_known

DEPLOY = ROOT / "deploy"
FILES = sorted(DEPLOY.iterdir())


def commands_of(path) -> list[list[str]]:
    """What of Windlass a file starts, as it would be typed."""
    text = path.read_text()
    if path.suffix == ".yaml":
        services = yaml.safe_load(text)["services"].values()
        return [["windlass", *service["command"]] for service in services if "command" in service]
    if path.suffix == ".service":
        return [shlex.split(line) for line in re.findall(r"^ExecStart=/opt/windlass/bin/(.*)$", text, re.MULTILINE)]
    return [["windlass", *yaml.safe_load(command)] for command in re.findall(r"^CMD (.*)$", text, re.MULTILINE)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_starts_commands_and_names_settings_that_exist(path):
    commands = commands_of(path)

    assert commands
    assert [command for command in commands if not is_known(command)] == []
    assert set(SETTING.findall(path.read_text())) - SETTINGS == set()
    assert "windlass" in COMMANDS


def test_the_unit_of_systemd_is_well_formed():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str

    unit.read(DEPLOY / "windlass.service")

    assert unit.sections() == ["Unit", "Service", "Install"]
    assert unit["Service"]["KillMode"] == "mixed"


def test_every_service_of_the_composition_says_how_it_is_or_its_image_does():
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    image = (DEPLOY / "Containerfile").read_text()

    assert "HEALTHCHECK" in image
    assert {name for name, service in services.items() if "healthcheck" not in service} == {"api"}
    for service in services.values():
        for name, how in service.get("depends_on", {}).items():
            assert name in services
            assert how == {"condition": "service_healthy"}


def test_each_health_check_asks_for_what_is_served():
    asked = {path for file in FILES for path in re.findall(r"http://127\.0\.0\.1:\d+(/[\w/]+)", file.read_text())}

    assert asked == {"/health/ready"}
