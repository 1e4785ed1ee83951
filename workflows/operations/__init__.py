"""Operations in Temporal: their ids and cursors. What they are about stands in Postgres."""
