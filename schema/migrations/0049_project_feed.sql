-- How far the events of projects are told in the hot store. What happened before it was there is in the feed alone.
CREATE TABLE filestore.project_feed (
    only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    position  bigint NOT NULL DEFAULT 0
);
INSERT INTO filestore.project_feed (position) SELECT f.position FROM filestore.event_feed f;
