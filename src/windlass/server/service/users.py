"""Users, whom clients act for."""

from windlass.server.errors import NotFound, shown
from windlass.server.model.principal import User, UserLevel
from windlass.server.store.users import UserStore


class Users:
    """The use cases of users; making one is the business of the first client that acts for it."""

    def __init__(self, store: UserStore) -> None:
        self._store = store

    async def list(self) -> list[User]:
        """Every user, by name."""
        return await self._store.list()

    async def find(self, given: str) -> User:
        """The user of that id or name. Raises NotFound."""
        if not given.isprintable():
            raise NotFound("There is no user with the id or the name {given}.", given=shown(given))
        return await self._store.find(given)

    async def change_level(self, user_id: str, user_level: UserLevel) -> User:
        """Give the user another level; tokens that say the one before are refused. Raises NotFound."""
        return await self._store.set_level(user_id, user_level)

    async def disable(self, user_id: str) -> User:
        """Refuse tokens to all that act for the user, and those that they have. Raises NotFound."""
        return await self._store.set_disabled(user_id, is_disabled=True)

    async def enable(self, user_id: str) -> User:
        """Let those who act for the user have tokens again; those from before stay refused. Raises NotFound."""
        return await self._store.set_disabled(user_id, is_disabled=False)

    async def delete(self, user_id: str) -> User:
        """Remove the user with its clients, and refuse the tokens that they have. Raises NotFound."""
        return await self._store.delete(user_id)
