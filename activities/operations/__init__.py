"""Operations: `plan` makes their items page by page, `chunk` hands out the next of them as commands."""
