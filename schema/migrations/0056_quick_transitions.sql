-- A node may be deleted from every state, and become active from every other one: a deletion of 100,000 nodes asked for that as
-- often.
DROP TRIGGER nodes_transition ON filestore.nodes;
CREATE TRIGGER nodes_transition BEFORE UPDATE ON filestore.nodes FOR EACH ROW
    WHEN (NEW.state <> OLD.state AND NEW.state NOT IN ('active', 'deleted')) EXECUTE FUNCTION filestore.check_node_transition();
