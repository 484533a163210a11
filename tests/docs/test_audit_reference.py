"""The reference tells of whatever the audit trail may hold."""

import re

from tests.docs.test_docs import DOCS, ROOT, sections_of


def test_the_reference_has_every_action_of_the_audit_trail_and_no_other():
    subject = r"((?:client|definition|key|schedule|source|task|token|user)\.[a-z_]+)"
    code = "".join(path.read_text() for path in (ROOT / "src/windlass/server").rglob("*.py"))
    done = set(re.findall(f'"{subject}"', code)) | {f"schedule.{fate}" for fate in ("skipped", "missed", "refused")}
    rows = re.findall(
        r"^\| (`\w+\..+?) \|", sections_of(DOCS / "reference/commands.md")["windlass audit list"], re.MULTILINE
    )

    assert set(re.findall(f"`{subject}`", "".join(rows))) == done
