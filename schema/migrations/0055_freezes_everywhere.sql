-- A freeze without a tenant holds on every mount of every tenant.
ALTER TABLE filestore.freezes ALTER COLUMN tenant DROP NOT NULL;
ALTER TABLE filestore.freezes ADD CONSTRAINT freezes_scope CHECK (tenant IS NOT NULL OR mount_id IS NULL);

-- The freeze that holds on a mount now: one that holds everywhere before others, then the oldest. No row: changes are taken.
CREATE OR REPLACE FUNCTION filestore.freeze_of_v1(of_tenant text, mount bigint) RETURNS TABLE (facts jsonb)
LANGUAGE sql STABLE ROWS 1 AS $$
    SELECT jsonb_build_object('id', f.id, 'reason', f.reason, 'until', f.until, 'everywhere', f.tenant IS NULL)
      FROM filestore.freezes f
     WHERE f.lifted_at IS NULL AND (f.tenant = of_tenant AND (f.mount_id IS NULL OR f.mount_id = mount) OR f.tenant IS NULL)
       AND (f.until IS NULL OR f.until > now()) ORDER BY f.tenant IS NULL DESC, f.id LIMIT 1
$$;
