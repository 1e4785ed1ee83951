-- What a decision about a finding has to know of the record.

-- name: node
-- The node that a finding speaks of, as it is now.
SELECT n.id, n.parent_id, n.name, p.directory_path || n.name AS path, n.kind::text, n.state::text, n.version,
       filestore.node_identity(n) AS facts, n.sha256, n.size_bytes, n.observed_by IS NOT NULL AS provisional, n.missed_in, n.judged
  FROM filestore.nodes n JOIN filestore.nodes p ON p.id = n.parent_id WHERE n.id = %(id)s AND n.state <> 'deleted'

-- name: place
-- The directory of a name, and the node that has the name.
SELECT p.id AS parent, (SELECT n.id FROM filestore.nodes n
                         WHERE n.parent_id = p.id AND n.name = %(name)s AND n.state <> 'deleted') AS node
  FROM filestore.nodes p
 WHERE p.mount_id = %(mount)s AND p.directory_path = %(directory)s AND p.directory_path IS NOT NULL AND p.state <> 'deleted'
