"""The processes (`api`, `main`), and `wiring`, the one place where things are joined."""
