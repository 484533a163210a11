"""Requests that nobody thought of: schemathesis makes them from the documents, and judges the answers by them.

Each operation gets what covers its schemas, what breaks them in every way, and random requests. What a document
cannot know is put in before a request is sent: who calls, ids of things that exist, filters and credentials that
are good. It follows from the request itself, so that a request that was found to fail fails again.
"""

import zlib
from collections.abc import Iterator, Sequence
from typing import TypeVar

import pytest
import requests
import schemathesis
from hypothesis import settings
from schemathesis.generation.meta import TestPhase
from tests.contract.conftest import Installation

from windlass.server.api import routes
from windlass.server.api.reference.document import document
from windlass.server.api.versions import VERSIONS, Version
from windlass.server.language.filters import Operator
from windlass.server.model.task import CompletionStatus

pytestmark = pytest.mark.hypothesis

T = TypeVar("T")

# A version has ten operations and more, and as many requests again cover their schemas.
EXAMPLES_OF_AN_OPERATION = settings().max_examples // 3
PARTS = routes.Parts(**dict.fromkeys(routes.Parts.__struct_fields__) | {"is_gate_kept": True})
# A task's state may forbid a good patch.
CHECKS = {"positive_data_acceptance": {"enabled": False}}
# What is the same in all versions is tried in one of them.
THOROUGH = "v2024"
BRIEF = {"operations": [{"include-method": "PATCH", "phases": {"coverage": {"enabled": False}}}]}


def described(version: Version) -> schemathesis.BaseSchema:
    is_thorough = version.name == THOROUGH
    config = schemathesis.Config.from_dict({"checks": CHECKS, **({} if is_thorough else BRIEF)})
    schema = schemathesis.openapi.from_dict(document(version, routes.rows_of(version, PARTS)), config=config)
    schema = schema.exclude(method="HEAD")  # It is answered by what answers GET.
    return schema if is_thorough else schema.exclude(path_regex="^/(oauth|openapi)/")


def filters_of(version: Version) -> Iterator[str]:
    """Filters that the version takes."""
    words = {"completionStatus": ('"SUCCESS"', '"error"'), "type": ('"QPOC"', '"ACCOUNT_DELETION"')}
    for field, operators in version.filters.items():
        one, other = words.get(field, ('"0193c1a2a1b070018000000000000001"', '"\\"x\\""'))
        texts = {
            Operator.EQ: f"{field} eq {one}",
            Operator.IN: f"not ({field} in ({one}, {other}))",
            Operator.ISNULL: f'{field} isnull or id eq "x"',
        }
        yield from (texts[operator] for operator in operators)


def chosen(case: schemathesis.Case, options: Sequence[T], salt: str) -> T:
    """One of the options, the same one for the same request."""
    said = repr((salt, case.path_parameters, case.query, case.body, sorted(case.headers.items())))
    return options[zlib.crc32(said.encode(errors="replace")) % len(options)]


class Callers:
    """The things of an installation, and those who call it."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.session = requests.Session()
        self.client_id, self.client_secret = installation.credentials()
        good = f"Bearer {installation.token()}"
        weak = f"Bearer {installation.token(scopes=('idn:nothing',), name='Nobody')}"
        stale = f"Bearer {installation.expired_token()}"
        # What is in the header Authorization, and the status of the answer where there is but one that fits.
        self.callers = [*[(good, None)] * 12, (weak, 403), (stale, 401), (f"{good}x", 401), ("", 401)]
        self.sources = [installation.add_source().id, installation.add_source("unix").id]
        self.definitions = [installation.add_definition().id]
        self.ended = installation.add_task(CompletionStatus.SUCCESS).id
        self.pending = installation.add_task().id

    def send(self, case: schemathesis.Case) -> requests.Response:
        """Aim the request, send it, and look at what is known of its answer beforehand."""
        # What covers a schema is to reach it; who may call, and what there is not, is tried at random.
        is_random = case.meta.phase.name is TestPhase.FUZZING
        authorization, status = chosen(case, self.callers if is_random else self.callers[:1], "caller")
        if "id" in case.path_parameters:
            unknown = [case.path_parameters["id"]] if is_random else []
            case.path_parameters["id"] = chosen(case, [*self.things(case.path), *unknown], "id")
        self.aim(case)
        if case.path != "/oauth/token":
            case.headers["Authorization"] = authorization
        answer = case.call(base_url=self.installation.url, session=self.session, timeout=60)
        is_found = answer.status_code != 405 and "%2F" not in case.path_parameters.get("id", "")
        if is_found and "x-user-levels" in case.operation.definition.raw:
            assert status in (None, answer.status_code)
        if case.method in ("PATCH", "POST") and answer.status_code == 200:
            self.pending = self.installation.add_task().id
        return answer

    def things(self, path: str) -> list[str]:
        """The ids of things that the path's id may name."""
        if "/task-definitions" in path:
            return self.definitions
        return self.sources if "/sources" in path else [self.pending, self.pending, self.ended]

    def aim(self, case: schemathesis.Case) -> None:
        """Give the request values that lead further than random ones."""
        if "wait" in case.headers.get("Prefer", ""):
            case.headers["Prefer"] = "wait=0"
        if "If-Match" in case.headers and chosen(case, [True, False], "condition"):
            del case.headers["If-Match"]
        if case.meta.generation.mode.is_positive:
            if "filters" in case.query:
                version = next(version for version in VERSIONS if case.path.startswith(version.at("task-status")))
                case.query["filters"] = chosen(case, list(filters_of(version)), "filters")
            if case.path == "/oauth/token" and "client_id" in case.body:
                case.body |= {"client_id": self.client_id, "client_secret": self.client_secret}


@pytest.fixture(scope="session")
def callers(installation: Installation) -> Callers:
    return Callers(installation)


@schemathesis.pytest.parametrize(**{version.name: described(version) for version in VERSIONS})
@settings(max_examples=EXAMPLES_OF_AN_OPERATION)
def test_every_answer_is_one_that_the_document_promises(callers: Callers, case: schemathesis.Case):
    answer = callers.send(case)

    case.validate_response(answer)
