"""Operations over HTTP: made, looked at, steered, undone."""
