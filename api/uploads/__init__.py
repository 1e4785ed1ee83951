"""Content on its way in: bodies, forms, resumable uploads, and straight into a bucket."""
