"""Reading task definitions, and changing what may be changed of them."""

from collections.abc import Callable

import msgspec

from windlass.server.errors import InvalidRequest, shown
from windlass.server.language import strict_json
from windlass.server.model.definition import ATTEMPTS_ARGUMENT, ATTEMPTS_AT_MOST, attempts_of, is_number_of_attempts
from windlass.server.model.task import DefinitionSummary
from windlass.server.service import names
from windlass.server.store.definitions import DefinitionStore

_BYTES_AT_MOST = 64 << 10


class Definitions:
    """The use cases of task definitions."""

    def __init__(self, store: DefinitionStore) -> None:
        self._store = store

    async def get(self, definition_id: str) -> DefinitionSummary:
        """One definition. Raises NotFound."""
        return await self._store.get(definition_id)

    async def page(self, *, limit: int, offset: int) -> list[DefinitionSummary]:
        """The definitions of one page, by name."""
        return await self._store.page(limit=limit, offset=offset) if limit else []

    async def count(self) -> int:
        """How many definitions there are."""
        return await self._store.count()

    async def types(self) -> frozenset[str]:
        """The types of all definitions, as filters name them."""
        return await self._store.types()

    async def change(
        self, definition_id: str, change: Callable[[DefinitionSummary], DefinitionSummary]
    ) -> DefinitionSummary:
        """Change a definition whole or not at all; answers it as it then stands.

        Tasks that were launched before keep what they say of it. Raises NotFound, and InvalidRequest where
        what `change` answers cannot be kept.
        """
        return await self._store.change(definition_id, lambda definition: _checked(definition, change(definition)))


def _checked(before: DefinitionSummary, definition: DefinitionSummary) -> DefinitionSummary:
    is_brought = attempts_of(before.executor) is not None
    if (is_brought or attempts_of(definition.executor) is not None) and definition != msgspec.structs.replace(
        before, parent_name=definition.parent_name
    ):
        if not is_brought:
            raise InvalidRequest(
                "executor would be {given}; only a task that a package brings has such a one.",
                given=shown(definition.executor),
            )
        raise InvalidRequest(
            "The task {name} is brought by a package, and so is what is said of it; its parentName can be changed.",
            name=shown(before.unique_name),
        )
    names.checked(definition.parent_name, "parentName")
    said = definition.arguments.get(ATTEMPTS_ARGUMENT)
    if not is_brought and said is not None and not is_number_of_attempts(said):
        raise InvalidRequest(
            "arguments.maxAttempts is {given}; it must be a whole number from 1 to {most}.",
            given=shown(said),
            most=ATTEMPTS_AT_MOST,
        )
    # Every task that is launched from now on bears a copy of it, one level down.
    encoded = msgspec.json.encode(definition)
    if len(encoded) > _BYTES_AT_MOST:
        raise InvalidRequest(
            "The task definition would have {given} bytes; {most} is the most.", given=len(encoded), most=_BYTES_AT_MOST
        )
    if strict_json.is_too_deep(b"[" + encoded + b"]"):
        raise InvalidRequest(
            "The task definition would be nested deeper than {most} levels.", most=strict_json.DEPTH_AT_MOST - 1
        )
    return definition
