"""Who may do what, where: actions and scopes, patterns of paths, rules, and the one decision made of them. Pure."""
