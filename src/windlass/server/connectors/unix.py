"""This machine's own users and groups, as the C library's passwd and group databases list them.

Through the C library, so that accounts from LDAP or SSSD count where the machine lists them: row for row what
`getent passwd` and `getent group` print. Knows no database and no task, and touches no password.
"""

import grp
import pwd
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from windlass.server.connectors.lines import is_decoded
from windlass.server.connectors.reading import Look, Reading, Record, Skipped, unseen
from windlass.server.errors import SourceUnreadable
from windlass.server.model.source import Kind


class Unix:
    """Users as accounts, groups as entitlements; it has no settings.

    Both databases are read whole when a reading is asked for. Who is in which group comes from one pass over
    all groups and each user's primary group, because `getgrouplist` goes through every group, or asks the
    directory, once per user. A primary group that is not listed is left out, as it is no entitlement either.
    """

    takes_upload = False

    def needs_upload(self, kind: Kind) -> bool:
        """Never: the machine is always there."""
        return False

    def accounts(self, upload: BinaryIO | None, look: Look = unseen) -> Reading:
        """Read every user; displayName is the first part of gecos, groups are names, sorted."""
        users, groups = _listed(upload)
        groups_of: dict[str, list[str]] = {}
        for group, members in sorted(_members(users, groups).items()):
            for member in members:
                groups_of.setdefault(member, []).append(group)
        found: Iterator[tuple[str, dict[str, object]]] = (
            (
                user.pw_name,
                {
                    "uid": user.pw_uid,
                    "gid": user.pw_gid,
                    "gecos": user.pw_gecos,
                    "displayName": user.pw_gecos.partition(",")[0],
                    "home": user.pw_dir,
                    "shell": user.pw_shell,
                    "groups": groups_of.get(user.pw_name, []),
                },
            )
            for user in users
        )
        return _reading(found, len(users))

    def entitlements(self, upload: BinaryIO | None, look: Look = unseen) -> Reading:
        """Read every group; members are names, sorted, and include those who have it as primary group."""
        users, groups = _listed(upload)
        members = _members(users, groups)
        found: Iterator[tuple[str, dict[str, object]]] = (
            (group.gr_name, {"gid": group.gr_gid, "members": sorted(members.get(group.gr_name, ()))})
            for group in groups
        )
        return _reading(found, len(groups))

    def test(self, look: Look = unseen) -> str:
        """Count what is there."""
        users, groups = _listed(None)
        return f"{len(users)} accounts and {len(groups)} groups"


def _listed(upload: BinaryIO | None) -> tuple[list[pwd.struct_passwd], list[grp.struct_group]]:
    if upload is not None:
        raise SourceUnreadable("this source is the machine's own accounts and takes no file: launch without one")
    users, groups = pwd.getpwall(), grp.getgrall()
    # The C library answers a failure with an empty list, which would read as "everyone has gone".
    if not users or not groups:
        raise SourceUnreadable(
            f"the machine lists {len(users)} accounts and {len(groups)} groups: check /etc/nsswitch.conf"
        )
    return users, groups


def _members(users: list[pwd.struct_passwd], groups: list[grp.struct_group]) -> dict[str, set[str]]:
    """Group name -> user names; names that are not text are left out, as their rows are skipped."""
    members: dict[str, set[str]] = {}
    name_of: dict[int, str] = {}
    for group in groups:
        if is_decoded(group.gr_name):
            members.setdefault(group.gr_name, set()).update(filter(is_decoded, group.gr_mem))
            name_of.setdefault(group.gr_gid, group.gr_name)
    for user in users:
        if user.pw_gid in name_of and is_decoded(user.pw_name):
            members[name_of[user.pw_gid]].add(user.pw_name)
    return members


def _reading(found: Iterable[tuple[str, dict[str, object]]], total: int) -> Reading:
    done = 0

    def rows() -> Iterator[Record | Skipped]:
        nonlocal done
        for done, (name, attributes) in enumerate(found, 1):
            if not is_decoded(name):
                yield Skipped(done, "bad encoding in the name")
            elif flawed := [key for key, value in attributes.items() if not is_decoded(str(value))]:
                yield Skipped(done, f"bad encoding in {flawed[0]}", name)
            else:
                yield Record(done, name, name, attributes)

    return Reading(rows(), lambda: done / total)
