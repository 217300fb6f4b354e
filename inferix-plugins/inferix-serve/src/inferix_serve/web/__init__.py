"""The hall on the web: REST, WebSocket, WebRTC signalling, metrics and the page."""
