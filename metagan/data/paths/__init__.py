"""Files below a folder or in an archive, and what their paths say."""
