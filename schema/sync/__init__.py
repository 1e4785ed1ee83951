"""Projects that follow their files to every server: trees, plans, manifests, tiers. Pure; standard library only."""
