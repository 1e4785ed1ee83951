"""What the watcher process does with the watches of its mounts."""
