"""What is said of a mount, and of a part of it: how fresh the record is, what was found, what is healed, what waits."""

from pathlib import Path

from api.observe.metrics.gauges import of_drift
from schema.store import looks
from schema.store.pool import Pool
from tests.store.drift import make_drifting
from tests.store.helpers import Protocol


async def test_a_mount_and_its_parts_say_how_fresh_they_are_and_what_was_found(
    pool: Pool, tmp_path: Path, protocol: Protocol
) -> None:
    drifting = await make_drifting(pool, tmp_path / "root", protocol, ("a", "d/a", "d/b", "e/a"))
    await drifting.settle(1)
    await drifting.policy(onNew="ask", onChanged="ask")
    drifting.write("d/a", "other")
    drifting.write("d/new")
    drifting.write("e/new")
    await drifting.look()
    drifting.remove("e/new")
    later = await drifting.begin("e", whole=False)
    await drifting.read(later)
    await drifting.conclude(later)

    async with pool.connection() as connection:
        whole, d, e = [await looks.consistency(connection, drifting.mount, path) for path in (b"", b"d", b"e/a")]
        [numbers] = [one for one in await looks.numbers(connection) if (one.findings, one.healed) == ({"open": 2}, 1)]
    assert (whole.findings, whole.open, whole.healed) == ({"changed": 1, "new": 1}, 2, 1)
    assert (d.findings, d.healed, d.fresh_since) == ({"changed": 1, "new": 1}, 0, whole.fresh_since)
    assert (e.findings, e.last_audit and e.last_audit["look"]) == ({}, later)
    assert e.fresh_since is not None and whole.fresh_since is not None and e.fresh_since > whole.fresh_since
    assert whole.found == numbers.found == {"new": 8, "changed": 1}

    shown = {sample.name: sample for metric in of_drift([numbers]) for sample in metric.samples}
    assert shown["filestore_drift_audit_age_seconds"].value == numbers.audit_seconds
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for metric in of_drift([numbers])
        for sample in metric.samples
    }
    key = numbers.mount_key
    assert values["filestore_drift_found_total", "main", key, "new"] == 8
    assert values["filestore_drift_findings", "main", key, "open"] == 2
    assert values["filestore_drift_looks_held", "main", key] == 0
