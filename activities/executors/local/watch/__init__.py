"""Watch a local mount: the kernel's events, the directories they speak of, and what rests of them as hints."""
