"""Pages are read off indexes, however the list is filtered; branches of a list neither overlap nor lose a task."""

import re
from datetime import timedelta
from itertools import product

import pytest

from windlass.server.language import filters
from windlass.server.store.task_lists import Query, Which, count_of, page_of

RETENTION = timedelta(days=90)
# Of each thousand rows: 10 pending, the rest ended; one source in ten, launchers and definitions by the hundred.
ROWS = """
INSERT INTO task (id, created, modified, completed, completion_status, type, definition, source_id, launcher,
                  execution, document)
SELECT gen_random_uuid(), at, at, CASE WHEN status IS NOT NULL THEN at END, status,
       (ARRAY['QUARTZ', 'QUARTZ', 'QPOC', 'QUEUED_TASK'])[1 + number % 4],
       'D' || number % 7, CASE WHEN number % 3 > 0 THEN 'S' || number % 10 END, 'L' || number % 100, 'external',
       json_build_object('id', number)
FROM generate_series(1, 20000) AS number,
     LATERAL (SELECT now() - number / 2 * interval '1 minute' AS at) AS made,
     LATERAL (SELECT CASE WHEN number % 100 = 0 THEN NULL WHEN number % 100 < 90 THEN 'SUCCESS'
                          WHEN number % 100 < 99 THEN 'ERROR' ELSE 'TERMINATED' END AS status) AS ended
"""
LISTS = {
    "": "task_created",
    'completion_status eq "SUCCESS"': "task_by_status",
    'completion_status eq "TERMINATED"': "task_by_status",
    'completion_status in ("TERMINATED", "ERROR")': "task_by_status",
    "completion_status isnull": "task_pending",
    "not completion_status isnull": "task_created",
    'source_id eq "S4"': "task_by_source",
    'source_id in ("S4", "S5", "S4", "S7")': "task_by_source",
    'source_id eq "S4" and completion_status eq "ERROR"': "task_by_source",
    'launcher eq "L7"': "task_by_launcher",
    'launcher in ("L7", "L8")': "task_by_launcher",
    'type eq "QUARTZ"': "task_by_type",
    'definition eq "D3"': "task_by_definition",
    'type in ("QPOC", "QUEUED_TASK") or definition in ("D1", "D2")': "task_by_type",
    'not (completion_status eq "SUCCESS")': "task_created",
}


@pytest.fixture
async def listed(application):
    await application.database.write(ROWS)
    await application.task_store.settle()
    return application


def query_of(text, which=Which.ALL, *, is_ascending=False):
    return Query(which, filters.parse(text) if text else None, is_ascending)


async def test_every_page_is_read_off_an_index_in_order(listed):
    cases = product(LISTS.items(), (Which.ALL, Which.ENDED), (True, False), (100, 1_500))
    for (text, index), which, is_ascending, offset in cases:
        if text == "completion_status isnull" and which is Which.ENDED:
            continue
        statement, values = page_of(query_of(text, which, is_ascending=is_ascending), offset=offset)

        plan = await listed.database.fetch(f"EXPLAIN {statement}", RETENTION, 50, offset, *values)

        # Within its limit: the ids come out of indexes, far behind out of them alone, in order; nothing is sorted.
        page = "\n".join(row[0] for row in plan).partition("Limit")[2].partition("using task_pkey")[0]
        expected = f"Index Only Scan( Backward)? using {index} on task" if offset > 1_000 else "Index Scan"
        assert re.search(expected, page), (text, offset, page)
        assert not re.search(r"Seq Scan|Bitmap|\bSort  ", page), (text, page)


async def test_a_filtered_count_is_read_off_indexes_alone(listed):
    for text in LISTS:
        statement, values = count_of(query_of(text))

        plan = await listed.database.fetch(f"EXPLAIN {statement}", RETENTION, *values)

        lines = "\n".join(row[0] for row in plan)
        assert "Index Only Scan" in lines, (text, lines)
        assert not re.search(r"Seq Scan|Heap Scan", lines), (text, lines)


@pytest.mark.parametrize("text", [
    *LISTS, 'type eq "QPOC" or type eq "QPOC"', 'type eq "QPOC" or definition eq "D1" or launcher in ("L7", "L8")',
    '(type eq "QPOC" or source_id eq "S4") and (completion_status in ("SUCCESS", "ERROR") or launcher eq "L1")',
    'not (type eq "QPOC" or source_id eq "S4")', 'not (type in ("QPOC", "QUARTZ") and not (source_id eq "S4"))',
    "launcher in (" + ", ".join(f'"L{number}"' for number in range(40)) + ")",
    " or ".join(f'launcher eq "L{number}"' for number in range(40)),
])  # fmt: skip
async def test_branches_neither_overlap_nor_lose_a_task(listed, text):
    query = query_of(text)
    condition, values = count_of(query)
    whole = await listed.database.fetch(
        condition.replace("count(*)", "document") + " ORDER BY created DESC, id DESC", RETENTION, *values
    )

    pages = []
    while page := await listed.task_store.page(query, limit=2_000, offset=len(pages)):
        pages += page

    assert pages == [row["document"] for row in whole]
    assert await listed.task_store.count(query) == len(pages)
