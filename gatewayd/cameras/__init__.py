"""What to do with pictures; where they come from is drivers.cameras."""
