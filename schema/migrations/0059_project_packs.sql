-- Small contents of projects lie together in the cold store: a pack goes once no row names a part of it.
CREATE INDEX project_objects_packs ON filestore.project_objects (project_id, regexp_replace(cold_key, '#[0-9]+$', ''))
 WHERE cold_key ~ '#[0-9]+$';
