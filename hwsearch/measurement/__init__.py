"""Latency, measured so that it repeats on machines with neighbours."""

from hwsearch.measurement.protocol import Clock, Settings, measure
from hwsearch.measurement.samples import REFERENCES, Job, Visit, Window
from hwsearch.measurement.statistics import Estimate, Scale, fit_scale, summarise

__all__ = [
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
