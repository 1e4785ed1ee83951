"""One effect each: `begin`, `apply`, `commit`, `finish`, `publish`, `sweep`. Each is a method of a class that is given its
pool and executors, light to import, at-least-once by nature and therefore safe to run again."""
