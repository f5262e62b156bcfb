"""The reckoning: what the tables say in the end, each line a sentence that must find nothing."""

from pathlib import Path

import psycopg

from tests.stress.customers import Tally

OVER = "('completed', 'failed', 'cancelled')"
FINDINGS = {
    "runs that have not ended": f"select id from runs where status not in {OVER} or lease_owner is not null",
    "runs that were started twice": ("select metadata->>'key' from runs group by metadata->>'key' having count(*) > 1"),
    "runs whose frames have a gap": (
        "select run_id from frames group by run_id having min(seq) <> 1 or max(seq) <> count(*)"
    ),
    "runs without exactly one last frame, at the end": (
        "select r.id from runs r left join lateral (select count(*) as n, max(seq) as seq from frames where"
        " run_id = r.id and event in ('run.completed', 'run.failed', 'run.cancelled')) as ends on true"
        " where ends.n <> 1 or ends.seq <> (select max(seq) from frames where run_id = r.id)"
    ),
    "runs whose last frame is not how they ended": (
        "select r.id from runs r where not exists"
        " (select from frames where run_id = r.id and event = 'run.' || r.status)"
    ),
    "runs that are told of on the feed other than once": (
        "select r.id from runs r where (select count(*) from events where data->>'run_id' = r.id"
        " and type in ('run.completed', 'run.failed', 'run.cancelled')) <> 1"
    ),
    "runs that failed, but for having lost too many processes": (
        "select id || ' ' || error::text from runs where status = 'failed' and error->>'code' <> 'run_abandoned'"
    ),
    "runs that completed without an answer or without their transcript": (
        "select r.id from runs r left join transcripts t on t.run_id = r.id"
        " where r.status = 'completed' and (r.output is null or not coalesce(t.complete, false))"
    ),
    "turns that began before the one before them had ended": (
        "select id from (select id, started_at, lag(finished_at) over (partition by smith_id, thread_id order by turn)"
        " as before from runs where started_at is not null) as turns where started_at < before"
    ),
    "tool calls that were told of twice": (
        "select run_id || ' ' || (data->>'tool_call_id') from frames where event = 'tool.completed'"
        " group by run_id, data->>'tool_call_id' having count(*) > 1"
    ),
}


def left(url: str) -> int:
    """Return how many runs have not ended yet."""
    with psycopg.connect(url) as owner:
        row = owner.execute(f"select count(*) from runs where status not in {OVER}".encode()).fetchone()
    assert row is not None
    return int(row[0])


def found(url: str, tally: Tally) -> list[str]:
    """Return everything that is not as it must be."""
    wrong = list(tally.wrong)
    twice = [call for call, times in tally.results.items() if times > 1]
    if twice:
        wrong.append(f"{len(twice)} results of tool calls were taken twice: {', '.join(twice[:5])}")
    with psycopg.connect(url) as owner:
        for what, query in FINDINGS.items():
            rows = [str(row[0]) for row in owner.execute(query.encode()).fetchall()]
            if rows:
                wrong.append(f"{len(rows)} {what}: {', '.join(rows[:5])}")
        known = dict(owner.execute("select id, status from runs").fetchall())
    lost = [run_id for run_id in tally.accepted.values() if run_id not in known]
    if lost:
        wrong.append(f"{len(lost)} runs that were accepted and are gone: {', '.join(lost[:5])}")
    unasked = [run_id for run_id, how in known.items() if how == "cancelled" and run_id not in tally.cancelled]
    if unasked:
        wrong.append(f"{len(unasked)} runs that nobody cancelled were: {', '.join(unasked[:5])}")
    return wrong


def figures(url: str) -> dict[str, int]:
    """Return counts that tell what it was like."""
    counts = {
        "runs": "select count(*) from runs",
        "completed": "select count(*) from runs where status = 'completed'",
        "cancelled": "select count(*) from runs where status = 'cancelled'",
        "given up": "select count(*) from runs where status = 'failed'",
        "taken up again": "select count(*) from runs where attempt > 1",
        "processes lost": "select coalesce(sum(carriers_lost), 0) from runs",
        "frames": "select count(*) from frames",
    }
    with psycopg.connect(url) as owner:
        return {what: int((owner.execute(query.encode()).fetchone() or (0,))[0]) for what, query in counts.items()}


def logs(folder: Path) -> str:
    """Return what the processes complained about, the same complaint once."""
    lines = [line for log in sorted(folder.glob("*.log")) for line in log.read_text(errors="replace").splitlines()]
    kinds = dict.fromkeys(line[28:140] for line in lines if "[error" in line or "Traceback" in line)
    return "\n".join(list(kinds)[:20])
