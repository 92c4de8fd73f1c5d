"""Latency, measured so that it repeats on machines with neighbours."""

from hwsearch.measurement.protocol import measure
from hwsearch.measurement.samples import REFERENCES, Job, Visit, Window
from hwsearch.measurement.settings import PROTOCOL, Clock, Settings
from hwsearch.measurement.statistics import Estimate, Scale, fit_scale, summarise

__all__ = [
    "PROTOCOL",
    "REFERENCES",
    "Clock",
    "Estimate",
    "Job",
    "Scale",
    "Settings",
    "Visit",
    "Window",
    "fit_scale",
    "measure",
    "summarise",
]
