"""Effects on projects: commits, and content between the hot store, the cold one and the nodes."""
