"""Keys that the database keeps, secrets of sources under them, and the replacement of each key by another."""

import asyncio
import shutil
import stat
from dataclasses import replace

import pytest
from tests.conftest import execute

from windlass.server import app
from windlass.server.errors import ConfigurationError, InvalidRequest, NotFound
from windlass.server.model.principal import ALL_SCOPES, UserLevel
from windlass.server.service.keyring import Keyring
from windlass.server.store.keys import KeyStore

TOKEN = "t0ken-of-the-source"
PASSWORD = "p4ssword-of-the-source"
WEB = {"id_column": "id", "url": "https://hr.example/people.csv"}


@pytest.fixture
async def source(application):
    return await application.sources.create("HR", "delimited", WEB | {"token": TOKEN})


async def rows(application, table):
    return [dict(row) for row in await application.database.fetch(f"SELECT * FROM {table}")]


async def kept_keys(application):
    return await KeyStore(application.database).all()


async def trail(application, action):
    """What is noted of an action, by whoever has opened the database since this test's application did."""
    found = await application.database.fetch(
        "SELECT subject_id, before, after FROM audit WHERE action = $1"
        " AND at >= (SELECT min(backend_start) FROM pg_stat_activity WHERE datname = current_database()) ORDER BY id",
        action,
    )
    return [tuple(row) for row in found]


async def test_a_secret_is_stored_sealed_and_shown_hidden(application, source):
    (row,) = await rows(application, "source")

    assert row["settings"] == WEB | {"token": "***"}
    assert TOKEN.encode() not in row["sealed"]
    assert source.settings == (await application.sources.get(source.id)).settings == WEB | {"token": "***"}
    assert [each.settings["token"] for each in await application.sources.list()] == ["***"]
    assert (await application.sources.opened(source.id)).settings == WEB | {"token": TOKEN}


async def test_a_source_without_secrets_has_nothing_sealed(application):
    source = await application.sources.create("HR", "delimited", WEB)

    (row,) = await rows(application, "source")
    assert row["sealed"] is None
    assert (await application.sources.opened(source.id)).settings == WEB


async def test_what_is_sealed_for_one_source_opens_for_no_other(application, source):
    other = await application.sources.create("Payroll", "delimited", WEB | {"token": "another"})

    await execute(
        application.database.url,
        f"UPDATE source SET sealed = (SELECT sealed FROM source WHERE id = '{source.id}') WHERE id = '{other.id}'",
    )

    with pytest.raises(ConfigurationError, match="cannot be opened"):
        await application.sources.opened(other.id)


async def test_settings_are_changed_added_and_taken_away(application, source):
    changed = await application.sources.update(
        source.id, {"username": "ada", "password": PASSWORD, "id_column": "number"}, ["token"]
    )

    clear = {"id_column": "number", "url": WEB["url"], "username": "ada"}
    assert changed.settings == clear | {"password": "***"}
    assert changed.modified > source.modified
    assert (await application.sources.opened(source.id)).settings == clear | {"password": PASSWORD}
    assert (await application.sources.update(source.id, {}, ["username", "password"])).settings == {
        "id_column": "number", "url": WEB["url"],
    }  # fmt: skip
    assert (await rows(application, "source"))[0]["sealed"] is None


@pytest.mark.parametrize(
    ("given", "unset", "words"),
    [
        ({"path": "/x.csv"}, (), "two places"),
        ({"nonsense": "x"}, (), "no setting 'nonsense'"),
        ({}, ("password",), "has no setting 'password' to take away"),
        ({}, ("id_column",), "needs the setting id_column"),
        ({"token": "***"}, (), "give the secret itself"),
        ({"url": "https://hr.example/people.csv?***"}, (), "url holds .*give the secret itself"),
        ({"token": "abc"}, (), "token has fewer than 4 characters"),
    ],
)
async def test_a_change_that_cannot_be_right_changes_nothing(application, source, given, unset, words):
    before = await rows(application, "source")

    with pytest.raises(ConfigurationError, match=words):
        await application.sources.update(source.id, given, unset)

    assert await rows(application, "source") == before
    assert await trail(application, "source.changed") == []


