"""A mount takes commands from the moment it is registered."""

from pathlib import Path

from tests.fix_service import Service, check_mounts, make_mount


def test_a_command_may_follow_its_registration_at_once(service: Service, tmp_path: Path) -> None:
    fresh = []
    for n in range(10):
        mount = make_mount(service, tmp_path / f"m{n}")
        answer = service.mkdir(mount, "first")
        assert answer.status_code == 201, answer.text
        fresh.append(mount)
    check_mounts(fresh)
    for mount in fresh:
        service.call("PATCH", f"/v1/backend-mounts/{mount.id}", json={"state": "inactive"})
