"""Clients and users: who gets a token, what ends when they are changed, and what the audit trail says of it."""

import asyncio
import hmac

import pytest

from windlass.server.errors import InvalidRequest, NotFound
from windlass.server.model.principal import ALL_SCOPES, UserLevel
from windlass.server.service.tokens import ClientRejected

ADMIN, HELPDESK = UserLevel.ORG_ADMIN, UserLevel.HELPDESK
SCOPES = ("idn:task-management:read", "idn:sources:manage")
A_TOKEN_AND_LEEWAY_S = 99_999 + 30


@pytest.fixture
def clients(application):
    return application.clients


@pytest.fixture
def users(application):
    return application.users


@pytest.fixture
def create(clients):
    async def create(name="ada", user_level=ADMIN, scopes=SCOPES, **options):
        return await clients.create(name, user_level=user_level, scopes=scopes, **options)

    return create


@pytest.fixture
async def noted(application):
    """What the audit trail has of the test: action, subject, before and after."""
    last = await application.database.fetch_value("SELECT coalesce(max(id), 0) FROM audit")

    async def noted():
        rows = await application.database.fetch(
            "SELECT action, subject_id, before, after FROM audit WHERE id > $1 ORDER BY id", last
        )
        return [tuple(row) for row in rows]

    return noted


@pytest.fixture
def refused(application):
    """The least epoch of each client whose tokens are refused."""

    async def refused():
        rows = await application.database.fetch(
            "SELECT client_id, max(least_epoch) AS epoch FROM revocation GROUP BY client_id"
        )
        return {row["client_id"]: row["epoch"] for row in rows}

    return refused


async def signs_in(application, client, secret):
    try:
        await application.tokens.issue(client.id, secret)
    except ClientRejected:
        return False
    return True


async def test_a_client_acts_for_a_user_of_its_name_unless_told_for_whom(create):
    ada, _ = await create()
    laptop, _ = await create("laptop", user_level=None, as_user="ada")
    desk, _ = await create("desk", HELPDESK, as_user="grace")
    robot, _ = await create("robot", user_level=None)

    assert ada.user is not None
    assert laptop.user == ada.user
    assert (desk.user.name, desk.user.user_level) == ("grace", HELPDESK)
    assert robot.user is None


async def test_a_client_cannot_act_for_whom_it_may_not(create, users):
    ada, _ = await create()

    with pytest.raises(NotFound, match='no user with the id or the name "nobody"'):
        await create("laptop", user_level=None, as_user="nobody")
    with pytest.raises(InvalidRequest, match="whose level is ORG_ADMIN"):
        await create("ada", HELPDESK)
    await users.disable(ada.user.id)
    with pytest.raises(InvalidRequest, match="disabled"):
        await create("laptop", user_level=None, as_user="ada")


@pytest.mark.parametrize("scope", ["", "two words", 'a"b', "a\\b", "a\nb", "ä", "x" * 256])
async def test_a_scope_that_no_token_can_say_is_refused(create, scope):
    with pytest.raises(InvalidRequest, match="is no scope"):
        await create(scopes=(scope,))


async def test_clients_are_listed_by_name_and_found_by_id_or_a_name_of_their_own(create, clients):
    twins = [(await create("twin"))[0] for _ in range(2)]
    ada, _ = await create()

    assert await clients.list() == [ada, *twins]
    assert await clients.find("ada") == await clients.find(ada.id) == ada
    assert await clients.find(twins[1].id) == twins[1]
    with pytest.raises(InvalidRequest, match=f"2 clients are named .*{twins[0].id}, {twins[1].id}"):
        await clients.find("twin")
    for given in ("nobody", "", "nul\0", "half \udce9"):
        with pytest.raises(NotFound):
            await clients.find(given)


async def test_after_a_rotation_the_new_secret_alone_counts(application, create, clients, refused):
    client, old = await create()

    rotated, new = await clients.rotate(client.id)

    assert not await signs_in(application, client, old)
    assert await signs_in(application, client, new)
    assert rotated.epoch == client.epoch + 1
    assert await refused() == {client.id: rotated.epoch}


async def test_a_disabled_client_stays_out_until_it_is_enabled(application, create, clients, refused):
    client, secret = await create()

    disabled = await clients.disable(client.id)

    assert not await signs_in(application, client, secret)
    assert (disabled.is_disabled, disabled.epoch) == (True, 1)
    assert await refused() == {client.id: 1}
    enabled = await clients.enable(client.id)
    assert await signs_in(application, client, secret)
    assert (enabled.is_disabled, enabled.epoch) == (False, 1)


async def test_a_deleted_client_is_gone_and_its_user_stays(application, create, clients, users, refused):
    client, secret = await create()

    await clients.delete(client.id)

    assert not await signs_in(application, client, secret)
    assert await clients.list() == []
    assert await users.list() == [client.user]
    assert await refused() == {client.id: 1}


