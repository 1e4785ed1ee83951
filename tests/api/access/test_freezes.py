"""A freeze of the whole installation is the operators': administrators of a tenant see it, and lift only their own."""

import pytest

from schema.store import freezes
from schema.store.freezes import NewFreeze
from tests.api.conftest import FrontOfTest, Tree


@pytest.mark.parametrize("tenant", ["main", "other"])
async def test_an_administrator_of_a_tenant_does_not_lift_a_freeze_of_all_tenants(
    front: FrontOfTest, tree: Tree, tenant: str
) -> None:
    new = NewFreeze(
        tenant=None, principal="operator", mount=None, reason="The storage is moved.", until=None, key=f"k-{tenant}"
    )
    async with front.pool.connection() as connection:
        made = await freezes.create(connection, new)
    assert made is not None
    id = made[0]
    try:
        async with front.client(await front.token("admin", principal="ann", tenant=tenant)) as client:
            shown = (await client.get("/v1/freeze")).json()["data"]["freezes"]
            assert [one["scope"] for one in shown if one["id"] == id] == [{"all": True, "everywhere": True}]
            refused = await client.delete(f"/v1/freeze/{id}")
            error = refused.json()["error"]
            assert (refused.status_code, error["code"], error["details"]["freezeId"]) == (403, "FORBIDDEN", id)
            assert "Only they lift it" in error["message"]
            assert (await client.get("/v1/freeze")).json()["data"]["freezes"][0]["holds"] is True
            own = (await client.post("/v1/freeze", json={"scope": {"all": True}, "reason": "Mine."})).json()["data"]
            assert (await client.delete(f"/v1/freeze/{own['id']}")).json()["data"]["liftedBy"] == "ann"
    finally:
        async with front.pool.connection() as connection:
            await connection.execute("UPDATE filestore.freezes SET lifted_at = now() WHERE id = %s", [id])
