"""Mounts in the exact forms that existing clients compare or parse."""

from tests.clients.apphub import AppHub, ParsedMount
from tests.fix_service import MountOfTest, Service


def test_a_mount_passes_a_schema_that_wants_every_field(service: Service, mount: MountOfTest) -> None:
    found = AppHub(service).get_mount(mount.id)
    assert isinstance(found, ParsedMount) and (found.mount_key, found.backend_kind) == (mount.key, "local")
    raw = service.call("GET", f"/v1/backend-mounts/{mount.id}").json()["data"]
    assert "lastHealthCheckAt" in raw and "lastHealthStatus" in raw and "pathB64" not in raw


def test_mounts_are_listed_with_their_conditions_as_arrays(service: Service, mount: MountOfTest) -> None:
    client = AppHub(service)
    listed = client.list_mounts(limit=100)
    assert listed.mounts and (listed.filters.search, listed.filters.kinds, listed.filters.states) == (None, [], [])
    found = client.list_mounts(
        search=mount.key.upper(), kinds="local,s3", states=["active", "offline"], accessModes="rw"
    )
    assert [one.id for one in found.mounts] == [mount.id]
    assert (found.filters.kinds, found.filters.states) == (["local", "s3"], ["active", "offline"])


def test_a_mount_is_changed_by_the_fields_that_are_sent(service: Service, mount: MountOfTest) -> None:
    client = AppHub(service)
    changed = client.update_mount(mount.id, displayName="Demo", labels=["a"], contact="ops@example.org")
    assert (changed.display_name, changed.labels, changed.contact) == ("Demo", ["a"], "ops@example.org")
    assert client.update_mount(mount.id, displayName=None).labels == ["a"]
