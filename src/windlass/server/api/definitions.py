"""The operations on task definitions.

Source: wire contract §6.
"""

from starlette.requests import Request
from starlette.responses import Response

from windlass.server.api import parameters
from windlass.server.api.errors import json_response
from windlass.server.api.lists import list_response
from windlass.server.api.wire_definitions import (
    definition_answer,
    definitions_answer,
    operations_of,
    patched,
)
from windlass.server.model.principal import Principal
from windlass.server.service.definitions import Definitions


class DefinitionsApi:
    """Answers for task definitions; HEAD is answered wherever GET is."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions

    async def list(self, request: Request, principal: Principal) -> Response:
        """One page of the definitions, by name."""
        parameters.refuse(request, "filters", "sorters")
        part = parameters.slice_of(request)
        definitions = await self._definitions.page(limit=part.reach, offset=part.offset)
        count = await self._definitions.count() if part.is_counted else None
        return list_response(request, part, definitions, definitions_answer, count=count)

    async def get(self, request: Request, principal: Principal) -> Response:
        """One definition."""
        return json_response(definition_answer(await self._definitions.get(request.path_params["id"])))

    async def patch(self, request: Request, principal: Principal) -> Response:
        """Change one definition, and answer it as it then is."""
        operations = operations_of(await parameters.patch_body(request))
        definition = await self._definitions.change(
            request.path_params["id"], lambda definition: patched(definition, operations)
        )
        return json_response(definition_answer(definition))
