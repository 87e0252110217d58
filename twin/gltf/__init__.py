"""glTF binary content with mesh features and structural metadata."""
