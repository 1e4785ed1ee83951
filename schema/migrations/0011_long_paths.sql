-- Directories that lie deep: whether something below one would pass the limit of paths at a longer name is asked of these alone.
CREATE INDEX nodes_long_directory ON filestore.nodes (mount_id, directory_path) WHERE octet_length(directory_path) > 1024;
