"""Chat written in the formats that others read. ``exporters.formats`` lists them."""
