"""What can go wrong between a service and its clients, as data; and the plan of when it does."""

import json
import re
from dataclasses import dataclass, replace

from tests.client.live.connections import Answer, Delivery, Ending, Request

JSON = {"Content-Type": "application/json"}
HTML = {"Content-Type": "text/html; charset=utf-8"}
PAGE = b"<!DOCTYPE html><html><head><title>Gateway</title></head><body>Be patient.</body></html>"


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    is_applied: the service does what it is asked all the same. answer: sent in the place of its own.
    share, ending, is_chunked: as in Delivery.
    """

    answer: Answer | None = None
    is_applied: bool = False
    share: float | None = 1.0
    ending: Ending = Ending.KEPT
    is_chunked: bool = False

    def delivery(self, own: Answer) -> Delivery:
        """How the answer is sent. own: the service's."""
        return Delivery(self.answer or own, self.share, self.ending, self.is_chunked)


def too_many(retry_after: str | int | None = None) -> Fault:
    """429. retry_after: seconds, or a date of HTTP; None leaves the header out."""
    body = json.dumps({"message": " Rate Limit Exceeded "}).encode()
    return Fault(Answer(429, body, JSON | _retry_after(retry_after)))


def unavailable(retry_after: str | int | None = None) -> Fault:
    """503, from something in front of the service, with or without Retry-After."""
    return Fault(Answer(503, PAGE, HTML | _retry_after(retry_after)))


def failing(status: int = 500, *, is_applied: bool = False) -> Fault:
    """An internal fault."""
    words = {
        "detailCode": f"{status}.0 Internal Fault",
        "trackingId": "e7eab60924f64aa284175b9fa3309599",
        "messages": [{"locale": "en-US", "localeOrigin": "DEFAULT", "text": "An internal fault occurred."}],
        "causes": [],
    }
    return Fault(Answer(status, json.dumps(words).encode(), JSON), is_applied)


def _retry_after(value: str | int | None) -> dict[str, str]:
    return {} if value is None else {"Retry-After": str(value)}


# The connection breaks; the client cannot know whether what it asked for was done.
RESET_BEFORE = Fault(share=None, ending=Ending.RESET)
RESET_AFTER = Fault(is_applied=True, share=None, ending=Ending.RESET)
CLOSED_BEFORE = Fault(share=None, ending=Ending.CLOSED)
CLOSED_AFTER = Fault(is_applied=True, share=None, ending=Ending.CLOSED)
HELD_BEFORE = Fault(share=None, ending=Ending.HELD)
HELD_AFTER = Fault(is_applied=True, share=None, ending=Ending.HELD)

# It breaks within the answer.
CUT = Fault(is_applied=True, share=0.5, ending=Ending.CLOSED)
CUT_BY_RESET = Fault(is_applied=True, share=0.5, ending=Ending.RESET)
CUT_CHUNKED = Fault(is_applied=True, share=0.5, ending=Ending.CLOSED, is_chunked=True)
NO_BODY = Fault(is_applied=True, share=0.0, ending=Ending.CLOSED)
HELD_WITHIN = Fault(is_applied=True, share=0.5, ending=Ending.HELD)

# The answer comes from somebody else.
HTML_PAGE = Fault(Answer(200, PAGE, HTML))
HTML_CALLED_JSON = Fault(Answer(200, PAGE, JSON))
BAD_GATEWAY = Fault(Answer(502, PAGE, HTML))
EMPTY = Fault(Answer(200, b"", JSON))
OTHER_JSON = Fault(Answer(200, b'"be patient"', JSON))

# Nothing is wrong with the answer: it comes in chunks, or is the connection's last, of which nobody is told.
CHUNKED = Fault(is_applied=True, is_chunked=True)
LAST_OF_CONNECTION = Fault(is_applied=True, ending=Ending.CLOSED)

# What passes by itself; whether the deed was done is unknown in all of them.
DOUBTFUL = {
    "reset before": RESET_BEFORE,
    "reset after": RESET_AFTER,
    "closed before": CLOSED_BEFORE,
    "closed after": CLOSED_AFTER,
    "silence before": HELD_BEFORE,
    "silence after": HELD_AFTER,
    "cut": CUT,
    "cut by a reset": CUT_BY_RESET,
    "cut within chunks": CUT_CHUNKED,
    "cut before the body": NO_BODY,
    "silence within": HELD_WITHIN,
    "500": failing(500),
    "500 after": failing(500, is_applied=True),
    "502, a page": BAD_GATEWAY,
    "503 without a time": unavailable(),
    "504": failing(504),
    "a broken compression": Fault(Answer(200, b"{}", {**JSON, "Content-Encoding": "gzip"}), is_applied=True),
    "an empty body": replace(EMPTY, is_applied=True),
}
# Here the server says that it has not even begun.
UNTAKEN = {"429": too_many(), "429 with a time": too_many(3), "503 with a time": unavailable(3)}
PASSING = DOUBTFUL | UNTAKEN


@dataclass
class _Rule:
    fault: Fault
    method: str
    path: str
    after: int
    times: float


class Plan:
    """Which requests meet which faults; of rules that fit the same request the first goes first."""

    def __init__(self) -> None:
        self._rules: list[_Rule] = []

    def add(
        self, *faults: Fault, method: str = "", path: str = "(?!/oauth/)", after: int = 0, times: float = 1
    ) -> None:
        """Plan faults, one after the other.

        method, path: regular expressions that the request's begin with; tokens are asked for in peace unless the
        path says otherwise. after: so many that fit are spared before; times: how often each fault happens.
        """
        for fault in faults:
            self._rules.append(_Rule(fault, method, path, after, times))
            after = 0

    def next_for(self, request: Request) -> Fault | None:
        """The fault that this request meets."""
        for rule in self._rules:
            if rule.times and re.match(rule.method, request.method) and re.match(rule.path, request.path):
                if rule.after:
                    rule.after -= 1
                    return None
                rule.times -= 1
                return rule.fault
        return None

    @property
    def is_spent(self) -> bool:
        """Every fault has happened."""
        return not any(rule.times for rule in self._rules)
