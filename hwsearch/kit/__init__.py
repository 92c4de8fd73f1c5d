"""What measures a device, here and from a kit: it travels and needs NumPy and a runtime only."""