async def test_refusals_last_as_long_as_any_token_may(application, create, clients):
    client, _ = await create()

    await clients.disable(client.id)

    rows = await application.database.fetch("SELECT extract(epoch FROM ends - revoked) AS s FROM revocation")
    assert len(rows) == 1
    assert rows[0]["s"] >= A_TOKEN_AND_LEEWAY_S


@pytest.mark.parametrize("change", ["disable", "delete", "level"])
async def test_what_befalls_a_user_befalls_all_its_clients(application, create, users, refused, change):
    ada, secret = await create()
    laptop, _ = await create("laptop", user_level=None, as_user="ada")
    other, others_secret = await create("grace")

    if change == "level":
        changed = await users.change_level(ada.user.id, HELPDESK)
        assert changed.user_level is HELPDESK
    else:
        await getattr(users, change)(ada.user.id)

    assert await refused() == {ada.id: 1, laptop.id: 1}
    assert await signs_in(application, ada, secret) is (change == "level")
    assert await signs_in(application, other, others_secret)
    assert [user.name for user in await users.list()] == (["grace"] if change == "delete" else ["ada", "grace"])
    assert len(await application.clients.list()) == (1 if change == "delete" else 3)


async def test_a_user_is_found_by_name_and_id_and_enabled_again(application, create, users):
    ada, secret = await create()

    await users.disable(ada.user.id)
    enabled = await users.enable((await users.find("ada")).id)

    assert await users.find(ada.user.id) == enabled == ada.user
    assert await signs_in(application, ada, secret)
    for given in ("nobody", "nul\0"):
        with pytest.raises(NotFound):
            await users.find(given)


async def test_a_client_disabled_itself_stays_out_when_its_user_is_enabled(application, create, users, clients):
    ada, secret = await create()
    await clients.disable(ada.id)
    await users.disable(ada.user.id)

    await users.enable(ada.user.id)

    assert not await signs_in(application, ada, secret)


async def test_who_is_not_there_cannot_be_changed(clients, users):
    for change in (clients.rotate, clients.disable, clients.enable, clients.delete, users.disable, users.delete):
        with pytest.raises(NotFound):
            await change("nobody")
    with pytest.raises(NotFound):
        await users.change_level("nobody", ADMIN)


async def test_every_change_is_noted_once_and_no_secret_is(application, create, clients, users, noted):
    client, secret = await create()
    user = client.user
    _, rotated = await clients.rotate(client.id)
    for _ in range(2):
        await clients.disable(client.id)
    for _ in range(2):
        await clients.enable(client.id)
    for _ in range(2):
        await users.change_level(user.id, HELPDESK)
    for _ in range(2):
        await users.disable(user.id)
    for _ in range(2):
        await users.enable(user.id)
    await users.delete(user.id)

    about = {"name": "ada", "user": "ada", "userLevel": "ORG_ADMIN", "scopes": list(SCOPES)}
    is_disabled, is_enabled = {"name": "ada", "disabled": True}, {"name": "ada", "disabled": False}
    was, became = {"name": "ada", "userLevel": "ORG_ADMIN"}, {"name": "ada", "userLevel": "HELPDESK"}
    trail = await noted()
    assert trail == [
        ("user.created", user.id, None, was),
        ("client.created", client.id, None, about),
        ("client.rotated", client.id, None, {"name": "ada"}),
        ("client.disabled", client.id, is_enabled, is_disabled),
        ("client.enabled", client.id, is_disabled, is_enabled),
        ("user.changed", user.id, was, became),
        ("user.disabled", user.id, is_enabled, is_disabled),
        ("user.enabled", user.id, is_disabled, is_enabled),
        ("client.deleted", client.id, about | {"userLevel": "HELPDESK"}, None),
        ("user.deleted", user.id, became, None),
    ]
    assert secret not in str(trail)
    assert rotated not in str(trail)


async def test_a_change_that_fails_leaves_no_note(create, noted):
    await create()
    before = await noted()

    with pytest.raises(InvalidRequest):
        await create("ada", HELPDESK)

    assert await noted() == before


async def test_secrets_are_compared_in_constant_time_whoever_asks(application, create, clients, monkeypatch):
    client, secret = await create()
    disabled, disabled_secret = await create("grace")
    await clients.disable(disabled.id)
    compared = []
    compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda one, other: compared.append((one, other)) or compare(one, other))

    for client_id, given, is_known in (
        (client.id, secret, True),
        (client.id, "wrong", False),
        (disabled.id, disabled_secret, False),
        (disabled.id, "wrong", False),
        ("0" * 32, secret, False),
        ("nul\0", secret, False),
        (client.id, "\ud800", False),
    ):
        compared.clear()
        assert (await clients.authenticated(client_id, given) is not None) is is_known
        assert [(len(one), len(other)) for one, other in compared] == [(32, 32)]


