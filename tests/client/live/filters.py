"""The standard collection parameters' filters, as far as this service needs them: eq, in, isnull, not, and, or.

Words are looked up in a task's members; the wire contract's §1 and §5 say which.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

Condition = Callable[[Mapping[str, Any]], bool]
STATUSES = {"SUCCESS", "WARNING", "ERROR", "TERMINATED", "TEMPERROR"}
_TOKEN = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([(),])|(\w+))\s*')


def condition_of(text: str, allowed: Mapping[str, frozenset[str]]) -> Condition:
    """Read a filter. allowed: operators by field. Raises ValueError for anything that is not served."""
    return _Reader(text, allowed).condition()


def _source_id(task: Mapping[str, Any]) -> str | None:
    target = task["target"]
    return target["id"] if target and target["type"] == "APPLICATION" else None


FIELDS: Mapping[str, Condition | Callable[[Mapping[str, Any]], str | None]] = {
    "id": lambda task: task["id"],
    "sourceId": _source_id,
    "completionStatus": lambda task: task["completionStatus"],
    # The live service knows a definition's type alone, and none of the field's own values.
    "type": lambda task: task["uniqueName"].upper().replace(" ", "_"),
    "launcher": lambda task: task["launcher"],
}


class _Reader:
    def __init__(self, text: str, allowed: Mapping[str, frozenset[str]]) -> None:
        self._allowed = allowed
        self._tokens: list[tuple[str, str]] = []  # What it is, and its text.
        end = 0
        while end < len(text):
            match = _TOKEN.match(text, end)
            if match is None:
                raise ValueError(f"nothing is known to begin at position {end}")
            string, sign, word = match.groups()
            is_string = string is not None
            self._tokens.append(("string", re.sub(r"\\(.)", r"\1", string)) if is_string else ("", sign or word))
            end = match.end()

    def condition(self) -> Condition:
        condition = self._alternatives()
        if self._tokens:
            raise ValueError(f"there is more than a filter: {self._tokens[0][1]}")
        return condition

    def _alternatives(self) -> Condition:
        conditions = [self._conjunction()]
        while self._took("or"):
            conditions.append(self._conjunction())
        return lambda task: any(condition(task) for condition in conditions)

    def _conjunction(self) -> Condition:
        conditions = [self._negation()]
        while self._took("and"):
            conditions.append(self._negation())
        return lambda task: all(condition(task) for condition in conditions)

    def _negation(self) -> Condition:
        if self._took("not"):
            negated = self._negation()
            return lambda task: not negated(task)
        if self._took("("):
            condition = self._alternatives()
            self._expect(")")
            return condition
        return self._comparison()

    def _comparison(self) -> Condition:
        (_, name), (_, operator) = self._next(), self._next()
        if operator not in self._allowed.get(name, ()):
            raise ValueError(f"{name} {operator} is not supported")
        value_of = FIELDS[name]
        if operator == "isnull":
            return lambda task: value_of(task) is None
        values = [self._string()] if operator == "eq" else self._list()
        if name == "completionStatus":
            values = [value.upper() for value in values]
            if not STATUSES.issuperset(values):
                raise ValueError(f"{values} is no completion status")
        return lambda task: value_of(task) in values

    def _list(self) -> list[str]:
        self._expect("(")
        values = [self._string()]
        while self._took(","):
            values.append(self._string())
        self._expect(")")
        return values

    def _string(self) -> str:
        kind, text = self._next()
        if kind != "string":
            raise ValueError(f"{text} is not a string")
        return text

    def _next(self) -> tuple[str, str]:
        if not self._tokens:
            raise ValueError("the filter ends too early")
        return self._tokens.pop(0)

    def _took(self, text: str) -> bool:
        if self._tokens[:1] != [("", text)]:
            return False
        self._tokens.pop(0)
        return True

    def _expect(self, text: str) -> None:
        if not self._took(text):
            raise ValueError(f"{text} is missing")
