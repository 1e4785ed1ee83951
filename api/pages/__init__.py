"""Pages for people, made of what any client could ask for."""
