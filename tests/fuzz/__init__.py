"""Playlists changed at random: what must hold whatever an origin sends."""
