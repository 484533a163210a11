"""What a process knows of keys and revoked tokens: how it comes to know it, how often it asks, when it asks first."""

import asyncio
import base64
import time

import pytest

from windlass.server.errors import ConfigurationError, DatabaseUnavailable, TokenRejected
from windlass.server.model.principal import UserLevel
from windlass.server.service.keyring import Keyring
from windlass.server.service.refusals import GOOD_FOR_S, Refusals
from windlass.server.service.signing_keys import SigningKeys
from windlass.server.service.tokens import Tokens
from windlass.server.store.revocations import RevocationStore, delete_over, refuse_tokens
from windlass.server.store.signing_keys import SigningKeyStore


class CountedStore(RevocationStore):
    """Counts how often the database is asked, and for how long a time. Answers take `slow_s` of the process's time."""

    def __init__(self, database, clock):
        super().__init__(database)
        self.asked_for = []
        self.slow_s = 0
        self._clock = clock

    async def since(self, age_s):
        self.asked_for.append(age_s)
        found = await super().since(age_s)
        self._clock.now += self.slow_s
        return found


class Clock:
    """Time as the process has it."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Process:
    """What one of several processes has."""

    def __init__(self, application, keyring, keys):
        self.keyring = keyring
        self.clock = Clock()
        self.store = CountedStore(application.database, self.clock)
        self.refusals = Refusals(keys, self.store, clock=self.clock)
        self.tokens = Tokens(application.clients, keyring, self.refusals, self.store, lifetime_s=600)


@pytest.fixture
def keyring(settings, application):
    return Keyring.load(settings.key_file)


@pytest.fixture
async def process(application, keyring):
    keys = await SigningKeys.open(SigningKeyStore(application.database), keyring)
    return Process(application, keyring, keys)


@pytest.fixture
async def client(application):
    client, secret = await application.clients.create("tester", user_level=UserLevel.ORG_ADMIN, scopes=("a",))
    return client.id, secret


@pytest.fixture
async def token(application, client):
    return str((await application.tokens.issue(*client))["access_token"])


async def test_a_token_that_is_known_costs_no_question(process, token):
    principal = await process.tokens.verify(token)
    asked = len(process.store.asked_for)

    assert all(process.tokens.known(token) is principal for _ in range(100))
    assert len(process.store.asked_for) == asked == 1


async def test_what_is_too_old_to_be_sure_of_is_looked_up_first(process, token):
    await process.tokens.verify(token)

    process.clock.now += GOOD_FOR_S - 0.01
    assert process.tokens.known(token) is not None
    process.clock.now += 0.02
    assert process.tokens.known(token) is None

    await process.tokens.verify(token)
    assert process.tokens.known(token) is not None
    assert len(process.store.asked_for) == 2


async def test_many_who_come_at_once_share_one_look(process, token):
    await asyncio.gather(*(process.tokens.verify(token) for _ in range(50)))

    assert len(process.store.asked_for) == 1


async def test_nothing_is_accepted_while_the_database_is_away(process, application, token):
    await process.tokens.verify(token)
    await application.database.close()

    assert process.tokens.known(token) is not None
    process.clock.now += GOOD_FOR_S
    assert process.tokens.known(token) is None
    with pytest.raises(DatabaseUnavailable):
        await process.tokens.verify(token)


async def test_an_answer_that_took_too_long_is_too_old_when_it_comes(process, token):
    process.store.slow_s = GOOD_FOR_S

    with pytest.raises(DatabaseUnavailable):
        await process.tokens.verify(token)

    process.store.slow_s = GOOD_FOR_S - 1
    await process.tokens.verify(token)


async def test_after_the_first_look_only_what_is_new_is_read_and_all_once_a_minute(process):
    for _ in range(3):
        await process.refusals.look()
        process.clock.now += 1
    process.clock.now += 60
    await process.refusals.look()

    assert process.store.asked_for == [None, 31, 31, None]


async def test_a_revocation_that_was_long_in_being_committed_is_seen(process, application, client, token):
    await process.tokens.verify(token)
    async with application.database.transaction() as connection:
        await refuse_tokens(connection, client[0], 1)
        process.clock.now += 3
        await process.refusals.look()
        assert process.tokens.known(token) is not None
    await application.database.write("UPDATE revocation SET revoked = revoked - interval '20 s'")

    process.clock.now += 1
    await process.refusals.look()

    with pytest.raises(TokenRejected, match="revoked"):
        process.tokens.known(token)


async def test_a_process_that_starts_knows_what_was_revoked_long_ago(process, application, client, token):
    await application.tokens.revoke(await application.tokens.verify(token))
    await application.database.write("UPDATE revocation SET revoked = revoked - interval '1 day'")

    with pytest.raises(TokenRejected, match="revoked"):
        await process.tokens.verify(token)


async def test_a_revocation_outlasts_the_looks_of_others_whatever_the_nodes_clock_says(process, application, client):
    await process.store.refuse_token(client[0], "late", ends_at=time.time() - 3600)

    (found,) = await process.store.since(None)

    assert found.jti == "late"
    assert await application.database.fetch_value("SELECT ends - revoked BETWEEN '119 s' AND '121 s' FROM revocation")


async def test_a_key_that_cannot_be_opened_is_passed_over_and_told_of_once(process, application, client, token, caplog):
    refused = str((await application.tokens.issue(*client))["access_token"])
    await application.database.write("INSERT INTO signing_key (kid, sealed) VALUES ('closed', '\\x00')")
    await application.tokens.revoke(await application.tokens.verify(refused))

    for _ in range(3):
        await process.refusals.look()

    await process.tokens.verify(token)
    with pytest.raises(TokenRejected, match="revoked"):
        await process.tokens.verify(refused)
    assert process.refusals.keys.signing.kid != "closed"
    with pytest.raises(ConfigurationError, match="closed cannot be opened"):
        process.refusals.keys.find("closed")
    told = [record.message for record in caplog.records if "put the new one in its place" in record.message]
    assert len(told) == 2  # By this process, and by the one beside it that revoked.


async def test_without_a_key_that_can_be_opened_nothing_is_signed(process, application, client):
    await application.database.write("UPDATE signing_key SET kid = 'closed', sealed = '\\x00'")

    with pytest.raises(ConfigurationError, match="No key that may sign tokens can be opened"):
        await process.tokens.issue(*client)
    with pytest.raises(ConfigurationError, match="No key that may sign tokens can be opened"):
        await SigningKeys.open(SigningKeyStore(application.database), process.keyring)


async def test_what_has_ended_is_forgotten_and_deleted(process, application, client, token):
    await application.tokens.revoke(await application.tokens.verify(token))
    await process.refusals.look()
    await application.database.write("UPDATE revocation SET ends = now()")
    process.clock.now += 60
    await process.refusals.look()

    await process.tokens.verify(token)  # It would have expired by then.
    await delete_over(application.database)
    assert await application.database.fetch("SELECT FROM revocation") == []


async def test_the_greatest_of_a_clients_epochs_counts(process, application, client, token):
    async with application.database.transaction() as connection:
        for epoch in (2, 1):
            await refuse_tokens(connection, client[0], epoch)
        await connection.execute("UPDATE client SET epoch = 1")

    later = str((await application.tokens.issue(*client))["access_token"])
    for refused in (token, later):
        with pytest.raises(TokenRejected, match="revoked"):
            await process.tokens.verify(refused)


async def test_a_token_that_expires_is_refused_from_memory_too(process, application, keyring, client):
    short = Tokens(application.clients, keyring, process.refusals, process.store, lifetime_s=-28)
    token = str((await short.issue(*client))["access_token"])
    principal = await process.tokens.verify(token)
    assert principal.expires_at + 30 - time.time() < 3

    def bring_again():
        while process.tokens.known(token) is not None:
            time.sleep(0.05)

    with pytest.raises(TokenRejected, match="expired"):
        bring_again()


async def test_keys_that_are_invented_cost_one_question_a_second(process, token):
    async def bring(number):
        header = base64.urlsafe_b64encode(f'{{"alg":"ES256","kid":"{number:03}"}}'.encode()).decode().rstrip("=")
        with pytest.raises(TokenRejected, match="unknown key"):
            await process.tokens.verify(f"{header}.{token.partition('.')[2]}")

    await process.refusals.look()
    before = len(process.store.asked_for)
    await asyncio.gather(*(bring(number) for number in range(50)))
    assert len(process.store.asked_for) == before + 1

    process.clock.now += 1
    await bring(0)
    assert len(process.store.asked_for) == before + 2


async def test_of_many_processes_that_start_at_once_one_makes_the_key(application, keyring):
    await application.database.write("DELETE FROM signing_key")

    opened = await asyncio.gather(*(SigningKeys.open(SigningKeyStore(application.database), keyring) for _ in range(8)))

    assert len({keys.signing.kid for keys in opened}) == 1


async def test_the_key_of_an_older_installation_goes_on_signing(application, keyring, process, client):
    (row,) = await application.database.fetch("SELECT kid, sealed FROM signing_key")
    sealed = keyring.seal(keyring.open(row["sealed"], row["kid"]), "signing")
    await application.database.write("UPDATE signing_key SET kid = 'signing', sealed = $1", sealed)

    await process.refusals.look()
    token = str((await process.tokens.issue(*client))["access_token"])

    assert process.refusals.keys.signing.kid == "signing"
    assert (await process.tokens.verify(token)).key_id == "signing"


async def test_two_rotations_in_a_row_leave_every_key_its_time(application):
    kids = [await application.signing_keys.rotate() for _ in range(2)]

    first, second, third = await application.signing_keys.list()

    assert [second.kid, third.kid] == kids
    assert first.ends is not None
    assert second.ends is not None
    assert first.ends <= second.ends
    assert third.ends is None
    assert application.signing_keys.signing.kid == first.kid


def test_a_process_that_never_looked_is_sure_of_nothing(application):
    refusals = Refusals(application.signing_keys, RevocationStore(application.database))

    assert refusals.is_stale()
