-- What a node's metadata becomes by changes that are asked for: {"set": {..}, "unset": [..]}.
CREATE FUNCTION filestore.described_v1(metadata jsonb, changes jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT (metadata - ARRAY(SELECT jsonb_array_elements_text(changes->'unset'))) || coalesce(changes->'set', '{}')
$$;
