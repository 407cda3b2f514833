"""The shard format: its schema, index and manifest, and how it is read, checked and fetched."""
