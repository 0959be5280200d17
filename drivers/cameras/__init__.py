"""Cameras: adapters to the Camera port."""
