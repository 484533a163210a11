"""Connectors by name, and what is refused before anything is read."""

import pytest

from windlass.server.connectors import CONNECTORS, connect
from windlass.server.errors import ConfigurationError


@pytest.mark.parametrize(
    ("connector", "given_settings", "message"),
    [
        ("oracle", {}, "no connector 'oracle'.*delimited, unix"),
        ("unix", {"path": "/"}, "unix has no setting 'path'; it takes busy"),
        ("unix", {"busy": "queue"}, "The setting busy is 'queue'; it must be reject or wait"),
        ("delimited", {"id_column": "id", "sep": ";"}, "no setting 'sep'; it takes id_column, .*delimiter"),
        ("delimited", {}, "needs the setting id_column"),
        ("delimited", {"id_column": " "}, "needs the setting id_column"),
        ("delimited", {"id_column": "id", "delimiter": "||"}, "delimiter is '||'"),
        ("delimited", {"id_column": "id", "delimiter": ""}, "delimiter is ''"),
        ("delimited", {"id_column": "id", "delimiter": "\n"}, "delimiter is"),
        ("delimited", {"id_column": "id", "quote": "''"}, "quote is"),
        ("delimited", {"id_column": "id", "quote": ","}, "both ','"),
        ("delimited", {"id_column": "id", "encoding": "utf-9"}, "encoding is 'utf-9'"),
        ("delimited", {"id_column": "id", "encoding": "hex"}, "encoding is 'hex'"),
        ("delimited", {"id_column": "id", "encoding": "a\0b"}, "encoding is"),
        ("delimited", {"id_column": "id", "encoding": ""}, "encoding is"),
    ],
)
def test_a_wrong_setting_is_refused_up_front_in_one_sentence(connector, given_settings, message):
    with pytest.raises(ConfigurationError, match=message) as refusal:
        connect(connector, given_settings)

    assert "\n" not in str(refusal.value)


def test_the_connectors_are_listed_for_the_command_line():
    assert CONNECTORS == ("delimited", "unix")