async def test_the_query_of_a_url_is_a_secret_that_is_sealed_and_shown_nowhere(application):
    signed = {"id_column": "id", "url": f"{WEB['url']}?sig={TOKEN}", "entitlement_url": "https://hr.example/x?v=1"}
    hidden = signed | {"url": f"{WEB['url']}?***"}

    made = await application.sources.create("HR", "delimited", signed)
    changed = await application.sources.update(made.id, {"name_column": "name"})
    moved = await application.sources.update(made.id, {"url": f"{WEB['url']}?sig={PASSWORD}"})

    (row,) = await rows(application, "source")
    assert made.settings == hidden
    assert changed.settings == moved.settings == row["settings"] == hidden | {"name_column": "name"}
    assert (await application.sources.opened(made.id)).settings == signed | {
        "name_column": "name", "url": f"{WEB['url']}?sig={PASSWORD}",
    }  # fmt: skip
    assert [after.get("newSecrets") for _, _, after in await trail(application, "source.changed")] == [None, ["url"]]
    noted = str(await rows(application, "audit"))
    for secret in (TOKEN, PASSWORD):
        assert secret not in noted
        assert secret.encode() not in row["sealed"]


async def test_the_query_of_a_url_that_was_lost_with_the_key_file_is_missed_and_may_be_given_anew(application):
    signed = {"id_column": "id", "url": f"{WEB['url']}?sig={TOKEN}"}
    made = await application.sources.create("HR", "delimited", signed)
    await application.database.write("UPDATE source SET sealed = NULL")  # As it is when the key is lost.

    with pytest.raises(ConfigurationError, match="were lost"):
        await application.sources.opened(made.id)

    await application.sources.update(made.id, {"url": signed["url"]})
    assert (await application.sources.opened(made.id)).settings == signed


async def test_a_change_to_what_is_so_already_is_none(application, source):
    before = await rows(application, "source")

    same = await application.sources.update(source.id, {"token": TOKEN, "id_column": "id"})

    assert same == source
    assert await rows(application, "source") == before
    assert await trail(application, "source.changed") == []


async def test_every_change_of_a_source_is_in_the_trail_without_secrets(application, source):
    await application.sources.update(source.id, {"token": PASSWORD})
    await application.sources.update(source.id, {"name_column": "name"})
    await application.sources.delete(source.id)

    hidden = WEB | {"token": "***"}
    named = hidden | {"name_column": "name"}
    facts = {"name": "HR", "connector": "delimited"}
    assert await trail(application, "source.created") == [(source.id, None, facts | {"settings": hidden})]
    assert await trail(application, "source.changed") == [
        (source.id, {"settings": hidden}, {"settings": hidden, "newSecrets": ["token"]}),
        (source.id, {"settings": hidden}, {"settings": named}),
    ]
    assert await trail(application, "source.deleted") == [(source.id, facts | {"settings": named}, None)]


async def test_what_is_refused_is_not_in_the_trail(application, source):
    with pytest.raises(InvalidRequest):
        await application.sources.create("HR", "unix", {})
    with pytest.raises(NotFound):
        await application.sources.delete("0" * 32)

    assert len(await trail(application, "source.created")) == 1
    assert await trail(application, "source.deleted") == []


async def test_resealing_makes_everything_anew_and_opens_to_the_same(application, source):
    await application.sources.create("Files", "delimited", {"id_column": "id"})
    before = (await rows(application, "source"))[0]["sealed"], (await kept_keys(application))["source"]

    count = await application.sealing.rotate()

    assert count == 1
    after = await application.database.fetch("SELECT sealed FROM source WHERE sealed IS NOT NULL")
    assert after[0]["sealed"] != before[0]
    assert (await kept_keys(application))["source"] != before[1]
    assert (await application.sources.opened(source.id)).settings["token"] == TOKEN
    assert await trail(application, "key.resealed") == [("source", None, {"sources": 1})]


async def test_readers_and_writers_never_meet_a_key_that_does_not_fit(application, settings, source):
    async with app.opened(replace(settings), name="another node") as other:
        over = asyncio.Event()
        seen = 0

        async def read(sources):
            nonlocal seen
            while not over.is_set():
                token = (await sources.opened(source.id)).settings["token"]
                assert token.startswith(TOKEN)
                seen += 1

        async def write(sources):
            count = 0
            while not over.is_set():
                count += 1
                await sources.update(source.id, {"token": f"{TOKEN}-{count}"})

        work = [asyncio.create_task(do(part.sources)) for part in (application, other) for do in (read, read, write)]
        for _ in range(10):
            await application.sealing.rotate()
            await other.sealing.rotate()
        over.set()
        await asyncio.gather(*work)

        assert seen > 20
        assert (await other.sources.opened(source.id)).settings["token"].startswith(TOKEN)


async def test_a_database_from_before_keeps_what_it_derived(settings):
    derived = Keyring.load(settings.key_file)
    async with app.opened(settings, name="first") as first:
        client, secret = await first.clients.create("ci", user_level=UserLevel.ORG_ADMIN, scopes=(ALL_SCOPES,))
        tenant = first.tokens.tenant_id
        assert await first.database.fetch_value("SELECT secret_hmac FROM client") == derived.mac(
            "client secret", secret.encode()
        )
        await first.database.write("DELETE FROM sealed_key WHERE id <> 'check'")

    async with app.opened(settings, name="second") as second:
        assert await second.clients.authenticated(client.id, secret) is not None
        assert second.tokens.tenant_id == tenant
        assert set(await kept_keys(second)) == {"check", "client secret", "tenant", "source"}


