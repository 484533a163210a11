"""What tests say to the protocol and look for in its answers, whichever operation they are about."""

PATCH_TYPE = "application/json-patch+json"
UNKNOWN_ID = "0" * 32
MIB = 1 << 20
BAD_CONTENT, BAD_SYNTAX = "400.1 Bad Request Content", "400.0 Bad Request Syntax"


def replace(path, value):
    """An operation of a patch."""
    return {"op": "replace", "path": path, "value": value}


def status_of(answer):
    """What a request that went well was answered."""
    assert answer.status_code == 200, answer.text
    return answer.json()


def assert_refused(answer, *named, code=BAD_CONTENT):
    """The request was wrong, and the answer names what of it was."""
    assert (answer.status_code, answer.json()["detailCode"]) == (400, code), answer.text
    for word in named:
        assert word in answer.json()["causes"][0]["text"]