async def test_users_made_by_many_at_once_are_one(create, users):
    made = await asyncio.gather(*(create(f"client {number}", as_user="ada") for number in range(8)))

    assert len({client.user.id for client, _ in made}) == 1
    assert len(await users.list()) == 1


async def test_changes_at_once_are_all_counted(create, clients, users, refused):
    client, _ = await create()

    await asyncio.gather(
        *(clients.rotate(client.id) for _ in range(20)),
        *(users.change_level(client.user.id, level) for level in [HELPDESK, ADMIN] * 5),
    )

    (found,) = await clients.list()
    assert 20 < found.epoch <= 30
    assert await refused() == {client.id: found.epoch}


FIXED = {"name": "ci", "as_user": "ci", "user_level": None, "scopes": (ALL_SCOPES,)}


async def test_a_fixed_client_is_made_once_by_however_many_nodes(application, clients, users, noted):

    answers = await asyncio.gather(*(clients.ensure("ci", "secret", **FIXED) for _ in range(8)))

    assert sorted(is_changed for _, is_changed in answers) == [False] * 7 + [True]
    assert [user.user_level for user in await users.list()] == [ADMIN]
    assert [action for action, *_ in await noted()] == ["user.created", "client.created"]
    assert await signs_in(application, answers[0][0], "secret")


@pytest.mark.parametrize(
    ("secret", "change", "actions"),
    [
        ("secret", {}, []),
        ("another", {}, ["client.rotated"]),
        ("secret", {"scopes": SCOPES}, ["client.changed"]),
        ("secret", {"name": "CI"}, ["client.changed"]),
        ("secret", {"as_user": None}, ["client.changed"]),
        ("secret", {"as_user": "other"}, ["user.created", "client.changed"]),
        ("secret", {"user_level": ADMIN}, []),
        ("secret", {"user_level": HELPDESK}, ["user.changed"]),
        ("another", {"user_level": HELPDESK, "scopes": SCOPES}, ["user.changed", "client.changed", "client.rotated"]),
    ],
)
async def test_a_fixed_client_is_brought_up_to_date(application, clients, noted, secret, change, actions):
    first, _ = await clients.ensure("ci", "secret", **FIXED)
    before = len(await noted())

    client, is_changed = await clients.ensure("ci", secret, **FIXED | change)

    assert is_changed is bool(actions)
    assert [action for action, *_ in (await noted())[before:]] == actions
    assert (client.epoch > first.epoch) is bool(actions)
    assert [client] == await clients.list()
    assert await signs_in(application, client, secret)


async def test_a_fixed_client_leaves_the_level_of_a_user_that_it_does_not_name(create, clients, users):
    await create("ci", HELPDESK)

    client, _ = await clients.ensure("fixed", "secret", **FIXED)

    assert client.user.user_level is HELPDESK


async def test_a_fixed_client_that_is_disabled_stays_so(application, clients, users):
    client, _ = await clients.ensure("ci", "secret", **FIXED)
    await clients.disable(client.id)

    same, is_changed = await clients.ensure("ci", "secret", **FIXED)
    changed, _ = await clients.ensure("ci", "another", **FIXED)

    assert (same.is_disabled, changed.is_disabled, is_changed) == (True, True, False)
    assert not await signs_in(application, client, "another")


async def test_the_tokens_of_a_deleted_client_stay_refused_when_one_of_its_id_comes_back(clients, refused):
    await clients.ensure("ci", "secret", **FIXED)
    await clients.disable("ci")
    await clients.delete("ci")

    client, _ = await clients.ensure("ci", "secret", **FIXED)

    assert await refused() == {"ci": 2}
    assert client.epoch == 2


async def test_changes_at_once_of_users_and_their_clients_never_stand_in_each_others_way(create, clients, users):
    async def swap(number):
        """Have a fixed client act for the one or the other."""
        user = ("ada", "grace")[number % 2]
        level = (ADMIN, HELPDESK)[number // 2 % 2]
        await clients.ensure(f"fixed {number % 3}", "secret", **FIXED | {"as_user": user, "user_level": level})

    async def change(number):
        try:
            match number % 6:
                case 0:
                    await create(f"client {number}", user_level=None, as_user="ada")
                case 1:
                    await users.change_level((await users.find("grace")).id, (ADMIN, HELPDESK)[number // 6 % 2])
                case 2:
                    await clients.rotate("fixed 0")
                case 3:
                    await clients.delete("fixed 1")
                case 4:
                    await users.delete((await users.find(("ada", "grace")[number // 6 % 2])).id)
                case _:
                    await swap(number // 6)
        except (NotFound, InvalidRequest):
            pass  # Somebody else was first.

    await asyncio.gather(*(change(number) for number in range(120)))
