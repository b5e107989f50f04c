"""Chat that comes from elsewhere and goes elsewhere: importers and exporters by format."""
