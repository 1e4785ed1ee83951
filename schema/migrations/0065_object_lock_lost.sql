-- Since when a bucket does not keep any more what it was seen to keep under Object Lock.
ALTER TABLE filestore.object_lock_proofs ADD COLUMN lost_at timestamptz;
