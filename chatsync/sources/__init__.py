"""Live chat elsewhere that becomes a room's: one connector for each network."""
