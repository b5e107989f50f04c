"""One module for each format that chat comes in as: from an opened stream to lines."""
