"""One effect each: `begin`, `stage`, `apply`, `commit`, `finish` of a list of commands, `publish`, `sweep`. Each is a method of a
class that is given its pool and executors, light to import, at-least-once by nature and therefore safe to run again."""
