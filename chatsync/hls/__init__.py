"""HLS playlists as a timeline of program time. Pure: no clock, no I/O."""
