"""The Metastore: what people and programs say of nodes, in records that follow their nodes."""
