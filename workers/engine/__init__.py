"""What runs inside a process: the Temporal workers of its mounts, on a thread of their own."""
