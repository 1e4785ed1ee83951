"""The visible steps in a bucket: one object, or a tree item by item."""
