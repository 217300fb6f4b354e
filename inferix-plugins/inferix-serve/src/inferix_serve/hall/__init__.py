"""The server without the web: worlds over one engine, made block by block to their deadlines."""
