"""Secrets are sealed by a key, bound to their row, or referred to; what can not be opened says why, and never what."""

import os
import stat
import threading
from pathlib import Path

import pytest

from schema.errors import InvalidRequest, MountOffline, Unavailable
from schema.ids import MountId
from schema.mounts import Mount
from schema.secrets.keyring import PLAIN, Keyring, make_key_file, new_key, of_mount, sealed_all, write_keys
from schema.secrets.references import ReferencesAllowed, SecretUnreadable

SECRET = "CANARY-of-a-secret"
PLACE = of_mount(MountId(1), "secretAccessKey")
NONE = ReferencesAllowed()


def ring(*keys: str, allowed: ReferencesAllowed = NONE) -> Keyring:
    return Keyring(",".join(keys), None, allowed)


def test_a_sealed_secret_opens_in_its_own_row_alone() -> None:
    keys = ring(new_key())
    sealed = keys.keep(PLACE, SECRET)
    assert sealed.startswith(f"sealed:{keys.current}:") and SECRET not in sealed
    assert keys.open(PLACE, sealed) == SECRET
    assert keys.keep(PLACE, SECRET) != sealed, "no two texts of one secret are the same"
    for other in (of_mount(MountId(2), "secretAccessKey"), of_mount(MountId(1), "accessKeyId")):
        with pytest.raises(SecretUnreadable):
            keys.open(other, sealed)


@pytest.mark.parametrize(
    "change", [lambda t: t[:-5] + "AAAA=", lambda t: t[:30], lambda t: t + "é", lambda t: t.replace(":k", ":x")]
)
def test_a_changed_text_opens_nowhere(change: object) -> None:
    keys = ring(new_key())
    with pytest.raises(SecretUnreadable) as raised:
        keys.open(PLACE, change(keys.seal(PLACE, SECRET)))  # type: ignore[operator]
    assert SECRET not in str(raised.value)


def test_the_first_key_seals_and_the_others_open() -> None:
    old, new = new_key(), new_key()
    sealed = ring(old).seal(PLACE, SECRET)
    both = ring(new, old)
    assert both.open(PLACE, sealed) == SECRET
    assert both.seal(PLACE, SECRET).split(":")[1] == new.split(":")[0]
    with pytest.raises(SecretUnreadable, match=f"key '{old.split(':')[0]}', which this host does not have"):
        ring(new).open(PLACE, sealed)


def test_the_file_is_made_once_for_its_owner_and_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "state" / "keys"
    rings = [Keyring(None, str(path), NONE) for _ in range(8)]
    threads = [threading.Thread(target=one.seal, args=(PLACE, SECRET)) for one in rings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and len({one.current for one in rings}) == 1
    assert os.listdir(path.parent) == ["keys"]
    sealed = rings[0].seal(PLACE, SECRET)
    write_keys(str(path), [new_key(), *path.read_text().splitlines()], replace_it=True)
    again = rings[1].seal(PLACE, SECRET)
    assert again.split(":")[1] != sealed.split(":")[1]
    assert rings[2].open(PLACE, again) == rings[2].open(PLACE, sealed) == SECRET


def test_a_file_that_is_there_is_not_replaced_by_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("# ours\nmine:" + "B" * 43 + "=\n")
    make_key_file(str(path))
    assert Keyring(None, str(path), NONE).current == "mine"


@pytest.mark.parametrize("text", ["", "key", "k:short", "k:" + "A" * 60, f"{new_key()} {new_key()}", "a b:" + "A" * 43])
def test_keys_that_are_not_written_as_keys_seal_nothing(text: str, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(text)
    with pytest.raises(Unavailable) as raised:
        Keyring(None, str(path), NONE).seal(PLACE, SECRET)
    assert "AAAA" not in str(raised.value)


def test_without_a_key_nothing_is_sealed_and_what_was_never_sealed_opens() -> None:
    with pytest.raises(Unavailable):
        PLAIN.keep(PLACE, SECRET)
    assert PLAIN.open(PLACE, SECRET) == SECRET


def test_references_are_read_where_the_operator_allows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, outside = tmp_path / "secrets", tmp_path / "outside"
    folder.mkdir()
    (folder / "key").write_text(SECRET + "\n")
    outside.write_text("not meant")
    os.symlink(outside, folder / "link")
    monkeypatch.setenv("FILESTORE_SECRET_KEY", SECRET)
    monkeypatch.setenv("OTHER", "not meant")
    keys = ring(new_key(), allowed=ReferencesAllowed(["FILESTORE_SECRET_*"], [str(folder)]))
    for reference in ("env:FILESTORE_SECRET_KEY", f"file:{folder}/key"):
        assert keys.keep(PLACE, reference) == reference and keys.open(PLACE, reference) == SECRET
    for refused in (
        "env:OTHER",
        "env:",
        f"file:{outside}",
        f"file:{folder}/link",
        f"file:{folder}/../outside",
        "file:/etc/passwd",
    ):
        with pytest.raises(InvalidRequest, match="FILESTORE_SECRETS_"):
            keys.keep(PLACE, refused)
        with pytest.raises(SecretUnreadable, match="FILESTORE_SECRETS_"):
            keys.open(PLACE, refused)
    for missing in ("env:FILESTORE_SECRET_NONE", f"file:{folder}/none", f"file:{folder}"):
        with pytest.raises(SecretUnreadable) as raised:
            keys.open(PLACE, keys.keep(PLACE, missing))
        assert SECRET not in str(raised.value)


def mount(**secrets: str) -> Mount:
    return Mount(MountId(1), "main", "m", "u", "s3", None, "b", None, "rw", "active", "h", 1, {}, secrets)


def test_a_mount_is_offline_where_its_secrets_can_not_be_opened() -> None:
    keys = ring(new_key())
    sealed = {
        name: text or "" for name, text in sealed_all(keys, MountId(1), {"accessKeyId": "a", "x": SECRET}).items()
    }
    assert keys.opened(mount(**sealed)).secrets == {"accessKeyId": "a", "x": SECRET}
    assert SECRET not in repr(keys.opened(mount(**sealed)))
    with pytest.raises(MountOffline, match="does not have"):
        ring(new_key()).opened(mount(**sealed))


def test_a_file_that_was_written_anew_has_another_fingerprint(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("one")
    keys = ring(new_key(), allowed=ReferencesAllowed((), [str(tmp_path)]))
    held = mount(a=f"file:{file}", b="env:NAME", c="sealed:k:x")
    before = keys.fingerprint(held)
    assert keys.fingerprint(held) == before != ()
    file.write_text("another")
    assert keys.fingerprint(held) != before
    file.unlink()
    assert keys.fingerprint(held) != before
