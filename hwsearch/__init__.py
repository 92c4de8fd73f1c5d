"""Deployment search on measured hardware: one supernet, many devices, verified engines."""

