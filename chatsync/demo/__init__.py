"""``chatsync demo``: a real stream, a simulated lecture through the real WebSocket, and a page to watch it."""
