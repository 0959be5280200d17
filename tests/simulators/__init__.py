"""The simulated devices, checked against independent peers: ffmpeg, pyserial, pymodbus."""
