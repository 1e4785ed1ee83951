"""Secrets as rows: none comes in plain, each names its key, and a change of the key leaves none behind."""

import argparse
import uuid
from pathlib import Path

import pytest
from psycopg import errors as pg

from schema.principals import Principal
from schema.secrets.keyring import Keyring, new_key, of_mount, of_subscription, sealed_all
from schema.secrets.references import ReferencesAllowed, SecretUnreadable
from schema.settings import Settings
from schema.store import mounts, secrets, subscriptions
from tests.fix_keys import KEY
from tests.store.helpers import Connection, make_mount
from workers import keys as operators

ALLOWED = ReferencesAllowed(["FILESTORE_SECRET_*"])


async def key_ids(connection: Connection, mount: int) -> dict[str, str | None]:
    query = "SELECT name, key_id FROM filestore.mount_secrets WHERE mount_id = %s"
    return {row["name"]: row["key_id"] for row in await (await connection.execute(query, [mount])).fetchall()}


async def subscribe(connection: Connection, keys: Keyring) -> str:
    row = await (await connection.execute("SELECT id FROM filestore.tokens LIMIT 1")).fetchone()
    assert row is not None
    id, ann = str(uuid.uuid4()), Principal("ann", "main", row["id"])
    sealed = keys.seal(of_subscription(id), "whsec_one")
    await subscriptions.create(connection, id, ann, "https://example.org", sealed, {}, None)
    return id


async def test_a_plain_secret_of_a_mount_is_refused_by_the_database(connection: Connection) -> None:
    mount = await make_mount(connection)
    with pytest.raises(pg.CheckViolation):
        async with connection.transaction():
            await mounts.keep_secrets(connection, mount, {"password": "plain"})


async def test_another_key_seals_what_the_one_before_it_did(connection: Connection) -> None:
    old, new = new_key(), new_key()
    before, after = Keyring(f"{old},{KEY}", None, ALLOWED), Keyring(f"{new},{old},{KEY}", None, ALLOWED)
    mount = await make_mount(connection)
    told = {"accessKeyId": "a", "secretAccessKey": "b", "other": "env:FILESTORE_SECRET_X"}
    await mounts.keep_secrets(connection, mount, sealed_all(before, mount, told))
    subscription = await subscribe(connection, before)
    assert (await key_ids(connection, mount))["accessKeyId"] == old.partition(":")[0]

    assert await secrets.reseal(connection, after) >= 3

    assert set((await key_ids(connection, mount)).values()) == {new.partition(":")[0], None}
    alone = Keyring(new, None, ALLOWED)
    found = await mounts.find(connection, mount, "main")
    assert found is not None and found.secrets["other"] == "env:FILESTORE_SECRET_X"
    assert alone.open(of_mount(mount, "secretAccessKey"), found.secrets["secretAccessKey"]) == "b"
    due = await subscriptions.load_due(connection, subscription)
    assert due is not None and [alone.open(of_subscription(subscription), one) for one in due.secrets] == ["whsec_one"]
    assert (await secrets.keys_in_use(connection)).keys() == {new.partition(":")[0]}
    assert await secrets.reseal(connection, after) == 0


async def test_what_a_release_before_stored_in_plain_is_sealed(connection: Connection) -> None:
    mount = await make_mount(connection)
    await connection.execute("ALTER TABLE filestore.mount_secrets DROP CONSTRAINT mount_secrets_sealed")
    keys = Keyring(f"{new_key()},{KEY}", None, ALLOWED)
    await secrets.reseal(connection, keys, plain_only=True)  # what other tests have left
    await mounts.keep_secrets(connection, mount, {"password": "plain"})
    assert await secrets.reseal(connection, keys, plain_only=True) == 1
    found = await mounts.find(connection, mount, "main")
    assert found is not None and found.secrets["password"].startswith(f"sealed:{keys.current}:")
    assert keys.opened(found).secrets == {"password": "plain"}


async def test_a_key_that_is_missing_is_named_and_nothing_is_lost(connection: Connection) -> None:
    mount, lost = await make_mount(connection), new_key()
    sealed = sealed_all(Keyring(lost, None, ALLOWED), mount, {"password": "p"})
    await mounts.keep_secrets(connection, mount, sealed)
    with pytest.raises(SecretUnreadable, match=lost.partition(":")[0]):
        await secrets.reseal(connection, Keyring(f"{new_key()},{KEY}", None, ALLOWED))
    found = await mounts.find(connection, mount, "main")
    assert found is not None and found.secrets == sealed


async def test_an_operator_changes_the_key(
    connection: Connection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "keys"
    path.write_text(KEY + "\n")
    settings = Settings(secrets_keys=None, secrets_keys_path=str(path))  # type: ignore[call-arg]
    mount = await make_mount(connection)
    ring = Keyring(None, str(path), ALLOWED)
    await mounts.keep_secrets(connection, mount, sealed_all(ring, mount, {"password": "p"}))

    async def ran(command: str, **named: str) -> tuple[int, str]:
        code = await operators._COMMANDS[command](connection, settings, argparse.Namespace(**named))
        return code, capsys.readouterr().out.strip()

    code, added = await ran("add")
    assert code == 0 and path.read_text().splitlines()[0].startswith(f"{added}:")
    assert (await ran("drop", id="test"))[0] == 1, "it has sealed something"
    assert (await ran("reseal"))[0] == 0
    assert (await ran("list"))[1].splitlines()[1] == "test 0"
    assert (await ran("drop", id="test"))[0] == 0
    assert (await ran("drop", id=added))[0] == 1, "it is the last one"
    found = await mounts.find(connection, mount, "main")
    assert found is not None and ring.opened(found).secrets == {"password": "p"}
