"""Two branches that took the same number for a migration are noticed without a server."""

from schema.migrate import migrations


def test_migrations_are_numbered_without_gaps() -> None:
    assert [m.version for m in migrations()] == list(range(1, len(migrations()) + 1))
