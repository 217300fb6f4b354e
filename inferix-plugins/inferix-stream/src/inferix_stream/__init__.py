"""Streamers: mp4, gif, a folder of PNGs, a contact sheet."""
