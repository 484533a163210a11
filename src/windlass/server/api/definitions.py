"""The operations on task definitions.

Source: wire contract §6.
"""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from windlass.server.api import parameters
from windlass.server.api.errors import Refusal, json_response
from windlass.server.api.task_status import PATCH_BYTES, PATCH_TYPES
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
        page = parameters.page_of(request, is_sortable=False)
        definitions = await self._definitions.page(limit=page.limit, offset=page.offset)
        headers = {"X-Total-Count": str(await self._definitions.count())} if page.is_counted else None
        return json_response(definitions_answer(definitions), headers=headers)

    async def get(self, request: Request, principal: Principal) -> Response:
        """One definition."""
        return json_response(definition_answer(await self._definitions.get(request.path_params["id"])))

    async def patch(self, request: Request, principal: Principal) -> Response:
        """Change one definition, and answer it as it then is."""
        if parameters.media_type(request) not in PATCH_TYPES:
            raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"A patch comes as {PATCH_TYPES[0]}.")
        operations = operations_of(await parameters.body_of(request, max_bytes=PATCH_BYTES))
        definition = await self._definitions.change(
            request.path_params["id"], lambda definition: patched(definition, operations)
        )
        return json_response(definition_answer(definition))