async def test_a_node_with_another_key_keeps_nothing_of_its_own(application, settings, tmp_path):
    await application.database.write("DELETE FROM sealed_key WHERE id <> 'check'")
    before = await kept_keys(application)
    Keyring.load(tmp_path / "other")

    with pytest.raises(ConfigurationError, match="not the one this database was set up with"):
        async with app.opened(replace(settings, key_file=tmp_path / "other"), name="stranger"):
            pass

    assert await kept_keys(application) == before


async def test_many_nodes_that_start_at_once_agree_on_every_key(settings, application):
    await application.database.write("DELETE FROM sealed_key")
    store = KeyStore(application.database)

    keyrings = await asyncio.gather(*(Keyring.of_database(settings.key_file, store) for _ in range(8)))

    assert len({keyring.mac("tenant", b"") for keyring in keyrings}) == 1
    assert len(await store.all()) == 4


async def test_another_installation_key_leaves_everything_good_that_was_made_before(
    application, settings, source, tmp_path
):
    client, secret = await application.clients.create("ci", user_level=UserLevel.ORG_ADMIN, scopes=(ALL_SCOPES,))
    token = str((await application.tokens.issue(client.id, secret))["access_token"])
    kept = await kept_keys(application)
    new = tmp_path / "new"

    count = await application.sealing.replace_installation_key(new)

    assert stat.S_IMODE(new.stat().st_mode) == 0o600
    assert count == 4  # The MACs', the sources' and one that signs.
    assert await trail(application, "key.replaced") == [("installation", None, {"keys": 4})]
    assert not set(kept.values()) & set((await kept_keys(application)).values())
    with pytest.raises(ConfigurationError, match="not the one this database was set up with"):
        async with app.opened(settings, name="old"):
            pass
    async with app.opened(replace(settings, key_file=new), name="new") as after:
        assert await after.clients.authenticated(client.id, secret) is not None
        assert after.tokens.tenant_id == application.tokens.tenant_id
        assert (await after.tokens.verify(token)).client_id == client.id
        assert (await after.sources.opened(source.id)).settings["token"] == TOKEN


async def test_a_node_that_runs_takes_up_the_new_key_file_once_it_is_in_place(application, settings, source, tmp_path):
    await application.sealing.replace_installation_key(tmp_path / "new")

    with pytest.raises(ConfigurationError, match="cannot be opened with this node's key file"):
        await application.sources.opened(source.id)
    shutil.copy(tmp_path / "new", settings.key_file)

    assert (await application.sources.opened(source.id)).settings["token"] == TOKEN
    await application.sources.update(source.id, {"token": PASSWORD})
    await application.sealing.rotate()
    assert (await application.sources.opened(source.id)).settings["token"] == PASSWORD


async def test_the_first_keys_are_noted_by_who_makes_them_and_no_others(settings):
    for _ in range(2):
        async with app.opened(settings, name="first") as first:
            (signing,) = await first.signing_keys.list()

            made = await first.database.fetch("SELECT subject_id FROM audit WHERE action = 'key.created'")

            assert sorted(row["subject_id"] for row in made) == sorted(
                ["installation", "client secret", "tenant", "source", signing.kid]
            )


@pytest.mark.parametrize("change", [{"token": PASSWORD}, {"token": PASSWORD, "id_column": "number"}])
async def test_a_source_whose_secrets_nobody_can_open_is_given_others(application, source, change):
    await application.database.write("UPDATE source SET sealed = '\\x00'")
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        await application.sources.update(source.id, {"id_column": "number"})

    await application.sources.update(source.id, change)

    assert (await application.sources.opened(source.id)).settings == WEB | change


async def test_a_key_file_that_is_there_is_not_written_over(application, settings):
    before = settings.key_file.read_bytes()

    with pytest.raises(ConfigurationError, match=r"There is a file .* already"):
        await application.sealing.replace_installation_key(settings.key_file)

    assert settings.key_file.read_bytes() == before


async def test_a_replacement_that_fails_changes_nothing_and_leaves_no_file(application, tmp_path):
    await application.database.write("INSERT INTO signing_key (kid, sealed) VALUES ('broken', '\\x00')")
    before = await kept_keys(application)

    with pytest.raises(ConfigurationError, match="'broken' cannot be opened"):
        await application.sealing.replace_installation_key(tmp_path / "new")

    assert await kept_keys(application) == before
    assert not (tmp_path / "new").exists()
