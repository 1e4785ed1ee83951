"""Share links: one file, one listing, or uploads into one folder, for whoever has the address."""
